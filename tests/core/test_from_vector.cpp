#include <limpid/limpid.hpp>

#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_from_vector {

using namespace limpid;

TEST_CASE("from_vector takes any arithmetic type, widened where no dtype has it") {
  const auto check = [](const auto& vector, DType dtype, const std::vector<double>& expected) {
    const Tensor x = from_vector(vector, {static_cast<int64_t>(vector.size())});
    CHECK(x.dtype() == dtype);
    CHECK(equal(x.to(float64), from_vector(expected, x.shape())));
  };
  check(std::vector<bool>{true, false, true}, bool_, {1, 0, 1});
  check(std::vector<int8_t>{-128, 127}, int32, {-128, 127});
  check(std::vector<uint16_t>{65535}, int32, {65535});
  check(std::vector<uint32_t>{4294967295u}, int64, {4294967295.0});
  check(std::vector<std::size_t>{0, 7}, int64, {0, 7});
  check(std::vector<long double>{0.1L}, float64, {0.1});
  check(std::vector<Half>{to_half(0.5f)}, float16, {0.5});
  CHECK(from_vector(std::vector<std::size_t>{~std::size_t{0} >> 1}, {1}).item<int64_t>() ==
        std::numeric_limits<int64_t>::max());
  CHECK(message_of([] {
          from_vector(std::vector<std::size_t>{1, ~std::size_t{0}}, {2});
        }) == "from_vector: expected numbers that int64 holds, got 18446744073709551615");
  for (int64_t size : {0, 2, 4}) {
    const std::string message =
        "from_vector: expected " + std::to_string(size) + " values for shape (" + std::to_string(size) + ",), got 3";
    CHECK(message_of([&] { from_vector(std::vector<bool>(3), {size}); }) == message);
    CHECK(message_of([&] { from_vector(std::vector<float>(3), {size}); }) == message);
  }
  CHECK(has_dtype<long long>);
  CHECK(!has_dtype<std::size_t>);
  CHECK(!has_dtype<std::string>);
}

}  // namespace test_from_vector
