#include <limpid/autograd/detail/difference.hpp>
#include <limpid/autograd/engine.hpp>
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

// Perturbations and inner products happen on raw memory: no op has a say in what its own gradient is compared with.

namespace limpid {

using detail::message;
using detail::throw_error;

namespace {

using Values = std::vector<double>;  // of a tensor, row-major

Values values_of(const Tensor& x) {
  const Tensor dense = detail::as_contiguous(detail::as_dtype(x.detach(), float64));
  const double* p = dense.data<double>();
  return Values(p, p + dense.numel());
}

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

double largest(const Values& xs) {
  double most = 0;
  for (double x : xs)
    if (std::isfinite(x)) most = std::max(most, std::abs(x));
  return most;
}

Axes multi_index(int64_t flat, const Shape& shape) {
  Axes index(shape.size(), 0);
  for (std::size_t i = shape.size(); i-- > 0; flat /= shape[i]) index[i] = flat % shape[i];
  return index;
}

int64_t offset_of(const Axes& index, const Strides& strides) {
  int64_t offset = 0;
  for (std::size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
  return offset;
}

std::string place(const Axes& index) { return to_string(Shape(index.begin(), index.end())); }

double epsilon(DType dtype) {
  switch (dtype) {
    case DType::float16: return std::ldexp(1.0, -10);
    case DType::bfloat16: return std::ldexp(1.0, -7);
    case DType::float32: return std::ldexp(1.0, -23);
    default: return std::ldexp(1.0, -52);
  }
}

/// Numbers of random sign and a magnitude in [0.5, 1.5] that any floating dtype holds exactly (splitmix64).
class Cotangents {
 public:
  explicit Cotangents(uint64_t seed) : state_(seed) {}
  double next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    const double magnitude = static_cast<double>(32 + z % 65) / 64;
    return z >> 63 ? -magnitude : magnitude;
  }
  Tensor like(const Tensor& y) {
    const Tensor dy = empty(y.shape(), float64);
    for (int64_t j = 0; j < dy.numel(); ++j) dy.data<double>()[j] = next();
    return detail::as_dtype(dy, y.dtype());
  }

 private:
  uint64_t state_;
};

Tensor copy_as(const Tensor& x, DType dtype) {
  Tensor y = empty_like(x, dtype);
  detail::copy_into(y, x.detach());
  return y;
}

/// A copy with its axes in reverse order of memory, and gaps between the elements.
Tensor strided_copy(const Tensor& x) {
  Strides strides(x.shape().size(), 0);
  int64_t step = 2;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    strides[i] = step;
    step *= std::max<int64_t>(x.shape()[i], 1);
  }
  const Tensor y = detail::make_view(zeros({step}, x.dtype()), x.shape(), strides, 1);
  detail::copy_into(y, x.detach());
  return y;
}

Tensor channels_last_copy(const Tensor& x) {
  const Tensor y = empty(x.shape(), x.dtype(), MemoryFormat::channels_last);
  detail::copy_into(y, x.detach());
  return y;
}

bool overlaps_itself(const Tensor& x) {
  if (x.is_contiguous() || x.is_contiguous(MemoryFormat::channels_last)) return false;
  std::vector<int64_t> offsets;
  for (int64_t j = 0; j < x.numel(); ++j) offsets.push_back(offset_of(multi_index(j, x.shape()), x.strides()));
  std::sort(offsets.begin(), offsets.end());
  return std::adjacent_find(offsets.begin(), offsets.end()) != offsets.end();
}

bool is_checked(const Tensor& x) { return x.defined() && is_floating_point(x.dtype()); }

constexpr uint64_t all_inputs = ~uint64_t{0};
constexpr std::size_t all_outputs = ~std::size_t{0};

/// One motion of the inputs, x_i + t u, and what the outputs do along it.
struct Slope {
  double value = 0, error = 0;
  bool kink = false;
};

class Checker {
 public:
  Checker(const char* check, const detail::TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options)
      : f_(f),
        inputs_(inputs),
        options_(options),
        rtol_(options.rtol) {
    report_.check = check;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& x = inputs[i];
      if (x.defined() && overlaps_itself(x))
        throw_error<ValueError>(check, ": expected inputs that do not overlap themselves, got input ", i, " of shape ",
                                x.shape(), " with strides ", x.strides(), "; clone() it first");
      report_.inputs.emplace_back();
      report_.inputs[i].name = message("input ", i);
      if (x.defined()) report_.inputs[i].shape = x.shape();
      if (is_checked(x)) {
        report_.inputs[i].checked = true;
        checked_.push_back(i);
      }
      xs_.push_back(!x.defined() ? Tensor() : is_checked(x) ? copy_as(x, float64) : x.detach());
    }
    if (checked_.empty())
      throw_error<ValueError>(check, ": expected at least one floating-point input, got ", inputs.size(),
                              " inputs and none");
  }

  /// Names for messages; those past the end keep theirs.
  void name_inputs(std::vector<std::string> names) {
    for (std::size_t i = 0; i < names.size(); ++i) report_.inputs[i].name = std::move(names[i]);
  }
  void name_outputs(std::vector<std::string> names) { output_names_ = std::move(names); }
  void name_op(std::string op) { report_.op = std::move(op); }
  /// Inputs without a gradient are fine as long as one has some.
  void expect_some_gradient_only() { some_gradient_only_ = true; }

  GradcheckReport check() {
    prepare();
    for (std::size_t c = 0; c < checked_.size(); ++c) compare(c);
    check_zero();
    check_repeatability();
    check_single_outputs();
    check_subsets();
    if (options_.layouts) check_layouts();
    check_low_precision();
    conclude();
    return std::move(report_);
  }

 private:
  struct Run {
    Tensors ys;
    std::vector<Values> dx;  ///< per checked input; empty where undefined or not asked for
    std::string op;
  };

  /// One forward and backward. required, asked: subsets of the checked inputs; output: the one that gets its cotangent.
  Run run(const Tensors& xs, double weight = 1, uint64_t required = all_inputs, uint64_t asked = all_inputs,
          std::size_t output = all_outputs) {
    const EnableGradGuard recording;
    Tensors leaves = xs;
    for (Tensor& x : leaves)
      if (x.defined()) x = x.detach();
    Tensors wanted;
    std::vector<std::size_t> positions;
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      if (!(required >> c & 1)) continue;
      leaves[checked_[c]].set_requires_grad();
      if (!(asked >> c & 1)) continue;
      wanted.push_back(leaves[checked_[c]]);
      positions.push_back(c);
    }
    Run result{f_(leaves), std::vector<Values>(checked_.size()), {}};
    Tensors roots, seeds;
    for (std::size_t k = 0; k < result.ys.size(); ++k) {
      const Tensor& y = result.ys[k];
      require_defined(y, k);
      if (!y.requires_grad() || (output != all_outputs && output != k)) continue;
      roots.push_back(y);
      const Tensor dy = empty_like(y);
      if (weight == 0)
        detail::fill(dy, 0);
      else
        detail::copy_into(dy, dys_[k]);
      seeds.push_back(dy);
    }
    if (roots.empty()) return result;
    result.op = grad_node(roots[0])->name();
    const Tensors dx = grad(roots, wanted, seeds, {.allow_unused = true});
    for (std::size_t p = 0; p < positions.size(); ++p)
      if (dx[p].defined()) result.dx[positions[p]] = values_of(dx[p]);
    return result;
  }

  void require_defined(const Tensor& y, std::size_t k) const {
    if (!y.defined()) throw_error<ValueError>(report_.check, ": expected defined outputs, got none for output ", k);
  }

  void prepare() {
    const Tensors ys = [&] {
      const NoGradGuard guard;
      return f_(xs_);
    }();
    double coarsest = epsilon(float64);
    for (std::size_t k = 0; k < ys.size(); ++k) {
      require_defined(ys[k], k);
      dys_.push_back({});
      if (!is_floating_point(ys[k].dtype())) continue;
      dys_[k] = cotangents_.like(ys[k]);
      coarsest = std::max(coarsest, epsilon(ys[k].dtype()));
    }
    epsilon_ = coarsest;
    if (coarsest > epsilon(float64)) rtol_ = std::max(rtol_, 3 * std::sqrt(coarsest));
    for (std::size_t k = 0; k < ys.size(); ++k) {
      begins_.push_back(dy_.size());
      if (!dys_[k].defined()) continue;
      const Values dy = values_of(dys_[k]), y = values_of(ys[k]);
      dy_.insert(dy_.end(), dy.begin(), dy.end());
      y_.insert(y_.end(), y.begin(), y.end());
    }
    begins_.push_back(dy_.size());
    first_ = run(xs_);
    if (report_.op.empty()) report_.op = first_.op.empty() ? "a function that records nothing" : first_.op;
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      if (first_.dx[c].empty()) first_.dx[c].resize(static_cast<std::size_t>(x(c).numel()));
      scales_.push_back(scale_of(values_of(x(c))));
      references_.push_back(std::max(1.0, largest(y_)) / scales_[c]);
    }
  }

  const Tensor& x(std::size_t c) const { return xs_[checked_[c]]; }

  static double scale_of(const Values& xs) {
    double squares = 0;
    for (double x : xs) squares += x * x / static_cast<double>(xs.size());
    return squares > 0 && std::isfinite(squares) ? std::sqrt(squares) : 1;
  }

  /// The floating outputs at xs_ as it stands, one after the other.
  Values outputs() {
    const NoGradGuard guard;
    const Tensors ys = f_(xs_);
    Values all;
    all.reserve(y_.size());
    for (std::size_t k = 0; k < ys.size(); ++k) {
      require_defined(ys[k], k);
      if (!is_floating_point(ys[k].dtype())) continue;
      const Values y = values_of(ys[k]);
      all.insert(all.end(), y.begin(), y.end());
    }
    if (all.size() != y_.size())
      throw_error<ValueError>(report_.check, ": expected outputs of the same sizes near the inputs, got ", all.size(),
                              " values after ", y_.size());
    return all;
  }

  /// d/dt of sum <y, dy> over outputs [begin, end), where move(t) displaces an input by about t and returns the width
  /// of [-t, t] as it came out in floating point. Stops once surer than target(value).
  template <class Move, class Target>
  Slope slope(const Move& move, std::size_t begin, std::size_t end, const Target& target) {
    constexpr double widest = 1.0 / 32;
    constexpr int levels = 16;
    detail::Extrapolation table;
    double bend = 0, bend_before = 0;  // jumps of the first derivative show as a constant, curvature falls with t
    double t = widest;
    const auto look = [&] {
      move(t);
      const Values plus = outputs();
      move(-t);
      const Values minus = outputs();
      const double width = move.width(t);
      long double rise = 0, curve = 0, rounding = 0;
      for (std::size_t j = begin; j < end; ++j) {
        const double p = plus[j], m = minus[j];
        if (p == m && p == y_[j]) continue;  // what does not move adds neither value nor rounding
        rise += static_cast<long double>(dy_[j]) * (static_cast<long double>(p) - m);
        curve += static_cast<long double>(dy_[j]) * (static_cast<long double>(p) - y_[j] + m - y_[j]);
        const double r = dy_[j] * std::max(std::abs(p), std::abs(m));
        rounding += static_cast<long double>(r) * r;
      }
      bend_before = bend;
      bend = std::abs(static_cast<double>(curve)) * 2 / width;
      table.add(static_cast<double>(rise) / width, epsilon_ * std::sqrt(static_cast<double>(rounding)) / width);
    };
    for (int level = 0; level < levels; ++level, t /= 2) {
      look();
      if (table.error <= target(table.value)) break;
    }
    // Is a bend that did not fall still there at far smaller steps?
    const auto stays = [&] { return bend > 0.75 * bend_before && bend > 1e-3 * std::abs(table.value); };
    const Slope found{table.value, table.error, false};
    bool kink = stays();
    for (double fine : {0x1p-14, 0x1p-18}) {
      if (!kink) break;
      t = fine;
      look();
      kink = stays();
    }
    move(0);
    return {found.value, found.error, kink};
  }

  /// Displaces one element.
  struct Element {
    double* p;
    double x, step;
    void operator()(double t) const { *p = x + t * step; }
    double width(double t) const {
      const double above = x + t * step, below = x - t * step;
      return above - below;
    }
  };
  /// Displaces all elements, each in proportion to its size.
  struct Direction {
    const std::vector<Element>& elements;
    void operator()(double t) const {
      for (const Element& e : elements) e(t);
    }
    double width(double t) const { return 2 * t; }
  };

  std::vector<Element> elements_of(std::size_t c) {
    std::vector<Element> elements;
    double* p = x(c).data<double>();
    for (int64_t j = 0; j < x(c).numel(); ++j) {
      double* at = p + offset_of(multi_index(j, x(c).shape()), x(c).strides());
      const double size = std::max(std::abs(*at), scales_[c]);
      // A power of two, so that t * step is exact.
      elements.push_back({at, *at, std::isfinite(size) ? std::exp2(std::round(std::log2(size))) : 1});
    }
    return elements;
  }

  /// Numeric against analytic for one input.
  void compare(std::size_t c) {
    const std::vector<Element> elements = elements_of(c);
    const Values& dx = first_.dx[c];
    if (!options_.fast) {
      judge(c, dx, references_[c], 0, [&](std::size_t j, const auto& measure) { return measure(elements[j]); });
      return;
    }
    constexpr std::size_t directions = 2;
    std::vector<std::vector<Element>> moves(directions, elements);
    Values along(directions);
    double spread = 0;
    for (std::size_t d = 0; d < directions; ++d)
      for (std::size_t j = 0; j < dx.size(); ++j) {
        double& step = moves[d][j].step;
        step *= cotangents_.next();
        along[d] += dx[j] * step;
        spread += dx[j] * step * dx[j] * step / directions;
      }
    if (dx.empty()) along.clear();
    judge(c, along, references_[c] * scales_[c], std::sqrt(spread),
          [&](std::size_t d, const auto& measure) { return measure(Direction{moves[d]}); });
  }

  template <class WithMove>
  void judge(std::size_t c, const Values& analytic, double reference, double least_scale, const WithMove& with_move) {
    GradcheckReport::Input& input = report_.inputs[checked_[c]];
    const std::size_t count = analytic.size();
    input.count = static_cast<int64_t>(count);
    const double most_analytic = largest(analytic);
    std::vector<Slope> slopes(count);
    double most = most_analytic, most_numeric = 0, most_unsure = 0;
    for (std::size_t j = 0; j < count; ++j) {
      slopes[j] = with_move(j, [&](const auto& move) {
        return slope(move, 0, y_.size(), [&](double value) {
          return std::max(0.1 * rtol_ * std::max(std::abs(value), 1e-3 * most_analytic), 1e-13 * reference);
        });
      });
      most = std::max(most, std::abs(slopes[j].value));
    }
    const auto scale_at = [&](std::size_t j) {
      return std::max({std::abs(analytic[j]), std::abs(slopes[j].value), 1e-3 * most, least_scale});
    };
    const auto bound_at = [&](std::size_t j) {
      const double sure = rtol_ * scale_at(j);
      return sure + std::min(slopes[j].error, 10 * sure);
    };
    const auto is_right = [&](std::size_t j) { return std::abs(analytic[j] - slopes[j].value) <= bound_at(j); };
    double worst = -1;
    std::size_t at = 0;
    for (std::size_t j = 0; j < count; ++j) {
      if (!is_right(j)) {  // no alarm before the difference is as good as it gets
        const Slope finer =
            with_move(j, [&](const auto& move) { return slope(move, 0, y_.size(), [](double) { return 0.0; }); });
        if (!(finer.error > slopes[j].error)) slopes[j] = {finer.value, finer.error, slopes[j].kink || finer.kink};
      }
      most_numeric = std::max(most_numeric, std::abs(slopes[j].value));
      most_unsure = std::max(most_unsure, slopes[j].error);
      const double difference = std::abs(analytic[j] - slopes[j].value);
      if (difference > 0) input.error = std::max(input.error, difference / scale_at(j));
      if (std::isnan(difference)) input.error = detail::Extrapolation::infinity;
      if (!is_right(j)) ++input.wrong;
      if (slopes[j].kink) ++input.kinks;
      const double badness = std::isnan(difference) ? detail::Extrapolation::infinity
                             : difference > 0       ? difference / bound_at(j)
                                                    : 0;
      if (badness > worst) {
        worst = badness;
        at = j;
      }
    }
    const bool resolved = input.wrong == 0 && most_numeric > 0 && most_unsure <= 1e-3 * most_numeric;
    const bool noise = std::max(most_analytic, most_numeric) <= 1e-8 * reference;
    input.vacuous = std::all_of(analytic.begin(), analytic.end(), [](double a) { return std::isfinite(a); }) &&
                    ((most_analytic == 0 && most_numeric == 0) || (noise && !resolved));
    if (input.vacuous) {
      input.error = 0;
      input.wrong = 0;
    }
    if (count > 0) {
      input.analytic = analytic[at];
      input.numeric = slopes[at].value;
      input.bound = bound_at(at);
      input.kink_at_worst = slopes[at].kink;
      if (options_.fast)
        input.index = {static_cast<int64_t>(at)};
      else
        input.index = multi_index(static_cast<int64_t>(at), x(c).shape());
    }
    input.passed = input.wrong == 0;
    if (!input.passed) {
      if (!options_.fast) input.output = with_move(at, [&](const auto& move) { return most_wrong(c, at, move); });
      report_.problems.push_back(describe(input, slopes[at].error));
    }
  }

  std::string output_name(std::size_t k) const {
    return k < output_names_.size() ? output_names_[k] : message("output ", k);
  }

  /// The output whose derivative by element j of a checked input disagrees most.
  template <class Move>
  std::string most_wrong(std::size_t c, std::size_t j, const Move& move) {
    double worst = -1;
    std::size_t found = 0;
    const std::size_t count = begins_.size() - 1;
    for (std::size_t k = 0; count > 1 && k < count; ++k) {
      if (!dys_[k].defined()) continue;
      const Values dx = run(xs_, 1, all_inputs, all_inputs, k).dx[c];
      const Slope s = slope(move, begins_[k], begins_[k + 1], [](double) { return 0.0; });
      const double difference = std::abs((dx.empty() ? 0 : dx[j]) - s.value);
      if (difference > worst) {
        worst = difference;
        found = k;
      }
    }
    return output_name(found);
  }

  std::string describe(const GradcheckReport::Input& input, double unsure) const {
    std::ostringstream out;
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
    else if (!(unsure <= 10 * input.bound))
      out << "; the numeric value is unsure by " << unsure;
    return std::move(out).str();
  }

  void problem(std::string text) { report_.problems.push_back(std::move(text)); }
  const std::string& name(std::size_t c) const { return report_.inputs[checked_[c]].name; }

  void check_zero() {
    const Run zero = run(xs_, 0);
    for (std::size_t c = 0; c < checked_.size(); ++c) {
      const Values& dx = zero.dx[c];
      const auto bad = std::find_if(dx.begin(), dx.end(), [](double g) { return g != 0; });
      if (bad == dx.end()) continue;
      problem(message("dy = 0: expected a zero gradient of ", name(c), ", got ", *bad, " at ",
                      place(multi_index(bad - dx.begin(), x(c).shape()))));
    }
  }

  void check_repeatability() {
    const Run again = run(xs_);
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

  // An undefined gradient is zero.
  static bool same_gradient(const Values& a, const Values& b) {
    const auto zero = [](double g) { return g == 0; };
    if (a.empty() || b.empty()) return std::all_of(a.begin(), a.end(), zero) && std::all_of(b.begin(), b.end(), zero);
    return same_bits(a, b);
  }

  /// The first place where two gradients of a checked input differ beyond rtol.
  bool agrees(std::size_t c, const Values& dx, const char* when, double rtol) {
    if (report_.inputs[checked_[c]].vacuous) return true;
    const Values& expected = first_.dx[c];
    const double scale = largest(expected);
    for (std::size_t j = 0; j < expected.size(); ++j) {
      const double g = dx.empty() ? 0 : dx[j];
      if (std::abs(g - expected[j]) <= rtol * scale || (std::isnan(g) && std::isnan(expected[j]))) continue;
      problem(message(when, ": expected the same gradient of ", name(c), ", ", expected[j], " at ",
                      place(multi_index(static_cast<int64_t>(j), x(c).shape())), ", got ", g));
      return false;
    }
    return true;
  }

  void check_single_outputs() {
    const std::size_t count = first_.ys.size();
    if (count < 2) return;
    std::vector<Values> sum(checked_.size());
    for (std::size_t k = 0; k < count; ++k) {
      const Run one = run(xs_, 1, all_inputs, all_inputs, k);
      for (std::size_t c = 0; c < checked_.size(); ++c) {
        sum[c].resize(first_.dx[c].size());
        for (std::size_t j = 0; j < one.dx[c].size(); ++j) sum[c][j] += one.dx[c][j];
      }
    }
    for (std::size_t c = 0; c < checked_.size(); ++c) agrees(c, sum[c], "one output at a time, added up", rtol_);
  }

  void check_subsets() {
    const std::size_t count = checked_.size();
    if (count < 2 || count > 6) return;
    const auto names = [&](uint64_t mask) {
      std::string text;
      for (std::size_t c = 0; c < count; ++c)
        if (mask >> c & 1) text += (text.empty() ? "" : ", ") + name(c);
      return text;
    };
    for (uint64_t mask = 1; mask + 1 < uint64_t{1} << count; ++mask) {
      const Run required = run(xs_, 1, mask), asked = run(xs_, 1, all_inputs, mask);
      for (std::size_t c = 0; c < count; ++c) {
        if (!(mask >> c & 1)) continue;
        if (!same_gradient(required.dx[c], first_.dx[c]))
          return problem(message("only ", names(mask),
                                 " requiring a gradient: expected the same bits as with all, got ",
                                 "another gradient of ", name(c)));
        if (!same_gradient(asked.dx[c], first_.dx[c]))
          return problem(message("only ", names(mask), " asked for: expected the same bits as with all, got another ",
                                 "gradient of ", name(c)));
      }
    }
  }

  void check_layout(const char* when, Tensor (*copy)(const Tensor&), int64_t least_rank) {
    Tensors xs = xs_;
    bool any = false;
    for (std::size_t i : checked_)
      if (xs[i].dim() >= least_rank) {
        xs[i] = copy(xs[i]);
        any = true;
      }
    if (!any) return;
    const Run other = run(xs);
    for (std::size_t c = 0; c < checked_.size(); ++c) agrees(c, other.dx[c], when, rtol_);
    for (std::size_t k = 0; k < other.ys.size(); ++k) {
      const Values y = values_of(other.ys[k]), expected = values_of(first_.ys[k]);
      const double scale = std::max(largest(expected), 1e-9);
      for (std::size_t j = 0; j < y.size(); ++j)
        if (std::abs(y[j] - expected[j]) > rtol_ * scale)
          return problem(message(when, ": expected the same values of ", output_name(k), ", ", expected[j], " at ",
                                 place(multi_index(static_cast<int64_t>(j), other.ys[k].shape())), ", got ", y[j]));
    }
  }

  void check_layouts() {
    check_layout("channels-last inputs", channels_last_copy, 3);
    check_layout("strided inputs", strided_copy, 1);
  }

  void check_low_precision() {
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
      agrees(c, low.dx[c], when.c_str(), lowest == float32 ? 1e-3 : 5e-2);
  }

  void conclude() {
    std::size_t vacuous = 0;
    for (std::size_t i : checked_) {
      const GradcheckReport::Input& input = report_.inputs[i];
      report_.error = std::max(report_.error, input.error);
      vacuous += input.vacuous;
    }
    report_.vacuous = vacuous == checked_.size() || (vacuous > 0 && !some_gradient_only_);
    if (report_.vacuous && !options_.allow_vacuous)
      for (std::size_t c = 0; c < checked_.size(); ++c)
        if (report_.inputs[checked_[c]].vacuous)
          problem(message("vacuous: the gradient of ", name(c), " is zero whatever dy, which proves nothing"));
    report_.passed = report_.problems.empty();
  }

  detail::TensorFunction f_;
  const Tensors& inputs_;
  const GradcheckOptions& options_;
  double rtol_;
  GradcheckReport report_;
  bool some_gradient_only_ = false;
  std::vector<std::string> output_names_;
  Cotangents cotangents_{options_.seed};

  Tensors xs_;                        // what f is called with: float64 copies
  std::vector<std::size_t> checked_;  // the floating-point ones among them
  Tensors dys_;                       // per output; undefined for integers
  Values dy_, y_;                     // of all floating outputs, one after the other
  std::vector<std::size_t> begins_;   // of each output in these, and the end
  double epsilon_ = 0;                // of the coarsest output
  Values scales_, references_;        // per checked input: its size, and the size of a gradient one would expect
  Run first_;
};

/// The gradient of f as a function of inputs and cotangents.
struct Gradient {
  detail::TensorFunction f;
  std::size_t inputs;
  std::vector<std::size_t> outputs;  ///< those that get a cotangent, in the order of the cotangents

  Tensors operator()(const Tensors& all) const {
    const bool create_graph = is_grad_enabled();
    const EnableGradGuard recording;
    Tensors xs, wanted;
    for (std::size_t i = 0; i < inputs; ++i) {
      xs.push_back(all[i]);
      if (!is_checked(xs[i])) continue;
      if (!xs[i].requires_grad()) xs[i] = xs[i].detach().set_requires_grad();
      wanted.push_back(xs[i]);
    }
    const Tensors ys = f(xs);
    Tensors roots, seeds;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      if (!ys[outputs[k]].requires_grad()) continue;
      roots.push_back(ys[outputs[k]]);
      seeds.push_back(all[inputs + k].to(roots.back().dtype()));
    }
    Tensors dx(wanted.size());
    if (!roots.empty()) dx = grad(roots, wanted, seeds, {.create_graph = create_graph, .allow_unused = true});
    for (std::size_t i = 0; i < dx.size(); ++i)
      if (!dx[i].defined()) dx[i] = zeros_like(wanted[i].detach());
    return dx;
  }
};

}  // namespace

namespace detail {

void TensorFunction::wrong_count(std::size_t count) {
  throw_error<ValueError>("gradcheck: expected as many inputs as the function has parameters, got ", count);
}

GradcheckReport gradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options) {
  return Checker("gradcheck", f, inputs, options).check();
}

GradcheckReport gradgradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options) {
  const EnableGradGuard recording;
  Tensors xs;
  for (const Tensor& x : inputs) {
    xs.push_back(x.defined() ? x.detach() : x);
    if (is_checked(x)) xs[xs.size() - 1].set_requires_grad();
  }
  const Tensors ys = f(xs);
  Gradient gradient{f, inputs.size(), {}};
  Tensors all = inputs;
  Cotangents cotangents(options.seed + 1);
  std::vector<std::string> input_names, output_names;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    input_names.push_back(message("input ", i));
    if (is_checked(inputs[i])) output_names.push_back(message("the gradient of input ", i));
  }
  std::string op;
  for (std::size_t k = 0; k < ys.size(); ++k) {
    if (!ys[k].defined()) throw_error<ValueError>("gradgradcheck: expected defined outputs, got none for output ", k);
    if (!is_floating_point(ys[k].dtype())) continue;
    if (op.empty() && ys[k].requires_grad()) op = grad_node(ys[k])->name();
    gradient.outputs.push_back(k);
    all.push_back(cotangents.like(ys[k]));
    input_names.push_back(message("dy ", k));
  }
  Checker checker("gradgradcheck", TensorFunction(gradient), all, options);
  checker.name_inputs(std::move(input_names));
  checker.name_outputs(std::move(output_names));
  checker.name_op(std::move(op));
  checker.expect_some_gradient_only();
  return checker.check();
}

}  // namespace detail

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  constexpr std::size_t most_lines = 9;  // of each list: 1 + 9 + 9 lines in all
  const auto list = [&](std::size_t count, const auto& line) {
    const std::size_t shown = count > most_lines ? most_lines - 1 : count;
    for (std::size_t i = 0; i < shown; ++i) {
      out << "\n  ";
      line(i);
    }
    if (shown < count) out << "\n  ... and " << count - shown << " more";
  };
  std::ostringstream error;
  error.precision(2);
  error << report.error;
  out << report.check << " of " << report.op << ": " << (report.passed ? "passed" : "FAILED")
      << (report.vacuous ? " (vacuous)" : "") << ", worst relative error " << error.str();
  list(report.problems.size(), [&](std::size_t i) { out << report.problems[i]; });
  std::vector<const GradcheckReport::Input*> checked;
  for (const auto& input : report.inputs)
    if (input.checked) checked.push_back(&input);
  list(checked.size(), [&](std::size_t i) {
    const auto& input = *checked[i];
    std::ostringstream text;
    text.precision(2);
    text << input.name << ' ' << input.shape << ": " << input.count - input.wrong << " of " << input.count << " right";
    if (input.vacuous)
      text << ", vacuous";
    else
      text << ", worst error " << input.error;
    if (input.kinks) text << ", at a kink: " << input.kinks;
    out << text.str();
  });
  return out;
}

std::string to_string(const GradcheckReport& report) { return message(report); }

}  // namespace limpid
