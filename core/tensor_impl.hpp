// What a Tensor points at. Users need core/tensor.hpp alone.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/shape.hpp>

#include <cstddef>
#include <cstdint>

namespace LIMPID_API limpid {

/// Bytes shared by a tensor and its views, 64-byte aligned, with the version that in-place writes advance.
///
/// A storage lies in one block with its bytes, and before them there is room for a tensor as well: that of small memory
/// lies there (see TensorImpl::create).
class Storage final : public RefCounted<Storage> {
 public:
  /// Uninitialised memory from the caching allocator.
  static Ref<Storage> create(std::size_t bytes);
  /// Borrowed memory; deleter(context) runs when the last tensor lets go (may be null).
  static Ref<Storage> borrow(void* data, std::size_t bytes, void (*deleter)(void*), void* context);

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  uint32_t version() const noexcept { return version_; }
  void bump_version() noexcept { ++version_; }
  /// Rises when a write in place gives the memory another history, which views made before do not tell.
  uint32_t epoch() const noexcept { return epoch_; }
  void begin_epoch() noexcept { ++epoch_; }
  /// Made where nothing may become part of a graph.
  bool from_inference() const noexcept { return from_inference_; }
  /// What was made there is to be trained after all.
  void leave_inference() noexcept { from_inference_ = false; }
  /// Computed from others wherever it is read, so that what is written to it would be lost.
  bool is_read_only() const noexcept { return read_only_; }
  void make_read_only() noexcept { read_only_ = true; }
  void dispose() noexcept;

 private:
  friend struct TensorImpl;
  Storage(std::byte* data, std::size_t bytes, std::size_t owned) noexcept : data_(data), bytes_(bytes), owned_(owned) {}
  void* block() noexcept;

  uint32_t version_ = 0;
  uint32_t epoch_ = 0;
  bool from_inference_ = false;
  bool read_only_ = false;
  std::byte* data_;
  std::size_t bytes_;
  std::size_t owned_;  ///< bytes in the storage's block: none where they are borrowed
  void (*deleter_)(void*) = nullptr;
  void* context_ = nullptr;
};

/// Where elements lie. Never changed, and shared by tensors that lie alike: a result shares its operand's.
struct Layout final : RefCounted<Layout> {
  /// Throws ShapeError (see Shape::numel).
  static Ref<const Layout> create(Shape shape, Strides strides);

  Shape shape;
  Strides strides;  ///< in elements
  int64_t numel;
  bool contiguous;     ///< row-major without gaps
  bool channels_last;  ///< channels-last without gaps
  bool is_gapless() const noexcept { return contiguous || channels_last; }

  void dispose() noexcept;

 private:
  Layout(Shape sizes, Strides steps, int64_t count) noexcept;
};

/// What autograd hangs on a tensor; core knows no more of it than that it is counted.
class GradHandle : public RefCounted<GradHandle> {
 public:
  virtual ~GradHandle() = default;
  /// The tensor that owns what is gathered for output `index` is gone, and with it who could ask for that.
  virtual void owner_gone(uint32_t /*index*/) noexcept {}
  /// The last reference is gone.
  virtual void dispose() noexcept { delete this; }
};

enum class MemoryFormat : uint8_t {
  contiguous,    ///< row-major
  channels_last  ///< (N, C, *spatial) with C fastest; rank 3 and up
};

struct TensorImpl final : RefCounted<TensorImpl> {
  /// Over fresh, uninitialised memory for a layout without gaps. The dtype must be one of the eight: make_tensor()
  /// checks.
  static Ref<TensorImpl> create(Ref<const Layout> layout, DType dtype);
  /// Over memory from its byte `data` on.
  static Ref<TensorImpl> create(Ref<Storage> memory, std::byte* data, Ref<const Layout> layout, DType dtype);

  // dispose() lets go of members by hand: another one that owns something must be released there as well.
  uint32_t grad_index = 0;  ///< which output of its node this is
  Ref<GradHandle> grad;     ///< the node that made this tensor, or the leaf that gathers its gradient
  Ref<const Layout> layout;
  Ref<Storage> storage;
  std::byte* data;  ///< the first element
  DType dtype;
  bool is_view = false;
  bool owns_gradient = false;  ///< grad gathers for this tensor, and is told when it goes
  uint32_t epoch = 0;          ///< of a view: the storage's when it was made

  const Shape& shape() const noexcept { return layout->shape; }
  const Strides& strides() const noexcept { return layout->strides; }
  int64_t numel() const noexcept { return layout->numel; }

  /// Takes the memory of x (another's than this tensor's), its dtype and layout, for all who hold this tensor to see.
  void become(const TensorImpl& x);
  void dispose() noexcept;

 private:
  TensorImpl(Ref<Storage> memory, std::byte* start, Ref<const Layout> where, DType type, bool with_storage) noexcept
      : layout(std::move(where)),
        storage(std::move(memory)),
        data(start),
        dtype(type),
        with_storage_(with_storage) {}
  Storage* neighbour() noexcept { return reinterpret_cast<Storage*>(this + 1); }

  bool with_storage_;  ///< this lies in the block of the storage it was made with, before that
};

}  // namespace limpid
