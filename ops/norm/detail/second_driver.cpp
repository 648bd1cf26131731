#include <limpid/ops/norm/detail/halves.hpp>
#include <limpid/ops/norm/detail/second_driver.hpp>
#include <limpid/ops/norm/kernels/second.hpp>

#include <algorithm>
#include <numeric>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

constexpr index_t kStep = 16;  // arrays over columns are padded to this

template <class T>
const NormDoubleKernels<T>& double_kernels() noexcept {
  if constexpr (sizeof(T) == 4)
    return LIMPID_AT_ISA(norm_double_float);
  else
    return LIMPID_AT_ISA(norm_double_double);
}

/// The work in units of whole slices (under batch: of whole channels of one sample), which lots of threads take in
/// turn; a unit is small enough to be read again from a near cache, or is cut up into tiles for all threads.
struct Split {
  NormDims dims;
  NormStrides x;
  bool columns = false;
  index_t groups = 1, parts = 1;  // of a unit; units of a sample
  index_t fold = 1, tail = 0;     // columns: rows of memory taken as one while channels are few, elements left over
  index_t row = 0, rows = 0;      // length of a row, and their number in a unit
  index_t tile_rows = 1, cuts = 1, tiles = 1;  // of a tile; tiles of one row; tiles of a unit
  index_t pitch = 0;                           // of arrays over the channels (or folded columns) of a unit
  index_t lots = 1;

  index_t units() const noexcept { return dims.n * parts; }
  index_t unit_size() const noexcept { return groups * dims.d * dims.s; }
  index_t sums_pitch() const noexcept { return columns ? pitch : pitch * cuts; }
  index_t tile_sums() const noexcept { return kNormDoubleSums * pitch; }
  /// Partial sums of a unit, their totals, coefficients, and the lot's share of sums per channel of all samples.
  index_t partials() const noexcept { return tile_sums() * (columns ? tiles : cuts); }
  index_t lot_sums() const noexcept { return (dims.batch ? kNormDoubleSums : 1) * dims.channels(); }
  index_t lot_size() const noexcept { return partials() + tile_sums() + kNormDoubleCoefficients * pitch + lot_sums(); }
};

/// Axes of one element get the strides that serve, and where samples continue each other they are one.
void simplify(NormDims& dims, NormStrides& x) noexcept {
  const index_t c = dims.channels();
  if (dims.s == 1 && (x.c == 1 || c == 1)) dims.layout = NormLayout::channels_last;
  const bool last = dims.layout == NormLayout::channels_last;
  if (dims.s == 1) x.s = last ? c : 1;
  if (c == 1) x.c = last ? 1 : dims.s;
  if (dims.batch && last) {
    if (dims.s == 1) x.s = x.n;
    dims.s *= dims.n;
    dims.n = 1;
  }
}

Split split(const NormDims& dims, const NormStrides& x) noexcept {
  Split p;
  p.dims = dims;
  p.x = x;
  simplify(p.dims, p.x);
  const index_t c = p.dims.channels(), s = p.dims.s;
  p.columns = p.dims.layout == NormLayout::channels_last;
  if (p.columns) {
    p.groups = p.dims.g;
    if (c < 8 * kStep && c % kStep != 0 && p.x.s == c) p.fold = std::min(kStep / std::gcd(c, kStep), s);
    p.row = p.fold * c;
    p.rows = s / p.fold;
    p.tail = s % p.fold * c;
    p.tile_rows = std::max<index_t>(8, kNormBlock / p.row);
    p.tiles = ceil_div(p.rows, p.tile_rows) + (p.tail > 0);
    p.pitch = ceil_div(p.row, kStep) * kStep;
  } else {
    p.groups = std::clamp<index_t>(kNormBlock / std::max<index_t>(1, p.dims.d * s), 1, p.dims.g);
    p.parts = ceil_div(p.dims.g, p.groups);
    p.row = s;
    p.rows = p.groups * p.dims.d;
    p.cuts = ceil_div(s, kNormBlock);
    p.tile_rows = std::max<index_t>(1, kNormBlock / s);
    p.tiles = ceil_div(p.rows, p.tile_rows) * p.cuts;
    p.pitch = p.rows;
  }
  p.lots = in_phases(p.units(), p.unit_size()) ? 1 : std::min(p.units(), kNormLots);
  return p;
}

/// Channels [first, first + count) of sample n.
struct Unit {
  index_t n, group, groups, first, count;
};
Unit unit(const Split& p, index_t i) noexcept {
  const index_t group = i % p.parts * p.groups, groups = std::min(p.groups, p.dims.g - group);
  return {i / p.parts, group, groups, group * p.dims.d, groups * p.dims.d};
}

/// A lot's scratch: arrays of pitch doubles, `sums` per tile, the others per unit.
struct Scratch {
  double *partials, *sums, *coefficients, *lot;
  Scratch(const Split& p, double* at) noexcept
      : partials(at),
        sums(partials + p.partials()),
        coefficients(sums + p.tile_sums()),
        lot(coefficients + kNormDoubleCoefficients * p.pitch) {}
};

/// From sums, in their place. With <t> the mean of t over the slice and a = gamma dy, and <u>, <a> and <h> left out
/// where the slice is not centred,
///     k = <u a> - <u> <a> - <u xhat> <a xhat>,   h = v dy - r (u <a xhat> + a <u xhat>),
///     dx  = r (h - <h> - xhat <h xhat>) - r^2 xhat k,
///     ddy = gamma r (u - <u> - xhat <u xhat>) + v xhat + w,
///     dgamma = sum of r dy (u - <u> - xhat <u xhat>) over the channel.
void make_means(NormDoubleMeans& m, double size, bool center, double r) noexcept {
  for (double* mean : {&m.u, &m.u_xhat, &m.a, &m.a_xhat, &m.u_a, &m.h, &m.h_xhat}) *mean /= size;
  if (!center) m.u = m.a = m.h = 0;
  m.k = m.u_a - m.u * m.a - m.u_xhat * m.a_xhat;
  m.h_xhat -= 2 * r * m.u_xhat * m.a_xhat;
  m.h -= center ? r * (m.u * m.a_xhat + m.a * m.u_xhat) : 0;
}

/// Slices that are one row, of channels of one element each: there is nothing to sum channel by channel.
bool along(const NormDims& dims) noexcept { return dims.s == 1 && !dims.batch; }
index_t along_lots(const NormDims& dims) noexcept { return std::min(dims.n, kNormLots); }

template <class T>
void run_along(const NormDims& dims, const NormStrides& x, const NormDouble<T>& at, double* scratch) noexcept {
  const NormDoubleKernels<T>& kernels = double_kernels<T>();
  const index_t channels = dims.channels(), lots = along_lots(dims);
  const auto slice = [&](index_t n, index_t g, double* dgamma) {
    const index_t c = g * dims.d, i = n * channels + c, q = n * dims.g + g;
    const auto from = [](auto* t, index_t offset) { return t ? t + offset : t; };
    const NormDoubleRow<T> row{.len = dims.d,
                               .x_element = x.c,
                               .x = at.x + n * x.n + c * x.c,
                               .dy = at.dy + i,
                               .u = from(at.u, i),
                               .gamma = from(at.gamma, c),
                               .v = from(at.v, c),
                               .w = from(at.w, c),
                               .dx = from(at.dx, i),
                               .ddy = from(at.ddy, i),
                               .mean = dims.center ? at.stats.mean[q] : 0,
                               .mean_lo = dims.center ? at.stats.mean_lo[q] : 0,
                               .rstd = at.stats.rstd[q]};
    NormDoubleMeans means = kernels.reduce_along(row);
    make_means(means, static_cast<double>(dims.d), dims.center, row.rstd);
    kernels.apply_along(row, means, from(dgamma, c));
  };
  parallel_for(lots, norm_grain(dims.size() / lots), [&](index_t begin, index_t end) {
    for (index_t lot = begin; lot < end; ++lot) {
      double* dgamma = at.dgamma ? scratch + lot * channels : nullptr;
      if (dgamma) std::fill(dgamma, dgamma + channels, 0.0);
      for (index_t n = lot_begin(lot, lots, dims.n); n < lot_begin(lot + 1, lots, dims.n); ++n)
        for (index_t g = 0; g < dims.g; ++g) slice(n, g, dgamma);
    }
  });
  norm_total(scratch, lots, channels, channels, 1, at.dgamma);
}

template <class T>
class Run {
 public:
  Run(const Split& split, const NormDouble<T>& at) noexcept : p_(split), at_(at) {}

  void operator()(double* scratch) noexcept { p_.dims.batch ? pooled(scratch) : slice_by_slice(scratch); }

 private:
  template <class F>
  void each_lot(double* scratch, F&& f) const noexcept {
    parallel_for(p_.lots, norm_grain(p_.dims.size() / p_.lots), [&](index_t begin, index_t end) {
      for (index_t lot = begin; lot < end; ++lot) {
        const index_t from = lot_begin(lot, p_.lots, p_.units()), to = lot_begin(lot + 1, p_.lots, p_.units());
        f(Scratch(p_, scratch + lot * p_.lot_size()), from, to);
      }
    });
  }

  void slice_by_slice(double* scratch) const noexcept {
    each_lot(scratch, [&](const Scratch& s, index_t from, index_t to) {
      std::fill(s.lot, s.lot + p_.lot_sums(), 0.0);
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        reduce(u, s);
        for (index_t g = 0; g < u.groups; ++g) combine(u, g, s, s.lot + u.first);
        apply(u, s);
      }
    });
    norm_total(Scratch(p_, scratch).lot, p_.lots, p_.lot_size(), p_.dims.channels(), 1, at_.dgamma);
  }

  /// Slices that span the samples: all sums come before the first coefficient.
  void pooled(double* scratch) const noexcept {
    const index_t channels = p_.dims.channels();
    each_lot(scratch, [&](const Scratch& s, index_t from, index_t to) {
      std::fill(s.lot, s.lot + p_.lot_sums(), 0.0);
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        reduce(u, s);
        for (int k = 0; k < kNormDoubleSums; ++k)
          for (index_t c = 0; c < u.count; ++c) s.lot[k * channels + u.first + c] += s.sums[k * p_.pitch + c];
      }
    });
    double* totals = Scratch(p_, scratch).lot;
    for (index_t lot = 1; lot < p_.lots; ++lot) {
      const double* more = Scratch(p_, scratch + lot * p_.lot_size()).lot;
      for (index_t i = 0; i < p_.lot_sums(); ++i) totals[i] += more[i];
    }
    each_lot(scratch, [&](const Scratch& s, index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        for (int k = 0; k < kNormDoubleSums; ++k)
          for (index_t c = 0; c < u.count; ++c) s.sums[k * p_.pitch + c] = totals[k * channels + u.first + c];
        double* dgamma = s.partials;  // these have been added up
        std::fill(dgamma, dgamma + u.count, 0.0);
        for (index_t g = 0; g < u.groups; ++g) combine(u, g, s, dgamma);
        for (index_t c = 0; at_.dgamma && u.n == 0 && c < u.count; ++c)
          at_.dgamma[u.first + c] = static_cast<T>(dgamma[c]);
        apply(u, s);
      }
    });
  }

  void read_statistics(const Unit& u, const Scratch& s) const noexcept {
    double* to = s.coefficients;
    for (index_t c = 0; c < u.count; ++c) {
      const index_t group = u.group + c / p_.dims.d, q = p_.dims.batch ? group : u.n * p_.dims.g + group;
      to[kMean * p_.pitch + c] = p_.dims.center ? at_.stats.mean[q] : 0;
      to[kMeanLo * p_.pitch + c] = p_.dims.center ? at_.stats.mean_lo[q] : 0;
      to[kRstd * p_.pitch + c] = at_.stats.rstd[q];
    }
    unfold(u, to, kRstd + 1);
  }

  /// Copies the coefficients of the channels to the columns that repeat them, and zeros to the padding.
  void unfold(const Unit& u, double* arrays, int count) const noexcept {
    if (!p_.columns) return;
    for (int k = 0; k < count; ++k, arrays += p_.pitch) {
      for (index_t c = u.count; c < p_.row; ++c) arrays[c] = arrays[c - u.count];
      std::fill(arrays + p_.row, arrays + p_.pitch, 0.0);
    }
  }

  /// Tile i of a unit, and where its sums go.
  NormTile<T> tile(const Unit& u, const Scratch& s, index_t i) const noexcept {
    NormTile<T> t;
    index_t x = u.n * p_.x.n, y = u.n * p_.dims.channels() * p_.dims.s;
    t.coefficients = s.coefficients;
    t.pitch = p_.pitch;
    if (p_.columns) {
      const index_t row = i * p_.tile_rows;
      const bool tail = p_.tail > 0 && i + 1 == p_.tiles;
      t.rows = tail ? 1 : std::min(p_.tile_rows, p_.rows - row);
      t.width = tail ? p_.tail : p_.row;
      t.x_row = p_.x.s * p_.fold;
      t.row = p_.row;
      const index_t first = tail ? p_.rows : row;
      x += first * t.x_row;
      y += first * t.row;
      t.sums = s.partials + i * p_.tile_sums();
      t.sums_pitch = p_.pitch;
    } else {
      const index_t row = i / p_.cuts * p_.tile_rows, offset = i % p_.cuts * kNormBlock;
      t.rows = std::clamp<index_t>(u.count - row, 0, p_.tile_rows);
      t.width = std::min(p_.row - offset, kNormBlock);
      t.x_row = p_.x.c;
      t.x_element = p_.x.s;
      t.row = p_.row;
      x += (u.first + row) * p_.x.c + offset * p_.x.s;
      y += (u.first + row) * p_.row + offset;
      t.coefficients += row;
      t.sums = s.partials + row * p_.cuts + i % p_.cuts;
      t.sums_pitch = p_.sums_pitch();
      t.sums_channel = p_.cuts;
    }
    t.x = at_.x + x;
    t.dy = at_.dy + y;
    if (at_.u) t.u = at_.u + y;
    if (at_.dx) t.dx = at_.dx + y;
    if (at_.ddy) t.ddy = at_.ddy + y;
    return t;
  }

  void each_tile(void (*kernel)(const NormTile<T>&) noexcept, const Unit& u, const Scratch& s) const noexcept {
    parallel_for(p_.tiles, norm_grain(p_.unit_size() / p_.tiles), [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) kernel(tile(u, s, i));
    });
  }

  void apply(const Unit& u, const Scratch& s) const noexcept {
    if (!at_.dx && !at_.ddy) return;
    const NormDoubleKernels<T>& k = double_kernels<T>();
    each_tile(p_.columns ? k.apply_columns : k.apply_rows, u, s);
  }

  /// The sums of each channel of a unit, of xhat itself in float32 too.
  void reduce(const Unit& u, const Scratch& s) const noexcept {
    const NormDoubleKernels<T>& kernels = double_kernels<T>();
    each_tile(p_.columns ? kernels.reduce_columns : kernels.reduce_rows, u, s);
    for (int k = 0; k < kNormDoubleSums; ++k) gather(u, s, k);
    if constexpr (sizeof(T) == 4) {
      const double* lo = s.coefficients + kMeanLo * p_.pitch;
      const double* rstd = s.coefficients + kRstd * p_.pitch;
      for (const auto& [of, with] : {std::pair{kSumU, kSumUXhat}, {kSumDy, kSumDyXhat}})
        for (index_t c = 0; c < u.count; ++c) {
          double& sum = s.sums[with * p_.pitch + c];
          sum = (sum - lo[c] * s.sums[of * p_.pitch + c]) * rstd[c];
        }
    }
  }

  /// Adds up the partial sums k of a unit's tiles, in their order.
  void gather(const Unit& u, const Scratch& s, int k) const noexcept {
    double* to = s.sums + k * p_.pitch;
    if (!p_.columns) {
      const double* from = s.partials + k * p_.sums_pitch();
      for (index_t c = 0; c < u.count; ++c) {
        double sum = from[c * p_.cuts];
        for (index_t cut = 1; cut < p_.cuts; ++cut) sum += from[c * p_.cuts + cut];
        to[c] = sum;
      }
      return;
    }
    std::fill(to, to + u.count, 0.0);
    for (index_t i = 0; i < p_.tiles; ++i) {
      const double* from = s.partials + i * p_.tile_sums() + k * p_.pitch;
      const index_t width = p_.tail > 0 && i + 1 == p_.tiles ? p_.tail : p_.row;
      for (index_t begin = 0; begin < width; begin += u.count)
        for (index_t c = 0; c < u.count; ++c) to[c] += from[begin + c];
    }
  }

  /// The coefficients of group g of a unit from its sums; adds to dgamma[c].
  void combine(const Unit& unit, index_t g, const Scratch& s, double* dgamma) const noexcept {
    const index_t d = p_.dims.d, begin = g * d, end = begin + d;
    const auto sum = [&](NormDoubleSum k, index_t c) { return s.sums[k * p_.pitch + c]; };
    const auto channel = [&](const T* t, index_t c, double absent) {
      return t ? static_cast<double>(t[unit.first + c]) : absent;
    };
    NormDoubleMeans m;
    for (index_t c = begin; c < end; ++c) {
      const double gamma = channel(at_.gamma, c, 1), v = channel(at_.v, c, 0);
      m.u += sum(kSumU, c);
      m.u_xhat += sum(kSumUXhat, c);
      m.a += gamma * sum(kSumDy, c);
      m.a_xhat += gamma * sum(kSumDyXhat, c);
      m.u_a += gamma * sum(kSumUDy, c);
      m.h += v * sum(kSumDy, c);
      m.h_xhat += v * sum(kSumDyXhat, c);
    }
    const double r = s.coefficients[kRstd * p_.pitch + begin];
    make_means(m, static_cast<double>(d * p_.dims.s * (p_.dims.batch ? p_.dims.n : 1)), p_.dims.center, r);

    for (index_t c = begin; c < end; ++c) {
      const double gamma = channel(at_.gamma, c, 1), v = channel(at_.v, c, 0), w = channel(at_.w, c, 0);
      const auto set = [&](NormDoubleCoefficient j, double value) { s.coefficients[j * p_.pitch + c] = value; };
      // xhat = (d - lo) r, where the kernel has d for it.
      const auto set_xhat = [&](NormDoubleCoefficient xhat, double value, NormDoubleCoefficient one, double constant) {
        const bool late = sizeof(T) == 4;
        set(xhat, late ? value * r : value);
        set(one, late ? constant - s.coefficients[kMeanLo * p_.pitch + c] * (value * r) : constant);
      };
      set(kDxDy, r * (v - r * gamma * m.u_xhat));
      set(kDxU, -r * r * m.a_xhat);
      set_xhat(kDxXhat, -r * (m.h_xhat + r * m.k), kDxOne, -r * m.h);
      set(kDdyU, gamma * r);
      set_xhat(kDdyXhat, v - gamma * r * m.u_xhat, kDdyOne, w - gamma * r * m.u);
      dgamma[c] += r * (sum(kSumUDy, c) - m.u * sum(kSumDy, c) - m.u_xhat * sum(kSumDyXhat, c));
    }
    if (g + 1 == unit.groups) unfold(unit, s.coefficients + kDxDy * p_.pitch, kNormDoubleCoefficients - kDxDy);
  }

  const Split& p_;
  const NormDouble<T>& at_;
};

}  // namespace

index_t norm_double_scratch(const NormDims& dims, const NormStrides& x) noexcept {
  if (dims.size() == 0) return 0;
  if (along(dims)) return along_lots(dims) * dims.channels();
  const Split p = split(dims, x);
  return p.lots * p.lot_size();
}

template <class T>
void norm_double_backward(const NormDims& dims, const NormStrides& x_strides, const NormDouble<T>& at,
                          double* scratch) noexcept {
  if (dims.size() == 0) {
    if (at.dgamma) std::fill(at.dgamma, at.dgamma + dims.channels(), T{});
    return;
  }
  if (along(dims)) return run_along(dims, x_strides, at, scratch);
  const Split p = split(dims, x_strides);
  Run<T>(p, at)(scratch);
}

template void norm_double_backward(const NormDims&, const NormStrides&, const NormDouble<float>&, double*) noexcept;
template void norm_double_backward(const NormDims&, const NormStrides&, const NormDouble<double>&, double*) noexcept;

}  // namespace limpid::detail
