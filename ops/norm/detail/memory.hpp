// Tensors as the driver sees them, and calls of the driver part by part.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/ops/norm/detail/plan.hpp>
#include <limpid/ops/norm/detail/second_driver.hpp>

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
  return {.mean = m, .mean_lo = m + stats.rstd.numel(), .rstd = stats.rstd.data<double>(), .var = var};
}

template <class T>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
inline Tensor contiguous_or_none(const Tensor& t) { return t.defined() ? as_contiguous(t) : t; }

/// Half precision as the float32 in which its arithmetic is done; differentiable.
inline Tensor to_float32(const Tensor& t) { return t.defined() ? t.to(float32) : t; }

/// x as the kernels read it: (N, C, S) by strides, in place where they can.
struct Readable {
  Tensor tensor;
  NormStrides strides;
};

inline Readable readable(const NormPlan& plan, const Tensor& x) {
  const NormDims& dims = plan.dims;
  const bool has_axes = x.dim() >= 2 && x.shape()[0] == dims.n && x.shape()[1] == dims.channels();
  if (!has_axes) return {as_contiguous(x), dense_strides(dims)};
  NormStrides strides{.n = x.strides()[0], .c = x.strides()[1], .s = 1};
  bool coalesce = true;  // the spatial axes are one
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

/// t as the kernels read dy, and write dx: dense in the plan's layout.
inline Tensor dense(const NormPlan& plan, const Tensor& t) {
  return format_of(plan) == MemoryFormat::contiguous ? as_contiguous(t)
                                                     : t.detach().contiguous(MemoryFormat::channels_last);
}
inline Tensor dense_or_none(const NormPlan& plan, const Tensor& t) { return t.defined() ? dense(plan, t) : t; }

// ---- parts of a call -----------------------------------------------------------------------------------------------

/// Part of a call: its dims, and where it begins, in elements, in x, in the dense tensors, in what has a number for
/// each channel and for each slice, and in the scratch memory.
struct NormPart {
  NormDims dims;
  int64_t x = 0, dense = 0, channel = 0, slice = 0, scratch = 0;
};

/// The part of a whole call. What a call does not have stays null.
template <class T>
NormCall<T> view(const NormCall<T>& whole, const NormPart& part) noexcept {
  NormCall<T> call = whole;
  const auto move = [](auto*& pointer, int64_t by) {
    if (pointer) pointer += by;
  };
  call.geometry.dims = part.dims;
  move(call.in.x, part.x);
  move(call.half.x, part.x);
  move(call.in.dy, part.dense);
  move(call.half.dy, part.dense);
  move(call.out.y, part.dense);
  move(call.half.y, part.dense);
  move(call.out.dx, part.dense);
  move(call.half.dx, part.dense);
  for (const T** operand : {&call.in.gamma, &call.in.beta, &call.in.slope, &call.in.offset})
    move(*operand, part.channel);
  for (T** gradient : {&call.out.dgamma, &call.out.dbeta}) move(*gradient, part.channel);
  for (double** statistic : {&call.stats.mean, &call.stats.mean_lo, &call.stats.rstd, &call.stats.var})
    move(*statistic, part.slice);
  move(call.scratch, part.scratch);
  return call;
}
template <class T>
NormSecondCall<T> view(const NormSecondCall<T>& whole, const NormPart& part) noexcept {
  NormSecondCall<T> call = whole;
  const auto move = [](auto*& pointer, int64_t by) {
    if (pointer) pointer += by;
  };
  call.geometry.dims = part.dims;
  move(call.in.x, part.x);
  for (const T** operand : {&call.in.dy, &call.in.u}) move(*operand, part.dense);
  for (T** output : {&call.out.ddy, &call.out.dx}) move(*output, part.dense);
  for (const T** operand : {&call.in.gamma, &call.in.v, &call.in.w}) move(*operand, part.channel);
  move(call.out.dgamma, part.channel);
  for (double** statistic : {&call.stats.mean, &call.stats.mean_lo, &call.stats.rstd}) move(*statistic, part.slice);
  move(call.scratch, part.scratch);
  return call;
}

/// What one call of the driver covers. Usually everything; but the kernels know one gamma per channel, so samples that
/// have their own come one by one, or, where they lie behind one another, as so many more channels. And where something
/// is done to the results while they are in cache, a part is a few slices (`small`).
class Parts {
 public:
  Parts(const NormPlan& plan, const NormStrides& x, bool small = false)
      : dims_(plan.dims),
        x_(x),
        per_sample_(plan.per_sample) {
    const bool contiguous = dims_.layout == NormLayout::contiguous;
    if (plan.per_sample && contiguous && !dims_.pooled && x.n == dims_.channels() * x.c) {
      dims_.g *= dims_.n;
      dims_.n = 1;
    }
    small = small && !dims_.pooled;
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
  /// The dims of the largest of them.
  NormDims largest() const noexcept { return first_groups(groups_); }

  /// Scratch memory of `each` doubles for every part; undefined where none needs any.
  Tensor scratch(int64_t each) {
    scratch_each_ = each;
    return each ? empty({count() * each}, float64) : Tensor();
  }

  NormPart part(int64_t i) const noexcept {
    const int64_t sample = i / cuts_, first = i % cuts_ * groups_, channel = first * dims_.d;
    NormPart part{.dims = first_groups(std::min(groups_, dims_.g - first))};
    part.x = sample * x_.n + channel * x_.c;
    part.dense = sample * dims_.size() + channel * dims_.s;
    part.channel = (per_sample_ ? sample * dims_.channels() : 0) + channel;
    part.slice = dims_.pooled ? 0 : sample * dims_.slices() + first;
    part.scratch = i * scratch_each_;
    return part;
  }

  /// Calls f(view) for each part of a whole call; f must not throw.
  template <class Call, class F>
  void each(const Call& whole, F&& f) const {
    const NormDims& dims = whole.geometry.dims;
    if (count() == 1 && dims.n == dims_.n && dims.g == dims_.g) return f(whole);  // one part is all there is
    parallel_for(count(), norm_grain(largest().size()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(view(whole, part(i)));
    });
  }

 private:
  static constexpr int64_t kSmall = 1 << 14;  // elements that a near cache holds

  NormDims first_groups(int64_t groups) const noexcept {
    NormDims dims = dims_;
    dims.g = groups;
    return dims;
  }

  NormDims dims_;  // of a sample where there are several
  NormStrides x_;
  bool per_sample_;
  int64_t samples_ = 1, groups_ = 1, cuts_ = 1;  // groups of a part, parts of a sample
  int64_t scratch_each_ = 0;
};

}  // namespace limpid::detail
