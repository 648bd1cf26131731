#include <limpid/nn/optim/grad_scaler.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/nn/detail/loading.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/nn/optim/detail/gradients.hpp>
#include <limpid/nn/optim/detail/parameters.hpp>
#include <limpid/ops/elementwise.hpp>

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <limits>

namespace limpid::optim {

using limpid::detail::throw_error;
using nn::detail::expect;
using nn::detail::Range;

namespace {

// Of which the inverse is a number of float32 as well.
constexpr Range scales{FLT_MIN, FLT_MAX};

void check(double scale, const GradScalerOptions& options) {
  const auto& [init_scale, growth_factor, backoff_factor, growth_interval, enabled] = options;
  expect("GradScaler", {{"init_scale", scale, scales},
                        {"growth_factor", growth_factor, {1, FLT_MAX, true}},
                        {"backoff_factor", backoff_factor, {0, 1, true, true}},
                        {"growth_interval", growth_interval, nn::detail::count}});
}

[[noreturn]] void refuse(const char* expected, const char* got, const std::string& more = {}) {
  throw_error<ValueError>("GradScaler: expected ", expected, ", got ", got, more);
}

// x[i] times factor, to y, which may be x: whether all are finite.
template <class T>
bool multiplied(const T* x, T* y, int64_t n, T factor) noexcept {
  unsigned others = 0;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * factor;
    others |= static_cast<unsigned>(!(std::abs(y[i]) <= std::numeric_limits<T>::max()));
  }
  return others == 0;
}

// f(begin, end) of ranges of [0, n): whether it was true for all.
template <class F>
bool all_of_ranges(int64_t n, const F& f) {
  std::atomic<bool> all = true;
  in_ranges(n, [&](int64_t begin, int64_t end) {
    if (!f(begin, end)) all.store(false, std::memory_order_relaxed);
  });
  return all;
}

bool unscale(const Tensor& numbers, double factor) {
  return limpid::detail::visit_float(numbers.dtype(), [&]<class T>(T) {
    T* x = numbers.data<T>();
    return all_of_ranges(numbers.numel(), [&](int64_t begin, int64_t end) {
      return multiplied(x + begin, x + begin, end - begin, static_cast<T>(factor));
    });
  });
}

// Whether the numbers of a gradient of half precision are finite after that; they stay as they are.
bool would_be_finite(const Tensor& dx, double factor) {
  const Tensor flat = detail::is_dense(dx) ? dx : limpid::detail::as_contiguous(dx);
  const auto* x = static_cast<const uint16_t*>(flat.raw_data());
  const kernels::HalfKernels& half = kernels::half_kernels(flat.dtype());
  return all_of_ranges(flat.numel(), [&](int64_t begin, int64_t end) {
    constexpr int64_t piece = 1024;
    float wide[piece];
    bool finite = true;
    for (int64_t i = begin; i < end; i += piece) {
      const int64_t size = std::min(piece, end - i);
      half.widen(x + i, wide, size);
      finite = multiplied(wide, wide, size, static_cast<float>(factor)) && finite;
    }
    return finite;
  });
}

}  // namespace

struct GradScaler::State final : RefCounted<State> {
  void dispose() noexcept { delete this; }

  explicit State(const GradScalerOptions& its_options) : options(its_options), scale(its_options.init_scale) {}

  // An optimiser since the last update.
  struct Seen {
    Optimizer optimizer;
    bool finite;
    double factor;         // by which its gradients of half precision are still to be multiplied
    bool stepped = false;  // to the end, without an exception
    bool tried = false;    // a step was begun
    bool left = false;  // it threw, and a loss was scaled since: its gradients may be others, that nobody has divided
  };
  Seen* find(const Optimizer& optimizer) noexcept {
    const auto seen_it = [&](const Seen& s) { return s.optimizer.state_.get() == optimizer.state_.get(); };
    const auto found = std::find_if(seen.begin(), seen.end(), seen_it);
    return found == seen.end() ? nullptr : &*found;
  }
  Seen& look_at(const char* what, const Optimizer& optimizer, bool in_place);
  void begin_anew(double next) noexcept {
    scale = next;
    seen.clear();
    scaled = false;
  }

  GradScalerOptions options;
  double scale;
  int64_t since_change = 0;  // steps without an overflow
  bool scaled = false;       // scale() was called since the last update
  std::vector<Seen> seen;
};

// Unscales the gradients of an optimiser that is not seen yet; those of half precision only if in_place.
GradScaler::State::Seen& GradScaler::State::look_at(const char* what, const Optimizer& optimizer, bool in_place) {
  if (!scaled) refuse("scale() before others in an iteration", "none before ", what);
  const Tensors xs = detail::with_gradients("GradScaler", optimizer.parameters());
  if (xs.empty()) refuse("gradients to divide", "none in ", optimizer.name());
  // All memory is had before anything is changed.
  seen.reserve(seen.size() + 1);
  const double factor = 1 / scale;
  bool finite = true;
  std::vector<detail::Gradient> gradients;
  gradients.reserve(xs.size());
  for (const Tensor& x : xs)
    if (in_place || !is_half(x.dtype()))
      gradients.emplace_back(x);
    else
      finite = would_be_finite(x.grad(), factor) && finite;
  for (const detail::Gradient& gradient : gradients) {
    finite = unscale(gradient.numbers(), factor) && finite;
    gradient.take();
  }
  return seen.emplace_back(Seen{optimizer, finite, in_place ? 1 : factor});
}

GradScaler::GradScaler(const GradScalerOptions& options) : state_(new State(options)) {
  check(options.init_scale, options);
}
GradScaler::GradScaler(const GradScaler& other) noexcept = default;
GradScaler& GradScaler::operator=(const GradScaler& other) noexcept = default;
GradScaler::~GradScaler() = default;

Tensor GradScaler::scale(const Tensor& loss) const {
  if (!state_->options.enabled) return loss;
  if (!loss.defined()) refuse("a loss", "an undefined tensor");
  if (!is_floating_point(loss.dtype()))
    throw_error<DTypeError>("GradScaler: expected a floating-point loss, got ", loss.dtype());
  Tensor scaled = mul(is_half(loss.dtype()) ? loss.to(float32) : loss, state_->scale);
  state_->scaled = true;
  for (State::Seen& seen : state_->seen) seen.left = seen.left || (seen.tried && !seen.stepped);
  return scaled;
}

void GradScaler::unscale_(const Optimizer& optimizer) {
  State& state = *state_;
  if (!state.options.enabled) return;
  if (const State::Seen* seen = state.find(optimizer))
    refuse("unscale_() once between updates and before step()",
           seen->tried ? "it after step() of " : "it after unscale_() of ", optimizer.name());
  state.look_at("unscale_()", optimizer, true);
}

bool GradScaler::step(Optimizer optimizer) {
  const Ref<State> held = state_;  // a rule may assign another scaler to this one
  State& state = *held;
  if (!state.options.enabled) {
    optimizer.step();
    return true;
  }
  State::Seen* seen = state.find(optimizer);
  if (seen && seen->stepped) refuse("step() once between updates", "it again of ", optimizer.name());
  if (seen && seen->left)
    refuse("update() between a step() that threw and the next scale()", "none after that of ", optimizer.name());
  if (!seen) seen = &state.look_at("step()", optimizer, false);
  seen->tried = true;
  const bool finite = seen->finite;
  if (finite) optimizer.step_with(seen->factor);
  // A rule may have called this scaler.
  if (State::Seen* after = state.find(optimizer)) after->stepped = true;
  return finite;
}

void GradScaler::update() {
  State& state = *state_;
  if (!state.options.enabled) return;
  if (state.seen.empty()) refuse("step() before update()", "none");
  const bool finite = std::all_of(state.seen.begin(), state.seen.end(), [](const State::Seen& s) { return s.finite; });
  if (!finite) {
    state.since_change = 0;
    return state.begin_anew(std::max(state.scale * state.options.backoff_factor, scales.low));
  }
  if (state.since_change < state.options.growth_interval - 1) {
    ++state.since_change;
    return state.begin_anew(state.scale);
  }
  state.since_change = 0;
  const double grown = state.scale * state.options.growth_factor;
  state.begin_anew(scales.holds(grown) ? grown : state.scale);
}

void GradScaler::update(double new_scale) {
  if (!state_->options.enabled) return;
  expect("GradScaler", {{"new_scale", new_scale, scales}});
  state_->begin_anew(new_scale);
}

double GradScaler::get_scale() const noexcept { return state_->options.enabled ? state_->scale : 1; }
bool GradScaler::is_enabled() const noexcept { return state_->options.enabled; }

TensorMap GradScaler::state_dict() const {
  const State& state = *state_;
  if (!state.options.enabled) return {};
  const auto count = [](int64_t n) { return from_vector(std::vector<int64_t>{n}, {}); };
  return {{"scale", full({}, state.scale, float64)},
          {"growth_factor", full({}, state.options.growth_factor, float64)},
          {"backoff_factor", full({}, state.options.backoff_factor, float64)},
          {"growth_interval", count(state.options.growth_interval)},
          {"_growth_tracker", count(state.since_change)}};
}

void GradScaler::load_state_dict(const TensorMap& state) {
  if (!state_->options.enabled) return;
  const auto find = [&](const char* name, DType dtype) {
    const auto entry = state.find(name);
    const Tensor x = entry == state.end() ? Tensor() : nn::detail::saved_number(entry->second, dtype);
    if (!x.defined() || state.size() != 5)
      refuse(
          "the numbers of an enabled scaler, scale, growth_factor, backoff_factor, growth_interval and _growth_tracker",
          state.empty() ? "nothing"
          : x.defined() ? "others besides"
                        : "no ",
          x.defined() || state.empty() ? "" : name);
    return x;
  };
  GradScalerOptions options = state_->options;
  const double scale = find("scale", float64).item<double>();
  options.growth_factor = find("growth_factor", float64).item<double>();
  options.backoff_factor = find("backoff_factor", float64).item<double>();
  options.growth_interval = find("growth_interval", int64).item<int64_t>();
  const auto since_change = find("_growth_tracker", int64).item<int64_t>();
  check(scale, options);
  expect("GradScaler", {{"_growth_tracker", since_change, {0, limpid::detail::infinity, false, true}}});
  state_->options = options;
  state_->since_change = since_change;
  state_->begin_anew(scale);
}

}  // namespace limpid::optim
