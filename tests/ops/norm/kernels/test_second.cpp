// The fused second derivative against its formula in long double, element by element.
#include <limpid/ops/norm/detail/second_driver.hpp>
#include <limpid/tests/ops/norm/kernels/reference.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>

namespace test_second {

using namespace limpid;
using namespace limpid::test;

constexpr auto kLast = NormLayout::channels_last;

/// {n, g, d, s}: around lanes and blocks; one channel, few (folded, with and without a rest) and many.
const std::vector<NormDims> kShapes = {
    {1, 1, 1, 1},     {2, 3, 1, 1},    {3, 2, 4, 1},     {3, 2, 531, 1}, {2, 3, 1, 7},   {2, 2, 1, 16},
    {2, 5, 1, 33},    {2, 4, 3, 10},   {1, 2, 8, 49},    {3, 1, 6, 20},  {40, 1, 33, 1}, {1, 130, 1, 3},
    {1, 2, 1, 8191},  {1, 2, 1, 8193}, {1, 1, 3, 8200},  {5, 2, 3, 70},  {2, 1, 300, 6}, {40, 3, 2, 5},
    {1, 1, 1, 17000}, {2, 3, 1, 6000}, {36, 20, 1, 500}, {1, 3, 1, 11}};

/// A first derivative's inputs, the gradients of its results, and what the kernels made of both.
template <class T>
struct SecondRun : Run<T> {
  bool has_u = true, has_v = true, has_w = true;
  Guarded<T> u, v, w, ddy, ddx, ddgamma;

  explicit SecondRun(const Case& given, unsigned seed = 1)
      : Run<T>(given, seed),
        u(given.dims.size(), T{}, 2),
        v(given.dims.channels()),
        w(given.dims.channels()),
        ddy(given.dims.size(), T{}, 4),
        ddx(given.dims.size(), T{}, 6),
        ddgamma(given.dims.channels()) {
    std::mt19937 random(seed + 100);
    std::normal_distribution<double> normal;
    for (Guarded<T>* t : {&u, &v, &w})
      for (T& value : *t) value = static_cast<T>(normal(random));
    this->forward();
  }
  /// wanted: bits 1, 2, 4 for ddy, dx, dgamma.
  void run(int wanted = 7) {
    NormSecondCall<T> call{.geometry = {this->c.dims, this->x_strides},
                           .in = {.x = this->x.begin(),
                                  .dy = this->dy.begin(),
                                  .u = has_u ? u.begin() : nullptr,
                                  .gamma = this->gamma_or_null(),
                                  .v = has_v ? v.begin() : nullptr,
                                  .w = has_w ? w.begin() : nullptr},
                           .out = {.ddy = wanted & 1 ? ddy.begin() : nullptr,
                                   .dx = wanted & 2 ? ddx.begin() : nullptr,
                                   .dgamma = wanted & 4 ? ddgamma.begin() : nullptr},
                           .stats = this->stats()};
    Guarded<double> scratch(norm_second_scratch(call.geometry), std::nan(""));
    call.scratch = scratch.begin();
    run_norm_second(call);
    CHECK(scratch.intact());
    CHECK(this->intact());
    CHECK((u.intact() && v.intact() && w.intact() && ddy.intact() && ddx.intact() && ddgamma.intact()));
  }
  bool same_results(const SecondRun& o) const {
    return ddy.same_bits(o.ddy) && ddx.same_bits(o.ddx) && ddgamma.same_bits(o.ddgamma);
  }
};

/// The results in long double and the magnitudes that went into each, in the order of the run's tensors.
struct SecondReference {
  std::vector<Real> ddy, ddy_size, dx, dx_size, dgamma, dgamma_size;
};

/// first: reference(run).
template <class T>
SecondReference second_reference(const SecondRun<T>& run, const Reference& first) {
  const Case& c = run.c;
  const NormDims& d = c.dims;
  const auto slices = static_cast<std::size_t>(d.slices());
  const Real count = static_cast<Real>(d.size()) / static_cast<Real>(d.slices());
  const auto channel = [](bool has, const Guarded<T>& t, index_t ch, Real absent) {
    return has ? static_cast<Real>(t[ch]) : absent;
  };
  struct Element {
    std::size_t q;
    index_t ch, at;
    Real xhat, dy, u, gamma, v, w, r;
  };
  const auto each = [&](auto&& f) {
    for (index_t n = 0; n < d.n; ++n)
      for (index_t ch = 0; ch < d.channels(); ++ch)
        for (index_t s = 0; s < d.s; ++s) {
          const auto q = static_cast<std::size_t>(slice_of(d, n, ch));
          const index_t i = at(run.strides, n, ch, s);
          const Real mean = d.center ? first.mean[q] : 0, r = first.rstd[q];
          f(Element{q, ch, i, (static_cast<Real>(run.x[at(run.x_strides, n, ch, s)]) - mean) * r,
                    static_cast<Real>(run.dy[i]), run.has_u ? static_cast<Real>(run.u[i]) : 0,
                    channel(c.gamma, run.gamma, ch, 1), channel(run.has_v, run.v, ch, 0),
                    channel(run.has_w, run.w, ch, 0), r});
        }
  };
  // Means over each slice, and of magnitudes.
  struct Means {
    std::vector<Real> t, size;
    explicit Means(std::size_t n) : t(n), size(n) {}
    void add(std::size_t q, Real value, Real count_) {
      t[q] += value / count_;
      size[q] += std::fabs(value) / count_;
    }
  };
  Means u(slices), u_xhat(slices), a(slices), a_xhat(slices), k(slices), h(slices), h_xhat(slices);
  each([&](const Element& e) {
    if (d.center) u.add(e.q, e.u, count), a.add(e.q, e.gamma * e.dy, count);
    u_xhat.add(e.q, e.u * e.xhat, count);
    a_xhat.add(e.q, e.gamma * e.dy * e.xhat, count);
  });
  const auto h_of = [&](const Element& e) {
    return e.v * e.dy - e.r * (e.u * a_xhat.t[e.q] + e.gamma * e.dy * u_xhat.t[e.q]);
  };
  each([&](const Element& e) {
    k.add(e.q, e.u * (e.gamma * e.dy - a.t[e.q] - e.xhat * a_xhat.t[e.q]), count);
    if (d.center) h.add(e.q, h_of(e), count);
    h_xhat.add(e.q, h_of(e) * e.xhat, count);
  });
  SecondReference want;
  for (std::vector<Real>* values : {&want.ddy, &want.ddy_size, &want.dx, &want.dx_size})
    values->resize(static_cast<std::size_t>(d.size()));
  for (std::vector<Real>* values : {&want.dgamma, &want.dgamma_size})
    values->resize(static_cast<std::size_t>(d.channels()));
  each([&](const Element& e) {
    const auto i = static_cast<std::size_t>(e.at), ch = static_cast<std::size_t>(e.ch);
    const Real x = std::fabs(e.xhat), projected = e.r * (e.u - u.t[e.q] - e.xhat * u_xhat.t[e.q]);
    const Real projected_size = e.r * (std::fabs(e.u) + u.size[e.q] + x * u_xhat.size[e.q]);
    want.ddy[i] = e.gamma * projected + e.v * e.xhat + e.w;
    want.ddy_size[i] =
        std::fabs(e.gamma) * projected_size + std::fabs(e.v) * (1 + x) + std::fabs(e.w);  // xhat is good to 2^-48
    const Real h_size = std::fabs(e.v * e.dy) +
                        e.r * (std::fabs(e.u) * a_xhat.size[e.q] + std::fabs(e.gamma * e.dy) * u_xhat.size[e.q]);
    want.dx[i] = e.r * (h_of(e) - h.t[e.q] - e.xhat * h_xhat.t[e.q]) - e.r * e.r * e.xhat * k.t[e.q];
    want.dx_size[i] = e.r * (h_size + h.size[e.q] + x * h_xhat.size[e.q]) + e.r * e.r * x * k.size[e.q];
    want.dgamma[ch] += e.dy * projected;
    want.dgamma_size[ch] += std::fabs(e.dy) * projected_size;
  });
  return want;
}

/// The largest error, as a multiple of an ulp of the result and 2^-44 of the magnitudes that went into it.
template <class T>
Real second_error(const SecondRun<T>& run, const SecondReference& want) {
  Real worst = 0;
  const auto see = [&](const Guarded<T>& got, const std::vector<Real>& values, const std::vector<Real>& sizes) {
    for (index_t i = 0; i < got.size(); ++i) {
      const auto k = static_cast<std::size_t>(i);
      const Real allowed = 2 * ulp<T>(values[k]) + 0x1p-44L * sizes[k];
      worst = worse(std::fabs(static_cast<Real>(got[i]) - values[k]) / allowed, worst);
    }
  };
  see(run.ddy, want.ddy, want.ddy_size);
  see(run.ddx, want.dx, want.dx_size);
  see(run.ddgamma, want.dgamma, want.dgamma_size);
  return worst;
}
template <class T>
Real second_error(const SecondRun<T>& run) {
  return second_error(run, second_reference(run, reference(run)));
}

TEMPLATE_TEST_CASE("norm second derivatives agree with long double for every plan", "", float, double) {
  for (const NormDims& dims : plans(kShapes))
    for (const bool gamma : {false, true}) {
      const SecondRun<TestType> given({.dims = dims, .gamma = gamma});
      const SecondReference want = second_reference(given, reference(given));
      for (const Isa level : isa_levels()) {
        const WithIsa with(level);
        SecondRun<TestType> run = given;
        run.forward();
        run.run();
        INFO(to_string(level) << " " << name(run.c));
        CHECK(second_error(run, want) <= 1);
      }
    }
}

TEMPLATE_TEST_CASE("norm second derivatives take absent gradients as zero", "", float, double) {
  for (const NormDims& dims : plans(kShapes)) {
    const SecondRun<TestType> given({dims});
    const Reference first = reference(given);
    // A reference costs most: of the largest shape, nothing, v and w, u and v.
    const int step = dims.size() > 100000 ? 3 : 1;
    for (int present = 0; present < 8; present += step) {
      SecondRun<TestType> run = given;
      run.has_u = present & 1, run.has_v = present & 2, run.has_w = present & 4;
      run.run();
      INFO(name(run.c) << " present " << present);
      CHECK(second_error(run, second_reference(run, first)) <= 1);
    }
  }
}

TEMPLATE_TEST_CASE("norm second derivatives do not depend on which of them are asked for", "", float, double) {
  for (const NormDims& dims : plans(kShapes)) {
    const SecondRun<TestType> given({dims});
    SecondRun<TestType> all = given;
    all.run();
    for (int wanted = 0; wanted < 7; ++wanted) {
      SecondRun<TestType> some = given;
      some.run(wanted);
      INFO(name(all.c) << " wanted " << wanted);
      const Guarded<TestType> none(dims.size()), no_channels(dims.channels());
      CHECK(some.ddy.same_bits(wanted & 1 ? all.ddy : none));
      CHECK(some.ddx.same_bits(wanted & 2 ? all.ddx : none));
      CHECK(some.ddgamma.same_bits(wanted & 4 ? all.ddgamma : no_channels));
    }
  }
}

TEMPLATE_TEST_CASE("norm second derivatives have the same bits with AVX2 and AVX-512, and any threads", "", float,
                   double) {
  const bool narrower = !lacks_avx512();
  std::vector<NormDims> all = plans(kShapes);
  for (const NormDims& large : {NormDims{8, 16, 1, 3000}, {1, 1, 8, 40000}, {300, 1, 700, 1}, {1, 3, 1, 100001}})
    for (const NormLayout layout : {NormLayout::contiguous, kLast})
      for (const bool pooled : {false, true}) {
        NormDims dims = large;
        if (pooled && dims.d != 1) continue;
        dims.layout = layout;
        dims.pooled = pooled;
        all.push_back(dims);
      }
  int number = 0;
  for (const NormDims& dims : all) {
    if (test::is_thinned_out(number++, 3)) continue;
    const SecondRun<TestType> given({.dims = dims, .mean = 3.0, .spread = 0.1});
    const auto at = [&](Isa level, int threads) {
      const WithIsa with_level(level);
      const WithThreads with_threads(threads);
      SecondRun<TestType> run = given;
      run.forward();
      run.run();
      return run;
    };
    const SecondRun<TestType> one = at(best_isa(), 1);
    INFO(name(given.c));
    for (const int threads : {2, 3, 7}) CHECK(at(best_isa(), threads).same_results(one));
    if (narrower) CHECK(at(Isa::avx2, 7).same_results(one));
  }
}

TEMPLATE_TEST_CASE("norm second derivatives read strided and expanded x in place", "", float, double) {
  struct View {
    NormDims dims;
    NormStrides strides;
  };
  const std::vector<View> views = {{{3, 4, 1, 300}, {4 * 700, 700, 2}}, {{3, 4, 1, 300}, {0, 700, 2}},
                                   {{3, 4, 1, 300}, {700, 700, 0}},     {{3, 2, 2, 300}, {1, 3, 12}},
                                   {{3, 4, 1, 1}, {1, 3, 1}},           {{3, 4, 1, 300, kLast}, {1500, 1, 5}},
                                   {{3, 4, 1, 300, kLast}, {0, 1, 4}},  {{3, 4, 1, 300, kLast}, {10, 1, 0}}};
  for (const View& view : views) {
    SecondRun<TestType> run({view.dims}, 7);
    Guarded<TestType> x(4 * 4 * 700);
    for (index_t i = 0; i < x.size(); ++i) x[i] = static_cast<TestType>(std::sin(static_cast<double>(i) * 1.7));
    run.x = x;
    run.x_strides = view.strides;
    run.forward();
    run.run();
    INFO(name(run.c));
    CHECK(second_error(run) <= 1);
  }
}

TEMPLATE_TEST_CASE("a constant slice has zero second derivatives at eps 0", "", float, double) {
  for (NormDims dims : std::vector<NormDims>{{2, 3, 1, 5}, {2, 3, 2, 100}, {2, 1, 50, 1}})
    for (NormLayout layout : {NormLayout::contiguous, kLast}) {
      dims.layout = layout;
      SecondRun<TestType> run({.dims = dims, .mean = 0.1, .spread = 0, .eps = 0});
      run.has_w = false;
      run.run();
      const auto zero = [](TestType t) { return t == 0; };
      CHECK(std::all_of(run.ddy.begin(), run.ddy.end(), zero));
      CHECK(std::all_of(run.ddx.begin(), run.ddx.end(), zero));
      CHECK(std::all_of(run.ddgamma.begin(), run.ddgamma.end(), zero));
    }
}

}  // namespace test_second
