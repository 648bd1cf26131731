// Parameters that are computed from others, as weight_norm() and spectral_norm() have it.
#pragma once
#include <limpid/nn/detail/state.hpp>

#include <atomic>
#include <list>
#include <memory>
#include <utility>
#include <vector>

namespace limpid::detail {
class CheckpointRun;
}

namespace limpid::nn::detail {

/// How a parameter is computed. It has no state of its own: what it keeps is among its sources, as buffers, and so is
/// saved, converted and cloned as all buffers are.
struct Rule {
  explicit Rule(const char* its_name) noexcept : name(its_name) {}
  virtual ~Rule() = default;
  /// Recorded as any op is. moves: whether buffers among the sources may be written to, as they are while training.
  virtual Tensor value(const Tensors& sources, bool moves) const = 0;

  const char* const name;  ///< of the function that made it
};

/// What the slot of such a parameter has in place of a tensor. It is computed once in each call of its module, and else
/// wherever it is read.
struct Derivation final : RefCounted<Derivation> {
  using Slot = Parameter::Slot;
  explicit Derivation(std::shared_ptr<const Rule> its_rule) : rule(std::move(its_rule)) {}
  void dispose() noexcept { delete this; }

  Tensor value(bool may_move) const;
  /// A value for this thread, which stays until its next one.
  const Tensor& read();
  /// Lets go of those that threads have read.
  void forget();

  const std::shared_ptr<const Rule> rule;
  std::vector<Ref<Slot>> sources;
  std::atomic<bool> moves = true;

 private:
  struct OfThread {
    const void* thread;
    Tensor value;
  };
  std::list<OfThread> values_;  // where each thread reads its own; the list is read and written under a lock
};

/// One of the tensors that a parameter is computed from, called as that is and `end` behind it.
struct Source {
  const char* end;
  Tensor tensor;
  bool learned;
};
/// The tensor of the parameter `name`. Throws ValueError where there is none, or others hold it as well.
const Tensor& plain_parameter(const char* op, const Module& module, const std::string& name);
/// Makes that parameter one that rule computes from sources, its own tensor among them. Throws ValueError, before
/// anything is changed, where their names are not new.
void derive(const Module& module, const std::string& name, std::shared_ptr<const Rule> rule,
            const std::vector<Source>& sources);

/// Undoes it: the parameter has the value that `rule` computes now for its own, and what that was computed from is
/// gone. Throws ValueError, before anything is changed, where rule computes no such parameter, or where others hold
/// what it is computed from.
void underive(const char* op, const char* rule, const Module& module, const std::string& name);

/// What holds or hangs on x beside its modules, in words; null for nothing.
const char* held_elsewhere(const Tensor& x);

/// A call of a module on this thread, for as long as it lives: what it computes of its parameters.
class CallFrame {
 public:
  explicit CallFrame(const Access::State& state);
  ~CallFrame();
  CallFrame(const CallFrame&) = delete;
  CallFrame& operator=(const CallFrame&) = delete;

  static bool is_open(const Access::State& state) noexcept;
  /// Null where no open call has computed slot. A checkpoint within that call finds the same again in backward, where
  /// the call is over.
  static const Tensor* value_of(const Access::Slot& slot);

 private:
  const Access::State* state_;
  CallFrame* outer_;
  const limpid::detail::CheckpointRun* run_;  // the innermost one that it began in
  std::vector<std::pair<const Access::Slot*, Tensor>> values_;
};

}  // namespace limpid::nn::detail
