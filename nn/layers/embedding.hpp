// Vectors looked up by number.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

#include <optional>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
struct Drawing;
}

struct EmbeddingOptions {
  /// The row that stands for padding: it begins as zeros and is never learned. -1 is the last row.
  std::optional<int64_t> padding_idx = {};
  Generator* generator = nullptr;  ///< draws the initial values; none: the default one
};

struct PretrainedOptions {
  bool freeze = true;                       ///< the weight is not learned
  std::optional<int64_t> padding_idx = {};  ///< as above, but the row stays as it is
};

/// Rows of weight (count, size), which begin standard normal, at int64 or int32 indices of any shape: (*indices, size).
/// Throws ValueError on a padding_idx that is no row.
struct Embedding : Module {
  Embedding(int64_t count, int64_t size, const EmbeddingOptions& options = {});
  /// Of a weight that there is already, whose memory it shares.
  static Embedding from_pretrained(const Tensor& weight, const PretrainedOptions& options = {});
  Tensor operator()(const Tensor& index) const;
  Parameter weight;

 private:
  Embedding(const Tensor& weight, std::optional<int64_t> padding);
  Embedding(int64_t count, int64_t size, const EmbeddingOptions& options, const detail::Drawing& drawing);
  std::optional<int64_t> padding_;  // a row from 0 on
};

}  // namespace nn
}  // namespace limpid
