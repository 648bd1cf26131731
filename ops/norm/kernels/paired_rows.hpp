// Long float32 rows in the caches: y of one slice while the moments of the next are taken. The first waits for memory,
// the second for arithmetic. Included by kernel sources only: all of it has internal linkage.
#pragma once
#include <limpid/ops/norm/kernels/slices.hpp>
#include <limpid/ops/norm/kernels/write.hpp>

namespace limpid::kernels {
namespace {

/// y = affine(x), and the moments of next, of n elements each.
inline Moments apply_beside_moments(const SingleLanes& affine, const float* LIMPID_RESTRICT x, float* LIMPID_RESTRICT y,
                                    const float* LIMPID_RESTRICT next, index_t n, bool center) {
  const SliceView<float> view{next, 1, n, 0, 1};
  Moments all;
  for (index_t block = 0; block < n; block += kNormBlock) {
    const index_t end = block + kNormBlock < n ? block + kNormBlock : n;
    const bool plain = !center || starts_near_zero(view, block, end);
    const double guess = plain ? 0 : guess_mean(view, block, end, 0, 1);
    const Deviations<float>::Step from(guess);
    Deviations<float> deviations(guess);
    const auto both = [&](auto deviation) {
      steps<16>(end - block, [&](index_t i, auto k) {
        store_step(y + block + i, affine(load_singles_step(x + block + i, k)), k);
        deviations.add(deviation(Deviations<float>::load(next + block + i, k), k));
      });
    };
    plain ? both([&](const auto& element, auto) { return element; })
          : both([&](const auto& element, auto k) { return Deviations<float>::of(element, from, k); });
    Moments moments = deviations.finish(end - block, center);
    if (plain && center && !near_zero(moments)) moments = moments_about_mean<false>(view, block, end, 0, 1);
    merge(all, moments);
  }
  return all;
}

/// Whether slices are dense rows whose y stays in the caches.
inline bool suits_pairs(const NormRows<float>& p) {
  return p.moments && p.y && !p.stream && p.rows == 1 && !p.along && p.x_stride.element == 1;
}

/// Statistics and y of slices [begin, end). plainly(place) writes y of one slice alone.
template <class F>
void paired_forward(const NormRows<float>& p, index_t begin, index_t end, F&& plainly) {
  const auto view = [&](const Place& at) { return sum_view(p, at); };
  Moments moments = slice_moments(view(place(p, begin)), p.center);
  each_slice(p, begin, end, [&](const Place& at) {
    write_stats(p.stats, at.q, moments, view(at), p.center, p.eps);
    const Slice slice = saved(p, at.q);
    const index_t c = at.inner * p.affine_inner;
    const double factor = slice.rstd * value_or(p.gamma, c, 1);
    const bool last = at.q + 1 == end;
    if (last || !suits_singles(slice.mean, factor)) {
      plainly(at);
      if (!last) moments = slice_moments(view(place(p, at.q + 1)), p.center);
      return;
    }
    const SingleLanes affine(single_affine(slice.mean, slice.lo, factor, value_or(p.beta, c, 0)));
    moments = apply_beside_moments(affine, p.x + start(p.x_stride, at), p.y + start(p.y_stride, at),
                                   view(place(p, at.q + 1)).x, p.len, p.center);
  });
}

}  // namespace
}  // namespace limpid::kernels
