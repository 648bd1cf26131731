// Normalisation written down plainly in long double, and a fixture that runs the kernels beside it.
#pragma once
#include <limpid/ops/norm/detail/driver.hpp>
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace limpid::test {

using namespace limpid::detail;
using index_t = std::int64_t;
using Real = long double;

/// Elements of T with NaN on both sides, starting `misaligned` elements off a cache line; the padding must stay NaN.
template <class T>
class Guarded {
 public:
  explicit Guarded(index_t size, T value = T{}, int misaligned = 1)
      : size_(size),
        lead_(64 + misaligned),
        data_(static_cast<std::size_t>(size + 2 * lead_), nan()) {
    std::fill(begin(), end(), value);
  }
  T* begin() { return data_.data() + lead_; }
  T* end() { return begin() + size_; }
  const T* begin() const { return data_.data() + lead_; }
  T& operator[](index_t i) { return begin()[i]; }
  const T& operator[](index_t i) const { return begin()[i]; }
  index_t size() const { return size_; }
  bool intact() const {
    for (index_t i = 0; i < lead_; ++i)
      if (data_[static_cast<std::size_t>(i)] == data_[static_cast<std::size_t>(i)] ||
          data_[static_cast<std::size_t>(lead_ + size_ + i)] == data_[static_cast<std::size_t>(lead_ + size_ + i)])
        return false;
    return true;
  }
  bool same_bits(const Guarded& other) const {
    return std::memcmp(begin(), other.begin(), static_cast<std::size_t>(size_) * sizeof(T)) == 0;
  }

 private:
  static T nan() { return std::numeric_limits<T>::quiet_NaN(); }
  index_t size_, lead_;
  std::vector<T> data_;
};

struct Case {
  NormDims dims;
  bool gamma = true, beta = true;
  double mean = 0.5, spread = 1, eps = 1e-5;
  bool slope = true, offset = true;  ///< Forward mode: gamma and beta move.
};

/// Sets what counts as the size of the last cache, and restores it on the way out.
class WithLastCache {
 public:
  explicit WithLastCache(index_t bytes) { last_cache() = bytes; }
  ~WithLastCache() { last_cache() = before_; }
  WithLastCache(const WithLastCache&) = delete;
  WithLastCache& operator=(const WithLastCache&) = delete;

 private:
  const index_t before_ = last_cache();
};

/// Each of the shapes in both layouts, centred or not, and pooled where that is possible.
inline std::vector<NormDims> plans(const std::vector<NormDims>& shapes) {
  std::vector<NormDims> out;
  int number = 0;
  for (NormDims d : shapes)
    for (NormLayout layout : {NormLayout::contiguous, NormLayout::channels_last})
      for (bool center : {true, false})
        for (bool pooled : {false, true}) {
          if (pooled && (d.d > 1 || !center)) continue;
          d.layout = layout;
          d.center = center;
          d.pooled = pooled;
          if (!test::is_thinned_out(number++, 5)) out.push_back(d);
        }
  return out;
}

inline std::string name(const Case& c) {
  const NormDims& d = c.dims;
  return "n" + std::to_string(d.n) + " g" + std::to_string(d.g) + " d" + std::to_string(d.d) + " s" +
         std::to_string(d.s) + (d.layout == NormLayout::channels_last ? " channels_last" : " contiguous") +
         (d.center ? "" : " rms") + (d.pooled ? " pooled" : "") + (c.gamma ? " gamma" : "") + (c.beta ? " beta" : "") +
         (c.slope ? " slope" : "") + (c.offset ? " offset" : "");
}

/// Offset of (n, c, s).
inline index_t at(const NormStrides& k, index_t n, index_t c, index_t s) { return n * k.n + c * k.c + s * k.s; }

inline index_t slice_of(const NormDims& d, index_t n, index_t c) { return d.pooled ? c : n * d.g + c / d.d; }

/// Everything in one place: inputs, what the kernels wrote. In forward mode dy is the tangent of x, slope that of gamma
/// and offset that of beta.
template <class T>
struct Run {
  Case c;
  NormStrides x_strides, strides;
  Guarded<T> x, dy, gamma, beta, slope, offset, y, dx, dgamma, dbeta, tangent;
  Guarded<double> mean, mean_lo, rstd, var;

  explicit Run(const Case& given, unsigned seed = 1)
      : c(given),
        x_strides(dense_strides(c.dims)),
        strides(x_strides),
        x(c.dims.size()),
        dy(c.dims.size(), T{}, 3),
        gamma(c.dims.channels()),
        beta(c.dims.channels()),
        slope(c.dims.channels()),
        offset(c.dims.channels()),
        y(c.dims.size(), T{}, 5),
        dx(c.dims.size(), T{}, 7),
        dgamma(c.dims.channels()),
        dbeta(c.dims.channels()),
        tangent(c.dims.size(), T{}, 7),
        mean(c.dims.slices()),
        mean_lo(c.dims.slices()),
        rstd(c.dims.slices()),
        var(c.dims.slices()) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    for (T& v : x) v = static_cast<T>(c.mean + c.spread * normal(random));
    for (T& v : dy) v = static_cast<T>(normal(random));
    for (T& v : gamma) v = static_cast<T>(1 + 0.5 * normal(random));
    for (Guarded<T>* t : {&beta, &slope, &offset})
      for (T& v : *t) v = static_cast<T>(normal(random));
  }

  const T* gamma_or_null() const { return c.gamma ? gamma.begin() : nullptr; }
  const T* beta_or_null() const { return c.beta ? beta.begin() : nullptr; }
  NormStats stats() { return {mean.begin(), mean_lo.begin(), rstd.begin(), var.begin()}; }

  /// A call of the driver with all inputs, and no output yet.
  NormCall<T> call(NormPass pass) {
    return {.pass = pass,
            .geometry = {c.dims, x_strides},
            .eps = c.eps,
            .in = {.x = x.begin(), .gamma = gamma_or_null()},
            .stats = stats()};
  }
  void run(NormCall<T> call) {
    Guarded<double> scratch(norm_scratch(call.pass, call.geometry));
    call.scratch = scratch.begin();
    run_norm(call);
    CHECK(scratch.intact());
  }
  void forward(NormPass pass = NormPass::forward) {
    NormCall<T> forward = call(pass);
    forward.in.beta = beta_or_null();
    forward.out.y = y.begin();
    run(forward);
  }
  /// wanted: bits 1, 2, 4 for dx, dgamma, dbeta.
  void backward(int wanted = 7) {
    NormCall<T> backward = call(NormPass::backward);
    backward.in.dy = dy.begin();
    if (wanted & 1) backward.out.dx = dx.begin();
    if (wanted & 2) backward.out.dgamma = dgamma.begin();
    if (wanted & 4) backward.out.dbeta = dbeta.begin();
    run(backward);
  }
  void all_passes() {
    forward();
    backward();
    push();
  }
  void push() {
    NormCall<T> push = call(NormPass::tangent);
    push.in.dy = dy.begin();
    if (c.slope) push.in.slope = slope.begin();
    if (c.offset) push.in.offset = offset.begin();
    push.out.dx = tangent.begin();
    run(push);
  }
  bool intact() const {
    return x.intact() && dy.intact() && gamma.intact() && beta.intact() && y.intact() && dx.intact() &&
           dgamma.intact() && dbeta.intact() && tangent.intact() && mean.intact() && mean_lo.intact() &&
           rstd.intact() && var.intact();
  }
  bool same_bits(const Run& o) const {
    return y.same_bits(o.y) && dx.same_bits(o.dx) && dgamma.same_bits(o.dgamma) && dbeta.same_bits(o.dbeta) &&
           tangent.same_bits(o.tangent) && mean.same_bits(o.mean) && mean_lo.same_bits(o.mean_lo) &&
           rstd.same_bits(o.rstd) && var.same_bits(o.var);
  }
};

/// The same in long double. Values are held in the (n, c, s) order of dense contiguous memory.
struct Reference {
  std::vector<Real> y, y_size, dx, dx_size, dgamma, dgamma_size, dbeta, dbeta_size, tangent, tangent_size, mean, var,
      rstd;
};

template <class T>
Reference reference(const Run<T>& run) {
  const Case& c = run.c;
  const NormDims& d = c.dims;
  const auto channels = static_cast<std::size_t>(d.channels()), slices = static_cast<std::size_t>(d.slices()),
             size = static_cast<std::size_t>(d.size());
  const Real count = static_cast<Real>(d.size()) / static_cast<Real>(d.slices());
  Reference r;
  r.mean.resize(slices);
  r.var.resize(slices);
  r.rstd.resize(slices);
  /// Of a gradient with gamma, and of a tangent without: means of dy and dy * xhat, and of their magnitudes.
  struct Means {
    Real dy = 0, dy_xhat = 0, dy_size = 0, dy_xhat_size = 0;
  };
  std::vector<Means> inside(slices), plain(slices);
  std::vector<Real> shift(slices);
  const auto each = [&](auto&& f) {
    for (index_t n = 0, i = 0; n < d.n; ++n)
      for (index_t ch = 0; ch < d.channels(); ++ch)
        for (index_t s = 0; s < d.s; ++s, ++i)
          f(static_cast<std::size_t>(i), static_cast<std::size_t>(slice_of(d, n, ch)), static_cast<std::size_t>(ch),
            static_cast<Real>(run.x[at(run.x_strides, n, ch, s)]),
            static_cast<Real>(run.dy[at(run.strides, n, ch, s)]));
  };
  const auto gamma = [&](std::size_t ch) {
    return c.gamma ? static_cast<Real>(run.gamma[static_cast<index_t>(ch)]) : Real{1};
  };
  const auto beta = [&](std::size_t ch) {
    return c.beta ? static_cast<Real>(run.beta[static_cast<index_t>(ch)]) : Real{0};
  };
  std::vector<Real> sum(slices), deviation(size);
  each([&](std::size_t, std::size_t q, std::size_t, Real x, Real) { shift[q] = d.center ? x : 0; });
  if (d.center) each([&](std::size_t, std::size_t q, std::size_t, Real x, Real) { sum[q] += x - shift[q]; });
  each([&](std::size_t i, std::size_t q, std::size_t, Real x, Real) {
    deviation[i] = (x - shift[q]) - sum[q] / count;
    r.var[q] += deviation[i] * deviation[i] / count;
  });
  for (std::size_t q = 0; q < slices; ++q) {
    r.mean[q] = shift[q] + sum[q] / count;
    const Real v = r.var[q] + static_cast<Real>(c.eps);
    r.rstd[q] = v == 0 ? 0 : 1 / std::sqrt(v);
  }
  r.y.resize(size);
  r.y_size.resize(size);
  r.dx.resize(size);
  r.dx_size.resize(size);
  r.tangent.resize(size);
  r.tangent_size.resize(size);
  r.dgamma.resize(channels);
  r.dbeta.resize(channels);
  r.dgamma_size.resize(channels);
  r.dbeta_size.resize(channels);
  each([&](std::size_t i, std::size_t q, std::size_t ch, Real, Real dy) {
    const Real xhat = deviation[i] * r.rstd[q];
    r.y[i] = xhat * gamma(ch) + beta(ch);
    r.y_size[i] = std::max({std::fabs(r.y[i]), std::fabs(xhat * gamma(ch)), std::fabs(beta(ch))});
    r.dgamma[ch] += dy * xhat;
    r.dbeta[ch] += dy;
    const Real least = static_cast<Real>(std::numeric_limits<T>::min()) * (1 + std::fabs(dy));
    const Real product = std::max(std::fabs(dy * xhat), least);
    r.dgamma_size[ch] += product;
    r.dbeta_size[ch] += std::fabs(dy);
    const auto add = [&](Means& means, Real weight) {
      means.dy += weight * dy / count;
      means.dy_xhat += weight * dy * xhat / count;
      means.dy_size += std::fabs(weight * dy / count);
      means.dy_xhat_size += std::fabs(weight) * product / count;
    };
    add(inside[q], gamma(ch));
    add(plain[q], 1);
  });
  each([&](std::size_t i, std::size_t q, std::size_t ch, Real, Real dy) {
    const Real xhat = deviation[i] * r.rstd[q];
    const auto project = [&](Real a, const Means& m) {
      return r.rstd[q] * (a - (d.center ? m.dy : 0) - xhat * m.dy_xhat);
    };
    const auto size_of = [&](Real a, const Means& m) {
      return r.rstd[q] * (std::fabs(a) + m.dy_size + std::fabs(xhat) * m.dy_xhat_size);
    };
    r.dx[i] = project(gamma(ch) * dy, inside[q]);
    r.dx_size[i] = size_of(gamma(ch) * dy, inside[q]);
    const Real slope = c.slope ? static_cast<Real>(run.slope[static_cast<index_t>(ch)]) : 0;
    const Real offset = c.offset ? static_cast<Real>(run.offset[static_cast<index_t>(ch)]) : 0;
    r.tangent[i] = gamma(ch) * project(dy, plain[q]) + slope * xhat + offset;
    r.tangent_size[i] = std::fabs(gamma(ch)) * size_of(dy, plain[q]) + std::fabs(slope * xhat) + std::fabs(offset);
  });
  return r;
}

/// The distance between neighbours of T at this magnitude.
template <class T>
Real ulp(Real magnitude) {
  const Real m = std::max(std::fabs(magnitude), static_cast<Real>(std::numeric_limits<T>::min()));
  return std::ldexp(static_cast<Real>(std::numeric_limits<T>::epsilon()), std::ilogb(m));
}

/// The bounds the documentation states. y: ulps of the largest of |y|, |gamma * xhat|, |beta|, plus what the
/// statistics' own rounding in double leaves of an element that equals the mean. Gradients: ulps of the result, plus a
/// share of the sum of the magnitudes that went into it, none of them taken for less than min() * (1 + |dy|).
template <class T>
struct Bounds;
template <>
struct Bounds<float> {
  static constexpr Real y = 2, y_floor = 0x1p-48L, gradient = 1, gradient_share = 0x1p-20L;
};
template <>
struct Bounds<double> {
  static constexpr Real y = 4, y_floor = 0x1p-51L, gradient = 2, gradient_share = 0x1p-48L;
};

/// The larger of two errors; a NaN is larger than any number.
inline Real worse(Real a, Real b) { return b != b || a <= b ? b : a; }

/// Calls f(k, i, channel) for each element, the k-th of a reference, at i in the run's tensors.
template <class T>
void each_element(const Run<T>& run, auto&& f) {
  const NormDims& d = run.c.dims;
  std::size_t k = 0;
  for (index_t n = 0; n < d.n; ++n)
    for (index_t c = 0; c < d.channels(); ++c)
      for (index_t s = 0; s < d.s; ++s) f(k++, at(run.strides, n, c, s), c);
}

/// Largest error as a multiple of what is allowed.
template <class T>
Real forward_error(const Run<T>& run, const Reference& r) {
  Real worst = 0;
  each_element(run, [&](std::size_t k, index_t i, index_t c) {
    const Real gamma = run.c.gamma ? std::fabs(static_cast<Real>(run.gamma[c])) : 1;
    const Real allowed = Bounds<T>::y * ulp<T>(r.y_size[k]) + Bounds<T>::y_floor * gamma;
    worst = worse(std::fabs(static_cast<Real>(run.y[i]) - r.y[k]) / allowed, worst);
  });
  return worst;
}

template <class T>
Real one_gradient_error(T got, Real want, Real size) {
  return std::fabs(static_cast<Real>(got) - want) /
         (Bounds<T>::gradient * ulp<T>(want) + Bounds<T>::gradient_share * size);
}

template <class T>
Real tangent_error(const Run<T>& run, const Reference& r) {
  Real worst = 0;
  each_element(run, [&](std::size_t k, index_t i, index_t) {
    if (std::fabs(r.tangent[k]) > static_cast<Real>(std::numeric_limits<T>::max())) return;
    worst = worse(one_gradient_error(run.tangent[i], r.tangent[k], r.tangent_size[k]), worst);
  });
  return worst;
}

template <class T>
Real backward_error(const Run<T>& run, const Reference& r) {
  Real worst = 0;
  const auto see = [&](T got, Real want, Real size) {
    if (std::fabs(want) > static_cast<Real>(std::numeric_limits<T>::max())) return;
    const Real error = one_gradient_error(got, want, size);
    worst = worse(error, worst);
  };
  each_element(run, [&](std::size_t k, index_t i, index_t) { see(run.dx[i], r.dx[k], r.dx_size[k]); });
  for (index_t ch = 0; ch < run.c.dims.channels(); ++ch) {
    const auto k = static_cast<std::size_t>(ch);
    see(run.dgamma[ch], r.dgamma[k], r.dgamma_size[k]);
    see(run.dbeta[ch], r.dbeta[k], r.dbeta_size[k]);
  }
  return worst;
}

/// The trial-th of a series of all magnitudes: x with a spread of 1e-38 to 1e38 and an offset of up to 1e7 spreads.
inline Run<float> run_of_any_magnitude(const NormDims& dims, int trial, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform;
  const double scale = std::pow(10, -38 + 76 * uniform(random)), most = std::min(1e7, 2e38 / scale);
  const double offset = (uniform(random) < 0.5 ? -1 : 1) * std::pow(most, uniform(random)) * scale;
  Run<float> run({.dims = dims,
                  .gamma = (trial & 2) != 0,
                  .beta = (trial & 4) != 0,
                  .mean = offset,
                  .spread = scale,
                  .eps = trial % 3 ? 0 : 1e-5},
                 static_cast<unsigned>(trial));
  for (float& v : run.x) v = static_cast<float>(std::clamp(static_cast<double>(v), -3.4e38, 3.4e38));
  return run;
}
/// The same with dy of 1e-30 to 1e38, done in all three passes.
inline Run<float> passes_of_any_magnitude(const NormDims& dims, int trial, std::mt19937& random) {
  Run<float> run = run_of_any_magnitude(dims, trial, random);
  const auto large = static_cast<float>(std::pow(10, -30 + 67 * std::uniform_real_distribution<double>()(random)));
  for (float& v : run.dy) v *= large;
  run.all_passes();
  return run;
}

/// Does all passes of a run at each level of instructions and compares them with long double. The runs of those with a
/// fused multiply-add, which are to have the same bits.
template <class T>
std::vector<Run<T>> check_at_every_level(const Run<T>& given) {
  const Reference want = reference(given);
  std::vector<Run<T>> fused;
  for (const Isa level : isa_levels()) {
    const WithIsa with(level);
    Run<T> run = given;
    run.all_passes();
    INFO(to_string(level) << " " << name(run.c) << " mean " << run.c.mean);
    CHECK(forward_error(run, want) <= 1);
    CHECK(backward_error(run, want) <= 1);
    CHECK(tangent_error(run, want) <= 1);
    CHECK(run.intact());
    if (level != Isa::baseline) fused.push_back(run);
  }
  return fused;
}

}  // namespace limpid::test
