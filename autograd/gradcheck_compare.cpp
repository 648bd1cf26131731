// Numeric against analytic derivatives.
#include <limpid/autograd/detail/checker.hpp>
#include <limpid/autograd/detail/difference.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>
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

Values Checker::outputs() {
  const NoGradGuard guard;
  const Tensors ys = f_(called());
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

Checker::Slope Checker::slope(Motion motion, std::size_t begin, std::size_t end, double rtol, double atol) {
  constexpr double widest = 1.0 / 32;
  constexpr int levels = 16;
  Extrapolation table;
  double difference = 0;
  double bend = 0, bend_before = 0;  // a jump of the first derivative stays the same, curvature falls with t
  std::vector<bool> moved(end - begin);
  const auto look = [&](double t) {
    move(motion, t);
    const Values plus = outputs();
    move(motion, -t);
    const Values minus = outputs();
    const double w = width(motion, t);
    long double rise = 0, curve = 0, rounding = 0;
    for (std::size_t j = begin; j < end; ++j) {
      const double p = plus[j], m = minus[j];
      // What never moves adds neither value nor rounding; what no longer does has been rounded away.
      if (p == m && p == y_[j] && !moved[j - begin]) continue;
      moved[j - begin] = true;
      rise += static_cast<long double>(dy_[j]) * (static_cast<long double>(p) - m);
      curve += static_cast<long double>(dy_[j]) * (static_cast<long double>(p) - y_[j] + m - y_[j]);
      const double r = dy_[j] * std::max(std::abs(p), std::abs(m));
      rounding += static_cast<long double>(r) * r;
    }
    bend_before = bend;
    bend = std::abs(static_cast<double>(curve)) * 2 / w;
    difference = static_cast<double>(rise) / w;
    return epsilon_ * std::sqrt(static_cast<double>(rounding)) / w;
  };
  double t = widest;
  for (int level = 0; level < levels; ++level, t /= 2) {
    const double rounding = look(t);
    table.add(difference, rounding);
    if (table.error <= std::max(rtol * std::abs(table.value), atol)) break;
  }
  Slope found{table.value, table.error, std::abs(difference - table.value), false};
  // Is a bend that did not fall still there at far smaller steps?
  const auto stays = [&] {
    return bend > std::max({0.75 * bend_before, 1e-3 * std::abs(found.value), 3 * found.error});
  };
  found.kink = stays();
  for (double fine : {0x1p-14, 0x1p-18}) {
    if (!found.kink) break;
    look(fine);
    found.kink = stays();
  }
  move(motion, 0);
  return found;
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
  constexpr std::size_t directions = 2;
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
      spread += dx[j] * e.step * dx[j] * e.step / directions;
    }
    along.push_back(total);
    motions.push_back(direction);
  }
  judge(c, along, motions, references_[c] * scales_[c], std::sqrt(spread));
}

void Checker::judge(std::size_t c, const Values& analytic, const std::vector<Motion>& motions, double reference,
                    double least_scale) {
  GradcheckReport::Input& input = report_.inputs[checked_[c]];
  const std::size_t count = analytic.size();
  const double most_analytic = largest(analytic);
  std::vector<Slope> slopes;
  double most = most_analytic;
  for (Motion motion : motions) {
    slopes.push_back(
        slope(motion, 0, y_.size(), 0.1 * rtol_, std::max(1e-4 * rtol_ * most_analytic, 1e-13 * reference)));
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

  double worst = -1, most_numeric = 0, most_drift = 0;
  std::size_t at = 0;
  for (std::size_t j = 0; j < count; ++j) {
    if (!is_right(j)) {  // no alarm before the difference is as good as it gets
      const Slope finer = slope(motions[j], 0, y_.size(), 0, 0);
      most_drift = std::max(most_drift, finer.drift);
      if (!(finer.error > slopes[j].error)) slopes[j] = finer;
    }
    most_numeric = std::max(most_numeric, std::abs(slopes[j].value));
    const double difference = difference_at(j);
    double error = 0, badness = 0;
    if (std::isnan(difference)) {
      error = badness = infinity;
    } else if (difference > 0) {
      error = difference / scale_at(j);
      badness = difference / bound_at(j);
    }
    input.error = std::max(input.error, error);
    input.wrong += !is_right(j);
    input.kinks += slopes[j].kink;
    input.wrong_at_kinks += slopes[j].kink && !is_right(j);
    if (!slopes[j].kink && scale_at(j) > 0)
      input.resolution = std::max(input.resolution, slopes[j].error / scale_at(j));
    if (badness > worst) {
      worst = badness;
      at = j;
    }
  }
  input.count = static_cast<int64_t>(count);

  // Far below what one would expect of outputs and inputs of these sizes, and shapeless: rounding noise.
  const bool noise =
      std::max(most_analytic, most_numeric) <= 1e-5 * reference && input.wrong > 0 && most_drift > 0.1 * most_numeric;
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
    input.kink_at_worst = slopes[at].kink && !input.vacuous;
    input.index = options_.fast ? Axes(static_cast<int64_t>(at)) : multi_index(static_cast<int64_t>(at), x(c).shape());
  }
  input.passed = input.wrong == 0;
  if (input.passed) return;
  if (!options_.fast) input.output = most_wrong(c, at, motions[at]);
  report_.problems.push_back(describe(input, slopes[at]));
}

std::string Checker::most_wrong(std::size_t c, std::size_t j, Motion motion) {
  double worst = -1;
  std::size_t found = 0;
  const std::size_t count = begins_.size() - 1;
  for (std::size_t k = 0; count > 1 && k < count; ++k) {
    if (!dys_[k].defined()) continue;
    const Values dx = run(xs_, 1, all, all, k).dx[c];
    const double numeric = slope(motion, begins_[k], begins_[k + 1], 0, 0).value;
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
  out << ": analytic " << input.analytic << ", numeric " << input.numeric;
  out.precision(3);
  out << ", bound " << input.bound << " on the difference (" << input.wrong << " of " << input.count << " wrong)";
  if (input.kink_at_worst)
    out << "; a kink: the differences from left and right disagree there, so that no derivative exists";
  else if (!(slope.error <= 10 * input.bound && slope.drift <= 1e-3 * std::abs(slope.value)))
    out << "; the numeric value is unsure by " << std::max(slope.error, slope.drift);
  return std::move(out).str();
}

}  // namespace limpid::detail
