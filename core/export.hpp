// What of limpid is seen from outside the shared library, and what a program must agree on with it (docs/border.md).
#pragma once

/// Exports what a namespace block declares: public headers write `namespace LIMPID_API limpid {`. All else that the
/// library is made of is hidden.
#define LIMPID_API [[gnu::visibility("default")]]

#if __cplusplus < 202002L
#error "limpid: its headers are C++20: expected a program with -std=c++20 or later"
#endif
// A program compiled like this would link, and then crash or end in std::terminate.
#ifndef __cpp_exceptions
#error "limpid: errors are exceptions: expected a program without -fno-exceptions"
#endif
#ifndef __cpp_rtti
#error "limpid: errors and modules are told apart by their types: expected a program without -fno-rtti"
#endif
#if defined(_GLIBCXX_DEBUG) && !defined(LIMPID_GLIBCXX_DEBUG)
#error \
    "limpid: _GLIBCXX_DEBUG gives containers another layout than limpid was built with: expected a program without it, \
or a limpid built with -DCMAKE_CXX_FLAGS=-D_GLIBCXX_DEBUG (_GLIBCXX_ASSERTIONS checks without changing the layout)"
#endif
#if defined(LIMPID_GLIBCXX_DEBUG) && !defined(_GLIBCXX_DEBUG)
#error \
    "limpid: this limpid was built with _GLIBCXX_DEBUG, which gives containers another layout: expected a program \
with -D_GLIBCXX_DEBUG"
#endif
#if defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
#error \
    "limpid: _GLIBCXX_USE_CXX11_ABI=0 gives strings another layout than limpid was built with: expected a program \
without it"
#endif
