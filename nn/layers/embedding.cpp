#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/embedding.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid::nn {

using limpid::detail::message;

namespace {

Tensor normal_weight(int64_t count, int64_t size, const EmbeddingOptions& options) {
  detail::require_positive("Embedding", "count and size", std::min(count, size));
  return randn({count, size}, float32, detail::generator_or_default(options.generator));
}

}  // namespace

Embedding::Embedding(int64_t count, int64_t size, const EmbeddingOptions& options)
    : Module("Embedding", message(count, ", ", size)),
      weight(parameter("weight", normal_weight(count, size, options))) {}

Tensor Embedding::operator()(const Tensor& index) const {
  Shape shape = index.shape();
  shape.push_back(weight.size(1));
  return reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape);
}

}  // namespace limpid::nn
