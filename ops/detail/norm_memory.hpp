// Tensors as the normalisation kernels see them.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/detail/norm_plan.hpp>

namespace limpid::detail {

inline MemoryFormat format_of(const NormPlan& plan) {
  return plan.dims.layout == NormLayout::channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

inline NormStats pointers(const Tensor& mean, const Tensor& rstd, double* var = nullptr) {
  double* m = mean.data<double>();
  return {m, m + rstd.numel(), rstd.data<double>(), var};
}

inline Tensor scratch(int64_t count) { return count ? empty({count}, float64) : Tensor(); }
inline double* scratch_data(const Tensor& t) { return t.defined() ? t.data<double>() : nullptr; }

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

/// x as the kernels read it: (N, C, S) by strides, in place where they can.
struct Readable {
  Tensor tensor;
  NormStrides strides;
};

inline Readable readable(const NormPlan& plan, const Tensor& x) {
  const NormDims& dims = plan.dims;
  const bool has_axes = x.dim() >= 2 && x.shape()[0] == dims.n && x.shape()[1] == dims.channels();
  if (has_axes) {
    NormStrides strides{x.strides()[0], x.strides()[1], 1};
    bool coalesce = true;
    bool seen = false;
    int64_t expected = 0;  // the stride that continues the axes seen so far
    for (std::size_t i = x.shape().size(); i-- > 2;) {
      if (x.shape()[i] == 1) continue;
      if (!seen) strides.s = x.strides()[i];
      coalesce = coalesce && (!seen || x.strides()[i] == expected);
      expected = x.strides()[i] * x.shape()[i];
      seen = true;
    }
    if (coalesce && reads_in_place(dims, strides)) return {x, strides};
    return {x.is_contiguous(format_of(plan)) ? x : x.detach().contiguous(format_of(plan)), dense_strides(dims)};
  }
  return {as_contiguous(x), dense_strides(dims)};
}

/// t as the kernels read dy, and write dx: dense in the plan's layout.
inline Tensor dense(const NormPlan& plan, const Tensor& t) {
  return format_of(plan) == MemoryFormat::contiguous ? as_contiguous(t)
                                                     : t.detach().contiguous(MemoryFormat::channels_last);
}

template <class F>
void visit_float(DType dtype, F&& f) {
  dtype == float64 ? f(double{}) : f(float{});
}

}  // namespace limpid::detail
