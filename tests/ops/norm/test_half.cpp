// Half precision: the bits of converting to float32, normalising and rounding once; and what the graph keeps of it.
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/limpid.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_half {

using namespace limpid;

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Norm {
  std::string name;
  Shape (*affine)(const Tensor& x);  ///< the shape of w and b; empty: there are none
  Tensor (*f)(const Tensor& x, const Tensor& w, const Tensor& b);
};

Shape none(const Tensor&) { return {}; }
Shape per_channel(const Tensor& x) { return {x.size(1)}; }
Shape per_sample(const Tensor& x) { return {x.size(0), x.size(1)}; }
Shape trailing(const Tensor& x) { return Shape(x.shape().begin() + 1, x.shape().end()); }

const std::vector<Norm> norms = {
    {"instance_norm", per_channel,
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return instance_norm(x, {.weight = w, .bias = b}); }},
    {"instance_norm, plain", none, [](const Tensor& x, const Tensor&, const Tensor&) { return instance_norm(x); }},
    {"instance_norm, bias alone", per_channel,
     [](const Tensor& x, const Tensor&, const Tensor& b) { return instance_norm(x, {.bias = b}); }},
    {"instance_norm, per sample", per_sample,
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return instance_norm(x, {.weight = w, .bias = b}); }},
    {"group_norm", per_channel,
     [](const Tensor& x, const Tensor& w, const Tensor& b) {
       return group_norm(x, x.size(1) % 2 ? 1 : x.size(1) / 2, w, b);
     }},
    {"group_norm, plain", none, [](const Tensor& x, const Tensor&, const Tensor&) { return group_norm(x, 1); }},
    {"group_norm of one group", per_channel,
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return group_norm(x, 1, w, b); }},
    {"layer_norm", trailing,
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return layer_norm(x, trailing(x), w, b); }},
    {"rms_norm", trailing, [](const Tensor& x, const Tensor& w, const Tensor&) { return rms_norm(x, trailing(x), w); }},
    {"batch_norm", per_channel,
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return batch_norm(x, {}, {}, w, b, true); }},
};

const std::vector<std::string> layouts = {"contiguous", "channels_last",       "strided", "gaps", "expanded",
                                          "flipped",    "channels_last sliced"};

struct Inputs {
  Tensor x, w, b, dy;
  Inputs(const Norm& norm, const Shape& shape, const std::string& layout, DType dtype, DType affine) {
    manual_seed(61);
    x = plain::in_layout((randn(shape) * 3.0 + 7.0).to(dtype), layout);
    dy = plain::in_layout(randn(shape).to(dtype), layout == "expanded" ? "contiguous" : layout);
    const Shape params = norm.affine(x);
    if (params.empty()) return;
    w = randn(params).to(affine);
    b = randn(params).to(affine);
  }
};

/// y, dx, dw, db where f is called on x, w and b converted to `compute`, and its result rounded to x's dtype.
Tensors derivatives(const Norm& norm, const Inputs& in, DType compute) {
  Tensors leaves;
  const auto leaf = [&](const Tensor& t) {
    if (!t.defined()) return t;
    leaves.push_back(t.detach().set_requires_grad());
    return leaves.back();
  };
  const Tensor x = leaf(in.x), w = leaf(in.w), b = leaf(in.b);
  const auto wide = [&](const Tensor& t) { return t.defined() && compute == float32 ? t.to(float32) : t; };
  const Tensor y = norm.f(wide(x), wide(w), wide(b)).to(in.x.dtype());
  Tensors all{y.detach()};
  for (const Tensor& d : grad({y}, leaves, {in.dy}, {.allow_unused = true})) all.push_back(d);
  return all;
}

/// Whether all elements have the same bits, or are NaN in both.
bool same(const Tensor& a, const Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const Tensor wide_a = detail::as_contiguous(detail::as_dtype(a.detach(), float32)),
               wide_b = detail::as_contiguous(detail::as_dtype(b.detach(), float32));
  const float *p = wide_a.data<float>(), *q = wide_b.data<float>();
  for (int64_t i = 0; i < a.numel(); ++i)
    if (std::bit_cast<uint32_t>(p[i]) != std::bit_cast<uint32_t>(q[i]) && !(std::isnan(p[i]) && std::isnan(q[i])))
      return false;
  return true;
}

void check_same(const Tensors& found, const Tensors& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(same(found[i], expected[i]));
  }
}

void check_norm(const Norm& norm, const Shape& shape, const std::string& layout, DType dtype, DType affine) {
  INFO(norm.name << ' ' << to_string(shape) << ' ' << layout << ' ' << dtype << ' ' << affine);
  const Inputs in(norm, shape, layout, dtype, affine);
  check_same(derivatives(norm, in, dtype), derivatives(norm, in, float32));
}

// Single elements, short slices, many in a buffer and some, few and many channels, N = 0.
const std::vector<Shape> small_shapes = {{2, 3, 5},      {1, 4, 8, 8},   {3, 17, 7, 5},  {2, 40, 1},
                                         {6, 33, 40, 9}, {70, 50, 1, 1}, {5, 1, 9000},   {0, 3, 4, 4},
                                         {2, 512, 3},    {40, 64, 4, 4}, {3, 6, 60, 50}, {2, 130, 70}};
// Slices of several blocks, in phases or not; blocks of several rows and rows of several blocks.
const std::vector<Shape> large_shapes = {{1, 2, 200, 210}, {5, 2, 150, 170}, {1, 1, 300000}, {2, 64, 70, 80},
                                         {2, 2, 600, 300}, {5, 256, 9, 9},   {1, 300, 1500}, {2, 300000, 1}};

Tensors derivatives_at(int threads, const Norm& norm, const Inputs& in) {
  const test::WithThreads with(threads);
  return derivatives(norm, in, float16);
}

TEST_CASE("norms of half precision have the bits of float32 rounded once, values and gradients") {
  const DType dtype = GENERATE(float16, bfloat16);
  int number = 0;
  for (const Norm& norm : norms)
    for (const Shape& shape : small_shapes)
      for (const std::string& layout : layouts)
        if (!test::is_thinned_out(number++, 5)) check_norm(norm, shape, layout, dtype, dtype);
}

TEST_CASE("norms of half precision have the bits of float32 where slices outgrow a buffer") {
  int number = 0;
  for (const Norm& norm : norms)
    for (const Shape& shape : large_shapes)
      for (const char* layout : {"contiguous", "channels_last", "strided"})
        if (!test::is_thinned_out(number++, 23)) check_norm(norm, shape, layout, bfloat16, float32);
}

TEST_CASE("norms of half precision have the bits of float32 at every instruction set") {
  for (const Isa level : isa_levels()) {
    const test::WithIsa with(level);
    for (const Norm& norm : norms)
      for (const char* layout : {"contiguous", "channels_last"})
        check_norm(norm, {3, 18, 12, 11}, layout, float16, float32);
  }
}

TEST_CASE("norms of half precision have the same bits for any number of threads") {
  int number = 0;
  for (const Norm& norm : norms)
    for (const Shape& shape : {Shape{6, 33, 40, 9}, Shape{1, 2, 200, 210}, Shape{5, 2, 150, 170}, Shape{70, 500, 1, 1}})
      for (const char* layout : {"contiguous", "channels_last", "strided"}) {
        if (test::is_thinned_out(number++, 5)) continue;
        INFO(norm.name << ' ' << to_string(shape) << ' ' << layout);
        const Inputs in(norm, shape, layout, float16, float16);
        const Tensors one = derivatives_at(1, norm, in);
        for (const int threads : {2, 3, 7}) check_same(derivatives_at(threads, norm, in), one);
      }
}

TEST_CASE("more threads than a call has buffers wait for one") {
  const Norm& norm = norms[0];
  const Inputs in(norm, {40, 64, 40, 40}, "contiguous", float16, float16);
  check_same(derivatives_at(70, norm, in), derivatives_at(1, norm, in));
}

TEST_CASE("NaN, infinity and overflow of half precision stay in their slice") {
  const DType dtype = GENERATE(float16, bfloat16);
  const double bad = GENERATE(std::numeric_limits<double>::quiet_NaN(), infinity, -infinity);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  for (const Shape& shape : {Shape{3, 4, 6, 6}, Shape{2, 2, 140, 150}}) {
    Inputs in(norms[0], shape, "contiguous", dtype, float32);
    in.x = in.x.contiguous(format).clone();
    const Tensor clean = instance_norm(in.x, {.weight = in.w});
    select(select(select(in.x, 0, 1), 0, 1), 0, 3).fill_(bad);
    const Tensor dirty = instance_norm(in.x, {.weight = in.w});
    for (int64_t n = 0; n < shape[0]; ++n)
      for (int64_t c = 0; c < shape[1]; ++c) {
        CAPTURE(n, c);
        const Tensor y = select(select(dirty, 0, n), 0, c);
        if (n == 1 && c == 1)
          CHECK(any(isnan(y.to(float32))).item<bool>());
        else
          CHECK(same(y, select(select(clean, 0, n), 0, c)));
      }
    check_same(derivatives(norms[0], in, dtype), derivatives(norms[0], in, float32));
  }
}

TEST_CASE("second derivatives of half precision are those of float32, rounded") {
  const auto second = [](DType compute) {
    manual_seed(62);
    const Tensor x = randn({2, 3, 4, 5}).to(bfloat16).set_requires_grad(),
                 w = randn({3}).to(bfloat16).set_requires_grad(),
                 dy = randn({2, 3, 4, 5}).to(bfloat16).set_requires_grad();
    const Tensor y = instance_norm(x.to(compute), {.weight = w.to(compute)}).to(bfloat16);
    const Tensors first = grad({y}, {x, w}, {dy}, {.create_graph = true});
    const Tensor u = randn({2, 3, 4, 5}).to(bfloat16), v = randn({3}).to(bfloat16);
    return grad({first[0], first[1]}, {x, w, dy}, {u, v});
  };
  check_same(second(bfloat16), second(float32));
}

TEST_CASE("the graph of half precision holds x itself, gamma, mean and rstd, and no byte more") {
  for (const Norm& norm : norms)
    for (const char* layout : {"contiguous", "channels_last", "strided"}) {
      INFO(norm.name << ' ' << layout);
      const Inputs in(norm, {4, 6, 20, 20}, layout, float16, float16);
      const Tensor x = in.x.detach().set_requires_grad();
      const Tensor y = norm.f(x, in.w, in.b);
      std::vector<const Storage*> seen;
      int64_t bytes = 0;
      grad_node(y)->for_each_saved([&](const Saved& s) {
        if (!s.peek().defined()) return;
        const Storage* storage = s.peek().impl().storage.get();
        if (std::find(seen.begin(), seen.end(), storage) != seen.end()) return;
        seen.push_back(storage);
        if (std::string(s.name()) == "x") {
          CHECK(storage == in.x.impl().storage.get());
        } else if (std::string(s.name()) == "gamma") {
          CHECK(storage == in.w.impl().storage.get());
        } else {
          bytes += static_cast<int64_t>(storage->bytes());
        }
      });
      const int64_t slices = norm.name == "batch_norm"                  ? 6
                             : norm.name == "group_norm"                ? 12
                             : norm.name.rfind("instance_norm", 0) == 0 ? 24
                                                                        : 4;
      CHECK(bytes == 3 * slices * static_cast<int64_t>(sizeof(double)));
    }
}

TEST_CASE("a norm of half precision leaves y and statistics in memory, and at no time a float32 copy of x") {
  const test::WithThreads with(2);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const Inputs in(norms[0], {8, 16, 64, 64}, "contiguous", float16, float16);
  const Tensor x = in.x.contiguous(format).set_requires_grad(), dy = in.dy.contiguous(format);
  const int64_t size = x.numel() * 2, before = memory_stats().in_use;
  reset_peak_memory_stats();
  const Tensor y = instance_norm(x, {.weight = in.w});
  CHECK(memory_stats().in_use - before <= size + size / 4 + 65536);
  CHECK(memory_stats().peak_in_use - before < 2 * size);
  const Tensor dx = grad({y}, {x}, {dy})[0];
  CHECK(memory_stats().peak_in_use - before < 3 * size);
}

// What rounding y to 16 bits would hide.
TEST_CASE("the statistics of half precision are those of float32, bit for bit") {
  const auto saved = [](const Tensor& y, const std::string& name) {
    Tensor found;
    grad_node(y)->for_each_saved([&](const Saved& s) {
      if (s.name() == name) found = s.peek();
    });
    REQUIRE(found.defined());
    return found;
  };
  for (const Shape& shape : {Shape{2, 3, 40, 40}, Shape{5, 2, 150, 170}, Shape{1, 2, 200, 210}})
    for (const auto format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
      manual_seed(63);
      const Tensor x = (randn(shape) * exp(randn(shape) * 9.0)).to(bfloat16).contiguous(format).detach();
      const Tensor half = instance_norm(x.detach().set_requires_grad());
      const Tensor single = instance_norm(x.to(float32).detach().set_requires_grad());
      INFO(to_string(shape));
      for (const char* name : {"mean", "rstd"}) CHECK(equal(saved(half, name), saved(single, name)));
    }
}

TEST_CASE("tangents of half precision are the same in any layout") {
  manual_seed(63);
  const Tensor x = randn({2, 3, 4, 5}).to(float16), w = randn({3}).to(float16), b = randn({3}).to(float16);
  const Tensors xs{x, w, b}, dxs{randn_like(x), randn_like(w), randn_like(b)};
  const auto apart = [](Tensors ts) {
    for (Tensor& t : ts) t = plain::strided(t);
    return ts;
  };
  for (const bool fixed : {false, true}) {
    const auto f = [&](const Tensors& in) -> Tensors {
      const Tensor zero = zeros({3}, float16), one = ones({3}, float16);
      return {fixed ? batch_norm(in[0], {.running_mean = zero, .running_var = one, .weight = in[1], .bias = in[2]})
                    : instance_norm(in[0], {.weight = in[1], .bias = in[2]})};
    };
    CHECK(equal(jvp(f, apart(xs), apart(dxs)).dys[0], jvp(f, xs, dxs).dys[0]));
  }
}

}  // namespace test_half
