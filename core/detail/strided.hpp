// The one loop over strided operands of a common (broadcast) shape; all generic paths go through it.
#pragma once
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/shape.hpp>

#include <algorithm>
#include <array>
#include <numeric>

namespace limpid::detail {

/// Elements below which a loop is not worth a second thread.
inline constexpr int64_t elementwise_grain = 32768;

/// shape and strides of K operands, axes sorted for operand 0 (its fastest last) and merged where all operands allow.
template <std::size_t K>
struct StridedLoop {
  Shape shape;
  std::array<Strides, K> strides;

  StridedLoop(const Shape& full, const std::array<Strides, K>& operands) {
    SmallVector<int64_t, 6> order;
    for (std::size_t i = 0; i < full.size(); ++i)
      if (full[i] != 1) order.push_back(static_cast<int64_t>(i));
    const auto slower = [&](int64_t a, int64_t b) {
      // Ties and broadcast axes of operand 0 fall to the next operand.
      for (const Strides& s : operands) {
        const int64_t sa = std::abs(s[static_cast<std::size_t>(a)]), sb = std::abs(s[static_cast<std::size_t>(b)]);
        if (sa != sb && sa != 0 && sb != 0) return sa > sb;
      }
      return false;
    };
    // By insertion: axes are few, and std::stable_sort would take memory from the heap.
    for (std::size_t i = 1; i < order.size(); ++i)
      for (std::size_t j = i; j > 0 && slower(order[j], order[j - 1]); --j) std::swap(order[j], order[j - 1]);
    for (int64_t axis : order) {
      const auto a = static_cast<std::size_t>(axis);
      bool merge = !shape.empty();
      for (std::size_t k = 0; merge && k < K; ++k) merge = strides[k].back() == operands[k][a] * full[a];
      if (merge) {
        shape.back() *= full[a];
        for (std::size_t k = 0; k < K; ++k) strides[k].back() = operands[k][a];
      } else {
        shape.push_back(full[a]);
        for (std::size_t k = 0; k < K; ++k) strides[k].push_back(operands[k][a]);
      }
    }
    if (shape.empty()) {
      shape.push_back(std::accumulate(full.begin(), full.end(), int64_t{1}, std::multiplies<>()));
      for (auto& s : strides) s.push_back(1);
    }
  }

  /// inner(count, offsets, steps) for runs along the last axis, in elements; runs are shared out over threads.
  template <class F>
  void run(F&& inner, int64_t grain = elementwise_grain) const {
    const std::size_t last = shape.size() - 1;
    const int64_t length = shape[last];
    int64_t rows = 1;
    for (std::size_t i = 0; i < last; ++i) rows *= shape[i];
    if (length == 0 || rows == 0) return;
    std::array<int64_t, K> steps;
    for (std::size_t k = 0; k < K; ++k) steps[k] = strides[k][last];
    if (rows == 1) {
      parallel_for(length, grain, [&](int64_t begin, int64_t end) {
        std::array<int64_t, K> offsets;
        for (std::size_t k = 0; k < K; ++k) offsets[k] = begin * steps[k];
        inner(end - begin, offsets, steps);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(grain / length, 1), [&](int64_t begin, int64_t end) {
      std::array<int64_t, 64> index;  // what allocates may throw, which must not happen here; tensors have 64 axes
      std::fill_n(index.begin(), last, 0);
      std::array<int64_t, K> offsets{};
      int64_t rest = begin;
      for (std::size_t i = last; i-- > 0;) {
        index[i] = rest % shape[i];
        rest /= shape[i];
        for (std::size_t k = 0; k < K; ++k) offsets[k] += index[i] * strides[k][i];
      }
      for (int64_t row = begin;;) {
        inner(length, offsets, steps);
        if (++row == end) break;
        for (std::size_t i = last; i-- > 0;) {
          for (std::size_t k = 0; k < K; ++k) offsets[k] += strides[k][i];
          if (++index[i] < shape[i]) break;
          for (std::size_t k = 0; k < K; ++k) offsets[k] -= index[i] * strides[k][i];
          index[i] = 0;
        }
      }
    });
  }
};

/// The strides of a tensor (its shape and strides) seen as if it had the broadcast shape `to`.
inline Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& to) {
  Strides result(to.size(), 0);
  const std::size_t lead = to.size() - shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1 || to[lead + i] == 1) result[lead + i] = strides[i];
  return result;
}

}  // namespace limpid::detail
