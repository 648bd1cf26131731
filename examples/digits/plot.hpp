#pragma once

#include <span>
#include <string>

#include "dataset.hpp"
#include "png.hpp"

namespace digits {

/// The loss of every training step as a faint line and its running mean as a strong one, over a logarithmic loss axis.
/// `held_out` marks losses on held-out data, evenly spaced to the last step (one per epoch). Values that are not
/// finite or not positive leave a gap.
Picture plot_loss(std::span<const float> losses, const std::string& title, std::span<const float> held_out = {});

/// The first `count` digits of a set in rows of `columns`, each above the digit predicted for it; where that is wrong,
/// in a red frame, the right one behind it in brackets. Without predictions: above its label.
Picture digit_sheet(const Dataset& set, std::span<const std::int64_t> predictions, std::size_t count, int columns,
                    const std::string& title);

}  // namespace digits
