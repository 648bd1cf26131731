// Gradients where differences do not reach: at zeros and poles, of nothing, of more inputs than a word has bits, of one
// input alone. Each turns red for a fault that the op table does not see.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>

#include <limpid/tests/catch.hpp>

using namespace limpid;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor leaf(std::initializer_list<double> values) { return tensor(values, float64).set_requires_grad(); }

// Notes which gradients its backward is asked for.
struct Probe : Function<Probe> {
  static inline bool asked[2];
  static Tensor forward(Context&, const Tensor& a, const Tensor& b) { return a + b; }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    asked[0] = ctx.needs(0);
    asked[1] = ctx.needs(1);
    return {ctx.needs(0) ? dy : Tensor(), ctx.needs(1) ? dy : Tensor()};
  }
};

// Leaves NaN in the memory that the next tensors of this shape get.
void spoil(const Shape& shape) { const Tensor a = full(shape, NAN, float64), b = full(shape, NAN, float64); }

}  // namespace

TEST_CASE("gradients of pow at zero bases and exponents") {
  const Tensor a = leaf({0, 0, 0, 0, 2}), b = leaf({0, 1, 2, -1, 0});
  const Tensors dx = grad({pow(a, b)}, {a, b}, {ones({5}, float64)});
  CHECK(equal(dx[0], tensor({0.0, 1.0, 0.0, -infinity, 0.0}, float64)));
  CHECK(equal(slice(dx[1], 0, 0, 4), tensor({0.0, 0.0, 0.0, -infinity}, float64)));
  CHECK(dx[1].data<double>()[4] == Approx(std::log(2.0)));
}

TEST_CASE("gradients of a power of the number 0") {
  const Tensor x = leaf({-1, 2});
  CHECK(equal(grad({pow(0.0, x)}, {x}, {tensor({-1, 3}, float64)})[0], tensor({infinity, 0.0}, float64)));
}

TEST_CASE("gradients of a convolution of nothing are zero") {
  const Tensor x = zeros({2, 3, 4, 4}, float64).set_requires_grad(),
               none = zeros({0, 3, 2, 2}, float64).set_requires_grad();
  spoil(x.shape());
  const Tensor dx = conv2d_input_grad(zeros({2, 0, 3, 3}, float64), none.detach(), {2, 3, 4, 4});
  CHECK(equal(dx, zeros({2, 3, 4, 4}, float64)));
  spoil({5, 3, 2, 2});
  const Tensor dweight = conv2d_weight_grad(zeros({0, 3, 4, 4}, float64), zeros({0, 5, 3, 3}, float64), {5, 3, 2, 2});
  CHECK(equal(dweight, zeros({5, 3, 2, 2}, float64)));
}

TEST_CASE("gradients of cross_entropy beside its own gradient") {
  const Tensor target = tensor({2, 0, 1}, int64);
  const auto penalised = [&](const Tensor& given) {
    const EnableGradGuard recording;
    const Tensor x = given.requires_grad() ? given : given.detach().set_requires_grad();
    const Tensor loss = cross_entropy(x, target);
    return loss + sum(square(grad({loss}, {x}, {}, {.create_graph = true})[0]));
  };
  Generator generator(3);
  const GradcheckReport report = gradcheck(penalised, {randn({3, 4}, float64, generator)}, {.rtol = 1e-9});
  INFO(report);
  CHECK(report);
}

TEST_CASE("gradients are asked for of those inputs alone that lead to a target, run by run") {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4}), dy = ones({2}, float64);
  const Tensor y = Probe::apply(a, b);
  grad({y}, {a}, {dy}, {.retain_graph = true});
  CHECK(Probe::asked[0]);
  CHECK_FALSE(Probe::asked[1]);
  y.backward(dy);
  CHECK(Probe::asked[0]);
  CHECK(Probe::asked[1]);
  CHECK(b.grad().defined());
}

TEST_CASE("gradients of inputs past the 64th") {
  Tensors xs;
  for (int i = 0; i < 70; ++i) xs.push_back(leaf({static_cast<double>(i)}));
  CHECK(equal(grad({cat(xs, 0)}, {xs[68]}, {arange(70).to(float64)})[0], tensor({68.0}, float64)));
}

TEST_CASE("gradients of reductions at the ends of the numbers, and over leading axes") {
  Generator generator(3);
  CHECK(gradcheck([](Tensor x) { return prod(x, {0, 1}); }, {rand({2, 3, 4}, float64, generator) + 0.5}));
  const Tensor x = leaf({1, NAN, 2}), none = leaf({-infinity, -infinity});
  CHECK(equal(grad({max(x)}, {x})[0], tensor({0, 1, 0}, float64)));
  CHECK(equal(grad({logsumexp(none)}, {none})[0], tensor({0, 0}, float64)));
  CHECK_THROWS_WITH(sum_to(zeros({2, 3}), {2}), ContainsSubstring("sum_to: expected"));
}
