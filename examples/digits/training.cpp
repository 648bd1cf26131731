#include "training.hpp"

#include <string>
#include <vector>

#include "synth.hpp"

namespace digits {

using namespace limpid;

Tensor predict(const nn::Sequential& network, const Tensor& images) {
  const NoGradGuard no_grad;
  Tensors logits;
  for (const Tensor& batch : split(images, 500, 0)) logits.push_back(network(batch));
  return cat(logits, 0);
}

void train(nn::Sequential& network, const data::LabelledImages& training, const data::LabelledImages& test,
           const TrainingOptions& options, report::Curves& curves) {
  const data::DataLoader loader(data::TensorDataset(training.images, training.labels),
                                {.batch_size = options.batch_size, .shuffle = true});
  optim::Adam optimizer(network.parameters(), {.lr = options.lr});
  optim::CosineLR schedule(optimizer, {.total_steps = options.epochs * loader.size()});
  int64_t step = 0;
  double smooth = 0;
  for (int64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    report::Progress progress(
        training.labels.numel(),
        {.label = "epoch " + std::to_string(epoch) + '/' + std::to_string(options.epochs), .unit = "images"});
    network.train();
    for (auto [x, t] : loader) {
      optimizer.zero_grad();
      const Tensor loss = nn::cross_entropy(network(x), t);
      loss.backward();
      optimizer.step();
      schedule.step();
      const auto value = loss.item<double>();
      smooth = step == 0 ? value : 0.95 * smooth + 0.05 * value;
      curves.add("training", static_cast<double>(++step), value);
      progress.advance(t.numel(), {{"loss", smooth}});
    }
    network.eval();
    curves.add("held out", static_cast<double>(step),
               cross_entropy(predict(network, test.images), test.labels).item<double>());
  }
}

report::Table confusion(const Tensor& labels, const Tensor& predictions) {
  std::vector<std::string> head{"digit taken for"};
  for (int p = 0; p < kClasses; ++p) head.push_back(std::to_string(p));
  report::Table table(head);
  for (int t = 0; t < kClasses; ++t) {
    std::vector<report::Cell> row{t};
    for (int p = 0; p < kClasses; ++p) {
      const auto count = sum(logical_and(eq(labels, t), eq(predictions, p)).to(int64)).item<int64_t>();
      row.push_back(count ? report::Cell(count) : report::Cell(""));
    }
    table.add(row);
  }
  return table;
}

Tensor sheet(const data::LabelledImages& set, const Tensor& predictions) {
  constexpr std::size_t rows = 10;
  const int64_t *truth = set.labels.data<int64_t>(), *guess = predictions.data<int64_t>();
  std::vector<std::vector<int64_t>> columns(kClasses);
  for (const bool right : {false, true})
    for (int64_t i = 0; i < set.labels.numel(); ++i)
      if (auto& column = columns[static_cast<std::size_t>(guess[i])]; (truth[i] == guess[i]) == right)
        if (column.size() < rows) column.push_back(i);
  Tensors tiles;
  for (std::size_t row = 0; row < rows; ++row)
    for (const auto& column : columns) {
      const bool there = row < column.size(), right = there && truth[column[row]] == guess[column[row]];
      const Tensor ink = there ? select(set.images, 0, column[row]) : zeros({1, kSide, kSide});
      tiles.push_back(1.0 - ink * reshape(tensor({right ? 1.0 : 0.0, 1, 1}), {3, 1, 1}));
    }
  return report::image_grid(nn::Upsample(2)(stack(tiles)), {.columns = kClasses, .gap = 12});
}

}  // namespace digits
