#include <limpid/ops/elementwise/detail/map.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/strided.hpp>

#include <algorithm>
#include <array>

namespace limpid {
namespace kernels {

const ArithmeticKernels& arithmetic() noexcept { return LIMPID_AT_ISA(arithmetic_kernels); }
const FunctionKernels& functions() noexcept {
  struct Table : FunctionKernels {
    Table(const FunctionKernels& others, const FittedKernels& fitted) : FunctionKernels(others) {
      const auto put = [](KernelRow& row, StripKernel kernel) {
        row.by_dtype[static_cast<std::size_t>(DType::float32)] = kernel;
      };
      put(tanh, fitted.tanh), put(gelu, fitted.gelu), put(logsigmoid, fitted.logsigmoid);
      put(tanh_slope, fitted.tanh_slope), put(tanh_gradient, fitted.tanh_gradient);
      put(sigmoid_slope, fitted.sigmoid_slope), put(sigmoid_gradient, fitted.sigmoid_gradient);
      put(gelu_slope, fitted.gelu_slope), put(gelu_gradient, fitted.gelu_gradient);
    }
  };
#if defined(__x86_64__)
  static const Table tables[] = {{baseline::function_kernels, baseline::fitted_kernels},
                                 {avx2::function_kernels, avx2::fitted_kernels},
                                 {avx512::function_kernels, avx512::fitted_kernels}};
  return detail::at_isa(tables[0], tables[1], tables[2]);
#else
  static const Table table(LIMPID_AT_ISA(function_kernels), LIMPID_AT_ISA(fitted_kernels));
  return table;
#endif
}
const LibraryKernels& library() noexcept { return LIMPID_AT_ISA(library_kernels); }

}  // namespace kernels

namespace detail {

Operand::Operand(const char* op, Scalar x, DType dtype) { store_number(op, x, dtype, number_); }

namespace {

// What lies between a tiny op and its kernel is inlined by force: calls would take longer than it does.

kernels::StripKernel kernel_of(const Elementwise& e) {
  const kernels::StripKernel kernel = e.f[e.dtype];
  if (!kernel) [[unlikely]]
    throw_error<DTypeError>(e.op, ": expected ", e.dtype == bool_ ? "numbers" : "floating-point numbers", ", got ",
                            e.dtype, "; convert with to()");
  return kernel;
}

// The layout of the operands (numbers aside), where they lie in memory alike and without gaps, so that one run covers
// them all; else null.
template <class... X>
[[gnu::always_inline]] inline const Layout* common_layout(const X&... x) noexcept {
  const Layout* first = nullptr;
  unsigned formats = 3;  // row-major, channels-last
  const auto joins = [&](const TensorImpl* t) {
    if (!t || t->layout.get() == first) return true;
    const Layout& layout = *t->layout;
    formats &= (layout.contiguous ? 1u : 0u) | (layout.channels_last ? 2u : 0u);
    if (formats == 0) return false;
    if (first) return layout.shape == first->shape;
    first = &layout;
    return true;
  };
  return (joins(x.tensor()) && ...) ? first : nullptr;
}

template <class... X>
[[gnu::always_inline]] inline void run_flat(kernels::StripKernel kernel, void* y, DType result, int64_t count,
                                            const X&... x) {
  const kernels::Strip all{count, y, 1, {x.data()...}, {x.tensor() ? 1 : 0 ...}};
  if (count <= elementwise_grain) return kernel(all);
  parallel_for(count, elementwise_grain, [&](int64_t begin, int64_t end) {
    const auto from = [&](const Operand& operand) -> const void* {
      const TensorImpl* t = operand.tensor();
      return static_cast<const std::byte*>(operand.data()) + (t ? begin * static_cast<int64_t>(itemsize(t->dtype)) : 0);
    };
    std::byte* to = static_cast<std::byte*>(y) + begin * static_cast<int64_t>(itemsize(result));
    kernel({end - begin, to, 1, {from(x)...}, {x.tensor() ? 1 : 0 ...}});
  });
}

template <std::size_t K>
void run_strided(kernels::StripKernel kernel, const TensorImpl& y, const std::array<const Operand*, K>& x) {
  std::array<Strides, K + 1> strides{y.strides()};
  std::array<int64_t, K> size{};
  for (std::size_t k = 0; k < K; ++k) {
    const TensorImpl* t = x[k]->tensor();
    strides[k + 1] = t ? broadcast_strides(t->shape(), t->strides(), y.shape()) : Strides(y.shape().size(), 0);
    size[k] = t ? static_cast<int64_t>(itemsize(t->dtype)) : 0;
  }
  const auto y_size = static_cast<int64_t>(itemsize(y.dtype));
  StridedLoop<K + 1>(y.shape(), strides).run([&](int64_t count, const auto& offset, const auto& step) {
    kernels::Strip s;
    s.count = count;
    s.y = y.data + offset[0] * y_size;
    s.y_step = step[0];
    for (std::size_t k = 0; k < K; ++k) {
      s.x[k] = static_cast<const std::byte*>(x[k]->data()) + offset[k + 1] * size[k];
      s.x_step[k] = step[k + 1];
    }
    kernel(s);
  });
}

// Every element has a place of its own, and no place between them is left out.
bool is_dense(const Layout& x) {
  if (x.contiguous || x.channels_last) return true;
  SmallVector<std::size_t, 6> axes;
  for (std::size_t i = 0; i < x.shape.size(); ++i)
    if (x.shape[i] != 1) axes.push_back(i);
  std::sort(axes.begin(), axes.end(), [&](std::size_t a, std::size_t b) { return x.strides[a] < x.strides[b]; });
  int64_t expected = 1;
  for (std::size_t axis : axes) {
    if (x.strides[axis] != expected) return false;
    expected *= x.shape[axis];
  }
  return true;
}

template <std::size_t K>
Strides result_strides(const Shape& shape, const std::array<const Operand*, K>& x) {
  const Layout* first = nullptr;
  bool shared = true;
  for (const Operand* operand : x) {
    const TensorImpl* t = operand->tensor();
    if (!t || t->shape() != shape) continue;
    const Layout* layout = t->layout.get();
    if (layout->channels_last && !layout->contiguous) return channels_last_strides(shape);
    if (!first)
      first = layout;
    else
      shared = shared && layout->strides == first->strides;
  }
  return first && shared && is_dense(*first) ? first->strides : contiguous_strides(shape);
}

template <std::size_t K>
Ref<const Layout> result_layout(Shape shape, const std::array<const Operand*, K>& x) {
  Strides strides = result_strides(shape, x);
  for (const Operand* operand : x)
    if (const TensorImpl* t = operand->tensor(); t && t->shape() == shape && t->strides() == strides) return t->layout;
  return Layout::create(std::move(shape), std::move(strides));
}

template <std::size_t K>
[[gnu::noinline]] Tensor map_strided(const Elementwise& e, kernels::StripKernel kernel,
                                     const std::array<const Operand*, K>& x) {
  Shape shape;
  for (const Operand* operand : x)
    if (operand->tensor()) shape = broadcast_shapes(shape, operand->tensor()->shape(), e.op);
  Tensor y = make_tensor(result_layout(std::move(shape), x), e.result);
  if (y.numel() != 0) run_strided(kernel, y.impl(), x);
  return y;
}

template <class... X>
[[gnu::always_inline]] inline Tensor map_all(const Elementwise& e, const X&... operands) {
  const OpScope scope(e.op);
  const kernels::StripKernel kernel = kernel_of(e);
  if (const Layout* layout = common_layout(operands...)) [[likely]] {
    Tensor y = make_tensor(Ref<const Layout>(layout), e.result);
    run_flat(kernel, y.raw_data(), e.result, layout->numel, operands...);
    return y;
  }
  return map_strided(e, kernel, std::array<const Operand*, sizeof...(X)>{&operands...});
}

template <class... X>
[[gnu::always_inline]] inline void map_all_into(const Tensor& y, const Elementwise& e, const X&... operands) {
  const OpScope scope(e.op);
  const kernels::StripKernel kernel = kernel_of(e);
  const Operand destination(y);
  if (common_layout(destination, operands...))
    run_flat(kernel, y.raw_data(), y.dtype(), y.numel(), operands...);
  else if (y.numel() != 0)
    run_strided(kernel, y.impl(), std::array<const Operand*, sizeof...(X)>{&operands...});
}

}  // namespace

Tensor map(const Elementwise& e, const Operand& a) { return map_all(e, a); }
Tensor map(const Elementwise& e, const Operand& a, const Operand& b) { return map_all(e, a, b); }
Tensor map(const Elementwise& e, const Operand& a, const Operand& b, const Operand& c) { return map_all(e, a, b, c); }
Tensor map(const Elementwise& e, const Operand& a, const Operand& b, const Operand& c, const Operand& d) {
  return map_all(e, a, b, c, d);
}

void map_into(const Tensor& y, const Elementwise& e, const Operand& a) { map_all_into(y, e, a); }
void map_into(const Tensor& y, const Elementwise& e, const Operand& a, const Operand& b) { map_all_into(y, e, a, b); }
void map_into(const Tensor& y, const Elementwise& e, const Operand& a, const Operand& b, const Operand& c) {
  map_all_into(y, e, a, b, c);
}

}  // namespace detail
}  // namespace limpid
