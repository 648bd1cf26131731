// Forward mode against an unrecorded forward: jvp(f, xs, dxs) / f(xs), float32, one thread unless told otherwise.
//
//   limpid_bench_jvp [--seconds PER_CASE] [--case SUBSTRING] [--threads N]
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace limpid;

namespace {

constexpr unsigned all = ~0u, first = 1u;

struct Case {
  const char* name;
  std::vector<Shape> shapes;
  Tensors (*f)(const Tensors& x);
  unsigned moving = all;  ///< bit i: input i does
  MemoryFormat format = MemoryFormat::contiguous;
};

Tensor small_cnn(const Tensors& x) {
  static const Tensor target = zeros({16}, int64);
  const Tensor h = max_pool2d(relu(conv2d(x[0], x[1], x[2], {.padding = 1})), 2);
  const Tensor z = max_pool2d(relu(instance_norm(conv2d(h, x[3], x[4], {.padding = 1}))), 2);
  return cross_entropy(linear(flatten(z, 1), x[5], x[6]), target);
}

Tensor classes(const Tensor& x) {
  static const Tensor target = zeros({1024}, int64);
  return cross_entropy(x, target);
}

Tensor chosen(const Tensor& a, const Tensor& b) {
  static const Tensor condition = gt(randn({1 << 20}), 0);
  return where(condition, a, b);
}

#define OF(...) [](const Tensors& x) { return Tensors{__VA_ARGS__}; }
const Shape m{1 << 20}, square_256{256, 256}, b256{256}, rows{1024, 512}, b512{512}, image{8, 16, 32, 32}, b16{16},
    kernel{16, 16, 3, 3};
const std::vector<Shape> layers{square_256, square_256, b256, square_256, b256},
    cnn{{16, 3, 32, 32}, {16, 3, 3, 3}, b16, {32, 16, 3, 3}, {32}, {10, 2048}, {10}};

// clang-format off
const std::vector<Case> kCases = {
    {"exp, 1M", {m}, OF(exp(x[0]))},
    {"log, 1M", {m}, OF(log(x[0]))},
    {"sqrt, 1M", {m}, OF(sqrt(x[0]))},
    {"rsqrt, 1M", {m}, OF(rsqrt(x[0]))},
    {"reciprocal, 1M", {m}, OF(reciprocal(x[0]))},
    {"abs, 1M", {m}, OF(abs(x[0]))},
    {"square, 1M", {m}, OF(square(x[0]))},
    {"sin, 1M", {m}, OF(sin(x[0]))},
    {"cos, 1M", {m}, OF(cos(x[0]))},
    {"tanh, 1M", {m}, OF(tanh(x[0]))},
    {"sigmoid, 1M", {m}, OF(sigmoid(x[0]))},
    {"erf, 1M", {m}, OF(erf(x[0]))},
    {"relu, 1M", {m}, OF(relu(x[0]))},
    {"leaky_relu, 1M", {m}, OF(leaky_relu(x[0]))},
    {"elu, 1M", {m}, OF(elu(x[0]))},
    {"gelu, 1M", {m}, OF(gelu(x[0]))},
    {"silu, 1M", {m}, OF(silu(x[0]))},
    {"softplus, 1M", {m}, OF(softplus(x[0]))},
    {"clamp, 1M", {m}, OF(clamp(x[0], 0.6, 1.4))},
    {"exp(x) * x, 1M", {m}, OF(exp(x[0]) * x[0])},
    {"add, 1M, both", {m, m}, OF(x[0] + x[1])},
    {"mul, 1M, both", {m, m}, OF(x[0] * x[1])},
    {"div, 1M, both", {m, m}, OF(x[0] / x[1])},
    {"pow, 1M, both", {m, m}, OF(pow(x[0], x[1]))},
    {"maximum, 1M, both", {m, m}, OF(maximum(x[0], x[1]))},
    {"where, 1M, both", {m, m}, OF(chosen(x[0], x[1]))},
    {"sum, 1M", {m}, OF(sum(x[0]))},
    {"mean, 1M", {m}, OF(mean(x[0]))},
    {"mse_loss, 1M, both", {m, m}, OF(mse_loss(x[0], x[1]))},
    {"max, (1024, 512)", {rows}, OF(amax(x[0], 1))},
    {"var, (1024, 512)", {rows}, OF(var(x[0], 1))},
    {"vector_norm, (1024, 512)", {rows}, OF(vector_norm(x[0], 1))},
    {"logsumexp, (1024, 512)", {rows}, OF(logsumexp(x[0], 1))},
    {"softmax, (1024, 512)", {rows}, OF(softmax(x[0], 1))},
    {"log_softmax, (1024, 512)", {rows}, OF(log_softmax(x[0], 1))},
    {"cross_entropy, (1024, 512)", {rows}, OF(classes(x[0]))},
    {"transpose and cat, both", {rows, rows}, OF(cat({transpose(x[0], 0, 1), transpose(x[1], 0, 1)}, 0))},
    {"matmul 256, one", {square_256, square_256}, OF(matmul(x[0], x[1])), first},
    {"matmul 256, both", {square_256, square_256}, OF(matmul(x[0], x[1]))},
    {"linear 256, all", {square_256, square_256, b256}, OF(linear(x[0], x[1], x[2]))},
    {"two layers of 256, tanh, x", layers, OF(linear(tanh(linear(x[0], x[1], x[2])), x[3], x[4])), first},
    {"two layers of 256, tanh, all", layers, OF(linear(tanh(linear(x[0], x[1], x[2])), x[3], x[4]))},
    {"conv2d and relu, x", {image, kernel, b16}, OF(relu(conv2d(x[0], x[1], x[2], {.padding = 1}))), first},
    {"conv2d and relu, all", {image, kernel, b16}, OF(relu(conv2d(x[0], x[1], x[2], {.padding = 1})))},
    {"max_pool2d", {image}, OF(max_pool2d(x[0], 2))},
    {"avg_pool2d", {image}, OF(avg_pool2d(x[0], 2))},
    {"layer_norm, (1024, 512)", {rows}, OF(layer_norm(x[0], {512}))},
    {"layer_norm, affine, all", {rows, b512, b512}, OF(layer_norm(x[0], {512}, x[1], x[2]))},
    {"rms_norm, weight, all", {rows, b512}, OF(rms_norm(x[0], {512}, x[1]))},
    {"instance_norm", {image}, OF(instance_norm(x[0]))},
    {"instance_norm, channels-last", {image}, OF(instance_norm(x[0])), all, MemoryFormat::channels_last},
    {"instance_norm, affine, x", {image, b16, b16}, OF(instance_norm(x[0], {.weight = x[1], .bias = x[2]})), first},
    {"instance_norm, affine, all", {image, b16, b16}, OF(instance_norm(x[0], {.weight = x[1], .bias = x[2]}))},
    {"instance_norm, relu", {image}, OF(instance_norm(x[0], {.relu = true}))},
    {"group_norm of 4, affine, x", {image, b16, b16}, OF(group_norm(x[0], 4, x[1], x[2])), first},
    {"group_norm of 4, affine, all", {image, b16, b16}, OF(group_norm(x[0], 4, x[1], x[2]))},
    {"batch_norm, affine, all", {image, b16, b16}, OF(batch_norm(x[0], {}, {}, x[1], x[2], true))},
    {"small CNN, x", cnn, OF(small_cnn(x)), first},
    {"small CNN, all", cnn, OF(small_cnn(x))},
};
// clang-format on

/// Times of {forward, jvp} in microseconds.
std::vector<double> measure(const Case& c, double seconds) {
  Tensors xs, dxs;
  for (const Shape& shape : c.shapes) {
    const MemoryFormat format = shape.dim() == 4 ? c.format : MemoryFormat::contiguous;
    dxs.push_back(c.moving >> xs.size() & 1 ? randn(shape).contiguous(format) : Tensor());
    xs.push_back((shape == m ? rand(shape) + 0.5 : randn(shape)).contiguous(format));
  }
  const auto f = [&](const Tensors& x) { return c.f(x); };
  return median_us({[&] { c.f(xs); }, [&] { jvp(f, xs, dxs); }}, seconds);
}

int usage() {
  std::fprintf(stderr, "bench_jvp: expected [--seconds PER_CASE] [--case SUBSTRING] [--threads N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string wanted;
  double seconds = 0.3;
  set_num_threads(1);
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], "--seconds"))
      seconds = std::atof(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--case"))
      wanted = argv[i + 1];
    else if (!std::strcmp(argv[i], "--threads"))
      set_num_threads(std::atoi(argv[i + 1]));
    else
      return usage();
  }
  std::printf("%-30s %11s %11s | %7s\n", "function, what moves", "forward, us", "jvp, us", "ratio");
  for (const Case& c : kCases) {
    if (std::string(c.name).find(wanted) == std::string::npos) continue;
    const std::vector<double> us = measure(c, seconds);
    std::printf("%-30s %11.1f %11.1f | %7.2f\n", c.name, us[0], us[1], us[1] / us[0]);
    std::fflush(stdout);
  }
}
