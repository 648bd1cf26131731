// The normalisation family over raw memory: picks the kernels of isa() and splits the work over threads.
//
// One plan, NormDims, describes every member of the family. x is viewed as (N, C, S) with C = G * D, its spatial axes
// coalesced to one:
//
//   instance_norm            {N, C, 1, S}
//   group_norm               {N, G, C / G, S}
//   layer_norm, rms_norm     {rows, 1, M, 1} with a weight per element; {rows, 1, 1, M} is the same without affine
//   batch_norm               {N, C, 1, S} with batch = true (statistics over N and S)
//
// Where an affine is absent and a slice (n, g) is dense in memory, its sums run over it as one flat row: all plans that
// describe the same slices give the same bits.
#pragma once
#include <cstdint>
#include <limpid/ops/norm/kernels/norm.hpp>

namespace limpid::detail {

using kernels::NormDims;
using kernels::NormLayout;
using kernels::NormStats;
using kernels::NormStrides;

/// The strides of a dense (N, C, S) tensor in dims.layout.
NormStrides dense_strides(const NormDims& dims) noexcept;

/// Whether x with these strides can be read in place: always in a contiguous plan, with unit channel stride in a
/// channels-last one. Otherwise the caller makes a dense copy.
bool reads_in_place(const NormDims& dims, const NormStrides& x) noexcept;

/// Scratch memory, in doubles, that norm_forward, or norm_backward and norm_tangent, need; often zero.
std::int64_t norm_forward_scratch(const NormDims& dims) noexcept;
std::int64_t norm_backward_scratch(const NormDims& dims) noexcept;

/// y = (x - mean) * rstd * gamma + beta, and the statistics of each slice. gamma, beta: (C,) or null. y: dense in
/// dims.layout, or null when only the statistics are wanted. stats.var may be null.
template <class T>
void norm_forward(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                  double eps, T* y, const NormStats& stats, double* scratch) noexcept;

/// The same with statistics that are given (running statistics, say), which are read only.
template <class T>
void norm_apply(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                const NormStats& stats, T* y, double* scratch) noexcept;

/// Turns a mean and a variance per slice into statistics for norm_apply: rstd = 1 / sqrt(var + eps). For running
/// statistics of C channels use a plan with batch = true, whose slices are the channels.
template <class T>
void norm_fixed_stats(std::int64_t slices, const T* mean, const T* var, double eps, const NormStats& stats) noexcept;

/// Makes dy of slices [begin, end) where it is not there yet. norm_backward asks for whole samples in a channels-last
/// plan, shortly before it reads them where that is possible; not for plans with batch.
struct NormDyMaker {
  void (*make)(const void* context, std::int64_t begin, std::int64_t end) noexcept = nullptr;
  const void* context = nullptr;
  explicit operator bool() const noexcept { return make != nullptr; }
  void operator()(std::int64_t begin, std::int64_t end) const noexcept {
    if (make) make(context, begin, end);
  }
};

/// The gradients that are asked for (dx, dgamma, dbeta: each may be null). dy and dx: dense in dims.layout.
template <class T>
void norm_backward(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* dy, const T* gamma,
                   const NormStats& stats, T* dx, T* dgamma, T* dbeta, double* scratch,
                   const NormDyMaker& make_dy = {}) noexcept;

/// dy, the tangent of y: of x moving along dx (dense in dims.layout, as dy) and, where they are not null, gamma along
/// dgamma and beta along dbeta.
template <class T>
void norm_tangent(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* dx, const T* gamma,
                  const T* dgamma, const T* dbeta, const NormStats& stats, T* dy, double* scratch) noexcept;

// Instantiated for float and double.

struct NormStorage;

/// Floats that each third of a tile in the calls below needs.
std::int64_t norm_tile(const NormDims& dims) noexcept;

/// norm_forward (moments) or norm_apply of what is stored in half precision; not for plans with batch.
void norm_forward(const NormDims& dims, const NormStorage& storage, const float* gamma, const float* beta, double eps,
                  bool moments, const NormStats& stats, double* scratch) noexcept;
/// norm_backward, likewise.
void norm_backward(const NormDims& dims, const NormStorage& storage, const float* gamma, const NormStats& stats,
                   float* dgamma, float* dbeta, double* scratch) noexcept;

}  // namespace limpid::detail
