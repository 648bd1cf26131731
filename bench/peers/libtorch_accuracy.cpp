// How exact LibTorch's instance_norm is on the inputs of bench_accuracy.cpp.
#include <torch/torch.h>
#include <limpid/bench/norm_accuracy.hpp>

int main() {
  namespace F = torch::nn::functional;
  limpid::print_errors("libtorch", [](const limpid::NormInput& in) {
    const auto leaf = [](const std::vector<float>& v, const std::vector<std::int64_t>& shape) {
      return torch::tensor(v).reshape(shape).requires_grad_();
    };
    const auto x = leaf(in.x, {in.n, in.c, in.s}), w = leaf(in.weight, {in.c}), b = leaf(in.bias, {in.c});
    const auto y = F::instance_norm(x, F::InstanceNormFuncOptions().weight(w).bias(b).eps(in.eps));
    const auto dx = torch::autograd::grad({y}, {x, w, b}, {torch::tensor(in.dy).reshape(x.sizes())});
    const auto values = [](const torch::Tensor& t) {
      const auto dense = t.detach().contiguous();
      return std::vector<float>(dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel());
    };
    return limpid::NormOutput{values(y), values(dx[0]), values(dx[1]), values(dx[2])};
  });
}
