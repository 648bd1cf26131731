#include <limpid/autograd/transforms.hpp>

#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>

namespace limpid::detail {
namespace {

void require_floating(const char* op, const char* what, const Tensors& xs) {
  if (xs.empty()) throw_error<ValueError>(op, ": expected at least one ", what, ", got none");
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!xs[i].defined()) throw_error<ValueError>(op, ": expected defined ", what, "s, got none for ", what, " ", i);
    if (!is_floating_point(xs[i].dtype()))
      throw_error<DTypeError>(op, ": expected floating-point ", what, "s, got ", xs[i].dtype(), " for ", what, " ", i);
  }
}

// vs are to lie beside xs, element for element, or be undefined.
void require_beside(const char* op, const char* name, const Tensors& vs, const Tensors& xs, const char* what) {
  if (vs.size() != xs.size())
    throw_error<ValueError>(op, ": expected one ", name, " per ", what, " (", xs.size(), "), got ", vs.size());
  for (std::size_t i = 0; i < vs.size(); ++i) {
    if (!vs[i].defined()) continue;
    if (vs[i].shape() != xs[i].shape())
      throw_error<ShapeError>(op, ": expected ", name, " ", i, " of shape ", xs[i].shape(), ", got ", vs[i].shape());
    if (vs[i].dtype() != xs[i].dtype())
      throw_error<DTypeError>(op, ": expected ", name, " ", i, " of dtype ", xs[i].dtype(), ", got ", vs[i].dtype());
  }
}

/// f at xs, recorded; to be differentiated in some directions, which may require a gradient themselves.
class Application {
 public:
  Application(const char* op, const TensorFunction& f, const Tensors& xs, const Tensors& directions = {}) : op_(op) {
    require_floating(op, "input", xs);
    if (is_inference_mode())
      throw_error<AutogradError>(op, ": expected a place where ops are recorded, got inference mode");
    for (const Tensor& x : xs) inputs_.push_back(stand_in(x));
    {
      const EnableGradGuard recording;
      ys_ = f(inputs_);
    }
    require_floating(op, "output", ys_);
    differentiable_ = is_grad_enabled() && (any_requires_grad(directions) || depends_on_others());
  }

  const Tensors& ys() const noexcept { return ys_; }
  /// Whether what is computed here depends on more that requires a gradient than stand-ins of our own.
  bool differentiable() const noexcept { return differentiable_; }
  /// What the caller gets to see.
  Tensors results() const { return differentiable_ ? ys_ : detached(ys_); }

  void require_one_element() const {
    if (ys_.size() != 1 || ys_[0].numel() != 1)
      throw_error<ShapeError>(op_, ": expected a function that gives one element, got ", ys_.size(),
                              " outputs, the first of shape ", ys_[0].shape());
  }

  /// J^T dys: one per input. Undefined dys and gradients stand for zero.
  Tensors pull(const Tensors& dys, bool retain_graph, bool create_graph) const {
    Tensors roots, seeds;
    for (std::size_t k = 0; k < ys_.size(); ++k) {
      if (!ys_[k].requires_grad() || !dys[k].defined()) continue;
      roots.push_back(ys_[k]);
      seeds.push_back(dys[k]);
    }
    if (roots.empty()) return Tensors(inputs_.size());
    return limpid::grad(roots, inputs_, seeds,
                        {.create_graph = create_graph, .retain_graph = retain_graph, .allow_unused = true});
  }
  Tensors pull(const Tensors& dys, bool retain_graph = false) const { return pull(dys, retain_graph, differentiable_); }

  /// J dxs: one per output, undefined for zero.
  Tensors push(const Tensors& dxs) const { return push_forward(op_, ys_, inputs_, dxs, differentiable_); }

  static Tensors detached(Tensors xs) {
    for (Tensor& x : xs) x = x.detach();
    return xs;
  }

 private:
  bool depends_on_others() const {
    bool found = false;
    walk(ys_, [&](const Node* node) {
      if (found) return false;
      for (const Tensor& x : inputs_)
        if (grad_node(x) == node) {
          found = !node->is_leaf();
          return false;
        }
      found = node->is_leaf();
      return true;
    });
    return found;
  }

  const char* op_;
  Tensors inputs_, ys_;
  bool differentiable_ = false;
};

Tensors or_zeros(Tensors dxs, const Tensors& xs) {
  for (std::size_t i = 0; i < dxs.size(); ++i)
    if (!dxs[i].defined()) dxs[i] = zeros_like(xs[i].detach());
  return dxs;
}

Tensors gradient(const char* op, const TensorFunction& f, const Tensors& xs) {
  const Application y(op, f, xs);
  y.require_one_element();
  return or_zeros(y.pull({ones_like(y.ys()[0].detach())}), xs);
}

Shape joined(const Shape& a, const Shape& b) {
  Shape shape = a;
  for (int64_t size : b) shape.push_back(size);
  return shape;
}

// rows[e] = J^T of the e-th unit vector of output k.
std::vector<Tensors> pull_units(const Application& y, std::size_t k, const Tensors& xs) {
  std::vector<Tensors> rows;
  const Tensor like = y.ys()[k].detach();
  for (int64_t e = 0; e < like.numel(); ++e) {
    const Tensor unit = zeros(like.shape(), like.dtype());
    fill(make_view(unit, {}, {}, e), 1);
    Tensors units(y.ys().size());
    units[k] = unit;
    rows.push_back(or_zeros(y.pull(units, true), xs));
  }
  return rows;
}

std::vector<Tensors> jacobian(const char* op, const TensorFunction& f, const Tensors& xs) {
  const Application y(op, f, xs);
  std::vector<Tensors> result;
  for (std::size_t k = 0; k < y.ys().size(); ++k) {
    const std::vector<Tensors> rows = pull_units(y, k, xs);
    result.emplace_back();
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const Shape shape = joined(y.ys()[k].shape(), xs[i].shape());
      Tensors mine;
      for (const Tensors& row : rows) mine.push_back(row[i]);
      result[k].push_back(mine.empty() ? empty(shape, xs[i].dtype()) : stack_as(mine, shape));
    }
  }
  return result;
}

}  // namespace

Vjp vjp(const TensorFunction& f, const Tensors& xs, const Tensors& dys) {
  Vjp result;
  {
    const Application y("vjp", f, xs, dys);
    require_beside("vjp", "dy", dys, y.ys(), "output");
    result = {y.results(), or_zeros(y.pull(dys), xs)};
  }
  make_own(result.ys);
  return result;
}

Jvp jvp(const TensorFunction& f, const Tensors& xs, const Tensors& dxs) {
  require_floating("jvp", "input", xs);
  require_beside("jvp", "dx", dxs, xs, "input");
  Jvp result;
  {
    const Application y("jvp", f, xs, dxs);
    result = {y.results(), or_zeros(y.push(dxs), y.ys())};
  }
  make_own(result.ys);
  make_own(result.dys);
  return result;
}

Tensors grad(const TensorFunction& f, const Tensors& xs) { return gradient("grad", f, xs); }

std::vector<Tensors> jacobian(const TensorFunction& f, const Tensors& xs) { return jacobian("jacobian", f, xs); }

std::vector<Tensors> hessian(const TensorFunction& f, const Tensors& xs) {
  const auto df = [&](const Tensors& at) { return gradient("hessian", f, at); };
  return jacobian("hessian", TensorFunction(df, "hessian"), xs);
}

Tensors hvp(const TensorFunction& f, const Tensors& xs, const Tensors& vs) {
  require_floating("hvp", "input", xs);
  require_beside("hvp", "v", vs, xs, "input");
  const auto df = [&](const Tensors& at) { return gradient("hvp", f, at); };
  const Application dy("hvp", TensorFunction(df, "hvp"), xs, vs);
  return or_zeros(dy.pull(vs), xs);
}

}  // namespace limpid::detail
