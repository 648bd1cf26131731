// Replaying the tape. A graph belongs to one thread at a time; several may share leaves.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

struct GradOptions {
  /// Record the gradients, so that they can be differentiated; implies retain_graph. A recorded gradient that is kept
  /// by a leaf holds its graph, until the leaf goes or its gradient is set anew.
  bool create_graph = false;
  bool retain_graph = false;  ///< leave the graph fit for another run; else it is used up
  /// Of grad(): an x that no y depends on gives an undefined gradient instead of an error, and so do all where no y was
  /// recorded, being constant.
  bool allow_unused = false;
};

/// Adds d(sum_k <y_k, dy_k>)/d(leaf) to the gradient of every leaf below ys. dys: one per y and of its shape, or none
/// where each y has one element. Throws AutogradError where a y was not recorded or the graph is used up.
void backward(const Tensors& ys, const Tensors& dys = {}, const GradOptions& options = {});

/// The gradients of sum_k <y_k, dy_k> with respect to xs, leaves or results in between, in their order and of their
/// shapes, in memory of their own unless recorded. The leaves' gradients stay. Only what leads to an x is computed.
Tensors grad(const Tensors& ys, const Tensors& xs, const Tensors& dys = {}, const GradOptions& options = {});

}  // namespace limpid
