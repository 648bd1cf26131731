// Forward mode of every op of the table where differences do not look: layouts, dtypes, nothing at all, recorded
// tangents and their derivatives; and at ties, zeros and poles.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/op_table.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_tangents {

using namespace limpid;

constexpr double infinity = std::numeric_limits<double>::infinity();

Tensor vec(std::initializer_list<double> values) { return tensor(values, float64); }

/// A row as a function of its floating-point inputs alone, to its floating-point results.
struct Smooth {
  const OpRow& row;
  Tensors all, xs, dxs;

  explicit Smooth(const OpRow& of) : row(of), all(of.draw()) {
    Generator generator(5);
    for (const Tensor& x : all) {
      if (!is_floating_point(x.dtype())) continue;
      xs.push_back(x);
      dxs.push_back(randn(x.shape(), float64, generator));
    }
  }
  Tensors operator()(const Tensors& at) const {
    Tensors whole = all, ys;
    for (std::size_t i = 0, j = 0; i < all.size(); ++i)
      if (is_floating_point(all[i].dtype())) whole[i] = at[j++];
    for (const Tensor& y : row.f(whole))
      if (is_floating_point(y.dtype())) ys.push_back(y);
    return ys;
  }
  Tensors push(const Tensors& at, const Tensors& along) const {
    return jvp([this](const Tensors& t) { return (*this)(t); }, at, along).dys;
  }
};

template <class F>
void for_each_smooth_op(F f) {
  for (const OpRow& row : op_table())
    if (row.differentiable) DYNAMIC_SECTION(row.name()) {
        f(Smooth(row));
      }
}

void check_close(const Tensors& as, const Tensors& bs, double rtol) {
  REQUIRE(as.size() == bs.size());
  for (std::size_t k = 0; k < as.size(); ++k) {
    INFO(as[k] << " for " << bs[k]);
    CHECK(as[k].shape() == bs[k].shape());
    CHECK(allclose(as[k].detach().to(float64), bs[k].detach().to(float64), rtol, rtol));
  }
}

Tensor channels_last(const Tensor& x) { return x.dim() >= 3 ? x.contiguous(MemoryFormat::channels_last) : x; }

Tensors each(Tensors xs, Tensor (*f)(const Tensor&)) {
  for (Tensor& x : xs) x = f(x);
  return xs;
}

template <class F>
Tensor along(F f, const Tensor& x, const Tensor& dx) {
  return jvp(f, {x}, {dx}).dys[0];
}

TEST_CASE("tangents are the same in every layout, of inputs and of tangents") {
  int number = 0;
  for_each_smooth_op([&number](const Smooth& f) {
    const std::size_t inputs = f.xs.size();
    for (std::size_t subset = 1; subset < std::size_t{1} << inputs; ++subset) {
      if (test::is_thinned_out(number++, inputs > 2 ? 7 : 3)) continue;
      const auto moving = [&](std::size_t i) { return (subset >> i & 1) != 0; };
      const auto some = [&](Tensors dxs) {
        for (std::size_t i = 0; i < inputs; ++i)
          if (!moving(i)) dxs[i] = {};
        return dxs;
      };
      // What does not move is an input without a tangent, or a constant.
      const auto push_beside_constants = [&](const Tensors& xs, const Tensors& dxs) {
        Tensors at, along;
        for (std::size_t i = 0; i < inputs; ++i)
          if (moving(i)) at.push_back(xs[i]), along.push_back(dxs[i]);
        const auto of_moving = [&](const Tensors& t) {
          Tensors all = xs;
          for (std::size_t i = 0, j = 0; i < inputs; ++i)
            if (moving(i)) all[i] = t[j++];
          return f(all);
        };
        return jvp(of_moving, at, along).dys;
      };
      const Tensors expected = f.push(f.xs, some(f.dxs));
      // Recorded where one of the tangents, or none, requires a gradient: rules differ.
      for (std::size_t recorded = 0; recorded <= inputs; ++recorded) {
        if (recorded < inputs && !moving(recorded)) continue;
        for (const auto layout : {plain::strided, channels_last}) {
          INFO("moving " << subset << ", recorded by " << recorded);
          const Tensors xs = each(f.xs, layout);
          for (Tensors dxs : {f.dxs, each(f.dxs, layout)}) {
            if (recorded < inputs) dxs[recorded] = dxs[recorded].detach().set_requires_grad();
            check_close(f.push(xs, some(dxs)), expected, 1e-12);
            check_close(push_beside_constants(xs, dxs), expected, 1e-12);
          }
        }
      }
    }
  });
}

TEST_CASE("derivatives of second and third order are the same in every layout") {
  for_each_smooth_op([](const Smooth& f) {
    Generator generator(8);
    Tensors dys;
    for (const Tensor& y : f(f.xs)) dys.push_back(randn(y.shape(), float64, generator).to(y.dtype()));
    const auto joined = [](Tensors a, const Tensors& b) {
      for (const Tensor& x : b) a.push_back(x);
      return a;
    };
    const auto split = [&](const Tensors& at) {
      const Tensor* middle = at.begin() + f.xs.size();
      return std::pair(Tensors(at.begin(), middle), Tensors(middle, at.end()));
    };
    // Of tangents by inputs and their tangents, and of gradients by inputs and their cotangents.
    const auto pushed = [&](const Tensors& at) {
      const auto [xs, dxs] = split(at);
      return f.push(xs, dxs);
    };
    const auto pulled = [&](const Tensors& at) {
      const auto [xs, cotangents] = split(at);
      return vjp([&](const Tensors& t) { return f(t); }, xs, cotangents).dxs;
    };
    const auto twice = [&](const Tensors& at) { return vjp(pulled, at, f.dxs).dxs; };
    const Tensors of_pushed = vjp(pushed, joined(f.xs, f.dxs), dys).dxs;
    const Tensors of_pulled = vjp(pulled, joined(f.xs, dys), f.dxs).dxs;
    const Tensors of_twice = vjp(twice, joined(f.xs, dys), joined(f.dxs, dys)).dxs;
    for (const auto layout : {plain::strided, channels_last}) {
      const Tensors xs = each(f.xs, layout), dxs = each(f.dxs, layout), apart = each(dys, layout);
      check_close(vjp(pushed, joined(xs, dxs), apart).dxs, of_pushed, 1e-11);
      check_close(vjp(pulled, joined(xs, apart), dxs).dxs, of_pulled, 1e-11);
      check_close(vjp(twice, joined(xs, apart), joined(dxs, apart)).dxs, of_twice, 1e-11);
    }
  });
}

TEST_CASE("tangents of any subset of moving inputs add up") {
  for_each_smooth_op([](const Smooth& f) {
    const std::size_t inputs = std::min<std::size_t>(f.xs.size(), 5);
    const auto moving = [&](std::size_t subset) {
      Tensors dxs(f.xs.size());
      for (std::size_t i = 0; i < inputs; ++i)
        if (subset >> i & 1) dxs[i] = f.dxs[i];
      return f.push(f.xs, dxs);
    };
    std::vector<Tensors> alone;
    for (std::size_t i = 0; i < inputs; ++i) alone.push_back(moving(std::size_t{1} << i));
    for (std::size_t subset = 3; subset < std::size_t{1} << inputs; ++subset) {
      INFO("subset " << subset);
      Tensors expected = each(alone[0], [](const Tensor& dy) { return zeros_like(dy); });
      for (std::size_t i = 0; i < inputs; ++i)
        for (std::size_t k = 0; subset >> i & 1 && k < expected.size(); ++k) expected[k] = expected[k] + alone[i][k];
      check_close(moving(subset), expected, 1e-11);
    }
  });
}

TEST_CASE("tangents in float32 agree with float64") {
  for_each_smooth_op([](const Smooth& f) {
    const auto narrow = [](const Tensor& x) { return x.to(float32); };
    const auto wide = [](const Tensor& x) { return x.to(float32).to(float64); };
    check_close(f.push(each(f.xs, narrow), each(f.dxs, narrow)), f.push(each(f.xs, wide), each(f.dxs, wide)), 2e-4);
  });
}

TEST_CASE("tangents that are recorded have the values of those that are not") {
  for_each_smooth_op([](const Smooth& f) {
    Tensors recorded = each(f.dxs, [](const Tensor& dx) { return dx.clone().set_requires_grad(); });
    const Tensors dys = f.push(f.xs, recorded);
    if (!f.row.vacuous) CHECK(dys[0].requires_grad());
    check_close(dys, f.push(f.xs, f.dxs), 1e-13);
  });
}

TEST_CASE("the derivative of a tangent is the tangent of the derivative") {
  // By x, of <dy, J(x) v>: reverse mode over recorded tangents, and forward mode over a recorded backward.
  for_each_smooth_op([](const Smooth& f) {
    Generator generator(7);
    Tensors dys;
    for (const Tensor& y : f(f.xs)) dys.push_back(randn(y.shape(), float64, generator).to(y.dtype()));
    const auto pulled = [&](const Tensors& at) { return vjp([&](const Tensors& t) { return f(t); }, at, dys).dxs; };
    const auto pushed = [&](const Tensors& at) { return f.push(at, f.dxs); };
    check_close(vjp(pushed, f.xs, dys).dxs, jvp(pulled, f.xs, f.dxs).dys, f.row.op == "to" ? 1e-5 : 1e-9);
  });
}

TEST_CASE("tangents of empty inputs have the shape of what they are tangents of") {
  for_each_smooth_op([](const Smooth& given) {
    for (std::size_t axis = 0; axis < given.row.inputs[0].shape.size(); ++axis) {
      INFO("axis " << axis);
      Smooth f = given;
      const Shape full = f.row.inputs[0].shape;
      Shape none = full;
      none[axis] = 0;
      for (Tensor& x : f.all)
        if (x.shape() == full) x = empty(none, x.dtype());
      for (Tensors* ts : {&f.xs, &f.dxs})
        for (Tensor& t : *ts)
          if (t.shape() == full) t = empty(none, t.dtype());
      Tensors ys;
      try {
        ys = f(f.xs);
      } catch (const Error&) {
        continue;  // refused
      }
      if (ys.empty()) continue;  // of nothing, unbind makes nothing
      const Tensors dys = f.push(f.xs, f.dxs);
      for (std::size_t k = 0; k < ys.size(); ++k) CHECK(dys[k].shape() == ys[k].shape());
    }
  });
}

TEST_CASE("tangents of an extreme are shared by those that attain it, by whichever way it is found") {
  const auto largest = [](const Tensor& t) { return amax(t, 1); };
  // Rows of whole blocks and one element, ties within a block and across two, a NaN that wins.
  Tensor x = rand({3, 193}, float64), dx = randn({3, 193}, float64);
  double *p = x.data<double>(), *d = dx.data<double>();
  p[7] = p[8] = p[150] = 2;
  p[193 + 3] = NAN;
  p[3 * 193 - 1] = 2;
  const Tensor expected = vec({(d[7] + d[8] + d[150]) / 3, d[193 + 3], d[3 * 193 - 1]});
  CHECK(allclose(along(largest, x, dx), expected, 1e-15));
  // However x lies in memory, what is found in one read is what recorded ops find.
  const Tensor values = rand({130, 386}, float64).to(float16).to(float64), along_values = randn({130, 386}, float64);
  const auto wide = [](const Tensor& t) { return t; };
  const auto transposed = [](const Tensor& t) { return transpose(t, 0, 1); };
  const auto every_second = [](const Tensor& t) { return slice(t, 1, 0, to_end, 2); };
  for (Tensor (*view)(const Tensor&) : {+wide, +transposed, +every_second})
    for (const bool alike : {true, false})
      for (const int64_t axis : {0, 1}) {
        const Tensor at = view(values), direction = alike ? view(along_values) : view(along_values).contiguous();
        for (const bool highest : {true, false}) {
          const auto f = [&](const Tensor& t) { return highest ? amax(t, axis) : amin(t, axis); };
          Tensor recorded = direction.detach().clone().set_requires_grad();
          CHECK(allclose(along(f, at, direction), along(f, at, recorded).detach(), 1e-14, 1e-15));
        }
      }
}

TEST_CASE("tangents at kinks, zeros and poles are those that backward implies") {
  const Tensor one = vec({1, 1});
  const auto at = [&](Tensor (*f)(const Tensor&), std::initializer_list<double> x) { return along(f, vec(x), one); };
  CHECK(equal(at(relu, {0, 1}), vec({0, 1})));
  CHECK(equal(at(abs, {0, -1}), vec({0, -1})));
  CHECK(equal(at(sqrt, {0, 4}), vec({infinity, 0.25})));
  CHECK(equal(at([](const Tensor& x) { return clamp(x, 0, 1); }, {0, 2}), vec({1, 0})));
  CHECK(equal(at([](const Tensor& x) { return leaky_relu(x, 0.5); }, {0, 2}), vec({0.5, 1})));
  CHECK(equal(at([](const Tensor& x) { return elu(x, 0.5); }, {0, 2}), vec({0.5, 1})));
  CHECK(at([](const Tensor& x) { return vector_norm(x); }, {0, 0}).item<double>() == 0);
  CHECK(
      along([](const Tensor& x) { return vector_norm(x); }, tensor({3e30, 4e30}), tensor({1e30, 1e30})).item<float>() ==
      Approx(1.4e30));
  CHECK(at([](const Tensor& x) { return logsumexp(x); }, {-infinity, -infinity}).item<double>() == 0);
  CHECK(equal(at([](const Tensor& x) { return softmax(x, 0); }, {-infinity, 0}), vec({0, 0})));

  const Tensor a = vec({2, 3, 1}), b = vec({2, 1, 3}), da = vec({1, 10, 100}), db = vec({3, 30, 300});
  CHECK(equal(jvp([](const Tensor& p, const Tensor& q) { return maximum(p, q); }, {a, b}, {da, db}).dys[0],
              vec({2, 10, 300})));
  CHECK(equal(jvp([](const Tensor& p, const Tensor& q) { return minimum(p, q); }, {a, b}, {da, db}).dys[0],
              vec({2, 30, 100})));
  const auto power = [](const Tensor& p, const Tensor& q) { return pow(p, q); };
  CHECK(equal(jvp(power, {vec({0, 0, 0}), vec({0, 1, 2})}, {da, db}).dys[0], vec({0, 10, 0})));
}

TEST_CASE("activations have their derivatives far out as well") {
  for (const DType dtype : {float32, float64}) {
    const Tensor x = tensor({-1000, -200, -95, -90, -20, -9, -1, 0, 2, 20, 95, 200, 1000}, dtype),
                 dx = full({13}, 2, dtype);
    const auto expected = [&](double (*slope)(double)) {
      Tensor y = x.to(float64).clone();
      for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = 2 * slope(y.data<double>()[i]);
      return y.to(dtype);
    };
    const double rtol = dtype == float32 ? 1e-6 : 1e-13;
    const auto of_silu = [](double v) {
      const double s = 1 / (1 + std::exp(-v)), t = 1 / (1 + std::exp(v));
      return v < -800 ? 0.0 : s * (1 + v * t);
    };
    const auto of_elu = [](double v) { return v > 0 ? 1.0 : 3 * std::exp(v); };
    CHECK(allclose(along([](const Tensor& t) { return silu(t); }, x, dx), expected(of_silu), rtol, 1e-43));
    const auto of_softplus = [](double v) { return v < -300 ? 0.0 : 1 / (1 + std::exp(-2 * v)); };
    const auto of_erf = [](double v) { return 2 / std::sqrt(std::acos(-1.0)) * std::exp(-v * v); };
    CHECK(allclose(along([](const Tensor& t) { return elu(t, 3); }, x, dx), expected(of_elu), rtol, 1e-43));
    CHECK(allclose(along([](const Tensor& t) { return softplus(t, 2); }, x, dx), expected(of_softplus), rtol, 1e-43));
    CHECK(allclose(along([](const Tensor& t) { return erf(t); }, x, dx), expected(of_erf), rtol, 1e-43));
  }
}

TEST_CASE("tangents of normalisations in half precision are those of float32, rounded") {
  Generator generator(3);
  for (const DType dtype : {float16, bfloat16})
    for (const bool last : {false, true}) {
      const auto draw = [&](const Shape& shape) {
        const Tensor t = randn(shape, float32, generator).to(dtype);
        return last && shape.dim() > 1 ? t.contiguous(MemoryFormat::channels_last) : t;
      };
      const Tensors xs{draw({2, 4, 3, 5}), draw({4}), draw({4})}, dxs{draw({2, 4, 3, 5}), draw({4}), draw({4})};
      const auto wide = [](const Tensor& t) { return t.to(float32); };
      const auto f = [](const Tensor& x, const Tensor& w, const Tensor& b) {
        return Tensors{group_norm(x, 2, {.weight = w, .bias = b}), instance_norm(x, {.weight = w, .bias = b})};
      };
      const Tensors full = jvp(f, each(xs, wide), each(dxs, wide)).dys;
      for (const bool mixed : {false, true}) {  // a weight in float32, beside x in half precision
        Tensors at = xs, directions = dxs;
        for (std::size_t i = 1; mixed && i < 3; ++i) at[i] = wide(at[i]), directions[i] = wide(directions[i]);
        const Tensors half = jvp(f, at, directions).dys;
        for (std::size_t k = 0; k < half.size(); ++k) {
          CHECK(half[k].dtype() == dtype);
          CHECK(equal(half[k], full[k].to(dtype)));
        }
      }
    }
}

TEST_CASE("tangents of normalisations are those of primitive ops, with the same bits for any number of threads") {
  using Norm = Tensor (*)(const Tensor& x, const Tensor& w, const Tensor& b);
  struct Row {
    const char* name;
    Shape x, affine;
    Norm fused;
    Shape grouped, channel;  ///< as the composition sees x and its affine
    Axes axes;
    bool center = true;
  };
  const auto instance = [](const Tensor& x, const Tensor& w, const Tensor& b) {
    return instance_norm(x, {.weight = w, .bias = b});
  };
  const auto group = [](const Tensor& x, const Tensor& w, const Tensor& b) { return group_norm(x, 2, w, b); };
  const auto layer = [](const Tensor& x, const Tensor& w, const Tensor& b) { return layer_norm(x, w.shape(), w, b); };
  const auto rms = [](const Tensor& x, const Tensor& w, const Tensor&) { return rms_norm(x, w.shape(), w); };
  const auto batch = [](const Tensor& x, const Tensor& w, const Tensor& b) {
    return batch_norm(x, {}, {}, w, b, true);
  };
  const std::vector<Row> rows{
      {"instance_norm, short", {3, 20, 4, 4}, {20}, instance, {3, 20, 16}, {1, 20, 1}, {2}},
      {"instance_norm", {2, 5, 30, 41}, {5}, instance, {2, 5, 1230}, {1, 5, 1}, {2}},
      {"instance_norm, large", {1, 3, 130, 140}, {3}, instance, {1, 3, 18200}, {1, 3, 1}, {2}},
      {"instance_norm, a weight per sample", {3, 6, 9, 9}, {3, 6}, instance, {3, 6, 81}, {3, 6, 1}, {2}},
      {"group_norm", {2, 6, 9, 9}, {6}, group, {2, 2, 3, 81}, {1, 2, 3, 1}, {2, 3}},
      {"group_norm, large", {1, 4, 100, 100}, {4}, group, {1, 2, 2, 10000}, {1, 2, 2, 1}, {2, 3}},
      {"group_norm, a weight per sample", {2, 6, 9, 9}, {2, 6}, group, {2, 2, 3, 81}, {2, 2, 3, 1}, {2, 3}},
      {"layer_norm", {40, 70}, {70}, layer, {40, 70}, {70}, {1}},
      {"rms_norm", {40, 70}, {70}, rms, {40, 70}, {70}, {1}, false},
      {"batch_norm", {3, 6, 9, 9}, {6}, batch, {3, 6, 81}, {1, 6, 1}, {0, 2}},
      {"batch_norm of columns", {300, 7}, {7}, batch, {300, 7}, {1, 7}, {0}},
  };
  for (const Row& row : rows)
    for (const DType dtype : {float32, float64})
      for (Tensor (*layout)(const Tensor&) : {+[](const Tensor& t) { return t; }, channels_last, plain::strided}) {
        INFO(row.name << " " << dtype);
        Generator generator(9);
        const auto draw = [&](const Shape& shape) { return randn(shape, float64, generator).to(dtype); };
        const Tensors xs{layout(draw(row.x) + 2.0), draw(row.affine), draw(row.affine)},
            dxs{layout(draw(row.x)), draw(row.affine), draw(row.affine)};
        const auto fused = [&](const Tensors& x) { return Tensors{row.fused(x[0], x[1], x[2])}; };
        const auto composed = [&](const Tensors& x) {
          const auto affine = [&](const Tensor& t) { return reshape(t, row.channel); };
          const Tensor z = reshape(x[0], row.grouped), d = row.center ? z - mean(z, row.axes, true) : z;
          const Tensor y = d * rsqrt(mean(square(d), row.axes, true) + 1e-5) * affine(x[1]);
          return Tensors{reshape(row.center ? y + affine(x[2]) : y, x[0].shape())};
        };
        const auto tangent = [&](int threads) {
          const test::WithThreads with(threads);
          return jvp(fused, xs, dxs).dys[0];
        };
        const Tensor dy = tangent(1);
        const auto wide = [](const Tensor& t) { return t.to(float64); };
        check_close({dy}, jvp(composed, each(xs, wide), each(dxs, wide)).dys, dtype == float32 ? 1e-5 : 1e-12);
        for (const int threads : {2, 3, 7}) CHECK(equal(tangent(threads), dy));
      }
}

TEST_CASE("derivatives of a normalisation's tangent do not depend on which of them are asked for") {
  Generator generator(4);
  const auto draw = [&](const Shape& shape) { return randn(shape, float64, generator); };
  // x, weight and bias, their tangents, and the gradient that arrives.
  const Tensors given{draw({2, 4, 3, 5}), draw({4}), draw({4}), draw({2, 4, 3, 5}), draw({4}), draw({4})};
  const Tensor ddy = draw({2, 4, 3, 5});
  for (const int64_t groups : {2, 4}) {
    const auto norm_of = [&](const Tensors& x) { return Tensors{group_norm(x[0], groups, x[1], x[2])}; };
    const auto derivatives = [&](unsigned wanted) {
      Tensors at = each(given, [](const Tensor&t) { return t.detach(); }), sought;
      for (std::size_t i = 0; i < at.size(); ++i)
        if (wanted >> i & 1) sought.push_back(at[i].set_requires_grad());
      return grad(jvp(norm_of, {at[0], at[1], at[2]}, {at[3], at[4], at[5]}).dys, sought, {ddy},
                  {.allow_unused = true});
    };
    const Tensors all = derivatives(63), transposed = vjp(norm_of, {given[0], given[1], given[2]}, {ddy}).dxs;
    for (std::size_t i = 0; i < 3; ++i) CHECK(equal(all[3 + i], transposed[i]));
    for (unsigned wanted = 1; wanted < 63; ++wanted) {
      if (wanted == 4) continue;  // of the bias alone, which no tangent depends on
      const Tensors some = derivatives(wanted);
      for (std::size_t i = 0, next = 0; i < all.size(); ++i) {
        if (!(wanted >> i & 1)) continue;
        INFO(groups << " groups, wanted " << wanted << ", of input " << i);
        CHECK(some[next].defined() == (i != 2));
        if (i != 2) CHECK(equal(some[next], all[i]));
        ++next;
      }
    }
  }
}

TEST_CASE("tangents through a normalisation's own relu are those of a relu after it") {
  Generator generator(3);
  const auto draw = [&](const Shape& shape) { return randn(shape, float64, generator); };
  for (const bool given : {false, true})  // statistics
    for (const bool per_sample : {false, true})
      for (const bool last : {false, true}) {
        const Shape affine = per_sample ? Shape{2, 4} : Shape{4};
        Tensors xs{draw({2, 4, 3, 5}), draw(affine), draw(affine), draw({4}), square(draw({4})) + 0.5}, dxs;
        for (const Tensor& x : xs) dxs.push_back(draw(x.shape()));
        if (last) xs[0] = channels_last(xs[0]), dxs[0] = channels_last(dxs[0]);
        const auto norm_of = [&](const Tensors& x, bool with_relu) {
          InstanceNormOptions o{.weight = x[1], .bias = x[2], .use_input_stats = !given};
          if (given) o.running_mean = x[3], o.running_var = x[4];
          o.relu = with_relu;
          return instance_norm(x[0], o);
        };
        const auto fused = [&](const Tensors& x) { return Tensors{norm_of(x, true)}; };
        const auto apart = [&](const Tensors& x) { return Tensors{relu(norm_of(x, false))}; };
        check_close(jvp(fused, xs, dxs).dys, jvp(apart, xs, dxs).dys, 1e-13);
        for (Tensor& dx : dxs) dx.set_requires_grad();
        check_close(jvp(fused, xs, dxs).dys, jvp(apart, xs, dxs).dys, 1e-13);
      }
}

TEST_CASE("tangents of large tensors, which threads share out, are those of small ones") {
  // Element by element the same functions; of rows, one row at a time.
  const Tensor x = rand({64, 1024}) + 0.5, y = rand({64, 1024}) + 0.5, dx = randn({64, 1024}), dy = randn({64, 1024});
  const auto rows = [](const Tensor& a, const Tensor& b) {
    return Tensors{silu(a) * elu(a - 1.0), a / b,      maximum(a, b),        where(gt(a, b), a, b),
                   clamp(a, 0.7, 1.2) * b, amax(a, 1), vector_norm(a, 2, 1), var(a, 1),
                   softmax(a, 1)};
  };
  const Tensors whole = jvp(rows, {x, y}, {dx, dy}).dys;
  for (const int64_t row : {0, 17, 63}) {
    const auto of_row = [&](const Tensor& t) { return slice(t, 0, row, row + 1); };
    const Tensors one = jvp(rows, {of_row(x), of_row(y)}, {of_row(dx), of_row(dy)}).dys;
    for (std::size_t k = 0; k < one.size(); ++k) CHECK(allclose(of_row(whole[k]), one[k], 1e-6, 1e-7));
  }
}

}  // namespace test_tangents
