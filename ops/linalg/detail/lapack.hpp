// LAPACK's functions on raw memory, by one name for float and double. They are those of OpenBLAS, in the library that
// has BLAS as well: one copy, and one pool of threads. Matrices are column by column, as in Fortran: a row-major matrix
// is read as its transpose.
#pragma once
#include <complex>

// The types of complex numbers in its declarations, of which none is used: C's are no part of C++.
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <lapack.h>
#undef lapack_complex_float
#undef lapack_complex_double

namespace limpid::detail::lapack {

#define LIMPID_LAPACK(T, P)                                                                                      \
  /* lu: a = p l u; info > 0 where u has a 0 on its diagonal. */                                                 \
  inline int getrf(int n, T* a, int* pivots) noexcept {                                                          \
    int info = 0;                                                                                                \
    LAPACK_##P##getrf(&n, &n, a, &n, pivots, &info);                                                             \
    return info;                                                                                                 \
  }                                                                                                              \
  /* The inverse, in lu's place. */                                                                              \
  inline int getri(int n, T* lu, const int* pivots, T* work, int size) noexcept {                                \
    int info = 0;                                                                                                \
    LAPACK_##P##getri(&n, lu, &n, pivots, work, &size, &info);                                                   \
    return info;                                                                                                 \
  }                                                                                                              \
  inline int getrs(bool transposed, int n, int k, const T* lu, const int* pivots, T* b) noexcept {               \
    int info = 0;                                                                                                \
    LAPACK_##P##getrs(transposed ? "T" : "N", &n, &k, lu, &n, pivots, b, &n, &info);                             \
    return info;                                                                                                 \
  }                                                                                                              \
  /* 1 / (norm |a^-1|), for the 1-norm; work of 4 n and n. */                                                    \
  inline T gecon(int n, const T* lu, T norm, T* work, int* more) noexcept {                                      \
    int info = 0;                                                                                                \
    T rcond = 0;                                                                                                 \
    LAPACK_##P##gecon("1", &n, lu, &n, &norm, &rcond, work, more, &info);                                        \
    return rcond;                                                                                                \
  }                                                                                                              \
  inline int potrf(int n, T* a) noexcept {                                                                       \
    int info = 0;                                                                                                \
    LAPACK_##P##potrf("U", &n, a, &n, &info);                                                                    \
    return info;                                                                                                 \
  }                                                                                                              \
  /* Here and below: with size -1 says in work[0] how much it likes. */                                          \
  inline int geqrf(int m, int n, T* a, T* tau, T* work, int size) noexcept {                                     \
    int info = 0;                                                                                                \
    LAPACK_##P##geqrf(&m, &n, a, &m, tau, work, &size, &info);                                                   \
    return info;                                                                                                 \
  }                                                                                                              \
  inline int orgqr(int m, int columns, int k, T* q, const T* tau, T* work, int size) noexcept {                  \
    int info = 0;                                                                                                \
    LAPACK_##P##orgqr(&m, &columns, &k, q, &m, tau, work, &size, &info);                                         \
    return info;                                                                                                 \
  }                                                                                                              \
  inline int syevd(bool vectors, int n, T* a, T* values, T* work, int size, int* more, int more_size) noexcept { \
    int info = 0;                                                                                                \
    LAPACK_##P##syevd(vectors ? "V" : "N", "U", &n, a, &n, values, work, &size, more, &more_size, &info);        \
    return info;                                                                                                 \
  }                                                                                                              \
  inline int gesdd(char job, int m, int n, T* a, T* s, T* u, int u_step, T* vt, int vt_step, T* work, int size,  \
                   int* more) noexcept {                                                                         \
    int info = 0;                                                                                                \
    LAPACK_##P##gesdd(&job, &m, &n, a, &m, s, u, &u_step, vt, &vt_step, work, &size, more, &info);               \
    return info;                                                                                                 \
  }
LIMPID_LAPACK(float, s)
LIMPID_LAPACK(double, d)
#undef LIMPID_LAPACK

}  // namespace limpid::detail::lapack
