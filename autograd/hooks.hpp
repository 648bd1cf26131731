// Functions of the user's that backward calls on its way.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/tensor.hpp>

#include <type_traits>
#include <utility>

namespace LIMPID_API limpid {

namespace detail {

/// A callable of any type behind one interface. An empty result leaves things as they are.
class Hook : public RefCounted<Hook> {
 public:
  virtual ~Hook() = default;
  virtual Tensors call(const Tensors& dxs, const Tensors& dys) = 0;
  void dispose() noexcept { delete this; }

  const Node* node = nullptr;  ///< that it hangs on; null once removed
};

/// call(f, dxs, dys), whose result may be void, a Tensor or Tensors.
template <class F, class Call>
class HookOf final : public Hook {
 public:
  explicit HookOf(F f) : f_(std::move(f)) {}
  Tensors call(const Tensors& dxs, const Tensors& dys) override {
    using Result = decltype(Call()(f_, dxs, dys));
    if constexpr (std::is_void_v<Result>) {
      Call()(f_, dxs, dys);
      return {};
    } else {
      return wrap(Call()(f_, dxs, dys));
    }
  }

 private:
  static Tensors wrap(Tensor dx) { return dx.defined() ? Tensors{std::move(dx)} : Tensors(); }
  static Tensors wrap(Tensors dxs) { return dxs; }
  F f_;
};

struct CallWithFirst {
  template <class F>
  auto operator()(F& f, const Tensors& dxs, const Tensors&) const {
    return f(dxs[0]);
  }
};
struct CallWithAll {
  template <class F>
  auto operator()(F& f, const Tensors&, const Tensors& dys) const {
    return f(dys);
  }
};
struct CallWithBoth {
  template <class F>
  auto operator()(F& f, const Tensors& dxs, const Tensors& dys) const {
    return f(dxs, dys);
  }
};

template <class Call, class F>
Ref<Hook> make_hook(F f) {
  return Ref<Hook>(new HookOf<F, Call>(std::move(f)));
}

void add_gradient_hook(const Tensor& x, Ref<Hook> hook);
void add_node_hook(Node* node, Ref<Hook> hook, bool before);

}  // namespace detail

/// Of a registered hook; may be copied, dropped and outlive the graph.
class HookHandle {
 public:
  HookHandle() noexcept = default;
  explicit HookHandle(Ref<detail::Hook> hook) noexcept : hook_(std::move(hook)) {}
  /// Calls of the hook end here, and what it captures is let go of.
  void remove();

 private:
  Ref<detail::Hook> hook_;
};

/// f(const Tensor& dx) is called in each backward that reaches x, a leaf or a result, with x's whole gradient of that
/// run, before it flows on. What f returns takes its place: a tensor of the same shape and dtype; void or Tensor{}
/// leave it as it is. Hooks of one tensor run in the order of registration. After a recorded in-place change, x's
/// earlier hooks see the gradient with respect to the earlier value. Throws AutogradError where x does not require a
/// gradient. Do not write to dx; an f that captures x itself keeps the graph alive until it is removed. Registering and
/// removing on one tensor is not to happen while another thread runs backward through it.
template <class F>
requires std::is_invocable_v<F&, const Tensor&> HookHandle register_hook(const Tensor& x, F f) {
  auto hook = detail::make_hook<detail::CallWithFirst>(std::move(f));
  detail::add_gradient_hook(x, hook);
  return HookHandle(std::move(hook));
}

/// f(const Tensors& dxs, const Tensors& dys) is called after node's backward, and may return other dxs, one per input.
/// Throws AutogradError where node is null, as grad_node() of a tensor that is not recorded.
template <class F>
requires std::is_invocable_v<F&, const Tensors&, const Tensors&> HookHandle register_hook(Node* node, F f) {
  auto hook = detail::make_hook<detail::CallWithBoth>(std::move(f));
  detail::add_node_hook(node, hook, false);
  return HookHandle(std::move(hook));
}
template <class F>
requires std::is_invocable_v<F&, const Tensors&, const Tensors&> HookHandle register_hook(Node& node, F f) {
  return register_hook(&node, std::move(f));
}

/// f(const Tensors& dys) is called before node's backward, and may return other dys, one per output.
template <class F>
requires std::is_invocable_v<F&, const Tensors&> HookHandle register_prehook(Node* node, F f) {
  auto hook = detail::make_hook<detail::CallWithAll>(std::move(f));
  detail::add_node_hook(node, hook, true);
  return HookHandle(std::move(hook));
}
template <class F>
requires std::is_invocable_v<F&, const Tensors&> HookHandle register_prehook(Node& node, F f) {
  return register_prehook(&node, std::move(f));
}

/// From now on x.grad() gathers x's gradient as a leaf's does, though x is a result. It is kept for as long as a handle
/// on x is. Does nothing for a leaf.
void retain_grad(const Tensor& x);

}  // namespace limpid
