// Stochastic gradient descent.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/optim/optimizer.hpp>

namespace LIMPID_API limpid {
namespace optim {

struct SGDOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;  ///< needs momentum, and no dampening
};

/// Stochastic gradient descent (Robbins and Monro, 1951) with momentum (Polyak, 1964; Nesterov's as of Sutskever,
/// Martens, Dahl, Hinton, 2013): d = dx + weight_decay x; b = momentum b + (1 - dampening) d, at first b = d;
/// x -= lr b, or lr (d + momentum b) for Nesterov's. PyTorch's rule, defaults and order of operations; it keeps b as
/// "momentum_buffer" where there is momentum. Throws ValueError for options out of range.
struct SGD : Optimizer {
  explicit SGD(const Tensors& parameters, const SGDOptions& options = {});
};

}  // namespace optim
}  // namespace limpid
