// Products here and their gradients are of two kinds, each with gradients of these two. In one an element of 0 (a key
// that is masked, or a weight that is dropped) counts for nothing whatever it meets, as 0 times NaN would not; the
// other makes such elements, which are masked after it.
#include <limpid/ops/attention/detail/composition.hpp>

#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::detail {
namespace {

// y_ic = sum_j a_ij b_jc over the j where a_ij is not 0.
Tensor sparse_product(const Tensor& a, const Tensor& b);
// y_ij = sum_c a_ic b_jc
Tensor inner_products(const Tensor& a, const Tensor& b);

Tensor transposed(const Tensor& x) { return transpose(x, -2, -1); }

// y = f(a, b), linear in each.
struct ProductNode : Node {
  Saved a{*this, "a"}, b{*this, "b"};
  // dy = f(da, b) + f(a, db)
  Tensor tangent(Tensor (*f)(const Tensor&, const Tensor&), const Tensors& dx) {
    const Tensor of_a = dx[0].defined() ? f(dx[0], b) : Tensor(), of_b = dx[1].defined() ? f(a, dx[1]) : Tensor();
    return of_a.defined() && of_b.defined() ? of_a + of_b : of_a.defined() ? of_a : of_b;
  }
};

struct SparseProductNode final : ProductNode {
  const char* name() const noexcept override { return "attention_sparse_product"; }
  // da_ij = sum_c dy_ic b_jc,  db_jc = sum_i a_ij dy_ic over the i where a_ij is not 0
  Tensors backward(const Tensors& dy) override {
    Tensors dx(2);
    if (needs(0)) dx[0] = inner_products(dy[0], b);
    if (needs(1)) dx[1] = sparse_product(transposed(a), dy[0]);
    return dx;
  }
  Tensors jvp(const Tensors& dx) override { return {tangent(sparse_product, dx)}; }
};

Tensor sparse_product(const Tensor& a, const Tensor& b) {
  Tensor y = [&] {
    const NoGradGuard guard;
    const Tensor is_finite = isfinite(b), whole = matmul(a, b);
    if (all(is_finite).item<bool>()) return whole;
    // Of those that are not finite, what some y counts makes it so, and what none does is left out.
    const Tensor counts = ne(a, 0).to(a.dtype()), others = logical_not(is_finite).to(b.dtype());
    return where(gt(matmul(counts, others), 0), whole, matmul(a, where(is_finite, b, 0)));
  }();
  if (auto* node = record<SparseProductNode>(y, a, b)) {
    node->a = a;
    node->b = b;
  }
  return y;
}

struct InnerProductsNode final : ProductNode {
  const char* name() const noexcept override { return "attention_inner_products"; }
  // da_ic = sum_j dy_ij b_jc,  db_jc = sum_i dy_ij a_ic, over those where dy_ij is not 0
  Tensors backward(const Tensors& dy) override {
    Tensors dx(2);
    if (needs(0)) dx[0] = sparse_product(dy[0], b);
    if (needs(1)) dx[1] = sparse_product(transposed(dy[0]), a);
    return dx;
  }
  Tensors jvp(const Tensors& dx) override { return {tangent(inner_products, dx)}; }
};

Tensor inner_products(const Tensor& a, const Tensor& b) {
  Tensor y = [&] {
    const NoGradGuard guard;
    return matmul(a, transposed(b));
  }();
  if (auto* node = record<InnerProductsNode>(y, a, b)) {
    node->a = a;
    node->b = b;
  }
  return y;
}

// bool (L, S): the keys that causal attention lets each query see.
Tensor seen(const Scheme& s) { return le(arange(s.keys), reshape(arange(s.queries), {s.queries, 1}) + s.offset); }

}  // namespace

Tensor weights_of(const Tensor& q, const Tensor& k, const Tensor& mask, const Scheme& s) {
  Tensor allowed = s.causal ? seen(s) : Tensor();
  if (mask.defined() && mask.dtype() == bool_) allowed = allowed.defined() ? logical_and(allowed, mask) : mask;
  const bool adds = mask.defined() && mask.dtype() != bool_;
  if (adds) {
    const Tensor open = ne(mask.detach(), -infinity);
    allowed = allowed.defined() ? logical_and(allowed, open) : open;
  }
  Tensor scores = inner_products(scaled(q, s), k);
  if (adds) scores = scores + mask;
  if (allowed.defined()) scores = where(allowed, scores, -infinity);
  return softmax(scores, -1);
}

Tensor weighted_sum(const Tensor& weights, const Tensor& v) {
  return sparse_product(where(ne(weights.detach(), 0), weights, 0), v);
}

}  // namespace limpid::detail
