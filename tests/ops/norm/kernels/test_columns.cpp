// The paths channels-last takes by its width, its numbers' range and the output's size.
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/tests/ops/norm/kernels/reference.hpp>

namespace test_columns {

using namespace limpid;
using namespace limpid::test;

constexpr auto kLast = NormLayout::channels_last;

/// Channels that fold, fill one tile, several, and leave every remainder of steps.
const std::vector<index_t> kWidths = {1,  2,  3,  5,  8,  15, 16,  17,  24,  31,  32,  33,  40, 48,
                                      49, 63, 64, 65, 80, 96, 112, 127, 128, 129, 144, 200, 272};

TEMPLATE_TEST_CASE("norm of columns agrees with long double and between AVX2 and AVX-512 for every width", "", float,
                   double) {
  int number = 0;
  for (const index_t channels : kWidths)
    for (const index_t s : {1, 2, 3, 4, 5, 15, 16, 17, 33, 70})
      for (const index_t d : {index_t{1}, channels % 4 == 0 ? channels / 4 : channels}) {
        if (test::is_thinned_out(number++, 5)) continue;
        const bool center = (channels + s) % 3 != 0;
        const auto runs = check_at_every_level(
            Run<TestType>({.dims = {2, channels / d, d, s, kLast, center}, .gamma = s % 3 != 1, .beta = s % 3 != 2}));
        for (const auto& run : runs) CHECK(run.same_bits(runs.front()));
      }
}

TEMPLATE_TEST_CASE("columns of several blocks agree with long double and between AVX2 and AVX-512", "", float, double) {
  for (NormDims dims : std::vector<NormDims>{
           {1, 1, 1, 16401}, {1, 3, 1, 11000}, {1, 20, 1, 1700}, {1, 64, 1, 1030}, {1, 2, 40, 900}, {1, 520, 1, 130}}) {
    dims.layout = kLast;
    const auto runs = check_at_every_level(Run<TestType>({dims}));
    for (const auto& run : runs) CHECK(run.same_bits(runs.front()));
  }
}

TEMPLATE_TEST_CASE("columns written past the caches have the bits of their parts", "", float, double) {
  const WithLastCache with(index_t{40} << 20);
  const index_t elements = last_cache() / 4 / static_cast<index_t>(sizeof(TestType));
  for (NormDims part : std::vector<NormDims>{{1, 3, 1, 160}, {1, 64, 1, 513}, {1, 4, 12, 77}, {1, 80, 1, 9000}}) {
    part.layout = kLast;
    NormDims dims = part;
    dims.n = elements / part.size() + 1;
    Run<TestType> whole({dims}), one({part});
    // Streams need aligned rows: y and dx as an allocator gives them.
    whole.y = whole.dx = Guarded<TestType>(dims.size(), TestType{}, 0);
    REQUIRE(norm_streams(dims.size() * static_cast<index_t>(sizeof(TestType))));
    whole.forward();
    whole.backward();
    for (const index_t n : {index_t{0}, dims.n / 2, dims.n - 1}) {
      const auto share = [&](auto& from, auto& to) {
        std::copy_n(from.begin() + n * part.size(), part.size(), to.begin());
      };
      share(whole.x, one.x);
      share(whole.dy, one.dy);
      one.gamma = whole.gamma;
      one.beta = whole.beta;
      one.forward();
      one.backward();
      INFO(name(whole.c) << " sample " << n);
      CHECK(std::equal(one.y.begin(), one.y.end(), whole.y.begin() + n * part.size()));
      CHECK(std::equal(one.dx.begin(), one.dx.end(), whole.dx.begin() + n * part.size()));
    }
    CHECK(whole.intact());
  }
}

TEST_CASE("short float32 samples have the same bits at once as in phases") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  for (NormDims part : std::vector<NormDims>{{1, 1024, 1, 16}, {1, 272, 1, 64}, {1, 130, 1, 128}, {1, 64, 1, 257}}) {
    part.layout = kLast;
    part.center = part.g != 130;
    NormDims dims = part;
    dims.n = 5;  // one sample alone is large enough for phases
    Run<float> whole({.dims = dims, .mean = 3, .eps = 0}), one({.dims = part, .mean = 3, .eps = 0});
    for (index_t s = 0; s < dims.n * dims.s; ++s) {  // columns that doubles do, zeros and a NaN
      for (const index_t c : {7, 8, 40}) whole.x[s * part.g + c] *= c == 7 ? 1e-37F : c == 8 ? 1e36F : 0;
      whole.dy[s * part.g + 20] *= 1e37F;
    }
    whole.x[3 * part.size() + 5] = std::numeric_limits<float>::quiet_NaN();
    whole.forward();
    whole.backward();
    whole.push();
    for (index_t n = 0; n < dims.n; ++n) {
      std::copy_n(whole.x.begin() + n * part.size(), part.size(), one.x.begin());
      std::copy_n(whole.dy.begin() + n * part.size(), part.size(), one.dy.begin());
      one.gamma = whole.gamma;
      one.beta = whole.beta;
      one.slope = whole.slope;
      one.offset = whole.offset;
      one.forward();
      one.backward();
      one.push();
      INFO(to_string(level) << " " << name(whole.c) << " sample " << n);
      const auto size = static_cast<std::size_t>(part.size()) * sizeof(float);
      CHECK(std::memcmp(&one.y[0], &whole.y[n * part.size()], size) == 0);
      CHECK(std::memcmp(&one.dx[0], &whole.dx[n * part.size()], size) == 0);
      CHECK(std::memcmp(&one.tangent[0], &whole.tangent[n * part.size()], size) == 0);
    }
    CHECK(whole.intact());
  }
}

TEST_CASE("float32 columns keep their bounds at every magnitude of x and dy") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  std::mt19937 random(13);
  const std::vector<NormDims> shapes = {{2, 19, 1, 16}, {1, 18, 1, 13}, {2, 3, 1, 100},
                                        {1, 70, 1, 70}, {1, 2, 3, 40},  {1, 2, 1, 9000}};
  for (int trial = 0; trial < 300; ++trial) {
    if (test::is_thinned_out(trial, 5)) continue;
    NormDims dims = shapes[static_cast<std::size_t>(trial) % shapes.size()];
    dims.layout = kLast;
    const Run<float> run = passes_of_any_magnitude(dims, trial, random);
    const Reference want = reference(run);
    INFO(to_string(level) << " " << name(run.c) << " trial " << trial << " mean " << run.c.mean << " spread "
                          << run.c.spread);
    CHECK(forward_error(run, want) <= 1);
    CHECK(backward_error(run, want) <= 1);
    CHECK(tangent_error(run, want) <= 1);
  }
}

TEST_CASE("a column that float32 arithmetic does not suit leaves its neighbours' bits alone") {
  const Isa level = GENERATE(from_range(isa_levels()));
  const WithIsa with(level);
  for (const float scale : {1e-37F, 1e-30F, 1e31F, 1e37F})
    for (const float dy_scale : {1.0F, 1e-33F, 1e36F})
      for (const index_t channels : {3, 64, 70}) {
        const NormDims dims = {1, channels, 1, 101, kLast};
        Run<float> clean({.dims = dims, .eps = 0}), hard(clean);
        const index_t column = channels / 2;
        for (index_t s = 0; s < dims.s; ++s) {
          hard.x[s * channels + column] *= scale;
          hard.dy[s * channels + column] *= dy_scale;
        }
        for (auto* run : {&clean, &hard}) {
          run->forward();
          run->backward();
        }
        INFO(to_string(level) << " " << name(hard.c) << " scale " << scale << " dy " << dy_scale);
        const Reference want = reference(hard);
        CHECK(forward_error(hard, want) <= 1);
        CHECK(backward_error(hard, want) <= 1);
        bool same = true;
        for (index_t i = 0; i < dims.size(); ++i)
          if (i % channels != column) same = same && hard.y[i] == clean.y[i] && hard.dx[i] == clean.dx[i];
        for (index_t c = 0; c < channels; ++c)
          if (c != column) same = same && hard.dgamma[c] == clean.dgamma[c] && hard.dbeta[c] == clean.dbeta[c];
        CHECK(same);
      }
}

TEMPLATE_TEST_CASE("columns keep their bounds when their first element is far from all others", "", float, double) {
  for (const double far : {1e3, 1e6, -1e7})
    for (NormDims dims : std::vector<NormDims>{{1, 1, 1, 16384}, {1, 3, 1, 5000}, {1, 64, 1, 512}, {1, 16, 1, 2048}}) {
      dims.layout = kLast;
      Run<TestType> run({dims});
      for (index_t c = 0; c < dims.g; ++c) run.x[c] = static_cast<TestType>(far);
      run.forward();
      run.backward();
      INFO(name(run.c) << " far " << far);
      const Reference want = reference(run);
      CHECK(forward_error(run, want) <= 1);
      CHECK(backward_error(run, want) <= 1);
    }
}

TEMPLATE_TEST_CASE("a large constant column gives beta and a zero gradient", "", float, double) {
  for (const double value : {3e38, -3e38, 1e-44})
    for (const double eps : {0.0, 1e-5}) {
      const NormDims dims = {2, 20, 1, 50, kLast};
      Run<TestType> run({.dims = dims, .mean = value, .spread = 0, .eps = eps});
      run.forward();
      run.backward();
      const Reference want = reference(run);
      INFO(name(run.c) << " value " << value << " eps " << eps);
      CHECK(forward_error(run, want) <= 0);
      CHECK(backward_error(run, want) <= 1);
    }
}

}  // namespace test_columns
