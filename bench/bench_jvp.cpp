// Forward mode against an unrecorded forward: jvp(f, xs, dxs) / f(xs), float32.
//
//   bench_jvp [--seconds PER_CASE] [--case SUBSTRING] [--threads N]
#include <limpid/bench/timing.hpp>
#include <limpid/limpid.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

using namespace limpid;

namespace {

using Function = std::function<Tensors(const Tensors&)>;

struct Case {
  std::string name;
  Function f;
  Tensors xs;
  Tensors dxs;  ///< undefined for an input that stays where it is
};

/// A case in which every input moves.
Case moving(std::string name, Tensors xs, Function f) {
  Tensors dxs;
  for (const Tensor& x : xs) dxs.push_back(randn_like(x));
  return {std::move(name), std::move(f), std::move(xs), std::move(dxs)};
}
/// One in which the first alone does.
Case first_moving(std::string name, Tensors xs, Function f) {
  Case c = moving(std::move(name), std::move(xs), std::move(f));
  for (std::size_t i = 1; i < c.dxs.size(); ++i) c.dxs[i] = Tensor();
  return c;
}

Case map(std::string name, Tensor (*f)(const Tensor&)) {
  return moving(name + ", 1M", {rand({1 << 20}) + 0.5}, [f](const Tensors& x) { return Tensors{f(x[0])}; });
}

Tensor small_cnn(const Tensors& x) {
  Tensor h = max_pool2d(relu(conv2d(x[0], x[1], x[2], {.padding = 1})), 2);
  h = max_pool2d(relu(instance_norm(conv2d(h, x[3], x[4], {.padding = 1}))), 2);
  return cross_entropy(linear(flatten(h, 1), x[5], x[6]), x[7]);
}
Tensors cnn_inputs() {
  return {randn({16, 3, 32, 32}),
          0.2 * randn({16, 3, 3, 3}),
          zeros({16}),
          0.1 * randn({32, 16, 3, 3}),
          zeros({32}),
          0.02 * randn({10, 2048}),
          zeros({10}),
          Tensor()};
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto image = [] { return randn({8, 16, 32, 32}); };
  const auto image_last = [] { return randn({8, 16, 32, 32}).contiguous(MemoryFormat::channels_last); };
  // clang-format off
  for (const auto& [name, f] : std::initializer_list<std::pair<const char*, Tensor (*)(const Tensor&)>>{
           {"exp", exp}, {"log", log}, {"sqrt", sqrt}, {"rsqrt", rsqrt}, {"reciprocal", reciprocal}, {"abs", abs},
           {"square", square}, {"sin", sin}, {"cos", cos}, {"tanh", tanh}, {"sigmoid", sigmoid}, {"erf", erf},
           {"relu", relu}, {"gelu", gelu}, {"silu", silu},
           {"leaky_relu", [](const Tensor& x) { return leaky_relu(x); }},
           {"elu", [](const Tensor& x) { return elu(x); }},
           {"softplus", [](const Tensor& x) { return softplus(x); }},
           {"clamp", [](const Tensor& x) { return clamp(x, 0.6, 1.4); }},
           {"exp(x) * x", [](const Tensor& x) { return exp(x) * x; }},
           {"sum", [](const Tensor& x) { return sum(x); }},
           {"mean", [](const Tensor& x) { return mean(x); }}})
    all.push_back(map(name, f));
  const auto pair = [](Shape s) { return Tensors{rand(s) + 0.5, rand(s) + 0.5}; };
  const Shape m{1 << 20};
  all.push_back(moving("add, both", pair(m), [](const Tensors& x) { return Tensors{x[0] + x[1]}; }));
  all.push_back(moving("mul, both", pair(m), [](const Tensors& x) { return Tensors{x[0] * x[1]}; }));
  all.push_back(moving("div, both", pair(m), [](const Tensors& x) { return Tensors{x[0] / x[1]}; }));
  all.push_back(moving("pow, both", pair(m), [](const Tensors& x) { return Tensors{pow(x[0], x[1])}; }));
  all.push_back(moving("maximum, both", pair(m), [](const Tensors& x) { return Tensors{maximum(x[0], x[1])}; }));
  all.push_back(moving("where, both", pair(m), [c = gt(randn(m), 0)](const Tensors& x) { return Tensors{where(c, x[0], x[1])}; }));
  all.push_back(first_moving("matmul 256, one", {randn({256, 256}), randn({256, 256})}, [](const Tensors& x) { return Tensors{matmul(x[0], x[1])}; }));
  all.push_back(moving("matmul 256, both", {randn({256, 256}), randn({256, 256})}, [](const Tensors& x) { return Tensors{matmul(x[0], x[1])}; }));
  all.push_back(moving("linear 256, all", {randn({256, 256}), randn({256, 256}), randn({256})}, [](const Tensors& x) { return Tensors{linear(x[0], x[1], x[2])}; }));
  all.push_back(first_moving("two layers of 256, tanh, x", {randn({256, 256}), randn({256, 256}), randn({256}), randn({256, 256}), randn({256})},
      [](const Tensors& x) { return Tensors{linear(tanh(linear(x[0], x[1], x[2])), x[3], x[4])}; }));
  all.push_back(moving("two layers of 256, tanh, all", {randn({256, 256}), randn({256, 256}), randn({256}), randn({256, 256}), randn({256})},
      [](const Tensors& x) { return Tensors{linear(tanh(linear(x[0], x[1], x[2])), x[3], x[4])}; }));
  all.push_back(first_moving("conv2d, relu, x", {image(), randn({16, 16, 3, 3}), randn({16})}, [](const Tensors& x) { return Tensors{relu(conv2d(x[0], x[1], x[2], {.padding = 1}))}; }));
  all.push_back(moving("conv2d, relu, all", {image(), randn({16, 16, 3, 3}), randn({16})}, [](const Tensors& x) { return Tensors{relu(conv2d(x[0], x[1], x[2], {.padding = 1}))}; }));
  all.push_back(moving("max_pool2d", {image()}, [](const Tensors& x) { return Tensors{max_pool2d(x[0], 2)}; }));
  all.push_back(moving("avg_pool2d", {image()}, [](const Tensors& x) { return Tensors{avg_pool2d(x[0], 2)}; }));
  const auto rows = [] { return randn({1024, 512}); };
  all.push_back(moving("softmax (1024, 512)", {rows()}, [](const Tensors& x) { return Tensors{softmax(x[0], 1)}; }));
  all.push_back(moving("log_softmax (1024, 512)", {rows()}, [](const Tensors& x) { return Tensors{log_softmax(x[0], 1)}; }));
  all.push_back(moving("logsumexp (1024, 512)", {rows()}, [](const Tensors& x) { return Tensors{logsumexp(x[0], 1)}; }));
  all.push_back(moving("max, rows of 512", {rows()}, [](const Tensors& x) { return Tensors{max(x[0], 1)}; }));
  all.push_back(moving("var, rows of 512", {rows()}, [](const Tensors& x) { return Tensors{var(x[0], 1)}; }));
  all.push_back(moving("norm, rows of 512", {rows()}, [](const Tensors& x) { return Tensors{norm(x[0], 1)}; }));
  all.push_back(moving("cross_entropy (1024, 512)", {rows()}, [t = zeros({1024}, int64)](const Tensors& x) { return Tensors{cross_entropy(x[0], t)}; }));
  all.push_back(moving("mse_loss, 1M", pair(m), [](const Tensors& x) { return Tensors{mse_loss(x[0], x[1])}; }));
  all.push_back(moving("transpose, cat", {rows(), rows()}, [](const Tensors& x) { return Tensors{cat({transpose(x[0], 0, 1), transpose(x[1], 0, 1)}, 0)}; }));
  all.push_back(moving("layer_norm (1024, 512)", {rows()}, [](const Tensors& x) { return Tensors{layer_norm(x[0], {512})}; }));
  all.push_back(moving("layer_norm, affine, all", {rows(), randn({512}), randn({512})}, [](const Tensors& x) { return Tensors{layer_norm(x[0], {512}, x[1], x[2])}; }));
  all.push_back(moving("rms_norm, weight, all", {rows(), randn({512})}, [](const Tensors& x) { return Tensors{rms_norm(x[0], {512}, x[1])}; }));
  all.push_back(moving("instance_norm", {image()}, [](const Tensors& x) { return Tensors{instance_norm(x[0])}; }));
  all.push_back(moving("instance_norm, channels-last", {image_last()}, [](const Tensors& x) { return Tensors{instance_norm(x[0])}; }));
  all.push_back(moving("instance_norm, affine, all", {image(), randn({16}), randn({16})}, [](const Tensors& x) { return Tensors{instance_norm(x[0], {.weight = x[1], .bias = x[2]})}; }));
  all.push_back(moving("instance_norm, affine, relu, all", {image(), randn({16}), randn({16})}, [](const Tensors& x) { return Tensors{instance_norm(x[0], {.weight = x[1], .bias = x[2], .relu = true})}; }));
  all.push_back(moving("group_norm (4), affine, all", {image(), randn({16}), randn({16})}, [](const Tensors& x) { return Tensors{group_norm(x[0], 4, {.weight = x[1], .bias = x[2]})}; }));
  all.push_back(moving("batch_norm, affine, all", {image(), randn({16}), randn({16})}, [](const Tensors& x) { return Tensors{batch_norm(x[0], {}, {}, x[1], x[2], true)}; }));
  // clang-format on
  Tensors cnn = cnn_inputs();
  cnn.pop_back();
  const auto run_cnn = [t = zeros({16}, int64)](const Tensors& x) {
    Tensors inputs = x;
    inputs.push_back(t);
    return Tensors{small_cnn(inputs)};
  };
  all.push_back(first_moving("small CNN, x", cnn, run_cnn));
  all.push_back(moving("small CNN, all", cnn, run_cnn));
  return all;
}

int usage() {
  std::fprintf(stderr, "bench_jvp: expected [--seconds PER_CASE] [--case SUBSTRING] [--threads N]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string wanted;
  double seconds = 0.3;
  set_num_threads(1);
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (!std::strcmp(argv[i], "--seconds"))
      seconds = std::atof(argv[i + 1]);
    else if (!std::strcmp(argv[i], "--case"))
      wanted = argv[i + 1];
    else if (!std::strcmp(argv[i], "--threads"))
      set_num_threads(std::atoi(argv[i + 1]));
    else
      return usage();
  }
  std::printf("%-34s %11s %11s | %7s\n", "function", "forward, us", "jvp, us", "ratio");
  for (const Case& c : cases()) {
    if (c.name.find(wanted) == std::string::npos) continue;
    const std::vector<double> us = median_us(
        {[&] { (void)c.f(c.xs); }, [&] { (void)jvp([&](const Tensors& x) { return c.f(x); }, c.xs, c.dxs); }}, seconds);
    std::printf("%-34s %11.1f %11.1f | %7.2f\n", c.name.c_str(), us[0], us[1], us[1] / us[0]);
    std::fflush(stdout);
  }
}
