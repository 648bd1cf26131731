// instance_norm against the memory traffic it cannot avoid: a copy for the forward, a + b -> c for the backward.
//
//   bench_norm [--csv FILE] [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
//
// One line per shape, layout and number of threads: median times in microseconds, and their ratios. The candidates of a
// line take turns, so that whatever else the machine does falls on all of them alike.
#include <limpid/bench/timing.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

using namespace limpid;

namespace {

const std::vector<Shape> kShapes = {{1, 4, 8, 8},      {4, 3, 64, 64},    {8, 64, 56, 56},     {4, 128, 128, 128},
                                    {1, 64, 512, 512}, {6, 128, 6, 7, 7}, {2, 32, 64, 64, 64}, {16, 512, 4, 4}};
constexpr std::int64_t kGrain = 32768;  // elements worth a thread, as in the kernels

void copy(const float* x, float* y, std::int64_t n) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(y + begin, x + begin, static_cast<std::size_t>(end - begin) * sizeof(float));
  });
}

void add(const float* a, const float* b, float* c, std::int64_t n) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) c[i] = a[i] + b[i];
  });
}

std::string name_of(const Shape& shape) {
  std::string name;
  for (const std::int64_t n : shape) name.append(name.empty() ? 0 : 1, 'x').append(std::to_string(n));
  return name;
}

struct Result {
  double copy, add, forward, both;
  double backward() const { return both - forward; }
};

Result measure(const Shape& shape, MemoryFormat format, double seconds) {
  const Tensor x = randn(shape).contiguous(format), dy = randn(shape).contiguous(format);
  const Tensor w = rand({shape[1]}), b = rand({shape[1]});
  Tensor x_leaf = x.detach(), w_leaf = w.detach(), b_leaf = b.detach();
  for (Tensor* leaf : {&x_leaf, &w_leaf, &b_leaf}) leaf->set_requires_grad();
  const Tensor c = zeros(shape).contiguous(format), d = zeros(shape).contiguous(format);
  const std::int64_t n = x.numel();
  const std::vector<double> us =
      median_us({[&] { copy(x.data<float>(), c.data<float>(), n); },
                 [&] { add(x.data<float>(), dy.data<float>(), d.data<float>(), n); },
                 [&] { instance_norm(x, {.weight = w, .bias = b}); },
                 [&] {
                   grad({instance_norm(x_leaf, {.weight = w_leaf, .bias = b_leaf})}, {x_leaf, w_leaf, b_leaf}, {dy});
                 }},
                seconds);
  return {us[0], us[1], us[2], us[3]};
}

int usage() {
  std::fprintf(stderr, "bench_norm: expected [--csv FILE] [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const char* csv = nullptr;
  std::string wanted;
  std::vector<int> thread_counts = {1, 2};
  double seconds = 0.5;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], "--csv"))
      csv = argv[i + 1];
    else if (!std::strcmp(argv[i], "--seconds"))
      seconds = std::atof(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--shape"))
      wanted = argv[i + 1];
    else if (!std::strcmp(argv[i], "--threads"))
      thread_counts = {std::atoi(argv[i + 1])};
    else
      return usage();
  }
  std::FILE* file = csv ? std::fopen(csv, "w") : nullptr;
  if (csv && !file) {
    std::fprintf(stderr, "bench_norm: expected a writable file, got %s\n", csv);
    return 1;
  }
  if (file) std::fprintf(file, "peer,shape,layout,threads,forward_us,forward_backward_us,copy_us,add_us\n");
  std::printf("instance_norm, float32, affine; us, medians; fwd/copy, bwd/add = (fwd+bwd - fwd) / (a+b->c)\n");
  std::printf("%-16s %-13s %7s %9s %9s %9s %9s | %8s %7s %7s\n", "shape", "layout", "threads", "copy", "a+b->c", "fwd",
              "fwd+bwd", "fwd/copy", "bwd/add", "cl/cont");
  for (const Shape& shape : kShapes) {
    const std::string name = name_of(shape);
    if (name.find(wanted) == std::string::npos) continue;
    for (const int threads : thread_counts) {
      set_num_threads(threads);
      double contiguous = 0;
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        const bool last = format == MemoryFormat::channels_last;
        const char* layout = last ? "channels_last" : "contiguous";
        const Result r = measure(shape, format, seconds);
        std::printf("%-16s %-13s %7d %9.2f %9.2f %9.2f %9.2f | %8.2f %7.2f", name.c_str(), layout, threads, r.copy,
                    r.add, r.forward, r.both, r.forward / r.copy, r.backward() / r.add);
        last ? std::printf(" %7.2f\n", r.both / contiguous) : std::printf("\n");
        std::fflush(stdout);
        if (!last) contiguous = r.both;
        if (file)
          std::fprintf(file, "limpid,%s,%s,%d,%.3f,%.3f,%.3f,%.3f\n", name.c_str(), layout, threads, r.forward, r.both,
                       r.copy, r.add);
      }
    }
  }
  if (file) std::fclose(file);
}
