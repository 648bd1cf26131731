// Losses as modules: they are the functions, told once.
#include <limpid/limpid.hpp>

#include <cmath>

#include <limpid/tests/nn/printed.hpp>
#include <limpid/tests/nn/vectors.hpp>
#include <limpid/tests/ops/plain.hpp>

namespace test_losses {

using namespace limpid;

TEST_CASE("losses as modules give what the functions give") {
  const Tensor x = randn({4, 3}), y = randn({4, 3}), z = randn({4, 3}), p = rand({4, 3}), t = randint(0, 3, {4});
  const Tensor w = tensor({1, 2, 3}), signs = 2 * randint(0, 2, {4, 3}) - 1, sign = 2 * randint(0, 2, {4}) - 1;
  const auto none = Reduction::none;
  CHECK(equal(nn::MSELoss()(x, y), mse_loss(x, y)));
  CHECK(equal(nn::L1Loss(none)(x, y), l1_loss(x, y, none)));
  CHECK(equal(nn::HuberLoss({.delta = 0.5})(x, y), huber_loss(x, y, 0.5)));
  CHECK(equal(nn::SmoothL1Loss({.beta = 0.5, .reduction = none})(x, y), smooth_l1_loss(x, y, 0.5, none)));
  CHECK(equal(nn::PoissonNLLLoss({.full = true})(x, p), poisson_nll_loss(x, p, {.full = true})));
  CHECK(equal(nn::GaussianNLLLoss({.eps = 0.1})(x, y, p), gaussian_nll_loss(x, y, p, {.eps = 0.1})));
  CHECK(equal(nn::KLDivLoss({.reduction = Reduction::batchmean})(x, p), kl_div(x, p, Reduction::batchmean)));
  CHECK(equal(nn::BCELoss({.weight = w})(p, p), binary_cross_entropy(p, p, {.weight = w})));
  CHECK(equal(nn::BCEWithLogitsLoss({.weight = w, .pos_weight = p})(x, p),
              bce_with_logits(x, p, {.weight = w, .pos_weight = p})));
  CHECK(equal(nn::NLLLoss({.weight = w, .ignore_index = 1})(x, t), nll_loss(x, t, {.weight = w, .ignore_index = 1})));
  CHECK(equal(nn::CrossEntropyLoss({.weight = w, .ignore_index = 1, .label_smoothing = 0.1})(x, t),
              cross_entropy(x, t, {.weight = w, .ignore_index = 1, .label_smoothing = 0.1})));
  CHECK(equal(nn::MarginRankingLoss({.margin = 0.3})(x, y, signs), margin_ranking_loss(x, y, signs, {.margin = 0.3})));
  CHECK(equal(nn::HingeEmbeddingLoss({.margin = 0.3})(x, signs), hinge_embedding_loss(x, signs, {.margin = 0.3})));
  CHECK(equal(nn::CosineEmbeddingLoss({.reduction = none})(x, y, sign),
              cosine_embedding_loss(x, y, sign, {.reduction = none})));
  CHECK(equal(nn::TripletMarginLoss({.p = 1, .swap = true})(x, y, z),
              triplet_margin_loss(x, y, z, {.p = 1, .swap = true})));
  const Tensor l = log_softmax(randn({5, 2, 4}), 2), labels = randint(1, 4, {2, 2}), five = full({2}, 5, int64),
               two = full({2}, 2, int64);
  CHECK(equal(nn::CTCLoss({.reduction = none})(l, labels, five, two),
              ctc_loss(l, labels, five, two, {.reduction = none})));
}

TEST_CASE("weights of losses are buffers of their own") {
  Tensor w = tensor({1, 2, 3});
  nn::CrossEntropyLoss loss({.weight = w});
  CHECK(names(loss.state_dict()) == std::set<std::string>{"weight"});
  CHECK(loss.parameters().empty());
  w.fill_(0);
  CHECK(loss.weight.sum().item<double>() == 6);
  loss.to(float64);
  CHECK(loss(randn({2, 3}, float64), zeros({2}, int64)).dtype() == float64);
  CHECK(names(nn::BCEWithLogitsLoss({.weight = w, .pos_weight = w}).state_dict()) ==
        std::set<std::string>{"weight", "pos_weight"});
  CHECK(nn::BCELoss().state_dict().empty());
  nn::NLLLoss copy = nn::clone(nn::NLLLoss({.weight = tensor({1, 2, 3})}));
  CHECK(copy.weight.defined());
}

TEST_CASE("losses print what they were told") {
  CHECK(printed(nn::MSELoss()) == "MSELoss()");
  CHECK(printed(nn::L1Loss(Reduction::sum)) == "L1Loss(reduction = sum)");
  CHECK(printed(nn::HuberLoss({.delta = 0.5})) == "HuberLoss(delta = 0.5)");
  CHECK(printed(nn::PoissonNLLLoss({.log_input = false, .full = true})) == "PoissonNLLLoss(log_input = false, full)");
  CHECK(printed(nn::KLDivLoss({.log_target = true, .reduction = Reduction::batchmean})) ==
        "KLDivLoss(log_target, reduction = batchmean)");
  CHECK(printed(nn::CrossEntropyLoss({.weight = ones({2}), .ignore_index = -1, .label_smoothing = 0.1})) ==
        "CrossEntropyLoss(weight, ignore_index = -1, label_smoothing = 0.1)");
  CHECK(printed(nn::CTCLoss({.blank = 2, .zero_infinity = true})) == "CTCLoss(blank = 2, zero_infinity)");
  CHECK(printed(nn::TripletMarginLoss({.p = 1, .swap = true})) == "TripletMarginLoss(p = 1, swap)");
}

TEST_CASE("losses as modules refuse what the functions refuse") {
  CHECK(plain::thrown<ValueError>([] { nn::CrossEntropyLoss({.label_smoothing = 2}); }) ==
        "CrossEntropyLoss: expected label_smoothing in [0, 1], got 2");
  const auto message = [](auto f) { return plain::thrown<ValueError>(f); };
  const std::string most = "3.4028234663852886e+38";
  CHECK(message([] { nn::HuberLoss({.delta = 0}); }) == "HuberLoss: expected delta in (0, " + most + "], got 0");
  CHECK(message([] { nn::SmoothL1Loss({.beta = -1}); }) == "SmoothL1Loss: expected beta in [0, " + most + "], got -1");
  CHECK(message([] { nn::PoissonNLLLoss({.eps = -1}); }) ==
        "PoissonNLLLoss: expected eps in [0, " + most + "], got -1");
  CHECK(message([] { nn::GaussianNLLLoss({.eps = 0}); }) ==
        "GaussianNLLLoss: expected eps in (0, " + most + "], got 0");
  CHECK(message([] { nn::MarginRankingLoss({.margin = NAN}); }) ==
        "MarginRankingLoss: expected margin in [-" + most + ", " + most + "], got nan");
  CHECK(message([] { nn::CosineEmbeddingLoss({.margin = 2}); }) ==
        "CosineEmbeddingLoss: expected margin in [-1, 1], got 2");
  CHECK(message([] { nn::HingeEmbeddingLoss({.margin = 1e300}); }) ==
        "HingeEmbeddingLoss: expected margin in [-" + most + ", " + most + "], got 1e+300");
  CHECK(message([] { nn::TripletMarginLoss({.margin = INFINITY}); }) ==
        "TripletMarginLoss: expected margin in [-" + most + ", " + most + "], got inf");
  CHECK(message([] { nn::TripletMarginLoss({.p = 0}); }) == "TripletMarginLoss: expected p in (0, inf], got 0");
  CHECK(message([] { nn::TripletMarginLoss({.eps = -1}); }) ==
        "TripletMarginLoss: expected eps in [0, " + most + "], got -1");
  CHECK(message([] { nn::CTCLoss({.blank = -1}); }) == "CTCLoss: expected blank in [0, inf), got -1");
  CHECK(message([] { nn::MSELoss(Reduction::batchmean); }) ==
        "MSELoss: expected Reduction::mean, sum or none, got Reduction(3)");
  CHECK(message([] { nn::KLDivLoss({.reduction = static_cast<Reduction>(4)}); }) ==
        "KLDivLoss: expected Reduction::mean, sum, none or batchmean, got Reduction(4)");
  CHECK(plain::thrown<ShapeError>([] { nn::MSELoss()(zeros({2}), zeros({3})); }) ==
        "mse_loss: expected target of x's shape (2,), got (3,)");
}

}  // namespace test_losses
