// Slices whose gradient is zero throughout: what they hold, NaN and infinities too, counts for nothing in derivatives.
#include <limpid/limpid.hpp>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_idle {

using namespace limpid;

struct Member {
  std::string name;
  std::function<Tensor(const Tensor& x, const Tensor& w, const Tensor& b)> f;
  bool by_channel = false;  ///< whether a slice is a channel of all samples, else a sample
};

Tensor statistic(const Tensor& x, double value) { return full({x.size(1)}, value, x.dtype()); }

std::vector<Member> members() {
  std::vector<Member> all;
  for (const bool relu : {false, true}) {
    const std::string with = relu ? ", relu" : "";
    all.push_back({"instance_norm" + with, [=](const Tensor& x, const Tensor& w, const Tensor& b) {
                     return instance_norm(x, {.weight = w, .bias = b, .relu = relu});
                   }});
    all.push_back({"group_norm" + with, [=](const Tensor& x, const Tensor& w, const Tensor& b) {
                     return group_norm(x, 2, {.weight = w, .bias = b, .relu = relu});
                   }});
    all.push_back({"batch_norm" + with,
                   [=](const Tensor& x, const Tensor& w, const Tensor& b) {
                     return batch_norm(x, {.weight = w, .bias = b, .training = true, .relu = relu});
                   },
                   true});
    all.push_back({"batch_norm, statistics given" + with, [=](const Tensor& x, const Tensor& w, const Tensor& b) {
                     return batch_norm(x, {.running_mean = statistic(x, 0.5),
                                           .running_var = statistic(x, 2),
                                           .weight = w,
                                           .bias = b,
                                           .relu = relu});
                   }});
  }
  // Of rows of the last axis, each with the weight of its place.
  all.push_back({"layer_norm", [](const Tensor& x, const Tensor& w, const Tensor& b) {
                   return layer_norm(x, {x.size(-1)}, {.weight = w, .bias = b});
                 }});
  all.push_back({"rms_norm", [](const Tensor& x, const Tensor& w, const Tensor&) {
                   return rms_norm(x, {x.size(-1)}, {.weight = w});
                 }});
  return all;
}

// Of the masked sum of squares: its gradients, and those of a penalty on the first.
Tensors derivatives(const Member& member, const Tensor& x, const Tensor& mask, bool second) {
  const Tensor leaf = x.detach().set_requires_grad();
  const Tensor w = tensor({0.5, -1, 2, 1.5}, x.dtype()).set_requires_grad(),
               b = tensor({0.25, 1, -0.5, 0}, x.dtype()).set_requires_grad();
  const Tensors leaves{leaf, w, b};
  const Tensor loss = sum(where(mask, square(member.f(leaf, w, b)), 0));
  Tensors d = grad({loss}, leaves, {}, {.create_graph = second, .allow_unused = true});
  if (!second) return d;
  Tensor penalty;
  for (const Tensor& g : d)
    if (g.defined()) penalty = penalty.defined() ? penalty + sum(square(g)) : sum(square(g));
  return grad({penalty}, leaves, {}, {.allow_unused = true});
}

TEST_CASE("a masked slice of NaN or infinity harms no gradient of normalisations, of first or second order") {
  manual_seed(11);
  for (const Member& member : members())
    for (const DType dtype : {float16, float32, float64})
      for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last})
        for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
          CAPTURE(member.name, dtype, format, bad);
          const Tensor clean = randn({3, 4, 5, 4}).to(dtype).contiguous(format), dirty = clean.clone();
          const int64_t axis = member.by_channel ? 1 : 0;
          select(select(select(select(dirty, axis, 1), 0, 2), 0, 3), 0, 1).fill_(bad);
          const Tensor mask = ones(clean.shape(), bool_);
          select(mask, axis, 1).fill_(false);
          for (const bool second : {false, true}) {
            CAPTURE(second);
            const Tensors got = derivatives(member, dirty, mask, second),
                          want = derivatives(member, clean, mask, second);
            for (std::size_t i = 0; i < want.size(); ++i) {
              CAPTURE(i);
              REQUIRE(got[i].defined() == want[i].defined());
              if (want[i].defined()) CHECK(equal(got[i], want[i]));
            }
          }
        }
}

TEST_CASE("a tangent of zero stays zero in a slice of NaN or infinity") {
  manual_seed(12);
  const Tensor w = tensor({0.5, -1, 2, 1.5}, float64), b = tensor({0.25, 1, -0.5, 0}, float64);
  for (const Member& member : members())
    for (const double bad : {double{NAN}, double{INFINITY}}) {
      CAPTURE(member.name, bad);
      const int64_t axis = member.by_channel ? 1 : 0;
      const Tensor x = randn({3, 4, 5, 4}, float64), dx = randn(x.shape(), float64), clean = x.clone();
      select(select(select(select(x, axis, 1), 0, 2), 0, 3), 0, 1).fill_(bad);
      select(dx, axis, 1).fill_(0);
      const auto f = [&](const Tensors& in) { return Tensors{member.f(in[0], w, b)}; };
      CHECK(equal(jvp(f, {x}, {dx}).dys[0], jvp(f, {clean}, {dx}).dys[0]));
    }
}

TEST_CASE("derivatives by a gradient of zero stay what they are, NaN in a slice of NaN") {
  manual_seed(13);
  for (const Member& member : members()) {
    if (member.name.find("given") != std::string::npos) continue;  // each element has a derivative of its own
    CAPTURE(member.name);
    const int64_t axis = member.by_channel ? 1 : 0;
    Tensor x = randn({3, 4, 5, 4}, float64);
    select(select(select(select(x, axis, 1), 0, 2), 0, 3), 0, 1).fill_(NAN);
    x.set_requires_grad();
    const Tensor w = ones({4}, float64).set_requires_grad(), b = full({4}, 9, float64);
    const Tensor u = zeros(x.shape(), float64).set_requires_grad();
    const Tensor y = member.f(x, w, b);
    const Tensors d = grad({y}, {x, w}, {u}, {.create_graph = true});
    for (const Tensor& first : d) {
      const Tensor by_u = grad({first}, {u}, {ones(first.shape(), float64)}, {.retain_graph = true})[0];
      CHECK(any(isnan(select(by_u, axis, 1))).item<bool>());
      CHECK_FALSE(any(isnan(select(by_u, axis, 0))).item<bool>());
    }
    // A slice that is not masked throughout has no gradient.
    const Tensor seed = zeros(x.shape(), float64);
    select(select(select(select(seed, axis, 1), 0, 2), 0, 3), 0, 0).fill_(1);
    const Tensor dx = grad({member.f(x, w, b)}, {x}, {seed})[0];
    CHECK(any(isnan(select(dx, axis, 1))).item<bool>());
  }
}

}  // namespace test_idle
