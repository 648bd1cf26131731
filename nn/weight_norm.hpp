// Weights that are normalised wherever they are used.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

namespace LIMPID_API limpid {
namespace nn {

struct SpectralNormOptions {
  int64_t n_power_iterations = 1;    ///< in each call while training
  double eps = 1e-12;                ///< the least norm to divide by in those
  std::optional<int64_t> axis = {};  ///< that of the rows; none: 1 of a transposed convolution, else 0
  Generator* generator = nullptr;    ///< draws the first vectors; none: the default one
};

namespace detail {
void weight_norm(const Module& module, const std::string& name, std::optional<int64_t> axis);
void spectral_norm(const Module& module, const std::string& name, const SpectralNormOptions& options);
void remove_weight_norm(const Module& module, const std::string& name);
void remove_spectral_norm(const Module& module, const std::string& name);
}  // namespace detail

/// Has the parameter `name` of module learned as a length and a direction, w = g v / |v|, one length for each index of
/// axis, or one alone where axis is none (Salimans and Kingma, 2016). Gives the module, which is still of its class:
///
///     nn::Sequential net{nn::weight_norm(nn::Linear(4, 8)), nn::ReLU(), nn::Linear(8, 1)};
///
/// In its place there are parameters name + "_g", of size 1 along the other axes, and name + "_v", under the names of
/// PyTorch's torch.nn.utils.weight_norm (its parametrizations call them original0 and original1). The member itself
/// is read as before and computed where it is read, once in each call of the layer, but cannot be changed. A row that
/// is 0 gives 0, and a gradient to v as if its norm were 1. Throws ValueError where an optimiser, a graph or a Tensor
/// holds the parameter, or it is tied, so that something would be left behind; ShapeError on an axis that it does not
/// have.
template <std::derived_from<Module> M>
M weight_norm(const M& module, const std::string& name = "weight", std::optional<int64_t> axis = 0) {
  detail::weight_norm(module, name, axis);
  return module;
}

/// Undoes weight_norm(): the parameter `name` has the values of now for its own again, the last in order, and is
/// learned where a part of it was. Gradients and hooks of the parts go with them. Throws ValueError where weight_norm()
/// does not compute it, and where an optimiser, a graph or a Tensor holds a part, which would be left behind: a clone()
/// of the module is free of those.
///
///     nn::Linear plain = nn::remove_weight_norm(nn::clone(layer));
template <std::derived_from<Module> M>
M remove_weight_norm(const M& module, const std::string& name = "weight") {
  detail::remove_weight_norm(module, name);
  return module;
}

/// Has the parameter `name` of module divided by its spectral norm, the greatest singular value of the matrix whose
/// rows are along one axis, as power iteration estimates it (Miyato et al., 2018). In its place there is a parameter
/// name + "_orig", and buffers name + "_u" and name + "_v", the two vectors, as PyTorch's torch.nn.utils.spectral_norm
/// calls them (its parametrizations: original, _u, _v). They begin random, with fifteen iterations done, and are
/// iterated in each call while the module is training and not frozen, never in evaluation; of a module with a call
/// operator of its own that no Sequential calls, where the member is read while recording. The norm is differentiated,
/// the vectors are constants. A weight of 0 stays 0. ValueError for options out of range, ShapeError for a parameter
/// without elements; the rest is as above.
template <std::derived_from<Module> M>
M spectral_norm(const M& module, const std::string& name = "weight", const SpectralNormOptions& options = {}) {
  detail::spectral_norm(module, name, options);
  return module;
}

/// Undoes spectral_norm(), without another iteration; the rest is as of remove_weight_norm().
template <std::derived_from<Module> M>
M remove_spectral_norm(const M& module, const std::string& name = "weight") {
  detail::remove_spectral_norm(module, name);
  return module;
}

}  // namespace nn
}  // namespace limpid
