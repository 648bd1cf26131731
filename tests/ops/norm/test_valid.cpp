// Normalisation over the valid elements: what counts is as if it came alone, the rest is zero.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>
#include <limpid/tests/ops/norm/composed.hpp>

namespace test_valid {

using namespace limpid;

// Where a prefix of each spatial axis counts, as a mask of shape (N, 1, *spatial).
Tensor mask_of(const Tensor& lengths, const Shape& shape) {
  Shape one_channel = shape;
  one_channel[1] = 1;
  const auto axes = static_cast<int64_t>(shape.size()) - 2;
  const Tensor per_axis = reshape(lengths, {shape[0], axes});
  Tensor mask = ones(one_channel, bool_);
  for (int64_t axis = 0; axis < axes; ++axis) {
    Shape along(shape.size(), 1), samples(shape.size(), 1);
    const int64_t size = shape[static_cast<std::size_t>(axis + 2)];
    along[static_cast<std::size_t>(axis + 2)] = size;
    samples[0] = shape[0];
    mask = logical_and(mask, lt(reshape(arange(size), along), reshape(select(per_axis, 1, axis), samples)));
  }
  return mask;
}

// The specification in primitive ops: sums over the valid elements alone.
Tensor composed(const Tensor& x, int64_t groups, const Tensor& w, const Tensor& b, const Tensor& mask, double eps) {
  const Tensor m = expand(mask, x.shape()).to(x.dtype());
  const Shape grouped{x.size(0), groups, -1};
  const Tensor v = reshape(x, grouped), valid = reshape(m, grouped);
  const Tensor count = maximum(sum(valid, 2, true), ones({1}, x.dtype()));
  const Tensor c = (v - sum(v * valid, 2, true) / count) * valid;
  return test::affine(reshape(c / sqrt(sum(square(c), 2, true) / count + eps), x.shape()), w, b) * m;
}

struct Case {
  std::string name;
  Shape shape;
  Tensor lengths, mask;
  bool per_sample = false;

  Tensor as_mask() const { return mask.defined() ? mask : mask_of(lengths, shape); }
};

std::vector<Case> all_cases() {
  const auto ints = [](std::initializer_list<double> values, const Shape& shape) {
    return reshape(tensor(values, float64).to(int64), shape);
  };
  const Tensor holes = gt(rand({3, 1, 4, 5}, float64), 0.4);
  return {{"sequences", {3, 4, 7}, ints({7, 3, 0}, {3}), {}},
          {"sequences, column of lengths, per sample", {3, 4, 7}, ints({1, 3, 6}, {3, 1}), {}, true},
          {"images", {3, 4, 4, 5}, ints({4, 5, 2, 3, 0, 5}, {3, 2}), {}},
          {"volumes", {2, 2, 3, 2, 4}, ints({3, 2, 4, 1, 2, 3}, {2, 3}), {}},
          {"holes", {3, 4, 4, 5}, {}, holes},
          {"holes, per sample", {3, 4, 4, 5}, {}, holes, true},
          {"one mask for all samples", {3, 4, 4, 5}, {}, slice(holes, 0, 0, 1)},
          {"a mask of the last axis", {3, 4, 4, 5}, {}, lt(arange(5), 3)},
          {"no element", {2, 2, 3}, {}, zeros({2, 1, 3}, bool_)},
          {"every element", {2, 2, 3}, {}, ones({1}, bool_)}};
}

Tensor under_test(const Case& c, int64_t groups, const Tensor& x, const Tensor& w, const Tensor& b) {
  if (groups == c.shape[1])
    return instance_norm(x, {.weight = w, .bias = b, .eps = 0.1, .lengths = c.lengths, .mask = c.mask});
  return group_norm(x, groups, {.weight = w, .bias = b, .eps = 0.1, .lengths = c.lengths, .mask = c.mask});
}

Tensors inputs_of(const Case& c, DType dtype = float64, MemoryFormat format = MemoryFormat::contiguous) {
  const Shape affine = c.per_sample ? Shape{c.shape[0], c.shape[1]} : Shape{c.shape[1]};
  return {randn(c.shape, dtype).contiguous(format), randn(affine, dtype), randn(affine, dtype)};
}

TEST_CASE("norms of valid elements have the values and derivatives of the composed op") {
  manual_seed(40);
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  for (const Case& c : all_cases())
    for (const int64_t groups : {c.shape[1], c.shape[1] / 2}) {
      CAPTURE(c.name, groups);
      const Tensors inputs = inputs_of(c, float64, format);
      const Tensor dy = randn(c.shape, float64), ddx = randn(c.shape, float64);
      const auto derivatives = [&](auto f) {
        Tensors xs;
        for (const Tensor& x : inputs) xs.push_back(x.detach().set_requires_grad());
        const Tensor y = f(xs[0], xs[1], xs[2]);
        Tensors result = grad({y}, xs, {dy}, {.create_graph = true});
        const Tensors twice = grad({result[0]}, {xs[0], xs[1]}, {ddx});
        for (const Tensor& t : {y, twice[0], twice[1]}) result.push_back(t);
        return result;
      };
      const Tensors got = derivatives([&](Tensor x, Tensor w, Tensor b) { return under_test(c, groups, x, w, b); });
      const Tensors expected =
          derivatives([&](Tensor x, Tensor w, Tensor b) { return composed(x, groups, w, b, c.as_mask(), 0.1); });
      for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(i);
        CHECK(allclose(got[i].detach(), expected[i].detach(), 1e-9, 1e-11));
      }
      CHECK(got[3].is_contiguous(inputs[0].memory_format()));
    }
}

TEST_CASE("norms of valid elements pass gradcheck and gradgradcheck") {
  manual_seed(41);
  static Case c;
  for (const Case& each : all_cases()) {
    if (each.name == "no element") continue;  // its gradient is zero
    c = each;
    const auto f = [](const Tensors& x) { return under_test(c, c.shape[1], x[0], x[1], x[2]); };
    const Tensors inputs = inputs_of(c);
    const GradcheckReport first = gradcheck(f, inputs, {.rtol = 1e-8}),
                          second = gradgradcheck(f, inputs, {.rtol = 1e-6});
    INFO(c.name << '\n' << first << '\n' << second);
    CHECK(first);
    CHECK(second);
  }
}

TEST_CASE("a prefix is normalised as if it came alone, bit for bit, whatever lies behind it") {
  manual_seed(42);
  const DType dtype = GENERATE(float32, float64, float16);
  const Tensor clean = randn({2, 3, 9}).to(dtype), lengths = tensor({9, 4}).to(int64);
  const Tensor x = clean.clone();
  slice(select(x, 0, 1), 1, 4).fill_(std::numeric_limits<double>::quiet_NaN());
  const Tensor y = instance_norm(x, {.lengths = lengths});
  CHECK(equal(select(y, 0, 0), select(instance_norm(clean), 0, 0)));
  const Tensor one = slice(clean, 0, 1, 2);
  CHECK(equal(slice(select(y, 0, 1), 1, 0, 4), select(instance_norm(slice(one, 2, 0, 4).clone()), 0, 0)));
  CHECK(equal(slice(select(y, 0, 1), 1, 4), zeros({3, 5}, dtype)));
  CHECK(equal(instance_norm(x, {.mask = mask_of(lengths, x.shape())}), y));
}

TEST_CASE("fixed statistics are applied to the valid elements alone") {
  manual_seed(43);
  const Tensor x = randn({2, 3, 5}, float64), mean = randn({3}, float64), var = rand({3}, float64);
  const Tensor mask = gt(rand({2, 1, 5}), 0.5);
  const Tensor all = instance_norm(x, mean, var, {}, {}, false);
  const Tensor y = instance_norm(x, {.running_mean = mean, .running_var = var, .use_input_stats = false, .mask = mask});
  CHECK(allclose(y, all * mask.to(float64), 1e-15, 0));
}

TEST_CASE("all lengths full is the plain op") {
  const Tensor x = randn({2, 3, 4, 5}), lengths = tensor({4, 5, 4, 5}).to(int64);
  CHECK(equal(instance_norm(x, {.lengths = reshape(lengths, {2, 2})}), instance_norm(x)));
}

TEST_CASE("each mistake in lengths or mask has its message") {
  const Tensor x = zeros({2, 6, 4}), image = zeros({2, 6, 4, 5});
  const auto of = [](const Tensor& t, const Tensor& lengths, const Tensor& mask) {
    return message_of([&] { instance_norm(t, {.lengths = lengths, .mask = mask}); });
  };
  const Tensor two = tensor({1, 2}).to(int64), mask = ones({4}, bool_);
  CHECK(of(x, two, mask) == "instance_norm: expected lengths or mask, got both");
  CHECK(of(x, ones({3}, int64), {}) ==
        "instance_norm: expected lengths of shape (2,) for x of shape (2, 6, 4), got (3,)");
  CHECK(of(image, two, {}) ==
        "instance_norm: expected lengths of shape (2, 2), one per spatial axis, for x of shape (2, 6, 4, 5), got (2,)");
  CHECK(of(x, ones({2}), {}) == "instance_norm: expected lengths of dtype int64, got float32");
  CHECK(of(x, two * 3, {}) == "instance_norm: expected lengths between 0 and 4, which x of shape (2, 6, 4) has, got 6");
  CHECK(of(x, -two, {}) == "instance_norm: expected lengths between 0 and 4, which x of shape (2, 6, 4) has, got -1");
  CHECK(of(x, {}, ones({2, 6, 4}, bool_)) ==
        "instance_norm: expected a mask that broadcasts to (2, 1, 4) for x of shape (2, 6, 4), got (2, 6, 4)");
  CHECK(of(x, {}, ones({1, 2, 1, 4}, bool_)) ==
        "instance_norm: expected a mask that broadcasts to (2, 1, 4) for x of shape (2, 6, 4), got (1, 2, 1, 4)");
  CHECK(of(x, {}, ones({4})) == "instance_norm: expected a mask of dtype bool, got float32");
  CHECK(message_of([&] {
          group_norm(zeros({2, 6}), 2, {.lengths = two});
        }) == "group_norm: expected x of shape (N, C, *spatial) with a spatial axis for lengths or a mask, got (2, 6)");
}

}  // namespace test_valid
