// Tensors as text, in NumPy's brackets. No stream makes it, for streams have locales.
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/tensor.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
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

// The elements that are shown, of dense data.
template <class T>
void gather(std::vector<T>& elements, const T* data, const Shape& shape, std::size_t axis, int64_t at, bool cut) {
  if (axis == shape.size()) return elements.push_back(data[at]);
  each_shown(shape[axis], cut,
             [&](int64_t i, bool) { gather(elements, data, shape, axis + 1, at * shape[axis] + i, cut); });
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

template <class T>
std::string bracketed(const Tensor& dense) {
  const bool cut = dense.numel() > most_in_full;
  std::vector<T> elements;
  gather(elements, static_cast<const T*>(dense.raw_data()), dense.shape(), 0, 0, cut);
  std::vector<std::string> cells = texts(elements);
  std::size_t width = 0;
  for (const std::string& cell : cells) width = std::max(width, cell.size());
  for (std::string& cell : cells) cell.insert(0, width - cell.size(), ' ');
  std::string out;
  const std::string* next = cells.data();
  lay_out(out, next, dense.shape(), 0, cut);
  return out;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& x) {
  if (!x.defined()) return out << "undefined tensor";
  const auto as = [&](DType dtype) { return detail::as_contiguous(detail::as_dtype(x, dtype)); };
  if (x.numel() == 0)
    out << "[]";
  else if (is_floating_point(x.dtype()))
    out << bracketed<double>(as(float64));
  else if (x.dtype() == bool_)
    out << bracketed<uint8_t>(as(bool_));
  else
    out << bracketed<int64_t>(as(int64));
  return out << ' ' << x.dtype() << ' ' << x.shape();
}

}  // namespace limpid
