// Intrusive, thread-safe reference counting.
#pragma once
#include <limpid/core/export.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace LIMPID_API limpid {

namespace detail {
/// True only while the process has no thread but the caller's, so that counting need not be atomic.
inline bool is_only_thread() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded;
#else
  return false;
#endif
}
}  // namespace detail

/// Counts its references; the last one calls Derived::dispose() noexcept.
template <class Derived>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void retain() const noexcept {
    if (detail::is_only_thread())
      refs_.store(refs_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    else
      refs_.fetch_add(1, std::memory_order_relaxed);
  }
  void release() const noexcept {
    // The only holder needs no atomic step: nobody else can add a reference.
    const uint32_t refs = refs_.load(std::memory_order_acquire);
    if (refs == 1)
      const_cast<Derived*>(static_cast<const Derived*>(this))->dispose();
    else if (detail::is_only_thread())
      refs_.store(refs - 1, std::memory_order_relaxed);
    else if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      const_cast<Derived*>(static_cast<const Derived*>(this))->dispose();
  }
  /// The first reference, to an object that nobody else knows yet: no atomic step either.
  void retain_first() const noexcept { refs_.store(1, std::memory_order_relaxed); }
  uint32_t use_count() const noexcept { return refs_.load(std::memory_order_acquire); }

 protected:
  ~RefCounted() = default;

 private:
  mutable std::atomic<uint32_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  template <std::same_as<std::nullptr_t> Null>  // no 0: a {0} is the shape of no elements, and never a Tensor
  Ref(Null) noexcept {}                         // NOLINT
  explicit Ref(T* p) noexcept : p_(p) {
    if (p_) p_->retain();
  }
  /// Of a new object.
  static Ref first(T* p) noexcept {
    Ref result;
    result.p_ = p;
    p->retain_first();
    return result;
  }
  Ref(const Ref& other) noexcept : Ref(other.p_) {}
  Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> Ref(Ref<U>&& other)
  noexcept : p_(other.detach()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }

  T* get() const noexcept { return p_; }
  /// Hands the reference over: the caller is to release it.
  T* detach() noexcept { return std::exchange(p_, nullptr); }
  T* operator->() const noexcept { return p_; }
  T& operator*() const noexcept { return *p_; }
  explicit operator bool() const noexcept { return p_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) noexcept { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

}  // namespace limpid
