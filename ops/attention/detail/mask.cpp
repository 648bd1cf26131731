#include <limpid/ops/attention/detail/mask.hpp>

#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/shaping.hpp>

#include <cstddef>
#include <type_traits>

namespace limpid::detail {

namespace {

template <class T>
auto number(T x) noexcept {
  if constexpr (std::is_arithmetic_v<T>)
    return x;
  else
    return to_float(x);
}

// Whether all are 0 or 1; stops at the first that is neither.
template <class T>
bool scan(const Tensor& x, bool& has_one) {
  const Shape& shape = x.shape();
  const Strides& strides = x.strides();
  const std::size_t last = shape.size() - 1;
  for (int64_t row = 0; row < x.numel() / shape[last]; ++row) {
    const T* at = x.data<T>();
    int64_t rest = row;
    for (std::size_t a = last; a-- > 0; rest /= shape[a]) at += rest % shape[a] * strides[a];
    for (int64_t j = 0; j < shape[last]; ++j) {
      const auto value = number(at[j * strides[last]]);
      if (value == 1)
        has_one = true;
      else if (value != 0)
        return false;
    }
  }
  return true;
}

}  // namespace

Tensor distinct(const Tensor& x, int64_t kept) {
  Tensor y = x;
  for (int64_t a = 0; a + kept < x.dim(); ++a)
    if (x.size(a) > 1 && x.strides()[static_cast<std::size_t>(a)] == 0) y = slice(y, a, 0, 1);
  return y;
}

bool is_of_zeros_and_ones(const Tensor& mask) {
  if (mask.numel() == 0) return false;
  const Tensor own = distinct(mask.detach(), 0), x = own.dim() == 0 ? reshape(own, {1}) : own;
  bool only = true, has_one = false;
  visit_dtype(x.dtype(), [&]<class T>(T) { only = scan<T>(x, has_one); });
  return only && has_one;
}

}  // namespace limpid::detail
