// What a model is made of, and what a call of it takes.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/shape.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/nn/module.hpp>

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <vector>

namespace LIMPID_API limpid {
namespace nn {

/// Of one module. What its children have is theirs; a tensor that several hold is the first's.
struct SummaryRow {
  std::string path, type;       ///< "features.0", "Conv2d"
  std::optional<Shape> output;  ///< of its last call; none where that was not seen
  int64_t parameters = 0;       ///< elements
  int64_t bytes = 0;            ///< of parameters and buffers
  int64_t multiply_adds = 0;    ///< of all calls
};
struct Summary {
  std::vector<SummaryRow> rows;  ///< parents before children
  int64_t parameters = 0, learned = 0, bytes = 0, multiply_adds = 0;
};

namespace detail {

/// Notes what the modules of model do while it lives; records nothing, and leaves the default generator as it was.
class Summing {
 public:
  Summing(const Module& model, const std::type_info& type);
  ~Summing();
  Summing(const Summing&) = delete;
  Summing& operator=(const Summing&) = delete;
  Summary result() const;
  Summary result(const Tensor& output);

 private:
  struct Notes;
  Notes* notes_;
};

}  // namespace detail

/// Calls a clone of model, in evaluation, with the inputs, and tells what each module gives and takes:
///
///     std::cout << nn::summary(net, zeros({1, 3, 32, 32}));
///
/// model keeps its training flags, statistics and hooks, and the default generator stands where it stood. Outputs and
/// multiply-adds are of limpid's layers, and of what a Sequential calls; those of a module that only its own parent
/// calls are not seen, but those of layers within it are. Multiply-adds are counted of products: Linear, Bilinear,
/// convolutions, recurrent layers (all steps, whatever the lengths) and attention. Throws what clone() or the model
/// throws.
template <std::derived_from<Module> M, class... Xs>
Summary summary(const M& model, const Xs&... inputs) {
  M copy = clone(model);
  detail::Summing summing(copy, typeid(M));
  if constexpr (std::is_convertible_v<decltype(copy(inputs...)), Tensor>) {
    return summing.result(copy(inputs...));
  } else {
    static_cast<void>(copy(inputs...));
    return summing.result();
  }
}

/// A table for people.
std::string to_string(const Summary& summary);
std::ostream& operator<<(std::ostream& out, const Summary& summary);

}  // namespace nn
}  // namespace limpid
