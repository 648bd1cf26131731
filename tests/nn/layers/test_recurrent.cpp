// Recurrent layers against PyTorch's (tests/reference/recurrent_vectors.py), and what lengths, states and dropout mean.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <cmath>

#include <limpid/tests/nn/printed.hpp>
#include <limpid/tests/nn/vectors.hpp>
#include <limpid/tests/ops/plain.hpp>

namespace test_recurrent {

using namespace limpid;
using plain::same_bits;
using plain::thrown;
using plain::values;

Tensor weighed(const Tensor& x, Tensor (*f)(const Tensor&)) {
  return sum(x * f(reshape(arange(x.numel()), x.shape()).to(float64)));
}

struct Outcome {
  Tensor y, h, c;
};

// What a module makes of a case: outputs, gradients and names are PyTorch's.
template <class M, class Run>
void check_case(const std::string& name, M module, Run run) {
  CAPTURE(name);
  static const TensorMap all = load_npz(LIMPID_TEST_DATA "/recurrent.npz");
  const TensorMap vectors = members_of(all, name + '/'), state = members_of(vectors, "state/");
  REQUIRE(vectors.count("x") == 1);
  module.to(float64);
  CHECK(names(module.state_dict()) == names(state));
  module.load_state_dict(state);
  const auto leaf = [&](const char* key) {
    return vectors.count(key) ? vectors.at(key).clone().set_requires_grad() : Tensor();
  };
  const Tensor x = leaf("x"), h0 = leaf("h0"), c0 = leaf("c0");
  const Tensor lengths = vectors.count("lengths") ? vectors.at("lengths") : Tensor();
  const Outcome got = run(module, x, h0, c0, nn::RecurrentCall{.lengths = lengths});
  const auto same = [&](const Tensor& a, const char* key) {
    INFO(key << ": " << a << "\nfor\n" << vectors.at(key));
    CHECK(allclose(a.detach(), vectors.at(key), 1e-9, 1e-10));
  };
  same(got.y, "y");
  same(got.h, "h");
  Tensor loss = weighed(got.y, cos) + weighed(got.h, sin);
  if (c0.defined()) {
    same(got.c, "c");
    loss = loss + weighed(got.c, [](const Tensor& i) { return sin(2 * i); });
  }
  loss.backward();
  same(x.grad(), "dx");
  same(h0.grad(), "dh0");
  if (c0.defined()) same(c0.grad(), "dc0");
  for (const auto& parameter : module.named_parameters())
    same(parameter.tensor.grad(), ("grad/" + parameter.name).c_str());
}

const auto simple = [](const auto& module, const Tensor& x, const Tensor& h0, const Tensor&,
                       const nn::RecurrentCall& call) {
  const auto [y, h] = module(x, h0, call);
  return Outcome{y, h, {}};
};
const auto with_c = [](const auto& module, const Tensor& x, const Tensor& h0, const Tensor& c0,
                       const nn::RecurrentCall& call) {
  const auto [y, state] = module(x, {h0, c0}, call);
  return Outcome{y, state.h, state.c};
};

TEST_CASE("recurrent layers give PyTorch's outputs, states and gradients, under its names") {
  check_case("rnn", nn::RNN(3, 5), simple);
  check_case("rnn relu",
             nn::RNN(3, 5,
                     {.num_layers = 2,
                      .nonlinearity = Nonlinearity::relu,
                      .bias = false,
                      .batch_first = true,
                      .bidirectional = true}),
             simple);
  check_case("gru", nn::GRU(3, 5, {.num_layers = 2, .bidirectional = true}), simple);
  check_case("gru plain", nn::GRU(3, 5, {.bias = false, .batch_first = true}), simple);
  check_case("lstm", nn::LSTM(3, 5, {.num_layers = 2, .bidirectional = true}), with_c);
  check_case("lstm projected", nn::LSTM(3, 5, {.num_layers = 2, .bidirectional = true, .proj_size = 2}), with_c);
  check_case("lstm unbatched", nn::LSTM(3, 5), with_c);
  for (const std::string end : {"2 4 1", "4 3 3"}) {
    check_case("rnn lengths " + end, nn::RNN(3, 5, {.bidirectional = true}), simple);
    check_case("gru lengths " + end, nn::GRU(3, 5, {.num_layers = 2, .bidirectional = true}), simple);
    check_case("lstm lengths " + end,
               nn::LSTM(3, 5, {.num_layers = 2, .batch_first = true, .bidirectional = true, .proj_size = 2}), with_c);
  }
}

TEST_CASE("a sequence with a length is the sequence cut off there") {
  manual_seed(3);
  nn::LSTM lstm(3, 4, {.num_layers = 2, .bidirectional = true, .proj_size = 2});
  lstm.to(float64);
  Tensor x = randn({5, 3, 3}, float64);
  x.index_put_({Slice(2, None), 1}, NAN);  // what stands past a length is nobody's
  x.set_requires_grad();
  const Tensor lengths = tensor({5, 2, 0}, int64), h0 = randn({4, 3, 2}, float64), c0 = randn({4, 3, 4}, float64);
  const auto [y, state] = lstm(x, {h0, c0}, {.lengths = lengths});
  sum(square(y)).backward();
  const Tensor dx = x.grad().clone();
  std::vector<Tensor> gradients;
  for (const Tensor& p : lstm.parameters()) {
    CHECK(all(isfinite(p.grad())).item<bool>());
    gradients.push_back(p.grad().clone());
  }
  lstm.zero_grad();
  for (int64_t n = 0; n < 3; ++n) {
    const int64_t length = lengths.data<int64_t>()[n];
    CAPTURE(n);
    CHECK(equal(y.detach().index({Slice(length, None), n}), zeros({5 - length, 4}, float64)));
    for (const double v : values(dx.index({Slice(length, None), n}))) CHECK(v == 0);
    const Tensor alone = slice(slice(x.detach(), 1, n, n + 1), 0, 0, length).contiguous().clone();
    Tensor leaf = alone.clone().set_requires_grad();
    const auto [part, last] = lstm(leaf, {slice(h0, 1, n, n + 1), slice(c0, 1, n, n + 1)});
    CHECK(allclose(part.detach(), y.detach().index({Slice(0, length), Slice(n, n + 1)}), 1e-12, 1e-13));
    CHECK(allclose(last.h.detach(), slice(state.h.detach(), 1, n, n + 1), 1e-12, 1e-13));
    CHECK(allclose(last.c.detach(), slice(state.c.detach(), 1, n, n + 1), 1e-12, 1e-13));
    if (length == 0) {
      CHECK(equal(last.c.detach(), slice(c0, 1, n, n + 1)));
      continue;
    }
    sum(square(part)).backward();
    CHECK(allclose(leaf.grad(), dx.index({Slice(0, length), Slice(n, n + 1)}), 1e-11, 1e-12));
  }
  const Tensors parameters = lstm.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) CHECK(allclose(parameters[i].grad(), gradients[i], 1e-10, 1e-11));
}

TEST_CASE("recurrent states of any layout, float32 and half precision") {
  manual_seed(4);
  nn::GRU gru(6, 19, {.num_layers = 2, .bidirectional = true});
  const Tensor x = randn({7, 3, 6}), h0 = randn({4, 3, 19});
  const auto [y, h] = gru(x, h0);
  const auto [same_y, same_h] = gru(plain::strided(x), plain::strided(h0));
  CHECK(equal(y.detach(), same_y.detach()));
  CHECK(equal(h.detach(), same_h.detach()));
  nn::GRU wide = nn::clone(gru);
  wide.to(float64);
  CHECK(allclose(wide(x.to(float64), h0.to(float64)).sequence.detach().to(float32), y.detach(), 1e-5, 1e-6));
  nn::GRU half = nn::clone(gru);
  half.to(bfloat16);
  const auto [narrow, last] = half(x.to(bfloat16), h0.to(bfloat16));
  CHECK(narrow.dtype() == bfloat16);
  CHECK(allclose(narrow.detach().to(float32), y.detach(), 0.05, 0.05));
  sum(narrow).backward();
  CHECK(half.weights()[0].weight_hh.grad().dtype() == bfloat16);
  plain::check_threads([&]() -> Tensors {
    gru.zero_grad();
    Tensor leaf = x.clone().set_requires_grad();
    const Tensor out = gru(leaf, h0).sequence;
    sum(square(out)).backward();
    return {out.detach(), leaf.grad(), gru.weights()[0].weight_hh.grad(), gru.weights()[3].bias_hh.grad()};
  });
}

TEST_CASE("recurrent dropout acts between layers while training, and drops none behind the last") {
  Generator generator(5);
  nn::RNN rnn(3, 4, {.num_layers = 2, .dropout = 0.5, .generator = &generator});
  const Tensor x = randn({6, 2, 3});
  const Tensor first = rnn(x).sequence.detach(), second = rnn(x).sequence.detach();
  CHECK_FALSE(equal(first, second));
  CHECK(all(ne(first, 0)).item<bool>());
  rnn.eval();
  CHECK(equal(rnn(x).sequence.detach(), rnn(x).sequence.detach()));
  nn::RNN all_dropped(3, 4, {.num_layers = 2, .dropout = 1});
  const Tensor kept = all_dropped(x).sequence.detach();
  {
    const NoGradGuard guard;
    all_dropped.weights()[1].weight_ih.fill_(0);
  }
  all_dropped.eval();
  CHECK(equal(kept, all_dropped(x).sequence.detach()));
  nn::RNN one(3, 4, {.dropout = 0.5});
  CHECK(equal(one(x).sequence.detach(), one(x).sequence.detach()));
}

TEST_CASE("recurrent cells are steps of the layers") {
  manual_seed(6);
  nn::RNNCell rnn(3, 4, {.nonlinearity = Nonlinearity::relu});
  nn::GRUCell gru(3, 4);
  nn::LSTMCell lstm(3, 4, {.bias = false});
  CHECK(names(gru.state_dict()) == std::set<std::string>{"weight_ih", "weight_hh", "bias_ih", "bias_hh"});
  CHECK(names(lstm.state_dict()) == std::set<std::string>{"weight_ih", "weight_hh"});
  const auto layered = [](const TensorMap& state) {
    TensorMap renamed;
    for (const auto& [name, tensor] : state) renamed[name + "_l0"] = tensor;
    return renamed;
  };
  nn::RNN rnn_layer(3, 4, {.nonlinearity = Nonlinearity::relu});
  nn::GRU gru_layer(3, 4);
  nn::LSTM lstm_layer(3, 4, {.bias = false});
  rnn_layer.load_state_dict(layered(rnn.state_dict()));
  gru_layer.load_state_dict(layered(gru.state_dict()));
  lstm_layer.load_state_dict(layered(lstm.state_dict()));
  const Tensor x = randn({5, 2, 3});
  Tensor a, b;
  nn::LSTMState s;
  for (int64_t t = 0; t < 5; ++t) {
    a = rnn(select(x, 0, t), a);
    b = gru(select(x, 0, t), b);
    s = lstm(select(x, 0, t), s);
    CHECK(allclose(a.detach(), select(rnn_layer(x).sequence.detach(), 0, t), 1e-5, 1e-6));
    CHECK(allclose(b.detach(), select(gru_layer(x).sequence.detach(), 0, t), 1e-5, 1e-6));
    CHECK(allclose(s.h.detach(), select(lstm_layer(x).sequence.detach(), 0, t), 1e-5, 1e-6));
  }
  const Tensor row = randn({3});
  CHECK(rnn(row).shape() == Shape{4});
  CHECK(gru(row, randn({4})).shape() == Shape{4});
  const nn::LSTMState one = lstm(row, {randn({4}), randn({4})});
  CHECK(one.h.shape() == Shape{4});
  CHECK(one.c.shape() == Shape{4});
}

TEST_CASE("recurrent layers of no steps and no sequences") {
  nn::LSTM lstm(3, 4, {.bidirectional = true});
  const Tensor h0 = randn({2, 2, 4}), c0 = randn({2, 2, 4});
  const auto [y, state] = lstm(zeros({0, 2, 3}), {h0, c0});
  CHECK(y.shape() == Shape{0, 2, 8});
  CHECK(equal(state.h.detach(), h0));
  CHECK(equal(state.c.detach(), c0));
  CHECK(lstm(zeros({3, 0, 3})).sequence.shape() == Shape{3, 0, 8});
}

TEST_CASE("a gate that is closed lets nothing through, and derivatives are exact to the end of the normal numbers") {
  for (const DType dtype : {float32, float64}) {
    CAPTURE(dtype);
    const double big = dtype == float32 ? 1e38 : 1e308;
    const RecurrentWeights weights{
        zeros({4, 1}, dtype), zeros({4, 1}, dtype), tensor({0, -INFINITY, 0, 0}, dtype), {}, {}};
    Tensor c0 = full({1, 1}, big, dtype).set_requires_grad();
    const LSTMState state = lstm_cell(zeros({1, 1}, dtype), {zeros({1, 1}, dtype), c0}, weights);
    CHECK(state.c.item<double>() == 0);
    CHECK(grad({state.c}, {c0}, {ones({1, 1}, dtype)})[0].item<double>() == 0);
    // tanh' = 4 e^-2x for a large x
    const double at = dtype == float32 ? 43.9 : 354.5;
    Tensor x = full({1, 1}, at, dtype).set_requires_grad();
    const Tensor y = rnn_tanh_cell(x, {}, {ones({1, 1}, dtype), zeros({1, 1}, dtype)});
    const double slope = grad({y}, {x}, {ones({1, 1}, dtype)})[0].item<double>();
    CHECK(slope == Approx(4 * std::exp(-2 * x.item<double>())).epsilon(1e-5));
  }
}

TEST_CASE("recurrent layers begin within 1 / sqrt(hidden), and draw from their generator") {
  Generator one(7), two(7);
  nn::LSTM a(3, 16, {.num_layers = 2, .generator = &one}), b(3, 16, {.num_layers = 2, .generator = &two});
  const Tensors p = a.parameters(), q = b.parameters();
  REQUIRE(p.size() == 8);
  for (std::size_t i = 0; i < p.size(); ++i) {
    CHECK(equal(p[i], q[i]));
    const double most = max(abs(p[i].detach())).item<double>();
    CHECK(most <= 0.25);
    CHECK(most > 0.2);
  }
}

TEST_CASE("recurrent layers print, copy and convert") {
  CHECK(printed(nn::LSTM(
            5, 7, {.num_layers = 2, .batch_first = true, .dropout = 0.1, .bidirectional = true, .proj_size = 3})) ==
        "LSTM(5, 7, num_layers = 2, batch_first, dropout = 0.1, bidirectional, proj_size = 3)");
  CHECK(printed(nn::RNN(5, 7, {.nonlinearity = Nonlinearity::relu, .bias = false})) == "RNN(5, 7, relu, bias = false)");
  CHECK(printed(nn::RNNCell(5, 7, {.bias = false, .nonlinearity = Nonlinearity::relu})) ==
        "RNNCell(5, 7, relu, bias = false)");
  CHECK(printed(nn::GRUCell(5, 7)) == "GRUCell(5, 7)");
  nn::GRU gru(2, 3);
  nn::GRU copy = nn::clone(gru), other(2, 3);
  {
    const NoGradGuard guard;
    copy.weights()[0].weight_ih.fill_(0);
  }
  CHECK_FALSE(equal(gru.weights()[0].weight_ih.detach(), copy.weights()[0].weight_ih.detach()));
  other = copy;
  CHECK(other.weights()[0].weight_ih.is_same(copy.weights()[0].weight_ih));
  struct Net : nn::Module {
    nn::LSTM lstm;
    Net() : lstm(add("lstm", nn::LSTM(2, 3))) {}
  } net;
  net.to(float64);
  CHECK(net.lstm.weights()[0].bias_hh.dtype() == float64);
  CHECK(net.state_dict().count("lstm.weight_ih_l0") == 1);
  try {
    net.lstm(zeros({4, 1, 3}, float64));
    FAIL("expected an error");
  } catch (const ShapeError& e) {
    CHECK(std::string(e.what()) ==
          "lstm: LSTM: expected x of shape (T, N, 2), or (T, 2) without a batch, got (4, 1, 3)");
  }
}

TEST_CASE("recurrent layers say what they were given wrong") {
  const auto message = [](auto f) { return thrown<Error>(f); };
  CHECK(message([] { nn::LSTM(0, 3); }) == "LSTM: expected in in [1, 2147483647], got 0");
  CHECK(message([] { nn::GRU(3, 3, {.num_layers = 0}); }) == "GRU: expected num_layers in [1, 65536], got 0");
  CHECK(message([] { nn::GRU(3, 3, {.dropout = 2}); }) == "GRU: expected dropout in [0, 1], got 2");
  CHECK(message([] { nn::LSTM(3, 3, {.proj_size = 3}); }) == "LSTM: expected proj_size in [0, 3), got 3");
  CHECK(message([] { nn::GRUCell(3, 0); }) == "GRUCell: expected hidden in [1, 2147483647], got 0");
  CHECK(message([] { nn::RNN(2, 2, {.num_layers = int64_t{1} << 62}); }) ==
        "RNN: expected num_layers in [1, 65536], got 4611686018427387904");
  CHECK(message([] { nn::LSTM(2, int64_t{1} << 61); }) ==
        "LSTM: expected hidden in [1, 2147483647], got 2305843009213693952");
  CHECK(message([] { nn::LSTMCell(2, int64_t{1} << 61); }) ==
        "LSTMCell: expected hidden in [1, 2147483647], got 2305843009213693952");
  const auto undefined = [](const std::string& type) {
    return type + ": expected a defined x, got an undefined tensor";
  };
  CHECK(message([] { nn::RNN(2, 2)(Tensor()); }) == undefined("RNN"));
  CHECK(message([] { nn::GRU(2, 2)(Tensor()); }) == undefined("GRU"));
  CHECK(message([] { nn::LSTM(2, 2)(Tensor()); }) == undefined("LSTM"));
  CHECK(message([] { nn::RNNCell(2, 2)(Tensor()); }) == undefined("RNNCell"));
  CHECK(message([] { nn::GRUCell(2, 2)(Tensor()); }) == undefined("GRUCell"));
  CHECK(message([] { nn::LSTMCell(2, 2)(Tensor()); }) == undefined("LSTMCell"));
  const nn::LSTM lstm(3, 4, {.num_layers = 2, .batch_first = true});
  CHECK(message([&] {
          lstm(zeros({2, 5, 4}));
        }) == "LSTM: expected x of shape (N, T, 3), or (T, 3) without a batch, got (2, 5, 4)");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}), {zeros({2, 5, 4}), {}});
        }) == "LSTM: expected h0 of shape (2, 2, 4), got (2, 5, 4)");
  CHECK(message([&] {
          lstm(zeros({5, 3}), {{}, zeros({2, 5, 4})});
        }) == "LSTM: expected c0 of shape (2, 4), got (2, 5, 4)");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}), {}, {.lengths = full({2}, 6, int64)});
        }) == "lstm: expected lengths in [0, 5], got 6");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}), {}, {.lengths = full({2}, -1, int64)});
        }) == "lstm: expected lengths in [0, 5], got -1");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}), {}, {.lengths = full({5}, 1, int64)});
        }) == "lstm: expected lengths of shape (2,), got (5,)");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}), {}, {.lengths = ones({2})});
        }) == "lstm: expected lengths of int64, got float32");
  CHECK(message([&] {
          lstm(zeros({2, 5, 3}, float64));
        }) == "lstm: expected x and weight_ih of one dtype, got float64 and float32; convert with to()");
  const nn::GRUCell cell(3, 4);
  CHECK(message([&] { cell(zeros({2, 2})); }) == "GRUCell: expected x of shape (N, 3) or (3,), got (2, 2)");
  CHECK(message([&] { cell(zeros({2, 3}), zeros({2, 3})); }) == "gru_cell: expected h0 of shape (2, 4), got (2, 3)");

  const Tensor x = zeros({4, 2, 3});
  const RecurrentWeights w{zeros({12, 3}), zeros({12, 4})};
  CHECK(message([&] { gru(zeros({4, 3}), {}, w); }) == "gru: expected x of shape (T, N, in), got (4, 3)");
  CHECK(message([&] {
          gru(x, {}, {zeros({11, 3}), zeros({12, 4})});
        }) == "gru: expected weight_ih of shape (3 hidden, in), got (11, 3)");
  CHECK(message([&] {
          rnn(x, {}, {zeros({11}), zeros({12, 4})});
        }) == "rnn: expected weight_ih of shape (hidden, in), got (11,)");
  CHECK(message([&] { gru(zeros({4, 2, 5}), {}, w); }) == "gru: expected x of shape (T, N, 3), got (4, 2, 5)");
  CHECK(message([&] {
          gru(x, {}, {zeros({12, 3}), zeros({12, 3})});
        }) == "gru: expected weight_hh of shape (12, 4), got (12, 3)");
  CHECK(message([&] {
          gru(x, {}, {w.weight_ih, w.weight_hh, zeros({11})});
        }) == "gru: expected bias_ih of shape (12,), got (11,)");
  CHECK(message([&] {
          gru(x, {}, {w.weight_ih, w.weight_hh, {}, {}, zeros({2, 4})});
        }) == "gru: expected no weight_hr, which is an LSTM's, got one");
  CHECK(message([&] {
          rnn(x, {}, {zeros({4, 3}), zeros({4, 4}), {}, {}, zeros({2, 4})});
        }) == "rnn: expected no weight_hr, which is an LSTM's, got one");
  CHECK(message([&] {
          lstm_cell(zeros({2, 3}), {}, {zeros({16, 3}), zeros({16, 2}), {}, {}, zeros({2, 5})});
        }) == "lstm_cell: expected weight_hr of shape (projected, 4), got (2, 5)");
  CHECK(message([&] { rnn_tanh_cell(x, {}, w); }) == "rnn_tanh_cell: expected x of shape (N, in), got (4, 2, 3)");
  CHECK(message([&] { gru(x.to(int64), {}, w); }) ==
        "gru: expected x of a floating-point dtype, got int64; convert with to()");
  CHECK(message([&] { rnn(x, {}, w, {.nonlinearity = static_cast<Nonlinearity>(2)}); }) ==
        "rnn: expected Nonlinearity::tanh or relu, got Nonlinearity(2)");
}

}  // namespace test_recurrent
