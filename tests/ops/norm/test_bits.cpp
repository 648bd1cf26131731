// The same bits, values and all gradients, over layouts: for any number of threads, AVX2 and AVX-512, and for
// instance_norm and group_norm of as many groups as channels. And what the graph keeps of it all.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_bits {

using namespace limpid;

// Short and long slices, single elements, few and many channels, enough for several threads and not.
const std::vector<Shape> shapes = {{2, 3, 5},          {1, 4, 8, 8},   {3, 17, 7, 5},     {2, 40, 1},
                                   {1, 2, 200, 210},   {6, 33, 40, 9}, {1, 1, 70000},     {70, 500, 1, 1},
                                   {2, 6, 3, 5, 2, 4}, {5, 1, 9000},   {2, 16, 4, 300, 1}};
const std::vector<std::string> layouts = {"contiguous", "channels_last", "strided", "expanded", "flipped"};

struct Inputs {
  Tensor x, w, b, dy;
  Inputs(const Shape& shape, const std::string& layout, DType dtype) {
    manual_seed(20);
    x = plain::in_layout(randn(shape, dtype) * 3.0 + 7.0, layout);
    dy = plain::in_layout(randn(shape, dtype), layout == "expanded" ? "contiguous" : layout);
    w = randn({shape[1]}, dtype), b = randn({shape[1]}, dtype);
    for (Tensor* t : {&x, &w, &b}) *t = t->detach().set_requires_grad();
  }

  /// y, dx, dweight, dbias.
  Tensors run(bool as_group) const {
    const Tensor y = as_group ? group_norm(x, x.shape()[1], w, b) : instance_norm(x, {.weight = w, .bias = b});
    const Tensors dx = grad({y}, {x, w, b}, {dy});
    return {y.detach(), dx[0], dx[1], dx[2]};
  }
};

void check_same(const Tensors& a, const Tensors& b) {
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(plain::same_bits(a[i], b[i]));
}

template <class F>
void for_each_case(F&& f) {
  int number = 0;
  for (const DType dtype : {float32, float64})
    for (const Shape& shape : shapes)
      for (const std::string& layout : layouts) {
        if (test::is_thinned_out(number++, 3)) continue;
        INFO(to_string(shape) << ' ' << layout << ' ' << dtype);
        f(Inputs(shape, layout, dtype));
      }
}

/// Bytes of memory that the graph of y holds, each storage once, and the names of what is saved.
struct Held {
  int64_t bytes = 0;
  std::vector<std::string> names;

  explicit Held(const Tensor& y) {
    std::vector<const Storage*> seen;
    grad_node(y)->for_each_saved([&](const Saved& s) {
      if (!s.peek().defined()) return;
      names.push_back(s.name());
      const Storage* storage = s.peek().impl().storage.get();
      if (std::find(seen.begin(), seen.end(), storage) == seen.end()) bytes += static_cast<int64_t>(storage->bytes());
      seen.push_back(storage);
    });
    std::sort(names.begin(), names.end());
  }
};

TEST_CASE("instance_norm has the same bits for any number of threads, in every layout") {
  for_each_case([](const Inputs& in) {
    const auto at = [&](int threads) {
      const test::WithThreads with(threads);
      return in.run(false);
    };
    const Tensors one = at(1);
    for (const int threads : {2, 3, 7}) check_same(at(threads), one);
  });
}

TEST_CASE("instance_norm has the same bits with AVX2 and AVX-512, in every layout") {
  if (test::lacks_avx512()) return;
  for_each_case([](const Inputs& in) {
    const auto at = [&](Isa level) {
      const test::WithIsa with(level);
      return in.run(false);
    };
    check_same(at(Isa::avx512), at(Isa::avx2));
  });
}

TEST_CASE("instance_norm has the bits of group_norm, in every layout") {
  for_each_case([](const Inputs& in) { check_same(in.run(true), in.run(false)); });
}

TEST_CASE("dx has the same bits whichever other gradients are asked for with it, in every layout") {
  for_each_case([](const Inputs& in) {
    for (const int64_t groups : {int64_t{1}, in.x.shape()[1]})
      for (const Tensors& affine : {Tensors{in.w, in.b}, Tensors{Tensor(), in.b}}) {
        const Tensor y = group_norm(in.x, groups, affine[0], affine[1]);
        const auto dx_with = [&](Tensors inputs) {
          inputs.insert(0, in.x);
          return grad({y}, inputs, {in.dy}, {.retain_graph = true})[0];
        };
        const Tensor alone = dx_with({});
        INFO("groups " << groups << (affine[0].defined() ? " weight" : "") << (affine[1].defined() ? " bias" : ""));
        for (const Tensor& other : affine)
          if (other.defined()) CHECK(plain::same_bits(dx_with({other}), alone));
        if (affine[0].defined() && affine[1].defined()) CHECK(plain::same_bits(dx_with(affine), alone));
      }
  });
}

TEST_CASE("what is not recorded has the bits of what is, statistics kept or not") {
  // Short rows leave them out where nobody reads them: not where a few of a batch need them, for being tiny or huge.
  for_each_case([](const Inputs& in) {
    Tensor x = in.x.detach().clone();
    for (int64_t c = 0; c < x.shape()[1]; c += 5) select(x, 1, c).mul_(c % 2 ? 1e-30 : 1e30);
    const Tensor recorded = instance_norm(x.set_requires_grad(), {.weight = in.w, .bias = in.b});
    const NoGradGuard guard;
    CHECK(plain::same_bits(instance_norm(x, {.weight = in.w, .bias = in.b}), recorded.detach()));
  });
}

TEST_CASE("the graph holds x, gamma, mean and rstd in every layout, and no byte more") {
  for_each_case([](const Inputs& in) {
    const Tensor y = instance_norm(in.x, {.weight = in.w, .bias = in.b});
    const Held held(y);
    CHECK(held.names == std::vector<std::string>{"gamma", "mean", "rstd", "x"});
    const int64_t slices = in.x.shape()[0] * in.x.shape()[1];
    const auto size = [](const Tensor& t) { return static_cast<int64_t>(t.impl().storage->bytes()); };
    CHECK(held.bytes == size(in.x) + size(in.w) + 3 * slices * static_cast<int64_t>(sizeof(double)));
  });
}

TEST_CASE("a forward leaves y and the statistics in memory, and nothing else") {
  const Inputs in({4, 8, 64, 64}, "contiguous", float32);
  instance_norm(in.x, {.weight = in.w, .bias = in.b});  // slabs of small blocks are there now
  const int64_t before = memory_stats().in_use;
  const Tensor y = instance_norm(in.x, {.weight = in.w, .bias = in.b});
  const int64_t kept = memory_stats().in_use - before, size = y.numel() * 4;
  CHECK(kept >= size);
  CHECK(kept <= size + size / 4 + 65536);  // the allocator's steps
}

}  // namespace test_bits
