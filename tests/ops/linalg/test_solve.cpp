// Inverses, solutions, determinants and triangles: against what they are, by products.
#include <limpid/autograd/transforms.hpp>

#include <limpid/tests/ops/linalg/linalg_tests.hpp>

namespace test_solve {

using namespace limpid;
using namespace linalg_tests;

TEST_CASE("inv times a is 1, in any layout and batch") {
  for (const DType dtype : {float32, float64})
    for (const Shape& lead : leads)
      for (const int64_t n : {0, 1, 2, 3, 7, 40})
        for (const char* layout : layouts) {
          CAPTURE(dtype, lead, n, layout);
          const Tensor a = regular(lead, n, dtype), y = linalg::inv(laid_out(a, layout));
          REQUIRE(y.shape() == a.shape());
          CHECK(y.dtype() == dtype);
          CHECK(y.is_contiguous());
          CHECK(near(matmul(a, y), expand(eye(n, dtype), a.shape())));
        }
  CHECK(near(linalg::inv(matrix({1, 2, 3, 4}, 2)), matrix({-2, 1, 1.5, -0.5}, 2), 10));
}

TEST_CASE("solve solves from both sides, and takes a vector only where b has one axis") {
  for (const DType dtype : {float32, float64})
    for (const int64_t n : {0, 1, 3, 20})
      for (const int64_t k : {0, 1, 5})
        for (const char* layout : layouts) {
          CAPTURE(dtype, n, k, layout);
          const Tensor a = regular({2, 1}, n, dtype), b = noise({3, n, k}, dtype);
          const Tensor x = linalg::solve(laid_out(a, layout), laid_out(b, layout));
          REQUIRE(x.shape() == Shape{2, 3, n, k});
          CHECK(x.is_contiguous());
          CHECK(near(matmul(a, x), expand(b, {2, 3, n, k}), 1000));
          const Tensor y = linalg::solve(laid_out(a, layout), laid_out(t(b), layout), false);
          REQUIRE(y.shape() == Shape{2, 3, k, n});
          CHECK(near(matmul(y, a), expand(t(b), {2, 3, k, n}), 1000));
        }
  const Tensor a = regular({2}, 2, float64), v = noise({2}, float64), m = noise({2, 2}, float64);
  CHECK(linalg::solve(a, v).shape() == Shape{2, 2});
  CHECK(near(matmul(a, unsqueeze(linalg::solve(a, v), -1)), expand(unsqueeze(v, -1), {2, 2, 1})));
  CHECK(near(matmul(linalg::solve(a[0], v, false), a[0]), v));
  // (2, 2) beside (2, 2, 2) is one matrix, not a batch of vectors.
  CHECK(linalg::solve(a, m).shape() == Shape{2, 2, 2});
  CHECK(near(matmul(a, linalg::solve(a, m)), expand(m, {2, 2, 2})));
}

TEST_CASE("singular matrices are named by their place") {
  Tensor a = regular({2, 3}, 3, float64);
  a.select(0, 1).select(0, 2).copy_(matrix({1, 2, 3, 2, 4, 6, 1, 1, 1}, 3));
  CHECK(thrown<ValueError>([&] { linalg::inv(a); }) ==
        "linalg::inv: expected invertible matrices, got a singular one at index (1, 2) of the batch");
  CHECK(thrown<ValueError>([&] { linalg::solve(a, ones({3}, float64)); }) ==
        "linalg::solve: expected invertible matrices, got a singular one at index (1, 2) of the batch");
  CHECK(thrown<ValueError>([&] {
          linalg::inv(zeros({2, 2}));
        }) == "linalg::inv: expected invertible matrices, got a singular one");
  CHECK(thrown<ValueError>([&] {
          linalg::triangular_solve(a, ones({3}, float64), {.upper = true});
          linalg::triangular_solve(zeros({2, 3, 3}), ones({3}), {.upper = true});
        }) ==
        "linalg::triangular_solve: expected invertible triangles, got a 0 on the diagonal at index (0,) of the batch");
}

TEST_CASE("det and slogdet are products of pivots that neither overflow nor underflow on the way") {
  for (const DType dtype : {float32, float64}) {
    CAPTURE(dtype);
    CHECK(near(linalg::det(matrix({1, 2, 3, 4}, 2, dtype)), full({}, -2, dtype), 4));
    CHECK(near(linalg::det(matrix({0, 1, 0, 0, 0, 1, 1, 0, 0}, 3, dtype)), full({}, 1, dtype), 0));
    CHECK(near(linalg::det(matrix({2, -1, 0, -1, 2, -1, 0, -1, 2}, 3, dtype)), full({}, 4, dtype), 8));
    const linalg::SignAndLog found = linalg::slogdet(matrix({1, 2, 3, 4}, 2, dtype));
    CHECK(found.sign.item<double>() == -1);
    CHECK(near(found.logabsdet, full({}, std::log(2), dtype), 4));
    CHECK(linalg::det(zeros({0, 0}, dtype)).item<double>() == 1);
    CHECK(linalg::slogdet(zeros({0, 0}, dtype)).logabsdet.item<double>() == 0);
    CHECK(linalg::det(zeros({2, 0, 0}, dtype)).shape() == Shape{2});
    CHECK(linalg::det(zeros({0, 3, 3}, dtype)).shape() == Shape{0});
  }
  const double large = 1e200;
  CHECK(linalg::det(matrix({large, 0, 0, 0, large, 0, 0, 0, 1 / large}, 3)).item<double>() == Approx(1e200));
  const linalg::SignAndLog far = linalg::slogdet(eye(1000, float64) * -1e-10);
  CHECK(far.sign.item<double>() == 1);
  CHECK(far.logabsdet.item<double>() == Approx(1000 * std::log(1e-10)));
  // Against the product of the eigenvalues.
  const Tensor spd = positive({4}, 9, float64), values = linalg::eigvalsh(spd);
  CHECK(allclose(linalg::det(spd), prod(values, -1), 1e-11));
  CHECK(allclose(linalg::slogdet(spd).logabsdet, sum(log(values), -1), 1e-12));
  CHECK(equal(linalg::slogdet(spd).sign, ones({4}, float64)));
}

TEST_CASE("a singular matrix has the determinant 0 and its logarithm, no noise") {
  for (const DType dtype : {float32, float64})
    for (const Tensor& a :
         {matrix({1, 2, 2, 4}, 2, dtype), zeros({3, 3}, dtype), ones({4, 4}, dtype),
          matrix({1, 2, 3, 1, 2, 3, 4, 5, 7}, 3, dtype), matrix({0, 0, 0, 1, 2, 3, 4, 5, 7}, 3, dtype)}) {
      CAPTURE(dtype, a);
      CHECK(linalg::det(a).item<double>() == 0);
      const linalg::SignAndLog found = linalg::slogdet(a);
      CHECK(found.sign.item<double>() == 0);
      CHECK(found.logabsdet.item<double>() == -inf);
    }
}

TEST_CASE("det's gradient is the cofactors where there is no inverse") {
  const auto slope = [](const Tensor& a) {
    return gradients([](const Tensors& x) { return linalg::det(x[0]); }, {a},
                     ones(detail::as_contiguous(a).shape().dim() == 2 ? Shape{} : Shape{a.size(0)}, a.dtype()))[0];
  };
  CHECK(near(slope(matrix({1, 2, 2, 4}, 2)), matrix({4, -2, -2, 1}, 2), 4));
  CHECK(near(slope(zeros({1, 1}, float64)), ones({1, 1}, float64)));
  CHECK(near(slope(zeros({2, 2}, float64)), zeros({2, 2}, float64)));
  CHECK(near(slope(zeros({3, 3}, float64)), zeros({3, 3}, float64)));
  // Rank 2: by hand, of ((1, 2, 3), (4, 5, 6), (7, 8, 9)). Rank 1 has none.
  const Tensor nine = matrix({1, 2, 3, 4, 5, 6, 7, 8, 9}, 3), expected = matrix({-3, 6, -3, 6, -12, 6, -3, 6, -3}, 3);
  CHECK(near(slope(nine), expected));
  CHECK(near(slope(nine.to(float32)), expected.to(float32)));
  CHECK(near(slope(ones({3, 3}, float64)), zeros({3, 3}, float64)));
  // Nearly singular, and others of the batch that are not: each for itself.
  const Tensor near_one = nine + matrix({1e-9, 0, 0, 0, 0, 0, 0, 0, 0}, 3);
  const Tensor batch = stack({nine, regular({}, 3, float64), zeros({3, 3}, float64), near_one});
  const Tensor found = slope(batch);
  CHECK(near(found[0], expected));
  CHECK(near(found[1], linalg::det(batch[1]) * t(linalg::inv(batch[1])), 1000));
  CHECK(near(found[2], zeros({3, 3}, float64)));
  CHECK(near(found[3], expected + matrix({0, 0, 0, 0, 9e-9, -8e-9, 0, -6e-9, 5e-9}, 3), 1000));
}

TEST_CASE("det at singular matrices has derivatives of both orders") {
  const Tensor u = noise({5, 1}, float64), v = noise({1, 5}, float64), w = noise({5, 3}, float64),
               x = noise({3, 5}, float64);
  Tensor rank_4 = regular({}, 5, float64);
  rank_4.index_put_({4}, rank_4[0] * 2.0 + rank_4[1]);
  const Tensor singular[] = {matrix({1, 2, 2, 4}, 2),
                             matrix({1, 2, 3, 4, 5, 6, 7, 8, 9}, 3),
                             zeros({3, 3}, float64),
                             rank_4,
                             matmul(w, x),
                             matmul(u, v),
                             diag(tensor({1, 2, 0, 0}, float64)),
                             stack({rank_4, matmul(w, x), regular({}, 5, float64)})};
  for (const Tensor& a : singular) {
    CAPTURE(a);
    const auto det = [](const Tensor& m) { return linalg::det(m); };
    // Two singular values short of full rank, the gradient is 0, which differences of rounding errors are not.
    const Tensor slope =
        gradients([](const Tensors& xs) { return sum(linalg::det(xs[0])); }, {a}, ones({}, float64))[0];
    if (max(abs(slope)).item<double>() > 1e-8) {
      const GradcheckReport first = gradcheck(det, {a}, {.rtol = 1e-7});
      INFO(first);
      CHECK(first);
    } else {
      CHECK(near(slope, zeros_like(slope)));
    }
    const GradcheckReport second = gradgradcheck(det, {a}, {.rtol = 1e-7, .allow_vacuous = true});
    INFO(second);
    CHECK(second);
  }
}

TEST_CASE("slogdet's gradient is refused at singular matrices, but for a dy of 0") {
  const Tensor a = stack({regular({}, 3, float64), zeros({3, 3}, float64)});
  const auto f = [](const Tensors& x) { return linalg::slogdet(x[0]).logabsdet; };
  const Tensor found = gradients(f, {a}, tensor({1, 0}, float64))[0];
  CHECK(near(found[0], t(linalg::inv(a[0]))));
  CHECK(equal(found[1], zeros({3, 3}, float64)));
  CHECK(thrown<AutogradError>([&] {
          gradients(f, {a}, tensor({1, 2}, float64));
        }) ==
        "linalg::slogdet: expected invertible matrices for a gradient, got a singular one at index (1,) of the batch");
  // Forward mode as well, but for a matrix that does not move.
  const auto log_of = [](const Tensor& x) { return linalg::slogdet(x).logabsdet; };
  const Tensor moves = noise({2, 3, 3}, float64), stands = moves * tensor({1, 0}, float64).reshape({2, 1, 1});
  CHECK(thrown<AutogradError>([&] { jvp(log_of, {a}, {moves}); }) ==
        "linalg::slogdet: expected invertible matrices for a tangent, got a singular one at index (1,) of the batch");
  const Tensor along = jvp(log_of, {a}, {stands}).dys[0];
  CHECK(along[0].item<double>() == Approx(sum(t(linalg::inv(a[0])) * moves[0]).item<double>()));
  CHECK(along[1].item<double>() == 0);
}

TEST_CASE("triangular_solve reads one triangle, and gives gradients to no other place") {
  for (const DType dtype : {float32, float64})
    for (const bool upper : {false, true})
      for (const bool left : {false, true})
        for (const bool unit : {false, true})
          for (const char* layout : layouts)
            for (const int64_t n : {0, 1, 4, 30}) {
              CAPTURE(dtype, upper, left, unit, layout, n);
              const Tensor a = regular({2, 1}, n, dtype) * (unit ? 1.0 / static_cast<double>(n + 2) : 1.0);
              const Tensor b = left ? noise({3, n, 2}, dtype) : noise({3, 2, n}, dtype);
              Tensor triangle = upper ? triu(a) : tril(a);
              if (unit) triangle = triangle - (triangle * eye(n, dtype)) + eye(n, dtype);
              // What is not read may hold anything.
              Tensor nan = where((upper ? tril(ones({n, n}), unit ? 0 : -1) : triu(ones({n, n}), unit ? 0 : 1)) != 0,
                                 full({}, not_a_number, dtype), a);
              const linalg::TriangularOptions options{.upper = upper, .left = left, .unitriangular = unit};
              const Tensor x = linalg::triangular_solve(laid_out(nan, layout), laid_out(b, layout), options);
              Shape shape = b.shape();
              shape.insert(0, 2);
              REQUIRE(x.shape() == shape);
              CHECK(near(left ? matmul(triangle, x) : matmul(x, triangle), expand(b, shape), 1000));
              const Tensor da =
                  gradients([&](const Tensors& xs) { return linalg::triangular_solve(xs[0], xs[1], options); },
                            {nan, b}, noise(shape, dtype))[0];
              CHECK(equal(da, upper ? triu(da, unit) : tril(da, unit ? -1 : 0)));
            }
  const Tensor v = linalg::triangular_solve(matrix({2, 5, 1, 4}, 2), tensor({2, 9}, float64), {});
  CHECK(equal(v, tensor({1, 2}, float64)));
}

// Pivots without a finite reciprocal, by which OpenBLAS would multiply.
TEST_CASE("pivots of any size are divided by") {
  for (const DType dtype : {float32, float64})
    for (const char* layout : layouts) {
      const double tiny = dtype == float32 ? 1e-39 : 1e-309, e = full({}, tiny, dtype).item<double>();
      CAPTURE(dtype, layout);
      const Tensor two = matrix({tiny, 0, 0, 1}, 2, dtype);
      const Tensor three = stack({matrix({1, 2, 3, e, 3 * e, 4 * e, 1, 2, 7}, 3, dtype), eye(3, dtype)});
      const Tensor a = laid_out(two, layout), b = laid_out(three, layout), zero = zeros({2}, dtype);
      CHECK(linalg::det(a).item<double>() == e);
      CHECK(linalg::slogdet(a).logabsdet.item<double>() == Approx(std::log(e)));
      CHECK(linalg::det(b)[0].item<double>() == Approx(4 * e));
      CHECK(linalg::det(b)[1].item<double>() == 1);
      // Products with numbers like e have few digits.
      const auto is_close = [](const Tensor& x, const Tensor& y) { return allclose(x, y, 1e-4, 0); };
      const Tensor x = tensor({2, -1, 3}, dtype), right = matmul(three[0], x);
      CHECK(equal(linalg::solve(a, zero), zero));
      CHECK(equal(linalg::solve(a, zero, false), zero));
      for (const Tensor& y : {linalg::solve(b, right), linalg::solve(t(b), right, false)}) {
        CHECK(is_close(y[0], x));
        CHECK(equal(y[1], right));
      }
      for (const bool upper : {true, false}) {
        const linalg::TriangularOptions from_left{.upper = upper}, from_right{.upper = !upper, .left = false};
        CHECK(equal(linalg::triangular_solve(a, zero, from_left), zero));
        CHECK(equal(linalg::triangular_solve(a, zero, from_right), zero));
        const Tensor product = matmul(upper ? triu(three[0]) : tril(three[0]), x);
        for (const Tensor& y :
             {linalg::triangular_solve(b, product, from_left), linalg::triangular_solve(t(b), product, from_right)}) {
          CHECK(is_close(y[0], x));
          CHECK(equal(y[1], product));
        }
      }
      CHECK(equal(linalg::inv(a), matrix({inf, 0, 0, 1}, 2, dtype)));
      CHECK(equal(gradients([](const Tensors& xs) { return linalg::det(xs[0]); }, {a}, ones({}, dtype))[0],
                  matrix({1, 0, 0, tiny}, 2, dtype)));
      CHECK(near(gradients([](const Tensors& xs) { return linalg::det(xs[0]); }, {b[0]}, ones({}, dtype))[0],
                 matrix({0, 0, 0, -8, 4, 0, 0, 0, 0}, 3, dtype)));
      // NaN goes through as it is.
      CHECK(std::isnan(linalg::det(matrix({not_a_number, 1, 1, tiny}, 2, dtype)).item<double>()));
    }
  CHECK(linalg::det(diag(tensor({2, 5e-324}, float64))).item<double>() == 1e-323);
  CHECK(linalg::det(diag(tensor({5e-324, 1e300, 1e10, 1e10}, float64))).item<double>() == Approx(4.94065645841e-4));
  CHECK(linalg::slogdet(diag(tensor({2, 5e-324}, float64))).logabsdet.item<double>() ==
        Approx(std::log(2) + std::log(5e-324)));
}

TEST_CASE("solutions refuse what does not fit") {
  const Tensor a = eye(3, float64);
  CHECK(thrown<ShapeError>([&] { linalg::inv(zeros({3})); }) ==
        "linalg::inv: expected a of shape (..., n, m), got shape (3,)");
  CHECK(thrown<ShapeError>([&] {
          linalg::inv(zeros({2, 3}));
        }) == "linalg::inv: expected a of square matrices, got shape (2, 3)");
  CHECK(thrown<ShapeError>([&] {
          linalg::det(zeros({2, 3}));
        }) == "linalg::det: expected a of square matrices, got shape (2, 3)");
  CHECK(thrown<ShapeError>([&] {
          linalg::slogdet(zeros({2, 3}));
        }) == "linalg::slogdet: expected a of square matrices, got shape (2, 3)");
  CHECK(thrown<DTypeError>([&] { linalg::inv(eye(2, int64)); }) ==
        "linalg::inv: expected a of float32 or float64, got int64; convert with to()");
  CHECK(thrown<ValueError>([&] { linalg::inv(Tensor()); }) ==
        "linalg::inv: expected a defined a, got an undefined tensor");
  CHECK(thrown<ShapeError>([&] {
          linalg::inv(empty({0, int64_t{1} << 40, 1}));
        }) == "linalg::inv: expected a of at most 2147483647 rows and columns, got shape (0, 1099511627776, 1)");
  CHECK(thrown<ShapeError>([&] { linalg::solve(a, zeros({2}, float64)); }) ==
        "linalg::solve: expected b of shape (3,) or (..., 3, k), got (2,) for a of shape (3, 3)");
  CHECK(thrown<ShapeError>([&] {
          linalg::solve(a, zeros({3, 2}, float64), false);
        }) == "linalg::solve: expected b of shape (3,) or (..., k, 3), got (3, 2) for a of shape (3, 3)");
  CHECK(thrown<ShapeError>([&] {
          linalg::solve(regular({2}, 3, float64), zeros({4, 3, 1}, float64));
        }) == "linalg::solve: expected shapes that broadcast together, got (2,) and (4,)");
  CHECK(thrown<DTypeError>([&] { linalg::solve(a, zeros({3})); }) ==
        "linalg::solve: expected a and b of one dtype, got float64 and float32; convert with to()");
  CHECK(thrown<ShapeError>([&] { linalg::triangular_solve(a, zeros({}, float64), {}); }) ==
        "linalg::triangular_solve: expected b of shape (3,) or (..., 3, k), got () for a of shape (3, 3)");
  CHECK(thrown<ShapeError>([&] { linalg::cholesky_solve(zeros({2}, float64), a); }) ==
        "linalg::cholesky_solve: expected b of shape (3,) or (..., 3, k), got (2,) for factor of shape (3, 3)");
}

TEST_CASE("NaN goes through solutions, and is no reason to stop") {
  Tensor a = regular({2}, 3, float64);
  a.index_put_({0, 1, 1}, not_a_number);
  CHECK(std::isnan(linalg::det(a)[0].item<double>()));
  CHECK(std::isfinite(linalg::det(a)[1].item<double>()));
  CHECK(near(matmul(linalg::inv(a)[1], a[1]), eye(3, float64)));
  const Tensor da = gradients([](const Tensors& x) { return linalg::det(x[0]); }, {a}, ones({2}, float64))[0];
  CHECK(all(isnan(da[0])).item<bool>());
  CHECK(all(isfinite(da[1])).item<bool>());
}

TEST_CASE("linear algebra is the same for any number of threads") {
  const Tensor a = positive({7}, 60, float32), b = noise({7, 60, 3}, float32), one = positive({}, 200, float64);
  check_threads([&]() -> Tensors {
    const linalg::Eigh e = linalg::eigh(a);
    const linalg::Svd s = linalg::svd(b);
    return {linalg::inv(a),
            linalg::solve(a, b),
            linalg::det(a),
            linalg::cholesky(a),
            linalg::qr(a).q,
            e.values,
            e.vectors,
            s.u,
            s.s,
            linalg::inv(one),
            linalg::solve(one, one),
            linalg::cholesky(one),
            linalg::eigh(one).vectors,
            linalg::svd(one).u,
            linalg::pinv(b),
            linalg::lstsq(a, b).solution};
  });
}

}  // namespace test_solve
