// A gradient-penalty step against a plain one, instance_norm of images and layer_norm of rows, float32, affine, with
// respect to x, weight and bias:
//
//     plain:    loss = sum(dy y),   its gradients
//     penalty:  g = d loss / d x, recorded;   the gradients of sum(g^2)
//
//   limpid_bench_penalty [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
#include <limpid/bench/norm_cases.hpp>
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>

using namespace limpid;

namespace {

const std::vector<Shape> kShapes = {{8, 64, 32, 32}, {8, 64, 56, 56}, {4, 128, 128, 128},
                                    {16, 512, 4, 4}, {1024, 512},     {16384, 64}};

/// Times of {plain, penalty} in microseconds.
std::vector<double> measure(const Shape& shape, MemoryFormat format, double seconds) {
  Tensor x = randn(shape).contiguous(format), w = rand({shape[1]}), b = rand({shape[1]});
  const Tensor dy = randn(shape).contiguous(format);
  for (Tensor* leaf : {&x, &w, &b}) leaf->set_requires_grad();
  const auto norm_of = [&] {
    return x.dim() == 2 ? layer_norm(x, w.shape(), w, b) : instance_norm(x, {.weight = w, .bias = b});
  };
  const auto loss = [&] { return sum(dy * norm_of()); };
  return median_us({[&] {
                      grad({loss()}, {x, w, b});
                    },
                    [&] {
                      const Tensor g = grad({loss()}, {x}, {}, {.create_graph = true})[0];
                      grad({sum(square(g))}, {x, w});
                    }},
                   seconds);
}

}  // namespace

int main(int argc, char** argv) {
  NormBenchOptions options;
  if (!options.parse(argc, argv)) return 2;
  std::printf("%-16s %-13s %7s %11s %11s | %7s\n", "shape", "layout", "threads", "plain, us", "penalty, us", "ratio");
  for (const Shape& shape : kShapes) {
    if (!options.wants(name_of(shape))) continue;
    for (const int threads : options.threads)
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        if (shape.dim() == 2 && format == MemoryFormat::channels_last) continue;
        set_num_threads(threads);
        const std::vector<double> us = measure(shape, format, options.seconds);
        std::printf("%-16s %-13s %7d %11.1f %11.1f | %7.2f\n", name_of(shape).c_str(),
                    format == MemoryFormat::channels_last ? "channels_last" : "contiguous", threads, us[0], us[1],
                    us[1] / us[0]);
      }
  }
}
