// Gradients held within bounds.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {
namespace optim {

/// Scales all gradients by one factor, so that their common p-norm (the largest magnitude for p = infinity) is at most
/// max_norm. Each tensor counts once, however often it is given. Returns the norm before. Where a gradient is infinite
/// or NaN, no factor would do: they all stay as they are, and the norm, which is infinite or NaN, tells; or it throws
/// ValueError, if error_if_nonfinite says so. Those of half precision are added and scaled in wider numbers, and
/// rounded once. Throws DTypeError for parameters that are not floating point.
double clip_grad_norm_(const Tensors& parameters, double max_norm, double p = 2, bool error_if_nonfinite = false);

}  // namespace optim
}  // namespace limpid
