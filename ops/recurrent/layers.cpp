// Recurrent layers. What all steps' inputs give to the gates is one product; then each step is one product of the state
// before and one pass over the gates. The backward is the same the other way round, and gathers what arrives at the
// gates of all steps: the weights' gradients are one product each.
#include <limpid/ops/recurrent.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/isa.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/visit.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/detail/composed.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/matrices.hpp>
#include <limpid/ops/recurrent/kernels/recurrent.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <memory>

namespace limpid {

using detail::throw_error;
using kernels::GruStep;
using kernels::LstmStep;
using kernels::RecurrentKernels;
using kernels::RnnStep;
using kernels::StepRows;

namespace {

enum class Cell { rnn_tanh, rnn_relu, gru, lstm };

// What a layer is, its tensors apart.
struct Layer {
  const char* op = "";
  Cell cell = Cell::rnn_tanh;
  bool reverse = false;
  int64_t steps = 0, batch = 0, in = 0, hidden = 0, out = 0;  // out: hidden, or projected
  Tensor active;                                              // bool (T, N), undefined where all steps are

  int64_t gates() const noexcept { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
  bool is_projected(const Tensors& xs) const { return xs[7].defined(); }
  // The i-th step that is taken, and the one before it.
  int64_t step(int64_t i) const noexcept { return reverse ? steps - 1 - i : i; }
  const bool* active_at(int64_t t) const { return active.defined() ? active.data<bool>() + t * batch : nullptr; }
};

// Where the tensors of a layer stand among a node's inputs.
enum : std::size_t { kX, kH0, kC0, kWeightIh, kWeightHh, kBiasIh, kBiasHh, kWeightHr, kInputs };

// ---- the composition

Tensor gate(const Tensor& gates, int64_t k, int64_t hidden) { return slice(gates, 1, k * hidden, (k + 1) * hidden); }

// The sequence, the last h, and of an LSTM the last c.
Tensors composed(const Tensors& xs, const Layer& layer) {
  const int64_t hidden = layer.hidden;
  Tensor h = xs[kH0], c = xs[kC0];
  std::vector<Tensor> sequence(static_cast<std::size_t>(layer.steps));
  const Tensor from_x = linear(xs[kX], xs[kWeightIh], xs[kBiasIh]);
  for (int64_t i = 0; i < layer.steps; ++i) {
    const int64_t t = layer.step(i);
    const Tensor x_t = select(from_x, 0, t), h_t = linear(h, xs[kWeightHh], xs[kBiasHh]);
    Tensor next, next_c;
    if (layer.cell == Cell::gru) {
      const Tensor r = sigmoid(gate(x_t, 0, hidden) + gate(h_t, 0, hidden)),
                   z_in = gate(x_t, 1, hidden) + gate(h_t, 1, hidden);
      next = sigmoid(-z_in) * tanh(gate(x_t, 2, hidden) + r * gate(h_t, 2, hidden)) + sigmoid(z_in) * h;
    } else if (layer.cell == Cell::lstm) {
      const Tensor g = x_t + h_t;
      next_c = sigmoid(gate(g, 1, hidden)) * c + sigmoid(gate(g, 0, hidden)) * tanh(gate(g, 2, hidden));
      next = sigmoid(gate(g, 3, hidden)) * tanh(next_c);
      if (layer.is_projected(xs)) next = linear(next, xs[kWeightHr]);
    } else {
      next = layer.cell == Cell::rnn_relu ? relu(x_t + h_t) : tanh(x_t + h_t);
    }
    Tensor y = next;
    if (layer.active.defined()) {
      const Tensor active = unsqueeze(select(layer.active, 0, t), 1);
      y = where(active, next, 0);
      next = where(active, next, h);
      if (next_c.defined()) next_c = where(active, next_c, c);
    }
    sequence[static_cast<std::size_t>(t)] = y;
    h = next;
    if (next_c.defined()) c = next_c;
  }
  Tensors ys{layer.steps ? stack(Tensors(sequence.begin(), sequence.end()))
                         : zeros({0, layer.batch, layer.out}, xs[kX].dtype()),
             h};
  if (layer.cell == Cell::lstm) ys.push_back(c);
  return ys;
}

// ---- the loops over steps

template <class T>
const RecurrentKernels<T>& kernels_of() {
  if constexpr (std::is_same_v<T, float>)
    return LIMPID_AT_ISA(recurrent_float);
  else
    return LIMPID_AT_ISA(recurrent_double);
}

template <class F>
void for_rows(const Layer& layer, int64_t t, F&& f) {
  const int64_t grain = std::max<int64_t>(2048 / std::max<int64_t>(layer.gates() * layer.hidden, 1), 1);
  parallel_for(layer.batch, grain, [&](int64_t begin, int64_t end) {
    f(StepRows{.begin = begin, .end = end, .hidden = layer.hidden, .active = layer.active_at(t)});
  });
}

// A dense matrix (count, width).
template <class T>
struct Rows {
  const T* data;
  int64_t count, width;
};

enum class Into { overwrite, add };

// y = x w^T, or y += x w^T, of x (n, k), y (n, m) and weights (m, k).
template <class T>
void multiply(const Rows<T>& x, const Tensor& weight, T* y, Into into) {
  const auto [row, col] = detail::matrix_steps(weight);
  detail::gemm<T>({.n = x.count,
                   .m = weight.size(0),
                   .k = x.width,
                   .a = {x.data, {x.width, 1}},
                   .b = {weight.data<T>(), {col, row}},
                   .y = y,
                   .y_row = weight.size(0),
                   .accumulate = into == Into::add});
}

// Copies the rows that are not active.
template <class T>
void carry(const Layer& layer, int64_t t, int64_t width, const T* from, T* to) {
  const bool* active = layer.active_at(t);
  for (int64_t n = 0; active && n < layer.batch; ++n)
    if (!active[n]) std::copy_n(from + n * width, width, to + n * width);
}
// y = x, but 0 in rows that are not active.
template <class T>
void keep_active(const Layer& layer, int64_t t, int64_t width, const T* x, T* y) {
  const bool* active = layer.active_at(t);
  for (int64_t n = 0; n < layer.batch; ++n)
    if (active[n])
      std::copy_n(x + n * width, width, y + n * width);
    else
      std::fill_n(y + n * width, width, T{0});
}

// The rows (steps * batch, width) of biases; zeros where there are none.
template <class T>
void fill_rows(const Tensor& a, const Tensor& b, int64_t rows, int64_t width, T* y) {
  if (rows == 0) return;
  for (int64_t j = 0; j < width; ++j)
    y[j] =
        (a.defined() ? a.data<T>()[j * a.strides()[0]] : T{0}) + (b.defined() ? b.data<T>()[j * b.strides()[0]] : T{0});
  for (int64_t i = 1; i < rows; ++i) std::copy_n(y, width, y + i * width);
}

// What forward leaves for backward: what gates are made of (T, N, G hidden), of a GRU of x and of h; the states after
// each step (T, N, out) and (T, N, hidden); of a projected LSTM what is projected.
struct Kept {
  Tensor gates, gates_h, states, cells, full;
};

template <class T>
Kept run_forward(const Layer& layer, const Tensors& xs, Tensors& ys) {
  const int64_t rows = layer.batch, width = layer.gates() * layer.hidden, out = layer.out, steps = layer.steps;
  const DType dtype = xs[kX].dtype();
  const bool is_gru = layer.cell == Cell::gru, is_lstm = layer.cell == Cell::lstm, projects = layer.is_projected(xs);
  const RecurrentKernels<T>& kernel = kernels_of<T>();
  const Tensor x = detail::as_contiguous(xs[kX]), h0 = detail::as_contiguous(xs[kH0]),
               weight_ih = detail::readable(xs[kWeightIh]), weight_hh = detail::readable(xs[kWeightHh]);
  Kept kept;
  kept.gates = empty({steps, rows, width}, dtype);
  if (is_gru) kept.gates_h = empty({steps, rows, width}, dtype);
  ys[0] = empty({steps, rows, out}, dtype);
  kept.states = layer.active.defined() ? empty({steps, rows, out}, dtype) : ys[0];
  Tensor c0, weight_hr;
  if (is_lstm) {
    c0 = detail::as_contiguous(xs[kC0]);
    kept.cells = empty({steps, rows, layer.hidden}, dtype);
    if (projects) {
      weight_hr = detail::readable(xs[kWeightHr]);
      kept.full = layer.active.defined() ? zeros({steps, rows, layer.hidden}, dtype)
                                         : empty({steps, rows, layer.hidden}, dtype);
    }
  }
  T* gates = kept.gates.data<T>();
  fill_rows(xs[kBiasIh], is_gru ? Tensor() : xs[kBiasHh], steps * rows, width, gates);
  multiply<T>({x.data<T>(), steps * rows, layer.in}, weight_ih, gates, Into::add);
  if (is_gru) fill_rows(xs[kBiasHh], {}, steps * rows, width, kept.gates_h.data<T>());

  const T *h = h0.data<T>(), *c = is_lstm ? c0.data<T>() : nullptr;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t t = layer.step(i);
    T* const at = gates + t * rows * width;
    T* const from_h = is_gru ? kept.gates_h.data<T>() + t * rows * width : at;
    T* const next = kept.states.data<T>() + t * rows * out;
    multiply<T>({h, rows, out}, weight_hh, from_h, Into::add);
    if (is_lstm) {
      T* const next_c = kept.cells.data<T>() + t * rows * layer.hidden;
      T* const full = projects ? kept.full.data<T>() + t * rows * layer.hidden : next;
      const LstmStep<T> step{.gates = at, .c_before = c, .c = next_c, .h = full, .dh = {}, .dc = {}, .dgates = {}};
      for_rows(layer, t, [&](const StepRows& r) { kernel.lstm(r, step); });
      if (projects) multiply<T>({full, rows, layer.hidden}, weight_hr, next, Into::overwrite);
      carry(layer, t, layer.hidden, c, next_c);
      c = next_c;
    } else if (is_gru) {
      const GruStep<T> step{
          .from_x = at, .from_h = from_h, .h_before = h, .h = next, .dh = {}, .dfrom_x = {}, .dfrom_h = {}};
      for_rows(layer, t, [&](const StepRows& r) { kernel.gru(r, step); });
    } else {
      const RnnStep<T> step{.gates = at, .h = next, .dh = {}, .dgates = {}};
      const auto run = layer.cell == Cell::rnn_relu ? kernel.rnn_relu : kernel.rnn_tanh;
      for_rows(layer, t, [&](const StepRows& r) { run(r, step); });
    }
    carry(layer, t, out, h, next);
    if (layer.active.defined()) keep_active(layer, t, out, next, ys[0].data<T>() + t * rows * out);
    h = next;
  }
  ys[1] = empty({rows, out}, dtype);
  std::copy_n(h, rows * out, ys[1].data<T>());
  if (is_lstm) {
    ys[2] = empty({rows, layer.hidden}, dtype);
    std::copy_n(c, rows * layer.hidden, ys[2].data<T>());
  }
  return kept;
}

// What arrives at the gates of all steps, and at the states before the first.
struct Arrived {
  Tensor gates, gates_h, h0, c0;
  Tensor projected;  ///< (T, N, out): at the projections
};

template <class T>
Arrived run_backward(const Layer& layer, const Tensors& xs, const Kept& kept, const Tensors& dy) {
  const int64_t rows = layer.batch, width = layer.gates() * layer.hidden, out = layer.out, steps = layer.steps,
                hidden = layer.hidden;
  const DType dtype = xs[kX].dtype();
  const bool is_gru = layer.cell == Cell::gru, is_lstm = layer.cell == Cell::lstm, projects = layer.is_projected(xs);
  const RecurrentKernels<T>& kernel = kernels_of<T>();
  // What arrives goes back through the transposed weights.
  const Tensor weight_hh = transpose(detail::readable(xs[kWeightHh]), 0, 1), h0 = detail::as_contiguous(xs[kH0]),
               c0 = is_lstm ? detail::as_contiguous(xs[kC0]) : Tensor(),
               weight_hr = projects ? transpose(detail::readable(xs[kWeightHr]), 0, 1) : Tensor();
  const auto buffer = [&](const Shape& shape) {
    return layer.active.defined() ? zeros(shape, dtype) : empty(shape, dtype);
  };
  const auto begun = [&](const Tensor& from, const Shape& shape) {
    const Tensor y = from.defined() ? empty(shape, dtype) : zeros(shape, dtype);
    if (from.defined()) detail::copy_into(y, from);
    return y;
  };
  Arrived a;
  a.gates = buffer({steps, rows, width});
  if (is_gru) a.gates_h = buffer({steps, rows, width});
  if (projects) a.projected = buffer({steps, rows, out});
  a.h0 = begun(dy[1], {rows, out});
  if (is_lstm) a.c0 = begun(dy[2], {rows, hidden});
  const Tensor sequence = dy[0].defined() ? detail::as_contiguous(dy[0]) : Tensor(),
               of_full = projects ? empty({rows, hidden}, dtype) : Tensor();

  T* const dh = a.h0.data<T>();
  for (int64_t i = steps - 1; i >= 0; --i) {
    const int64_t t = layer.step(i), before = i == 0 ? -1 : layer.step(i - 1);
    const bool* active = layer.active_at(t);
    const auto for_active = [&](auto&& f) {
      for (int64_t n = 0; n < rows; ++n)
        if (!active || active[n]) f(n * out);
    };
    if (sequence.defined()) {
      const T* arriving = sequence.data<T>() + t * rows * out;
      for_active([&](int64_t at) {
        for (int64_t j = at; j < at + out; ++j) dh[j] += arriving[j];
      });
    }
    const T* gates = kept.gates.data<T>() + t * rows * width;
    T* dgates = a.gates.data<T>() + t * rows * width;
    const auto state_before = [&](const Tensor& states, const Tensor& first, int64_t size) {
      return before < 0 ? first.data<T>() : states.data<T>() + before * rows * size;
    };
    if (is_lstm) {
      const T* arriving = dh;
      if (projects) {
        T* const to = a.projected.data<T>() + t * rows * out;
        for_active([&](int64_t at) { std::copy_n(dh + at, out, to + at); });
        multiply<T>({to, rows, out}, weight_hr, of_full.data<T>(), Into::overwrite);
        arriving = of_full.data<T>();
      }
      const LstmStep<T> step{.gates = gates,
                             .c_before = state_before(kept.cells, c0, hidden),
                             .c = kept.cells.data<T>() + t * rows * hidden,
                             .h = {},
                             .dh = arriving,
                             .dc = a.c0.data<T>(),
                             .dgates = dgates};
      for_rows(layer, t, [&](const StepRows& r) { kernel.lstm_backward(r, step); });
      for_active([&](int64_t at) { std::fill_n(dh + at, out, T{0}); });
    } else if (is_gru) {
      const GruStep<T> step{.from_x = gates,
                            .from_h = kept.gates_h.data<T>() + t * rows * width,
                            .h_before = state_before(kept.states, h0, out),
                            .h = {},
                            .dh = dh,
                            .dfrom_x = dgates,
                            .dfrom_h = a.gates_h.data<T>() + t * rows * width};
      for_rows(layer, t, [&](const StepRows& r) { kernel.gru_backward(r, step); });
      dgates = step.dfrom_h;
    } else {
      const RnnStep<T> step{.gates = gates, .h = {}, .dh = dh, .dgates = dgates};
      const auto run = layer.cell == Cell::rnn_relu ? kernel.rnn_relu_backward : kernel.rnn_tanh_backward;
      for_rows(layer, t, [&](const StepRows& r) { run(r, step); });
    }
    multiply<T>({dgates, rows, width}, weight_hh, dh, Into::add);
  }
  return a;
}

struct RecurrentNode final : Node {
  Saved x{*this, "x"}, h0{*this, "h0"}, c0{*this, "c0"};
  Saved weight_ih{*this, "weight_ih"}, weight_hh{*this, "weight_hh"}, bias_ih{*this, "bias_ih"},
      bias_hh{*this, "bias_hh"}, weight_hr{*this, "weight_hr"};
  Saved gates{*this, "gates"}, gates_h{*this, "gates of h"}, states{*this, "states"}, cells{*this, "cells"},
      full{*this, "unprojected"};
  std::shared_ptr<const Layer> layer;
  const char* name() const noexcept override { return layer->op; }

  Tensors inputs_again() const { return {x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, weight_hr}; }
  detail::Composition as_composed() const {
    return detail::composition([kept = layer](const Tensors& xs) { return composed(xs, *kept); });
  }

  // With a_tn what gates are made of, a_tn = W_ih x_tn + b_ih + W_hh h_(t-1)n + b_hh, and da what arrives there:
  //   dx_tn = W_ih^T da_tn,  dW_ih = sum_tn da_tn x_tn^T,  dW_hh = sum_tn da_tn h_(t-1)n^T,  db = sum_tn da_tn,
  //   dW_hr = sum_tn dh_tn (o tanh(c))_tn^T;  of a GRU, da of the second half has r in the part of new.
  Tensors backward(const Tensors& dy) override {
    const Tensors xs = inputs_again();
    Tensors dx(kInputs);
    {
      const NoGradGuard guard;
      const Kept kept{gates, gates_h, states, cells, full};
      const Arrived a = detail::visit_float(xs[kX].dtype(), [&]<class T>(T) {
        return run_backward<T>(*layer, xs, kept, {dy[0], dy[1], dy_c(dy)});
      });
      const int64_t count = layer->steps * layer->batch, width = layer->gates() * layer->hidden;
      const Tensor of_x = reshape(a.gates, {count, width}),
                   of_h = a.gates_h.defined() ? reshape(a.gates_h, {count, width}) : of_x;
      if (needs(kX)) dx[kX] = reshape(matmul(of_x, xs[kWeightIh]), xs[kX].shape());
      if (needs(kWeightIh)) dx[kWeightIh] = matmul(transpose(of_x, 0, 1), reshape(xs[kX], {count, layer->in}));
      if (needs(kWeightHh)) dx[kWeightHh] = of_states(of_h, xs[kH0], kept.states);
      if (needs(kBiasIh)) dx[kBiasIh] = sum(of_x, 0);
      if (needs(kBiasHh)) dx[kBiasHh] = needs(kBiasIh) && !a.gates_h.defined() ? dx[kBiasIh].clone() : sum(of_h, 0);
      if (needs(kWeightHr))
        dx[kWeightHr] = matmul(transpose(reshape(a.projected, {count, layer->out}), 0, 1),
                               reshape(kept.full, {count, layer->hidden}));
      if (needs(kH0)) dx[kH0] = a.h0;
      if (needs(kC0)) dx[kC0] = a.c0;
    }
    if (is_grad_enabled()) detail::record_gradients(layer->op, dx, dy, xs, as_composed());
    return dx;
  }
  Tensors jvp(const Tensors& dx) override { return detail::push_through(layer->op, as_composed(), inputs_again(), dx); }

 private:
  Tensor dy_c(const Tensors& dy) const { return layer->cell == Cell::lstm ? dy[2] : Tensor(); }
  // sum_tn da_tn h_(t-1)n^T: of the first step taken, with h0, and of the others, whose states lie a step before
  // theirs.
  Tensor of_states(const Tensor& da, const Tensor& first, const Tensor& after) const {
    const int64_t rows = layer->batch, rest = (layer->steps - 1) * rows, out = layer->out;
    if (layer->steps == 0) return zeros({da.size(1), out}, da.dtype());
    const Tensor flat = reshape(after, {layer->steps * rows, out});
    const auto product = [](const Tensor& a, const Tensor& b) { return matmul(transpose(a, 0, 1), b); };
    const Tensor y = layer->reverse ? product(slice(da, 0, rest), first) : product(slice(da, 0, 0, rows), first);
    if (rest == 0) return y;
    return y + (layer->reverse ? product(slice(da, 0, 0, rest), slice(flat, 0, rows))
                               : product(slice(da, 0, rows), slice(flat, 0, 0, rest)));
  }
};

// ---- arguments

void require_shape(const char* op, const char* name, const Tensor& x, const Shape& expected) {
  if (x.defined() && x.shape() != expected)
    throw_error<ShapeError>(op, ": expected ", name, " of shape ", expected, ", got ", x.shape());
}

// int64 (N,), from 0 to T, as bool (T, N): whether step t of sequence n is one of its own.
Tensor active_steps(const char* op, const Tensor& lengths, int64_t steps, int64_t batch) {
  require_shape(op, "lengths", lengths, {batch});
  if (lengths.dtype() != int64) throw_error<DTypeError>(op, ": expected lengths of int64, got ", lengths.dtype());
  const Tensor dense = detail::as_contiguous(lengths), active = empty({steps, batch}, bool_);
  for (int64_t n = 0; n < batch; ++n) {
    const int64_t length = dense.data<int64_t>()[n];
    if (length < 0 || length > steps)
      throw_error<ValueError>(op, ": expected lengths in [0, ", steps, "], got ", length);
    for (int64_t t = 0; t < steps; ++t) active.data<bool>()[t * batch + n] = t < length;
  }
  return active;
}

// What a function asks for, its operands apart.
struct Call {
  const char* op;
  Cell cell;
  Tensor lengths = {};
  bool reverse = false;
};

// The sequence, the last h, and of an LSTM the last c.
Tensors run(const Call& call, const Tensor& x, const LSTMState& state, const RecurrentWeights& weights) {
  const auto& [op, cell, lengths, reverse] = call;
  const detail::OpScope scope(op);
  const auto& [weight_ih, weight_hh, bias_ih, bias_hh, weight_hr] = weights;
  detail::require_defined(op, "x", x);
  detail::require_defined(op, "weight_ih", weight_ih);
  detail::require_defined(op, "weight_hh", weight_hh);
  Layer layer{.op = op, .cell = cell, .reverse = reverse, .active = {}};
  const int64_t gates = layer.gates();
  if (x.dim() != 3) throw_error<ShapeError>(op, ": expected x of shape (T, N, in), got ", x.shape());
  if (weight_ih.dim() != 2 || weight_ih.size(0) % gates != 0)
    throw_error<ShapeError>(op, ": expected weight_ih of shape (", gates == 1 ? "" : detail::message(gates, " "),
                            "hidden, in), got ", weight_ih.shape());
  layer.steps = x.size(0), layer.batch = x.size(1), layer.in = x.size(2);
  layer.hidden = layer.out = weight_ih.size(0) / gates;
  if (weight_ih.size(1) != layer.in)
    throw_error<ShapeError>(op, ": expected x of shape (T, N, ", weight_ih.size(1), "), got ", x.shape());
  if (weight_hr.defined()) {
    if (weight_hr.dim() != 2 || weight_hr.size(1) != layer.hidden)
      throw_error<ShapeError>(op, ": expected weight_hr of shape (projected, ", layer.hidden, "), got ",
                              weight_hr.shape());
    layer.out = weight_hr.size(0);
  }
  const int64_t width = weight_ih.size(0);
  require_shape(op, "weight_hh", weight_hh, {width, layer.out});
  require_shape(op, "bias_ih", bias_ih, {width});
  require_shape(op, "bias_hh", bias_hh, {width});
  require_shape(op, "h0", state.h, {layer.batch, layer.out});
  require_shape(op, "c0", state.c, {layer.batch, layer.hidden});
  const DType dtype = x.dtype();
  if (!is_floating_point(dtype))
    throw_error<DTypeError>(op, ": expected x of a floating-point dtype, got ", dtype, "; convert with to()");
  const std::pair<const char*, const Tensor*> others[] = {
      {"h0", &state.h},      {"c0", &state.c},      {"weight_ih", &weight_ih}, {"weight_hh", &weight_hh},
      {"bias_ih", &bias_ih}, {"bias_hh", &bias_hh}, {"weight_hr", &weight_hr}};
  for (const auto& other : others)
    if (other.second->defined() && other.second->dtype() != dtype)
      throw_error<DTypeError>(op, ": expected x and ", other.first, " of one dtype, got ", dtype, " and ",
                              other.second->dtype(), "; convert with to()");
  if (lengths.defined()) layer.active = active_steps(op, lengths, layer.steps, layer.batch);

  const DType compute = is_half(dtype) ? float32 : dtype;
  const auto converted = [&](const Tensor& t) { return t.defined() ? t.to(compute) : t; };
  const auto begun = [&](const Tensor& t, int64_t size) {
    return t.defined() ? t.to(compute) : zeros({layer.batch, size}, compute);
  };
  // Whatever stands past a length must not reach the weights' gradients, as 0 times NaN.
  const Tensor heard = layer.active.defined() ? where(unsqueeze(layer.active, 2), converted(x), 0) : converted(x);
  const bool is_lstm = cell == Cell::lstm;
  const Tensors xs{heard,
                   begun(state.h, layer.out),
                   is_lstm ? begun(state.c, layer.hidden) : Tensor(),
                   converted(weight_ih),
                   converted(weight_hh),
                   converted(bias_ih),
                   converted(bias_hh),
                   converted(weight_hr)};
  Tensors ys(is_lstm ? 3 : 2);
  const Kept kept = detail::visit_float(compute, [&]<class T>(T) { return run_forward<T>(layer, xs, ys); });
  if (auto* node = record<RecurrentNode>(ys, xs)) {
    node->layer = std::make_shared<const Layer>(layer);
    node->x = xs[kX], node->h0 = xs[kH0], node->c0 = xs[kC0];
    node->weight_ih = xs[kWeightIh], node->weight_hh = xs[kWeightHh], node->weight_hr = xs[kWeightHr];
    node->bias_ih = xs[kBiasIh], node->bias_hh = xs[kBiasHh];
    node->gates = kept.gates, node->gates_h = kept.gates_h;
    node->states = kept.states, node->cells = kept.cells, node->full = kept.full;
  }
  for (Tensor& y : ys) y = y.to(dtype);
  return ys;
}

}  // namespace

Recurrence rnn(const Tensor& x, const Tensor& h0, const RecurrentWeights& weights,
               const RNNRecurrenceOptions& options) {
  const auto& [lengths, reverse, nonlinearity] = options;
  detail::require_member("rnn", "Nonlinearity", nonlinearity, Nonlinearity::relu, "tanh or relu");
  if (weights.weight_hr.defined()) throw_error<ValueError>("rnn: expected no weight_hr, which is an LSTM's, got one");
  const Cell cell = nonlinearity == Nonlinearity::relu ? Cell::rnn_relu : Cell::rnn_tanh;
  const Tensors ys = run({"rnn", cell, lengths, reverse}, x, {.h = h0, .c = {}}, weights);
  return {ys[0], ys[1]};
}

Recurrence gru(const Tensor& x, const Tensor& h0, const RecurrentWeights& weights, const RecurrenceOptions& options) {
  if (weights.weight_hr.defined()) throw_error<ValueError>("gru: expected no weight_hr, which is an LSTM's, got one");
  const Tensors ys = run({"gru", Cell::gru, options.lengths, options.reverse}, x, {.h = h0, .c = {}}, weights);
  return {ys[0], ys[1]};
}

LSTMRecurrence lstm(const Tensor& x, const LSTMState& state, const RecurrentWeights& weights,
                    const RecurrenceOptions& options) {
  const Tensors ys = run({"lstm", Cell::lstm, options.lengths, options.reverse}, x, state, weights);
  return {ys[0], {ys[1], ys[2]}};
}

namespace {

// x (N, in) as a sequence of one step.
Tensor one_step(const char* op, const Tensor& x) {
  detail::require_defined(op, "x", x);
  if (x.dim() != 2) throw_error<ShapeError>(op, ": expected x of shape (N, in), got ", x.shape());
  return unsqueeze(x, 0);
}

}  // namespace

Tensor rnn_tanh_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights) {
  const char* op = "rnn_tanh_cell";
  return run({op, Cell::rnn_tanh}, one_step(op, x), {.h = h, .c = {}}, weights)[1];
}
Tensor rnn_relu_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights) {
  const char* op = "rnn_relu_cell";
  return run({op, Cell::rnn_relu}, one_step(op, x), {.h = h, .c = {}}, weights)[1];
}
Tensor gru_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights) {
  const char* op = "gru_cell";
  return run({op, Cell::gru}, one_step(op, x), {.h = h, .c = {}}, weights)[1];
}
LSTMState lstm_cell(const Tensor& x, const LSTMState& state, const RecurrentWeights& weights) {
  const char* op = "lstm_cell";
  const Tensors ys = run({op, Cell::lstm}, one_step(op, x), state, weights);
  return {ys[1], ys[2]};
}

}  // namespace limpid
