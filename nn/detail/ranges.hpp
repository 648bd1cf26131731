// Numbers that constructors and rules are given: checked as those of functions are.
#pragma once
#include <limpid/ops/detail/ranges.hpp>

#include <cstdint>

namespace limpid::nn::detail {

using namespace limpid::detail::ranges;

// A window's sizes are at most what oneDNN counts in.
inline constexpr Range window_size{1, INT32_MAX}, padding_size{0, INT32_MAX};
// Features are at most what BLAS counts in, so that a few times as many are still a size; layers of a stack at most
// what nobody reaches but by a slip.
inline constexpr Range features{1, INT32_MAX}, stacked_layers{1, 65536};

}  // namespace limpid::nn::detail
