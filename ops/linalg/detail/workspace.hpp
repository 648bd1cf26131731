// How much memory LAPACK's divide and conquer works in.
#pragma once
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace limpid::detail::lapack {

/// wanted, LAPACK's answer, and at least what its documentation asks for: an answer in float is rounded, down too.
/// Throws ShapeError, naming op, where LAPACK's integers do not hold it.
inline int64_t room(const char* op, double wanted, double least, int64_t m, int64_t n) {
  const double size = std::max(wanted + 1, least);
  if (!(size <= std::numeric_limits<int>::max()))
    throw_error<ShapeError>(op, ": expected matrices for which LAPACK works in at most ",
                            std::numeric_limits<int>::max(), " numbers, got one of ", m, " rows and ", n, " columns");
  return static_cast<int64_t>(size);
}

/// Of syevd, for n by n.
inline int64_t room_for_eigenvalues(const char* op, double wanted, int64_t n, bool with_vectors) {
  const auto size = static_cast<double>(n);
  return room(op, wanted, with_vectors ? 1 + 6 * size + 2 * size * size : 1 + 2 * size, n, n);
}

/// Of gesdd, for m by n.
inline int64_t room_for_singular_values(const char* op, double wanted, int64_t m, int64_t n, bool with_vectors) {
  const auto least = static_cast<double>(std::min(m, n)), most = static_cast<double>(std::max(m, n));
  return room(op, wanted, with_vectors ? 4 * least * least + 7 * least + most : 3 * least + std::max(most, 7 * least),
              m, n);
}

}  // namespace limpid::detail::lapack
