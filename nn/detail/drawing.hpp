// Drawing from a generator for something that may fail.
#pragma once
#include <limpid/core/detail/rewind.hpp>

#include <optional>

namespace limpid::nn::detail {

inline Generator& generator_or_default(Generator* generator) { return generator ? *generator : default_generator(); }

/// While an object is made that draws from a generator, or from the default one: one that fails to be made has drawn
/// nothing.
struct Drawing : limpid::detail::Rewind {
  explicit Drawing(Generator* generator) noexcept : Rewind(generator_or_default(generator)) {}
};

/// The same while a layer is called. Where a checkpoint runs it again, a generator of its own draws what it drew then,
/// and stands afterwards where it stood, as the checkpoint has it with the default one.
struct CallDrawing : Drawing {
  explicit CallDrawing(Generator* generator);
  ~CallDrawing();

 private:
  Generator* generator_;
  std::optional<Generator> before_ = {};
};

}  // namespace limpid::nn::detail
