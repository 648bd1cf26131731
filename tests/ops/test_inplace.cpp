// Writing in place: values, versions, and what the tape allows.
#include <limpid/limpid.hpp>

#include "../catch.hpp"

using namespace limpid;
using Catch::Matchers::Contains;

TEST_CASE("in-place operations change memory and advance the version", "[inplace]") {
  Tensor x = tensor({1, 2, 3});
  const Tensor alias = x;
  const float* memory = x.data<float>();
  const uint32_t version = x.version();
  x.add_(ones({3}), 2).mul_(tensor({2})).mul_(0.5).add_(tensor({1}));
  CHECK(equal(x, tensor({4, 5, 6})));
  CHECK(x.version() == version + 4);
  CHECK(x.data<float>() == memory);
  CHECK(equal(alias, x));
  CHECK(equal(x.fill_(7), full({3}, 7)));
  CHECK(equal(x.copy_(arange(3)), tensor({0, 1, 2})));
  CHECK(equal(x.zero_(), zeros({3})));
}

TEST_CASE("an in-place source may overlap its destination", "[inplace]") {
  Tensor x = arange(6, float32);
  slice(x, 0, 1).add_(slice(x, 0, 0, 5));
  CHECK(equal(x, tensor({0, 1, 3, 5, 7, 9})));
  Tensor m = arange(0, 4, 1).to(float32);
  Tensor square = reshape(m, {2, 2});
  square.copy_(transpose(square, 0, 1));
  CHECK(equal(m, tensor({0, 2, 1, 3})));
  x.add_(x);
  CHECK(equal(x, tensor({0, 2, 6, 10, 14, 18})));
}

TEST_CASE("half precision in place", "[inplace]") {
  Tensor x = tensor({1, 2}, float16);
  x.add_(tensor({0.5, 0.5}, float16), 2).mul_(3).mul_(tensor({2, 2}, float16));
  CHECK(equal(x, tensor({12, 18}, float16)));
}

TEST_CASE("in place: refused with the remedy", "[inplace]") {
  Tensor leaf = ones({2}).set_requires_grad();
  CHECK_THROWS_AS(leaf.add_(ones({2})), AutogradError);
  CHECK_THROWS_WITH(leaf.mul_(2),
                    "mul_: expected a tensor that is no leaf, got a leaf that requires a gradient; write "
                    "to it under a NoGradGuard");
  CHECK_THROWS_AS(leaf.fill_(0), AutogradError);
  {
    const NoGradGuard guard;
    leaf.mul_(2);
  }
  CHECK(equal(leaf.detach(), full({2}, 2)));

  Tensor y = leaf * 3;
  Tensor view = slice(y, 0, 0, 1);
  CHECK_THROWS_WITH(y.add_(ones({2})), Contains("expected a tensor with memory of its own while recording"));
  CHECK_THROWS_AS(view.fill_(1), AutogradError);

  Tensor plain = zeros({3});
  CHECK_THROWS_WITH(plain.add_(ones({2, 3})), "add_: expected a source that broadcasts to (3,), got (2, 3)");
  CHECK_THROWS_WITH(arange(3).add_(ones({3})), "add_: expected a source that int64 can hold, got float32");
  CHECK_THROWS_AS(arange(3).add_(arange(3), 0.5), ValueError);
  CHECK_THROWS_AS(arange(3).mul_(0.5), DTypeError);
  CHECK_THROWS_WITH(expand(zeros({1}), {3}).fill_(1), Contains("expected a tensor with a place for each element"));
  CHECK_THROWS_AS(plain.copy_(Tensor()), ValueError);
}

TEST_CASE("in-place operations on results are recorded", "[inplace]") {
  const Tensor x = tensor({1, 2, 3}).set_requires_grad();
  const Tensor w = tensor({2, 2, 2}).set_requires_grad();
  Tensor y = x + 0;
  y.mul_(w).add_(x, 3).mul_(2);  // 2 (x w + 3 x)
  const Tensors dx = grad({y}, {x, w}, {ones({3})});
  CHECK(equal(dx[0], 2 * (w + 3).detach()));
  CHECK(equal(dx[1], 2 * x.detach()));

  Tensor z = x + 1;
  z.mul_(z);
  CHECK(equal(grad({z}, {x}, {ones({3})})[0], 2 * (x + 1).detach()));

  Tensor buffer = zeros({2, 3});
  buffer.copy_(x);
  CHECK(equal(grad({buffer}, {x}, {ones({2, 3})})[0], full({3}, 2)));
  buffer.fill_(0);
  CHECK(!buffer.requires_grad());
}

TEST_CASE("a saved tensor changed in place is an error that names it", "[inplace]") {
  const Tensor x = tensor({1, 2}).set_requires_grad();
  Tensor b = tensor({3, 4});
  const Tensor y = x * b;
  b.add_(ones({2}));
  CHECK_THROWS_WITH(y.backward(ones({2})),
                    Contains("mul: expected saved tensor b of shape (2,)") && Contains("it was changed in place"));
}
