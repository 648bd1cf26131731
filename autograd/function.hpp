// Differentiable functions of the user's own.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <concepts>
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
  /// The i-th saved tensor, of the layout that it was saved in. Throws AutogradError where it was changed in place or
  /// let go of.
  Tensor saved(std::size_t i) const;
  /// Whether the gradient of the i-th tensor argument is wanted. Of use in backward: in forward it is always true.
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
  bool moved_ = false;  ///< saved() gives other values than were saved, near them
};

/// The node of a Function; see Function.
class FunctionNode : public Node {
 public:
  FunctionNode(const char* name, bool once_differentiable) : name_(name), once_(once_differentiable) {}
  const char* name() const noexcept override { return name_; }
  Tensors backward(const Tensors& dy) final;
  Tensors recorded_backward(const Tensors& dy) final;
  Tensors jvp(const Tensors& dx) final;
  /// Ties ys to this node, which must be connected. One that is an argument itself becomes a view of it.
  void finish(Tensors& ys, const Tensors& xs);
  /// A readable name of a C++ type, kept for the life of the program.
  static const char* type_name(const std::type_info& type);

  Context context;

 protected:
  /// Derived's own rules, for dense tensors.
  virtual Tensors pull(const Tensors& dy) = 0;
  virtual Tensors push(const Tensors& dx) = 0;
  virtual bool has_push() const noexcept = 0;

 private:
  using Rule = Tensors (FunctionNode::*)(const Tensors&);
  class Unseen;
  Tensors checked(Rule rule, bool is_pull, const Tensors& given);
  const char* name_;
  bool once_;
};

/// A function with a gradient rule of its own:
///
///     struct Cube : Function<Cube> {
///       static Tensor forward(Context& ctx, const Tensor& x) { ctx.save(x); return x * x * x; }
///       static Tensors backward(Context& ctx, const Tensor& dy) { return {dy * 3.0 * square(ctx.saved(0))}; }
///     };
///     Tensor y = Cube::apply(x);
///
/// forward takes a Context and any arguments, and returns a Tensor or Tensors of floating-point numbers; what it
/// computes is not recorded. Tensor arguments are those that convert to const Tensor&, as a module's parameters do, and
/// the elements of those of type Tensors; a tensor within an argument of another type is a constant. backward takes the
/// Context and the gradient of the result (Tensors where forward gives Tensors; undefined stands for zero), and returns
/// one gradient per tensor argument, in order; Tensor{} stands for zero. dy has shape and dtype of
/// the result and is dense, in row-major order, whatever the loss sends: dy.data<double>()[i] is its i-th element. It
/// may be memory of others, to be read alone. What Context::saved() gives has the layout it had in forward.
///
/// Derived may have a rule for forward mode,
///     static Tensor jvp(Context& ctx, const Tensors& dxs);   // the tangent(s) of forward's result
/// with one dx per tensor argument, dense as well, undefined for zero.
///
/// A backward written with differentiable ops can be differentiated again, and serves forward mode too. One that is
/// not, for it works on raw memory, is good for first derivatives; where someone differentiates what it gave, in a
/// second derivative, AutogradError names the Function. That it leaves the tape is found out, but for what hides behind
/// a dependence on the same tensors that the tape does see (see docs/autograd.md). A Derived that says so itself,
///     static constexpr bool once_differentiable = true;
/// (in a local class: enum { once_differentiable = true };) has its backward run unrecorded, and its gradients always
/// throw when differentiated.
template <class Derived>
class Function {
 public:
  template <class... Args>
  static auto apply(const Args&... args) {
    constexpr bool has_forward = requires(Context & ctx) { Derived::forward(ctx, args...); };
    static_assert(has_forward,
                  "Function: expected a static forward(Context& ctx, ...) that takes the arguments of apply()");
    if constexpr (has_forward)
      return checked<decltype(Derived::forward(std::declval<Context&>(), args...))>(args...);
    else
      return Tensor();
  }

 private:
  template <class Result, class... Args>
  static auto checked(const Args&... args) {
    constexpr bool is_tensors = std::is_same_v<Result, Tensor> || std::is_same_v<Result, Tensors>;
    static_assert(is_tensors, "Function: expected a forward that gives a Tensor, or Tensors");
    using Dy = std::conditional_t<is_tensors, Result, Tensor>;
    constexpr bool has_backward = requires(Context & ctx, const Dy& dy) {
      { Derived::backward(ctx, dy) } -> std::convertible_to<Tensors>;
    };
    static_assert(
        has_backward || !is_tensors,
        "Function: expected a static Tensors backward(Context& ctx, const Tensor& dy), with const Tensors& dy "
        "where forward gives Tensors");
    if constexpr (is_tensors && has_backward)
      return recorded<Result>(args...);
    else
      return Tensor();
  }

  template <class Result, class... Args>
  static Result recorded(const Args&... args) {
    constexpr bool single = std::is_same_v<Result, Tensor>;
    constexpr bool has_jvp = requires(Context & ctx, const Tensors& dx) {
      { Derived::jvp(ctx, dx) } -> std::convertible_to<Result>;
    };
    static_assert(
        has_jvp || !requires { &Derived::jvp; },
        "Function: expected a static jvp(Context& ctx, const Tensors& dxs) that gives what forward gives");

    struct DerivedNode final : FunctionNode {
      DerivedNode() : FunctionNode(type_name(typeid(Derived)), is_once_differentiable()) {}
      Tensors pull(const Tensors& dy) override {
        if constexpr (single)
          return Derived::backward(context, dy[0]);
        else
          return Derived::backward(context, dy);
      }
      bool has_push() const noexcept override { return has_jvp; }
      Tensors push(const Tensors& dx) override {
        if constexpr (!has_jvp)
          return {};
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

  static constexpr bool is_once_differentiable() {
    if constexpr (requires { Derived::once_differentiable; })
      return Derived::once_differentiable;
    else
      return false;
  }
  template <class T>
  static void add_tensor(Tensors& xs, const T& argument) {
    if constexpr (std::is_convertible_v<const T&, const Tensor&>)  // a Tensor, or a module's member for one
      xs.push_back(argument);
    else if constexpr (std::is_same_v<T, Tensors>)
      for (const Tensor& x : argument) xs.push_back(x);
  }
};

}  // namespace limpid
