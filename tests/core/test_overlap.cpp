// Which memory tensors share, against every pair of addresses.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/limpid.hpp>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_overlap {

using namespace limpid;

// Offsets of x's elements, in elements.
std::vector<int64_t> places(const Tensor& x) {
  std::vector<int64_t> result{0};
  for (std::size_t a = 0; a < x.shape().size(); ++a) {
    std::vector<int64_t> more;
    for (const int64_t p : result)
      for (int64_t i = 0; i < x.shape()[a]; ++i) more.push_back(p + i * x.strides()[a]);
    result = std::move(more);
  }
  return result;
}

std::set<const std::byte*> bytes_of(const Tensor& x) {
  std::set<const std::byte*> result;
  for (const int64_t p : places(x))
    for (std::size_t b = 0; b < x.itemsize(); ++b)
      result.insert(static_cast<const std::byte*>(x.raw_data()) + p * static_cast<int64_t>(x.itemsize()) + b);
  return result;
}

TEST_CASE("overlap is told element by element") {
  std::mt19937 random(1);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  alignas(8) std::byte memory[1024];
  const auto any_view = [&](DType dtype) {
    const Tensor base = from_blob(memory + 8 * pick(0, 3), {static_cast<int64_t>(900 / itemsize(dtype))}, dtype);
    Tensor x = slice(base, 0, pick(0, 20), pick(40, 100));
    if (pick(0, 1)) {
      const int64_t columns = pick(1, 6), rows = x.numel() / columns;
      x = reshape(slice(x, 0, 0, rows * columns), {rows, columns});
      if (pick(0, 1)) x = transpose(x, 0, 1);
      const int64_t axis = pick(0, 1), start = pick(0, x.size(axis) - 1);
      x = slice(x, axis, start, pick(start + 1, x.size(axis)), pick(1, 3));
      if (pick(0, 2) == 0) x = select(x, 1, 0);
    } else {
      x = slice(x, 0, pick(0, 5), to_end, pick(1, 4));
    }
    if (pick(0, 5) == 0) {
      Shape shape = x.shape();
      shape.insert(0, 2);
      x = expand(x, shape);
    }
    return x;
  };
  int apart = 0, together = 0;
  for (int round = 0; round < 3000; ++round) {
    const Tensor a = any_view(float32), b = any_view(round % 3 ? float32 : float64);
    const auto pa = bytes_of(a), pb = bytes_of(b);
    const bool share = std::any_of(pa.begin(), pa.end(), [&](const std::byte* p) { return pb.count(p) > 0; });
    ++(share ? together : apart);
    if (detail::overlaps(a, b) != share) FAIL_CHECK(a.shape() << a.strides() << b.shape() << b.strides());
    auto own = places(a);
    std::sort(own.begin(), own.end());
    const bool twice = std::adjacent_find(own.begin(), own.end()) != own.end();
    if (detail::overlaps_itself(a) != twice) FAIL_CHECK(a.shape() << a.strides());
  }
  CHECK(apart > 300);
  CHECK(together > 300);
}

TEST_CASE("a layout too tangled to tell counts as overlapping") {
  const Tensor x = zeros({1000});
  Shape sizes(12, 4), strides;
  for (std::size_t i = 0; i < 12; ++i) strides.push_back(static_cast<int64_t>(7 + 2 * i));
  const Tensor tangled = detail::make_view(x, sizes, strides, 0);
  CHECK(detail::overlaps_itself(tangled));
  CHECK(detail::overlaps(tangled, detail::make_view(x, sizes, strides, 1)));
}

TEST_CASE("writes into memory that is read are done as if read before, through whatever handle") {
  std::vector<float> memory(6);
  const auto fresh = [&] {
    for (std::size_t i = 0; i < 6; ++i) memory[i] = static_cast<float>(i + 1);
  };
  const NoGradGuard guard;
  // Two blobs over one buffer.
  fresh();
  Tensor later = from_blob(memory.data() + 1, {5}, float32);
  const Tensor earlier = from_blob(memory.data(), {5}, float32);
  later.copy_(earlier);
  CHECK(memory == std::vector<float>{1, 1, 2, 3, 4, 5});
  fresh();
  later.add_(earlier);
  CHECK(memory == std::vector<float>{1, 3, 5, 7, 9, 11});
  fresh();
  later.mul_(earlier);
  CHECK(memory == std::vector<float>{1, 2, 6, 12, 20, 30});
  fresh();
  later.add_(earlier, 2);
  CHECK(memory == std::vector<float>{1, 4, 7, 10, 13, 16});
  // A transposed self.
  Tensor square = reshape(arange(4.0), {2, 2}).clone();
  square.add_(transpose(square, 0, 1));
  CHECK(equal(square, reshape(tensor({0, 3, 3, 6}), {2, 2})));
}

TEST_CASE("nothing writes to a tensor whose elements share a place") {
  const std::string expected =
      ": expected a tensor with a place for each element, got one of shape (3, 2) and strides (0, 1), in which some "
      "may "
      "share one; clone() it first";
  const auto expanded = [] { return expand(zeros({1, 2}), {3, 2}); };
  CHECK(message_of([&] { expanded().fill_(1); }) == "fill_" + expected);
  CHECK(message_of([&] { expanded().copy_(ones({3, 2})); }) == "copy_" + expected);
  CHECK(message_of([&] { expanded().add_(ones({3, 2})); }) == "add_" + expected);
  CHECK(message_of([&] { expanded().mul_(2); }) == "mul_" + expected);
  CHECK(message_of([&] { nn::init::constant_(expanded(), 1); }) == "constant_" + expected);
  CHECK(message_of([&] { nn::init::uniform_(expanded()); }) == "uniform_" + expected);
  CHECK(message_of([&] { nn::init::normal_(expanded()); }) == "normal_" + expected);
  CHECK(message_of([&] { nn::init::xavier_uniform_(expanded()); }) == "uniform_" + expected);
  CHECK(message_of([&] { nn::init::orthogonal_(expanded()); }) == "orthogonal_" + expected);
  CHECK(message_of([] {
          detail::make_view(zeros({5}), {3, 3}, {1, 1}, 0).fill_(1);
        }) ==
        "fill_: expected a tensor with a place for each element, got one of shape (3, 3) and strides (1, 1), in which "
        "some may share one; clone() it first");
}

}  // namespace test_overlap
