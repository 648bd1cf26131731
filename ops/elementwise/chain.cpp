// The products and quotients of the chain rule.
#include <limpid/ops/elementwise/detail/chain.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>

#include <cmath>

namespace limpid {

using detail::chain;
using detail::chain_over;
using detail::map;
using detail::map_tiny;
using kernels::arithmetic;

namespace {

// What chain(dy, d) leaves for d: 0 where dz is 0, by its own rule, and where dy is 0, for there it is 0 for any d.
Tensor chain_both(const Tensor& dz, const Tensor& dy);

struct ChainBothNode final : SymmetricNode {
  Saved a{*this, "a"}, b{*this, "b"};
  const char* name() const noexcept override { return "mul"; }
  // z_i = a_i b_i:  da = dz b,  db = dz a.
  Tensors backward(const Tensors& dz) override {
    return {needs(0) ? chain_both(dz[0], b) : Tensor(), needs(1) ? chain_both(dz[0], a) : Tensor()};
  }
};

Tensor chain_both(const Tensor& a, const Tensor& b) {
  Tensor z = map({"mul", arithmetic().chain_both, a.dtype()}, a, b);
  if (auto* node = record<ChainBothNode>(z, a, b)) {
    if (node->needs(0)) node->b = b;
    if (node->needs(1)) node->a = a;
  }
  return z;
}

struct ChainNode final : SymmetricNode {
  Saved dy{*this, "dy"}, d{*this, "d"};
  const char* name() const noexcept override { return "mul"; }
  // z_i = dy_i d_i:  d(dy) = dz d,  d(d) = dz dy.
  Tensors backward(const Tensors& dz) override {
    return {needs(0) ? chain(dz[0], d) : Tensor(), needs(1) ? chain_both(dz[0], dy) : Tensor()};
  }
};

struct ChainOverNode final : SymmetricNode {
  Saved d{*this, "d"}, z{*this, "z"};
  const char* name() const noexcept override { return "div"; }
  // z_i = dy_i / d_i:  d(dy) = dz / d,  d(d) = -dz (dy / d^2) = -dz (z / d), which is 0 where dy is.
  Tensors backward(const Tensors& dz) override {
    return {needs(0) ? chain_over(dz[0], d) : Tensor(), needs(1) ? neg(chain_both(dz[0], chain_over(z, d))) : Tensor()};
  }
};

}  // namespace

Tensor detail::chain(const Tensor& dy, const Tensor& d) {
  Tensor z = map_tiny(arithmetic().chain_run, dy, d);
  if (!z.defined()) z = map({"mul", arithmetic().chain, dy.dtype()}, dy, d);
  if (auto* node = record<ChainNode>(z, dy, d)) {
    if (node->needs(0)) node->d = d;
    if (node->needs(1)) node->dy = dy;
  }
  return z;
}

Tensor detail::chain_over(const Tensor& dy, const Tensor& d) {
  Tensor z = map_tiny(arithmetic().chain_over_run, dy, d);
  if (!z.defined()) z = map({"div", arithmetic().chain_over, dy.dtype()}, dy, d);
  if (auto* node = record<ChainOverNode>(z, dy, d)) {
    node->d = d;
    if (node->needs(1)) node->z = z;
  }
  return z;
}

Tensor detail::sub_chain(const Tensor& a, const Tensor& dy, const Tensor& d) {
  if (is_grad_enabled()) return sub(a, chain(dy, d));
  return map({"sub", arithmetic().sub_chain, a.dtype()}, a, dy, d);
}

// 0 times a finite number is 0 as it is.
Tensor detail::chain(const Tensor& dy, Scalar d) {
  return std::isfinite(d.to_double()) ? mul(dy, d) : chain(dy, full({}, d, dy.dtype()));
}
Tensor detail::chain_over(const Tensor& dy, Scalar d) {
  const double value = stored("div", d, dy.dtype()).to_double();  // 0, perhaps, where d is not
  return value != 0 && value == value ? div(dy, d) : chain_over(dy, full({}, d, dy.dtype()));
}

}  // namespace limpid
