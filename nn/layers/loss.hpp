// limpid's losses, under the name where users of PyTorch look for them, and as modules: what they are told once, they
// apply to every call. What a weight is given for is a buffer, which to() converts and state_dict() names.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/loss.hpp>

namespace LIMPID_API limpid {
namespace nn {

using limpid::bce_with_logits;
using limpid::BCEOptions;
using limpid::BCEWithLogitsOptions;
using limpid::binary_cross_entropy;
using limpid::cosine_embedding_loss;
using limpid::cross_entropy;
using limpid::CrossEntropyOptions;
using limpid::ctc_loss;
using limpid::CTCOptions;
using limpid::gaussian_nll_loss;
using limpid::GaussianNLLOptions;
using limpid::hinge_embedding_loss;
using limpid::HingeOptions;
using limpid::huber_loss;
using limpid::kl_div;
using limpid::KLDivOptions;
using limpid::l1_loss;
using limpid::margin_ranking_loss;
using limpid::MarginOptions;
using limpid::mse_loss;
using limpid::nll_loss;
using limpid::NLLOptions;
using limpid::poisson_nll_loss;
using limpid::PoissonNLLOptions;
using limpid::Reduction;
using limpid::smooth_l1_loss;
using limpid::triplet_margin_loss;
using limpid::TripletOptions;

struct MSELoss : Module {
  explicit MSELoss(Reduction reduction = Reduction::mean);
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  Reduction reduction_;
};

struct L1Loss : Module {
  explicit L1Loss(Reduction reduction = Reduction::mean);
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  Reduction reduction_;
};

struct HuberOptions {
  double delta = 1;
  Reduction reduction = Reduction::mean;
};
struct HuberLoss : Module {
  explicit HuberLoss(const HuberOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  HuberOptions options_;
};

struct SmoothL1Options {
  double beta = 1;
  Reduction reduction = Reduction::mean;
};
struct SmoothL1Loss : Module {
  explicit SmoothL1Loss(const SmoothL1Options& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  SmoothL1Options options_;
};

struct PoissonNLLLoss : Module {
  explicit PoissonNLLLoss(const PoissonNLLOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  PoissonNLLOptions options_;
};

struct GaussianNLLLoss : Module {
  explicit GaussianNLLLoss(const GaussianNLLOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target, const Tensor& var) const;

 private:
  GaussianNLLOptions options_;
};

struct KLDivLoss : Module {
  explicit KLDivLoss(const KLDivOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  KLDivOptions options_;
};

struct BCELoss : Module {
  explicit BCELoss(const BCEOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Buffer weight;

 private:
  BCEOptions options_;
};

struct BCEWithLogitsLoss : Module {
  explicit BCEWithLogitsLoss(const BCEWithLogitsOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Buffer weight, pos_weight;

 private:
  BCEWithLogitsOptions options_;
};

struct NLLLoss : Module {
  explicit NLLLoss(const NLLOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Buffer weight;

 private:
  NLLOptions options_;
};

struct CrossEntropyLoss : Module {
  explicit CrossEntropyLoss(const CrossEntropyOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;
  Buffer weight;

 private:
  CrossEntropyOptions options_;
};

struct CTCLoss : Module {
  explicit CTCLoss(const CTCOptions& options = {});
  Tensor operator()(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                    const Tensor& target_lengths) const;

 private:
  CTCOptions options_;
};

struct MarginRankingLoss : Module {
  explicit MarginRankingLoss(const MarginOptions& options = {});
  Tensor operator()(const Tensor& x1, const Tensor& x2, const Tensor& target) const;

 private:
  MarginOptions options_;
};

struct CosineEmbeddingLoss : Module {
  explicit CosineEmbeddingLoss(const MarginOptions& options = {});
  Tensor operator()(const Tensor& x1, const Tensor& x2, const Tensor& target) const;

 private:
  MarginOptions options_;
};

struct HingeEmbeddingLoss : Module {
  explicit HingeEmbeddingLoss(const HingeOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& target) const;

 private:
  HingeOptions options_;
};

struct TripletMarginLoss : Module {
  explicit TripletMarginLoss(const TripletOptions& options = {});
  Tensor operator()(const Tensor& anchor, const Tensor& positive, const Tensor& negative) const;

 private:
  TripletOptions options_;
};

}  // namespace nn
}  // namespace limpid
