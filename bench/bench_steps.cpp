// Whole training steps: a forward without a tape, and a step of the optimiser with all before it.
// scripts/bench_steps.sh runs it in turns with LibTorch (bench/peers/libtorch_steps.cpp), and the MLPs with steps
// written by hand for their sizes (bench/peers/by_hand_steps.cpp); the cases of all three have the same names and
// sizes.
#include <limpid/bench/peer_cases.hpp>
#include <limpid/bench/runs.hpp>
#include <limpid/bench/step_cases.hpp>

#include <memory>

using namespace limpid;

namespace {

// The network's forward, and its step by Adam; loss(y) gives the loss.
template <class Net>
std::pair<Run, Run> steps_of(const Net& net, const Tensor& x, std::function<Tensor(const Tensor&)> loss) {
  const auto optimizer = std::make_shared<optim::Adam>(net.parameters(), optim::AdamOptions{.lr = 1e-3});
  const Run forward = [=] {
    const NoGradGuard no_grad;
    net(x);
  };
  return {forward, [=] {
            optimizer->zero_grad();
            loss(net(x)).backward();
            optimizer->step();
          }};
}

// Convolution, norm and relu of the style network, behind a border of reflections.
nn::Sequential style_block(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return nn::Sequential{nn::ReflectionPad2d(kernel / 2), nn::Conv2d(in, out, kernel, {.stride = stride}),
                        nn::InstanceNorm2d(out, {.affine = true}), nn::ReLU()};
}

}  // namespace

int main(int argc, char** argv) {
  PeerBench bench(argc, argv);
  set_num_threads(bench.threads());
  for_mlps([&](const char* name, int64_t batch, int64_t in, int64_t hidden, int64_t out) {
    bench.add(name, [=] {
      const nn::Sequential net{nn::Linear(in, hidden), nn::Tanh(), nn::Linear(hidden, hidden), nn::Tanh(),
                               nn::Linear(hidden, out)};
      const Tensor t = randn({batch, out});
      return steps_of(net, randn({batch, in}), [=](const Tensor& y) { return mse_loss(y, t); });
    });
  });
  // Digits: 64 images of 28x28.
  bench.add("digits", [] {
    const nn::Sequential net{nn::Conv2d(1, 16, 3, {.padding = 1}),
                             nn::InstanceNorm2d(16, {.affine = true}),
                             nn::ReLU(),
                             nn::MaxPool2d(2),
                             nn::Conv2d(16, 32, 3, {.padding = 1}),
                             nn::InstanceNorm2d(32, {.affine = true}),
                             nn::ReLU(),
                             nn::MaxPool2d(2),
                             nn::Flatten(),
                             nn::Linear(32 * 7 * 7, 10)};
    const Tensor t = (rand({64}) * 10).to(int64);
    return steps_of(net, randn({64, 1, 28, 28}), [=](const Tensor& y) { return nn::cross_entropy(y, t); });
  });
  // A style network: 4 pictures of 3x128x128.
  bench.add("style", [] {
    const nn::Upsample up({.scale_factor = 2.0});
    const nn::Sequential net{style_block(3, 16, 9, 1),  style_block(16, 32, 3, 2),
                             style_block(32, 64, 3, 2), style_block(64, 64, 3, 1),
                             style_block(64, 64, 3, 1), up,
                             style_block(64, 32, 3, 1), up,
                             style_block(32, 16, 3, 1), nn::ReflectionPad2d(4),
                             nn::Conv2d(16, 3, 9)};
    const Tensor t = randn({4, 3, 128, 128});
    return steps_of(net, randn({4, 3, 128, 128}), [=](const Tensor& y) { return mse_loss(y, t); });
  });
  return bench.result();
}
