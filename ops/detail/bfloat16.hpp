// Where bfloat16 is computed with as it is.
#pragma once

namespace limpid::detail {

/// Whether the processor multiplies bfloat16, and oneDNN makes use of it: where not, products and convolutions are
/// faster of operands converted to float32.
bool multiplies_bfloat16() noexcept;

}  // namespace limpid::detail
