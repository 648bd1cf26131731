// Recurrent layers, with PyTorch's names, gates and initial values: uniform within 1 / sqrt(hidden).
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/recurrent.hpp>

#include <vector>

namespace LIMPID_API limpid {
namespace nn {

using limpid::LSTMState;
using limpid::Nonlinearity;

namespace detail {
struct Drawing;
}

struct RNNOptions {
  int64_t num_layers = 1;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
  bool bias = true;
  bool batch_first = false;  ///< x and the sequence are (N, T, ...); states are not
  double dropout = 0;        ///< what is left out between layers while training, none behind the last
  bool bidirectional = false;
  Generator* generator = nullptr;  ///< draws initial values and dropout, and must live as long; none: the default one
};
struct GRUOptions {
  int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  double dropout = 0;
  bool bidirectional = false;
  Generator* generator = nullptr;
};
struct LSTMOptions {
  int64_t num_layers = 1;
  bool bias = true;
  bool batch_first = false;
  double dropout = 0;
  bool bidirectional = false;
  int64_t proj_size = 0;  ///< size of h behind a projection; 0: none
  Generator* generator = nullptr;
};

/// Of one call.
struct RecurrentCall {
  Tensor lengths = {};  ///< int64 (N,) in any order: see RecurrenceOptions
};

/// The weights of a layer in one direction.
struct RecurrentParameters {
  Parameter weight_ih, weight_hh, bias_ih, bias_hh, weight_hr;
};

/// What RNN, GRU and LSTM share. x is (T, N, in), or (T, in) without a batch; states are (layers * directions, N,
/// hidden), the directions of a layer one after the other, or without N. The sequence has the outputs of both
/// directions side by side. Parameters are called weight_ih_l0, weight_hh_l0_reverse, bias_ih_l1 and so on.
class RecurrentLayers : public Module {
 public:
  /// By layer and, within it, direction.
  const std::vector<RecurrentParameters>& weights() const noexcept { return weights_; }

 protected:
  struct Settings {
    const char* type;
    int64_t gates, in, hidden, num_layers;
    Nonlinearity nonlinearity;
    bool bias, batch_first;
    double dropout;
    bool bidirectional;
    int64_t proj_size;
    Generator* generator;
  };
  explicit RecurrentLayers(const Settings& settings);
  struct Result {
    Tensor sequence;
    LSTMState state;
  };
  Result run(const Tensor& x, const LSTMState& state, const RecurrentCall& call) const;

 private:
  RecurrentLayers(const Settings& settings, const detail::Drawing& drawing);
  Result run_checked(const Tensor& x, const LSTMState& state, const RecurrentCall& call) const;
  Settings settings_;
  std::vector<RecurrentParameters> weights_;
};

struct RNN : RecurrentLayers {
  RNN(int64_t in, int64_t hidden, const RNNOptions& options = {});
  /// h0: none stands for zeros.
  Recurrence operator()(const Tensor& x, const Tensor& h0 = {}, const RecurrentCall& call = {}) const;
};
struct GRU : RecurrentLayers {
  GRU(int64_t in, int64_t hidden, const GRUOptions& options = {});
  Recurrence operator()(const Tensor& x, const Tensor& h0 = {}, const RecurrentCall& call = {}) const;
};
struct LSTM : RecurrentLayers {
  LSTM(int64_t in, int64_t hidden, const LSTMOptions& options = {});
  ///     auto [sequence, state] = lstm(x, {}, {.lengths = lengths});
  LSTMRecurrence operator()(const Tensor& x, const LSTMState& state = {}, const RecurrentCall& call = {}) const;
};

struct CellOptions {
  bool bias = true;
  Generator* generator = nullptr;
};
struct RNNCellOptions {
  bool bias = true;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
  Generator* generator = nullptr;
};

/// A step of a recurrent layer: x is (N, in) or (in), states (N, hidden) or (hidden), or none for zeros.
class RecurrentCell : public Module {
 public:
  Parameter weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  struct Settings {
    const char* type;
    int64_t gates, in, hidden;
    bool bias;
    const char* note;
    Generator* generator;
  };
  explicit RecurrentCell(const Settings& settings);
  RecurrentWeights weights() const;

 private:
  RecurrentCell(const Settings& settings, const detail::Drawing& drawing);
};

struct RNNCell : RecurrentCell {
  RNNCell(int64_t in, int64_t hidden, const RNNCellOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;

 private:
  Nonlinearity nonlinearity_;
};
struct GRUCell : RecurrentCell {
  GRUCell(int64_t in, int64_t hidden, const CellOptions& options = {});
  Tensor operator()(const Tensor& x, const Tensor& h = {}) const;
};
struct LSTMCell : RecurrentCell {
  LSTMCell(int64_t in, int64_t hidden, const CellOptions& options = {});
  LSTMState operator()(const Tensor& x, const LSTMState& state = {}) const;
};

}  // namespace nn
}  // namespace limpid
