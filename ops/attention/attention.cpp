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
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
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

using detail::throw_error;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int64_t query_block = 64, key_block = 256;

// What attention is of, its tensors apart: q (batch, L, E), k (batch, S, E), v (batch, S, V).
struct Scheme {
  int64_t batch = 1, queries = 0, keys = 0, size = 0, values = 0;  // B, L, S, E, V
  double scale = 1;
  bool causal = false;
  int64_t offset = 0;  // causal: query i sees keys up to i + offset
  Tensor mask;         // undefined, or bool or the dtype computed in, of shape (..., L, S), broadcast by its strides
  Shape leading;

  int64_t visible(int64_t query) const noexcept {
    return causal ? std::clamp<int64_t>(query + offset + 1, 0, keys) : keys;
  }
};

// ---- the composition

// bool (L, S): the keys that causal attention lets each query see.
Tensor seen(const Scheme& s) { return le(arange(s.keys), reshape(arange(s.queries), {s.queries, 1}) + s.offset); }

// softmax of the scores; a query that sees no key has weights 0.
Tensor weights_of(const Tensor& q, const Tensor& k_any, const Tensor& mask, const Scheme& s) {
  Tensor allowed = s.causal ? seen(s) : Tensor();
  if (mask.defined() && mask.dtype() == bool_) allowed = allowed.defined() ? logical_and(allowed, mask) : mask;
  const bool adds = mask.defined() && mask.dtype() != bool_;
  if (adds) {
    const Tensor open = ne(mask.detach(), -infinity);
    allowed = allowed.defined() ? logical_and(allowed, open) : open;
  }
  Tensor k = k_any;
  // Keys that no query sees are nobody's: as 0 times NaN they would reach the gradient of q.
  if (allowed.defined()) {
    const Tensor used = any(expand(allowed, broadcast_shapes(allowed.shape(), {s.queries, s.keys})), Axes{-2});
    k = where(unsqueeze(used, -1), k, 0);
  }
  Tensor scores = matmul(q * s.scale, transpose(k, -2, -1));
  if (adds) scores = scores + mask;
  if (allowed.defined()) scores = where(allowed, scores, -infinity);
  return softmax(scores, -1);
}

Tensor weighted_sum(const Tensor& weights, const Tensor& v_any, const Scheme& s) {
  Tensor v = v_any;
  if (s.causal || s.mask.defined()) {
    const Tensor used = any(gt(weights.detach(), 0), Axes{-2});
    v = where(unsqueeze(used, -1), v, 0);
  }
  return matmul(weights, v);
}

// ---- by blocks

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

// x broadcast to leading axes, its last axis without gaps: what is read in place where it lies so.
Tensor rows_of(const Tensor& x, const Shape& leading) {
  Shape shape = leading;
  shape.push_back(x.size(-2));
  shape.push_back(x.size(-1));
  const Tensor wide = expand(x.detach(), shape);
  const Strides& strides = wide.strides();
  const std::size_t last = strides.size() - 1;
  const bool fits = (wide.size(-1) <= 1 || strides[last] == 1) && strides[last - 1] >= wide.size(-1);
  return fits ? wide : detail::as_contiguous(wide);
}

template <class T>
bool all_finite(const T* x, int64_t rows, int64_t cols, int64_t row) noexcept {
  T sum{};
  for (int64_t i = 0; i < rows; ++i)
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < cols; ++j) sum += x[i * row + j] * T{0};
  return sum == T{0};
}

// y (n, m) += a (n, k) b (k, m), where an a of 0 adds 0 whatever it meets.
template <class T>
void add_product(int64_t n, int64_t m, int64_t k, const detail::Matrix<T>& a, const T* b, int64_t b_row, T* y,
                 int64_t y_row) noexcept {
  if (all_finite(b, k, m, b_row)) [[likely]]
    return detail::gemm<T>(
        {.n = n, .m = m, .k = k, .a = a, .b = {b, {b_row, 1}}, .y = y, .y_row = y_row, .accumulate = true});
  for (int64_t i = 0; i < n; ++i)
    for (int64_t p = 0; p < k; ++p) {
      const T factor = a.at(i, p);
      for (int64_t j = 0; factor != T{0} && j < m; ++j) y[i * y_row + j] += factor * b[p * b_row + j];
    }
}

// The scores of a block of queries and keys, from q k^T; -inf where a query may not attend.
template <class T>
class Scores {
 public:
  Scores(const Scheme& s, const Tensor& q, const Tensor& k) : s_(s), q_(q, s.leading), k_(k, s.leading) {
    if (!s.mask.defined()) return;
    Shape shape = s.leading;
    shape.push_back(s.queries);
    shape.push_back(s.keys);
    const Tensor mask = expand(s.mask, shape);
    mask_row_ = mask.strides()[shape.size() - 2];
    mask_col_ = mask.strides()[shape.size() - 1];
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
    const T scale = static_cast<T>(s_.scale), none = -std::numeric_limits<T>::infinity();
    for (int64_t p = 0; p < n; ++p) {
      T* row = to + p * m;
      for (int64_t c = 0; c < m; ++c) row[c] *= scale;
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
struct Norms {
  T* largest;
  T* sum;
};

// y (..., L, V) and the norms.
template <class T>
void run_forward(const Scheme& s, const Tensor& q, const Tensor& k, const Tensor& v, T* y, const Norms<T>& norms) {
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
            add_product<T>(n, s.values, m, {block.data(), {m, 1}}, value.at(b, j), value.row(), out, s.values);
          }
          for (int64_t p = 0; p < n; ++p) {
            const bool sees = sums[p] != 0;
            for (int64_t c = 0; c < s.values && sees; ++c)
              out[p * s.values + c] = static_cast<T>(static_cast<double>(out[p * s.values + c]) / sums[p]);
            norms.largest[b * s.queries + i + p] = sees ? largest[p] : std::numeric_limits<T>::infinity();
            norms.sum[b * s.queries + i + p] = sees ? static_cast<T>(sums[p]) : T{1};
          }
        }
      });
}

// dq, dk and dv (..., L, E), (..., S, E), (..., S, V), each null where it is not asked for.
template <class T>
void run_backward(const Scheme& s, const Tensors& xs, const Tensor& y, const Norms<const T>& norms, const Tensor& dy,
                  T* dq, T* dk, T* dv) {
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
            kernel.exponentials(m, norms.largest[b * s.queries + i + r], weights);
            const T sum = norms.sum[b * s.queries + i + r];
            for (int64_t c = 0; c < m; ++c) weights[c] /= sum;
          }
          if (dv)
            add_product<T>(m, s.values, n, {p.data(), {1, m}}, dy_rows, arriving.row(),
                           dv + (b * s.keys + j) * s.values, s.values);
          if (!dq && !dk) continue;
          detail::gemm<T>({.n = n,
                           .m = m,
                           .k = s.values,
                           .a = {dy_rows, {arriving.row(), 1}},
                           .b = {value.at(b, j), {1, value.row()}},
                           .y = dp.data(),
                           .y_row = m});
          for (int64_t r = 0; r < n; ++r)
            kernel.score_gradients(m, static_cast<T>(inner[r]), static_cast<T>(s.scale), p.data() + r * m,
                                   dp.data() + r * m);
          if (dq)
            add_product<T>(n, s.size, m, {dp.data(), {m, 1}}, key.at(b, j), key.row(),
                           dq + (b * s.queries + i) * s.size, s.size);
          if (dk)
            add_product<T>(m, s.size, n, {dp.data(), {1, m}}, query.at(b, i), query.row(),
                           dk + (b * s.keys + j) * s.size, s.size);
        }
      }
  });
}

Shape with(Shape leading, int64_t n, int64_t m) {
  leading.push_back(n);
  leading.push_back(m);
  return leading;
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
      return {weighted_sum(weights_of(xs[0], xs[1], xs[3].defined() ? xs[3] : s.mask, s), xs[2], s)};
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
      const Tensors xs{rows_of(given[0], s.leading), rows_of(given[1], s.leading), rows_of(given[2], s.leading)};
      const Tensor arriving = rows_of(dy[0], s.leading), out = y.get().detach(), most = largest, sums = sum;
      detail::visit_float(dtype, [&]<class T>(T) {
        const auto to = [&](std::size_t i) { return dx[i].defined() ? dx[i].data<T>() : nullptr; };
        run_backward<T>(s, xs, out, {most.data<T>(), sums.data<T>()}, arriving, to(0), to(1), to(2));
      });
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
  if (mask.dtype() == bool_ || mask.numel() == 0) return;
  const Tensor values = detail::as_contiguous(detail::as_dtype(mask.detach(), float64));
  const double* x = values.data<double>();
  bool has_one = false;
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (x[i] != 0 && x[i] != 1) return;
    has_one = has_one || x[i] == 1;
  }
  if (has_one)
    throw_error<ValueError>(op,
                            ": expected a floating-point mask to be added to the scores, 0 and -inf, got one of "
                            "zeros and ones alone; compare it, mask != 0, for a mask of what may be attended to");
}

// Checks, and brings q, k and the mask into the dtype computed in.
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
  detail::ranges::expect(op,
                         {{"scale", scale, detail::ranges::finite}, {"dropout", dropout, detail::ranges::fraction}});
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
  return mask.dtype() == bool_ ? mask : mask.to(compute);
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
    return weighted_sum(where(keeps, weights * (kept > 0 ? 1 / kept : 0), 0), v, s).to(q_any.dtype());
  }

  const Tensor learned = s.mask.defined() && s.mask.requires_grad() ? s.mask : Tensor();
  if (learned.defined()) s.mask = learned.detach();
  Tensor y = empty(with(s.leading, s.queries, s.values), compute);
  const Tensor largest = full(with(s.leading, s.queries, 1), infinity, compute);
  const Tensor sums = ones(largest.shape(), compute);
  {
    const NoGradGuard guard;
    const Tensor qs = rows_of(q, s.leading), ks = rows_of(k, s.leading), vs = rows_of(v, s.leading);
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
