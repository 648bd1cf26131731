#include <limpid/nn/layers/recurrent.hpp>

#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>

#include <string>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

template <class S>
std::string arguments(const S& s) {
  std::string list = message(s.in, ", ", s.hidden);
  if (s.num_layers != 1) list += message(", num_layers = ", s.num_layers);
  if (s.nonlinearity == Nonlinearity::relu) list += ", relu";
  if (!s.bias) list += ", bias = false";
  if (s.batch_first) list += ", batch_first";
  if (s.dropout != 0) list += ", dropout = " + detail::text(s.dropout);
  if (s.bidirectional) list += ", bidirectional";
  if (s.proj_size != 0) list += message(", proj_size = ", s.proj_size);
  return list;
}

template <class S>
const S& checked_stack(const S& s) {
  const auto& [type, gates, in, hidden, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, proj_size,
               generator] = s;
  detail::expect(type, {{"in", in, detail::features},
                        {"hidden", hidden, detail::features},
                        {"num_layers", num_layers, detail::stacked_layers},
                        {"dropout", dropout, detail::fraction},
                        {"proj_size", proj_size, {0, static_cast<double>(hidden), false, true}}});
  limpid::detail::require_member(type, "Nonlinearity", nonlinearity, Nonlinearity::relu, "tanh or relu");
  if (dropout > 0 && num_layers == 1)
    limpid::log_message(LogLevel::warning, type, ": dropout acts between layers, and there is one: it does nothing");
  return s;
}

}  // namespace

RecurrentLayers::RecurrentLayers(const Settings& s) : RecurrentLayers(checked_stack(s), detail::Drawing(s.generator)) {}
RecurrentLayers::RecurrentLayers(const Settings& s, const detail::Drawing&)
    : Module(s.type, arguments(s)),
      settings_(s) {
  const int64_t directions = s.bidirectional ? 2 : 1, out = s.proj_size ? s.proj_size : s.hidden,
                width = s.gates * s.hidden;
  weights_.reserve(static_cast<std::size_t>(s.num_layers * directions));
  for (int64_t layer = 0; layer < s.num_layers; ++layer)
    for (int64_t direction = 0; direction < directions; ++direction) {
      const std::string end = message("_l", layer, direction ? "_reverse" : "");
      const auto made = [&](const char* name, bool wanted, const Shape& shape) {
        return parameter(name + end, wanted ? detail::uniform_within(shape, s.hidden, s.generator) : Tensor());
      };
      RecurrentParameters& w = weights_.emplace_back();
      w.weight_ih = made("weight_ih", true, {width, layer ? out * directions : s.in});
      w.weight_hh = made("weight_hh", true, {width, out});
      w.bias_ih = made("bias_ih", s.bias, {width});
      w.bias_hh = made("bias_hh", s.bias, {width});
      w.weight_hr = made("weight_hr", s.proj_size > 0, {s.proj_size, s.hidden});
    }
  if (s.dropout > 0) uses_training();
  detail::set_work(*this, detail::Work::per_step);
}

RecurrentLayers::Result RecurrentLayers::run(const Tensor& x_in, const LSTMState& state,
                                             const RecurrentCall& call) const {
  return detail::call_within(*this, std::tie(x_in, state.h, state.c),
                             [&](const Tensor& x, const Tensor& h, const Tensor& c) {
                               return run_checked(x, {h, c}, call);
                             });
}

RecurrentLayers::Result RecurrentLayers::run_checked(const Tensor& x_any, const LSTMState& state,
                                                     const RecurrentCall& call) const {
  const Settings& s = settings_;
  const int64_t directions = s.bidirectional ? 2 : 1, out = s.proj_size ? s.proj_size : s.hidden;
  limpid::detail::require_defined(s.type, "x", x_any);
  if ((x_any.dim() != 3 && x_any.dim() != 2) || x_any.size(-1) != s.in)
    throw_error<ShapeError>(s.type, ": expected x of shape ", s.batch_first ? "(N, T, " : "(T, N, ", s.in, "), or (T, ",
                            s.in, ") without a batch, got ", x_any.shape());
  const bool batched = x_any.dim() == 3;
  Tensor x = !batched ? unsqueeze(x_any, 1) : s.batch_first ? transpose(x_any, 0, 1) : x_any;
  const auto of_layers = [&](const char* name, const Tensor& h, int64_t size) {
    Shape expected{s.num_layers * directions, x.size(1), size};
    if (!batched) expected.erase(1);
    if (h.defined() && h.shape() != expected)
      throw_error<ShapeError>(s.type, ": expected ", name, " of shape ", expected, ", got ", h.shape());
    return h.defined() && !batched ? unsqueeze(h, 1) : h;
  };
  const Tensor h0 = of_layers("h0", state.h, out), c0 = of_layers("c0", state.c, s.hidden);
  const bool drops = s.dropout > 0 && detail::trains(*this);
  Tensors h, c;
  for (int64_t layer = 0; layer < s.num_layers; ++layer) {
    if (layer > 0 && drops) {
      const double scale = s.dropout < 1 ? 1 / (1 - s.dropout) : 0;
      const detail::CallDrawing drawing(s.generator);
      x = where(bernoulli(1 - s.dropout, x.shape(), detail::generator_or_default(s.generator)), mul(x, scale), 0);
    }
    Tensors sides;
    for (int64_t direction = 0; direction < directions; ++direction) {
      const int64_t at = layer * directions + direction;
      const RecurrentParameters& w = weights_[static_cast<std::size_t>(at)];
      const RecurrentWeights given{w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh, w.weight_hr};
      const bool reverse = direction == 1;
      const Tensor first = h0.defined() ? select(h0, 0, at) : Tensor();
      if (s.gates == 4) {
        const LSTMState begin{first, c0.defined() ? select(c0, 0, at) : Tensor()};
        const LSTMRecurrence result = lstm(x, begin, given, {.lengths = call.lengths, .reverse = reverse});
        sides.push_back(result.sequence);
        h.push_back(result.state.h);
        c.push_back(result.state.c);
        continue;
      }
      const Recurrence result =
          s.gates == 3
              ? gru(x, first, given, {.lengths = call.lengths, .reverse = reverse})
              : rnn(x, first, given, {.lengths = call.lengths, .reverse = reverse, .nonlinearity = s.nonlinearity});
      sides.push_back(result.sequence);
      h.push_back(result.state);
    }
    x = directions == 2 ? cat(sides, 2) : sides[0];
  }
  const auto stacked = [&](const Tensors& states) {
    if (states.empty()) return Tensor();
    return batched ? stack(states) : squeeze(stack(states), 1);
  };
  if (!batched) x = squeeze(x, 1);
  return {batched && s.batch_first ? transpose(x, 0, 1) : x, {stacked(h), stacked(c)}};
}

RNN::RNN(int64_t in, int64_t hidden, const RNNOptions& o)
    : RecurrentLayers({"RNN", 1, in, hidden, o.num_layers, o.nonlinearity, o.bias, o.batch_first, o.dropout,
                       o.bidirectional, 0, o.generator}) {}
Recurrence RNN::operator()(const Tensor& x, const Tensor& h0, const RecurrentCall& call) const {
  const Result result = run(x, {h0, {}}, call);
  return {result.sequence, result.state.h};
}

GRU::GRU(int64_t in, int64_t hidden, const GRUOptions& o)
    : RecurrentLayers({"GRU", 3, in, hidden, o.num_layers, Nonlinearity::tanh, o.bias, o.batch_first, o.dropout,
                       o.bidirectional, 0, o.generator}) {}
Recurrence GRU::operator()(const Tensor& x, const Tensor& h0, const RecurrentCall& call) const {
  const Result result = run(x, {h0, {}}, call);
  return {result.sequence, result.state.h};
}

LSTM::LSTM(int64_t in, int64_t hidden, const LSTMOptions& o)
    : RecurrentLayers({"LSTM", 4, in, hidden, o.num_layers, Nonlinearity::tanh, o.bias, o.batch_first, o.dropout,
                       o.bidirectional, o.proj_size, o.generator}) {}
LSTMRecurrence LSTM::operator()(const Tensor& x, const LSTMState& state, const RecurrentCall& call) const {
  const Result result = run(x, state, call);
  return {result.sequence, result.state};
}

namespace {

// x (N, in) or (in) and states alike; what is made of it gets the same rank.
struct CellInput {
  bool batched = false;
  Tensor x;
  CellInput(const char* type, const Tensor& given, int64_t in) {
    limpid::detail::require_defined(type, "x", given);
    if ((given.dim() != 1 && given.dim() != 2) || given.size(-1) != in)
      throw_error<ShapeError>(type, ": expected x of shape (N, ", in, ") or (", in, ",), got ", given.shape());
    batched = given.dim() == 2;
    x = batched ? given : unsqueeze(given, 0);
  }
  Tensor state(const Tensor& h) const { return h.defined() && !batched ? unsqueeze(h, 0) : h; }
  Tensor result(const Tensor& h) const { return batched ? h : squeeze(h, 0); }
};

template <class S>
const S& checked_cell(const S& s) {
  detail::expect(s.type, {{"in", s.in, detail::features}, {"hidden", s.hidden, detail::features}});
  return s;
}

}  // namespace

RecurrentCell::RecurrentCell(const Settings& s) : RecurrentCell(checked_cell(s), detail::Drawing(s.generator)) {}
RecurrentCell::RecurrentCell(const Settings& s, const detail::Drawing&)
    : Module(s.type, message(s.in, ", ", s.hidden, s.note, s.bias ? "" : ", bias = false")),
      weight_ih(parameter("weight_ih", detail::uniform_within({s.gates * s.hidden, s.in}, s.hidden, s.generator))),
      weight_hh(parameter("weight_hh", detail::uniform_within({s.gates * s.hidden, s.hidden}, s.hidden, s.generator))),
      bias_ih(parameter("bias_ih",
                        s.bias ? detail::uniform_within({s.gates * s.hidden}, s.hidden, s.generator) : Tensor())),
      bias_hh(parameter("bias_hh",
                        s.bias ? detail::uniform_within({s.gates * s.hidden}, s.hidden, s.generator) : Tensor())) {
  detail::set_work(*this, detail::Work::per_step);
}
RecurrentWeights RecurrentCell::weights() const { return {weight_ih, weight_hh, bias_ih, bias_hh, {}}; }

static const char* note_of(Nonlinearity nonlinearity) {
  limpid::detail::require_member("RNNCell", "Nonlinearity", nonlinearity, Nonlinearity::relu, "tanh or relu");
  return nonlinearity == Nonlinearity::relu ? ", relu" : "";
}

RNNCell::RNNCell(int64_t in, int64_t hidden, const RNNCellOptions& o)
    : RecurrentCell({"RNNCell", 1, in, hidden, o.bias, note_of(o.nonlinearity), o.generator}),
      nonlinearity_(o.nonlinearity) {}
Tensor RNNCell::operator()(const Tensor& x_in, const Tensor& h_in) const {
  return detail::call_within(*this, std::tie(x_in, h_in), [&](const Tensor& x, const Tensor& h) {
    const CellInput in("RNNCell", x, weight_ih.size(1));
    const auto cell = nonlinearity_ == Nonlinearity::relu ? rnn_relu_cell : rnn_tanh_cell;
    return in.result(cell(in.x, in.state(h), weights()));
  });
}

GRUCell::GRUCell(int64_t in, int64_t hidden, const CellOptions& o)
    : RecurrentCell({"GRUCell", 3, in, hidden, o.bias, "", o.generator}) {}
Tensor GRUCell::operator()(const Tensor& x_in, const Tensor& h_in) const {
  return detail::call_within(*this, std::tie(x_in, h_in), [&](const Tensor& x, const Tensor& h) {
    const CellInput in("GRUCell", x, weight_ih.size(1));
    return in.result(gru_cell(in.x, in.state(h), weights()));
  });
}

LSTMCell::LSTMCell(int64_t in, int64_t hidden, const CellOptions& o)
    : RecurrentCell({"LSTMCell", 4, in, hidden, o.bias, "", o.generator}) {}
LSTMState LSTMCell::operator()(const Tensor& x_in, const LSTMState& state) const {
  return detail::call_within(*this, std::tie(x_in, state.h, state.c),
                             [&](const Tensor& x, const Tensor& h, const Tensor& c) {
                               const CellInput in("LSTMCell", x, weight_ih.size(1));
                               const LSTMState next = lstm_cell(in.x, {in.state(h), in.state(c)}, weights());
                               return LSTMState{in.result(next.h), in.result(next.c)};
                             });
}

}  // namespace limpid::nn
