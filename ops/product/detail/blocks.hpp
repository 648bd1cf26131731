// Products cut into blocks.
#pragma once
#include <algorithm>
#include <cstdint>

namespace limpid::detail {

/// BLAS and oneDNN form their sums differently for different numbers of threads. So y is cut into blocks by its sizes
/// alone, and each is a product on one thread.
struct Blocks {
  int64_t rows, cols, down = 1, across = 1;
  Blocks(int64_t n, int64_t m, int64_t k) noexcept : rows(n), cols(m) {
    constexpr int64_t multiple = 32, least_work = 1 << 22, largest = 512;  // whole tiles of BLAS
    const auto halved = [](int64_t size) { return (size / 2 + multiple - 1) / multiple * multiple; };
    const auto pieces = [](int64_t size, int64_t piece) { return (size + piece - 1) / piece; };
    const double work = static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(k);
    if (work < least_work && std::max(n, m) <= largest) return;  // one block: small products need no divisions
    for (;;) {
      int64_t& longer = rows >= cols ? rows : cols;
      const int64_t count = pieces(n, rows) * pieces(m, cols);
      const bool worth = static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(k) >= least_work;
      const bool few = worth && (count < 4 ? longer >= 128 : count < 8 && longer >= 256);
      if (longer <= largest && !few) break;
      longer = halved(longer);
    }
    down = pieces(n, rows), across = pieces(m, cols);
  }
  int64_t count() const noexcept { return down * across; }
};

}  // namespace limpid::detail
