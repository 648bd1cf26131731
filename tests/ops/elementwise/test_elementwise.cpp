// Arithmetic, comparisons and choices: values, promotion, broadcasting, layouts, messages.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_elementwise {

using namespace limpid;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr DType all_dtypes[] = {bool_, uint8, int32, int64, float16, bfloat16, float32, float64};

bool same(const Tensor& a, const Tensor& b) { return a.dtype() == b.dtype() && allclose(a, b, 0, 0, true); }

Tensor sample(const Shape& shape, double start) {
  return reshape(arange(start, start + static_cast<double>(shape.numel()), 1), shape);
}

TEST_CASE("arithmetic of each dtype", "[elementwise]") {
  for (DType dtype : all_dtypes) {
    if (dtype == bool_) continue;
    CAPTURE(dtype);
    const Tensor a = tensor({7, 9, 12}, dtype), b = tensor({2, 3, 5}, dtype);
    CHECK(equal(a + b, tensor({9, 12, 17}, dtype)));
    CHECK(equal(a - b, tensor({5, 6, 7}, dtype)));
    CHECK(equal(a * b, tensor({14, 27, 60}, dtype)));
    CHECK(equal(remainder(a, b), tensor({1, 0, 2}, dtype)));
    CHECK(equal(pow(b, tensor({3, 2, 1}, dtype)), tensor({8, 9, 5}, dtype)));
    CHECK(equal(maximum(a, 10 - b), tensor({8, 9, 12}, dtype)));
    CHECK(equal(minimum(a, 10 - b), tensor({7, 7, 5}, dtype)));
    CHECK(equal(a + 1, tensor({8, 10, 13}, dtype)));
    CHECK(equal(20 - a, tensor({13, 11, 8}, dtype)));
    CHECK(equal(2 * a, tensor({14, 18, 24}, dtype)));
    const DType quotient = is_floating_point(dtype) ? dtype : float32;
    CHECK(equal(a / 2, tensor({3.5, 4.5, 6}, quotient)));
    CHECK(equal(a / tensor({2, 4, 8}, dtype), tensor({3.5, 2.25, 1.5}, quotient)));
    CHECK(equal(72 / tensor({2, 8, 12}, dtype), tensor({36, 9, 6}, quotient)));
  }
}

TEST_CASE("bool arithmetic is logic", "[elementwise]") {
  const Tensor a = tensor({0, 0, 1, 1}, bool_), b = tensor({0, 1, 0, 1}, bool_);
  CHECK(equal(a + b, tensor({0, 1, 1, 1}, bool_)));
  CHECK(equal(a * b, tensor({0, 0, 0, 1}, bool_)));
  CHECK(equal(maximum(a, b), logical_or(a, b)));
  CHECK(equal(minimum(a, b), logical_and(a, b)));
  CHECK(equal(logical_not(a), tensor({1, 1, 0, 0}, bool_)));
  CHECK_THROWS_WITH(a - b, "sub: expected numbers, got bool; convert with to()");
  CHECK_THROWS_AS(remainder(a, b), DTypeError);
}

TEST_CASE("promotion of pairs and numbers", "[elementwise]") {
  for (DType a : all_dtypes)
    for (DType b : all_dtypes) {
      CAPTURE(a, b);
      CHECK((ones({2}, a) + ones({2}, b)).dtype() == promote_types(a, b));
      CHECK(where(ones({2}, bool_), ones({2}, a), ones({2}, b)).dtype() == promote_types(a, b));
      CHECK(eq(ones({2}, a), ones({2}, b)).dtype() == bool_);
    }
  for (DType a : all_dtypes) {
    CAPTURE(a);
    CHECK((ones({2}, a) + 0.5).dtype() == (is_floating_point(a) ? a : float32));
    CHECK((ones({2}, a) + 1).dtype() == (a == bool_ ? int64 : a));
    CHECK((ones({2}, a) + true).dtype() == a);
  }
  CHECK_THROWS_WITH(ones({2}, uint8) + 300, "add: expected a number that uint8 holds, got 300");
  CHECK(equal(lt(tensor({1, 255}, uint8), 300), ones({2}, bool_)));
  CHECK(equal(gt(from_vector<int64_t>({(1LL << 60) + 1}, {1}), int64_t{1} << 60), ones({1}, bool_)));
}

TEST_CASE("gradients arrive in each operand's own dtype and shape", "[elementwise]") {
  const Tensor a = tensor({1, 2}, float64).set_requires_grad(), b = tensor({3}, float32).set_requires_grad();
  const Tensors d = grad({a * b}, {a, b}, {tensor({1, 1}, float64)});
  CHECK(same(d[0], tensor({3, 3}, float64)));
  CHECK(same(d[1], tensor({3}, float32)));
}

TEST_CASE("remainder has the sign of the divisor", "[elementwise]") {
  const Tensor a = tensor({7, -7, 7, -7, 6, -6}), b = tensor({3, 3, -3, -3, 3, 3});
  for (DType dtype : {int32, int64, float32, float64})
    CHECK(equal(remainder(a.to(dtype), b.to(dtype)), tensor({1, 2, -2, -1, 0, 0}, dtype)));
  CHECK(same(remainder(tensor({1, infinity, 1, not_a_number}), tensor({0, 1, infinity, 1})),
             tensor({not_a_number, not_a_number, 1, not_a_number})));
  CHECK_THROWS_WITH(remainder(ones({2}, int32), tensor({1, 0}, int32)),
                    "remainder: expected divisors other than 0, got 0");
  CHECK_THROWS_AS(remainder(ones({2}, int32), 0), ValueError);
  CHECK(equal(remainder(from_vector<int64_t>({std::numeric_limits<int64_t>::min()}, {1}), -1), zeros({1}, int64)));
}

TEST_CASE("NaN and infinity", "[elementwise]") {
  const Tensor a = tensor({not_a_number, 1, infinity}), b = tensor({1, not_a_number, 2});
  CHECK(same(maximum(a, b), tensor({not_a_number, not_a_number, infinity})));
  CHECK(same(minimum(a, b), tensor({not_a_number, not_a_number, 2})));
  CHECK(same(clamp(a, -1, 1), tensor({not_a_number, 1, 1})));
  CHECK(same(sign(a), tensor({not_a_number, 1, 1})));
  CHECK(same(relu(a), a));
  CHECK(equal(isnan(a), tensor({1, 0, 0}, bool_)));
  CHECK(equal(isfinite(a), tensor({0, 1, 0}, bool_)));
  CHECK(equal(isfinite(arange(3)), ones({3}, bool_)));
  CHECK(equal(ne(a, a), tensor({1, 0, 0}, bool_)));
}

TEST_CASE("broadcasting", "[elementwise]") {
  struct Pair {
    Shape a, b, y;
  };
  const Pair pairs[] = {
      {{2, 3}, {3}, {2, 3}},       {{2, 3}, {2, 1}, {2, 3}},     {{2, 1, 4}, {3, 1}, {2, 3, 4}},
      {{}, {2, 2}, {2, 2}},        {{0, 3}, {3}, {0, 3}},        {{2, 3, 1, 5}, {1, 4, 1}, {2, 3, 4, 5}},
      {{1}, {1, 1, 1}, {1, 1, 1}}, {{700, 1}, {1, 3}, {700, 3}}, {{}, {}, {}}};
  for (const auto& [sa, sb, sy] : pairs) {
    CAPTURE(to_string(sa), to_string(sb));
    const Tensor a = sample(sa, 1), b = sample(sb, 100), y = a - b;
    CHECK(y.shape() == sy);
    CHECK(y.is_contiguous());
    CHECK(equal(y, expand(a, sy).contiguous() - expand(b, sy).contiguous()));
    CHECK(equal(a - b, neg(b - a)));
  }
  CHECK_THROWS_AS(ones({2}) + ones({3}), ShapeError);
  CHECK_THROWS_WITH(ones({2, 3}) * ones({2}), StartsWith("mul: "));
  CHECK_THROWS_WITH(ones({2}) + Tensor(), "add: expected a defined tensor, got an undefined tensor");
}

TEST_CASE("layouts are kept", "[elementwise]") {
  const Tensor x = sample({2, 3, 4, 5}, 0), last = x.contiguous(MemoryFormat::channels_last);
  CHECK((last + last).memory_format() == MemoryFormat::channels_last);
  CHECK((last + x).memory_format() == MemoryFormat::channels_last);
  CHECK((x + last).memory_format() == MemoryFormat::channels_last);
  CHECK((last * sample({3, 1, 1}, 1)).memory_format() == MemoryFormat::channels_last);
  CHECK(exp(last).memory_format() == MemoryFormat::channels_last);
  CHECK(last.clone().memory_format() == MemoryFormat::channels_last);
  CHECK(last.to(float64).memory_format() == MemoryFormat::channels_last);
  CHECK(equal(last * sample({3, 1, 1}, 1), x * sample({3, 1, 1}, 1)));
  CHECK(equal(last - x, zeros({2, 3, 4, 5})));

  const Tensor turned = transpose(sample({3, 4}, 0), 0, 1);
  CHECK((turned + turned).strides() == turned.strides());
  CHECK((turned + sample({4, 3}, 0)).is_contiguous());
  CHECK(equal(turned + turned, 2 * turned.contiguous()));
  const Tensor gaps = slice(sample({4, 6}, 0), 1, 0, to_end, 2);
  CHECK((-gaps).is_contiguous());
  CHECK(equal(-gaps, neg(gaps.contiguous())));
  CHECK((expand(ones({1, 3}), {4, 3}) * 2).is_contiguous());
}

TEST_CASE("comparisons and choices", "[elementwise]") {
  for (DType dtype : all_dtypes) {
    if (dtype == bool_) continue;
    CAPTURE(dtype);
    const Tensor a = tensor({1, 2, 3}, dtype), b = tensor({3, 2, 1}, dtype);
    CHECK(equal(eq(a, b), tensor({0, 1, 0}, bool_)));
    CHECK(equal(ne(a, b), tensor({1, 0, 1}, bool_)));
    CHECK(equal(lt(a, b), tensor({1, 0, 0}, bool_)));
    CHECK(equal(le(a, b), tensor({1, 1, 0}, bool_)));
    CHECK(equal(gt(a, b), tensor({0, 0, 1}, bool_)));
    CHECK(equal(ge(a, b), tensor({0, 1, 1}, bool_)));
    CHECK(equal(lt(a, 1.5), tensor({1, 0, 0}, bool_)));
    CHECK(equal(where(lt(a, b), a, b), tensor({1, 2, 1}, dtype)));
    CHECK(equal(where(lt(a, b), a, 9), tensor({1, 9, 9}, dtype)));
    CHECK(equal(where(lt(a, b), 9, a), tensor({9, 2, 3}, dtype)));
  }
  CHECK(equal(where(ones({2, 1}, bool_), zeros({3}), 1), zeros({2, 3})));
  CHECK_THROWS_WITH(where(ones({2}), ones({2}), 0), "where: expected a condition of dtype bool, got float32");
}

TEST_CASE("powers", "[elementwise]") {
  CHECK(equal(pow(tensor({2, -3, 0.5}), 2), tensor({4, 9, 0.25})));
  CHECK(equal(pow(2, tensor({0, 1, -1})), tensor({1, 2, 0.5})));
  CHECK(
      same(pow(tensor({0, 0, -1, infinity}), tensor({0, -1, 0.5, 2})), tensor({1, infinity, not_a_number, infinity})));
  const Tensor a = tensor({0, 0, 2}, float64).set_requires_grad(), b = tensor({0, 2, 3}, float64).set_requires_grad();
  const Tensors d = grad({pow(a, b)}, {a, b}, {ones({3}, float64)}, {.create_graph = true});
  CHECK(allclose(d[0].detach(), tensor({0, 0, 12}, float64)));
  CHECK(allclose(d[1].detach(), tensor({0, 0, 8 * std::log(2.0)}, float64)));
  const Tensors dd = grad({sum(d[0] + d[1])}, {a, b});
  CHECK(equal(isfinite(dd[0]), ones({3}, bool_)));
  CHECK(equal(isfinite(dd[1]), ones({3}, bool_)));
}

TEST_CASE("integers have no powers below 0", "[elementwise]") {
  const std::string refused = "pow: expected exponents of at least 0 for integers, got -1";
  for (const DType dtype : {int32, int64}) {
    const Tensor x = tensor({0, 1, 2}, dtype), e = tensor({3, -1, -2}, dtype);
    CHECK_THROWS_WITH(pow(x, e), refused);
    CHECK_THROWS_WITH(pow(x, -1), refused);
    CHECK_THROWS_WITH(pow(2, e), refused);
    CHECK_THROWS_AS(pow(x, e), ValueError);
    CHECK(equal(pow(x, -1.0), tensor({infinity, 1, 0.5})));
    CHECK(equal(pow(2.0, e), tensor({8, 0.5, 0.25})));
    CHECK(equal(pow(x.to(float64), e), tensor({0, 1, 0.25}, float64)));
    CHECK_THROWS_WITH(pow(zeros({0}, dtype), -1), refused);  // of a number, whatever the elements
    CHECK(pow(x, zeros({0, 3}, dtype)).numel() == 0);
  }
}

TEST_CASE("activations refuse parameters that leave nothing to compute with", "[elementwise]") {
  const Tensor x = tensor({-1, 2});
  for (const double bad : {not_a_number, infinity, -infinity}) {
    CHECK_THROWS_AS(leaky_relu(x, bad), ValueError);
    CHECK_THROWS_AS(elu(x, bad), ValueError);
    CHECK_THROWS_AS(softplus(x, bad), ValueError);
  }
  CHECK_THROWS_WITH(leaky_relu(x, not_a_number), "leaky_relu: expected slope in (-inf, inf), got nan");
  CHECK_THROWS_WITH(elu(x, infinity), "elu: expected alpha in (-inf, inf), got inf");
  CHECK_THROWS_WITH(softplus(x, infinity), "softplus: expected beta in (0, inf), got inf");
  CHECK_THROWS_WITH(softplus(x, 0), "softplus: expected beta in (0, inf), got 0");
}

TEST_CASE("clamp refuses bounds between which its dtype has nothing", "[elementwise]") {
  const auto refused = [](const char* dtype, const char* low, const char* high) {
    return std::string("clamp: expected bounds between which ") + dtype + " has a number, got " + low + " and " + high;
  };
  CHECK_THROWS_WITH(clamp(tensor({1}), 1e39, 1e40), refused("float32", "1e+39", "1e+40"));
  CHECK_THROWS_WITH(clamp(tensor({1}), -1e40, -1e39), refused("float32", "-1e+40", "-1e+39"));
  CHECK_THROWS_WITH(clamp(ones({1}, float16), 100000, 1000000), refused("float16", "100000", "1000000"));
  CHECK_THROWS_WITH(clamp(ones({1}, uint8), 300, 400), refused("uint8", "300", "400"));
  CHECK_THROWS_WITH(clamp(ones({1}, uint8), -3, -2), refused("uint8", "-3", "-2"));
  CHECK_THROWS_WITH(clamp(ones({1}, int64), 2.25, 2.75), refused("int64", "2.25", "2.75"));
  CHECK_THROWS_WITH(clamp(ones({1}, int64), 0x1p63, infinity), refused("int64", "9.223372036854776e+18", "inf"));
  CHECK_THROWS_WITH(clamp(ones({1}, int64), infinity, infinity), refused("int64", "inf", "inf"));
  // Beyond the range, but where that harms nothing.
  CHECK(equal(clamp(tensor({9, 250}, uint8), -5, 300), tensor({9, 250}, uint8)));
  CHECK(equal(clamp(tensor({9, 250}, uint8), 255, 1e300), tensor({255, 255}, uint8)));
  CHECK(equal(clamp(tensor({-1, 9}, int32), 0.5, infinity), tensor({1, 9}, int32)));
  CHECK(equal(clamp(tensor({1}), -1e40, 1e40), tensor({1})));
  CHECK(equal(clamp(tensor({1}), 1e39, infinity), tensor({infinity})));
  CHECK(equal(clamp(tensor({1}), -infinity, -infinity), tensor({-infinity})));
  CHECK(equal(clamp(tensor({1}), 0.1, 0.1), tensor({0.1})));
}

TEST_CASE("gradients at kinks", "[elementwise]") {
  const auto at = [](Tensor (*f)(const Tensor&), std::initializer_list<double> values) {
    const Tensor x = tensor(values, float64).set_requires_grad();
    return grad({f(x)}, {x}, {ones({x.numel()}, float64)})[0];
  };
  CHECK(equal(at(relu, {-1, 0, 2}), tensor({0, 0, 1}, float64)));
  CHECK(equal(at(abs, {-1, 0, 2}), tensor({-1, 0, 1}, float64)));
  CHECK(
      equal(at([](const Tensor& x) { return clamp(x, -1, 1); }, {-2, -1, 0, 1, 2}), tensor({0, 1, 1, 1, 0}, float64)));
  CHECK(equal(at([](const Tensor& x) { return leaky_relu(x, 0.5); }, {-1, 0, 2}), tensor({0.5, 0.5, 1}, float64)));
  CHECK(equal(at([](const Tensor& x) { return elu(x, 2); }, {0, 800}), tensor({2, 1}, float64)));
  CHECK(equal(at([](const Tensor& x) { return maximum(x, zeros({3}, float64)); }, {-1, 0, 2}),
              tensor({0, 0.5, 1}, float64)));
}

TEST_CASE("first and second derivatives against central differences", "[elementwise]") {
  using F = Tensor (*)(const Tensor&);
  const F functions[] = {exp,
                         log,
                         sqrt,
                         rsqrt,
                         reciprocal,
                         square,
                         sin,
                         cos,
                         tanh,
                         sigmoid,
                         erf,
                         gelu,
                         silu,
                         [](const Tensor& x) { return softplus(x, 2); },
                         [](const Tensor& x) { return elu(-x, 2); },
                         [](const Tensor& x) { return pow(x, 3.5); },
                         [](const Tensor& x) { return pow(1.5, x); },
                         [](const Tensor& x) { return 2 / x; },
                         [](const Tensor& x) { return x / (1 + x); },
                         [](const Tensor& x) { return pow(x, x); },
                         [](const Tensor& x) { return 3 - x * x * x; },
                         [](const Tensor& x) { return remainder(5 * x, x + 1); }};
  const double h = 1e-5;
  for (std::size_t k = 0; k < std::size(functions); ++k) {
    CAPTURE(k);
    const auto first = [&](const Tensor& at, bool create_graph, Tensor& x) {
      x = at.detach().clone().set_requires_grad();
      return grad({functions[k](x)}, {x}, {ones({3}, float64)}, {.create_graph = create_graph})[0];
    };
    const Tensor at = tensor({0.3, 0.9, 1.7}, float64);
    Tensor x, unused;
    const Tensor dx = first(at, true, x);
    const Tensor numeric = (functions[k](at + h) - functions[k](at - h)) / (2 * h);
    CHECK(allclose(dx.detach(), numeric, 1e-8, 1e-8));
    if (!dx.requires_grad()) continue;
    const Tensor second = grad({dx}, {x}, {ones({3}, float64)}, {.allow_unused = true})[0];
    const Tensor numeric2 = (first(at + h, false, unused) - first(at - h, false, unused)) / (2 * h);
    CHECK(allclose(second.defined() ? second : zeros({3}, float64), numeric2, 1e-8, 1e-8));
  }
}

TEST_CASE("comparison operators are the functions, of tensors and numbers on either side", "[elementwise]") {
  const Tensor i = tensor({-1, 0, 1}, int64);
  for (DType dtype : all_dtypes) {
    CAPTURE(dtype);
    const Tensor a = tensor({0, 1, 1, 0}, dtype), b = tensor({0, 0, 1, 1}, dtype);
    CHECK(equal(a == b, eq(a, b)));
    CHECK(equal(a != b, ne(a, b)));
    CHECK(equal(a < b, lt(a, b)));
    CHECK(equal(a <= b, le(a, b)));
    CHECK(equal(a > b, gt(a, b)));
    CHECK(equal(a >= b, ge(a, b)));
  }
  CHECK(equal(i == 0, tensor({0, 1, 0}, bool_)));
  CHECK(equal(0 == i, tensor({0, 1, 0}, bool_)));
  CHECK(equal(i != 0, tensor({1, 0, 1}, bool_)));
  CHECK(equal(0 != i, tensor({1, 0, 1}, bool_)));
  CHECK(equal(i < 0, tensor({1, 0, 0}, bool_)));
  CHECK(equal(0 < i, tensor({0, 0, 1}, bool_)));
  CHECK(equal(i <= 0, tensor({1, 1, 0}, bool_)));
  CHECK(equal(0 <= i, tensor({0, 1, 1}, bool_)));
  CHECK(equal(i > 0, tensor({0, 0, 1}, bool_)));
  CHECK(equal(0 > i, tensor({1, 0, 0}, bool_)));
  CHECK(equal(i >= 0.5, tensor({0, 0, 1}, bool_)));
  CHECK(equal(0.5 >= i, tensor({1, 1, 0}, bool_)));
  CHECK(equal((i > -1) == (i < 1), tensor({0, 1, 0}, bool_)));
  STATIC_REQUIRE_FALSE(std::is_convertible_v<Tensor, bool>);
}

}  // namespace test_elementwise
