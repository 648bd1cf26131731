// Adam and AdamW.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/optim/optimizer.hpp>

namespace LIMPID_API limpid {
namespace optim {

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false;
};

/// Adam (Kingma and Ba, 2015): d = dx + weight_decay x; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2;
/// x -= lr / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + eps). With amsgrad, v there is the largest yet
/// (Reddi, Kale, Kumar, 2018). PyTorch's rule, defaults and order of operations; it keeps m as "exp_avg", v as
/// "exp_avg_sq", the largest as "max_exp_avg_sq". Throws ValueError for options out of range.
struct Adam : Optimizer {
  explicit Adam(const Tensors& parameters, const AdamOptions& options = {});
};

struct AdamWOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false;
};

/// Adam with the decay apart from the gradient (Loshchilov and Hutter, 2019): x *= 1 - lr weight_decay first.
struct AdamW : Optimizer {
  explicit AdamW(const Tensors& parameters, const AdamWOptions& options = {});
};

}  // namespace optim
}  // namespace limpid
