// Batches of a data set.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/data/dataset.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace LIMPID_API limpid {
namespace data {

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
///
/// Of a data set of one tensor, `data::DataLoader loader(data::TensorDataset(xs))` declares a function, as C++ has it:
/// write `data::DataLoader loader{data::TensorDataset(xs)}`.
template <class D>
class DataLoader {
  static_assert(Dataset<D>,
                "DataLoader: expected a data set, which has int64_t size() const and batch(const Tensor&) const");

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

}  // namespace data
}  // namespace limpid
