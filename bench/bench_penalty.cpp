// A gradient-penalty step against a plain one, instance_norm of images and layer_norm of rows, float32, affine, with
// respect to x, weight and bias:
//
//     plain:    loss = sum(dy y),   its gradients
//     penalty:  g = d loss / d x, recorded;   the gradients of sum(g^2)
//
//   bench_penalty [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace limpid;

namespace {

const std::vector<Shape> kShapes = {{8, 64, 32, 32}, {8, 64, 56, 56}, {4, 128, 128, 128},
                                    {16, 512, 4, 4}, {1024, 512},     {16384, 64}};

std::string name_of(const Shape& shape) {
  std::string name;
  for (const std::int64_t n : shape) name.append(name.empty() ? 0 : 1, 'x').append(std::to_string(n));
  return name;
}

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

int usage() {
  std::fprintf(stderr, "bench_penalty: expected [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string wanted;
  std::vector<int> thread_counts = {1, 2};
  double seconds = 0.5;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], "--seconds"))
      seconds = std::atof(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--shape"))
      wanted = argv[i + 1];
    else if (!std::strcmp(argv[i], "--threads"))
      thread_counts = {std::atoi(argv[i + 1])};
    else
      return usage();
  }
  std::printf("%-16s %-13s %7s %11s %11s | %7s\n", "shape", "layout", "threads", "plain, us", "penalty, us", "ratio");
  for (const Shape& shape : kShapes) {
    if (name_of(shape).find(wanted) == std::string::npos) continue;
    for (const int threads : thread_counts)
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        if (shape.dim() == 2 && format == MemoryFormat::channels_last) continue;
        set_num_threads(threads);
        const std::vector<double> us = measure(shape, format, seconds);
        std::printf("%-16s %-13s %7d %11.1f %11.1f | %7.2f\n", name_of(shape).c_str(),
                    format == MemoryFormat::channels_last ? "channels_last" : "contiguous", threads, us[0], us[1],
                    us[1] / us[0]);
      }
  }
}
