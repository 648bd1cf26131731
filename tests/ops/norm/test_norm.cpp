// The normalisation family: values, identities, messages. Gradients are in test_norm_gradients.cpp.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>
#include <limpid/tests/settings.hpp>

namespace test_norm {

using namespace limpid;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Gradients {
  Tensor y, dx, dw, db;
};

template <class F>
Gradients run(F&& f, const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& dy) {
  Tensor leaf = x.detach(), weight = w.detach(), bias = b.detach();
  leaf.set_requires_grad(), weight.set_requires_grad(), bias.set_requires_grad();
  Tensor y = f(leaf, weight, bias);
  const Tensors dx = grad({y}, {leaf, weight, bias}, {dy});
  return {y.detach(), dx[0], dx[1], dx[2]};
}

void require_same_bits(const Gradients& a, const Gradients& b) {
  CHECK(equal(a.y, b.y));
  CHECK(equal(a.dx, b.dx));
  CHECK(equal(a.dw, b.dw));
  CHECK(equal(a.db, b.db));
}

const std::vector<Shape> shapes = {{2, 3, 5},       {1, 4, 8, 8},   {3, 2, 1, 1},
                                   {2, 6, 3, 5, 2}, {4, 16, 17, 3}, {1, 1, 300, 301}};

TEST_CASE("instance_norm is group_norm with one channel per group, bit for bit, values and gradients") {
  const Shape shape = GENERATE(from_range(shapes));
  const DType dtype = GENERATE(float32, float64);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const int threads = GENERATE(1, 2, 3);
  const test::WithThreads with(threads);
  manual_seed(3);
  const int64_t c = shape[1];
  const Tensor x = randn(shape, dtype).contiguous(format), dy = randn(shape, dtype).contiguous(format);
  const Tensor w = randn({c}, dtype), b = randn({c}, dtype);
  CAPTURE(to_string(shape), threads);
  require_same_bits(
      run([](Tensor x_, Tensor w_, Tensor b_) { return instance_norm(x_, {.weight = w_, .bias = b_}); }, x, w, b, dy),
      run([c](Tensor x_, Tensor w_, Tensor b_) { return group_norm(x_, c, w_, b_); }, x, w, b, dy));
}

TEST_CASE("group_norm of one group is layer_norm over all but the samples, bit for bit") {
  const Shape shape = GENERATE(from_range(shapes));
  const DType dtype = GENERATE(float32, float64);
  manual_seed(4);
  Tensor x = randn(shape, dtype);
  const Tensor dy = randn(shape, dtype);
  x.set_requires_grad();
  Shape trailing(shape.begin() + 1, shape.end());
  const Tensor a = group_norm(x, 1), b = layer_norm(x, trailing);
  CHECK(equal(a, b));
  CHECK(equal(grad({a}, {x}, {dy})[0], grad({b}, {x}, {dy})[0]));
}

TEST_CASE("a result does not depend on the number of threads") {
  manual_seed(5);
  const Shape shape = GENERATE(Shape{8, 16, 56, 56}, Shape{1, 2, 300, 400}, Shape{6, 32, 6, 7, 7});
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const Tensor x = randn(shape).contiguous(format), dy = randn(shape).contiguous(format);
  const Tensor w = randn({shape[1]}), b = randn({shape[1]});
  std::vector<Gradients> runs;
  for (int threads : {1, 2, 3, 7}) {
    const test::WithThreads with(threads);
    runs.push_back(run([](Tensor x_, Tensor w_, Tensor b_) { return instance_norm(x_, {.weight = w_, .bias = b_}); }, x,
                       w, b, dy));
  }
  for (const Gradients& r : runs) require_same_bits(r, runs[0]);
}

TEST_CASE("AVX2 and AVX-512 give the same bits") {
  if (test::lacks_avx512()) return;
  manual_seed(6);
  const Shape shape = GENERATE(from_range(shapes));
  const DType dtype = GENERATE(float32, float64);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const Tensor x = randn(shape, dtype).contiguous(format), dy = randn(shape, dtype).contiguous(format);
  const Tensor w = randn({shape[1]}, dtype), b = randn({shape[1]}, dtype);
  const auto f = [](Tensor x_, Tensor w_, Tensor b_) { return group_norm(x_, 1, w_, b_); };
  const auto at = [&](Isa level) {
    const test::WithIsa with(level);
    return run(f, x, w, b, dy);
  };
  require_same_bits(at(Isa::avx2), at(Isa::avx512));
}

TEST_CASE("y has x's shape, dtype and memory format") {
  const DType dtype = GENERATE(float32, float64, float16, bfloat16);
  const Tensor x = randn({2, 3, 4, 5}).to(dtype).contiguous(MemoryFormat::channels_last);
  const Tensor y = instance_norm(x);
  CHECK(y.shape() == x.shape());
  CHECK(y.dtype() == dtype);
  CHECK(y.memory_format() == MemoryFormat::channels_last);
}

TEST_CASE("normalising half precision is float32 arithmetic, rounded once") {
  const DType dtype = GENERATE(float16, bfloat16);
  const Tensor x = randn({2, 3, 4, 5}).to(dtype), w = rand({3});
  CHECK(equal(instance_norm(x, {.weight = w}), instance_norm(x.to(float32), {.weight = w}).to(dtype)));
  CHECK(equal(instance_norm(x, {.weight = w.to(dtype)}),
              instance_norm(x.to(float32), {.weight = w.to(dtype).to(float32)}).to(dtype)));
}

TEST_CASE("layouts give the same values as contiguous input") {
  manual_seed(7);
  const Tensor base = randn({4, 6, 5, 8});
  const std::vector<Tensor> views = {transpose(base, 0, 1),
                                     transpose(base, 2, 3),
                                     slice(base, 3, 1, 8, 2),
                                     slice(base, 1, 0, 4, 2),
                                     flip(base, {2}),
                                     expand(slice(base, 0, 0, 1), {4, 6, 5, 8}),
                                     base.contiguous(MemoryFormat::channels_last),
                                     expand(slice(base, 2, 0, 1), {4, 6, 5, 8}),
                                     slice(base.contiguous(MemoryFormat::channels_last), 1, 1, 5)};
  for (const Tensor& x : views) {
    const Tensor copy = x.is_contiguous() ? x.clone() : x.contiguous();
    CHECK(allclose(instance_norm(x), instance_norm(copy), 1e-6, 1e-6));
    CHECK(allclose(group_norm(x, 2), group_norm(copy, 2), 1e-6, 1e-6));
  }
}

TEST_CASE("a constant slice gives exactly bias, and no gradient for a constant dy") {
  const DType dtype = GENERATE(float32, float64);
  const double value = GENERATE(0.0, 1.0, 0.1, -1e30, 3e38, 1e-40);
  Tensor x = full({2, 3, 7, 5}, value, dtype);
  const Tensor b = tensor({1, -2, 0.3}, dtype), dy = randn({2, 3, 7, 5}, dtype);
  x.set_requires_grad();
  const Tensor y = instance_norm(x, {.weight = tensor({3, 4, 5}, dtype), .bias = b});
  CHECK(equal(y.detach(), expand(reshape(b, {1, 3, 1, 1}), {2, 3, 7, 5}).contiguous()));
  const Tensor dx = grad({y}, {x}, {ones_like(dy)})[0];
  CHECK(allclose(dx, zeros_like(dx), 0, 0));
}

TEST_CASE("NaN and infinity stay in their slice") {
  const double bad = GENERATE(from_range(std::vector<double>{not_a_number, infinity, -infinity}));
  manual_seed(8);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const Tensor clean = randn({3, 4, 6, 6}).contiguous(format), dirty = clean.clone();
  select(select(select(select(dirty, 0, 1), 0, 2), 0, 3), 0, 4).fill_(bad);  // a view shares memory
  const Tensor a = instance_norm(clean), b = instance_norm(dirty);
  CAPTURE(bad);
  for (int64_t n = 0; n < 3; ++n)
    for (int64_t c = 0; c < 4; ++c) {
      const Tensor before = select(select(a, 0, n), 0, c), after = select(select(b, 0, n), 0, c);
      if (n == 1 && c == 2)
        CHECK(any(isnan(after)).item<bool>());
      else
        CHECK(equal(before, after));
    }
}

TEST_CASE("no sample, or nothing in it, gives an empty result and zero gradients") {
  const Shape shape = GENERATE(Shape{0, 3, 4, 4}, Shape{2, 3, 0, 4}, Shape{2, 0, 4, 4});
  Tensor x = randn(shape), w = ones({shape[1]}), b = ones({shape[1]});
  x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
  const Tensor y = instance_norm(x, {.weight = w, .bias = b});
  CHECK(y.shape() == shape);
  const Tensors dx = grad({y}, {x, w, b}, {zeros(shape)});
  CHECK(dx[0].shape() == shape);
  CHECK(equal(dx[1], zeros({shape[1]})));
  CHECK(equal(dx[2], zeros({shape[1]})));
}

TEST_CASE("the running buffers are read only when asked for, and never written") {
  const Tensor x = randn({2, 3, 8}), mean = randn({3}), var = rand({3});
  const Tensor mean_before = mean.clone(), var_before = var.clone();
  CHECK(equal(instance_norm(x, mean, var), instance_norm(x)));
  instance_norm(x, mean, var, {}, {}, false);
  CHECK(equal(mean, mean_before));
  CHECK(equal(var, var_before));
}

TEST_CASE("use_input_stats = false without buffers means the input's own statistics") {
  const Tensor x = randn({2, 3, 8});
  CHECK(equal(instance_norm(x, {.use_input_stats = false}), instance_norm(x)));
}

TEST_CASE("each mistake has its message") {
  const Tensor x = zeros({2, 6, 4}), two = zeros({2}), six = zeros({6});
  struct Case {
    std::string expected;
    void (*call)(const Tensor&, const Tensor&, const Tensor&);
  };
  using T = const Tensor&;
  const std::vector<Case> cases = {
      {"instance_norm: expected a defined x, got an undefined tensor", [](T, T, T) { instance_norm({}); }},
      {"instance_norm: expected x of shape (N, C, *spatial) with at least 3 axes, got shape (4, 3)",
       [](T, T, T) {
         instance_norm(zeros({4, 3}));
       }},
      {"instance_norm: expected weight of shape (6,) or (2, 6) for x of shape (2, 6, 4), got (2,)",
       [](T x_, T two_, T) { instance_norm(x_, {.weight = two_}); }},
      {"instance_norm: expected bias of shape (6,) or (2, 6) for x of shape (2, 6, 4), got (2,)",
       [](T x_, T two_, T) { instance_norm(x_, {.bias = two_}); }},
      {"instance_norm: expected running_mean of shape (6,) for x of shape (2, 6, 4), got (2,)",
       [](T x_, T two_, T six_) { instance_norm(x_, {.running_mean = two_, .running_var = six_}); }},
      {"instance_norm: expected x and weight of one dtype, got float32 and float64; convert with to()",
       [](T x_, T, T) { instance_norm(x_, {.weight = zeros({6}, float64)}); }},
      {"instance_norm: expected a floating-point x, got int64",
       [](T, T, T) {
         instance_norm(zeros({2, 6, 4}, int64));
       }},
      {"instance_norm: expected both running_mean and running_var, or neither, with use_input_stats = false, got "
       "running_mean alone",
       [](T x_, T, T six_) { instance_norm(x_, {.running_mean = six_, .use_input_stats = false}); }},
      {"instance_norm: expected both running_mean and running_var, or neither, with use_input_stats = false, got "
       "running_var alone",
       [](T x_, T, T six_) { instance_norm(x_, {.running_var = six_, .use_input_stats = false}); }},
      {"instance_norm: expected a finite eps of at least 0, got -1",
       [](T x_, T, T) { instance_norm(x_, {.eps = -1}); }},
      {"instance_norm: expected a finite eps of at least 0, got nan",
       [](T x_, T, T) { instance_norm(x_, {.eps = not_a_number}); }},
      {"group_norm: expected num_groups of at least 1, got 0", [](T x_, T, T) { group_norm(x_, 0); }},
      {"group_norm: expected num_groups of at least 1, got -2", [](T x_, T, T) { group_norm(x_, -2); }},
      {"group_norm: expected channels divisible by num_groups, got x of shape (2, 6, 4) and num_groups = 4",
       [](T x_, T, T) { group_norm(x_, 4); }},
      {"group_norm: expected weight of shape (6,) or (2, 6) for x of shape (2, 6, 4), got (2,)",
       [](T x_, T two_, T) { group_norm(x_, 2, two_); }},
      {"group_norm: expected bias of shape (6,) or (2, 6) for x of shape (2, 6, 4), got (6, 2)",
       [](T x_, T, T) {
         group_norm(x_, 2, {}, zeros({6, 2}));
       }},
      {"layer_norm: expected x whose last axes are normalized_shape (3,), got shape (2, 6, 4)",
       [](T x_, T, T) { layer_norm(x_, {3}); }},
      {"layer_norm: expected weight of normalized_shape (4,), got (6,)",
       [](T x_, T, T six_) { layer_norm(x_, {4}, six_); }},
      {"rms_norm: expected x whose last axes are normalized_shape (), got shape (2, 6, 4)",
       [](T x_, T, T) { rms_norm(x_, Shape{}); }},
      {"batch_norm: expected running_mean and running_var with training = false, got neither",
       [](T x_, T, T) { batch_norm(x_, {}, {}); }},
  };
  for (const Case& c : cases) CHECK(message_of([&] { c.call(x, two, six); }) == c.expected);
}

}  // namespace test_norm
