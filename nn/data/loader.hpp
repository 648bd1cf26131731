// Batches of a data set.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/data/dataset.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

namespace LIMPID_API limpid {
namespace data {

struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;               ///< a new order in each epoch
  bool drop_last = false;             ///< leave out a last batch that is smaller
  std::optional<uint64_t> seed = {};  ///< of the orders; none: they are drawn from a generator
  Generator* generator = nullptr;     ///< the one, which must live as long as the loader; none: the default one
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
///
/// One tensor needs no data set around it: `data::DataLoader loader(xs, {.batch_size = 16});`, and `auto [x] : loader`.
/// For `data::DataLoader loader(data::TensorDataset(xs))` declares a function, as C++ has it.
template <class D>
class DataLoader {
  static_assert(Dataset<D>,
                "DataLoader: expected a data set, which has int64_t size() const and batch(const Tensor&) const");

 public:
  /// Throws ValueError where batch_size is below 1, or seed and generator are both given.
  explicit DataLoader(D dataset, const DataLoaderOptions& options = {})
      : dataset_(std::move(dataset)),
        options_(options),
        generator_(options.seed.value_or(0)) {
    detail::check(options);
  }
  template <std::same_as<Tensor> T>
  requires std::same_as<D, TensorDataset<1>>
  explicit DataLoader(const T& samples, const DataLoaderOptions& options = {})
      : DataLoader(TensorDataset<1>(samples), options) {}

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
    Generator& other = options_.generator ? *options_.generator : default_generator();
    return Iterator(*this, detail::epoch_order(dataset_.size(), options_.shuffle, options_.seed ? generator_ : other));
  }
  Sentinel end() const { return {}; }

 private:
  D dataset_;
  DataLoaderOptions options_;
  mutable Generator generator_;
};
template <std::same_as<Tensor> T>
explicit DataLoader(const T&, const DataLoaderOptions& = {}) -> DataLoader<TensorDataset<1>>;

}  // namespace data
}  // namespace limpid
