// What OpenBLAS computes by the reciprocals of pivots, by division: for pivots so small that theirs are infinite.
#pragma once
#include <cmath>
#include <cstdint>
#include <utility>

namespace limpid::detail::by_division {

/// Element (i, j) is data[i row + j col].
template <class T>
struct View {
  T* data;
  int64_t row, col;
  T& operator()(int64_t i, int64_t j) const noexcept { return data[i * row + j * col]; }
  View transposed() const noexcept { return {data, col, row}; }
};

template <class T>
bool has_infinite_reciprocal(T pivot) noexcept {
  return pivot != 0 && std::isinf(T{1} / pivot);
}

/// Whether one of the n numbers on the diagonal needs this.
template <class T>
bool suits(View<T> a, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i)
    if (has_infinite_reciprocal(a(i, i))) return true;
  return false;
}

/// a = p l u in a's place, as getrf().
template <class T>
int lu(View<T> a, int64_t n, int* pivots) noexcept {
  int info = 0;
  for (int64_t j = 0; j < n; ++j) {
    int64_t best = j;
    for (int64_t i = j + 1; i < n; ++i)
      if (std::abs(a(i, j)) > std::abs(a(best, j))) best = i;
    pivots[j] = static_cast<int>(best + 1);
    if (best != j)
      for (int64_t k = 0; k < n; ++k) std::swap(a(j, k), a(best, k));
    if (a(j, j) == 0) {
      if (info == 0) info = static_cast<int>(j + 1);
      continue;
    }
    for (int64_t i = j + 1; i < n; ++i) a(i, j) /= a(j, j);
    for (int64_t k = j + 1; k < n; ++k)
      for (int64_t i = j + 1; i < n; ++i) a(i, k) -= a(i, j) * a(j, k);
  }
  return info;
}

/// One triangle of an n by n matrix.
template <class T>
struct Triangle {
  View<const T> a;
  int64_t n;
  bool upper, unitriangular;
  Triangle transposed() const noexcept { return {a.transposed(), n, !upper, unitriangular}; }
};

/// x of t x = b for k right sides, in b's place. A 0 of t counts as one beside an infinite x, too.
template <class T>
void solve(const Triangle<T>& t, View<T> b, int64_t k) noexcept {
  for (int64_t step = 0; step < t.n; ++step) {
    const int64_t j = t.upper ? t.n - 1 - step : step, begin = t.upper ? 0 : j + 1, end = t.upper ? j : t.n;
    for (int64_t c = 0; c < k; ++c) {
      if (!t.unitriangular) b(j, c) /= t.a(j, j);
      for (int64_t i = begin; i < end; ++i)
        if (t.a(i, j) != 0) b(i, c) -= t.a(i, j) * b(j, c);
    }
  }
}

/// What getrf() took for the row j, to its place or back.
template <class T>
void swap_row(const int* pivots, int64_t j, View<T> b, int64_t k) noexcept {
  for (int64_t c = 0; pivots[j] != j + 1 && c < k; ++c) std::swap(b(j, c), b(pivots[j] - 1, c));
}

/// x of a x = b by the n by n factors of a, in b's place, or of a^T x = b: as getrs().
template <class T>
void solve(bool transposed, const T* factors, int64_t n, const int* pivots, View<T> b, int64_t k) noexcept {
  const Triangle<T> l{{factors, 1, n}, n, false, true}, u{{factors, 1, n}, n, true, false};
  if (transposed) {
    solve(u.transposed(), b, k);
    solve(l.transposed(), b, k);
    for (int64_t j = n; j-- > 0;) swap_row(pivots, j, b, k);
  } else {
    for (int64_t j = 0; j < n; ++j) swap_row(pivots, j, b, k);
    solve(l, b, k);
    solve(u, b, k);
  }
}

}  // namespace limpid::detail::by_division
