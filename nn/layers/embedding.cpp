#include <limpid/core/detail/array.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/nn/layers/embedding.hpp>
#include <limpid/ops/shaping.hpp>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

Tensor normal_weight(int64_t count, int64_t size, const EmbeddingOptions& options) {
  const auto& [generator] = options;
  detail::expect("Embedding", {{"count", count, detail::count}, {"size", size, detail::count}});
  return randn({count, size}, float32, detail::generator_or_default(generator));
}

}  // namespace

Embedding::Embedding(int64_t count, int64_t size, const EmbeddingOptions& options)
    : Embedding(count, size, options, detail::Drawing(options.generator)) {}
Embedding::Embedding(int64_t count, int64_t size, const EmbeddingOptions& options, const detail::Drawing&)
    : Module("Embedding", message(count, ", ", size)),
      weight(parameter("weight", normal_weight(count, size, options))) {}

Tensor Embedding::operator()(const Tensor& index) const {
  return detail::call_within(*this, [&] {
    if (index.dtype() != int64 && index.dtype() != int32)
      throw_error<DTypeError>("Embedding: expected int64 or int32 indices, got ", index.dtype());
    Shape shape = index.shape();
    shape.push_back(weight.size(1));
    try {
      return reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape);
    } catch (const ValueError&) {
      const Tensor all = limpid::detail::as_contiguous(limpid::detail::as_dtype(index, int64));
      const int64_t count = weight.size(0);
      for (int64_t i = 0; i < all.numel(); ++i)
        if (const int64_t k = all.data<int64_t>()[i]; k < 0 || k >= count)
          throw_error<ValueError>("Embedding: expected indices in [0, ", count, "), got ", k, " at element ", i,
                                  " of an index of shape ", index.shape());
      throw;
    }
  });
}

}  // namespace limpid::nn
