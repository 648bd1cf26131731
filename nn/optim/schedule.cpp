#include <limpid/nn/optim/schedule.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/loading.hpp>
#include <limpid/nn/detail/ranges.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

namespace limpid::optim {

using limpid::detail::throw_error;
using nn::detail::at_least_0;
using nn::detail::expect;

namespace {
constexpr nn::detail::Range all_steps{0, limpid::detail::infinity, false, true};
}

struct Schedule::State final : RefCounted<State> {
  void dispose() noexcept { delete this; }

  State(const Optimizer& its_optimizer, std::unique_ptr<const AnyRate> its_rate)
      : optimizer(its_optimizer),
        rate(std::move(its_rate)),
        base(optimizer.lr()) {}

  // Of any rate: steps from 0 on alone, and what an optimiser takes.
  double at(int64_t step, double base_rate) const {
    expect("Schedule", {{"step", step, all_steps}});
    const double lr = rate->at(step, base_rate);
    expect("Schedule", {{"a rate", lr, at_least_0}});
    return lr;
  }

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
  if (held->steps == INT64_MAX) throw_error<ValueError>("Schedule: expected fewer than 2^63 steps, got one more");
  held->optimizer.set_lr(held->at(held->steps + 1, held->base));
  ++held->steps;
}

int64_t Schedule::steps() const noexcept { return state_->steps; }
double Schedule::operator()(int64_t step) const {
  const Ref<State> held = state_;
  return held->at(step, held->base);
}
Optimizer Schedule::optimizer() const noexcept { return state_->optimizer; }

TensorMap Schedule::state_dict() const {
  return {{"step", from_vector(std::vector<int64_t>{state_->steps}, {})}, {"base", full({}, state_->base, float64)}};
}

void Schedule::load_state_dict(const TensorMap& state) {
  const auto find = [&](const char* name, DType dtype) {
    const auto entry = state.find(name);
    return entry == state.end() ? Tensor() : nn::detail::saved_number(entry->second, dtype);
  };
  const Tensor step = find("step", int64), base = find("base", float64);
  if (state.size() != 2 || !step.defined() || !base.defined()) {
    std::string names;
    for (const auto& [name, x] : state)
      names +=
          (names.empty() ? "" : ", ") + name + (x.defined() && x.dim() == 0 ? " = " + nn::detail::text_of_only(x) : "");
    throw_error<ValueError>(
        "Schedule: expected step, a scalar of any dtype but bool that int64 holds, and base, one that float64 holds, "
        "got ",
        names.empty() ? "nothing" : names);
  }
  const auto steps = step.item<int64_t>();
  const auto rate_at_first = base.item<double>();
  expect("Schedule", {{"step", steps, all_steps}, {"base", rate_at_first, at_least_0}});
  const Ref<State> held = state_;
  held->optimizer.set_lr(held->at(steps, rate_at_first));
  held->base = rate_at_first;
  held->steps = steps;
}

// Schedules.

namespace {

auto in_steps(const StepLROptions& options) {
  const auto& [step_size, gamma] = options;
  expect("StepLR", {{"step_size", step_size, nn::detail::count}, {"gamma", gamma, at_least_0}});
  return [options](int64_t step, double base) {
    return base * std::pow(options.gamma, static_cast<double>(step / options.step_size));
  };
}

auto along_cosine(const CosineLROptions& options) {
  const auto& [total_steps, min_lr] = options;
  expect("CosineLR", {{"total_steps", total_steps, nn::detail::count}, {"min_lr", min_lr, at_least_0}});
  return [options](int64_t step, double base) {
    if (step >= options.total_steps) return options.min_lr;
    const double done = static_cast<double>(step) / static_cast<double>(options.total_steps);
    return options.min_lr + (base - options.min_lr) * (1 + std::cos(std::numbers::pi * done)) / 2;
  };
}

}  // namespace

StepLR::StepLR(const Optimizer& optimizer, const StepLROptions& options) : Schedule(optimizer, in_steps(options)) {}
CosineLR::CosineLR(const Optimizer& optimizer, const CosineLROptions& options)
    : Schedule(optimizer, along_cosine(options)) {}

}  // namespace limpid::optim
