#include <limpid/nn/data/loader.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/detail/ranges.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid::data::detail {

void check(const DataLoaderOptions& options) {
  const auto& [batch_size, shuffle, drop_last, seed, generator] = options;
  nn::detail::expect("DataLoader", {{"batch_size", batch_size, nn::detail::count}});
  if (seed && generator)
    limpid::detail::throw_error<ValueError>("DataLoader: expected a seed or a generator, got both");
}

int64_t batch_count(int64_t samples, const DataLoaderOptions& options) {
  const int64_t whole = samples / options.batch_size;
  return whole + (!options.drop_last && samples % options.batch_size != 0);
}

Tensor epoch_order(int64_t samples, bool shuffle, Generator& generator) {
  const nn::detail::Drawing drawing(&generator);
  return shuffle ? randperm(samples, generator) : arange(samples);
}

Tensor batch_index(const Tensor& order, int64_t number, int64_t batch_size) {
  const int64_t first = number * batch_size;
  return slice(order, 0, first, first + std::min(batch_size, order.numel() - first));
}

}  // namespace limpid::data::detail
