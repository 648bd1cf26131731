// A whole program: proves the gradients of a small convolutional network with instance normalisation, trains it on
// images of digits, shows what it learned, saves it and loads it again. Exit code 2: a bad command line or bad files.
#include <limpid/limpid.hpp>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "idx.hpp"
#include "model.hpp"
#include "options.hpp"
#include "plot.hpp"
#include "png.hpp"
#include "proof.hpp"
#include "synth.hpp"
#include "training.hpp"

namespace {

using namespace limpid;
using namespace digits;

Mnist load_data(const Options& options) {
  if (!options.data.empty()) return read_mnist(options.data);
  return {synthesize(static_cast<std::size_t>(options.train_count), kTrainSeed),
          synthesize(static_cast<std::size_t>(options.test_count), kTestSeed)};
}

std::vector<int64_t> classes_of(const Tensor& logits) {
  const Tensor best = argmax(logits, 1);
  return {best.data<int64_t>(), best.data<int64_t>() + best.numel()};
}

int run(const Options& options) {
  if (options.threads) set_num_threads(options.threads);
  manual_seed(options.seed);
  const Mnist data = load_data(options);

  if (!prove_gradients()) return 1;

  std::printf("\ntraining on %zu digits %s, testing on %zu others; %d threads\n", data.train.size(),
              options.data.empty() ? "drawn by this program" : ("from " + options.data).c_str(), data.test.size(),
              get_num_threads());
  nn::Sequential network = make_network();
  const History history = train(network, data.train, data.test, options);

  network.eval();
  const Tensor test_images = images_of(data.test), logits = predict(network, test_images);
  const std::vector<int64_t> predictions = classes_of(logits);
  print_confusion(predictions, data.test.labels);

  std::filesystem::create_directories(options.out);
  const auto path = [&](const char* name) { return (std::filesystem::path(options.out) / name).string(); };
  write_png(path("loss.png"), plot_loss(history.losses, "training loss", history.held_out));
  write_png(path("digits.png"), digit_sheet(data.test, predictions, 100, 10, "held-out digits, as predicted"));
  save_safetensors(path("model.safetensors"), network.state_dict());
  nn::Sequential twin = make_network();
  twin.load_state_dict(load_safetensors(path("model.safetensors")));
  twin.eval();
  const bool same = equal(predict(twin, test_images), logits);
  std::printf("wrote %s, %s and %s\nthe network loaded from it predicts %s\n", path("loss.png").c_str(),
              path("digits.png").c_str(), path("model.safetensors").c_str(),
              same ? "the same, bit for bit" : "SOMETHING ELSE");
  return same ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const digits::Options options = digits::parse_options(argc, argv);
    if (options.help) {
      std::fputs(digits::usage, stdout);
      return 0;
    }
    return run(options);
  } catch (const digits::UsageError& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
  } catch (const digits::FileError& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
  } catch (const limpid::IOError& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
    return 1;
  }
  return 2;
}
