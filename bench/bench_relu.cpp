// What the relu option saves: instance_norm with it against relu of instance_norm, float32, affine.
//
//   limpid_bench_relu [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
#include <limpid/bench/norm_cases.hpp>
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>

using namespace limpid;

namespace {

const std::vector<Shape> kShapes = {
    {1, 4, 8, 8}, {8, 64, 56, 56}, {4, 128, 128, 128}, {1, 64, 512, 512}, {16, 512, 4, 4}};

/// Microseconds of {forward, forward and backward} of relu(instance_norm), then of both with the option.
std::vector<double> measure(const Shape& shape, MemoryFormat format, double seconds) {
  Tensor x = randn(shape).contiguous(format), w = rand({shape[1]}), b = rand({shape[1]});
  const Tensor dy = randn(shape).contiguous(format), x_plain = x.detach(), w_plain = w.detach(), b_plain = b.detach();
  for (Tensor* leaf : {&x, &w, &b}) leaf->set_requires_grad();
  return median_us({[&] { relu(instance_norm(x_plain, {.weight = w_plain, .bias = b_plain})); },
                    [&] {
                      grad({relu(instance_norm(x, {.weight = w, .bias = b}))}, {x, w, b}, {dy});
                    },
                    [&] { instance_norm(x_plain, {.weight = w_plain, .bias = b_plain, .relu = true}); },
                    [&] {
                      grad({instance_norm(x, {.weight = w, .bias = b, .relu = true})}, {x, w, b}, {dy});
                    }},
                   seconds);
}

}  // namespace

int main(int argc, char** argv) {
  NormBenchOptions options;
  if (!options.parse(argc, argv)) return 2;
  std::printf("us, medians; saved: the share of relu(instance_norm)'s time that the option saves\n");
  std::printf("%-16s %-13s %7s %10s %10s %10s %10s | %9s %9s\n", "shape", "layout", "threads", "fwd", "fwd+bwd",
              "fused fwd", "fwd+bwd", "fwd saved", "bwd saved");
  for (const Shape& shape : kShapes) {
    if (!options.wants(name_of(shape))) continue;
    for (const int threads : options.threads)
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        set_num_threads(threads);
        const std::vector<double> us = measure(shape, format, options.seconds);
        std::printf("%-16s %-13s %7d %10.1f %10.1f %10.1f %10.1f | %8.0f%% %8.0f%%\n", name_of(shape).c_str(),
                    format == MemoryFormat::channels_last ? "channels_last" : "contiguous", threads, us[0], us[1],
                    us[2], us[3], 100 * (1 - us[2] / us[0]), 100 * (1 - (us[3] - us[2]) / (us[1] - us[0])));
      }
  }
}
