// Layers and ops that models are made of: forward, and forward with the gradients of everything.
// scripts/bench_layers.sh runs it in turns with LibTorch (bench/peers/libtorch_layers.cpp), whose cases have the same
// names and sizes.
#include <limpid/bench/peer_cases.hpp>
#include <limpid/bench/runs.hpp>

using namespace limpid;

namespace {

template <class M>
std::pair<Run, Run> runs_of(const M& module, const Tensor& x, std::function<Tensor()> f) {
  Tensors leaves = module.parameters();
  leaves.push_back(x);
  return runs(f, leaves);
}

}  // namespace

int main(int argc, char** argv) {
  PeerBench bench(argc, argv);
  set_num_threads(bench.threads());
  bench.add("lstm", [] {
    const nn::LSTM m(128, 128);
    const Tensor x = randn({64, 32, 128});
    return runs_of(m, x, [=] { return m(x).sequence; });
  });
  bench.add("gru", [] {
    const nn::GRU m(128, 128);
    const Tensor x = randn({64, 32, 128});
    return runs_of(m, x, [=] { return m(x).sequence; });
  });
  bench.add("attention", [] {
    const Tensor q = randn({4, 8, 256, 64}), k = randn({4, 8, 256, 64}), v = randn({4, 8, 256, 64});
    return runs([=] { return scaled_dot_product_attention(q, k, v); }, {q, k, v});
  });
  bench.add("multihead_attention", [] {
    const nn::MultiheadAttention m(512, 8, {.batch_first = true});
    const Tensor x = randn({4, 256, 512});
    return runs_of(m, x, [=] { return m(x, x, x, {.need_weights = false}).output; });
  });
  bench.add("transformer_layer", [] {
    nn::TransformerEncoderLayer m(512, 8, {.dim_feedforward = 2048, .dropout = 0, .batch_first = true});
    const Tensor x = randn({4, 256, 512});
    return runs_of(m, x, [=] { return m(x); });
  });
  bench.add("conv_transpose2d", [] {
    const nn::ConvTranspose2d m(64, 32, 4, {.stride = 2, .padding = 1});
    const Tensor x = randn({8, 64, 32, 32});
    return runs_of(m, x, [=] { return m(x); });
  });
  bench.add("conv3d", [] {
    const nn::Conv3d m(16, 32, 3, {.padding = 1});
    const Tensor x = randn({2, 16, 16, 32, 32});
    return runs_of(m, x, [=] { return m(x); });
  });
  bench.add("conv1d", [] {
    const nn::Conv1d m(64, 64, 5, {.padding = 2});
    const Tensor x = randn({16, 64, 512});
    return runs_of(m, x, [=] { return m(x); });
  });
  bench.add("bilinear", [] {
    const Tensor x = randn({8, 32, 32, 32});
    return runs([=] { return interpolate(x, {.scale_factor = 2.0, .mode = Interpolation::bilinear}); }, {x});
  });
  bench.add("embedding", [] {
    const nn::Embedding m(1000, 128);
    const Tensor at = (rand({32, 128}) * 1000).to(int64);
    return runs([=] { return m(at); }, m.parameters());
  });
  bench.add("topk", [] {
    const Tensor x = randn({256, 1000});
    return runs([=] { return topk(x, 10).values; }, {x});
  });
  bench.add("cumsum", [] {
    const Tensor x = randn({256, 1000});
    return runs([=] { return cumsum(x, 1); }, {x});
  });
  bench.add("einsum", [] {
    const Tensor a = randn({8, 128, 64}), b = randn({8, 64, 128});
    return runs([=] { return einsum("bij,bjk->bik", {a, b}); }, {a, b});
  });
  bench.add("einsum of three", [] {
    const Tensor a = randn({16, 64}), b = randn({32, 64, 48}), c = randn({16, 48});
    return runs([=] { return einsum("bi,oij,bj->bo", {a, b, c}); }, {a, b, c});
  });
  bench.add("max_pool1d", [] {
    const Tensor x = randn({16, 64, 1024});
    return runs([=] { return max_pool1d(x, 2); }, {x});
  });
  bench.add("adaptive_max_pool2d", [] {
    const Tensor x = randn({8, 64, 32, 32});
    return runs([=] { return adaptive_max_pool2d(x, {7, 7}); }, {x});
  });
  bench.add("linear interpolation", [] {
    const Tensor x = randn({16, 64, 512});
    return runs([=] { return interpolate(x, {.scale_factor = 2.0, .mode = Interpolation::linear}); }, {x});
  });
  bench.add("grid_sample", [] {
    const Tensor x = randn({4, 16, 64, 64}), grid = rand({4, 64, 64, 2}) * 2.2 - 1.1;
    return runs([=] { return grid_sample(x, grid); }, {x, grid});
  });
  bench.add("sort", [] {
    const Tensor x = randn({64, 1000});
    return runs([=] { return sort(x, 1).values; }, {x});
  });
  return bench.result();
}
