// Tensors as the normalisation kernels see them.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/norm/detail/halves.hpp>
#include <limpid/ops/norm/detail/plan.hpp>

#include <algorithm>

namespace limpid::detail {

inline MemoryFormat format_of(const NormPlan& plan) {
  return plan.dims.layout == NormLayout::channels_last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
}

inline NormStatistics empty_statistics(const NormPlan& plan) {
  const int64_t slices = plan.dims.slices();
  return {empty({2, slices}, float64), empty({slices}, float64)};
}

inline NormStats pointers(const NormStatistics& stats, double* var = nullptr) {
  double* m = stats.mean.data<double>();
  return {m, m + stats.rstd.numel(), stats.rstd.data<double>(), var};
}

inline Tensor scratch(int64_t count) { return count ? empty({count}, float64) : Tensor(); }

template <class T>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
inline Tensor contiguous_or_none(const Tensor& t) { return t.defined() ? as_contiguous(t) : t; }

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

/// What one call of the kernels covers. Usually everything; but they know one gamma per channel, so samples that have
/// their own come one by one, or, where they lie behind one another, as so many more channels. And where something is
/// done to the results while they are in cache, a part is a few slices.
class Parts {
 public:
  Parts(const NormPlan& plan, const NormStrides& x, bool small = false) : dims_(plan.dims), x_(x) {
    const bool contiguous = dims_.layout == NormLayout::contiguous;
    if (plan.per_sample && contiguous && !dims_.batch && x.n == dims_.channels() * x.c) {
      dims_.g *= dims_.n;
      dims_.n = 1;
    }
    small = small && !dims_.batch;
    if (plan.per_sample || (small && dims_.size() / std::max<int64_t>(1, dims_.n) <= kNormWholeSlice)) {
      samples_ = dims_.n;
      dims_.n = 1;
    }
    groups_ = dims_.g;
    if (small && contiguous && dims_.n == 1) {
      groups_ = std::clamp<int64_t>(kSmall / std::max<int64_t>(1, dims_.d * dims_.s), 1, std::max<int64_t>(1, dims_.g));
      cuts_ = ceil_div(dims_.g, groups_);
    }
  }

  int64_t count() const noexcept { return samples_ * cuts_; }
  /// The largest of them.
  NormDims most() const noexcept { return first_groups(groups_); }
  NormDims dims(int64_t part) const noexcept { return first_groups(std::min(groups_, dims_.g - first(part))); }
  const NormStrides& x_strides() const noexcept { return x_; }
  /// Calls f(part) for each of them; f must not throw.
  template <class F>
  void each(F&& f) const {
    parallel_for(count(), norm_grain(most().size()), [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) f(part);
    });
  }

  // Where a part begins in x, in tensors of the plan's layout, in gamma and its like, and in the statistics.
  template <class T>
  T* in_x(T* p, int64_t part) const noexcept {
    return p + sample(part) * x_.n + first(part) * dims_.d * x_.c;
  }
  template <class T>
  T* in_dense(T* p, int64_t part) const noexcept {
    return p ? p + sample(part) * dims_.size() + first(part) * dims_.d * dims_.s : p;
  }
  template <class T>
  T* in_affine(T* p, int64_t part, bool per_sample) const noexcept {
    return p ? p + (per_sample ? sample(part) * dims_.channels() : 0) + first(part) * dims_.d : p;
  }
  NormStats in_stats(const NormStats& s, int64_t part) const noexcept {
    const int64_t step = dims_.batch ? 0 : sample(part) * dims_.slices() + first(part);
    return {s.mean + step, s.mean_lo + step, s.rstd + step, s.var ? s.var + step : nullptr};
  }

 private:
  static constexpr int64_t kSmall = 1 << 14;  // elements that a near cache holds

  NormDims first_groups(int64_t groups) const noexcept {
    NormDims dims = dims_;
    dims.g = groups;
    return dims;
  }
  int64_t sample(int64_t part) const noexcept { return part / cuts_; }
  int64_t first(int64_t part) const noexcept { return part % cuts_ * groups_; }

  NormDims dims_;  // of a sample where there are several
  NormStrides x_;
  int64_t samples_ = 1, groups_ = 1, cuts_ = 1;  // groups of a part, parts of a sample
};

/// Scratch memory for all parts; each has its own.
class PartScratch {
 public:
  PartScratch(const Parts& parts, int64_t each) : each_(each), all_(scratch(parts.count() * each)) {}
  double* operator[](int64_t part) const { return each_ ? all_.data<double>() + part * each_ : nullptr; }

 private:
  int64_t each_;
  Tensor all_;
};

}  // namespace limpid::detail
