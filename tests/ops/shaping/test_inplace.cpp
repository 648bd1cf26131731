// Writing in place: values, versions, and what the tape allows.
#include <limpid/limpid.hpp>

#include <limpid/tests/catch.hpp>

namespace test_inplace {

using namespace limpid;

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
  // The sum alone is rounded, not the product in it, which would be rounded to what makes the sum a tie.
  for (const bool recorded : {false, true}) {
    const Tensor other = full({1}, 0x1.84p-8, bfloat16), leaf = ones({1}, bfloat16).set_requires_grad(recorded);
    Tensor y = recorded ? leaf * 1 : leaf;
    y.add_(other, 0x1.fap0);
    CHECK(equal(y.detach(), (1 + other.to(float32) * 0x1.fap0).to(bfloat16)));
    CHECK_FALSE(equal(y.detach(), 1 + (other * 0x1.fap0)));
  }
}

TEST_CASE("half precision in place computes in float32, whatever the other tensor's dtype", "[inplace]") {
  for (const bool recorded : {false, true})
    for (const DType dtype : {int32, int64, float16, bfloat16, float32, float64}) {
      CAPTURE(recorded, dtype);
      for (const DType half : {float16, bfloat16}) {
        // In float32 these are no ties of half precision; rounded to it first, they make ties or lose a bit.
        const Tensor other =
            is_floating_point(dtype) ? full({1}, 1.00048828125 + 0x1p-20, dtype) : full({1}, 2049, dtype);
        const Tensor leaf = tensor({-1, 1.5}, half).set_requires_grad(recorded), wide = leaf.detach().to(float32);
        const auto run = [&](auto&& change) {
          Tensor y = recorded ? leaf * 1 : leaf.clone();
          change(y);
          CHECK(y.dtype() == half);
          if (recorded) {
            sum(y).backward();
            CHECK(leaf.grad().dtype() == half);
          }
          return y.detach();
        };
        const Tensor z = other.to(float32);
        CHECK(equal(run([&](Tensor& y) { y.add_(other); }), (wide + z).to(half)));
        CHECK(equal(run([&](Tensor& y) { y.add_(other, 1.25); }), (wide + z * 1.25).to(half)));
        CHECK(equal(run([&](Tensor& y) { y.mul_(other); }), (wide * z).to(half)));
      }
    }
  // Rounded to float32 and then to bfloat16, the sum is the tie that float32 has made of it.
  CHECK(equal(ones({1}, bfloat16).add_(full({1}, 0x1p-8, bfloat16), 1 + 0x1p-20), ones({1}, bfloat16)));
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
  CHECK_THROWS_WITH(view.fill_(1),
                    "fill_: expected a tensor with memory of its own while recording, got a view that shares memory "
                    "with another tensor; use the op that gives a new tensor, or write under a NoGradGuard");
  Tensor buffer = zeros({2});
  const Tensor rows = reshape(buffer, {1, 2});
  CHECK_THROWS_WITH(buffer.copy_(leaf),
                    ContainsSubstring("got one without a history that shares memory with another tensor"));

  Tensor plain = zeros({3});
  CHECK_THROWS_WITH(plain.add_(ones({2, 3})), "add_: expected a source that broadcasts to (3,), got (2, 3)");
  CHECK_THROWS_WITH(arange(3).add_(ones({3})), "add_: expected a source that int64 can hold, got float32");
  CHECK_THROWS_AS(arange(3).add_(arange(3), 0.5), ValueError);
  CHECK_THROWS_AS(arange(3).mul_(0.5), ValueError);
  CHECK_THROWS_WITH(expand(zeros({1}), {3}).fill_(1),
                    ContainsSubstring("expected a tensor with a place for each element"));
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
  CHECK_THROWS_WITH(y.backward(ones({2})), ContainsSubstring("mul: expected saved tensor b of shape (2,)") &&
                                               ContainsSubstring("it was changed in place"));
}

TEST_CASE("in place on a result that its op saved", "[inplace]") {
  const Tensor x = tensor({1, 2}).set_requires_grad();
  SECTION("and needs: the change is recorded, and backward names the stale tensor") {
    Tensor y = exp(x);
    y.add_(ones({2}));
    CHECK(equal(y.detach(), exp(x.detach()) + 1));
    CHECK_THROWS_WITH(y.backward(ones({2})), ContainsSubstring("exp: expected saved tensor y of shape (2,) unchanged"));
  }
  SECTION("and does not need") {
    Tensor y = x * 3;
    const Tensor z = y * tensor({5, 7});  // saves 5 and 7 alone
    y.mul_(2).add_(x, 10);
    backward({y, z}, {ones({2}), ones({2})});
    CHECK(equal(x.grad(), tensor({6 + 10 + 15, 6 + 10 + 21})));
  }
}

TEST_CASE("in place: every handle on the tensor has the new history", "[inplace]") {
  const Tensor x = tensor({1, 2}).set_requires_grad();
  Tensor y = x * 3;
  const Tensor other = y, before = y.detach();
  y.mul_(2);
  CHECK(equal(other.detach(), tensor({6, 12})));
  CHECK(equal(before, tensor({6, 12})));
  CHECK(equal(grad({other}, {x}, {ones({2})})[0], full({2}, 6)));
}

TEST_CASE("in place: a view taken before is refused where it is used", "[inplace]") {
  const Tensor x = tensor({1, 2, 3, 4}).set_requires_grad();
  Tensor y = x * 3;
  const Tensor view = reshape(y, {2, 2});
  y.add_(x);
  CHECK(equal(view.detach(), reshape(y.detach(), {2, 2})));
  CHECK_THROWS_WITH(view * 2,
                    "mul: expected operands with a history of their present values, got view 0 of shape (2, 2) "
                    "whose base was changed in place while recording; take the view again");
  CHECK_THROWS_WITH(view.backward(ones({2, 2})),
                    ContainsSubstring("got view 0 of shape (2, 2) whose base was changed in place"));
  const Tensor again = reshape(y, {2, 2});
  CHECK(equal(grad({again * 2}, {x}, {ones({2, 2})})[0], full({4}, 8)));
}

TEST_CASE("in place without recording leaves views valid", "[inplace]") {
  Tensor w = tensor({1, 2}).set_requires_grad();
  const Tensor view = reshape(w, {2, 1});
  {
    const NoGradGuard guard;
    w.mul_(10);
  }
  CHECK(equal(grad({view * view}, {w}, {ones({2, 1})})[0], tensor({20, 40})));
}

TEST_CASE("in place: a view whose base is gone has its memory to itself", "[inplace]") {
  const Tensor x = tensor({1, 2}).set_requires_grad();
  Tensor y = reshape(x * 3, {2, 1});
  y.mul_(2).add_(ones({2, 1}));
  CHECK(equal(grad({y}, {x}, {ones({2, 1})})[0], full({2}, 6)));
}

TEST_CASE("in place with what was computed from the tensor makes no cycle", "[inplace]") {
  const Tensor w = tensor({2, 3}).set_requires_grad();
  const Tensor large = ones({2, 1 << 15}).set_requires_grad();
  const int64_t before = memory_stats().in_use;
  const auto is_gone = [&] { return memory_stats().in_use - before < (int64_t{1} << 17); };  // half of one tensor
  {
    Tensor y = large * 1;
    y.add_(y * reshape(w, {2, 1}));
    CHECK_THROWS_WITH(sum(y).backward(), ContainsSubstring("mul: expected saved tensor a"));
  }
  CHECK(is_gone());
  {
    Tensor buffer = ones({2, 1 << 15});
    buffer.copy_(buffer * reshape(w, {2, 1}));
  }
  CHECK(is_gone());
}

TEST_CASE("in-place gradients are those that differences give", "[inplace]") {
  const GradcheckReport report = gradcheck(
      [](const Tensor& a, const Tensor& b) {
        Tensor y = a * 2.0;
        y.mul_(b).add_(a, 0.5).mul_(y).mul_(3.0);
        Tensor z = zeros({3}, float64);
        z.copy_(y).add_(y * b);
        return z;
      },
      {tensor({1, -2, 0.5}, float64), tensor({3, 1, 2}, float64)});
  INFO(report);
  CHECK(report);
}

}  // namespace test_inplace
