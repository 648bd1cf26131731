// LibTorch's instance_norm over the shapes of bench_norm.cpp, with its command line and its CSV.
#include <torch/torch.h>
#include <limpid/bench/norm_cases.hpp>
#include <limpid/bench/timing.hpp>

namespace {

limpid::NormTimes measure(const std::vector<std::int64_t>& shape, at::MemoryFormat format, double seconds) {
  namespace F = torch::nn::functional;
  const auto x = torch::randn(shape).contiguous(format), dy = torch::randn(shape).contiguous(format);
  const auto leaf = [](const torch::Tensor& t) { return t.detach().clone().requires_grad_(); };
  const auto w = leaf(torch::rand({shape[1]})), b = leaf(torch::rand({shape[1]})), x_leaf = leaf(x);
  const auto norm = [&](const torch::Tensor& t) {
    return F::instance_norm(t, F::InstanceNormFuncOptions().weight(w).bias(b));
  };
  auto y = torch::empty_like(x), z = torch::empty_like(x);
  const auto us = limpid::median_us({[&] { y.copy_(x); }, [&] { torch::add_out(z, x, dy); },
                                     [&] {
                                       torch::NoGradGuard no_grad;
                                       norm(x);
                                     },
                                     [&] {
                                       torch::autograd::grad({norm(x_leaf)}, {x_leaf, w, b}, {dy});
                                     }},
                                    seconds);
  return {us[2], us[3], us[0], us[1]};
}

}  // namespace

int main(int argc, char** argv) {
  limpid::NormBenchOptions options;
  if (!options.parse(argc, argv)) return 2;
  std::FILE* file = options.csv ? std::fopen(options.csv, "a") : stdout;
  if (!file) {
    std::fprintf(stderr, "%s: expected a writable file, got %s\n", argv[0], options.csv);
    return 1;
  }
  for (const auto& shape : limpid::kNormShapes) {
    const std::string name = limpid::name_of(shape);
    if (!options.wants(name)) continue;
    const auto last = shape.size() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::ChannelsLast3d;
    for (const int threads : options.threads) {
      torch::set_num_threads(threads);
      limpid::write_csv(file, "libtorch", name, "contiguous", threads,
                        measure(shape, at::MemoryFormat::Contiguous, options.seconds));
      limpid::write_csv(file, "libtorch", name, "channels_last", threads, measure(shape, last, options.seconds));
    }
  }
}
