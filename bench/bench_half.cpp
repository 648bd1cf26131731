// instance_norm stored in half precision, affine, against a copy of as many bytes, against the same through float32
// copies of all of it, and against float32. Then products and convolutions of half precision against the same through
// float32 copies.
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

/// f of two operands and its gradients, of half precision and of what converts it.
struct BinaryCase {
  const char* name;
  Tensor a, b;
  Tensor (*f)(const Tensor& a, const Tensor& b);

  Tensor converted(const Tensor& x, const Tensor& y) const { return f(x.to(float32), y.to(float32)).to(a.dtype()); }
};

std::vector<BinaryCase> binary_cases(DType dtype) {
  const auto draw = [&](const Shape& shape) { return randn(shape).to(dtype); };
  const auto images = [&](const Shape& shape) { return draw(shape).contiguous(MemoryFormat::channels_last); };
  const auto product = +[](const Tensor& a, const Tensor& b) { return matmul(a, b); };
  const auto layer = +[](const Tensor& x, const Tensor& w) { return linear(x, w); };
  const auto conv = +[](const Tensor& x, const Tensor& w) {
    return conv2d(x, w, {}, {.padding = w.size(2) / 2, .groups = x.size(1) / w.size(1)});
  };
  return {
      {"matmul 4x8x4", draw({4, 8}), draw({8, 4}), product},
      {"matmul 8x16x16", draw({8, 16}), draw({16, 16}), product},
      {"matmul 16x32x16", draw({16, 32}), draw({32, 16}), product},
      {"matmul 32x32x32", draw({32, 32}), draw({32, 32}), product},
      {"matmul 64x64x64", draw({64, 64}), draw({64, 64}), product},
      {"matmul 1x1024x1024", draw({1, 1024}), draw({1024, 1024}), product},
      {"matmul 64x1024x1024", draw({64, 1024}), draw({1024, 1024}), product},
      {"matmul 512x512x512", draw({512, 512}), draw({512, 512}), product},
      {"matmul 1024x1024x1024", draw({1024, 1024}), draw({1024, 1024}), product},
      {"matmul 32x64x64x64", draw({32, 64, 64}), draw({32, 64, 64}), product},
      {"matmul 256x8x16x8", draw({256, 8, 16}), draw({256, 16, 8}), product},
      {"linear 32x2, 2 to 64", draw({32, 2}), draw({64, 2}), layer},
      {"linear 32, 256 to 256", draw({32, 256}), draw({256, 256}), layer},
      {"linear 512, 256 to 1024", draw({512, 256}), draw({1024, 256}), layer},
      {"conv 1x3x8x8, 8 3x3", draw({1, 3, 8, 8}), draw({8, 3, 3, 3}), conv},
      {"conv 8x3x64x64, 32 3x3", draw({8, 3, 64, 64}), draw({32, 3, 3, 3}), conv},
      {"conv 8x64x32x32, 64 3x3", draw({8, 64, 32, 32}), draw({64, 64, 3, 3}), conv},
      {"  channels_last", images({8, 64, 32, 32}), draw({64, 64, 3, 3}), conv},
      {"conv 8x64x32x32, 64 1x1", draw({8, 64, 32, 32}), draw({64, 64, 1, 1}), conv},
      {"conv 8x64x32x32, depthwise", draw({8, 64, 32, 32}), draw({64, 1, 3, 3}), conv},
      {"conv 1x16x8x8, 16 3x3", draw({1, 16, 8, 8}), draw({16, 16, 3, 3}), conv},
  };
}

void measure_binary(const NormBenchOptions& options, DType dtype) {
  std::printf("\nus, medians, of half precision, and how many times as long by converting to float32 and back\n");
  std::printf("%-28s %7s | %9s %9s %9s | %6s %6s %6s\n", "", "threads", "forward", "da", "db", "f", "da", "db");
  for (const BinaryCase& c : binary_cases(dtype)) {
    if (!options.wants(c.name)) continue;
    for (const int threads : options.threads) {
      set_num_threads(threads);
      const Tensor a = c.a.clone().set_requires_grad(), b = c.b.clone().set_requires_grad();
      const Tensor y = c.f(a, b), z = c.converted(a, b), dy = randn(y.shape()).to(dtype).contiguous(y.memory_format());
      const std::vector<double> us =
          median_us({[&] { c.f(c.a, c.b); }, [&] { grad({y}, {a}, {dy}, {.retain_graph = true}); },
                     [&] { grad({y}, {b}, {dy}, {.retain_graph = true}); }, [&] { c.converted(c.a, c.b); },
                     [&] { grad({z}, {a}, {dy}, {.retain_graph = true}); },
                     [&] { grad({z}, {b}, {dy}, {.retain_graph = true}); }},
                    options.seconds);
      std::printf("%-28s %7d | %9.2f %9.2f %9.2f | %6.2f %6.2f %6.2f\n", c.name, threads, us[0], us[1], us[2],
                  us[3] / us[0], us[4] / us[1], us[5] / us[2]);
      std::fflush(stdout);
    }
  }
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
  measure_binary(options, dtype);
}
