// Second and third derivatives of the normalisation family: the fused backward of the backward against the composed
// op, and against differences of itself.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/norm/composed.hpp>

namespace test_second {

using namespace limpid;

using test::composed_norm;
using test::per_channel;

struct Norm {
  std::string name;
  Tensor (*fused)(const Tensor& x, const Tensor& w);
  Tensor (*plain)(const Tensor& x, const Tensor& w);
};
const std::vector<Norm> norms = {
    {"instance_norm", [](const Tensor& x, const Tensor& w) { return instance_norm(x, {.weight = w, .eps = 0.1}); },
     [](const Tensor& x, const Tensor& w) {
       return composed_norm(x, {x.size(0), x.size(1), -1}, {2}, 0.1) * per_channel(w, x);
     }},
    {"group_norm", [](const Tensor& x, const Tensor& w) { return group_norm(x, 2, w, {}, 0.1); },
     [](const Tensor& x, const Tensor& w) {
       return composed_norm(x, {x.size(0), 2, -1}, {2}, 0.1) * per_channel(w, x);
     }},
    {"batch_norm",
     [](const Tensor& x, const Tensor& w) { return batch_norm(x, {.weight = w, .training = true, .eps = 0.1}); },
     [](const Tensor& x, const Tensor& w) {
       return composed_norm(x, {x.size(0), x.size(1), -1}, {0, 2}, 0.1) * per_channel(w, x);
     }},
    {"layer_norm",
     [](const Tensor& x, const Tensor& w) {
       return layer_norm(x, {x.size(3)}, slice(w, 0, 0, 1) * ones({x.size(3)}, w.dtype()), {}, 0.1);
     },
     [](const Tensor& x, const Tensor& w) { return composed_norm(x, x.shape(), {3}, 0.1) * slice(w, 0, 0, 1); }},
    {"rms_norm",
     [](const Tensor& x, const Tensor& w) {
       return rms_norm(x, {x.size(2), x.size(3)}, {}, 0.1) * per_channel(w, x);
     },
     [](const Tensor& x, const Tensor& w) {
       return composed_norm(x, x.shape(), {2, 3}, 0.1, false) * per_channel(w, x);
     }},
};

// The gradients of a random form of those gradients of <dy, f(x, w)> that `first` asks for (bits 1 and 2: x and w),
// with respect to what `second` asks for (bits 1, 2 and 4: x, w and dy).
Tensors second_derivatives(Tensor (*f)(const Tensor&, const Tensor&), const Tensors& inputs, int first, int second) {
  manual_seed(21);
  Tensors xs, wanted;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    xs.push_back(inputs[i].detach());
    if (i < 2 || second >> i & 1) xs[i].set_requires_grad();
    if (second >> i & 1) wanted.push_back(xs[i]);
  }
  Tensors once;
  for (std::size_t i = 0; i < 2; ++i)
    if (first >> i & 1) once.push_back(xs[i]);
  const Tensors g = grad({f(xs[0], xs[1])}, once, {xs[2]}, {.create_graph = true});
  Tensors seeds;
  for (const Tensor& t : g) seeds.push_back(randn(t.shape(), float64).to(t.dtype()));
  return grad(g, wanted, seeds, {.allow_unused = true});
}

TEST_CASE("second derivatives are those of the composed op, whichever are asked for") {
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const DType dtype = GENERATE(float32, float64);
  const double tolerance = dtype == float32 ? 2e-4 : 1e-10;
  manual_seed(20);
  for (const Norm& norm : norms)
    for (const Shape& shape : {Shape{3, 4, 5, 7}, Shape{2, 6, 1, 1}, Shape{1, 2, 9, 16}}) {
      const Tensors inputs{randn(shape, dtype).contiguous(format), randn({shape[1]}, dtype),
                           randn(shape, dtype).contiguous(format)};
      for (int first = 1; first < 4; ++first)
        for (int second = 1; second < 8; ++second) {
          CAPTURE(norm.name, to_string(shape), first, second);
          const Tensors fused = second_derivatives(norm.fused, inputs, first, second),
                        plain = second_derivatives(norm.plain, inputs, first, second);
          REQUIRE(fused.size() == plain.size());
          for (std::size_t i = 0; i < fused.size(); ++i) {
            const auto or_zero = [&](const Tensor& t) { return t.defined() ? t : zeros({1}, dtype); };
            CHECK(allclose(or_zero(fused[i]), or_zero(plain[i]), tolerance, tolerance));
          }
        }
    }
}

TEST_CASE("third derivatives are those that differences of the second give") {
  manual_seed(22);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  for (const Norm& norm : norms) {
    CAPTURE(norm.name);
    static Tensor (*f)(const Tensor&, const Tensor&);
    f = norm.fused;
    const auto first = [](const Tensors& xs) {
      Tensors in;
      for (const Tensor& x : xs) in.push_back(x.requires_grad() ? x : x.detach().set_requires_grad());
      const GradGuard record(true);
      return grad({f(in[0], in[1])}, {in[0], in[1]}, {in[2]}, {.create_graph = true});
    };
    const GradcheckReport report = gradgradcheck(first,
                                                 {randn({2, 4, 2, 3}, float64).contiguous(format), randn({4}, float64),
                                                  randn({2, 4, 2, 3}, float64).contiguous(format)},
                                                 {.rtol = 1e-6});
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("third derivatives read what is constant in any layout") {
  manual_seed(25);
  const Shape shape{2, 4, 2, 3};
  const auto apart = [](const Tensor& t) { return select(stack({t, full_like(t, 99)}, t.dim()), t.dim(), 0); };
  const Tensor x = randn(shape, float64), gamma = randn({4}, float64), dy = randn(shape, float64),
               u = randn(shape, float64), v = randn({4}, float64);
  const auto moving = [](const Tensor& t) { return t.clone().set_requires_grad(); };
  const auto recorded = [](const Tensors& ys, const Tensors& xs, const Tensors& dys) {
    return grad(ys, xs, dys, {.create_graph = true, .allow_unused = true});
  };
  // gamma is constant: by x and dy.
  const auto by_x = [&](const Tensor& constant) {
    const Tensor a = moving(x), b = moving(dy);
    const Tensors first = recorded({group_norm(a, 2, constant, {}, 0.1)}, {a}, {b});
    const Tensors second = recorded(first, {a, b}, {u});
    return grad(second, {a, b}, {dy * u, x * u});
  };
  // x is constant: by what the gradient of gamma is multiplied with.
  const auto by_v = [&](const Tensor& constant) {
    const Tensor a = moving(gamma), b = moving(dy), c = moving(v);
    const Tensors first = recorded({group_norm(constant, 2, a, {}, 0.1)}, {a}, {b});
    const Tensors second = recorded(first, {b}, {c});
    return grad(second, {c}, {u});
  };
  const Tensors dense_x = by_x(gamma), strided_x = by_x(apart(gamma));
  for (std::size_t i = 0; i < 2; ++i) CHECK(allclose(strided_x[i], dense_x[i], 1e-12, 1e-12));
  CHECK(max(abs(dense_x[0])).item<double>() > 0.1);
  const Tensor dense_v = by_v(x)[0];
  CHECK(allclose(by_v(apart(x))[0], dense_v, 1e-12, 1e-12));
  CHECK(max(abs(dense_v)).item<double>() > 0.1);
}

TEST_CASE("fourth derivatives are recorded too") {
  manual_seed(23);
  Tensor x = randn({2, 2, 5}, float64).set_requires_grad();
  const auto derivatives = [&](auto f) {
    manual_seed(24);
    Tensors result;
    Tensor y = f(x);
    for (int order = 1; order <= 4; ++order) {
      y = grad({sum(y * square(y) * randn({2, 2, 5}, float64))}, {x}, {}, {.create_graph = true})[0];
      result.push_back(y.detach());
    }
    return result;
  };
  const Tensors fused = derivatives([](const Tensor& t) { return instance_norm(t, {.eps = 0.1}); });
  const Tensors plain = derivatives([](const Tensor& t) { return composed_norm(t, t.shape(), {2}, 0.1); });
  for (std::size_t i = 0; i < fused.size(); ++i)
    CHECK(allclose(fused[i], plain[i], 1e-8, 1e-8 * max(abs(plain[i])).item<double>()));
}

}  // namespace test_second
