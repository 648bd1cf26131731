// Data sets and batches of them.
#pragma once
#include <limpid/core/random.hpp>
#include <limpid/core/tensor.hpp>

#include <array>
#include <concepts>
#include <optional>

namespace limpid::data {

namespace detail {
int64_t common_size(const Tensor* tensors, std::size_t count);
void gather_rows(const Tensor* tensors, std::size_t count, const Tensor& index, Tensor* batch);
}  // namespace detail

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

/// A number of samples, and any of them as a batch; TensorDataset or the user's own.
template <class D>
concept Dataset = requires(const D& d, const Tensor& index) {
  { d.size() } -> std::convertible_to<int64_t>;
  d.batch(index);
};

struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;               ///< a new order in each epoch
  bool drop_last = false;             ///< leave out a last batch that is smaller
  std::optional<uint64_t> seed = {};  ///< of the orders; none: they are drawn from the default generator
};

namespace detail {
void check(const DataLoaderOptions& options);
int64_t batch_count(int64_t samples, const DataLoaderOptions& options);
Tensor epoch_order(int64_t samples, bool shuffle, Generator& generator);
Tensor batch_index(const Tensor& order, int64_t number, int64_t batch_size);
}  // namespace detail

/// Goes through a data set in batches; each loop over it is an epoch:
///
///     data::DataLoader loader(data::TensorDataset(images, labels), {.batch_size = 16, .shuffle = true});
///     for (auto [x, t] : loader) ...
template <Dataset D>
class DataLoader {
 public:
  /// Throws ValueError where batch_size is below 1.
  explicit DataLoader(D dataset, const DataLoaderOptions& options = {})
      : dataset_(std::move(dataset)),
        options_(options),
        generator_(options.seed.value_or(0)) {
    detail::check(options);
  }

  /// The number of batches in an epoch.
  int64_t size() const { return detail::batch_count(dataset_.size(), options_); }

  class Sentinel {};
  class Iterator {
   public:
    auto operator*() const {
      return loader_->dataset_.batch(detail::batch_index(order_, number_, loader_->options_.batch_size));
    }
    Iterator& operator++() {
      ++number_;
      return *this;
    }
    friend bool operator==(const Iterator& it, Sentinel) { return it.number_ >= it.count_; }

   private:
    friend class DataLoader;
    Iterator(const DataLoader& loader, Tensor order)
        : loader_(&loader),
          order_(std::move(order)),
          count_(loader.size()) {}
    const DataLoader* loader_;
    Tensor order_;
    int64_t count_, number_ = 0;
  };

  /// Begins an epoch.
  Iterator begin() const {
    Generator& generator = options_.seed ? generator_ : default_generator();
    return Iterator(*this, detail::epoch_order(dataset_.size(), options_.shuffle, generator));
  }
  Sentinel end() const { return {}; }

 private:
  D dataset_;
  DataLoaderOptions options_;
  mutable Generator generator_;
};

}  // namespace limpid::data
