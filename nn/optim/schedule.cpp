#include <limpid/nn/optim/detail/rules.hpp>
#include <limpid/nn/optim/schedule.hpp>

#include <algorithm>
#include <memory>
#include <numbers>

namespace limpid::optim {

using detail::is_finite_at_least_0;
using detail::require;
using limpid::detail::throw_error;

struct Schedule::State final : RefCounted<State> {
  void dispose() noexcept { delete this; }

  State(const Optimizer& its_optimizer, std::unique_ptr<const AnyRate> its_rate)
      : optimizer(its_optimizer),
        rate(std::move(its_rate)),
        base(optimizer.lr()) {}

  Optimizer optimizer;
  std::unique_ptr<const AnyRate> rate;
  double base;
  int64_t steps = 0;
};

Schedule::Schedule(const Optimizer& optimizer, AnyRate* rate) {
  std::unique_ptr<const AnyRate> owner(rate);
  state_ = Ref<State>(new State(optimizer, std::move(owner)));
  state_->optimizer.set_lr((*this)(0));
}
Schedule::Schedule(const Schedule& other) noexcept = default;
Schedule& Schedule::operator=(const Schedule& other) noexcept = default;
Schedule::~Schedule() = default;

// A rate may give its own schedule another state: what asks it holds on to the one that it belongs to.

void Schedule::step() {
  const Ref<State> held = state_;
  held->optimizer.set_lr(held->rate->at(held->steps + 1, held->base));
  ++held->steps;
}

int64_t Schedule::steps() const noexcept { return state_->steps; }
double Schedule::operator()(int64_t step) const {
  const Ref<State> held = state_;
  return held->rate->at(step, held->base);
}
Optimizer Schedule::optimizer() const noexcept { return state_->optimizer; }

TensorMap Schedule::state_dict() const {
  return {{"step", from_vector(std::vector<int64_t>{state_->steps}, {})}, {"base", full({}, state_->base, float64)}};
}

void Schedule::load_state_dict(const TensorMap& state) {
  const auto step = state.find("step"), base = state.find("base");
  const auto is_scalar = [&](TensorMap::const_iterator entry, DType dtype) {
    return entry != state.end() && entry->second.defined() && entry->second.dtype() == dtype &&
           entry->second.dim() == 0;
  };
  if (state.size() != 2 || !is_scalar(step, int64) || !is_scalar(base, float64)) {
    std::string names;
    for (const auto& entry : state) names += (names.empty() ? "" : ", ") + entry.first;
    throw_error<ValueError>("Schedule: expected step, an int64 scalar, and base, a float64 scalar, got ",
                            names.empty() ? "nothing" : names);
  }
  const auto steps = step->second.item<int64_t>();
  const auto rate_at_first = base->second.item<double>();
  if (steps < 0) throw_error<ValueError>("Schedule: expected a step of at least 0, got ", steps);
  require(is_finite_at_least_0(rate_at_first), "Schedule", "a finite base of at least 0", rate_at_first);
  const Ref<State> held = state_;
  held->optimizer.set_lr(held->rate->at(steps, rate_at_first));
  held->base = rate_at_first;
  held->steps = steps;
}

// Schedules.

namespace {

auto in_steps(const StepLROptions& options) {
  if (options.step_size < 1)
    throw_error<ValueError>("StepLR: expected a step_size of at least 1, got ", options.step_size);
  require(is_finite_at_least_0(options.gamma), "StepLR", "a finite gamma of at least 0", options.gamma);
  return [options](int64_t step, double base) {
    return base * std::pow(options.gamma, static_cast<double>(step / options.step_size));
  };
}

auto along_cosine(const CosineLROptions& options) {
  if (options.total_steps < 1)
    throw_error<ValueError>("CosineLR: expected total_steps of at least 1, got ", options.total_steps);
  require(is_finite_at_least_0(options.min_lr), "CosineLR", "a finite min_lr of at least 0", options.min_lr);
  return [options](int64_t step, double base) {
    if (step >= options.total_steps) return options.min_lr;
    const double done = static_cast<double>(std::max<int64_t>(step, 0)) / static_cast<double>(options.total_steps);
    return options.min_lr + (base - options.min_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
  };
}

}  // namespace

StepLR::StepLR(const Optimizer& optimizer, const StepLROptions& options) : Schedule(optimizer, in_steps(options)) {}
CosineLR::CosineLR(const Optimizer& optimizer, const CosineLROptions& options)
    : Schedule(optimizer, along_cosine(options)) {}

}  // namespace limpid::optim
