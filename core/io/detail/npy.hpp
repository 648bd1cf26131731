// One array in NumPy's format, in a file of its own or as a member of an .npz.
#pragma once
#include <limpid/core/io/detail/file.hpp>

namespace limpid::detail {

/// Reads all of source. The result is row-major.
Tensor read_npy(Source& source);

/// What precedes x's row-major data: byte for byte NumPy's. Throws DTypeError for bfloat16, in a message that begins
/// with who.
std::string npy_header(const std::string& who, const Tensor& x);

}  // namespace limpid::detail
