// What gradcheck expects of a backward besides the right values.
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace limpid::detail {

// An undefined gradient is zero.
static bool same_gradient(const Values& a, const Values& b) {
  const auto zero = [](double g) { return g == 0; };
  if (a.empty() || b.empty()) return std::all_of(a.begin(), a.end(), zero) && std::all_of(b.begin(), b.end(), zero);
  return same_bits(a, b);
}

void Checker::check_zero() {
  const Run zero = run(called(), 0);
  for (std::size_t c = 0; c < checked_.size(); ++c) {
    const Values& dx = zero.dx[c];
    auto bad = dx.begin();
    for (; bad != dx.end(); ++bad) {
      // Nothing times what is infinite is no number.
      const bool is_infinite =
          std::isnan(*bad) && !std::isfinite(first_.dx[c][static_cast<std::size_t>(bad - dx.begin())]);
      if (*bad != 0 && !is_infinite) break;
    }
    if (bad == dx.end()) continue;
    problem(message("dy = 0: expected a zero gradient of ", name(c), ", got ", *bad, " at ",
                    place(multi_index(bad - dx.begin(), x(c).shape()))));
  }
}

void Checker::check_repeatability() {
  const Run again = run(called());
  for (std::size_t c = 0; c < checked_.size(); ++c)
    if (!same_gradient(again.dx[c], first_.dx[c]))
      problem(message("repeated: expected the same bits from a second run, got another gradient of ", name(c)));
  for (std::size_t k = 0; k < again.ys.size(); ++k) {
    if (!same_bits(values_of(again.ys[k]), values_of(first_.ys[k])))
      problem(message("repeated: expected the same bits from a second run, got another ", output_name(k)));
    if (!dys_[k].defined()) continue;
    const Values y = values_of(first_.ys[k]);
    const auto from = y_.begin() + static_cast<std::ptrdiff_t>(begins_[k]);
    if (!same_bits(y, Values(from, from + static_cast<std::ptrdiff_t>(y.size()))))
      problem(message("unrecorded: expected the same bits without recording, got another ", output_name(k)));
  }
}

bool Checker::agrees(std::size_t c, const Tensors& xs, const Values& dx, const Values& expected, double scale,
                     const char* when, double rtol) {
  double safe = largest_of(report_.precision);
  for (const Tensor& x : xs)
    if (x.defined() && is_floating_point(x.dtype())) safe = std::min(safe, largest_of(x.dtype()));
  safe /= 16;
  const GradcheckReport::Input& input = report_.inputs[checked_[c]];
  if (input.vacuous || (!input.passed && input.unsure > 0 && input.wrong == input.unsure + input.wrong_at_kinks))
    return true;  // rounding noise
  double bound = rtol * scale;
  bool noise_is_known = false;
  for (std::size_t j = 0; j < std::max(dx.size(), expected.size()); ++j) {
    const double g = dx.empty() ? 0 : dx[j], e = expected.empty() ? 0 : expected[j];
    // Infinite gradients add up to NaN, but none has the sign of the other.
    const bool opposite = std::isinf(g) && std::isinf(e) && g != e;
    // Nor can one be added up or scaled that is all but infinite.
    const bool overflows = largest({e, first_.dx[c][j]}) > safe && !(std::isfinite(g) && std::isfinite(e));
    const auto within = [&] {
      return std::abs(g - e) <= bound || overflows || (!std::isfinite(g) && !std::isfinite(e) && !opposite);
    };
    if (within()) continue;
    if (!std::exchange(noise_is_known, true)) bound += noise_of(c, xs);
    if (within()) continue;
    problem(message(when, ": expected the same gradient of ", name(c), ", ", e, " at ",
                    place(multi_index(static_cast<int64_t>(j), x(c).shape())), ", got ", g));
    return false;
  }
  return true;
}

// One graph, replayed for several cotangents and for a sum of them: backward is linear in dy, and leaves the graph fit
// for the next run.
void Checker::check_batch() {
  const Recording recording = record(called());
  constexpr double factors[] = {1, -0.5, 2};
  Tensors sum;
  for (std::size_t k : recording.roots) {
    sum.push_back(empty_like(recording.ys[k]));
    fill(sum.back(), 0);
  }
  std::vector<Values> expected(checked_.size());
  Values scales(checked_.size(), 0.0);
  for (const double factor : factors) {
    Tensors seeds;
    for (std::size_t r = 0; r < sum.size(); ++r) {
      const std::size_t k = recording.roots[r];
      seeds.push_back(empty_like(recording.ys[k]));  // laid out as in every other run
      copy_into(seeds[r], factor == 1 ? dys_[k] : cotangents_.like(dys_[k]));
      add_scaled(sum[r], seeds[r], factor);
    }
    const Gradients dx = replay(recording, seeds, true);
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      if (factor == 1 && !same_gradient(dx[c], first_.dx[c]))
        return problem(message("a graph kept for another run: expected the same bits as from one used up, got another ",
                               "gradient of ", name(c)));
      expected[c].resize(first_.dx[c].size());
      for (std::size_t j = 0; j < dx[c].size(); ++j) expected[c][j] += factor * dx[c][j];
      scales[c] += std::abs(factor) * largest(dx[c]);
    }
  }
  const Gradients got = replay(recording, sum);
  for (std::size_t c = 0; c < checked_.size(); ++c)
    agrees(c, got[c], expected[c], scales[c], "a sum of cotangents, against the sum of their gradients", rtol_);
}

// Losses send a gradient to some elements alone, or to one: backward is linear in dy, so that of dy on a part and of dy
// elsewhere add up to the whole.
void Checker::check_shares() {
  const Recording recording = record(called());
  std::vector<Values> dys;
  std::size_t count = 0;
  for (std::size_t k : recording.roots) {
    dys.push_back(values_of(dys_[k]));
    count += dys.back().size();
  }
  if (count < 2) return;
  const auto gradients_where = [&](const std::vector<bool>& set, bool is_in) {
    Tensors seeds;
    std::size_t at = 0;
    for (std::size_t r = 0; r < dys.size(); ++r) {
      Values dy = dys[r];
      for (double& d : dy)
        if (set[at++] != is_in) d = 0;
      seeds.push_back(tensor_of(dy, recording.ys[recording.roots[r]]));
    }
    return replay(recording, seeds, true);
  };
  const auto check = [&](const std::vector<bool>& set, const char* when) {
    const Gradients some = gradients_where(set, true), others = gradients_where(set, false);
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      Values sum(first_.dx[c].size(), 0.0);
      for (const Values* part : {&some[c], &others[c]})
        for (std::size_t j = 0; j < part->size(); ++j) sum[j] += (*part)[j];
      agrees(c, sum, when, rtol_);
    }
  };
  std::vector<bool> half(count), one(count);
  for (std::size_t j = 0; j < count; ++j) half[j] = cotangents_.next() > 0;
  one[static_cast<std::size_t>(std::abs(cotangents_.next()) * 0x1p20) % count] = true;
  check(half, "dy in two halves, each zero where the other is not, added up");
  check(one, "dy of one element and of all others, added up");
}

// A dy of another size has a gradient of that: by a power of two, so that nothing is rounded.
void Checker::check_sizes() {
  const Recording recording = record(called());
  double most = largest_of(report_.precision);
  for (std::size_t k : recording.roots) most = std::min(most, largest_of(recording.ys[k].dtype()));
  const double far = epsilon_ == epsilon(float64) ? 0x1p20 : epsilon_ == epsilon(float32) ? 0x1p10 : 0x1p6;
  for (const double factor : {far, 1 / far}) {
    Tensors seeds;
    for (std::size_t k : recording.roots) {
      Values dy = values_of(dys_[k]);
      for (double& d : dy) d *= factor;
      seeds.push_back(tensor_of(dy, recording.ys[k]));
    }
    Gradients dx = replay(recording, seeds, true);
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      const double size = largest(first_.dx[c]) * factor;
      if (size > most / 16 || size < 1e12 / most) continue;  // no such numbers, or few of them
      for (double& g : dx[c]) g /= factor;
      if (factor > 1)
        agrees(c, dx[c], "a far larger dy, scaled back", rtol_);
      else
        agrees(c, dx[c], "a far smaller dy, scaled back", std::max(rtol_, 1e-3));  // subnormal on the way, it may be
    }
  }
}

void Checker::check_single_outputs() {
  const std::size_t count = first_.ys.size();
  if (count < 2) return;
  std::vector<Values> sum(checked_.size());
  for (std::size_t k = 0; k < count; ++k) {
    const Run one = run(called(), 1, all, all, k);
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      sum[c].resize(first_.dx[c].size());
      for (std::size_t j = 0; j < one.dx[c].size(); ++j) sum[c][j] += one.dx[c][j];
    }
  }
  for (std::size_t c = 0; c < checked_.size(); ++c) agrees(c, sum[c], "one output at a time, added up", rtol_);
}

void Checker::check_subsets() {
  const std::size_t count = checked_.size();
  if (count < 2 || count > 6) return;
  const auto names = [&](uint64_t mask) {
    std::string text;
    for (std::size_t c = 0; c < count; ++c)
      if (mask >> c & 1) text += (text.empty() ? "" : ", ") + name(c);
    return text;
  };
  for (uint64_t mask = 1; mask + 1 < uint64_t{1} << count; ++mask) {
    const Run required = run(called(), 1, mask), asked = run(called(), 1, all, mask);
    for (std::size_t c = 0; c < count; ++c) {
      if (!(mask >> c & 1)) continue;
      if (!same_gradient(required.dx[c], first_.dx[c]))
        return problem(message("only ", names(mask), " requiring a gradient: expected the same bits as with all, got ",
                               "another gradient of ", name(c)));
      if (!same_gradient(asked.dx[c], first_.dx[c]))
        return problem(message("only ", names(mask), " asked for: expected the same bits as with all, got another ",
                               "gradient of ", name(c)));
    }
  }
}

// Values may then be rounding noise like the gradients.
bool Checker::all_vacuous() const {
  return std::all_of(checked_.begin(), checked_.end(), [&](std::size_t i) { return report_.inputs[i].vacuous; });
}

void Checker::check_layout(const char* when, Tensor (*copy)(const Tensor&), int64_t least_rank) {
  Tensors xs = called();
  bool any = false;
  for (std::size_t i : checked_)
    if (xs[i].dim() >= least_rank) {
      xs[i] = copy(xs[i]);
      any = true;
    }
  if (!any) return;
  const Run other = run(xs);
  for (std::size_t c = 0; c < checked_.size(); ++c) agrees(c, other.dx[c], when, rtol_);
  if (all_vacuous()) return;
  for (std::size_t k = 0; k < other.ys.size(); ++k) {
    const Values y = values_of(other.ys[k]), expected = values_of(first_.ys[k]);
    const double scale = largest(expected);
    const auto noise = [&](std::size_t j) { return dys_[k].defined() ? 4 * noise_[begins_[k] + j] : 0; };
    for (std::size_t j = 0; j < y.size(); ++j)
      if (std::abs(y[j] - expected[j]) > rtol_ * scale + noise(j))
        return problem(message(when, ": expected the same values of ", output_name(k), ", ", expected[j], " at ",
                               place(multi_index(static_cast<int64_t>(j), other.ys[k].shape())), ", got ", y[j]));
  }
}

// Other values than the inputs', so that a dense copy of them says what is right; nothing where f has no values there.
void Checker::check_expanded_inputs() {
  Tensors expanded = called(), dense = expanded;
  for (std::size_t i : checked_)
    if (expanded[i].dim() > 0) {
      expanded[i] = expanded_copy(expanded[i], 0);
      dense[i] = as_contiguous(expanded[i]);
    }
  try {
    const Run expected = run(dense), got = run(expanded);
    for (std::size_t c = 0; c < checked_.size(); ++c)
      agrees(c, dense, got.dx[c], expected.dx[c], largest(expected.dx[c]), "expanded inputs", rtol_);
  } catch (const MemoryError&) {
    throw;
  } catch (const Error&) {}
}

void Checker::check_layouts() {
  check_layout("channels-last inputs", channels_last_copy, 3);
  check_layout("strided inputs", strided_copy, 1);
  check_expanded_inputs();
  check_cotangents();
}

namespace {

/// What losses send: sum() expands a dy, permute() reorders its memory, slice() cuts it out of a larger one.
struct CotangentLayout {
  const char* name;
  Tensor (*of)(const Tensor& dy);
  int64_t least_rank;
  bool keeps_values;  ///< else the gradient is compared with that of a dense copy
};

constexpr CotangentLayout cotangent_layouts[] = {
    {"dy of a slice", sliced_copy, 2, true},
    {"strided dy", strided_copy, 1, true},
    {"permuted dy", permuted_copy, 2, true},
    {"channels-last dy", channels_last_copy, 3, true},
    {"expanded dy", [](const Tensor& dy) { return expanded_copy(dy, Axes()); }, 1, false},
    {"dy expanded along the first axis", [](const Tensor& dy) { return expanded_copy(dy, 0); }, 2, false},
    {"dy expanded along the last axis", [](const Tensor& dy) { return expanded_copy(dy, -1); }, 2, false},
};

}  // namespace

void Checker::check_cotangents() {
  const Recording recording = record(called());
  for (const CotangentLayout& layout : cotangent_layouts) {
    Tensors seeds, dense;
    bool any = false;
    for (std::size_t k : recording.roots) {
      const bool fits = dys_[k].dim() >= layout.least_rank;
      any = any || fits;
      seeds.push_back(fits ? layout.of(dys_[k]) : dys_[k]);
      dense.push_back(as_contiguous(seeds.back()));
    }
    if (!any) continue;
    const Gradients dx = replay(recording, seeds, true);
    const Gradients expected = layout.keeps_values ? first_.dx : replay(recording, dense, true);
    for (std::size_t c = 0; c < checked_.size(); ++c)
      agrees(c, dx[c], expected[c], largest(expected[c]), layout.name, rtol_);
  }
}

void Checker::check_low_precision() {
  if (native_) return;
  DType lowest = float64;
  Tensors xs;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    xs.push_back(xs_[i]);
    if (!report_.inputs[i].checked || inputs_[i].dtype() == float64) continue;
    xs[i] = copy_as(inputs_[i], inputs_[i].dtype());
    if (epsilon(inputs_[i].dtype()) > epsilon(lowest)) lowest = inputs_[i].dtype();
  }
  if (lowest == float64) return;
  const Run low = run(xs);
  const std::string when = message("in ", lowest, ", against float64");
  for (std::size_t c = 0; c < checked_.size(); ++c)
    agrees(c, xs, low.dx[c], first_.dx[c], largest(first_.dx[c]), when.c_str(), lowest == float32 ? 1e-3 : 5e-2);
}

}  // namespace limpid::detail
