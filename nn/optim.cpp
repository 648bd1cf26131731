#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/nn/optim.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

namespace limpid::optim {

using detail::throw_error;

namespace {

constexpr int64_t grain = 16384;

template <class F>
void visit_computing(DType dtype, const F& f) {
  dtype == float64 ? f(double{}) : f(float{});
}

bool is_dense(const Tensor& x) { return x.is_contiguous(x.memory_format()); }

// x with its elements in the order in memory, and of the dtype, of like, which is dense; a copy where it has others.
Tensor in_order_of(const Tensor& like, const Tensor& x) {
  if (x.dtype() == like.dtype() && x.is_contiguous(like.memory_format())) return x;
  Tensor y = empty_like(like);
  detail::copy_into(y, x);
  return y;
}

// A gradient may be shared: y = a + b leaves both leaves one tensor. Only one that p's leaf alone holds, beside the
// handle dx, may be written to.
bool is_own(const Tensor& dx) { return dx.impl().use_count() <= 2 && dx.impl().storage->use_count() == 1; }

void require_dtype(const char* name, const Tensor& x) {
  if (x.dtype() != float32 && x.dtype() != float64)
    throw_error<DTypeError>(name, ": expected float32 or float64 parameters, got ", x.dtype());
}

void require(bool holds, const char* name, const char* expected, double got) {
  if (!holds) throw_error<ValueError>(name, ": expected ", expected, ", got ", got);
}

}  // namespace

Optimizer::Optimizer(const char* name, const Tensors& parameters, double lr, std::initializer_list<const char*> slots)
    : name_(name),
      parameters_(parameters),
      slot_names_(slots),
      progress_(parameters.size()) {
  if (parameters.empty()) throw_error<ValueError>(name, ": expected at least one parameter, got none");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& x = parameters[i];
    if (!x.is_leaf()) throw_error<AutogradError>(name, ": expected leaves as parameters, got a recorded result");
    require_dtype(name, x);
    for (std::size_t j = 0; j < i; ++j)
      if (x.is_same(parameters[j]))
        throw_error<ValueError>(name, ": expected each parameter once, got ", j, " again as ", i);
  }
  set_lr(lr);
}

void Optimizer::set_lr(double lr) {
  require(lr >= 0, name_, "a learning rate of at least 0", lr);
  lr_ = lr;
}

void Optimizer::zero_grad(bool to_none) {
  for (const Tensor& x : parameters_) {
    if (!x.requires_grad()) continue;
    const Tensor dx = to_none ? Tensor() : x.grad();
    x.set_grad(dx.defined() ? zeros_like(dx) : Tensor());
  }
}

template <class Rule>
void Optimizer::update(const Rule& rule) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& parameter = parameters_[i];
    Tensor dx = parameter.grad();
    if (!dx.defined()) continue;
    require_dtype(name_, parameter);
    const Tensor x = is_dense(parameter) ? parameter : detail::as_contiguous(parameter);
    dx = in_order_of(x, dx);
    if (dx.shares_storage_with(x)) {  // the rules take them for separate memory
      const Tensor copy = empty_like(x);
      detail::copy_into(copy, dx);
      dx = copy;
    }

    Progress& progress = progress_[i];
    const bool begun = progress.step++ > 0;
    if (!begun) progress.slots.assign(slot_names_.size(), Tensor());
    for (Tensor& slot : progress.slots) slot = slot.defined() ? in_order_of(x, slot) : zeros_like(x);

    visit_computing(x.dtype(), [&]<class T>(T) {
      T* slots[4] = {};
      for (std::size_t k = 0; k < progress.slots.size(); ++k) slots[k] = progress.slots[k].template data<T>();
      rule(progress.step, begun, x.template data<T>(), dx.template data<T>(), slots, x.numel());
    });
    if (!x.is_same(parameter)) detail::copy_into(parameter, x);
    parameter.bump_version();
  }
}

// Saving and loading.

TensorMap Optimizer::state_dict() const {
  TensorMap state;
  state["lr"] = full({}, lr_, float64);
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    const Progress& progress = progress_[i];
    if (progress.step == 0) continue;
    const std::string prefix = std::to_string(i) + '.';
    state[prefix + "step"] = from_vector(std::vector<int64_t>{progress.step}, {});
    for (std::size_t k = 0; k < slot_names_.size(); ++k) state[prefix + slot_names_[k]] = progress.slots[k].detach();
  }
  return state;
}

void Optimizer::load_state_dict(const TensorMap& state) {
  std::string faults;
  const auto fault = [&](const auto&... parts) { faults += (faults.empty() ? "" : "; ") + detail::message(parts...); };
  std::size_t known = 0;
  // The entry of that name, fit for dtype and shape; undefined where there is none.
  const auto find = [&](const std::string& name, DType dtype, const Shape& shape) {
    const auto entry = state.find(name);
    if (entry == state.end()) return Tensor();
    ++known;
    const Tensor& x = entry->second;
    if (!x.defined())
      fault(name, " (undefined)");
    else if (x.shape() != shape || x.dtype() != dtype)
      fault(name, " (expected ", dtype, ' ', shape, ", got ", x.dtype(), ' ', x.shape(), ')');
    else
      return x;
    return Tensor();
  };

  const Tensor lr = find("lr", float64, {});
  if (!state.count("lr")) fault("no lr");
  if (lr.defined() && !(lr.item<double>() >= 0)) fault("lr (expected at least 0, got ", lr.item<double>(), ')');
  std::vector<Progress> loaded(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& x = parameters_[i];
    const std::string prefix = std::to_string(i) + '.';
    const Tensor step = find(prefix + "step", int64, {});
    if (step.defined()) loaded[i].step = step.item<int64_t>();
    if (step.defined() && loaded[i].step < 1) fault(prefix, "step (expected at least 1, got ", loaded[i].step, ')');
    for (const char* name : slot_names_) {
      const Tensor slot = find(prefix + name, x.dtype(), x.shape());
      if (step.defined() && !state.count(prefix + name)) fault("no ", prefix, name);
      if (!state.count(prefix + "step") && slot.defined()) fault(prefix, name, " without ", prefix, "step");
      if (!slot.defined()) continue;
      loaded[i].slots.push_back(empty_like(x));
      detail::copy_into(loaded[i].slots.back(), slot);
    }
  }
  if (known != state.size()) {
    const auto belongs = [&](const std::string& name) {
      if (name == "lr") return true;
      for (std::size_t i = 0; i < parameters_.size(); ++i) {
        const std::string prefix = std::to_string(i) + '.';
        if (name == prefix + "step") return true;
        for (const char* slot : slot_names_)
          if (name == prefix + slot) return true;
      }
      return false;
    };
    for (const auto& entry : state)
      if (!belongs(entry.first)) fault("unexpected ", entry.first);
  }
  if (!faults.empty())
    throw_error<ValueError>(name_, ": expected the state of this optimiser and its parameters, got ", faults);

  lr_ = lr.item<double>();
  progress_ = std::move(loaded);
}

// The rules, in the order of operations of PyTorch's.

namespace {

// Calls f with the flag as a constant, so that the loop inside has no branch and runs in vectors.
template <class F>
void with_constant(bool flag, const F& f) {
  flag ? f(std::true_type()) : f(std::false_type());
}

// g + decay x, and g itself where nothing decays, be x infinite.
template <bool decays, class T>
T decayed(T g, T decay, T x) {
  if constexpr (decays) return g + decay * x;
  return g;
}

std::initializer_list<const char*> sgd_slots(const SGDOptions& options) {
  static constexpr std::initializer_list<const char*> none = {}, momentum = {"momentum_buffer"};
  return options.momentum != 0 ? momentum : none;
}

}  // namespace

SGD::SGD(const Tensors& parameters, const SGDOptions& options)
    : Optimizer("SGD", parameters, options.lr, sgd_slots(options)),
      options_(options) {
  require(options.momentum >= 0, "SGD", "a momentum of at least 0", options.momentum);
  require(options.weight_decay >= 0, "SGD", "a weight_decay of at least 0", options.weight_decay);
  require(!options.nesterov || options.momentum > 0, "SGD", "a momentum above 0 for nesterov", options.momentum);
  require(!options.nesterov || options.dampening == 0, "SGD", "no dampening for nesterov", options.dampening);
}

void SGD::step() {
  update([this]<class T>(int64_t, bool begun, T* x, const T* dx, T* const* slots, int64_t n) {
    const T rate = static_cast<T>(lr()), decay = static_cast<T>(options_.weight_decay);
    const T momentum = static_cast<T>(options_.momentum), keep = begun ? momentum : T{0};
    const T share = begun ? static_cast<T>(1 - options_.dampening) : T{1};
    T* buffer = slots[0];
    const bool looks_ahead = options_.nesterov;
    with_constant(decay != 0, [=](auto decays) {
      if (!buffer)
        return parallel_for(n, grain, [=](int64_t begin, int64_t end) {
          T* __restrict px = x;
          const T* __restrict pdx = dx;
          for (int64_t i = begin; i < end; ++i) px[i] -= rate * decayed<decays>(pdx[i], decay, px[i]);
        });
      with_constant(looks_ahead, [=](auto nesterov) {
        parallel_for(n, grain, [=](int64_t begin, int64_t end) {
          T* __restrict px = x;
          T* __restrict b = buffer;
          const T* __restrict pdx = dx;
          for (int64_t i = begin; i < end; ++i) {
            const T d = decayed<decays>(pdx[i], decay, px[i]);
            b[i] = keep * b[i] + share * d;
            px[i] -= rate * (nesterov ? d + momentum * b[i] : b[i]);
          }
        });
      });
    });
  });
}

namespace {

std::initializer_list<const char*> adam_slots(bool amsgrad) {
  static constexpr std::initializer_list<const char*> plain = {"exp_avg", "exp_avg_sq"},
                                                      largest = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return amsgrad ? largest : plain;
}

}  // namespace

Adam::Adam(const char* name, const Tensors& parameters, const AdamOptions& options, bool decoupled)
    : Optimizer(name, parameters, options.lr, adam_slots(options.amsgrad)),
      options_(options),
      decoupled_(decoupled) {
  require(options.beta1 >= 0 && options.beta1 < 1, name, "a beta1 from 0 to below 1", options.beta1);
  require(options.beta2 >= 0 && options.beta2 < 1, name, "a beta2 from 0 to below 1", options.beta2);
  require(options.eps >= 0, name, "an eps of at least 0", options.eps);
  require(options.weight_decay >= 0, name, "a weight_decay of at least 0", options.weight_decay);
}

Adam::Adam(const Tensors& parameters, const AdamOptions& options) : Adam("Adam", parameters, options, false) {}

AdamW::AdamW(const Tensors& parameters, const AdamWOptions& o)
    : Adam("AdamW", parameters, {o.lr, o.beta1, o.beta2, o.eps, o.weight_decay, o.amsgrad}, true) {}

void Adam::step() {
  // Most parameters are at the same step: the powers are taken once.
  int64_t powers_of = 0;
  double rate_now = 0, correction_now = 0;
  update([&]<class T>(int64_t step, bool, T* x, const T* dx, T* const* slots, int64_t n) {
    if (step != powers_of) {
      const double count = static_cast<double>(powers_of = step);
      rate_now = lr() / (1 - std::pow(options_.beta1, count));
      correction_now = std::sqrt(1 - std::pow(options_.beta2, count));
    }
    const T rate = static_cast<T>(rate_now), correction = static_cast<T>(correction_now);
    const T beta1 = static_cast<T>(options_.beta1), share1 = static_cast<T>(1 - options_.beta1);
    const T beta2 = static_cast<T>(options_.beta2), share2 = static_cast<T>(1 - options_.beta2);
    const T eps = static_cast<T>(options_.eps);
    const T shrink = static_cast<T>(decoupled_ ? 1 - lr() * options_.weight_decay : 1);
    const T decay = static_cast<T>(decoupled_ ? 0 : options_.weight_decay);
    T *first = slots[0], *second = slots[1], *largest = slots[2];
    with_constant(decay != 0, [=](auto decays) {
      with_constant(largest, [=](auto amsgrad) {
        parallel_for(n, grain, [=](int64_t begin, int64_t end) {
          T* __restrict px = x;
          T* __restrict m = first;
          T* __restrict v = second;
          [[maybe_unused]] T* __restrict most = largest;
          const T* __restrict pdx = dx;
          for (int64_t i = begin; i < end; ++i) {
            const T y = shrink * px[i], d = decayed<decays>(pdx[i], decay, y);
            m[i] = beta1 * m[i] + share1 * d;
            v[i] = beta2 * v[i] + share2 * d * d;
            T spread = v[i];
            if constexpr (amsgrad) spread = most[i] = most[i] < spread || spread != spread ? spread : most[i];
            px[i] = y - rate * m[i] / (std::sqrt(spread) / correction + eps);
          }
        });
      });
    });
  });
}

double StepLR::operator()(int64_t step) const {
  return lr * std::pow(gamma, static_cast<double>(step / std::max<int64_t>(size, 1)));
}

double CosineLR::operator()(int64_t step) const {
  if (step >= total) return lowest;
  const double done = static_cast<double>(std::max<int64_t>(step, 0)) / static_cast<double>(total);
  return lowest + (lr - lowest) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

// Clipping.

namespace {

// The sum of |x|^p, or the largest |x|; in double, in lanes that fix the order of the sum.
double norm_term(const Tensor& dx, double p) {
  const Tensor flat = is_dense(dx) ? dx : detail::as_contiguous(dx);
  constexpr int64_t width = 8;
  double lanes[width] = {};
  const auto add = [&](const auto& term) {
    visit_computing(flat.dtype(), [&]<class T>(T) {
      const T* x = flat.data<T>();
      const int64_t n = flat.numel(), whole = n - n % width;
      for (int64_t i = 0; i < whole; i += width)
        for (int64_t k = 0; k < width; ++k) lanes[k] = term(lanes[k], static_cast<double>(x[i + k]));
      for (int64_t i = whole; i < n; ++i) lanes[i - whole] = term(lanes[i - whole], static_cast<double>(x[i]));
    });
  };
  const bool largest = std::isinf(p);
  const auto larger = [](double a, double b) { return a < b || b != b ? b : a; };
  if (largest)
    add([=](double a, double x) { return larger(a, std::abs(x)); });
  else if (p == 2)
    add([](double a, double x) { return a + x * x; });
  else
    add([=](double a, double x) { return a + std::pow(std::abs(x), p); });
  double total = 0;
  for (double lane : lanes) total = largest ? larger(total, lane) : total + lane;
  return total;
}

}  // namespace

double clip_grad_norm_(const Tensors& parameters, double max_norm, double p) {
  require(max_norm >= 0, "clip_grad_norm_", "a max_norm of at least 0", max_norm);
  require(p > 0, "clip_grad_norm_", "a p above 0", p);
  double total = 0;
  for (const Tensor& x : parameters) {
    const Tensor dx = x.grad();
    if (!dx.defined()) continue;
    require_dtype("clip_grad_norm_", dx);
    const double term = norm_term(dx, p);
    total = !std::isinf(p) ? total + term : total < term || term != term ? term : total;
  }
  const double norm = std::isinf(p) ? total : std::pow(total, 1 / p);
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for (const Tensor& x : parameters) {
    Tensor dx = x.grad();
    if (!dx.defined()) continue;
    if (!is_own(dx) || !is_dense(dx)) {
      const Tensor copy = empty(dx.shape(), dx.dtype());
      detail::copy_into(copy, dx);
      x.set_grad(copy);
      dx = copy;
    }
    visit_computing(dx.dtype(), [&]<class T>(T) {
      T* values = dx.data<T>();
      for (int64_t i = 0; i < dx.numel(); ++i) values[i] = static_cast<T>(static_cast<double>(values[i]) * factor);
    });
    dx.bump_version();
  }
  return norm;
}

}  // namespace limpid::optim
