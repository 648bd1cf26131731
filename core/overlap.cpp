#include <limpid/core/detail/overlap.hpp>

#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace limpid::detail {
namespace {

// The integers from low to high, each times step.
struct Term {
  int64_t step, low, high;
};

// One for each axis of two tensors, and one for the bytes of their elements.
struct Terms {
  std::array<Term, 2 * 64 + 1> terms;
  std::size_t count = 0;

  // Adds i * step for the i from 0 to last, or its negative. Two of one step make one, for their ranges have no gaps.
  void add(int64_t step, int64_t last, bool negative) noexcept {
    if (step == 0 || last == 0) return;
    if (step < 0) negative = !negative;
    const Term term{std::abs(step), negative ? -last : 0, negative ? 0 : last};
    for (std::size_t i = 0; i < count; ++i)
      if (terms[i].step == term.step) {
        terms[i].low += term.low;
        terms[i].high += term.high;
        return;
      }
    terms[count++] = term;
  }
  void add_axes(const Tensor& x, bool negative) noexcept {
    const auto size = static_cast<int64_t>(x.itemsize());
    for (std::size_t i = 0; i < x.shape().size(); ++i) add(x.strides()[i] * size, x.shape()[i] - 1, negative);
    add(1, size - 1, negative);
  }
};

// Addresses of the first and of behind the last byte of x, which has elements.
struct Range {
  const std::byte *begin, *end;
};
Range range_of(const Tensor& x) noexcept {
  const auto size = static_cast<int64_t>(x.itemsize());
  int64_t low = 0, high = 0;
  if (x.impl().layout->is_gapless())  // at once, for optimisers ask at each step
    high = (x.numel() - 1) * size;
  else
    for (std::size_t i = 0; i < x.shape().size(); ++i) {
      const int64_t reach = (x.shape()[i] - 1) * x.strides()[i] * size;
      (reach < 0 ? low : high) += reach;
    }
  const auto* first = static_cast<const std::byte*>(x.raw_data());
  return {first + low, first + high + size};
}

// Whether terms among these from the i-th on can sum to total. Steps fall: an ordinary layout leaves one or two values
// to try of each. budget bounds the trials where a layout is none such.
bool can_sum(const Terms& among, std::size_t i, int64_t total, int& budget) noexcept {
  if (i == among.count) return total == 0;
  if (--budget < 0) return true;
  int64_t rest_low = 0, rest_high = 0;
  for (std::size_t j = i + 1; j < among.count; ++j) {
    rest_low += among.terms[j].step * among.terms[j].low;
    rest_high += among.terms[j].step * among.terms[j].high;
  }
  const Term& term = among.terms[i];
  const auto floor = [&](int64_t a) { return a / term.step - (a % term.step < 0 ? 1 : 0); };
  const int64_t first = std::max(term.low, -floor(rest_high - total)),
                last = std::min(term.high, floor(total - rest_low));
  for (int64_t k = first; k <= last; ++k)
    if (can_sum(among, i + 1, total - k * term.step, budget)) return true;
  return false;
}

}  // namespace

bool overlaps_itself(const Tensor& x) noexcept {
  if (x.impl().layout->is_gapless() || x.numel() < 2) return false;
  // Axes by rising step: each must step over all that the faster ones reach.
  const Shape &shape = x.shape(), &strides = x.strides();
  std::array<std::size_t, 64> order;
  std::size_t count = 0;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] > 1) order[count++] = i;
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count),
            [&](std::size_t a, std::size_t b) { return std::abs(strides[a]) < std::abs(strides[b]); });
  int64_t reach = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const int64_t step = std::abs(strides[order[k]]);
    if (step <= reach) return true;
    reach += (shape[order[k]] - 1) * step;
  }
  return false;
}

bool overlaps(const Tensor& a, const Tensor& b) noexcept {
  if (a.numel() == 0 || b.numel() == 0) return false;
  const Range ra = range_of(a), rb = range_of(b);
  if (ra.end <= rb.begin || rb.end <= ra.begin) return false;
  // Whether the addresses of a byte of a and of one of b can differ by nothing.
  Terms of_both;
  of_both.add_axes(a, false);
  of_both.add_axes(b, true);
  std::sort(of_both.terms.begin(), of_both.terms.begin() + static_cast<std::ptrdiff_t>(of_both.count),
            [](const Term& p, const Term& q) { return p.step > q.step; });
  int budget = 10000;
  return can_sum(of_both, 0, static_cast<const std::byte*>(b.raw_data()) - static_cast<const std::byte*>(a.raw_data()),
                 budget);
}

bool coincides(const Tensor& a, const Tensor& b) noexcept {
  return a.raw_data() == b.raw_data() && a.dtype() == b.dtype() && a.shape() == b.shape() && a.strides() == b.strides();
}

void require_writable(const char* op, const Tensor& x) {
  if (!x.defined()) throw_error<ValueError>(op, ": expected a defined tensor, got an undefined tensor");
  if (x.impl().storage->is_read_only())
    throw_error<ValueError>(op, ": expected a tensor whose values are its own, got one of shape ", x.shape(),
                            " that is computed from others wherever it is read; change those, or a clone()");
  if (overlaps_itself(x))
    throw_error<ValueError>(op, ": expected a tensor with a place for each element, got one of shape ", x.shape(),
                            " and strides ", x.strides(), ", in which some may share one; clone() it first");
}

}  // namespace limpid::detail
