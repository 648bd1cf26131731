// Numeric against analytic derivatives.
#include <limpid/autograd/detail/checker.hpp>
#include <limpid/autograd/detail/difference.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

namespace limpid::detail {
namespace {

constexpr double infinity = Extrapolation::infinity;

void move(Checker::Motion motion, double t) {
  for (const Checker::Element& e : motion) *e.p = e.at(t);
}

/// The width of [-t, t] as it came out in floating point.
double width(Checker::Motion motion, double t) {
  if (motion.size() != 1) return 2 * t;
  const Checker::Element& e = motion[0];
  return (e.at(t) - e.at(-t)) / e.unit;
}

}  // namespace

bool Checker::is_exact(Motion motion, double t) const {
  return motion.size() == 1 || std::all_of(motion.begin(), motion.end(), [&](const Element& e) {
           return std::abs(e.at(t) - e.at(-t) - 2 * t * e.step) <= 0.1 * rtol_ * std::abs(2 * t * e.step);
         });
}

Values Checker::outputs(const Tensors& xs) {
  const NoGradGuard guard;
  const Tensors ys = f_(xs);
  Values values;
  values.reserve(y_.size());
  for (std::size_t k = 0; k < ys.size(); ++k) {
    require_defined(ys[k], k);
    if (!is_floating_point(ys[k].dtype())) continue;
    const Values y = values_of(ys[k]);
    values.insert(values.end(), y.begin(), y.end());
  }
  if (values.size() != y_.size())
    throw_error<ValueError>(report_.check, ": expected outputs of the same sizes near the inputs, got ", values.size(),
                            " values after ", y_.size());
  return values;
}

Values Checker::outputs_or_nan(const Tensors& xs) {
  try {
    return outputs(xs);
  } catch (const MemoryError&) {
    throw;
  } catch (const Error&) {
    return Values(y_.size(), std::nan(""));
  }
}

/// The differences of sum <y, dy> over one motion, step by step down to where they tell the derivative.
///
/// A function may vary on a scale far below its input's size, as log does at 1e-7 beside 1, or end beside the input.
/// So the steps halve for as long as nothing is sure, from an element's own size on where that is far smaller.
///
/// A kink shows as a bend, the difference of the slopes from left and right, that stays as the steps fall; curvature's
/// falls with them. One that stays down to the least step, or down to where all is rounding, is a kink at the input.
/// One that falls after all was a kink beside it, or a curve as sharp: what larger steps told is forgotten. Where it is
/// the change of the outputs that stays, or falls far slower than the steps, the function jumps or has a vertical
/// tangent.
class Checker::Descent {
 public:
  Descent(Checker& checker, Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted)
      : checker_(checker),
        motion_(motion),
        wanted_(wanted),
        begin_(begin),
        least_(end - begin) {}

  Slope run() {
    double own = 1, smallest = 0x1p-53;  // of an element's size in its step
    for (const Element& e : motion_)
      if (e.x != 0 && e.step != 0) own = std::min(own, std::abs(e.x / e.step));
    if (std::any_of(motion_.begin(), motion_.end(), [](const Element& e) { return e.x != 0; }))
      smallest = own * 0x1p-36;
    if (checker_.epsilon_ > epsilon(float64)) smallest = 0x1p-20;
    double t = widest;
    for (int level = 1; t >= smallest && checker_.is_exact(motion_, t); ++level) {
      step(t);
      if (bent_ == 0 && table_.error <= std::max(wanted_.rtol * std::abs(table_.value), wanted_.atol)) break;
      if (bent_ == 0 && strays_ == 0 && is_convincing() && level >= levels && (is_enough() || is_rounding())) break;
      t /= level < levels || std::isfinite(difference_) ? 2 : 16;
    }
    if (!is_convincing()) table_ = *coarse_;
    Slope found{table_.value, table_.error, std::abs(difference_ - table_.value), false, bend_at_kink_,
                reach_,       table_.step};
    if (stays_ >= least_bent && is_of_the_bend()) found.kink = true;
    if (flat_ >= least_flat && !(table_.error <= 1e-2 * std::abs(table_.value))) {
      found.kink = true;
      found.jump = infinity;
    }
    // Where a bend fell, but rounding leaves no derivative below it.
    const double least = 10 * checker_.rtol_ * std::max(std::abs(table_.value), bend_at_kink_);
    if (beyond_ && !(table_.error <= std::max(least, wanted_.enough)))
      found = {beyond_->value, beyond_->error, std::abs(difference_ - beyond_->value), true, bend_at_kink_, 1,
               beyond_->step};
    if (!found.kink && !beyond_ && !wanted_.near && is_rounded_away()) look_further(found);
    move(motion_, 0);
    return found;
  }

 private:
  static constexpr double widest = 1.0 / 32;
  static constexpr int levels = 16;
  static constexpr int least_bent = 3, least_flat = 8;

  bool is_convincing() const { return !coarse_ || table_.error <= 1e-3 * std::abs(table_.value - coarse_->value); }
  bool is_enough() const {
    return table_.error <=
           std::max((wanted_.rtol == 0 ? 0.1 : 10) * checker_.rtol_ * std::abs(table_.value), wanted_.enough);
  }
  bool is_rounding() const { return table_.error <= 4 * table_.rounding; }
  /// Whether rounding hides the derivative at every step so far, as beside a large constant.
  bool is_rounded_away() const {
    if (std::all_of(least_.begin(), least_.end(), [](double least) { return least == 0; })) return wanted_.rtol == 0;
    return !is_enough() && is_rounding() && table_.rounding > checker_.epsilon_ * wanted_.reference;
  }
  bool is_of_the_bend() const { return level_of_value_ >= first_bent_; }

  /// One pair of points: gives what rounding may have done to the difference.
  double look(double t) {
    move(motion_, t);
    const Values plus = checker_.outputs_or_nan();
    move(motion_, -t);
    const Values minus = checker_.outputs_or_nan();
    const double w = width(motion_, t);
    long double rise = 0, curve = 0, squares = 0, noise = 0, change = 0;
    for (std::size_t k = 0; k < least_.size(); ++k) {
      const std::size_t j = begin_ + k;
      const double p = plus[j], m = minus[j], y = checker_.y_[j], dy = checker_.dy_[j];
      const double moved = std::max({std::abs(p - m), std::abs(p - y), std::abs(m - y)});
      // What never moves adds neither value nor rounding; what no longer does has been rounded away.
      if (moved == 0 && least_[k] == 0) continue;
      if (moved == 0 && least_[k] < checker_.most_noise()) noise += std::abs(dy) * least_[k];
      if (moved != 0) least_[k] = least_[k] == 0 ? moved : std::min(least_[k], moved);
      rise += static_cast<long double>(dy) * (static_cast<long double>(p) - m);
      curve += std::abs(static_cast<long double>(dy) * (static_cast<long double>(p) - y + m - y));
      const double size = std::max(std::abs(p), std::abs(m));
      const long double r = dy * size;
      squares += r * r;
      noise += std::abs(dy) * std::max(checker_.epsilon_ * size, checker_.noise_[j]);
      change += std::abs(dy) * moved;
    }
    const bool is_flat = change > 0.6 * change_ && change < 1.01 * change_ && change > 16 * noise;
    flat_ = is_flat ? flat_ + 1 : 0;
    change_ = static_cast<double>(change);
    bend_ = static_cast<double>(curve) * 2 / w;
    noise_ = 2 * static_cast<double>(noise) / w;
    difference_ = static_cast<double>(rise) / w;
    // Where the outputs cancel inside, more than their own size tells has been rounded.
    return std::max(checker_.epsilon_ * std::sqrt(static_cast<double>(squares)) / w, noise_ / 16);
  }

  void step(double t) {
    const double before = bend_, noise_before = noise_;
    const double rounding = look(t);
    ++level_;
    if (table_.is_restarted()) reach_of_table_ = std::min(1.0, 32 * t);
    const double known = table_.error;
    if (const double strays = std::abs(difference_ - table_.value); known < infinity) {
      strays_ = strays > 0.75 * stray_ && strays > 8 * (known + noise_) ? strays_ + 1 : 0;
      stray_ = strays;
      if (strays_ >= least_bent) doubt(t);
    }
    table_.add(difference_, rounding, t);
    if (table_.error <= known && table_.error < infinity) {
      level_of_value_ = level_;
      reach_ = std::min(reach_of_table_, 0x1p10 * t);  // a row of the table takes up to six steps
    }
    if (!std::isfinite(difference_) || !std::isfinite(before)) {
      bent_ = stays_ = 0;
      return;
    }
    const bool counts = before > 8 * noise_before && before > 10 * checker_.rtol_ * std::abs(difference_);
    if (!counts || level_ == 1) return;
    if (bend_ < 0.75 * before) {
      if (bent_ >= least_bent && is_of_the_bend()) forget(t);
      bent_ = stays_ = 0;
    } else if (bend_ > 8 * noise_) {
      if (bent_++ == 0) first_bent_ = level_ - 1;
      stays_ = bend_ >= 0.9 * before && bend_ <= before / 0.9 ? stays_ + 1 : 0;
      bend_at_kink_ = std::max(bend_at_kink_, bend_);
    }
  }

  void forget(double t) {
    beyond_ = table_;
    table_ = Extrapolation();
    std::fill(least_.begin(), least_.end(), 0);
    reach_of_table_ = std::min(1.0, 32 * t);
  }

  // What larger steps agreed on may have been chance, as of steps that all but fit the periods of a sine. Smaller ones
  // that agree as well know better.
  void doubt(double t) {
    if (!coarse_) coarse_ = table_;
    table_ = Extrapolation();
    reach_of_table_ = std::min(1.0, 32 * t);
    strays_ = 0;
    stray_ = infinity;
  }

  /// By larger steps.
  void look_further(Slope& found) {
    const bool has_moved = table_.rounding > 0;
    Extrapolation table;
    double t = 0x1p11;
    for (int level = 0; level < levels; ++level, t /= 2) {
      const double rounding = look(t);
      table.add(difference_, rounding, t);
    }
    if (!has_moved || table.error < 0.1 * found.error) found = {table.value, table.error, 0, false, 0, 1, table.step};
  }

  Checker& checker_;
  Motion motion_;
  const Wanted& wanted_;
  std::size_t begin_;
  Values least_;  // by how much each output has moved at the least, 0 where not yet
  Extrapolation table_;
  std::optional<Extrapolation> beyond_;  // what was known before a bend fell
  std::optional<Extrapolation> coarse_;  // and before the differences strayed from it
  int strays_ = 0;                       // for how many steps they have
  double stray_ = infinity;
  int level_ = 0, level_of_value_ = 0;
  int bent_ = 0, first_bent_ = 0;  // for how many steps the bend has not fallen, and from which on
  int stays_ = 0;                  // for how many it has stayed
  int flat_ = 0;                   // for how many the outputs' change has
  double change_ = 0;
  double difference_ = 0, bend_ = 0, noise_ = 0, bend_at_kink_ = 0;
  double reach_ = 1, reach_of_table_ = 1;
};

Checker::Slope Checker::slope(Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted) {
  return Descent(*this, motion, begin, end, wanted).run();
}

std::vector<Checker::Element> Checker::elements_of(std::size_t c) {
  std::vector<Element> elements;
  double* p = x(c).data<double>();
  for (int64_t j = 0; j < x(c).numel(); ++j) {
    double* at = p + offset_of(multi_index(j, x(c).shape()), x(c).strides());
    const double size = std::max(std::abs(*at), scales_[c]);
    // A power of two, so that t * step is exact.
    const double step = std::isfinite(size) ? std::exp2(std::round(std::log2(size))) : 1;
    elements.push_back({at, *at, step, 1, dtype_of_input(checked_[c])});
  }
  return elements;
}

std::vector<Checker::Element> Checker::direction_of(std::size_t c, bool own_sizes) {
  std::vector<Element> elements = elements_of(c);
  double least = infinity;
  for (const Element& e : elements)
    if (e.x != 0 && std::isfinite(e.x)) least = std::min(least, std::abs(e.x));
  for (Element& e : elements) {
    const double own = e.x == 0 ? least : std::abs(e.x);
    if (own_sizes && std::isfinite(own)) e.step = std::exp2(std::round(std::log2(own)));
    // Few bits, so that t * step stays exact, and so does x moved by it.
    e.step *= std::round(cotangents_.next() * 1024) / 1024;
    e.unit = e.step;
  }
  return elements;
}

void Checker::compare(std::size_t c) {
  const Values& dx = first_.dx[c];
  std::vector<Motion> motions;
  if (!options_.fast) {
    const std::vector<Element> elements = elements_of(c);
    for (const Element& e : elements) motions.emplace_back(&e, 1);
    return judge(c, dx, motions, references_[c], {});
  }
  std::vector<std::vector<Element>> directions;
  Values along, spreads;
  for (bool own_sizes : {true, false}) {
    if (dx.empty()) break;
    directions.push_back(direction_of(c, own_sizes));
    double total = 0, spread = 0;
    for (std::size_t j = 0; j < dx.size(); ++j) {
      const double term = dx[j] * directions.back()[j].step;
      total += term;
      spread = std::hypot(spread, term);
    }
    along.push_back(total);
    spreads.push_back(spread);
  }
  motions.assign(directions.begin(), directions.end());
  judge(c, along, motions, references_[c] * scales_[c], spreads);
}

void Checker::judge(std::size_t c, const Values& analytic, const std::vector<Motion>& motions, double reference,
                    const Values& least_scales) {
  GradcheckReport::Input& input = report_.inputs[checked_[c]];
  const std::size_t count = analytic.size();
  const double most_analytic = largest(analytic);
  const auto wanted_at = [&](std::size_t j, double rtol) {
    if (least_scales.empty())
      return Wanted{rtol, rtol == 0 ? 0 : std::max(1e-4 * rtol_ * most_analytic, 1e-13 * reference),
                    1e-2 * rtol_ * most_analytic, reference};
    const double size = std::max(std::abs(analytic[j]), least_scales[j]);
    return Wanted{rtol, rtol == 0 ? 0 : std::max(1e-4 * rtol_ * size, 1e-13 * reference), 10 * rtol_ * least_scales[j],
                  reference};
  };
  std::vector<Slope> slopes;
  double most = most_analytic;
  for (std::size_t j = 0; j < count; ++j) {
    slopes.push_back(slope(motions[j], 0, y_.size(), wanted_at(j, 0.1 * rtol_)));
    if (std::isfinite(slopes[j].value)) most = std::max(most, std::abs(slopes[j].value));
  }
  const auto scale_at = [&](std::size_t j) {
    return std::max(
        {std::abs(analytic[j]), std::abs(slopes[j].value), least_scales.empty() ? 1e-3 * most : least_scales[j]});
  };
  const auto sure_at = [&](std::size_t j) { return rtol_ * scale_at(j); };
  const auto bound_at = [&](std::size_t j) { return sure_at(j) + std::min(slopes[j].error, 10 * sure_at(j)); };
  const auto difference_at = [&](std::size_t j) { return std::abs(analytic[j] - slopes[j].value); };
  const auto is_right = [&](std::size_t j) { return difference_at(j) <= bound_at(j); };

  std::vector<Verdict> verdicts(count, Verdict::right);
  double most_numeric = 0;
  bool all_right = true;
  for (std::size_t j = 0; j < count; ++j) {
    // No alarm before the difference is as good as it gets.
    if (!is_right(j)) slopes[j] = slope(motions[j], 0, y_.size(), wanted_at(j, 0));
    most_numeric = std::max(most_numeric, std::abs(slopes[j].value));
    if (is_right(j)) continue;
    all_right = false;
    verdicts[j] = slopes[j].excuses(analytic[j], bound_at(j)) ? Verdict::kink : Verdict::wrong;
  }
  // Far below what one would expect of outputs and inputs of these sizes, and shapeless: rounding noise.
  const bool tiny = std::max(most_analytic, most_numeric) <= std::max(1e-5, 64 * epsilon_) * reference;
  const bool noise = !all_right && tiny && is_noise(c) && is_noise(motions, slopes, wanted_at(0, 0));
  const bool finite = std::all_of(analytic.begin(), analytic.end(), [](double a) { return std::isfinite(a); });
  input.vacuous = finite && ((most_analytic == 0 && most_numeric == 0) || noise);

  // The verdict stands once some are wrong beyond doubt.
  constexpr int enough_wrong = 3;
  int wrong = 0;
  for (std::size_t j = 0; !input.vacuous && j < count && wrong < enough_wrong; ++j) {
    if (verdicts[j] != Verdict::wrong) continue;
    // A gradient is as sure as numbers of the outputs' size, at the most.
    double rounding = epsilon_ * largest(y_) / (least_scales.empty() ? scales_[c] : 1);
    for (const Gradients& near : jiggled_gradients()) {
      double moved = 0;
      for (std::size_t i = 0; i < near[c].size(); ++i)
        if (options_.fast || i == j) moved += (near[c][i] - first_.dx[c][i]) * (options_.fast ? motions[j][i].unit : 1);
      rounding = std::max(rounding, std::abs(moved));
    }
    verdicts[j] = examine(motions[j], 0, y_.size(), slopes[j], analytic[j], sure_at(j), 4 * rounding, wanted_at(j, 0));
    wrong += verdicts[j] == Verdict::wrong;
  }
  // One direction may suit neither the elements' sizes nor the function's scale; the other is there for that.
  const bool some_right = std::find(verdicts.begin(), verdicts.end(), Verdict::right) != verdicts.end();
  const bool passes_unsure = options_.fast && some_right;

  std::size_t at = 0;
  double worst = -1;
  for (std::size_t j = 0; j < count; ++j) {
    const Verdict verdict = verdicts[j];
    const bool passed_over = verdict == Verdict::unsure && passes_unsure;
    const double difference = difference_at(j);
    double error = 0, badness = 0;
    if (std::isnan(difference)) {
      error = badness = infinity;
    } else if (difference > 0) {
      error = difference / scale_at(j);
      badness = difference / bound_at(j);
    }
    input.kinks += slopes[j].kink;
    input.unsure += verdict == Verdict::unsure;
    if (passed_over) continue;
    input.error = std::max(input.error, error);
    input.wrong += verdict != Verdict::right;
    input.wrong_at_kinks += verdict == Verdict::kink;
    if (!slopes[j].kink && scale_at(j) > 0)
      input.resolution = std::max(input.resolution, slopes[j].error / scale_at(j));
    if (worst < 0 || verdict > verdicts[at] || (verdict == verdicts[at] && badness > worst)) {
      worst = badness;
      at = j;
    }
  }
  input.count = static_cast<int64_t>(count);
  if (input.vacuous) {
    input.error = 0;
    input.wrong = input.kinks = input.wrong_at_kinks = 0;
    input.resolution = 0;
  }
  if (count > 0) {
    input.analytic = analytic[at];
    input.numeric = slopes[at].value;
    input.bound = bound_at(at);
    input.kink_at_worst = !input.vacuous && verdicts[at] == Verdict::kink;
    input.index = options_.fast ? Axes(static_cast<int64_t>(at)) : multi_index(static_cast<int64_t>(at), x(c).shape());
  }
  if (!options_.fast)
    for (const Slope& found : slopes) reaches_[c].push_back(found.reach);
  input.passed = input.wrong == 0;
  if (input.passed) return;
  if (!options_.fast) input.output = most_wrong(c, at, motions[at]);
  harmless_problems_ += verdicts[at] != Verdict::wrong;
  report_.problems.push_back(describe(input, slopes[at], verdicts[at]));
}

std::string Checker::most_wrong(std::size_t c, std::size_t j, Motion motion) {
  double worst = -1;
  std::size_t found = 0;
  const std::size_t count = begins_.size() - 1;
  for (std::size_t k = 0; count > 1 && k < count; ++k) {
    if (!dys_[k].defined()) continue;
    const Values dx = run(xs_, 1, all, all, k).dx[c];
    const double numeric = slope(motion, begins_[k], begins_[k + 1], {0, 0, 0, references_[c]}).value;
    const double difference = std::abs((dx.empty() ? 0 : dx[j]) - numeric);
    if (difference > worst) {
      worst = difference;
      found = k;
    }
  }
  return output_name(found);
}

std::string Checker::output_name(std::size_t k) const {
  return k < output_names_.size() ? output_names_[k] : message("output ", k);
}

std::string Checker::describe(const GradcheckReport::Input& input, const Slope& slope, Verdict verdict) const {
  TextStream out;
  out << input.name << " of shape " << input.shape;
  if (options_.fast)
    out << ", along random direction " << input.index[0];
  else
    out << " at " << place(input.index) << ", through " << input.output;
  out.precision(10);
  out << ": analytic " << shown(input.analytic) << ", numeric " << shown(input.numeric);
  out.precision(3);
  out << ", bound " << shown(input.bound) << " on the difference (" << input.wrong << " of " << input.count
      << " wrong)";
  if (verdict == Verdict::kink && std::isinf(slope.jump))
    out << "; the function jumps there, so that no derivative exists";
  else if (verdict == Verdict::kink)
    out << "; a kink: the differences from left and right disagree there, so that no derivative exists";
  else if (slope.kink)
    out << "; a kink, but the analytic value is not one between the derivatives from left and right";
  else if (std::isnan(slope.value))
    out << "; the function is not finite on both sides";
  else if (verdict == Verdict::unsure)
    out << "; no alarm: neither value is known well enough, for rounding rules at every step";
  else if (!(slope.error <= 10 * input.bound && slope.drift <= 1e-3 * std::abs(slope.value)))
    out << "; the numeric value is unsure by " << shown(std::max(slope.error, slope.drift));
  return std::move(out).str();
}

}  // namespace limpid::detail
