// The layer of a matrix product.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
struct Drawing;
}

struct LinearOptions {
  bool bias = true;
  Generator* generator = nullptr;  ///< draws the initial values; none: the default one
};

/// x (..., in) to x weight^T + bias (..., out). weight (out, in) and bias (out,) begin uniform within 1 / sqrt(in).
struct Linear : Module {
  Linear(int64_t in, int64_t out, const LinearOptions& options = {});
  Tensor operator()(const Tensor& x) const;
  Parameter weight, bias;

 private:
  Linear(int64_t in, int64_t out, const LinearOptions& options, const detail::Drawing& drawing);
};

}  // namespace nn
}  // namespace limpid
