// An op and a layer of one's own, under both of limpid's namespaces: the op proved, the layer trained, saved and
// loaded.
#include <limpid/limpid.hpp>

#include <iostream>

using namespace limpid;
using namespace limpid::nn;

// y = x^2 where x > 0, else 0.
struct SquaredRelu : Function<SquaredRelu> {
  static Tensor forward(Context& context, const Tensor& x) {
    context.save(x);
    return square(relu(x));
  }
  static Tensors backward(Context& context, const Tensor& dy) { return {2.0 * dy * relu(context.saved(0))}; }
};
Tensor squared_relu(const Tensor& x) { return SquaredRelu::apply(x); }

struct ScaleOptions {
  double first = 1;
  bool bias = true;
};

// A factor and a shift for each feature, and a count of the batches seen in training.
struct Scale : Module {
  Parameter weight, bias;
  Buffer batches;
  explicit Scale(int64_t features, const ScaleOptions& options = {})
      : weight(parameter("weight", full({features}, options.first))),
        bias(parameter("bias", options.bias ? zeros({features}) : Tensor())),
        batches(buffer("batches", zeros({}, int64))) {}
  Tensor operator()(const Tensor& x) const {
    if (is_training()) batches.add_(ones({}, int64));
    return bias.defined() ? x * weight + bias : x * weight;
  }
};

static Sequential make_net() {
  return Sequential{Linear(3, 8, {.bias = false}),
                    Scale(8, {.first = 0.5}),
                    squared_relu,
                    LayerNorm(8),
                    Scale(8, {.bias = false}),
                    Linear(8, 1)};
}

int main() {
  manual_seed(4);
  const Tensor x = randn({32, 3});
  const auto op = [](const Tensor& z) { return squared_relu(z); };
  const GradcheckReport report = gradcheck(op, {randn({4, 5}, float64)});
  if (!report || !gradgradcheck(op, {randn({4, 5}, float64)})) {
    std::cerr << report << '\n';
    return 1;
  }

  Sequential net = make_net();
  if (net.parameters().size() != 8 || net.state_dict().size() != 10) return 2;
  const Tensor target = sum(square(x), 1, true);
  optim::Adam optimizer(net.parameters(), {.lr = 2e-2});
  double first = 0, last = 0;
  for (int i = 0; i < 100; ++i) {
    optimizer.zero_grad();
    const Tensor loss = mse_loss(net(x), target);
    loss.backward();
    optimizer.step();
    (i ? last : first) = loss.item<double>();
  }
  if (!(last < 0.2 * first)) return 3;
  net.eval();
  const Tensor y = net(x);
  if (net.state_dict().at("1.batches").item<int64_t>() != 100) return 4;

  save_safetensors("net.safetensors", net.state_dict());
  Sequential twin = make_net();
  twin.load_state_dict(load_safetensors("net.safetensors"));
  twin.eval();
  std::cout << twin << '\n';
  return equal(twin(x), y) ? 0 : 5;
}
