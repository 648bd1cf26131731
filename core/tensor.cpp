#include <limpid/core/tensor.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/pool.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>

namespace limpid {

using detail::throw_error;

// Room for a tensor, a storage; then, aligned, the bytes.
constexpr std::size_t header_bytes = 128;
static_assert(sizeof(TensorImpl) + sizeof(Storage) <= header_bytes);

void* Storage::block() noexcept { return reinterpret_cast<std::byte*>(this) - sizeof(TensorImpl); }

Ref<Storage> Storage::create(std::size_t bytes) {
  auto* block = static_cast<std::byte*>(detail::pool_allocate(header_bytes + bytes));
  auto* storage = new (block + sizeof(TensorImpl)) Storage(block + header_bytes, bytes, bytes);
  storage->from_inference_ = detail::thread_cache.inference;
  if (detail::thread_cache.meter) [[unlikely]]
    *detail::thread_cache.meter += static_cast<int64_t>(bytes);
  return Ref<Storage>::first(storage);
}

Ref<Storage> Storage::borrow(void* data, std::size_t bytes, void (*deleter)(void*), void* context) {
  auto* block = static_cast<std::byte*>(detail::pool_allocate(header_bytes));
  auto* storage = new (block + sizeof(TensorImpl)) Storage(static_cast<std::byte*>(data), bytes, 0);
  storage->deleter_ = deleter;
  storage->context_ = context;
  return Ref<Storage>::first(storage);
}

void Storage::dispose() noexcept {
  if (deleter_) [[unlikely]]
    deleter_(context_);
  detail::pool_deallocate(block(), header_bytes + owned_);
}

[[gnu::noinline]] static Ref<TensorImpl> create_apart(Ref<const Layout> layout, DType dtype, std::size_t bytes) {
  Ref<Storage> memory = Storage::create(bytes);
  std::byte* data = memory->data();
  return TensorImpl::create(std::move(memory), data, std::move(layout), dtype);
}

[[gnu::flatten]] Ref<TensorImpl> TensorImpl::create(Ref<const Layout> layout, DType dtype) {
  // Together with small memory alone: should the tensor take other memory, it would keep this.
  constexpr std::size_t small = 1024;
  const std::size_t bytes = static_cast<std::size_t>(layout->numel) * itemsize(dtype);
  if (bytes > small) return create_apart(std::move(layout), dtype, bytes);
  Ref<Storage> memory = Storage::create(bytes);
  std::byte* data = memory->data();
  void* place = memory->block();
  return Ref<TensorImpl>::first(new (place) TensorImpl(std::move(memory), data, std::move(layout), dtype, true));
}

Ref<TensorImpl> TensorImpl::create(Ref<Storage> memory, std::byte* data, Ref<const Layout> layout, DType dtype) {
  void* place = detail::pool_allocate(sizeof(TensorImpl));
  return Ref<TensorImpl>::first(new (place) TensorImpl(std::move(memory), data, std::move(layout), dtype, false));
}

void TensorImpl::become(const TensorImpl& x) {
  if (with_storage_ && storage.get() == neighbour()) neighbour()->retain();  // for the block that this lies in
  storage = x.storage;
  layout = x.layout;
  data = x.data;
  dtype = x.dtype;
  is_view = false;
}

[[gnu::flatten]] void TensorImpl::dispose() noexcept {
  // No destructor runs, for it would ask each reference once more whether it is one: every member that owns something
  // is let go of here.
  layout->release();
  if (grad) {
    if (owns_gradient) [[unlikely]]
      grad->owner_gone(grad_index);
    grad->release();
  }
  Storage* const memory = storage.get();
  if (!with_storage_)
    detail::pool_deallocate(this, sizeof(TensorImpl));
  else if (memory != neighbour()) [[unlikely]]
    neighbour()->release();
  memory->release();  // last: this may lie in its block
}

namespace {

// Gaps never matter along an axis of size 1.
struct Gapless {
  const Shape& shape;
  const Strides& strides;
  int64_t step = 1;
  bool holds = true;

  void add(std::size_t axis) noexcept {
    holds = holds && (shape[axis] == 1 || strides[axis] == step);
    step *= shape[axis];
  }
};

bool is_row_major(const Shape& shape, const Strides& strides) noexcept {
  Gapless memory{shape, strides};
  for (std::size_t i = shape.size(); i-- > 0;) memory.add(i);
  return memory.holds;
}

bool is_channels_last(const Shape& shape, const Strides& strides) noexcept {
  if (shape.size() < 3) return false;
  Gapless memory{shape, strides};
  memory.add(1);
  for (std::size_t i = shape.size(); i-- > 2;) memory.add(i);
  memory.add(0);
  return memory.holds;
}

}  // namespace

// An empty tensor is both, whatever its strides.
Layout::Layout(Shape sizes, Strides steps, int64_t count) noexcept
    : shape(std::move(sizes)),
      strides(std::move(steps)),
      numel(count),
      contiguous(numel == 0 || is_row_major(shape, strides)),
      channels_last(numel == 0 ? shape.size() >= 3 : is_channels_last(shape, strides)) {}

Ref<const Layout> Layout::create(Shape shape, Strides strides) {
  const int64_t count = shape.numel();  // throws before there is a block to give back
  if (shape.size() > 64) throw_error<ShapeError>("shape: expected at most 64 axes, got ", shape.size());
  void* place = detail::pool_allocate(sizeof(Layout));
  return Ref<const Layout>::first(new (place) Layout(std::move(shape), std::move(strides), count));
}

void Layout::dispose() noexcept {
  this->~Layout();
  detail::pool_deallocate(this, sizeof(Layout));
}

namespace {

// Row-major layouts that this thread made last: a training step asks for the same few shapes again and again.
struct RecentLayouts {
  static constexpr int bits = 4;
  const Layout* places[1 << bits];
  bool guarded, closed;

  const Layout*& place_of(const Shape& shape) noexcept {
    uint64_t hash = shape.size();
    for (const int64_t size : shape) hash = (hash + static_cast<uint64_t>(size)) * 0x9e3779b97f4a7c15u;
    return places[hash >> (64 - bits)];
  }
};
// Trivially destructible, as tensors may be made after the guard is gone.
LIMPID_FAST_TLS thread_local constinit RecentLayouts recent_layouts{};

struct RecentLayoutsGuard {
  ~RecentLayoutsGuard() {
    recent_layouts.closed = true;
    for (const Layout*& layout : recent_layouts.places)
      if (const Layout* last = std::exchange(layout, nullptr)) last->release();
  }
};

[[gnu::noinline]] Ref<const Layout> make_row_major(const Shape& shape, const Layout*& place) {
  shape.numel();  // throws before the strides of an impossible shape overflow
  Ref<const Layout> layout = Layout::create(shape, contiguous_strides(shape));
  if (recent_layouts.closed) return layout;
  if (!recent_layouts.guarded) {
    thread_local RecentLayoutsGuard guard;
    static_cast<void>(guard);
    recent_layouts.guarded = true;
  }
  if (const Layout* before = std::exchange(place, Ref<const Layout>(layout).detach())) before->release();
  return layout;
}

Ref<const Layout> row_major(const Shape& shape) {
  const Layout*& place = recent_layouts.place_of(shape);
  if (place && place->shape == shape) [[likely]]
    return Ref<const Layout>(place);
  return make_row_major(shape, place);
}

}  // namespace

int64_t Tensor::size(int64_t axis) const {
  const Shape& sizes = shape();
  const int64_t i = axis < 0 ? axis + sizes.dim() : axis;
  if (i < 0 || i >= sizes.dim()) [[unlikely]]
    normalize_axis(axis, sizes.dim(), "size");  // throws
  return sizes[static_cast<std::size_t>(i)];
}

void Tensor::undefined() { throw_error<ValueError>("tensor: expected a defined tensor, got an undefined one"); }

void Tensor::wrong_data_type(DType asked) const {
  throw_error<DTypeError>("data: expected ", dtype(), ", the tensor's dtype, got ", asked);
}

namespace {

const void* only_element(const Tensor& x) {
  if (x.numel() != 1) throw_error<ShapeError>("item: expected a tensor of one element, got shape ", x.shape());
  return x.raw_data();
}

}  // namespace

double Tensor::item_double() const {
  const void* p = only_element(*this);
  return visit_dtype(dtype(), [&]<class T>(T) -> double {
    const T value = *static_cast<const T*>(p);
    if constexpr (std::is_arithmetic_v<T>)
      return static_cast<double>(value);
    else
      return double{to_float(value)};
  });
}

int64_t Tensor::item_int64() const {
  if (is_floating_point(dtype())) return detail::number<int64_t>("item", item_double());
  const void* p = only_element(*this);
  return visit_dtype(dtype(), [&]<class T>(T) -> int64_t {
    if constexpr (std::is_integral_v<T>)
      return static_cast<int64_t>(*static_cast<const T*>(p));
    else
      return 0;
  });
}

void Tensor::item_out_of_range(std::size_t bits, bool is_signed) const {
  throw_error<ValueError>("item: expected a number that ", is_signed ? "a signed" : "an unsigned", " integer of ", bits,
                          " bits holds, got ", item_int64());
}

// An enumeration may hold any number of its bytes.
static void require_known(DType dtype) {
  if (dtype > DType::float64) throw_error<DTypeError>("tensor: expected one of the eight dtypes, got ", dtype);
}

namespace detail {

Tensor make_tensor(Ref<const Layout> layout, DType dtype) {
  require_known(dtype);
  return Tensor(TensorImpl::create(std::move(layout), dtype));
}

Tensor make_view(const Tensor& x, Shape shape, Strides strides, int64_t offset) {
  const TensorImpl& impl = x.impl();
  std::byte* data = impl.storage->data() + offset * static_cast<int64_t>(itemsize(impl.dtype));
  Tensor view(TensorImpl::create(impl.storage, data, Layout::create(std::move(shape), std::move(strides)), impl.dtype));
  view.impl().is_view = true;
  view.impl().epoch = impl.storage->epoch();
  return view;
}

Tensor part_of(const Tensor& x, std::size_t axis, int64_t start, int64_t count, int64_t step) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  const int64_t offset = x.offset() + (count > 0 ? start * strides[axis] : 0);
  shape[axis] = count;
  strides[axis] *= step;
  return make_view(x, std::move(shape), std::move(strides), offset);
}

Tensor as_contiguous(const Tensor& x, MemoryFormat format) {
  if (x.is_contiguous(format)) return x;
  Tensor y = empty(x.shape(), x.dtype(), format);
  copy_into(y, x);
  return y;
}

Tensor as_dtype(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = empty_like(x, dtype);
  copy_into(y, x);
  return y;
}

}  // namespace detail

Tensor empty(const Shape& shape, DType dtype, MemoryFormat format) {
  if (format == MemoryFormat::contiguous) return detail::make_tensor(row_major(shape), dtype);
  detail::require_format("empty", format);
  shape.numel();  // an impossible shape is an error before anything else
  if (shape.size() < 3) throw_error<ShapeError>("empty: expected at least 3 axes for channels_last, got shape ", shape);
  return detail::make_tensor(Layout::create(shape, channels_last_strides(shape)), dtype);
}

Tensor empty_like(const Tensor& x, std::optional<DType> dtype, std::optional<MemoryFormat> format) {
  const DType type = dtype.value_or(x.dtype());
  const MemoryFormat order = format.value_or(x.memory_format());
  return x.is_contiguous(order) ? detail::make_tensor(x.impl().layout, type) : empty(x.shape(), type, order);
}

Tensor full(const Shape& shape, Scalar value, DType dtype, MemoryFormat format) {
  Tensor y = empty(shape, dtype, format);
  detail::fill(y, value, "full");
  return y;
}
Tensor zeros(const Shape& shape, DType dtype, MemoryFormat format) { return full(shape, 0, dtype, format); }
Tensor ones(const Shape& shape, DType dtype, MemoryFormat format) { return full(shape, 1, dtype, format); }
Tensor full_like(const Tensor& x, Scalar value, std::optional<DType> dtype, std::optional<MemoryFormat> format) {
  Tensor y = empty_like(x, dtype, format);
  detail::fill(y, value, "full_like");
  return y;
}
Tensor zeros_like(const Tensor& x, std::optional<DType> dtype, std::optional<MemoryFormat> format) {
  return full_like(x, 0, dtype, format);
}
Tensor ones_like(const Tensor& x, std::optional<DType> dtype, std::optional<MemoryFormat> format) {
  return full_like(x, 1, dtype, format);
}

namespace detail {

Tensor empty_for_values(std::size_t count, const Shape& shape, DType dtype) {
  if (static_cast<int64_t>(count) != shape.numel())
    throw_error<ShapeError>("from_vector: expected ", shape.numel(), " values for shape ", shape, ", got ", count);
  return empty(shape, dtype);
}

Tensor from_values(const void* values, std::size_t count, const Shape& shape, DType dtype) {
  Tensor y = empty_for_values(count, shape, dtype);
  std::copy_n(static_cast<const std::byte*>(values), count * itemsize(dtype), static_cast<std::byte*>(y.raw_data()));
  return y;
}

int64_t checked_int64(std::uint64_t value) {
  if (value > static_cast<std::uint64_t>(std::numeric_limits<int64_t>::max()))
    throw_error<ValueError>("from_vector: expected numbers that int64 holds, got ", value);
  return static_cast<int64_t>(value);
}

}  // namespace detail

namespace {

// Values f(i) for i < count, converted from what f gives.
template <class F>
Tensor generate(int64_t count, DType dtype, F f) {
  using T = decltype(f(int64_t{}));
  const Tensor wide = empty({count}, dtype_of<T>());
  for (int64_t i = 0; i < count; ++i) wide.data<T>()[i] = f(i);
  return detail::as_dtype(wide, dtype);
}

[[noreturn]] void refuse_range(Scalar start, Scalar stop, Scalar step) {
  throw_error<ValueError>(
      "arange: expected finite bounds and a step other than 0, got start = ", detail::text_of(start),
      ", stop = ", detail::text_of(stop), ", step = ", detail::text_of(step));
}

// A number of arange in doubles, which round no integer unseen.
double as_double(Scalar x) {
  const double value = x.to_double();
  if (!x.is_floating() && detail::whole_of(x) != detail::whole_of(value))
    throw_error<ValueError>(
        "arange: expected an integer that float64 holds beside a number that int64 does not hold, got ",
        detail::text_of(x));
  return value;
}

// Of values from first to last, in order: what lies between is held where both ends are.
void require_held(const char* op, Scalar first, Scalar last, DType dtype) {
  if (dtype == bool_) throw_error<DTypeError>(op, ": expected a dtype of numbers, got bool");
  std::byte place[8];
  detail::store_number(op, first, dtype, place);
  detail::store_number(op, last, dtype, place);
}

uint64_t unsign(int64_t x) noexcept { return static_cast<uint64_t>(x); }

// How many integers lie from start on before stop, without overflow: of the distance and the step, both unsigned.
uint64_t count_integers(int64_t start, int64_t stop, int64_t step) {
  const bool rises = step > 0;
  if (rises ? stop <= start : stop >= start) return 0;
  const uint64_t distance = rises ? unsign(stop) - unsign(start) : unsign(start) - unsign(stop);
  const uint64_t size = rises ? unsign(step) : 0 - unsign(step);
  return (distance - 1) / size + 1;
}

}  // namespace

Tensor arange(Scalar start, Scalar stop, Scalar step, std::optional<DType> dtype) {
  const bool floating = start.is_floating() || stop.is_floating() || step.is_floating();
  const DType type = dtype.value_or(floating ? float32 : int64);
  if (!floating || (start.is_int64() && stop.is_int64() && step.is_int64())) {
    const int64_t first = detail::number<int64_t>("arange", start), last = detail::number<int64_t>("arange", stop),
                  by = detail::number<int64_t>("arange", step);
    if (by == 0) refuse_range(start, stop, step);
    const uint64_t count = count_integers(first, last, by);
    const int64_t numel = count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
                              ? std::numeric_limits<int64_t>::max()  // which is no shape
                              : static_cast<int64_t>(count);
    const auto at = [=](int64_t i) {
      return static_cast<int64_t>(unsign(first) + unsign(i) * unsign(by));  // the product alone may overflow
    };
    const bool none = numel == 0;
    require_held("arange", none ? 0 : first, none ? 0 : at(numel - 1), type);
    return generate(numel, type, at);
  }
  const double first = as_double(start), last = as_double(stop), by = as_double(step);
  const bool finite = std::isfinite(first) && std::isfinite(last) && std::isfinite(by);
  if (by == 0 || !finite) refuse_range(start, stop, step);
  const double reach = last - first, steps = std::isfinite(reach) ? reach / by : last / by - first / by;
  const double count = std::max(0.0, std::ceil(steps));
  const auto numel = count < 0x1p63 ? static_cast<int64_t>(count) : std::numeric_limits<int64_t>::max();
  Shape{numel}.numel();  // too many for any tensor, whatever they are
  const auto at = [=](int64_t i) {
    const double k = static_cast<double>(i), way = k * by;
    return std::isfinite(way) ? first + way : std::fma(k, by, first);  // the way may be longer than any double
  };
  require_held("arange", numel ? first : 0, numel ? at(numel - 1) : 0, type);
  return generate(numel, type, at);
}
Tensor arange(Scalar start, Scalar stop, std::optional<DType> dtype) { return arange(start, stop, 1, dtype); }
Tensor arange(Scalar stop, std::optional<DType> dtype) { return arange(0, stop, 1, dtype); }

Tensor linspace(Scalar start, Scalar stop, int64_t count, DType dtype) {
  if (count < 0) throw_error<ValueError>("linspace: expected a count of at least 0, got ", count);
  const double from = start.to_double(), to = stop.to_double();
  if (!std::isfinite(from) || !std::isfinite(to))
    throw_error<ValueError>("linspace: expected finite ends, got ", from, " and ", to);
  require_held("linspace", start, stop, dtype);
  const int64_t steps = std::max<int64_t>(count - 1, 1);
  if (!is_floating_point(dtype) && start.is_int64() && stop.is_int64()) {
    using Wide = __int128;  // start * steps fits
    const Wide first = start.to_int64(), distance = stop.to_int64() - first;
    return generate(count, dtype,
                    [=](int64_t i) { return static_cast<int64_t>((first * steps + i * distance) / steps); });
  }
  // From the nearer end, by products, for a step may be too small for double; in small units where those overflow. No
  // further than the ends as dtype holds them, which have been rounded.
  const double last = static_cast<double>(steps), unit = std::isfinite((to - from) * last) ? 1 : 0x1p-64,
               distance = to * unit - from * unit;
  const auto held = [=](Scalar end) { return detail::saturated("linspace", end, dtype).to_double(); };
  const double least = std::min(held(start), held(stop)), most = std::max(held(start), held(stop));
  const Tensor y = generate(count, dtype, [=](int64_t i) {
    const double k = static_cast<double>(i);
    const double scaled = 2 * i < count ? from * unit + k * distance / last : to * unit - (last - k) * distance / last;
    return std::clamp(scaled / unit, least, most);
  });
  // Both ends as they are given.
  auto* place = static_cast<std::byte*>(y.raw_data());
  if (count > 1)
    detail::store_number("linspace", stop, dtype, place + static_cast<std::size_t>(y.numel() - 1) * y.itemsize());
  if (count > 0) detail::store_number("linspace", start, dtype, place);
  return y;
}

Tensor eye(int64_t n, DType dtype) {
  Tensor y = zeros({n, n}, dtype);
  detail::fill(detail::make_view(y, {n}, {n + 1}, 0), 1);
  return y;
}

Tensor detail::tensor_of(const Scalar* values, std::size_t count, DType dtype) {
  Tensor y = empty({static_cast<int64_t>(count)}, dtype);
  auto* place = static_cast<std::byte*>(y.raw_data());
  for (std::size_t i = 0; i < count; ++i, place += itemsize(dtype)) store_number("tensor", values[i], dtype, place);
  return y;
}

namespace {

// What stands first decides.
Shape shape_of(const detail::Nested& values) {
  Shape shape;
  for (const detail::Nested* at = &values; at->is_list(); at = at->begin()) {
    shape.push_back(at->count());
    if (at->count() == 0) break;
  }
  return shape;
}

std::string kind_of(const detail::Nested& x) {
  return x.is_list() ? detail::message("a list of ", x.count()) : "a number";
}

// The numbers of one level into a tensor's memory, which they move on.
void store(const detail::Nested& values, const detail::Nested& first, DType dtype, std::byte*& place) {
  if (values.is_list() != first.is_list() || values.count() != first.count())
    throw_error<ShapeError>("tensor: expected lists side by side to be of one shape, got ", kind_of(values), " beside ",
                            kind_of(first));
  if (!values.is_list()) {
    detail::store_number("tensor", values.number(), dtype, place);
    place += itemsize(dtype);
  }
  for (const detail::Nested& item : values) store(item, *first.begin(), dtype, place);
}

}  // namespace

Tensor tensor(const detail::Nested& values, DType dtype) {
  const Tensor y = empty(shape_of(values), dtype);
  auto* place = static_cast<std::byte*>(y.raw_data());
  store(values, values, dtype, place);
  return y;
}

Tensor from_blob(void* data, const Shape& shape, DType dtype, void (*deleter)(void*), void* context) {
  require_known(dtype);
  const std::size_t bytes = static_cast<std::size_t>(shape.numel()) * itemsize(dtype);
  if (!data && bytes) throw_error<ValueError>("from_blob: expected memory for shape ", shape, ", got a null pointer");
  // The elements' types are as large as they are aligned.
  if (const std::size_t beyond = reinterpret_cast<std::uintptr_t>(data) % itemsize(dtype))
    throw_error<ValueError>("from_blob: expected memory aligned to ", itemsize(dtype), " bytes for ", dtype,
                            ", got an address of ", beyond, beyond == 1 ? " byte more" : " bytes more");
  Ref<const Layout> layout = Layout::create(shape, contiguous_strides(shape));
  Ref<Storage> storage = Storage::borrow(data, bytes, deleter, context);
  return Tensor(TensorImpl::create(std::move(storage), static_cast<std::byte*>(data), std::move(layout), dtype));
}

}  // namespace limpid
