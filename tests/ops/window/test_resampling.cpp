// Resizing, sampling at points, windows as columns, and local_response_norm: PyTorch's numbers and plain formulas.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>

namespace test_resampling {

using namespace limpid;
using namespace plain;

constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last};
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

Tensor row(std::initializer_list<double> numbers) {
  return reshape(tensor(numbers, float64), {1, 1, static_cast<int64_t>(numbers.size())});
}
Tensor line(int64_t n) { return reshape(arange(n, float64), {1, 1, n}); }
const std::initializer_list<double> six = {1, 5, 2, 8, 3, 7};
Tensor image() { return reshape(tensor(six, float64), {1, 1, 2, 3}); }

bool close(const Tensor& a, std::initializer_list<double> numbers) {
  const Tensor b = tensor(numbers, float64);
  INFO(a << " for " << b);
  return a.numel() == b.numel() && allclose(reshape(a, {-1}), b, 1e-11, 1e-11);
}

using Mode = Interpolation;

TEST_CASE("interpolate along one axis gives PyTorch's numbers") {
  // By scale an element stands for 1 / scale of x, by size for in / out.
  CHECK(close(interpolate(line(5), {.scale_factor = 1.5, .mode = Mode::linear}),
              {0, 0.5, 7 / 6.0, 11 / 6.0, 2.5, 19 / 6.0, 23 / 6.0}));
  CHECK(close(interpolate(line(5), {.size = {7}, .mode = Mode::linear}),
              {0, 4 / 7.0, 9 / 7.0, 2, 19 / 7.0, 24 / 7.0, 4}));
  CHECK(close(interpolate(line(5), {.size = {7}, .mode = Mode::linear, .align_corners = true}),
              {0, 2 / 3.0, 4 / 3.0, 2, 8 / 3.0, 10 / 3.0, 4}));
  CHECK(close(interpolate(line(5), {.scale_factor = 0.6, .mode = Mode::linear}), {1 / 3.0, 2, 11 / 3.0}));
  CHECK(close(interpolate(line(5), {.size = {1}, .mode = Mode::linear}), {2}));
  // To or from one element, aligned corners mean the first.
  CHECK(close(interpolate(line(5), {.size = {1}, .mode = Mode::linear, .align_corners = true}), {0}));
  CHECK(close(interpolate(row({3}), {.size = {4}, .mode = Mode::linear, .align_corners = true}), {3, 3, 3, 3}));
  CHECK(close(interpolate(line(5), {.size = {8}}), {0, 0, 1, 1, 2, 3, 3, 4}));
  CHECK(close(interpolate(line(5), {.size = {3}}), {0, 1, 3}));
  CHECK(close(interpolate(line(5), {.size = {8}, .mode = Mode::nearest_exact}), {0, 0, 1, 2, 2, 3, 4, 4}));
  CHECK(close(interpolate(line(5), {.size = {3}, .mode = Mode::nearest_exact}), {0, 2, 4}));
  CHECK(close(interpolate(line(5), {.scale_factor = 1.5}), {0, 0, 1, 2, 2, 3, 4}));
  CHECK(close(interpolate(line(5), {.scale_factor = 1.5, .mode = Mode::nearest_exact}), {0, 1, 1, 2, 3, 3, 4}));
  CHECK(close(interpolate(line(5), {.size = {3}, .mode = Mode::area}), {0.5, 2, 3.5}));
  // A size that stays is not resampled.
  for (Mode mode : {Mode::nearest, Mode::nearest_exact, Mode::linear})
    CHECK(equal(interpolate(line(5), {.scale_factor = 1.1, .mode = mode}), line(5)));
  // Sizes are floor(in scale) in double.
  CHECK(interpolate(line(88), {.scale_factor = 120 / 88.0}).size(2) == 119);
  CHECK(interpolate(line(100), {.scale_factor = 0.29}).size(2) == 28);
  // Indices are exact where floats are not: 41 x 3 / 123 is 1.
  CHECK(interpolate(line(3), {.size = {123}}).index({0, 0, 41}).item<double>() == 1);
}

TEST_CASE("interpolate along two and three axes gives PyTorch's numbers") {
  const auto of = [](Mode mode, bool align) {
    return interpolate(image(), {.size = {3, 4}, .mode = mode, .align_corners = align});
  };
  CHECK(close(of(Mode::bilinear, false), {1, 3.5, 3.875, 2, 4.5, 4.1875, 4.1875, 4.5, 8, 4.875, 4.5, 7}));
  CHECK(close(of(Mode::bilinear, true), {1, 11 / 3.0, 4, 2, 4.5, 25 / 6.0, 25 / 6.0, 4.5, 8, 14 / 3.0, 13 / 3.0, 7}));
  CHECK(close(of(Mode::bicubic, false),
              {0.049175686306, 3.847027248806, 4.398876614041, 1.307025485569, 4.535888671875, 4.125244140625,
               4.125244140625, 4.535888671875, 9.022601657444, 4.403461032444, 3.851611667209, 7.764751858181}));
  CHECK(close(interpolate(image(), {.size = {3, 5}, .mode = Mode::bicubic, .align_corners = true}),
              {1, 3.28125, 5, 3.875, 2, 4.5, 4.203125, 4, 4.203125, 4.5, 8, 5.125, 3, 4.53125, 7}));
  CHECK(close(interpolate(image(), {.scale_factor = {2, 0.7}, .mode = Mode::bicubic}),
              {1.304378943263, 3.050817194903, 2.997236157298, 3.735238389441, 5.78547156865, 4.862520356915,
               7.478328782685, 5.546941551453}));
  const Tensor volume = reshape(square(arange(8, float64)), {1, 1, 2, 2, 2});
  CHECK(close(interpolate(volume, {.size = {3, 2, 3}, .mode = Mode::trilinear}),
              {0, 0.5, 1, 4, 6.5, 9, 8, 10.5, 13, 20, 24.5, 29, 16, 20.5, 25, 36, 42.5, 49}));
  const Tensor x = noise({2, 3, 7, 5}, float64);
  CHECK(allclose(interpolate(x, {.size = {3, 4}, .mode = Mode::area}), adaptive_avg_pool2d(x, {3, 4}), 1e-13, 1e-13));
}

TEST_CASE("interpolate keeps formats, bits for any number of threads, infinities apart and half precision") {
  for (MemoryFormat format : formats)
    for (Mode mode : {Mode::nearest, Mode::bilinear, Mode::bicubic, Mode::area}) {
      Tensor x = noise({2, 19, 33, 31}, float32, format).set_requires_grad();
      const InterpolateOptions options{.size = {50, 17}, .mode = mode};
      const Tensor y = interpolate(x, options);
      CHECK(y.is_contiguous(x.memory_format()));
      CHECK(allclose(y.detach().to(float64), interpolate(x.detach().to(float64), options), 1e-5, 1e-5));
      check_threads([&]() -> Tensors {
        const Tensor z = interpolate(x, options);
        return {z.detach(), grad({z}, {x}, {y.detach()})[0]};
      });
    }
  // A weight of 0 is no product: beside an infinity there is none where it has no part.
  CHECK(close(
      interpolate(row({inf, 1, 2}), {.size = {5}, .mode = Mode::linear, .align_corners = true}).index({0, 0, 2}), {1}));
  const Tensor half = ones({1, 1, 4096}, bfloat16).set_requires_grad();
  const Tensor mean = interpolate(half, {.size = {1}, .mode = Mode::area});
  CHECK(mean.item<float>() == 1);
  CHECK(grad({mean}, {half})[0].dtype() == bfloat16);
  CHECK(interpolate(zeros({0, 3, 4, 4}), {.size = {8, 8}}).shape() == Shape{0, 3, 8, 8});
}

TEST_CASE("interpolate by a scale divides by it") {
  // 49 (1 / 49) is below 1.
  const Tensor y = interpolate(line(2), {.scale_factor = 49});
  CHECK(values(y)[48] == 0);
  CHECK(values(y)[49] == 1);
  for (int64_t scale = 1; scale < 300; ++scale) {
    CAPTURE(scale);
    const auto by_scale = [&](Mode mode) {
      return interpolate(line(4), {.scale_factor = static_cast<double>(scale), .mode = mode});
    };
    const auto by_size = [&](Mode mode) { return interpolate(line(4), {.size = {4 * scale}, .mode = mode}); };
    CHECK(equal(by_scale(Mode::nearest), by_size(Mode::nearest)));
    CHECK(equal(by_scale(Mode::nearest_exact), by_size(Mode::nearest_exact)));
    CHECK(allclose(by_scale(Mode::linear), by_size(Mode::linear), 1e-14, 1e-14));
  }
}

TEST_CASE("interpolate of nothing makes no table of its rows") {
  for (Mode mode : {Mode::nearest, Mode::linear}) {
    Tensor none = zeros({0, 1, 1}).set_requires_grad();
    const Tensor y = interpolate(none, {.size = {2147483647}, .mode = mode});
    CHECK(y.shape() == Shape{0, 1, 2147483647});
    CHECK(grad({y.sum()}, {none})[0].shape() == Shape{0, 1, 1});
  }
  const Tensor none = zeros({2, 0, 3, 3}, float16).contiguous(MemoryFormat::channels_last);
  const Tensor y = interpolate(none, {.size = {1 << 30, 5}});
  CHECK(y.shape() == Shape{2, 0, 1 << 30, 5});
  CHECK(y.dtype() == float16);
  CHECK_FALSE(interpolate(none, {.size = {3, 3}}).is_same(none));
}

TEST_CASE("interpolate says what does not fit") {
  const Tensor x = zeros({1, 1, 4, 4});
  CHECK(thrown<ValueError>([&] { interpolate(x, {}); }) ==
        "interpolate: expected a size or a scale_factor, got neither");
  CHECK(thrown<ValueError>([&] { interpolate(x, {.size = {2}, .scale_factor = 2}); }) ==
        "interpolate: expected a size or a scale_factor, got both");
  CHECK(thrown<ValueError>([&] {
          interpolate(x, {.size = {2, 2, 2}});
        }) ==
        "interpolate: expected a size of one number or of one for each spatial axis, got (2, 2, 2) for x of shape "
        "(1, 1, 4, 4)");
  CHECK(thrown<ValueError>([&] {
          interpolate(x, {.size = {2, 0}});
        }) == "interpolate: expected sizes of at least 1 and below 2^31, got (2, 0)");
  CHECK(thrown<ValueError>([&] {
          interpolate(x, {.scale_factor = {1, 1, 1}});
        }) == "interpolate: expected scale_factor of one number or of two, got (1, 1, 1)");
  CHECK(thrown<ValueError>([&] { interpolate(x, {.scale_factor = not_a_number}); }) ==
        "interpolate: expected scale_factor in (0, inf), got nan");
  CHECK(thrown<ValueError>([&] { interpolate(x, {.scale_factor = 0.1}); }) ==
        "interpolate: expected a scale_factor that gives from 1 to 2^31 - 1 elements along each axis, got x of shape "
        "(1, 1, 4, 4) and scale_factor = 0.1");
  CHECK(thrown<ShapeError>([&] { interpolate(x, {.size = {2}, .mode = Mode::linear}); }) ==
        "interpolate: expected x of shape (N, C, L) in this mode, got (1, 1, 4, 4)");
  CHECK(thrown<ShapeError>([] {
          interpolate(zeros({4, 4}), {.size = {2}});
        }) == "interpolate: expected x of shape (N, C, *spatial) with one to three spatial axes, got (4, 4)");
  CHECK(thrown<ValueError>([&] { interpolate(x, {.size = {2}, .align_corners = true}); }) ==
        "interpolate: expected align_corners with a linear or cubic mode alone");
  CHECK(
      thrown<ValueError>([&] { interpolate(x, {.size = {2}, .mode = static_cast<Mode>(9)}); }) ==
      "interpolate: expected Interpolation::nearest, nearest_exact, linear, bilinear, trilinear, bicubic or area, got "
      "Interpolation(9)");
  CHECK(thrown<ShapeError>([] {
          interpolate(zeros({1, 1, 0}), {.size = {2}});
        }) == "interpolate: expected spatial axes of at least one element, got x of shape (1, 1, 0)");
  CHECK(thrown<DTypeError>([] {
          interpolate(zeros({1, 1, 4}, int64), {.size = {2}});
        }) == "interpolate: expected x of a floating-point dtype, got int64; convert with to()");
  CHECK(thrown<ValueError>([] { interpolate(Tensor(), {.size = {2}}); }) ==
        "interpolate: expected a defined x, got an undefined tensor");
}

TEST_CASE("grid_sample gives PyTorch's numbers") {
  const Tensor grid =
      reshape(tensor({-1, -1, 0.3, -0.2, 1.2, 0.4, 0.9, 1.1, -3, 2.5, 5.25, -4.125}, float64), {1, 2, 3, 2});
  const auto of = [&](Mode mode, GridPadding padding, bool align) {
    return grid_sample(image(), grid, {.mode = mode, .padding_mode = padding, .align_corners = align});
  };
  using enum GridPadding;
  CHECK(close(of(Mode::bilinear, zeros, false), {0.25, 3.995, 1.3, 1.82, 0, 0}));
  CHECK(close(of(Mode::bilinear, zeros, true), {1, 4.14, 4.4, 6.27, 0, 0}));
  CHECK(close(of(Mode::bilinear, border, false), {1, 3.995, 6.5, 7, 8, 2}));
  CHECK(close(of(Mode::bilinear, border, true), {1, 4.14, 5.5, 6.6, 8, 2}));
  CHECK(close(of(Mode::bilinear, reflection, false), {1, 3.995, 6.5, 7, 2, 3.875}));
  CHECK(close(of(Mode::bilinear, reflection, true), {1, 4.14, 5.12, 6.385, 3.25, 4.171875}));
  CHECK(close(of(Mode::nearest, zeros, false), {1, 5, 0, 0, 0, 0}));
  CHECK(close(of(Mode::nearest, zeros, true), {1, 5, 7, 7, 0, 0}));
  CHECK(close(of(Mode::nearest, border, false), {1, 5, 7, 7, 8, 2}));
  CHECK(close(of(Mode::nearest, reflection, true), {1, 5, 7, 7, 2, 2}));
  const Tensor volume = reshape(square(arange(8, float64)), {1, 1, 2, 2, 2});
  const Tensor points = reshape(tensor({-0.5, 0.25, 0.75, 0, 0, 0, 1, 1, -1}, float64), {1, 1, 1, 3, 3});
  CHECK(close(grid_sample(volume, points), {23.25, 17.5, 1.125}));
  CHECK(close(grid_sample(volume, points, {.align_corners = true}), {27.875, 17.5, 9}));
  CHECK(close(grid_sample(volume, points * 3, {.padding_mode = reflection}), {12, 17.5, 16}));
  CHECK(
      close(grid_sample(volume, points * 3, {.padding_mode = reflection, .align_corners = true}), {16.625, 17.5, 16}));
  // Half to even, which interpolate does not.
  CHECK(close(grid_sample(image(), reshape(tensor({-0.5, -1, 0.5, -1}, float64), {1, 1, 2, 2}),
                          {.mode = Mode::nearest, .align_corners = true}),
              {1, 2}));
}

TEST_CASE("grid_sample takes any point, be it far off or no number") {
  using enum GridPadding;
  const Tensor x = image();
  const auto at = [&](double px, double py, const GridSampleOptions& options) {
    Tensor grid = reshape(tensor({px, py}, float64), {1, 1, 1, 2}).set_requires_grad();
    Tensor leaf = x.clone().set_requires_grad();
    const Tensor y = grid_sample(leaf, grid, options);
    const Tensors d = grad({y}, {leaf, grid});
    if (!std::isnan(px)) CHECK(all(logical_not(isnan(d[1]))).item<bool>());
    return y.item<double>();
  };
  for (bool align : {false, true})
    for (Mode mode : {Mode::bilinear, Mode::nearest})
      for (double far : {inf, -inf, 1e38, -1e300, 3e18}) {
        CHECK(at(far, 0, {mode, zeros, align}) == 0);
        CHECK(at(far, -1, {mode, border, align}) == (far > 0 ? 2 : 1));
        const double reflected = at(far, -1, {mode, reflection, align});
        CHECK((reflected >= 1 && reflected <= 5));
        if (mode == Mode::bilinear) CHECK(std::isnan(at(not_a_number, 0, {mode, border, align})));
        if (mode == Mode::bilinear) CHECK(std::isnan(at(not_a_number, 0, {mode, zeros, align})));
      }
  // Beside a NaN others stay what they are.
  const Tensor two =
      grid_sample(x, reshape(tensor({not_a_number, 0, -1, -1}, float64), {1, 1, 2, 2}), {.align_corners = true});
  CHECK(values(two)[1] == 1);
  // On the last element its inner neighbours count, or nothing; never zeros beyond it.
  for (GridPadding padding : {border, reflection}) {
    Tensor grid = ones({1, 1, 1, 2}, float64).set_requires_grad();
    const Tensor y = grid_sample(x, grid, {.padding_mode = padding, .align_corners = true});
    CHECK(y.item<double>() == 7);
    const auto d = values(grad({y}, {grid})[0]);
    CHECK((d[0] == 0 || d[0] == 4));
    CHECK((d[1] == 0 || d[1] == 2.5));
  }
  // One element has no neighbour.
  Tensor grid = reshape(tensor({0.25, -0.5}, float64), {1, 1, 1, 2}).set_requires_grad();
  const Tensor y = grid_sample(full({1, 1, 1, 1}, 3, float64), grid, {.padding_mode = border});
  CHECK(y.item<double>() == 3);
  CHECK(values(grad({y}, {grid})[0]) == std::vector<double>{0, 0});
}

TEST_CASE("grid_sample of a NaN is NaN, wherever the point lies along other axes") {
  using enum GridPadding;
  for (GridPadding padding : {zeros, border, reflection})
    for (Mode mode : {Mode::bilinear, Mode::nearest})
      for (double other : {0.0, 2.0, -1.2, -5.0, inf, -inf}) {
        CAPTURE(static_cast<int>(padding), static_cast<int>(mode), other);
        const GridSampleOptions options{mode, padding};
        const Tensor plane = grid_sample(
            image(), reshape(tensor({other, not_a_number, not_a_number, other}, float64), {1, 1, 2, 2}), options);
        CHECK(all(isnan(plane)).item<bool>());
        const Tensor volume =
            grid_sample(reshape(image(), {1, 1, 1, 2, 3}),
                        reshape(tensor({other, not_a_number, other}, float64), {1, 1, 1, 1, 3}), options);
        CHECK(all(isnan(volume)).item<bool>());
      }
}

TEST_CASE("grid_sample of no samples or no channels has gradients") {
  for (const Shape& shape : {Shape{0, 2, 3, 4}, Shape{2, 0, 3, 4}, Shape{0, 2, 3, 4, 5}, Shape{2, 0, 3, 4, 5}})
    for (Mode mode : {Mode::bilinear, Mode::nearest}) {
      const bool is_plane = shape.dim() == 4;
      Tensor x = zeros(shape, float64).set_requires_grad();
      Tensor grid =
          zeros(is_plane ? Shape{shape[0], 2, 2, 2} : Shape{shape[0], 2, 2, 2, 3}, float64).set_requires_grad();
      const Tensors d = grad({grid_sample(x, grid, {.mode = mode}).sum()}, {x, grid});
      CHECK(d[0].shape() == shape);
      CHECK(equal(d[1], zeros_like(grid)));
    }
}

TEST_CASE("grid_sample keeps formats, and bits for any number of threads") {
  for (MemoryFormat format : formats)
    for (DType dtype : {float32, float64}) {
      Tensor x = noise({2, 70, 9, 8}, dtype, format).set_requires_grad();
      Tensor grid = (rand({2, 13, 11, 2}, dtype) * 2.4 - 1.2).set_requires_grad();
      const Tensor y = grid_sample(x, grid);
      CHECK(y.is_contiguous(format));
      CHECK(allclose(y.detach(), grid_sample(x.detach().contiguous(), grid.detach()), 1e-5, 1e-6));
      const Tensor dy = noise(y.shape(), dtype, format);
      check_threads([&]() -> Tensors {
        const Tensor z = grid_sample(x, grid);
        const Tensors d = grad({z}, {x, grid}, {dy});
        return {z.detach(), d[0], d[1]};
      });
    }
  const Tensor half = grid_sample(ones({1, 2, 3, 3}, float16), zeros({1, 2, 2, 2}, float16));
  CHECK(half.dtype() == float16);
  CHECK(grid_sample(zeros({0, 2, 3, 3}), zeros({0, 4, 5, 2})).shape() == Shape{0, 2, 4, 5});
}

TEST_CASE("affine_grid gives PyTorch's numbers") {
  const Tensor theta = reshape(tensor({1, 0.5, 0.25, 0, 2, -1}, float64), {1, 2, 3});
  CHECK(close(affine_grid(theta, {1, 1, 2, 3}), {-2 / 3.0, -2, 0, -2, 2 / 3.0, -2, -1 / 6.0, 0, 0.5, 0, 7 / 6.0, 0}));
  CHECK(close(affine_grid(theta, {1, 1, 2, 3}, true), {-1.25, -3, -0.25, -3, 0.75, -3, -0.25, 1, 0.75, 1, 1.75, 1}));
  CHECK(close(affine_grid(theta, {1, 1, 1, 2}, true), {-0.75, -1, 1.25, -1}));
  CHECK(close(affine_grid(reshape(arange(12, float64), {1, 3, 4}), {1, 1, 1, 2, 2}),
              {2.5, 2.5, 2.5, 2.5, 6.5, 10.5, 3.5, 7.5, 11.5, 3.5, 11.5, 19.5}));
  // The identity samples x where it is.
  const Tensor x = noise({2, 3, 4, 5}, float64);
  const Tensor identity = expand(reshape(tensor({1, 0, 0, 0, 1, 0}, float64), {1, 2, 3}), {2, 2, 3});
  for (bool align : {false, true})
    CHECK(allclose(grid_sample(x, affine_grid(identity, x.shape(), align), {.align_corners = align}), x, 1e-13, 1e-13));
}

TEST_CASE("grid_sample and affine_grid say what does not fit") {
  CHECK(thrown<ShapeError>([] {
          grid_sample(zeros({1, 2, 3}), zeros({1, 2, 2}));
        }) == "grid_sample: expected x of shape (N, C, H, W) or (N, C, D, H, W), got (1, 2, 3)");
  CHECK(thrown<ShapeError>([] {
          grid_sample(zeros({2, 2, 3, 3}), zeros({1, 2, 2, 2}));
        }) == "grid_sample: expected grid of shape (2, H, W, 2) for x of shape (2, 2, 3, 3), got (1, 2, 2, 2)");
  CHECK(thrown<ShapeError>([] {
          grid_sample(zeros({1, 2, 0, 3}), zeros({1, 2, 2, 2}));
        }) == "grid_sample: expected spatial axes of at least one element, got x of shape (1, 2, 0, 3)");
  CHECK(thrown<ValueError>([] {
          grid_sample(zeros({1, 1, 3, 3}), zeros({1, 2, 2, 2}), {.mode = Mode::area});
        }) == "grid_sample: expected Interpolation::bilinear or nearest, got Interpolation(6)");
  CHECK(thrown<ValueError>([] {
          grid_sample(zeros({1, 1, 3, 3}), zeros({1, 2, 2, 2}), {.padding_mode = static_cast<GridPadding>(5)});
        }) == "grid_sample: expected GridPadding::zeros, border or reflection, got GridPadding(5)");
  CHECK(thrown<DTypeError>([] {
          grid_sample(zeros({1, 1, 3, 3}), zeros({1, 2, 2, 2}, float64));
        }) == "grid_sample: expected x and grid of one dtype, got float32 and float64; convert with to()");
  CHECK(thrown<ValueError>([] {
          grid_sample(zeros({1, 1, 3, 3}), Tensor());
        }) == "grid_sample: expected a defined grid, got an undefined tensor");
  CHECK(thrown<ShapeError>([] {
          affine_grid(zeros({1, 2, 3}), {1, 1, 3});
        }) == "affine_grid: expected a size (N, C, H, W) or (N, C, D, H, W), got (1, 1, 3)");
  CHECK(thrown<ShapeError>([] {
          affine_grid(zeros({1, 2, 3}), {1, 1, 3, 0});
        }) == "affine_grid: expected sizes of at least 1, got (1, 1, 3, 0)");
  CHECK(thrown<ShapeError>([] {
          affine_grid(zeros({1, 2, 3}), {2, 1, 3, 3});
        }) == "affine_grid: expected theta of shape (2, 2, 3) for size (2, 1, 3, 3), got (1, 2, 3)");
}

TEST_CASE("unfold and fold are each other's transpose") {
  const Tensor x = reshape(arange(1, 10, 1, float64), {1, 1, 3, 3});
  CHECK(close(unfold(x, 2, {.dilation = {1, 2}, .padding = {0, 1}}),
              {0, 1, 2, 0, 4, 5, 2, 3, 0, 5, 6, 0, 0, 4, 5, 0, 7, 8, 5, 6, 0, 8, 9, 0}));
  CHECK(close(fold(unfold(x, 2), 3, 2), {1, 4, 3, 8, 20, 12, 7, 16, 9}));
  const FoldOptions options{.dilation = {2, 1}, .padding = {1, 0}, .stride = {1, 2}};
  const Tensor images = noise({2, 3, 7, 6}, float64), columns = unfold(images, {2, 3}, options);
  const Tensor other = noise(columns.shape(), float64);
  CHECK(plain::dot(columns, other) == Approx(plain::dot(images, fold(other, {7, 6}, {2, 3}, options))));
  // A convolution is a product with columns.
  const Tensor weight = noise({4, 3, 2, 3}, float64);
  const Tensor y = conv2d(images, weight, {}, {.stride = {1, 2}, .padding = {1, 0}, .dilation = {2, 1}});
  CHECK(allclose(reshape(matmul(reshape(weight, {4, 18}), columns), y.shape()), y, 1e-12, 1e-12));
  CHECK(equal(unfold(select(images, 0, 1), 2), select(unfold(images, 2), 0, 1)));
  CHECK(equal(fold(select(columns, 0, 1), {7, 6}, {2, 3}, options),
              select(fold(columns, {7, 6}, {2, 3}, options), 0, 1)));
  CHECK(unfold(images.to(bfloat16), 2).dtype() == bfloat16);
  check_threads([&]() -> Tensors { return {unfold(images, 3), fold(other, {7, 6}, {2, 3}, options)}; });
  CHECK(thrown<ShapeError>([] {
          unfold(zeros({3, 3}), 2);
        }) == "unfold: expected x of shape (N, C, H, W) or (C, H, W), got (3, 3)");
  CHECK(
      thrown<ShapeError>([] {
        unfold(zeros({1, 1, 3, 3}), 4);
      }) ==
      "unfold: expected a kernel that fits the padded plane, got height and width (3, 3), kernel = (4, 4), dilation = "
      "(1, 1) and padding = (0, 0)");
  CHECK(thrown<ShapeError>([] {
          fold(zeros({1, 6, 4}), 3, 2);
        }) == "fold: expected x of shape (N, C times 4, 4), got (1, 6, 4)");
  CHECK(thrown<ShapeError>([] {
          fold(zeros({6, 4}), 3, 2);
        }) == "fold: expected x of shape (C times 4, 4), got (6, 4)");
  CHECK(thrown<ValueError>([] {
          fold(zeros({1, 4, 4}), 3, 2, {.stride = 0});
        }) == "fold: expected stride of at least 1 and below 2^31, got (0, 0)");
  CHECK(thrown<ValueError>([] { unfold(Tensor(), 2); }) == "unfold: expected a defined x, got an undefined tensor");
}

TEST_CASE("unfold and fold of sizes beyond 64 bits") {
  CHECK(thrown<ShapeError>([] {
          unfold(ones({1, 17, 1, 1}), {2147470271, 1515880253}, {.padding = {1073735135, 757940126}});
        }) ==
        "unfold: expected columns of fewer than 2^63 elements, got x of shape (1, 17, 1, 1) and kernel = "
        "(2147470271, 1515880253)");
  CHECK(thrown<ShapeError>([] {
          unfold(ones({1, 16, 1, 1}), 1 << 30, {.padding = 1 << 29});
        }) ==
        "unfold: expected columns of fewer than 2^63 elements, got x of shape (1, 16, 1, 1) and kernel = "
        "(1073741824, 1073741824)");
  CHECK(thrown<ShapeError>([] {
          unfold(ones({1, 1, 1, 1}), 1, {.padding = 2147483647});
        }) ==
        "unfold: expected fewer than 2^63 windows, got height and width (1, 1), kernel = (1, 1), stride = (1, 1) and "
        "padding = (2147483647, 2147483647)");
  CHECK(thrown<ShapeError>([] {
          fold(ones({1, 1, 1}), 1, 1, {.padding = 2147483647});
        }) ==
        "fold: expected fewer than 2^63 windows, got height and width (1, 1), kernel = (1, 1), stride = (1, 1) and "
        "padding = (2147483647, 2147483647)");
}

TEST_CASE("local_response_norm divides alpha by the size, and reaches one more channel down than up") {
  const Tensor x = reshape(arange(1, 5, 1, float64), {1, 4, 1});
  const auto of = [&](int64_t size) { return local_response_norm(x, size, 1, 1, 1); };
  CHECK(close(of(1), {1 / 2.0, 2 / 5.0, 3 / 10.0, 4 / 17.0}));
  CHECK(close(of(2), {1 / 1.5, 2 / 3.5, 3 / 7.5, 4 / 13.5}));
  CHECK(close(of(3), {1 / (1 + 5 / 3.0), 2 / (1 + 14 / 3.0), 3 / (1 + 29 / 3.0), 4 / (1 + 25 / 3.0)}));
  CHECK(close(of(7), {7 / 37.0, 14 / 37.0, 21 / 37.0, 28 / 37.0}));  // more than there are channels
  CHECK(allclose(of(int64_t{1} << 40), x, 1e-9, 0));
  const Tensor image = noise({2, 5, 3, 4}, float32);
  CHECK(allclose(local_response_norm(image, 3), local_response_norm(image.to(float64), 3).to(float32), 1e-6, 1e-6));
  CHECK(
      local_response_norm(image.contiguous(MemoryFormat::channels_last), 3).is_contiguous(MemoryFormat::channels_last));
  CHECK(local_response_norm(zeros({0, 3, 4}), 2).shape() == Shape{0, 3, 4});
  CHECK(local_response_norm(image.to(float16), 2).dtype() == float16);
  CHECK(thrown<ShapeError>([] {
          local_response_norm(zeros({3, 4}), 2);
        }) == "local_response_norm: expected x of shape (N, C, *) with 3 axes or more, got (3, 4)");
  CHECK(thrown<ValueError>([&] { local_response_norm(x, 0); }) ==
        "local_response_norm: expected size in [1, inf), got 0");
  CHECK(thrown<ValueError>([&] { local_response_norm(x, 2, not_a_number); }) ==
        "local_response_norm: expected alpha in (-inf, inf), got nan");
  const std::string beyond = "local_response_norm: expected a number that float32 holds, got 1e+300";
  const Tensor narrow = x.to(float32);
  CHECK(thrown<ValueError>([&] { local_response_norm(narrow, 2, 1e300); }) == beyond);
  CHECK(thrown<ValueError>([&] { local_response_norm(narrow, 2, 1, 1e300); }) == beyond);
  CHECK(thrown<ValueError>([&] { local_response_norm(narrow.to(bfloat16), 2, 1, 1, 1e300); }) == beyond);
}

}  // namespace test_resampling
