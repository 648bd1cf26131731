// instance_norm stored in half precision, affine, against a copy of as many bytes, against the same through float32
// copies of all of it, and against float32.
//
//   limpid_bench_half [--dtype float16|bfloat16] [--seconds PER_CASE] [--shape SUBSTRING] [--threads N]
#include <limpid/bench/norm_cases.hpp>
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

using namespace limpid;

namespace {

struct Case {
  Tensor x, w, b, dy;
  Case(const Shape& shape, MemoryFormat format, DType dtype)
      : x(randn(shape).to(dtype).contiguous(format).detach()),
        w(rand({shape[1]}).detach()),
        b(rand({shape[1]}).detach()),
        dy(randn(shape).to(dtype).contiguous(format)) {}

  Tensor forward(bool converted) const {
    if (!converted) return instance_norm(x, {.weight = w, .bias = b});
    return instance_norm(x.to(float32), {.weight = w, .bias = b}).to(x.dtype());
  }
  void both(bool converted) const {
    Case leaf = *this;
    for (Tensor* t : {&leaf.x, &leaf.w, &leaf.b}) *t = t->detach().set_requires_grad();
    grad({leaf.forward(converted)}, {leaf.x, leaf.w, leaf.b}, {dy});
  }
};

/// Microseconds: copy, then forward and forward + backward of half precision, of it converted, of float32.
std::vector<double> measure(const Shape& shape, MemoryFormat format, DType dtype, double seconds) {
  const Case half(shape, format, dtype), single(shape, format, float32);
  Tensor to = half.x.clone();
  return median_us(
      {[&] { to.copy_(half.x); }, [&] { half.forward(false); }, [&] { half.both(false); }, [&] { half.forward(true); },
       [&] { half.both(true); }, [&] { single.forward(false); }, [&] { single.both(false); }},
      seconds);
}

}  // namespace

int main(int argc, char** argv) {
  NormBenchOptions options;
  options.dtype = "float16";
  if (!options.parse(argc, argv)) return 2;
  const DType dtype = options.dtype == "bfloat16" ? bfloat16 : float16;
  std::printf(
      "instance_norm, %s; us, medians; beside them the times of converting all of it, and of float32, over them\n",
      options.dtype.c_str());
  std::printf("%-16s %-13s %7s %9s %9s %9s | %8s %9s %9s %8s %8s\n", "shape", "layout", "threads", "copy", "fwd",
              "fwd+bwd", "fwd/copy", "conv/fwd", "conv/both", "f32/fwd", "f32/both");
  for (const auto& sizes : kNormShapes) {
    const std::string name = name_of(sizes);
    if (!options.wants(name)) continue;
    for (const int threads : options.threads)
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
        set_num_threads(threads);
        const std::vector<double> us = measure(Shape(sizes.begin(), sizes.end()), format, dtype, options.seconds);
        std::printf("%-16s %-13s %7d %9.2f %9.2f %9.2f | %8.2f %9.2f %9.2f %8.2f %8.2f\n", name.c_str(),
                    format == MemoryFormat::channels_last ? "channels_last" : "contiguous", threads, us[0], us[1],
                    us[2], us[1] / us[0], us[3] / us[1], us[4] / us[2], us[5] / us[1], us[6] / us[2]);
        std::fflush(stdout);
      }
  }
}
