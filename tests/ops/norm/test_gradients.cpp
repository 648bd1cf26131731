// Gradients of the normalisation family against two oracles: finite differences, and the op composed of primitive ops.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/norm/composed.hpp>

namespace test_gradients {

using namespace limpid;

struct Case {
  std::string name;
  Shape shape;
  int64_t groups;
  bool weight, bias;
  double eps;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Shape& shape : {Shape{2, 4, 5}, Shape{2, 4, 3, 3}, Shape{2, 4, 2, 3, 2}, Shape{1, 2, 2, 1, 2, 2}})
    for (int64_t groups : {shape[1], shape[1] / 2, int64_t{1}})
      for (bool weight : {false, true})
        for (bool bias : {false, true})
          for (double eps : {1e-5, 1.0}) {
            const std::string name = to_string(shape) + " groups " + std::to_string(groups) +
                                     (weight ? " weight" : "") + (bias ? " bias" : "") + " eps " + std::to_string(eps);
            cases.push_back({name, shape, groups, weight, bias, eps});
          }
  return cases;
}

// In channel groups of their own both functions must agree; they are checked in turn.
Tensor under_test(const Case& c, const Tensor& x, const Tensor& w, const Tensor& b) {
  return c.groups == c.shape[1] ? instance_norm(x, {.weight = w, .bias = b, .eps = c.eps})
                                : group_norm(x, c.groups, w, b, c.eps);
}

Tensors inputs_of(const Case& c) {
  Tensors inputs{randn(c.shape, float64)};
  if (c.weight) inputs.push_back(randn({c.shape[1]}, float64));
  if (c.bias) inputs.push_back(randn({c.shape[1]}, float64));
  return inputs;
}

template <class F>
auto with_affine(const Case& c, F f) {
  return [=](const Tensors& xs) {
    return f(c, xs[0], c.weight ? xs[1] : Tensor(), c.bias ? xs[c.weight ? 2 : 1] : Tensor());
  };
}

TEST_CASE("instance_norm and group_norm pass gradcheck to 1e-8") {
  manual_seed(11);
  for (const Case& c : all_cases()) {
    const GradcheckReport report = gradcheck(with_affine(c, under_test), inputs_of(c), {.rtol = 1e-8});
    INFO(c.name << '\n' << report);
    CHECK(report);
    CHECK(report.error <= 1e-8);
  }
}

TEST_CASE("instance_norm and group_norm pass gradgradcheck to 1e-6") {
  manual_seed(12);
  for (const Case& c : all_cases()) {
    const GradcheckReport report = gradgradcheck(with_affine(c, under_test), inputs_of(c), {.rtol = 1e-6});
    INFO(c.name << '\n' << report);
    CHECK(report);
    CHECK(report.error <= 1e-6);
  }
}

TEST_CASE("first, second and third derivatives are those of the composed op") {
  manual_seed(13);
  for (const Case& c : all_cases()) {
    CAPTURE(c.name);
    const auto derivatives = [&](auto f) {
      manual_seed(14);
      Tensors xs = inputs_of(c), result;
      for (Tensor& x : xs) x.set_requires_grad();
      const Tensor y = with_affine(c, f)(xs);
      Tensors gs = grad({sum(y * randn_like(y))}, xs, {}, {.create_graph = true});
      for (int order = 1; order <= 3; ++order) {
        for (const Tensor& g : gs) result.push_back(g.detach());
        if (order == 3) break;
        Tensor loss = zeros({}, float64);
        for (const Tensor& g : gs) {
          const Tensor weights = randn_like(g);  // drawn for every g, so that both functions meet the same
          if (g.requires_grad()) loss = loss + sum(square(g) * weights);
        }
        Tensors next = grad({loss}, {xs[0]}, {}, {.create_graph = true});
        gs = next;
      }
      return result;
    };
    const Tensors fused = derivatives(under_test);
    const Tensors plain = derivatives([](const Case& k, const Tensor& x, const Tensor& w, const Tensor& b) {
      return test::affine(test::composed_norm(x, {x.size(0), k.groups, -1}, {2}, k.eps), w, b);
    });
    REQUIRE(fused.size() == plain.size());
    for (std::size_t i = 0; i < fused.size(); ++i) CHECK(allclose(fused[i], plain[i], 1e-8, 1e-8));
  }
}

TEST_CASE("gradients flow to the running buffers where they are used and ask for it") {
  manual_seed(15);
  const auto f = [](Tensor x, Tensor mean, Tensor var, Tensor w, Tensor b) {
    return instance_norm(x, mean, var, w, b, false);
  };
  const Tensors inputs{randn({2, 3, 4}, float64), randn({3}, float64), rand({3}, float64) + 0.5, randn({3}, float64),
                       randn({3}, float64)};
  const GradcheckReport first = gradcheck(f, inputs, {.rtol = 1e-8}), second = gradgradcheck(f, inputs);
  INFO(first << '\n' << second);
  CHECK(first);
  CHECK(second);
}

TEST_CASE("the neighbours pass gradcheck and gradgradcheck") {
  manual_seed(16);
  struct Neighbour {
    const char* name;
    Tensor (*f)(const Tensors&);
    Tensors inputs;
  };
  const Tensor x = randn({3, 4, 5}, float64), row = randn({4, 5}, float64), channel = randn({4}, float64);
  const std::vector<Neighbour> neighbours = {
      {"layer_norm",
       [](const Tensors& t) {
         return layer_norm(t[0], {4, 5}, t[1], t[2]);
       },
       {x, row, row + 1.0}},
      {"layer_norm, plain", [](const Tensors& t) { return layer_norm(t[0], {5}); }, {x}},
      {"rms_norm",
       [](const Tensors& t) {
         return rms_norm(t[0], {4, 5}, t[1]);
       },
       {x, row}},
      {"rms_norm, plain", [](const Tensors& t) { return rms_norm(t[0], {5}); }, {x}},
      {"batch_norm",
       [](const Tensors& t) { return batch_norm(t[0], {}, {}, t[1], t[2], true); },
       {x, channel, channel + 1.0}},
      {"batch_norm, plain", [](const Tensors& t) { return batch_norm(t[0], {}, {}, {}, {}, true); }, {x}},
      {"batch_norm, 2-D",
       [](const Tensors& t) { return batch_norm(t[0], {}, {}, t[1], {}, true); },
       {randn({6, 4}, float64), channel}},
  };
  for (const Neighbour& n : neighbours) {
    const GradcheckReport first = gradcheck(n.f, n.inputs, {.rtol = 1e-8}), second = gradgradcheck(n.f, n.inputs);
    INFO(n.name << '\n' << first << '\n' << second);
    CHECK(first);
    CHECK(second);
  }
}

TEST_CASE("the graph of instance_norm holds x, gamma, mean and rstd, and nothing more") {
  Tensor x = randn({2, 3, 8, 8}), w = rand({3}), b = rand({3});
  x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
  const Tensor y = instance_norm(x, {.weight = w, .bias = b});
  std::vector<std::string> names;
  std::size_t bytes = 0;
  grad_node(y)->for_each_saved([&](const Saved& s) {
    names.push_back(s.name());
    bytes += static_cast<std::size_t>(s.peek().numel()) * s.peek().itemsize();
  });
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"gamma", "mean", "rstd", "x"});
  const std::size_t slices = 2 * 3;
  CHECK(bytes == x.impl().storage->bytes() + w.impl().storage->bytes() + 3 * slices * sizeof(double));
}

TEST_CASE("sum as the loss sees nothing of a normalisation, and gradcheck says so") {
  const GradcheckReport report =
      gradcheck([](Tensor x) { return sum(instance_norm(x)); }, {randn({2, 3, 4, 5}, float64)});
  CHECK(!report);
  CHECK(report.vacuous);
}

}  // namespace test_gradients
