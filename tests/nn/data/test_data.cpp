#include <limpid/limpid.hpp>

#include <algorithm>
#include <vector>

#include "../../catch.hpp"

namespace test_data {

using namespace limpid;

const Tensor samples = reshape(arange(20, float32), {10, 2}), labels = arange(10);

// The labels of one epoch, in the order they came.
template <class Loader>
std::vector<int64_t> epoch(const Loader& loader) {
  std::vector<int64_t> seen;
  for (auto [x, t] : loader)
    for (int64_t i = 0; i < t.numel(); ++i) seen.push_back(t.template data<int64_t>()[i]);
  return seen;
}

std::vector<int64_t> sorted(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  return values;
}

const std::vector<int64_t> in_order = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

TEST_CASE("a loader gives every sample once, rows kept together") {
  for (bool shuffle : {false, true}) {
    int64_t batches = 0;
    for (auto [x, t] : data::DataLoader(data::TensorDataset(samples, labels), {.batch_size = 4, .shuffle = shuffle})) {
      ++batches;
      CHECK(x.shape() == Shape{batches == 3 ? 2 : 4, 2});
      CHECK(equal(select(x, 1, 0), 2 * t.to(float32)));
      CHECK(x.is_contiguous());
      CHECK_FALSE(x.shares_storage_with(samples));
    }
    CHECK(batches == 3);
    const data::DataLoader loader(data::TensorDataset(samples, labels), {.batch_size = 3, .shuffle = shuffle});
    CHECK(sorted(epoch(loader)) == in_order);
    CHECK((epoch(loader) == in_order) == !shuffle);
  }
}

TEST_CASE("drop_last leaves out a smaller batch") {
  const data::TensorDataset dataset(samples, labels);
  const data::DataLoader dropping(dataset, {.batch_size = 4, .drop_last = true});
  CHECK(dropping.size() == 2);
  CHECK(epoch(dropping).size() == 8);
  CHECK(data::DataLoader(dataset, {.batch_size = 4}).size() == 3);
  CHECK(data::DataLoader(dataset, {.batch_size = 5, .drop_last = true}).size() == 2);
  CHECK(data::DataLoader(dataset, {.batch_size = 11, .drop_last = true}).size() == 0);
  CHECK(epoch(data::DataLoader(dataset, {.batch_size = 11})) == in_order);
}

TEST_CASE("one seed gives one sequence of orders, and each epoch another") {
  const data::TensorDataset dataset(samples, labels);
  const data::DataLoader a(dataset, {.shuffle = true, .seed = 5}), b(dataset, {.shuffle = true, .seed = 5});
  const auto first = epoch(a), second = epoch(a);
  CHECK(first != second);
  CHECK(epoch(b) == first);
  CHECK(epoch(b) == second);
  CHECK(epoch(data::DataLoader(dataset, {.shuffle = true, .seed = 6})) != first);
}

TEST_CASE("without a seed the default generator orders samples") {
  const data::DataLoader loader(data::TensorDataset(samples, labels), {.shuffle = true});
  manual_seed(1);
  const auto first = epoch(loader), second = epoch(loader);
  CHECK(first != second);
  manual_seed(1);
  CHECK(epoch(loader) == first);
}

TEST_CASE("a data set holds any number of tensors") {
  for (auto [x] : data::DataLoader(data::TensorDataset(samples), {.batch_size = 10})) CHECK(equal(x, samples));
  for (auto [x, t, w] : data::DataLoader(data::TensorDataset(samples, labels, samples), {.batch_size = 10}))
    CHECK(equal(x, w));
  CHECK(data::DataLoader(data::TensorDataset(zeros({0, 3})), {.batch_size = 2}).size() == 0);
}

TEST_CASE("a loader of a data set of one tensor is declared with braces") {
  const data::DataLoader loader{data::TensorDataset(samples), {.batch_size = 4}};
  const data::DataLoader other(data::TensorDataset{samples}, {.batch_size = 4});
  CHECK(loader.size() == 3);
  CHECK(other.size() == 3);
}

TEST_CASE("a loader takes data sets of one's own") {
  struct Squares {
    int64_t size() const { return 5; }
    Tensor batch(const Tensor& index) const { return square(index); }
  };
  std::vector<int64_t> sums;
  for (const Tensor& x : data::DataLoader(Squares(), {.batch_size = 2})) sums.push_back(sum(x).item<int64_t>());
  CHECK(sums == std::vector<int64_t>{1, 13, 16});
}

TEST_CASE("data refuses what does not go together") {
  CHECK_THROWS_WITH(data::TensorDataset(samples, zeros({9})),
                    "TensorDataset: expected one size along axis 0, got shapes (10, 2) and (9,)");
  CHECK_THROWS_WITH(data::TensorDataset(zeros({})), "TensorDataset: expected tensors of rank 1 and up, got a scalar");
  CHECK_THROWS_WITH(data::DataLoader(data::TensorDataset(samples), {.batch_size = 0}),
                    "DataLoader: expected batch_size in [1, inf), got 0");
}

}  // namespace test_data
