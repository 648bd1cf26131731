#include "training.hpp"

#include <cstdio>
#include <string>

#include "progress.hpp"

namespace digits {

using namespace limpid;

Tensor images_of(const Dataset& set) {
  return from_vector(set.images, {static_cast<int64_t>(set.size()), 1, kSide, kSide});
}

Tensor labels_of(const Dataset& set) { return from_vector(set.labels, {static_cast<int64_t>(set.size())}); }

Tensor predict(const nn::Sequential& network, const Tensor& images) {
  const NoGradGuard no_grad;
  Tensors logits;
  for (const Tensor& batch : split(images, 500, 0)) logits.push_back(network(batch));
  return cat(logits, 0);
}

History train(nn::Sequential& network, const Dataset& training, const Dataset& test, const Options& options) {
  const Tensor test_images = images_of(test), test_labels = labels_of(test);
  const data::DataLoader loader(data::TensorDataset(images_of(training), labels_of(training)),
                                {.batch_size = options.batch_size, .shuffle = true});
  optim::Adam optimizer(network.parameters(), {.lr = options.lr});
  optim::CosineLR schedule(optimizer, {.total_steps = options.epochs * loader.size()});
  History history;
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const std::string title = "epoch " + std::to_string(epoch) + "/" + std::to_string(options.epochs);
    Progress progress(title, training.size(), stdout);
    std::size_t seen = 0;
    double smooth = 0;
    network.train();
    for (auto [x, t] : loader) {
      optimizer.zero_grad();
      const Tensor loss = nn::cross_entropy(network(x), t);
      loss.backward();
      optimizer.step();
      schedule.step();
      history.losses.push_back(loss.item<float>());
      smooth = seen == 0 ? loss.item<double>() : 0.95 * smooth + 0.05 * loss.item<double>();
      seen += static_cast<std::size_t>(t.numel());
      progress.update(seen, smooth);
    }
    progress.finish();
    network.eval();
    history.held_out.push_back(cross_entropy(predict(network, test_images), test_labels).item<float>());
  }
  return history;
}

double print_confusion(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels) {
  std::vector<int> counts(kClasses * kClasses, 0);
  int right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ++counts[static_cast<std::size_t>(labels[i] * kClasses + predictions[i])];
    right += labels[i] == predictions[i];
  }
  std::printf("\ndigit taken for");
  for (int p = 0; p < kClasses; ++p) std::printf("%5d", p);
  std::printf("\n");
  for (int t = 0; t < kClasses; ++t) {
    std::printf("%15d", t);
    for (int p = 0; p < kClasses; ++p) {
      const int count = counts[static_cast<std::size_t>(t * kClasses + p)];
      count ? std::printf("%5d", count) : std::printf("    .");
    }
    std::printf("\n");
  }
  const double accuracy = labels.empty() ? 0 : static_cast<double>(right) / static_cast<double>(labels.size());
  std::printf("\naccuracy on %zu held-out digits: %.2f %%\n", labels.size(), 100 * accuracy);
  return accuracy;
}

}  // namespace digits
