// Products of bfloat16, which the processor may multiply itself: sums of float32, rounded once.
#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/transforms.hpp>
#include <limpid/core/parallel.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <cmath>
#include <limits>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_bfloat16 {

using namespace limpid;

Tensor draw(const Shape& shape) { return randn(shape).to(bfloat16); }

// Whether y is exact, a float64 product of operands whose magnitudes have the product most, rounded once after a sum of
// so many terms in float32.
bool is_rounded(const Tensor& y, const Tensor& exact, const Tensor& most, int64_t terms) {
  const Tensor error = abs(y.detach().to(float64) - exact.detach());
  const double half_ulp = y.dtype() == float16 ? 0x1p-11 : 0x1p-8, least = y.dtype() == float16 ? 0x1p-25 : 1e-38;
  const Tensor bound =
      abs(exact.detach()) * half_ulp + most.detach() * (static_cast<double>(terms + 1) * 0x1p-24) + least;
  return all(error <= bound).item<bool>();
}

bool is_product(const Tensor& y, const Tensor& a, const Tensor& b) {
  const Tensor wide_a = a.detach().to(float64), wide_b = b.detach().to(float64);
  return y.dtype() == bfloat16 && is_rounded(y, matmul(wide_a, wide_b), matmul(abs(wide_a), abs(wide_b)), a.size(-1));
}

Tensor stored_transposed(const Tensor& x) { return transpose(detail::as_contiguous(transpose(x, -2, -1)), -2, -1); }
// Every second element of wider memory.
Tensor stored_apart(const Tensor& x) {
  Shape wide = x.shape();
  wide.back() *= 2;
  Tensor view = slice(zeros(wide, x.dtype()), -1, 0, to_end, 2);
  detail::copy_into(view, x);
  return view;
}
// Rows of a wider matrix.
Tensor stored_in_wider(const Tensor& x) {
  Shape wide = x.shape();
  wide.back() += 5;
  Tensor view = slice(zeros(wide, x.dtype()), -1, 3, x.size(-1) + 3);
  detail::copy_into(view, x);
  return view;
}

struct Sizes {
  int64_t n, k, m;
};
// Small enough to be converted, of one block and of several, cut by rows and by columns, single rows, columns and
// terms.
const Sizes sizes[] = {{1, 1, 1},       {3, 5, 7},      {16, 32, 16},  {64, 64, 64},  {65, 130, 33},
                       {1, 1024, 1024}, {1024, 1, 70},  {300, 300, 1}, {1, 70000, 1}, {517, 259, 131},
                       {64, 512, 1030}, {2000, 33, 40}, {260, 700, 65}};

TEST_CASE("products of bfloat16 are sums of float32, rounded once, whatever the layout") {
  const auto layouts = {+[](const Tensor& x) { return x; }, stored_transposed, stored_apart, stored_in_wider};
  int number = 0;
  for (const auto& [n, k, m] : sizes) {
    CAPTURE(n, k, m);
    const Tensor a = draw({n, k}), b = draw({k, m}), bias = draw({m});
    for (const auto lay_a : layouts)
      for (const auto lay_b : layouts) {
        if (test::is_thinned_out(number++, 5)) continue;
        CHECK(is_product(matmul(lay_a(a), lay_b(b)), a, b));
        const Tensor y = linear(lay_a(a), lay_b(b.t()), stored_apart(bias));
        CHECK(is_rounded(y, matmul(a.to(float64), b.to(float64)) + bias.to(float64),
                         matmul(abs(a.to(float64)), abs(b.to(float64))) + abs(bias.to(float64)), k + 1));
      }
    CHECK(is_product(linear(a, b.t()), a, b));
  }
}

TEST_CASE("batches of products of bfloat16 broadcast as others") {
  const Tensor square = draw({40, 50, 60}), one = draw({60, 45}), many = draw({40, 60, 45}), few = draw({1, 60, 45});
  CHECK(is_product(matmul(square, one), square, one));
  CHECK(is_product(matmul(square, many), square, many));
  CHECK(is_product(matmul(square, few), square, few));
  CHECK(is_product(matmul(square, expand(few, {40, 60, 45})), square, expand(few, {40, 60, 45})));
  CHECK(is_product(matmul(transpose(many, 1, 2), transpose(square, 1, 2)), transpose(many, 1, 2),
                   transpose(square, 1, 2)));
  CHECK(is_product(matmul(square[0], many), square[0], many));
  CHECK(is_product(matmul(slice(square, 0, 0, 40, 3), slice(many, 0, 0, 40, 3)), slice(square, 0, 0, 40, 3),
                   slice(many, 0, 0, 40, 3)));
  CHECK(matmul(zeros({3, 0, 4}, bfloat16), zeros({3, 4, 5}, bfloat16)).shape() == Shape{3, 0, 5});
  CHECK(equal(matmul(zeros({300, 0}, bfloat16), zeros({0, 300}, bfloat16)), zeros({300, 300}, bfloat16)));
  CHECK(
      equal(linear(zeros({300, 0}, bfloat16), zeros({3, 0}, bfloat16), ones({3}, bfloat16)), ones({300, 3}, bfloat16)));
  CHECK(equal(limpid::dot(ones({100000}, bfloat16), ones({100000}, bfloat16)), full({}, 100000, bfloat16)));
}

TEST_CASE("sums of products of bfloat16 over any axes are rounded once") {
  struct Case {
    const char* equation;
    Shape a, b;
  };
  const Case cases[] = {{"ij,jk->ik", {70, 80}, {80, 90}},
                        {"bhqd,bhkd->bhqk", {2, 3, 40, 50}, {2, 3, 45, 50}},
                        {"bhqk,bkhd->bqhd", {2, 3, 40, 50}, {2, 50, 3, 45}},
                        {"abc,dcb->ad", {40, 7, 9}, {50, 9, 7}},
                        {"bi,bi->b", {9, 500}, {9, 500}},
                        {"i,i->", {5000}, {5000}},
                        {"bij,k->bk", {3, 40, 50}, {60}},
                        {"ij,jk->i", {70, 80}, {80, 90}},
                        {"bij,bjk->bik", {1, 40, 50}, {6, 50, 60}},
                        {"bij,bjk->ik", {6, 40, 50}, {6, 50, 60}},
                        {"iij,jk->ik", {20, 20, 50}, {50, 60}}};
  for (const auto& [equation, of_a, of_b] : cases)
    for (const DType dtype : {bfloat16, float16}) {
      CAPTURE(equation, dtype);
      Tensors xs{randn(of_a).to(dtype).set_requires_grad(), randn(of_b).to(dtype).set_requires_grad()}, wide,
          magnitudes;
      for (const Tensor& x : xs) {
        wide.push_back(x.detach().to(float64).set_requires_grad());
        magnitudes.push_back(abs(x.detach().to(float64)).set_requires_grad());
      }
      const Tensor y = einsum(equation, xs), exact = einsum(equation, wide), most = einsum(equation, magnitudes);
      CHECK(y.dtype() == dtype);
      CHECK(is_rounded(y, exact, most, 500));
      const Tensor dy = randn(y.shape()).to(dtype);
      const Tensors dx = grad({y}, xs, {dy}), dz = grad({exact}, wide, {dy.to(float64)}),
                    ds = grad({most}, magnitudes, {abs(dy.to(float64))});
      for (std::size_t i = 0; i < 2; ++i) CHECK(is_rounded(dx[i], dz[i], ds[i], 500));
    }
}

TEST_CASE("gradients of products of bfloat16 are products rounded once") {
  for (const auto& [n, k, m] : sizes) {
    CAPTURE(n, k, m);
    const Tensor a = draw({n, k}).set_requires_grad(), w = draw({m, k}).set_requires_grad(),
                 bias = draw({m}).set_requires_grad(), dy = draw({n, m});
    const Tensors dx = grad({linear(a, w, bias)}, {a, w, bias}, {dy});
    CHECK(is_product(dx[0], dy, w));
    CHECK(is_product(dx[1], dy.t(), a));
    CHECK(is_product(unsqueeze(dx[2], 0), ones({1, n}, bfloat16), dy));
    const Tensor b = draw({k, m}).set_requires_grad();
    const Tensors dab = grad({matmul(a, b)}, {a, b}, {dy});
    CHECK(is_product(dab[0], dy, b.t()));
    CHECK(is_product(dab[1], a.t(), dy));
  }
  // One matrix under a batch: one sum over all of it. One that is broadcast: rounded after its sum.
  const Tensor a = draw({20, 30, 70}).set_requires_grad(), b = draw({70, 40}).set_requires_grad(),
               c = draw({1, 70, 40}).set_requires_grad(), dy = draw({20, 30, 40});
  const Tensor rows = reshape(a.detach(), {600, 70}), of_dy = reshape(dy, {600, 40});
  CHECK(is_product(grad({matmul(a, b)}, {b}, {dy})[0], rows.t(), of_dy));
  CHECK(is_product(squeeze(grad({matmul(a, c)}, {c}, {dy})[0], 0), rows.t(), of_dy));
}

TEST_CASE("tangents of products of bfloat16 are two sums, rounded as one") {
  const Tensor a = draw({65, 130}), b = draw({130, 33}), da = draw({65, 130}), db = draw({130, 33}), c = draw({33}),
               dc = draw({33});
  const auto wide = [](const Tensor& x) { return x.to(float64); };
  const Tensor exact = matmul(wide(da), wide(b)) + matmul(wide(a), wide(db)),
               most = matmul(abs(wide(da)), abs(wide(b))) + matmul(abs(wide(a)), abs(wide(db)));
  const auto product = [](const Tensor& x, const Tensor& y) { return matmul(x, y); };
  CHECK(is_rounded(jvp(product, {a, b}, {da, db}).dys[0], exact, most, 261));
  const auto layer = [](const Tensor& x, const Tensor& y, const Tensor& z) { return linear(x, y.t(), z); };
  CHECK(is_rounded(jvp(layer, {a, b, c}, {da, db, dc}).dys[0], exact + wide(dc), most + abs(wide(dc)), 262));
}

TEST_CASE("the bits of products of bfloat16 do not depend on the number of threads") {
  const int threads = get_num_threads();
  for (const auto& [n, k, m] : sizes) {
    const Tensor a = draw({n, k}).set_requires_grad(), b = draw({k, m}).set_requires_grad(), dy = draw({n, m});
    const Tensor left = draw({9, 40, 50}), right = draw({9, 50, 40});
    Tensors expected;
    for (const int count : {1, 2, 3, 5}) {
      set_num_threads(count);
      const Tensor y = matmul(a, b);
      Tensors got = grad({y}, {a, b}, {dy});
      got.push_back(y.detach());
      got.push_back(matmul(left, right));
      if (expected.empty()) expected = got;
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(equal(got[i], expected[i]));
    }
  }
  set_num_threads(threads);
}

TEST_CASE("what is not finite in bfloat16 stays in its row and column") {
  Tensor a = ones({300, 130}, bfloat16), b = ones({130, 90}, bfloat16);
  a.select(0, 7).select(0, 3).fill_(std::nan(""));
  b.select(1, 5).select(0, 2).fill_(std::numeric_limits<double>::infinity());
  const Tensor y = matmul(a, b).to(float32), finite = isfinite(y);
  for (const int64_t i : {0, 6, 7, 8, 299})
    for (const int64_t j : {0, 4, 5, 6, 89}) CHECK(finite.select(0, i).select(0, j).item<bool>() == (i != 7 && j != 5));
  CHECK(y.select(0, 8).select(0, 6).item<float>() == 130);
}

}  // namespace test_bfloat16
