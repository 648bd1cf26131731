// Numbers and tensors of other dtypes compared, and clamp, whose bounds are: as they are, however large.
#include <limpid/limpid.hpp>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_comparisons {

using namespace limpid;

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t odd = (int64_t{1} << 53) + 1;

template <class T>
T last(const Tensor& x) {
  return x.data<T>()[x.numel() - 1];
}

TEST_CASE("integers are compared as they are, however large") {
  const Tensor even = full({2}, odd - 1, int64), uneven = full({2}, odd, int64);
  CHECK_FALSE(equal(even, uneven));
  CHECK_FALSE(allclose(even, uneven, 0, 0));
  CHECK_FALSE(allclose(even, uneven, 0, 0.5));
  CHECK(allclose(even, uneven, 0, 1));
  CHECK(allclose(uneven, uneven, 0, 0));
  const Tensor least = full({1}, INT64_MIN, int64), most = full({1}, INT64_MAX, int64);
  CHECK_FALSE(allclose(least, most, 0, 1.8e19));
  CHECK(allclose(least, most, 0, 0x1p64));
  CHECK(allclose(least, most, 3, 0));
  CHECK_FALSE(allclose(tensor({1}, uint8), tensor({3}, int64), 0, 1));
  CHECK(allclose(tensor({true}, bool_), tensor({1}, int32), 0, 0));
}

TEST_CASE("every number can be compared with every tensor") {
  struct Row {
    Tensor x;
    Scalar number;
    int order;  // of x and the number
  };
  const float largest = std::numeric_limits<float>::max();
  std::vector<Row> rows = {{full({1}, inf), 1e39, 1},
                           {full({1}, largest), 1e39, -1},
                           {full({1}, -largest), -1e39, 1},
                           {full({1}, -inf), -1e39, -1},
                           {full({1}, inf, float16), 1e5, 1},
                           {full({1}, 65504, bfloat16), 1e39, -1},
                           {full({1}, 0.1), 0.1, 0},  // as float32 has it
                           {full({1}, 0.1, float16), 0.1, 0},
                           {full({1}, 0.1, bfloat16), 0.1, 0},
                           {clamp(ones({1}), 0, 0.1), 0.1, 0},
                           {full({1}, odd, int64), 0x1p53, 1},
                           {full({1}, odd - 1, int64), 0x1p53, 0},
                           {full({1}, INT64_MAX, int64), 0x1p63, -1},
                           {full({1}, INT64_MIN, int64), -0x1p63, 0},
                           {full({1}, INT64_MAX, int64), uint64_t{1} << 63, -1},
                           {full({1}, INT64_MAX, int64), UINT64_MAX, -1},
                           {full({1}, 255, uint8), UINT64_MAX, -1},
                           {full({1}, 255, uint8), 1e300, -1},
                           {full({1}, 255, uint8), -inf, 1},
                           {full({1}, 2, int32), 2.5, -1},
                           {full({1}, -3, int32), -2.5, -1},
                           {full({1}, 1, bool_), 0.5, 1}};
  // What a dtype would make 0 or infinite is neither.
  const auto beside_0 = [&](DType dtype, double least, Scalar number, Scalar opposite) {
    rows.push_back({zeros({1}, dtype), number, -1});
    rows.push_back({full({1}, -0.0, dtype), number, -1});
    rows.push_back({full({1}, least, dtype), number, 1});
    rows.push_back({zeros({1}, dtype), opposite, 1});
    rows.push_back({full({1}, -least, dtype), opposite, -1});
    rows.push_back({full({1}, inf, dtype), number, 1});
    rows.push_back({full({1}, -inf, dtype), opposite, -1});
  };
  beside_0(float16, 0x1p-24, 1e-10, -1e-10);
  beside_0(bfloat16, 0x1p-133, 1e-50, -1e-50);
  beside_0(float32, 0x1p-149, 1e-50, -1e-50);
  beside_0(float32, 0x1p-149, 0x1p-150, -0x1p-150);
  for (const Row& row : rows) {
    CAPTURE(row.x, row.number.to_double());
    CHECK(eq(row.x, row.number).item<bool>() == (row.order == 0));
    CHECK(ne(row.x, row.number).item<bool>() == (row.order != 0));
    CHECK(lt(row.x, row.number).item<bool>() == (row.order < 0));
    CHECK(le(row.x, row.number).item<bool>() == (row.order <= 0));
    CHECK(gt(row.x, row.number).item<bool>() == (row.order > 0));
    CHECK(ge(row.x, row.number).item<bool>() == (row.order >= 0));
  }
  for (const Tensor& x : {ones({1}), ones({1}, int64)}) {
    CHECK_FALSE(eq(x, not_a_number).item<bool>());
    CHECK(ne(x, not_a_number).item<bool>());
    CHECK_FALSE(lt(x, not_a_number).item<bool>());
  }
}

TEST_CASE("integers beside floats are compared as doubles, as NumPy does") {
  const Tensor floats = full({1}, 16777216);
  for (const DType dtype : {int32, int64}) {
    const Tensor more = full({1}, 16777217, dtype);
    CHECK_FALSE(eq(more, floats).item<bool>());
    CHECK(lt(floats, more).item<bool>());
    CHECK(ne(more, floats.to(bfloat16)).item<bool>());
    CHECK(gt(more, floats.to(float64)).item<bool>());
  }
  CHECK(eq(full({1}, odd, int64), full({1}, 0x1p53, float64)).item<bool>());
  CHECK(eq(ones({1}, uint8), ones({1}, float16)).item<bool>());
}

TEST_CASE("clamp takes bounds above int64") {
  const Tensor x = tensor({-1, 5, INT64_MAX}, int64);
  CHECK(equal(clamp(x, 0, UINT64_MAX), tensor({0, 5, INT64_MAX}, int64)));
  CHECK(equal(clamp(x, INT64_MAX, UINT64_MAX), full({3}, INT64_MAX, int64)));
  CHECK(equal(clamp(tensor({-1, 5}, int32), 0, UINT64_MAX), tensor({0, 5}, int32)));
  CHECK(message_of([&] { clamp(x, UINT64_MAX, 0); }) == "clamp: expected low <= high, got 18446744073709551615 and 0");
}

TEST_CASE("clamp tells which bound is lower, whatever both are kept as") {
  const Tensor x = tensor({-1, 5, INT64_MAX}, int64);
  const auto refused = [](const std::string& low, const std::string& high) {
    return "clamp: expected low <= high, got " + low + " and " + high;
  };
  for (const Tensor& y : {x, x.to(float32)}) {
    CHECK(message_of([&] { clamp(y, odd, 0x1p53); }) == refused("9007199254740993", "9007199254740992"));
    CHECK(message_of([&] { clamp(y, 0x1p63, INT64_MAX); }) == refused("9.223372036854776e+18", "9223372036854775807"));
    CHECK(message_of([&] { clamp(y, UINT64_MAX, UINT64_MAX - 1); }) ==
          refused("18446744073709551615", "18446744073709551614"));
    CHECK(message_of([&] { clamp(y, 0x1p64, UINT64_MAX); }) ==
          refused("1.8446744073709552e+19", "18446744073709551615"));
    CHECK(message_of([&] { clamp(y, 0, not_a_number); }) == refused("0", "nan"));
    CHECK(message_of([&] { clamp(y, inf, INT64_MAX); }) == refused("inf", "9223372036854775807"));
    for (const auto& [low, high] : std::vector<std::pair<Scalar, Scalar>>{{0x1p53, odd},
                                                                          {odd, odd},
                                                                          {INT64_MAX, 0x1p63},
                                                                          {INT64_MAX, 0x1p70},
                                                                          {-0x1p63, INT64_MIN},
                                                                          {INT64_MIN, -0x1p63},
                                                                          {-inf, inf}})
      CHECK(clamp(y, low, high).dtype() == y.dtype());
  }
  for (const auto& [low, high] : std::vector<std::pair<Scalar, Scalar>>{{UINT64_MAX, 0x1p64}, {0x1p70, 0x1p70}})
    CHECK(clamp(x.to(float32), low, high).dtype() == float32);
  CHECK(last<int64_t>(clamp(full({1}, 5, int64), 0x1p53, odd)) == odd - 1);
  CHECK(message_of([&] { clamp(x, 2.5, 2.25); }) == refused("2.5", "2.25"));
}

}  // namespace test_comparisons
