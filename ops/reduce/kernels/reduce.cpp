#include <limpid/ops/reduce/kernels/reduce.hpp>

#include <limpid/ops/elementwise/kernels/exp.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

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

// The compiler's own vectors, as wide as a register.
#if defined(__AVX512F__)
constexpr int64_t kBytes = 64;
#elif defined(__AVX__)
constexpr int64_t kBytes = 32;
#else
constexpr int64_t kBytes = 16;
#endif
template <class T>
constexpr int64_t kWidth = kBytes / static_cast<int64_t>(sizeof(T));
template <class T, int64_t width>
using Vector __attribute__((vector_size(width * sizeof(T)))) = T;
template <class T>
using Register = Vector<T, kWidth<T>>;

// As many elements as a register has of Acc. Not returned: how a vector is depends on the instruction set.
template <class Acc, class T>
inline void load(Register<Acc>& to, const T* x) noexcept {
  Vector<T, kWidth<Acc>> given;
  std::memcpy(&given, x, sizeof given);
  to = __builtin_convertvector(given, Register<Acc>);
}

template <int64_t half, class T, class Merge, int... lane>
inline void fold_register(Register<T>& a, const Merge& merge, std::integer_sequence<int, lane...> lanes) noexcept {
  merge(a, __builtin_shufflevector(a, a, ((lane + half) % kWidth<T>)...));
  if constexpr (half > 1) fold_register<half / 2, T>(a, merge, lanes);
}
// Lanes fold in halves of constant size: 0 and 32, 0 and 16, ... acc[k] holds the k-th registerful.
template <int64_t count, class T, class Merge>
inline T fold_lanes(Register<T>* acc, const Merge& merge) noexcept {
  if constexpr (count > 1) {
    for (int64_t k = 0; k < count / 2; ++k) merge(acc[k], acc[k + count / 2]);
    return fold_lanes<count / 2, T>(acc, merge);
  } else {
    fold_register<kWidth<T> / 2, T>(acc[0], merge, std::make_integer_sequence<int, static_cast<int>(kWidth<T>)>());
    return acc[0][0];
  }
}

// Of rows of n elements: take(acc, x) puts them into lanes but for those behind the last whole register. Lanes that get
// none hold a start, and so 16 do for a short row what 64 do for a long one.
template <int64_t lanes, class Acc, class T, class Take, class Merge>
inline void fold_runs(Acc* to, const T* x, const RowBlock& block, Acc start, const Take& take,
                      const Merge& merge) noexcept {
  const auto [rows, stride, n] = block;
  constexpr int64_t width = kWidth<Acc>, count = lanes / width;
  const int64_t rest = n % width;
  const T* const end = x + (rows - 1) * stride + n;
  Register<Acc> lane;
  for (int64_t j = 0; j < width; ++j) lane[j] = static_cast<Acc>(j);
  for (int64_t i = 0; i < rows; ++i, x += stride) {
    Register<Acc> acc[count];
    for (int64_t k = 0; k < count; ++k) acc[k] = Register<Acc>{} + start;
    take(acc, x);
    if (rest > 0) {
      // The register reaches into the next row, whose elements give way to starts; behind the last there is nothing.
      const T* from = x + n - rest;
      T last[width] = {};
      if (end - from < width) from = std::copy_n(from, rest, last) - rest;
      Register<Acc> some;
      load<Acc>(some, from);
      merge(acc[n / width % count], lane < static_cast<Acc>(rest) ? some : Register<Acc>{} + start);
    }
    to[i] = fold_lanes<count, Acc>(acc, merge);
  }
}

template <int64_t lanes, class T>
[[gnu::noinline]] void sum_runs_of(double* to, const T* x, const RowBlock& block) noexcept {
  using Doubles = Register<double>;
  constexpr int64_t width = kWidth<double>, count = lanes / width;
  const auto take = [n = block.columns](Doubles* acc, const T* from) {
    Doubles x0, x1, x2, x3;
    int64_t left = n;
    for (; left >= 4 * lanes; left -= 4 * lanes, from += 4 * lanes)
      for (int64_t k = 0; k < count; ++k) {
        load<double>(x0, from + k * width);
        load<double>(x1, from + k * width + lanes);
        load<double>(x2, from + k * width + 2 * lanes);
        load<double>(x3, from + k * width + 3 * lanes);
        acc[k] += (x0 + x1) + (x2 + x3);
      }
    for (; left >= lanes; left -= lanes, from += lanes)
      for (int64_t k = 0; k < count; ++k) {
        load<double>(x0, from + k * width);
        acc[k] += x0;
      }
    for (int64_t k = 0; left >= width; left -= width, ++k) {
      load<double>(x0, from + k * width);
      acc[k] += x0;
    }
  };
  fold_runs<lanes>(to, x, block, 0.0, take, [](Doubles& a, const Doubles& b) { a += b; });
}
template <class T>
void sum_runs(double* to, const T* x, const RowBlock& block) noexcept {
  block.columns <= 16 ? sum_runs_of<16>(to, x, block) : sum_runs_of<64>(to, x, block);
}

// a becomes b where that is further out or NaN; a NaN stays, for nothing is further. Numbers or vectors.
template <bool largest, class V>
inline void take_further(V& a, const V& b) noexcept {
  a = ((largest ? b > a : b < a) | (b != b)) ? b : a;
}

template <bool largest, class T>
void extreme_rows(T* __restrict acc, const T* __restrict x, const RowBlock& block) noexcept {
  const auto [rows, stride, n] = block;
  for (int64_t i = 0; i < rows; ++i, x += stride)
    for (int64_t j = 0; j < n; ++j) take_further<largest>(acc[j], x[j]);
}

template <int64_t lanes, bool largest, class T>
[[gnu::noinline]] void extreme_runs_of(T* to, const T* x, const RowBlock& block) noexcept {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  constexpr int64_t width = kWidth<T>, count = lanes / width;
  const auto merge = [](Register<T>& a, const Register<T>& b) { take_further<largest, Register<T>>(a, b); };
  const auto take = [n = block.columns, &merge](Register<T>* acc, const T* from) {
    Register<T> some;
    int64_t left = n;
    for (; left >= lanes; left -= lanes, from += lanes)
      for (int64_t k = 0; k < count; ++k) {
        load<T>(some, from + k * width);
        merge(acc[k], some);
      }
    for (int64_t k = 0; left >= width; left -= width, ++k) {
      load<T>(some, from + k * width);
      merge(acc[k], some);
    }
  };
  fold_runs<lanes>(to, x, block, largest ? -infinity : infinity, take, merge);
}
template <bool largest, class T>
void extreme_runs(T* to, const T* x, const RowBlock& block) noexcept {
  block.columns <= 16 ? extreme_runs_of<16, largest>(to, x, block) : extreme_runs_of<64, largest>(to, x, block);
}
template <bool largest, class T>
constexpr FoldKernels<T, T> extreme_kernels = {.rows = extreme_rows<largest, T>, .runs = extreme_runs<largest, T>};

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

// By bits: a comparison with NaN would signal an invalid operation. Exponents of all ones and of all zeros are those
// that leave 63 bits by a step up or down, and a sign is the 64th.
bool all_positive_normal(const double* x, int64_t count) noexcept {
  constexpr auto step = std::uint64_t{1} << 52;
  std::uint64_t left = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(x[i]);
    left |= (bits + step) | (bits - step);
  }
  return left >> 63 == 0;
}

template <class T>
constexpr SoftmaxKernels<T> softmax_kernels = {max_rows<T>, exp_rows<T>, affine_rows<T>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const ReduceKernels reduce_kernels = {
    .sum_f32 = {.rows = add_rows<float>, .runs = sum_runs<float>},
    .sum_f64 = {.rows = add_rows<double>, .runs = sum_runs<double>},
    .max_f32 = extreme_kernels<true, float>,
    .min_f32 = extreme_kernels<false, float>,
    .max_f64 = extreme_kernels<true, double>,
    .min_f64 = extreme_kernels<false, double>,
    .add_squares_f32 = add_squares<float>,
    .add_squares_f64 = add_squares<double>,
    .softmax_f32 = softmax_kernels<float>,
    .softmax_f64 = softmax_kernels<double>,
    .all_positive_normal = all_positive_normal,
};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
