// Sorting, and what is told from sorted elements. NaN is the greatest number, and what is equal keeps its order.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/strided.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/reduce/kernels/order.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>

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

// A rank, and behind it the index, by which equal ranks are told apart: no sort need be a stable one. A narrow one has
// 32 bits of each.
struct NarrowKey {
  uint64_t both;
  NarrowKey() = default;
  NarrowKey(uint64_t rank, int64_t index) noexcept : both(rank << 32 | static_cast<uint64_t>(index)) {}
  uint64_t rank() const noexcept { return both >> 32; }
  int64_t index() const noexcept { return static_cast<int64_t>(both & std::numeric_limits<uint32_t>::max()); }
  friend bool operator<(NarrowKey a, NarrowKey b) noexcept { return a.both < b.both; }
};
struct WideKey {
  uint64_t of;
  int64_t at;
  WideKey() = default;
  WideKey(uint64_t rank, int64_t index) noexcept : of(rank), at(index) {}
  uint64_t rank() const noexcept { return of; }
  int64_t index() const noexcept { return at; }
  friend bool operator<(WideKey a, WideKey b) noexcept { return a.of < b.of || (a.of == b.of && a.at < b.at); }
};

const kernels::SelectKernels<uint32_t>& select_kernels(uint32_t) noexcept {
  return LIMPID_AT_ISA(order_kernels).select_u32;
}
const kernels::SelectKernels<uint64_t>& select_kernels(uint64_t) noexcept {
  return LIMPID_AT_ISA(order_kernels).select_u64;
}

// How many lanes give a bound for the k first of n: twice as many, so that few of the k share one. 0 where a lane would
// hold too few elements to tell much.
constexpr int64_t lanes_for(int64_t k, int64_t n) noexcept {
  const int64_t dealt = (2 * k + kernels::least_lanes - 1) / kernels::least_lanes * kernels::least_lanes;
  return dealt <= n / 4 ? dealt : 0;
}

// Finds the k first of rows of n elements. R: what their ranks are; Key: NarrowKey or WideKey.
//
// Where k is a small part of n, few elements are looked at one by one: of those of the first block, dealt out to lanes,
// each lane has a least, and the k-th of these is a bound that k elements are within, and hardly more. What is within
// is kept; once that is much, the k-th of it becomes the bound.
template <class R, class Key>
class FirstOfRows {
 public:
  FirstOfRows(DType dtype, int64_t n, int64_t k, bool descending)
      : to_rank_(LIMPID_AT_ISA(order_kernels).rank[dtype]),
        select_(select_kernels(R{})),
        turned_(descending ? ~uint64_t{0} : 0),
        item_(static_cast<int64_t>(itemsize(dtype))),
        n_(n),
        k_(k),
        lanes_(lanes_for(k, n)),
        block_(std::min(n, std::max<int64_t>(4096, 8 * lanes_))),
        ranks_(std::make_unique_for_overwrite<R[]>(static_cast<std::size_t>(block_))),
        leasts_(std::make_unique_for_overwrite<R[]>(static_cast<std::size_t>(lanes_))),
        keys_(std::make_unique_for_overwrite<Key[]>(static_cast<std::size_t>(lanes_ ? much() + piece : n))) {}

  // The indices of those of a row, in order.
  void operator()(int64_t* index, const std::byte* row) noexcept {
    collect(row);
    if (count_ > few) {
      if (k_ < count_) keep_first();
      std::sort(key_, key_ + k_);
      for (int64_t i = 0; i < k_; ++i) index[i] = key_[i].index();
      return;
    }
    // Where each stands is how many are less: for few that takes less time than branches that are guessed wrong.
    for (int64_t i = 0; i < count_; ++i) {
      int64_t less = 0;
      for (int64_t j = 0; j < count_; ++j) less += key_[j] < key_[i];
      if (less < k_) index[less] = key_[i].index();
    }
  }

 private:
  static constexpr int64_t few = 32, piece = 256;

  int64_t much() const noexcept { return 2 * k_ + few; }

  void collect(const std::byte* row) noexcept {
    count_ = 0;
    R bound{};
    for (int64_t block = 0; block < n_; block += block_) {
      const int64_t size = std::min(block_, n_ - block);
      to_rank_(size, rank_, row + block * item_, turned_);
      if (lanes_ == 0) {
        for (int64_t i = 0; i < size; ++i) key_[count_++] = Key(rank_[i], block + i);
        continue;
      }
      if (block == 0) bound = bound_by_lanes();
      for (int64_t at = 0; at < size; at += piece) {
        int32_t place[piece];
        const int64_t found = select_.within(std::min(piece, size - at), place, rank_ + at, bound);
        for (int64_t i = 0; i < found; ++i) key_[count_++] = Key(rank_[at + place[i]], block + at + place[i]);
        if (count_ <= much()) continue;
        keep_first();
        const uint64_t last = key_[k_ - 1].rank();
        if (last == 0) return;  // what is equal comes behind, and nothing comes before
        bound = static_cast<R>(last - 1);
      }
    }
  }

  R bound_by_lanes() noexcept {
    const int64_t part = block_ / (lanes_ / kernels::least_lanes);
    for (int64_t lane = 0, at = 0; lane < lanes_; lane += kernels::least_lanes, at += part)
      select_.least(part, least_ + lane, rank_ + at);
    std::nth_element(least_, least_ + k_ - 1, least_ + lanes_);
    return least_[k_ - 1];
  }

  void keep_first() noexcept {
    std::nth_element(key_, key_ + k_ - 1, key_ + count_);
    count_ = k_;
  }

  const kernels::RankKernel to_rank_;
  const kernels::SelectKernels<R>& select_;
  const uint64_t turned_;
  const int64_t item_, n_, k_, lanes_, block_;
  const std::unique_ptr<R[]> ranks_, leasts_;
  const std::unique_ptr<Key[]> keys_;
  R *const rank_ = ranks_.get(), *const least_ = leasts_.get();
  Key* const key_ = keys_.get();
  int64_t count_ = 0;  // of keys
};

// The indices along axis of the k first elements in the order asked for.
Tensor order(const Tensor& x, int64_t axis, int64_t k, bool descending) {
  const NoGradGuard guard;
  const Tensor rows = transpose(keys(x), axis, -1).contiguous();
  const int64_t n = rows.size(-1);
  Shape shape = rows.shape();
  shape.back() = k;
  const Tensor index = empty(shape, int64);
  if (index.numel() == 0) return transpose(index, axis, -1).contiguous();
  const int64_t row_bytes = n * static_cast<int64_t>(itemsize(rows.dtype())),
                grain = detail::elementwise_grain / (lanes_for(k, n) ? 1 : 8) / n;
  const auto run = [&]<class R, class Key>(R, Key) {
    parallel_for_throwing(rows.numel() / n, grain, [&](int64_t begin, int64_t end) {
      FirstOfRows<R, Key> first(rows.dtype(), n, k, descending);
      for (int64_t r = begin; r < end; ++r)
        first(index.data<int64_t>() + r * k, static_cast<const std::byte*>(rows.raw_data()) + r * row_bytes);
    });
  };
  if (itemsize(rows.dtype()) > sizeof(uint32_t))
    run(uint64_t{}, WideKey{});
  else if (n > std::numeric_limits<uint32_t>::max())
    run(uint32_t{}, WideKey{});
  else
    run(uint32_t{}, NarrowKey{});
  return transpose(index, axis, -1).contiguous();
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
  detail::ranges::expect("bincount", {{"minlength", minlength, {0, detail::infinity, false, true}}});
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
