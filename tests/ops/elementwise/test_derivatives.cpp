// Values, first and second derivatives of every element-wise op, activation and loss against long double: at tails,
// roots, zeros, subnormals, infinities and NaN, for each instruction set. A gradient of zero gives zero, and no
// exception is raised where no result is NaN.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <algorithm>
#include <cctype>
#include <cfenv>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/elementwise/derivative_rows.hpp>
#include <limpid/tests/settings.hpp>

namespace test_derivatives {

using namespace limpid;

// ---- arguments

template <class T>
std::vector<T> special() {
  using Limits = std::numeric_limits<T>;
  return {T(0),
          T(-0.0),
          Limits::infinity(),
          -Limits::infinity(),
          Limits::quiet_NaN(),
          Limits::max(),
          Limits::lowest(),
          Limits::min(),
          -Limits::min(),
          Limits::denorm_min(),
          -Limits::denorm_min(),
          Limits::min() / 8,
          Limits::epsilon(),
          T(1),
          T(-1),
          T(0.5),
          T(0.25),
          T(1e30),
          T(-1e30)};
}

template <class T>
std::vector<T> arguments() {
  std::vector<T> x = special<T>();
  for (const double root : {-0.7517915246935645, -1.2784645427610737, 2.3993572805154675, 1.4142135623730951}) {
    const T at = static_cast<T>(root);
    for (const T near :
         {at, std::nextafter(at, T(-9)), std::nextafter(at, T(9)), at + T(1e-4), at - T(0.02), at + T(0.4)}) {
      x.push_back(near);
      x.push_back(-near);
    }
  }
  for (const double tail :
       {5.0, 8.0, 10.0, 13.5, 17.0, 26.7, 38.0, 40.0, 43.6, 87.5, 103.0, 350.0, 708.5, 720.0, 744.0, 944.3}) {
    x.push_back(static_cast<T>(tail));
    x.push_back(static_cast<T>(-tail));
  }
  std::mt19937_64 random(7);
  for (const double width : {0.01, 1.0, 4.0, 15.0, 50.0, 120.0, 800.0}) {
    std::uniform_real_distribution<double> uniform(-width, width);
    for (int i = 0; i < 25; ++i) x.push_back(static_cast<T>(uniform(random)));
  }
  for (int i = 0; i < 60; ++i) {
    const int exponents = 2 * std::numeric_limits<T>::max_exponent - 2;
    const int exponent = static_cast<int>(random() % static_cast<unsigned>(exponents)) - exponents / 2;
    const T value = std::ldexp(static_cast<T>(1 + static_cast<double>(random() % 1000003) / 1000003), exponent);
    x.push_back(i % 2 ? value : -value);
  }
  return x;
}

// ---- checks

template <class T>
double error_in_ulps(T got, Real exact, Real scale) {
  const T rounded = static_cast<T>(exact);
  if (std::isinf(rounded) || std::isinf(got))
    // An overflow may come a few units early.
    return got == rounded || std::abs(exact) > Real{std::numeric_limits<T>::max()} * (1 - 1e-6L) ? 0 : INFINITY;
  const T size = static_cast<T>(scale);
  const int exponent = std::max(size == 0 ? -99999 : std::ilogb(size), std::numeric_limits<T>::min_exponent - 1);
  const double error = static_cast<double>(std::abs(Real{got} - exact) /
                                           std::ldexp(Real{1}, exponent + 1 - std::numeric_limits<T>::digits));
  return std::isnan(error) ? INFINITY : error;
}

struct Expected {
  std::vector<Real> value, first, second, scale;
};

template <class T>
void compare(const char* what, const DerivativeRow& row, const std::vector<T>& x, const Tensor& got,
             const std::vector<Real>& exact, const std::vector<Real>& scale, double bound) {
  const Tensor y = got.detach().contiguous();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(exact[i])) {  // a value that is none, or a derivative without a limit, which may be anything
      if (std::string(what) == "value") CHECK(std::isnan(y.data<T>()[i]));
      continue;
    }
    const double error = error_in_ulps(y.data<T>()[i], exact[i], scale[i]);
    if (error <= bound) continue;
    INFO(row.op << " (" << row.variant << "), " << what << " at " << x[i] << ": got " << y.data<T>()[i] << ", expected "
                << static_cast<double>(exact[i]) << ", " << error << " ulps");
    CHECK(error <= bound);
    return;
  }
}

Tensor gradient(const DerivativeRow& row, const Tensor& x, const Tensor& dy) { return grad({row.f(x)}, {x}, {dy})[0]; }

Tensor tangent(const DerivativeRow& row, const Tensor& x, const Tensor& dx) {
  return jvp([&](const Tensors& xs) { return Tensors{row.f(xs[0])}; }, {x}, {dx}).dys[0];
}

bool has_nan(const Tensor& x) { return any(isnan(x.detach())).item<bool>(); }

template <class T>
void check(const DerivativeRow& row, DType dtype, const std::vector<T>& values, const Expected& expected) {
  const Shape shape{static_cast<int64_t>(values.size())};
  const Tensor x = from_vector(values, shape).set_requires_grad(), dy = ones(shape, dtype), none = zeros(shape, dtype);
  const Tensor y = row.f(x);
  compare("value", row, values, y, expected.value, expected.value, row.ulps);
  const Tensor dx = gradient(row, x, dy);
  compare("first derivative", row, values, dx, expected.first, expected.scale, row.first_ulps);
  compare("tangent", row, values, tangent(row, x, dy), expected.first, expected.scale, row.first_ulps);

  // Recorded, of a dy that is a variable, too: the derivative by it is the first again, whatever dy is.
  for (const double seed : {1.0, 0.0}) {
    const Tensor u = full(shape, seed, dtype).set_requires_grad();
    const Tensor recorded = grad({row.f(x)}, {x}, {u}, {.create_graph = true})[0];
    if (seed == 1)
      compare("recorded derivative", row, values, recorded, expected.first, expected.scale, row.first_ulps);
    if (!recorded.requires_grad()) continue;
    const Tensors second = grad({recorded}, {x, u}, {dy}, {.allow_unused = true});
    compare("derivative by dy", row, values, second[1].defined() ? second[1] : none, expected.first, expected.scale,
            row.first_ulps);
    const Tensor curve = second[0].defined() ? second[0] : none;
    if (seed == 1)
      compare("second derivative", row, values, curve, expected.second, expected.second, row.second_ulps);
    else
      compare("second derivative for dy 0", row, values, curve, std::vector<Real>(values.size(), 0),
              std::vector<Real>(values.size(), 0), 0);
    if (seed == 0) CHECK(equal(recorded.detach(), none));
  }
  INFO(row.op << " (" << row.variant << ")");
  CHECK(equal(gradient(row, x, none), none));
  CHECK(equal(tangent(row, x, none), none));
}

template <class T>
void check(const DerivativeRow& row, DType dtype) {
  const std::vector<T> values = arguments<T>();
  Expected expected;
  for (const T value : values) {
    // At subnormals and the like a function of x is one of exactly that x.
    expected.value.push_back(row.value(value));
    expected.first.push_back(row.first(value));
    expected.second.push_back(row.second(value));
    expected.scale.push_back(row.scale ? row.scale(value) : expected.first.back());
  }
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    CAPTURE(to_string(level), dtype);
    check(row, dtype, values, expected);
  }
}

std::set<std::string> declared(const char* header) {
  std::ifstream file(std::string(LIMPID_SOURCE_DIR) + "/ops/" + header);
  REQUIRE(file);
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("Tensor ", 0) != 0) continue;
    const std::string name = line.substr(7, line.find('(') - 7);
    if (std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; }))
      names.insert(name);
  }
  return names;
}

TEST_CASE("every element-wise op and every loss has a row of derivatives", "[derivatives]") {
  std::set<std::string> missing;
  for (const char* header : {"elementwise.hpp", "loss.hpp"}) missing.merge(declared(header));
  REQUIRE(missing.size() > 40);
  // These give bool, or are compared with a composition, or sums by hand, elsewhere.
  for (const char* other :
       {"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "logical_not", "logical_and", "logical_or",
        "cross_entropy", "binary_cross_entropy", "ctc_loss", "cosine_embedding_loss", "triplet_margin_loss"})
    CHECK(missing.erase(other) == 1);
  for (const DerivativeRow& row : derivative_rows(float64)) missing.erase(row.op);
  CHECK(missing == std::set<std::string>{});
}

TEST_CASE("derivatives are accurate over the whole range, and a zero gradient stays zero", "[derivatives]") {
  for (const DerivativeRow& row : derivative_rows(float32)) check<float>(row, float32);
  for (const DerivativeRow& row : derivative_rows(float64)) check<double>(row, float64);
}

TEST_CASE("derivatives of half precision are those of float32, rounded", "[derivatives]") {
  const Tensor x = from_vector(arguments<float>(), {static_cast<int64_t>(arguments<float>().size())});
  for (const DerivativeRow& row : derivative_rows(float32))
    for (const DType dtype : {float16, bfloat16}) {
      INFO(row.op << " (" << row.variant << ") " << dtype);
      const Tensor half = x.to(dtype).detach().set_requires_grad(),
                   wide = half.detach().to(float32).set_requires_grad();
      const Tensor dx = gradient(row, half, ones(x.shape(), dtype)),
                   zero = gradient(row, half, zeros(x.shape(), dtype));
      CHECK(zero.dtype() == dtype);
      CHECK(equal(zero, zeros(x.shape(), dtype)));
      // Intermediate results of a composition are rounded as well.
      if (row.op == "where" || row.variant == "of a root") continue;
      CHECK(allclose(dx, gradient(row, wide, ones(x.shape())).to(dtype), 0, 0, true));
    }
}

TEST_CASE("no invalid operation is signalled where no result is NaN", "[derivatives]") {
  const auto signalled = [](int exception, const std::function<Tensor()>& f) {
    std::feclearexcept(FE_ALL_EXCEPT);
    const Tensor y = f();
    const bool raised = std::fetestexcept(exception) != 0;
    return raised && !has_nan(y);
  };
  const test::WithThreads one(1);  // flags belong to a thread
  // A composition has intermediate results, which may be NaN.
  const auto is_composed = [](const DerivativeRow& row) { return row.op == "where" || row.variant == "of a root"; };
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (const DerivativeRow& row : derivative_rows(float32)) {
      if (is_composed(row)) continue;
      for (const DType dtype : {float32, float64})
        for (const int64_t count : {1, 3, 19})
          for (const double value : special<double>()) {
            if (std::isnan(value)) continue;  // IEEE 754 has < signal that
            // One odd element among others, so that lanes and tails meet it.
            const Tensor x = where(arange(count) == count / 2, full({count}, value, float64).to(dtype), 1)
                                 .detach()
                                 .set_requires_grad();
            CAPTURE(to_string(level), row.op, row.variant, dtype, count, value);
            CHECK_FALSE(signalled(FE_INVALID, [&] { return row.f(x.detach()); }));
            const Tensor y = row.f(x);
            if (has_nan(y)) continue;
            for (const double seed : {0.0, 1.0})
              CHECK_FALSE(signalled(FE_INVALID, [&] { return gradient(row, x, full({count}, seed, dtype)); }));
          }
    }
  }
}

TEST_CASE("third and fourth derivatives are those that differences of the order before give") {
  const struct {
    const char* name;
    Tensor (*f)(const Tensor&);
  } rows[] = {{"exp", exp},
              {"log", log},
              {"sqrt", sqrt},
              {"rsqrt", rsqrt},
              {"reciprocal", reciprocal},
              {"square", square},
              {"sin", sin},
              {"cos", cos},
              {"tanh", tanh},
              {"sigmoid", sigmoid},
              {"erf", erf},
              {"gelu", gelu},
              {"silu", silu},
              {"elu", [](const Tensor& x) { return elu(-x); }},
              {"softplus", [](const Tensor& x) { return softplus(x, 2); }},
              {"pow", [](const Tensor& x) { return pow(x, 3.5); }},
              {"exp2", exp2},
              {"expm1", expm1},
              {"log2", log2},
              {"log10", log10},
              {"log1p", log1p},
              {"tan of a part", [](const Tensor& x) { return tan(0.5 * x); }},
              {"asin of a part", [](const Tensor& x) { return asin(0.4 * x); }},
              {"acos of a part", [](const Tensor& x) { return acos(0.4 * x); }},
              {"atan", atan},
              {"sinh", sinh},
              {"cosh", cosh},
              {"asinh", asinh},
              {"acosh of more", [](const Tensor& x) { return acosh(x + 1.5); }},
              {"atanh of a part", [](const Tensor& x) { return atanh(0.4 * x); }},
              {"logit of a part", [](const Tensor& x) { return logit(0.4 * x); }},
              {"erfc", erfc},
              {"erfinv of a part", [](const Tensor& x) { return erfinv(0.4 * x); }},
              {"lgamma", [](const Tensor& x) { return lgamma(x + 0.5); }},
              {"digamma", [](const Tensor& x) { return digamma(x + 0.5); }},
              {"digamma below 0", [](const Tensor& x) { return digamma(0.2 * x - 1.7); }},
              {"celu", [](const Tensor& x) { return celu(-x, 1.5); }},
              {"selu", [](const Tensor& x) { return selu(-x); }},
              {"gelu_tanh", gelu_tanh},
              {"mish", mish},
              {"softsign", softsign},
              {"logsigmoid", logsigmoid},
              {"atan2", [](const Tensor& x) { return atan2(x, square(x) + 1); }},
              {"hypot", [](const Tensor& x) { return hypot(x, square(x) - 2); }},
              {"logaddexp", [](const Tensor& x) { return logaddexp(x, -2 * x); }},
              {"xlogy", [](const Tensor& x) { return xlogy(x, x); }},
              {"pow of numbers", [](const Tensor& x) { return pow(1.5, x); }},
              {"pow of tensors", [](const Tensor& x) { return pow(x, x); }}};
  // Points above 0, where all of them are smooth, with a step between neighbours.
  const double h = 1e-3;
  const Tensor points =
      reshape(tensor({0.3, 0.8, 1.3, 2.1}, float64), {4, 1}) + reshape(tensor({-2, -1, 0, 1, 2}, float64), {1, 5}) * h;
  for (const auto& row : rows) {
    const Tensor x = points.clone().set_requires_grad();
    Tensor d = row.f(x);
    for (int order = 1; order <= 4; ++order) {
      INFO(row.name << ", order " << order);
      const Tensor before = d.detach();
      const bool is_constant = !d.requires_grad();
      d = is_constant ? zeros_like(x) : grad({d}, {x}, {ones_like(d)}, {.create_graph = true})[0];
      for (int64_t i = 0; i < 4; ++i) {
        const double* y = before.data<double>() + 5 * i;
        const double got = d.detach().contiguous().data<double>()[5 * i + 2];
        const double want = (8 * (y[3] - y[1]) - (y[4] - y[0])) / (12 * h);
        CHECK(std::abs(got - want) <= 1e-8 * std::max(1.0, std::abs(want)));
      }
    }
  }
}

}  // namespace test_derivatives
