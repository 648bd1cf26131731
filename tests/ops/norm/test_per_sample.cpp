// weight and bias of shape (N, C): each sample as if it came alone with its own.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/norm/composed.hpp>

namespace test_per_sample {

using namespace limpid;

struct Inputs {
  Tensor x, w, b, dy;
};

Inputs draw(const Shape& shape, DType dtype, MemoryFormat format) {
  const Shape affine{shape[0], shape[1]};
  return {randn(shape, dtype).contiguous(format), randn(affine, dtype), randn(affine, dtype),
          randn(shape, dtype).contiguous(format)};
}

// y and the gradients of x, w and b that `mask` asks for.
template <class F>
Tensors run(F&& f, const Inputs& in, int mask) {
  Tensors leaves{in.x.detach(), in.w.detach(), in.b.detach()}, wanted;
  for (std::size_t i = 0; i < 3; ++i)
    if (mask >> i & 1) wanted.push_back(leaves[i].set_requires_grad());
  Tensor y = f(leaves[0], leaves[1], leaves[2]);
  Tensors result = wanted.empty() ? Tensors() : grad({y}, wanted, {in.dy});
  result.push_back(y.detach());
  return result;
}

template <class F>
Tensors sample_by_sample(F&& f, const Inputs& in, int mask) {
  std::vector<Tensors> pieces;
  for (int64_t n = 0; n < in.x.size(0); ++n) {
    const auto one = [n](const Tensor& t) { return slice(t, 0, n, n + 1); };
    Inputs sample{one(in.x), one(in.w), one(in.b), one(in.dy)};
    pieces.push_back(
        run([&](Tensor x, Tensor w, Tensor b) { return f(x, reshape(w, {-1}), reshape(b, {-1})); }, sample, mask));
  }
  Tensors result;
  for (std::size_t i = 0; i < pieces[0].size(); ++i) {
    Tensors column;
    for (const Tensors& piece : pieces) column.push_back(piece[i]);
    result.push_back(cat(column, 0));
  }
  return result;
}

TEST_CASE("each sample with its own weight and bias is normalised as if alone, bit for bit") {
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  const DType dtype = GENERATE(float32, float64);
  manual_seed(30);
  for (const Shape& shape : {Shape{3, 4, 5, 7}, Shape{2, 6, 1, 1}, Shape{5, 2, 40, 33}, Shape{1, 4, 9, 2}})
    for (const int64_t groups : {shape[1], int64_t{2}, int64_t{1}})
      for (int mask = 0; mask < 8; ++mask) {
        CAPTURE(to_string(shape), groups, mask);
        const Inputs in = draw(shape, dtype, format);
        const auto f = [groups](Tensor x, Tensor w, Tensor b) { return group_norm(x, groups, w, b); };
        const Tensors together = run(f, in, mask), alone = sample_by_sample(f, in, mask);
        for (std::size_t i = 0; i < together.size(); ++i)
          CHECK(allclose(together[i], alone[i], dtype == float32 ? 1e-6 : 1e-14, dtype == float32 ? 1e-6 : 1e-14));
        CHECK(equal(together.back(), alone.back()));
        if (mask & 2) CHECK(together[mask & 1 ? 1 : 0].shape() == Shape{shape[0], shape[1]});
      }
}

TEST_CASE("weight and bias per sample are read in place beside a strided x") {
  manual_seed(31);
  const Tensor base = randn({6, 4, 8, 10});
  const Tensor w = randn({3, 4}), b = randn({3, 4});
  for (const Tensor& x :
       {slice(base, 0, 0, 6, 2), slice(base, 3, 0, 10, 2), slice(slice(base, 0, 0, 3), 2, 1, 5),
        expand(slice(base, 0, 0, 1), {3, 4, 8, 10}), slice(base.contiguous(MemoryFormat::channels_last), 0, 0, 6, 2)}) {
    const Tensor samples = slice(x, 0, 0, 3), copy = samples.clone().contiguous();
    CHECK(allclose(instance_norm(samples, {.weight = w, .bias = b}), instance_norm(copy, {.weight = w, .bias = b}),
                   1e-6, 1e-6));
  }
}

TEST_CASE("a weight per channel beside a bias per sample is one for all samples") {
  manual_seed(32);
  const Tensor x = randn({3, 4, 6}, float64), w = randn({4}, float64), b = randn({3, 4}, float64);
  CHECK(equal(instance_norm(x, {.weight = w, .bias = b}),
              instance_norm(x, {.weight = expand(w, {3, 4}).contiguous(), .bias = b})));
  for (const bool half : {false, true}) {
    const Tensor y = group_norm(half ? x.to(float16) : x, 2, w.to(half ? float32 : float64), {});
    CHECK(y.shape() == x.shape());
  }
}

TEST_CASE("second derivatives with weights per sample are those of the composed op") {
  const auto format = GENERATE(MemoryFormat::contiguous, MemoryFormat::channels_last);
  manual_seed(33);
  const auto composed = [](const Tensor& x, const Tensor& w) {
    return test::composed_norm(x, {3, 2, -1}, {2}, 0.1) * test::per_channel(w, x);
  };
  const auto fused = [](const Tensor& x, const Tensor& w) { return group_norm(x, 2, w, {}, 0.1); };
  const auto derivatives = [&](auto f) {
    manual_seed(34);
    Tensor x = randn({3, 4, 2, 5}, float64).contiguous(format).set_requires_grad(),
           w = randn({3, 4}, float64).set_requires_grad(), dy = randn({3, 4, 2, 5}, float64).set_requires_grad();
    const Tensors g = grad({f(x, w)}, {x, w}, {dy}, {.create_graph = true});
    return grad(g, {x, w, dy}, {randn({3, 4, 2, 5}, float64), randn({3, 4}, float64)});
  };
  const Tensors got = derivatives(fused), expected = derivatives(composed);
  for (std::size_t i = 0; i < 3; ++i) CHECK(allclose(got[i], expected[i], 1e-10, 1e-10));
}

TEST_CASE("weight and bias per sample of no sample, or of no element, have zero gradients") {
  const Shape shape = GENERATE(Shape{0, 3, 4}, Shape{2, 3, 0}, Shape{2, 0, 4});
  const Inputs in = draw(shape, float32, MemoryFormat::contiguous);
  const Tensors result =
      run([](Tensor x, Tensor w, Tensor b) { return instance_norm(x, {.weight = w, .bias = b}); }, in, 7);
  CHECK(equal(result[1], zeros({shape[0], shape[1]})));
  CHECK(equal(result[2], zeros({shape[0], shape[1]})));
}

}  // namespace test_per_sample
