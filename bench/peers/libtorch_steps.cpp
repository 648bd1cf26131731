// LibTorch's steps over the cases of bench_steps.cpp.
#include <limpid/bench/peer_cases.hpp>
#include <limpid/bench/step_cases.hpp>
#include "libtorch_runs.hpp"

#include <memory>

namespace nn = torch::nn;

namespace {

std::pair<Run, Run> steps_of(nn::Sequential net, const Tensor& x, std::function<Tensor(const Tensor&)> loss) {
  const auto optimizer = std::make_shared<torch::optim::Adam>(net->parameters(), 1e-3);
  const Run forward = [=]() mutable {
    const torch::NoGradGuard no_grad;
    net->forward(x);
  };
  return {forward, [=]() mutable {
            optimizer->zero_grad();
            loss(net->forward(x)).backward();
            optimizer->step();
          }};
}

nn::InstanceNorm2d norm(int64_t channels) {
  return nn::InstanceNorm2d(nn::InstanceNorm2dOptions(channels).affine(true));
}

// Convolution, norm and relu of the style network, behind a border of reflections.
void add_style_block(nn::Sequential& net, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  net->push_back(nn::ReflectionPad2d(kernel / 2));
  net->push_back(nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride)));
  net->push_back(norm(out));
  net->push_back(nn::ReLU());
}

}  // namespace

int main(int argc, char** argv) {
  limpid::PeerBench bench(argc, argv);
  torch::set_num_threads(bench.threads());
  using torch::randn;
  limpid::for_mlps([&](const char* name, int64_t batch, int64_t in, int64_t hidden, int64_t out) {
    bench.add(name, [=] {
      nn::Sequential net(nn::Linear(in, hidden), nn::Tanh(), nn::Linear(hidden, hidden), nn::Tanh(),
                         nn::Linear(hidden, out));
      const Tensor t = randn({batch, out});
      return steps_of(net, randn({batch, in}), [=](const Tensor& y) { return torch::mse_loss(y, t); });
    });
  });
  bench.add("digits", [] {
    const auto conv = [](int64_t in, int64_t out) { return nn::Conv2d(nn::Conv2dOptions(in, out, 3).padding(1)); };
    nn::Sequential net(conv(1, 16), norm(16), nn::ReLU(), nn::MaxPool2d(2), conv(16, 32), norm(32), nn::ReLU(),
                       nn::MaxPool2d(2), nn::Flatten(), nn::Linear(32 * 7 * 7, 10));
    const Tensor t = torch::randint(0, 10, {64}, torch::kLong);
    return steps_of(net, randn({64, 1, 28, 28}), [=](const Tensor& y) { return torch::cross_entropy_loss(y, t); });
  });
  bench.add("style", [] {
    const auto add_up = [](nn::Sequential& net) {
      net->push_back(nn::Upsample(nn::UpsampleOptions().scale_factor(std::vector<double>{2, 2}).mode(torch::kNearest)));
    };
    nn::Sequential net;
    add_style_block(net, 3, 16, 9, 1), add_style_block(net, 16, 32, 3, 2), add_style_block(net, 32, 64, 3, 2);
    add_style_block(net, 64, 64, 3, 1), add_style_block(net, 64, 64, 3, 1), add_up(net);
    add_style_block(net, 64, 32, 3, 1), add_up(net), add_style_block(net, 32, 16, 3, 1);
    net->push_back(nn::ReflectionPad2d(4));
    net->push_back(nn::Conv2d(16, 3, 9));
    const Tensor t = randn({4, 3, 128, 128});
    return steps_of(net, randn({4, 3, 128, 128}), [=](const Tensor& y) { return torch::mse_loss(y, t); });
  });
  return bench.result();
}
