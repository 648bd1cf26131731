// Derivatives of a part of a graph.
#pragma once
#include <limpid/core/tensor.hpp>

#include <cstddef>

namespace limpid::detail {

/// As grad(), but the graph ends at xs: nothing flows below them, nothing there is used up, and an x that another one
/// depends on gets only what reaches it without that one. Hooks of xs are left to the run around this one. Undefined
/// for an x that no y depends on.
Tensors grad_between(const Tensors& ys, const Tensors& xs, const Tensors& dys, bool create_graph);

/// Throws AutogradError where y, output i of what op is asked about, is a view whose base was changed since.
void require_present(const Tensor& y, std::size_t i, const char* op);

}  // namespace limpid::detail
