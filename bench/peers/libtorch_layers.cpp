// LibTorch's layers over the cases of bench_layers.cpp. Attention and the transformer's layer are composed as LibTorch
// 1.13 has them.
#include <limpid/bench/peer_cases.hpp>
#include "libtorch_runs.hpp"

namespace {

template <class M>
std::pair<Run, Run> runs_of(const M& module, const Tensor& x, std::function<Tensor()> f) {
  std::vector<Tensor> leaves = module->parameters();
  leaves.push_back(x);
  return runs(f, leaves);
}

}  // namespace

int main(int argc, char** argv) {
  limpid::PeerBench bench(argc, argv);
  torch::set_num_threads(bench.threads());
  namespace F = torch::nn::functional;
  using torch::rand, torch::randn;
  bench.add("lstm", [] {
    torch::nn::LSTM m(128, 128);
    const Tensor x = randn({64, 32, 128});
    return runs_of(m, x, [=]() mutable { return std::get<0>(m(x)); });
  });
  bench.add("gru", [] {
    torch::nn::GRU m(128, 128);
    const Tensor x = randn({64, 32, 128});
    return runs_of(m, x, [=]() mutable { return std::get<0>(m(x)); });
  });
  bench.add("attention", [] {
    const Tensor q = randn({4, 8, 256, 64}), k = randn({4, 8, 256, 64}), v = randn({4, 8, 256, 64});
    return runs([=] { return torch::matmul(torch::softmax(torch::matmul(q * 0.125, k.transpose(-2, -1)), -1), v); },
                {q, k, v});
  });
  bench.add("multihead_attention", [] {
    torch::nn::MultiheadAttention m(512, 8);
    const Tensor x = randn({256, 4, 512});
    return runs_of(m, x, [=]() mutable { return std::get<0>(m->forward(x, x, x, Tensor(), false)); });
  });
  bench.add("transformer_layer", [] {
    torch::nn::TransformerEncoderLayer m(torch::nn::TransformerEncoderLayerOptions(512, 8).dropout(0));
    const Tensor x = randn({256, 4, 512});
    return runs_of(m, x, [=]() mutable { return m->forward(x); });
  });
  bench.add("conv_transpose2d", [] {
    torch::nn::ConvTranspose2d m(torch::nn::ConvTranspose2dOptions(64, 32, 4).stride(2).padding(1));
    const Tensor x = randn({8, 64, 32, 32});
    return runs_of(m, x, [=]() mutable { return m->forward(x); });
  });
  bench.add("conv3d", [] {
    torch::nn::Conv3d m(torch::nn::Conv3dOptions(16, 32, 3).padding(1));
    const Tensor x = randn({2, 16, 16, 32, 32});
    return runs_of(m, x, [=]() mutable { return m->forward(x); });
  });
  bench.add("conv1d", [] {
    torch::nn::Conv1d m(torch::nn::Conv1dOptions(64, 64, 5).padding(2));
    const Tensor x = randn({16, 64, 512});
    return runs_of(m, x, [=]() mutable { return m->forward(x); });
  });
  const auto resized = [](const Tensor& x, auto mode) {
    const std::vector<double> scale(x.dim() - 2, 2.0);
    return F::interpolate(x, F::InterpolateFuncOptions().scale_factor(scale).mode(mode).align_corners(false));
  };
  bench.add("bilinear", [&] {
    const Tensor x = randn({8, 32, 32, 32});
    return runs([=] { return resized(x, torch::kBilinear); }, {x});
  });
  bench.add("embedding", [] {
    torch::nn::Embedding m(1000, 128);
    const Tensor at = torch::randint(0, 1000, {32, 128});
    return runs([=]() mutable { return m(at); }, m->parameters());
  });
  bench.add("topk", [] {
    const Tensor x = randn({256, 1000});
    return runs([=] { return std::get<0>(x.topk(10)); }, {x});
  });
  bench.add("cumsum", [] {
    const Tensor x = randn({256, 1000});
    return runs([=] { return x.cumsum(1); }, {x});
  });
  bench.add("einsum", [] {
    const Tensor a = randn({8, 128, 64}), b = randn({8, 64, 128});
    return runs([=] { return torch::einsum("bij,bjk->bik", {a, b}); }, {a, b});
  });
  bench.add("einsum of three", [] {
    const Tensor a = randn({16, 64}), b = randn({32, 64, 48}), c = randn({16, 48});
    return runs([=] { return torch::einsum("bi,oij,bj->bo", {a, b, c}); }, {a, b, c});
  });
  bench.add("max_pool1d", [] {
    const Tensor x = randn({16, 64, 1024});
    return runs([=] { return torch::max_pool1d(x, 2); }, {x});
  });
  bench.add("adaptive_max_pool2d", [] {
    const Tensor x = randn({8, 64, 32, 32});
    return runs([=] { return std::get<0>(torch::adaptive_max_pool2d(x, {7, 7})); }, {x});
  });
  bench.add("linear interpolation", [&] {
    const Tensor x = randn({16, 64, 512});
    return runs([=] { return resized(x, torch::kLinear); }, {x});
  });
  bench.add("grid_sample", [] {
    const Tensor x = randn({4, 16, 64, 64}), grid = (rand({4, 64, 64, 2}) * 2.2 - 1.1).clone();
    return runs([=] { return torch::grid_sampler(x, grid, 0, 0, false); }, {x, grid});
  });
  bench.add("sort", [] {
    const Tensor x = randn({64, 1000});
    return runs([=] { return std::get<0>(x.sort(1)); }, {x});
  });
  return bench.result();
}
