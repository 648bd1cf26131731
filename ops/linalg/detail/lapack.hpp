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

/// Column by column: element (i, j) is data[i + j step].
template <class T>
struct Matrix {
  T* data;
  int rows, columns;
  int step;
};

/// Memory to work in. Of size -1, a function says in data[0] how much it likes, and does no more.
template <class T>
struct Work {
  T* data;
  int size;
};

/// a = u diag(s) vt.
template <class T>
struct Singular {
  T* s;
  Matrix<T> u, vt;
};

#define LIMPID_LAPACK(T, P)                                                                                         \
  /* lu: a = p l u; info > 0 where u has a 0 on its diagonal. */                                                    \
  inline int getrf(int n, T* a, int* pivots) noexcept {                                                             \
    int info = 0;                                                                                                   \
    LAPACK_##P##getrf(&n, &n, a, &n, pivots, &info);                                                                \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* The inverse, in lu's place. */                                                                                 \
  inline int getri(int n, T* lu, const int* pivots, Work<T> work) noexcept {                                        \
    int info = 0;                                                                                                   \
    LAPACK_##P##getri(&n, lu, &n, pivots, work.data, &work.size, &info);                                            \
    return info;                                                                                                    \
  }                                                                                                                 \
  inline int getrs(bool transposed, int n, int k, const T* lu, const int* pivots, T* b) noexcept {                  \
    int info = 0;                                                                                                   \
    LAPACK_##P##getrs(transposed ? "T" : "N", &n, &k, lu, &n, pivots, b, &n, &info);                                \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* 1 / (norm |a^-1|), for the 1-norm; work of 4 n and n. */                                                       \
  inline T gecon(int n, const T* lu, T norm, T* work, int* more) noexcept {                                         \
    int info = 0;                                                                                                   \
    T rcond = 0;                                                                                                    \
    LAPACK_##P##gecon("1", &n, lu, &n, &norm, &rcond, work, more, &info);                                           \
    return rcond;                                                                                                   \
  }                                                                                                                 \
  inline int potrf(int n, T* a) noexcept {                                                                          \
    int info = 0;                                                                                                   \
    LAPACK_##P##potrf("U", &n, a, &n, &info);                                                                       \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* r, and below it reflections with the factors tau, in a's place. */                                             \
  inline int geqrf(Matrix<T> a, T* tau, Work<T> work) noexcept {                                                    \
    int info = 0;                                                                                                   \
    LAPACK_##P##geqrf(&a.rows, &a.columns, a.data, &a.step, tau, work.data, &work.size, &info);                     \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* The columns of q that k reflections make, in their place. */                                                   \
  inline int orgqr(Matrix<T> q, int k, const T* tau, Work<T> work) noexcept {                                       \
    int info = 0;                                                                                                   \
    LAPACK_##P##orgqr(&q.rows, &q.columns, &k, q.data, &q.step, tau, work.data, &work.size, &info);                 \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* Eigenvalues, and in a's place vectors where they are wanted. */                                                \
  inline int syevd(bool vectors, Matrix<T> a, T* values, Work<T> work, Work<int> more) noexcept {                   \
    int info = 0;                                                                                                   \
    LAPACK_##P##syevd(vectors ? "V" : "N", "U", &a.rows, a.data, &a.step, values, work.data, &work.size, more.data, \
                      &more.size, &info);                                                                           \
    return info;                                                                                                    \
  }                                                                                                                 \
  /* more: of 8 min(m, n). */                                                                                       \
  inline int gesdd(char job, Matrix<T> a, const Singular<T>& to, Work<T> work, int* more) noexcept {                \
    int info = 0;                                                                                                   \
    LAPACK_##P##gesdd(&job, &a.rows, &a.columns, a.data, &a.step, to.s, to.u.data, &to.u.step, to.vt.data,          \
                      &to.vt.step, work.data, &work.size, more, &info);                                             \
    return info;                                                                                                    \
  }
LIMPID_LAPACK(float, s)
LIMPID_LAPACK(double, d)
#undef LIMPID_LAPACK

}  // namespace limpid::detail::lapack
