#include <limpid/core/detail/array.hpp>
#include <limpid/nn/report/pictures.hpp>
#include <limpid/tests/core/io/file_tests.hpp>

namespace test_pictures {

using namespace limpid;
using report::image_grid;

TEST_CASE("images are laid out row by row, with gaps between and around") {
  // Three images of 1 x 2 pixels in two columns: 1 2 | 3 4 / 5 6 |
  const Tensor images = detail::make_view(tensor({1, 2, 3, 4, 5, 6}), {3, 1, 1, 2}, {2, 2, 2, 1}, 0);
  const Tensor grid = image_grid(images, {.columns = 2, .gap = 1, .background = 0.5});
  REQUIRE(grid.shape() == Shape{1, 5, 7});
  const double b = 0.5;
  CHECK(same_bits(grid, detail::make_view(tensor({b, b, b, b, b, b, b,  //
                                                  b, 1, 2, b, 3, 4, b,  //
                                                  b, b, b, b, b, b, b,  //
                                                  b, 5, 6, b, b, b, b,  //
                                                  b, b, b, b, b, b, b}),
                                          {1, 5, 7}, {35, 7, 1}, 0)));
  CHECK(same_bits(image_grid(images, {.columns = 1, .gap = 0}), detail::make_view(images, {1, 3, 2}, {6, 2, 1}, 0)));
  // No wider than there are images for.
  CHECK(image_grid(images, {.columns = 1000, .gap = 1}).shape() == Shape{1, 3, 10});
}

TEST_CASE("image grids keep channels and dtype, and take any strides") {
  const DType dtype = GENERATE(uint8, float32, float64, float16, bfloat16);
  const Tensor images = counting({4, 3, 2, 5}, dtype);
  const Tensor grid = image_grid(images, {.columns = 2, .gap = 0});
  CHECK(grid.dtype() == dtype);
  REQUIRE(grid.shape() == Shape{3, 4, 10});
  for (int64_t n = 0; n < 4; ++n)
    CHECK(same_bits(detail::make_view(grid, {3, 2, 5}, {40, 10, 1}, n / 2 * 20 + n % 2 * 5),
                    detail::make_view(images, {3, 2, 5}, {10, 5, 1}, n * 30)));
  // The same images, stored with channels last.
  const Tensor last = empty({4, 3, 2, 5}, dtype, MemoryFormat::channels_last);
  detail::copy_into(last, images);
  CHECK(same_bits(image_grid(last, {.columns = 2, .gap = 0}), grid));
  const Tensor white = image_grid(images);
  CHECK(detail::as_dtype(white, float64).data<double>()[0] == (dtype == uint8 ? 255 : 1));
}

TEST_CASE("what is no row of images is refused") {
  CHECK_THROWS_WITH(image_grid(Tensor{}), "image_grid: expected defined images, got an undefined tensor");
  for (const Shape& shape : {Shape{}, Shape{1, 2, 2}, Shape{0, 1, 2, 2}, Shape{1, 0, 2, 2}, Shape{1, 1, 2, 0}})
    CHECK_THAT(refusal<ShapeError>([&] { image_grid(zeros(shape)); }),
               StartsWith("image_grid: expected images of shape (N, C, H, W), none of them 0, got shape ("));
  CHECK_THROWS_WITH(image_grid(zeros({1, 1, 2, 2}, int64)),
                    "image_grid: expected uint8 or a floating-point dtype, got int64");
  CHECK_THROWS_WITH(image_grid(zeros({1, 1, 2, 2}), {.columns = 0}), "image_grid: expected at least 1 column, got 0");
  CHECK_THROWS_WITH(image_grid(zeros({1, 1, 2, 2}), {.gap = -1}), "image_grid: expected a gap of at least 0, got -1");
  CHECK_THAT(refusal<ShapeError>([&] {
               image_grid(zeros({2, 1, 2, 2}), {.gap = INT64_MAX / 2});
             }),
             ContainsSubstring("fewer than 2^63 pixels a side"));
  CHECK_THROWS_AS(image_grid(zeros({2, 1, 2, 2}), {.gap = int64_t{1} << 40}), ShapeError);
}

}  // namespace test_pictures
