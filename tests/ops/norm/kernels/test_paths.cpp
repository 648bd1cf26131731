// The paths a row may take by its length, its numbers' range and the output's size.
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/tests/ops/norm/kernels/reference.hpp>

#include <algorithm>
#include <array>
#include <numeric>

namespace test_paths {

using namespace limpid;
using namespace limpid::test;

/// Lengths around those at which a row takes another path: steps, chains, batches written beside the next, short rows,
/// blocks.
const std::vector<index_t> kThresholds = {79,  80,  81,  127, 128, 129, 255, 256,  257,  511,
                                          512, 513, 527, 528, 529, 700, 777, 8191, 8192, 8193};

std::vector<index_t> lengths(index_t most) {
  std::vector<index_t> out(static_cast<std::size_t>(most));
  std::iota(out.begin(), out.end(), index_t{1});
  out.insert(out.end(), kThresholds.begin(), kThresholds.end());
  return out;
}

TEMPLATE_TEST_CASE("an output that is written past the caches has the bits of its parts", "", float, double) {
  const WithLastCache with(index_t{14} << 20);
  const index_t elements = last_cache() / 4 / static_cast<index_t>(sizeof(TestType));
  for (const NormDims& part :
       std::vector<NormDims>{{1, 5, 1, 3000}, {1, 3, 1, 7}, {1, 2, 3, 101}, {1, 3, 1, 90001}, {1, 1, 3001, 1}}) {
    NormDims dims = part;
    dims.n = elements / part.size() + 1;
    Run<TestType> whole({dims}), one({part});
    REQUIRE(norm_streams(dims.size() * static_cast<index_t>(sizeof(TestType))));
    REQUIRE_FALSE(norm_streams(part.size() * static_cast<index_t>(sizeof(TestType))));
    whole.forward();
    whole.backward();
    whole.push();
    for (const index_t n : {index_t{0}, dims.n / 2, dims.n - 1}) {
      const auto share = [&](auto& from, auto& to) {
        std::copy_n(from.begin() + n * part.size(), part.size(), to.begin());
      };
      share(whole.x, one.x);
      share(whole.dy, one.dy);
      one.gamma = whole.gamma;
      one.beta = whole.beta;
      one.slope = whole.slope;
      one.offset = whole.offset;
      one.forward();
      one.backward();
      one.push();
      INFO(name(whole.c) << " sample " << n);
      CHECK(std::equal(one.y.begin(), one.y.end(), whole.y.begin() + n * part.size()));
      CHECK(std::equal(one.dx.begin(), one.dx.end(), whole.dx.begin() + n * part.size()));
      CHECK(std::equal(one.tangent.begin(), one.tangent.end(), whole.tangent.begin() + n * part.size()));
    }
    CHECK(whole.intact());
  }
}

TEST_CASE("float32 gradients keep their bound at every magnitude of x and dy") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  std::mt19937 random(11);
  const std::vector<NormDims> shapes = {{2, 19, 1, 16}, {1, 18, 1, 13},  {2, 3, 1, 100}, {1, 5, 1, 700},
                                        {1, 2, 3, 40},  {1, 2, 1, 9000}, {2, 1, 77, 1}};
  for (int trial = 0; trial < 350; ++trial) {
    if (test::is_thinned_out(trial, 5)) continue;
    const NormDims dims = shapes[static_cast<std::size_t>(trial) % shapes.size()];
    const Run<float> run = passes_of_any_magnitude(dims, trial, random);
    const Reference want = reference(run);
    INFO(to_string(level) << " " << name(run.c) << " trial " << trial << " mean " << run.c.mean << " spread "
                          << run.c.spread);
    CHECK(backward_error(run, want) <= 1);
    CHECK(tangent_error(run, want) <= 1);
  }
}

TEMPLATE_TEST_CASE("norm agrees with long double for rows of every short length and around every threshold", "", float,
                   double) {
  int number = 0;
  for (const index_t s : lengths(70))
    for (const auto& [n, g, d] : std::vector<std::array<index_t, 3>>{{1, 3, 1}, {3, 17, 1}, {2, 19, 2}, {37, 1, 1}})
      for (const bool center : {true, false})
        for (const double mean : {0.5, 1e6}) {
          if (s > 70 && (mean > 1 || !center || n * g * s > 20000)) continue;
          if (test::is_thinned_out(number++, 5)) continue;
          NormDims dims = {n, g, d, s};
          dims.center = center;
          check_at_every_level(Run<TestType>({.dims = dims, .gamma = s % 3 != 1, .beta = s % 3 != 2, .mean = mean}));
        }
}

TEMPLATE_TEST_CASE("rows have the same bits in any company and for AVX2 and AVX-512", "", float, double) {
  if (best_isa() == Isa::baseline) return left_out("this machine has no fused multiply-add");
  for (const index_t s : lengths(66))
    for (const index_t channels : {index_t{1}, index_t{5}, index_t{16}, index_t{35}}) {
      if (s > 1000 && channels > 5) continue;
      std::vector<Run<TestType>> runs;
      for (const Isa level : isa_levels()) {
        if (level == Isa::baseline) continue;
        const WithIsa with(level);
        runs.emplace_back(Case{{2, channels, 1, s}});
        runs.back().forward();
        runs.back().backward();
        runs.back().push();
      }
      for (const auto& run : runs) CHECK(run.same_bits(runs.front()));

      const WithIsa with(best_isa());
      for (index_t c = 0; c < channels; ++c) {
        Run<TestType> alone(Case{{1, 1, 1, s}});
        const index_t at = (channels + c) * s;
        std::copy_n(runs[0].x.begin() + at, s, alone.x.begin());
        std::copy_n(runs[0].dy.begin() + at, s, alone.dy.begin());
        alone.gamma[0] = runs[0].gamma[c];
        alone.beta[0] = runs[0].beta[c];
        alone.slope[0] = runs[0].slope[c];
        alone.offset[0] = runs[0].offset[c];
        alone.forward();
        alone.backward();
        alone.push();
        INFO(name(runs[0].c) << " channel " << c);
        CHECK(std::equal(alone.y.begin(), alone.y.end(), runs[0].y.begin() + at));
        CHECK(std::equal(alone.dx.begin(), alone.dx.end(), runs[0].dx.begin() + at));
        CHECK(std::equal(alone.tangent.begin(), alone.tangent.end(), runs[0].tangent.begin() + at));
        CHECK(alone.mean[0] == runs[0].mean[channels + c]);
        CHECK(alone.rstd[0] == runs[0].rstd[channels + c]);
      }
    }
}

TEMPLATE_TEST_CASE("slices near and far from zero are exact, with the same bits from strided x", "", float, double) {
  constexpr index_t kChannels = 41;
  for (const index_t s : {index_t{3}, index_t{16}, index_t{50}, index_t{600}, index_t{9000}}) {
    // Means of 0 to 10 spreads: moments about zero do up to 2.
    Run<TestType> run(Case{.dims = {1, kChannels, 1, s}, .mean = 0}), strided(run.c);
    Guarded<TestType> x(2 * kChannels * s);
    for (index_t c = 0; c < kChannels; ++c)
      for (index_t i = c * s; i < (c + 1) * s; ++i) {
        run.x[i] += static_cast<TestType>((c % 2 ? -0.25 : 0.25) * static_cast<double>(c));
        x[2 * i] = run.x[i];
      }
    strided.x = x;
    strided.x_strides = {2 * kChannels * s, 2 * s, 2};
    for (auto* each : {&run, &strided}) {
      each->forward();
      each->backward();
      each->push();
    }
    const Reference want = reference(run);
    INFO(name(run.c));
    CHECK(forward_error(run, want) <= 1);
    CHECK(backward_error(run, want) <= 1);
    CHECK(strided.same_bits(run));
  }
}

TEMPLATE_TEST_CASE("rows of any length read strided x with the bits of a dense copy", "", float, double) {
  for (const index_t s : lengths(66))
    for (const bool channel_rows : {false, true}) {
      const NormDims dims = channel_rows ? NormDims{3, 2, s, 1} : NormDims{3, 7, 1, s};
      const NormStrides view = channel_rows ? NormStrides{2 * 2 * s, 2, 1} : NormStrides{2 * 7 * s, 2 * s, 2};
      Run<TestType> strided({dims}), dense({dims});
      Guarded<TestType> x(2 * dims.size());
      for (index_t i = 0; i < x.size(); ++i) x[i] = static_cast<TestType>(std::sin(static_cast<double>(i) * 1.7));
      strided.x = x;
      strided.x_strides = view;
      for (index_t n = 0; n < dims.n; ++n)
        for (index_t c = 0; c < dims.channels(); ++c)
          for (index_t i = 0; i < dims.s; ++i) dense.x[at(dense.strides, n, c, i)] = x[at(view, n, c, i)];
      for (auto* run : {&strided, &dense}) {
        run->forward();
        run->backward();
        run->push();
      }
      INFO(name(dense.c));
      CHECK(strided.same_bits(dense));
    }
}

}  // namespace test_paths
