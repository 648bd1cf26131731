// What the rules of limpid's optimisers share.
#pragma once
#include <limpid/core/detail/isa.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/nn/optim/kernels/rules.hpp>

#include <type_traits>

namespace limpid::optim::detail {

template <class T>
const kernels::OptimizerKernels<T>& optimizer_kernels() noexcept {
  if constexpr (std::is_same_v<T, double>)
    return LIMPID_AT_ISA(optimizer_double);
  else
    return LIMPID_AT_ISA(optimizer_float);
}

}  // namespace limpid::optim::detail
