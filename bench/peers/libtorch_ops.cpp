// LibTorch's ops over the cases of bench_ops.cpp.
#include <limpid/bench/peer_cases.hpp>
#include "libtorch_runs.hpp"

using limpid::PeerBench;
using torch::rand, torch::randn;

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
    {"neg", [](const Tensor& x) { return torch::neg(x); }},
    {"abs", [](const Tensor& x) { return torch::abs(x); }},
    {"sign", [](const Tensor& x) { return torch::sign(x); }},
    {"square", [](const Tensor& x) { return torch::square(x); }},
    {"reciprocal", [](const Tensor& x) { return torch::reciprocal(x); }},
    {"sqrt", [](const Tensor& x) { return torch::sqrt(x); }, Numbers::positive},
    {"rsqrt", [](const Tensor& x) { return torch::rsqrt(x); }, Numbers::positive},
    {"exp", [](const Tensor& x) { return torch::exp(x); }},
    {"expm1", [](const Tensor& x) { return torch::expm1(x); }},
    {"log", [](const Tensor& x) { return torch::log(x); }, Numbers::positive},
    {"log1p", [](const Tensor& x) { return torch::log1p(x); }, Numbers::positive},
    {"log2", [](const Tensor& x) { return torch::log2(x); }, Numbers::positive},
    {"sin", [](const Tensor& x) { return torch::sin(x); }},
    {"cos", [](const Tensor& x) { return torch::cos(x); }},
    {"tan", [](const Tensor& x) { return torch::tan(x); }},
    {"asin", [](const Tensor& x) { return torch::asin(x); }, Numbers::within_1},
    {"atan", [](const Tensor& x) { return torch::atan(x); }},
    {"sinh", [](const Tensor& x) { return torch::sinh(x); }},
    {"tanh", [](const Tensor& x) { return torch::tanh(x); }},
    {"sigmoid", [](const Tensor& x) { return torch::sigmoid(x); }},
    {"erf", [](const Tensor& x) { return torch::erf(x); }},
    {"erfinv", [](const Tensor& x) { return torch::erfinv(x); }, Numbers::within_1},
    {"lgamma", [](const Tensor& x) { return torch::lgamma(x); }, Numbers::positive},
    {"floor", [](const Tensor& x) { return torch::floor(x); }},
    {"round", [](const Tensor& x) { return torch::round(x); }},
    {"relu", [](const Tensor& x) { return torch::relu(x); }},
    {"leaky_relu", [](const Tensor& x) { return torch::leaky_relu(x); }},
    {"elu", [](const Tensor& x) { return torch::elu(x); }},
    {"gelu", [](const Tensor& x) { return torch::gelu(x); }},
    {"silu", [](const Tensor& x) { return torch::silu(x); }},
    {"softplus", [](const Tensor& x) { return torch::softplus(x); }},
    {"mish", [](const Tensor& x) { return torch::mish(x); }},
    {"hardswish", [](const Tensor& x) { return torch::hardswish(x); }},
    {"logsigmoid", [](const Tensor& x) { return torch::log_sigmoid(x); }},
    {"clamp", [](const Tensor& x) { return torch::clamp(x, -1, 0.5); }},
    {"pow 2.5", [](const Tensor& x) { return torch::pow(x, 2.5); }, Numbers::positive},
    {"add 1", [](const Tensor& x) { return x + 1; }},
    {"sum", [](const Tensor& x) { return torch::sum(x); }},
    {"mean", [](const Tensor& x) { return torch::mean(x); }},
    {"max", [](const Tensor& x) { return torch::max(x); }},
    {"norm", [](const Tensor& x) { return x.norm(); }},
    {"var", [](const Tensor& x) { return torch::var(x, false); }},
};

const Binary binary[] = {
    {"add", [](const Tensor& a, const Tensor& b) { return torch::add(a, b); }},
    {"sub", [](const Tensor& a, const Tensor& b) { return torch::sub(a, b); }},
    {"mul", [](const Tensor& a, const Tensor& b) { return torch::mul(a, b); }},
    {"div", [](const Tensor& a, const Tensor& b) { return torch::div(a, b); }},
    {"maximum", [](const Tensor& a, const Tensor& b) { return torch::maximum(a, b); }},
    {"atan2", [](const Tensor& a, const Tensor& b) { return torch::atan2(a, b); }},
    {"hypot", [](const Tensor& a, const Tensor& b) { return torch::hypot(a, b); }},
    {"mse_loss", [](const Tensor& a, const Tensor& b) { return torch::mse_loss(a, b); }},
    {"l1_loss", [](const Tensor& a, const Tensor& b) { return torch::l1_loss(a, b); }},
    {"smooth_l1_loss", [](const Tensor& a, const Tensor& b) { return torch::smooth_l1_loss(a, b); }},
    {"lt", [](const Tensor& a, const Tensor& b) { return torch::lt(a, b); }, false},
    {"eq", [](const Tensor& a, const Tensor& b) { return torch::eq(a, b); }, false},
    {"where", [](const Tensor& a, const Tensor& b) { return torch::where(a > 0, a, b); }},
    {"lerp", [](const Tensor& a, const Tensor& b) { return torch::lerp(a, b, 0.3); }},
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
        return runs([=, f = op.f] { return f(a, b); },
                    op.differentiable ? std::vector<Tensor>{a, b} : std::vector<Tensor>{});
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
    return runs([=] { return x.transpose(0, 2).contiguous(); }, {x});
  });
  bench.add("transpose copy 1024x1024", [] {
    const Tensor x = randn({1024, 1024});
    return runs([=] { return x.transpose(0, 1).contiguous(); }, {x});
  });
  bench.add("permute copy 8x32x56x56 to channels last", [] {
    const Tensor x = randn({8, 32, 56, 56});
    return runs([=] { return x.permute({0, 2, 3, 1}).contiguous(); }, {x});
  });
  bench.add("slice copy 1024x1024", [] {
    const Tensor x = randn({1024, 1024});
    return runs([=] { return x.slice(1, 0, 1024, 2).contiguous(); }, {x});
  });
  bench.add("cat 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return torch::cat({x, x}, 1); }, {x});
  });
  bench.add("stack 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return torch::stack({x, x}, 1); }, {x});
  });
  bench.add("flip 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return torch::flip(x, {2}); }, {x});
  });
  bench.add("roll 64x64x64", [] {
    const Tensor x = randn({64, 64, 64});
    return runs([=] { return torch::roll(x, 5, 1); }, {x});
  });
  bench.add("tril 512x512", [] {
    const Tensor x = randn({512, 512});
    return runs([=] { return torch::tril(x); }, {x});
  });
  bench.add("index_select 512 of 1000x64", [] {
    const Tensor x = randn({1000, 64}), at = (rand({512}) * 1000).to(torch::kInt64);
    return runs([=] { return torch::index_select(x, 0, at); }, {x});
  });
  bench.add("gather 256x256 of 256x1000", [] {
    const Tensor x = randn({256, 1000}), at = (rand({256, 256}) * 1000).to(torch::kInt64);
    return runs([=] { return torch::gather(x, 1, at); }, {x});
  });
  bench.add("masked_fill 1000000", [] {
    const Tensor x = randn({1000000}), mask = x > 0;
    return runs([=] { return torch::masked_fill(x, mask, 0); }, {x});
  });
  bench.add("zero pad 4x64x32x32", [] {
    const Tensor x = randn({4, 64, 32, 32});
    return runs([=] { return torch::constant_pad_nd(x, {1, 1, 1, 1}); }, {x});
  });
  bench.add("reflect pad 4x64x32x32", [] {
    const Tensor x = randn({4, 64, 32, 32});
    return runs([=] { return torch::reflection_pad2d(x, {1, 1, 1, 1}); }, {x});
  });
  bench.add("to float64 1000000", [] {
    const Tensor x = randn({1000000});
    return runs([=] { return x.to(torch::kFloat64); }, {});
  });
  bench.add("to bfloat16 1000000", [] {
    const Tensor x = randn({1000000});
    return runs([=] { return x.to(torch::kBFloat16); }, {});
  });
}

struct Reduction {
  const char* name;
  Tensor (*f)(const Tensor&, int64_t axis);
  bool differentiable = true;
};
const Reduction reductions[] = {
    {"sum", [](const Tensor& x, int64_t axis) { return torch::sum(x, {axis}); }},
    {"mean", [](const Tensor& x, int64_t axis) { return torch::mean(x, {axis}); }},
    {"amax", [](const Tensor& x, int64_t axis) { return torch::amax(x, {axis}); }},
    {"argmax", [](const Tensor& x, int64_t axis) { return torch::argmax(x, axis); }, false},
    {"var", [](const Tensor& x, int64_t axis) { return torch::var(x, torch::IntArrayRef{axis}, false); }},
    {"prod", [](const Tensor& x, int64_t axis) { return torch::prod(x, axis); }},
    {"norm", [](const Tensor& x, int64_t axis) { return torch::norm(x, 2, {axis}); }},
    {"logsumexp", [](const Tensor& x, int64_t axis) { return torch::logsumexp(x, {axis}); }},
    {"softmax", [](const Tensor& x, int64_t axis) { return torch::softmax(x, axis); }},
    {"log_softmax", [](const Tensor& x, int64_t axis) { return torch::log_softmax(x, axis); }},
    {"cumsum", [](const Tensor& x, int64_t axis) { return torch::cumsum(x, axis); }},
};

void along_axes(PeerBench& bench) {
  for (const Reduction& op : reductions)
    for (const int64_t axis : {0, 1, 2})
      bench.add(op.name + (" axis" + std::to_string(axis)) + " 256x64x64", [&] {
        const Tensor x = randn({256, 64, 64});
        return runs([=, f = op.f] { return f(x, axis); },
                    op.differentiable ? std::vector<Tensor>{x} : std::vector<Tensor>{});
      });
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{64, 10}, {64, 1000}, {8192, 128}}) {
    const std::string size = ' ' + std::to_string(rows) + 'x' + std::to_string(columns);
    const auto x = [=, r = rows, c = columns] { return randn({r, c}); };
    bench.add("sum rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return torch::sum(y, {1}); }, {y});
    });
    bench.add("max rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return torch::amax(y, {1}); }, {y});
    });
    bench.add("softmax rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return torch::softmax(y, 1); }, {y});
    });
    bench.add("log_softmax rows" + size, [&] {
      const Tensor y = x();
      return runs([=] { return torch::log_softmax(y, 1); }, {y});
    });
    bench.add("cross_entropy" + size, [&, r = rows, c = columns] {
      const Tensor y = x(), t = torch::arange(r).remainder(c);
      return runs([=] { return torch::cross_entropy_loss(y, t); }, {y});
    });
    bench.add("bce_with_logits" + size, [&, r = rows, c = columns] {
      const Tensor y = x(), t = rand({r, c});
      return runs([=] { return torch::binary_cross_entropy_with_logits(y, t); }, {y});
    });
  }
}

void norms(PeerBench& bench) {
  bench.add("layer_norm 8192x512 affine", [] {
    const Tensor x = randn({64, 128, 512}), w = rand({512}), b = rand({512});
    return runs([=] { return torch::layer_norm(x, {512}, w, b); }, {x, w, b});
  });
  bench.add("layer_norm 256x256 affine", [] {
    const Tensor x = randn({4, 64, 256}), w = rand({256}), b = rand({256});
    return runs([=] { return torch::layer_norm(x, {256}, w, b); }, {x, w, b});
  });
  bench.add("group_norm 8x64x56x56 G32", [] {
    const Tensor x = randn({8, 64, 56, 56}), w = rand({64}), b = rand({64});
    return runs([=] { return torch::group_norm(x, 32, w, b); }, {x, w, b});
  });
  bench.add("batch_norm 8x64x56x56 train", [] {
    const Tensor x = randn({8, 64, 56, 56}), w = rand({64}), b = rand({64});
    return runs([=] { return torch::batch_norm(x, w, b, {}, {}, true, 0.1, 1e-5, false); }, {x, w, b});
  });
}

void products(PeerBench& bench) {
  for (const int64_t n : {16, 64, 256, 1024})
    bench.add("matmul " + std::to_string(n), [=] {
      const Tensor a = randn({n, n}), b = randn({n, n});
      return runs([=] { return torch::matmul(a, b); }, {a, b});
    });
  bench.add("bmm 64x32x64x32", [] {
    const Tensor a = randn({64, 32, 64}), b = randn({64, 64, 32});
    return runs([=] { return torch::matmul(a, b); }, {a, b});
  });
  bench.add("matmul with vector 512x512", [] {
    const Tensor a = randn({512, 512}), x = randn({512});
    return runs([=] { return torch::matmul(a, x); }, {a, x});
  });
  bench.add("linear 64x784x256", [] {
    const Tensor x = randn({64, 784}), w = randn({256, 784}), b = randn({256});
    return runs([=] { return torch::linear(x, w, b); }, {x, w, b});
  });
  bench.add("linear 8x32x32", [] {
    const Tensor x = randn({8, 32}), w = randn({32, 32}), b = randn({32});
    return runs([=] { return torch::linear(x, w, b); }, {x, w, b});
  });
}

struct Convolution {
  const char* name;
  std::vector<int64_t> x, weight;
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
      return runs([=] { return torch::conv2d(x, w, b, c.stride, c.padding, 1, c.groups); }, {x, w, b});
    });
  const auto image = [] { return randn({64, 16, 28, 28}); };
  bench.add("max_pool 64x16x28x28 k2", [=] {
    const Tensor x = image();
    return runs([=] { return torch::max_pool2d(x, 2); }, {x});
  });
  bench.add("avg_pool 64x16x28x28 k2", [=] {
    const Tensor x = image();
    return runs([=] { return torch::avg_pool2d(x, 2); }, {x});
  });
  bench.add("max_pool 64x16x28x28 k3 s2", [=] {
    const Tensor x = image();
    return runs([=] { return torch::max_pool2d(x, 3, 2, 1); }, {x});
  });
  bench.add("adaptive_avg_pool 64x16x28x28 1", [=] {
    const Tensor x = image();
    return runs([=] { return torch::adaptive_avg_pool2d(x, {1, 1}); }, {x});
  });
  bench.add("nearest 8x32x32x32 x2", [] {
    const Tensor x = randn({8, 32, 32, 32});
    return runs([=] { return torch::upsample_nearest2d(x, {64, 64}); }, {x});
  });
}

}  // namespace

int main(int argc, char** argv) {
  PeerBench bench(argc, argv);
  torch::set_num_threads(bench.threads());
  elementwise(bench);
  broadcast_and_arranged(bench);
  along_axes(bench);
  norms(bench);
  products(bench);
  windows(bench);
  return bench.result();
}
