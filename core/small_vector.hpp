// A vector whose first N elements need no heap.
#pragma once
#include <limpid/core/allocator.hpp>
#include <limpid/core/export.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <new>
#include <type_traits>
#include <utility>

namespace LIMPID_API limpid {

template <class T, std::size_t N>
class SmallVector {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() noexcept {}
  explicit SmallVector(std::size_t count) {
    reserve(count);
    while (size_ < count) emplace_back();
  }
  SmallVector(std::size_t count, const T& value) {
    reserve(count);
    while (size_ < count) emplace_back(value);
  }
  SmallVector(std::initializer_list<T> values) : SmallVector(values.begin(), values.end()) {}
  template <class It>
  requires(!std::is_integral_v<It>) SmallVector(It first, It last) {
    append(first, static_cast<std::size_t>(last - first));
  }
  SmallVector(const SmallVector& other) { copy(other); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) {
      if constexpr (is_block)
        copy(other);
      else
        *this = SmallVector(other);
    }
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~SmallVector() { free(); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t i) noexcept { return data_[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_[i]; }
  T& front() noexcept { return data_[0]; }
  const T& front() const noexcept { return data_[0]; }
  T& back() noexcept { return data_[size_ - 1]; }
  const T& back() const noexcept { return data_[size_ - 1]; }

  void push_back(T value) { emplace_back(std::move(value)); }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) [[unlikely]]
      grow(2 * std::size_t{capacity_});
    T* place = new (static_cast<void*>(data_ + size_)) T(std::forward<Args>(args)...);
    ++size_;
    return *place;
  }
  void pop_back() noexcept { data_[--size_].~T(); }
  /// Before position i, which may be size().
  void insert(std::size_t i, T value) {
    push_back(std::move(value));
    for (std::size_t k = size_ - 1; k > i; --k) std::swap(data_[k], data_[k - 1]);
  }
  void erase(std::size_t i) noexcept {
    for (; i + 1 < size_; ++i) data_[i] = std::move(data_[i + 1]);
    pop_back();
  }
  void clear() noexcept {
    destroy();
    size_ = 0;
  }
  void resize(std::size_t count, const T& value = T()) {
    reserve(count);
    while (size_ > count) pop_back();
    while (size_ < count) push_back(value);
  }
  void reserve(std::size_t count) {
    if (count > capacity_) [[unlikely]]
      grow(count);
  }

  friend bool operator==(const SmallVector& a, const SmallVector& b) noexcept {
    if (a.size_ != b.size_) return false;
    for (std::uint32_t i = 0; i < a.size_; ++i)  // a call of memcmp would cost more than the few elements
      if (!(a.data_[i] == b.data_[i])) return false;
    return true;
  }

 private:
  T* inline_data() noexcept { return reinterpret_cast<T*>(inline_); }
  bool on_heap() const noexcept { return reinterpret_cast<const std::byte*>(data_) != inline_; }

  /// Copied as one block of N, whatever its size: a few moves instead of a loop or a call.
  static constexpr bool is_block = std::is_trivially_copyable_v<T> && N * sizeof(T) <= 64;

  [[gnu::noinline]] void grow(std::size_t capacity) {
    if (capacity > UINT32_MAX) throw std::bad_alloc();
    T* bigger = static_cast<T*>(allocate(capacity * sizeof(T)));
    for (std::uint32_t i = 0; i < size_; ++i) new (static_cast<void*>(bigger + i)) T(std::move(data_[i]));
    free();
    data_ = bigger;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }
  void destroy() noexcept {
    for (std::uint32_t i = 0; i < size_; ++i) data_[i].~T();
  }
  void free() noexcept {
    destroy();
    if (on_heap()) [[unlikely]]
      deallocate(data_, capacity_ * sizeof(T));
  }
  void release() noexcept {
    free();
    data_ = inline_data();
    size_ = 0;
    capacity_ = N;
  }
  /// Expects *this to be empty, or of a type that needs no destruction.
  void copy(const SmallVector& other) {
    if (is_block && other.size_ <= N) [[likely]] {
      std::memcpy(static_cast<void*>(data_), static_cast<const void*>(other.data_), N * sizeof(T));
      size_ = other.size_;
    } else {
      copy_elements(other);
    }
  }
  [[gnu::noinline]] void copy_elements(const SmallVector& other) {
    size_ = 0;
    append(other.begin(), other.size_);
  }
  template <class It>
  void append(It first, std::size_t count) {
    reserve(count);
    for (; size_ < count; ++first) emplace_back(*first);
  }
  /// Expects *this to be empty and inline.
  void take(SmallVector& other) noexcept {
    if (other.on_heap()) [[unlikely]] {
      data_ = std::exchange(other.data_, other.inline_data());
      capacity_ = std::exchange(other.capacity_, static_cast<std::uint32_t>(N));
      size_ = std::exchange(other.size_, 0u);
    } else if constexpr (is_block) {
      std::memcpy(static_cast<void*>(data_), static_cast<const void*>(other.data_), N * sizeof(T));
      size_ = std::exchange(other.size_, 0u);
    } else {
      for (; size_ < other.size_; ++size_) new (static_cast<void*>(data_ + size_)) T(std::move(other.data_[size_]));
      other.clear();
    }
  }

  T* data_ = inline_data();
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = N;
  alignas(T) std::byte inline_[N * sizeof(T)];
};

}  // namespace limpid
