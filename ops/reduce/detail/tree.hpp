// The tree that every reduction is formed by, whatever it adds, multiplies or compares.
#pragma once
#include <limpid/ops/reduce/detail/driver.hpp>
#include <limpid/ops/reduce/kernels/reduce.hpp>

#include <algorithm>
#include <cstddef>

namespace limpid::detail {

/// What to accumulate. A policy has
///   using X, Acc, Y;                                  types of elements, of the accumulator, of the result
///   Acc start;                                        the accumulator of no elements
///   void rows(Acc* acc, const double* centre, const X* x, const kernels::RowBlock& block) const;
///                                                     takes x[i * stride + j] into acc[j], row after row
///   static void merge(Acc* acc, const Acc* other, int64_t n);
///   Y finish(Acc) const;
///   const double* centres;                            one number per result, laid out as y, handed to rows(); or null
/// and may have
///   void runs(Acc* acc, const X* x, const kernels::RowBlock& block) const;
///                                                     acc[i] of row i, folded as lanes are
///
/// The order is fixed. Reduced elements come in leaves of a fixed size, sixteen leaves make a branch, and leaves and
/// branches are merged as binary trees; threads share out branches. Within a leaf there are either
///   lanes:    one output, whose elements lie side by side: element i goes to lane i mod 64, and lanes fold in halves;
///   columns:  up to 256 outputs side by side, taken row by row.
/// Elements that do not lie side by side are packed first. Nothing depends on threads or on the width of a register.
template <class Policy>
class ReduceTree {
  using X = typename Policy::X;
  using Acc = typename Policy::Acc;

 public:
  ReduceTree(const Tensor& y, const Tensor& x, const Axes& axes, Policy policy)
      : plan_(x, y, axes),
        policy_(policy),
        x_(static_cast<const X*>(x.raw_data())),
        y_(static_cast<typename Policy::Y*>(y.raw_data())) {
    const auto &kept = plan_.kept, &reduced = plan_.reduced;
    // Read along the axis with the smaller step, but do not take an expanded axis for one that lies side by side.
    const auto rank = [](const auto& group) { return group.step() == 0 ? INT64_MAX : group.step(); };
    by_columns_ = kept.length() > 1 && rank(kept) < rank(reduced);
    width_ = by_columns_ ? std::min(kept.length(), columns) : 1;
    tiles_ = by_columns_ ? (kept.length() + columns - 1) / columns : 1;
    leaf_ = by_columns_ ? leaf_of(width_) : lane_leaf;
    outputs_ = by_columns_ ? kept.count / std::max<int64_t>(kept.length(), 1) * tiles_ : kept.count;
  }

  /// Reduces the rows of a small matrix, as the gradient of a bias does, without a plan: they are one leaf of columns.
  /// Whether it did.
  static bool reduce_few_rows(const Tensor& y, const Tensor& x, const Axes& axes, const Policy& policy) {
    if (x.dim() != 2 || !x.is_contiguous() || axes.size() != 1 || axes[0] != 0 || policy.centres) return false;
    const int64_t rows = x.shape()[0], width = x.shape()[1], step = y.strides().back();
    if (width < 2 || width > columns || rows < 1 || rows > leaf_of(width)) return false;
    Acc acc[columns];
    std::fill_n(acc, width, policy.start);
    policy.rows(acc, nullptr, static_cast<const X*>(x.raw_data()), {.rows = rows, .stride = width, .columns = width});
    auto* to = static_cast<typename Policy::Y*>(y.raw_data());
    for (int64_t j = 0; j < width; ++j) to[j * step] = policy.finish(acc[j]);
    return true;
  }

  void run() const {
    if constexpr (requires { &Policy::runs; })
      if (are_rows()) return run_rows();
    const int64_t count = plan_.reduced.count, branch = leaf_ * leaves_per_branch;
    const int64_t branches = count > 0 ? (count - 1) / branch + 1 : 1;
    if (branches == 1) {
      parallel_for(outputs_, grain(width_ * count), [&](int64_t begin, int64_t end) {
        Acc acc[columns];
        for (int64_t o = begin; o < end; ++o) {
          take_branch(acc, o, 0, count);
          store(o, acc);
        }
      });
      return;
    }
    const Tensor memory = empty({outputs_, branches, width_, static_cast<int64_t>(sizeof(Acc))}, uint8);
    Acc* partial = static_cast<Acc*>(memory.raw_data());
    parallel_for(outputs_ * branches, grain(width_ * branch), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % branches * branch;
        take_branch(partial + i * width_, i / branches, first, std::min(first + branch, count));
      }
    });
    parallel_for(outputs_, grain(width_ * branches), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        Acc* parts = partial + o * branches * width_;
        for (int64_t step = 1; step < branches; step *= 2)
          for (int64_t i = 0; i + step < branches; i += 2 * step)
            Policy::merge(parts + i * width_, parts + (i + step) * width_, width_);
        store(o, parts);
      }
    });
  }

 private:
  static constexpr int64_t lanes = 64, lane_leaf = 4096, columns = 256, leaves_per_branch = 16, tree_depth = 5;
  static int64_t leaf_of(int64_t width) { return std::max<int64_t>(lane_leaf / width, 64); }

  // Whether outputs are of one leaf each, whose elements lie side by side, and come at even steps: rows of a matrix.
  bool are_rows() const {
    const auto &kept = plan_.kept, &reduced = plan_.reduced;
    return !by_columns_ && kept.shape.size() <= 1 && reduced.shape.size() == 1 && reduced.step() == 1 &&
           reduced.count > 0 && reduced.count <= leaf_;
  }

  void run_rows() const {
    const int64_t n = plan_.reduced.count, step = plan_.kept.step(),
                  y_step = plan_.kept.shape.empty() ? 0 : plan_.kept.y.back();
    parallel_for(outputs_, grain(n), [&](int64_t begin, int64_t end) {
      Acc acc[columns];
      for (; begin < end; begin += columns) {
        const int64_t rows = std::min(columns, end - begin);
        policy_.runs(acc, x_ + begin * step, {.rows = rows, .stride = step, .columns = n});
        for (int64_t i = 0; i < rows; ++i) y_[(begin + i) * y_step] = policy_.finish(acc[i]);
      }
    });
  }

  static int64_t grain(int64_t work) { return std::max<int64_t>(elementwise_grain / std::max<int64_t>(work, 1), 1); }

  // Outputs [first, first + width) of the kept axes, row-major; they lie along the last of these.
  struct Tile {
    int64_t first, width;
  };
  Tile tile(int64_t o) const {
    if (!by_columns_) return {o, 1};
    const int64_t length = plan_.kept.length(), column = o % tiles_ * columns;
    return {o / tiles_ * length + column, std::min(columns, length - column)};
  }

  // acc[0 .. width) from reduced elements [begin, end), at most leaves_per_branch leaves.
  void take_branch(Acc* acc, int64_t o, int64_t begin, int64_t end) const {
    const Tile t = tile(o);
    const X* x = x_ + offset(plan_.kept.shape, plan_.kept.x, t.first);
    double centre[columns];
    if (policy_.centres) {
      const double* from = policy_.centres + offset(plan_.kept.shape, plan_.kept.y, t.first);
      for (int64_t j = 0; j < (by_columns_ ? t.width : lanes); ++j)
        centre[j] = from[by_columns_ ? j * plan_.kept.y.back() : 0];
    }
    if (end - begin <= leaf_) return take_leaf(acc, centre, x, t.width, begin, end);
    // A binary counter: level k waits for a second subtree of 2^k leaves.
    Acc waiting[tree_depth][columns];
    int64_t count = 0;
    for (; begin < end; begin += leaf_, ++count) {
      take_leaf(acc, centre, x, t.width, begin, std::min(begin + leaf_, end));
      int64_t level = 0;
      for (; count >> level & 1; ++level) {
        Policy::merge(waiting[level], acc, t.width);
        std::copy_n(waiting[level], t.width, acc);
      }
      std::copy_n(acc, t.width, waiting[level]);
    }
    // What still waits, the later and smaller subtrees first.
    int64_t level = 0;
    while (!(count >> level & 1)) ++level;
    std::copy_n(waiting[level], t.width, acc);
    while (++level < tree_depth)
      if (count >> level & 1) {
        Policy::merge(waiting[level], acc, t.width);
        std::copy_n(waiting[level], t.width, acc);
      }
  }

  void take_leaf(Acc* acc, const double* centre, const X* x, int64_t width, int64_t begin, int64_t end) const {
    if (by_columns_)
      take_columns(acc, centre, x, width, begin, end);
    else
      *acc = take_lanes(centre, x, begin, end);
  }

  Acc take_lanes(const double* centre, const X* x, int64_t begin, int64_t end) const {
    const int64_t n = end - begin, run = plan_.reduced.length();
    Acc acc[lanes];
    std::fill_n(acc, lanes, policy_.start);
    const auto take = [&](const X* from, int64_t count) {
      const int64_t full = count / lanes, rest = count % lanes;
      if (full) policy_.rows(acc, centre, from, {.rows = full, .stride = lanes, .columns = lanes});
      if (rest) policy_.rows(acc, centre, from + full * lanes, {.rows = 1, .stride = 0, .columns = rest});
    };
    if (plan_.reduced.step() == 1 && (plan_.reduced.shape.size() == 1 || run >= 4 * lanes)) {
      for_runs(plan_.reduced, begin, end, [&](int64_t at, int64_t, int64_t count) { take(x + at, count); });
    } else {
      X packed[lane_leaf];
      const int64_t step = plan_.reduced.step();
      for_runs(plan_.reduced, begin, end, [&](int64_t at, int64_t position, int64_t count) {
        for (int64_t i = 0; i < count; ++i) packed[position + i] = x[at + i * step];
      });
      take(packed, n);
    }
    // In halves, of constant size for the compiler's sake; lanes from n on hold the start.
    if (n > 32) Policy::merge(acc, acc + 32, 32);
    if (n > 16) Policy::merge(acc, acc + 16, 16);
    if (n > 8) Policy::merge(acc, acc + 8, 8);
    if (n > 4) Policy::merge(acc, acc + 4, 4);
    if (n > 2) Policy::merge(acc, acc + 2, 2);
    if (n > 1) Policy::merge(acc, acc + 1, 1);
    return acc[0];
  }

  void take_columns(Acc* acc, const double* centre, const X* x, int64_t width, int64_t begin, int64_t end) const {
    std::fill_n(acc, width, policy_.start);
    const int64_t column_step = plan_.kept.step(), step = plan_.reduced.step();
    for_runs(plan_.reduced, begin, end, [&](int64_t at, int64_t, int64_t count) {
      if (column_step == 1) return policy_.rows(acc, centre, x + at, {.rows = count, .stride = step, .columns = width});
      X packed[columns];
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < width; ++j) packed[j] = x[at + i * step + j * column_step];
        policy_.rows(acc, centre, packed, {.rows = 1, .stride = 0, .columns = width});
      }
    });
  }

  void store(int64_t o, const Acc* acc) const {
    const Tile t = tile(o);
    typename Policy::Y* y = y_ + offset(plan_.kept.shape, plan_.kept.y, t.first);
    const int64_t step = plan_.kept.shape.empty() ? 0 : plan_.kept.y.back();
    for (int64_t j = 0; j < t.width; ++j) y[j * step] = policy_.finish(acc[j]);
  }

  static constexpr auto offset = ReducePlan::offset;
  template <class F>
  static void for_runs(const ReducePlan::Group& group, int64_t begin, int64_t end, F&& run) {
    ReducePlan::for_runs(group, begin, end, run);
  }

  ReducePlan plan_;
  Policy policy_;
  const X* x_;
  typename Policy::Y* y_;
  bool by_columns_;
  int64_t width_, tiles_, leaf_, outputs_;
};

template <class Policy>
void reduce(const Tensor& y, const Tensor& x, const Axes& axes, Policy policy) {
  if (!ReduceTree<Policy>::reduce_few_rows(y, x, axes, policy)) ReduceTree<Policy>(y, x, axes, policy).run();
}

}  // namespace limpid::detail
