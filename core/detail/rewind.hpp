// Generators put back where they stood.
#pragma once
#include <limpid/core/random.hpp>

#include <exception>

namespace limpid::detail {

/// Puts the generator back where it stood when this scope ends.
class GeneratorScope {
 public:
  explicit GeneratorScope(Generator& generator) noexcept : generator_(generator) {}
  ~GeneratorScope() { generator_ = before_; }
  GeneratorScope(const GeneratorScope&) = delete;
  GeneratorScope& operator=(const GeneratorScope&) = delete;

 private:
  Generator& generator_;
  Generator before_ = generator_;
};

/// The same if this scope is left by an exception: what draws numbers and then fails takes none, so that who tries
/// again gets the same.
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
