// LibTorch's ops over the cases of op_cases.hpp.
#include <limpid/bench/op_cases.hpp>
#include "libtorch_runs.hpp"

using Tensors = std::vector<Tensor>;

namespace {

Tensor make(const limpid::OpOperand& operand) {
  using limpid::Draw;
  const auto fractions = [&] { return torch::rand(operand.shape); };
  switch (operand.draw) {
    case Draw::positive: return fractions() + 0.5;
    case Draw::within_1: return fractions() * 1.8 - 0.9;
    case Draw::fraction: return fractions();
    case Draw::index: return (fractions() * operand.limit).to(torch::kInt64);
    case Draw::classes: return torch::arange(operand.shape[0]).remainder(operand.limit);
    case Draw::mask: return torch::randn(operand.shape) > 0;
    default: return torch::randn(operand.shape);
  }
}

}  // namespace

int main(int argc, char** argv) {
  limpid::PeerBench bench(argc, argv);
  torch::set_num_threads(bench.threads());
  const limpid::OpFunctions<Tensor> functions{
      {"neg", [](const Tensors& x) -> Tensor { return torch::neg(x[0]); }},
      {"abs", [](const Tensors& x) -> Tensor { return torch::abs(x[0]); }},
      {"sign", [](const Tensors& x) -> Tensor { return torch::sign(x[0]); }},
      {"square", [](const Tensors& x) -> Tensor { return torch::square(x[0]); }},
      {"reciprocal", [](const Tensors& x) -> Tensor { return torch::reciprocal(x[0]); }},
      {"exp", [](const Tensors& x) -> Tensor { return torch::exp(x[0]); }},
      {"expm1", [](const Tensors& x) -> Tensor { return torch::expm1(x[0]); }},
      {"sin", [](const Tensors& x) -> Tensor { return torch::sin(x[0]); }},
      {"cos", [](const Tensors& x) -> Tensor { return torch::cos(x[0]); }},
      {"tan", [](const Tensors& x) -> Tensor { return torch::tan(x[0]); }},
      {"atan", [](const Tensors& x) -> Tensor { return torch::atan(x[0]); }},
      {"sinh", [](const Tensors& x) -> Tensor { return torch::sinh(x[0]); }},
      {"tanh", [](const Tensors& x) -> Tensor { return torch::tanh(x[0]); }},
      {"sigmoid", [](const Tensors& x) -> Tensor { return torch::sigmoid(x[0]); }},
      {"erf", [](const Tensors& x) -> Tensor { return torch::erf(x[0]); }},
      {"floor", [](const Tensors& x) -> Tensor { return torch::floor(x[0]); }},
      {"round", [](const Tensors& x) -> Tensor { return torch::round(x[0]); }},
      {"relu", [](const Tensors& x) -> Tensor { return torch::relu(x[0]); }},
      {"leaky_relu", [](const Tensors& x) -> Tensor { return torch::leaky_relu(x[0]); }},
      {"elu", [](const Tensors& x) -> Tensor { return torch::elu(x[0]); }},
      {"gelu", [](const Tensors& x) -> Tensor { return torch::gelu(x[0]); }},
      {"silu", [](const Tensors& x) -> Tensor { return torch::silu(x[0]); }},
      {"softplus", [](const Tensors& x) -> Tensor { return torch::softplus(x[0]); }},
      {"mish", [](const Tensors& x) -> Tensor { return torch::mish(x[0]); }},
      {"hardswish", [](const Tensors& x) -> Tensor { return torch::hardswish(x[0]); }},
      {"sqrt", [](const Tensors& x) -> Tensor { return torch::sqrt(x[0]); }},
      {"rsqrt", [](const Tensors& x) -> Tensor { return torch::rsqrt(x[0]); }},
      {"log", [](const Tensors& x) -> Tensor { return torch::log(x[0]); }},
      {"log1p", [](const Tensors& x) -> Tensor { return torch::log1p(x[0]); }},
      {"log2", [](const Tensors& x) -> Tensor { return torch::log2(x[0]); }},
      {"lgamma", [](const Tensors& x) -> Tensor { return torch::lgamma(x[0]); }},
      {"asin", [](const Tensors& x) -> Tensor { return torch::asin(x[0]); }},
      {"erfinv", [](const Tensors& x) -> Tensor { return torch::erfinv(x[0]); }},
      {"logsigmoid", [](const Tensors& x) -> Tensor { return torch::log_sigmoid(x[0]); }},
      {"clamp", [](const Tensors& x) -> Tensor { return torch::clamp(x[0], -1, 0.5); }},
      {"add 1", [](const Tensors& x) -> Tensor { return x[0] + 1; }},
      {"sum", [](const Tensors& x) -> Tensor { return torch::sum(x[0]); }},
      {"mean", [](const Tensors& x) -> Tensor { return torch::mean(x[0]); }},
      {"max", [](const Tensors& x) -> Tensor { return torch::max(x[0]); }},
      {"norm", [](const Tensors& x) -> Tensor { return x[0].norm(); }},
      {"var", [](const Tensors& x) -> Tensor { return x[0].var(false); }},
      {"pow 2.5", [](const Tensors& x) -> Tensor { return torch::pow(x[0], 2.5); }},
      {"add", [](const Tensors& x) -> Tensor { return torch::add(x[0], x[1]); }},
      {"sub", [](const Tensors& x) -> Tensor { return torch::sub(x[0], x[1]); }},
      {"mul", [](const Tensors& x) -> Tensor { return torch::mul(x[0], x[1]); }},
      {"div", [](const Tensors& x) -> Tensor { return torch::div(x[0], x[1]); }},
      {"maximum", [](const Tensors& x) -> Tensor { return torch::maximum(x[0], x[1]); }},
      {"atan2", [](const Tensors& x) -> Tensor { return torch::atan2(x[0], x[1]); }},
      {"hypot", [](const Tensors& x) -> Tensor { return torch::hypot(x[0], x[1]); }},
      {"mse_loss", [](const Tensors& x) -> Tensor { return torch::mse_loss(x[0], x[1]); }},
      {"l1_loss", [](const Tensors& x) -> Tensor { return torch::l1_loss(x[0], x[1]); }},
      {"smooth_l1_loss", [](const Tensors& x) -> Tensor { return torch::smooth_l1_loss(x[0], x[1]); }},
      {"lt", [](const Tensors& x) -> Tensor { return torch::lt(x[0], x[1]); }},
      {"eq", [](const Tensors& x) -> Tensor { return torch::eq(x[0], x[1]); }},
      {"where", [](const Tensors& x) -> Tensor { return torch::where(x[0] > 0, x[0], x[1]); }},
      {"lerp", [](const Tensors& x) -> Tensor { return torch::lerp(x[0], x[1], 0.3); }},
      {"masked_fill", [](const Tensors& x) -> Tensor { return torch::masked_fill(x[0], x[1], 0); }},
      {"to float64", [](const Tensors& x) -> Tensor { return x[0].to(torch::kFloat64); }},
      {"to bfloat16", [](const Tensors& x) -> Tensor { return x[0].to(torch::kBFloat16); }},
      {"transpose 0 2 copy", [](const Tensors& x) -> Tensor { return x[0].transpose(0, 2).contiguous(); }},
      {"transpose 0 1 copy", [](const Tensors& x) -> Tensor { return x[0].transpose(0, 1).contiguous(); }},
      {"to channels last copy",
       [](const Tensors& x) -> Tensor {
         return x[0].permute({0, 2, 3, 1}).contiguous();
       }},
      {"every second copy", [](const Tensors& x) -> Tensor { return x[0].slice(1, 0, 1024, 2).contiguous(); }},
      {"cat",
       [](const Tensors& x) -> Tensor {
         return torch::cat({x[0], x[0]}, 1);
       }},
      {"stack",
       [](const Tensors& x) -> Tensor {
         return torch::stack({x[0], x[0]}, 1);
       }},
      {"flip", [](const Tensors& x) -> Tensor { return torch::flip(x[0], {2}); }},
      {"roll", [](const Tensors& x) -> Tensor { return torch::roll(x[0], 5, 1); }},
      {"tril", [](const Tensors& x) -> Tensor { return torch::tril(x[0]); }},
      {"index_select", [](const Tensors& x) -> Tensor { return torch::index_select(x[0], 0, x[1]); }},
      {"gather", [](const Tensors& x) -> Tensor { return torch::gather(x[0], 1, x[1]); }},
      {"zero pad",
       [](const Tensors& x) -> Tensor {
         return torch::constant_pad_nd(x[0], {1, 1, 1, 1});
       }},
      {"reflect pad",
       [](const Tensors& x) -> Tensor {
         return torch::reflection_pad2d(x[0], {1, 1, 1, 1});
       }},
      {"sum axis0", [](const Tensors& x) -> Tensor { return torch::sum(x[0], {0}); }},
      {"mean axis0", [](const Tensors& x) -> Tensor { return torch::mean(x[0], {0}); }},
      {"amax axis0", [](const Tensors& x) -> Tensor { return torch::amax(x[0], {0}); }},
      {"logsumexp axis0", [](const Tensors& x) -> Tensor { return torch::logsumexp(x[0], {0}); }},
      {"var axis0", [](const Tensors& x) -> Tensor { return torch::var(x[0], torch::IntArrayRef{0}, false); }},
      {"norm axis0", [](const Tensors& x) -> Tensor { return torch::norm(x[0], 2, {0}); }},
      {"prod axis0", [](const Tensors& x) -> Tensor { return torch::prod(x[0], 0); }},
      {"argmax axis0", [](const Tensors& x) -> Tensor { return torch::argmax(x[0], 0); }},
      {"softmax axis0", [](const Tensors& x) -> Tensor { return torch::softmax(x[0], 0); }},
      {"log_softmax axis0", [](const Tensors& x) -> Tensor { return torch::log_softmax(x[0], 0); }},
      {"cumsum axis0", [](const Tensors& x) -> Tensor { return torch::cumsum(x[0], 0); }},
      {"sum axis1", [](const Tensors& x) -> Tensor { return torch::sum(x[0], {1}); }},
      {"mean axis1", [](const Tensors& x) -> Tensor { return torch::mean(x[0], {1}); }},
      {"amax axis1", [](const Tensors& x) -> Tensor { return torch::amax(x[0], {1}); }},
      {"logsumexp axis1", [](const Tensors& x) -> Tensor { return torch::logsumexp(x[0], {1}); }},
      {"var axis1", [](const Tensors& x) -> Tensor { return torch::var(x[0], torch::IntArrayRef{1}, false); }},
      {"norm axis1", [](const Tensors& x) -> Tensor { return torch::norm(x[0], 2, {1}); }},
      {"prod axis1", [](const Tensors& x) -> Tensor { return torch::prod(x[0], 1); }},
      {"argmax axis1", [](const Tensors& x) -> Tensor { return torch::argmax(x[0], 1); }},
      {"softmax axis1", [](const Tensors& x) -> Tensor { return torch::softmax(x[0], 1); }},
      {"log_softmax axis1", [](const Tensors& x) -> Tensor { return torch::log_softmax(x[0], 1); }},
      {"cumsum axis1", [](const Tensors& x) -> Tensor { return torch::cumsum(x[0], 1); }},
      {"sum axis2", [](const Tensors& x) -> Tensor { return torch::sum(x[0], {2}); }},
      {"mean axis2", [](const Tensors& x) -> Tensor { return torch::mean(x[0], {2}); }},
      {"amax axis2", [](const Tensors& x) -> Tensor { return torch::amax(x[0], {2}); }},
      {"logsumexp axis2", [](const Tensors& x) -> Tensor { return torch::logsumexp(x[0], {2}); }},
      {"var axis2", [](const Tensors& x) -> Tensor { return torch::var(x[0], torch::IntArrayRef{2}, false); }},
      {"norm axis2", [](const Tensors& x) -> Tensor { return torch::norm(x[0], 2, {2}); }},
      {"prod axis2", [](const Tensors& x) -> Tensor { return torch::prod(x[0], 2); }},
      {"argmax axis2", [](const Tensors& x) -> Tensor { return torch::argmax(x[0], 2); }},
      {"softmax axis2", [](const Tensors& x) -> Tensor { return torch::softmax(x[0], 2); }},
      {"log_softmax axis2", [](const Tensors& x) -> Tensor { return torch::log_softmax(x[0], 2); }},
      {"cumsum axis2", [](const Tensors& x) -> Tensor { return torch::cumsum(x[0], 2); }},
      {"cross_entropy", [](const Tensors& x) -> Tensor { return torch::cross_entropy_loss(x[0], x[1]); }},
      {"bce_with_logits",
       [](const Tensors& x) -> Tensor { return torch::binary_cross_entropy_with_logits(x[0], x[1]); }},
      {"layer_norm", [](const Tensors& x) -> Tensor { return torch::layer_norm(x[0], {x[1].size(0)}, x[1], x[2]); }},
      {"group_norm of 32", [](const Tensors& x) -> Tensor { return torch::group_norm(x[0], 32, x[1], x[2]); }},
      {"batch_norm",
       [](const Tensors& x) -> Tensor { return torch::batch_norm(x[0], x[1], x[2], {}, {}, true, 0.1, 1e-5, false); }},
      {"matmul", [](const Tensors& x) -> Tensor { return torch::matmul(x[0], x[1]); }},
      {"linear", [](const Tensors& x) -> Tensor { return torch::linear(x[0], x[1], x[2]); }},
      {"conv2d", [](const Tensors& x) -> Tensor { return torch::conv2d(x[0], x[1], x[2]); }},
      {"conv2d padded", [](const Tensors& x) -> Tensor { return torch::conv2d(x[0], x[1], x[2], 1, 1); }},
      {"conv2d padded strided", [](const Tensors& x) -> Tensor { return torch::conv2d(x[0], x[1], x[2], 2, 1); }},
      {"conv2d depthwise", [](const Tensors& x) -> Tensor { return torch::conv2d(x[0], x[1], x[2], 1, 1, 1, 64); }},
      {"max_pool2d k2", [](const Tensors& x) -> Tensor { return torch::max_pool2d(x[0], 2); }},
      {"avg_pool2d k2", [](const Tensors& x) -> Tensor { return torch::avg_pool2d(x[0], 2); }},
      {"max_pool2d k3 s2", [](const Tensors& x) -> Tensor { return torch::max_pool2d(x[0], 3, 2, 1); }},
      {"adaptive_avg_pool2d 1", [](const Tensors& x) -> Tensor { return torch::adaptive_avg_pool2d(x[0], {1, 1}); }},
      {"nearest x2", [](const Tensors& x) -> Tensor {
         return torch::upsample_nearest2d(x[0], {64, 64});
       }}};
  limpid::add_op_cases<Tensor>(bench, functions, make, runs);
  return bench.result();
}
