// Ops one by one: forward, and forward with the gradients of everything. scripts/bench_ops.sh runs it in turns with
// LibTorch (bench/peers/libtorch_ops.cpp).
#include <limpid/bench/op_cases.hpp>
#include <limpid/bench/runs.hpp>

using namespace limpid;

namespace {

Tensor make(const OpOperand& operand) {
  const Shape shape(operand.shape.begin(), operand.shape.end());
  const auto fractions = [&] { return rand(shape); };
  switch (operand.draw) {
    case Draw::positive: return fractions() + 0.5;
    case Draw::within_1: return fractions() * 1.8 - 0.9;
    case Draw::fraction: return fractions();
    case Draw::index: return (fractions() * operand.limit).to(int64);
    case Draw::classes: return remainder(arange(shape[0]), operand.limit);
    case Draw::mask: return randn(shape) > 0;
    default: return randn(shape);
  }
}

}  // namespace

int main(int argc, char** argv) {
  PeerBench bench(argc, argv);
  set_num_threads(bench.threads());
  const OpFunctions<Tensor> functions{
      {"neg", [](const std::vector<Tensor>& x) -> Tensor { return neg(x[0]); }},
      {"abs", [](const std::vector<Tensor>& x) -> Tensor { return abs(x[0]); }},
      {"sign", [](const std::vector<Tensor>& x) -> Tensor { return sign(x[0]); }},
      {"square", [](const std::vector<Tensor>& x) -> Tensor { return square(x[0]); }},
      {"reciprocal", [](const std::vector<Tensor>& x) -> Tensor { return reciprocal(x[0]); }},
      {"exp", [](const std::vector<Tensor>& x) -> Tensor { return exp(x[0]); }},
      {"expm1", [](const std::vector<Tensor>& x) -> Tensor { return expm1(x[0]); }},
      {"sin", [](const std::vector<Tensor>& x) -> Tensor { return sin(x[0]); }},
      {"cos", [](const std::vector<Tensor>& x) -> Tensor { return cos(x[0]); }},
      {"tan", [](const std::vector<Tensor>& x) -> Tensor { return tan(x[0]); }},
      {"atan", [](const std::vector<Tensor>& x) -> Tensor { return atan(x[0]); }},
      {"sinh", [](const std::vector<Tensor>& x) -> Tensor { return sinh(x[0]); }},
      {"tanh", [](const std::vector<Tensor>& x) -> Tensor { return tanh(x[0]); }},
      {"sigmoid", [](const std::vector<Tensor>& x) -> Tensor { return sigmoid(x[0]); }},
      {"erf", [](const std::vector<Tensor>& x) -> Tensor { return erf(x[0]); }},
      {"floor", [](const std::vector<Tensor>& x) -> Tensor { return floor(x[0]); }},
      {"round", [](const std::vector<Tensor>& x) -> Tensor { return round(x[0]); }},
      {"relu", [](const std::vector<Tensor>& x) -> Tensor { return relu(x[0]); }},
      {"leaky_relu", [](const std::vector<Tensor>& x) -> Tensor { return leaky_relu(x[0]); }},
      {"elu", [](const std::vector<Tensor>& x) -> Tensor { return elu(x[0]); }},
      {"gelu", [](const std::vector<Tensor>& x) -> Tensor { return gelu(x[0]); }},
      {"silu", [](const std::vector<Tensor>& x) -> Tensor { return silu(x[0]); }},
      {"softplus", [](const std::vector<Tensor>& x) -> Tensor { return softplus(x[0]); }},
      {"mish", [](const std::vector<Tensor>& x) -> Tensor { return mish(x[0]); }},
      {"hardswish", [](const std::vector<Tensor>& x) -> Tensor { return hardswish(x[0]); }},
      {"sqrt", [](const std::vector<Tensor>& x) -> Tensor { return sqrt(x[0]); }},
      {"rsqrt", [](const std::vector<Tensor>& x) -> Tensor { return rsqrt(x[0]); }},
      {"log", [](const std::vector<Tensor>& x) -> Tensor { return log(x[0]); }},
      {"log1p", [](const std::vector<Tensor>& x) -> Tensor { return log1p(x[0]); }},
      {"log2", [](const std::vector<Tensor>& x) -> Tensor { return log2(x[0]); }},
      {"lgamma", [](const std::vector<Tensor>& x) -> Tensor { return lgamma(x[0]); }},
      {"asin", [](const std::vector<Tensor>& x) -> Tensor { return asin(x[0]); }},
      {"erfinv", [](const std::vector<Tensor>& x) -> Tensor { return erfinv(x[0]); }},
      {"logsigmoid", [](const std::vector<Tensor>& x) -> Tensor { return logsigmoid(x[0]); }},
      {"clamp", [](const std::vector<Tensor>& x) -> Tensor { return clamp(x[0], -1, 0.5); }},
      {"add 1", [](const std::vector<Tensor>& x) -> Tensor { return x[0] + 1; }},
      {"sum", [](const std::vector<Tensor>& x) -> Tensor { return sum(x[0]); }},
      {"mean", [](const std::vector<Tensor>& x) -> Tensor { return mean(x[0]); }},
      {"max", [](const std::vector<Tensor>& x) -> Tensor { return max(x[0]); }},
      {"norm", [](const std::vector<Tensor>& x) -> Tensor { return vector_norm(x[0]); }},
      {"var", [](const std::vector<Tensor>& x) -> Tensor { return var(x[0]); }},
      {"pow 2.5", [](const std::vector<Tensor>& x) -> Tensor { return pow(x[0], 2.5); }},
      {"add", [](const std::vector<Tensor>& x) -> Tensor { return add(x[0], x[1]); }},
      {"sub", [](const std::vector<Tensor>& x) -> Tensor { return sub(x[0], x[1]); }},
      {"mul", [](const std::vector<Tensor>& x) -> Tensor { return mul(x[0], x[1]); }},
      {"div", [](const std::vector<Tensor>& x) -> Tensor { return div(x[0], x[1]); }},
      {"maximum", [](const std::vector<Tensor>& x) -> Tensor { return maximum(x[0], x[1]); }},
      {"atan2", [](const std::vector<Tensor>& x) -> Tensor { return atan2(x[0], x[1]); }},
      {"hypot", [](const std::vector<Tensor>& x) -> Tensor { return hypot(x[0], x[1]); }},
      {"mse_loss", [](const std::vector<Tensor>& x) -> Tensor { return mse_loss(x[0], x[1]); }},
      {"l1_loss", [](const std::vector<Tensor>& x) -> Tensor { return l1_loss(x[0], x[1]); }},
      {"smooth_l1_loss", [](const std::vector<Tensor>& x) -> Tensor { return smooth_l1_loss(x[0], x[1]); }},
      {"lt", [](const std::vector<Tensor>& x) -> Tensor { return lt(x[0], x[1]); }},
      {"eq", [](const std::vector<Tensor>& x) -> Tensor { return eq(x[0], x[1]); }},
      {"where", [](const std::vector<Tensor>& x) -> Tensor { return where(x[0] > 0, x[0], x[1]); }},
      {"lerp", [](const std::vector<Tensor>& x) -> Tensor { return lerp(x[0], x[1], 0.3); }},
      {"masked_fill", [](const std::vector<Tensor>& x) -> Tensor { return masked_fill(x[0], x[1], 0); }},
      {"to float64", [](const std::vector<Tensor>& x) -> Tensor { return x[0].to(float64); }},
      {"to bfloat16", [](const std::vector<Tensor>& x) -> Tensor { return x[0].to(bfloat16); }},
      {"transpose 0 2 copy", [](const std::vector<Tensor>& x) -> Tensor { return transpose(x[0], 0, 2).contiguous(); }},
      {"transpose 0 1 copy", [](const std::vector<Tensor>& x) -> Tensor { return transpose(x[0], 0, 1).contiguous(); }},
      {"to channels last copy",
       [](const std::vector<Tensor>& x) -> Tensor { return x[0].permute({0, 2, 3, 1}).contiguous(); }},
      {"every second copy",
       [](const std::vector<Tensor>& x) -> Tensor { return slice(x[0], 1, 0, 1024, 2).contiguous(); }},
      {"cat", [](const std::vector<Tensor>& x) -> Tensor { return cat({x[0], x[0]}, 1); }},
      {"stack", [](const std::vector<Tensor>& x) -> Tensor { return stack({x[0], x[0]}, 1); }},
      {"flip", [](const std::vector<Tensor>& x) -> Tensor { return flip(x[0], {2}); }},
      {"roll", [](const std::vector<Tensor>& x) -> Tensor { return roll(x[0], 5, 1); }},
      {"tril", [](const std::vector<Tensor>& x) -> Tensor { return tril(x[0]); }},
      {"index_select", [](const std::vector<Tensor>& x) -> Tensor { return index_select(x[0], 0, x[1]); }},
      {"gather", [](const std::vector<Tensor>& x) -> Tensor { return gather(x[0], 1, x[1]); }},
      {"zero pad", [](const std::vector<Tensor>& x) -> Tensor { return pad(x[0], {1, 1, 1, 1}); }},
      {"reflect pad", [](const std::vector<Tensor>& x) -> Tensor { return pad(x[0], {1, 1, 1, 1}, PadMode::reflect); }},
      {"sum axis0", [](const std::vector<Tensor>& x) -> Tensor { return sum(x[0], {0}); }},
      {"mean axis0", [](const std::vector<Tensor>& x) -> Tensor { return mean(x[0], {0}); }},
      {"amax axis0", [](const std::vector<Tensor>& x) -> Tensor { return amax(x[0], {0}); }},
      {"logsumexp axis0", [](const std::vector<Tensor>& x) -> Tensor { return logsumexp(x[0], {0}); }},
      {"var axis0", [](const std::vector<Tensor>& x) -> Tensor { return var(x[0], {0}); }},
      {"norm axis0", [](const std::vector<Tensor>& x) -> Tensor { return vector_norm(x[0], 2, {0}); }},
      {"prod axis0", [](const std::vector<Tensor>& x) -> Tensor { return prod(x[0], {0}); }},
      {"argmax axis0", [](const std::vector<Tensor>& x) -> Tensor { return argmax(x[0], 0); }},
      {"softmax axis0", [](const std::vector<Tensor>& x) -> Tensor { return softmax(x[0], 0); }},
      {"log_softmax axis0", [](const std::vector<Tensor>& x) -> Tensor { return log_softmax(x[0], 0); }},
      {"cumsum axis0", [](const std::vector<Tensor>& x) -> Tensor { return cumsum(x[0], 0); }},
      {"sum axis1", [](const std::vector<Tensor>& x) -> Tensor { return sum(x[0], {1}); }},
      {"mean axis1", [](const std::vector<Tensor>& x) -> Tensor { return mean(x[0], {1}); }},
      {"amax axis1", [](const std::vector<Tensor>& x) -> Tensor { return amax(x[0], {1}); }},
      {"logsumexp axis1", [](const std::vector<Tensor>& x) -> Tensor { return logsumexp(x[0], {1}); }},
      {"var axis1", [](const std::vector<Tensor>& x) -> Tensor { return var(x[0], {1}); }},
      {"norm axis1", [](const std::vector<Tensor>& x) -> Tensor { return vector_norm(x[0], 2, {1}); }},
      {"prod axis1", [](const std::vector<Tensor>& x) -> Tensor { return prod(x[0], {1}); }},
      {"argmax axis1", [](const std::vector<Tensor>& x) -> Tensor { return argmax(x[0], 1); }},
      {"softmax axis1", [](const std::vector<Tensor>& x) -> Tensor { return softmax(x[0], 1); }},
      {"log_softmax axis1", [](const std::vector<Tensor>& x) -> Tensor { return log_softmax(x[0], 1); }},
      {"cumsum axis1", [](const std::vector<Tensor>& x) -> Tensor { return cumsum(x[0], 1); }},
      {"sum axis2", [](const std::vector<Tensor>& x) -> Tensor { return sum(x[0], {2}); }},
      {"mean axis2", [](const std::vector<Tensor>& x) -> Tensor { return mean(x[0], {2}); }},
      {"amax axis2", [](const std::vector<Tensor>& x) -> Tensor { return amax(x[0], {2}); }},
      {"logsumexp axis2", [](const std::vector<Tensor>& x) -> Tensor { return logsumexp(x[0], {2}); }},
      {"var axis2", [](const std::vector<Tensor>& x) -> Tensor { return var(x[0], {2}); }},
      {"norm axis2", [](const std::vector<Tensor>& x) -> Tensor { return vector_norm(x[0], 2, {2}); }},
      {"prod axis2", [](const std::vector<Tensor>& x) -> Tensor { return prod(x[0], {2}); }},
      {"argmax axis2", [](const std::vector<Tensor>& x) -> Tensor { return argmax(x[0], 2); }},
      {"softmax axis2", [](const std::vector<Tensor>& x) -> Tensor { return softmax(x[0], 2); }},
      {"log_softmax axis2", [](const std::vector<Tensor>& x) -> Tensor { return log_softmax(x[0], 2); }},
      {"cumsum axis2", [](const std::vector<Tensor>& x) -> Tensor { return cumsum(x[0], 2); }},
      {"cross_entropy", [](const std::vector<Tensor>& x) -> Tensor { return cross_entropy(x[0], x[1]); }},
      {"bce_with_logits", [](const std::vector<Tensor>& x) -> Tensor { return bce_with_logits(x[0], x[1]); }},
      {"layer_norm",
       [](const std::vector<Tensor>& x) -> Tensor { return layer_norm(x[0], {x[1].size(0)}, x[1], x[2]); }},
      {"group_norm of 32", [](const std::vector<Tensor>& x) -> Tensor { return group_norm(x[0], 32, x[1], x[2]); }},
      {"batch_norm",
       [](const std::vector<Tensor>& x)
           -> Tensor { return batch_norm(x[0], {.weight = x[1], .bias = x[2], .training = true}); }},
      {"matmul", [](const std::vector<Tensor>& x) -> Tensor { return matmul(x[0], x[1]); }},
      {"linear", [](const std::vector<Tensor>& x) -> Tensor { return linear(x[0], x[1], x[2]); }},
      {"conv2d", [](const std::vector<Tensor>& x) -> Tensor { return conv2d(x[0], x[1], x[2]); }},
      {"conv2d padded",
       [](const std::vector<Tensor>& x) -> Tensor { return conv2d(x[0], x[1], x[2], {.padding = 1}); }},
      {"conv2d padded strided",
       [](const std::vector<Tensor>& x) -> Tensor { return conv2d(x[0], x[1], x[2], {.stride = 2, .padding = 1}); }},
      {"conv2d depthwise",
       [](const std::vector<Tensor>& x) -> Tensor { return conv2d(x[0], x[1], x[2], {.padding = 1, .groups = 64}); }},
      {"max_pool2d k2", [](const std::vector<Tensor>& x) -> Tensor { return max_pool2d(x[0], 2); }},
      {"avg_pool2d k2", [](const std::vector<Tensor>& x) -> Tensor { return avg_pool2d(x[0], 2); }},
      {"max_pool2d k3 s2",
       [](const std::vector<Tensor>& x) -> Tensor { return max_pool2d(x[0], 3, {.stride = 2, .padding = 1}); }},
      {"adaptive_avg_pool2d 1", [](const std::vector<Tensor>& x) -> Tensor { return adaptive_avg_pool2d(x[0], 1); }},
      {"nearest x2", [](const std::vector<Tensor>& x) -> Tensor { return interpolate(x[0], {.scale_factor = 2.0}); }}};
  add_op_cases<Tensor>(bench, functions, make, runs);
  return bench.result();
}
