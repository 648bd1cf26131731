// Softmax and its kin along rows of float32, which have kernels of their own: against long double, and their gradients
// against the compositions that stand for them where gradients are recorded.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <limits>
#include <vector>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_softmax {

using namespace limpid;

constexpr float infinity = std::numeric_limits<float>::infinity();

double error_in_ulps(float got, long double exact) {
  if (std::isinf(exact)) return got == static_cast<float>(exact) ? 0 : infinity;
  const int exponent = exact == 0 ? -200 : std::ilogb(static_cast<double>(exact));
  return static_cast<double>(std::abs(got - exact) / std::ldexp(1.0L, std::max(exponent, -126) - 23));
}

// Errors of one row.
struct Errors {
  double softmax = 0, log_softmax = 0, logsumexp = 0;

  // The true values: of the sum all but one of the largest, for log1p.
  void look_at(const float* x, int64_t n, const float* p, const float* log_p, float sum) {
    const float* largest = std::max_element(x, x + n);
    long double others = 0;
    for (int64_t j = 0; j < n; ++j)
      others += x + j == largest ? 0 : std::exp(static_cast<long double>(x[j]) - *largest);
    const long double log = std::log1p(others);
    for (int64_t j = 0; j < n; ++j) {
      const long double d = static_cast<long double>(x[j]) - *largest;
      softmax = std::max(softmax, error_in_ulps(p[j], std::exp(d) / (1 + others)));
      log_softmax = std::max(log_softmax, error_in_ulps(log_p[j], d - log));
    }
    // Where the two terms cancel, the result has the digits of the larger.
    const long double exact = *largest + log,
                      scale = std::max(std::abs(exact), std::abs(static_cast<long double>(*largest)));
    logsumexp = std::max(logsumexp, static_cast<double>(std::abs(sum - exact) / (scale * 0x1p-23L)));
  }
};

// Rows about 0 and far from it, near and far from one another, some elements -inf, some as far below the largest as
// their exponentials are subnormal.
Tensor rows_of(int64_t n, double spread, double offset) {
  Tensor x = spread * randn({6, n}) + offset;
  for (int64_t j = 0; j < n; ++j) {
    if (j % 3 == 1) select(select(x, 0, 1), 0, j).fill_(-infinity);
    if (j % 2 == 1) select(select(x, 0, 2), 0, j).fill_(offset - 80 - static_cast<double>(j % 31));
    if (j > 0) select(select(x, 0, 3), 0, j).fill_(offset);
  }
  return x;
}

TEST_CASE("softmax and its kin of rows are accurate, on every instruction set") {
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    CAPTURE(to_string(level));
    manual_seed(1);
    Errors errors;
    int number = 0;
    std::feclearexcept(FE_ALL_EXCEPT);
    for (const int64_t n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130, 1000, 4096, 4097})
      for (const double spread : {1e-3, 0.5, 4.0, 40.0})
        for (const double offset : {0.0, 3.0, -3.0, 1e4, -1e6}) {
          if (test::is_thinned_out(number++, 5)) continue;
          const Tensor x = rows_of(n, spread, offset), p = softmax(x, 1), log_p = log_softmax(x, 1),
                       sums = logsumexp(x, 1);
          for (int64_t i = 0; i < x.size(0); ++i)
            errors.look_at(x.data<float>() + i * n, n, p.data<float>() + i * n, log_p.data<float>() + i * n,
                           sums.data<float>()[i]);
        }
    CHECK(std::fetestexcept(FE_INVALID) == 0);
    CHECK(errors.softmax < 3);
    CHECK(errors.log_softmax < 2);
    CHECK(errors.logsumexp < 3);
  }
}

TEST_CASE("rows too large, or no numbers, take the way of all others") {
  const Tensor x =
      tensor({{3e38, 2e38, -3e38}, {-infinity, -infinity, -infinity}, {infinity, 0, 1}, {0, 0, 0}}, float32);
  const Tensor p = softmax(x, 1), log_p = log_softmax(x, 1), sums = logsumexp(x, 1);
  CHECK(equal(slice(p, 0, 0, 2), tensor({{1, 0, 0}, {0, 0, 0}}, float32)));
  CHECK(all(isnan(select(p, 0, 2))).item<bool>());
  CHECK(allclose(select(p, 0, 3), full({3}, 1 / 3.0), 1e-7));
  CHECK(equal(select(log_p, 0, 1), full({3}, -infinity)));
  CHECK(equal(slice(sums, 0, 0, 3), tensor({3e38, -infinity, infinity}, float32)));
}

TEST_CASE("a row has the bits that it has alone, whatever stands beside it") {
  manual_seed(3);
  for (const int64_t n : {3, 20, 129}) {
    const Tensor x = randn({200, n});
    select(select(x, 0, 7), 0, 1).fill_(infinity);
    select(x, 0, 50).fill_(-infinity);
    select(x, 0, 51).mul_(1e37);
    select(select(x, 0, 150), 0, 0).fill_(std::numeric_limits<double>::quiet_NaN());
    const Tensor p = softmax(x, 1), log_p = log_softmax(x, 1), sums = logsumexp(x, 1, true);
    for (int64_t i = 0; i < 200; ++i) {
      const Tensor row = slice(x, 0, i, i + 1);
      CAPTURE(n, i);
      CHECK(plain::same_bits(slice(p, 0, i, i + 1), softmax(row, 1)));
      CHECK(plain::same_bits(slice(log_p, 0, i, i + 1), log_softmax(row, 1)));
      CHECK(plain::same_bits(slice(sums, 0, i, i + 1), logsumexp(row, 1, true)));
    }
  }
}

TEST_CASE("every instruction set gives rows the same bits, and equal elements the same weight") {
  manual_seed(4);
  Tensor tied = zeros({1, 32});
  for (const int64_t j : {5, 21}) select(select(tied, 0, 0), 0, j).fill_(-6.47);
  select(select(tied, 0, 0), 0, 6).fill_(-90);
  std::vector<Tensor> xs{tied};
  for (const int64_t n : {7, 33, 130})
    for (const double spread : {1.0, 40.0}) xs.push_back(rows_of(n, spread, 2));
  for (const Tensor& x : xs) {
    CAPTURE(x.shape());
    Tensors expected;
    for (const Isa level : isa_levels()) {
      const test::WithIsa with(level);
      CAPTURE(to_string(level));
      const Tensor p = softmax(x, 1);
      if (x.is_same(tied)) CHECK(p.data<float>()[5] == p.data<float>()[21]);
      const Tensors ys{p, log_softmax(x, 1), logsumexp(x, 1)};
      if (expected.empty()) expected = ys;
      for (std::size_t i = 0; i < ys.size(); ++i) CHECK(plain::same_bits(ys[i], expected[i]));
    }
  }
}

TEST_CASE("logsumexp is accurate where its two terms cancel") {
  const Tensor x = tensor({{-1.4, -1.3, -1.39, -1.41}, {-0.1, -2.3, -20, -30}}, float32), wide = x.to(float64);
  CHECK(allclose(logsumexp(x, 1).to(float64), logsumexp(wide, 1), 1e-7, 0));
  CHECK(allclose(logsumexp(log_softmax(x, 1), 1).to(float64), logsumexp(log_softmax(x, 1).to(float64), 1), 1e-6, 0));
}

TEST_CASE("gradients of rows have the bits of the recorded ones") {
  struct Op {
    const char* name;
    Tensor (*f)(const Tensor& x);
  };
  const Op ops[] = {{"softmax", [](const Tensor& x) { return softmax(x, 1); }},
                    {"log_softmax", [](const Tensor& x) { return log_softmax(x, 1); }},
                    {"cross_entropy", [](const Tensor& x) {
                       Shape shape = x.shape();
                       shape.erase(1);
                       return cross_entropy(x, zeros(shape, int64), {.reduction = Reduction::none});
                     }}};
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (const Op& op : ops)
      for (const Shape& shape : {Shape{5, 1}, Shape{7, 3}, Shape{300, 20}, Shape{4, 4096}, Shape{2, 5, 3, 3}})
        // Weights alike, and one that has nearly all of them; then a row of no numbers.
        for (const double spread : {0.1, 3.0, 30.0}) {
          CAPTURE(to_string(level), op.name, shape, spread);
          manual_seed(2);
          Tensor x = spread * randn(shape);
          if (shape.size() == 4) x = x.contiguous(MemoryFormat::channels_last);
          if (spread == 3) select(x, 0, 0).fill_(infinity);
          x.set_requires_grad();
          const Tensor y = op.f(x);
          Tensor dy = randn(y.shape());
          if (y.is_contiguous(MemoryFormat::channels_last)) dy = dy.contiguous(MemoryFormat::channels_last);
          dy = where(lt(dy, -0.5), 0, dy);
          select(dy, 0, 0).fill_(0);
          const Tensor dx = grad({y}, {x}, {dy}, {.retain_graph = true})[0];
          CHECK(plain::same_bits(dx, grad({y}, {x}, {dy}, {.create_graph = true})[0].detach()));
        }
  }
}

TEST_CASE("derivatives of logsumexp have the digits of softmax far from 0") {
  for (const double at : {0.0, 7.5, 10.0, 12.25, 123.0, 500.0, 1e5, 1e6, -1e7}) {
    CAPTURE(at);
    const Tensor near = tensor({{0, 1, -2}, {0.5, 0.25, 3}}, float32), x = (near + at).set_requires_grad();
    for (const Axes& axes : {Axes{1}, Axes{0}, Axes{0, 1}}) {
      const Tensor exact = x.detach().to(float64).set_requires_grad();
      const auto first = [&](const Tensor& t) {
        return grad({sum(logsumexp(t, axes))}, {t}, {}, {.create_graph = true})[0];
      };
      const auto second = [&](const Tensor& p, const Tensor& t) { return grad({p}, {t}, {near.to(t.dtype())})[0]; };
      const auto forward = [&](const Tensor& t) {
        return jvp([&](Tensor v) { return logsumexp(v, axes); }, {t.detach()}, {near.to(t.dtype())}).dys[0];
      };
      const Tensor p = first(x), p_exact = first(exact);
      CHECK(allclose(p.to(float64), p_exact, 1e-6, 1e-7));
      CHECK(allclose(second(p, x).to(float64), second(p_exact, exact), 1e-5, 1e-6));
      CHECK(allclose(forward(x).to(float64), forward(exact), 1e-6, 1e-6));
    }
  }
}

TEST_CASE("gradients of logsumexp over several axes have the memory format of what it is of") {
  for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last})
    for (const Axes& axes : {Axes{2, 3}, Axes{0, 2, 3}, Axes{1}, Axes{0, 1}, Axes{1, 2, 3}, Axes{0, 1, 2, 3}}) {
      const Tensor x = randn({2, 3, 4, 5}).contiguous(format).set_requires_grad();
      const Tensor y = logsumexp(x, axes), dx = grad({y}, {x}, {randn(y.shape())}, {.create_graph = true})[0];
      INFO(dx.strides());
      CHECK(dx.is_contiguous(format));
    }
}

}  // namespace test_softmax
