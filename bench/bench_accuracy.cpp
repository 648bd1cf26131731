// How exact instance_norm is on hard inputs, float32: scripts/accuracy.sh makes a table of what this prints.
#include <limpid/bench/norm_accuracy.hpp>
#include <limpid/limpid.hpp>

int main() {
  using namespace limpid;
  print_errors("limpid", [](const NormInput& in) {
    Tensor x = from_vector(in.x, {in.n, in.c, in.s}), weight = from_vector(in.weight, {in.c}),
           bias = from_vector(in.bias, {in.c});
    x.set_requires_grad(), weight.set_requires_grad(), bias.set_requires_grad();
    const Tensor y = instance_norm(x, {.weight = weight, .bias = bias, .eps = in.eps});
    const Tensors dx = grad({y}, {x, weight, bias}, {from_vector(in.dy, x.shape())});
    const auto values = [](const Tensor& t) {
      return std::vector<float>(t.data<float>(), t.data<float>() + t.numel());
    };
    return NormOutput{values(y), values(dx[0]), values(dx[1]), values(dx[2])};
  });
}
