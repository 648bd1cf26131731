// Whose memory gradients lie in, and when the tape lets go of its own.
#include <limpid/limpid.hpp>

#include <vector>

#include "../catch.hpp"

namespace test_memory {

using namespace limpid;

// y = x; its backward gives fresh memory, and notes which.
struct Fresh : Function<Fresh> {
  static inline std::vector<const void*> given;
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) {
    Tensor dx = dy.clone();
    given.push_back(dx.raw_data());
    return {dx};
  }
};

// y = x; its backward notes the bytes in use.
struct Weigh : Function<Weigh> {
  static inline int64_t in_use = 0;
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) {
    in_use = memory_stats().in_use;
    return {dy};
  }
};

Tensor leaf(int64_t size = 4) { return ones({size}).set_requires_grad(); }

TEST_CASE("a gradient that nobody else holds is moved to its leaf") {
  Fresh::given.clear();
  const Tensor x = leaf();
  sum(Fresh::apply(x)).backward();
  REQUIRE(Fresh::given.size() == 1);
  CHECK(x.grad().raw_data() == Fresh::given[0]);
}

TEST_CASE("gradients are summed in the memory of one of them") {
  Fresh::given.clear();
  const Tensor x = leaf();
  sum(Fresh::apply(x) + Fresh::apply(x) + Fresh::apply(x)).backward();
  REQUIRE(Fresh::given.size() == 3);
  CHECK(x.grad().raw_data() == Fresh::given[0]);
  CHECK(equal(x.grad(), full({4}, 3)));
}

TEST_CASE("gradients are summed in the memory of the one that nobody else holds") {
  // The first to reach x is dy itself, which the other leaf gets as well.
  Fresh::given.clear();
  const Tensor x = leaf(), other = leaf(), dy = tensor({1, 2, 3, 4});
  const Tensor early = Fresh::apply(x);
  backward({x + other, early}, {dy, dy});
  REQUIRE(Fresh::given.size() == 1);
  CHECK(x.grad().raw_data() == Fresh::given[0]);
  CHECK(equal(x.grad(), 2.0 * dy));
  CHECK(equal(other.grad(), dy));
  CHECK(equal(dy, tensor({1, 2, 3, 4})));
}

TEST_CASE("a node's saved tensors go as it finishes") {
  constexpr int64_t size = 1 << 18, bytes = 4 * size, depth = 32;
  const Tensor x = leaf(size);
  const int64_t before = memory_stats().in_use;
  Tensor y = Weigh::apply(x);
  for (int64_t i = 0; i < depth; ++i) y = sin(y);
  const int64_t recorded = memory_stats().in_use;
  CHECK(recorded - before > depth * bytes);
  y.backward(ones({size}));
  // At the bottom of the chain there is left: y, and a few gradients.
  CHECK(Weigh::in_use - before < 6 * bytes);
}

TEST_CASE("backward needs no more memory than the recording, but for a few gradients") {
  constexpr int64_t size = 1 << 18, bytes = 4 * size, depth = 32;
  const Tensor x = leaf(size), dy = ones({size});
  Tensor y = x;
  for (int64_t i = 0; i < depth; ++i) y = sin(y);
  const int64_t recorded = memory_stats().in_use;
  reset_peak_memory_stats();
  y.backward(dy);
  CHECK(memory_stats().peak_in_use - recorded < 4 * bytes);
}

TEST_CASE("a view outlives the tensor it was taken from") {
  const int64_t size = GENERATE(4, 100000);  // whose memory lies with the tensor, and apart from it
  Tensor view;
  {
    const Tensor x = arange(size, float32);
    view = slice(x, 0, 1, 3);
  }
  const Tensor next = full({size}, 7);  // takes the memory of whatever is free
  CHECK(equal(view, tensor({1, 2})));
  CHECK(view.offset() == 1);
}

TEST_CASE("results lie as their operands do") {
  const Tensor x = randn({2, 3}), y = randn({2, 3});
  CHECK(&(x + x).shape() == &x.shape());
  CHECK(&(x * expand(ones({3}), {2, 3})).shape() == &x.shape());
  CHECK((x + y).shape() == Shape{2, 3});
}

TEST_CASE("nodes reached in any order are replayed by falling age") {
  // Inputs of one op recorded in rising and in falling order, many at once.
  for (const bool rising : {true, false}) {
    const Tensor x = ones({1}, float64).set_requires_grad();
    constexpr int count = 300;
    std::vector<Tensor> steps;
    Tensor y = x;
    for (int i = 0; i < count; ++i) steps.push_back(y = y * 1.0);
    Tensors xs;
    for (int i = 0; i < count; ++i) xs.push_back(steps[static_cast<std::size_t>(rising ? i : count - 1 - i)]);
    sum(cat(xs, 0)).backward();
    CHECK(x.grad().item<double>() == count);
  }
}

}  // namespace test_memory
