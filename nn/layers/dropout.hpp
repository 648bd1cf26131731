// Elements left out at random.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

namespace LIMPID_API limpid {
namespace nn {

struct DropoutOptions {
  Generator* generator =
      nullptr;  ///< draws what is left out, and must live as long as the layer; none: the default one
};

/// While training, sets each element to 0 with probability p and scales the others by 1 / (1 - p) (Srivastava et al.,
/// 2014); else gives x itself. Throws ValueError where p is not from 0 to 1.
struct Dropout : Module {
  explicit Dropout(double p = 0.5, const DropoutOptions& options = {});
  Tensor operator()(const Tensor& x) const;

 private:
  double p_;
  DropoutOptions options_;
};

}  // namespace nn
}  // namespace limpid
