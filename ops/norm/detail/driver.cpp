#include <unistd.h>
#include <limpid/ops/norm/detail/halves.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace limpid::detail {

using index_t = std::int64_t;

// sysconf() may tell the sum over all of a processor's caches, of which this thread fills only its own.
index_t last_cache() noexcept {
  static const index_t size = [] {
    long kib = 0;
    if (std::FILE* file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r")) {
      if (std::fscanf(file, "%ldK", &kib) != 1) kib = 0;
      std::fclose(file);
    }
    const long bytes = kib > 0 ? kib * 1024 : sysconf(_SC_LEVEL3_CACHE_SIZE);
    return bytes > 0 ? index_t{bytes} : index_t{1} << 25;
  }();
  return size;
}

bool norm_streams(index_t bytes) noexcept { return bytes >= last_cache() / (get_num_threads() > 1 ? 4 : 6); }

namespace {

/// Unit strides where an axis has one element or none, and batch_norm over (N, C) seen as channels-last.
struct View {
  NormDims dims;
  NormStrides x;
};
View simplify(NormDims dims, NormStrides x) noexcept {
  if (dims.s == 1) x.s = dims.layout == NormLayout::channels_last ? dims.channels() : 1;
  if (dims.channels() == 1) x.c = dims.layout == NormLayout::channels_last ? 1 : dims.s;
  if (dims.batch && dims.s == 1 && (x.c == 1 || dims.channels() == 1)) {
    dims.layout = NormLayout::channels_last;
    dims.s = dims.n;
    x.s = x.n;
    x.c = 1;
    dims.n = 1;
  } else if (dims.batch && dims.layout == NormLayout::channels_last) {
    if (dims.s == 1) x.s = x.n;
    dims.s *= dims.n;
    dims.n = 1;
  }
  return {dims, x};
}

/// Which form of kernels a plan takes. Without affine a single group of channels-last is rows like any other; with one,
/// it is columns unless its channels make long rows.
enum class Form { rows, rows_along, columns };
Form form(const NormDims& dims, bool affine, bool backward) noexcept {
  constexpr index_t kLongRow = 256;
  if (dims.s == 1 && !dims.batch) return Form::rows_along;
  if (dims.layout == NormLayout::contiguous) return Form::rows;
  if (dims.g > 1 || dims.batch) return Form::columns;
  if (!affine) return Form::rows;
  return !backward && dims.d >= kLongRow ? Form::rows_along : Form::columns;
}

/// A call on half precision: in place of its tensors stand such as are dense and float32.
NormCall<float> stored_call(const NormDims& dims, const NormStorage& storage) noexcept {
  float* stand_in = storage.tiles->stand_in();
  return {.dims = dims,
          .x_strides = dense_strides(dims),
          .x = stand_in,
          .dy = stand_in,
          .y = storage.y ? stand_in : nullptr,
          .dx = storage.dx ? stand_in : nullptr,
          .stats = {},
          .storage = &storage};
}
NormStorage simplified(const NormDims& dims, NormStorage storage) noexcept {
  storage.x_strides = simplify(dims, storage.x_strides).x;
  return storage;
}

template <class T>
void run_forward(NormCall<T> call) noexcept {
  if (call.dims.size() == 0) return;
  call.affine = call.dims.affine || call.gamma || call.beta;
  const auto [dims, x_strides] = simplify(call.dims, call.x_strides);
  call.dims = dims;
  call.x_strides = x_strides;
  const Form f = form(dims, call.affine, false);
  f == Form::columns ? norm_forward_columns(call) : norm_forward_rows(call, f == Form::rows_along);
}

template <class T>
void run_backward(NormCall<T> call) noexcept {
  if (call.dims.size() == 0) {
    const index_t c = call.dims.channels();
    if (call.dgamma) std::fill(call.dgamma, call.dgamma + c, T{});
    if (call.dbeta) std::fill(call.dbeta, call.dbeta + c, T{});
    return;
  }
  call.affine = call.dims.affine || call.gamma || call.dgamma || call.dbeta || call.slope || call.offset;
  const auto [dims, x_strides] = simplify(call.dims, call.x_strides);
  call.dims = dims;
  call.x_strides = x_strides;
  const Form f = form(dims, call.affine, true);
  f == Form::columns ? norm_backward_columns(call) : norm_backward_rows(call, f == Form::rows_along);
}

}  // namespace

NormStrides dense_strides(const NormDims& dims) noexcept {
  const index_t c = dims.channels();
  if (dims.layout == NormLayout::channels_last) return {c * dims.s, 1, c};
  return {c * dims.s, dims.s, 1};
}

bool reads_in_place(const NormDims& dims, const NormStrides& x) noexcept {
  if (dims.layout == NormLayout::contiguous) return true;
  if (dims.channels() != 1 && x.c != 1) return false;
  return !dims.batch || dims.n == 1 || dims.s == 1 || x.n == dims.s * x.s;
}

index_t norm_forward_scratch(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplify(given, dense_strides(given)).dims;
  const index_t rows = norm_forward_rows_scratch(dims);
  if (dims.layout == NormLayout::contiguous || form(dims, true, false) != Form::columns) return rows;
  return std::max(rows, norm_forward_columns_scratch(dims));
}

index_t norm_backward_scratch(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplify(given, dense_strides(given)).dims;
  const Form with = form(dims, true, true), without = form(dims, false, true);
  if (without == Form::columns) return norm_backward_columns_scratch(dims);
  const index_t rows = norm_backward_rows_scratch(dims);
  return with == Form::columns ? std::max(rows, norm_backward_columns_scratch(dims)) : rows;
}

template <class T>
void norm_forward(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                  double eps, T* y, const NormStats& stats, double* scratch) noexcept {
  run_forward<T>({.dims = dims,
                  .x_strides = x_strides,
                  .eps = eps,
                  .x = x,
                  .gamma = gamma,
                  .beta = beta,
                  .y = y,
                  .stats = stats,
                  .scratch = scratch});
}

template <class T>
void norm_apply(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* gamma, const T* beta,
                const NormStats& stats, T* y, double* scratch) noexcept {
  run_forward<T>({.dims = dims,
                  .x_strides = x_strides,
                  .moments = false,
                  .x = x,
                  .gamma = gamma,
                  .beta = beta,
                  .y = y,
                  .stats = stats,
                  .scratch = scratch});
}

template <class T>
void norm_fixed_stats(index_t slices, const T* mean, const T* var, double eps, const NormStats& stats) noexcept {
  for (index_t i = 0; i < slices; ++i) {
    const double v = static_cast<double>(var[i]) + eps;
    stats.mean[i] = static_cast<double>(mean[i]);
    stats.mean_lo[i] = 0;
    stats.rstd[i] = v == 0 ? 0.0 : 1.0 / std::sqrt(v);
    if (stats.var) stats.var[i] = static_cast<double>(var[i]);
  }
}

template <class T>
void norm_backward(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* dy, const T* gamma,
                   const NormStats& stats, T* dx, T* dgamma, T* dbeta, double* scratch,
                   const NormDyMaker& make_dy) noexcept {
  run_backward<T>({.dims = dims,
                   .x_strides = x_strides,
                   .x = x,
                   .dy = dy,
                   .gamma = gamma,
                   .dx = dx,
                   .dgamma = dgamma,
                   .dbeta = dbeta,
                   .stats = stats,
                   .scratch = scratch,
                   .make_dy = make_dy});
}

template <class T>
void norm_tangent(const NormDims& dims, const T* x, const NormStrides& x_strides, const T* dx, const T* gamma,
                  const T* dgamma, const T* dbeta, const NormStats& stats, T* dy, double* scratch) noexcept {
  run_backward<T>({.dims = dims,
                   .x_strides = x_strides,
                   .x = x,
                   .dy = dx,
                   .gamma = gamma,
                   .dx = dy,
                   .tangent = true,
                   .slope = dgamma,
                   .offset = dbeta,
                   .stats = stats,
                   .scratch = scratch});
}

index_t norm_tile(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplify(given, dense_strides(given)).dims;
  const index_t rows = norm_rows_tile(dims);
  return form(dims, true, true) == Form::columns ? std::max(rows, norm_columns_tile(dims)) : rows;
}

void norm_forward(const NormDims& dims, const NormStorage& storage, const float* gamma, const float* beta, double eps,
                  bool moments, const NormStats& stats, double* scratch) noexcept {
  const NormStorage simple = simplified(dims, storage);
  NormCall<float> call = stored_call(dims, simple);
  call.gamma = gamma;
  call.beta = beta;
  call.eps = eps;
  call.moments = moments;
  call.stats = stats;
  call.scratch = scratch;
  run_forward(call);
}

void norm_backward(const NormDims& dims, const NormStorage& storage, const float* gamma, const NormStats& stats,
                   float* dgamma, float* dbeta, double* scratch) noexcept {
  const NormStorage simple = simplified(dims, storage);
  NormCall<float> call = stored_call(dims, simple);
  call.gamma = gamma;
  call.stats = stats;
  call.dgamma = dgamma;
  call.dbeta = dbeta;
  call.scratch = scratch;
  run_backward(call);
}

#define LIMPID_INSTANTIATE(T)                                                                                          \
  template void norm_forward<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, double, T*,         \
                                const NormStats&, double*) noexcept;                                                   \
  template void norm_apply<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, const NormStats&, T*, \
                              double*) noexcept;                                                                       \
  template void norm_fixed_stats<T>(index_t, const T*, const T*, double, const NormStats&) noexcept;                   \
  template void norm_backward<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, const NormStats&,  \
                                 T*, T*, T*, double*, const NormDyMaker&) noexcept;                                    \
  template void norm_tangent<T>(const NormDims&, const T*, const NormStrides&, const T*, const T*, const T*, const T*, \
                                const NormStats&, T*, double*) noexcept;
LIMPID_INSTANTIATE(float)
LIMPID_INSTANTIATE(double)
#undef LIMPID_INSTANTIATE

}  // namespace limpid::detail
