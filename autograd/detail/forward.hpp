// Forward mode over a recorded graph.
#pragma once
#include <limpid/core/error.hpp>
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// J dxs: the tangent of each y, given those of xs, at which the graph ends; undefined stands for zero. Each node that
/// a tangent reaches is asked once, in the order they were recorded. Without create_graph these nodes are used up.
/// op: whom messages speak for.
Tensors push_forward(const char* op, const Tensors& ys, const Tensors& xs, const Tensors& dxs, bool create_graph);

/// Thrown where a derivative is asked for that a rule out of sight of the tape would have to give.
class OffTape : public AutogradError {
 public:
  using AutogradError::AutogradError;
};

}  // namespace limpid::detail
