// Optimisers, with PyTorch's rules and defaults, and schedules for the learning rate.
#pragma once
#include <limpid/core/tensor.hpp>
#include <limpid/core/tensor_map.hpp>

#include <initializer_list>
#include <vector>

namespace limpid::optim {

/// Base of the optimisers. step() moves each parameter that has a gradient, in place and unrecorded, and advances its
/// version; parameters without one are passed over. After the first step nothing is allocated.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual void step() = 0;
  /// Clears the gradients, or sets those that there are to zero.
  void zero_grad(bool to_none = true);

  double lr() const noexcept { return lr_; }
  void set_lr(double lr);
  const Tensors& parameters() const noexcept { return parameters_; }

  /// "lr", and for the i-th parameter that has moved "i.step" and what PyTorch keeps for it, such as "i.exp_avg";
  /// tensors share the optimiser's memory.
  TensorMap state_dict() const;
  /// Copies; what is not in state begins anew. Throws ValueError, before anything is changed, with one message that
  /// lists every name that does not belong, is missing beside others, or has another shape.
  void load_state_dict(const TensorMap& state);

 protected:
  /// slots: what is kept for each parameter. Throws ValueError (no parameter, or one twice; lr), AutogradError (a
  /// parameter that is not a leaf), DTypeError (one that is neither float32 nor float64).
  Optimizer(const char* name, const Tensors& parameters, double lr, std::initializer_list<const char*> slots);

  /// For each parameter with a gradient: counts its step and calls rule(step, begun, x, dx, slots, n) with pointers
  /// of one floating-point type to n elements each. begun is false where the slots are new, and zero.
  template <class Rule>
  void update(const Rule& rule);

 private:
  struct Progress {
    int64_t step = 0;
    std::vector<Tensor> slots;
  };
  const char* name_;
  Tensors parameters_;
  double lr_;
  std::vector<const char*> slot_names_;
  std::vector<Progress> progress_;
};

struct SGDOptions {
  double lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;  ///< needs momentum, and no dampening
};

/// Stochastic gradient descent (Robbins and Monro, 1951) with momentum (Polyak, 1964; Nesterov's as of Sutskever,
/// Martens, Dahl, Hinton, 2013): d = dx + weight_decay x; b = momentum b + (1 - dampening) d, at first b = d;
/// x -= lr b, or lr (d + momentum b) for Nesterov's.
class SGD final : public Optimizer {
 public:
  explicit SGD(const Tensors& parameters, const SGDOptions& options = {});
  void step() override;

 private:
  SGDOptions options_;
};

struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false;
};

/// Adam (Kingma and Ba, 2015): d = dx + weight_decay x; m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2;
/// x -= lr / (1 - beta1^step) m / (sqrt(v) / sqrt(1 - beta2^step) + eps). With amsgrad, v there is the largest yet
/// (Reddi, Kale, Kumar, 2018).
class Adam : public Optimizer {
 public:
  explicit Adam(const Tensors& parameters, const AdamOptions& options = {});
  void step() override;

 protected:
  Adam(const char* name, const Tensors& parameters, const AdamOptions& options, bool decoupled);

 private:
  AdamOptions options_;
  bool decoupled_;
};

struct AdamWOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false;
};

/// Adam with the decay apart from the gradient (Loshchilov and Hutter, 2019): x *= 1 - lr weight_decay first.
class AdamW final : public Adam {
 public:
  explicit AdamW(const Tensors& parameters, const AdamWOptions& options = {});
};

// Schedules: functions of the number of steps (or epochs) done. optimizer.set_lr(schedule(step)).

/// lr, times gamma after every size steps.
struct StepLR {
  double lr;
  int64_t size;
  double gamma = 0.1;
  double operator()(int64_t step) const;
};

/// Half a cosine from lr at step 0 down to lowest at step total and after, without restarts (Loshchilov and Hutter,
/// 2017).
struct CosineLR {
  double lr;
  int64_t total;
  double lowest = 0;
  double operator()(int64_t step) const;
};

/// Scales all gradients by one factor, so that their common p-norm (the largest magnitude for p = infinity) is at most
/// max_norm. Returns the norm before.
double clip_grad_norm_(const Tensors& parameters, double max_norm, double p = 2);

}  // namespace limpid::optim
