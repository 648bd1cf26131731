#include <limpid/nn/data/dataset.hpp>

#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/shaping.hpp>

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

}  // namespace limpid::data::detail
