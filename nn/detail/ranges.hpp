// Numbers that constructors and rules are given: checked as those of functions are.
#pragma once
#include <limpid/ops/detail/ranges.hpp>

#include <cstdint>

namespace limpid::nn::detail {

using namespace limpid::detail::ranges;

// A window's sizes are at most what oneDNN counts in.
inline constexpr Range window_size{1, INT32_MAX}, padding_size{0, INT32_MAX};

}  // namespace limpid::nn::detail
