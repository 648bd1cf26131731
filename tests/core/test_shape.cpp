#include <limpid/core/error.hpp>
#include <limpid/core/shape.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

#include <limits>
#include <string>
#include <vector>

namespace test_shape {

using namespace limpid;

constexpr int64_t huge = std::numeric_limits<int64_t>::max();

TEST_CASE("a shape prints as NumPy prints it") {
  CHECK(to_string(Shape{}) == "()");
  CHECK(to_string(Shape{4}) == "(4,)");
  CHECK(to_string(Shape{2, 3}) == "(2, 3)");
}

TEST_CASE("a small vector keeps its elements across the border to the heap") {
  SmallVector<std::string, 2> v;
  for (int i = 0; i < 9; ++i) v.push_back(std::to_string(i));
  v.insert(0, "first");
  v.erase(5);
  SmallVector<std::string, 2> copy = v, moved = std::move(v);
  CHECK(copy == moved);
  CHECK(v.empty());
  CHECK(moved == SmallVector<std::string, 2>{"first", "0", "1", "2", "3", "5", "6", "7", "8"});
  copy = copy;
  CHECK(copy == moved);
  copy.resize(1);
  CHECK(copy == SmallVector<std::string, 2>{"first"});
}

TEST_CASE("numel is checked for overflow, even behind an axis of size 0") {
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{2, 0, 3}.numel() == 0);
  for (const Shape& shape : {Shape{huge, 2}, Shape{0, huge, huge}, Shape{huge}, Shape{1LL << 30, 1LL << 30}})
    CHECK_THROWS_AS(shape.numel(), ShapeError);
  CHECK(message_of([] { Shape({2, -1}).numel(); }) == "shape: expected sizes of at least 0, got (2, -1)");
}

TEST_CASE("strides of the two formats") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(channels_last_strides({2, 3, 4, 5}) == Strides{60, 1, 15, 3});
  CHECK(channels_last_strides({2, 3}) == Strides{3, 1});
}

TEST_CASE("broadcasting follows NumPy") {
  struct Case {
    Shape a, b, result;
  };
  for (const Case& c : std::vector<Case>{{{2, 3}, {3}, {2, 3}},
                                         {{2, 1}, {1, 4}, {2, 4}},
                                         {{}, {5}, {5}},
                                         {{0, 1}, {1, 3}, {0, 3}},
                                         {{1}, {0}, {0}}}) {
    CHECK(broadcast_shapes(c.a, c.b) == c.result);
    CHECK(broadcast_shapes(c.b, c.a) == c.result);
  }
  CHECK(message_of([] {
          broadcast_shapes({2, 3}, {2}, "add");
        }) == "add: expected shapes that broadcast together, got (2, 3) and (2,)");
  CHECK_THROWS_AS(broadcast_shapes({2}, {0}), ShapeError);
}

TEST_CASE("axes are normalised and checked") {
  CHECK(normalize_axis(-1, 3, "sum") == 2);
  CHECK(normalize_axes({-1, 0}, 3, "sum") == Axes{0, 2});
  CHECK(normalize_axes({}, 2, "sum") == Axes{0, 1});
  CHECK(message_of([] { normalize_axis(3, 3, "sum"); }) == "sum: expected an axis in [-3, 3), got 3");
  CHECK(message_of([] { normalize_axis(0, 0, "sum"); }) == "sum: expected no axis for a tensor of rank 0, got 0");
  CHECK(message_of([] { normalize_axes({1, -1}, 2, "sum"); }) == "sum: expected each axis once, got axis 1 twice");
}

}  // namespace test_shape
