// Drawing from a generator for something that may fail.
#pragma once
#include <limpid/core/detail/rewind.hpp>

namespace limpid::nn::detail {

inline Generator& generator_or_default(Generator* generator) { return generator ? *generator : default_generator(); }

/// While an object is made that draws from a generator, or from the default one: one that fails to be made has drawn
/// nothing.
struct Drawing : limpid::detail::Rewind {
  explicit Drawing(Generator* generator) noexcept : Rewind(generator_or_default(generator)) {}
};

}  // namespace limpid::nn::detail
