// Kernels of the normalisation family: plans, statistics, and the table each instruction set fills.
#pragma once
#include <cstdint>

namespace limpid::kernels {

/// Order of the axes in memory: (N, C, S) or (N, S, C).
enum class NormLayout : std::uint8_t { contiguous, channels_last };

/// What is normalised: N samples, G groups, D channels per group (C = G * D), S spatial elements.
struct NormDims {
  std::int64_t n = 0, g = 0, d = 0, s = 0;
  NormLayout layout = NormLayout::contiguous;
  bool center = true;  ///< false: no mean is subtracted (rms_norm); the variance is then the mean square.
  bool batch = false;  ///< Statistics over N and S of each channel (batch_norm); needs d == 1.

  constexpr std::int64_t channels() const noexcept { return g * d; }
  constexpr std::int64_t size() const noexcept { return n * g * d * s; }
  constexpr std::int64_t slices() const noexcept { return batch ? g : n * g; }
};

/// Strides, in elements, of an (N, C, S) view. Zero (expanded) and negative strides are fine.
struct NormStrides {
  std::int64_t n = 0, c = 0, s = 0;
};

/// Statistics of each slice, in doubles whatever the storage type; slice (n, g) is at n * G + g (at g when batch).
/// The mean is mean + mean_lo, unevaluated: a spread of 1e-7 of the mean, or of 1e-15 in float64, keeps all its digits.
/// rstd = 1 / sqrt(var + eps), and 0 where var + eps is 0, so that a constant slice gives beta even with eps = 0.
struct NormStats {
  double* mean = nullptr;
  double* mean_lo = nullptr;
  double* rstd = nullptr;
  double* var = nullptr;  ///< Biased; may be null. Infinite where it exceeds the range of double.
};

}  // namespace limpid::kernels
