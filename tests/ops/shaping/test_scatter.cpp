// Indices that count from the end, and sums of what they name.
#include <limpid/autograd/backward.hpp>
#include <limpid/core/index.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>

#include <limpid/tests/ops/plain.hpp>

using namespace limpid;
using namespace plain;

TEST_CASE("indices below 0 count from the end in every function of an index") {
  const Tensor x = arange(12).to(float64).reshape({3, 4}), index = tensor({-1, 0, -3}, int64);
  CHECK(equal(index_select(x, 0, index), x.index({index})));
  CHECK(equal(index_select(x, 0, index), index_select(x, 0, tensor({2, 0, 0}, int32))));
  const Tensor wide = tensor({-1, 0, -2, 1}, int64).reshape({1, 4});
  CHECK(equal(gather(x, 0, wide), tensor({8, 1, 6, 7}, float64).reshape({1, 4})));
  CHECK(equal(scatter_add({2}, 0, tensor({-1, -2, 1}, int64), tensor({1, 2, 3})), tensor({2, 4})));
  CHECK(equal(take_along_axis(x, tensor({-1}, int64).reshape({1, 1}), 1), x.index({Slice(), Slice(3, 4)})));
  // The gradient goes to the place meant.
  Tensor leaf = x.clone().set_requires_grad();
  CHECK(equal(grad({index_select(leaf, 0, index)}, {leaf}, {ones({3, 4}, float64)})[0],
              expand(tensor({2, 0, 1}, float64).reshape({3, 1}), {3, 4})));
  // The index itself is left alone.
  CHECK(equal(index, tensor({-1, 0, -3}, int64)));
}

TEST_CASE("scatter_add takes what the index covers, and gives the rest no gradient") {
  Tensor x = tensor({1, 2, 3, 4, 5, 6}, float64).reshape({2, 3}).set_requires_grad();
  const Tensor y = scatter_add({2, 2}, 0, tensor({1, 1, 0, 1}, int64).reshape({2, 2}), x);
  CHECK(equal(y.detach(), tensor({4, 0, 1, 7}, float64).reshape({2, 2})));
  CHECK(equal(grad({y}, {x}, {tensor({10, 20, 30, 40}, float64).reshape({2, 2})})[0],
              tensor({30, 40, 0, 10, 40, 0}, float64).reshape({2, 3})));
}
