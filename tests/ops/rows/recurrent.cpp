// The op table's rows of recurrent layers.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

namespace {

// x (3, 2, 4), h0, c0 where there is one, weights and biases of a layer with 5 units.
std::vector<Sample> layer(int64_t gates, bool has_c, int64_t out = 5) {
  const int64_t width = 5 * gates;
  std::vector<Sample> inputs{real({3, 2, 4}),       real({2, out}), {{width, 4}, -1, 1},
                             {{width, out}, -1, 1}, real({width}),  real({width})};
  if (has_c) inputs.push_back(real({2, 5}));
  return inputs;
}
RecurrentWeights weights(const Tensors& x) { return {x[2], x[3], x[4], x[5], {}}; }

}  // namespace

Rows recurrences() {
  const Shape s{3, 2, 5};
  auto projected = layer(4, true, 3), lstm_inputs = layer(4, true);
  projected.push_back({{3, 5}, -1, 1});
  const auto one = [](std::vector<Sample> inputs) {
    inputs[0] = real({2, 4});
    return inputs;
  };
  Rows rows{
      optional(50, {"rnn", "", OP(rnn(x[0], x[1], weights(x))), layer(1, false), s}),
      optional(50,
               {"rnn", "lengths", OP(rnn(x[0], x[1], weights(x), {.lengths = tensor({1, 3}, int64), .reverse = true})),
                layer(1, false), s}),
      optional(50, with_kink(OP(linear(x[0], x[2], x[4] + x[5]) + matmul(x[1], transpose(x[3], 0, 1))),
                             {"rnn",
                              "relu",
                              OP(rnn(x[0], x[1], weights(x), {.nonlinearity = Nonlinearity::relu})),
                              {real({1, 2, 4}), real({2, 5}), {{5, 4}, -1, 1}, {{5, 5}, -1, 1}, real({5}), real({5})},
                              {1, 2, 5}})),
      optional(50, {"gru", "", OP(gru(x[0], x[1], weights(x))), layer(3, false), s}),
      optional(50,
               {"gru", "lengths", OP(gru(x[0], x[1], weights(x), {.lengths = tensor({3, 2}, int64), .reverse = true})),
                layer(3, false), s}),
      optional(114, {"lstm", "", OP(lstm(x[0], {x[1], x[6]}, weights(x))), lstm_inputs, s}),
      optional(114, {"lstm", "lengths",
                     OP(lstm(x[0], {x[1], x[6]}, weights(x), {.lengths = tensor({0, 2}, int64), .reverse = true})),
                     lstm_inputs, s}),
      optional(114, {"lstm",
                     "projected",
                     OP(lstm(x[0], {x[1], x[6]}, {x[2], x[3], x[4], x[5], x[7]}, {.lengths = tensor({2, 3}, int64)})),
                     projected,
                     {3, 2, 3}}),
      optional(50, {"rnn_tanh_cell", "", OP(rnn_tanh_cell(x[0], x[1], weights(x))), one(layer(1, false)), {2, 5}}),
      optional(50, with_kink(
                       OP(linear(x[0], x[2], x[4] + x[5]) + matmul(x[1], transpose(x[3], 0, 1))),
                       {"rnn_relu_cell", "", OP(rnn_relu_cell(x[0], x[1], weights(x))), one(layer(1, false)), {2, 5}})),
      optional(50, {"gru_cell", "", OP(gru_cell(x[0], x[1], weights(x))), one(layer(3, false)), {2, 5}}),
      optional(114, {"lstm_cell", "", OP(lstm_cell(x[0], {x[1], x[6]}, weights(x))), one(lstm_inputs), {2, 5}}),
  };
  for (OpRow& row : rows) row.of_library = true;
  return rows;
}

}  // namespace rows
