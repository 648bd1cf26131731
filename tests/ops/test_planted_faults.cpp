// Wrong backwards, planted one at a time: gradcheck must catch each, and pass the same function without the fault.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_planted_faults {

using namespace limpid;

enum class Fault {
  none,
  zero_dx,
  wrong_sign,
  no_division_by_m,
  sums_over_the_batch,
  gamma_outside_the_sums,
  stale_statistics,
  no_mean_of_dy,
  no_xhat_term,
  no_eps,
  var_for_rstd,
  dgamma_without_rstd,
  dgamma_of_one_sample,
  dbeta_over_the_wrong_axis,
  dgamma_and_dbeta_swapped,
};

// group_norm of x (N, C, S) in two groups, by hand. Index sets: a group holds D = C / 2 channels and M = D S elements;
//     dx = rstd (g - (1/M) sum_{d,s} g - xhat (1/M) sum_{d,s} g xhat),   g = gamma dy,
//     dgamma_c = sum_{n,s} dy xhat,   dbeta_c = sum_{n,s} dy.
template <Fault fault>
struct GroupNorm : Function<GroupNorm<fault>> {
  static constexpr double eps = 0.1;

  static Tensor grouped(const Tensor& x) { return reshape(x, {x.size(0), 2, x.size(1) / 2, x.size(2)}); }
  static Tensor per_channel(const Tensor& w) { return reshape(w, {2, w.size(0) / 2, 1}); }

  static Tensor forward(Context& ctx, const Tensor& x, const Tensor& gamma, const Tensor& beta) {
    ctx.save(x, gamma);
    const Tensor v = grouped(x), centred = v - mean(v, {2, 3}, true);
    const Tensor xhat = centred * rsqrt(mean(square(centred), {2, 3}, true) + eps);
    return reshape(xhat * per_channel(gamma) + per_channel(beta), x.shape());
  }

  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0), gamma = per_channel(ctx.saved(1)), v = grouped(x), d = grouped(dy);
    Tensor mu = mean(v, {2, 3}, true), var = mean(square(v - mu), {2, 3}, true);
    if (fault == Fault::stale_statistics) {
      mu = mu * 0.9;
      var = var * 0.9 + 0.1;
    }
    const Tensor rstd = rsqrt(fault == Fault::no_eps ? var : var + eps);
    const Tensor xhat = (v - mu) * rstd;
    const bool gamma_inside = fault != Fault::gamma_outside_the_sums;
    const Tensor g = gamma_inside ? d * gamma : d;
    const Axes over = fault == Fault::sums_over_the_batch ? Axes{0, 3} : Axes{2, 3};
    const auto average = [&](const Tensor& t) {
      return fault == Fault::no_division_by_m ? sum(t, over, true) : mean(t, over, true);
    };
    Tensor inner = g;
    if (fault != Fault::no_mean_of_dy) inner = inner - average(g);
    if (fault != Fault::no_xhat_term) inner = inner - xhat * average(g * xhat);
    Tensor dx = inner * (fault == Fault::var_for_rstd ? 1.0 / (var + eps) : rstd);
    if (!gamma_inside) dx = dx * gamma;
    if (fault == Fault::wrong_sign) dx = -dx;
    if (fault == Fault::zero_dx) dx = dx * 0.0;

    const auto flat = [&](const Tensor& t) { return reshape(t, {-1}); };
    Tensor dgamma = flat(sum(d * (fault == Fault::dgamma_without_rstd ? v - mu : xhat), {0, 3}));
    if (fault == Fault::dgamma_of_one_sample) dgamma = flat(sum(slice(d * xhat, 0, 0, 1), {0, 3}));
    Tensor dbeta = flat(sum(d, fault == Fault::dbeta_over_the_wrong_axis ? Axes{0, 2} : Axes{0, 3}));
    if (fault == Fault::dgamma_and_dbeta_swapped) std::swap(dgamma, dbeta);
    return {reshape(dx, x.shape()), dgamma, dbeta};
  }
};

// A function with a gradient written by hand, right or with a fault.
struct Rule {
  std::string fault;
  Tensors inputs;
  Tensor (*f)(const Tensors& x);
  Tensors (*gradient)(const Tensors& x, const Tensor& dy, bool faulty);
};

Tensor random(const Shape& shape) {
  static Generator generator(11);
  return randn(shape, float64, generator);
}

Tensor picks() { return tensor({2, 0, 2, 1, 2}, int64); }
Tensor mask() { return gt(tensor({1, 0, 0, 1}, float64), 0.5); }

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {.fault = "matmul with an operand not transposed",
       .inputs = {random({3, 3}), random({3, 3})},
       .f = [](const Tensors& x) { return matmul(x[0], x[1]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {matmul(dy, faulty ? x[1] : transpose(x[1], 0, 1)), matmul(transpose(x[0], 0, 1), dy)};
       }},
      {.fault = "mul summed down over the wrong axis",
       .inputs = {random({3, 3}), random({3})},
       .f = [](const Tensors& x) { return x[0] * x[1]; },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {dy * x[1], sum(dy * x[0], faulty ? 1 : 0)};
       }},
      {.fault = "square without its factor 2",
       .inputs = {random({3, 4})},
       .f = [](const Tensors& x) { return square(x[0]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {dy * x[0] * (faulty ? 1.0 : 2.0)};
       }},
      {.fault = "slice put back one off",
       .inputs = {random({6})},
       .f = [](const Tensors& x) { return slice(x[0], 0, 1, 4); },
       .gradient = [](const Tensors&, const Tensor& dy, bool faulty) -> Tensors {
         return {faulty ? pad(dy, {2, 1}) : pad(dy, {1, 2})};
       }},
      {.fault = "softmax without the sum",
       .inputs = {random({3, 4})},
       .f = [](const Tensors& x) { return softmax(x[0], 1); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         const Tensor y = softmax(x[0], 1);
         return {y * (faulty ? dy : dy - sum(dy * y, 1, true))};
       }},
      {.fault = "log_softmax as if dy summed to 1",
       .inputs = {random({3, 4})},
       .f = [](const Tensors& x) { return log_softmax(x[0], 1); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         const Tensor y = softmax(x[0], 1);
         return {dy - (faulty ? y : y * sum(dy, 1, true))};
       }},
      {.fault = "index_select that overwrites instead of adding up",
       .inputs = {random({3})},
       .f = [](const Tensors& x) { return index_select(x[0], 0, picks()); },
       .gradient = [](const Tensors&, const Tensor& dy, bool faulty) -> Tensors {
         if (faulty) return {index_select(dy, 0, tensor({1, 3, 4}, int64))};
         return {scatter_add({3}, 0, picks(), dy)};
       }},
      {.fault = "max that gives each of two maxima the whole",
       .inputs = {tensor({1, 3, 0, 3, 2}, float64)},
       .f = [](const Tensors& x) { return amax(x[0], 0); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         const Tensor at = eq(x[0], amax(x[0], 0, true)).to(float64);
         return {dy * at * (faulty ? 1.0 : 0.5)};
       }},
      {.fault = "mean without its division",
       .inputs = {random({3, 4})},
       .f = [](const Tensors& x) { return mean(x[0], 1); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {expand(unsqueeze(dy, 1), x[0].shape()) * (faulty ? 1.0 : 0.25)};
       }},
      {.fault = "tanh with y for its square",
       .inputs = {random({3, 4})},
       .f = [](const Tensors& x) { return tanh(x[0]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         const Tensor y = tanh(x[0]);
         return {dy * (1.0 - (faulty ? y : square(y)))};
       }},
      {.fault = "linear with dbias over the wrong axis",
       .inputs = {random({3, 2}), random({3, 2}), random({3})},
       .f = [](const Tensors& x) { return linear(x[0], x[1], x[2]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {matmul(dy, x[1]), matmul(transpose(dy, 0, 1), x[0]), sum(dy, faulty ? 1 : 0)};
       }},
      {.fault = "relu masked by dy",
       .inputs = {tensor({-2, -1, -0.5, 0.5, 1, 2}, float64)},
       .f = [](const Tensors& x) { return relu(x[0]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {where(gt(faulty ? dy : x[0], 0.0), dy, 0.0)};
       }},
      {.fault = "where with its branches swapped",
       .inputs = {random({4}), random({4})},
       .f = [](const Tensors& x) { return where(mask(), x[0], x[1]); },
       .gradient = [](const Tensors&, const Tensor& dy, bool faulty) -> Tensors {
         const Tensor chosen = where(mask(), dy, 0.0), rest = where(mask(), 0.0, dy);
         return {faulty ? rest : chosen, faulty ? chosen : rest};
       }},
      {.fault = "div by b for b squared",
       .inputs = {random({4}), square(random({4})) + 0.5},
       .f = [](const Tensors& x) { return x[0] / x[1]; },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         return {dy / x[1], -(dy * x[0] / (faulty ? x[1] : square(x[1])))};
       }},
      {.fault = "permute undone by itself",
       .inputs = {random({3, 3, 3})},
       .f =
           [](const Tensors& x) {
             return permute(x[0], {1, 2, 0});
           },
       .gradient = [](const Tensors&, const Tensor& dy, bool faulty) -> Tensors {
         return {permute(dy, faulty ? Axes{1, 2, 0} : Axes{2, 0, 1})};
       }},
      {.fault = "exp wrong in one element of many",
       .inputs = {random({100})},
       .f = [](const Tensors& x) { return exp(x[0]); },
       .gradient = [](const Tensors& x, const Tensor& dy, bool faulty) -> Tensors {
         Tensor factor = ones_like(x[0]);
         if (faulty) select(factor, 0, 57).fill_(1 + 1e-3);
         return {dy * exp(x[0]) * factor};
       }},
  };
  return all;
}

struct ByHand : Function<ByHand> {
  static Tensor forward(Context& ctx, int64_t rule, bool faulty, const Tensors& x) {
    ctx.save(tensor({static_cast<double>(rule), faulty ? 1.0 : 0.0, static_cast<double>(x.size())}, int64));
    for (const Tensor& t : x) ctx.save(t);
    return rules()[static_cast<std::size_t>(rule)].f(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor about = ctx.saved(0);
    const int64_t* p = about.data<int64_t>();
    Tensors x;
    for (int64_t i = 0; i < p[2]; ++i) x.push_back(ctx.saved(static_cast<std::size_t>(i + 1)));
    return rules()[static_cast<std::size_t>(p[0])].gradient(x, dy, p[1] != 0);
  }
};

template <Fault fault>
GradcheckReport check_norm() {
  Generator generator(5);
  const Tensor x = randn({3, 4, 2}, float64, generator) * 2.0 + 1.0, gamma = rand({4}, float64, generator) + 0.5;
  const Tensor beta = randn({4}, float64, generator);
  return gradcheck([](Tensor a, Tensor b, Tensor c) { return GroupNorm<fault>::apply(a, b, c); }, {x, gamma, beta});
}

template <Fault fault>
void expect_caught(const char* name) {
  DYNAMIC_SECTION(name) {
    const GradcheckReport report = check_norm<fault>();
    INFO(report);
    CHECK_FALSE(report);
    CHECK_FALSE(report.vacuous);
    CHECK(report.error > 1e-3);
  }
}

TEST_CASE("the normalisation written by hand is right") {
  const GradcheckReport report = check_norm<Fault::none>();
  INFO(report);
  CHECK(report);
  CHECK(report.error < 1e-8);
}

TEST_CASE("a fault planted in a normalisation is caught") {
  expect_caught<Fault::zero_dx>("zero dx");
  expect_caught<Fault::wrong_sign>("wrong sign");
  expect_caught<Fault::no_division_by_m>("no division by M");
  expect_caught<Fault::sums_over_the_batch>("sums per channel over the batch, not per sample and group");
  expect_caught<Fault::gamma_outside_the_sums>("gamma outside the sums");
  expect_caught<Fault::stale_statistics>("statistics not the input's own");
  expect_caught<Fault::no_mean_of_dy>("no mean of dy");
  expect_caught<Fault::no_xhat_term>("no xhat term");
  expect_caught<Fault::no_eps>("no eps");
  expect_caught<Fault::var_for_rstd>("division by the variance");
  expect_caught<Fault::dgamma_without_rstd>("dgamma without rstd");
  expect_caught<Fault::dgamma_of_one_sample>("dgamma of one sample");
  expect_caught<Fault::dbeta_over_the_wrong_axis>("dbeta over the wrong axis");
  expect_caught<Fault::dgamma_and_dbeta_swapped>("dgamma and dbeta swapped");
}

TEST_CASE("a planted fault is caught, in both modes") {
  for (std::size_t r = 0; r < rules().size(); ++r)
    for (bool fast : {false, true}) DYNAMIC_SECTION(rules()[r].fault << (fast ? ", fast" : "")) {
        const auto check = [&](bool faulty) {
          const auto f = [&](const Tensors& x) { return ByHand::apply(static_cast<int64_t>(r), faulty, x); };
          return gradcheck(f, rules()[r].inputs, {.fast = fast});
        };
        const GradcheckReport right = check(false), wrong = check(true);
        INFO(right << '\n' << wrong);
        CHECK(right);
        CHECK_FALSE(wrong);
        CHECK_FALSE(wrong.vacuous);
      }
}

// What a rule may do wrong without a wrong formula: each kind as a node of a function x -> square(x), or |x|, of one
// input, right where `fault` is none.
enum class Slip {
  none,
  reads_dy_as_dense,
  reads_x_as_dense,
  drops_what_is_small,     // right but for elements far below the largest
  is_off_beside_the_edge,  // right but for elements beside the end of the domain
  is_of_no_side,           // at a kink, a derivative of neither side
};

template <Slip slip>
struct SquareNode final : Node {
  Saved x{*this, "x"};
  const char* name() const noexcept override { return "planted"; }
  Tensors backward(const Tensors& dy) override {
    const Tensor at = x, g = slip == Slip::reads_dy_as_dense ? dy[0] : dy[0].contiguous(),
                 v = slip == Slip::reads_x_as_dense ? at : at.contiguous(), dx = empty(at.shape(), float64);
    for (int64_t i = 0; i < dx.numel(); ++i) dx.data<double>()[i] = 2 * v.data<double>()[i] * g.data<double>()[i];
    return {dx};
  }
  static Tensor apply(const Tensor& x) {
    Tensor y = square(x.detach());
    if (auto* node = limpid::record<SquareNode>(y, x)) node->x = x;
    return y;
  }
};

// log(x) beside its pole and its smallest argument, |x| at its kink.
template <Slip slip>
struct Slipping : Function<Slipping<slip>> {
  static constexpr bool has_kink = slip == Slip::is_of_no_side;
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return has_kink ? abs(x) : log(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0);
    if (has_kink) return {dy * (sign(x) + eq(x, 0.0).to(float64) * 1.5)};
    Tensor factor = ones_like(x.detach());
    if (slip == Slip::drops_what_is_small) factor = gt(x, 1e-6 * max(x)).to(float64);
    if (slip == Slip::is_off_beside_the_edge) factor = factor + 1e-3 * lt(x, 1e-3).to(float64);
    return {dy * factor / x};
  }
};

// Right derivatives, of which the second hide, whole or in part: see test_off_tape.cpp for what is found out and when.
enum class Hidden { nothing, all, the_saved, half, an_intermediate };
template <Hidden hidden>
struct Hiding : Function<Hiding<hidden>> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x, hidden == Hidden::an_intermediate ? square(x) : x);  // nothing in forward is recorded
    return x * x * x;
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0), square_of_x = ctx.saved(1);
    switch (hidden) {
      case Hidden::nothing: return {dy * x * x * 3.0};
      case Hidden::all: return {(dy * x * x * 3.0).detach()};
      case Hidden::the_saved: return {dy * (x * x * 3.0).detach()};
      case Hidden::half: return {dy * x * x.detach() * 3.0};
      case Hidden::an_intermediate: return {dy * square_of_x * 3.0};
    }
    return {};
  }
};

template <template <auto> class F, auto value>
auto planted() {
  return [](const Tensor& x) { return F<value>::apply(x); };
}

TEST_CASE("a planted slip of layout, scale or kink is caught") {
  const auto expect = [](const char* name, const auto& wrong, const Tensor& x, const char* told) {
    const GradcheckReport report = gradcheck(wrong, {x});
    INFO(name << '\n' << report);
    CHECK_FALSE(report);
    CHECK_FALSE(report.vacuous);
    CHECK_FALSE(report.at_kinks);
    CHECK_THAT(to_string(report), ContainsSubstring(told));
  };
  const Tensor x = random({2, 3, 2}), sizes = tensor({1, 1e-7, 1e-4, 2}, float64);
  CHECK(gradcheck(planted<SquareNode, Slip::none>(), {x}));
  CHECK(gradcheck(planted<Slipping, Slip::none>(), {sizes}));
  expect("dy", planted<SquareNode, Slip::reads_dy_as_dense>(), x, "expanded dy");
  expect("x", planted<SquareNode, Slip::reads_x_as_dense>(), x, "strided inputs");
  expect("small", planted<Slipping, Slip::drops_what_is_small>(), sizes, "input 0 of shape (4,) at (1,)");
  expect("edge", planted<Slipping, Slip::is_off_beside_the_edge>(), sizes, "2 of 4 wrong");
  expect("kink", planted<Slipping, Slip::is_of_no_side>(), tensor({0, 1}, float64), "a kink, but");
}

TEST_CASE("a planted second derivative that hides is caught") {
  const Tensor x = random({4});
  CHECK(gradgradcheck(planted<Hiding, Hidden::nothing>(), {x}));
  const auto expect = [&](const char* name, const auto& hiding) {
    CHECK(gradcheck(hiding, {x}));  // which sees the first alone
    const GradcheckReport report = gradgradcheck(hiding, {x});
    INFO(name << '\n' << report);
    CHECK_FALSE(report);
    CHECK_FALSE(report.vacuous);
  };
  expect("all", planted<Hiding, Hidden::all>());
  expect("what is saved", planted<Hiding, Hidden::the_saved>());
  expect("half", planted<Hiding, Hidden::half>());
  expect("an intermediate", planted<Hiding, Hidden::an_intermediate>());
}

TEST_CASE("a planted second derivative of a linear function is caught") {
  struct Bent : Function<Bent> {
    static Tensor forward(Context& ctx, const Tensor& x) {
      ctx.save(x);
      return x * 2.0;
    }
    // Right at every x by its value, and of a slope that is not there.
    static Tensors backward(Context& ctx, const Tensor& dy) {
      const Tensor x = ctx.saved(0);
      return {dy * 2.0 + dy * (x - x.detach())};
    }
  };
  const auto bent = [](const Tensor& x) { return Bent::apply(x); };
  const Tensor x = random({3});
  CHECK(gradcheck(bent, {x}));
  CHECK_FALSE(gradgradcheck(bent, {x}));
  CHECK_FALSE(equal(hessian([&](const Tensor& t) { return sum(bent(t)); }, x), zeros({3, 3}, float64)));
  CHECK(gradgradcheck([](const Tensor& t) { return t * 2.0; }, {x}));
}

TEST_CASE("sum() as the loss of a normalisation sees no fault, random cotangents do") {
  const Tensor x = randn({2, 4, 5}, float64).set_requires_grad(), gamma = ones({4}, float64),
               beta = zeros({4}, float64);
  const Tensor right = grad({sum(GroupNorm<Fault::none>::apply(x, gamma, beta))}, {x})[0];
  const Tensor wrong = grad({sum(GroupNorm<Fault::zero_dx>::apply(x, gamma, beta))}, {x})[0];
  CHECK(allclose(right, wrong, 0, 1e-12));
  const auto loss = [&](const Tensor& t) { return sum(GroupNorm<Fault::zero_dx>::apply(t, gamma, beta)); };
  CHECK(gradcheck(loss, {x}).vacuous);
  CHECK_FALSE(gradcheck(loss, {x}));
  CHECK_FALSE(gradcheck([&](Tensor t) { return GroupNorm<Fault::zero_dx>::apply(t, gamma, beta); }, {x}));
  CHECK(gradcheck([&](Tensor t) { return GroupNorm<Fault::none>::apply(t, gamma, beta); }, {x}));
}

}  // namespace test_planted_faults
