// Numbers that constructors and rules are given: checked as those of functions are.
#pragma once
#include <limpid/ops/detail/ranges.hpp>

namespace limpid::nn::detail {

using namespace limpid::detail::ranges;

}  // namespace limpid::nn::detail
