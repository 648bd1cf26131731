// Ops one by one: forward, and forward with the gradients of everything. scripts/bench_ops.sh runs it in turns with
// LibTorch (bench/peers/libtorch_ops.cpp), whose cases have the same names and sizes.
#include <limpid/bench/peer_cases.hpp>
#include <limpid/bench/runs.hpp>

#include <vector>

using namespace limpid;

namespace {

// What a function of one tensor is tried on.
enum class Numbers { normal, positive, within_1 };

struct Unary {
  const char* name;
  Tensor (*f)(const Tensor&);
  Numbers numbers = Numbers::normal;
};
struct Binary {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
  bool differentiable = true;
};

const Unary unary[] = {
    {"neg", neg},
    {"abs", abs},
    {"sign", sign},
    {"square", square},
    {"reciprocal", reciprocal},
    {"sqrt", sqrt, Numbers::positive},
    {"rsqrt", rsqrt, Numbers::positive},
    {"exp", exp},
    {"expm1", expm1},
    {"log", log, Numbers::positive},
    {"log1p", log1p, Numbers::positive},
    {"log2", log2, Numbers::positive},
    {"sin", sin},
    {"cos", cos},
    {"tan", tan},
    {"asin", asin, Numbers::within_1},
    {"atan", atan},
    {"sinh", sinh},
    {"tanh", tanh},
    {"sigmoid", sigmoid},
    {"erf", erf},
    {"erfinv", erfinv, Numbers::within_1},
    {"lgamma", lgamma, Numbers::positive},
    {"floor", floor},
    {"round", round},
    {"relu", relu},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); }},
    {"elu", [](const Tensor& x) { return elu(x); }},
    {"gelu", gelu},
    {"silu", silu},
    {"softplus", [](const Tensor& x) { return softplus(x); }},
    {"mish", mish},
    {"hardswish", hardswish},
    {"logsigmoid", logsigmoid},
    {"clamp", [](const Tensor& x) { return clamp(x, -1, 0.5); }},
    {"pow 2.5", [](const Tensor& x) { return pow(x, 2.5); }, Numbers::positive},
    {"add 1", [](const Tensor& x) { return x + 1; }},
    {"sum", [](const Tensor& x) { return sum(x); }},
    {"mean", [](const Tensor& x) { return mean(x); }},
    {"max", [](const Tensor& x) { return max(x); }},
    {"norm", [](const Tensor& x) { return vector_norm(x); }},
    {"var", [](const Tensor& x) { return var(x); }},
};

const Binary binary[] = {
    {"add", add},
    {"sub", sub},
    {"mul", mul},
    {"div", div},
    {"maximum", maximum},
    {"atan2", atan2},
    {"hypot", hypot},
    {"mse_loss", [](const Tensor& a, const Tensor& b) { return mse_loss(a, b); }},
    {"l1_loss", [](const Tensor& a, const Tensor& b) { return l1_loss(a, b); }},
    {"smooth_l1_loss", [](const Tensor& a, const Tensor& b) { return smooth_l1_loss(a, b); }},
    {"lt", lt, false},
    {"eq", eq, false},
    {"where", [](const Tensor& a, const Tensor& b) { return where(a > 0, a, b); }},
    {"lerp", [](const Tensor& a, const Tensor& b) { return lerp(a, b, 0.3); }},
};

Tensor numbers(int64_t n, Numbers kind) {
  if (kind == Numbers::normal) return randn({n});
  return kind == Numbers::positive ? rand({n}) + 0.5 : rand({n}) * 1.8 - 0.9;
}

void elementwise(PeerBench& bench) {
  for (const int64_t n : {1000, 1000000}) {
    const std::string size = ' ' + std::to_string(n);
    for (const Unary& op : unary)
      bench.add(op.name + size, [&] {
        const Tensor x = numbers(n, op.numbers);
        return runs([=, f = op.f] { return f(x); }, {x});
      });
    for (const Binary& op : binary)
      bench.add(op.name + size, [&] {
        const Tensor a = randn({n}), b = randn({n});
        return runs([=, f = op.f] { return f(a, b); }, op.differentiable ? Tensors{a, b} : Tensors{});
      });
  }
}

void broadcast_and_arranged(PeerBench& bench) {
  bench.add("add bias 64x64x64", [] {
    const Tensor x = randn({64, 64, 64}), b = randn({64});
    return runs([=] { return x + b; }, {x, b});
  });
  bench.add("mul column 64x64x64", [] {
    const Tensor x = randn({64, 64, 64}), c = randn({64, 1, 1});
    return runs([=] { return x * c; }, {x, c});
  });
  bench.add("add outer 512x512", [] {
    const Tensor a = randn({512, 1}), b = randn({512});
    return runs([=] { return a + b; }, {a, b});
  });
  bench.add("transpose copy 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return transpose(x, 0, 2).contiguous(); }, {x});
  });
  bench.add("transpose copy 1024x1024", [] {
    const Tensor x = randn({1024, 1024});
    return runs([=] { return transpose(x, 0, 1).contiguous(); }, {x});
  });
  bench.add("permute copy 8x32x56x56 to channels last", [] {
    const Tensor x = randn({8, 32, 56, 56});
    return runs([=] { return permute(x, {0, 2, 3, 1}).contiguous(); }, {x});
  });
  bench.add("slice copy 1024x1024", [] {
    const Tensor x = randn({1024, 1024});
    return runs([=] { return slice(x, 1, 0, 1024, 2).contiguous(); }, {x});
  });
  bench.add("cat 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return cat({x, x}, 1); }, {x});
  });
  bench.add("stack 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return stack({x, x}, 1); }, {x});
  });
  bench.add("flip 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return flip(x, {2}); }, {x});
  });
  bench.add("roll 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return roll(x, 5, 1); }, {x});
  });
  bench.add("tril 512x512", [] {
    const Tensor x = randn({512, 512});
    return runs([=] { return tril(x); }, {x});
  });
  bench.add("index_select 512 of 1000x64", [] {
    const Tensor x = randn({1000, 64}), at = (rand({512}) * 1000).to(int64);
    return runs([=] { return index_select(x, 0, at); }, {x});
  });
  bench.add("gather 256x256 of 256x1000", [] {
    const Tensor x = randn({256, 1000}), at = (rand({256, 256}) * 1000).to(int64);
    return runs([=] { return gather(x, 1, at); }, {x});
  });
  bench.add("masked_fill 1000000", [] {
    const Tensor x = randn({1000000}), mask = x > 0;
    return runs([=] { return masked_fill(x, mask, 0); }, {x});
  });
  bench.add("zero pad 4x64x32x32", [] {
    const Tensor x = randn({4, 64, 32, 32});
    return runs([=] { return pad(x, {1, 1, 1, 1}); }, {x});
  });
  bench.add("reflect pad 4x64x32x32", [] {
    const Tensor x = randn({4, 64, 32, 32});
    return runs([=] { return pad(x, {1, 1, 1, 1}, PadMode::reflect); }, {x});
  });
  bench.add("to float64 1000000", [] {
    const Tensor x = randn({1000000});
    return runs([=] { return x.to(float64); }, {});
  });
  bench.add("to bfloat16 1000000", [] {
    const Tensor x = randn({1000000});
    return runs([=] { return x.to(bfloat16); }, {});
  });
}

struct Reduction {
  const char* name;
  Tensor (*f)(const Tensor&, int64_t axis);
  bool differentiable = true;
};
const Reduction reductions[] = {
    {"sum", [](const Tensor& x, int64_t axis) { return sum(x, {axis}); }},
    {"mean", [](const Tensor& x, int64_t axis) { return mean(x, {axis}); }},
    {"amax", [](const Tensor& x, int64_t axis) { return amax(x, {axis}); }},
    {"argmax", [](const Tensor& x, int64_t axis) { return argmax(x, axis); }, false},
    {"var", [](const Tensor& x, int64_t axis) { return var(x, {axis}); }},
    {"prod", [](const Tensor& x, int64_t axis) { return prod(x, {axis}); }},
    {"norm", [](const Tensor& x, int64_t axis) { return vector_norm(x, 2, {axis}); }},
    {"logsumexp", [](const Tensor& x, int64_t axis) { return logsumexp(x, {axis}); }},
    {"softmax", [](const Tensor& x, int64_t axis) { return softmax(x, axis); }},
    {"log_softmax", [](const Tensor& x, int64_t axis) { return log_softmax(x, axis); }},
    {"cumsum", [](const Tensor& x, int64_t axis) { return cumsum(x, axis); }},
};

void along_axes(PeerBench& bench) {
  for (const Reduction& op : reductions)
    for (const int64_t axis : {0, 1, 2})
      bench.add(op.name + (" axis" + std::to_string(axis)) + " 256x64x64", [&] {
        const Tensor x = randn({256, 64, 64});
        return runs([=, f = op.f] { return f(x, axis); }, op.differentiable ? Tensors{x} : Tensors{});
      });
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{64, 10}, {64, 1000}, {8192, 128}}) {
    const std::string size = ' ' + std::to_string(rows) + 'x' + std::to_string(columns);
    const auto x = [=, r = rows, c = columns] { return randn({r, c}); };
    bench.add("sum rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return sum(y, {1}); }, {y});
    });
    bench.add("max rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return amax(y, {1}); }, {y});
    });
    bench.add("softmax rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return softmax(y, 1); }, {y});
    });
    bench.add("log_softmax rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return log_softmax(y, 1); }, {y});
    });
    bench.add("cross_entropy" + size, [&, r = rows, c = columns] {
      const Tensor y = x(), t = remainder(arange(r), c);
      return runs([=] { return cross_entropy(y, t); }, {y});
    });
    bench.add("bce_with_logits" + size, [&, r = rows, c = columns] {
      const Tensor y = x(), t = rand({r, c});
      return runs([=] { return bce_with_logits(y, t); }, {y});
    });
  }
}

void norms(PeerBench& bench) {
  bench.add("layer_norm 8192x512 affine", [] {
    const Tensor x = randn({64, 128, 512}), w = rand({512}), b = rand({512});
    return runs([=] { return layer_norm(x, {512}, w, b); }, {x, w, b});
  });
  bench.add("layer_norm 256x256 affine", [] {
    const Tensor x = randn({4, 64, 256}), w = rand({256}), b = rand({256});
    return runs([=] { return layer_norm(x, {256}, w, b); }, {x, w, b});
  });
  bench.add("group_norm 8x64x56x56 G32", [] {
    const Tensor x = randn({8, 64, 56, 56}), w = rand({64}), b = rand({64});
    return runs([=] { return group_norm(x, 32, w, b); }, {x, w, b});
  });
  bench.add("batch_norm 8x64x56x56 train", [] {
    const Tensor x = randn({8, 64, 56, 56}), w = rand({64}), b = rand({64});
    return runs([=] { return batch_norm(x, {.weight = w, .bias = b, .training = true}); }, {x, w, b});
  });
}

void products(PeerBench& bench) {
  for (const int64_t n : {16, 64, 256, 1024})
    bench.add("matmul " + std::to_string(n), [=] {
      const Tensor a = randn({n, n}), b = randn({n, n});
      return runs([=] { return matmul(a, b); }, {a, b});
    });
  bench.add("bmm 64x32x64x32", [] {
    const Tensor a = randn({64, 32, 64}), b = randn({64, 64, 32});
    return runs([=] { return matmul(a, b); }, {a, b});
  });
  bench.add("matmul with vector 512x512", [] {
    const Tensor a = randn({512, 512}), x = randn({512});
    return runs([=] { return matmul(a, x); }, {a, x});
  });
  bench.add("linear 64x784x256", [] {
    const Tensor x = randn({64, 784}), w = randn({256, 784}), b = randn({256});
    return runs([=] { return linear(x, w, b); }, {x, w, b});
  });
  bench.add("linear 8x32x32", [] {
    const Tensor x = randn({8, 32}), w = randn({32, 32}), b = randn({32});
    return runs([=] { return linear(x, w, b); }, {x, w, b});
  });
}

struct Convolution {
  const char* name;
  Shape x, weight;
  int64_t stride, padding, groups;
};
const Convolution convolutions[] = {
    {"conv 64x1x28x28 k3 16", {64, 1, 28, 28}, {16, 1, 3, 3}, 1, 1, 1},
    {"conv 64x16x14x14 k3 32", {64, 16, 14, 14}, {32, 16, 3, 3}, 1, 1, 1},
    {"conv 4x32x64x64 k3 s2 64", {4, 32, 64, 64}, {64, 32, 3, 3}, 2, 1, 1},
    {"conv 4x64x32x32 k3 64", {4, 64, 32, 32}, {64, 64, 3, 3}, 1, 1, 1},
    {"conv 4x3x136x136 k9 16", {4, 3, 136, 136}, {16, 3, 9, 9}, 1, 0, 1},
    {"conv 8x64x28x28 k1 128", {8, 64, 28, 28}, {128, 64, 1, 1}, 1, 0, 1},
    {"conv 8x64x28x28 k3 depthwise", {8, 64, 28, 28}, {64, 1, 3, 3}, 1, 1, 64},
    {"conv 1x8x16x16 k3 8", {1, 8, 16, 16}, {8, 8, 3, 3}, 1, 1, 1},
};

void windows(PeerBench& bench) {
  for (const Convolution& c : convolutions)
    bench.add(c.name, [&] {
      const Tensor x = randn(c.x), w = randn(c.weight), b = randn({c.weight[0]});
      const ConvOptions options{.stride = c.stride, .padding = c.padding, .groups = c.groups};
      return runs([=] { return conv2d(x, w, b, options); }, {x, w, b});
    });
  const auto image = [] { return randn({64, 16, 28, 28}); };
  bench.add("max_pool 64x16x28x28 k2", [=] {
    const Tensor x = image();
    return runs([=] { return max_pool2d(x, 2); }, {x});
  });
  bench.add("avg_pool 64x16x28x28 k2", [=] {
    const Tensor x = image();
    return runs([=] { return avg_pool2d(x, 2); }, {x});
  });
  bench.add("max_pool 64x16x28x28 k3 s2", [=] {
    const Tensor x = image();
    return runs([=] { return max_pool2d(x, 3, {.stride = 2, .padding = 1}); }, {x});
  });
  bench.add("adaptive_avg_pool 64x16x28x28 1", [=] {
    const Tensor x = image();
    return runs([=] { return adaptive_avg_pool2d(x, 1); }, {x});
  });
  bench.add("nearest 8x32x32x32 x2", [] {
    const Tensor x = randn({8, 32, 32, 32});
    return runs([=] { return interpolate(x, {.scale_factor = 2.0}); }, {x});
  });
}

}  // namespace

int main(int argc, char** argv) {
  PeerBench bench(argc, argv);
  set_num_threads(bench.threads());
  elementwise(bench);
  broadcast_and_arranged(bench);
  along_axes(bench);
  norms(bench);
  products(bench);
  windows(bench);
  return bench.result();
}
