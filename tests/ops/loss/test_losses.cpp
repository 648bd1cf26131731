// Losses against their formulas in long double, their gradients against differences of those.
#include <limpid/autograd/backward.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/loss.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

#include <limpid/tests/ops/plain.hpp>

namespace test_losses {

using namespace limpid;
using namespace plain;

using Pairwise = Tensor (*)(const Tensor&, const Tensor&, Reduction);
struct Loss {
  const char* name;
  Pairwise loss;
  long double (*plain)(long double x, long double t);
  long double (*slope)(long double x, long double t);
};

Tensor huber(const Tensor& x, const Tensor& t, Reduction r) { return huber_loss(x, t, 0.5, r); }
Tensor smooth_l1(const Tensor& x, const Tensor& t, Reduction r) { return smooth_l1_loss(x, t, 0.5, r); }

const Loss losses[] = {
    {"mse_loss", mse_loss, [](long double x, long double t) { return (x - t) * (x - t); },
     [](long double x, long double t) { return 2 * (x - t); }},
    {"l1_loss", l1_loss, [](long double x, long double t) { return std::abs(x - t); },
     [](long double x, long double t) { return static_cast<long double>((x > t) - (x < t)); }},
    {"huber_loss", huber,
     [](long double x, long double t) {
       const long double d = std::abs(x - t);
       return d <= 0.5L ? d * d / 2 : 0.5L * (d - 0.25L);
     },
     [](long double x, long double t) { return std::clamp(x - t, -0.5L, 0.5L); }},
    {"smooth_l1_loss", smooth_l1,
     [](long double x, long double t) {
       const long double d = std::abs(x - t);
       return d <= 0.5L ? d * d : d - 0.25L;
     },
     [](long double x, long double t) { return std::clamp(2 * (x - t), -1.0L, 1.0L); }},
    {"bce_with_logits", bce_with_logits,
     [](long double x, long double t) { return t * std::log1p(std::exp(-x)) + (1 - t) * std::log1p(std::exp(x)); },
     [](long double x, long double t) { return 1 / (1 + std::exp(-x)) - t; }},
};

// Logits from tiny to large, targets in [0, 1] that some logits equal.
Tensor logits(DType dtype) {
  return from_values({-90, -30, -3, -0.5, 0, 0.25, 0.5, 1, 2, 30, 80, 1e-8}, {3, 4}, dtype);
}
Tensor targets(DType dtype) { return from_values({0, 1, 0.5, 0, 0, 0.25, 1, 1, 0, 1, 0, 0.75}, {3, 4}, dtype); }

TEST_CASE("losses of pairs follow their formulas, values and gradients, under each reduction") {
  for (DType dtype : {float32, float64})
    for (const Loss& c : losses)
      for (Reduction reduction : {Reduction::none, Reduction::sum, Reduction::mean}) {
        CAPTURE(c.name, dtype, static_cast<int>(reduction));
        Tensor x = logits(dtype).set_requires_grad();
        const Tensor t = targets(dtype);
        const auto vx = values(x), vt = values(t);
        std::vector<double> expected, slope;
        long double total = 0;
        const long double count = reduction == Reduction::mean ? 12 : 1;
        for (std::size_t i = 0; i < vx.size(); ++i) {
          expected.push_back(static_cast<double>(c.plain(vx[i], vt[i])));
          slope.push_back(static_cast<double>(c.slope(vx[i], vt[i]) / count));
          total += c.plain(vx[i], vt[i]);
        }
        const Tensor y = c.loss(x, t, reduction);
        if (reduction != Reduction::none) expected = {static_cast<double>(total / count)};
        REQUIRE(y.shape() == (reduction == Reduction::none ? x.shape() : Shape{}));
        const auto vy = values(y);
        for (std::size_t i = 0; i < vy.size(); ++i)
          CHECK(std::abs(vy[i] - expected[i]) <= 8 * epsilon(dtype) * std::abs(expected[i]));
        const Tensor dx = grad({y}, {x}, {ones_like(y.detach())})[0];
        const auto vdx = values(dx);
        for (std::size_t i = 0; i < vdx.size(); ++i)
          CHECK(std::abs(vdx[i] - slope[i]) <= 8 * epsilon(dtype) * (std::abs(slope[i]) + 1e-3));
      }
}

TEST_CASE("losses of pairs can be differentiated twice") {
  for (const Loss& c : losses) {
    CAPTURE(c.name);
    Tensor x = from_values({-3, -0.3, 0, 0.25, 0.35, 0.7, 1, 5}, {8}).set_requires_grad();
    const Tensor t = full({8}, 0.3, float64);
    const Tensor dx = grad({c.loss(x, t, Reduction::sum)}, {x}, {}, {.create_graph = true})[0];
    if (!dx.requires_grad()) continue;  // l1's slope is constant
    const auto second = values(grad({dx}, {x}, {ones({8}, float64)})[0]), vx = values(x);
    for (std::size_t i = 0; i < vx.size(); ++i) {
      const long double h = 1e-4L;
      const long double expected = (c.slope(vx[i] + h, 0.3L) - c.slope(vx[i] - h, 0.3L)) / (2 * h);
      CHECK(second[i] == Approx(static_cast<double>(expected)).margin(1e-7));
    }
  }
}

TEST_CASE("gradients are 0 at l1's kink and where huber meets its target") {
  Tensor x = ones({2}, float64).set_requires_grad();
  CHECK(values(grad({l1_loss(x, ones({2}, float64), Reduction::sum)}, {x})[0]) == std::vector<double>{0, 0});
  CHECK(values(grad({huber_loss(x, ones({2}, float64), 1, Reduction::sum)}, {x})[0]) == std::vector<double>{0, 0});
}

TEST_CASE("gradients flow to the targets as well") {
  for (const Loss& c : losses) {
    CAPTURE(c.name);
    const Tensor x = logits(float64);
    Tensor t = from_values(std::vector<double>(12, 0.3), {3, 4}).set_requires_grad();
    const auto dt = values(grad({c.loss(x, t, Reduction::sum)}, {t})[0]);
    const auto vx = values(x);
    for (std::size_t i = 0; i < dt.size(); ++i) {
      const long double h = 1e-4L;
      CHECK(dt[i] ==
            Approx(static_cast<double>((c.plain(vx[i], 0.3L + h) - c.plain(vx[i], 0.3L - h)) / (2 * h))).margin(1e-9));
    }
  }
}

TEST_CASE("cross_entropy is nll_loss of log_softmax: values, gradients, second gradients") {
  struct {
    Shape x, target;
  } const shapes[] = {{{4, 10}, {4}}, {{1, 1}, {1}}, {{2, 5, 3, 4}, {2, 3, 4}}, {{2, 3, 6}, {2, 6}}};
  for (DType dtype : {float32, float64})
    for (const auto& s : shapes)
      for (Reduction reduction : {Reduction::none, Reduction::sum, Reduction::mean}) {
        CAPTURE(s.x, dtype, static_cast<int>(reduction));
        Tensor x = noise(s.x, dtype).set_requires_grad();
        const Tensor target = randint(0, s.x[1], s.target), v = noise(s.x, dtype);
        const auto derivatives = [&](const Tensor& loss) -> Tensors {
          const Tensor dloss = full(loss.shape(), 0.7, dtype);
          const Tensor dx = grad({loss}, {x}, {dloss}, {.create_graph = true})[0];
          return {loss.detach(), dx.detach(), grad({dx}, {x}, {v})[0]};
        };
        const Tensors fused = derivatives(cross_entropy(x, target, reduction));
        const Tensors composed = derivatives(nll_loss(log_softmax(x, 1), target, reduction));
        const double tolerance = 64 * epsilon(dtype);
        for (std::size_t i = 0; i < 3; ++i) CHECK(allclose(fused[i], composed[i], tolerance, tolerance));
      }
}

TEST_CASE("cross_entropy neither overflows nor cancels") {
  Tensor x = from_values({1e4, 0, -1e4, 3e38, -3e38, 0}, {2, 3}, float32).set_requires_grad();
  const Tensor loss = cross_entropy(x, add(arange(2, int64), 1), Reduction::none);
  CHECK(values(loss)[0] == 1e4);
  CHECK(values(loss)[1] == double{3e38f});
  CHECK(std::isfinite(values(grad({loss}, {x}, {ones({2})})[0])[0]));
}

TEST_CASE("huber_loss of an infinite distance is infinite") {
  const Tensor x = tensor({INFINITY, -INFINITY});
  CHECK(equal(huber_loss(x, zeros({2}), 0.5, Reduction::none), tensor({INFINITY, INFINITY})));
}

TEST_CASE("losses of nothing") {
  CHECK(mse_loss(zeros({0, 3}), zeros({0, 3})).item<double>() == 0);
  CHECK(cross_entropy(zeros({0, 3}), zeros({0}, int64), Reduction::sum).item<double>() == 0);
  CHECK(cross_entropy(zeros({0, 3}), zeros({0}, int64), Reduction::none).shape() == Shape{0});
}

TEST_CASE("losses check targets before they compute") {
  const Tensor x = zeros({2, 3});
  CHECK(thrown<ShapeError>([&] { mse_loss(x, zeros({3})); }) ==
        "mse_loss: expected target of x's shape (2, 3), got (3,)");
  CHECK(thrown<DTypeError>([&] {
          l1_loss(x, zeros({2, 3}, int64));
        }) == "l1_loss: expected target of a floating-point dtype, got int64; convert with to()");
  CHECK(thrown<ValueError>([&] { huber_loss(x, x, 0); }) ==
        "huber_loss: expected delta in (0, 3.4028234663852886e+38], got 0");
  CHECK(thrown<ValueError>([&] { huber_loss(x, x, 1e300); }) ==
        "huber_loss: expected delta in (0, 3.4028234663852886e+38], got 1e+300");
  CHECK(thrown<ValueError>([&] { huber_loss(x, x, INFINITY); }) ==
        "huber_loss: expected delta in (0, 3.4028234663852886e+38], got inf");
  CHECK(thrown<ValueError>([&] { huber_loss(x, x, NAN); }) ==
        "huber_loss: expected delta in (0, 3.4028234663852886e+38], got nan");
  CHECK(thrown<ValueError>([&] {
          bce_with_logits(x, full({2, 3}, 1.5));
        }) == "bce_with_logits: expected targets in [0, 1], got 1.5");
  CHECK(thrown<ValueError>([&] {
          bce_with_logits(x, full({2, 3}, NAN));
        }) == "bce_with_logits: expected targets in [0, 1], got nan");
  CHECK(thrown<ShapeError>([&] { cross_entropy(x, zeros({3}, int64)); }) ==
        "cross_entropy: expected target of shape (2,) for x of shape (2, 3), got (3,)");
  CHECK(thrown<ShapeError>([&] { nll_loss(zeros({3}), zeros({}, int64)); }) ==
        "nll_loss: expected x of shape (N, C) or (N, C, *), got (3,)");
  CHECK(thrown<DTypeError>([&] { cross_entropy(x, zeros({2})); }) ==
        "cross_entropy: expected target of int64, or probabilities of x's shape, got float32");
  CHECK(thrown<ValueError>([&] { cross_entropy(x, full({2}, 3, int64)); }) ==
        "cross_entropy: expected targets in [0, 3), got 3");
  CHECK(thrown<ValueError>([&] { nll_loss(x, full({2}, -1, int64)); }) ==
        "nll_loss: expected targets in [0, 3), got -1");
  CHECK(thrown<ValueError>([&] { mse_loss(x, Tensor()); }) ==
        "mse_loss: expected a defined target, got an undefined tensor");
}

}  // namespace test_losses
