// Products of operands of given ranks.
#include <limpid/autograd/backward.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/index.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/shaping.hpp>

#include <limits>
#include <vector>

#include <limpid/tests/ops/plain.hpp>

namespace test_forms {

using namespace limpid;
using namespace plain;

TEST_CASE("products of given ranks are matmul's, and take no others") {
  for (const DType dtype : {float32, float64}) {
    const Tensor a = noise({3, 4}, dtype), b = noise({4, 5}, dtype), u = noise({4}, dtype), v = noise({4}, dtype);
    CHECK(equal(mm(a, b), matmul(a, b)));
    CHECK(equal(a.mm(b), matmul(a, b)));
    CHECK(equal(mv(a, v), matmul(a, v)));
    CHECK(equal(limpid::dot(u, v), matmul(u, v)));
    const Tensor p = noise({2, 3, 4}, dtype), q = noise({2, 4, 5}, dtype);
    CHECK(equal(bmm(p, q), matmul(p, q)));
  }
  CHECK(limpid::dot(tensor({1, 2, 3}), tensor({4, 5, 6})).item<float>() == 32);
  CHECK(limpid::dot(zeros({0}), zeros({0})).item<float>() == 0);
  CHECK(equal(mm(zeros({2, 0}), zeros({0, 3})), zeros({2, 3})));
  CHECK(bmm(zeros({0, 2, 3}), zeros({0, 3, 4})).shape() == Shape{0, 2, 4});

  CHECK(thrown<ShapeError>([] {
          mm(zeros({2, 3}), zeros({4, 3}));
        }) == "mm: expected matrices (n, k) and (k, m), got (2, 3) and (4, 3)");
  CHECK(thrown<ShapeError>([] {
          mm(zeros({1, 2, 3}), zeros({3, 3}));
        }) == "mm: expected matrices (n, k) and (k, m), got (1, 2, 3) and (3, 3)");
  CHECK(thrown<ShapeError>([] {
          mv(zeros({2, 3}), zeros({3, 1}));
        }) == "mv: expected a matrix (n, k) and a vector (k,), got (2, 3) and (3, 1)");
  CHECK(thrown<ShapeError>([] { limpid::dot(zeros({3}), zeros({4})); }) ==
        "dot: expected two vectors of one length, got (3,) and (4,)");
  CHECK(thrown<ShapeError>([] {
          limpid::dot(zeros({3, 1}), zeros({3, 1}));
        }) == "dot: expected two vectors of one length, got (3, 1) and (3, 1)");
  CHECK(thrown<ShapeError>([] {
          bmm(zeros({1, 2, 3}), zeros({5, 3, 4}));
        }) == "bmm: expected (b, n, k) and (b, k, m), got (1, 2, 3) and (5, 3, 4)");
  CHECK(thrown<ShapeError>([] {
          outer(zeros({3}), zeros({3, 1}));
        }) == "outer: expected two vectors, got (3,) and (3, 1)");
  CHECK(thrown<DTypeError>([] {
          mm(zeros({2, 3}), zeros({3, 3}, float64));
        }) == "mm: expected a and b of one dtype, got float32 and float64; convert with to()");
  CHECK(thrown<DTypeError>([] { limpid::dot(zeros({3}, int64), zeros({3}, int64)); }) ==
        "dot: expected a of a floating-point dtype, got int64; convert with to()");
  CHECK(thrown<DTypeError>([] {
          mv(zeros({2, 3}), zeros({3}, float64));
        }) == "mv: expected a and x of one dtype, got float32 and float64; convert with to()");
  CHECK(thrown<ValueError>([] { mv(zeros({2, 3}), {}); }) == "mv: expected a defined x, got an undefined tensor");
}

TEST_CASE("addmm is beta x plus alpha times a product") {
  const Tensor a = tensor({1, 2, 3, 4, 5, 6}, float64).reshape({2, 3}),
               b = tensor({1, 0, 2, 1, 0, 3}, float64).reshape({3, 2});
  // a b = ((5, 11), (14, 23))
  CHECK(equal(addmm(tensor({10, 20}, float64), a, b), tensor({15, 31, 24, 43}, float64).reshape({2, 2})));
  CHECK(equal(addmm(tensor({10, 20}, float64).reshape({2, 1}), a, b, 0.5, -2),
              tensor({-5, -17, -18, -36}, float64).reshape({2, 2})));
  CHECK(equal(addmm(full({}, 1, float64), a, b, 2, 0), full({2, 2}, 2, float64)));
  // beta = 0: x is not read, but has a gradient.
  Tensor x = full({2}, std::numeric_limits<double>::quiet_NaN(), float64);
  CHECK(equal(addmm(x, a, b, 0), matmul(a, b)));
  x.set_requires_grad();
  const Tensor y = addmm(x, a, b, 0);
  CHECK(equal(y.detach(), matmul(a, b)));
  CHECK(equal(grad({y}, {x}, {ones({2, 2}, float64)})[0], zeros({2}, float64)));
  // Nothing to sum over.
  CHECK(equal(addmm(ones({2, 4}), zeros({2, 0}), zeros({0, 4})), ones({2, 4})));

  CHECK(thrown<ShapeError>([] {
          addmm(zeros({3}), zeros({2, 3}), zeros({3, 2}));
        }) == "addmm: expected x that broadcasts to (2, 2), got shape (3,)");
  CHECK(thrown<ShapeError>([] {
          addmm(zeros({1, 2, 2}), zeros({2, 3}), zeros({3, 2}));
        }) == "addmm: expected x that broadcasts to (2, 2), got shape (1, 2, 2)");
  CHECK(thrown<ShapeError>([] {
          addmm(zeros({2}), zeros({2, 3}), zeros({2, 2}));
        }) == "addmm: expected matrices (n, k) and (k, m), got (2, 3) and (2, 2)");
  CHECK(thrown<DTypeError>([] {
          addmm(zeros({2}, float64), zeros({2, 3}), zeros({3, 2}));
        }) == "addmm: expected x and a of one dtype, got float64 and float32; convert with to()");
}

TEST_CASE("outer and kron multiply all by all") {
  CHECK(equal(outer(tensor({1, 2}, int64), tensor({3, 4, 5}, int64)),
              tensor({3, 4, 5, 6, 8, 10}, int64).reshape({2, 3})));
  CHECK(outer(zeros({0}), zeros({3})).shape() == Shape{0, 3});
  CHECK(outer(zeros({2}, float64), ones({3}, int64)).dtype() == float64);
  // numpy.kron((1, 2; 3, 4), (0, 5; 6, 7))
  CHECK(equal(kron(tensor({1, 2, 3, 4}, int64).reshape({2, 2}), tensor({0, 5, 6, 7}, int64).reshape({2, 2})),
              tensor({0, 5, 0, 10, 6, 7, 12, 14, 0, 15, 0, 20, 18, 21, 24, 28}, int64).reshape({4, 4})));
  CHECK(equal(kron(tensor({1, 2}), tensor({1, 10}).reshape({2, 1})), tensor({1, 2, 10, 20}).reshape({2, 2})));
  CHECK(kron(zeros({2, 0}), zeros({3, 4})).shape() == Shape{6, 0});
  CHECK(equal(kron(full({}, 3), tensor({1, 2})), tensor({3, 6})));
  // Of as many axes as a tensor may have.
  const auto ones_of = [](std::size_t rank) { return Shape(std::vector<int64_t>(rank, 1)); };
  Shape first = ones_of(64), second = first, both = first;
  first[0] = 2, second[0] = 3, both[0] = 6;
  first[63] = 2, both[63] = 2;
  CHECK(equal(kron(tensor({1, 2, 3, 4}).reshape(first), tensor({1, 10, 100}).reshape(second)),
              tensor({1, 2, 10, 20, 100, 200, 3, 4, 30, 40, 300, 400}).reshape(both)));
  CHECK(equal(kron(ones(ones_of(40)), full(ones_of(40), 3)), full(ones_of(40), 3)));
  const int64_t large = int64_t{1} << 40;
  const Tensor none = empty({0, large});
  CHECK(thrown<ShapeError>([&] { kron(none, none); }) ==
        "kron: expected sizes whose products 64 bits hold, got (0, 1099511627776) and (0, 1099511627776)");
}

TEST_CASE("tensordot sums over the axes named") {
  for (const DType dtype : {float32, float64}) {
    const Tensor a = noise({2, 3, 4}, dtype), b = noise({4, 3, 5}, dtype);
    const Tensor y = tensordot(a, b, {1, 2}, {1, 0});
    REQUIRE(y.shape() == Shape{2, 5});
    const auto va = values(a), vb = values(b);
    std::vector<double> expected;
    for (std::size_t i = 0; i < 2; ++i)
      for (std::size_t j = 0; j < 5; ++j) {
        long double sum = 0;
        for (std::size_t p = 0; p < 3; ++p)
          for (std::size_t q = 0; q < 4; ++q)
            sum +=
                static_cast<long double>(va[(i * 3 + p) * 4 + q]) * static_cast<long double>(vb[(q * 3 + p) * 5 + j]);
        expected.push_back(static_cast<double>(sum));
      }
    CHECK(error(y, expected, 40) <= 1);
    CHECK(error(tensordot(strided(a), strided(b), {-1, -2}, {0, 1}), expected, 40) <= 1);
  }
  const Tensor a = arange(24).to(float64).reshape({2, 3, 4});
  // numpy.tensordot(a, b, 1) is a times b, 0 all by all, and 2 is the default.
  const Tensor b = arange(12).to(float64).reshape({4, 3});
  CHECK(equal(tensordot(a, b, 1), matmul(a, b)));
  CHECK(tensordot(a, b, 0).shape() == Shape{2, 3, 4, 4, 3});
  CHECK(tensordot(a, b, 0).index({1, 2, 3, 3, 2}).item<double>() == 23 * 11);
  CHECK(equal(tensordot(a, reshape(b, {3, 4})), tensor({506, 1298}, float64)));
  CHECK(equal(tensordot(a, a, {0, 1, 2}, {0, 1, 2}), full({}, 4324, float64)));
  CHECK(equal(tensordot(zeros({2, 0}), zeros({0, 3}), 1), zeros({2, 3})));
  CHECK(tensordot(zeros({0, 3}), zeros({3, 0}), 1).shape() == Shape{0, 0});

  CHECK(thrown<ShapeError>([] {
          tensordot(zeros({2, 3}), zeros({2, 3}), 1);
        }) ==
        "tensordot: expected axes that agree in size, got axis 1 of a of shape (2, 3) and axis 0 of b of shape "
        "(2, 3)");
  CHECK(thrown<ShapeError>([] {
          tensordot(zeros({2, 3}), zeros({3, 1}), {1}, {1});
        }) ==
        "tensordot: expected axes that agree in size, got axis 1 of a of shape (2, 3) and axis 1 of b of shape "
        "(3, 1)");
  CHECK(thrown<ShapeError>([] {
          tensordot(zeros({2, 3}), zeros({2, 3}), {0, 1}, {0});
        }) == "tensordot: expected as many axes of a as of b, got 2 and 1");
  CHECK(thrown<ShapeError>([] {
          tensordot(zeros({3, 3}), zeros({3, 3}), {0, -2}, {0, 1});
        }) == "tensordot: expected different axes, got one twice");
  CHECK(thrown<ValueError>([] {
          tensordot(zeros({3}), zeros({3, 3}));
        }) == "tensordot: expected a number of axes from 0 to 1, got 2");
  CHECK(thrown<ValueError>([] {
          tensordot(zeros({3}), zeros({3, 3}), -1);
        }) == "tensordot: expected a number of axes from 0 to 1, got -1");
  CHECK(thrown<DTypeError>([] { tensordot(zeros({3}, int64), zeros({3}, int64), 1); }) ==
        "tensordot: expected a of a floating-point dtype, got int64; convert with to()");
}

TEST_CASE("masks are joined by bits, numbers are not") {
  const Tensor a = tensor({1, 1, 0, 0}, bool_), b = tensor({1, 0, 1, 0}, bool_);
  CHECK(equal(a & b, tensor({1, 0, 0, 0}, bool_)));
  CHECK(equal(a | b, tensor({1, 1, 1, 0}, bool_)));
  CHECK(equal(~a, tensor({0, 0, 1, 1}, bool_)));
  CHECK((reshape(a, {4, 1}) & b).shape() == Shape{4, 4});
  const Tensor n = tensor({1, 2}, int64);
  CHECK(thrown<DTypeError>([&] { n& a; }) ==
        "operator&: expected operands of dtype bool, got int64; of numbers, compare them first");
  CHECK(thrown<DTypeError>([&] { a | n; }) ==
        "operator|: expected operands of dtype bool, got int64; of numbers, compare them first");
  CHECK(thrown<DTypeError>([&] { ~zeros({2}); }) ==
        "operator~: expected operands of dtype bool, got float32; of numbers, compare them first");
  CHECK(thrown<ValueError>([&] { a& Tensor(); }) == "operator&: expected a defined tensor, got an undefined tensor");
}

TEST_CASE("tensors, sizes and axes come from standard vectors") {
  const std::vector<Tensor> parts{ones({2}), zeros({2})};
  CHECK(equal(cat(parts), tensor({1, 1, 0, 0})));
  CHECK(zeros(std::vector<int64_t>{2, 3}).shape() == Shape{2, 3});
  CHECK(permute(zeros({2, 3}), std::vector<int64_t>{1, 0}).shape() == Shape{3, 2});
  CHECK(equal(einsum("i,i", parts), zeros({})));
}

}  // namespace test_forms
