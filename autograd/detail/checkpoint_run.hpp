// What the function of a checkpoint meets in its first run and would not meet again.
#pragma once
#include <limpid/core/tensor.hpp>

#include <deque>
#include <utility>

namespace limpid::detail {

/// A run of a checkpoint's function on this thread, for as long as it lives: the first, which takes notes, or one of
/// those in backward, which reads them. Keys are addresses of what lives as long as the function. Runs stand within
/// each other as checkpoints do.
class CheckpointRun {
 public:
  using Notes = std::deque<std::pair<const void*, Tensor>>;
  explicit CheckpointRun(Notes& first_notes) noexcept;
  explicit CheckpointRun(const Notes& notes);
  ~CheckpointRun();
  CheckpointRun(const CheckpointRun&) = delete;
  CheckpointRun& operator=(const CheckpointRun&) = delete;

  /// None outside of checkpoints.
  static CheckpointRun* innermost() noexcept;
  /// Whether a function runs again: what it changed for good in its first run it is not to change twice.
  static bool is_repeating() noexcept;
  CheckpointRun* outer() const noexcept { return outer_; }
  bool is_first() const noexcept { return first_notes_; }

  /// Has each first run note x, from the innermost one out to `end`, which is not asked.
  static void note(const void* key, const Tensor& x, const CheckpointRun* end = nullptr);
  /// What the innermost of those runs that are not the first has of the first one's notes under key, each once and in
  /// their order; null where there is none left.
  static const Tensor* recall(const void* key) noexcept;
  /// What is the case now, or, where a function runs again, was the case in its first run.
  static bool same(const void* key, bool now);
  /// The same as recall(), of this run.
  const Tensor* next(const void* key) noexcept;

 private:
  Notes* first_notes_;
  Notes rest_;  // the key is null of what was read
  CheckpointRun* outer_;
};

}  // namespace limpid::detail
