// Recurrent networks, a layer and a direction at a time: x (T, N, in) gives a sequence of states (T, N, hidden). Gates,
// weights and biases are ordered as PyTorch's. All operands of one floating-point dtype; half precision is computed in
// float32. nn::RNN, nn::GRU and nn::LSTM put layers and directions together.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

namespace LIMPID_API limpid {

/// For G gates (an RNN has 1, a GRU 3: reset, update, new; an LSTM 4: input, forget, cell, output).
struct RecurrentWeights {
  Tensor weight_ih;       ///< (G hidden, in)
  Tensor weight_hh;       ///< (G hidden, hidden); behind a projection (G hidden, projected)
  Tensor bias_ih = {};    ///< (G hidden,), or none
  Tensor bias_hh = {};    ///< (G hidden,), or none
  Tensor weight_hr = {};  ///< of an LSTM: (projected, hidden), or none
};

enum class Nonlinearity { tanh, relu };

struct RecurrenceOptions {
  /// int64 (N,), from 0 to T: how many steps of each sequence count. Past its length a sequence has outputs 0, whatever
  /// x holds there, and its last state is that after its last step: h0 for one of length 0.
  Tensor lengths = {};
  bool reverse = false;  ///< begins with each sequence's last step; outputs stand at the steps that they are of
};
struct RNNRecurrenceOptions {
  Tensor lengths = {};
  bool reverse = false;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
};

struct LSTMState {
  Tensor h, c;
};
struct Recurrence {
  Tensor sequence;  ///< (T, N, hidden)
  Tensor state;     ///< (N, hidden): the last one
};
struct LSTMRecurrence {
  Tensor sequence;  ///< (T, N, hidden), or projected
  LSTMState state;  ///< h as one of the sequence, c (N, hidden)
};

/// h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh) (Elman, 1990). h0 (N, hidden); none: zeros.
Recurrence rnn(const Tensor& x, const Tensor& h0, const RecurrentWeights& weights,
               const RNNRecurrenceOptions& options = {});
/// r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), n = tanh(W_in x_t + b_in + r (W_hn h_(t-1) + b_hn)),
/// h_t = (1 - z) n + z h_(t-1) (Cho et al., 2014, with the reset behind the product).
Recurrence gru(const Tensor& x, const Tensor& h0, const RecurrentWeights& weights,
               const RecurrenceOptions& options = {});
/// i, f, o = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), g = tanh(the same), c_t = f c_(t-1) + i g,
/// h_t = o tanh(c_t), or W_hr times that (Hochreiter and Schmidhuber, 1997; Gers et al., 2000; Sak et al., 2014).
LSTMRecurrence lstm(const Tensor& x, const LSTMState& state, const RecurrentWeights& weights,
                    const RecurrenceOptions& options = {});

// One step: x (N, in) and h (N, hidden), or none.
Tensor rnn_tanh_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights);
Tensor rnn_relu_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights);
Tensor gru_cell(const Tensor& x, const Tensor& h, const RecurrentWeights& weights);
LSTMState lstm_cell(const Tensor& x, const LSTMState& state, const RecurrentWeights& weights);

}  // namespace limpid
