// A data set of one's own: samples that are computed when they are asked for, in batches of a type of its own.
#include <limpid/limpid.hpp>

#include <vector>

using namespace limpid;

struct Circle {
  struct Batch {
    Tensor x, label;
  };
  int64_t points;

  int64_t size() const { return points; }
  // Points around the origin, the even ones within the unit circle.
  Batch batch(const Tensor& index) const {
    const Tensor i = index.to(float32), odd = remainder(i, 2.0);
    const Tensor radius = 0.5 + odd, x = stack({radius * cos(i), radius * sin(i)}, 1);
    return {x, odd.to(int64)};
  }
};

int main() {
  manual_seed(5);
  const data::DataLoader loader(Circle{100}, {.batch_size = 16, .shuffle = true, .drop_last = false, .seed = 1});
  if (loader.size() != 7) return 1;

  nn::Sequential net{nn::Linear(2, 16), nn::Tanh(), nn::Linear(16, 2)};
  optim::AdamW optimizer(net.parameters(), {.lr = 3e-2});
  std::vector<int> seen(2);
  for (int epoch = 0; epoch < 30; ++epoch)
    for (const auto& [x, label] : loader) {
      if (epoch == 0)
        for (int64_t i = 0; i < label.numel(); ++i) ++seen[static_cast<std::size_t>(label.data<int64_t>()[i])];
      optimizer.zero_grad();
      nn::cross_entropy(net(x), label).backward();
      optimizer.step();
    }
  if (seen[0] != 50 || seen[1] != 50) return 2;

  const auto [x, label] = Circle{100}.batch(arange(100));
  return mean(eq(argmax(net(x), 1), label).to(float32)).item<double>() > 0.95 ? 0 : 3;
}
