#include <unistd.h>
#include <limpid/ops/norm/detail/forms.hpp>
#include <limpid/ops/norm/detail/half_storage.hpp>

#include <cmath>
#include <cstdio>

namespace limpid::detail {

using index_t = std::int64_t;

namespace {

// sysconf() may tell the sum over all of a processor's caches, of which this thread fills only its own.
index_t size_of_last_cache() noexcept {
  long kib = 0;
  if (std::FILE* file = std::fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r")) {
    if (std::fscanf(file, "%ldK", &kib) != 1) kib = 0;
    std::fclose(file);
  }
  const long bytes = kib > 0 ? kib * 1024 : sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? index_t{bytes} : index_t{1} << 25;
}

}  // namespace

index_t& last_cache() noexcept {
  static index_t size = size_of_last_cache();
  return size;
}

bool norm_streams(index_t bytes) noexcept { return bytes >= last_cache() / (get_num_threads() > 1 ? 4 : 6); }

NormGeometry simplified(const NormGeometry& given) noexcept {
  auto [dims, x] = given;
  const bool last = dims.layout == NormLayout::channels_last;
  if (dims.s == 1) x.s = last ? dims.channels() : 1;
  if (dims.channels() == 1) x.c = last ? 1 : dims.s;
  if (dims.pooled && dims.s == 1 && (x.c == 1 || dims.channels() == 1)) {  // (N, C): columns of N elements
    dims.layout = NormLayout::channels_last;
    dims.s = dims.n;
    x.s = x.n;
    x.c = 1;
    dims.n = 1;
  } else if (dims.pooled && last) {
    if (dims.s == 1) x.s = x.n;
    dims.s *= dims.n;
    dims.n = 1;
  }
  return {dims, x};
}

namespace {

/// Which form of kernels a plan takes. Without affine a single group of channels-last is rows like any other; with one,
/// it is columns unless its channels make long rows.
enum class Form { rows, channel_rows, columns };
Form form(const NormDims& dims, bool affine, bool backward) noexcept {
  constexpr index_t kLongRow = 256;
  if (dims.s == 1 && !dims.pooled) return Form::channel_rows;
  if (dims.layout == NormLayout::contiguous) return Form::rows;
  if (dims.g > 1 || dims.pooled) return Form::columns;
  if (!affine) return Form::rows;
  return !backward && dims.d >= kLongRow ? Form::channel_rows : Form::columns;
}

template <class T>
void run_forward(const NormCall<T>& call) noexcept {
  const NormDims& dims = call.geometry.dims;
  const Form f = form(dims, dims.affine, false);
  f == Form::columns ? norm_forward_columns(call) : norm_forward_rows(call, f == Form::channel_rows);
}

template <class T>
void run_backward(const NormCall<T>& call) noexcept {
  const NormDims& dims = call.geometry.dims;
  const Form f = form(dims, dims.affine, true);
  f == Form::columns ? norm_backward_columns(call) : norm_backward_rows(call, f == Form::channel_rows);
}

/// Nothing to normalise: gradients of what is there all the same are 0.
template <class T>
void run_empty(const NormCall<T>& call) noexcept {
  const index_t channels = call.geometry.dims.channels();
  for (T* gradient : {call.out.dgamma, call.out.dbeta})
    if (gradient) std::fill(gradient, gradient + channels, T{});
}

}  // namespace

template <class T>
void run_norm(const NormCall<T>& given) noexcept {
  if (given.geometry.dims.size() == 0) return run_empty(given);
  NormCall<T> call = given;
  call.geometry = simplified(given.geometry);
  const NormOperands<T>& in = call.in;
  if (in.gamma || in.beta || in.slope || in.offset || call.out.dgamma || call.out.dbeta)
    call.geometry.dims.affine = true;
  if constexpr (sizeof(T) == 4)
    if (call.half) call = with_stand_ins(call);
  const bool forward = call.pass == NormPass::forward || call.pass == NormPass::apply;
  forward ? run_forward(call) : run_backward(call);
}

NormStrides dense_strides(const NormDims& dims) noexcept {
  const index_t c = dims.channels();
  if (dims.layout == NormLayout::channels_last) return {c * dims.s, 1, c};
  return {c * dims.s, dims.s, 1};
}

bool reads_in_place(const NormDims& dims, const NormStrides& x) noexcept {
  if (dims.layout == NormLayout::contiguous) return true;
  if (dims.channels() != 1 && x.c != 1) return false;
  return !dims.pooled || dims.n == 1 || dims.s == 1 || x.n == dims.s * x.s;
}

namespace {

index_t forward_scratch(const NormGeometry& at) noexcept {
  const NormDims& dims = at.dims;
  const index_t rows = norm_forward_rows_scratch(dims);
  if (dims.layout == NormLayout::contiguous || form(dims, true, false) != Form::columns) return rows;
  return std::max(rows, norm_forward_columns_scratch(at));
}

index_t backward_scratch(const NormGeometry& at) noexcept {
  const NormDims& dims = at.dims;
  const Form with = form(dims, true, true), without = form(dims, false, true);
  if (without == Form::columns) return norm_backward_columns_scratch(at);
  const index_t rows = norm_backward_rows_scratch(dims);
  return with == Form::columns ? std::max(rows, norm_backward_columns_scratch(at)) : rows;
}

}  // namespace

index_t norm_scratch(NormPass pass, const NormGeometry& geometry) noexcept {
  if (geometry.dims.size() == 0) return 0;
  const bool forward = pass == NormPass::forward || pass == NormPass::apply;
  return forward ? forward_scratch(simplified(geometry)) : backward_scratch(simplified(geometry));
}

index_t half_buffer_size(const NormDims& given) noexcept {
  if (given.size() == 0) return 0;
  const NormDims dims = simplified({given, dense_strides(given)}).dims;
  const index_t rows = norm_rows_buffer(dims);
  return form(dims, true, true) == Form::columns ? std::max(rows, norm_columns_buffer(dims)) : rows;
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

template void run_norm(const NormCall<float>&) noexcept;
template void run_norm(const NormCall<double>&) noexcept;
template void norm_fixed_stats(index_t, const float*, const float*, double, const NormStats&) noexcept;
template void norm_fixed_stats(index_t, const double*, const double*, double, const NormStats&) noexcept;

}  // namespace limpid::detail
