#include <limpid/tests/ops/norm/kernels/reference.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>

namespace test_kernels {

using namespace limpid;
using namespace limpid::test;

constexpr auto kLast = NormLayout::channels_last;

/// {n, g, d, s}: lane counts and their neighbours, blocks and theirs, one element, many channels and few.
const std::vector<NormDims> kShapes = {
    {1, 1, 1, 1},    {2, 3, 1, 1},    {2, 1, 5, 1},   {3, 2, 4, 1},    {2, 3, 1, 7},    {2, 3, 1, 8},
    {2, 3, 1, 9},    {2, 2, 1, 15},   {2, 2, 1, 16},  {2, 2, 1, 17},   {2, 5, 1, 31},   {1, 16, 1, 33},
    {1, 17, 1, 49},  {1, 15, 1, 63},  {1, 32, 1, 65}, {2, 4, 3, 10},   {2, 2, 8, 49},   {3, 1, 6, 20},
    {2, 1, 33, 1},   {2, 4, 40, 1},   {1, 130, 1, 3}, {2, 3, 1, 1000}, {1, 2, 1, 8191}, {1, 2, 1, 8193},
    {1, 1, 3, 8200}, {1, 2, 2, 9000}, {5, 2, 3, 700}, {1, 1, 300, 6},  {40, 3, 2, 5},   {1, 1, 1, 16500},
    {1, 3, 1, 16500}};

TEMPLATE_TEST_CASE("norm agrees with long double for every plan", "", float, double) {
  for (const NormDims& dims : plans(kShapes))
    for (int affine = 0; affine < 4; ++affine) {
      const Run<TestType> given({.dims = dims, .gamma = (affine & 1) != 0, .beta = (affine & 2) != 0});
      const Reference want = reference(given);
      for (const Isa level : isa_levels()) {
        const WithIsa with(level);
        Run<TestType> run = given;
        run.forward();
        run.backward();
        INFO(to_string(level) << " " << name(run.c));
        CHECK(forward_error(run, want) <= 1);
        CHECK(backward_error(run, want) <= 1);
        CHECK(run.intact());
      }
    }
}

TEMPLATE_TEST_CASE("norm tangents agree with long double for every plan", "", float, double) {
  for (const NormDims& dims : plans(kShapes))
    for (int moving = 0; moving < 8; ++moving) {
      const Run<TestType> given({.dims = dims,
                                 .gamma = (moving & 4) == 0,
                                 .beta = false,
                                 .slope = (moving & 1) != 0,
                                 .offset = (moving & 2) != 0});
      const Reference want = reference(given);
      for (const Isa level : isa_levels()) {
        const WithIsa with(level);
        Run<TestType> run = given;
        run.forward();
        run.push();
        INFO(to_string(level) << " " << name(run.c));
        CHECK(tangent_error(run, want) <= 1);
        CHECK(run.intact());
      }
    }
}

TEMPLATE_TEST_CASE("norm gradients do not depend on which of them are asked for", "", float, double) {
  for (const NormDims& dims : plans(kShapes)) {
    const Run<TestType> given({dims});
    Run<TestType> all = given;
    all.forward();
    all.backward();
    for (int wanted = 0; wanted < 7; ++wanted) {
      Run<TestType> some = given;
      some.forward();
      some.backward(wanted);
      INFO(name(all.c) << " wanted " << wanted);
      const Guarded<TestType> none(dims.size()), no_channels(dims.channels());
      CHECK(some.dx.same_bits(wanted & 1 ? all.dx : none));
      CHECK(some.dgamma.same_bits(wanted & 2 ? all.dgamma : no_channels));
      CHECK(some.dbeta.same_bits(wanted & 4 ? all.dbeta : no_channels));
    }
  }
}

TEMPLATE_TEST_CASE("norm is bit-identical between AVX2 and AVX-512", "", float, double) {
  if (lacks_avx512()) return;
  for (const NormDims& dims : plans(kShapes)) {
    Run<TestType> narrow({.dims = dims, .mean = 3.0, .spread = 0.01}), wide = narrow;
    {
      const WithIsa with(Isa::avx2);
      narrow.forward();
      narrow.backward();
      narrow.push();
    }
    const WithIsa with(Isa::avx512);
    wide.forward();
    wide.backward();
    wide.push();
    INFO(name(wide.c));
    CHECK(wide.same_bits(narrow));
  }
}

TEMPLATE_TEST_CASE("norm is bit-identical for any number of threads", "", float, double) {
  std::vector<NormDims> shapes = {{8, 16, 1, 3000}, {1, 1, 8, 50000}, {3, 2, 4, 40000},
                                  {600, 1, 700, 1}, {40, 30, 1, 300}, {1, 1, 1, 300001}};
  int number = 0;
  for (NormDims dims : shapes)
    for (NormLayout layout : {NormLayout::contiguous, kLast})
      for (bool pooled : {false, true})
        for (bool affine : {false, true}) {
          if ((pooled && dims.d != 1) || test::is_thinned_out(number++, 5)) continue;
          dims.layout = layout;
          dims.pooled = pooled;
          const Run<TestType> given({.dims = dims, .gamma = affine, .beta = affine});
          const auto at = [&](int threads) {
            const WithThreads with(threads);
            Run<TestType> run = given;
            run.forward();
            run.backward(affine ? 7 : 1);
            run.push();
            return run;
          };
          const Run<TestType> one = at(1);
          for (int threads : {2, 3, 7}) {
            INFO(name(one.c) << " threads " << threads);
            CHECK(at(threads).same_bits(one));
          }
        }
}

TEMPLATE_TEST_CASE("norm without affine is the same for every plan of the same slices", "", float, double) {
  for (const NormLayout layout : {NormLayout::contiguous, kLast})
    for (const index_t s : {1, 5, 64, 3000}) {
      Run<TestType> group({.dims = {3, 1, 6, s, layout}, .gamma = false, .beta = false}),
          layer({.dims = {3, 1, 1, 6 * s}, .gamma = false, .beta = false}),
          element({.dims = {3, 1, 6 * s, 1}, .gamma = false, .beta = false});
      for (auto* run : {&group, &layer, &element}) {
        run->forward();
        run->backward(1);
      }
      CHECK(group.y.same_bits(layer.y));
      CHECK(group.dx.same_bits(layer.dx));
      CHECK(group.y.same_bits(element.y));
      CHECK(element.dx.same_bits(layer.dx));
    }
}

TEMPLATE_TEST_CASE("norm reads strided and expanded x in place, with the bits of a dense copy", "", float, double) {
  const NormDims dims = {3, 4, 1, 300};
  const std::vector<NormStrides> views = {{4 * 700, 700, 1}, {4 * 700, 700, 2}, {0, 700, 2},
                                          {300, 0, 1},       {700, 700, 0},     {1, 3, 12}};
  for (const NormStrides& view : views) {
    Run<TestType> strided({dims}), dense({dims});
    Guarded<TestType> x(12 * 700);
    for (index_t i = 0; i < x.size(); ++i) x[i] = static_cast<TestType>(std::sin(static_cast<double>(i) * 1.7));
    strided.x = x;
    strided.x_strides = view;
    for (index_t n = 0; n < dims.n; ++n)
      for (index_t c = 0; c < 4; ++c)
        for (index_t s = 0; s < dims.s; ++s) dense.x[at(dense.strides, n, c, s)] = x[at(view, n, c, s)];
    REQUIRE(reads_in_place(dims, view));
    for (auto* run : {&strided, &dense}) {
      run->forward();
      run->backward();
      run->push();
    }
    CHECK(strided.same_bits(dense));
  }
  const NormDims last = {3, 4, 1, 300, kLast};
  for (const NormStrides& view : std::vector<NormStrides>{{1500, 1, 5}, {0, 1, 4}, {10, 1, 0}}) {
    Run<TestType> strided({last}, 7);
    Guarded<TestType> x(3 * 1500);
    for (index_t i = 0; i < x.size(); ++i) x[i] = static_cast<TestType>(std::sin(static_cast<double>(i) * 1.7));
    strided.x = x;
    strided.x_strides = view;
    REQUIRE(reads_in_place(last, view));
    strided.forward();
    strided.backward();
    const Reference want = reference(strided);
    CHECK(forward_error(strided, want) <= 1);
    CHECK(backward_error(strided, want) <= 1);
  }
  CHECK_FALSE(reads_in_place(last, {1200, 300, 1}));
}

TEMPLATE_TEST_CASE("scratch memory is enough where strides of x make another plan than dense ones", "", float, double) {
  // Three of four channels side by side, which are not repeated then; pooled samples of one element, which are rows
  // where channels are apart and columns where they are not.
  struct View {
    NormDims dims;
    NormStrides strides;
  };
  for (const View& view : std::vector<View>{{{.n = 1, .g = 3, .d = 1, .s = 90000, .layout = kLast}, {360000, 1, 4}},
                                            {{.n = 5, .g = 1, .d = 3, .s = 9000, .layout = kLast}, {36000, 1, 4}},
                                            {{.n = 300, .g = 7, .d = 1, .s = 1, .pooled = true}, {14, 2, 2}},
                                            {{.n = 40000, .g = 2, .d = 1, .s = 1, .pooled = true}, {6, 3, 1}}}) {
    Run<TestType> strided({view.dims});
    const NormStrides& k = view.strides;
    strided.x = Guarded<TestType>(view.dims.n * k.n + view.dims.channels() * k.c + view.dims.s * k.s);
    for (index_t i = 0; i < strided.x.size(); ++i)
      strided.x[i] = static_cast<TestType>(std::sin(static_cast<double>(i) * 1.7));
    strided.x_strides = k;
    strided.forward();  // each pass looks at the scratch memory's surroundings
    strided.backward();
    strided.push();
    const Reference want = reference(strided);
    INFO(name(strided.c));
    CHECK(forward_error(strided, want) <= 1);
    CHECK(backward_error(strided, want) <= 1);
    CHECK(tangent_error(strided, want) <= 1);
    CHECK(strided.intact());
  }
}

TEMPLATE_TEST_CASE("a constant slice gives exactly beta, and no gradient of gamma", "", float, double) {
  for (const double value : {0.0, 0.1, -3e30, 3e38, 1e-40})
    for (const double eps : {0.0, 1e-5})
      for (NormDims dims : std::vector<NormDims>{{2, 3, 1, 5}, {2, 3, 2, 100}, {1, 1, 1, 20000}, {2, 1, 50, 1}})
        for (NormLayout layout : {NormLayout::contiguous, kLast}) {
          dims.layout = layout;
          Run<TestType> run({.dims = dims, .mean = value, .spread = 0, .eps = eps});
          run.forward();
          run.backward();
          INFO(name(run.c) << " value " << value << " eps " << eps);
          for (index_t n = 0; n < dims.n; ++n)
            for (index_t c = 0; c < dims.channels(); ++c)
              for (index_t s = 0; s < dims.s; ++s)
                if (run.y[at(run.strides, n, c, s)] != run.beta[c]) FAIL("not beta");
          CHECK(std::all_of(run.dgamma.begin(), run.dgamma.end(), [](TestType v) { return v == 0; }));
          CHECK(std::all_of(run.dx.begin(), run.dx.end(), [&](TestType v) { return eps == 0 ? v == 0 : v == v; }));
        }
}

TEMPLATE_TEST_CASE("NaN and infinity stay in their slice", "", float, double) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (NormDims dims :
         std::vector<NormDims>{{3, 5, 1, 37}, {3, 4, 2, 10}, {2, 3, 1, 9000}, {4, 1, 70, 1}, {2, 17, 1, 5}})
      for (NormLayout layout : {NormLayout::contiguous, kLast}) {
        dims.layout = layout;
        Run<TestType> clean({dims}), dirty({dims});
        dirty.x[at(dirty.strides, 1, dims.d, dims.s / 2) - (dims.g == 1 ? dirty.strides.c * dims.d : 0)] =
            static_cast<TestType>(bad);
        for (auto* run : {&clean, &dirty}) {
          run->forward();
          run->backward(1);
        }
        const index_t bad_slice = slice_of(dims, 1, dims.g == 1 ? 0 : dims.d);
        for (index_t n = 0; n < dims.n; ++n)
          for (index_t c = 0; c < dims.channels(); ++c)
            for (index_t s = 0; s < dims.s; ++s) {
              const index_t i = at(clean.strides, n, c, s);
              const bool is_bad = slice_of(dims, n, c) == bad_slice;
              if (is_bad ? dirty.y[i] == dirty.y[i] : dirty.y[i] != clean.y[i] || dirty.dx[i] != clean.dx[i])
                FAIL(name(clean.c) << " at " << n << " " << c << " " << s);
            }
      }
}

TEMPLATE_TEST_CASE("norm is exact at the ends of float32's range and for a spread far below the mean", "", float,
                   double) {
  struct Range {
    double mean, spread, eps;
  };
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  for (const Range& r : {Range{0, 1e30, 1e-5},
                         {1e38, 7e37, 1e-5},
                         {-3e38, 1e37, 0},
                         {0, 1e-40, 0},
                         {0, 1e-40, 1e-5},
                         {1e7, 1, 1e-5},
                         {1e7, 1, 0},
                         {1e30, 1e23, 1e-5},
                         {1, 1e-7, 0},
                         {0, 3e-44, 0}})
    for (NormDims dims : std::vector<NormDims>{{2, 3, 1, 100}, {1, 2, 3, 9001}, {2, 1, 77, 1}})
      for (NormLayout layout : {NormLayout::contiguous, kLast}) {
        dims.layout = layout;
        Run<TestType> run({.dims = dims, .beta = false, .mean = r.mean, .spread = r.spread, .eps = r.eps});
        for (TestType& v : run.x) v = static_cast<TestType>(std::clamp(static_cast<double>(v), -3.4e38, 3.4e38));
        run.forward();
        run.backward(6);
        INFO(to_string(level) << " " << name(run.c) << " mean " << r.mean << " spread " << r.spread);
        const Reference want = reference(run);
        CHECK(forward_error(run, want) <= 1);
        for (index_t c = 0; c < dims.channels(); ++c) {
          const auto k = static_cast<std::size_t>(c);
          CHECK(one_gradient_error(run.dgamma[c], want.dgamma[k], want.dgamma_size[k]) <= 1);
        }
      }
}

TEST_CASE("float32 norm keeps its bound over random offsets, scales and affines") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform;
  const std::vector<NormDims> shapes = {{2, 19, 1, 16}, {1, 18, 1, 13}, {2, 3, 1, 100},
                                        {1, 5, 1, 700}, {1, 2, 3, 40},  {1, 2, 1, 9000}};
  for (int trial = 0; trial < 400; ++trial) {
    NormDims dims = shapes[static_cast<std::size_t>(trial) % shapes.size()];
    dims.layout = trial & 1 ? kLast : NormLayout::contiguous;
    Run<float> run = run_of_any_magnitude(dims, trial, random);
    for (float& v : run.gamma) v *= static_cast<float>(std::pow(10, 6 * uniform(random) - 3));
    run.forward();
    INFO(to_string(level) << " " << name(run.c) << " mean " << run.c.mean << " spread " << run.c.spread);
    CHECK(forward_error(run, reference(run)) <= 1);
  }
}

TEST_CASE("a float32 slice whose mean needs more than a double keeps the majority's digits") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  for (const NormLayout layout : {NormLayout::contiguous, kLast}) {
    Run<float> run({.dims = {1, 1, 1, 70001, layout}, .gamma = false, .beta = false, .mean = 1, .spread = 0, .eps = 0});
    run.x[12345] = 1 + 0x1p-23F;
    std::fill(run.dy.begin(), run.dy.end(), 1.0F);
    run.forward();
    run.backward();
    const Reference want = reference(run);
    INFO(to_string(level) << " " << name(run.c));
    CHECK(forward_error(run, want) <= 1);
    CHECK(backward_error(run, want) <= 1);
    CHECK(run.y[0] != 0);
  }
}

TEST_CASE("float64 statistics outlive squares beyond the range of double") {
  for (const double scale : {1e300, 1e160, 1e-160, 1e-290})
    for (const double offset : {0.0, 100.0})
      for (NormDims dims : std::vector<NormDims>{{2, 3, 1, 100}, {1, 2, 3, 9001}, {2, 1, 77, 1}})
        for (NormLayout layout : {NormLayout::contiguous, kLast}) {
          dims.layout = layout;
          Run<double> run({.dims = dims, .mean = offset * scale, .spread = scale, .eps = 0});
          run.forward();
          const Reference want = reference(run);
          INFO(name(run.c) << " scale " << scale);
          CHECK(forward_error(run, want) <= 1);
          run.backward();
          CHECK(backward_error(run, want) <= 1);
        }
}

TEMPLATE_TEST_CASE("given statistics are applied, and serve the sums of gradients", "", float, double) {
  for (const NormDims& shape : kShapes)
    for (NormLayout layout : {NormLayout::contiguous, kLast}) {
      NormDims dims = shape;
      dims.g *= dims.d;
      dims.d = 1;
      dims.layout = layout;
      dims.pooled = true;
      Run<TestType> run({dims});
      Guarded<TestType> mean(dims.g), var(dims.g);
      for (index_t c = 0; c < dims.g; ++c) {
        mean[c] = static_cast<TestType>(0.1 * static_cast<double>(c) - 1);
        var[c] = static_cast<TestType>(1 + 0.3 * static_cast<double>(c));
      }
      norm_fixed_stats(dims.g, mean.begin(), var.begin(), 1e-5, run.stats());
      run.forward(NormPass::apply);
      run.backward(6);
      INFO(name(run.c));
      bool good = true;
      std::vector<Real> dgamma(static_cast<std::size_t>(dims.g)), dbeta(dgamma);
      for (index_t n = 0; n < dims.n; ++n)
        for (index_t c = 0; c < dims.g; ++c)
          for (index_t s = 0; s < dims.s; ++s) {
            const index_t i = at(run.strides, n, c, s);
            const Real rstd = 1 / std::sqrt(static_cast<Real>(var[c]) + static_cast<Real>(1e-5));
            const Real xhat = (static_cast<Real>(run.x[i]) - static_cast<Real>(mean[c])) * rstd;
            const Real y = xhat * run.gamma[c] + run.beta[c];
            const Real size =
                std::max({std::fabs(y), std::fabs(xhat * run.gamma[c]), std::fabs(static_cast<Real>(run.beta[c]))});
            const Real ulps = sizeof(TestType) == 4 ? 2 : 5;
            good = good && std::fabs(run.y[i] - y) <= ulps * ulp<TestType>(size);
            dgamma[static_cast<std::size_t>(c)] += xhat * run.dy[i];
            dbeta[static_cast<std::size_t>(c)] += run.dy[i];
          }
      CHECK(good);
      for (index_t c = 0; c < dims.g; ++c) {
        const auto k = static_cast<std::size_t>(c);
        const Real size = 10 * static_cast<Real>(dims.n * dims.s);
        CHECK(one_gradient_error(run.dgamma[c], dgamma[k], size) <= 1);
        CHECK(one_gradient_error(run.dbeta[c], dbeta[k], size) <= 1);
      }
      CHECK(run.intact());
    }
}

}  // namespace test_kernels
