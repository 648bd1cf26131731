// Runs a contiguous loop over a Strip. Compiled once per instruction set, hence the unnamed namespace.
#pragma once
#include <limpid/ops/elementwise/kernels/elementwise.hpp>

#include <type_traits>
#include <utility>

namespace limpid::kernels {
namespace {

constexpr int64_t block_size = 256;

/// An operand as contiguous blocks: its own memory where that is contiguous, else a copy.
template <class T>
class Blocks {
 public:
  Blocks(const void* x, int64_t step, int64_t count) noexcept : x_(static_cast<const T*>(x)), step_(step) {
    if (step != 0) return;
    const T value = *x_;  // read once: for all the compiler knows, copy_ may hold it
    const int64_t filled = count < block_size ? count : block_size;
    for (int64_t i = 0; i < filled; ++i) copy_[i] = value;
  }
  const T* operator()(int64_t begin, int64_t count) noexcept {
    if (step_ == 1) return x_ + begin;
    if (step_ != 0)
      for (int64_t i = 0; i < count; ++i) copy_[i] = x_[(begin + i) * step_];
    return copy_;
  }

 private:
  const T* x_;
  int64_t step_;
  T copy_[block_size];
};

/// A loop over contiguous memory.
template <class Y, class... X>
using Run = void (*)(int64_t count, Y* y, const X*... x) noexcept;

// One for all loops of the same types.
template <class Y, class... X, std::size_t... K>
[[gnu::noinline]] void run_blocks(const Strip& s, Run<Y, X...> run, std::index_sequence<K...>) noexcept {
  const auto by_blocks = [&](Blocks<X>... x) {
    Y* y = static_cast<Y*>(s.y);
    Y packed[block_size];
    for (int64_t begin = 0; begin < s.count; begin += block_size) {
      const int64_t count = s.count - begin < block_size ? s.count - begin : block_size;
      run(count, s.y_step == 1 ? y + begin : packed, x(begin, count)...);
      if (s.y_step != 1)
        for (int64_t i = 0; i < count; ++i) y[(begin + i) * s.y_step] = packed[i];
    }
  };
  by_blocks(Blocks<X>(s.x[K], s.x_step[K], s.count)...);
}

template <class Y, class... X, std::size_t... K>
inline void run_strip(const Strip& s, Run<Y, X...> run, std::index_sequence<K...> indices) noexcept {
  if (s.y_step == 1 && ((s.x_step[K] == 1) && ...))
    run(s.count, static_cast<Y*>(s.y), static_cast<const X*>(s.x[K])...);
  else
    run_blocks<Y, X...>(s, run, indices);
}

// Not inlined, or there would be two of each.
template <class F, class Y, class... X>
[[gnu::noinline]] void run_of(int64_t count, Y* y, const X*... x) noexcept {
  F::run(count, y, x...);
}

/// The kernel that calls F::run(count, Y* y, const X*... x) on contiguous runs.
template <class F, class Y, class... X>
void strip(const Strip& s) noexcept {
  run_strip<Y, X...>(s, run_of<F, Y, X...>, std::index_sequence_for<X...>{});
}

template <class F, class T>
void binary_run(int64_t count, void* y, const void* a, const void* b) noexcept {
  F::run(count, static_cast<T*>(y), static_cast<const T*>(a), static_cast<const T*>(b));
}
template <class F, class T>
void ternary_run(int64_t count, void* y, const void* a, const void* b, const void* c) noexcept {
  F::run(count, static_cast<T*>(y), static_cast<const T*>(a), static_cast<const T*>(b), static_cast<const T*>(c));
}

/// y[i] = F::f(x[i]...), left to the compiler to vectorise.
template <class F>
struct Loop {
  template <class Y, class... X>
  static void run(int64_t count, Y* y, const X*... x) noexcept {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) y[i] = F::f(x[i]...);
  }
};

template <class F, class Y, class T, std::size_t... K>
constexpr StripKernel strip_of_alike(std::index_sequence<K...>) noexcept {
  return strip<F, Y, std::enable_if_t<K != ~std::size_t{0}, T>...>;
}
/// strip() for `arity` operands of one type.
template <class F, std::size_t arity, class T, class Y = T>
constexpr StripKernel strip_over = strip_of_alike<F, Y, T>(std::make_index_sequence<arity>());

// Rows of a table, in DType's order, of an F over `arity` operands: of floats, of doubles alone, or of numbers.
template <class F, std::size_t arity, class Double = F>
constexpr KernelRow float_row{{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, strip_over<F, arity, float>,
                               strip_over<Double, arity, double>}};
template <class F, std::size_t arity>
constexpr KernelRow double_row{
    {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, strip_over<F, arity, double>}};
template <class F, std::size_t arity>
constexpr KernelRow number_row{{nullptr, strip_over<F, arity, uint8_t>, strip_over<F, arity, int32_t>,
                                strip_over<F, arity, int64_t>, nullptr, nullptr, strip_over<F, arity, float>,
                                strip_over<F, arity, double>}};

}  // namespace
}  // namespace limpid::kernels
