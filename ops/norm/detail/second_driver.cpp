#include <limpid/ops/norm/detail/second_driver.hpp>

#include <limpid/ops/norm/detail/forms.hpp>

#include <algorithm>

namespace limpid::detail {
namespace {

using namespace kernels;
using index_t = std::int64_t;

template <class T>
const NormSecondKernels<T>& second_kernels() noexcept {
  if constexpr (sizeof(T) == 4)
    return LIMPID_AT_ISA(norm_second_float);
  else
    return LIMPID_AT_ISA(norm_second_double);
}

/// From sums, in their place. With <t> the mean of t over the slice and a = gamma dy, and <u>, <a> and <h> left out
/// where the slice is not centred,
///     k = <u a> - <u> <a> - <u xhat> <a xhat>,   h = v dy - r (u <a xhat> + a <u xhat>),
///     dx  = r (h - <h> - xhat <h xhat>) - r^2 xhat k,
///     ddy = gamma r (u - <u> - xhat <u xhat>) + v xhat + w,
///     dgamma = sum of r dy (u - <u> - xhat <u xhat>) over the channel.
void make_means(NormSecondMeans& m, double size, bool center, double r) noexcept {
  for (double* mean : {&m.u, &m.u_xhat, &m.a, &m.a_xhat, &m.u_a, &m.h, &m.h_xhat}) *mean /= size;
  if (!center) m.u = m.a = m.h = 0;
  m.k = m.u_a - m.u * m.a - m.u_xhat * m.a_xhat;
  m.h_xhat -= 2 * r * m.u_xhat * m.a_xhat;
  m.h -= center ? r * (m.u * m.a_xhat + m.a * m.u_xhat) : 0;
}

template <class T>
T* from(T* array, index_t offset) noexcept {
  return array ? array + offset : array;
}

// ---- channel rows --------------------------------------------------------------------------------------------------

/// Slices that are one row, of channels of one element each: there is nothing to sum channel by channel.
bool has_channel_rows(const NormDims& dims) noexcept { return dims.s == 1 && !dims.pooled; }

/// Slice (n, g).
template <class T>
NormChannelRow<T> channel_row(const NormSecondCall<T>& call, index_t n, index_t g) noexcept {
  const auto& [dims, x] = call.geometry;
  const index_t c = g * dims.d, i = n * dims.channels() + c, q = n * dims.g + g;
  return {.len = dims.d,
          .x_element = x.c,
          .in = {.x = call.in.x + n * x.n + c * x.c,
                 .dy = call.in.dy + i,
                 .u = from(call.in.u, i),
                 .gamma = from(call.in.gamma, c),
                 .v = from(call.in.v, c),
                 .w = from(call.in.w, c)},
          .out = {.ddy = from(call.out.ddy, i), .dx = from(call.out.dx, i)},
          .mean = dims.center ? call.stats.mean[q] : 0,
          .mean_lo = dims.center ? call.stats.mean_lo[q] : 0,
          .rstd = call.stats.rstd[q]};
}

template <class T>
void run_channel_rows(const NormSecondCall<T>& call) noexcept {
  const NormSecondKernels<T>& kernels = second_kernels<T>();
  const NormDims& dims = call.geometry.dims;
  const index_t channels = dims.channels(), chunks = std::min(dims.n, kNormChunks);
  const auto slice = [&](index_t n, index_t g, double* dgamma) {
    const NormChannelRow<T> row = channel_row(call, n, g);
    NormSecondMeans means = kernels.reduce_channel_row(row);
    make_means(means, static_cast<double>(dims.d), dims.center, row.rstd);
    kernels.apply_channel_row(row, means, from(dgamma, g * dims.d));
  };
  parallel_for(chunks, norm_grain(dims.size() / chunks), [&](index_t begin, index_t end) {
    for (index_t chunk = begin; chunk < end; ++chunk) {
      double* dgamma = call.out.dgamma ? call.scratch + chunk * channels : nullptr;
      if (dgamma) std::fill(dgamma, dgamma + channels, 0.0);
      for (index_t n = chunk_begin(chunk, chunks, dims.n); n < chunk_begin(chunk + 1, chunks, dims.n); ++n)
        for (index_t g = 0; g < dims.g; ++g) slice(n, g, dgamma);
    }
  });
  norm_total({.from = call.scratch, .count = chunks, .step = channels, .channels = channels}, call.out.dgamma);
}

// ---- all other slices ----------------------------------------------------------------------------------------------

/// How the work is split. A unit is some whole slices of one sample (where statistics are pooled, some whole channels);
/// it is small enough to be read again from a near cache, or is cut up into tiles for all threads. Chunks of units are
/// taken by threads in turn, each with scratch memory of its own.
struct Split {
  NormDims dims;
  NormStrides x;
  bool columns = false;                        ///< Channels are columns rather than rows.
  index_t groups = 1, parts = 1;               ///< Groups of a unit, units of a sample.
  index_t row = 0, rows = 0;                   ///< Length of a row, and their number in a unit.
  index_t repeat = 1, tail = 0;                ///< Columns: as in NormColumnGeometry.
  index_t tile_rows = 1, cuts = 1, tiles = 1;  ///< Rows of a tile, tiles along one row, tiles of a unit.
  index_t pitch = 0;                           ///< Of arrays over the channels (or columns) of a unit.
  index_t chunks = 1;

  index_t units() const noexcept { return dims.n * parts; }
  index_t unit_size() const noexcept { return groups * dims.d * dims.s; }
  index_t sums_pitch() const noexcept { return columns ? pitch : pitch * cuts; }
  index_t tile_sums() const noexcept { return kNormSecondSums * pitch; }
  /// Partial sums of a unit; the sums per channel that a chunk gathers over its units; all of a chunk's scratch.
  index_t partials() const noexcept { return tile_sums() * (columns ? tiles : cuts); }
  index_t chunk_sums() const noexcept { return (dims.pooled ? kNormSecondSums : 1) * dims.channels(); }
  index_t chunk_size() const noexcept {
    return partials() + tile_sums() + kNormSecondCoefficients * pitch + chunk_sums();
  }
};

Split split(const NormGeometry& given) noexcept {
  const NormGeometry at = simplified(given);
  Split p;
  p.dims = at.dims;
  p.x = at.x_strides;
  const index_t c = p.dims.channels(), s = p.dims.s;
  p.columns = p.dims.layout == NormLayout::channels_last;
  if (p.columns) {
    p.groups = p.dims.g;
    p.repeat = column_repeat(p.dims, p.x);
    p.row = p.repeat * c;
    p.rows = s / p.repeat;
    p.tail = s % p.repeat * c;
    p.tile_rows = std::max<index_t>(8, kNormBlock / p.row);
    p.tiles = ceil_div(p.rows, p.tile_rows) + (p.tail > 0);
    p.pitch = column_pitch(p.row);
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
  p.chunks = in_phases(p.units(), p.unit_size()) ? 1 : std::min(p.units(), kNormChunks);
  return p;
}

/// Groups [group, group + groups) of sample n, which are channels [first, first + count).
struct Unit {
  index_t n, group, groups, first, count;
};
Unit unit(const Split& p, index_t i) noexcept {
  const index_t group = i % p.parts * p.groups, groups = std::min(p.groups, p.dims.g - group);
  return {.n = i / p.parts, .group = group, .groups = groups, .first = group * p.dims.d, .count = groups * p.dims.d};
}

/// A chunk's scratch memory: arrays of pitch doubles, first those of a unit (partial sums of its tiles, their totals,
/// coefficients), then the sums that the chunk gathers over its units, an array over all channels each.
struct Scratch {
  double *partials, *sums, *coefficients, *gathered;
  Scratch(const Split& p, double* at) noexcept
      : partials(at),
        sums(partials + p.partials()),
        coefficients(sums + p.tile_sums()),
        gathered(coefficients + kNormSecondCoefficients * p.pitch) {}
};

template <class T>
class Run {
 public:
  Run(const Split& split, const NormSecondCall<T>& call) noexcept : p_(split), call_(call) {}

  void operator()() const noexcept { p_.dims.pooled ? pooled() : slice_by_slice(); }

 private:
  Scratch scratch_of(index_t chunk) const noexcept { return {p_, call_.scratch + chunk * p_.chunk_size()}; }

  /// Calls f(scratch, from, to) for each chunk, of units [from, to).
  template <class F>
  void each_chunk(F&& f) const noexcept {
    parallel_for(p_.chunks, norm_grain(p_.dims.size() / p_.chunks), [&](index_t begin, index_t end) {
      for (index_t chunk = begin; chunk < end; ++chunk)
        f(scratch_of(chunk), chunk_begin(chunk, p_.chunks, p_.units()), chunk_begin(chunk + 1, p_.chunks, p_.units()));
    });
  }

  void slice_by_slice() const noexcept {
    each_chunk([&](const Scratch& s, index_t from, index_t to) {
      std::fill(s.gathered, s.gathered + p_.chunk_sums(), 0.0);
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        reduce(u, s);
        for (index_t g = 0; g < u.groups; ++g) combine(u, g, s, s.gathered + u.first);
        apply(u, s);
      }
    });
    norm_total(
        {.from = scratch_of(0).gathered, .count = p_.chunks, .step = p_.chunk_size(), .channels = p_.dims.channels()},
        call_.out.dgamma);
  }

  /// Slices that span the samples: all sums come before the first coefficient.
  void pooled() const noexcept {
    const index_t channels = p_.dims.channels();
    each_chunk([&](const Scratch& s, index_t from, index_t to) {
      std::fill(s.gathered, s.gathered + p_.chunk_sums(), 0.0);
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        reduce(u, s);
        for (int k = 0; k < kNormSecondSums; ++k)
          for (index_t c = 0; c < u.count; ++c) s.gathered[k * channels + u.first + c] += s.sums[k * p_.pitch + c];
      }
    });
    double* totals = scratch_of(0).gathered;
    for (index_t chunk = 1; chunk < p_.chunks; ++chunk) {
      const double* more = scratch_of(chunk).gathered;
      for (index_t i = 0; i < p_.chunk_sums(); ++i) totals[i] += more[i];
    }
    each_chunk([&](const Scratch& s, index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) {
        const Unit u = unit(p_, i);
        read_statistics(u, s);
        for (int k = 0; k < kNormSecondSums; ++k)
          for (index_t c = 0; c < u.count; ++c) s.sums[k * p_.pitch + c] = totals[k * channels + u.first + c];
        double* dgamma = s.partials;  // these have been added up
        std::fill(dgamma, dgamma + u.count, 0.0);
        for (index_t g = 0; g < u.groups; ++g) combine(u, g, s, dgamma);
        for (index_t c = 0; call_.out.dgamma && u.n == 0 && c < u.count; ++c)
          call_.out.dgamma[u.first + c] = static_cast<T>(dgamma[c]);
        apply(u, s);
      }
    });
  }

  void read_statistics(const Unit& u, const Scratch& s) const noexcept {
    double* to = s.coefficients;
    for (index_t c = 0; c < u.count; ++c) {
      const index_t group = u.group + c / p_.dims.d, q = p_.dims.pooled ? group : u.n * p_.dims.g + group;
      to[kMean * p_.pitch + c] = p_.dims.center ? call_.stats.mean[q] : 0;
      to[kMeanLo * p_.pitch + c] = p_.dims.center ? call_.stats.mean_lo[q] : 0;
      to[kRstd * p_.pitch + c] = call_.stats.rstd[q];
    }
    repeat_channels(u, to, kRstd + 1);
  }

  /// Copies the coefficients of the channels to the columns that repeat them, and zeros to the padding.
  void repeat_channels(const Unit& u, double* arrays, int count) const noexcept {
    if (!p_.columns) return;
    for (int k = 0; k < count; ++k, arrays += p_.pitch) {
      for (index_t c = u.count; c < p_.row; ++c) arrays[c] = arrays[c - u.count];
      std::fill(arrays + p_.row, arrays + p_.pitch, 0.0);
    }
  }

  /// Tile i of a unit, and where its sums go.
  NormTile<T> tile(const Unit& u, const Scratch& s, index_t i) const noexcept {
    return p_.columns ? tile_of_columns(u, s, i) : tile_of_rows(u, s, i);
  }

  NormTile<T> tile_of_columns(const Unit& u, const Scratch& s, index_t i) const noexcept {
    const bool tail = p_.tail > 0 && i + 1 == p_.tiles;
    const index_t row = tail ? p_.rows : i * p_.tile_rows;
    NormTile<T> t;
    t.geometry = {.rows = tail ? 1 : std::min(p_.tile_rows, p_.rows - row),
                  .width = tail ? p_.tail : p_.row,
                  .x_row = p_.x.s * p_.repeat,
                  .row = p_.row};
    t.coefficients = {.at = s.coefficients, .pitch = p_.pitch};
    t.sums = {.at = s.partials + i * p_.tile_sums(), .pitch = p_.pitch};
    place(t, u, row * t.geometry.x_row, row * t.geometry.row);
    return t;
  }

  NormTile<T> tile_of_rows(const Unit& u, const Scratch& s, index_t i) const noexcept {
    const index_t row = i / p_.cuts * p_.tile_rows, offset = i % p_.cuts * kNormBlock;
    NormTile<T> t;
    t.geometry = {.rows = std::clamp<index_t>(u.count - row, 0, p_.tile_rows),
                  .width = std::min(p_.row - offset, kNormBlock),
                  .x_row = p_.x.c,
                  .x_element = p_.x.s,
                  .row = p_.row};
    t.coefficients = {.at = s.coefficients + row, .pitch = p_.pitch};
    t.sums = {.at = s.partials + row * p_.cuts + i % p_.cuts, .pitch = p_.sums_pitch(), .channel = p_.cuts};
    place(t, u, (u.first + row) * p_.x.c + offset * p_.x.s, (u.first + row) * p_.row + offset);
    return t;
  }

  /// x_offset, offset: from the start of the unit's sample, in x and elsewhere.
  void place(NormTile<T>& t, const Unit& u, index_t x_offset, index_t offset) const noexcept {
    const index_t x = u.n * p_.x.n + x_offset, y = u.n * p_.dims.channels() * p_.dims.s + offset;
    t.in.x = call_.in.x + x;
    t.in.dy = call_.in.dy + y;
    t.in.u = from(call_.in.u, y);
    t.out.dx = from(call_.out.dx, y);
    t.out.ddy = from(call_.out.ddy, y);
  }

  void each_tile(void (*kernel)(const NormTile<T>&) noexcept, const Unit& u, const Scratch& s) const noexcept {
    parallel_for(p_.tiles, norm_grain(p_.unit_size() / p_.tiles), [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) kernel(tile(u, s, i));
    });
  }

  void apply(const Unit& u, const Scratch& s) const noexcept {
    if (!call_.out.dx && !call_.out.ddy) return;
    const NormSecondKernels<T>& k = second_kernels<T>();
    each_tile(p_.columns ? k.apply_columns : k.apply_rows, u, s);
  }

  /// The sums of each channel of a unit, of xhat itself in float32 too.
  void reduce(const Unit& u, const Scratch& s) const noexcept {
    const NormSecondKernels<T>& kernels = second_kernels<T>();
    each_tile(p_.columns ? kernels.reduce_columns : kernels.reduce_rows, u, s);
    for (int k = 0; k < kNormSecondSums; ++k) gather(u, s, k);
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
      const double* partial = s.partials + k * p_.sums_pitch();
      for (index_t c = 0; c < u.count; ++c) {
        double sum = partial[c * p_.cuts];
        for (index_t cut = 1; cut < p_.cuts; ++cut) sum += partial[c * p_.cuts + cut];
        to[c] = sum;
      }
      return;
    }
    std::fill(to, to + u.count, 0.0);
    for (index_t i = 0; i < p_.tiles; ++i) {
      const double* partial = s.partials + i * p_.tile_sums() + k * p_.pitch;
      const index_t width = p_.tail > 0 && i + 1 == p_.tiles ? p_.tail : p_.row;
      for (index_t begin = 0; begin < width; begin += u.count)
        for (index_t c = 0; c < u.count; ++c) to[c] += partial[begin + c];
    }
  }

  /// The coefficients of group g of a unit from its sums; adds to dgamma[c].
  void combine(const Unit& unit, index_t g, const Scratch& s, double* dgamma) const noexcept {
    const index_t d = p_.dims.d, begin = g * d, end = begin + d;
    const auto sum = [&](NormSecondSum k, index_t c) { return s.sums[k * p_.pitch + c]; };
    const auto channel = [&](const T* t, index_t c, double absent) {
      return t ? static_cast<double>(t[unit.first + c]) : absent;
    };
    NormSecondMeans m;
    for (index_t c = begin; c < end; ++c) {
      const double gamma = channel(call_.in.gamma, c, 1), v = channel(call_.in.v, c, 0);
      m.u += sum(kSumU, c);
      m.u_xhat += sum(kSumUXhat, c);
      m.a += gamma * sum(kSumDy, c);
      m.a_xhat += gamma * sum(kSumDyXhat, c);
      m.u_a += gamma * sum(kSumUDy, c);
      m.h += v * sum(kSumDy, c);
      m.h_xhat += v * sum(kSumDyXhat, c);
    }
    const double r = s.coefficients[kRstd * p_.pitch + begin];
    make_means(m, static_cast<double>(d * p_.dims.s * (p_.dims.pooled ? p_.dims.n : 1)), p_.dims.center, r);

    for (index_t c = begin; c < end; ++c) {
      const double gamma = channel(call_.in.gamma, c, 1), v = channel(call_.in.v, c, 0), w = channel(call_.in.w, c, 0);
      const auto set = [&](NormSecondCoefficient j, double value) { s.coefficients[j * p_.pitch + c] = value; };
      // xhat = (d - lo) r, where the kernel has d for it.
      const auto set_xhat = [&](NormSecondCoefficient xhat, double value, NormSecondCoefficient one, double constant) {
        const bool has_d = sizeof(T) == 4;
        set(xhat, has_d ? value * r : value);
        set(one, has_d ? constant - s.coefficients[kMeanLo * p_.pitch + c] * (value * r) : constant);
      };
      set(kDxDy, r * (v - r * gamma * m.u_xhat));
      set(kDxU, -r * r * m.a_xhat);
      set_xhat(kDxXhat, -r * (m.h_xhat + r * m.k), kDxOne, -r * m.h);
      set(kDdyU, gamma * r);
      set_xhat(kDdyXhat, v - gamma * r * m.u_xhat, kDdyOne, w - gamma * r * m.u);
      dgamma[c] += r * (sum(kSumUDy, c) - m.u * sum(kSumDy, c) - m.u_xhat * sum(kSumDyXhat, c));
    }
    if (g + 1 == unit.groups) repeat_channels(unit, s.coefficients + kDxDy * p_.pitch, kNormSecondCoefficients - kDxDy);
  }

  const Split& p_;
  const NormSecondCall<T>& call_;
};

}  // namespace

index_t norm_second_scratch(const NormGeometry& geometry) noexcept {
  const NormDims& dims = geometry.dims;
  if (dims.size() == 0) return 0;
  if (has_channel_rows(dims)) return std::min(dims.n, kNormChunks) * dims.channels();
  const Split p = split(geometry);
  return p.chunks * p.chunk_size();
}

template <class T>
void run_norm_second(const NormSecondCall<T>& call) noexcept {
  const NormDims& dims = call.geometry.dims;
  if (dims.size() == 0) {
    if (call.out.dgamma) std::fill(call.out.dgamma, call.out.dgamma + dims.channels(), T{});
    return;
  }
  if (has_channel_rows(dims)) return run_channel_rows(call);
  const Split p = split(call.geometry);
  Run<T>(p, call)();
}

template void run_norm_second(const NormSecondCall<float>&) noexcept;
template void run_norm_second(const NormSecondCall<double>&) noexcept;

}  // namespace limpid::detail
