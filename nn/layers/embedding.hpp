// Vectors looked up by number.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

namespace LIMPID_API limpid {
namespace nn {

namespace detail {
struct Drawing;
}

struct EmbeddingOptions {
  Generator* generator = nullptr;  ///< draws the initial values; none: the default one
};

/// Rows of weight (count, size), which begin standard normal, at int64 or int32 indices of any shape: (*indices, size).
struct Embedding : Module {
  Embedding(int64_t count, int64_t size, const EmbeddingOptions& options = {});
  Tensor operator()(const Tensor& index) const;
  Parameter weight;

 private:
  Embedding(int64_t count, int64_t size, const EmbeddingOptions& options, const detail::Drawing& drawing);
};

}  // namespace nn
}  // namespace limpid
