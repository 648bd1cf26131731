// The normalisation family over raw memory: run_norm() picks the kernels of isa() and splits the work over threads.
//
// One plan, NormDims, describes every member of the family. x is viewed as (N, C, S) with C = G * D, its spatial axes
// coalesced to one:
//
//   instance_norm            {N, C, 1, S}
//   group_norm               {N, G, C / G, S}
//   layer_norm, rms_norm     {rows, 1, M, 1} with a weight per element; {rows, 1, 1, M} is the same without affine
//   batch_norm               {N, C, 1, S}, pooled (statistics over N and S)
//
// Where an affine is absent and a slice (n, g) is dense in memory, its sums run over it as one flat row: all plans that
// describe the same slices give the same bits.
#pragma once
#include <cstdint>
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::kernels {
struct HalfKernels;
}

namespace limpid::detail {

using kernels::NormDims;
using kernels::NormLayout;
using kernels::NormOperands;
using kernels::NormOutputs;
using kernels::NormStats;
using kernels::NormStrides;

/// The strides of a dense (N, C, S) tensor in dims.layout.
NormStrides dense_strides(const NormDims& dims) noexcept;

/// Whether x with these strides can be read in place: always in a contiguous plan, with unit channel stride in a
/// channels-last one. Otherwise the caller makes a dense copy.
bool reads_in_place(const NormDims& dims, const NormStrides& x) noexcept;

/// What run_norm() is to do. With xhat = (x - mean) * rstd:
enum class NormPass : std::uint8_t {
  forward,   ///< The statistics of each slice, and y = xhat * gamma + beta where y is wanted.
  apply,     ///< The same y with statistics that are given (running statistics, say), which are read only.
  backward,  ///< dx, dgamma and dbeta, those that are wanted.
  tangent,   ///< dx, the tangent of y, where x moves along dy, gamma along slope and beta along offset.
};

/// What is normalised, and where x lies: by strides. All other tensors are dense in dims.layout.
struct NormGeometry {
  NormDims dims;
  NormStrides x_strides;
};

/// Makes dy of slices [begin, end) where it is not there yet. A backward asks for whole samples in a channels-last
/// plan, shortly before it reads them where that is possible; not for pooled plans.
struct NormDyMaker {
  void (*make)(const void* context, std::int64_t begin, std::int64_t end) noexcept = nullptr;
  const void* context = nullptr;
  explicit operator bool() const noexcept { return make != nullptr; }
  void operator()(std::int64_t begin, std::int64_t end) const noexcept {
    if (make) make(context, begin, end);
  }
};

class HalfBuffers;

/// The tensors of a call in half precision, in place of those of its operands and outputs; see half_storage.hpp.
struct HalfTensors {
  const kernels::HalfKernels* convert = nullptr;  ///< Null where a call is not in half precision.
  HalfBuffers* buffers = nullptr;
  const std::uint16_t* x = nullptr;
  const std::uint16_t* dy = nullptr;
  std::uint16_t* y = nullptr;
  std::uint16_t* dx = nullptr;
  bool stream = false;         ///< y or dx is written past the caches.
  NormStrides x_strides = {};  ///< Filled in by run_norm().

  explicit operator bool() const noexcept { return convert != nullptr; }
};

/// One call of the driver.
template <class T>
struct NormCall {
  NormPass pass = NormPass::forward;
  NormGeometry geometry = {};
  double eps = 0;
  NormOperands<T> in = {};
  NormOutputs<T> out = {};
  HalfTensors half = {};  ///< T = float alone: x, dy, y and dx are here. Not for pooled plans, nor for tangents.
  NormStats stats = {};   ///< Written by forward (var may be null), read by the other passes.
  NormDyMaker make_dy = {};
  double* scratch = nullptr;  ///< norm_scratch() doubles.
};

/// Instantiated for float and double.
template <class T>
void run_norm(const NormCall<T>& call) noexcept;

/// Scratch memory, in doubles, that a call needs; often zero. In half precision x counts as dense.
std::int64_t norm_scratch(NormPass pass, const NormGeometry& geometry) noexcept;

/// Turns a mean and a variance per slice into statistics for NormPass::apply: rstd = 1 / sqrt(var + eps). For running
/// statistics of C channels use a pooled plan, whose slices are the channels. Instantiated for float and double.
template <class T>
void norm_fixed_stats(std::int64_t slices, const T* mean, const T* var, double eps, const NormStats& stats) noexcept;

}  // namespace limpid::detail
