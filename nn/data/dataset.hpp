// Data sets.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <array>
#include <concepts>
#include <cstddef>

namespace LIMPID_API limpid {
namespace data {

namespace detail {
int64_t common_size(const Tensor* tensors, std::size_t count);
void gather_rows(const Tensor* tensors, std::size_t count, const Tensor& index, Tensor* batch);
}  // namespace detail

/// A number of samples, and any of them as a batch: TensorDataset, or a class of one's own with
///
///     int64_t size() const;
///     Tensor batch(const Tensor& index) const;  // the samples at an int64 index (B,), in its order
///
/// where batch may give anything: a tensor, an array or a struct of several.
template <class D>
concept Dataset = requires(const D& d, const Tensor& index) {
  { d.size() } -> std::convertible_to<int64_t>;
  d.batch(index);
};

/// Samples that are rows of N tensors: TensorDataset(images, labels).
template <std::size_t N>
class TensorDataset {
 public:
  /// Throws ShapeError where the tensors differ in size along axis 0.
  template <std::same_as<Tensor>... Ts>
  requires(sizeof...(Ts) == N) explicit TensorDataset(const Ts&... tensors)
      : tensors_{tensors...},
        size_(detail::common_size(tensors_.data(), N)) {}

  int64_t size() const noexcept { return size_; }
  const std::array<Tensor, N>& tensors() const noexcept { return tensors_; }
  /// The samples at an int64 index (B,): copies (B, ...) of rows, in its order.
  std::array<Tensor, N> batch(const Tensor& index) const {
    std::array<Tensor, N> rows;
    detail::gather_rows(tensors_.data(), N, index, rows.data());
    return rows;
  }

 private:
  std::array<Tensor, N> tensors_;
  int64_t size_;
};
template <std::same_as<Tensor>... Ts>
TensorDataset(const Ts&...) -> TensorDataset<sizeof...(Ts)>;

}  // namespace data
}  // namespace limpid
