// Memory for the length of a call.
#pragma once
#include <limpid/core/allocator.hpp>

#include <cstddef>
#include <utility>

namespace limpid::detail {

/// Uninitialised, from our allocator.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes), data_(bytes ? allocate(bytes) : nullptr) {}
  Buffer(Buffer&& other) noexcept : bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&&) = delete;
  ~Buffer() {
    if (data_) deallocate(data_, bytes_);
  }
  void* data() const noexcept { return data_; }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  std::size_t bytes_;
  void* data_;
};

}  // namespace limpid::detail
