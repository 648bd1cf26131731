// Derivatives of functions: given f and a point, instead of a recorded result.
//
// f takes 1 to 8 tensors, or one const Tensors&, and gives a Tensor or Tensors, all of floating point. What it captures
// counts as constant. Whatever a transform returns is recorded like the result of an op: where recording is on and its
// arguments, or what f captures, require a gradient. So transforms nest, to any order, and mix with backward().
#pragma once
#include <limpid/autograd/tensor_function.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <type_traits>
#include <vector>

namespace LIMPID_API limpid {

struct Vjp {
  Tensors ys;   ///< f(xs)
  Tensors dxs;  ///< of the shapes of xs
};
struct Jvp {
  Tensors ys;   ///< f(xs)
  Tensors dys;  ///< of the shapes of ys
};

namespace detail {

Vjp vjp(const TensorFunction& f, const Tensors& xs, const Tensors& dys);
Jvp jvp(const TensorFunction& f, const Tensors& xs, const Tensors& dxs);
Tensors grad(const TensorFunction& f, const Tensors& xs);
std::vector<Tensors> jacobian(const TensorFunction& f, const Tensors& xs);
std::vector<Tensors> hessian(const TensorFunction& f, const Tensors& xs);
Tensors hvp(const TensorFunction& f, const Tensors& xs, const Tensors& vs);

/// A function of one tensor that gives one.
template <class F>
concept TensorToTensor = std::is_invocable_r_v<Tensor, F&, const Tensor&>;

}  // namespace detail

/// Reverse mode: f(xs), and dxs_i = sum_k J_ki^T dys_k. dys: of the shapes of f(xs), or undefined for zero; zeros come
/// back for an x that f does not use. Costs a forward and a backward.
template <detail::TensorCallable F>
Vjp vjp(F f, const Tensors& xs, const Tensors& dys) {
  return detail::vjp(detail::TensorFunction(f, "vjp"), xs, dys);
}

/// Forward mode: f(xs), and dys_k = sum_i J_ki dxs_i. dxs: of the shapes of xs, or undefined for zero; zeros come back
/// for a y that does not depend on xs. Costs f, recorded, and about that again for the tangents of one input (see
/// docs/autograd.md); what f recorded is used up.
template <detail::TensorCallable F>
Jvp jvp(F f, const Tensors& xs, const Tensors& dxs) {
  return detail::jvp(detail::TensorFunction(f, "jvp"), xs, dxs);
}

/// The gradients of f, which gives one tensor of one element.
template <detail::TensorCallable F>
Tensors grad(F f, const Tensors& xs) {
  return detail::grad(detail::TensorFunction(f, "grad"), xs);
}
template <detail::TensorToTensor F>
Tensor grad(F f, const Tensor& x) {
  return detail::grad(detail::TensorFunction(f, "grad"), {x})[0];
}

/// J[k][i] = d ys_k / d xs_i, of shape ys_k.shape() + xs_i.shape(). One backward per element of ys.
template <detail::TensorCallable F>
std::vector<Tensors> jacobian(F f, const Tensors& xs) {
  return detail::jacobian(detail::TensorFunction(f, "jacobian"), xs);
}
/// The same of one tensor to one tensor.
template <detail::TensorToTensor F>
Tensor jacobian(F f, const Tensor& x) {
  return detail::jacobian(detail::TensorFunction(f, "jacobian"), {x})[0][0];
}

/// H[i][j] = d^2 y / d xs_i d xs_j of an f that gives one element; of shape xs_i.shape() + xs_j.shape(). One backward
/// per element of xs, through a recorded gradient.
template <detail::TensorCallable F>
std::vector<Tensors> hessian(F f, const Tensors& xs) {
  return detail::hessian(detail::TensorFunction(f, "hessian"), xs);
}
template <detail::TensorToTensor F>
Tensor hessian(F f, const Tensor& x) {
  return detail::hessian(detail::TensorFunction(f, "hessian"), {x})[0][0];
}

/// The products sum_j H_ij vs_j, without the Hessian itself: two backwards. vs: as dys in vjp.
template <detail::TensorCallable F>
Tensors hvp(F f, const Tensors& xs, const Tensors& vs) {
  return detail::hvp(detail::TensorFunction(f, "hvp"), xs, vs);
}
template <detail::TensorToTensor F>
Tensor hvp(F f, const Tensor& x, const Tensor& v) {
  return detail::hvp(detail::TensorFunction(f, "hvp"), {x}, {v})[0];
}

}  // namespace limpid
