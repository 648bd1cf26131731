#include <limpid/ops/reduce/kernels/reduce.hpp>

#include <bit>

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

// exp(x) for x <= 0 to about 1 ulp: x = k ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor series to r^13 / 13!,
// whose remainder is below 2^-58. 0 below -708, where 2^k would leave the normal range; NaN stays.
inline double exp_down(double x) noexcept {
  constexpr double log2e = 1.4426950408889634074, ln2_high = 6.93147180369123816490e-01,
                   ln2_low = 1.90821492927058770002e-10, round = 0x1.8p52;
  // By a mask of bits, for of two choices the compiler would make one at the end, and -infinity raise exceptions
  // before.
  const std::uint64_t kept = x < -708 ? 0 : ~std::uint64_t{0};
  const double inside = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & kept);
  const double shifted = inside * log2e + round;  // the nearest integer, in the low bits
  const double k = shifted - round;
  const double r = (inside - k * ln2_high) - k * ln2_low;
  // Horner, written out: a loop here would keep the loop around it from becoming vectors.
  double p = 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1;
  p = p * r + 1;
  const double power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(p * power) & kept);
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
