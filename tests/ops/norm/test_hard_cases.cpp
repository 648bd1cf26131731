// Ten thousand hard inputs to instance_norm and group_norm, float32: any shape, layout, offset and scale, denormals,
// constants, single elements, no elements, NaN. Forward and gradients against long double to the documented bounds,
// without an exception, and with running statistics that stay finite.
#include <limpid/core/detail/array.hpp>
#include <limpid/limpid.hpp>
#include <limpid/tests/ops/norm/kernels/reference.hpp>
#include <limpid/tests/sanitized.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>
#include <cfenv>
#include <functional>
#include <sstream>

namespace test_hard_cases {

using namespace limpid;
using namespace limpid::test;

constexpr double largest = 3.4e38;

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  bool chance(double p) { return uniform() < p; }
  double normal() { return normal_(random_); }
  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[below(static_cast<int64_t>(choices.size()))];
  }

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
};

enum class Kind { spread, denormal, constant, one_element, nothing, not_a_number, two_values, outlier };

struct HardCase {
  Kind kind;
  Shape shape;
  int64_t groups;
  double offset = 0, scale = 1, eps = 1e-5;
  bool weight, bias;
  std::string layout;
  Isa level;
  Tensor x, dy, w, b;

  std::string name() const {
    std::ostringstream out;
    out << "kind " << static_cast<int>(kind) << " shape " << shape << " groups " << groups << " offset " << offset
        << " scale " << scale << " eps " << eps << (weight ? " weight" : "") << (bias ? " bias" : "") << ' ' << layout
        << ' ' << to_string(level);
    return out.str();
  }
};

Shape draw_shape(Dice& dice, Kind kind) {
  const int64_t most = dice.chance(0.005) ? 9000 : dice.chance(0.05) ? 700 : 40;
  Shape shape{1 + dice.below(3), 1 + dice.below(most == 40 && dice.chance(0.2) ? 40 : 5)};
  const int64_t axes = 1 + dice.below(3);
  for (int64_t i = 0, left = most; i < axes; ++i) {
    shape.push_back(kind == Kind::one_element ? 1 : 1 + dice.below(std::max<int64_t>(left, 1)));
    left /= shape.back();
  }
  if (kind == Kind::nothing) shape[static_cast<std::size_t>(dice.one_of({0, 0, 1, 2}))] = 0;
  return shape;
}

// Contiguous values; slice (n, c) of x lies at (n * C + c) * S.
Tensor draw_x(Dice& dice, HardCase& c) {
  const Tensor x = empty(c.shape);
  float* v = x.data<float>();
  // A spread between 1e-38 and 1e38, an offset of up to 1e7 spreads, as far as float32 reaches.
  c.scale = std::pow(10, -38 + 76 * dice.uniform());
  c.offset = dice.chance(0.2) ? 0
                              : (dice.chance(0.5) ? -1 : 1) * c.scale *
                                    std::pow(10, 7 * dice.uniform() - 0.5 * static_cast<double>(dice.chance(0.3)));
  c.offset = std::clamp(c.offset, -largest, largest);
  const auto value = [&] {
    switch (c.kind) {
      case Kind::denormal: return 0x1p-149 * static_cast<double>(dice.below(1000) - 500);
      case Kind::constant: return c.offset;
      case Kind::two_values: return c.offset + (dice.chance(0.5) ? c.scale : 0);
      case Kind::outlier: return 1 + 0x1p-23 * static_cast<double>(dice.below(3));
      default: return c.offset + c.scale * dice.normal();
    }
  };
  for (int64_t i = 0; i < x.numel(); ++i) v[i] = static_cast<float>(std::clamp(value(), -largest, largest));
  if (c.kind == Kind::outlier) v[dice.below(x.numel())] = static_cast<float>(dice.one_of({largest, -1e20, 1e-40}));
  if (c.kind == Kind::not_a_number)
    v[dice.below(x.numel())] = dice.one_of({std::numeric_limits<float>::quiet_NaN(), HUGE_VALF, -HUGE_VALF});
  return x;
}

// x in another layout: the same values, but where axes are expanded.
Tensor lay_out(Dice& dice, const Tensor& x, std::string& name) {
  name =
      dice.one_of<const char*>({"contiguous", "contiguous", "channels_last", "channels_last", "strided", "expanded"});
  if (name == "contiguous") return x;
  if (name == "channels_last") return x.contiguous(MemoryFormat::channels_last);
  if (name == "expanded") {
    Strides strides = x.strides();
    strides[static_cast<std::size_t>(dice.below(x.dim()))] = 0;
    return detail::make_view(x, x.shape(), strides, 0);
  }
  Axes order(x.strides().size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(dice.below(static_cast<int64_t>(i)))]);
  Strides strides = x.strides();
  int64_t step = 1 + dice.below(2);
  for (const int64_t axis : order) {
    strides[static_cast<std::size_t>(axis)] = step;
    step *= std::max<int64_t>(x.size(axis), 1) + dice.below(2);
  }
  const Tensor y = detail::make_view(full({step + 2}, 1e33), x.shape(), strides, 1);
  detail::copy_into(y, x);
  return y;
}

Tensor draw_affine(Dice& dice, int64_t channels) {
  const Tensor t = empty({channels});
  const double size = std::pow(10, 6 * dice.uniform() - 3);
  for (int64_t i = 0; i < channels; ++i) t.data<float>()[i] = static_cast<float>(dice.normal() * size);
  return t;
}

HardCase draw(Dice& dice, const std::vector<Isa>& isas) {
  HardCase c;
  c.kind = dice.chance(0.6) ? Kind::spread : static_cast<Kind>(dice.below(8));
  c.shape = draw_shape(dice, c.kind);
  const int64_t channels = c.shape[1];
  c.groups = dice.chance(0.7) || channels % 2 ? channels : channels / 2;
  c.eps = dice.one_of({1e-5, 1e-5, 0.0, 1.0, 1e-30});
  c.weight = dice.chance(0.6), c.bias = dice.chance(0.6);
  c.level = isas[static_cast<std::size_t>(dice.below(static_cast<int64_t>(isas.size())))];
  c.x = lay_out(dice, draw_x(dice, c), c.layout);
  const Tensor dy = empty(c.shape);
  for (int64_t i = 0; i < dy.numel(); ++i) dy.data<float>()[i] = static_cast<float>(dice.normal());
  std::string ignored;
  c.dy = lay_out(dice, dy, ignored);
  if (c.weight) c.w = draw_affine(dice, channels);
  if (c.bias) c.b = draw_affine(dice, channels);
  return c;
}

struct Result {
  Tensor y, dx, dw, db;
};

Result compute(const HardCase& c) {
  const WithIsa with(c.level);
  Tensors leaves{c.x.detach()};
  if (c.weight) leaves.push_back(c.w.detach());
  if (c.bias) leaves.push_back(c.b.detach());
  for (Tensor& leaf : leaves) leaf.set_requires_grad();
  const Tensor w = c.weight ? leaves[1] : Tensor(), b = c.bias ? leaves.back() : Tensor();
  const Tensor y = c.groups == c.shape[1] ? instance_norm(leaves[0], {.weight = w, .bias = b, .eps = c.eps})
                                          : group_norm(leaves[0], c.groups, w, b, c.eps);
  const Tensors dx = grad({y}, leaves, {c.dy});
  return {y.detach(), dx[0], c.weight ? dx[1] : Tensor(), c.bias ? dx.back() : Tensor()};
}

const float* floats(const Tensor& x) { return x.data<float>(); }

/// The worst errors seen, as multiples of what is allowed, and what y owes in ulps alone.
struct Worst {
  Real y = 0, y_ulps = 0, dx = 0, dgamma = 0, dbeta = 0;
  static void raise(Real& worst, Real error) { worst = error <= worst ? worst : error; }  // NaN raises too
};

/// An error relative to the bound of gradients; where the result lies beyond float32, infinity is right.
Real gradient_error(float got, Real want, Real size) {
  if (std::isinf(static_cast<float>(want)) && std::isinf(got)) return 0;
  return one_gradient_error(got, want, size);
}

/// Slice by slice in long double: deviations from the first element, then from their mean.
void compare(const HardCase& c, const Result& got, Worst& worst) {
  const Tensor x = detail::as_contiguous(c.x), dy = detail::as_contiguous(c.dy), y = detail::as_contiguous(got.y),
               dx = detail::as_contiguous(got.dx);
  const int64_t n = c.shape[0], channels = c.shape[1], s = x.numel() / std::max<int64_t>(n * channels, 1),
                d = channels / std::max<int64_t>(c.groups, 1), m = d * s;
  const auto gamma = [&](int64_t ch) { return c.weight ? static_cast<Real>(floats(c.w)[ch]) : Real{1}; };
  const auto beta = [&](int64_t ch) { return c.bias ? static_cast<Real>(floats(c.b)[ch]) : Real{0}; };
  std::vector<Real> deviation(static_cast<std::size_t>(m)), dgamma(static_cast<std::size_t>(channels)), dbeta(dgamma),
      dgamma_size(dgamma), dbeta_size(dgamma);
  for (int64_t slice = 0; m > 0 && slice < n * c.groups; ++slice) {
    const float *xs = floats(x) + slice * m, *dys = floats(dy) + slice * m;
    const int64_t first_channel = slice % c.groups * d;
    const Real count = static_cast<Real>(m), shift = static_cast<Real>(xs[0]);
    const bool finite = std::all_of(xs, xs + m, [](float v) { return std::isfinite(v); });
    Real sum = 0, var = 0, m1 = 0, m2 = 0, m1_size = 0, m2_size = 0;
    for (int64_t i = 0; i < m; ++i) sum += static_cast<Real>(xs[i]) - shift;
    for (int64_t i = 0; i < m; ++i) {
      Real& dev = deviation[static_cast<std::size_t>(i)];
      dev = (static_cast<Real>(xs[i]) - shift) - sum / count;
      var += dev * dev / count;
    }
    const Real v = var + static_cast<Real>(c.eps), rstd = v == 0 ? 0 : 1 / std::sqrt(v);
    for (int64_t i = 0; i < m; ++i) {
      const auto ch = static_cast<std::size_t>(first_channel + i / s);
      const Real xhat = deviation[static_cast<std::size_t>(i)] * rstd, g = gamma(static_cast<int64_t>(ch)),
                 shifted = beta(static_cast<int64_t>(ch)), t = static_cast<Real>(dys[i]);
      const Real least = static_cast<Real>(std::numeric_limits<float>::min()) * (1 + std::fabs(t)),
                 product = std::max(std::fabs(t * xhat), least);
      dgamma[ch] += t * xhat, dgamma_size[ch] += product;
      dbeta[ch] += t, dbeta_size[ch] += std::fabs(t);
      m1 += g * t / count, m1_size += std::fabs(g * t / count);
      m2 += g * t * xhat / count, m2_size += std::fabs(g) * product / count;
      const float at = floats(y)[slice * m + i];
      if (!finite) {
        Worst::raise(worst.y, std::isnan(at) ? 0 : 99);
        continue;
      }
      const Real want = xhat * g + shifted, size = std::max({std::fabs(want), std::fabs(xhat * g), std::fabs(shifted)});
      const Real error = std::fabs(static_cast<Real>(at) - want), one = ulp<float>(static_cast<float>(size));
      Worst::raise(worst.y, error / (Bounds<float>::y * one + Bounds<float>::y_floor * std::fabs(g)));
      if (error > Bounds<float>::y_floor * std::fabs(g)) Worst::raise(worst.y_ulps, error / one);
    }
    for (int64_t i = 0; finite && i < m; ++i) {
      const Real xhat = deviation[static_cast<std::size_t>(i)] * rstd,
                 a = gamma(first_channel + i / s) * static_cast<Real>(dys[i]);
      Worst::raise(worst.dx, gradient_error(floats(dx)[slice * m + i], rstd * (a - m1 - xhat * m2),
                                            rstd * (std::fabs(a) + m1_size + std::fabs(xhat) * m2_size)));
    }
  }
  for (int64_t ch = 0; ch < channels; ++ch) {
    const auto k = static_cast<std::size_t>(ch);
    if (c.weight && dgamma[k] == dgamma[k])
      Worst::raise(worst.dgamma, gradient_error(floats(got.dw)[ch], dgamma[k], dgamma_size[k]));
    if (c.bias) Worst::raise(worst.dbeta, gradient_error(floats(got.db)[ch], dbeta[k], dbeta_size[k]));
  }
}

/// Whether running statistics stay finite under every rule.
bool buffers_stay_finite(const HardCase& c) {
  const Tensor mean = zeros({c.shape[1]}), var = ones({c.shape[1]}), batches = zeros({}, int64);
  for (const RunningRule rule : {RunningRule::per_instance, RunningRule::pooled, RunningRule::pooled_unbiased}) {
    update_running_stats(c.x, mean, var, 0.1, rule);
    update_running_stats(c.x, mean, var, batches, rule);
  }
  return all(isfinite(mean)).item<bool>() && all(isfinite(var)).item<bool>();
}

TEST_CASE("ten thousand hard cases of instance_norm and group_norm keep the documented bounds") {
  Dice dice(20240229);
  const std::vector<Isa> isas(isa_levels().begin(), isa_levels().end());
  Worst all_cases;
  std::vector<int> of_kind(8);
  for (int i = 0; i < 10000; ++i) {
    const HardCase c = draw(dice, isas);
    ++of_kind[static_cast<std::size_t>(c.kind)];
    if (test::is_thinned_out(i, 5)) continue;
    try {
      Worst here;
      compare(c, compute(c), here);
      const bool good = here.y <= 1 && here.dx <= 1 && here.dgamma <= 1 && here.dbeta <= 1;
      if (!good || !buffers_stay_finite(c)) {
        INFO("case " << i << ": " << c.name());
        CHECK(here.y <= 1);
        CHECK(here.dx <= 1);
        CHECK(here.dgamma <= 1);
        CHECK(here.dbeta <= 1);
        CHECK(buffers_stay_finite(c));
      }
      Worst::raise(all_cases.y, here.y);
      Worst::raise(all_cases.y_ulps, here.y_ulps);
      Worst::raise(all_cases.dx, here.dx);
      Worst::raise(all_cases.dgamma, here.dgamma);
      Worst::raise(all_cases.dbeta, here.dbeta);
    } catch (const std::exception& error) {
      FAIL_CHECK("case " << i << ": " << c.name() << ": " << error.what());
    }
  }
  for (const int count : of_kind) CHECK(count > 300);
  std::printf("worst of 10000, as shares of the bound: y %.3Lf (%.3Lf ulp), dx %.3Lf, dgamma %.3Lf, dbeta %.3Lf\n",
              all_cases.y, all_cases.y_ulps, all_cases.dx, all_cases.dgamma, all_cases.dbeta);
}

TEST_CASE("slices of variance 0 without an eps raise no exception, and disturb no other") {
  const int flags = FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW;
  for (const Isa level : isa_levels()) {
    const WithIsa with(level);
    for (const DType dtype : {float32, float64, float16})
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last})
        for (const int64_t side : {1, 2, 7, 40}) {
          // Channel 0 is constant, channel 1 is not, but where it has one element alone.
          Tensor x = full({2, 3, side, side}, 2, float64);
          select(x, 1, 1).copy_(randn({2, side, side}, float64));
          x = x.to(dtype).contiguous(format);
          const Tensor w = full({3}, 1.5, dtype), b = full({3}, 0.25, dtype), per_image = ones({side}, dtype),
                       zero = zeros({3}, dtype);
          const std::vector<std::function<Tensor(const Tensor&)>> norms = {
              [&](const Tensor& t) { return instance_norm(t, {.weight = w, .bias = b, .eps = 0}); },
              [&](const Tensor& t) { return group_norm(t, 3, {.weight = w, .bias = b, .eps = 0}); },
              [&](const Tensor& t) { return batch_norm(t, {.weight = w, .bias = b, .training = true, .eps = 0}); },
              [&](const Tensor& t) { return layer_norm(t, {side}, {.weight = per_image, .eps = 0}); },
              [&](const Tensor& t) { return rms_norm(t - t, {side}, {.weight = per_image, .eps = 0}); },
              [&](const Tensor& t) {
                return batch_norm(t, {.running_mean = zero, .running_var = zero, .weight = w, .bias = b, .eps = 0});
              },
              [&](const Tensor& t) {
                return instance_norm(t, {.running_mean = zero,
                                         .running_var = zero,
                                         .weight = w,
                                         .bias = b,
                                         .use_input_stats = false,
                                         .eps = 0});
              }};
          for (std::size_t i = 0; i < norms.size(); ++i) {
            CAPTURE(i, to_string(level), dtype, format, side);
            Tensor leaf = x.clone().set_requires_grad();
            std::feclearexcept(FE_ALL_EXCEPT);
            const Tensor y = norms[i](leaf);
            CHECK(std::fetestexcept(flags) == 0);
            const Tensor dx = grad({y}, {leaf}, {ones_like(y)})[0];
            CHECK(std::fetestexcept(flags) == 0);
            CHECK(all(isfinite(y)).item<bool>());
            CHECK(all(isfinite(dx)).item<bool>());
            if (i < 3) CHECK(equal(select(y.detach(), 1, 0), full({2, side, side}, 0.25, dtype)));
          }
        }
  }
}

TEST_CASE("constant slices of large numbers signal no invalid operation") {
  if (test::under_sanitizer())
    return test::left_out("clang, which compiles the sanitized library, may compute what it then drops");
  for (const Isa level : isa_levels()) {
    const WithIsa with(level);
    for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last})
      for (const double value : {1e30, -1e37, 3e38})
        for (const int64_t side : {3, 16}) {
          CAPTURE(to_string(level), format, value, side);
          const Tensor x = full({2, 6, side, side}, value, float32, format).set_requires_grad(), dy = randn(x.shape());
          std::feclearexcept(FE_ALL_EXCEPT);
          const Tensors dx = grad({instance_norm(x), group_norm(x, 2)}, {x}, {dy, dy});
          CHECK(std::fetestexcept(FE_INVALID) == 0);
          CHECK(all(isfinite(dx[0])).item<bool>());
        }
  }
}

TEST_CASE("fixed statistics of variance 0 have the derivatives of their forward") {
  const Tensor x = from_vector<float>({1, 3}, {1, 1, 2}), mean = full({1}, 1, float32), var = zeros({1}, float32);
  const Tensor w = full({1}, 2, float32), dy = from_vector<float>({0, 5}, {1, 1, 2});
  struct Row {
    double eps;
    float r;
  };
  for (const Row row : {Row{0, 0}, Row{1e-50, 1e25f}, Row{4, 0.5f}}) {
    INFO("eps " << row.eps);
    const auto f = [&](const Tensors& in) -> Tensors {
      return {batch_norm(in[0], {.running_mean = mean, .running_var = in[2], .weight = in[1], .eps = row.eps})};
    };
    Tensors leaves{x.clone(), w.clone(), var.clone()};
    for (Tensor& leaf : leaves) leaf.set_requires_grad();
    const Tensor y = f(leaves)[0];
    CHECK(y.data<float>()[1] == 4 * row.r);
    const Tensors d = grad({y}, leaves, {dy});
    CHECK(equal(d[0], from_vector<float>({0, 10 * row.r}, {1, 1, 2})));
    CHECK(d[1].item<float>() == 10 * row.r);
    // -1/2 r^3 w dy (x - mean), which is too large a number for the second row.
    CHECK(d[2].item<float>() == -10 * row.r * row.r * row.r);
    const Tensor tangent = jvp(f, {x, w, var}, {ones_like(x), ones_like(w), zeros_like(var)}).dys[0];
    CHECK(equal(tangent, from_vector<float>({2 * row.r, 4 * row.r}, {1, 1, 2})));
  }
}

}  // namespace test_hard_cases
