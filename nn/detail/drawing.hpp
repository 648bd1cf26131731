// Drawing from a generator for something that may fail.
#pragma once
#include <limpid/core/random.hpp>

#include <exception>

namespace limpid::nn::detail {

inline Generator& generator_or_default(Generator* generator) { return generator ? *generator : default_generator(); }

/// While an object is made that draws from a generator: one that fails to be made has drawn nothing.
class Drawing {
 public:
  explicit Drawing(Generator* generator) noexcept
      : generator_(generator_or_default(generator)),
        before_(generator_),
        exceptions_(std::uncaught_exceptions()) {}
  ~Drawing() {
    if (std::uncaught_exceptions() > exceptions_) generator_ = before_;
  }
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;

 private:
  Generator& generator_;
  Generator before_;
  int exceptions_;
};

}  // namespace limpid::nn::detail
