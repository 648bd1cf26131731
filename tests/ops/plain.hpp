// What the tests of ops share: values as doubles, layouts, tolerances.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/random.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/settings.hpp>

namespace plain {

using namespace limpid;

/// x's values in row-major order.
inline std::vector<double> values(const Tensor& x) {
  const Tensor y = detail::as_contiguous(detail::as_dtype(x.detach(), float64));
  return std::vector<double>(y.data<double>(), y.data<double>() + y.numel());
}

inline Tensor from_values(const std::vector<double>& v, const Shape& shape, DType dtype = float64) {
  return detail::as_dtype(from_vector(v, shape), dtype);
}

inline Tensor noise(const Shape& shape, DType dtype, MemoryFormat format = MemoryFormat::contiguous) {
  const Tensor x = empty(shape, dtype, format);
  detail::copy_into(x, randn(shape, dtype));
  return x;
}

/// x with axes in reverse order of memory, and gaps between the elements.
inline Tensor strided(const Tensor& x) {
  Strides strides(x.shape().size(), 0);
  int64_t step = 2;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    strides[i] = step;
    step *= x.shape()[i];
  }
  const Tensor y = detail::make_view(zeros({step}, x.dtype()), x.shape(), strides, 1);
  detail::copy_into(y, x);
  return y;
}

/// x, or another tensor of its shape, in a layout of this name.
inline Tensor in_layout(const Tensor& x, const std::string& layout) {
  if (layout == "contiguous") return x;
  if (layout == "channels_last") return x.contiguous(MemoryFormat::channels_last);
  if (layout == "channels_last sliced")
    return slice(cat({x, x}, 1).contiguous(MemoryFormat::channels_last), 1, 0, x.size(1));
  if (layout == "expanded") return expand(slice(x, 0, 0, std::min<int64_t>(1, x.size(0))), x.shape());
  if (layout == "flipped") return flip(x, {2});
  if (layout == "gaps") return select(stack({x, x}, x.dim()), x.dim(), 1);
  if (layout == "strided") return strided(x);
  FAIL("no layout " << layout);
  return {};
}

inline double epsilon(DType dtype) {
  return dtype == float64 ? std::numeric_limits<double>::epsilon() : double{std::numeric_limits<float>::epsilon()};
}

/// Largest |a - b| over scale * eps.
inline double error(const Tensor& a, const std::vector<double>& b, double scale) {
  const auto va = values(a);
  REQUIRE(va.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < b.size(); ++i) worst = std::max(worst, std::abs(va[i] - b[i]));
  return worst / (scale * epsilon(a.dtype()));
}

inline double dot(const Tensor& a, const Tensor& b) {
  const auto va = values(a), vb = values(b);
  REQUIRE(a.shape() == b.shape());
  long double sum = 0;
  for (std::size_t i = 0; i < va.size(); ++i) sum += static_cast<long double>(va[i]) * static_cast<long double>(vb[i]);
  return static_cast<double>(sum);
}

/// What f throws as E, or "" where it does not.
template <class E, class F>
std::string thrown(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string("another exception: ") + e.what();
  }
  return "";
}

inline bool same_bits(const Tensor& a_any, const Tensor& b_any) {
  const Tensor a = detail::as_contiguous(a_any), b = detail::as_contiguous(b_any);
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const auto same = [&]<class T>(T) {
    return std::memcmp(a.data<T>(), b.data<T>(), static_cast<std::size_t>(a.numel()) * sizeof(T)) == 0;
  };
  return a.dtype() == float32 ? same(float{}) : same(double{});
}

/// Checks that run(), which gives Tensors, gives the same bits for any number of threads.
template <class F>
void check_threads(F&& run) {
  const auto at = [&](int threads) {
    const test::WithThreads with(threads);
    return run();
  };
  const Tensors expected = at(1);
  for (int threads : {2, 3, 7}) {
    const Tensors found = at(threads);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(threads, i);
      CHECK(same_bits(found[i], expected[i]));
    }
  }
}

}  // namespace plain
