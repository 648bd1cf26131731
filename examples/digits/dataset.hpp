#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace digits {

inline constexpr int kSide = 28;
inline constexpr std::size_t kPixels = std::size_t{kSide} * kSide;
inline constexpr int kClasses = 10;

/// Grey images of 28 x 28 pixels, ink 1 on paper 0, each with the digit it shows.
struct Dataset {
  std::vector<float> images;         ///< size() images one after another, each row by row, every value k / 255
  std::vector<std::int64_t> labels;  ///< 0 to 9

  std::size_t size() const { return labels.size(); }
  std::span<const float> image(std::size_t i) const { return std::span(images).subspan(i * kPixels, kPixels); }
};

}  // namespace digits
