// Which memory tensors share, element by element: by addresses, for two storages may borrow one buffer.
#pragma once
#include <limpid/core/tensor.hpp>

namespace limpid::detail {

/// Whether several elements of x may lie in one place, as those of an expanded tensor do.
bool overlaps_itself(const Tensor& x) noexcept;

/// Whether an element of a shares bytes with an element of b. Exact, but for layouts too tangled to tell (true there).
bool overlaps(const Tensor& a, const Tensor& b) noexcept;

/// Whether a and b are the same elements in the same places: reading one while the other is written, element by
/// element, does no harm then.
bool coincides(const Tensor& a, const Tensor& b) noexcept;

/// Throws ValueError, naming op, where x is undefined, or computed from others wherever it is read (what is written
/// would be lost), or overlaps itself: writing to it would give numbers that depend on the order of the writes.
void require_writable(const char* op, const Tensor& x);

}  // namespace limpid::detail
