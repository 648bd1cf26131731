// limpid's losses, under the name where users of PyTorch look for them.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/ops/loss.hpp>

namespace LIMPID_API limpid {
namespace nn {

using limpid::bce_with_logits;
using limpid::cross_entropy;
using limpid::huber_loss;
using limpid::l1_loss;
using limpid::mse_loss;
using limpid::nll_loss;
using limpid::Reduction;

}  // namespace nn
}  // namespace limpid
