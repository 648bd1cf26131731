// Filling, copying and comparing strided memory.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/core/tensor.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

namespace limpid {
namespace detail {
namespace {

// To be rounded to half precision.
template <class From>
float before_half(From x) noexcept {
  if constexpr (std::is_same_v<From, float>)
    return x;
  else if constexpr (std::is_same_v<From, int64_t>)
    return odd_float(x);
  else
    return odd_float(static_cast<double>(x));
}

template <class To, class From>
To convert(From x) noexcept {
  if constexpr (std::is_same_v<To, From>)
    return x;
  else if constexpr (!std::is_arithmetic_v<From>)
    return convert<To>(to_float(x));
  else if constexpr (std::is_same_v<To, Half>)
    return to_half(before_half(x));
  else if constexpr (std::is_same_v<To, BFloat16>)
    return to_bfloat16(before_half(x));
  else if constexpr (std::is_same_v<To, bool>)
    return x != From{};
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Plain casts of values out of range are undefined: this is what x86-64's instructions give, and so NumPy there.
    using Wide = std::conditional_t<sizeof(To) == sizeof(int64_t), int64_t, int32_t>;
    constexpr Wide lowest = std::numeric_limits<Wide>::min();
    constexpr From bottom = static_cast<From>(lowest);
    return static_cast<To>(x >= bottom && x < -bottom ? static_cast<Wide>(x) : lowest);
  } else
    return static_cast<To>(x);
}

// n elements, steps in elements. One function per pair of dtypes, so that the loop around them is compiled once.
using ConvertRun = void (*)(const void* from, int64_t from_step, void* to, int64_t to_step, int64_t n);

template <class To, class From>
void convert_run(const void* from, int64_t from_step, void* to, int64_t to_step, int64_t n) noexcept {
  const auto* f = static_cast<const From*>(from);
  auto* t = static_cast<To*>(to);
  if constexpr (std::is_same_v<To, float> && is_half(dtype_of<From>())) {
    if (from_step == 1 && to_step == 1) return kernels::half_kernels(dtype_of<From>()).widen(f, t, n);
  } else if constexpr (is_half(dtype_of<To>()) && std::is_same_v<From, float>) {
    if (from_step == 1 && to_step == 1) return kernels::half_kernels(dtype_of<To>()).narrow(f, t, n, false);
  }
  if (from_step == 1 && to_step == 1)
    for (int64_t i = 0; i < n; ++i) t[i] = convert<To>(f[i]);
  else
    for (int64_t i = 0; i < n; ++i) t[i * to_step] = convert<To>(f[i * from_step]);
}

ConvertRun convert_run_for(DType to, DType from) {
  return visit_dtype(to, [&]<class To>(To) {
    return visit_dtype(from, []<class From>(From) -> ConvertRun { return convert_run<To, From>; });
  });
}

}  // namespace

void copy_into(const Tensor& y, const Tensor& source) {
  if (broadcast_shapes(y.shape(), source.shape(), "copy_") != y.shape())
    throw_error<ShapeError>("copy_: expected a source that broadcasts to ", y.shape(), ", got ", source.shape());
  if (y.numel() == 0) return;
  if (y.dtype() == source.dtype() && y.shape() == source.shape() && y.strides() == source.strides() &&
      (y.is_contiguous() || y.is_contiguous(MemoryFormat::channels_last))) {
    const int64_t size = static_cast<int64_t>(y.itemsize());
    auto* to = static_cast<std::byte*>(y.raw_data());
    const auto* from = static_cast<const std::byte*>(source.raw_data());
    parallel_for(y.numel(), 4 * elementwise_grain, [&](int64_t begin, int64_t end) {
      std::memmove(to + begin * size, from + begin * size, static_cast<std::size_t>((end - begin) * size));
    });
    return;
  }
  const ConvertRun run = convert_run_for(y.dtype(), source.dtype());
  auto* to = static_cast<std::byte*>(y.raw_data());
  const auto* from = static_cast<const std::byte*>(source.raw_data());
  const auto to_size = static_cast<int64_t>(y.itemsize()), from_size = static_cast<int64_t>(source.itemsize());
  const StridedLoop<2> loop(y.shape(), {y.strides(), broadcast_strides(source.shape(), source.strides(), y.shape())});
  loop.run([=](int64_t count, const auto& offset, const auto& step) {
    run(from + offset[1] * from_size, step[1], to + offset[0] * to_size, step[0], count);
  });
}

void fill(const Tensor& y, Scalar value, const char* op) {
  visit_dtype(y.dtype(), [&]<class T>(T) {
    const T filler = number<T>(op, value);
    if (y.numel() == 0) return;
    const StridedLoop<1> loop(y.shape(), {y.strides()});
    T* to = y.data<T>();
    loop.run([=](int64_t count, const auto& offset, const auto& step) {
      T* t = to + offset[0];
      if (step[0] == 1)
        std::fill_n(t, count, filler);
      else
        for (int64_t i = 0; i < count; ++i) t[i * step[0]] = filler;
    });
  });
}

namespace {

// True where ok(a, b) holds for every pair of elements, as T.
template <class T, class F>
bool all_pairs(const Tensor& a, const Tensor& b, F ok) {
  const StridedLoop<2> loop(a.shape(), {a.strides(), b.strides()});
  std::atomic<bool> good{true};
  const T *pa = a.data<T>(), *pb = b.data<T>();
  loop.run([&](int64_t count, const auto& offset, const auto& step) {
    const T *x = pa + offset[0], *y = pb + offset[1];
    for (int64_t i = 0; i < count; ++i)
      if (!ok(x[i * step[0]], y[i * step[1]])) {
        good.store(false, std::memory_order_relaxed);
        return;
      }
  });
  return good;
}

}  // namespace
}  // namespace detail

bool equal(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  if (a.numel() == 0) return true;
  if (is_half(a.dtype())) return equal(detail::as_dtype(a, float32), detail::as_dtype(b, float32));
  bool result = false;
  detail::visit_number(a.dtype(),
                       [&]<class T>(T) { result = detail::all_pairs<T>(a, b, [](T x, T y) { return x == y; }); });
  return result;
}

namespace {

// Integers are compared as they are: doubles lack some from 2^53 on.
bool integers_close(const Tensor& a, const Tensor& b, double rtol, double atol) {
  return detail::all_pairs<int64_t>(detail::as_dtype(a, int64), detail::as_dtype(b, int64), [=](int64_t x, int64_t y) {
    if (x == y) return true;
    const uint64_t p = static_cast<uint64_t>(x), q = static_cast<uint64_t>(y), distance = x > y ? p - q : q - p;
    const double bound = atol + rtol * std::abs(static_cast<double>(y));
    return bound >= 0x1p64 || (bound >= 1 && distance <= static_cast<uint64_t>(bound));
  });
}

}  // namespace

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  if (!(rtol >= 0)) detail::throw_error<ValueError>("allclose: expected rtol of at least 0, got ", rtol);
  if (!(atol >= 0)) detail::throw_error<ValueError>("allclose: expected atol of at least 0, got ", atol);
  if (a.shape() != b.shape()) return false;
  if (a.numel() == 0) return true;
  if (!is_floating_point(a.dtype()) && !is_floating_point(b.dtype())) return integers_close(a, b, rtol, atol);
  return detail::all_pairs<double>(detail::as_dtype(a, float64), detail::as_dtype(b, float64), [=](double x, double y) {
    if (x == y) return true;
    if (std::isnan(x) && std::isnan(y)) return equal_nan;
    return std::isfinite(x) && std::isfinite(y) && std::abs(x - y) <= atol + rtol * std::abs(y);
  });
}

}  // namespace limpid
