// Tensors of nested lists, and shapes of vectors.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_nested {

using namespace limpid;

template <class T>
Tensor shaped(const Shape& shape, const std::vector<T>& values) {
  return from_vector(values, shape);
}

TEST_CASE("lists nest, a level for each axis") {
  CHECK(equal(tensor({{1, 2}, {3, 4}}), shaped<float>({2, 2}, {1, 2, 3, 4})));
  CHECK(equal(tensor({{1, 2, 3}, {4, 5, 6}}, int64), shaped<int64_t>({2, 3}, {1, 2, 3, 4, 5, 6})));
  CHECK(equal(tensor({{1, 2.5}, {3, 4}}, float64), shaped<double>({2, 2}, {1, 2.5, 3, 4})));
  CHECK(equal(tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}, {{9, 10}, {11, 12}}}, int32),
              shaped<int32_t>({3, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})));
  CHECK(equal(tensor({{{{1}, {2}}}}), shaped<float>({1, 1, 2, 1}, {1, 2})));
  CHECK(equal(tensor({{true, false}, {false, false}}, bool_), shaped<bool>({2, 2}, {true, false, false, false})));
  CHECK(equal(tensor({{1}, {2}, {3}}), shaped<float>({3, 1}, {1, 2, 3})));
  CHECK(equal(tensor({{1}, {2.5}}), shaped<float>({2, 1}, {1, 2.5})));
  CHECK(equal(tensor({{1, 2}}), shaped<float>({1, 2}, {1, 2})));
  CHECK(equal(tensor({{0}}), shaped<float>({1, 1}, {0})));
  CHECK(equal(tensor({{0, 0}, {0, 0}}), zeros({2, 2})));
  const int a = 1;
  const double b = 2.5;
  const std::size_t c = 3;
  CHECK(equal(tensor({{a, a}, {a, a}}), ones({2, 2})));
  CHECK(equal(tensor({{{b}}, {{a}}, {{c}}}, float64), shaped<double>({3, 1, 1}, {2.5, 1, 3})));
  CHECK(equal(tensor({{Scalar(a), Scalar(b)}}, float64), shaped<double>({1, 2}, {1, 2.5})));
  const std::initializer_list<Scalar> named = {1, 2.5};
  CHECK(equal(tensor(named, float64), shaped<double>({2}, {1, 2.5})));
}

TEST_CASE("lists without elements, and a number alone") {
  CHECK(tensor({}).shape() == Shape{0});
  CHECK(tensor({{}}).shape() == Shape{1, 0});
  CHECK(tensor({{}, {}}, int64).shape() == Shape{2, 0});
  CHECK(tensor({{{}, {}}, {{}, {}}}).shape() == Shape{2, 2, 0});
  CHECK(equal(tensor({7}), full({1}, 7)));
  CHECK(equal(tensor(7), full({}, 7)));
  CHECK(equal(tensor(2.5, float64), full({}, 2.5, float64)));
  CHECK(tensor(true, bool_).item<bool>());
}

TEST_CASE("numbers in nested lists are held to the rules of numbers") {
  constexpr int64_t odd = (int64_t{1} << 53) + 1;
  CHECK(tensor({{odd}, {odd}}, int64).index({1, 0}).item<int64_t>() == odd);
  CHECK(std::isnan(tensor({{0, NAN}}).index({0, 1}).item<float>()));
  CHECK(message_of([] { tensor({{1, 2}, {3, 300}}, uint8); }) == "tensor: expected a number that uint8 holds, got 300");
  CHECK(message_of([] {
          tensor({{1, std::numeric_limits<uint64_t>::max()}}, int64);
        }) == "tensor: expected a number that int64 holds, got 18446744073709551615");
}

TEST_CASE("lists side by side that differ in shape are refused") {
  const std::string expected = "tensor: expected lists side by side to be of one shape, got ";
  CHECK(message_of([] { tensor({{1, 2}, {3}}); }) == expected + "a list of 1 beside a list of 2");
  CHECK(message_of([] { tensor({{1}, {2, 3}}); }) == expected + "a list of 2 beside a list of 1");
  CHECK(message_of([] { tensor({{1, 2}, 3}); }) == expected + "a number beside a list of 2");
  CHECK(message_of([] { tensor({1, {2}}); }) == expected + "a list of 1 beside a number");
  CHECK(message_of([] { tensor({{}, {1}}); }) == expected + "a list of 1 beside a list of 0");
  CHECK(message_of([] { tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7}}}); }) == expected + "a list of 1 beside a list of 2");
  CHECK(message_of([] { tensor({{{1}, {2}}, {{3}}}); }) == expected + "a list of 1 beside a list of 2");
  CHECK_THROWS_AS(tensor({{1, 2}, {3}}), ShapeError);
}

TEST_CASE("shapes and axes convert from vectors of integers of any width") {
  CHECK(zeros(std::vector<int64_t>{2, 3}).shape() == Shape{2, 3});
  CHECK(zeros(std::vector<int>{2, 3}).shape() == Shape{2, 3});
  CHECK(zeros(std::vector<std::size_t>{2, 3}).shape() == Shape{2, 3});
  CHECK(equal(sum(ones({2, 3}), std::vector<int>{-1}), full({2}, 3)));
  CHECK(equal(permute(tensor({{1, 2}}), std::vector<int64_t>{1, 0}), tensor({{1}, {2}})));
  CHECK(message_of([] { zeros(std::vector<std::size_t>{~std::size_t{0}}); }) ==
        "shape: expected sizes of at least 0, got (-1,)");
  static_assert(!std::is_convertible_v<std::vector<bool>, Shape> && !std::is_convertible_v<std::vector<double>, Shape>);
  CHECK(zeros({0}).numel() == 0);  // no tensor that is none
}

}  // namespace test_nested
