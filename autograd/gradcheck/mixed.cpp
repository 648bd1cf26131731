// Reverse mode over forward mode: what the tape makes of J v.
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/autograd/transforms.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>

namespace limpid::detail {
namespace {

// Each element off by some roundings.
Tensors jiggled(const Tensors& xs, double by) {
  Tensors moved;
  for (const Tensor& x : xs) {
    Values values = values_of(x);
    for (std::size_t j = 0; j < values.size(); ++j) values[j] *= 1 + (j % 2 ? by : -by) * epsilon(float64);
    moved.push_back(tensor_of(values, x));
  }
  return moved;
}

double distance(const Values& a, const Values& b) {
  double most = 0;
  for (std::size_t j = 0; j < a.size(); ++j) most = std::max(most, std::abs(a[j] - b[j]));
  return most;
}

}  // namespace

// H v, for the Hessian H of <dy, f>, is the gradient of <dy, J v> by x as well as that of <J^T dy, v>; by v it is J^T
// dy.
void check_mixed(GradcheckReport& report, const TensorFunction& f, const Tensors& inputs,
                 const std::vector<std::size_t>& outputs, const GradcheckOptions& options) {
  Tensors fixed, at, v, dy;
  std::vector<std::size_t> moving;
  Cotangents random(options.seed + 2);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    fixed.push_back(inputs[i].defined() ? inputs[i].detach() : inputs[i]);
    if (!report.inputs[i].checked) continue;
    moving.push_back(i);
    at.push_back(copy_as(inputs[i], float64));
    v.push_back(random.like(at.back()));
  }
  const auto floats = [&](const Tensors& xs) {
    Tensors all = fixed, some;
    for (std::size_t p = 0; p < moving.size(); ++p) all[moving[p]] = xs[p];
    const Tensors ys = f(all);
    for (const std::size_t k : outputs) some.push_back(ys[k]);
    return some;
  };
  const char* op = "gradgradcheck";
  const TensorFunction g(floats, op);
  double coarsest = epsilon(float64);
  {
    const NoGradGuard off;
    for (const Tensor& y : floats(at)) {
      dy.push_back(random.like(y));
      coarsest = std::max(coarsest, epsilon(y.dtype()));
    }
  }
  const double rtol = std::max(options.rtol, coarsest > epsilon(float64) ? 3 * std::sqrt(coarsest) : 0);
  const auto joined = [](Tensors a, const Tensors& b) {
    for (const Tensor& x : b) a.push_back(x);
    return a;
  };
  const auto pushed = [&](const Tensors& all) {
    const auto half = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    return jvp(g, Tensors(all.begin(), half), Tensors(half, all.end())).dys;
  };
  const auto pulled = [&](const Tensors& xs) { return vjp(g, xs, dy).dxs; };
  const auto over_forward = [&](const Tensors& xs) { return vjp(TensorFunction(pushed, op), joined(xs, v), dy).dxs; };
  const auto over_reverse = [&](const Tensors& xs) {
    return joined(vjp(TensorFunction(pulled, op), xs, v).dxs, pulled(xs));
  };
  try {
    const Tensors found = over_forward(at), expected = over_reverse(at);
    std::vector<Tensors> found_near, expected_near;
    for (std::size_t p = 0; p < found.size(); ++p) {
      const Values a = values_of(found[p]), b = values_of(expected[p]);
      // A second derivative may be 0, and what it is made of is of the size of the first ones over x.
      const double terms = p < at.size() ? largest(values_of(expected[at.size() + p])) / scale_of(values_of(at[p])) : 0;
      const double least_scale = 1e-3 * largest(b), rounding = 1e3 * coarsest * terms;
      for (std::size_t j = 0; j < a.size(); ++j) {
        if (!std::isfinite(b[j]) ||
            std::abs(a[j] - b[j]) <= rtol * std::max({std::abs(a[j]), std::abs(b[j]), least_scale}) + rounding)
          continue;
        if (found_near.empty())
          for (const double by : {1, 2}) {
            found_near.push_back(over_forward(jiggled(at, by)));
            expected_near.push_back(over_reverse(jiggled(at, by)));
          }
        double noise = 0;  // of any element: what rounding does to one that is 0 does not show there
        for (std::size_t n = 0; n < found_near.size(); ++n)
          noise =
              std::max({noise, distance(values_of(found_near[n][p]), a), distance(values_of(expected_near[n][p]), b)});
        if (std::abs(a[j] - b[j]) <= 100 * noise) continue;
        report.passed = false;
        report.problems.push_back(message("forward mode, differentiated by ", p < at.size() ? "" : "the tangent of ",
                                          report.inputs[moving[p % at.size()]].name, ": expected ", b[j], " at ",
                                          place(multi_index(static_cast<int64_t>(j), found[p].shape())),
                                          ", as of the gradient, got ", a[j],
                                          ": a jvp depends on what its tape does not show"));
        return;
      }
    }
  } catch (const MemoryError&) {
    throw;
  } catch (const Error&) {  // it says itself that it cannot be differentiated, or ends there
  }
}

}  // namespace limpid::detail
