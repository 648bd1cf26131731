#include <limpid/nn/weight_norm.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/nn/detail/derivation.hpp>
#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace limpid::nn::detail {

using limpid::detail::CheckpointRun;

namespace {

int64_t checked_axis(const char* op, const std::string& name, const Tensor& w, int64_t axis) {
  if (axis < -w.dim() || axis >= w.dim())
    limpid::detail::throw_error<ShapeError>(op, ": expected an axis of ", name, " of shape ", w.shape(), ", got ",
                                            axis);
  return axis < 0 ? axis + w.dim() : axis;
}

// |v| for each index of axis, in v's rank; one number where there is no axis.
Tensor length(const Tensor& v, std::optional<int64_t> axis) {
  Axes others;
  for (int64_t a = 0; axis && a < v.dim(); ++a)
    if (a != *axis) others.push_back(a);
  if (axis && others.empty()) return abs(v);  // no axes would stand for all
  return vector_norm(v, 2, others, axis.has_value());
}

struct WeightNorm final : Rule {
  explicit WeightNorm(std::optional<int64_t> its_axis) : Rule("weight_norm"), axis(its_axis) {}
  // v / |v| first: it is at most 1, whatever v and g are.
  Tensor value(const Tensors& sources, bool) const override {
    const Tensor &g = sources[0], &v = sources[1], norm = length(v, axis);
    return v / where(eq(norm, 0), 1, norm) * g;
  }
  const std::optional<int64_t> axis;
};

struct SpectralNorm final : Rule {
  SpectralNorm(int64_t its_axis, const SpectralNormOptions& options)
      : Rule("spectral_norm"),
        axis(its_axis),
        iterations(options.n_power_iterations),
        eps(options.eps) {}

  // s = u^T W v for the matrix W of the weight w, u and v constants: w / s. What is recorded holds copies of u and v,
  // for the next call writes to them.
  Tensor value(const Tensors& sources, bool moves) const override {
    const Tensor &w = sources[0], matrix = as_matrix(w);
    Tensor u, v;
    {
      const NoGradGuard no_grad;
      // A checkpoint's second run is to find the vectors that the first one had.
      const auto start = [&](const Tensor& source) {
        const Tensor* noted = CheckpointRun::recall(&source.impl());
        return (noted ? *noted : source).detach().clone();
      };
      u = start(sources[1]);
      v = start(sources[2]);
      if (moves && !CheckpointRun::is_repeating() && iterate(matrix.detach(), u, v, iterations)) {
        for (int i : {1, 2}) {
          limpid::detail::copy_into(sources[static_cast<std::size_t>(i)], i == 1 ? u : v);
          sources[static_cast<std::size_t>(i)].bump_version();
        }
      }
      CheckpointRun::note(&sources[1].impl(), u);
      CheckpointRun::note(&sources[2].impl(), v);
    }
    const Tensor s = dot(u, mv(matrix, v));
    return w / where(eq(s, 0), 1, s);
  }

  Tensor as_matrix(const Tensor& w) const {
    const Tensor rows = axis == 0 ? w : movedim(w, axis, 0);
    return reshape(rows, {rows.size(0), rows.size(0) == 0 ? 0 : rows.numel() / rows.size(0)});
  }

  // Whether u and v could be iterated: a matrix of zeros, or one that is not finite, leaves them as they were.
  bool iterate(const Tensor& matrix, Tensor& u, Tensor& v, int64_t times) const {
    const auto unit = [&](const Tensor& x) {
      const double norm = vector_norm(x).item<double>();
      return norm > 0 && std::isfinite(norm) ? x / std::max(norm, eps) : Tensor();
    };
    Tensor next_u = u, next_v = v;
    for (int64_t i = 0; i < times; ++i) {
      next_v = unit(mv(transpose(matrix, 0, 1), next_u));
      if (!next_v.defined()) return false;
      next_u = unit(mv(matrix, next_v));
      if (!next_u.defined()) return false;
    }
    u = next_u;
    v = next_v;
    return times > 0;
  }

  const int64_t axis, iterations;
  const double eps;
};

}  // namespace

void weight_norm(const Module& module, const std::string& name, std::optional<int64_t> axis) {
  const Tensor& v = plain_parameter("weight_norm", module, name);
  if (axis) axis = checked_axis("weight_norm", name, v, *axis);
  Tensor g;
  {
    const NoGradGuard no_grad;
    const InferenceMode off(false);  // it can be trained wherever it was made
    g = length(v.detach(), axis).clone();
  }
  g.set_requires_grad(v.requires_grad());
  derive(module, name, std::make_shared<const WeightNorm>(axis), {{"_g", g, true}, {"_v", v, true}});
}

void remove_weight_norm(const Module& module, const std::string& name) {
  underive("remove_weight_norm", "weight_norm", module, name);
}
void remove_spectral_norm(const Module& module, const std::string& name) {
  underive("remove_spectral_norm", "spectral_norm", module, name);
}

void spectral_norm(const Module& module, const std::string& name, const SpectralNormOptions& options) {
  const double eps = options.eps;
  expect("spectral_norm",
         {{"n_power_iterations", options.n_power_iterations, {0, INT32_MAX}}, {"eps", eps, finite_at_least_0}});
  const Tensor& w = plain_parameter("spectral_norm", module, name);
  const bool transposed = Access::state(module).work == Work::per_input;
  const int64_t axis = checked_axis("spectral_norm", name, w, options.axis.value_or(transposed ? 1 : 0));
  if (w.numel() == 0)
    limpid::detail::throw_error<ShapeError>("spectral_norm: expected ", name, " to have elements, got shape ",
                                            w.shape());
  const auto rule = std::make_shared<const SpectralNorm>(axis, options);
  const Drawing drawing(options.generator);
  Tensor u, v;
  {
    const NoGradGuard no_grad;
    const InferenceMode off(false);
    const Tensor matrix = rule->as_matrix(w.detach());
    const auto drawn = [&](int64_t n) {
      const Tensor x = randn({n}, float64, generator_or_default(options.generator));
      return (x / std::max(vector_norm(x).item<double>(), eps)).to(w.dtype());
    };
    u = drawn(matrix.size(0));
    v = drawn(matrix.size(1));
    rule->iterate(matrix, u, v, 15);
    u = u.clone();
    v = v.clone();
  }
  derive(module, name, rule, {{"_orig", w, true}, {"_u", u, false}, {"_v", v, false}});
}

}  // namespace limpid::nn::detail
