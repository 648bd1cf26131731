// What draws random numbers and then fails takes none.
#pragma once
#include <limpid/core/random.hpp>

#include <exception>

namespace limpid::detail {

/// Puts the generator back where it stood if this scope is left by an exception, so that who tries again gets the same
/// numbers.
class Rewind {
 public:
  explicit Rewind(Generator& generator) noexcept : generator_(generator) {}
  ~Rewind() {
    if (std::uncaught_exceptions() > exceptions_) generator_ = before_;
  }
  Rewind(const Rewind&) = delete;
  Rewind& operator=(const Rewind&) = delete;

 private:
  Generator& generator_;
  Generator before_ = generator_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace limpid::detail
