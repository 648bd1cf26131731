// What all optimisers share, and what one of your own is made from.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/core/tensor_map.hpp>

#include <concepts>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {
namespace optim {

/// One parameter's turn in Optimizer::step(): what a rule is given, to move x. x, dx and each array of state hold n
/// elements in one order, in memory of their own. T is float or double, as the parameter is; float for one in half
/// precision, whose float32 copy the rule then moves.
template <class T>
struct Step {
  int64_t number;   ///< of this step among the parameter's own: 1, 2, ...
  double lr;        ///< the learning rate
  T* x;             ///< the parameter, or its float32 copy
  const T* dx;      ///< its gradient
  T* const* state;  ///< what the optimiser keeps for it, an array for each name; zeros in step 1
  int64_t n;
};

/// Anything that may be called with a Step<float> and a Step<double>, such as [](const auto& step) { ... }.
template <class R>
concept Rule = requires(R& rule, const Step<float>& single, const Step<double>& twice) {
  rule(single);
  rule(twice);
};

struct OptimizerOptions {
  std::string name;                     ///< for messages
  double lr;                            ///< at first
  std::vector<std::string> state = {};  ///< what is kept for each parameter, by the names of state_dict()
  /// Those of state that no step makes negative: load_state_dict() refuses numbers below 0 in them.
  std::vector<std::string> never_negative = {};
};

/// A rule that moves parameters along their gradients, and what it keeps for that: a handle, whose copies share all of
/// it. Every optimiser of limpid is one, made by a constructor of its own; so is one of yours:
///
///     struct Lion : optim::Optimizer {
///       explicit Lion(const Tensors& parameters, double lr = 1e-4, double beta = 0.9)
///           : Optimizer(parameters, {.name = "Lion", .lr = lr, .state = {"exp_avg"}}, [=](const auto& step) {
///               ...  // moves step.x[i] for i below step.n, by step.dx[i] and step.state[0][i]
///             }) {}
///     };
///
/// A parameter in half precision is moved in float32: the optimiser keeps a copy of it ("master") and its state in
/// float32, converts the gradient, and rounds the copy into the parameter. What the parameter holds counts: where an
/// element is not the rounded one of the copy, because somebody else has written it, the copy takes it at the next
/// step. Elements written anew with the very value that they had keep the digits of the copy.
class Optimizer {
 public:
  /// Throws ValueError (no parameter, or one twice; lr; state of one name twice, or called "step" or "master"),
  /// AutogradError (a parameter that is not a leaf), DTypeError (one that is not floating point).
  template <class R>
  Optimizer(const Tensors& parameters, OptimizerOptions options, R rule)
      : Optimizer(parameters, std::move(options), static_cast<AnyRule*>(new HeldRule<R>(std::move(rule)))) {}
  // Copied rather than moved from: no optimiser is ever without state.
  Optimizer(const Optimizer& other) noexcept;
  Optimizer& operator=(const Optimizer& other) noexcept;
  ~Optimizer();

  /// Moves each parameter that has a gradient, in place and unrecorded, and advances its version; parameters without
  /// one are passed over. After the first step nothing is allocated, where gradients lie as their parameters do and in
  /// memory of their own. All memory is had before anything is moved: a step that throws MemoryError has done nothing.
  /// Where a rule throws, the parameters before its own have moved, and its own step is not counted: what it has
  /// written stays, but for the state of step 1, which begins anew at zeros. A module converted since the last step is
  /// followed: its parameters are moved from the values that they have now, its state is kept. A rule that calls step()
  /// or load_state_dict() of its own optimiser gets an AutogradError.
  void step();
  /// Clears the gradients, or sets those that there are to zero.
  void zero_grad(bool to_none = true);

  double lr() const noexcept;
  /// Throws ValueError where lr is negative, NaN or more than float32 holds (3.4e38).
  void set_lr(double lr);
  const Tensors& parameters() const noexcept;
  const std::string& name() const noexcept;

  /// "lr", and for the i-th parameter that has moved "i.step", what is kept for it, such as "i.exp_avg", and where it
  /// is in half precision "i.master", its float32 copy; tensors share the optimiser's memory.
  TensorMap state_dict() const;
  /// Copies; what is not in state begins anew. Throws ValueError, before anything is changed, with one message that
  /// lists every name that does not belong, is missing beside others, has another shape or values that it cannot have.
  /// Floating-point numbers of another dtype are converted, and so are integers, as Module::load_state_dict() does;
  /// "lr" and "i.step" may be of any dtype of numbers that holds them as they are (PyTorch counts steps in float32).
  /// "i.master" may be missing, and is passed over where the parameter is not in half precision.
  void load_state_dict(const TensorMap& state);

 private:
  // Type erasure, with all that need not know the type out of line.
  struct AnyRule {
    virtual ~AnyRule() = default;
    virtual void move(const Step<float>& step) = 0;
    virtual void move(const Step<double>& step) = 0;
  };
  template <class R>
  struct HeldRule final : AnyRule {
    static_assert(Rule<R>,
                  "Optimizer: expected a rule to call with a Step<float> or a Step<double>, such as "
                  "[](const auto& step) { ... }");
    explicit HeldRule(R&& r) : rule(std::move(r)) {}
    void move(const Step<float>& step) override { rule(step); }
    void move(const Step<double>& step) override { rule(step); }
    R rule;
  };
  Optimizer(const Tensors& parameters, OptimizerOptions options, AnyRule* rule);

  // step() with gradients of half precision times factor, on their way to float32.
  void step_with(double factor);
  friend class GradScaler;

  struct State;
  Ref<State> state_;
};

namespace detail {
inline constexpr int64_t range = 16384;  ///< the fewest elements worth a thread
void in_ranges(int64_t n, void (*body)(void*, int64_t, int64_t), void* context) noexcept;
}  // namespace detail

/// Calls body(begin, end) for ranges that cover [0, n), on several threads where n is large: for rules that treat each
/// element by itself. body must not throw.
template <std::invocable<int64_t, int64_t> F>
void in_ranges(int64_t n, F body) noexcept {
  if (n <= detail::range) return body(int64_t{0}, n);
  detail::in_ranges(
      n, [](void* context, int64_t begin, int64_t end) { (*static_cast<F*>(context))(begin, end); }, &body);
}

}  // namespace optim
}  // namespace limpid
