// Derivatives of a part of a graph, and what else gradients share that are handed out.
#pragma once
#include <limpid/core/tensor.hpp>

#include <cstddef>

namespace limpid::detail {

/// As grad(), but the graph ends at xs: nothing flows below them, nothing there is used up, and an x that another one
/// depends on gets only what reaches it without that one. Hooks of xs are left to the run around this one. Undefined
/// for an x that no y depends on.
Tensors grad_between(const Tensors& ys, const Tensors& xs, const Tensors& dys, bool create_graph);

/// Makes what is not recorded its holder's to change: nobody else's memory, and a place for each element.
void make_own(Tensors& xs);

/// Throws AutogradError where y, output i of what op is asked about, is a view whose base was changed since.
void require_present(const Tensor& y, std::size_t i, const char* op);

}  // namespace limpid::detail
