// Tensors as text: xtensor lays them out, in NumPy's brackets.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/xtensor.hpp>
#if __has_include(<xtensor/io/xio.hpp>)
#include <xtensor/io/xio.hpp>
#else
#include <xtensor/xio.hpp>
#endif

#include <algorithm>
#include <ostream>
#include <string>

namespace limpid {
namespace {

template <class T>
std::string bracketed(const Tensor& x) {
  detail::TextStream text(6);
  text << view<T>(x);
  std::string result = std::move(text).str();
  for (char& c : result) c = c == '{' ? '[' : c == '}' ? ']' : c;
  return result;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& x) {
  if (!x.defined()) return out << "undefined tensor";
  if (x.numel() == 0)
    out << "[]";
  else if (is_floating_point(x.dtype())) {
    const Tensor wide = empty(x.shape(), float64);
    detail::copy_into(wide, x);
    double* p = wide.data<double>();
    std::transform(p, p + wide.numel(), p, detail::shown<double>);
    out << bracketed<double>(wide);
  } else if (x.dtype() == bool_) {
    out << bracketed<bool>(x);
  } else {
    const Tensor wide = detail::as_dtype(x, int64);
    out << bracketed<int64_t>(wide);
  }
  return out << ' ' << x.dtype() << ' ' << x.shape();
}

}  // namespace limpid
