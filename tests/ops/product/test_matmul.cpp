// Products against plain loops in long double.
#include <limpid/autograd/backward.hpp>
#include <limpid/core/parallel.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_matmul {

using namespace limpid;
using namespace plain;

struct Case {
  Shape a, b, y;
};

// NumPy's rules: every rank, broadcast leading axes, nothing in k, nothing at all.
const Case cases[] = {
    {{3}, {3}, {}},
    {{3}, {3, 4}, {4}},
    {{2, 3}, {3}, {2}},
    {{2, 3}, {3, 4}, {2, 4}},
    {{1, 1}, {1, 1}, {1, 1}},
    {{5, 64}, {64, 17}, {5, 17}},
    {{67, 131}, {131, 33}, {67, 33}},
    {{300, 70}, {70, 129}, {300, 129}},
    {{2, 3, 4}, {4, 5}, {2, 3, 5}},
    {{70, 30, 40}, {40, 50}, {70, 30, 50}},
    {{4, 5}, {2, 5, 6}, {2, 4, 6}},
    {{2, 1, 3, 4}, {5, 4, 2}, {2, 5, 3, 2}},
    {{6, 1, 40, 50}, {1, 3, 50, 60}, {6, 3, 40, 60}},
    {{2, 3, 4}, {4}, {2, 3}},
    {{4}, {2, 3, 4, 5}, {2, 3, 5}},
    {{2, 0}, {0, 3}, {2, 3}},
    {{0}, {0}, {}},
    {{0, 3}, {3, 4}, {0, 4}},
    {{3, 4}, {4, 0}, {3, 0}},
    {{0, 2, 3}, {3, 4}, {0, 2, 4}},
    {{0, 2, 3}, {1, 3, 4}, {0, 2, 4}},
};

// The same values with the last two axes stored the other way round.
Tensor stored_transposed(const Tensor& x) {
  return x.dim() < 2 ? x : transpose(detail::as_contiguous(transpose(x, -2, -1)), -2, -1);
}
// Every second element of wider memory.
Tensor stored_apart(const Tensor& x) {
  Shape wide = x.shape();
  wide.back() *= 2;
  Tensor y = zeros(wide, x.dtype());
  Tensor view = slice(y, -1, 0, to_end, 2);
  detail::copy_into(view, x);
  return view;
}

std::vector<double> product(const Tensor& a, const Tensor& b, const Shape& shape) {
  const Shape as = a.dim() == 1 ? Shape{1, a.size(0)} : a.shape(), bs = b.dim() == 1 ? Shape{b.size(0), 1} : b.shape();
  const int64_t n = as[as.size() - 2], k = as.back(), m = bs.back();
  Shape lead_a(as.begin(), as.end() - 2), lead_b(bs.begin(), bs.end() - 2);
  const Shape lead = broadcast_shapes(lead_a, lead_b);
  const auto va = values(a), vb = values(b);
  std::vector<double> y;
  for (int64_t l = 0; l < lead.numel(); ++l) {
    int64_t rest = l, at_a = 0, at_b = 0, step_a = 1, step_b = 1;
    for (std::size_t i = 1; i <= lead.size(); ++i) {
      const int64_t index = rest % lead[lead.size() - i];
      rest /= lead[lead.size() - i];
      if (i <= lead_a.size())
        at_a += std::min(index, lead_a[lead_a.size() - i] - 1) * step_a, step_a *= lead_a[lead_a.size() - i];
      if (i <= lead_b.size())
        at_b += std::min(index, lead_b[lead_b.size() - i] - 1) * step_b, step_b *= lead_b[lead_b.size() - i];
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        long double sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum += static_cast<long double>(va[static_cast<std::size_t>((at_a * n + i) * k + p)]) *
                 static_cast<long double>(vb[static_cast<std::size_t>((at_b * k + p) * m + j)]);
        y.push_back(static_cast<double>(sum));
      }
  }
  REQUIRE(static_cast<int64_t>(y.size()) == shape.numel());
  return y;
}

TEST_CASE("matmul follows NumPy's shapes and values in any layout") {
  for (DType dtype : {float32, float64})
    for (const Case& c : cases) {
      CAPTURE(c.a, c.b, dtype);
      const Tensor a = noise(c.a, dtype), b = noise(c.b, dtype);
      const auto expected = product(a, b, c.y);
      const double scale = 3 * static_cast<double>(c.a.back() + 4);  // for any draw of the noise
      for (const Tensor& left : {a, stored_transposed(a), stored_apart(a)})
        for (const Tensor& right : {b, stored_transposed(b), stored_apart(b)}) {
          const Tensor y = matmul(left, right);
          CHECK(y.shape() == c.y);
          CHECK(y.dtype() == dtype);
          CHECK(error(y, expected, scale) <= 1);
        }
    }
}

TEST_CASE("matmul reads expanded operands") {
  const Tensor a = expand(noise({1, 4}, float64), {70, 4}), b = expand(noise({4, 1}, float64), {4, 90});
  CHECK(error(matmul(a, b), product(a, b, {70, 90}), 8) <= 1);
  const Tensor batch = expand(noise({1, 5, 4}, float64), {3, 5, 4});
  CHECK(error(matmul(batch, b), product(batch, b, {3, 5, 90}), 8) <= 1);
}

TEST_CASE("matmul's gradients are adjoint to it") {
  for (const Case& c : cases) {
    CAPTURE(c.a, c.b);
    Tensor a = noise(c.a, float64), b = noise(c.b, float64);
    a.set_requires_grad();
    b.set_requires_grad();
    const Tensor y = matmul(a, b), dy = noise(c.y, float64);
    const Tensors dx = grad({y}, {a, b}, {dy});
    REQUIRE(dx[0].shape() == c.a);
    REQUIRE(dx[1].shape() == c.b);
    const double form = plain::dot(y, dy), tolerance = 1e-11 * (1 + static_cast<double>(y.numel()));
    CHECK(plain::dot(a, dx[0]) == Approx(form).margin(tolerance));
    CHECK(plain::dot(b, dx[1]) == Approx(form).margin(tolerance));
  }
}

TEST_CASE("matmul can be differentiated twice") {
  Tensor a = noise({2, 3, 4}, float64), b = noise({4, 5}, float64);
  a.set_requires_grad();
  b.set_requires_grad();
  Tensor dy = noise({2, 3, 5}, float64), v = noise({2, 3, 4}, float64);
  dy.set_requires_grad();
  const Tensors first = grad({matmul(a, b)}, {a}, {dy}, {.create_graph = true});
  // <da, v> = <v b, dy>: its gradients are v b for dy and v^T dy for b.
  const Tensors second = grad({first[0]}, {dy, b}, {v});
  CHECK(allclose(second[0], matmul(v, b).detach(), 1e-12, 1e-12));
  CHECK(second[1].shape() == b.shape());
  CHECK(plain::dot(second[1], b) == Approx(plain::dot(first[0], v)));
}

TEST_CASE("products of half precision are rounded once, from float32") {
  for (const DType half : {float16, bfloat16}) {
    CAPTURE(half);
    const Tensor a = randn({2, 5, 300}).to(half), b = randn({300, 7}).to(half), c = randn({7}).to(half);
    const Tensor wide_a = a.to(float32), wide_b = b.to(float32), wide_c = c.to(float32);
    CHECK(equal(matmul(a, b), matmul(wide_a, wide_b).to(half)));
    CHECK(equal(linear(a, b.t(), c), linear(wide_a, wide_b.t(), wide_c).to(half)));
    CHECK(equal(linear(a, b.t()), linear(wide_a, wide_b.t()).to(half)));
    CHECK(equal(addmm(c, a[0], b, 2, 3), addmm(wide_c, wide_a[0], wide_b, 2, 3).to(half)));
    CHECK(equal(einsum("bij,jk,k->bi", {a, b, c}), einsum("bij,jk,k->bi", {wide_a, wide_b, wide_c}).to(half)));
    CHECK(equal(limpid::dot(ones({4096}, half), ones({4096}, half)),
                full({}, 4096, half)));  // neither counts so far in ones
    Tensor x = a.clone().set_requires_grad(), w = b.clone().set_requires_grad();
    const Tensor dy = randn({2, 5, 7}).to(half);
    const Tensors dx = grad({matmul(x, w)}, {x, w}, {dy});
    CHECK(equal(dx[0], matmul(dy.to(float32), wide_b.t()).to(half)));
    CHECK(dx[1].dtype() == half);
  }
  CHECK(thrown<DTypeError>([] {
          matmul(zeros({2, 2}, float16), zeros({2, 2}));
        }) == "matmul: expected a and b of one dtype, got float16 and float32; convert with to()");
}

TEST_CASE("matmul refuses what it cannot multiply") {
  const auto message = [](auto error, const Tensor& a, const Tensor& b) {
    return thrown<decltype(error)>([&] { matmul(a, b); });
  };
  CHECK(message(ShapeError(""), zeros({2, 3}), zeros({4, 5})) ==
        "matmul: expected (..., n, k) and (..., k, m), got (2, 3) and (4, 5)");
  CHECK(message(ShapeError(""), zeros({}), zeros({4})) ==
        "matmul: expected operands of rank 1 or more, got () and (4,)");
  CHECK(message(ShapeError(""), zeros({2, 3, 4}), zeros({3, 4, 5})) ==
        "matmul: expected shapes that broadcast together, got (2,) and (3,)");
  CHECK(message(DTypeError(""), zeros({2, 3}, int64), zeros({3, 2})) ==
        "matmul: expected a of a floating-point dtype, got int64; convert with to()");
  CHECK(message(ValueError(""), Tensor(), zeros({3, 2})) == "matmul: expected a defined a, got an undefined tensor");
}

TEST_CASE("linear is x weight^T + bias for any rank") {
  struct {
    Shape x;
    int64_t out;
  } const shapes[] = {{{5}, 3},         {{2, 5}, 3}, {{16, 16}, 16}, {{64, 784}, 128},
                      {{2, 3, 40}, 33}, {{0, 5}, 3}, {{4, 0}, 3},    {{4, 5}, 0}};
  for (DType dtype : {float32, float64})
    for (const auto& c : shapes)
      for (bool with_bias : {false, true}) {
        CAPTURE(c.x, c.out, dtype, with_bias);
        const Tensor x = noise(c.x, dtype), weight = noise({c.out, c.x.back()}, dtype);
        const Tensor bias = with_bias ? noise({c.out}, dtype) : Tensor();
        Shape shape = c.x;
        shape.back() = c.out;
        auto expected = product(x, transpose(weight, 0, 1), shape);
        if (with_bias) {
          const auto b = values(bias);
          for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += b[i % b.size()];
        }
        const double scale = 2 * static_cast<double>(c.x.back() + 4);
        for (const Tensor& left : {x, stored_transposed(x), stored_apart(x)})
          for (const Tensor& right : {weight, stored_transposed(weight), stored_apart(weight)}) {
            const Tensor y = linear(left, right, bias);
            CHECK(y.shape() == shape);
            CHECK(error(y, expected, scale) <= 1);
          }
      }
}

TEST_CASE("linear computes the gradients asked for, and no other") {
  for (const Shape& shape : {Shape{5}, Shape{7, 5}, Shape{2, 3, 5}})
    for (int mask = 1; mask < 8; ++mask) {
      CAPTURE(shape, mask);
      Tensor xs[] = {noise(shape, float64), noise({3, 5}, float64), noise({3}, float64)};
      Tensors wanted;
      for (int i = 0; i < 3; ++i)
        if (mask >> i & 1) wanted.push_back(xs[i].set_requires_grad());
      const Tensor y = linear(xs[0], xs[1], xs[2]), dy = noise(y.shape(), float64);
      const Tensors dx = grad({y}, wanted, {dy});
      const double plain_form = plain::dot(linear(xs[0].detach(), xs[1].detach()), dy),
                   bias_form = plain::dot(y, dy) - plain_form;
      for (std::size_t i = 0, k = 0; i < 3; ++i)
        if (mask >> i & 1) {
          REQUIRE(dx[k].shape() == xs[i].shape());
          CHECK(plain::dot(xs[i], dx[k++]) == Approx(i == 2 ? bias_form : plain_form).margin(1e-12));
        }
    }
}

TEST_CASE("linear refuses operands that do not fit") {
  CHECK(thrown<ShapeError>([] {
          linear(zeros({2, 3}), zeros({4, 5}));
        }) == "linear: expected x of shape (..., 5) for weight of shape (4, 5), got (2, 3)");
  CHECK(thrown<ShapeError>([] {
          linear(zeros({2, 3}), zeros({4, 3}), zeros({3}));
        }) == "linear: expected bias of shape (4,), got (3,)");
  CHECK(thrown<ShapeError>([] {
          linear(zeros({}), zeros({4, 3}));
        }) == "linear: expected x of rank 1 or more, got shape ()");
  CHECK(thrown<DTypeError>([] {
          linear(zeros({2, 3}), zeros({4, 3}), zeros({4}, int32));
        }) == "linear: expected bias of a floating-point dtype, got int32; convert with to()");
}

TEST_CASE("products are the same for any number of threads") {
  struct Sizes {
    int64_t n, m, k;
  };
  const Sizes all[] = {{1024, 1024, 1024}, {129, 257, 300}, {33, 7, 5000},   {128, 784, 2000},
                       {512, 512, 700},    {1000, 1, 1000}, {1, 1000, 1000}, {64, 10, 784}};
  for (DType dtype : {float32, float64})
    for (const auto& [n, m, k] : all) {
      if (test::thinned() && n * m * k > 100'000'000) continue;
      CAPTURE(dtype, n, m, k);
      Tensor a = noise({n, k}, dtype).set_requires_grad(), b = noise({k, m}, dtype).set_requires_grad();
      Tensor weight = noise({m, k}, dtype).set_requires_grad(), bias = noise({m}, dtype).set_requires_grad();
      const Tensor dy = noise({n, m}, dtype);
      check_threads([&]() -> Tensors {
        const Tensor y = matmul(a, b), z = linear(a, weight, bias);
        const Tensors dab = grad({y}, {a, b}, {dy}), dz = grad({z}, {a, weight, bias}, {dy});
        return {y.detach(), z.detach(), dab[0], dab[1], dz[0], dz[1], dz[2]};
      });
    }
  // Fewer matrices than threads, and more.
  for (int64_t batch : {2, 5, 40}) {
    const Tensor a = noise({batch, 200, 300}, float32), b = noise({batch, 300, 260}, float32);
    check_threads([&]() -> Tensors { return {matmul(a, b)}; });
  }
}

TEST_CASE("products cut into blocks") {
  for (DType dtype : {float32, float64}) {
    const Tensor a = noise({700, 90}, dtype), b = noise({90, 1100}, dtype);
    const auto expected = product(a, b, {700, 1100});
    for (const Tensor& left : {a, stored_transposed(a)})
      for (const Tensor& right : {b, stored_transposed(b)}) CHECK(error(matmul(left, right), expected, 1000) <= 1);
  }
}

}  // namespace test_matmul
