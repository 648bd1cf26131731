// The message an error carries: tests hold it against the whole text.
#pragma once
#include <limpid/core/error.hpp>

#include <string>

/// What f() complains of; "no error" where it does not.
template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const limpid::Error& error) {
    return error.what();
  }
  return "no error";
}
