// What gradcheck and the transforms take: a callable from tensors to tensors.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace LIMPID_API limpid {
namespace detail {

/// Refers to a callable for the length of one call: from Tensors to Tensors.
class TensorFunction {
 public:
  /// F takes 1 to 8 tensors, or one Tensors; gives a Tensor or Tensors.
  template <class F>
  requires(!std::is_same_v<std::remove_cv_t<F>, TensorFunction>) explicit TensorFunction(
      F& f, const char* op = "gradcheck") noexcept
      : object_(address(f)),
        call_(&call<F>),
        op_(op) {}
  Tensors operator()(const Tensors& xs) const { return call_(object_, xs, op_); }

  /// Whether F is of a kind to be referred to.
  template <class F>
  static constexpr bool accepts() {
    if constexpr (takes_some<F>(std::make_index_sequence<8>()))  // and Tensors are not tried on a lambda of auto
      return true;
    else
      return std::is_invocable_v<F&, const Tensors&>;
  }

 private:
  template <std::size_t>
  using Argument = const Tensor&;

  template <class F, std::size_t... index>
  static constexpr bool takes(std::index_sequence<index...>) {
    return std::is_invocable_v<F&, Argument<index>...>;
  }
  template <class F, std::size_t... index>
  static constexpr bool takes_some(std::index_sequence<index...>) {
    return (takes<F>(std::make_index_sequence<index + 1>()) || ...);
  }
  template <class F>
  static void* address(F& f) noexcept {
    if constexpr (std::is_function_v<F>)
      return reinterpret_cast<void*>(&f);
    else
      return const_cast<void*>(static_cast<const void*>(__builtin_addressof(f)));
  }
  template <class F>
  static F& at(void* object) noexcept {
    if constexpr (std::is_function_v<F>)
      return *reinterpret_cast<F*>(object);
    else
      return *static_cast<F*>(object);
  }
  static Tensors wrap(Tensor y) { return {std::move(y)}; }
  static Tensors wrap(Tensors ys) { return ys; }

  template <class F, std::size_t... index>
  static bool call_with(F& f, const Tensors& xs, Tensors& ys, std::index_sequence<index...> count) {
    if constexpr (takes<F>(count)) {
      if (xs.size() != sizeof...(index)) return false;
      ys = wrap(f(xs[index]...));
      return true;
    }
    return false;
  }
  template <class F, std::size_t... index>
  static Tensors call_by_count(F& f, const Tensors& xs, const char* op, std::index_sequence<index...>) {
    Tensors ys;
    if (!(call_with(f, xs, ys, std::make_index_sequence<index + 1>()) || ...)) wrong_count(op, xs.size());
    return ys;
  }
  template <class F>
  static Tensors call(void* object, const Tensors& xs, const char* op) {
    F& f = at<F>(object);
    constexpr std::make_index_sequence<8> counts;
    if constexpr (takes_some<F>(counts)) {
      return call_by_count(f, xs, op, counts);
    } else {
      static_assert(std::is_invocable_v<F&, const Tensors&>,
                    "a function of tensors takes 1 to 8 tensors, by value or const&, or one const Tensors&");
      return wrap(f(xs));
    }
  }
  [[noreturn]] static void wrong_count(const char* op, std::size_t count);

  void* object_;
  Tensors (*call_)(void*, const Tensors&, const char*);
  const char* op_;
};

template <class F>
concept TensorCallable = TensorFunction::accepts<std::remove_reference_t<F>>();

}  // namespace detail
}  // namespace limpid
