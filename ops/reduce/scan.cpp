// Sums, products and log-sums along an axis that show every step.
//
// All derivatives are linear recurrences h_k = a_k h_(k-1) + b_k: of a product, of a sum (a = 1) and of a log-sum (a
// the share of what came before). The transpose of a recurrence is one that runs the other way, so that derivatives of
// any order need no other op, and a product needs no division: zeros are numbers like others.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/elementwise/detail/map.hpp>
#include <limpid/ops/elementwise/detail/pairs.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace limpid {

using detail::chain;
using detail::infinity;
using detail::require_defined;

namespace {

// A tensor as (outer, length, inner), the middle one to be scanned, from its end where backwards.
struct Scan {
  int64_t outer = 1, length = 1, inner = 1;
  bool backwards = false;

  Scan(const Shape& shape, int64_t axis, bool reversed) : backwards(reversed) {
    for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
      (i < axis ? outer : i == axis ? length : inner) *= shape[static_cast<std::size_t>(i)];
  }
  // y_k = step(state, k's offset, whether it is the first), in order along the axis, with a state of its own for every
  // other index. A step waits for the one before: some of them go side by side, neighbours or, along the last axis,
  // rows.
  template <class State, class Step>
  void run(Step step) const {
    if (inner == 1)
      side_by_side<State, 8>(1, outer, length, step);
    else
      side_by_side<State, 64>(outer, inner, 1, step);
  }

 private:
  // Of each group, `lanes` scans whose elements are `apart`.
  template <class State, int64_t block, class Step>
  void side_by_side(int64_t groups, int64_t lanes, int64_t apart, Step step) const {
    const int64_t blocks = (lanes + block - 1) / block;
    parallel_for(
        groups * blocks,
        std::max<int64_t>(detail::elementwise_grain / std::max<int64_t>(length * std::min(lanes, block), 1), 1),
        [&](int64_t begin, int64_t end) {
          State state[block];
          for (int64_t o = begin; o < end; ++o) {
            const int64_t lane = o % blocks * block, width = std::min(block, lanes - lane);
            const int64_t start = o / blocks * length * inner + lane * apart;
            for (int64_t k = 0; k < length; ++k) {
              const int64_t row = start + (backwards ? length - 1 - k : k) * inner;
              if (apart == 1)
                for (int64_t j = 0; j < width; ++j) step(state[j], row + j, k == 0);
              else
                for (int64_t j = 0; j < width; ++j) step(state[j], row + j * apart, k == 0);
            }
          }
        });
  }
};

template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;

// x moved by one step along an axis, towards its end (or its beginning), with a number in the free place.
Tensor moved(const Tensor& x, int64_t axis, bool to_end, double number) {
  if (x.size(axis) == 0) return x;
  Shape amounts(static_cast<std::size_t>(2 * (x.dim() - axis)), 0);
  amounts[amounts.size() - 2] = to_end ? 1 : -1;
  amounts[amounts.size() - 1] = to_end ? -1 : 1;
  return pad(x, amounts, PadMode::constant, number);
}

Tensor summed(const char* op, const Tensor& x, int64_t axis, bool backwards);

struct CumsumNode final : SymmetricNode {
  int64_t axis = 0;
  bool backwards = false;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // y_k = sum of x_i over i <= k:  dx_i = sum of dy_k over k >= i.
  Tensors backward(const Tensors& dy) override { return {summed(op, dy[0], axis, !backwards)}; }
  Tensors jvp(const Tensors& dx) override { return {summed(op, dx[0], axis, backwards)}; }
};

// y_k = x_0 + ... + x_k; backwards, x_k + ... to the end. Integers and bool give int64.
Tensor summed(const char* op, const Tensor& x, int64_t axis, bool backwards) {
  const Tensor from = detail::as_contiguous(x);
  Tensor y = empty(x.shape(), is_floating_point(x.dtype()) ? x.dtype() : int64);
  detail::visit_number(x.dtype(), [&]<class T>(T) {
    using Y = std::conditional_t<std::is_integral_v<T>, int64_t, T>;
    Scan(x.shape(), axis, backwards)
        .run<Wide<T>>([f = from.data<T>(), t = y.data<Y>()](auto& sum, int64_t i, bool first) {
          sum = (first ? 0 : sum) + static_cast<Wide<T>>(f[i]);
          t[i] = static_cast<Y>(sum);
        });
  });
  if (auto* node = record_as<CumsumNode>(op, y, x)) {
    node->axis = axis;
    node->backwards = backwards;
  }
  return y;
}

// h_k = chain(h_(k-1), a_k) + b_k, h_0 = b_0; backwards, of h_(k+1), from the end on.
Tensor recurrence(const char* op, const Tensor& a, const Tensor& b, int64_t axis, bool backwards);

struct RecurrenceNode final : Node {
  Saved a{*this, "a"}, h{*this, "h"};
  int64_t axis = 0;
  bool backwards = false;
  const char* op = nullptr;
  const char* name() const noexcept override { return op; }
  // h_k = a_k h_(k-1) + b_k:  db_k = dh_k + a_(k+1) db_(k+1);  da_k = db_k h_(k-1), 0 at the first k.
  Tensors backward(const Tensors& dh) override {
    const Tensor db = recurrence(op, moved(a, axis, backwards, 0), dh[0], axis, !backwards);
    return {needs(0) ? chain(db, moved(h, axis, !backwards, 0)) : Tensor(), db};
  }
};

Tensor recurrence(const char* op, const Tensor& a, const Tensor& b, int64_t axis, bool backwards) {
  const Tensor factor = detail::as_contiguous(a), term = detail::as_contiguous(b);
  Tensor h = empty(b.shape(), b.dtype());
  detail::visit_float(b.dtype(), [&]<class T>(T) {
    Scan(b.shape(), axis, backwards)
        .run<double>([f = factor.data<T>(), t = term.data<T>(), y = h.data<T>()](double& state, int64_t i, bool first) {
          state = (first || state == 0 ? 0 : state * double{f[i]}) + double{t[i]};
          y[i] = static_cast<T>(state);
        });
  });
  if (auto* node = record_as<RecurrenceNode>(op, h, a, b)) {
    node->a = a;
    if (node->needs(0)) node->h = h;
    node->axis = axis;
    node->backwards = backwards;
  }
  return h;
}

struct CumprodNode final : Node {
  Saved x{*this, "x"}, y{*this, "y"};
  int64_t axis = 0;
  const char* name() const noexcept override { return "cumprod"; }
  // y_k = x_k y_(k-1):  with g_k = dy_k + x_(k+1) g_(k+1),  dx_k = g_k y_(k-1), where y before the first is 1.
  Tensors backward(const Tensors& dy) override {
    const Tensor g = recurrence("cumprod", moved(x, axis, false, 0), dy[0], axis, true);
    return {chain(g, moved(y, axis, true, 1))};
  }
};

struct LogcumsumexpNode final : Node {
  Saved x{*this, "x"}, y{*this, "y"};
  int64_t axis = 0;
  const char* name() const noexcept override { return "logcumsumexp"; }
  // y_k = log(e^y_(k-1) + e^x_k), with shares p_k of y_(k-1) and q_k of x_k in the sum:  with
  // g_k = dy_k + p_(k+1) g_(k+1),  dx_k = g_k q_k. As of logsumexp, a y_k of -inf has no shares: q_k is 0 there, and
  // so is p of the next x that is more.
  Tensors backward(const Tensors& dy) override {
    const Tensor before = moved(y, axis, true, -infinity), a = x;
    const Tensor p = detail::logaddexp_share(before, a);
    const Tensor g = recurrence("logcumsumexp", moved(p, axis, false, 0), dy[0], axis, true);
    return {chain(g, where(eq(y, -infinity), 0, detail::logaddexp_share(a, before)))};
  }
};

// x's axis; a scalar is scanned as one element.
int64_t axis_of(const char* op, const Tensor& x, int64_t axis) {
  require_defined(op, x);
  return normalize_axis(axis, x.dim(), op);
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t axis) {
  const detail::OpScope scope("cumsum");
  const int64_t along = axis_of("cumsum", x, axis);
  if (is_half(x.dtype())) return cumsum(x.to(float32), along).to(x.dtype());
  return summed("cumsum", x, along, false);
}

Tensor cumprod(const Tensor& x, int64_t axis) {
  const detail::OpScope scope("cumprod");
  const int64_t along = axis_of("cumprod", x, axis);
  if (is_half(x.dtype())) return cumprod(x.to(float32), along).to(x.dtype());
  const Tensor from = detail::as_contiguous(x);
  Tensor y = empty(x.shape(), is_floating_point(x.dtype()) ? x.dtype() : int64);
  detail::visit_number(x.dtype(), [&]<class T>(T) {
    using Y = std::conditional_t<std::is_integral_v<T>, int64_t, T>;
    Scan(x.shape(), along, false)
        .run<Wide<T>>([f = from.data<T>(), t = y.data<Y>()](auto& product, int64_t i, bool first) {
          product = (first ? 1 : product) * static_cast<Wide<T>>(f[i]);
          t[i] = static_cast<Y>(product);
        });
  });
  if (auto* node = record<CumprodNode>(y, x)) {
    node->x = x;
    node->y = y;
    node->axis = along;
  }
  return y;
}

Tensor logcumsumexp(const Tensor& x, int64_t axis) {
  const detail::OpScope scope("logcumsumexp");
  const int64_t along = axis_of("logcumsumexp", x, axis);
  const DType dtype = detail::floating_type(x.dtype());
  if (Tensor y = detail::promoted(dtype, x, [=](const Tensor& z) { return logcumsumexp(z, along); }); y.defined())
    return y;
  const Tensor from = detail::as_contiguous(x);
  Tensor y = empty(x.shape(), dtype);
  // The sum so far is e^most times rest.
  struct Sum {
    double most, rest;
  };
  detail::visit_float(dtype, [&]<class T>(T) {
    Scan(x.shape(), along, false).run<Sum>([f = from.data<T>(), t = y.data<T>()](Sum& sum, int64_t i, bool first) {
      const double value = double{f[i]};
      if (first)
        sum = {value, 1};
      else if (value == sum.most)
        sum.rest += 1;  // infinities, too
      else if (value > sum.most)
        sum = {value, sum.rest * std::exp(sum.most - value) + 1};
      else
        sum.rest += std::exp(value - sum.most);
      t[i] = static_cast<T>(sum.most + std::log(sum.rest));
    });
  });
  if (auto* node = record<LogcumsumexpNode>(y, x)) {
    node->x = x;
    node->y = y;
    node->axis = along;
  }
  return y;
}

Tensor diff(const Tensor& x, int64_t n, int64_t axis) {
  const int64_t along = axis_of("diff", x, axis);
  if (n < 0) detail::throw_error<ValueError>("diff: expected n of at least 0, got ", n);
  if (is_half(x.dtype()) && n > 1) return diff(x.to(float32), n, along).to(x.dtype());  // rounded once
  if (n == 0) return x.clone();
  Tensor y = x;
  for (int64_t i = 0; i < n && (i == 0 || y.size(along) > 0); ++i) {  // of nothing, no more
    const Tensor later = slice(y, along, 1), earlier = slice(y, along, 0, std::max<int64_t>(y.size(along) - 1, 0));
    y = x.dtype() == bool_ ? ne(later, earlier) : later - earlier;
  }
  return y;
}

}  // namespace limpid
