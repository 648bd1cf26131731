// The relu option: relu(norm(x)), bit for bit, in y and every gradient.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_relu {

using namespace limpid;

struct Norm {
  std::string name;
  Tensor (*f)(const Tensor& x, const Tensor& w, const Tensor& b, bool relu);
};

const std::vector<Norm> norms = {
    {"instance_norm", [](const Tensor& x, const Tensor& w, const Tensor& b,
                         bool relu) { return instance_norm(x, {.weight = w, .bias = b, .relu = relu}); }},
    {"instance_norm, plain",
     [](const Tensor& x, const Tensor&, const Tensor&, bool relu) { return instance_norm(x, {.relu = relu}); }},
    {"instance_norm, per sample",
     [](const Tensor& x, const Tensor& w, const Tensor& b, bool relu) {
       return instance_norm(x, {.weight = expand(w, {x.size(0), -1}), .bias = b, .relu = relu});
     }},
    {"instance_norm, running statistics",
     [](const Tensor& x, const Tensor& w, const Tensor& b, bool relu) {
       return instance_norm(x, {.running_mean = full({x.size(1)}, 0.1, x.dtype()),
                                .running_var = full({x.size(1)}, 0.8, x.dtype()),
                                .weight = w,
                                .bias = b,
                                .use_input_stats = false,
                                .relu = relu});
     }},
    {"instance_norm, lengths",
     [](const Tensor& x, const Tensor& w, const Tensor& b, bool relu) {
       return instance_norm(
           x, {.weight = w, .bias = b, .lengths = full({x.size(0), x.dim() - 2}, 1, int64), .relu = relu});
     }},
    {"group_norm", [](const Tensor& x, const Tensor& w, const Tensor& b,
                      bool relu) { return group_norm(x, 2, {.weight = w, .bias = b, .relu = relu}); }},
    {"batch_norm", [](const Tensor& x, const Tensor& w, const Tensor& b,
                      bool relu) { return batch_norm(x, {.weight = w, .bias = b, .training = true, .relu = relu}); }},
    {"batch_norm, running statistics",
     [](const Tensor& x, const Tensor& w, const Tensor& b, bool relu) {
       return batch_norm(x, {.running_mean = full({x.size(1)}, 0.1, x.dtype()),
                             .running_var = full({x.size(1)}, 0.8, x.dtype()),
                             .weight = w,
                             .bias = b,
                             .relu = relu});
     }},
};

// y, its gradients (those of x, w, b that `mask` asks for), and the gradients of a form of these.
Tensors derivatives(const Norm& norm, const Tensors& inputs, bool fused, int mask) {
  manual_seed(51);
  Tensors xs, wanted;
  for (std::size_t i = 0; i < 3; ++i) {
    xs.push_back(inputs[i].detach());
    if (mask >> i & 1) wanted.push_back(xs[i].set_requires_grad());
  }
  const Tensor dy = inputs[3].detach().set_requires_grad();
  const Tensor y = fused ? norm.f(xs[0], xs[1], xs[2], true) : relu(norm.f(xs[0], xs[1], xs[2], false));
  if (!y.requires_grad()) return {y};
  const Tensors once = grad({y}, wanted, {dy.detach()}, {.retain_graph = true, .allow_unused = true});
  Tensors result = grad({y}, wanted, {dy}, {.create_graph = true, .allow_unused = true}), roots, seeds;
  for (const Tensor& g : result)
    if (g.defined() && g.requires_grad()) {
      roots.push_back(g);
      seeds.push_back(randn(g.shape(), float64).to(g.dtype()));
    }
  wanted.push_back(dy);
  for (const Tensor& g : grad(roots, wanted, seeds, {.allow_unused = true})) result.push_back(g);
  for (const Tensor& g : once) result.push_back(g);
  result.push_back(y);
  return result;
}

const std::vector<Shape> shapes = {{3, 4, 5, 7}, {2, 6, 1, 1}, {5, 2, 40, 33}, {1, 2, 150, 140}, {40, 32, 2, 3}};

TEST_CASE("a norm with relu is relu of the norm, bit for bit, values and derivatives") {
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const DType dtype = GENERATE(float32, float64, float16);
  manual_seed(50);
  int number = 0;
  for (const Norm& norm : norms)
    for (const Shape& shape : shapes)
      for (const int mask : {0, 1, 2, 4, 7}) {
        if (test::is_thinned_out(number++, 3)) continue;
        const Tensors inputs{randn(shape).to(dtype).contiguous(format), randn({shape[1]}).to(dtype),
                             randn({shape[1]}).to(dtype), randn(shape).to(dtype).contiguous(format)};
        CAPTURE(norm.name, to_string(shape), mask);
        const Tensors fused = derivatives(norm, inputs, true, mask), plain = derivatives(norm, inputs, false, mask);
        REQUIRE(fused.size() == plain.size());
        for (std::size_t i = 0; i < fused.size(); ++i) {
          CAPTURE(i);
          REQUIRE(fused[i].defined() == plain[i].defined());
          if (fused[i].defined()) CHECK(equal(fused[i].detach(), plain[i].detach()));
        }
      }
}

TEST_CASE("third derivatives of a norm with relu are those of relu of the norm, bit for bit") {
  manual_seed(53);
  const Tensor x = randn({2, 4, 3, 5}, float64).set_requires_grad(), w = randn({4}, float64).set_requires_grad(),
               b = randn({4}, float64).set_requires_grad();
  for (const Norm& norm : norms) {
    const auto third = [&](bool fused) {
      manual_seed(54);
      Tensor y = fused ? norm.f(x, w, b, true) : relu(norm.f(x, w, b, false));
      for (int order = 1; order <= 3 && y.requires_grad(); ++order) {
        const Tensor g = grad({sum(y * square(y) * randn(y.shape(), float64))}, {x}, {},
                              {.create_graph = true, .allow_unused = true})[0];
        if (!g.defined()) break;
        y = g;
      }
      return y.detach();
    };
    CAPTURE(norm.name);
    CHECK(equal(third(true), third(false)));
  }
}

TEST_CASE("relu of a norm stays the same for any threads, large samples and strided x") {
  manual_seed(52);
  const Tensor base = randn({2, 6, 520, 521});
  const Tensor dy = randn({2, 6, 520, 260});
  for (const Tensor& x : {slice(base, 3, 0, 520, 2), slice(base, 3, 0, 260).contiguous(MemoryFormat::channels_last)})
    for (const int threads : {1, 3}) {
      const test::WithThreads with(threads);
      for (const int64_t groups : {6, 2}) {
        Tensor leaf = x.detach().set_requires_grad();
        const Tensor fused = group_norm(leaf, groups, {.relu = true}), plain = relu(group_norm(leaf, groups));
        CHECK(equal(fused.detach(), plain.detach()));
        CHECK(equal(grad({fused}, {leaf}, {dy})[0], grad({plain}, {leaf}, {dy})[0]));
      }
    }
}

TEST_CASE("NaN passes relu as it passes the norm, and gets no gradient") {
  Tensor x = randn({2, 2, 6});
  select(select(x, 0, 1), 0, 0).fill_(std::numeric_limits<double>::quiet_NaN());
  x.set_requires_grad();
  const Tensor fused = instance_norm(x, {.relu = true}), plain = relu(instance_norm(x));
  const auto same = [](const Tensor& a, const Tensor& b) {
    return equal(isnan(a), isnan(b)) && equal(where(isnan(a), 0.0, a), where(isnan(b), 0.0, b));
  };
  CHECK(same(fused.detach(), plain.detach()));
  const Tensor dy = randn({2, 2, 6});
  CHECK(same(grad({fused}, {x}, {dy})[0], grad({plain}, {x}, {dy})[0]));
}

TEST_CASE("the graph of a norm with relu holds x, gamma, beta, mean and rstd, and nothing more") {
  Tensor x = randn({2, 3, 8, 8}).set_requires_grad(), w = rand({3}).set_requires_grad(), b = rand({3});
  const Tensor y = instance_norm(x, {.weight = w, .bias = b, .relu = true});
  std::vector<std::string> names;
  grad_node(y)->for_each_saved([&](const Saved& s) { names.push_back(s.name()); });
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"beta", "gamma", "mean", "rstd", "x"});
}

}  // namespace test_relu
