// What the nodes of reductions share.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {

/// A reduction's node knows what was reduced; kept() gives a result-shaped tensor x's rank.
struct ReductionNode : Node {
  Axes axes;
  Shape shape;  ///< x's
  Tensor kept(const Tensor& y) const { return reshape(y, reduced_shape(shape, axes, true)); }
  // dy_k = sum_r w_kr dx_kr over reduced r, for the w that backward multiplies dy_k by.
  Tensors jvp(const Tensors& dx) override {
    const Tensor w = backward({ones(outputs()[0].shape(), outputs()[0].dtype)})[0];
    return {reshape(sum(chain(dx[0], w), axes), outputs()[0].shape())};
  }
};

template <class N>
N* describe(N* node, const Tensor& x, const Axes& axes) {
  if (node) {
    node->axes = axes;
    node->shape = x.shape();
  }
  return node;
}
/// record(), of an N that is a ReductionNode.
template <class N>
N* record_reduction(Tensor& y, const Tensor& x, const Axes& axes) {
  return describe(record<N>(y, x), x, axes);
}
template <class N>
N* record_reduction_as(const char* op, Tensor& y, const Tensor& x, const Axes& axes) {
  return describe(record_as<N>(op, y, x), x, axes);
}

}  // namespace limpid::detail
