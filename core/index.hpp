// What x.index({...}) takes, axis by axis, as NumPy's x[...].
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <concepts>
#include <cstdint>
#include <optional>

namespace LIMPID_API limpid {

/// In an index, a new axis of size 1; in a Slice, a bound that is left out.
struct NoneType {};
inline constexpr NoneType None;
/// As many whole axes as the other elements of the index leave.
struct EllipsisType {};
inline constexpr EllipsisType Ellipsis;

/// Python's start:stop:step. Negative bounds count from the end, and bounds beyond it are clamped. A negative step goes
/// backwards.
struct Slice {
  struct Bound {
    std::optional<int64_t> at;
    Bound(NoneType) noexcept {}                      // NOLINT
    Bound(std::integral auto i) noexcept : at(i) {}  // NOLINT
  };
  Bound start = None, stop = None, step = None;
  Slice(Bound first = None, Bound end = None, Bound by = None) noexcept : start(first), stop(end), step(by) {}
};

/// One element of an index: None, Ellipsis, a Slice, an integer, an integer tensor, or a mask, which stands for as many
/// axes as it has.
class TensorIndex {
 public:
  enum class Kind : uint8_t { none, ellipsis, slice, integer, tensor };

  TensorIndex(NoneType) noexcept : kind_(Kind::none) {}                                     // NOLINT
  TensorIndex(EllipsisType) noexcept : kind_(Kind::ellipsis) {}                             // NOLINT
  TensorIndex(const Slice& slice) noexcept : kind_(Kind::slice), slice_(slice) {}           // NOLINT
  TensorIndex(std::integral auto i) noexcept : kind_(Kind::integer), integer_(i) {}         // NOLINT
  TensorIndex(Tensor tensor) noexcept : kind_(Kind::tensor), tensor_(std::move(tensor)) {}  // NOLINT

  Kind kind() const noexcept { return kind_; }
  const Slice& slice() const noexcept { return slice_; }
  int64_t integer() const noexcept { return integer_; }
  const Tensor& tensor() const noexcept { return tensor_; }

 private:
  Kind kind_;
  Slice slice_;
  int64_t integer_ = 0;
  Tensor tensor_;
};

}  // namespace limpid
