// instance_norm against the memory traffic it cannot avoid: a copy for the forward, a + b -> c for the backward.
//
//   limpid_bench_norm [--csv FILE] [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
//
// One line per shape, layout and number of threads: median times in microseconds, and their ratios. The candidates of a
// line take turns, so that whatever else the machine does falls on all of them alike; that is why the timing is our
// own.
// --csv appends: peer, shape, layout, threads, then the times of forward, forward + backward, copy, a + b -> c.
#include <limpid/bench/norm_cases.hpp>
#include <limpid/bench/timing.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/limpid.hpp>

using namespace limpid;

namespace {

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

NormTimes measure(const Shape& shape, MemoryFormat format, double seconds) {
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
  return {us[2], us[3], us[0], us[1]};
}

}  // namespace

int main(int argc, char** argv) {
  NormBenchOptions options;
  if (!options.parse(argc, argv)) return 2;
  std::FILE* file = options.csv ? std::fopen(options.csv, "a") : nullptr;
  if (options.csv && !file) {
    std::fprintf(stderr, "%s: expected a writable file, got %s\n", argv[0], options.csv);
    return 1;
  }
  std::printf("instance_norm, float32, affine; us, medians; fwd/copy, bwd/add = (fwd+bwd - fwd) / (a+b->c)\n");
  std::printf("%-16s %-13s %7s %9s %9s %9s %9s | %8s %7s %7s\n", "shape", "layout", "threads", "copy", "a+b->c", "fwd",
              "fwd+bwd", "fwd/copy", "bwd/add", "cl/cont");
  for (const auto& sizes : kNormShapes) {
    const Shape shape(sizes.begin(), sizes.end());
    const std::string name = name_of(sizes);
    if (!options.wants(name)) continue;
    for (const int threads : options.threads) {
      set_num_threads(threads);
      double contiguous = 0;
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        const bool last = format == MemoryFormat::channels_last;
        const char* layout = last ? "channels_last" : "contiguous";
        const NormTimes t = measure(shape, format, options.seconds);
        std::printf("%-16s %-13s %7d %9.2f %9.2f %9.2f %9.2f | %8.2f %7.2f", name.c_str(), layout, threads, t.copy,
                    t.add, t.forward, t.both, t.forward / t.copy, t.backward() / t.add);
        last ? std::printf(" %7.2f\n", t.both / contiguous) : std::printf("\n");
        std::fflush(stdout);
        if (!last) contiguous = t.both;
        write_csv(file, "limpid", name, layout, threads, t);
      }
    }
  }
  if (file) std::fclose(file);
}
