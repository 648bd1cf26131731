#include <limpid/ops/reduce/kernels/order.hpp>

#include <bit>
#include <cstring>
#include <limits>

// Plain loops, which compilers turn into vectors, over blocks of constant size.
namespace limpid::kernels {
namespace {

using std::int32_t, std::int64_t, std::uint64_t, std::uint8_t;

template <class T>
inline Rank<T> rank_of(T x) noexcept {
  using R = Rank<T>;
  constexpr R top = R{1} << (std::numeric_limits<R>::digits - 1);
  if constexpr (std::is_floating_point_v<T>) {
    // Signed, for few instruction sets compare vectors of other whole numbers.
    using Signed = std::make_signed_t<R>;
    const R bits = std::bit_cast<R>(x), size = bits & ~top;
    const R ordered = bits ^ (static_cast<R>(static_cast<Signed>(bits) >> (std::numeric_limits<R>::digits - 1)) | top);
    const R number = size == 0 ? top : ordered;
    return static_cast<Signed>(size) > std::bit_cast<Signed>(std::numeric_limits<T>::infinity()) ? ~R{0} : number;
  } else {
    return std::is_signed_v<T> ? static_cast<R>(x) ^ top : static_cast<R>(x);
  }
}

template <class T>
void rank(int64_t n, void* rank, const void* x, uint64_t turned) noexcept {
  auto* __restrict to = static_cast<Rank<T>*>(rank);
  const auto* __restrict from = static_cast<const T*>(x);
  for (int64_t i = 0; i < n; ++i) to[i] = rank_of(from[i]) ^ static_cast<Rank<T>>(turned);
}

template <class R>
void least(int64_t n, R* least, const R* rank) noexcept {
  R lane[least_lanes];
  for (R& r : lane) r = ~R{0};
  for (; n >= least_lanes; n -= least_lanes, rank += least_lanes)
    for (int64_t i = 0; i < least_lanes; ++i) lane[i] = rank[i] < lane[i] ? rank[i] : lane[i];
  std::memcpy(least, lane, sizeof lane);
}

// Few are found: eights without one are passed over, and in those with one nothing branches.
template <class R>
int64_t within(int64_t n, int32_t* place, const R* rank, R bound) noexcept {
  constexpr int64_t block = 64;
  int64_t found = 0, i = 0;
  const auto look_at = [&](bool is_within, int64_t at) {
    place[found] = static_cast<int32_t>(at);
    found += is_within;
  };
  for (; i + block <= n; i += block) {
    uint8_t is_within[block];
    for (int64_t j = 0; j < block; ++j) is_within[j] = rank[i + j] <= bound;
    for (int64_t j = 0; j < block; j += 8) {
      uint64_t eight;
      std::memcpy(&eight, is_within + j, sizeof eight);
      for (int64_t k = j; eight != 0 && k < j + 8; ++k) look_at(is_within[k] != 0, i + k);
    }
  }
  for (; i < n; ++i) look_at(rank[i] <= bound, i);
  return found;
}

template <class R>
constexpr SelectKernels<R> select_kernels = {least<R>, within<R>};

}  // namespace

namespace LIMPID_KERNEL_ISA {
const OrderKernels order_kernels = {
    .rank = {{rank<bool>, rank<uint8_t>, rank<int32_t>, rank<int64_t>, nullptr, nullptr, rank<float>, rank<double>}},
    .select_u32 = select_kernels<std::uint32_t>,
    .select_u64 = select_kernels<uint64_t>,
};
}  // namespace LIMPID_KERNEL_ISA

}  // namespace limpid::kernels
