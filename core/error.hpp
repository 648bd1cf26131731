// What limpid throws. Every message reads "op: expected ..., got ...".
#pragma once
#include <limpid/core/export.hpp>

#include <stdexcept>
#include <string>

namespace LIMPID_API limpid {

/// Base of every exception limpid throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  /// Puts "where: " before the message, unless it has been said where in this whole: what passes through several layers
  /// of one model is told the path of the innermost.
  void say_where(const std::string& where, const void* whole) {
    if (whole == whole_) return;
    static_cast<std::runtime_error&>(*this) = std::runtime_error(where + ": " + what());
    whole_ = whole;
  }

 private:
  const void* whole_ = nullptr;
};

/// A rank, size or axis does not fit.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A dtype does not fit, or two that must agree do not.
class DTypeError : public Error {
 public:
  using Error::Error;
};

/// Any other argument is out of its domain.
class ValueError : public Error {
 public:
  using Error::Error;
};

/// The graph cannot give what was asked: used up, changed in place, not recorded.
class AutogradError : public Error {
 public:
  using Error::Error;
};

/// A file is missing, malformed or cannot be written.
class IOError : public Error {
 public:
  using Error::Error;
};

/// An allocation would pass the limit of set_memory_limit(), or the system has no more memory.
class MemoryError : public Error {
 public:
  using Error::Error;
};

}  // namespace limpid
