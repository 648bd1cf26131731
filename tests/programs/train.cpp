// A residual block of one's own in a Sequential, trained on batches, stored and loaded again.
#include <limpid/limpid.hpp>

#include <iostream>

using namespace limpid;

struct Residual : nn::Module {
  nn::Conv2d conv;
  nn::InstanceNorm2d norm;
  explicit Residual(int64_t channels)
      : conv(add("conv", nn::Conv2d(channels, channels, 3, {.padding = 1}))),
        norm(add("norm", nn::InstanceNorm2d(channels, {.affine = true}))) {}
  Tensor operator()(const Tensor& x) const { return x + relu(norm(conv(x))); }
};

static nn::Sequential make_net() {
  return nn::Sequential{nn::Conv2d(1, 6, 3, {.padding = 1}), Residual(6), nn::MaxPool2d(2), nn::Flatten(),
                        nn::Linear(6 * 6 * 6, 2)};
}

int main() {
  manual_seed(13);
  // Two classes: a ramp along the rows and the same ramp along the columns, under noise.
  Tensor ramp = arange(12, float32) / 11.0;
  Tensor rows = expand(reshape(ramp, {1, 1, 12, 1}), {24, 1, 12, 12});
  Tensor images = cat({rows, transpose(rows, 2, 3)}, 0) + 0.1 * randn({48, 1, 12, 12});
  Tensor labels = cat({zeros({24}, int64), ones({24}, int64)}, 0);

  nn::Sequential net = make_net();
  optim::Adam optimizer(net.parameters(), {.lr = 1e-2});
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 15; ++epoch) {
    last = 0;
    for (auto [x, t] : data::DataLoader(data::TensorDataset(images, labels), {.batch_size = 12, .shuffle = true})) {
      optimizer.zero_grad();
      Tensor loss = nn::cross_entropy(net(x), t);
      loss.backward();
      optimizer.step();
      last += loss.item<double>();
    }
    if (epoch == 0) first = last;
  }
  if (!(last < 0.5 * first)) {
    std::cerr << "the loss went from " << first << " to " << last << '\n';
    return 1;
  }

  net.eval();
  NoGradGuard no_grad;
  save_safetensors("net.safetensors", net.state_dict());
  nn::Sequential twin = make_net();
  twin.eval();
  if (equal(net(images), twin(images))) return 2;  // or loading would prove nothing
  twin.load_state_dict(load_safetensors("net.safetensors"));
  return equal(net(images), twin(images)) ? 0 : 3;
}
