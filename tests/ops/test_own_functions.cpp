// Functions made of the ops of the table: on the tape their derivatives are the ops', and off it nobody gets a part.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/op_table.hpp>

namespace test_own_functions {

using namespace limpid;

Tensors floating(const Tensors& xs) {
  Tensors some;
  for (const Tensor& x : xs)
    if (x.defined() && is_floating_point(x.dtype())) some.push_back(x);
  return some;
}

/// The first result of a row, its backward made of the op's own, recorded or not.
template <bool on_tape>
struct OfRow : Function<OfRow<on_tape>> {
  static Tensor forward(Context& ctx, int64_t row, const Tensors& xs) {
    ctx.save(tensor({static_cast<double>(row)}, int64));
    for (const Tensor& x : xs) ctx.save(x);
    return op_table()[static_cast<std::size_t>(row)].f(xs)[0];
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    CHECK(dy.is_contiguous());
    const OpRow& row = op_table()[static_cast<std::size_t>(ctx.saved(0).item<int64_t>())];
    Tensors xs;
    for (std::size_t i = 0; i < row.inputs.size(); ++i) xs.push_back(ctx.saved(i + 1));
    const auto f = [&](const Tensors& at) {
      Tensors all = xs;
      for (std::size_t i = 0, j = 0; i < all.size(); ++i)
        if (is_floating_point(all[i].dtype())) all[i] = at[j++];
      return row.f(all)[0];
    };
    const Tensors found = vjp(f, floating(xs), {dy}).dxs;
    Tensors dxs;
    for (std::size_t i = 0, j = 0; i < xs.size(); ++i) {
      dxs.push_back(is_floating_point(xs[i].dtype()) ? found[j++] : Tensor());
      if (!on_tape && dxs[i].defined()) dxs[i] = dxs[i].detach();
    }
    return dxs;
  }
};

template <class F>
void for_each_op(F f) {
  for (std::size_t r = 0; r < op_table().size(); ++r) {
    const OpRow& row = op_table()[r];
    if (!row.differentiable || row.optional || row.wide) continue;
    DYNAMIC_SECTION(row.name()) { f(row, static_cast<int64_t>(r)); }
  }
}

Tensors leaves(const Tensors& xs) {
  Tensors all;
  for (const Tensor& x : xs) {
    all.push_back(x);
    if (is_floating_point(x.dtype())) all[all.size() - 1] = x.clone().set_requires_grad();
  }
  return all;
}

/// The Hessian of <y, dy> times v: undefined, or zero, where there is none.
Tensors curvature(const Tensor& y, const Tensors& xs, const Tensor& dy, const Tensors& vs) {
  const GradOptions options{.create_graph = true, .allow_unused = true};
  const Tensors dxs = grad({y}, xs, {dy}, options);
  Tensors roots, seeds;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!dxs[i].defined() || !dxs[i].requires_grad()) continue;
    roots.push_back(dxs[i]);
    seeds.push_back(vs[i]);
  }
  return roots.empty() ? Tensors(xs.size()) : grad(roots, xs, seeds, {.allow_unused = true});
}

double largest(const Tensors& xs) {
  double most = 0;
  for (const Tensor& x : xs)
    if (x.defined() && x.numel() > 0) most = std::max(most, max(abs(x.to(float64))).item<double>());
  return most;
}

TEST_CASE("functions on the tape have the second derivatives of what they are made of") {
  for_each_op([](const OpRow& row, int64_t r) {
    const Tensors xs = leaves(row.draw()), at = floating(xs);
    Generator generator(9);
    const Tensor plain = row.f(xs)[0], custom = OfRow<true>::apply(r, xs);
    const Tensor dy = randn(plain.shape(), float64, generator).to(plain.dtype());
    Tensors vs;
    for (const Tensor& x : at) vs.push_back(randn(x.shape(), float64, generator).to(x.dtype()));
    const Tensors expected = curvature(plain, at, dy, vs), got = curvature(custom, at, dy, vs);
    for (std::size_t i = 0; i < at.size(); ++i) {
      const Tensor zero = zeros_like(at[i].detach());
      CHECK(allclose(got[i].defined() ? got[i] : zero, expected[i].defined() ? expected[i] : zero, 1e-9, 1e-11));
    }
  });
}

TEST_CASE("functions off the tape are refused where they have a second derivative, and there alone") {
  int refused = 0, allowed = 0;
  for (std::size_t r = 0; r < op_table().size(); ++r) {
    const OpRow& row = op_table()[r];
    if (!row.differentiable || row.optional || row.wide || row.op == "to") continue;
    INFO(row.name());
    const Tensors xs = leaves(row.draw()), at = floating(xs);
    Generator generator(9);
    const Tensor plain = row.f(xs)[0], custom = OfRow<false>::apply(static_cast<int64_t>(r), xs);
    const Tensor dy = randn(plain.shape(), float64, generator);
    Tensors vs;
    for (const Tensor& x : at) vs.push_back(randn(x.shape(), float64, generator));
    const double size = largest(curvature(plain, at, dy, vs));
    bool is_refused = false;
    try {
      const double part = largest(curvature(custom, at, dy, vs));
      CHECK(part == 0);
    } catch (const AutogradError&) {
      is_refused = true;
    }
    ++(is_refused ? refused : allowed);
    if (size > 1e-9) CHECK(is_refused);
    if (size == 0) CHECK_FALSE(is_refused);
  }
  CHECK(refused > 40);
  CHECK(allowed > 20);
}

}  // namespace test_own_functions
