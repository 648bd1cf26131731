#include <limpid/nn/layers/loss.hpp>

#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/call.hpp>
#include <limpid/nn/detail/ranges.hpp>

#include <optional>
#include <string>

namespace limpid::nn {

namespace {

// What was given otherwise than by default, as "a = 1, b". Checks it, as the function would at the first call.
class Arguments {
 public:
  explicit Arguments(const char* type) : type_(type) {}
  Arguments& number(const char* name, double value, double standard, const detail::Range& range) {
    detail::expect(type_, {{name, value, range}});
    if (value != standard) item() += limpid::detail::message(name, " = ", value);
    return *this;
  }
  Arguments& number(const char* name, std::optional<int64_t> value) {
    if (value) item() += limpid::detail::message(name, " = ", *value);
    return *this;
  }
  Arguments& flag(const char* name, bool on) {
    if (on) item() += name;
    return *this;
  }
  std::string with(Reduction reduction, Reduction last = Reduction::none) {
    const char* const names[] = {"mean", "sum", "none", "batchmean"};
    limpid::detail::require_member(type_, "Reduction", reduction, last,
                                   last == Reduction::none ? "mean, sum or none" : "mean, sum, none or batchmean");
    if (reduction != Reduction::mean)
      item() += limpid::detail::message("reduction = ", names[static_cast<std::size_t>(reduction)]);
    return list_;
  }

 private:
  std::string& item() { return list_.empty() ? list_ : list_ += ", "; }
  const char* type_;
  std::string list_;
};

// A buffer of its own, which no other handle changes.
Tensor own(const Tensor& x) { return x.defined() ? x.detach().clone() : x; }

}  // namespace

MSELoss::MSELoss(Reduction reduction)
    : Module("MSELoss", Arguments("MSELoss").with(reduction)),
      reduction_(reduction) {}
Tensor MSELoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in),
                             [&](const Tensor& x, const Tensor& target) { return mse_loss(x, target, reduction_); });
}

L1Loss::L1Loss(Reduction reduction) : Module("L1Loss", Arguments("L1Loss").with(reduction)), reduction_(reduction) {}
Tensor L1Loss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in),
                             [&](const Tensor& x, const Tensor& target) { return l1_loss(x, target, reduction_); });
}

HuberLoss::HuberLoss(const HuberOptions& o)
    : Module("HuberLoss", Arguments("HuberLoss").number("delta", o.delta, 1, detail::above_0).with(o.reduction)),
      options_(o) {}
Tensor HuberLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return huber_loss(x, target, options_.delta, options_.reduction);
  });
}

SmoothL1Loss::SmoothL1Loss(const SmoothL1Options& o)
    : Module("SmoothL1Loss", Arguments("SmoothL1Loss").number("beta", o.beta, 1, detail::at_least_0).with(o.reduction)),
      options_(o) {}
Tensor SmoothL1Loss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return smooth_l1_loss(x, target, options_.beta, options_.reduction);
  });
}

PoissonNLLLoss::PoissonNLLLoss(const PoissonNLLOptions& o)
    : Module("PoissonNLLLoss", Arguments("PoissonNLLLoss")
                                   .flag("log_input = false", !o.log_input)
                                   .flag("full", o.full)
                                   .number("eps", o.eps, 1e-8, detail::at_least_0)
                                   .with(o.reduction)),
      options_(o) {}
Tensor PoissonNLLLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return poisson_nll_loss(x, target, options_);
  });
}

GaussianNLLLoss::GaussianNLLLoss(const GaussianNLLOptions& o)
    : Module("GaussianNLLLoss", Arguments("GaussianNLLLoss")
                                    .flag("full", o.full)
                                    .number("eps", o.eps, 1e-6, detail::above_0)
                                    .with(o.reduction)),
      options_(o) {}
Tensor GaussianNLLLoss::operator()(const Tensor& x_in, const Tensor& target_in, const Tensor& var_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in, var_in),
                             [&](const Tensor& x, const Tensor& target, const Tensor& var) {
                               return gaussian_nll_loss(x, target, var, options_);
                             });
}

KLDivLoss::KLDivLoss(const KLDivOptions& o)
    : Module("KLDivLoss",
             Arguments("KLDivLoss").flag("log_target", o.log_target).with(o.reduction, Reduction::batchmean)),
      options_(o) {}
Tensor KLDivLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in),
                             [&](const Tensor& x, const Tensor& target) { return kl_div(x, target, options_); });
}

BCELoss::BCELoss(const BCEOptions& o)
    : Module("BCELoss", Arguments("BCELoss").flag("weight", o.weight.defined()).with(o.reduction)),
      weight(buffer("weight", own(o.weight))),
      options_{.weight = {}, .reduction = o.reduction} {}
Tensor BCELoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return binary_cross_entropy(x, target, {.weight = weight, .reduction = options_.reduction});
  });
}

BCEWithLogitsLoss::BCEWithLogitsLoss(const BCEWithLogitsOptions& o)
    : Module("BCEWithLogitsLoss", Arguments("BCEWithLogitsLoss")
                                      .flag("weight", o.weight.defined())
                                      .flag("pos_weight", o.pos_weight.defined())
                                      .with(o.reduction)),
      weight(buffer("weight", own(o.weight))),
      pos_weight(buffer("pos_weight", own(o.pos_weight))),
      options_{.weight = {}, .pos_weight = {}, .reduction = o.reduction} {}
Tensor BCEWithLogitsLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return bce_with_logits(x, target, {.weight = weight, .pos_weight = pos_weight, .reduction = options_.reduction});
  });
}

NLLLoss::NLLLoss(const NLLOptions& o)
    : Module("NLLLoss", Arguments("NLLLoss")
                            .flag("weight", o.weight.defined())
                            .number("ignore_index", o.ignore_index)
                            .with(o.reduction)),
      weight(buffer("weight", own(o.weight))),
      options_{.weight = {}, .ignore_index = o.ignore_index, .reduction = o.reduction} {}
Tensor NLLLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return nll_loss(x, target,
                    {.weight = weight, .ignore_index = options_.ignore_index, .reduction = options_.reduction});
  });
}

CrossEntropyLoss::CrossEntropyLoss(const CrossEntropyOptions& o)
    : Module("CrossEntropyLoss", Arguments("CrossEntropyLoss")
                                     .flag("weight", o.weight.defined())
                                     .number("ignore_index", o.ignore_index)
                                     .number("label_smoothing", o.label_smoothing, 0, detail::fraction)
                                     .with(o.reduction)),
      weight(buffer("weight", own(o.weight))),
      options_{.weight = {},
               .ignore_index = o.ignore_index,
               .label_smoothing = o.label_smoothing,
               .reduction = o.reduction} {}
Tensor CrossEntropyLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    CrossEntropyOptions options = options_;
    options.weight = weight;
    return cross_entropy(x, target, options);
  });
}

CTCLoss::CTCLoss(const CTCOptions& o)
    : Module("CTCLoss", Arguments("CTCLoss")
                            .number("blank", static_cast<double>(o.blank), 0, detail::finite_at_least_0)
                            .flag("zero_infinity", o.zero_infinity)
                            .with(o.reduction)),
      options_(o) {}
Tensor CTCLoss::operator()(const Tensor& log_probs_in, const Tensor& targets_in, const Tensor& input_lengths_in,
                           const Tensor& target_lengths_in) const {
  return detail::call_within(
      *this, std::tie(log_probs_in, targets_in, input_lengths_in, target_lengths_in),
      [&](const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths, const Tensor& target_lengths) {
        return ctc_loss(log_probs, targets, input_lengths, target_lengths, options_);
      });
}

MarginRankingLoss::MarginRankingLoss(const MarginOptions& o)
    : Module("MarginRankingLoss",
             Arguments("MarginRankingLoss").number("margin", o.margin, 0, detail::within_float).with(o.reduction)),
      options_(o) {}
Tensor MarginRankingLoss::operator()(const Tensor& x1_in, const Tensor& x2_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x1_in, x2_in, target_in),
                             [&](const Tensor& x1, const Tensor& x2, const Tensor& target) {
                               return margin_ranking_loss(x1, x2, target, options_);
                             });
}

CosineEmbeddingLoss::CosineEmbeddingLoss(const MarginOptions& o)
    : Module("CosineEmbeddingLoss",
             Arguments("CosineEmbeddingLoss").number("margin", o.margin, 0, {-1, 1}).with(o.reduction)),
      options_(o) {}
Tensor CosineEmbeddingLoss::operator()(const Tensor& x1_in, const Tensor& x2_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x1_in, x2_in, target_in),
                             [&](const Tensor& x1, const Tensor& x2, const Tensor& target) {
                               return cosine_embedding_loss(x1, x2, target, options_);
                             });
}

HingeEmbeddingLoss::HingeEmbeddingLoss(const HingeOptions& o)
    : Module("HingeEmbeddingLoss",
             Arguments("HingeEmbeddingLoss").number("margin", o.margin, 1, detail::within_float).with(o.reduction)),
      options_(o) {}
Tensor HingeEmbeddingLoss::operator()(const Tensor& x_in, const Tensor& target_in) const {
  return detail::call_within(*this, std::tie(x_in, target_in), [&](const Tensor& x, const Tensor& target) {
    return hinge_embedding_loss(x, target, options_);
  });
}

TripletMarginLoss::TripletMarginLoss(const TripletOptions& o)
    : Module("TripletMarginLoss", Arguments("TripletMarginLoss")
                                      .number("margin", o.margin, 1, detail::within_float)
                                      .number("p", o.p, 2, {0, limpid::detail::infinity, true})
                                      .number("eps", o.eps, 1e-6, detail::at_least_0)
                                      .flag("swap", o.swap)
                                      .with(o.reduction)),
      options_(o) {}
Tensor TripletMarginLoss::operator()(const Tensor& anchor_in, const Tensor& positive_in,
                                     const Tensor& negative_in) const {
  return detail::call_within(*this, std::tie(anchor_in, positive_in, negative_in),
                             [&](const Tensor& anchor, const Tensor& positive, const Tensor& negative) {
                               return triplet_margin_loss(anchor, positive, negative, options_);
                             });
}

}  // namespace limpid::nn
