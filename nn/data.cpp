#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/data.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>

namespace limpid::data::detail {

using limpid::detail::throw_error;

int64_t common_size(const Tensor* tensors, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (tensors[i].dim() < 1) throw_error<ShapeError>("TensorDataset: expected tensors of rank 1 and up, got a scalar");
    if (tensors[i].size(0) != tensors[0].size(0))
      throw_error<ShapeError>("TensorDataset: expected one size along axis 0, got shapes ", tensors[0].shape(), " and ",
                              tensors[i].shape());
  }
  return count ? tensors[0].size(0) : 0;
}

void gather_rows(const Tensor* tensors, std::size_t count, const Tensor& index, Tensor* batch) {
  NoGradGuard no_grad;
  for (std::size_t i = 0; i < count; ++i) batch[i] = index_select(tensors[i], 0, index);
}

void check(const DataLoaderOptions& options) {
  if (options.batch_size < 1)
    throw_error<ValueError>("DataLoader: expected a batch_size of at least 1, got ", options.batch_size);
}

int64_t batch_count(int64_t samples, const DataLoaderOptions& options) {
  const int64_t whole = samples / options.batch_size;
  return whole + (!options.drop_last && samples % options.batch_size != 0);
}

Tensor epoch_order(int64_t samples, bool shuffle, Generator& generator) {
  return shuffle ? randperm(samples, generator) : arange(samples);
}

Tensor batch_index(const Tensor& order, int64_t number, int64_t batch_size) {
  const int64_t first = number * batch_size;
  return slice(order, 0, first, first + std::min(batch_size, order.numel() - first));
}

}  // namespace limpid::data::detail
