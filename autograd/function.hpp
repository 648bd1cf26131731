// Differentiable functions of the user's own.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <type_traits>
#include <typeinfo>
#include <utility>

namespace LIMPID_API limpid {

/// What a Function's forward leaves for its backward.
class Context {
 public:
  /// Keeps tensors (arguments, results or others) for backward; may be called several times.
  template <class... Xs>
  void save(const Xs&... xs) {
    (to_save_.push_back(xs), ...);
  }
  /// The i-th saved tensor. Throws AutogradError where it was changed in place or let go of.
  Tensor saved(std::size_t i) const;
  /// Whether the gradient of the i-th tensor argument is wanted.
  bool needs(std::size_t i) const noexcept { return !node_ || node_->needs(i); }

 private:
  friend class FunctionNode;
  struct Kept final : RefCounted<Kept> {  // a Saved stays where it is
    explicit Kept(Node& owner) noexcept : x(owner, "of a custom function") {}
    void dispose() noexcept { delete this; }
    Saved x;
  };
  Tensors to_save_;
  SmallVector<Ref<Kept>, 2> saved_;
  Node* node_ = nullptr;
};

/// The node of a Function; see Function.
class FunctionNode : public Node {
 public:
  explicit FunctionNode(const char* name) : name_(name) {}
  const char* name() const noexcept override { return name_; }
  /// Ties ys to this node, which must be connected; copies those that are arguments themselves.
  void finish(Tensors& ys, const Tensors& xs);
  /// A readable name of a C++ type, kept for the life of the program.
  static const char* type_name(const std::type_info& type);

  Context context;

 private:
  const char* name_;
};

/// A function with a gradient rule of its own:
///
///     struct Cube : Function<Cube> {
///       static Tensor forward(Context& ctx, const Tensor& x) { ctx.save(x); return x * x * x; }
///       static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * 3.0 * square(ctx.saved(0))}; }
///     };
///     Tensor y = Cube::apply(x);
///
/// forward takes a Context and any arguments, and returns a Tensor or Tensors; what it computes is not recorded.
/// backward takes the Context and the gradient of the result (Tensors where forward gives Tensors; undefined stands for
/// zero), and returns one gradient per Tensor argument, in order; Tensor{} stands for zero. Where it is written with
/// differentiable ops it can be differentiated again, and serves forward mode too; but Derived may have a rule for
/// that,
///     static Tensor jvp(Context& ctx, const Tensors& dxs);   // the tangent(s) of forward's result
/// with one dx per Tensor argument, undefined for zero.
template <class Derived>
class Function {
 public:
  template <class... Args>
  static auto apply(const Args&... args) {
    using Result = decltype(Derived::forward(std::declval<Context&>(), args...));
    constexpr bool single = std::is_same_v<Result, Tensor>;
    static_assert(single || std::is_same_v<Result, Tensors>, "forward must return Tensor or Tensors");

    struct DerivedNode final : FunctionNode {
      DerivedNode() : FunctionNode(type_name(typeid(Derived))) {}
      Tensors backward(const Tensors& dy) override {
        if constexpr (single)
          return Derived::backward(context, dy[0]);
        else
          return Derived::backward(context, dy);
      }
      Tensors jvp(const Tensors& dx) override {
        if constexpr (!requires { Derived::jvp(context, dx); })
          return FunctionNode::jvp(dx);
        else if constexpr (single)
          return {Derived::jvp(context, dx)};
        else
          return Derived::jvp(context, dx);
      }
    };

    Tensors xs;
    (add_tensor(xs, args), ...);
    if (!is_grad_enabled() || !detail::any_requires_grad(xs)) {
      const NoGradGuard guard;
      Context unused;
      return Derived::forward(unused, args...);
    }
    auto* node = new DerivedNode;
    const Ref<Node> hold(node);
    for (const Tensor& x : xs) node->connect(x);
    Tensors ys = [&]() -> Tensors {
      const NoGradGuard guard;
      if constexpr (single)
        return {Derived::forward(node->context, args...)};
      else
        return Derived::forward(node->context, args...);
    }();
    node->finish(ys, xs);
    if constexpr (single)
      return ys[0];
    else
      return ys;
  }

 private:
  template <class T>
  static void add_tensor(Tensors& xs, const T& argument) {
    if constexpr (std::is_convertible_v<const T&, const Tensor&>)  // a Tensor, or a module's member for one
      xs.push_back(argument);
    else if constexpr (std::is_same_v<T, Tensors>)
      for (const Tensor& x : argument) xs.push_back(x);
  }
};

}  // namespace limpid
