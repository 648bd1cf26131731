// Hard inputs for instance_norm, and how far a library's results are from the truth: statistics in 113-bit arithmetic
// (__float128), what follows from them in long double.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace limpid {

/// x and dy (n, c, s), weight and bias (c,).
struct NormInput {
  std::string name;
  std::int64_t n = 2, c = 4, s = 4096;
  double mean = 0, spread = 1, eps = 1e-5;
  std::vector<float> x = {}, dy = {}, weight = {}, bias = {};

  void draw() {
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    const auto fill = [&](std::vector<float>& v, std::int64_t size, double at, double by) {
      v.resize(static_cast<std::size_t>(size));
      for (float& f : v) f = static_cast<float>(std::clamp(at + by * normal(random), -3.4e38, 3.4e38));
    };
    fill(x, n * c * s, mean, spread);
    fill(dy, n * c * s, 0, 1);
    fill(weight, c, 1, 0.5);
    fill(bias, c, 0, 1);
  }
};

inline std::vector<NormInput> hard_inputs() {
  return {{.name = "mean 0, spread 1"},
          {.name = "mean 1e4, spread 1e-2", .mean = 1e4, .spread = 1e-2},
          {.name = "mean 1e7, spread 1", .mean = 1e7},
          {.name = "spread 1e30", .spread = 1e30},
          {.name = "mean 3e38, spread 1e37", .mean = 3e38, .spread = 1e37},
          {.name = "spread 1e-41 (denormal)", .spread = 1e-41},
          {.name = "spread 1e-41, eps 0", .spread = 1e-41, .eps = 0},
          {.name = "constant 0.1", .mean = 0.1, .spread = 0},
          {.name = "2^24 elements a slice", .n = 1, .c = 1, .s = std::int64_t{1} << 24, .mean = 1}};
}

struct NormOutput {
  std::vector<float> y, dx, dweight, dbias;
};

/// y: worst error in ulps of the largest of |y|, |weight xhat|, |bias|. The gradients: worst error over the largest
/// magnitude of the true gradient; where that is 0 everywhere, 0 for a result of zeros and infinity for any other.
struct NormErrors {
  double y = 0, dx = 0, dweight = 0, dbias = 0;
};

namespace detail {

/// Like max, but NaN is the worst of all.
inline void raise(double& worst, long double error) {
  if (!(error <= static_cast<long double>(worst))) worst = static_cast<double>(error);
}

inline double relative(const std::vector<float>& got, const std::vector<long double>& want) {
  long double largest = 0;
  double worst = 0;
  for (const long double w : want) largest = std::max(largest, std::fabs(w));
  for (std::size_t i = 0; i < want.size(); ++i) {
    const bool beyond = std::fabs(want[i]) > static_cast<long double>(std::numeric_limits<float>::max());
    if (beyond && std::isinf(got[i])) continue;  // infinity is what float32 has for it
    raise(worst, std::fabs(static_cast<long double>(got[i]) - want[i]));
  }
  if (worst == 0) return 0;
  return largest == 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(worst / largest);
}

inline long double ulp_of_float(long double magnitude) {
  return std::ldexp(0x1p-23L, std::ilogb(std::max(magnitude, 0x1p-126L)));
}

}  // namespace detail

inline NormErrors errors_of(const NormInput& in, const NormOutput& out) {
  using Real = long double;
  using Wide = __float128;
  NormErrors errors;
  const auto m = static_cast<std::size_t>(in.s), channels = static_cast<std::size_t>(in.c);
  std::vector<Real> xhat(m), dx(in.x.size()), dweight(channels), dbias(channels);
  const Wide count = static_cast<Wide>(m);
  for (std::size_t slice = 0; slice < static_cast<std::size_t>(in.n) * channels; ++slice) {
    const float *x = in.x.data() + slice * m, *dy = in.dy.data() + slice * m, *y = out.y.data() + slice * m;
    const std::size_t channel = slice % channels;
    const Real gamma = static_cast<Real>(in.weight[channel]), beta = static_cast<Real>(in.bias[channel]);
    Wide sum = 0, squares = 0;
    for (std::size_t i = 0; i < m; ++i) sum += static_cast<Wide>(x[i]);
    const Wide mean = sum / count;
    for (std::size_t i = 0; i < m; ++i) {
      const Wide d = static_cast<Wide>(x[i]) - mean;
      squares += d * d;
      xhat[i] = static_cast<Real>(d);
    }
    const Real v = static_cast<Real>(squares / count + static_cast<Wide>(in.eps)), rstd = v == 0 ? 0 : 1 / std::sqrt(v);
    Real m1 = 0, m2 = 0;
    for (std::size_t i = 0; i < m; ++i) {
      xhat[i] *= rstd;
      const Real t = static_cast<Real>(dy[i]), scaled = gamma * xhat[i], want = scaled + beta;
      detail::raise(errors.y,
                    std::fabs(static_cast<Real>(y[i]) - want) /
                        detail::ulp_of_float(std::max({std::fabs(want), std::fabs(scaled), std::fabs(beta)})));
      dweight[channel] += t * xhat[i];
      dbias[channel] += t;
      m1 += t;
      m2 += t * xhat[i];
    }
    m1 /= static_cast<Real>(m), m2 /= static_cast<Real>(m);
    for (std::size_t i = 0; i < m; ++i)
      dx[slice * m + i] = gamma * rstd * (static_cast<Real>(dy[i]) - m1 - xhat[i] * m2);
  }
  errors.dx = detail::relative(out.dx, dx);
  errors.dweight = detail::relative(out.dweight, dweight);
  errors.dbias = detail::relative(out.dbias, dbias);
  return errors;
}

/// One line per hard input: peer, case and the four errors, between semicolons. norm(input) gives the library's
/// NormOutput.
template <class F>
void print_errors(const char* peer, F&& norm) {
  for (NormInput in : hard_inputs()) {
    in.draw();
    const NormErrors e = errors_of(in, norm(in));
    std::printf("%s;%s;%.3g;%.2g;%.2g;%.2g\n", peer, in.name.c_str(), e.y, e.dx, e.dweight, e.dbias);
    std::fflush(stdout);
  }
}

}  // namespace limpid
