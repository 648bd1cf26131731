// A whole program: proves the gradients of a small convolutional network with instance normalisation, trains it on
// images of digits, shows what it learned, saves it and loads it again. Exit code 2: a bad command line or bad files.
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <limpid/limpid.hpp>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>

#include "model.hpp"
#include "print.hpp"
#include "proof.hpp"
#include "synth.hpp"
#include "training.hpp"

namespace {

using namespace limpid;
using namespace digits;

struct Options {
  std::string data, out = "digits-out";
  int64_t train_count = 20000, test_count = 4000;
  TrainingOptions training;
  int seed = 0, threads = 0;
};

void add_options(CLI::App& app, Options& options) {
  app.add_option("--data", options.data, "MNIST's four IDX files, plain or .gz; without it digits are drawn")
      ->type_name("DIR")
      ->check(CLI::Validator(CLI::ExistingDirectory).description(""));
  app.add_option("--out", options.out, "where loss.svg, loss.csv, digits.png and model.safetensors go")
      ->type_name("DIR")
      ->capture_default_str();
  const auto number = [&](const char* name, auto& value, const char* text, auto least, auto most) {
    const std::string range = ", from " + report::number(least, 7) + " to " + report::number(most, 7);
    app.add_option(name, value, text + range)
        ->check(CLI::Validator(CLI::Range(least, most)).description(""))
        ->capture_default_str();
  };
  number("--epochs", options.training.epochs, "passes over the training images", 1, 1000);
  number("--batch", options.training.batch_size, "images per step", 1, 4096);
  number("--lr", options.training.lr, "learning rate at the start", 1e-6, 1.0);
  number("--train", options.train_count, "how many digits to draw", 1, 1'000'000);
  number("--test", options.test_count, "how many more to draw", 1, 1'000'000);
  number("--seed", options.seed, "of weights and order", 0, 1'000'000);
  number("--threads", options.threads, "as many as there are cores without it", 1, 1024);
}

/// The files that a run leaves behind. That they can be written shows before hours of training, not after.
class Outputs {
 public:
  explicit Outputs(const std::string& folder) : folder_(folder) {
    if (folder.empty()) throw IOError("--out: expected a folder, got an empty path");
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) throw IOError("--out " + folder + ": cannot create the folder: " + error.message());
    std::string probe = (*this)(".digits-XXXXXX");
    const int descriptor = mkstemp(probe.data());
    if (descriptor < 0) throw IOError("--out " + folder + ": cannot write there: " + std::strerror(errno));
    close(descriptor);
    unlink(probe.c_str());
    for (const char* name : {"loss.svg", "loss.csv", "digits.png", "model.safetensors"}) {
      const std::string path = (*this)(name);
      if (!std::filesystem::exists(path, error)) {
        if (error) throw IOError(path + ": cannot write: " + error.message());
        require_room_behind_link(path);
        continue;
      }
      if (!std::filesystem::is_regular_file(path, error)) throw IOError(path + ": expected a regular file");
      if (access(path.c_str(), W_OK) != 0) throw IOError(path + ": cannot write: " + std::strerror(errno));
    }
  }
  std::string operator()(const char* name) const { return (folder_ / name).string(); }

 private:
  // A link to nothing yet is followed: what it leads to is made there.
  void require_room_behind_link(const std::string& path) const {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) return;  // no link
    const std::filesystem::path there = (folder_ / target).parent_path();
    if (access(there.c_str(), W_OK) != 0)
      throw IOError(path + ": cannot write to " + there.string() + ", where the link leads: " + std::strerror(errno));
  }

  std::filesystem::path folder_;
};

int run(const Options& options) {
  if (options.threads) set_num_threads(options.threads);
  manual_seed(static_cast<uint64_t>(options.seed));
  const Outputs out(options.out);
  const bool drawn = options.data.empty();
  const data::Mnist data =
      drawn ? data::Mnist{synthesize(options.train_count, kTrainSeed), synthesize(options.test_count, kTestSeed)}
            : data::load_mnist(options.data);
  const int64_t tested = data.test.labels.numel();
  print(std::to_string(data.train.labels.numel()) + " digits to train on and " + std::to_string(tested) +
        " others to test, " + (drawn ? "drawn by this program" : "from " + options.data) + "; " +
        std::to_string(get_num_threads()) + " threads\n\n");
  if (!prove_gradients()) return 1;

  nn::Sequential network = make_network();
  report::Curves curves({.title = "loss", .y_label = "cross entropy", .log_y = true});
  train(network, data.train, data.test, options.training, curves);

  const Tensor logits = predict(network, data.test.images), predictions = argmax(logits, 1);
  const auto accuracy = mean(eq(predictions, data.test.labels).to(float64)).item<double>();
  print('\n' + to_string(confusion(data.test.labels, predictions)) + "\naccuracy on " + std::to_string(tested) +
        " held-out digits: " + report::number(100 * accuracy) + " %\n");

  // The network first: nothing that fails after it costs the training.
  save_safetensors(out("model.safetensors"), network.state_dict());
  curves.save_svg(out("loss.svg"));
  curves.save_csv(out("loss.csv"));
  save_image(out("digits.png"), sheet(data.test, predictions));
  nn::Sequential twin = make_network();
  twin.load_state_dict(load_safetensors(out("model.safetensors")));
  twin.eval();
  const bool same = equal(predict(twin, data.test.images), logits);
  print("wrote " + out("loss.svg") +
        ", loss.csv, digits.png and model.safetensors\nthe network loaded from it predicts " +
        (same ? "the same, bit for bit\n" : "SOMETHING ELSE\n"));
  return same ? 0 : 1;
}

int fail(const std::exception& error, int code) {
  std::fprintf(stderr, "digits: %s\n", error.what());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options;
    CLI::App app(
        "Proves the gradients of a small convolutional network, trains it on images of digits, and shows what "
        "it learned.",
        "digits");
    add_options(app, options);
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      print(app.help());
      return 0;
    }
    if (std::isnan(options.training.lr)) throw CLI::ValidationError("--lr", "expected a number, got nan");
    return run(options);
  } catch (const CLI::Error& error) {
    return fail(error, 2);
  } catch (const IOError& error) {
    return fail(error, 2);
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(error, 2);
  } catch (const std::exception& error) {
    return fail(error, 1);
  }
}
