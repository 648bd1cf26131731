// Cholesky, QR, eigenvalues, singular values and least squares: what they make up again, and gradients at their edges.
#include <limpid/autograd/transforms.hpp>
#include <limpid/ops/linalg/detail/workspace.hpp>

#include <limpid/tests/ops/linalg/linalg_tests.hpp>

namespace test_decompositions {

using namespace limpid;
using namespace linalg_tests;

bool are_orthonormal(const Tensor& q) {
  const Tensor product = matmul(t(q), q);
  return near(product, expand(eye(q.size(-1), q.dtype()), product.shape()));
}

/// A symmetric matrix of these eigenvalues, and its vectors.
Tensor symmetric_of(const std::vector<double>& values, const Tensor& q) {
  return matmul(q * from_values(values, {q.size(1)}), t(q));
}
struct Size {
  int64_t m, n;
};

/// f(a, a in some layout) for noise of these sizes, of either dtype, in batches.
template <class F>
void for_each_layout(std::initializer_list<Size> sizes, F f) {
  for (const DType dtype : {float32, float64})
    for (const Shape& lead : leads)
      for (const Size& size : sizes)
        for (const char* layout : layouts) {
          CAPTURE(dtype, lead, size.m, size.n, layout);
          Shape shape = lead;
          shape.push_back(size.m), shape.push_back(size.n);
          const Tensor a = noise(shape, dtype);
          f(a, laid_out(a, layout));
        }
}

Tensor orthogonal(int64_t n) { return linalg::qr(noise({n, n}, float64)).q; }

TEST_CASE("cholesky gives the factor of one triangle") {
  for (const DType dtype : {float32, float64})
    for (const Shape& lead : leads)
      for (const int64_t n : {0, 1, 3, 40})
        for (const char* layout : layouts) {
          CAPTURE(dtype, lead, n, layout);
          const Tensor a = positive(lead, n, dtype), nan = full({}, not_a_number, dtype);
          const Tensor above = triu(ones({n, n}), 1) != 0;
          const Tensor l = linalg::cholesky(laid_out(where(above, nan, a), layout));
          CHECK(equal(l, tril(l)));
          CHECK(near(matmul(l, t(l)), a));
          const Tensor u = linalg::cholesky(laid_out(where(t(above), nan, a), layout), true);
          CHECK(equal(u, triu(u)));
          CHECK(near(matmul(t(u), u), a));
          const Tensor b = noise({n, 2}, dtype), x = linalg::cholesky_solve(b, l);
          CHECK(near(matmul(a, x), expand(b, x.shape()), 10000));
          CHECK(near(linalg::cholesky_solve(b, u, true), x, 10000));
        }
  CHECK(near(linalg::cholesky(matrix({4, 0, 2, 10}, 2)), matrix({2, 0, 1, 3}, 2), 0));
  CHECK(near(linalg::cholesky_solve(tensor({8, 14}, float64), matrix({2, 0, 1, 3}, 2)),
             tensor({13 / 9., 10 / 9.}, float64)));

  Tensor a = stack({eye(3), eye(3)});
  a.index_put_({1, 1, 1}, -1);
  CHECK(thrown<ValueError>([&] { linalg::cholesky(a); }) ==
        "linalg::cholesky: expected positive definite matrices, got one at index (1,) of the batch whose first 2 rows "
        "and "
        "columns are not");
  CHECK(thrown<ValueError>([&] {
          linalg::cholesky(zeros({2, 2}));
        }) == "linalg::cholesky: expected positive definite matrices, got one whose first 1 row and column are not");
  a.index_put_({1, 1, 1}, not_a_number);
  CHECK_THROWS_AS(linalg::cholesky(a), ValueError);
  CHECK_THROWS_AS(linalg::cholesky(full({70, 70}, not_a_number)), ValueError);
}

TEST_CASE("cholesky's gradient is symmetric") {
  const Tensor a = positive({2}, 4, float64), dy = noise({2, 4, 4}, float64);
  for (const bool upper : {false, true}) {
    const Tensor da = gradients([&](const Tensors& x) { return linalg::cholesky(x[0], upper); }, {a}, dy)[0];
    CHECK(near(da, t(da), 10));
    const auto f = [&](const Tensor& x) { return linalg::cholesky((x + t(x)) * 0.5, upper); };
    CHECK(gradcheck(f, {a}));
    CHECK(gradgradcheck(f, {a}));
  }
  // d sqrt(x) = dx / (2 sqrt(x))
  const Tensor one =
      gradients([](const Tensors& x) { return linalg::cholesky(x[0]); }, {matrix({9}, 1)}, matrix({6}, 1))[0];
  CHECK(near(one, matrix({1}, 1)));
}

TEST_CASE("qr makes up its matrix, reduced and complete") {
  const auto check = [](const Tensor& a, const Tensor& laid_out_a) {
    const int64_t m = a.size(-2), n = a.size(-1);
    for (const linalg::QrMode mode : {linalg::QrMode::reduced, linalg::QrMode::complete}) {
      const linalg::Qr found = linalg::qr(laid_out_a, mode);
      const int64_t k = mode == linalg::QrMode::complete ? m : std::min(m, n);
      CHECK(found.q.size(-1) == k);
      CHECK(found.r.size(-2) == k);
      CHECK(equal(found.r, triu(found.r)));
      CHECK(are_orthonormal(found.q));
      CHECK(near(matmul(found.q, found.r), a, 1000));
    }
  };
  for_each_layout({{0, 0}, {0, 3}, {3, 0}, {1, 1}, {4, 4}, {5, 3}, {3, 5}, {80, 40}, {40, 80}}, check);
  CHECK(thrown<ValueError>([] { linalg::qr(eye(3), linalg::QrMode(7)); }) ==
        "linalg::qr: expected QrMode::reduced or complete, got QrMode(7)");
  // LAPACK's signs, which NumPy and PyTorch have as well.
  CHECK(near(linalg::qr(matrix({3, 1, 4, 2}, 2)).r, matrix({-5, -2.2, 0, 0.4}, 2)));
}

TEST_CASE("qr has gradients where it is determined, wide matrices too") {
  const Size sizes[] = {{3, 3}, {5, 3}, {3, 5}, {1, 4}, {4, 1}};
  for (const auto& size : sizes) {
    CAPTURE(size.m, size.n);
    const Tensor a = noise({2, size.m, size.n}, float64);
    const auto f = [](const Tensor& x) -> Tensors {
      const linalg::Qr found = linalg::qr(x);
      return {found.q, found.r};
    };
    const GradcheckReport first = gradcheck(f, {a}), second = gradgradcheck(f, {a});
    INFO(first << '\n' << second);
    CHECK(first);
    CHECK(second);
    // Each alone.
    CHECK(gradcheck([](const Tensor& x) { return linalg::qr(x).q; }, {a}, {.allow_vacuous = true}));
    CHECK(gradcheck([](const Tensor& x) { return linalg::qr(x).r; }, {a}));
    if (size.m <= size.n)
      CHECK(gradcheck([](const Tensor& x) { return linalg::qr(x, linalg::QrMode::complete).r; }, {a}));
  }
  const auto complete = [](const Tensors& x) { return linalg::qr(x[0], linalg::QrMode::complete).r; };
  CHECK(
      thrown<AutogradError>([&] {
        gradients(complete, {noise({5, 3}, float64)}, noise({5, 3}, float64));
      }) ==
      "linalg::qr: expected the reduced form for a gradient, got the complete one of 5 rows and 3 columns: the further "
      "columns of q are not determined");
  const auto reduced = [](const Tensors& x) { return linalg::qr(x[0]).r; };
  CHECK(thrown<ValueError>([&] {
          gradients(reduced, {zeros({2, 3, 2}, float64)}, ones({2, 2, 2}, float64));
        }) ==
        "linalg::qr: expected matrices of independent columns for a gradient, got one whose first 2 columns depend on "
        "one another at index (0,) of the batch");
  // Up to rounding, and whatever the scale of a column is.
  for (const DType dtype : {float32, float64}) {
    for (const Tensor& a : {matrix({1, 2, 3, 2, 4, 5, 3, 6, 9}, 3, dtype), ones({3, 3}, dtype),
                            t(matrix({1, 2, 3, 4, 5, 6, 7, 8, 9}, 3, dtype)), matrix({0.1, 0.3, 0.2, 0.6}, 2, dtype)}) {
      CAPTURE(a);
      CHECK_THROWS_AS(gradients(reduced, {a}, ones(a.shape(), dtype)), ValueError);
    }
    const double eps = epsilon(dtype);
    CHECK_THROWS_AS(gradients(reduced, {matrix({1, 1, 0, 20 * eps}, 2, dtype)}, eye(2, dtype)), ValueError);
    CHECK_NOTHROW(gradients(reduced, {matrix({1, 1, 0, 40 * eps}, 2, dtype)}, eye(2, dtype)));
    const Tensor scaled = gradients(reduced, {diag(tensor({1, 1e-20}, dtype))}, eye(2, dtype))[0];
    CHECK(near(abs(scaled), eye(2, dtype)));
  }
}

TEST_CASE("eigh makes up its matrix from the lower triangle") {
  for (const DType dtype : {float32, float64})
    for (const Shape& lead : leads)
      for (const int64_t n : {0, 1, 2, 5, 40})
        for (const char* layout : layouts) {
          CAPTURE(dtype, lead, n, layout);
          const Tensor x = regular(lead, n, dtype), a = x + t(x);
          const Tensor seen = where(triu(ones({n, n}), 1) != 0, full({}, not_a_number, dtype), a);
          const linalg::Eigh found = linalg::eigh(laid_out(seen, layout));
          CHECK(near(matmul(found.vectors * unsqueeze(found.values, -2), t(found.vectors)), a, 1000));
          CHECK(are_orthonormal(found.vectors));
          if (n > 0) CHECK(all(diff(found.values) >= 0).item<bool>());
          CHECK(near(linalg::eigvalsh(laid_out(seen, layout)), found.values, 1000));
        }
  CHECK(near(linalg::eigvalsh(matrix({2, 9, 1, 2}, 2)), tensor({1, 3}, float64), 4));
  Tensor a = stack({eye(3), eye(3)});
  a.index_put_({1, 2, 0}, inf);
  CHECK(thrown<ValueError>([&] { linalg::eigh(a); }) ==
        "linalg::eigh: expected finite numbers, got NaN or infinity in the matrix at index (1,) of the batch");
  CHECK(thrown<ValueError>([&] {
          linalg::eigvalsh(full({2, 2}, not_a_number));
        }) == "linalg::eigvalsh: expected finite numbers, got NaN or infinity in the matrix");
  CHECK(thrown<ShapeError>([&] {
          linalg::eigh(zeros({2, 3}));
        }) == "linalg::eigh: expected a of square matrices, got shape (2, 3)");
}

TEST_CASE("svd makes up its matrix, in part and in full") {
  const auto check = [](const Tensor& a, const Tensor& x) {
    const int64_t k = std::min(a.size(-2), a.size(-1));
    const linalg::Svd part = linalg::svd(x, false), whole = linalg::svd(x);
    CHECK(near(matmul(part.u * unsqueeze(part.s, -2), part.vh), a, 1000));
    CHECK(near(matmul(slice(whole.u, -1, 0, k) * unsqueeze(whole.s, -2), slice(whole.vh, -2, 0, k)), a, 1000));
    CHECK(whole.u.size(-1) == a.size(-2));
    CHECK(whole.vh.size(-2) == a.size(-1));
    for (const Tensor& q : {part.u, t(part.vh), whole.u, t(whole.vh)}) CHECK(are_orthonormal(q));
    CHECK(near(linalg::svdvals(x), part.s, 1000));
    if (k > 0) CHECK(all(diff(part.s) <= 0).item<bool>());
  };
  for_each_layout({{0, 0}, {0, 3}, {3, 0}, {1, 1}, {4, 4}, {5, 3}, {3, 5}, {60, 30}, {30, 60}}, check);
  CHECK(near(linalg::svdvals(matrix({3, 0, 4, 5}, 2)), tensor({std::sqrt(45), std::sqrt(5)}, float64), 10));
  CHECK(thrown<ValueError>([&] {
          linalg::svd(full({2, 3}, not_a_number));
        }) == "linalg::svd: expected finite numbers, got NaN or infinity in the matrix");
  CHECK(thrown<ValueError>([&] {
          linalg::svdvals(stack({ones({2, 3}), full({2, 3}, inf)}));
        }) == "linalg::svdvals: expected finite numbers, got NaN or infinity in the matrix at index (1,) of the batch");
}

TEST_CASE("values have finite gradients where they are equal") {
  const Tensor q = orthogonal(4), p = orthogonal(4);
  // The sum of singular values has the gradient u v^T.
  const Tensor twice = matmul(q * tensor({3, 3, 3, 1}, float64), p);
  for (const Tensor& a : {twice, q, eye(4, float64), matmul(q * tensor({3, 3, 1, 1}, float64), p)}) {
    const auto f = [](const Tensors& x) { return sum(linalg::svdvals(x[0])); };
    const linalg::Svd parts = linalg::svd(a);
    CHECK(near(gradients(f, {a}, ones({}, float64))[0], matmul(parts.u, parts.vh)));
  }
  for (const Tensor& a : {eye(4, float64), symmetric_of({1, 2, 2, 2}, q), zeros({4, 4}, float64)}) {
    const auto trace_of = [](const Tensors& x) { return sum(linalg::eigvalsh(x[0])); };
    CHECK(near(gradients(trace_of, {a}, ones({}, float64))[0], eye(4, float64)));
    const auto frobenius = [](const Tensors& x) { return sum(square(linalg::eigvalsh(x[0]))); };
    CHECK(near(gradients(frobenius, {a}, ones({}, float64))[0], a * 2.0));
  }
}

TEST_CASE("what does not depend on the vectors of equal values has its gradient there") {
  const Tensor q = orthogonal(4), p = orthogonal(4), dy = noise({4, 4}, float64), symmetric = (dy + t(dy)) * 0.5;
  // u s v^T is a: its gradient is dy itself. Each of its elements, too.
  const auto whole = [](const Tensors& x) {
    const linalg::Svd parts = linalg::svd(x[0], false);
    return matmul(parts.u * unsqueeze(parts.s, -2), parts.vh);
  };
  for (const Tensor& a : {eye(4, float64), q, matmul(q * tensor({3, 3, 3, 1}, float64), p),
                          matmul(q * tensor({3, 3, 1, 1}, float64), p), matmul(q * tensor({3, 2, 2, 0}, float64), p)}) {
    CAPTURE(a);
    CHECK(near(gradients(whole, {a}, dy)[0], dy, 1000));
  }
  const Tensor tall = matmul(noise({6, 6}, float64), eye(6, float64).index({Slice(), Slice(0, 3)})),
               orthonormal = linalg::qr(tall).q;
  const Tensor wide_dy = noise({6, 3}, float64);
  CHECK(near(gradients(whole, {orthonormal}, wide_dy)[0], wide_dy, 1000));
  CHECK(near(gradients(whole, {t(orthonormal)}, t(wide_dy))[0], t(wide_dy), 1000));
  const auto of_eigh = [](const Tensors& x) {
    const linalg::Eigh parts = linalg::eigh(x[0]);
    return matmul(parts.vectors * unsqueeze(parts.values, -2), t(parts.vectors));
  };
  for (const Tensor& a : {eye(4, float64), symmetric_of({1, 2, 2, 2}, q), symmetric_of({-1, -1, 2, 2}, q)})
    CHECK(near(gradients(of_eigh, {a}, dy)[0], symmetric, 1000));
  // exp(a), whose derivative at a multiple of 1 is that of the exponential.
  const auto exponential = [](const Tensors& x) {
    const linalg::Eigh parts = linalg::eigh(x[0]);
    return matmul(parts.vectors * unsqueeze(exp(parts.values), -2), t(parts.vectors));
  };
  CHECK(near(gradients(exponential, {eye(4, float64) * 0.5}, dy)[0], symmetric * std::exp(0.5), 1000));
  // Of the projection on the vectors of the double value, the part among them is 0.
  const Tensor a = symmetric_of({1, 2, 5, 5}, q);
  const auto projection = [](const Tensors& x) {
    const Tensor v = slice(linalg::eigh(x[0]).vectors, -1, 2);
    return matmul(v, t(v));
  };
  const Tensor found = gradients(projection, {a}, dy)[0], inside = matmul(matmul(t(q), found), q);
  CHECK(near(inside.index({Slice(2, 4), Slice(2, 4)}), zeros({2, 2}, float64), 1000));
  const Tensor among = matmul(matmul(t(q), symmetric), q);
  CHECK(inside.index({0, 2}).item<double>() == Approx(among.index({0, 2}).item<double>() / 4));
}

TEST_CASE("what depends on the vectors of equal values is refused") {
  const auto vectors = [](const Tensors& x) { return linalg::eigh(x[0]).vectors; };
  CHECK(
      thrown<AutogradError>([&] {
        gradients(vectors, {eye(3, float64)}, noise({3, 3}, float64));
      }) ==
      "linalg::eigh: expected a gradient that does not depend on which vectors of equal values are taken, got one that "
      "does");
  const auto left = [](const Tensors& x) { return linalg::svd(x[0]).u; };
  CHECK(
      thrown<AutogradError>([&] {
        gradients(left, {stack({diag(tensor({1, 2, 3}, float64)), eye(3, float64)})}, noise({2, 3, 3}, float64));
      }) ==
      "linalg::svd: expected a gradient that does not depend on which vectors of equal values are taken, got one that "
      "does at index (1,) of the batch");
  const auto all_of_u = [](const Tensors& x) { return linalg::svd(x[0]).u; };
  CHECK(thrown<AutogradError>([&] {
          gradients(all_of_u, {noise({5, 3}, float64)}, noise({5, 5}, float64));
        }) ==
        "linalg::svd: expected a gradient for the first 3 vectors alone, got one for the 2 that full_matrices adds, "
        "which "
        "are not determined");
  // The first ones have theirs, full or not.
  const Tensor a = noise({5, 3}, float64);
  const GradcheckOptions backward{.forward = false};
  CHECK(gradcheck([](const Tensor& x) { return square(slice(linalg::svd(x).u, -1, 0, 3)); }, {a}, backward));
  CHECK(gradcheck([](const Tensor& x) { return square(slice(linalg::svd(t(x)).vh, -2, 0, 3)); }, {a}, backward));
}

TEST_CASE("what a gradient at equal values does not tell is refused") {
  const Tensor two = eye(2, float64) * 2.0, corner = matrix({0, 1, 0, 0}, 2), both = matrix({0, 1, 1, 0}, 2);
  const auto of_eigh = [](const auto& f) {
    return [f](const Tensors& x) {
      const linalg::Eigh parts = linalg::eigh(x[0]);
      return matmul(parts.vectors * unsqueeze(f(parts.values), -2), t(parts.vectors));
    };
  };
  const auto of_svd = [](const auto& f) {
    return [f](const Tensors& x) {
      const linalg::Svd parts = linalg::svd(x[0], false);
      return matmul(parts.u * unsqueeze(f(parts.s), -2), parts.vh);
    };
  };
  const auto exponential = [](const Tensor& w) { return exp(w); };
  const auto power = [](const Tensor& w) { return square(w); };
  const std::string untold =
      ": expected gradients at equal values that tell what function of the matrix they belong to, got some that do not";
  CHECK(thrown<AutogradError>([&] { gradients(of_eigh(exponential), {two}, corner); }) == "linalg::eigh" + untold);
  CHECK(thrown<AutogradError>([&] { gradients(of_svd(power), {two}, corner); }) == "linalg::svd" + untold);
  CHECK(thrown<AutogradError>([&] {
          gradients(of_svd(power), {stack({diag(tensor({3, 1}, float64)), two})}, stack({corner, corner}));
        }) == "linalg::svd" + untold + " at index (1,) of the batch");
  // Any function would explain the same numbers on the diagonal.
  CHECK_THROWS_AS(gradients(of_eigh(exponential), {two}, ones({2, 2}, float64)), AutogradError);
  // Of two functions, neither of which the sum is.
  const Tensor dy = noise({2, 2}, float64), other = noise({2, 2}, float64);
  const auto mixed = [&](const Tensors& x) {
    const linalg::Eigh parts = linalg::eigh(x[0]);
    const auto make = [&](const Tensor& w) { return matmul(parts.vectors * unsqueeze(w, -2), t(parts.vectors)); };
    return make(exp(parts.values)) * dy + make(sqrt(parts.values)) * flip(dy, {0, 1}) * 3.0;
  };
  CHECK_THROWS_AS(gradients(mixed, {two}, ones({2, 2}, float64)), AutogradError);
  // log is 0 at 1, and says nothing of the rest.
  const auto logarithm = [](const Tensor& w) { return log(w); };
  CHECK_THROWS_AS(gradients(of_eigh(logarithm), {eye(2, float64)}, dy), AutogradError);
  // Right where they are told, in any basis: exp, the square, and a function that does not move.
  const Tensor symmetric = (dy + t(dy)) * 0.5, antisymmetric = (dy - t(dy)) * 0.5;
  CHECK(near(gradients(of_eigh(exponential), {two}, dy)[0], symmetric * std::exp(2.0), 1000));
  CHECK(near(gradients(of_svd(power), {two}, dy)[0], symmetric * 4.0 + antisymmetric * 2.0, 1000));
  CHECK(near(gradients(of_eigh(exponential), {two}, eye(2, float64))[0], eye(2, float64) * std::exp(2.0), 1000));
  CHECK(near(gradients(of_eigh(exponential), {two}, diag(tensor({1, 0}, float64)))[0],
             diag(tensor({1, 0}, float64)) * std::exp(2.0), 1000));
  // The vector of a single value beside equal ones.
  const Tensor a = diag(tensor({1, 2, 2}, float64));
  const auto lowest = [](const Tensors& x) {
    const Tensor v = slice(linalg::eigh(x[0]).vectors, -1, 0, 1);
    return matmul(v, t(v));
  };
  Tensor expected = zeros({3, 3}, float64);
  expected.index_put_({0, 1}, -0.5);
  expected.index_put_({1, 0}, -0.5);
  Tensor at = zeros({3, 3}, float64);
  at.index_put_({0, 1}, 1);
  CHECK(near(gradients(lowest, {a}, at)[0], expected));

  // Of second order: what is told is not told twice.
  const auto twice = [&](const auto& f, const Tensor& x, const Tensor& direction, const Tensor& along) {
    Tensor leaf = x.clone().set_requires_grad();
    const Tensor dx = grad({f({leaf})}, {leaf}, {direction}, {.create_graph = true})[0];
    return grad({dx}, {leaf}, {along})[0];
  };
  CHECK(thrown<AutogradError>([&] { twice(of_eigh(exponential), two, dy, symmetric); }) ==
        "linalg::eigh: expected no equal values where a gradient of vectors is to be differentiated again, got some");
  CHECK_THROWS_AS(twice(of_svd(power), two, dy, dy), AutogradError);
  // Of values alone, as far as it can be told: not off the diagonal of ((2, 1), (1, 2)), the second derivatives' there.
  const auto squares = [](const Tensors& x) { return sum(square(linalg::eigvalsh(x[0]))); };
  const auto determinant = [](const Tensors& x) { return prod(linalg::eigh(x[0]).values); };
  const auto singular = [](const Tensors& x) { return sum(square(linalg::svdvals(x[0]))); };
  const Tensor one = ones({}, float64);
  CHECK(near(twice(squares, two, one, eye(2, float64)), two));
  CHECK_THROWS_AS(twice(squares, two, one, both), AutogradError);
  CHECK_THROWS_AS(twice(squares, two, one, symmetric), AutogradError);
  CHECK_THROWS_AS(twice(singular, two, one, both), AutogradError);
  CHECK_THROWS_AS(twice(determinant, two, one, ones({2, 2}, float64)), AutogradError);
  CHECK_THROWS_AS(twice(determinant, two, one, both), AutogradError);
  CHECK(near(twice(determinant, two, one, eye(2, float64)), eye(2, float64)));
}

TEST_CASE("forward mode refuses what backward does") {
  const Tensor two = eye(2, float64) * 2.0, both = matrix({0, 0.25, 0.25, 0}, 2);
  const auto vectors = [](const Tensor& x) { return linalg::eigh(x).vectors; };
  const auto left = [](const Tensor& x) { return linalg::svd(x).u; };
  CHECK(thrown<AutogradError>([&] { jvp(vectors, {two}, {both}); }) ==
        "linalg::eigh: expected a tangent that does not depend on which vectors of equal values are taken, got one "
        "that does");
  CHECK(thrown<AutogradError>([&] {
          jvp(left, {stack({matrix({2, 0, 0, 1}, 2), two})}, {stack({both, both})});
        }) ==
        "linalg::svd: expected a tangent that does not depend on which vectors of equal values are taken, got one "
        "that does at index (1,) of the batch");
  CHECK(thrown<AutogradError>([&] {
          jvp(left, {matrix({1, 2}, 2)}, {matrix({1, 0}, 2)});
        }) ==
        "linalg::svd: expected full_matrices = false for forward mode, got 1 further vectors, which are not "
        "determined");
  CHECK(equal(jvp(vectors, {two}, {eye(2, float64)}).dys[0], zeros({2, 2}, float64)));
  // A tangent that is to be differentiated again would have to tell more.
  const Tensor leaf = two.clone().set_requires_grad();
  CHECK_THROWS_AS(jvp(vectors, {leaf}, {eye(2, float64)}), AutogradError);
  // Of a symmetric matrix the lower triangle is moved alone, by the mean of both, as backward has it.
  const auto values = [](const Tensor& x) { return linalg::eigh(x).values; };
  CHECK(near(jvp(values, {diag(tensor({1, 3}, float64))}, {matrix({5, 1, 0, 7}, 2)}).dys[0], tensor({5, 7}, float64)));
  const auto q = [](const Tensor& x) { return linalg::qr(x).q; };
  CHECK_THROWS_AS(jvp(q, {ones({2, 2}, float64)}, {eye(2, float64)}), ValueError);
}

TEST_CASE("LAPACK's work space is what it asks for, not what float makes of it") {
  const char* op = "linalg::eigh";
  for (const int64_t n : {1, 2, 100, 8193, 8194, 8195, 9999, 20000}) {
    const int64_t least = 2 * n * n + 6 * n + 1;
    const double rounded = static_cast<double>(static_cast<float>(least));
    const int64_t size = detail::lapack::room_for_eigenvalues(op, rounded, n, true);
    CAPTURE(n);
    CHECK(size >= least);
    CHECK(static_cast<double>(size) >= rounded);
    CHECK(detail::lapack::room_for_eigenvalues(op, 0, n, false) == 2 * n + 1);
    CHECK(detail::lapack::room_for_singular_values(op, 0, n, n + 3, true) == 4 * n * n + 8 * n + 3);
    CHECK(detail::lapack::room_for_singular_values(op, 0, n + 3, n, false) == 3 * n + std::max(n + 3, 7 * n));
  }
  CHECK(detail::lapack::room_for_eigenvalues(op, 500, 3, true) == 501);
  CHECK(detail::lapack::room_for_eigenvalues(op, 0, 32766, true) == 2147418109);
  CHECK(thrown<ShapeError>([&] { detail::lapack::room_for_eigenvalues(op, -1, 32767, true); }) ==
        "linalg::eigh: expected matrices for which LAPACK works in at most 2147483647 numbers, got one of 32767 rows "
        "and 32767 columns");
  CHECK(thrown<ShapeError>([] { detail::lapack::room_for_singular_values("linalg::svd", -1, 30000, 23170, true); }) ==
        "linalg::svd: expected matrices for which LAPACK works in at most 2147483647 numbers, got one of 30000 rows "
        "and 23170 columns");
}

TEST_CASE("values and vectors have derivatives of both orders") {
  const Size sizes[] = {{3, 3}, {5, 3}, {3, 5}, {1, 3}};
  for (const auto& size : sizes) {
    CAPTURE(size.m, size.n);
    const Tensor a = noise({2, size.m, size.n}, float64);
    const auto f = [](const Tensor& x) -> Tensors {
      const linalg::Svd found = linalg::svd(x, false);
      return {matmul(found.u * unsqueeze(found.s + 1.0, -2), found.vh), found.s, square(found.u), square(found.vh)};
    };
    const GradcheckReport first = gradcheck(f, {a}, {.rtol = 1e-7}), second = gradgradcheck(f, {a}, {.rtol = 1e-6});
    INFO(first << '\n' << second);
    CHECK(first);
    CHECK(second);
    CHECK(gradgradcheck([](const Tensor& x) { return linalg::svdvals(x); }, {a}, {.rtol = 1e-6}));
  }
  const Tensor a = noise({2, 4, 4}, float64);
  const auto f = [](const Tensor& x) -> Tensors {
    const linalg::Eigh found = linalg::eigh(x + t(x));
    return {found.values, square(found.vectors)};
  };
  CHECK(gradcheck(f, {a}, {.rtol = 1e-7}));
  CHECK(gradgradcheck(f, {a}, {.rtol = 1e-6}));
  CHECK(gradgradcheck([](const Tensor& x) { return linalg::eigvalsh(x + t(x)); }, {a}, {.rtol = 1e-6}));
}

TEST_CASE("pinv fulfils Penrose's conditions at any rank") {
  for (const DType dtype : {float32, float64}) {
    const Tensor low = matmul(noise({3, 6, 2}, dtype), noise({3, 2, 4}, dtype));
    for (const Tensor& a : {noise({6, 4}, dtype), noise({2, 4, 6}, dtype), low, zeros({3, 2}, dtype),
                            zeros({0, 3}, dtype), zeros({2, 3, 0}, dtype), zeros({0, 3, 2}, dtype)})
      for (const char* layout : layouts) {
        CAPTURE(dtype, a.shape(), layout);
        const Tensor p = linalg::pinv(laid_out(a, layout)), ap = matmul(a, p), pa = matmul(p, a);
        CHECK(near(matmul(ap, a), a, 1000));
        CHECK(near(matmul(pa, p), p, 1000));
        CHECK(near(ap, t(ap), 1000));
        CHECK(near(pa, t(pa), 1000));
      }
  }
  // rtol decides what counts.
  const Tensor d = diag(tensor({4, 1e-3}, float64));
  CHECK(near(linalg::pinv(d), diag(tensor({0.25, 1000}, float64))));
  CHECK(near(linalg::pinv(d, 0.01), diag(tensor({0.25, 0}, float64))));
  CHECK(thrown<ValueError>([&] { linalg::pinv(d, -1); }) == "linalg::pinv: expected rtol in [0, inf), got -1");
  CHECK(thrown<ValueError>([&] {
          linalg::pinv(full({2, 2}, not_a_number));
        }) == "linalg::pinv: expected finite numbers, got NaN or infinity in the matrix");
  for (const Tensor& a : {noise({5, 3}, float64), noise({3, 5}, float64), noise({3, 3}, float64)}) {
    const auto f = [](const Tensor& x) { return linalg::pinv(x); };
    CHECK(gradcheck(f, {a}, {.rtol = 1e-7}));
    CHECK(gradgradcheck(f, {a}, {.rtol = 1e-6}));
  }
  // At constant rank: along matrices of rank 2.
  const auto of_rank_2 = [](const Tensor& u, const Tensor& v) { return linalg::pinv(matmul(u, v), 1e-6); };
  CHECK(gradcheck(of_rank_2, {noise({5, 2}, float64), noise({2, 4}, float64)}, {.rtol = 1e-6}));
  // Of ((1, 0), (0, 1e-3)) without its second value: not what a matrix of rank 1 has.
  const Tensor two = stack({eye(2, float64), diag(tensor({1, 1e-3}, float64))});
  const auto cut = [](const Tensors& x) { return linalg::pinv(x[0], 0.01); };
  CHECK(thrown<AutogradError>([&] {
          gradients(cut, {two}, ones({2, 2, 2}, float64));
        }) ==
        "linalg::pinv: expected an rtol that cuts no more than rounding for a gradient, got one that cuts singular "
        "values above it at index (1,) of the batch");
  CHECK_NOTHROW(gradients(cut, {two[0]}, ones({2, 2}, float64)));
}

TEST_CASE("lstsq gives the shortest of the best solutions at any rank") {
  for (const DType dtype : {float32, float64}) {
    const Tensor low = matmul(noise({6, 2}, dtype), noise({2, 4}, dtype));
    for (const Tensor& a :
         {noise({6, 4}, dtype), noise({4, 6}, dtype), noise({2, 3, 3}, dtype), low, zeros({3, 2}, dtype)})
      for (const char* layout : layouts) {
        CAPTURE(dtype, a.shape(), layout);
        const Tensor b = noise({a.size(-2), 2}, dtype), p = linalg::pinv(a);
        const linalg::LeastSquares found = linalg::lstsq(laid_out(a, layout), laid_out(b, layout));
        CHECK(near(found.solution, matmul(p, b), 1000));
        CHECK(near(found.residuals, sum(square(b - matmul(a, matmul(p, b))), -2), 1000));
        CHECK(near(found.singular_values, linalg::svdvals(a), 1000));
        const linalg::LeastSquares vector = linalg::lstsq(a, select(b, 1, 0));
        CHECK(near(vector.solution, select(found.solution, -1, 0), 1000));
        CHECK(near(vector.residuals, select(found.residuals, -1, 0), 1000));
      }
    CHECK(linalg::lstsq(low, ones({6}, dtype)).rank.item<int64_t>() == 2);
    CHECK(linalg::lstsq(zeros({3, 2}, dtype), ones({3}, dtype)).rank.item<int64_t>() == 0);
    CHECK(equal(linalg::lstsq(zeros({3, 2}, dtype), ones({3}, dtype)).solution, zeros({2}, dtype)));
    CHECK(equal(linalg::lstsq(zeros({0, 2}, dtype), ones({0}, dtype)).solution, zeros({2}, dtype)));
    CHECK(linalg::lstsq(zeros({3, 0}, dtype), ones({3, 2}, dtype)).solution.shape() == Shape{0, 2});
    // Two equal columns: by QR alone one of them takes it all.
    const Tensor twice = matrix({1, 1, 1, 1, 1, 1}, 3, dtype);
    CHECK(near(linalg::lstsq(twice, ones({3}, dtype)).solution, full({2}, 0.5, dtype)));
  }
  // The rank counts values above eps max(m, n) of the largest, or rcond.
  const Tensor d = diag(tensor({1, 1e-10}, float64)), one = ones({2}, float64);
  CHECK(linalg::lstsq(d, one).rank.item<int64_t>() == 2);
  CHECK(linalg::lstsq(d, one, 1e-9).rank.item<int64_t>() == 1);
  CHECK(linalg::lstsq(d.to(float32), one.to(float32)).rank.item<int64_t>() == 1);
  CHECK(linalg::lstsq(diag(tensor({1, 3e-16}, float64)), one).rank.item<int64_t>() == 1);
  CHECK(linalg::lstsq(diag(tensor({1, 5e-16}, float64)), one).rank.item<int64_t>() == 2);
}

TEST_CASE("lstsq has gradients at full rank, and refuses them below") {
  struct {
    Shape a, b;
  } const cases[] = {{{5, 3}, {5, 2}}, {{3, 5}, {3, 2}}, {{3, 3}, {3}}, {{2, 5, 3}, {5, 1}}, {{4, 2}, {3, 4, 2}}};
  for (const auto& c : cases) {
    CAPTURE(c.a, c.b);
    const Tensors xs{noise(c.a, float64), noise(c.b, float64)};
    const auto f = [](const Tensors& x) -> Tensors {
      const linalg::LeastSquares found = linalg::lstsq(x[0], x[1]);
      return {found.solution, found.residuals};
    };
    const GradcheckReport first = gradcheck(f, xs, {.rtol = 1e-6}), second = gradgradcheck(f, xs, {.rtol = 1e-5});
    INFO(first << '\n' << second);
    CHECK(first);
    CHECK(second);
  }
  const auto f = [](const Tensors& x) { return linalg::lstsq(x[0], x[1]).solution; };
  CHECK(thrown<AutogradError>([&] {
          gradients(f, {stack({eye(3, float64), ones({3, 3}, float64)}), ones({3}, float64)}, ones({2, 3}, float64));
        }) ==
        "linalg::lstsq: expected matrices of full rank for a gradient, got one of less at index (1,) of the batch");
  CHECK(thrown<ShapeError>([] {
          linalg::lstsq(zeros({3, 2}), zeros({2}));
        }) == "linalg::lstsq: expected b of shape (3,) or (..., 3, k), got (2,) for a of shape (3, 2)");
  CHECK(thrown<ValueError>([] {
          linalg::lstsq(zeros({3, 2}), zeros({3}), not_a_number);
        }) == "linalg::lstsq: expected rcond in [0, inf), got nan");
}

}  // namespace test_decompositions
