// What the rows of the op table are written in, a file for each room of ops/.
#pragma once
#include <limpid/limpid.hpp>

#include <utility>
#include <vector>

#include <limpid/tests/ops/op_table.hpp>

namespace rows {

using namespace limpid;

using Rows = std::vector<OpRow>;

Rows arithmetic();
Rows functions();
Rows choices();
Rows reductions();
Rows statistics();
Rows shaping();
Rows products();
Rows windows();
Rows linear_algebra();
Rows normalisations();
Rows losses();
Rows recurrences();
Rows attentions();
Rows conversions();

inline Tensors results(Tensor y) { return {std::move(y)}; }
inline Tensors results(Tensors ys) { return ys; }
inline Tensors results(Moments m) { return {m.mean, m.variance}; }
inline Tensors results(linalg::SignAndLog y) { return {y.logabsdet}; }
inline Tensors results(linalg::Qr y) { return {y.q, y.r}; }
// Vectors are determined but for their signs.
inline Tensors results(linalg::Eigh y) { return {y.values, square(y.vectors)}; }
inline Tensors results(linalg::Svd y) { return {y.s, square(y.u), square(y.vh)}; }
inline Tensors results(linalg::LeastSquares y) { return {y.solution, y.residuals}; }
inline Tensors results(const Recurrence& r) { return {r.sequence, r.state}; }
inline Tensors results(const LSTMState& s) { return {s.h, s.c}; }
inline Tensors results(const LSTMRecurrence& r) { return {r.sequence, r.state.h, r.state.c}; }

// A row's function, in terms of x[0], x[1], ...
#define OP(...) [](const Tensors& x) { return results(__VA_ARGS__); }

inline const Sample square_image{{2, 4, 3, 5}};

inline Sample real(const Shape& shape) { return {shape}; }
inline Sample within(const Shape& shape, double low, double high) { return {shape, low, high}; }
inline Sample away_from(std::vector<double> points, const Shape& shape) { return {shape, -2, 2, std::move(points)}; }
inline Sample indices(const Shape& shape, int64_t count) { return {shape, 0, static_cast<double>(count), {}, int64}; }
inline Sample flags(const Shape& shape) { return {shape, 0, 2, {}, bool_}; }

inline OpRow elementwise(OpRow row) {
  row.keeps_format = true;
  return row;
}
inline OpRow plain(OpRow row) {
  row.differentiable = false;
  return row;
}
inline OpRow flat(OpRow row) {
  row.vacuous = true;
  return row;
}
// Bit i of inputs: input i may be undefined.
inline OpRow optional(unsigned inputs, OpRow row) {
  row.optional = inputs;
  return row;
}
inline OpRow with_kink(Tensors (*kink)(const Tensors& x), OpRow row) {
  row.kink = kink;
  return row;
}

}  // namespace rows
