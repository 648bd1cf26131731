#pragma once
#include <limpid/limpid.hpp>

#include <vector>

#include "dataset.hpp"
#include "options.hpp"

namespace digits {

struct History {
  std::vector<float> losses;    ///< of each step
  std::vector<float> held_out;  ///< mean loss on the test digits after each epoch
};

/// The logits of all images, in batches, unrecorded.
limpid::Tensor predict(const limpid::nn::Sequential& network, const limpid::Tensor& images);

/// Trains with Adam, a progress bar per epoch.
History train(limpid::nn::Sequential& network, const Dataset& training, const Dataset& test, const Options& options);

limpid::Tensor images_of(const Dataset& set);  ///< (N, 1, 28, 28), float32
limpid::Tensor labels_of(const Dataset& set);  ///< (N,), int64

/// Prints accuracy and how often each digit (row) was taken for each other (column); returns the accuracy.
double print_confusion(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels);

}  // namespace digits
