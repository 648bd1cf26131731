#include <limpid/ops/elementwise/kernels/exp.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>

// Plain loops over columns, which compilers turn into vectors without touching the order of a column's operations.
namespace limpid::kernels {
namespace {

using std::int64_t;

template <class T>
void add_rows(double* __restrict acc, const T* __restrict x, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    const T* __restrict a = x + i * stride;
    const T* __restrict b = a + stride;
    const T* __restrict c = b + stride;
    const T* __restrict d = c + stride;
    for (int64_t j = 0; j < n; ++j)
      acc[j] += (static_cast<double>(a[j]) + static_cast<double>(b[j])) +
                (static_cast<double>(c[j]) + static_cast<double>(d[j]));
  }
  for (; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) acc[j] += static_cast<double>(x[i * stride + j]);
}

template <class T>
void add_squares(double* __restrict acc, const double* __restrict centre, const T* __restrict x,
                 const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride) {
    if (centre) {
      for (int64_t j = 0; j < n; ++j) {
        const double d = static_cast<double>(x[j]) - centre[j];
        acc[j] += d * d;
      }
    } else {
      for (int64_t j = 0; j < n; ++j) acc[j] += static_cast<double>(x[j]) * static_cast<double>(x[j]);
    }
  }
}

template <class T>
void max_rows(double* __restrict acc, const T* __restrict x, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride)
    for (int64_t j = 0; j < n; ++j) {
      const double v = static_cast<double>(x[j]);
      acc[j] = ((v > acc[j]) | (v != v)) ? v : acc[j];
    }
}

template <class T>
void exp_rows(double* __restrict acc, const double* __restrict shift, const T* __restrict x, T* __restrict y,
              const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride) {
    if (y) {
      for (int64_t j = 0; j < n; ++j) {
        const double e = exp_down(static_cast<double>(x[j]) - shift[j]);
        acc[j] += e;
        y[j] = static_cast<T>(e);
      }
      y += stride;
    } else {
      for (int64_t j = 0; j < n; ++j) acc[j] += exp_down(static_cast<double>(x[j]) - shift[j]);
    }
  }
}

// x may be y.
template <class T>
void affine_rows(const Affine& affine, const T* x, T* y, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  const double* __restrict a = affine.a;
  const double* __restrict b = affine.b;
  const double* __restrict factor = affine.factor;
  for (int64_t i = 0; i < rows; ++i, x += stride, y += stride)
    for (int64_t j = 0; j < n; ++j) y[j] = static_cast<T>(((static_cast<double>(x[j]) - a[j]) - b[j]) * factor[j]);
}

template <class T>
constexpr SoftmaxKernels<T> softmax_kernels = {max_rows<T>, exp_rows<T>, affine_rows<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const ReduceKernels reduce_kernels = {
    .add_rows_f32 = add_rows<float>,
    .add_rows_f64 = add_rows<double>,
    .add_squares_f32 = add_squares<float>,
    .add_squares_f64 = add_squares<double>,
    .softmax_f32 = softmax_kernels<float>,
    .softmax_f64 = softmax_kernels<double>,
};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
