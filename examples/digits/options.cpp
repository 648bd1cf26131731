#include "options.hpp"

#include <charconv>
#include <string_view>

namespace digits {

const char* const usage =
    "usage: digits [--data DIR] [--out DIR] [--epochs N] [--batch N] [--lr X] [--train N] [--test N] [--seed N]\n"
    "              [--threads N]\n"
    "Proves the gradients of a small convolutional network, trains it on images of digits, and shows what it learned.\n"
    "  --data DIR   MNIST's four IDX files, plain or .gz; without it the program draws its own digits\n"
    "  --out DIR    where loss.png, digits.png and model.safetensors go (digits-out)\n"
    "  --epochs N   passes over the training images (3)\n"
    "  --batch N    images per step (64)\n"
    "  --lr X       learning rate at the start; it falls to 0 along half a cosine (0.002)\n"
    "  --train N, --test N   how many digits to draw (20000 and 4000)\n"
    "  --seed N     of weights and order (0)\n"
    "  --threads N  threads to use (as many as there are cores)\n";

namespace {

template <class T>
T number(std::string_view option, std::string_view text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most))
    throw UsageError(std::string(option) + ": expected a number from " + std::to_string(least) + " to " +
                     std::to_string(most) + ", got '" + std::string(text) + "'");
  return value;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help" || option == "-h") {
      options.help = true;
      continue;
    }
    const auto value = [&]() -> std::string_view {
      if (i + 1 == argc) throw UsageError(std::string(option) + ": expected a value, got nothing");
      return argv[++i];
    };
    if (option == "--data")
      options.data = value();
    else if (option == "--out")
      options.out = value();
    else if (option == "--epochs")
      options.epochs = number<int64_t>(option, value(), 1, 1000);
    else if (option == "--batch")
      options.batch_size = number<int64_t>(option, value(), 1, 4096);
    else if (option == "--lr")
      options.lr = number<double>(option, value(), 1e-6, 1);
    else if (option == "--train")
      options.train_count = number<int64_t>(option, value(), 1, 1000000);
    else if (option == "--test")
      options.test_count = number<int64_t>(option, value(), 1, 1000000);
    else if (option == "--seed")
      options.seed = number<uint64_t>(option, value(), 0, UINT64_MAX);
    else if (option == "--threads")
      options.threads = number<int>(option, value(), 1, 1024);
    else
      throw UsageError("expected an option, got '" + std::string(option) + "'; --help lists them");
  }
  return options;
}

}  // namespace digits
