#pragma once
#include <limpid/limpid.hpp>

namespace digits {

struct TrainingOptions {
  int64_t epochs = 3, batch_size = 64;
  double lr = 2e-3;  ///< at the start; it falls to 0 along half a cosine
};

/// Trains with Adam, a progress bar per epoch. The curves "training" (each step) and "held out" (each epoch) are added.
void train(limpid::nn::Sequential& network, const limpid::data::LabelledImages& training,
           const limpid::data::LabelledImages& test, const TrainingOptions& options, limpid::report::Curves& curves);

/// The logits (N, 10) of all images, in batches, unrecorded.
limpid::Tensor predict(const limpid::nn::Sequential& network, const limpid::Tensor& images);

/// How often each digit (row) was taken for each (column). Both (N,), int64.
limpid::report::Table confusion(const limpid::Tensor& labels, const limpid::Tensor& predictions);

/// A picture (3, H, W) of ten columns: under each digit up to ten that were taken for it, mistakes first, in red.
limpid::Tensor sheet(const limpid::data::LabelledImages& set, const limpid::Tensor& predictions);

}  // namespace digits
