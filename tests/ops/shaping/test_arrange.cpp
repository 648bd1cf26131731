// Repeating, rolling, cutting and arranging, against loops over indices.
#include <limpid/limpid.hpp>

#include <string>

#include <functional>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_arrange {

using namespace limpid;

Tensor integers(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}
Tensor grid(const Shape& shape) { return reshape(arange(shape.numel()), shape); }

// A matrix of f(row, column).
Tensor matrix(int64_t rows, int64_t columns, const std::function<int64_t(int64_t, int64_t)>& f) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) values.push_back(f(i, j));
  return from_vector(values, {rows, columns});
}

TEST_CASE("axes move, split and are cut by length") {
  const Tensor x = grid({2, 3, 4});
  CHECK(equal(movedim(x, 0, -1), permute(x, {1, 2, 0})));
  CHECK(equal(movedim(x, 2, 0), permute(x, {2, 0, 1})));
  CHECK(equal(unflatten(x, -1, {2, -1}), reshape(x, {2, 3, 2, 2})));
  CHECK(equal(unflatten(x, 1, {3, 1}), reshape(x, {2, 3, 1, 4})));
  CHECK_THROWS_WITH(
      unflatten(x, 1, {2, -1}),
      "unflatten: expected sizes that make 3, one of them -1 at most, got (2, -1) for axis 1 of x of shape "
      "(2, 3, 4)");
  CHECK_THROWS_AS(unflatten(x, 1, {-1, -1}), ShapeError);
  CHECK(equal(narrow(x, 2, 1, 2), slice(x, 2, 1, 3)));
  CHECK(equal(narrow(x, 2, -3, 0), slice(x, 2, 1, 1)));
  CHECK_THROWS_WITH(narrow(x, 1, 1, 3), "narrow: expected a start and a length within the size 3, got 1 and 3");
  CHECK_THROWS_AS(narrow(x, 1, -4, 1), ValueError);
  CHECK_THROWS_AS(narrow(x, 1, 1, INT64_MAX), ValueError);
  const Tensors rows = unbind(x, 1), pieces = chunk(x, 3, 2);
  REQUIRE(rows.size() == 3);
  CHECK(equal(rows[1], select(x, 1, 1)));
  REQUIRE(pieces.size() == 2);  // of sizes 2 and 2, for 3 pieces of one size there are not
  CHECK(pieces[1].shape() == Shape{2, 3, 2});
  CHECK_THROWS_AS(chunk(x, 0), ValueError);
}

TEST_CASE("repeats lie side by side, or in a row") {
  const Tensor x = grid({2, 3});
  CHECK(equal(repeat(x, {2, 1}), cat({x, x}, 0)));
  CHECK(equal(repeat(x, {1, 2}), cat({x, x}, 1)));
  CHECK(equal(repeat(integers({1, 2}), {2, 2}), stack({integers({1, 2, 1, 2}), integers({1, 2, 1, 2})})));
  CHECK(repeat(x, {0, 1}).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(repeat(x, {2}),
                    "repeat: expected a count of at least 0 for each axis of x of shape (2, 3), got (2,)");
  CHECK(equal(repeat_interleave(x, 2, 1), reshape(integers({0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}), {2, 6})));
  CHECK(repeat_interleave(x, 0, 0).shape() == Shape{0, 3});
  CHECK_THROWS_AS(repeat_interleave(x, -1, 0), ValueError);
}

TEST_CASE("repeats can be written to, and leave what was repeated as it is") {
  const Tensor x = grid({1, 3}), kept = x.clone();
  const auto check = [&](Tensor y) {
    CAPTURE(y.shape());
    const Tensor before = y.clone();
    y += 10;
    CHECK(equal(y, before + 10));
    CHECK(equal(x, kept));
  };
  check(repeat(x, {1, 1}));
  check(repeat(x, {2, 1}));
  check(repeat(x, {4, 1, 1}));
  check(repeat(select(x, 1, 2), {4}));
  check(repeat_interleave(x, 1, 1));
  check(repeat_interleave(x, 4, 0));
  check(diff(x, 0));
  Tensor learned = ones({1, 2}, float64).set_requires_grad();
  Tensor state = repeat(learned, {3, 1});
  state.mul_(2);
  sum(state).backward();
  CHECK(equal(learned.grad(), full({1, 2}, 6, float64)));
}

TEST_CASE("what rolls out at one end comes in at the other") {
  const Tensor x = integers({0, 1, 2, 3, 4});
  CHECK(equal(roll(x, 2, 0), integers({3, 4, 0, 1, 2})));
  CHECK(equal(roll(x, -1, 0), integers({1, 2, 3, 4, 0})));
  CHECK(equal(roll(x, 12, 0), roll(x, 2, 0)));
  CHECK(equal(roll(x, 0, 0), x));
  CHECK(equal(roll(grid({2, 3}), 1), reshape(integers({5, 0, 1, 2, 3, 4}), {2, 3})));
  CHECK(roll(zeros({2, 0}), 3, 1).shape() == Shape{2, 0});
}

TEST_CASE("diagonals and triangles are those of their indices") {
  for (const Shape& sizes : {Shape{3, 4}, Shape{4, 3}, Shape{1, 5}, Shape{3, 3}}) {
    const int64_t rows = sizes[0], columns = sizes[1];
    const Tensor x = grid(sizes) + 1;
    for (int64_t k = -5; k <= 5; ++k) {
      CAPTURE(rows, columns, k);
      const auto at = [&](int64_t i, int64_t j) { return i * columns + j + 1; };
      CHECK(equal(tril(x, k), matrix(rows, columns, [&](int64_t i, int64_t j) { return j - i <= k ? at(i, j) : 0; })));
      CHECK(equal(triu(x, k), matrix(rows, columns, [&](int64_t i, int64_t j) { return j - i >= k ? at(i, j) : 0; })));
      std::vector<int64_t> values;
      for (int64_t i = 0; i < rows; ++i)
        if (i + k >= 0 && i + k < columns) values.push_back(at(i, i + k));
      CHECK(equal(diagonal(x, k), integers(values)));
      CHECK(equal(diagonal(transpose(x, 0, 1), -k), integers(values)));
    }
  }
  for (int64_t k = -2; k <= 2; ++k) {
    const Tensor x = integers({7, 8, 9}), y = diag(x, k);
    CHECK(y.shape() == Shape{3 + std::abs(k), 3 + std::abs(k)});
    CHECK(equal(diag(y, k), x));
    CHECK(sum(y).item<int64_t>() == 24);
  }
  CHECK(diag(zeros({0}), 2).shape() == Shape{2, 2});
  CHECK(diagonal(grid({2, 3, 4}), 0, 0, 2).shape() == Shape{3, 2});
  CHECK_THROWS_AS(diagonal(grid({2, 3}), 0, 1, -1), ShapeError);
  for (const DType dtype : {bool_, uint8, int32, int64, float16, bfloat16, float32, float64}) {
    CAPTURE(dtype);
    CHECK(equal(tril(ones({2, 2}, dtype)), tensor({{1, 0}, {1, 1}}, int64).to(dtype)));
    CHECK(equal(triu(ones({2, 2}, dtype)), tensor({{1, 1}, {0, 1}}, int64).to(dtype)));
  }
  CHECK_THROWS_WITH(tril(zeros({3})), "tril: expected at least 2 axes, got x of shape (3,)");
}

TEST_CASE("grids and classes") {
  const Tensors grids = meshgrid({integers({1, 2}), integers({3, 4, 5})});
  CHECK(equal(grids[0], reshape(integers({1, 1, 1, 2, 2, 2}), {2, 3})));
  CHECK(equal(grids[1], reshape(integers({3, 4, 5, 3, 4, 5}), {2, 3})));
  CHECK(equal(one_hot(integers({1, 0}), 3), reshape(integers({0, 1, 0, 1, 0, 0}), {2, 3})));
  CHECK(one_hot(integers({4})).shape() == Shape{1, 5});
  CHECK(one_hot(zeros({0}, int64), 3).shape() == Shape{0, 3});
  CHECK_THROWS_WITH(one_hot(integers({1, 3}), 3), "one_hot: expected numbers in [0, 3), got 3");
  CHECK_THROWS_WITH(one_hot(integers({-1}), 3), "one_hot: expected numbers in [0, 3), got -1");
  CHECK_THROWS_WITH(one_hot(integers({-1})), "one_hot: expected numbers of at least 0, got -1");
  CHECK_THROWS_WITH(one_hot(integers({INT64_MAX})),
                    "one_hot: expected numbers in [0, 72057594037927937), got 9223372036854775807");
  CHECK_THROWS_AS(one_hot(zeros({2})), DTypeError);
  for (const int64_t offset : {INT64_MIN, INT64_MAX})
    CHECK_THROWS_WITH(
        diag(integers({1, 2}), offset),
        "diag: expected offset in [-72057594037927936, 72057594037927936], got " + std::to_string(offset));
}

TEST_CASE("masks fill, choose and tell where") {
  const Tensor x = grid({2, 3}), mask = x > 3;
  CHECK(equal(masked_fill(x, mask, -1), reshape(integers({0, 1, 2, 3, -1, -1}), {2, 3})));
  CHECK(masked_fill(x.to(float32), mask, 0.5).dtype() == float32);
  CHECK_THROWS_AS(masked_fill(x, x, 1), DTypeError);
  // What whole numbers cannot be is no fill value, as for masked_fill_() and scatter().
  CHECK_THROWS_WITH(masked_fill(x, mask, 1.5), "masked_fill: expected a whole number for int64, got 1.5");
  CHECK_THROWS_WITH(masked_fill(x, mask, 1e300), "masked_fill: expected a number that int64 holds, got 1e+300");
  CHECK_THROWS_WITH(ones({2}).add_(1e300), "add_: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(index_add(ones({2}), 0, integers({0}), ones({1}), 1e300),
                    "index_add: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(ones({2}).index_put_({0}, 1e300), "index_put_: expected a number that float32 holds, got 1e+300");
  CHECK_THROWS_WITH(pad(x, {1, 0}, PadMode::constant, 0.5), "pad: expected a whole number for int64, got 0.5");
  CHECK(equal(masked_select(x, mask), integers({4, 5})));
  CHECK(equal(masked_select(x, integers({1, 0, 1}) == 1), integers({0, 2, 3, 5})));
  CHECK(masked_select(x, x > 9).shape() == Shape{0});
  CHECK(equal(nonzero(mask), reshape(integers({1, 1, 1, 2}), {2, 2})));
  CHECK(nonzero(zeros({2, 3})).shape() == Shape{0, 2});
  CHECK(nonzero(ones({})).shape() == Shape{1, 0});
  CHECK(equal(take_along_axis(x, reshape(integers({2, 0}), {2, 1}), 1), reshape(integers({2, 3}), {2, 1})));
  CHECK(equal(take_along_axis(x, reshape(integers({1}), {1, 1}), 0), reshape(integers({3, 4, 5}), {1, 3})));
  CHECK_THROWS_AS(take_along_axis(x, integers({1}), 0), ShapeError);
}

TEST_CASE("pixels are shuffled into space and back") {
  const Tensor x = grid({2, 8, 3, 5}), y = pixel_shuffle(x, 2);
  CHECK(y.shape() == Shape{2, 2, 6, 10});
  CHECK(equal(pixel_unshuffle(y, 2), x));
  // y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w]
  const auto at = [](const Tensor& t, std::vector<int64_t> index) {
    Tensor s = t;
    for (const int64_t i : index) s = select(s, 0, i);
    return s.item<int64_t>();
  };
  CHECK(at(y, {1, 1, 5, 8}) == at(x, {1, 6, 2, 4}));
  CHECK(at(y, {0, 1, 2, 1}) == at(x, {0, 5, 1, 0}));
  CHECK(pixel_shuffle(grid({4, 3, 5}), 2).shape() == Shape{1, 6, 10});
  CHECK_THROWS_WITH(pixel_shuffle(x, 3),
                    "pixel_shuffle: expected channels divisible by 9, got x of shape (2, 8, 3, 5)");
  // A factor whose square no number holds.
  for (const int64_t factor : {int64_t{0}, int64_t{1} << 32, int64_t{1} << 62}) {
    const std::string message = ": expected a factor in [1, 16777216], got " + std::to_string(factor);
    CHECK_THROWS_WITH(pixel_shuffle(x, factor), "pixel_shuffle" + message);
    CHECK_THROWS_WITH(pixel_unshuffle(x, factor), "pixel_unshuffle" + message);
  }
  CHECK(pixel_shuffle(zeros({0, 8, 3, 5}), 2).shape() == Shape{0, 2, 6, 10});
  CHECK(pixel_shuffle(zeros({2, 8, 0, 5}), 2).shape() == Shape{2, 2, 0, 10});
  CHECK(pixel_unshuffle(zeros({2, 0, 4, 6}), 2).shape() == Shape{2, 0, 2, 3});
  CHECK(pixel_unshuffle(zeros({2, 3, 0, 6}), 2).shape() == Shape{2, 12, 0, 3});
  CHECK_THROWS_AS(pixel_unshuffle(x, 2), ShapeError);
}

TEST_CASE("a circular pad goes round once") {
  const Tensor x = integers({0, 1, 2});
  CHECK(equal(pad(x, {2, 3}, PadMode::circular), integers({1, 2, 0, 1, 2, 0, 1, 2})));
  CHECK_THROWS_WITH(
      pad(x, {4, 0}, PadMode::circular),
      "pad: expected amounts of at most the axis size in circular mode, got (4, 0) for axis 0 of shape (3,)");
}

}  // namespace test_arrange
