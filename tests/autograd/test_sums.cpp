// Gradients that tiny ops add straight into the sums of others: as the recorded way gives them, bit for bit.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include "../catch.hpp"

namespace test_sums {

using namespace limpid;

struct Case {
  const char* name;
  Tensor (*f)(const Tensor& x, const Tensor& w);
};

const Case cases[] = {
    {"x * w", [](const Tensor& x, const Tensor& w) { return x * w; }},
    {"x * x", [](const Tensor& x, const Tensor&) { return x * x; }},
    {"x + x", [](const Tensor& x, const Tensor&) { return x + x; }},
    {"x * (x * w)", [](const Tensor& x, const Tensor& w) { return x * (x * w); }},
    {"(x + w) * (w + x)", [](const Tensor& x, const Tensor& w) { return (x + w) * (w + x); }},
    {"x * w + x * x + w", [](const Tensor& x, const Tensor& w) { return x * w + x * x + w; }},
    {"x * constant", [](const Tensor& x, const Tensor& w) { return x * w.detach(); }},
    {"constant * w", [](const Tensor& x, const Tensor& w) { return x.detach() * w; }},
    {"constant + w", [](const Tensor& x, const Tensor& w) { return x.detach() + w; }},
    {"a chain",
     [](const Tensor& x, const Tensor& w) {
       Tensor y = w;
       for (int i = 0; i < 10; ++i) y = y * x + w;
       return y;
     }},
};

// Of f(x, w) . dy, with the sums in place, or, as recorded gradients are, by backward() alone.
Tensors gradients(const Case& c, const Tensor& x, const Tensor& w, bool recorded) {
  const Tensor a = x.detach().set_requires_grad(), b = w.detach().set_requires_grad();
  manual_seed(7);
  const Tensor y = c.f(a, b), dy = rand(y.shape()).to(y.dtype());
  y.backward(dy, {.create_graph = recorded});
  Tensors sums;
  for (const Tensor& leaf : {a, b}) {
    const Tensor sum = leaf.grad();
    sums.push_back(sum.defined() ? sum.detach() : sum);
    leaf.set_grad({});  // a recorded gradient holds its leaf, which holds it
  }
  return sums;
}

void check_alike(const Case& c, const Tensor& x, const Tensor& w) {
  const Tensors found = gradients(c, x, w, false), expected = gradients(c, x, w, true);
  for (std::size_t i = 0; i < 2; ++i) {
    INFO(c.name << ", input " << i);
    REQUIRE(found[i].defined() == expected[i].defined());
    if (!found[i].defined()) continue;
    CHECK(found[i].shape() == (i == 0 ? x : w).shape());
    CHECK(equal(found[i], expected[i].detach()));
  }
}

TEST_CASE("sums in place have the bits of recorded ones") {
  for (const DType dtype : {float32, float64, float16})
    for (const int64_t n : {0, 1, 3, 4, 17, 1000})
      for (const Case& c : cases) {
        INFO(dtype << " of " << n);
        // In the range of all that a chain makes of them in float16: of infinities comes NaN, which equals nothing.
        const Tensor x = (2 * rand({n}) - 1).to(dtype), w = (2 * rand({n}) - 1).to(dtype);
        check_alike(c, x, w);
      }
}

TEST_CASE("sums of operands that lie otherwise are the same") {
  const Tensor x = randn({4, 4}), row = randn({4}), one = randn({1, 1}), other = transpose(randn({4, 4}), 0, 1);
  const Tensor image = randn({2, 3, 2, 2}), last = randn({2, 3, 2, 2}).contiguous(MemoryFormat::channels_last);
  for (const Case& c : cases) {
    check_alike(c, x, row);
    check_alike(c, row, x);
    check_alike(c, x, one);
    check_alike(c, one, x);
    check_alike(c, x, other);
    check_alike(c, other, x);
    check_alike(c, x, expand(one, {4, 4}));
    check_alike(c, last, image);
  }
}

TEST_CASE("sums in place leave what others hold") {
  const Tensor x = tensor({2, 3}).set_requires_grad(), w = tensor({5, 7}).set_requires_grad(), dy = tensor({1, 10});
  SECTION("a cotangent that was given") {
    (x * w).backward(dy);
    (x * w.detach()).backward(dy);
    (x + w).backward(dy);
    CHECK(equal(dy, tensor({1, 10})));
    CHECK(equal(x.grad(), tensor({11, 150})));
    CHECK(equal(w.grad(), tensor({3, 40})));
  }
  SECTION("a gradient asked for half-way") {
    const Tensor y = x * w, z = y * w;
    const Tensors dx = grad({z}, {y, x}, {dy});
    CHECK(equal(dx[0], tensor({5, 70})));
    CHECK(equal(dx[1], tensor({25, 490})));
  }
  SECTION("a gradient that a hook keeps") {
    Tensor kept;
    const Tensor y = x * w;
    const auto handle = register_hook(y, [&](const Tensor& g) {
      kept = g;
      return g;
    });
    (y * w).backward(dy);
    CHECK(equal(kept, tensor({5, 70})));
    CHECK(equal(x.grad(), tensor({25, 490})));
  }
  SECTION("a gradient of an earlier run") {
    (x * w).backward(dy);
    const Tensor before = x.grad();
    (x * w).backward(dy);
    (x * x).backward(dy);
    CHECK(equal(before, tensor({5, 70})));
    CHECK(equal(x.grad(), tensor({14, 200})));
  }
}

TEST_CASE("a product whose factor was changed in place is refused") {
  const Tensor x = tensor({2, 3}).set_requires_grad(), w = tensor({5, 7});
  const Tensor y = x * w;
  w.bump_version();
  CHECK_THROWS_AS(y.backward(ones({2})), AutogradError);
}

}  // namespace test_sums
