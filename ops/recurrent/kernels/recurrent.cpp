#include <limpid/ops/recurrent/kernels/recurrent.hpp>

#include <limpid/core/kernels/simd.hpp>

#include <type_traits>

namespace limpid::kernels {
namespace {

using index_t = std::int64_t;

// e^-x for x >= 0, but 0 where that is below the normal numbers: a closed gate is 0, and lets nothing through however
// large it is. NaN stays.
template <class B>
B decayed(B x) noexcept {
  constexpr auto most = std::is_same_v<typename B::value_type, double> ? 708.396 : 87.3365;
  const B limit(static_cast<typename B::value_type>(most));
  return xsimd::select(x > limit, B(0), xsimd::exp(-xsimd::min(limit, x)));
}

// By e^-|x|, of which nothing cancels: sigmoid(x), sigmoid(-x) and their product, the derivative. NaN stays.
template <class B>
struct Sigmoid {
  B value, opposite, slope;
  explicit Sigmoid(B x) noexcept {
    const B e = decayed(xsimd::abs(x)), large = B(1) / (B(1) + e), small = e * large;
    value = xsimd::select(x < B(0), small, large);
    opposite = xsimd::select(x < B(0), large, small);
    slope = small * large;
  }
};

template <class B>
B tanh_of(B x) noexcept {
  return xsimd::tanh(xsimd::max(B(-20), xsimd::min(B(20), x)));  // beyond, 1 to the last digit
}
// 1 - tanh(x)^2 = (2 e^-|x| / (1 + e^-2|x|))^2
template <class B>
B tanh_slope(B x) noexcept {
  const B e = decayed(xsimd::abs(x)), secant = (e + e) / (B(1) + e * e);
  return secant * secant;
}

// As many elements as a batch has, or what is left of a row, in place of which the rest is 0.
template <class T>
class Lanes {
 public:
  using B = xsimd::batch<T>;
  explicit Lanes(index_t count) noexcept : count_(count) {}
  B load(const T* x) const noexcept {
    if (count_ == size) [[likely]]
      return B::load_unaligned(x);
    T values[size] = {};
    for (index_t i = 0; i < count_; ++i) values[i] = x[i];
    return B::load_unaligned(values);
  }
  void store(T* y, B v) const noexcept {
    if (count_ == size) [[likely]]
      return v.store_unaligned(y);
    T values[size];
    v.store_unaligned(values);
    for (index_t i = 0; i < count_; ++i) y[i] = values[i];
  }
  static constexpr auto size = static_cast<index_t>(B::size);

 private:
  index_t count_;
};

// f(row, first element, lanes) over all active rows.
template <class T, class F>
void for_lanes(const StepRows& rows, F&& f) noexcept {
  for (index_t row = rows.begin; row < rows.end; ++row) {
    if (rows.active && !rows.active[row]) continue;
    index_t j = 0;
    for (; j + Lanes<T>::size <= rows.hidden; j += Lanes<T>::size) f(row, j, Lanes<T>(Lanes<T>::size));
    if (j < rows.hidden) f(row, j, Lanes<T>(rows.hidden - j));
  }
}

template <class T>
void rnn_tanh(const StepRows& rows, const RnnStep<T>& s) noexcept {
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * rows.hidden + j;
    lanes.store(s.h + at, tanh_of(lanes.load(s.gates + at)));
  });
}

// dgates = dh tanh'(gates)
template <class T>
void rnn_tanh_backward(const StepRows& rows, const RnnStep<T>& s) noexcept {
  using B = xsimd::batch<T>;
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * rows.hidden + j;
    lanes.store(s.dgates + at, lanes.load(s.dh + at) * tanh_slope(lanes.load(s.gates + at)));
    lanes.store(s.dh + at, B(0));
  });
}

template <class T>
void rnn_relu(const StepRows& rows, const RnnStep<T>& s) noexcept {
  for (index_t row = rows.begin; row < rows.end; ++row)
    if (!rows.active || rows.active[row])
      for (index_t i = row * rows.hidden; i < (row + 1) * rows.hidden; ++i)
        s.h[i] = s.gates[i] <= T{0} ? T{0} : s.gates[i];
}

// dgates = dh where gates are above 0 or NaN, else 0
template <class T>
void rnn_relu_backward(const StepRows& rows, const RnnStep<T>& s) noexcept {
  for (index_t row = rows.begin; row < rows.end; ++row)
    if (!rows.active || rows.active[row])
      for (index_t i = row * rows.hidden; i < (row + 1) * rows.hidden; ++i) {
        s.dgates[i] = s.gates[i] <= T{0} ? T{0} : s.dh[i];
        s.dh[i] = T{0};
      }
}

template <class T>
void gru(const StepRows& rows, const GruStep<T>& s) noexcept {
  using B = xsimd::batch<T>;
  const index_t h = rows.hidden;
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * h + j, gate = 3 * row * h + j;
    const auto sum = [&](index_t k) {
      return lanes.load(s.from_x + gate + k * h) + lanes.load(s.from_h + gate + k * h);
    };
    const Sigmoid<B> r(sum(0)), z(sum(1));
    const B n = tanh_of(lanes.load(s.from_x + gate + 2 * h) + r.value * lanes.load(s.from_h + gate + 2 * h));
    lanes.store(s.h + at, z.opposite * n + z.value * lanes.load(s.h_before + at));
  });
}

// h = (1 - z) n + z h_before, n = tanh(a), a = x_n + r h_n:
//   da = dh (1 - z) tanh'(a),  dx_n = da,  dh_n = da r,  dr = da h_n,  dz = dh (h_before - n),  dh_before = dh z + ...
template <class T>
void gru_backward(const StepRows& rows, const GruStep<T>& s) noexcept {
  using B = xsimd::batch<T>;
  const index_t h = rows.hidden;
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * h + j, gate = 3 * row * h + j;
    const auto sum = [&](index_t k) {
      return lanes.load(s.from_x + gate + k * h) + lanes.load(s.from_h + gate + k * h);
    };
    const Sigmoid<B> r(sum(0)), z(sum(1));
    const B h_n = lanes.load(s.from_h + gate + 2 * h), a = lanes.load(s.from_x + gate + 2 * h) + r.value * h_n;
    const B dh = lanes.load(s.dh + at), da = dh * z.opposite * tanh_slope(a);
    const B dr = da * h_n * r.slope, dz = dh * (lanes.load(s.h_before + at) - tanh_of(a)) * z.slope;
    const auto store = [&](index_t k, B of_x, B of_h) {
      lanes.store(s.dfrom_x + gate + k * h, of_x);
      lanes.store(s.dfrom_h + gate + k * h, of_h);
    };
    store(0, dr, dr);
    store(1, dz, dz);
    store(2, da, da * r.value);
    lanes.store(s.dh + at, dh * z.value);
  });
}

template <class T>
void lstm(const StepRows& rows, const LstmStep<T>& s) noexcept {
  using B = xsimd::batch<T>;
  const index_t h = rows.hidden;
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * h + j;
    const T* gate = s.gates + 4 * row * h + j;
    const Sigmoid<B> i(lanes.load(gate)), f(lanes.load(gate + h)), o(lanes.load(gate + 3 * h));
    const B c = f.value * lanes.load(s.c_before + at) + i.value * tanh_of(lanes.load(gate + 2 * h));
    lanes.store(s.c + at, c);
    lanes.store(s.h + at, o.value * tanh_of(c));
  });
}

// c = f c_before + i g, h = o tanh(c):
//   dc = dh o tanh'(c) + what arrives,  do = dh tanh(c),  di = dc g,  df = dc c_before,  dg = dc i,  dc_before = dc f
template <class T>
void lstm_backward(const StepRows& rows, const LstmStep<T>& s) noexcept {
  using B = xsimd::batch<T>;
  const index_t h = rows.hidden;
  for_lanes<T>(rows, [&](index_t row, index_t j, Lanes<T> lanes) {
    const index_t at = row * h + j, gate_at = 4 * row * h + j;
    const T* gate = s.gates + gate_at;
    T* to = s.dgates + gate_at;
    const B to_g = lanes.load(gate + 2 * h), c = lanes.load(s.c + at), dh = lanes.load(s.dh + at);
    const Sigmoid<B> i(lanes.load(gate)), f(lanes.load(gate + h)), o(lanes.load(gate + 3 * h));
    const B dc = lanes.load(s.dc + at) + dh * o.value * tanh_slope(c);
    lanes.store(to, dc * tanh_of(to_g) * i.slope);
    lanes.store(to + h, dc * lanes.load(s.c_before + at) * f.slope);
    lanes.store(to + 2 * h, dc * i.value * tanh_slope(to_g));
    lanes.store(to + 3 * h, dh * tanh_of(c) * o.slope);
    lanes.store(s.dc + at, dc * f.value);
  });
}

template <class T>
constexpr RecurrentKernels<T> table{
    .rnn_tanh = rnn_tanh<T>,
    .rnn_tanh_backward = rnn_tanh_backward<T>,
    .rnn_relu = rnn_relu<T>,
    .rnn_relu_backward = rnn_relu_backward<T>,
    .gru = gru<T>,
    .gru_backward = gru_backward<T>,
    .lstm = lstm<T>,
    .lstm_backward = lstm_backward<T>,
};

}  // namespace

namespace LIMPID_KERNEL_ISA {

const RecurrentKernels<float> recurrent_float = table<float>;
const RecurrentKernels<double> recurrent_double = table<double>;

}  // namespace LIMPID_KERNEL_ISA
}  // namespace limpid::kernels
