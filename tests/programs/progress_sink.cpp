// Progress into a sink of one's own; curves, a table and a picture of a run.
#include <limpid/limpid.hpp>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

using namespace limpid;

// One JSON object per line, as a program that watches the run would read it.
class JsonLines : public report::ProgressSink {
 public:
  explicit JsonLines(std::ostream& out) : out_(out) {}
  void show(const report::ProgressState& state) override {
    out_ << "{\"label\": \"" << state.label << "\", \"done\": " << state.done << ", \"total\": " << state.total;
    for (const report::Metric& metric : state.metrics) out_ << ", \"" << metric.name << "\": " << metric.value;
    out_ << (state.phase == report::ProgressPhase::finished ? ", \"finished\": true}\n" : "}\n");
  }
  double interval() const override { return 0; }  // every step

 private:
  std::ostream& out_;
};

int main() {
  manual_seed(1);
  Tensor x = randn({64, 2}), t = (select(x, 1, 0) * 2.0 - select(x, 1, 1)).detach();
  nn::Linear model(2, 1);
  optim::SGD optimizer(model.parameters(), {.lr = 0.1});

  std::ostringstream lines;
  JsonLines sink(lines);
  report::Curves curves({.title = "a line fitted", .log_y = true});
  {
    report::Progress progress(20, {.label = "training", .sink = &sink});
    for (int step = 0; step < 20; ++step) {
      optimizer.zero_grad();
      Tensor loss = mean(square(flatten(model(x)) - t));
      loss.backward();
      optimizer.step();
      curves.add("loss", step, loss.item<double>());
      progress.advance(1, {{"loss", loss.item<double>()}, {"step", step}});
    }
  }
  curves.save_svg("loss.svg");
  curves.save_csv("loss.csv");

  report::Table table({"weight", "value"});
  for (int64_t i = 0; i < 2; ++i) table.add({i, select(flatten(model.weight), 0, i).item<double>()});
  std::cout << lines.str() << table;

  Tensor image = rand({3, 12, 16});
  save_image("image.png", report::image_grid(stack({image, image}), {.columns = 1}));

  const std::string text = lines.str();
  const bool shown = text.starts_with("{\"label\": \"training\", \"done\": 0, \"total\": 20}\n") &&
                     text.find("\"done\": 20, \"total\": 20, \"loss\": 0.") != std::string::npos &&
                     text.ends_with("\"step\": 19, \"finished\": true}\n");
  const bool pictured =
      load_image("image.png").shape() == Shape{3, 2 * 14 + 2, 20} && curves.csv().starts_with("step,loss\n0,");
  return shown && pictured ? 0 : 1;
}
