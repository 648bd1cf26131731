#include <limpid/nn/optim/optimizer.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/overlap.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/nn/detail/loading.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/nn/optim/detail/parameters.hpp>

#include <algorithm>

#include <cstring>
#include <memory>

namespace limpid::optim {

using detail::is_dense;
using detail::require_dtype;
using limpid::detail::throw_error;
using nn::detail::laid_out_like;

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The least element, or 0 where all are more; NaN is passed over.
double least_of(const Tensor& x) {
  const Tensor wide = limpid::detail::as_contiguous(limpid::detail::as_dtype(x, float64));
  const double* p = wide.data<double>();
  double least = 0;
  for (int64_t i = 0; i < wide.numel(); ++i) least = p[i] < least ? p[i] : least;
  return least;
}

DType computed(DType dtype) noexcept { return is_half(dtype) ? float32 : dtype; }

// Where half precision meets its float32 copy. Elements are independent, so that threads change no bit.

// Elements of x that are not the rounded ones of master were written by somebody else: master takes them.
void refresh(float* master, const void* x, int64_t n, const kernels::HalfKernels& half) noexcept {
  in_ranges(n, [=](int64_t begin, int64_t end) {
    constexpr int64_t piece = 1024;
    uint16_t rounded[piece];
    for (int64_t from = begin; from < end; from += piece) {
      const int64_t size = std::min(piece, end - from);
      const uint16_t* held = static_cast<const uint16_t*>(x) + from;
      half.narrow(master + from, rounded, size, false);
      if (std::memcmp(rounded, held, static_cast<std::size_t>(size) * sizeof(uint16_t)) == 0) continue;
      for (int64_t i = 0; i < size; ++i)
        if (rounded[i] != held[i]) half.widen(held + i, master + from + i, 1);
    }
  });
}

void widen(const void* x, float* to, int64_t n, float factor, const kernels::HalfKernels& half) noexcept {
  in_ranges(n, [=](int64_t begin, int64_t end) {
    constexpr int64_t piece = 4096;  // what the caches hold until it is multiplied
    for (int64_t from = begin; from < end; from += piece) {
      const int64_t size = std::min(piece, end - from);
      half.widen(static_cast<const uint16_t*>(x) + from, to + from, size);
      if (factor != 1)
        for (int64_t i = from; i < from + size; ++i) to[i] *= factor;
    }
  });
}

void narrow(const float* from, void* x, int64_t n, const kernels::HalfKernels& half) noexcept {
  in_ranges(n, [=](int64_t begin, int64_t end) {
    half.narrow(from + begin, static_cast<uint16_t*>(x) + begin, end - begin, false);
  });
}

}  // namespace

struct Optimizer::State final : RefCounted<State> {
  void dispose() noexcept { delete this; }

  struct Progress {
    int64_t steps = 0;
    Tensors kept;
    Tensor master;  // float32, of a parameter in half precision
  };
  // A parameter that step() is to move.
  struct Turn {
    std::size_t index = 0;
    Tensor dx;      // lies as x does, in memory that no parameter has
    Tensor dense;   // stands for the parameter where that has gaps
    Tensors kept;   // what becomes of its state where that is new, or is to lie anew; else none
    Tensor master;  // likewise
  };

  State(const Tensors& xs, OptimizerOptions&& options, std::unique_ptr<AnyRule> its_rule);
  void prepare();
  void require_idle(const char* what) const;
  template <class T>
  void move(const Turn& turn, std::vector<T*>& state, T* x, const T* dx);
  void move_half(const Turn& turn, float factor);

  std::string name;
  Tensors parameters;
  double lr;
  std::vector<std::string> names, never_negative;  // of what is kept
  std::unique_ptr<AnyRule> rule;
  std::vector<Progress> progress;
  // Room for step(), which is to allocate nothing; the first `moving` of turns are in use.
  std::vector<Turn> turns;
  std::size_t moving = 0;
  bool stepping = false;
  std::vector<float*> singles;
  std::vector<double*> doubles;
  Tensor wide;  // a gradient of half precision as float32, one after the other
};

Optimizer::State::State(const Tensors& xs, OptimizerOptions&& options, std::unique_ptr<AnyRule> its_rule)
    : name(std::move(options.name)),
      parameters(xs),
      lr(options.lr),
      names(std::move(options.state)),
      never_negative(std::move(options.never_negative)),
      rule(std::move(its_rule)),
      progress(xs.size()),
      turns(xs.size()),
      singles(names.size()),
      doubles(names.size()) {
  if (xs.empty()) throw_error<ValueError>(name, ": expected at least one parameter, got none");
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!xs[i].defined()) throw_error<ValueError>(name, ": expected defined parameters, got none as ", i);
    if (!xs[i].is_leaf())
      throw_error<AutogradError>(name, ": expected leaves as parameters, got a recorded result as ", i);
    require_dtype(name.c_str(), xs[i]);
    limpid::detail::require_writable(name.c_str(), xs[i]);
    for (std::size_t j = 0; j < i; ++j)
      if (xs[i].is_same(xs[j]))
        throw_error<ValueError>(name, ": expected each parameter once, got ", j, " again as ", i);
      else if (limpid::detail::overlaps(xs[i], xs[j]))
        throw_error<ValueError>(name, ": expected parameters in memory of their own, got ", j, " and ", i,
                                " in the same");
  }
  for (auto entry = names.begin(); entry != names.end(); ++entry)
    if (entry->empty() || *entry == "step" || *entry == "master" || std::find(names.begin(), entry, *entry) != entry)
      throw_error<ValueError>(name, ": expected names of state that differ, also from \"step\" and \"master\", got \"",
                              limpid::detail::printable(*entry), '"');
}

Optimizer::Optimizer(const Tensors& parameters, OptimizerOptions options, AnyRule* rule) {
  std::unique_ptr<AnyRule> owner(rule);
  state_ = Ref<State>(new State(parameters, std::move(options), std::move(owner)));
  set_lr(state_->lr);
}
Optimizer::Optimizer(const Optimizer& other) noexcept = default;
Optimizer& Optimizer::operator=(const Optimizer& other) noexcept = default;
Optimizer::~Optimizer() = default;

double Optimizer::lr() const noexcept { return state_->lr; }

void Optimizer::set_lr(double lr) {
  nn::detail::expect(state_->name.c_str(), {{"lr", lr, nn::detail::at_least_0}});
  state_->lr = lr;
}

const Tensors& Optimizer::parameters() const noexcept { return state_->parameters; }
const std::string& Optimizer::name() const noexcept { return state_->name; }

void Optimizer::zero_grad(bool to_none) {
  Tensors zeros;  // all memory is had before any gradient changes
  if (!to_none)
    for (const Tensor& x : state_->parameters) {
      const Tensor dx = x.requires_grad() ? x.grad() : Tensor();
      zeros.push_back(dx.defined() ? zeros_like(dx) : Tensor());
    }
  for (std::size_t i = 0; i < state_->parameters.size(); ++i)
    if (const Tensor& x = state_->parameters[i]; x.requires_grad()) x.set_grad(to_none ? Tensor() : zeros[i]);
}

// A step.

// All that may throw for want of memory, before any parameter is moved and any step is counted, and before any state is
// exchanged for one that lies anew and has the values that it had.
void Optimizer::State::prepare() {
  int64_t widest = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor& parameter = parameters[i];
    Tensor dx = parameter.grad();
    if (!dx.defined()) continue;
    require_dtype(name.c_str(), parameter);
    Turn& turn = turns[moving++];
    turn.index = i;
    if (!is_dense(parameter)) turn.dense = limpid::detail::as_contiguous(parameter);
    const Tensor& x = turn.dense.defined() ? turn.dense : parameter;
    const MemoryFormat format = x.memory_format();
    const auto lies_like_x = [=](const Tensor& y, DType dtype) {
      return y.dtype() == dtype && y.is_contiguous(format);
    };
    // Memory that others have may be another parameter's, or its state's, that is moved before dx is read.
    const bool apart = dx.impl().storage->use_count() == 1 && !limpid::detail::overlaps(dx, x);
    const bool fits = lies_like_x(dx, x.dtype()) && apart;
    turn.dx = fits ? std::move(dx) : laid_out_like(x, dx);

    const Progress& own = progress[i];
    const DType dtype = computed(x.dtype());
    const bool begun = own.steps > 0;  // where a rule threw in step 1, state is there, and half changed
    const auto kept_is_fine = [&](const Tensor& y) { return lies_like_x(y, dtype); };
    const auto fresh = [&](const Tensor& y) {
      Tensor like = empty(x.shape(), dtype, format);
      limpid::detail::copy_into(like, y);
      return like;
    };
    if (is_half(x.dtype())) {
      widest = std::max(widest, x.numel());
      if (!own.master.defined() || !kept_is_fine(own.master))
        turn.master = fresh(own.master.defined() ? own.master : x);
    }
    if (begun && std::all_of(own.kept.begin(), own.kept.end(), kept_is_fine)) continue;
    turn.kept.reserve(names.size());
    for (std::size_t k = 0; k < names.size(); ++k)
      turn.kept.push_back(begun ? fresh(own.kept[k]) : zeros(x.shape(), dtype, format));
  }
  if (widest > 0 && (!wide.defined() || wide.numel() < widest)) wide = empty({widest}, float32);
  for (std::size_t i = 0; i < moving; ++i) {
    Turn& turn = turns[i];
    Progress& own = progress[turn.index];
    if (!turn.kept.empty()) std::swap(own.kept, turn.kept);
    if (turn.master.defined()) std::swap(own.master, turn.master);
    if (!is_half(turn.dx.dtype())) own.master = Tensor();
  }
}

template <class T>
void Optimizer::State::move(const Turn& turn, std::vector<T*>& state, T* x, const T* dx) {
  const Tensor& parameter = parameters[turn.index];
  Progress& own = progress[turn.index];
  for (std::size_t k = 0; k < state.size(); ++k) state[k] = static_cast<T*>(own.kept[k].raw_data());
  parameter.bump_version();
  rule->move(
      Step<T>{.number = own.steps + 1, .lr = lr, .x = x, .dx = dx, .state = state.data(), .n = parameter.numel()});
  ++own.steps;
}

void Optimizer::State::move_half(const Turn& turn, float factor) {
  const Tensor &parameter = parameters[turn.index], &x = turn.dense.defined() ? turn.dense : parameter;
  const kernels::HalfKernels& half = kernels::half_kernels(x.dtype());
  auto* const master = progress[turn.index].master.data<float>();
  auto* const dx = wide.data<float>();
  refresh(master, x.raw_data(), x.numel(), half);
  widen(turn.dx.raw_data(), dx, x.numel(), factor, half);
  // What a rule has written before it throws stays.
  struct Finally {
    ~Finally() { narrow(master, x, n, half); }
    const float* master;
    void* x;
    int64_t n;
    const kernels::HalfKernels& half;
  } const finally{master, x.raw_data(), x.numel(), half};
  move(turn, singles, master, static_cast<const float*>(dx));
}

// A rule has the addresses of its parameter and of its state: nothing may come between.
void Optimizer::State::require_idle(const char* what) const {
  if (stepping)
    throw_error<AutogradError>(name, ": expected ", what, " outside of a step, got it from the step's rule");
}

void Optimizer::step() { step_with(1); }

void Optimizer::step_with(double factor) {
  const Ref<State> held = state_;  // a rule may give this optimiser another state
  State& state = *held;
  state.require_idle("step()");
  state.stepping = true;
  struct Finally {
    ~Finally() {
      for (; s.moving > 0; --s.moving) {
        State::Turn& turn = s.turns[s.moving - 1];
        turn.dx = turn.dense = turn.master = Tensor();
        turn.kept.clear();
      }
      s.stepping = false;
    }
    State& s;
  } finally{state};
  state.prepare();
  for (std::size_t i = 0; i < state.moving; ++i) {
    const State::Turn& turn = state.turns[i];
    const Tensor &parameter = state.parameters[turn.index], &x = turn.dense.defined() ? turn.dense : parameter;
    if (is_half(x.dtype()))
      state.move_half(turn, static_cast<float>(factor));
    else if (x.dtype() == float64)
      state.move(turn, state.doubles, x.data<double>(), std::as_const(turn.dx).data<double>());
    else
      state.move(turn, state.singles, x.data<float>(), std::as_const(turn.dx).data<float>());
    if (turn.dense.defined()) limpid::detail::copy_into(parameter, turn.dense);
  }
}

void detail::in_ranges(int64_t n, void (*body)(void*, int64_t, int64_t), void* context) noexcept {
  parallel_for(n, range, [=](int64_t begin, int64_t end) { body(context, begin, end); });
}

// Saving and loading.

TensorMap Optimizer::state_dict() const {
  TensorMap state;
  state["lr"] = full({}, lr(), float64);
  for (std::size_t i = 0; i < state_->progress.size(); ++i) {
    const State::Progress& progress = state_->progress[i];
    if (progress.steps == 0) continue;
    const std::string prefix = limpid::detail::message(i) + '.';
    state[prefix + "step"] = from_vector(std::vector<int64_t>{progress.steps}, {});
    // One converted to float32 since has no use for the copy.
    if (progress.master.defined() && is_half(state_->parameters[i].dtype()))
      state[prefix + "master"] = progress.master.detach();
    for (std::size_t k = 0; k < state_->names.size(); ++k) state[prefix + state_->names[k]] = progress.kept[k].detach();
  }
  return state;
}

namespace {

// A state by its names, and all that is wrong with it.
class SavedState {
 public:
  explicit SavedState(const TensorMap& state) : state_(state) {}

  bool has(const std::string& name) const { return state_.count(name) > 0; }

  // The entry of that name, of that shape and converted to dtype; undefined where there is none.
  Tensor tensor(const std::string& name, DType dtype, const Shape& shape) {
    const Tensor* const x = find(name);
    if (!x) return {};
    if (x->shape() != shape || !nn::detail::is_loadable(x->dtype(), dtype)) {
      fault(name, " (expected ", dtype, ' ', shape, ", got ", x->dtype(), ' ', x->shape(), ')');
      return {};
    }
    const Tensor y = limpid::detail::as_dtype(*x, dtype);
    if (!nn::detail::has_overflowed(y, *x)) return y;
    fault(name, " (expected values that ", dtype, " holds, got others)");
    return {};
  }

  // The one number of the entry of that name.
  Tensor number(const std::string& name, DType dtype) {
    const Tensor* const x = find(name);
    if (!x) return {};
    const Tensor y = nn::detail::saved_number(*x, dtype);
    if (!y.defined())
      fault(name, " (expected a scalar of any dtype but bool that ", dtype, " holds, got ", x->dtype(), ' ', x->shape(),
            x->dim() == 0 ? " with " + nn::detail::text_of_only(*x) : "", ')');
    return y;
  }

  template <class... Parts>
  void fault(const Parts&... parts) {
    faults_.add(parts...);
  }

  // Throws where something is wrong, or an entry has not been asked for.
  void require_whole(const std::string& optimizer) {
    if (asked_.size() != state_.size())
      for (const auto& entry : state_)
        if (!contains(asked_, entry.first)) fault("unexpected ", limpid::detail::printable(entry.first));
    if (!faults_.empty())
      throw_error<ValueError>(optimizer, ": expected the state of this optimiser and its parameters, got ",
                              faults_.text());
  }

 private:
  // Null where there is none, or none that is defined.
  const Tensor* find(const std::string& name) {
    const auto entry = state_.find(name);
    if (entry == state_.end()) return nullptr;
    asked_.push_back(name);
    if (entry->second.defined()) return &entry->second;
    fault(name, " (undefined)");
    return nullptr;
  }

  const TensorMap& state_;
  std::vector<std::string> asked_;
  limpid::detail::Listing faults_{"; "};
};

}  // namespace

void Optimizer::load_state_dict(const TensorMap& state) {
  state_->require_idle("load_state_dict()");
  SavedState saved(state);
  const Tensor lr = saved.number("lr", float64);
  if (!saved.has("lr")) saved.fault("no lr");
  if (lr.defined() && !nn::detail::at_least_0.holds(lr.item<double>()))
    saved.fault("lr (expected one in ", nn::detail::at_least_0.to_string(), ", got ", lr.item<double>(), ')');
  std::vector<State::Progress> loaded(state_->parameters.size());
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    const Tensor& x = state_->parameters[i];
    State::Progress& its = loaded[i];
    const std::string prefix = limpid::detail::message(i) + '.';
    const bool has_step = saved.has(prefix + "step");
    const Tensor step = saved.number(prefix + "step", int64);
    if (step.defined()) its.steps = step.item<int64_t>();
    // Rules count in doubles.
    constexpr int64_t most_steps = int64_t{1} << 53;
    if (step.defined() && (its.steps < 1 || its.steps > most_steps))
      saved.fault(prefix, "step (expected one from 1 to ", most_steps, ", got ", its.steps, ')');
    const DType dtype = computed(x.dtype());
    const auto copy = [&](const Tensor& y) {
      const Tensor made = empty(x.shape(), dtype, x.memory_format());
      limpid::detail::copy_into(made, y);
      return made;
    };
    // That of one in half precision is a number more or less exact than the parameter's, never another.
    if (const Tensor master = saved.tensor(prefix + "master", dtype, x.shape()); master.defined()) {
      if (!has_step) saved.fault(prefix, "master without ", prefix, "step");
      if (is_half(x.dtype())) its.master = copy(master);
    }
    for (const std::string& name : state_->names) {
      const Tensor kept = saved.tensor(prefix + name, dtype, x.shape());
      if (step.defined() && !saved.has(prefix + name)) saved.fault("no ", prefix, name);
      if (!kept.defined()) continue;
      if (!has_step) saved.fault(prefix, name, " without ", prefix, "step");
      // NaN and infinity are what a run that diverged keeps.
      if (contains(state_->never_negative, name) && least_of(kept) < 0)
        saved.fault(prefix, name, " (expected numbers of at least 0, got ", least_of(kept), ')');
      its.kept.push_back(copy(kept));
    }
  }
  saved.require_whole(state_->name);
  state_->lr = lr.item<double>();
  state_->progress = std::move(loaded);
}

}  // namespace limpid::optim
