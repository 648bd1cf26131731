// What losses make of targets that are ignored, weighted, smoothed, impossible or wrong.
#include <limpid/core/detail/message.hpp>
#include <limpid/limpid.hpp>

#include <limpid/tests/ops/plain.hpp>

namespace test_targets {

using namespace limpid;
using namespace plain;

const double inf = INFINITY;

Tensor whole(std::initializer_list<Scalar> values, const Shape& shape) { return reshape(tensor(values, int64), shape); }

std::vector<double> slope(const Tensor& loss, const Tensor& x) { return values(grad({sum(loss)}, {x})[0]); }

// -log of the sum over all ways to emit target in steps of log_p (T, C), by trying all of C^T.
double ctc_by_hand(const std::vector<std::vector<double>>& log_p, const std::vector<int>& target, int blank) {
  const auto classes = log_p[0].size();
  long double total = 0;
  std::size_t paths = 1;
  for (std::size_t t = 0; t < log_p.size(); ++t) paths *= classes;
  for (std::size_t path = 0; path < paths; ++path) {
    std::vector<int> read;
    long double p = 0;
    int last = -1;
    std::size_t rest = path;
    for (const std::vector<double>& row : log_p) {
      const int c = static_cast<int>(rest % classes);
      rest /= classes;
      p += static_cast<long double>(row[static_cast<std::size_t>(c)]);
      if (c != last && c != blank) read.push_back(c);
      last = c;
    }
    if (read == target) total += std::exp(p);
  }
  return static_cast<double>(-std::log(total));
}

TEST_CASE("a mean over no targets is 0 and so are its gradients") {
  const auto check = [](const Tensor& loss, const Tensor& x) {
    CHECK(loss.item<double>() == 0);
    for (const double v : slope(loss, x)) CHECK(v == 0);
  };
  Tensor x = tensor({1, -inf, 2, NAN, 3, 4}, float64).reshape({2, 3}).clone().set_requires_grad();
  const Tensor ignored = full({2}, -100, int64), weight = tensor({0, 1, 1}, float64);
  check(cross_entropy(x, ignored, {.ignore_index = -100}), x);
  check(cross_entropy(x, ignored, {.ignore_index = -100, .label_smoothing = 0.1}), x);
  check(cross_entropy(x, ignored, {.weight = weight, .ignore_index = -100}), x);
  check(cross_entropy(x, zeros({2}, int64), {.weight = weight}), x);
  check(cross_entropy(x, zeros({2}, int64), {.weight = weight, .label_smoothing = 0.1}), x);
  check(nll_loss(x, ignored, {.ignore_index = -100}), x);
  check(nll_loss(x, zeros({2}, int64), {.weight = weight}), x);

  Tensor none = zeros({0, 3}, float64).set_requires_grad();
  const auto t = zeros({0, 3}, float64);
  const Tensor losses[] = {mse_loss(none, t),
                           l1_loss(none, t),
                           huber_loss(none, t),
                           smooth_l1_loss(none, t),
                           kl_div(none, t),
                           kl_div(none, t, Reduction::batchmean),
                           poisson_nll_loss(none, t),
                           gaussian_nll_loss(none, t, t),
                           binary_cross_entropy(none, t),
                           bce_with_logits(none, t),
                           cross_entropy(none, t),
                           cross_entropy(none, zeros({0}, int64)),
                           nll_loss(none, zeros({0}, int64)),
                           nll_loss(none, zeros({0}, int64), {.weight = ones({3}, float64)}),
                           margin_ranking_loss(none, t, t),
                           hinge_embedding_loss(none, t),
                           cosine_embedding_loss(none, t, zeros({0})),
                           triplet_margin_loss(none, t, t)};
  for (const Tensor& loss : losses) {
    CHECK(loss.item<double>() == 0);
    CHECK(grad({loss}, {none})[0].shape() == none.shape());
  }
  CHECK(
      ctc_loss(zeros({4, 0, 3}, float64), zeros({0, 2}, int64), zeros({0}, int64), zeros({0}, int64)).item<double>() ==
      0);
}

TEST_CASE("ignored targets count in no part of cross_entropy") {
  // ln(1 + e), weights 2 and 3, a tenth smoothed; the second row is ignored whatever it holds.
  for (const int64_t ignore : {int64_t{-100}, int64_t{1}, int64_t{7}}) {
    Tensor x = from_values({1, 0, NAN, inf, 0, 1}, {3, 2}).set_requires_grad();
    const Tensor t = whole({0, ignore, 0}, {3});
    const double near = std::log1p(std::exp(-1.0)), far = std::log1p(std::exp(1.0));
    const double first = 0.9 * 2 * near + 0.05 * (2 * near + 3 * far),
                 third = 0.9 * 2 * far + 0.05 * (2 * far + 3 * near);
    const CrossEntropyOptions options{
        .weight = tensor({2, 3}, float64), .ignore_index = ignore, .label_smoothing = 0.1};
    const Tensor loss = cross_entropy(x, t, options);
    CHECK(loss.item<double>() == Approx((first + third) / 4).epsilon(1e-14));
    const auto dx = slope(loss, x);
    CHECK(dx[2] == 0);
    CHECK(dx[3] == 0);
    CHECK(std::isfinite(dx[0]));
    auto each = options;
    each.reduction = Reduction::none;
    const auto v = values(cross_entropy(x, t, each));
    CHECK(v[0] == Approx(first).epsilon(1e-14));
    CHECK(v[1] == 0);
    CHECK(v[2] == Approx(third).epsilon(1e-14));
  }
}

TEST_CASE("smoothing by 1 leaves the even distribution alone") {
  const Tensor x = from_values({1, 2, 3}, {1, 3}), l = log_softmax(x, 1);
  CHECK(cross_entropy(x, whole({2}, {1}), {.label_smoothing = 1}).item<double>() ==
        Approx(-mean(l).item<double>()).epsilon(1e-15));
}

TEST_CASE("a probability of 0 counts 0 at a logit of -inf") {
  Tensor x = from_values({0, -inf, 1}, {1, 3}).set_requires_grad();
  const Tensor p = from_values({0.25, 0, 0.75}, {1, 3});
  const Tensor loss = cross_entropy(x, p);
  CHECK(loss.item<double>() == Approx(std::log1p(std::exp(1.0)) - 0.75).epsilon(1e-15));
  const auto dx = slope(loss, x);
  const double p0 = 1 / (1 + std::exp(1.0));
  CHECK(dx[0] == Approx(p0 - 0.25).epsilon(1e-14));
  CHECK(dx[1] == 0);
  CHECK(dx[2] == Approx(1 - p0 - 0.75).epsilon(1e-13));
  CHECK(cross_entropy(x, from_values({0.25, 0.5, 0.25}, {1, 3})).item<double>() == inf);
  // Also of a weight of 0.
  CHECK(nll_loss(x, whole({1}, {1}), {.weight = tensor({1, 0, 1}, float64), .reduction = Reduction::sum})
            .item<double>() == 0);
}

TEST_CASE("the mean of cross_entropy divides by weights for classes and by rows for probabilities") {
  const Tensor x = noise({4, 3}, float64), w = tensor({0.5, 2, 1.5}, float64), t = whole({2, 0, 1, 2}, {4});
  const Tensor each = cross_entropy(x, t, {.weight = w, .reduction = Reduction::none});
  CHECK(cross_entropy(x, t, {.weight = w}).item<double>() == Approx(sum(each).item<double>() / 5.5).epsilon(1e-14));
  const Tensor p = one_hot(t, 3).to(float64);
  CHECK(cross_entropy(x, p, {.weight = w}).item<double>() == Approx(sum(each).item<double>() / 4).epsilon(1e-14));
}

TEST_CASE("classes as probabilities give what classes give, in images too") {
  const Tensor t = whole({2, 0, 1, 2, 1, 1}, {2, 3});
  for (const double smoothing : {0.0, 0.2}) {
    Tensor x = noise({2, 3, 3}, float64).set_requires_grad();
    const Tensor p = permute(one_hot(t, 3), {0, 2, 1}).to(float64);
    const Tensor a = cross_entropy(x, t, {.label_smoothing = smoothing}),
                 b = cross_entropy(x, p, {.label_smoothing = smoothing});
    CHECK(allclose(a.detach(), b.detach(), 1e-13, 1e-13));
    CHECK(allclose(grad({a}, {x})[0], grad({b}, {x})[0], 1e-12, 1e-13));
  }
}

TEST_CASE("a mean over weights that cancel is no mean over nothing") {
  const Tensor x = tensor({{2, 1}, {0, 3}}, float64), t = tensor({0, 1}, int64), w = tensor({-1, 1}, float64);
  const Tensor other = tensor({1, 1}, int64);
  for (const auto& loss : {cross_entropy(x, t, {.weight = w}), nll_loss(log_softmax(x, 1), t, {.weight = w})})
    CHECK(std::isinf(loss.item<double>()));  // as PyTorch has it: (0.0486 - 0.3133) / 0
  CHECK(std::isnan(cross_entropy(zeros({2, 2}), t, {.weight = w.to(float32)}).item<double>()));
  CHECK(cross_entropy(x, t, {.weight = w, .reduction = Reduction::sum}).item<double>() == Approx(-0.2646743));
  CHECK(cross_entropy(x, other, {.weight = -w}).item<double>() == Approx(0.6809244));
  // Ignored targets weigh nothing.
  CHECK(cross_entropy(x, other, {.weight = w, .ignore_index = 1}).item<double>() == 0);
}

TEST_CASE("weights of binary losses say which axis they lie along") {
  const Tensor image = zeros({2, 3, 2, 2}), rows = zeros({5, 2}), two = tensor({1, 3});
  const auto refused = [&](const Tensor& x, const Tensor& weight) {
    const Tensor t = ones(x.shape());
    const std::string expected = limpid::detail::message(
        " of one element, of x's rank with x's size or 1 along each axis, or (C,) for x of shape (N, C), got ",
        weight.shape(), " for x of shape ", x.shape());
    CHECK(thrown<ShapeError>([&] { bce_with_logits(x, t, {.pos_weight = weight}); }) ==
          "bce_with_logits: expected pos_weight" + expected);
    CHECK(thrown<ShapeError>([&] { bce_with_logits(x, t, {.weight = weight}); }) ==
          "bce_with_logits: expected weight" + expected);
    CHECK(thrown<ShapeError>([&] { binary_cross_entropy(x, t, {.weight = weight}); }) ==
          "binary_cross_entropy: expected weight" + expected);
  };
  refused(image, two);
  refused(image, ones({2, 2}));
  refused(rows, ones({5}));
  refused(rows, ones({1, 1, 2}));
  refused(rows, ones({3, 2}));
  CHECK(bce_with_logits(rows, ones({5, 2}), {.pos_weight = two}).item<double>() == Approx(2 * std::log(2.0)));
  CHECK(bce_with_logits(image, ones(image.shape()), {.pos_weight = reshape(tensor({1, 2, 3}), {1, 3, 1, 1})})
            .item<double>() == Approx(2 * std::log(2.0)));
  CHECK(bce_with_logits(image, ones(image.shape()), {.weight = full({}, 3)}).item<double>() ==
        Approx(3 * std::log(2.0)));
}

TEST_CASE("binary_cross_entropy keeps logarithms and gradients finite") {
  Tensor x = from_values({0, 0, 1, 1, 1e-9, 0.25}, {6}).set_requires_grad();
  const Tensor t = from_values({1, 0, 0, 1, 0, 0.25}, {6});
  const Tensor y = binary_cross_entropy(x, t, Reduction::none);
  const auto v = values(y), dx = slope(y, x);
  CHECK(v[0] == 100);
  CHECK(v[1] == 0);
  CHECK(v[2] == 100);
  CHECK(v[3] == 0);
  CHECK(v[4] == Approx(1e-9).epsilon(1e-8));  // 1 - x would have lost it in float32
  CHECK(dx[0] == -1e12);
  CHECK(dx[1] == 0);
  CHECK(dx[2] == 1e12);
  CHECK(dx[3] == 0);
  CHECK(dx[5] == 0);
  CHECK(binary_cross_entropy(full({1}, 1e-9), zeros({1})).item<float>() == 1e-9f);
}

TEST_CASE("kl_div of a target of 0 is 0 with no gradient, and means divide by what they say") {
  Tensor x = from_values({-inf, -1, -2, -3}, {2, 2}).set_requires_grad();
  Tensor t = from_values({0, 1, 0.5, 0.5}, {2, 2}).set_requires_grad();
  const Tensor each = kl_div(x, t, Reduction::none);
  const auto v = values(each), dx = slope(each, x), dt = slope(kl_div(x, t, Reduction::sum), t);
  CHECK(v == std::vector<double>{0, 1, 0.5 * std::log(0.5) + 1, 0.5 * std::log(0.5) + 1.5});
  CHECK(dx == std::vector<double>{0, -1, -0.5, -0.5});
  for (std::size_t i = 1; i < 4; ++i) CHECK(std::isfinite(dt[i]));
  const double total = sum(each).item<double>();
  CHECK(kl_div(x, t).item<double>() == Approx(total / 4));
  CHECK(kl_div(x, t, Reduction::batchmean).item<double>() == Approx(total / 2));
  Tensor logs = from_values({-inf, 0, std::log(0.5), std::log(0.5)}, {2, 2}).set_requires_grad();
  const Tensor same = kl_div(x, logs, {.log_target = true, .reduction = Reduction::none});
  CHECK(allclose(same.detach(), each.detach(), 1e-14, 1e-14));
  CHECK(slope(same, logs)[0] == 0);
  CHECK(slope(kl_div(x, logs, {.log_target = true}), x)[0] == 0);
}

TEST_CASE("gaussian_nll_loss takes eps as a floor through which the gradient goes") {
  const Tensor x = from_values({1, 2}, {1, 2}), t = zeros({1, 2}, float64);
  Tensor v = from_values({0, 0.5}, {1, 2}).set_requires_grad();
  const Tensor y = gaussian_nll_loss(x, t, v, {.eps = 0.25, .reduction = Reduction::none});
  CHECK(values(y)[0] == Approx(0.5 * (std::log(0.25) + 4)));
  CHECK(values(y)[1] == Approx(0.5 * (std::log(0.5) + 8)));  // not that of 0.75
  CHECK(slope(y, v)[0] == Approx(0.5 * (4 - 16)));
  CHECK(y.shape() == Shape{1, 2});
  // A variance for each row, with the last axis or without.
  const Tensor rows = noise({3, 4}, float64), zero = zeros({3, 4}, float64), wide = full({3, 4}, 0.5, float64);
  const auto each = [&](const Tensor& var) {
    return gaussian_nll_loss(rows, zero, var, {.reduction = Reduction::none});
  };
  CHECK(equal(each(wide), each(full({3}, 0.5, float64))));
  CHECK(equal(each(wide), each(full({3, 1}, 0.5, float64))));
  CHECK(thrown<ShapeError>([&] { each(full({4}, 0.5, float64)); }) ==
        "gaussian_nll_loss: expected var of x's shape (3, 4), or without its last axis, or with 1 there, got (4,)");
  CHECK(thrown<ValueError>([&] { each(full({3}, -0.5, float64)); }) ==
        "gaussian_nll_loss: expected variances of at least 0, got -0.5");
  CHECK(thrown<ValueError>([&] { gaussian_nll_loss(rows, zero, wide, {.eps = 0}); }) ==
        "gaussian_nll_loss: expected eps in (0, 3.4028234663852886e+38], got 0");
  CHECK(gaussian_nll_loss(zeros({}), zeros({}), ones({})).item<double>() == 0);
}

TEST_CASE("smooth_l1_loss of beta 0 is l1_loss, without 0 / 0") {
  Tensor x = from_values({1, 1, -2}, {3}).set_requires_grad();
  const Tensor t = from_values({1, 0, 0}, {3}), y = smooth_l1_loss(x, t, 0, Reduction::none);
  CHECK(values(y) == std::vector<double>{0, 1, 2});
  CHECK(slope(y, x) == std::vector<double>{0, 1, -1});
  const Tensor tiny = smooth_l1_loss(x, t, 1e-300, Reduction::none);
  CHECK(values(tiny) == std::vector<double>{0, 1, 2});
}

TEST_CASE("poisson_nll_loss of no events at rate 0 is 0") {
  Tensor x = from_values({-inf, 0}, {2}).set_requires_grad();
  const Tensor y = poisson_nll_loss(x, zeros({2}, int64), {.reduction = Reduction::none});
  CHECK(values(y) == std::vector<double>{0, 1});
  CHECK(slope(y, x) == std::vector<double>{0, 1});
}

TEST_CASE("equal vectors are eps apart in triplet_margin_loss, and cosines may pass 1") {
  const Tensor x = ones({1, 2}, float64);
  const Tensor y = triplet_margin_loss(x, x, x, {.margin = 0.5});
  CHECK(y.item<double>() == 0.5);
  Tensor a = from_values({3, 3, 3}, {1, 3}).set_requires_grad();
  const Tensor loss = cosine_embedding_loss(a, full({1, 3}, 0.1, float64), ones({1}));
  CHECK(std::abs(loss.item<double>()) < 1e-15);
  for (const double v : slope(loss, a)) CHECK(std::abs(v) < 1e-15);
  // eps holds for each norm: a tiny vector and a long one have the cosine 1.
  CHECK(cosine_embedding_loss(full({1, 2}, 1e-6, float64), full({1, 2}, 1e6, float64), ones({1})).item<double>() ==
        Approx(0).margin(1e-12));
}

TEST_CASE("ctc_loss is the sum over all paths") {
  const Tensor x = noise({4, 2, 3}, float64), log_p = log_softmax(x, 2);
  std::vector<std::vector<std::vector<double>>> rows(2);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t t = 0; t < 4; ++t)
      rows[static_cast<std::size_t>(n)].push_back(values(select(select(log_p, 0, t), 0, n)));
  for (const int blank : {0, 2})
    for (const auto& target : {std::vector<int>{1}, {1, 1}, {}, {2 - blank, 1}, {1, 2 - blank, 1}}) {
      CAPTURE(blank, target.size());
      const auto size = static_cast<int64_t>(target.size());
      Tensor row = empty({2, size}, int64);
      for (int64_t i = 0; i < 2 * size; ++i)
        row.data<int64_t>()[i] = target[static_cast<std::size_t>(i % std::max<int64_t>(size, 1))];
      const Tensor loss = ctc_loss(log_p, row, full({2}, 4, int64), full({2}, size, int64),
                                   {.blank = blank, .reduction = Reduction::none});
      for (std::size_t n = 0; n < 2; ++n)
        CHECK(values(loss)[n] == Approx(ctc_by_hand(rows[n], target, blank)).epsilon(1e-12));
    }
}

TEST_CASE("ctc_loss of a target that does not fit in is inf or 0, with no gradient") {
  // Two equal labels need a blank between them: three steps.
  Tensor x = zeros({2, 1, 3}, float64).set_requires_grad();
  const Tensor t = whole({1, 1}, {1, 2}), two = full({1}, 2, int64);
  const Tensor loss = ctc_loss(x, t, two, two);
  CHECK(loss.item<double>() == inf);
  for (const double v : slope(loss, x)) CHECK(v == 0);
  const Tensor finite = ctc_loss(x, t, two, two, {.zero_infinity = true});
  CHECK(finite.item<double>() == 0);
  for (const double v : slope(finite, x)) CHECK(v == 0);
  Tensor recorded = grad({ctc_loss(x, t, two, two)}, {x}, {}, {.create_graph = true})[0];
  for (const double v : values(recorded)) CHECK(v == 0);
  // No step at all: only an empty target fits.
  CHECK(ctc_loss(x, t, zeros({1}, int64), zeros({1}, int64)).item<double>() == 0);
  CHECK(ctc_loss(x, t, zeros({1}, int64), full({1}, 1, int64)).item<double>() == inf);
}

TEST_CASE("ctc_loss divides by target lengths of at least 1, and reads nothing past a length") {
  Tensor x = noise({5, 2, 3}, float64);
  x.index_put_({Slice(3, None), 0}, NAN);
  x.set_requires_grad();
  const Tensor t = whole({1, 2, 1, 0, -7, 99}, {2, 3}), steps = whole({3, 5}, {2}), sizes = whole({3, 0}, {2});
  const Tensor each = ctc_loss(x, t, steps, sizes, {.reduction = Reduction::none});
  const auto v = values(each);
  CHECK(ctc_loss(x, t, steps, sizes).item<double>() == Approx((v[0] / 3 + v[1]) / 2).epsilon(1e-14));
  const Tensor dx = grad({sum(each)}, {x}, {}, {.retain_graph = true})[0];
  CHECK(all(isfinite(dx)).item<bool>());
  for (const double d : values(dx.index({Slice(3, None), 0}))) CHECK(d == 0);
  // Only the gradient of log-probabilities themselves: each step emits one label.
  CHECK(allclose(sum(dx, 2), from_values({-1, -1, -1, -1, -1, -1, 0, -1, 0, -1}, {5, 2}), 1e-12, 1e-12));
  const Tensor again = grad({sum(each)}, {x}, {}, {.create_graph = true})[0];
  CHECK(allclose(again.detach().index({Slice(0, 3)}), dx.index({Slice(0, 3)}), 1e-11, 1e-12));
}

TEST_CASE("ctc_loss of one sequence, of a row of targets and of float32 agree") {
  const Tensor x = log_softmax(noise({6, 2, 4}, float64), 2);
  const Tensor steps = whole({6, 5}, {2}), sizes = whole({2, 3}, {2});
  const auto none = CTCOptions{.reduction = Reduction::none};
  const Tensor both = ctc_loss(x, whole({1, 2, 0, 3, 3, 1}, {2, 3}), steps, sizes, none);
  CHECK(equal(both, ctc_loss(x, whole({1, 2, 3, 3, 1}, {5}), steps, sizes, none)));
  const Tensor one = ctc_loss(select(x, 1, 0), whole({1, 2}, {2}), whole({6}, {}), whole({2}, {1}), none);
  CHECK(one.shape() == Shape{});
  CHECK(one.item<double>() == values(both)[0]);
  CHECK(allclose(ctc_loss(x.to(float32), whole({1, 2, 3, 3, 1}, {5}), steps, sizes, none).to(float64), both, 1e-6));
  plain::check_threads([&]() -> Tensors {
    Tensor leaf = x.detach().clone().set_requires_grad();
    const Tensor y = ctc_loss(leaf, whole({1, 2, 3, 3, 1}, {5}), steps, sizes);
    return {y.detach(), grad({y}, {leaf})[0]};
  });
}

TEST_CASE("ctc_loss checks sizes, labels and lengths") {
  const Tensor x = zeros({4, 2, 3}), t = ones({2, 2}, int64), steps = full({2}, 4, int64), sizes = full({2}, 2, int64);
  const auto message = [&](const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d, int64_t blank = 0) {
    return thrown<Error>([&] { ctc_loss(a, b, c, d, {.blank = blank}); });
  };
  CHECK(message(zeros({4}), t, steps, sizes) == "ctc_loss: expected log_probs of shape (T, N, C) or (T, C), got (4,)");
  CHECK(message(x.to(int64), t, steps, sizes) ==
        "ctc_loss: expected log_probs of a floating-point dtype, got int64; convert with to()");
  CHECK(message(x, t, steps, sizes, 3) == "ctc_loss: expected blank in [0, 3), got 3");
  CHECK(message(x, t, steps, sizes, -1) == "ctc_loss: expected blank in [0, 3), got -1");
  CHECK(message(x, ones({3, 2}, int64), steps, sizes) ==
        "ctc_loss: expected targets of shape (2, S) or (sum of target_lengths,), got (3, 2)");
  CHECK(message(x, ones({5}, int64), steps, sizes) ==
        "ctc_loss: expected targets of shape (4,), the sum of target_lengths, got (5,)");
  CHECK(message(x, ones({2, 2}), steps, sizes) == "ctc_loss: expected targets of int64, got float32");
  CHECK(message(x, t, full({3}, 4, int64), sizes) == "ctc_loss: expected input_lengths of shape (2,), got (3,)");
  CHECK(message(x, t, steps.to(int32), sizes) == "ctc_loss: expected input_lengths of int64, got int32");
  CHECK(message(x, t, full({2}, 5, int64), sizes) == "ctc_loss: expected input_lengths in [0, 4], got 5");
  CHECK(message(x, t, steps, full({2}, 3, int64)) == "ctc_loss: expected target_lengths in [0, 2], got 3");
  CHECK(message(x, t, steps, full({2}, -1, int64)) == "ctc_loss: expected target_lengths in [0, 2], got -1");
  CHECK(message(x, zeros({2, 2}, int64), steps, sizes) ==
        "ctc_loss: expected targets in [0, 3) other than blank = 0, got 0");
  CHECK(message(x, full({2, 2}, 3, int64), steps, sizes) ==
        "ctc_loss: expected targets in [0, 3) other than blank = 0, got 3");
  CHECK(message(select(x, 1, 0), t, steps, sizes) == "ctc_loss: expected targets of shape (S,), got (2, 2)");
  CHECK(message(x, t, steps, Tensor()) == "ctc_loss: expected a defined target_lengths, got an undefined tensor");
}

TEST_CASE("losses say what they were given wrong") {
  const Tensor x = zeros({2, 3}), t = zeros({2}, int64), signs = ones({2, 3});
  const auto message = [](auto f) { return thrown<Error>(f); };
  CHECK(message([&] { cross_entropy(x, t, {.weight = ones({2})}); }) ==
        "cross_entropy: expected weight of shape (3,) for x of shape (2, 3), got (2,)");
  CHECK(message([&] { nll_loss(x, t, {.weight = ones({3}, int64)}); }) ==
        "nll_loss: expected weight of a floating-point dtype, got int64; convert with to()");
  CHECK(message([&] { cross_entropy(x, t, {.label_smoothing = 1.5}); }) ==
        "cross_entropy: expected label_smoothing in [0, 1], got 1.5");
  CHECK(message([&] {
          cross_entropy(x, full({2, 3}, 0.3), {.ignore_index = 1});
        }) == "cross_entropy: expected no ignore_index beside probabilities, got 1");
  CHECK(message([&] { cross_entropy(x, full({2, 3}, 1.5)); }) == "cross_entropy: expected targets in [0, 1], got 1.5");
  CHECK(message([&] { cross_entropy(x, full({2}, -100, int64)); }) ==
        "cross_entropy: expected targets in [0, 3), got -100");
  CHECK(message([&] {
          cross_entropy(zeros({2, 0}), t, {.ignore_index = 0});
        }) == "cross_entropy: expected at least one class, got x of shape (2, 0)");
  CHECK(message([&] { mse_loss(x, x, Reduction::batchmean); }) ==
        "mse_loss: expected Reduction::mean, sum or none, got Reduction(3)");
  CHECK(message([&] { kl_div(x, x, static_cast<Reduction>(4)); }) ==
        "kl_div: expected Reduction::mean, sum, none or batchmean, got Reduction(4)");
  CHECK(message([&] { kl_div(zeros({}), zeros({}), Reduction::batchmean); }) ==
        "kl_div: expected x with a batch axis, got shape ()");
  CHECK(message([&] { smooth_l1_loss(x, x, -1); }) ==
        "smooth_l1_loss: expected beta in [0, 3.4028234663852886e+38], got -1");
  CHECK(message([&] { poisson_nll_loss(x, x, {.eps = -1}); }) ==
        "poisson_nll_loss: expected eps in [0, 3.4028234663852886e+38], got -1");
  CHECK(message([&] {
          binary_cross_entropy(full({2, 3}, 1.5), x);
        }) == "binary_cross_entropy: expected x in [0, 1], got 1.5");
  CHECK(message([&] {
          binary_cross_entropy(x, full({2, 3}, NAN));
        }) == "binary_cross_entropy: expected targets in [0, 1], got nan");
  CHECK(message([&] { margin_ranking_loss(x, zeros({3}), signs); }) ==
        "margin_ranking_loss: expected x2 of x1's shape (2, 3), got (3,)");
  CHECK(message([&] { margin_ranking_loss(x, x, x); }) == "margin_ranking_loss: expected targets of 1 or -1, got 0");
  CHECK(message([&] { margin_ranking_loss(x, x, signs, {.margin = NAN}); }) ==
        "margin_ranking_loss: expected margin in [-3.4028234663852886e+38, 3.4028234663852886e+38], got nan");
  CHECK(message([&] {
          hinge_embedding_loss(x, full({2, 3}, 2));
        }) == "hinge_embedding_loss: expected targets of 1 or -1, got 2");
  CHECK(message([&] {
          cosine_embedding_loss(zeros({2, 3, 4}), zeros({2, 3, 4}), x);
        }) == "cosine_embedding_loss: expected x1 of shape (N, D) or (D,), got (2, 3, 4)");
  CHECK(message([&] { cosine_embedding_loss(x, x, ones({3})); }) ==
        "cosine_embedding_loss: expected target of shape (2,) for x1 of shape (2, 3), got (3,)");
  CHECK(message([&] { cosine_embedding_loss(x, x, ones({2}), {.margin = 2}); }) ==
        "cosine_embedding_loss: expected margin in [-1, 1], got 2");
  CHECK(message([&] {
          triplet_margin_loss(x, x, zeros({2, 4}));
        }) == "triplet_margin_loss: expected negative of anchor's shape (2, 3), got (2, 4)");
  CHECK(message([&] { triplet_margin_loss(x, x, x, {.p = 0}); }) ==
        "triplet_margin_loss: expected p in (0, inf], got 0");
}

TEST_CASE("losses of half precision are those of float32, rounded") {
  for (const DType half : {float16, bfloat16}) {
    CAPTURE(half);
    Tensor x = noise({64, 40}, float32).to(half);
    const Tensor wide = x.to(float32), t = randint(0, 40, {64}), p = rand({64, 40}).to(half);
    x.set_requires_grad();
    const auto check = [&](const Tensor& narrow, const Tensor& expected) {
      CHECK(narrow.dtype() == half);
      CHECK(equal(narrow.detach(), expected.to(half)));
      CHECK(grad({sum(narrow)}, {x})[0].dtype() == half);
    };
    check(cross_entropy(x, t, {.label_smoothing = 0.1}), cross_entropy(wide, t, {.label_smoothing = 0.1}));
    check(cross_entropy(x, p), cross_entropy(wide, p.to(float32)));
    check(nll_loss(x, t, Reduction::sum), nll_loss(wide, t, Reduction::sum));
    check(mse_loss(x, p), mse_loss(wide, p.to(float32)));
    check(bce_with_logits(x, p, Reduction::none), bce_with_logits(wide, p.to(float32), Reduction::none));
    check(kl_div(x, p, Reduction::batchmean), kl_div(wide, p.to(float32), Reduction::batchmean));
    check(cosine_embedding_loss(x, p, ones({64})), cosine_embedding_loss(wide, p.to(float32), ones({64})));
    const Tensor s = reshape(x, {8, 8, 40}), u = reshape(wide, {8, 8, 40});
    check(ctc_loss(s, ones({8, 1}, int64), full({8}, 8, int64), ones({8}, int64)),
          ctc_loss(u, ones({8, 1}, int64), full({8}, 8, int64), ones({8}, int64)));
  }
  CHECK(mse_loss(zeros({2}, float16), zeros({2}, float64)).dtype() == float64);
}

TEST_CASE("options that float32 has no number for count as the nearest") {
  Tensor x = ones({1}).set_requires_grad();
  const Tensor y = smooth_l1_loss(x, zeros({1}), 1e-50);
  CHECK(equal(y.detach(), ones({})));
  CHECK(equal(grad({y}, {x})[0], ones({1})));
  CHECK(thrown<ValueError>([] { gaussian_nll_loss(ones({1}), ones({1}), zeros({1}), {.eps = 1e-50}); }) ==
        "gaussian_nll_loss: expected eps above 0 in float32, got 1e-50");
}

}  // namespace test_targets
