// Tensors as text, in NumPy's brackets. No stream makes it, for streams have locales.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ostream>
#include <string>
#include <vector>

namespace limpid {
namespace {

constexpr int64_t edge = 3, most_in_full = 1000;  // elements: of a larger tensor the edges are shown
constexpr std::size_t line_width = 75;
constexpr int most_digits = 6;  // behind the point

// The indices of an axis of size n that are shown, in order: f(index, whether some before it are not).
template <class F>
void each_shown(int64_t n, bool cut, F&& f) {
  const bool skips = cut && n > 2 * edge;
  for (int64_t i = 0; i < n; ++i) {
    const bool after_gap = skips && i == edge;
    if (after_gap) i = n - edge;
    f(i, after_gap);
  }
}

// Where the elements that are shown lie, in elements from the first.
void gather(std::vector<int64_t>& places, const Tensor& x, std::size_t axis, int64_t at, bool cut) {
  if (axis == x.shape().size()) return places.push_back(at);
  each_shown(x.shape()[axis], cut,
             [&](int64_t i, bool) { gather(places, x, axis + 1, at + i * x.strides()[axis], cut); });
}

template <class... Format>
std::string number(double x, Format... format) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof text, x, format...).ptr};
}

// All with as many digits as one of them needs, or all with an exponent.
std::vector<std::string> texts(const std::vector<double>& elements) {
  bool scientific = false;
  int digits = 0;
  for (const double x : elements) {
    if (x == 0 || !std::isfinite(x)) continue;
    const double size = std::abs(x);
    scientific |= size <= 1e-6 || size >= 1e7;
    for (; digits < most_digits; ++digits) {
      const double shifted = x * std::pow(10, digits);
      if (std::floor(shifted) == shifted) break;
    }
  }
  std::vector<std::string> result;
  for (const double x : elements) {
    if (std::isnan(x)) {
      result.emplace_back("nan");  // its sign tells nothing
    } else if (scientific) {
      result.push_back(number(x, std::chars_format::scientific, most_digits));
    } else {
      std::string text = number(x, std::chars_format::fixed, digits);
      if (digits == 0 && std::isfinite(x)) text += '.';
      if (std::isfinite(x))
        std::replace(text.begin() + static_cast<std::ptrdiff_t>(text.find_last_not_of('0') + 1), text.end(), '0', ' ');
      result.push_back(std::move(text));
    }
  }
  for (std::string& text : result)
    if (text.front() != '-') text.insert(0, 1, ' ');
  return result;
}

std::vector<std::string> texts(const std::vector<int64_t>& elements) {
  std::vector<std::string> result;
  for (const int64_t x : elements) result.push_back(detail::message(x));
  return result;
}

std::vector<std::string> texts(const std::vector<uint8_t>& truths) {
  std::vector<std::string> result;
  for (const bool x : truths) result.emplace_back(x ? "true" : "false");
  return result;
}

// The cells of an axis and of those behind it, of which next is the first.
void lay_out(std::string& out, const std::string*& next, const Shape& shape, std::size_t axis, bool cut) {
  if (axis == shape.size()) {
    out += *next++;
    return;
  }
  const bool innermost = axis + 1 == shape.size();
  const std::string new_line = '\n' + std::string(axis + 1, ' ');
  const std::size_t most = line_width / (next->size() + 2);
  std::size_t on_line = 0;
  out += '[';
  each_shown(shape[axis], cut, [&](int64_t i, bool after_gap) {
    if (after_gap) out += innermost ? "..., " : "..., " + new_line;
    if (innermost && most != 0 && on_line++ == most) {
      out += new_line;
      on_line = 1;
    }
    lay_out(out, next, shape, axis + 1, cut);
    if (i + 1 < shape[axis]) out += innermost ? ", " : ',' + new_line;
  });
  out += ']';
}

// T: of the numbers of dtype wide, as which they are shown.
template <class T>
std::string bracketed(const Tensor& x, DType wide) {
  const bool cut = x.numel() > most_in_full;
  std::vector<int64_t> places;
  gather(places, x, 0, 0, cut);
  const std::size_t size = x.itemsize();
  Tensor shown = empty({static_cast<int64_t>(places.size())}, x.dtype());
  const auto* from = static_cast<const std::byte*>(x.raw_data());
  auto* to = static_cast<std::byte*>(shown.raw_data());
  for (const int64_t at : places) {
    std::memcpy(to, from + at * static_cast<int64_t>(size), size);
    to += size;
  }
  shown = detail::as_dtype(shown, wide);
  const auto* first = static_cast<const T*>(shown.raw_data());
  const std::vector<T> elements(first, first + places.size());
  std::vector<std::string> cells = texts(elements);
  std::size_t width = 0;
  for (const std::string& cell : cells) width = std::max(width, cell.size());
  for (std::string& cell : cells) cell.insert(0, width - cell.size(), ' ');
  std::string out;
  const std::string* next = cells.data();
  lay_out(out, next, x.shape(), 0, cut);
  return out;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& x) {
  if (!x.defined()) return out << "undefined tensor";
  if (x.numel() == 0)
    out << "[]";
  else if (is_floating_point(x.dtype()))
    out << bracketed<double>(x, float64);
  else if (x.dtype() == bool_)
    out << bracketed<uint8_t>(x, bool_);
  else
    out << bracketed<int64_t>(x, int64);
  return out << ' ' << x.dtype() << ' ' << x.shape();
}

}  // namespace limpid
