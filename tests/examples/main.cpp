#define CATCH_CONFIG_MAIN
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 under sanitizers, in the std::regex Catch2 uses
#endif
#include <catch2/catch.hpp>
