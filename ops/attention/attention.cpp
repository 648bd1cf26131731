// Attention by blocks of queries and keys: of each query the largest score so far, the sum of exponentials and the
// weighted sum of values go along from block to block, and are scaled down where a larger score comes. The backward
// computes the weights again, from each query's largest score and its sum: not from the log of the sum added to the
// score, in whose rounding it would vanish where scores are large.
#include <limpid/ops/attention.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/attention/detail/composition.hpp>
#include <limpid/ops/attention/detail/mask.hpp>
#include <limpid/ops/attention/detail/scheme.hpp>
#include <limpid/ops/attention/kernels/attention.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/composed.hpp>
#include <limpid/ops/detail/ranges.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/elementwise/detail/chain.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/blas.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace limpid {

using detail::infinity;
using detail::scaled;
using detail::Scheme;
using detail::throw_error;
using detail::weighted_sum;
using detail::weights_of;

namespace {

constexpr int64_t query_block = 64, key_block = 256;

// Where the matrices of a batch begin: x (..., n, m) whose rows are contiguous, broadcast to leading axes by its
// strides.
template <class T>
class Matrices {
 public:
  Matrices(const Tensor& x, const Shape& leading) : x_(x), data_(x.data<T>()), row_(x.strides()[x.shape().size() - 2]) {
    for (int64_t b = 0; b < leading.numel(); ++b) {
      int64_t offset = 0, rest = b;
      for (std::size_t i = leading.size(); i-- > 0;) {
        offset += rest % leading[i] * x.strides()[i];
        rest /= leading[i];
      }
      offsets_.push_back(offset);
    }
  }
  const T* at(int64_t b, int64_t row = 0) const { return data_ + offsets_[static_cast<std::size_t>(b)] + row * row_; }
  int64_t row() const noexcept { return row_; }

 private:
  Tensor x_;
  const T* data_;
  int64_t row_;
  std::vector<int64_t> offsets_;
};

Shape with(Shape leading, int64_t n, int64_t m) {
  leading.push_back(n);
  leading.push_back(m);
  return leading;
}

// x broadcast to leading axes, its last axis without gaps: what is read in place where it lies so, and else copied
// once for all that it is broadcast to.
Tensor rows_of(const Tensor& x, const Shape& leading) {
  const Tensor own = detail::distinct(x.detach(), 2);
  const Strides& strides = own.strides();
  const std::size_t last = strides.size() - 1;
  const bool fits = (own.size(-1) <= 1 || strides[last] == 1) && strides[last - 1] >= own.size(-1);
  return expand(fits ? own : detail::as_contiguous(own), with(leading, x.size(-2), x.size(-1)));
}
Tensor scaled_rows_of(const Tensor& q, const Scheme& s) {
  return rows_of(scaled(detail::distinct(q.detach(), 2), s), s.leading);
}

template <class T>
bool all_finite(const T* x, int64_t rows, int64_t cols, int64_t row) noexcept {
  T sum{};
  for (int64_t i = 0; i < rows; ++i)
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < cols; ++j) sum += x[i * row + j] * T{0};
  return sum == T{0};
}

// y += a b of a b whose rows are contiguous, where an a of 0 adds 0 whatever it meets.
template <class T>
void add_product(detail::Product<T> product) noexcept {
  const auto& [n, m, k, a, b, y, y_row, accumulate] = product;
  if (all_finite(b.data, k, m, b.steps.row)) [[likely]] {
    product.accumulate = true;
    return detail::gemm<T>(product);
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t p = 0; p < k; ++p) {
      const T factor = a.at(i, p);
      for (int64_t j = 0; factor != T{0} && j < m; ++j) y[i * y_row + j] += factor * b.at(p, j);
    }
}

// The scores of a block of scaled queries and keys, from q k^T; -inf where a query may not attend.
template <class T>
class Scores {
 public:
  Scores(const Scheme& s, const Tensor& q, const Tensor& k) : s_(s), q_(q, s.leading), k_(k, s.leading) {
    if (!s.mask.defined()) return;
    const Tensor mask = expand(s.mask, with(s.leading, s.queries, s.keys));
    mask_row_ = mask.strides()[s.leading.size()];
    mask_col_ = mask.strides()[s.leading.size() + 1];
    if (mask.dtype() == bool_)
      allowed_ = std::make_unique<Matrices<bool>>(mask, s.leading);
    else
      added_ = std::make_unique<Matrices<T>>(mask, s.leading);
  }

  // Those of queries [i, i + n) and keys [j, j + m) into to (n, m).
  void fill(int64_t b, int64_t i, int64_t n, int64_t j, int64_t m, T* to) const noexcept {
    detail::gemm<T>({.n = n,
                     .m = m,
                     .k = s_.size,
                     .a = {q_.at(b, i), {q_.row(), 1}},
                     .b = {k_.at(b, j), {1, k_.row()}},
                     .y = to,
                     .y_row = m});
    const T none = -std::numeric_limits<T>::infinity();
    for (int64_t p = 0; p < n; ++p) {
      T* row = to + p * m;
      if (added_) {
        const T* added = added_->at(b) + (i + p) * mask_row_ + j * mask_col_;
        for (int64_t c = 0; c < m; ++c) row[c] = added[c * mask_col_] == none ? none : row[c] + added[c * mask_col_];
      }
      if (allowed_) {
        const bool* allowed = allowed_->at(b) + (i + p) * mask_row_ + j * mask_col_;
        for (int64_t c = 0; c < m; ++c)
          if (!allowed[c * mask_col_]) row[c] = none;
      }
      const int64_t visible = std::clamp<int64_t>(s_.visible(i + p) - j, 0, m);
      std::fill(row + visible, row + m, none);
    }
  }

 private:
  const Scheme& s_;
  Matrices<T> q_, k_;
  std::unique_ptr<Matrices<bool>> allowed_;
  std::unique_ptr<Matrices<T>> added_;
  int64_t mask_row_ = 0, mask_col_ = 0;
};

template <class T>
const kernels::AttentionKernels<T>& kernels_of() {
  if constexpr (std::is_same_v<T, float>)
    return LIMPID_AT_ISA(attention_float);
  else
    return LIMPID_AT_ISA(attention_double);
}

// How many keys the queries before `end` see.
int64_t keys_for(const Scheme& s, int64_t end) noexcept { return s.visible(end - 1); }

// Of each query the largest score, and the sum of exponentials of the scores less that one: weights are exp(score -
// largest) / sum. Of one that sees no key inf and 1, which make weights 0.
template <class T>
struct Statistics {
  T* largest;
  T* sum;
};

// y (..., L, V) and the statistics, of scaled queries.
template <class T>
void run_forward(const Scheme& s, const Tensor& q, const Tensor& k, const Tensor& v, T* y,
                 const Statistics<T>& statistics) {
  const Scores<T> scores(s, q, k);
  const Matrices<T> value(v, s.leading);
  const auto exponentials = kernels_of<T>().exponentials;
  const int64_t blocks = (s.queries + query_block - 1) / query_block;
  const int64_t work = std::min(query_block, s.queries) * s.keys * (s.size + s.values);
  parallel_for_throwing(
      s.batch * blocks, std::max<int64_t>(65536 / std::max<int64_t>(work, 1), 1), [&](int64_t begin, int64_t end) {
        std::vector<T> block(static_cast<std::size_t>(query_block * std::min(key_block, std::max<int64_t>(s.keys, 1))));
        for (int64_t task = begin; task < end; ++task) {
          const int64_t b = task / blocks, i = task % blocks * query_block, n = std::min(query_block, s.queries - i);
          T* const out = y + (b * s.queries + i) * s.values;
          double sums[query_block] = {};
          T largest[query_block];
          std::fill_n(largest, n, -std::numeric_limits<T>::infinity());
          std::fill_n(out, n * s.values, T{0});
          const int64_t last = keys_for(s, i + n);
          for (int64_t j = 0; j < last; j += key_block) {
            const int64_t m = std::min(key_block, last - j);
            scores.fill(b, i, n, j, m, block.data());
            for (int64_t p = 0; p < n; ++p) {
              T* row = block.data() + p * m;
              T most = largest[p];
#pragma omp simd reduction(max : most)
              for (int64_t c = 0; c < m; ++c) most = row[c] > most ? row[c] : most;
              const T shift = most == -std::numeric_limits<T>::infinity() ? T{0} : most;
              if (most > largest[p]) {
                const T factor = std::exp(largest[p] - shift);
                sums[p] *= static_cast<double>(factor);
                if (j > 0)
                  for (int64_t c = 0; c < s.values; ++c) out[p * s.values + c] *= factor;
                largest[p] = most;
              }
              sums[p] += exponentials(m, shift, row);
            }
            add_product<T>({.n = n,
                            .m = s.values,
                            .k = m,
                            .a = {block.data(), {m, 1}},
                            .b = {value.at(b, j), {value.row(), 1}},
                            .y = out,
                            .y_row = s.values});
          }
          for (int64_t p = 0; p < n; ++p) {
            const bool sees = sums[p] != 0;
            for (int64_t c = 0; c < s.values && sees; ++c)
              out[p * s.values + c] = static_cast<T>(static_cast<double>(out[p * s.values + c]) / sums[p]);
            statistics.largest[b * s.queries + i + p] = sees ? largest[p] : std::numeric_limits<T>::infinity();
            statistics.sum[b * s.queries + i + p] = sees ? static_cast<T>(sums[p]) : T{1};
          }
        }
      });
}

// Of the scaled queries (..., L, E), the keys (..., S, E) and the values (..., S, V); each null where it is not asked
// for.
template <class T>
struct Gradients {
  T *dq, *dk, *dv;
};

template <class T>
void run_backward(const Scheme& s, const Tensors& xs, const Tensor& y, const Statistics<const T>& statistics,
                  const Tensor& dy, const Gradients<T>& to) {
  T *const dq = to.dq, *const dk = to.dk, *const dv = to.dv;
  const Tensor &q = xs[0], &k = xs[1], &v = xs[2];
  const Scores<T> scores(s, q, k);
  const Matrices<T> query(q, s.leading), key(k, s.leading), value(v, s.leading), arriving(dy, s.leading);
  const kernels::AttentionKernels<T>& kernel = kernels_of<T>();
  const T* const out = y.data<T>();
  if (dq) std::fill_n(dq, s.batch * s.queries * s.size, T{0});
  if (dk) std::fill_n(dk, s.batch * s.keys * s.size, T{0});
  if (dv) std::fill_n(dv, s.batch * s.keys * s.values, T{0});
  parallel_for_throwing(s.batch, 1, [&](int64_t begin, int64_t end) {
    const auto block = static_cast<std::size_t>(query_block * std::min(key_block, std::max<int64_t>(s.keys, 1)));
    std::vector<T> p(block), dp(block);
    for (int64_t b = begin; b < end; ++b)
      for (int64_t i = 0; i < s.queries; i += query_block) {
        const int64_t n = std::min(query_block, s.queries - i), last = keys_for(s, i + n);
        const T* const dy_rows = arriving.at(b, i);
        double inner[query_block];  // sum_c y_ic dy_ic = sum_j p_ij dp_ij
        for (int64_t r = 0; r < n; ++r) {
          inner[r] = 0;
          for (int64_t c = 0; c < s.values; ++c)
            inner[r] += static_cast<double>(out[(b * s.queries + i + r) * s.values + c]) *
                        static_cast<double>(dy_rows[r * arriving.row() + c]);
        }
        for (int64_t j = 0; j < last; j += key_block) {
          const int64_t m = std::min(key_block, last - j);
          scores.fill(b, i, n, j, m, p.data());
          for (int64_t r = 0; r < n; ++r) {
            T* const weights = p.data() + r * m;
            kernel.exponentials(m, statistics.largest[b * s.queries + i + r], weights);
            const T sum = statistics.sum[b * s.queries + i + r];
            for (int64_t c = 0; c < m; ++c) weights[c] /= sum;
          }
          if (dv)
            add_product<T>({.n = m,
                            .m = s.values,
                            .k = n,
                            .a = {p.data(), {1, m}},
                            .b = {dy_rows, {arriving.row(), 1}},
                            .y = dv + (b * s.keys + j) * s.values,
                            .y_row = s.values});
          if (!dq && !dk) continue;
          detail::gemm<T>({.n = n,
                           .m = m,
                           .k = s.values,
                           .a = {dy_rows, {arriving.row(), 1}},
                           .b = {value.at(b, j), {1, value.row()}},
                           .y = dp.data(),
                           .y_row = m});
          for (int64_t r = 0; r < n; ++r)
            kernel.score_gradients(m, static_cast<T>(inner[r]), p.data() + r * m, dp.data() + r * m);
          if (dq)
            add_product<T>({.n = n,
                            .m = s.size,
                            .k = m,
                            .a = {dp.data(), {m, 1}},
                            .b = {key.at(b, j), {key.row(), 1}},
                            .y = dq + (b * s.queries + i) * s.size,
                            .y_row = s.size});
          if (dk)
            add_product<T>({.n = m,
                            .m = s.size,
                            .k = n,
                            .a = {dp.data(), {1, m}},
                            .b = {query.at(b, i), {query.row(), 1}},
                            .y = dk + (b * s.keys + j) * s.size,
                            .y_row = s.size});
        }
      }
  });
}

struct AttentionNode final : Node {
  Saved q{*this, "q"}, k{*this, "k"}, v{*this, "v"}, mask{*this, "mask"};
  Saved y{*this, "y"}, largest{*this, "largest"}, sum{*this, "sum"};
  Scheme scheme;  // without its mask
  bool is_mask_learned = false;
  const char* name() const noexcept override { return "scaled_dot_product_attention"; }
  Scheme whole_scheme() {
    Scheme s = scheme;
    if (const Tensor m = mask; m.defined()) s.mask = m.detach();
    return s;
  }
  Tensors operands() { return {q, k, v, is_mask_learned ? Tensor(mask) : Tensor()}; }
  detail::Composition as_composed() {
    return detail::composition([s = whole_scheme()](const Tensors& xs) -> Tensors {
      return {weighted_sum(weights_of(xs[0], xs[1], xs[3].defined() ? xs[3] : s.mask, s), xs[2])};
    });
  }
  // With p_ij = exp(s_ij - largest_i) / sum_i, s_ij = scale q_i k_j + mask_ij and y_ic = sum_j p_ij v_jc:
  //   dp_ij = sum_c dy_ic v_jc,  ds_ij = p_ij (dp_ij - sum_k p_ik dp_ik),  the inner sum being sum_c y_ic dy_ic,
  //   dq_i = scale sum_j ds_ij k_j,  dk_j = scale sum_i ds_ij q_i,  dv_j = sum_i p_ij dy_i,  dmask_ij = ds_ij.
  Tensors backward(const Tensors& dy) override {
    const Tensors given = operands();
    const Scheme s = whole_scheme();
    Tensors dx(4);
    {
      const NoGradGuard guard;
      const DType dtype = given[0].dtype();
      if (needs(0)) dx[0] = empty(with(s.leading, s.queries, s.size), dtype);
      if (needs(1)) dx[1] = empty(with(s.leading, s.keys, s.size), dtype);
      if (needs(2)) dx[2] = empty(with(s.leading, s.keys, s.values), dtype);
      const Tensors xs{scaled_rows_of(given[0], s), rows_of(given[1], s.leading), rows_of(given[2], s.leading)};
      const Tensor arriving = rows_of(dy[0], s.leading), out = y.get().detach(), most = largest, sums = sum;
      detail::visit_float(dtype, [&]<class T>(T) {
        const auto to = [&](std::size_t i) { return dx[i].defined() ? dx[i].data<T>() : nullptr; };
        run_backward<T>(s, xs, out, {most.data<T>(), sums.data<T>()}, arriving, {to(0), to(1), to(2)});
      });
      if (needs(0)) dx[0] = scaled(dx[0], s);
      if (needs(3)) {
        const Tensor p = weights_of(given[0], given[1], given[3], s), inner = limpid::sum(mul(dy[0], out), -1, true);
        dx[3] = detail::chain(p, matmul(dy[0], transpose(given[2], -2, -1)) - inner);
      }
      for (std::size_t i = 0; i < 4; ++i)
        if (dx[i].defined() && dx[i].shape() != given[i].shape()) dx[i] = sum_to(dx[i], given[i].shape());
    }
    if (is_grad_enabled()) detail::record_gradients(name(), dx, dy, given, as_composed());
    return dx;
  }
  Tensors jvp(const Tensors& dx) override {
    return detail::push_through("scaled_dot_product_attention", as_composed(), operands(), dx);
  }
};

// ---- arguments

void require_mask(const char* op, const Tensor& mask, const Shape& expected) {
  const Shape& shape = mask.shape();
  bool fits = shape.size() <= expected.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    const int64_t size = shape[shape.size() - 1 - i];
    fits = size == 1 || size == expected[expected.size() - 1 - i];
  }
  if (!fits) throw_error<ShapeError>(op, ": expected a mask that broadcasts to ", expected, ", got ", shape);
  if (mask.dtype() != bool_ && !is_floating_point(mask.dtype()))
    throw_error<DTypeError>(op, ": expected a mask of bool or floating point, got ", mask.dtype());
  if (mask.dtype() != bool_ && detail::is_of_zeros_and_ones(mask))
    throw_error<ValueError>(op,
                            ": expected a floating-point mask to be added to the scores, 0 and -inf, got one of "
                            "zeros and ones alone; compare it, mask != 0, for a mask of what may be attended to");
}

// Of q and k, which it checks, without the mask.
Scheme scheme_of(const char* op, const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  const auto& [mask, causal, alignment, scale, dropout, training, generator] = options;
  detail::require_defined(op, "q", q);
  detail::require_defined(op, "k", k);
  detail::require_member(op, "CausalAlignment", alignment, CausalAlignment::bottom_right, "top_left or bottom_right");
  if (q.dim() < 2) throw_error<ShapeError>(op, ": expected q of shape (..., L, E), got ", q.shape());
  if (k.dim() < 2 || k.size(-1) != q.size(-1))
    throw_error<ShapeError>(op, ": expected k of shape (..., S, ", q.size(-1), "), got ", k.shape());
  Scheme s;
  const auto leading = [](const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); };
  s.leading = broadcast_shapes(leading(q), leading(k), op);
  s.queries = q.size(-2), s.keys = k.size(-2), s.size = q.size(-1);
  s.causal = causal;
  s.offset = alignment == CausalAlignment::bottom_right ? s.keys - s.queries : 0;
  s.scale = scale ? *scale : s.size > 0 ? 1 / std::sqrt(static_cast<double>(s.size)) : 1;
  detail::ranges::expect(
      op, {{"scale", scale, detail::ranges::within_float}, {"dropout", dropout, detail::ranges::fraction}});
  for (const Tensor* x : {&q, &k})
    if (!is_floating_point(x->dtype()))
      throw_error<DTypeError>(op, ": expected q and k of a floating-point dtype, got ", x->dtype(),
                              "; convert with to()");
  if (q.dtype() != k.dtype())
    throw_error<DTypeError>(op, ": expected q and k of one dtype, got ", q.dtype(), " and ", k.dtype(),
                            "; convert with to()");
  return s;
}

DType compute_of(DType dtype) { return is_half(dtype) ? float32 : dtype; }

Tensor mask_for(const char* op, const Tensor& mask, const Scheme& s, DType compute) {
  if (!mask.defined()) return {};
  require_mask(op, mask, with(s.leading, s.queries, s.keys));
  if (mask.dtype() == bool_ || mask.dtype() == compute) return mask;
  // Elements of one that is learned have gradients of their own, also where they share a place in memory.
  return (mask.requires_grad() ? mask : detail::distinct(mask, 0)).to(compute);
}

}  // namespace

Tensor attention_weights(const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  const char* op = "attention_weights";
  const detail::OpScope scope(op);
  const Scheme s = scheme_of(op, q, k, options);
  const DType compute = compute_of(q.dtype());
  return weights_of(q.to(compute), k.to(compute), mask_for(op, options.mask, s, compute), s).to(q.dtype());
}

Tensor scaled_dot_product_attention(const Tensor& q_any, const Tensor& k_any, const Tensor& v_any,
                                    const AttentionOptions& options) {
  const char* op = "scaled_dot_product_attention";
  const detail::OpScope scope(op);
  Scheme s = scheme_of(op, q_any, k_any, options);
  detail::require_defined(op, "v", v_any);
  if (v_any.dim() < 2 || v_any.size(-2) != s.keys)
    throw_error<ShapeError>(op, ": expected v of shape (..., ", s.keys, ", V), got ", v_any.shape());
  s.leading = broadcast_shapes(s.leading, Shape(v_any.shape().begin(), v_any.shape().end() - 2), op);
  s.batch = s.leading.numel();
  s.values = v_any.size(-1);
  if (v_any.dtype() != q_any.dtype())
    throw_error<DTypeError>(op, ": expected q and v of one dtype, got ", q_any.dtype(), " and ", v_any.dtype(),
                            "; convert with to()");
  const DType compute = compute_of(q_any.dtype());
  s.mask = mask_for(op, options.mask, s, compute);
  const Tensor q = q_any.to(compute), k = k_any.to(compute), v = v_any.to(compute);
  if (options.training && options.dropout > 0) {
    const Tensor weights = weights_of(q, k, s.mask, s);
    Generator& generator = options.generator ? *options.generator : default_generator();
    const double kept = 1 - options.dropout;
    const Tensor keeps = bernoulli(kept, weights.shape(), generator);
    return weighted_sum(where(keeps, weights * (kept > 0 ? 1 / kept : 0), 0), v).to(q_any.dtype());
  }

  const Tensor learned = s.mask.defined() && s.mask.requires_grad() ? s.mask : Tensor();
  if (learned.defined()) s.mask = learned.detach();
  Tensor y = empty(with(s.leading, s.queries, s.values), compute);
  const Tensor largest = full(with(s.leading, s.queries, 1), infinity, compute);
  const Tensor sums = ones(largest.shape(), compute);
  {
    const NoGradGuard guard;
    const Tensor qs = scaled_rows_of(q, s), ks = rows_of(k, s.leading), vs = rows_of(v, s.leading);
    if (y.numel() > 0)
      detail::visit_float(compute, [&]<class T>(T) {
        run_forward<T>(s, qs, ks, vs, y.data<T>(), {largest.data<T>(), sums.data<T>()});
      });
  }
  if (auto* node = record<AttentionNode>(y, q, k, v, learned)) {
    node->q = q;
    node->k = k;
    node->v = v;
    node->mask = learned.defined() ? learned : s.mask;
    node->is_mask_learned = learned.defined();
    node->y = y;
    node->largest = largest;
    node->sum = sums;
    s.mask = Tensor();
    node->scheme = std::move(s);
  }
  return y.to(q_any.dtype());
}

}  // namespace limpid
