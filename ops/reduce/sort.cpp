// Sorting, and what is told from sorted elements. NaN is the greatest number, and what is equal keeps its order.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>

namespace limpid {

using detail::require_defined;
using detail::throw_error;

namespace {

template <class T>
bool is_less(T a, T b) {
  return a < b || (b != b && a == a);
}

// What is compared: of half precision, the same numbers as float32.
Tensor keys(const Tensor& x) { return x.to(detail::compute_type(x.dtype())); }

// A whole number in the order of x: one for -0 and 0, and the greatest for NaN.
template <class T>
auto rank_of(T x) noexcept {
  using U = std::conditional_t<sizeof(T) <= sizeof(uint32_t), uint32_t, uint64_t>;
  constexpr U top = U{1} << (std::numeric_limits<U>::digits - 1);
  if constexpr (std::is_floating_point_v<T>) {
    const U bits = std::bit_cast<U>(x), size = bits & ~top;
    if (size > std::bit_cast<U>(std::numeric_limits<T>::infinity())) return ~U{0};
    return size == 0 ? top : bits & top ? ~bits : bits | top;
  } else {
    return std::is_signed_v<T> ? static_cast<U>(x) ^ top : static_cast<U>(x);
  }
}

// The k first of n numbers, number(0) to number(n - 1), in order.
template <class F>
void sort_first(uint64_t* first, int64_t k, int64_t n, F number) {
  for (int64_t i = 0; i < k; ++i) first[i] = number(i);
  if (k == n) return std::sort(first, first + n);
  if (k == 0) return;
  std::make_heap(first, first + k);
  for (int64_t i = k; i < n; ++i)
    if (const uint64_t next = number(i); next < first[0]) {
      std::pop_heap(first, first + k);
      first[k - 1] = next;
      std::push_heap(first, first + k);
    }
  std::sort_heap(first, first + k);
}

// The indices along axis of the k first elements in the order asked for. Equal ones are told apart by their indices,
// so that no sort need be a stable one.
Tensor order(const Tensor& x, int64_t axis, int64_t k, bool descending) {
  const NoGradGuard guard;
  const Tensor rows = transpose(keys(x), axis, -1).contiguous();
  const Tensor index = empty(rows.shape(), int64);
  const int64_t n = rows.size(-1), count = n ? rows.numel() / n : 0;
  const auto grain = std::max<int64_t>(detail::elementwise_grain / 8 / std::max<int64_t>(n, 1), 1);
  detail::visit_number(rows.dtype(), [&]<class T>(T) {
    using U = decltype(rank_of(T{}));
    const T* from = rows.data<T>();
    const U turned = descending ? ~U{0} : U{0};
    if (sizeof(U) == sizeof(uint32_t) && n <= std::numeric_limits<uint32_t>::max()) {
      // A rank and an index behind it are one number.
      auto* to = static_cast<uint64_t*>(index.raw_data());
      parallel_for(count, grain, [=](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          uint64_t* at = to + r * n;
          sort_first(at, k, n, [row = from + r * n, turned](int64_t i) {
            return uint64_t{rank_of(row[i]) ^ turned} << 32 | static_cast<uint64_t>(i);
          });
          for (int64_t i = 0; i < k; ++i) at[i] &= std::numeric_limits<uint32_t>::max();
        }
      });
    } else {
      const Tensor ranks = empty(rows.shape(), int64);
      auto* rank = static_cast<uint64_t*>(ranks.raw_data());
      parallel_for(count, grain, [=, to = index.data<int64_t>()](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          uint64_t* of_row = rank + r * n;
          for (int64_t i = 0; i < n; ++i) of_row[i] = rank_of(from[r * n + i]) ^ turned;
          int64_t* at = to + r * n;
          std::iota(at, at + n, int64_t{0});
          const auto is_before = [of_row](int64_t i, int64_t j) {
            return of_row[i] < of_row[j] || (of_row[i] == of_row[j] && i < j);
          };
          if (k < n)
            std::partial_sort(at, at + k, at + n, is_before);
          else
            std::sort(at, at + n, is_before);
        }
      });
    }
  });
  return transpose(slice(index, -1, 0, k), axis, -1).contiguous();
}

}  // namespace

Tensor argsort(const Tensor& x, int64_t axis, bool descending) {
  const detail::OpScope scope("argsort");
  require_defined("argsort", x);
  const int64_t along = normalize_axis(axis, x.dim(), "argsort");
  return order(x, along, x.size(along), descending);
}

Selection sort(const Tensor& x, int64_t axis, bool descending) {
  const detail::OpScope scope("sort");
  require_defined("sort", x);
  const int64_t along = normalize_axis(axis, x.dim(), "sort");
  const Tensor indices = order(x, along, x.size(along), descending);
  return {gather(x, along, indices), indices};
}

Selection topk(const Tensor& x, int64_t k, int64_t axis, bool largest) {
  const detail::OpScope scope("topk");
  require_defined("topk", x);
  const int64_t along = normalize_axis(axis, x.dim(), "topk");
  if (k < 0 || k > x.size(along))
    throw_error<ValueError>("topk: expected k in [0, ", x.size(along), "] for axis ", axis, " of x of shape ",
                            x.shape(), ", got ", k);
  const Tensor indices = order(x, along, k, largest);
  return {gather(x, along, indices), indices};
}

Selection median(const Tensor& x, int64_t axis, bool keepdims) {
  const detail::OpScope scope("median");
  require_defined("median", x);
  const int64_t along = normalize_axis(axis, x.dim(), "median"), n = x.size(along);
  if (n == 0)
    throw_error<ShapeError>("median: expected at least one element along axis ", axis, ", got x of shape ", x.shape());
  const Tensor sorted = order(x, along, n, false);
  // The first NaN where there is one: they are the last.
  const Tensor nans = sum(isnan(x.detach()), {along}, true), place = where(nans > 0, n - nans, (n - 1) / 2);
  const Tensor indices = gather(sorted, along, place), values = gather(x, along, indices);
  return keepdims ? Selection{values, indices} : Selection{squeeze(values, {along}), squeeze(indices, {along})};
}

Tensor quantile(const Tensor& x, double q, int64_t axis, bool keepdims) {
  require_defined("quantile", x);
  detail::ranges::expect("quantile", {{"q", q, detail::ranges::fraction}});
  if (!is_floating_point(x.dtype()))
    throw_error<DTypeError>("quantile: expected a floating-point dtype, got ", x.dtype());
  const int64_t along = normalize_axis(axis, x.dim(), "quantile"), n = x.size(along);
  if (n == 0)
    throw_error<ShapeError>("quantile: expected at least one element along axis ", axis, ", got x of shape ",
                            x.shape());
  if (Tensor y = detail::promoted(x.dtype(), x, [=](const Tensor& z) { return quantile(z, q, along, keepdims); });
      y.defined())
    return y;
  const Tensor sorted = sort(x, along).values;
  const double place = q * static_cast<double>(n - 1), weight = place - std::floor(place);
  const auto low = static_cast<int64_t>(place);
  const auto at = [&](int64_t i) { return slice(sorted, along, i, i + 1); };
  Tensor y = at(low);
  if (weight > 0) {
    // Between an infinite number and another lies the infinite one, without a product of 0 and infinity. What lies so
    // far apart that the difference would be infinite is halved first.
    const Tensor a = y, b = at(low + 1), finite = logical_and(isfinite(a), isfinite(b));
    const Tensor from = where(finite, a, 0), to = where(finite, b, 0);
    const Tensor scale = where(isinf(to.detach() - from.detach()), 0.5, 1).to(x.dtype());
    y = where(finite, lerp(from * scale, to * scale, weight) / scale, where(isfinite(a), b, a));
  }
  const Tensor last = at(n - 1);
  y = where(isnan(last), last, y);
  return keepdims ? y : squeeze(y, {along});
}

Tensor quantile(const Tensor& x, double q) {
  require_defined("quantile", x);
  return quantile(reshape(x, {-1}), q, 0);
}

Unique unique(const Tensor& x) {
  const detail::OpScope scope("unique");
  require_defined("unique", x);
  const NoGradGuard guard;
  const Tensor flat = reshape(x.detach(), {-1}), key = keys(flat).contiguous(),
               at = order(flat, 0, flat.numel(), false);
  const int64_t n = flat.numel();
  const Tensor inverse = empty({n}, int64), first = empty({n}, int64), counts = empty({n}, int64);
  const int64_t* place = at.data<int64_t>();
  int64_t found = 0;
  detail::visit_number(key.dtype(), [&]<class T>(T) {
    const T* value = key.data<T>();
    for (int64_t i = 0; i < n; ++i) {
      if (i == 0 || is_less(value[place[i - 1]], value[place[i]])) {
        first.data<int64_t>()[found] = place[i];
        counts.data<int64_t>()[found++] = 0;
      }
      inverse.data<int64_t>()[place[i]] = found - 1;
      ++counts.data<int64_t>()[found - 1];
    }
  });
  return {index_select(flat, 0, slice(first, 0, 0, found)), reshape(inverse, x.shape()),
          slice(counts, 0, 0, found).clone()};
}

Tensor bincount(const Tensor& x, const Tensor& weights, int64_t minlength) {
  require_defined("bincount", x);
  detail::ranges::expect("bincount", {{"minlength", minlength, {0, detail::ranges::infinity, false, true}}});
  if (is_floating_point(x.dtype()) || x.dtype() == bool_)
    throw_error<DTypeError>("bincount: expected integers, got ", x.dtype());
  if (x.dim() != 1) throw_error<ShapeError>("bincount: expected one axis, got x of shape ", x.shape());
  if (weights.defined() && weights.shape() != x.shape())
    throw_error<ShapeError>("bincount: expected weights of x's shape ", x.shape(), ", got ", weights.shape());
  const Tensor bins = x.to(int64);
  int64_t length = minlength;
  if (x.numel() > 0) {
    const int64_t least = min(bins).item<int64_t>(), most = max(bins).item<int64_t>();
    if (least < 0) throw_error<ValueError>("bincount: expected numbers of at least 0, got ", least);
    length = std::max(length, std::min(most, int64_t{1} << 56) + 1);  // a shape refuses more
  }
  if (!weights.defined()) return scatter_add({length}, 0, bins, ones({x.numel()}, int64));
  // As in sum(): what counts or weighs in small integers is added in large ones.
  return scatter_add({length}, 0, bins, is_floating_point(weights.dtype()) ? weights : weights.to(int64));
}

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right) {
  const detail::OpScope scope("searchsorted");
  require_defined("searchsorted", "sorted", sorted);
  require_defined("searchsorted", "values", values);
  const bool is_shared = sorted.dim() == 1;
  bool fits = sorted.dim() > 0 && (is_shared || values.dim() == sorted.dim());
  for (int64_t axis = 0; fits && !is_shared && axis + 1 < sorted.dim(); ++axis)
    fits = sorted.size(axis) == values.size(axis);
  if (!fits)
    throw_error<ShapeError>(
        "searchsorted: expected sorted of one axis, or of values' shape but for the last axis, got ", sorted.shape(),
        " and values of shape ", values.shape());
  const NoGradGuard guard;
  const DType dtype = detail::compute_type(promote_types(sorted.dtype(), values.dtype()));
  const Tensor rows = sorted.to(dtype).contiguous(), wanted = values.to(dtype).contiguous(),
               y = empty(values.shape(), int64);
  const int64_t n = rows.size(-1),
                each = is_shared ? std::max<int64_t>(wanted.numel(), 1) : std::max<int64_t>(wanted.size(-1), 1);
  detail::visit_number(dtype, [&]<class T>(T) {
    parallel_for(wanted.numel(), detail::elementwise_grain / 16,
                 [&, row = rows.data<T>(), v = wanted.data<T>(), to = y.data<int64_t>()](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const T *first = row + i / each * n, *last = first + n;
                     to[i] = (right ? std::upper_bound(first, last, v[i], is_less<T>)
                                    : std::lower_bound(first, last, v[i], is_less<T>)) -
                             first;
                   }
                 });
  });
  return y;
}

}  // namespace limpid
