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

struct BilinearOptions {
  bool bias = true;
  Generator* generator = nullptr;
};

/// y_o = x1^T W_o x2 + b_o of x1 (..., in1) and x2 (..., in2), whose other axes are the same: (..., out). weight (out,
/// in1, in2) and bias (out,) begin uniform within 1 / sqrt(in1).
struct Bilinear : Module {
  Bilinear(int64_t in1, int64_t in2, int64_t out, const BilinearOptions& options = {});
  Tensor operator()(const Tensor& x1, const Tensor& x2) const;
  Parameter weight, bias;

 private:
  Bilinear(int64_t in1, int64_t in2, int64_t out, const BilinearOptions& options, const detail::Drawing& drawing);
};

}  // namespace nn
}  // namespace limpid
