#include "proof.hpp"

#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include "print.hpp"

namespace digits {

using namespace limpid;

namespace {

struct Layer {
  const char* name;
  Tensor (*function)(const Tensors&);
  Tensors inputs;  ///< everything it is differentiable in
};

// The network's channels on smaller images: every element of every input is perturbed, at two orders.
std::vector<Layer> layers() {
  const auto normal = [](const Shape& shape) { return randn(shape, float64); };
  return {
      {"convolution 1 to 16",
       [](const Tensors& t) { return conv2d(t[0], t[1], t[2], {.padding = 1}); },
       {normal({2, 1, 4, 4}), normal({16, 1, 3, 3}), normal({16})}},
      {"convolution 16 to 32",
       [](const Tensors& t) { return conv2d(t[0], t[1], t[2], {.padding = 1}); },
       {normal({1, 16, 2, 2}), normal({32, 16, 3, 3}) * 0.1, normal({32})}},
      {"instance norm",
       [](const Tensors& t) { return instance_norm(t[0], {.weight = t[1], .bias = t[2]}); },
       {normal({2, 4, 4, 4}), normal({4}), normal({4})}},
      {"relu", [](const Tensors& t) { return relu(t[0]); }, {normal({2, 4, 4, 4})}},
      {"max pooling", [](const Tensors& t) { return max_pool2d(t[0], 2); }, {normal({2, 4, 4, 4})}},
      {"linear",
       [](const Tensors& t) { return linear(t[0], t[1], t[2]); },
       {normal({3, 12}), normal({10, 12}), normal({10})}},
      {"cross entropy",
       [](const Tensors& t) { return cross_entropy(t[0], t[1]); },
       {normal({6, 10}), randint(0, 10, {6})}},
      {"all of them",
       [](const Tensors& t) {
         const Tensor hidden =
             max_pool2d(relu(instance_norm(conv2d(t[0], t[1], {}, {.padding = 1}), {.weight = t[2], .bias = t[3]})), 2);
         return cross_entropy(linear(flatten(hidden, 1), t[4]), t[5]);
       },
       {normal({2, 1, 6, 6}), normal({3, 1, 3, 3}), normal({3}), normal({3}), normal({10, 27}), randint(0, 10, {2})}},
  };
}

}  // namespace

bool prove_gradients() {
  report::Table table({"worst relative error", "gradient", "second order", ""});
  std::string failures;
  const std::vector<Layer> all = layers();
  {
    report::Progress progress(static_cast<int64_t>(all.size()), {.label = "proving gradients", .unit = "layers"});
    for (const Layer& layer : all) {
      const GradcheckReport first = gradcheck(layer.function, layer.inputs);
      // Piecewise linear functions have no second derivative to see.
      const GradcheckReport second = gradgradcheck(layer.function, layer.inputs, {.allow_vacuous = true});
      table.add({layer.name, {first.error, 2}, {second.error, 2}, first && second ? "proved" : "WRONG"});
      for (const GradcheckReport* report : {&first, &second})
        if (!*report) failures += to_string(*report) + '\n';
      progress.advance();
    }
  }
  print(to_string(table) + failures);
  return failures.empty();
}

}  // namespace digits
