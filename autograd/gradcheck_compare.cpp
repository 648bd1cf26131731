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
/// One that falls after all was a kink beside it, or a curve as sharp: what larger steps told is forgotten.
class Checker::Descent {
 public:
  Descent(Checker& checker, Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted)
      : checker_(checker),
        motion_(motion),
        wanted_(wanted),
        begin_(begin),
        moved_(end - begin) {}

  Slope run() {
    double own = 1, smallest = 0x1p-53;  // of an element's size in its step
    for (const Element& e : motion_)
      if (e.x != 0 && e.step != 0) own = std::min(own, std::abs(e.x / e.step));
    if (std::any_of(motion_.begin(), motion_.end(), [](const Element& e) { return e.x != 0; }))
      smallest = own * 0x1p-36;
    if (checker_.epsilon_ > epsilon(float64)) smallest = 0x1p-20;
    double t = widest;
    for (int level = 1; t >= smallest; ++level) {
      step(t);
      if (bent_ == 0 && table_.error <= std::max(wanted_.rtol * std::abs(table_.value), wanted_.atol)) break;
      if (bent_ == 0 && level >= levels && (is_enough() || is_rounding())) break;
      t /= level < levels || std::isfinite(difference_) ? 2 : 16;
    }
    Slope found{table_.value, table_.error, std::abs(difference_ - table_.value), false, bend_at_kink_, reach_};
    if (stays_ >= least_bent && is_of_the_bend()) found.kink = true;
    // Where a bend fell, but rounding leaves no derivative below it.
    const double least = 10 * checker_.rtol_ * std::max(std::abs(table_.value), bend_at_kink_);
    if (beyond_ && !(table_.error <= std::max(least, wanted_.enough)))
      found = {beyond_->value, beyond_->error, std::abs(difference_ - beyond_->value), true, bend_at_kink_, 1};
    if (!found.kink && !beyond_ && is_rounded_away()) look_further(found);
    move(motion_, 0);
    return found;
  }

 private:
  static constexpr double widest = 1.0 / 32;
  static constexpr int levels = 16;
  static constexpr int least_bent = 3;

  bool is_enough() const {
    return table_.error <=
           std::max((wanted_.rtol == 0 ? 0.1 : 10) * checker_.rtol_ * std::abs(table_.value), wanted_.enough);
  }
  bool is_rounding() const { return table_.error <= 4 * table_.rounding; }
  /// Whether rounding hides the derivative at every step so far, as beside a large constant.
  bool is_rounded_away() const {
    if (std::none_of(moved_.begin(), moved_.end(), [](bool moved) { return moved; })) return wanted_.rtol == 0;
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
    long double rise = 0, curve = 0, squares = 0, noise = 0;
    for (std::size_t k = 0; k < moved_.size(); ++k) {
      const std::size_t j = begin_ + k;
      const double p = plus[j], m = minus[j], y = checker_.y_[j], dy = checker_.dy_[j];
      // What never moves adds neither value nor rounding; what no longer does has been rounded away.
      if (p == m && p == y && !moved_[k]) continue;
      moved_[k] = true;
      rise += static_cast<long double>(dy) * (static_cast<long double>(p) - m);
      curve += std::abs(static_cast<long double>(dy) * (static_cast<long double>(p) - y + m - y));
      const double size = std::max(std::abs(p), std::abs(m));
      const long double r = dy * size;
      squares += r * r;
      noise += std::abs(dy) * std::max(checker_.epsilon_ * size, checker_.noise_[j]);
    }
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
    table_.add(difference_, rounding);
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
      stays_ = bend_ <= before / 0.75 ? stays_ + 1 : 0;
      bend_at_kink_ = std::max(bend_at_kink_, bend_);
    }
  }

  void forget(double t) {
    beyond_ = table_;
    table_ = Extrapolation();
    reach_of_table_ = std::min(1.0, 32 * t);
  }

  /// By larger steps.
  void look_further(Slope& found) {
    const bool has_moved = table_.rounding > 0;
    Extrapolation table;
    double t = 0x1p11;
    for (int level = 0; level < levels; ++level, t /= 2) {
      const double rounding = look(t);
      table.add(difference_, rounding);
    }
    if (!has_moved || table.error < 0.1 * found.error) found = {table.value, table.error, 0, false, 0, 1};
  }

  Checker& checker_;
  Motion motion_;
  const Wanted& wanted_;
  std::size_t begin_;
  std::vector<bool> moved_;
  Extrapolation table_;
  std::optional<Extrapolation> beyond_;  // what was known before a bend fell
  int level_ = 0, level_of_value_ = 0;
  int bent_ = 0, first_bent_ = 0;  // for how many steps the bend has not fallen, and from which on
  int stays_ = 0;                  // for how many it has stayed
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

void Checker::compare(std::size_t c) {
  const Values& dx = first_.dx[c];
  const std::vector<Element> elements = elements_of(c);
  if (!options_.fast) {
    std::vector<Motion> motions;
    for (const Element& e : elements) motions.emplace_back(&e, 1);
    judge(c, dx, motions, references_[c], 0);
    return;
  }
  // Along a direction all elements move in proportion to their size.
  constexpr int directions = 2;
  std::vector<std::vector<Element>> moves(directions, elements);
  std::vector<Motion> motions;
  Values along;
  double spread = 0;
  for (auto& direction : moves) {
    if (dx.empty()) break;
    double total = 0;
    for (std::size_t j = 0; j < dx.size(); ++j) {
      Element& e = direction[j];
      e.step *= cotangents_.next();
      e.unit = e.step;
      total += dx[j] * e.step;
      spread = std::hypot(spread, dx[j] * e.step);
    }
    along.push_back(total);
    motions.push_back(direction);
  }
  judge(c, along, motions, references_[c] * scales_[c], spread / std::sqrt(directions));
}

void Checker::judge(std::size_t c, const Values& analytic, const std::vector<Motion>& motions, double reference,
                    double least_scale) {
  GradcheckReport::Input& input = report_.inputs[checked_[c]];
  const std::size_t count = analytic.size();
  const double most_analytic = largest(analytic);
  const Wanted at_first{0.1 * rtol_, std::max(1e-4 * rtol_ * most_analytic, 1e-13 * reference),
                        std::max(1e-2 * rtol_ * most_analytic, 10 * rtol_ * least_scale), reference};
  const Wanted at_last{0, 0, at_first.enough, reference};
  std::vector<Slope> slopes;
  double most = most_analytic;
  for (Motion motion : motions) {
    slopes.push_back(slope(motion, 0, y_.size(), at_first));
    if (std::isfinite(slopes.back().value)) most = std::max(most, std::abs(slopes.back().value));
  }
  const auto scale_at = [&](std::size_t j) {
    return std::max({std::abs(analytic[j]), std::abs(slopes[j].value), 1e-3 * most, least_scale});
  };
  const auto bound_at = [&](std::size_t j) {
    const double sure = rtol_ * scale_at(j);
    return sure + std::min(slopes[j].error, 10 * sure);
  };
  const auto difference_at = [&](std::size_t j) { return std::abs(analytic[j] - slopes[j].value); };
  const auto is_right = [&](std::size_t j) { return difference_at(j) <= bound_at(j); };

  double worst = -1, most_numeric = 0;
  bool worst_excused = true;
  std::size_t at = 0;
  for (std::size_t j = 0; j < count; ++j) {
    // No alarm before the difference is as good as it gets.
    if (!is_right(j)) slopes[j] = slope(motions[j], 0, y_.size(), at_last);
    most_numeric = std::max(most_numeric, std::abs(slopes[j].value));
    const double difference = difference_at(j);
    double error = 0, badness = 0;
    if (std::isnan(difference)) {
      error = badness = infinity;
    } else if (difference > 0) {
      error = difference / scale_at(j);
      badness = difference / bound_at(j);
    }
    const bool excused = !is_right(j) && slopes[j].excuses(analytic[j], bound_at(j));
    input.error = std::max(input.error, error);
    input.wrong += !is_right(j);
    input.kinks += slopes[j].kink;
    input.wrong_at_kinks += excused;
    if (!slopes[j].kink && scale_at(j) > 0)
      input.resolution = std::max(input.resolution, slopes[j].error / scale_at(j));
    if (badness > worst || (worst_excused && !is_right(j) && !excused)) {
      worst = badness;
      worst_excused = is_right(j) || excused;
      at = j;
    }
  }
  input.count = static_cast<int64_t>(count);

  // Far below what one would expect of outputs and inputs of these sizes, and shapeless: rounding noise.
  const bool tiny = std::max(most_analytic, most_numeric) <= std::max(1e-5, 64 * epsilon_) * reference;
  const bool noise = input.wrong > 0 && tiny && is_noise(c) && is_noise(motions, slopes, at_last);
  const bool finite = std::all_of(analytic.begin(), analytic.end(), [](double a) { return std::isfinite(a); });
  input.vacuous = finite && ((most_analytic == 0 && most_numeric == 0) || noise);
  if (input.vacuous) {
    input.error = 0;
    input.wrong = input.kinks = input.wrong_at_kinks = 0;
    input.resolution = 0;
  }
  if (count > 0) {
    input.analytic = analytic[at];
    input.numeric = slopes[at].value;
    input.bound = bound_at(at);
    input.kink_at_worst = !input.vacuous && slopes[at].excuses(analytic[at], bound_at(at));
    input.index = options_.fast ? Axes(static_cast<int64_t>(at)) : multi_index(static_cast<int64_t>(at), x(c).shape());
  }
  if (!options_.fast)
    for (const Slope& found : slopes) reaches_[c].push_back(found.reach);
  input.passed = input.wrong == 0;
  if (input.passed) return;
  if (!options_.fast) input.output = most_wrong(c, at, motions[at]);
  report_.problems.push_back(describe(input, slopes[at]));
}

Tensors Checker::jiggled(double by) {
  Tensors xs = called();
  for (std::size_t i : checked_) {
    Values values = values_of(xs[i]);
    for (double& v : values) v += v * by * epsilon(dtype_of_input(i)) * cotangents_.next();
    const Tensor dense = empty(xs[i].shape(), float64);
    std::copy(values.begin(), values.end(), dense.data<double>());
    copy_into(xs[i] = empty_like(xs[i]), dense);
  }
  return xs;
}

bool Checker::is_noise(std::size_t c) {
  const Values& here = first_.dx[c];
  double most = 0;
  for (double by : {0x1p12, 0x1p16, 0x1p20}) {
    const Values near = run(jiggled(by)).dx[c];
    for (std::size_t j = 0; j < near.size(); ++j) most = std::max(most, std::abs(near[j] - here[j]));
  }
  return most >= 0.1 * largest(here);
}

bool Checker::is_noise(const std::vector<Motion>& motions, const std::vector<Slope>& slopes, const Wanted& wanted) {
  double most = 0, difference = 0;
  for (std::size_t j = 0; j < motions.size(); ++j) {
    if (!(slopes[j].error <= 0.1 * std::abs(slopes[j].value))) continue;  // says so itself
    std::vector<Element> other(motions[j].begin(), motions[j].end());
    for (Element& e : other) e.step *= 0.75;
    const double unit = other.size() == 1 ? 1 : 0.75;  // derivatives along a direction are in units of its step
    const double again = slope(other, 0, y_.size(), wanted).value / unit;
    most = std::max(most, std::abs(slopes[j].value));
    difference = std::max(difference, std::abs(again - slopes[j].value));
  }
  return difference >= 0.1 * most;
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

std::string Checker::describe(const GradcheckReport::Input& input, const Slope& slope) const {
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
  if (input.kink_at_worst)
    out << "; a kink: the differences from left and right disagree there, so that no derivative exists";
  else if (slope.kink)
    out << "; a kink, but the analytic value is not one between the derivatives from left and right";
  else if (std::isnan(slope.value))
    out << "; the function is not finite on both sides";
  else if (!(slope.error <= 10 * input.bound && slope.drift <= 1e-3 * std::abs(slope.value)))
    out << "; the numeric value is unsure by " << shown(std::max(slope.error, slope.drift));
  return std::move(out).str();
}

}  // namespace limpid::detail
