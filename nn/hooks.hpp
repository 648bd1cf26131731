// Functions of the user's that run where a layer is called.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/nn/module.hpp>

#include <type_traits>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {
namespace nn {

/// What a hook is, behind one interface: of a registered one, or none once that has been removed.
class ForwardHook final : public RefCounted<ForwardHook> {
 public:
  /// A callable of any type.
  struct Function : RefCounted<Function> {
    virtual ~Function() = default;
    virtual Tensors call(const Module& module, const Tensors& inputs, const Tensors& outputs) = 0;
    void dispose() noexcept { delete this; }
  };
  void dispose() noexcept { delete this; }

  Ref<Function> function;  ///< read and written under a lock
  bool before = false;
};

/// Of a registered hook; may be copied, dropped and outlive the module.
class ForwardHookHandle {
 public:
  ForwardHookHandle() noexcept = default;
  explicit ForwardHookHandle(Ref<ForwardHook> hook) noexcept : hook_(std::move(hook)) {}
  /// Calls of the hook end here, and what it captures is let go of, where no thread is within it.
  void remove() noexcept;

 private:
  Ref<ForwardHook> hook_;
};

namespace detail {

/// Notes, while it lives, whether what this thread copies is a handle on module or on one that holds it.
class Capturing : Copying {
 public:
  explicit Capturing(const Module& module) noexcept;
  ~Capturing();
  /// Throws ValueError where it was; otherwise has function called with module.
  Ref<ForwardHook> hang(const char* op, Ref<ForwardHook::Function> function, bool before) const;

 private:
  friend class Copying;
  void see(const Module& copy) noexcept;

  const Module& module_;
  bool found_ = false;
  Capturing* outer_;
};

/// call(f, module, inputs, outputs), whose result may be void, a Tensor or Tensors.
template <class F, class Call>
struct ForwardHookOf final : ForwardHook::Function {
  explicit ForwardHookOf(F& its_function) : f(copied(its_function)) {}
  Tensors call(const Module& module, const Tensors& inputs, const Tensors& outputs) override {
    if constexpr (std::is_void_v<decltype(Call()(f, module, inputs, outputs))>) {
      Call()(f, module, inputs, outputs);
      return {};
    } else {
      return wrap(Call()(f, module, inputs, outputs));
    }
  }
  static Tensors wrap(Tensor y) { return y.defined() ? Tensors{std::move(y)} : Tensors(); }
  static Tensors wrap(Tensors ys) { return ys; }
  F f;
};

struct CallWithOutput {
  auto operator()(auto& f, const Module& m, const Tensors& xs, const Tensors& ys) const { return f(m, xs, ys[0]); }
};
struct CallWithOutputs {
  auto operator()(auto& f, const Module& m, const Tensors& xs, const Tensors& ys) const { return f(m, xs, ys); }
};
struct CallWithInputs {
  auto operator()(auto& f, const Module& m, const Tensors& xs, const Tensors&) const { return f(m, xs); }
};

template <class Call, class F>
ForwardHookHandle register_hook(const char* op, const Module& module, F& f, bool before) {
  const Capturing capturing(module);
  return ForwardHookHandle(capturing.hang(op, Ref<ForwardHook::Function>(new ForwardHookOf<F, Call>(f)), before));
}

}  // namespace detail

/// f(const nn::Module& module, const Tensors& inputs, const Tensor& output) is called behind each call of module, where
/// that is a layer of limpid's, or a module or function called by a Sequential; `module` is a handle, also one of
/// Module::get_submodule(), children() or named_modules(). What f returns takes the output's place, or void, or
/// Tensor{} to leave it. A layer of several results has the first as output; an f that takes `const Tensors& outputs`
/// sees all, and may return as many Tensors (an empty list leaves them). Those of a recurrent layer are its sequence
/// and its states, of attention its output and weights; what is not there is undefined. Hooks run in the order of
/// registration, each seeing what the one before has returned.
///
/// A module of your own that you call by yourself runs none, but layers within it do. While a module's hooks run, a
/// call of that module runs none again. What a hook throws tells the layer's path. Hooks belong to the module, not to
/// this handle, and are called on whichever thread calls the module; clones have none. Throws ValueError where f holds
/// a handle on module, or on one that module is in: neither would ever be freed. f is given the module; or it refers to
/// what outlives it.
template <class F>
requires(std::is_invocable_v<F&, const Module&, const Tensors&, const Tensor&> ||
         std::is_invocable_v<F&, const Module&, const Tensors&, const Tensors&>) ForwardHookHandle
    register_forward_hook(const Module& module, F f) {
  using Call = std::conditional_t<std::is_invocable_v<F&, const Module&, const Tensors&, const Tensor&>,
                                  detail::CallWithOutput, detail::CallWithOutputs>;
  return detail::register_hook<Call>("register_forward_hook", module, f, false);
}

/// f(const nn::Module& module, const Tensors& inputs) is called before; what it returns, a Tensor or Tensors, takes the
/// place of as many inputs. The rest is as above.
template <class F>
requires std::is_invocable_v<F&, const Module&, const Tensors&> ForwardHookHandle
register_forward_pre_hook(const Module& module, F f) {
  return detail::register_hook<detail::CallWithInputs>("register_forward_pre_hook", module, f, true);
}

}  // namespace nn
}  // namespace limpid
