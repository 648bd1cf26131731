// Schedules of the learning rate.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/optim/optimizer.hpp>

#include <concepts>
#include <cstdint>
#include <utility>

namespace LIMPID_API limpid {
namespace optim {

/// Sets the learning rate of an optimiser, step by step: a handle, whose copies share it, and which keeps the optimiser
/// alive. A rate is a function of the number of steps done, never of the rate before, so that a run which is resumed
/// has the rates of one that went through. Any such function makes a schedule:
///
///     optim::Schedule schedule(optimizer, [](int64_t step, double base) { return base / (1 + 0.01 * step); });
///     for (...) { ... optimizer.step(); schedule.step(); }
class Schedule {
 public:
  /// rate(step), or rate(step, base) where base is the optimiser's rate of now. Sets the rate of step 0.
  template <class F>
  Schedule(const Optimizer& optimizer, F rate)
      : Schedule(optimizer, static_cast<AnyRate*>(new HeldRate<F>(std::move(rate)))) {}
  // Copied rather than moved from: no schedule is ever without state.
  Schedule(const Schedule& other) noexcept;
  Schedule& operator=(const Schedule& other) noexcept;
  ~Schedule();

  /// Counts a step and sets the rate of the next: to be called after optimizer.step(), or once an epoch.
  void step();
  int64_t steps() const noexcept;  ///< done
  /// The rate of any step, from 0 on.
  double operator()(int64_t step) const;
  Optimizer optimizer() const noexcept;

  /// "step" and "base".
  TensorMap state_dict() const;
  /// Sets the optimiser's rate as well. The two numbers may be of any dtype that holds them as they are. Throws
  /// ValueError, before anything is changed, where state is not a schedule's.
  void load_state_dict(const TensorMap& state);

 private:
  struct AnyRate {
    virtual ~AnyRate() = default;
    virtual double at(int64_t step, double base) const = 0;
  };
  template <class F>
  struct HeldRate final : AnyRate {
    static constexpr bool takes_base = std::is_invocable_r_v<double, const F&, int64_t, double>;
    static_assert(takes_base || std::is_invocable_r_v<double, const F&, int64_t>,
                  "Schedule: expected a rate to call as rate(step) or rate(step, base), such as "
                  "[](int64_t step, double base) { return base / (1 + 0.01 * step); }");
    explicit HeldRate(F&& f) : rate(std::move(f)) {}
    double at(int64_t step, [[maybe_unused]] double base) const override {
      if constexpr (takes_base)
        return rate(step, base);
      else
        return rate(step);
    }
    F rate;
  };
  Schedule(const Optimizer& optimizer, AnyRate* rate);

  struct State;
  Ref<State> state_;
};

struct StepLROptions {
  int64_t step_size;  ///< at least 1
  double gamma = 0.1;
};
/// The optimiser's rate, times gamma after every step_size steps. Throws ValueError for options out of range.
struct StepLR : Schedule {
  StepLR(const Optimizer& optimizer, const StepLROptions& options);
};

struct CosineLROptions {
  int64_t total_steps;  ///< at least 1
  double min_lr = 0;
};
/// Half a cosine from the optimiser's rate at step 0 down to min_lr at step total_steps and after, without restarts
/// (Loshchilov and Hutter, 2017). Throws ValueError for options out of range.
struct CosineLR : Schedule {
  CosineLR(const Optimizer& optimizer, const CosineLROptions& options);
};

}  // namespace optim
}  // namespace limpid
