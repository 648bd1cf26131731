#include <limpid/core/detail/array.hpp>
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_tensor {

using namespace limpid;

template <class T>
std::vector<T> values(const Tensor& x) {
  const Tensor dense = detail::as_contiguous(x);
  return std::vector<T>(dense.data<T>(), dense.data<T>() + dense.numel());
}

const std::vector<DType> dtypes = {bool_, uint8, int32, int64, float16, bfloat16, float32, float64};

TEST_CASE("an undefined tensor answers with an error, not a crash") {
  const Tensor none;
  CHECK(!none.defined());
  CHECK(!none.requires_grad());
  CHECK(message_of([&] { none.shape(); }) == "tensor: expected a defined tensor, got an undefined one");
}

TEST_CASE("tensors are filled in every dtype") {
  const DType dtype = GENERATE(from_range(dtypes));
  CHECK(equal(zeros({2, 3}, dtype), full({2, 3}, 0, dtype)));
  CHECK(values<double>(ones({2, 3}, dtype).to(float64)) == std::vector<double>(6, 1.0));
}

TEST_CASE("memory is 64-byte aligned") {
  for (int64_t size : {1, 3, 17, 1000, 100000})
    CHECK(reinterpret_cast<std::uintptr_t>(empty({size}).raw_data()) % 64 == 0);
}

TEST_CASE("arange and linspace") {
  CHECK(values<int64_t>(arange(4)) == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(values<float>(arange(1.0, 2.0, 0.25)) == std::vector<float>{1, 1.25f, 1.5f, 1.75f});
  CHECK(values<float>(arange(3.0, 0.0, -1.0)) == std::vector<float>{3, 2, 1});
  CHECK(arange(1.0, 0.0, 1.0).numel() == 0);
  CHECK(values<double>(linspace(-1, 1, 5, float64)) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  CHECK(linspace(0, 1, 3).data<float>()[2] == 1.0f);
  CHECK(linspace(2, 3, 1).item<float>() == 2.0f);
  CHECK(message_of([] { arange(0, 1, 0); }) ==
        "arange: expected finite bounds and a step other than 0, got start = 0, stop = 1, step = 0");
  CHECK(message_of([] { arange(0.0, 1.0, 0.0); }) ==
        "arange: expected finite bounds and a step other than 0, got start = 0, stop = 1, step = 0");
  CHECK(message_of([] { arange(INFINITY); }) ==
        "arange: expected finite bounds and a step other than 0, got start = 0, stop = inf, step = 1");
}

TEST_CASE("arange of integers is int64 and exact, of anything else float32") {
  const auto integers = [](const Tensor& x) { return values<int64_t>(x); };
  CHECK(integers(arange(0, 10, 3)) == std::vector<int64_t>{0, 3, 6, 9});
  CHECK(integers(arange(5, 0, -2)) == std::vector<int64_t>{5, 3, 1});
  CHECK(integers(arange(1, 5)) == std::vector<int64_t>{1, 2, 3, 4});
  CHECK(integers(arange(uint8_t{3})) == std::vector<int64_t>{0, 1, 2});
  for (const Tensor& none : {arange(-3), arange(3, 3), arange(0, 5, -1), arange(5, 0)}) {
    CHECK(none.dtype() == int64);
    CHECK(none.shape() == Shape{0});
  }
  for (const Tensor& x : {arange(3.0), arange(0, 3.0f), arange(0, 3, 1.0)}) CHECK(x.dtype() == float32);
  CHECK(values<float>(arange(3, float32)) == std::vector<float>{0, 1, 2});
  CHECK(values<int32_t>(arange(2, 4, int32)) == std::vector<int32_t>{2, 3});
  CHECK(values<int32_t>(arange(0.5, 3.0, 1.0, int32)) == std::vector<int32_t>{0, 1, 2});

  // Beyond what a double tells apart, and where a difference or a product of int64 overflows.
  const int64_t odd = (int64_t{1} << 53) + 1;
  CHECK(integers(arange(odd, odd + 2)) == std::vector<int64_t>{odd, odd + 1});
  constexpr int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  CHECK(integers(arange(least, most, most)) == std::vector<int64_t>{least, -1, most - 1});
  CHECK(integers(arange(most, least, least)) == std::vector<int64_t>{most, -1});
  CHECK(message_of([&] { arange(least, most); }).starts_with("shape: expected at most 2^56 elements"));
}

TEST_CASE("whatever makes a tensor makes it in either memory format") {
  const MemoryFormat last = MemoryFormat::channels_last;
  const Shape shape{2, 3, 4, 5};
  for (const Tensor& x : {empty(shape, float32, last), zeros(shape, int32, last), ones(shape, float16, last),
                          full(shape, 7, uint8, last)}) {
    CHECK(x.memory_format() == last);
    CHECK(x.shape() == shape);
  }
  CHECK(equal(full(shape, 7, uint8, last), full(shape, 7, uint8)));
  CHECK(message_of([&] {
          zeros({2, 3}, float32, last);
        }) == "empty: expected at least 3 axes for channels_last, got shape (2, 3)");

  // x's own where nothing is said, and either alone.
  const Tensor x = full(shape, 1, float16, last), permuted = transpose(zeros(shape, int32), 2, 3);
  for (const auto& like :
       {+[](const Tensor&t, std::optional<DType> d, std::optional<MemoryFormat> f) { return empty_like(t, d, f); },
        +[](const Tensor&t, std::optional<DType> d, std::optional<MemoryFormat> f) { return zeros_like(t, d, f); },
        +[](const Tensor&t, std::optional<DType> d, std::optional<MemoryFormat> f) { return ones_like(t, d, f); },
        +[](const Tensor&t, std::optional<DType> d, std::optional<MemoryFormat> f) { return full_like(t, 3, d, f); }}) {
    CHECK(like(x, {}, {}).memory_format() == last);
    CHECK(like(x, {}, {}).dtype() == float16);
    CHECK(like(x, float64, {}).memory_format() == last);
    CHECK(like(x, float64, {}).dtype() == float64);
    CHECK(like(x, {}, MemoryFormat::contiguous).is_contiguous());
    CHECK(like(permuted, {}, {}).is_contiguous());
    CHECK(like(permuted, {}, {}).shape() == Shape{2, 3, 5, 4});
    CHECK(like(permuted, {}, last).memory_format() == last);
    CHECK(!like(x, {}, {}).shares_storage_with(x));
  }
  CHECK(equal(full_like(x, 3, int32), full(shape, 3, int32)));
}

// NumPy 1.24 on x86-64 gives these.
TEMPLATE_TEST_CASE("conversions truncate towards zero, and wrap as NumPy's", "", float, double) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x =
      tensor({-1.7, 1.7, 300, -5, 3e9, -3e9, 1e19, -1e19, inf, -inf, std::nan("")}, float64).to(dtype_of<TestType>());
  constexpr int32_t low = std::numeric_limits<int32_t>::min();
  constexpr int64_t lowest = std::numeric_limits<int64_t>::min();
  CHECK(values<int32_t>(x.to(int32)) == std::vector<int32_t>{-1, 1, 300, -5, low, low, low, low, low, low, low});
  CHECK(values<int64_t>(x.to(int64)) ==
        std::vector<int64_t>{-1, 1, 300, -5, 3000000000, -3000000000, lowest, lowest, lowest, lowest, lowest});
  CHECK(values<uint8_t>(x.to(uint8)) == std::vector<uint8_t>{255, 1, 44, 251, 0, 0, 0, 0, 0, 0, 0});
  const Tensor integers = tensor({300, -1, int64_t{1} << 32, lowest}, int64);
  CHECK(values<uint8_t>(integers.to(uint8)) == std::vector<uint8_t>{44, 255, 0, 0});
  CHECK(values<int32_t>(integers.to(int32)) == std::vector<int32_t>{300, -1, 0, 0});
  CHECK(values<bool>(tensor({0, 0.5, std::nan("")}, float64).to(bool_)) == std::vector<bool>{false, true, true});
}

TEST_CASE("item converts the one element") {
  CHECK(full({1, 1}, 2.5).item<double>() == 2.5);
  CHECK(full({}, 7, int64).item<float>() == 7.0f);
  CHECK(full({}, 1, bool_).item<bool>());
  CHECK(message_of([] { zeros({2}).item<float>(); }) == "item: expected a tensor of one element, got shape (2,)");
}

TEST_CASE("data of another type is refused") {
  CHECK(message_of([] { zeros({2}).data<double>(); }) == "data: expected float32, the tensor's dtype, got float64");
}

TEST_CASE("equal means shape, dtype and values, allclose means near") {
  CHECK(equal(ones({2}), ones({2})));
  CHECK(!equal(ones({2}), ones({1, 2})));
  CHECK(!equal(ones({2}), ones({2}, float64)));
  CHECK(!equal(full({2}, std::nan("")), full({2}, std::nan(""))));
  CHECK(equal(transpose(arange(6).to(float32).clone(), 0, 0), arange(6, float32)));
  CHECK(allclose(full({2}, 1.0), full({2}, 1.0 + 1e-6)));
  CHECK(!allclose(full({2}, 1.0), full({2}, 1.1)));
  CHECK(!allclose(full({2}, std::nan("")), full({2}, std::nan(""))));
  CHECK(allclose(full({2}, std::nan("")), full({2}, std::nan("")), 0, 0, true));
  CHECK(!allclose(full({1}, INFINITY), full({1}, 1.0), 1e30, 1e30));
}

TEST_CASE("allclose refuses tolerances below 0") {
  for (const DType dtype : {float32, int64}) {
    const Tensor x = ones({1}, dtype);
    CHECK(message_of([&] { allclose(x, x, std::nan("")); }) == "allclose: expected rtol of at least 0, got nan");
    CHECK(message_of([&] { allclose(x, x, -1, 0); }) == "allclose: expected rtol of at least 0, got -1");
    CHECK(message_of([&] { allclose(x, x, 0, -1); }) == "allclose: expected atol of at least 0, got -1");
    CHECK(message_of([&] { allclose(x, x, 0, std::nan("")); }) == "allclose: expected atol of at least 0, got nan");
    CHECK(allclose(x, x, 0, 0));
    CHECK(allclose(x, x * 5, 0, INFINITY));
  }
}

TEST_CASE("borrowed memory must be aligned for its dtype") {
  alignas(8) char memory[64] = {};
  CHECK(message_of([&] { from_blob(memory + 1, {2}, float32); }) ==
        "from_blob: expected memory aligned to 4 bytes for float32, got an address of 1 byte more");
  CHECK(message_of([&] { from_blob(memory + 4, {2}, float64); }) ==
        "from_blob: expected memory aligned to 8 bytes for float64, got an address of 4 bytes more");
  CHECK(from_blob(memory + 1, {2}, uint8).numel() == 2);
  CHECK(from_blob(memory + 2, {2}, float16).numel() == 2);
  CHECK(from_blob(memory + 4, {2}, float32).numel() == 2);
}

TEST_CASE("borrowed memory is used in place and given back") {
  std::vector<float> memory = {1, 2, 3, 4};
  int returned = 0;
  {
    const Tensor x = from_blob(
        memory.data(), {2, 2}, float32, [](void* count) { ++*static_cast<int*>(count); }, &returned);
    const Tensor y = transpose(x, 0, 1);
    x.data<float>()[1] = 9;
    CHECK(memory[1] == 9);
    CHECK(returned == 0);
  }
  CHECK(returned == 1);
}

TEST_CASE("an impossible size is an error, not a crash") {
  CHECK_THROWS_AS(empty({int64_t{1} << 40, int64_t{1} << 40}), ShapeError);
  CHECK_THROWS_AS(empty({-1}), ShapeError);
  CHECK_THROWS_AS(empty(Shape(65, 1)), ShapeError);
  CHECK_THROWS_AS(from_blob(nullptr, {2}, float32), ValueError);
}

TEST_CASE("memory formats know themselves") {
  const Tensor x = empty({2, 3, 4, 5}, float32, MemoryFormat::channels_last);
  CHECK(x.is_contiguous(MemoryFormat::channels_last));
  CHECK(!x.is_contiguous());
  CHECK(x.memory_format() == MemoryFormat::channels_last);
  CHECK(empty({2, 1, 4, 5}).is_contiguous(MemoryFormat::channels_last));  // both at once
  CHECK(empty({2, 1, 4, 5}).memory_format() == MemoryFormat::contiguous);
  CHECK(!empty({2, 3}).is_contiguous(MemoryFormat::channels_last));
  CHECK_THROWS_AS(empty({2, 3}, float32, MemoryFormat::channels_last), ShapeError);
}

TEST_CASE("rank is not limited to what fits inline") {
  const Shape shape(12, 2);
  CHECK(full(shape, 1).numel() == 4096);
}

std::string printed(const Tensor& x) {
  std::ostringstream out;
  out << x;
  return out.str();
}

TEST_CASE("a tensor prints alike in every locale") {
  struct Grouping : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::vector<Tensor> tensors = {
      tensor({1500.5, -0.25}, float64), tensor({1.5e100, 2}, float64), tensor({123456789, -5}, int64),
      tensor({2e-30}, float32),         zeros({1500, 2, 0}),           tensor({true, false}, bool_)};
  const std::vector<std::string> expected = {
      "[ 1500.5 ,    -0.25] float64 (2,)", "[ 1.500000e+100,   2.000000e+00] float64 (2,)",
      "[123456789,        -5] int64 (2,)", "[ 2.000000e-30] float32 (1,)",
      "[] float32 (1500, 2, 0)",           "[ true, false] bool (2,)"};
  const std::locale grouping(std::locale::classic(), new Grouping), before = std::locale();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::ostringstream imbued;
    imbued.imbue(grouping);
    imbued << std::hex << std::showpos << tensors[i];
    CHECK(imbued.str() == expected[i]);
    std::locale::global(grouping);
    const std::string text = printed(tensors[i]);
    std::locale::global(before);
    CHECK(text == expected[i]);
  }
}

TEST_CASE("of a large tensor the edges are printed, and long rows are broken") {
  CHECK(printed(arange(2000)) == "[   0,    1,    2, ..., 1997, 1998, 1999] int64 (2000,)");
  CHECK(printed(reshape(arange(1400), {7, 200})) ==
        "[[   0,    1,    2, ...,  197,  198,  199],\n"
        " [ 200,  201,  202, ...,  397,  398,  399],\n"
        " [ 400,  401,  402, ...,  597,  598,  599],\n"
        " ..., \n"
        " [ 800,  801,  802, ...,  997,  998,  999],\n"
        " [1000, 1001, 1002, ..., 1197, 1198, 1199],\n"
        " [1200, 1201, 1202, ..., 1397, 1398, 1399]] int64 (7, 200)");
  const std::string rows = printed(arange(30));
  CHECK(rows.substr(0, 90).find('\n') == 73);
  CHECK(printed(full({}, -2.5)) == "-2.5 float32 ()");
  CHECK(printed(tensor({1, NAN, -INFINITY})) == "[  1.,  nan, -inf] float32 (3,)");
  CHECK(printed(transpose(reshape(arange(6), {2, 3}), 0, 1)) == "[[0, 3],\n [1, 4],\n [2, 5]] int64 (3, 2)");
}

TEST_CASE("a tensor prints its values, dtype and shape") {
  std::ostringstream out;
  out << eye(2) << '\n' << slice(arange(5), 0, 0, to_end, 2) << '\n' << Tensor();
  CHECK(out.str() == "[[ 1.,  0.],\n [ 0.,  1.]] float32 (2, 2)\n[0, 2, 4] int64 (3,)\nundefined tensor");
}

TEST_CASE("printing takes memory for what it shows alone") {
  const Tensor x = detail::make_view(arange(1 << 20), {2, 1 << 18, 2}, {1, 2, 1 << 19}, 0);
  reset_peak_memory_stats();
  const int64_t before = memory_stats().in_use;
  std::ostringstream out;
  out << x;
  CHECK(memory_stats().peak_in_use - before < 1 << 16);
  CHECK(out.str().starts_with("[[[      0,  524288],\n  [      2,  524290],"));
}

}  // namespace test_tensor
