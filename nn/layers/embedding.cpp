#include <limpid/nn/layers/embedding.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/detail/uniform.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/shaping.hpp>

#include <string>

namespace limpid::nn {

using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

// The row that padding_idx, from -count on, stands for.
std::optional<int64_t> padding_row(std::optional<int64_t> padding, int64_t count) {
  if (!padding) return {};
  if (*padding < -count || *padding >= count)
    throw_error<ValueError>("Embedding: expected padding_idx in [", -count, ", ", count, "), got ", *padding);
  return *padding < 0 ? *padding + count : *padding;
}

Tensor normal_weight(int64_t count, int64_t size, const EmbeddingOptions& options) {
  const auto& [padding_idx, generator] = options;
  detail::expect("Embedding", {{"count", count, detail::count}, {"size", size, detail::count}});
  const std::optional<int64_t> padding = padding_row(padding_idx, count);
  const Tensor weight = randn({count, size}, float32, detail::generator_or_default(generator));
  if (padding) select(weight, 0, *padding).zero_();
  return weight;
}

std::string arguments(int64_t count, int64_t size, std::optional<int64_t> padding) {
  return message(count, ", ", size, padding ? message(", padding_idx = ", *padding) : "");
}

Tensor checked_weight(const Tensor& weight) {
  limpid::detail::require_defined("Embedding", "weight", weight);
  if (weight.dim() != 2)
    throw_error<ShapeError>("Embedding: expected weight of shape (count, size), got ", weight.shape());
  if (!is_floating_point(weight.dtype()))
    throw_error<DTypeError>("Embedding: expected weight of a floating-point dtype, got ", weight.dtype());
  return weight.detach();
}

}  // namespace

Embedding::Embedding(int64_t count, int64_t size, const EmbeddingOptions& options)
    : Embedding(count, size, options, detail::Drawing(options.generator)) {}
Embedding::Embedding(int64_t count, int64_t size, const EmbeddingOptions& options, const detail::Drawing&)
    : Module("Embedding", arguments(count, size, options.padding_idx)),
      weight(parameter("weight", normal_weight(count, size, options))),
      padding_(padding_row(options.padding_idx, count)) {}
Embedding::Embedding(const Tensor& given, std::optional<int64_t> padding)
    : Module("Embedding", arguments(given.size(0), given.size(1), padding)),
      weight(parameter("weight", given)),
      padding_(padding_row(padding, given.size(0))) {}

Embedding Embedding::from_pretrained(const Tensor& weight, const PretrainedOptions& options) {
  const auto& [freeze, padding_idx] = options;
  Embedding embedding(checked_weight(weight), padding_idx);
  if (freeze) embedding.weight.set_requires_grad(false);
  return embedding;
}

Tensor Embedding::operator()(const Tensor& index_in) const {
  return detail::call_within(*this, index_in, [&](const Tensor& index) {
    limpid::detail::require_defined("Embedding", "index", index);
    if (index.dtype() != int64 && index.dtype() != int32)
      throw_error<DTypeError>("Embedding: expected int64 or int32 indices, got ", index.dtype());
    Shape shape = index.shape();
    shape.push_back(weight.size(1));
    try {
      const Tensor rows = reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape);
      // The row of padding is read, but learns nothing.
      if (!padding_ || !rows.requires_grad()) return rows;
      const Tensor is_padding = logical_or(eq(index, *padding_), eq(index, *padding_ - weight.size(0)));
      return where(unsqueeze(is_padding, -1), rows.detach(), rows);
    } catch (const ValueError&) {
      const Tensor all = limpid::detail::as_contiguous(limpid::detail::as_dtype(index, int64));
      const int64_t count = weight.size(0);
      for (int64_t i = 0; i < all.numel(); ++i)
        if (const int64_t k = all.data<int64_t>()[i]; k < -count || k >= count)
          throw_error<ValueError>("Embedding: expected indices in [", -count, ", ", count, "), got ", k, " at element ",
                                  i, " of an index of shape ", index.shape());
      throw;
    }
  });
}

}  // namespace limpid::nn
