// Numeric against analytic derivatives.
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace limpid::detail {

std::vector<Checker::Element> Checker::elements_of(std::size_t c) {
  std::vector<Element> elements;
  double* p = x(c).data<double>();
  for (int64_t j = 0; j < x(c).numel(); ++j) {
    double* at = p + offset_of(multi_index(j, x(c).shape()), x(c).strides());
    const double size = std::max(std::abs(*at), scales_[c]);
    // A power of two, so that t * step is exact.
    const double step = std::isfinite(size) ? std::exp2(std::round(std::log2(size))) : 1;
    elements.push_back({.p = at, .x = *at, .step = step, .unit = 1, .dtype = dtype_of_input(checked_[c])});
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
  std::vector<Comparison> comparisons;
  if (!options_.fast) {
    const std::vector<Element> elements = elements_of(c);
    const double most = largest(dx);
    for (std::size_t j = 0; j < elements.size(); ++j)
      comparisons.push_back({.motion = Motion(&elements[j], 1),
                             .analytic = dx[j],
                             .rtol = rtol_,
                             .least_scale = 0,
                             .size = most,
                             .enough = 1e-2 * rtol_ * most,
                             .reference = references_[c]});
    return judge(c, comparisons);
  }
  std::vector<std::vector<Element>> directions;
  for (bool own_sizes : {true, false}) {
    if (dx.empty()) break;
    directions.push_back(direction_of(c, own_sizes));
    double total = 0, spread = 0;
    for (std::size_t j = 0; j < dx.size(); ++j) {
      const double term = dx[j] * directions.back()[j].step;
      total += term;
      spread = std::hypot(spread, term);
    }
    comparisons.push_back({.motion = directions.back(),
                           .analytic = total,
                           .rtol = rtol_,
                           .least_scale = spread,
                           .size = std::max(std::abs(total), spread),
                           .enough = 10 * rtol_ * spread,
                           .reference = references_[c] * scales_[c]});
  }
  judge(c, comparisons);
}

void Checker::judge(std::size_t c, std::vector<Comparison>& comparisons) {
  measure(comparisons);
  GradcheckReport::Input& input = report_.inputs[checked_[c]];
  input.vacuous = is_vacuous(c, comparisons);
  if (!input.vacuous) {
    convict(c, comparisons);
    if (!options_.fast) hold_to_own_size(c, comparisons);
  }
  report(c, comparisons);
}

void Checker::measure(std::vector<Comparison>& comparisons) {
  double most = 0;
  for (Comparison& at : comparisons) {
    at.slope = slope(at.motion, 0, y_.size(), at.wanted(0.1 * rtol_));
    if (std::isfinite(at.analytic)) most = std::max(most, std::abs(at.analytic));
    if (std::isfinite(at.slope.value)) most = std::max(most, std::abs(at.slope.value) - at.slope.error);
  }
  for (Comparison& at : comparisons) {
    if (!options_.fast) at.least_scale = 1e-3 * most;
    // No alarm before the difference is as good as it gets.
    if (!at.is_right()) at.slope = slope(at.motion, 0, y_.size(), at.wanted(0));
    if (!at.is_right()) at.verdict = at.slope.excuses(at.analytic, at.bound()) ? Verdict::kink : Verdict::wrong;
  }
}

bool Checker::is_vacuous(std::size_t c, const std::vector<Comparison>& comparisons) {
  double most_analytic = 0, most_numeric = 0;
  bool all_right = true;
  for (const Comparison& at : comparisons) {
    if (!std::isfinite(at.analytic)) return false;
    most_analytic = std::max(most_analytic, std::abs(at.analytic));
    most_numeric = std::max(most_numeric, std::abs(at.slope.value));
    all_right = all_right && at.verdict == Verdict::right;
  }
  if (most_analytic == 0 && most_numeric == 0) return true;
  // Far below what one would expect of outputs and inputs of these sizes, and shapeless: rounding noise.
  return !all_right &&
         std::max(most_analytic, most_numeric) <= std::max(1e-5, 64 * epsilon_) * comparisons[0].reference &&
         is_noise(c) && is_noise(comparisons);
}

double Checker::rounding_of(std::size_t c, const std::vector<Comparison>& comparisons, std::size_t j) {
  // A derivative that underflows is off by the least number.
  double most = 0;
  for (const Element& e : comparisons[j].motion)
    most += std::numeric_limits<double>::min() * (options_.fast ? std::abs(e.unit) : 1);
  for (const Gradients& near : jiggled_gradients()) {
    double moved = 0;
    for (std::size_t i = 0; i < near[c].size(); ++i)
      if (options_.fast || i == j)
        moved += (near[c][i] - first_.dx[c][i]) * (options_.fast ? comparisons[j].motion[i].unit : 1);
    most = std::max(most, std::abs(moved));
  }
  return most;
}

void Checker::convict(std::size_t c, std::vector<Comparison>& comparisons) {
  // A gradient is as sure as numbers of the outputs' size, at the most.
  const double least = epsilon_ * largest(y_) / (options_.fast ? 1 : scales_[c]);
  int wrong = 0;
  for (std::size_t j = 0; j < comparisons.size() && wrong < enough_wrong; ++j) {
    Comparison& at = comparisons[j];
    if (at.verdict != Verdict::wrong) continue;
    at.verdict = !std::isfinite(at.analytic) && leaves_range(c, j)
                     ? Verdict::unsure
                     : examine(at, std::max(least, rounding_of(c, comparisons, j)));
    wrong += at.verdict == Verdict::wrong;
  }
}

bool Checker::leaves_range(std::size_t c, std::size_t j) {
  const Values& dx = first_.dx[c];
  const std::vector<Element> elements = elements_of(c);
  for (std::size_t i = 0; i < dx.size(); ++i) {
    if (std::isfinite(dx[i]) || (!options_.fast && i != j)) continue;
    const Motion motion(&elements[i], 1);
    const double within = own_size(motion) * 0x1p-8;
    if (std::isnan(dx[i]) || std::isfinite(Observer(*this, motion, 0, y_.size()).look(within).difference)) return false;
  }
  return true;
}

void Checker::hold_to_own_size(std::size_t c, std::vector<Comparison>& comparisons) {
  int wrong = 0;
  for (std::size_t j = 0; j < comparisons.size() && wrong < enough_wrong; ++j) {
    Comparison at = comparisons[j];
    at.least_scale = 0;
    if (at.verdict != Verdict::right || at.is_right()) continue;
    // A gradient is as sure as numbers of the size of the outputs that depend on the element, at the most.
    constexpr double part = 1.0 / 32;
    const double noise = Observer(*this, at.motion, 0, y_.size()).look(part * own_size(at.motion)).noise;
    const double rounding = std::max(part * noise, rounding_of(c, comparisons, j));
    if (at.difference() <= 4 * rounding) continue;
    at.enough = 1e-2 * rtol_ * std::abs(at.analytic);
    at.slope = slope(at.motion, 0, y_.size(), at.wanted(0));
    if (at.is_right() || at.slope.kink || !(at.slope.error <= at.difference() / 8)) continue;
    if (examine(at, rounding) != Verdict::wrong) continue;
    at.verdict = Verdict::wrong;
    comparisons[j] = at;
    ++wrong;
  }
}

Checker::Verdict Checker::examine(const Comparison& at, double rounding) {
  return examine(at.motion, 0, y_.size(), at.slope, {at.analytic, at.sure(), 4 * rounding}, at.wanted(0));
}

void Checker::report(std::size_t c, const std::vector<Comparison>& comparisons) {
  GradcheckReport::Input& input = report_.inputs[checked_[c]];
  // One direction may suit neither the elements' sizes nor the function's scale; the other is there for that.
  const bool passes_unsure =
      options_.fast && std::any_of(comparisons.begin(), comparisons.end(),
                                   [](const Comparison& at) { return at.verdict == Verdict::right; });
  std::size_t worst = 0;
  double badness = -1;
  for (std::size_t j = 0; j < comparisons.size(); ++j) {
    const Comparison& at = comparisons[j];
    input.kinks += at.slope.kink;
    input.unsure += at.verdict == Verdict::unsure;
    if (at.verdict == Verdict::unsure && passes_unsure) continue;
    const double difference = at.difference();
    const auto relative = [&](double to) {
      return std::isnan(difference) ? infinity : difference > 0 ? difference / to : 0;
    };
    input.error = std::max(input.error, relative(at.scale()));
    const Verdict verdict = at.counted_as(), most = comparisons[worst].counted_as();
    input.wrong += verdict != Verdict::right;
    input.wrong_at_kinks += at.verdict == Verdict::kink;
    if (!at.slope.kink && at.scale() > 0) input.resolution = std::max(input.resolution, at.slope.error / at.scale());
    const double bad = relative(at.bound());
    if (badness < 0 || verdict > most || (verdict == most && bad > badness)) {
      badness = bad;
      worst = j;
    }
  }
  input.count = static_cast<int64_t>(comparisons.size());
  if (input.vacuous) {
    input.error = 0;
    input.wrong = input.kinks = input.wrong_at_kinks = 0;
    input.resolution = 0;
  }
  if (!options_.fast)
    for (const Comparison& at : comparisons) reaches_[c].push_back(at.slope.reach);
  input.passed = input.wrong == 0;
  if (comparisons.empty()) return;
  const Comparison& at = comparisons[worst];
  const auto flat = static_cast<int64_t>(worst);
  input.analytic = at.analytic;
  input.numeric = at.slope.value;
  input.bound = at.bound();
  input.kink_at_worst = !input.vacuous && at.verdict == Verdict::kink;
  input.index = options_.fast ? Axes(flat) : multi_index(flat, x(c).shape());
  if (input.passed) return;
  if (!options_.fast) input.output = most_wrong(c, worst, at.motion);
  harmless_problems_ += at.verdict != Verdict::wrong;
  report_.problems.push_back(describe(input, at.slope, at.verdict));
}

std::string Checker::most_wrong(std::size_t c, std::size_t j, Motion motion) {
  double worst = -1;
  std::size_t found = 0;
  const std::size_t count = begins_.size() - 1;
  for (std::size_t k = 0; count > 1 && k < count; ++k) {
    if (!dys_[k].defined()) continue;
    const Values dx = run(called(), 1, all, all, k).dx[c];
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
    out << "; no alarm: rounding, or a scale of the function that no step sees, leaves room for the analytic value";
  else if (!(slope.error <= 10 * input.bound && slope.drift <= 1e-3 * std::abs(slope.value)))
    out << "; the numeric value is unsure by " << shown(std::max(slope.error, slope.drift));
  return std::move(out).str();
}

}  // namespace limpid::detail
