// What a Tensor points at. Users need core/tensor.hpp alone.
#pragma once
#include <limpid/core/dtype.hpp>
#include <limpid/core/ref.hpp>
#include <limpid/core/shape.hpp>

#include <cstddef>
#include <cstdint>

namespace limpid {

/// Bytes shared by a tensor and its views, 64-byte aligned, with the version that in-place writes advance.
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
  void dispose() noexcept;

 private:
  Storage() = default;
  uint32_t epoch_ = 0;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  void (*deleter_)(void*) = nullptr;
  void* context_ = nullptr;
  uint32_t version_ = 0;
  bool borrowed_ = false;
  bool from_inference_ = false;
};

/// What autograd hangs on a tensor; core knows no more of it than that it is counted.
class GradHandle : public RefCounted<GradHandle> {
 public:
  virtual ~GradHandle() = default;
  /// The last reference is gone.
  virtual void dispose() noexcept { delete this; }
};

enum class MemoryFormat : uint8_t {
  contiguous,    ///< row-major
  channels_last  ///< (N, C, *spatial) with C fastest; rank 3 and up
};

struct TensorImpl final : RefCounted<TensorImpl> {
  TensorImpl(Ref<Storage> storage, DType dtype, Shape shape, Strides strides, int64_t offset);
  /// Of the shape and strides of `like`, for which memory must have room from start on.
  TensorImpl(Ref<Storage> memory, DType type, const TensorImpl& like, int64_t start)
      : storage(std::move(memory)),
        dtype(type),
        contiguous(like.contiguous),
        channels_last(like.channels_last),
        offset(start),
        numel(like.numel),
        shape(like.shape),
        strides(like.strides) {}

  uint32_t epoch = 0;  ///< of a view: the storage's when it was made
  Ref<Storage> storage;
  Ref<GradHandle> grad;     ///< the node that made this tensor, or the leaf that gathers its gradient
  uint32_t grad_index = 0;  ///< which output of that node
  DType dtype;
  bool contiguous;     ///< row-major without gaps
  bool channels_last;  ///< channels-last without gaps
  bool is_view = false;
  int64_t offset;  ///< in elements
  int64_t numel;
  Shape shape;
  Strides strides;

  void dispose() noexcept;
  static void* operator new(std::size_t bytes);
  static void operator delete(void* p, std::size_t bytes) noexcept;
};

}  // namespace limpid
