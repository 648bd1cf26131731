// Attention against its formula in double, and what masks mean.
#include <limpid/core/detail/message.hpp>
#include <limpid/limpid.hpp>

#include <cmath>

#include <limpid/tests/ops/plain.hpp>

namespace test_attention {

using namespace limpid;
using namespace plain;

const double inf = INFINITY;

// softmax(scale q k^T + added) v of matrices, in double; a row of -inf alone gives 0.
std::vector<double> by_hand(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& added, double scale) {
  const auto qs = values(q), ks = values(k), vs = values(v), as = values(added);
  const auto length = static_cast<std::size_t>(q.size(0)), keys = static_cast<std::size_t>(k.size(0)),
             size = static_cast<std::size_t>(q.size(1)), width = static_cast<std::size_t>(v.size(1));
  std::vector<double> y(length * width, 0);
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<long double> s(keys);
    long double most = -INFINITY, total = 0;
    for (std::size_t j = 0; j < keys; ++j) {
      long double dot = 0;
      for (std::size_t e = 0; e < size; ++e) dot += static_cast<long double>(qs[i * size + e]) * ks[j * size + e];
      s[j] = as[i * keys + j] == -INFINITY ? -INFINITY : dot * scale + as[i * keys + j];
      most = std::max(most, s[j]);
    }
    for (long double& p : s) total += p = p == -INFINITY ? 0 : std::exp(p - most);
    for (std::size_t j = 0; j < keys; ++j)
      for (std::size_t c = 0; c < width && s[j] != 0; ++c)
        y[i * width + c] += static_cast<double>(s[j] / total * static_cast<long double>(vs[j * width + c]));
  }
  return y;
}

Tensor as_added(const Tensor& allowed) { return where(allowed, 0.0, -inf).to(float64); }

struct Gradients {
  Tensor y;
  Tensors dx;
};
Gradients gradients(const Tensors& given, const AttentionOptions& options, const Tensor& dy) {
  Tensors xs;
  for (const Tensor& x : given) xs.push_back(x.detach().clone().set_requires_grad());
  const Tensor y = scaled_dot_product_attention(xs[0], xs[1], xs[2], options);
  return {y.detach(), grad({y}, xs, {dy})};
}

TEST_CASE("attention follows its formula, beyond blocks of queries and keys too") {
  manual_seed(1);
  for (const DType dtype : {float32, float64})
    for (const auto& [length, keys] : {std::pair<int64_t, int64_t>{3, 4}, {1, 1}, {70, 300}, {130, 257}, {65, 600}}) {
      const Tensor q = 3 * randn({length, 5}, dtype), k = randn({keys, 5}, dtype), v = randn({keys, 3}, dtype);
      const Tensor open = zeros({length, keys}, float64), some = gt(rand({length, keys}), 0.3),
                   bias = randn({length, keys}, dtype);
      CAPTURE(dtype, length, keys);
      const double scale = 1 / std::sqrt(5.0), bound = dtype == float64 ? 64 : 32;
      CHECK(error(scaled_dot_product_attention(q, k, v), by_hand(q, k, v, open, scale), bound) < 1);
      CHECK(error(scaled_dot_product_attention(q, k, v, {.scale = 0.7}), by_hand(q, k, v, open, 0.7), bound) < 1);
      CHECK(error(scaled_dot_product_attention(q, k, v, {.mask = some}), by_hand(q, k, v, as_added(some), scale),
                  bound) < 1);
      CHECK(error(scaled_dot_product_attention(q, k, v, {.mask = bias}), by_hand(q, k, v, bias.to(float64), scale),
                  bound) < 1);
      const Tensor rows = reshape(arange(length), {length, 1}), top = le(arange(keys), rows),
                   bottom = le(arange(keys), rows + (keys - length));
      CHECK(error(scaled_dot_product_attention(q, k, v, {.causal = true}), by_hand(q, k, v, as_added(top), scale),
                  bound) < 1);
      CHECK(error(scaled_dot_product_attention(q, k, v, {.causal = true, .alignment = CausalAlignment::bottom_right}),
                  by_hand(q, k, v, as_added(bottom), scale), bound) < 1);
      CHECK(error(scaled_dot_product_attention(q, k, v, {.mask = some, .causal = true}),
                  by_hand(q, k, v, as_added(logical_and(some, top)), scale), bound) < 1);
    }
}

TEST_CASE("the gradients of attention are those of its composition, in any layout and broadcast") {
  manual_seed(2);
  const auto composed = [](const Tensors& x, const Tensor& allowed) {
    Tensor scores = matmul(x[0] / std::sqrt(6.0), transpose(x[1], -2, -1));
    if (allowed.defined()) scores = where(allowed, scores, -inf);
    return matmul(softmax(scores, -1), x[2]);
  };
  const Tensor causal = le(arange(300), reshape(arange(70), {70, 1}));
  for (const bool is_causal : {false, true})
    for (const bool is_permuted : {false, true}) {
      const auto made = [&](int64_t length, int64_t heads, int64_t size) {
        const Tensor x = is_permuted ? permute(randn({2, length, heads, size}, float64), {0, 2, 1, 3})
                                     : randn({2, heads, length, size}, float64);
        return x.detach().set_requires_grad();
      };
      const Tensors xs{made(70, 3, 6), made(300, 1, 6), made(300, 3, 4)};  // k has one head for all
      const Tensor dy = permute(randn({2, 70, 3, 4}, float64), {0, 2, 1, 3});
      const Tensors got = grad({scaled_dot_product_attention(xs[0], xs[1], xs[2], {.causal = is_causal})}, xs, {dy});
      const Tensors expected = grad({composed(xs, is_causal ? causal : Tensor())}, xs, {dy});
      for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(is_causal, is_permuted, i);
        CHECK(got[i].shape() == xs[i].shape());
        CHECK(allclose(got[i], expected[i], 1e-10, 1e-11));
      }
    }
}

TEST_CASE("a query that may attend to no key gives 0, and all gradients of it are 0") {
  manual_seed(3);
  const Tensor q = randn({3, 4}, float64), k = randn({5, 4}, float64), v = randn({5, 2}, float64);
  Tensor allowed = ones({3, 5}, bool_);
  allowed.index_put_({1}, false);
  const Tensor dy = randn({3, 2}, float64);
  for (const Tensor& mask : {allowed, as_added(allowed)}) {
    const Gradients all = gradients({q, k, v}, {.mask = mask}, dy);
    CHECK(values(select(all.y, 0, 1)) == std::vector<double>{0, 0});
    for (const double d : values(select(all.dx[0], 0, 1))) CHECK(d == 0);
    // The others' gradients are those without it.
    const Tensor rest = tensor({0, 2}, int64);
    const Gradients without = gradients({index_select(q, 0, rest), k, v}, {}, index_select(dy, 0, rest));
    CHECK(allclose(all.dx[1], without.dx[1], 1e-12, 1e-13));
    CHECK(allclose(all.dx[2], without.dx[2], 1e-12, 1e-13));
  }
  CHECK(values(attention_weights(q, k, {.mask = allowed}).index({1})) == std::vector<double>(5, 0));
  // No key at all.
  const Tensor none = scaled_dot_product_attention(q, zeros({0, 4}, float64), zeros({0, 2}, float64));
  CHECK(equal(none, zeros({3, 2}, float64)));
}

TEST_CASE("NaN and infinity in masked keys and values reach nothing") {
  manual_seed(4);
  for (const double bad : {static_cast<double>(NAN), inf}) {
    Tensor q = randn({2, 3, 4}, float64), k = randn({2, 5, 4}, float64), v = randn({2, 5, 2}, float64);
    const Tensor allowed = reshape(tensor({1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0}, bool_), {3, 5});
    const Tensor dy = randn({2, 3, 2}, float64);
    const Gradients clean = gradients({q, k, v}, {.mask = allowed}, dy);
    // The last key is masked for all queries, the third for two of three.
    k.index_put_({Slice(), 4}, bad);
    v.index_put_({Slice(), 4}, bad);
    const Gradients got = gradients({q, k, v}, {.mask = allowed}, dy);
    CHECK(allclose(got.y, clean.y, 1e-13, 1e-14));
    for (std::size_t i = 0; i < 3; ++i) CHECK(allclose(got.dx[i], clean.dx[i], 1e-12, 1e-13));
    v.index_put_({0, 2}, bad);
    const Gradients partly = gradients({q, k, v}, {.mask = allowed}, dy);
    CHECK(allclose(partly.y.index({0, Slice(0, 3, 2)}), clean.y.index({0, Slice(0, 3, 2)}), 1e-13, 1e-14));
    CHECK_FALSE(all(isfinite(partly.y.index({0, 1}))).item<bool>());
    // Forwards and twice, too.
    Tensor leaf = q.clone().set_requires_grad();
    const Tensor d =
        grad({sum(square(scaled_dot_product_attention(leaf, k.index({1}), v.index({1}), {.mask = allowed})))}, {leaf},
             {}, {.create_graph = true})[0];
    CHECK(all(isfinite(grad({sum(square(d))}, {leaf})[0])).item<bool>());
  }
}

TEST_CASE("NaN that some queries may not see stays away from them where attention is a composition, too") {
  manual_seed(5);
  for (const double bad : {static_cast<double>(NAN), inf})
    for (const bool is_key : {true, false}) {
      CAPTURE(bad, is_key);
      const Tensor q = randn({2, 3, 4}, float64);
      Tensor k = randn({2, 3, 4}, float64), v = randn({2, 3, 2}, float64);
      (is_key ? k : v).index_put_({Slice(), 2}, bad);  // which the last query alone sees
      const auto first = [](const Tensor& x) { return slice(x, 1, 0, 2); };
      // Of the first two queries, with all keys or with theirs alone: attention, its gradient, and that one's.
      const auto orders = [&](const Tensor& k_of, const Tensor& v_of, const Tensor& q_of, const AttentionOptions& o) {
        Tensor leaf = q_of.clone().set_requires_grad();
        const Tensor y = first(scaled_dot_product_attention(leaf, k_of, v_of, o));
        const Tensor d = first(grad({sum(square(y))}, {leaf}, {}, {.create_graph = true})[0]);
        return Tensors{y.detach(), d.detach(), first(grad({sum(square(d))}, {leaf})[0])};
      };
      const auto pushed = [&](const Tensor& k_of, const Tensor& v_of, const Tensor& q_of, const AttentionOptions& o) {
        const auto f = [&](const Tensors& x) { return Tensors{scaled_dot_product_attention(x[0], k_of, v_of, o)}; };
        return first(jvp(f, {q_of}, {ones(q_of.shape(), float64)}).dys[0]);
      };
      const AttentionOptions fused{.causal = true}, composed{.causal = true, .dropout = 1e-12, .training = true};
      const Tensors expected = orders(first(k), first(v), first(q), fused);
      const Tensor tangent = pushed(first(k), first(v), first(q), fused);
      for (const AttentionOptions& options : {fused, composed}) {
        const Tensors got = orders(k, v, q, options);
        for (std::size_t i = 0; i < 3; ++i) {
          CAPTURE(i);
          CHECK(allclose(got[i], expected[i], 1e-9, 1e-9));
        }
        CHECK(allclose(pushed(k, v, q, options), tangent, 1e-9, 1e-9));
        CHECK_FALSE(all(isfinite(scaled_dot_product_attention(q, k, v, options).index({Slice(), 2}))).item<bool>());
      }
      Tensor leaf = q.clone().set_requires_grad();
      const Tensor weights = first(attention_weights(leaf, k, {.causal = true}));
      CHECK(all(isfinite(weights)).item<bool>());
      CHECK(all(isfinite(first(grad({sum(square(weights))}, {leaf})[0]))).item<bool>());
    }
}

TEST_CASE("a learned mask of another dtype has a gradient at each element, also of elements in one place of memory") {
  const Tensor q = randn({3, 4}, float64), k = randn({5, 4}, float64), v = randn({5, 2}, float64);
  const Tensor dense = randn({1, 5}).to(float16);
  const auto dmask_of = [&](Tensor mask) {
    mask.set_requires_grad();
    return grad({sum(square(scaled_dot_product_attention(q, k, v, {.mask = mask})))}, {mask})[0];
  };
  const Tensor repeated = expand(dense, {3, 5}).detach();
  CHECK(equal(dmask_of(repeated), dmask_of(repeated.clone().contiguous())));
}

TEST_CASE("scores are scaled before they are too large") {
  for (const bool is_composed : {false, true}) {
    Tensor q = full({1, 1}, 3e19).set_requires_grad(), k = full({2, 1}, 3e19).set_requires_grad();
    const Tensor v = reshape(tensor({1, 3}, float32), {2, 1});
    const Tensor y = scaled_dot_product_attention(
        q, k, v, {.scale = 1e-38, .dropout = is_composed ? 1e-12 : 0, .training = is_composed});
    CHECK(y.item<double>() == Approx(2));
    const Tensors d = grad({y}, {q, k}, {ones({1, 1})});
    // dk_j = scale q p_j (v_j - y)
    CHECK(values(d[0]) == std::vector<double>{0});
    CHECK(allclose(d[1] * 1e19, reshape(tensor({-1.5, 1.5}, float32), {2, 1}), 1e-5));
    CHECK(values(attention_weights(q.detach(), k.detach(), {.scale = 1e-38})) == std::vector<double>{0.5, 0.5});
  }
}

TEST_CASE("masks that are broadcast are read where they lie, and transposed keys copied once for a batch") {
  const int64_t many = int64_t{1} << 20;
  const Tensor x = zeros({many, 1});
  const auto refused = [&](const Tensor& mask) {
    return thrown<ValueError>([&] { scaled_dot_product_attention(x, x, x, {.mask = expand(mask, {many, many})}); });
  };
  for (const DType dtype : {float16, bfloat16, float32, float64}) CHECK_FALSE(refused(ones({1, 1}, dtype)).empty());
  CHECK_FALSE(refused(reshape(eq(arange(many), 7).to(float32), {1, many})).empty());
  const Tensor k = transpose(randn({4, 300}, float64), 0, 1), v = transpose(randn({2, 300}, float64), 0, 1);
  const Tensor q = randn({5, 3, 4}, float64);
  const Tensor y = scaled_dot_product_attention(q, k, v);
  for (int64_t b = 0; b < 5; ++b)
    CHECK(equal(y[b], scaled_dot_product_attention(q[b], k.contiguous(), v.contiguous())));
  const Tensor batch = zeros({2000, 1, 4}, float64);
  reset_peak_memory_stats();
  const int64_t before = memory_stats().in_use;
  scaled_dot_product_attention(batch, k, v);
  CHECK(memory_stats().peak_in_use - before < 2000 * k.numel());
  const Tensor queries = expand(randn({1, 30, 64}, float64), {2000, 30, 64});
  reset_peak_memory_stats();
  const int64_t in_use = memory_stats().in_use;
  scaled_dot_product_attention(queries, queries[0], zeros({30, 1}, float64));
  CHECK(memory_stats().peak_in_use - in_use < queries.numel() * 4);
  const Tensor repeated = expand(unsqueeze(k, 0), {5, 300, 4});
  CHECK(equal(y, scaled_dot_product_attention(q, repeated, v)));
  // Masks of other floating-point dtypes, repeated along some axes.
  const Tensor bias = randn({3, 1}, float32), wide = expand(bias, {3, 300});
  CHECK(equal(scaled_dot_product_attention(q, k, v, {.mask = wide}),
              scaled_dot_product_attention(q, k, v, {.mask = wide.to(float64).contiguous()})));
}

TEST_CASE("masks say by their dtype what they mean") {
  const Tensor q = randn({3, 4}), k = randn({5, 4}), v = randn({5, 2});
  const auto message = [&](const Tensor& mask) {
    return thrown<Error>([&] { scaled_dot_product_attention(q, k, v, {.mask = mask}); });
  };
  const std::string meant =
      "scaled_dot_product_attention: expected a floating-point mask to be added to the scores, 0 and -inf, got one of "
      "zeros and ones alone; compare it, mask != 0, for a mask of what may be attended to";
  CHECK(message(ones({3, 5})) == meant);
  CHECK(message(tril(ones({3, 5}))) == meant);
  CHECK(message(zeros({3, 5})).empty());
  CHECK(message(tril(full({3, 5}, 0.5))).empty());
  CHECK(message(ones({3, 5}, int64)) ==
        "scaled_dot_product_attention: expected a mask of bool or floating point, got int64");
  CHECK(message(ones({3, 4}, bool_)) ==
        "scaled_dot_product_attention: expected a mask that broadcasts to (3, 5), got (3, 4)");
  CHECK(message(ones({2, 3, 5}, bool_)) ==
        "scaled_dot_product_attention: expected a mask that broadcasts to (3, 5), got (2, 3, 5)");
  // One query against what keys hold: all of it, or the first key alone.
  const Tensor one = slice(q, 0, 0, 1);
  CHECK(allclose(scaled_dot_product_attention(one, k, v, {.causal = true}), slice(v, 0, 0, 1)));
  CHECK(allclose(scaled_dot_product_attention(one, k, v, {.causal = true, .alignment = CausalAlignment::bottom_right}),
                 scaled_dot_product_attention(one, k, v)));
}

TEST_CASE("dropout of attention acts in training alone, on weights that sum to 1") {
  const Tensor q = randn({200, 4}), k = randn({50, 4}), v = ones({50, 1});
  CHECK(allclose(scaled_dot_product_attention(q, k, v, {.dropout = 0.5}), ones({200, 1})));
  Generator generator(3);
  const AttentionOptions options{.dropout = 0.5, .training = true, .generator = &generator};
  const Tensor y = scaled_dot_product_attention(q, k, v, options);
  CHECK_FALSE(allclose(y, ones({200, 1}), 0.01));
  CHECK(mean(y).item<double>() == Approx(1).margin(0.05));
  CHECK(allclose(sum(attention_weights(q, k, options), -1), ones({200})));
  CHECK(equal(scaled_dot_product_attention(q, k, v, {.dropout = 1, .training = true}), zeros({200, 1})));
}

TEST_CASE("a mask that is learned gets its gradient") {
  Tensor bias = randn({3, 5}, float64).set_requires_grad();
  const Tensor q = randn({2, 3, 4}, float64), k = randn({2, 5, 4}, float64), v = randn({2, 5, 2}, float64);
  CHECK(gradcheck(
      [&](const Tensors& x) { return Tensors{scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3]})}; },
      {q, k, v, bias}));
}

TEST_CASE("attention of large scores neither overflows nor loses rows, and half precision is float32's") {
  const Tensor q = full({2, 1}, 1e4, float16), k = reshape(tensor({1, 2, 3}, float16), {3, 1}),
               v = reshape(tensor({1, 2, 3}, float16), {3, 1});
  const Tensor y = scaled_dot_product_attention(q, k, v, {.causal = true});
  CHECK(y.dtype() == float16);
  CHECK(values(y) == std::vector<double>{1, 2});
  const Tensor a = randn({2, 6, 8}).to(bfloat16);
  CHECK(equal(scaled_dot_product_attention(a, a, a),
              scaled_dot_product_attention(a.to(float32), a.to(float32), a.to(float32)).to(bfloat16)));
}

TEST_CASE("the gradients of attention have weights that sum to 1, however large the scores are") {
  for (const DType dtype : {float32, float64})
    for (const double score : {-1e4, 1e7, -1e9, -1e18}) {
      CAPTURE(dtype, score);
      Tensor v = ones({4, 1}, dtype).set_requires_grad();
      const Tensor y = scaled_dot_product_attention(zeros({1, 2}, dtype), ones({4, 2}, dtype), v,
                                                    {.mask = full({1, 4}, score, dtype)});
      CHECK(equal(grad({y}, {v}, {ones({1, 1}, dtype)})[0], full({4, 1}, 0.25, dtype)));
    }
}

TEST_CASE("attention notices a mask that was changed after it") {
  for (const bool is_bool : {true, false}) {
    Tensor q = randn({3, 2}).set_requires_grad(), mask = is_bool ? ones({3, 3}, bool_) : full({3, 3}, -0.5);
    const Tensor y = scaled_dot_product_attention(q, randn({3, 2}), randn({3, 2}), {.mask = mask});
    mask.fill_(0);
    CHECK_THROWS_AS(sum(square(y)).backward(), AutogradError);
  }
}

TEST_CASE("attention over values of no size has gradients 0") {
  for (int i = 0; i < 3; ++i) {
    { const Tensor junk = full({8, 1}, -1e308, float64); }
    Tensor q = randn({8, 4}, float64).set_requires_grad(), k = randn({8, 4}, float64).set_requires_grad();
    sum(scaled_dot_product_attention(q, k, zeros({8, 0}, float64))).backward();
    CHECK(equal(q.grad(), zeros({8, 4}, float64)));
    CHECK(equal(k.grad(), zeros({8, 4}, float64)));
  }
}

TEST_CASE("attention gives the same bits for any number of threads, and on each instruction set") {
  const Tensor q = randn({2, 3, 150, 16}), k = randn({2, 3, 270, 16}), v = randn({2, 3, 270, 8});
  const auto run = [&]() -> Tensors {
    const Gradients g = gradients({q, k, v}, {.causal = true}, ones({2, 3, 150, 8}));
    return {g.y, g.dx[0], g.dx[1], g.dx[2]};
  };
  plain::check_threads(run);
}

TEST_CASE("attention says what it was given wrong") {
  const Tensor q = zeros({2, 3, 4}), k = zeros({2, 5, 4}), v = zeros({2, 5, 6});
  const auto message = [&](const Tensor& a, const Tensor& b, const Tensor& c, const AttentionOptions& o = {}) {
    return thrown<Error>([&] { scaled_dot_product_attention(a, b, c, o); });
  };
  const std::string op = "scaled_dot_product_attention: expected ";
  CHECK(message(zeros({4}), k, v) == op + "q of shape (..., L, E), got (4,)");
  CHECK(message(q, zeros({2, 5, 3}), v) == op + "k of shape (..., S, 4), got (2, 5, 3)");
  CHECK(message(q, k, zeros({2, 4, 6})) == op + "v of shape (..., 5, V), got (2, 4, 6)");
  CHECK(message(q, k.to(float64), v) == op + "q and k of one dtype, got float32 and float64; convert with to()");
  CHECK(message(q, k, v.to(float64)) == op + "q and v of one dtype, got float32 and float64; convert with to()");
  CHECK(message(q.to(int64), k, v) == op + "q and k of a floating-point dtype, got int64; convert with to()");
  const std::string scales = op + "scale in [-3.4028234663852886e+38, 3.4028234663852886e+38], got ";
  CHECK(message(q, k, v, {.scale = NAN}) == scales + "nan");
  CHECK(message(q, k, v, {.scale = 1e300}) == scales + "1e+300");
  CHECK(message(q, k, v, {.dropout = 1.5}) == op + "dropout in [0, 1], got 1.5");
  CHECK(message(q, k, v, {.alignment = static_cast<CausalAlignment>(2)}) ==
        op + "CausalAlignment::top_left or bottom_right, got CausalAlignment(2)");
  CHECK(message(q, k, Tensor()) == op + "a defined v, got an undefined tensor");
}

}  // namespace test_attention
