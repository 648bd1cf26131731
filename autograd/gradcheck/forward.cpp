// Forward mode: J v by the rules of the nodes, against differences and against reverse mode.
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/autograd/gradcheck/detail/difference.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>

namespace limpid::detail {
namespace {

bool all_finite(const Values& values) {
  return std::all_of(values.begin(), values.end(), [](double d) { return std::isfinite(d); });
}

}  // namespace

std::optional<Values> Checker::forward_mode(const Tensors& xs, const std::vector<Values>& v, uint64_t moving) {
  const Recording recording = record(xs);
  Tensors directions;
  for (std::size_t p = 0; p < recording.leaves.size(); ++p)
    directions.push_back(has(moving, recording.positions[p]) ? tensor_of(v[recording.positions[p]], recording.leaves[p])
                                                             : Tensor());
  try {
    return push(recording, directions);
  } catch (const OffTape&) {
    return {};
  }
}

// J v is linear in v, and on the way to it a large v may leave the range of numbers.
bool Checker::is_finite_for_smaller(std::vector<Values> v) {
  for (Values& of : v)
    for (double& d : of) d *= 0x1p-40;
  return all_finite(forward_mode(called(), v).value_or(Values()));
}

Values Checker::push(const Recording& recording, const Tensors& directions) const {
  const Tensors jv = push_forward(report_.check.c_str(), recording.root_tensors(), recording.leaves, directions, false);
  Values values(dy_.size(), 0.0);
  for (std::size_t r = 0; r < jv.size(); ++r) {
    if (!jv[r].defined()) continue;
    const Values part = values_of(jv[r]);
    std::copy(part.begin(), part.end(), values.begin() + static_cast<std::ptrdiff_t>(begins_[recording.roots[r]]));
  }
  return values;
}

std::vector<Checker::Slope> Checker::slopes(Motion motion, double rtol, double least_scale) {
  constexpr int levels = 16;
  const std::size_t count = y_.size();
  std::vector<Extrapolation> tables(count);
  Values last(count);
  const auto step = [&](std::vector<Extrapolation>& rows, double t) {
    const auto [plus, minus] = outputs_beside(motion, t);
    for (std::size_t j = 0; j < count; ++j) {
      const double rounding = plus[j] == minus[j] ? 0 : epsilon_ * std::max(std::abs(plus[j]), std::abs(minus[j]));
      last[j] = (plus[j] - minus[j]) / (2 * t);
      rows[j].add(last[j], rounding / (2 * t));
    }
  };
  const auto all_sure = [&](double factor, bool or_rounding) {
    return std::all_of(tables.begin(), tables.end(), [&](const Extrapolation& table) {
      return table.error <= factor * std::max(std::abs(table.value), least_scale) ||
             (or_rounding && table.error <= 4 * table.rounding);
    });
  };
  double t = widest;
  for (int level = 1; level <= 3 * levels && is_exact(motion, t); ++level, t /= 2) {
    step(tables, t);
    if (all_sure(rtol, false) || (level >= levels && all_sure(10 * rtol_, true))) break;
  }
  for (std::size_t j = 0; j < count; ++j) last[j] = std::abs(last[j] - tables[j].value);
  if (const Values drift = last; rtol == 0) {  // rounding may hide some, or all: by larger steps
    std::vector<Extrapolation> further(count);
    double size = 0;
    for (const Element& e : motion) size = std::max(size, std::abs(e.x));
    t = farthest;
    for (int level = 0; level < levels; ++level, t /= 2) step(further, t);
    for (std::size_t j = 0; j < count; ++j) {
      const double apart = std::abs(further[j].value - tables[j].value);
      const bool is_better = tables[j].value == 0
                                 ? further[j].error <= 0.1 * std::abs(further[j].value) &&
                                       std::abs(further[j].value) * 2 * widest <= held_by_rounding(size)
                                 : apart <= 10 * tables[j].error && further[j].error < 0.1 * tables[j].error;
      if (is_better && tables[j].error <= 4 * tables[j].rounding) tables[j] = further[j];
    }
    last = drift;
  }
  std::vector<Slope> found;
  for (std::size_t j = 0; j < count; ++j) found.push_back({tables[j].value, tables[j].error, last[j], false, 0});
  return found;
}

std::string Checker::output_place(std::size_t j) const {
  std::size_t k = 0;
  while (begins_[k + 1] <= j) ++k;
  return message(output_name(k), " at ",
                 place(multi_index(static_cast<int64_t>(j - begins_[k]), first_.ys[k].shape())));
}

void Checker::judge_forward(Motion motion, const std::vector<Values>& v, const Values& jv, double typical) {
  GradcheckReport::Forward& forward = report_.forward;
  std::vector<Slope> numeric = slopes(motion, 0.1 * rtol_, 1e-3 * typical);
  double most = std::max(typical, largest(jv));
  for (const Slope& slope : numeric)
    if (std::isfinite(slope.value)) most = std::max(most, std::abs(slope.value));
  const auto scale_at = [&](std::size_t j) {
    return std::max({std::abs(jv[j]), std::abs(numeric[j].value), 1e-3 * most});
  };
  const auto is_right = [&](std::size_t j) {
    return std::isfinite(jv[j]) && std::abs(jv[j] - numeric[j].value) <= numeric[j].bound(rtol_ * scale_at(j));
  };
  std::vector<std::size_t> places(jv.size());
  for (std::size_t j = 0; j < places.size(); ++j) places[j] = j;
  if (!std::all_of(places.begin(), places.end(), is_right)) {  // no alarm before the differences are at their best
    const std::vector<Slope> finer = slopes(motion, 0, 1e-3 * typical);
    for (std::size_t j : places)
      if (!is_right(j)) numeric[j] = finer[j];
  }
  std::size_t worst = 0;
  double worst_error = -1;
  std::optional<Values> noise;
  for (std::size_t j : places) {
    if (!is_right(j) && forward.wrong < enough_wrong) {
      if (!noise) noise = forward_noise(v, jv);
      const double dy = std::abs(dy_[j]), sure = dy * rtol_ * scale_at(j);
      const Wanted best{0, 0, 1e-2 * sure, dy * std::max(1.0, std::abs(y_[j]))};
      const Slope slope = this->slope(motion, j, j + 1, best);
      const Claim claim{dy_[j] * jv[j], sure, dy * (*noise)[j]};
      if (examine(motion, j, j + 1, slope, claim, best) != Verdict::wrong) {
        ++forward.unsure;
        continue;
      }
    }
    const double difference = std::abs(jv[j] - numeric[j].value);
    const double error = std::isnan(difference) ? infinity : difference > 0 ? difference / scale_at(j) : 0;
    forward.error = std::max(forward.error, error);
    if (scale_at(j) > 0) forward.resolution = std::max(forward.resolution, numeric[j].error / scale_at(j));
    forward.wrong += !is_right(j);
    if (!is_right(j) && error > worst_error) {
      worst = j;
      worst_error = error;
    }
  }
  forward.count = static_cast<int64_t>(jv.size());
  if (forward.wrong)
    problem(message("forward mode: J v of ", output_place(worst), ", along random v: analytic ", jv[worst],
                    ", numeric ", numeric[worst].value, " (", forward.wrong, " of ", forward.count, " wrong)"));
}

void Checker::check_single_directions(const std::vector<Values>& v, const Values& jv) {
  if (v.size() < 2 || v.size() > sets_hold) return;
  Values total(jv.size(), 0.0), size(jv.size(), 0.0);
  for (std::size_t c = 0; c < v.size(); ++c) {
    const Values part = *forward_mode(called(), v, uint64_t{1} << c);
    for (std::size_t j = 0; j < part.size(); ++j) {
      total[j] += part[j];
      size[j] += std::abs(part[j]);
    }
  }
  for (std::size_t j = 0; j < jv.size(); ++j) {
    const double difference = std::abs(total[j] - jv[j]), bound = rtol_ * std::max(size[j], 1e-3 * largest(size));
    if (difference <= bound || difference <= bound + forward_noise(v, jv)[j]) continue;
    report_.forward.passed = false;
    return problem(message("forward mode: J v of ", output_place(j), ": expected the sum over one moving input at a ",
                           "time, ", total[j], ", got ", jv[j]));
  }
}

namespace {

// Where a rule reads a tangent's memory as if it were dense, it reads NaN between the elements, or beyond the one.
struct TangentLayout {
  const char* name;
  Tensor (*of)(const Tensor& v);
  bool keeps_values;  ///< else J v is compared with that of a dense copy
};
constexpr TangentLayout tangent_layouts[] = {
    {"strided v", strided_copy, true},
    {"expanded v", [](const Tensor& v) { return expanded_copy(v, Axes()); }, false},
};

}  // namespace

void Checker::check_tangent_layouts(const std::vector<Values>& v, const Values& jv) {
  for (const TangentLayout& layout : tangent_layouts) {
    const Recording recording = record(called());
    Tensors directions, dense;
    bool any = false;
    for (std::size_t p = 0; p < recording.leaves.size(); ++p) {
      const Tensor direction = tensor_of(v[recording.positions[p]], recording.leaves[p]);
      any = any || direction.dim() > 0;
      directions.push_back(direction.dim() > 0 ? layout.of(direction) : direction);
      dense.push_back(as_contiguous(directions.back()));
    }
    if (!any) return;
    const Values got = push(recording, directions);
    const Values expected = layout.keeps_values ? jv : push(record(called()), dense);
    const double scale = largest(expected);
    for (std::size_t j = 0; j < got.size(); ++j) {
      const double difference = got[j] == expected[j] ? 0 : std::abs(got[j] - expected[j]);  // infinities as well
      if (difference <= rtol_ * scale || difference <= rtol_ * scale + forward_noise(v, jv)[j]) continue;
      report_.forward.passed = false;
      return problem(message("forward mode, ", layout.name, ": J v of ", output_place(j), ": expected ", expected[j],
                             ", got ", got[j]));
    }
  }
}

void Checker::check_forward() {
  GradcheckReport::Forward& forward = report_.forward;
  bool kinks = false;
  for (std::size_t i : checked_) {
    const GradcheckReport::Input& input = report_.inputs[i];
    kinks = kinks || input.kinks > 0;
    if (!input.passed) forward.why_not = "the derivative is not known";
  }
  if (report_.problems.size() > harmless_problems_) forward.why_not = "reverse mode is wrong";
  if (all_vacuous()) forward.why_not = "the gradient is zero";
  if (!forward.why_not.empty()) return;

  std::vector<Element> direction;
  std::vector<Values> v;
  long double reverse = 0, size = 0, squares = 0, most = 0, weights = 0;  // of <J' dy, v>
  for (std::size_t c = 0; c < checked_.size(); ++c) {
    v.emplace_back();
    for (Element& e : direction_of(c, options_.fast)) {
      const std::size_t j = v[c].size();
      if (!options_.fast) {
        e.step *= reaches_[c][j];
        e.unit = e.step;
      }
      const long double term = static_cast<long double>(first_.dx[c][j]) * e.step;
      reverse += term;
      size += std::abs(term);
      squares += term * term;
      most = std::isfinite(term) ? std::max(most, std::abs(term)) : infinity;
      v[c].push_back(e.step);
      direction.push_back(e);
    }
  }
  for (double g : dy_) weights += static_cast<long double>(g) * g;
  const std::optional<Values> jv = forward_mode(called(), v);
  if (!jv) {
    forward.why_not = "backward is not made of recorded ops";
    return;
  }
  if (!all_finite(y_) || most > largest_of(report_.precision) / 16 || (!all_finite(*jv) && is_finite_for_smaller(v))) {
    forward.why_not = "values or derivatives leave the range of numbers";
    return;
  }
  forward.checked = true;
  long double ahead = 0;
  for (std::size_t j = 0; j < dy_.size(); ++j) {
    const long double term = static_cast<long double>(dy_[j]) * (*jv)[j];
    ahead += term;
    size += std::abs(term);
  }
  forward.against_reverse = size == 0 ? 0 : static_cast<double>(std::abs(ahead - reverse) / size);  // NaN stays
  bool agree = forward.against_reverse <= rtol_;
  if (!agree) {  // rounding may have hidden in one what it left in the other
    const Values noise = forward_noise(v, *jv);
    double rounding = 0;
    for (std::size_t j = 0; j < dy_.size(); ++j) rounding += std::abs(dy_[j]) * noise[j];
    for (const Gradients& near : jiggled_gradients()) {
      double moved = 0;
      for (std::size_t c = 0; c < v.size(); ++c)
        for (std::size_t j = 0; j < v[c].size(); ++j) moved += (near[c][j] - first_.dx[c][j]) * v[c][j];
      rounding = std::max(rounding, 4 * std::abs(moved));
    }
    agree = std::abs(ahead - reverse) <= rtol_ * size + rounding;
  }
  if (!agree)
    problem(message("forward mode: expected <dy, J v> = <J' dy, v>, got ", static_cast<double>(ahead), " and ",
                    static_cast<double>(reverse)));
  else if (!kinks)
    judge_forward(direction, v, *jv, static_cast<double>(std::sqrt(squares / std::max(weights, 1e-300L))));
  forward.passed = agree && forward.wrong == 0;
  if (forward.passed) check_single_directions(v, *jv);
  if (forward.passed && options_.layouts) check_tangent_layouts(v, *jv);
}

}  // namespace limpid::detail
