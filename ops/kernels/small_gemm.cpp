#include <limpid/ops/kernels/small_gemm.hpp>

#include <algorithm>

namespace limpid::kernels {
namespace {

using index_t = std::int64_t;

// Columns are taken a 64-byte lane group at a time, whatever the instruction set, and products are summed over k in
// order, unfused: the same bits everywhere.
template <class T>
constexpr index_t lanes = static_cast<index_t>(64 / sizeof(T));
template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(64)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(64)));
};

constexpr index_t depth = 64;  // of k per panel of b, which then fits the first-level cache

// y rows [i, i + R), `columns` of the panel's columns, += a times panel (k, lanes).
template <index_t R, class T>
inline void tile(index_t k, const T* a, index_t a_row, index_t a_col, const typename VectorOf<T>::type* panel, T* y,
                 index_t y_row, index_t columns) noexcept {
  using V = typename VectorOf<T>::type;
  V sums[R];
  for (index_t r = 0; r < R; ++r) {
    alignas(64) T row[lanes<T>] = {};
    std::copy_n(y + r * y_row, columns, row);
    sums[r] = *reinterpret_cast<const V*>(row);
  }
  for (index_t p = 0; p < k; ++p)
    for (index_t r = 0; r < R; ++r) sums[r] += a[r * a_row + p * a_col] * panel[p];
  for (index_t r = 0; r < R; ++r) std::copy_n(reinterpret_cast<const T*>(&sums[r]), columns, y + r * y_row);
}

template <class T>
void small_gemm(const GemmDims& d, const T* a, const T* b, T* y) noexcept {
  using V = typename VectorOf<T>::type;
  if (!d.accumulate)
    for (index_t i = 0; i < d.n; ++i) std::fill_n(y + i * d.y_row, d.m, T{});
  V panel[depth];
  for (index_t j = 0; j < d.m; j += lanes<T>) {
    const index_t columns = std::min(lanes<T>, d.m - j);
    for (index_t p = 0; p < d.k; p += depth) {
      const index_t k = std::min(depth, d.k - p);
      const T* from = b + p * d.b_row + j * d.b_col;
      T* to = reinterpret_cast<T*>(panel);
      if (d.b_col == 1 && columns == lanes<T>)
        for (index_t q = 0; q < k; ++q) std::copy_n(from + q * d.b_row, lanes<T>, to + q * lanes<T>);
      else
        for (index_t q = 0; q < k; ++q)
          for (index_t c = 0; c < lanes<T>; ++c)
            to[q * lanes<T> + c] = c < columns ? from[q * d.b_row + c * d.b_col] : T{};
      const T* rows = a + p * d.a_col;
      index_t i = 0;
      for (; i + 4 <= d.n; i += 4)
        tile<4>(k, rows + i * d.a_row, d.a_row, d.a_col, panel, y + i * d.y_row + j, d.y_row, columns);
      for (; i < d.n; ++i)
        tile<1>(k, rows + i * d.a_row, d.a_row, d.a_col, panel, y + i * d.y_row + j, d.y_row, columns);
    }
  }
}

}  // namespace

namespace LIMPID_KERNEL_ISA {
const SmallGemmKernels small_gemm = {kernels::small_gemm<float>, kernels::small_gemm<double>};
}

}  // namespace limpid::kernels
