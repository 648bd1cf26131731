// Slices of rows by number and place. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/moments.hpp>

namespace limpid::kernels {
namespace {

/// A slice by number and by place; counted up rather than divided out anew.
struct Place {
  index_t q, outer, inner;
};
template <class T>
Place place(const NormRows<T>& p, index_t q) {
  return {q, q / p.inner, q % p.inner};
}
/// Calls f for slices [begin, end).
template <class T, class F>
void each_slice(const NormRows<T>& p, index_t begin, index_t end, F&& f) {
  Place at = place(p, begin);
  for (; at.q < end; ++at.q) {
    f(at);
    if (++at.inner == p.inner) {
      at.inner = 0;
      ++at.outer;
    }
  }
}

inline index_t start(const auto& stride, const Place& at) { return at.outer * stride.outer + at.inner * stride.inner; }

template <class T>
SliceView<T> sum_view(const NormRows<T>& p, const Place& at) {
  return {p.x + start(p.x_stride, at), p.sum_rows, p.sum_len, p.x_stride.row, p.x_stride.element};
}

inline double value_or(const float* p, index_t i, double absent) { return p ? static_cast<double>(p[i]) : absent; }
inline double value_or(const double* p, index_t i, double absent) { return p ? p[i] : absent; }

struct Slice {
  double mean, lo, rstd;
};
template <class T>
Slice saved(const NormRows<T>& p, index_t q) {
  if (!p.center) return {0, 0, p.stats.rstd[q]};
  return {p.stats.mean[q], p.stats.mean_lo[q], p.stats.rstd[q]};
}

}  // namespace
}  // namespace limpid::kernels
