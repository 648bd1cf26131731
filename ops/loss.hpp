// Losses. By default their mean: over all elements, samples or rows, as each says; over none it is 0, and no gradient
// flows. Half precision is computed in float32, and the result rounded to it. Operands of different floating-point
// dtypes promote.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <optional>

namespace LIMPID_API limpid {

/// How losses become one number: their mean, their sum, or not at all. batchmean is kl_div's alone: the sum over the
/// size of the first axis.
enum class Reduction { mean, sum, none, batchmean };

// Of pairs x and target, which have one shape.

Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);
/// Quadratic within delta, linear beyond: 0.5 d^2 or delta (|d| - 0.5 delta) (Huber, 1964). Throws ValueError
/// on a delta that is not a number of float32 above 0.
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1, Reduction reduction = Reduction::mean);
/// huber_loss over its delta beta: 0.5 d^2 / beta or |d| - 0.5 beta (Girshick, 2015); l1_loss where beta is 0. Throws
/// ValueError on a beta that is not a number of float32 of at least 0.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1, Reduction reduction = Reduction::mean);

struct PoissonNLLOptions {
  bool log_input = true;  ///< x is the logarithm of the rate: exp(x) - target x; else x - target log(x + eps)
  bool full = false;      ///< adds Stirling's approximation of log(target!), where target is above 1
  double eps = 1e-8;
  Reduction reduction = Reduction::mean;
};
/// The negative log-likelihood of counts (of any dtype) under Poisson distributions, but for a constant. Throws
/// ValueError on an eps that is not a number of float32 of at least 0.
Tensor poisson_nll_loss(const Tensor& x, const Tensor& target, const PoissonNLLOptions& options = {});

struct GaussianNLLOptions {
  bool full = false;  ///< adds the constant, 0.5 log(2 pi)
  double eps = 1e-6;  ///< what a variance counts as at least
  Reduction reduction = Reduction::mean;
};
/// 0.5 (log(v) + (x - target)^2 / v) for v = max(var, eps): the negative log-likelihood of targets under normal
/// distributions of mean x (Nix and Weigend, 1994). var has x's shape, or lacks the last axis, or has 1 there. As in
/// PyTorch, the gradient of var is that of v where v is eps as well. Throws ValueError on a variance below 0 and an
/// eps that is not above 0.
Tensor gaussian_nll_loss(const Tensor& x, const Tensor& target, const Tensor& var,
                         const GaussianNLLOptions& options = {});

struct KLDivOptions {
  bool log_target = false;  ///< target is given as log-probabilities
  Reduction reduction = Reduction::mean;
};
/// target (log(target) - x) of log-probabilities x (Kullback and Leibler, 1951), 0 where target is 0. The mean is that
/// over all elements; batchmean is the divergence.
Tensor kl_div(const Tensor& x, const Tensor& target, Reduction reduction);
Tensor kl_div(const Tensor& x, const Tensor& target, const KLDivOptions& options = {});

// Of binary targets in [0, 1]; throws ValueError on others. Weights have one element, or x's rank and its size or 1
// along each axis, or are (C,) for x (N, C): one for each class of an image has to be given as (C, 1, 1). The mean
// divides by how many elements there are, not by what they weigh.

struct BCEOptions {
  Tensor weight = {};  ///< factors of the losses
  Reduction reduction = Reduction::mean;
};
/// -target log(x) - (1 - target) log(1 - x) of probabilities x. As in PyTorch, logarithms count as at least -100, and
/// the gradient (x - target) / (x (1 - x)) has a denominator of at least 1e-12. Throws ValueError on an x outside
/// [0, 1].
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction);
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const BCEOptions& options = {});

struct BCEWithLogitsOptions {
  Tensor weight = {};      ///< factors of the losses
  Tensor pos_weight = {};  ///< factors of target alone: above 1 for more recall
  Reduction reduction = Reduction::mean;
};
/// Binary cross entropy of sigmoid(x), without overflow.
Tensor bce_with_logits(const Tensor& x, const Tensor& target, Reduction reduction);
Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BCEWithLogitsOptions& options = {});

// Of classes: x (N, C) or (N, C, *rest), and int64 targets (N) or (N, *rest), which are classes. A mean over targets of
// which none weighs anything is 0, and its gradient; over weights that cancel, it is infinite or NaN.

struct NLLOptions {
  Tensor weight = {};                        ///< (C,): what a target of each class counts
  std::optional<int64_t> ignore_index = {};  ///< targets of this number count for nothing, be it a class or not
  Reduction reduction = Reduction::mean;     ///< the mean divides by what the targets weigh together
};
/// -x[n, target[n]] of log-probabilities x.
Tensor nll_loss(const Tensor& x, const Tensor& target, Reduction reduction);
Tensor nll_loss(const Tensor& x, const Tensor& target, const NLLOptions& options = {});

struct CrossEntropyOptions {
  Tensor weight = {};                        ///< (C,): a factor for each class
  std::optional<int64_t> ignore_index = {};  ///< targets of this number count for nothing, be it a class or not
  double label_smoothing = 0;                ///< the share of a target that all classes have evenly (Szegedy, 2016)
  Reduction reduction = Reduction::mean;     ///< the mean divides by what the targets weigh together; of
                                             ///< probabilities, by how many rows there are
};
/// -sum_c weight[c] target[n, c] log_softmax(x, 1)[n, c] of classes, or of probabilities of x's shape. Where a
/// probability is 0, so is its summand, at a logit of -inf as well.
Tensor cross_entropy(const Tensor& x, const Tensor& target, Reduction reduction);
Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyOptions& options = {});

struct CTCOptions {
  int64_t blank = 0;
  Reduction reduction = Reduction::mean;  ///< the mean of each loss over its target's length, or over 1
  bool zero_infinity = false;             ///< losses of targets that do not fit in are 0
};
/// Connectionist temporal classification (Graves et al., 2006): the negative log-likelihood of targets that stand
/// somewhere in sequences, of log-probabilities (T, N, C). targets: (N, S), of which each row's first target_lengths[n]
/// count, or all in a row, (sum of the lengths). Lengths are (N,); targets and lengths int64. Or without a batch: (T,
/// C), (S,) and lengths of one element. Computed in float64. A target that does not fit in has loss inf; in either case
/// its gradient is 0. Gradients are those of log_probs as they are: after log_softmax the same as PyTorch's. Throws
/// ValueError on a length that is too large and a target that is no class or blank.
Tensor ctc_loss(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                const Tensor& target_lengths, const CTCOptions& options = {});

// Of samples that are to be alike or not: target is 1 or -1, of any dtype; throws ValueError on other numbers.

struct MarginOptions {
  double margin = 0;
  Reduction reduction = Reduction::mean;
};
/// max(0, margin - target (x1 - x2)): x1 is to be the greater where target is 1. All of one shape.
Tensor margin_ranking_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, const MarginOptions& options = {});
/// 1 - cos where target is 1, else max(0, cos - margin), of the cosine_similarity of rows x1 and x2, (N, D) or (D), and
/// targets (N) or (). Throws ValueError on a margin beyond [-1, 1].
Tensor cosine_embedding_loss(const Tensor& x1, const Tensor& x2, const Tensor& target,
                             const MarginOptions& options = {});
struct HingeOptions {
  double margin = 1;
  Reduction reduction = Reduction::mean;
};
/// x where target is 1, else max(0, margin - x), of distances x.
Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, const HingeOptions& options = {});

struct TripletOptions {
  double margin = 1;
  double p = 2;       ///< of the norm
  double eps = 1e-6;  ///< see pairwise_distance
  bool swap = false;  ///< takes the distance of positive and negative where that is the smaller
  Reduction reduction = Reduction::mean;
};
/// max(0, d(anchor, positive) - d(anchor, negative) + margin) of the distances of rows, (N, D) or (D) (Schroff et al.,
/// 2015; swap: Balntas et al., 2016).
Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           const TripletOptions& options = {});

}  // namespace limpid
