// A differentiable function of one's own, proved right, and found out when wrong.
#include <limpid/limpid.hpp>

#include <iostream>

using namespace limpid;

// y = x * sigmoid(x); the factor in dy stands for the mistake one makes.
template <int percent>
struct Swish : Function<Swish<percent>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return x * sigmoid(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    Tensor x = ctx.saved(0), s = sigmoid(x);
    return {dy * (s + x * s * (1.0 - s)) * (percent / 100.0)};
  }
};

int main() {
  manual_seed(12);
  Tensor x = randn({3, 4}, float64);
  if (GradcheckReport right = gradcheck([](Tensor x) { return Swish<100>::apply(x); }, {x}); !right) {
    std::cerr << right << '\n';
    return 1;
  }
  if (!gradgradcheck([](Tensor x) { return Swish<100>::apply(x); }, {x})) return 2;
  if (gradcheck([](Tensor x) { return Swish<101>::apply(x); }, {x})) return 3;

  // The norm of a batch, in every input at once and to the second order.
  Tensor image = randn({2, 6, 3, 4}, float64), w = rand({6}, float64), b = rand({6}, float64);
  auto norm = [](Tensor x, Tensor w, Tensor b) { return group_norm(x, 3, w, b); };
  if (!gradcheck(norm, {image, w, b})) return 4;
  if (!gradgradcheck(norm, {image, w, b})) return 5;
}
