// Tables of kernels that are compiled once per instruction set: their declarations. core/detail/isa.hpp chooses one.
#pragma once

/// Within limpid::kernels: `extern const TYPE NAME;` for each instruction set, in its namespace.
#define LIMPID_DECLARE_KERNELS(type, name) \
  namespace baseline {                     \
  extern const type name;                  \
  }                                        \
  namespace avx2 {                         \
  extern const type name;                  \
  }                                        \
  namespace avx512 {                       \
  extern const type name;                  \
  }                                        \
  namespace neon {                         \
  extern const type name;                  \
  }
