// Gradients held within bounds.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {
namespace optim {

/// Scales all gradients by one factor, so that their common p-norm (the largest magnitude for p = infinity) is at most
/// max_norm. Returns the norm before.
double clip_grad_norm_(const Tensors& parameters, double max_norm, double p = 2);

}  // namespace optim
}  // namespace limpid
