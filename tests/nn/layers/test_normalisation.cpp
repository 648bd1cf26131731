#include <limits>
#include <optional>
#include <sstream>

#include "../../catch.hpp"
#include "../vectors.hpp"

namespace test_normalisation {

using namespace limpid;

// Three batches in training, the buffers after them, and the first batch in evaluation: as PyTorch had them.
template <class M>
void check_against_torch(const std::string& name, M module) {
  INFO(name);
  const TensorMap expected = torch_vectors("norm/" + name + "/");
  REQUIRE(expected.count("x0"));
  module.to(float64);
  TensorMap parameters;
  for (const char* key : {"weight", "bias"})
    if (expected.count(key)) parameters[key] = expected.at(key);
  module.load_state_dict(parameters, false);
  CHECK(module.parameters().size() == parameters.size());
  for (const char* i : {"0", "1", "2"})
    CHECK(allclose(module(expected.at(std::string("x") + i)), expected.at(std::string("y") + i), 1e-10, 1e-12));
  const auto buffers = module.named_buffers();
  CHECK((expected.count("running_mean") ? 3 : 0) == buffers.size());
  for (const auto& [key, tensor] : buffers) CHECK(allclose(tensor, expected.at(key), 1e-12, 1e-13));
  module.eval();
  CHECK(allclose(module(expected.at("x0")), expected.at("y"), 1e-10, 1e-12));
}

template <class Instance, class Batch>
void check_rank(const std::string& rank) {
  check_against_torch("InstanceNorm" + rank, Instance(3));
  check_against_torch("InstanceNorm" + rank + ".tracking",
                      Instance(3, {.momentum = 0.3, .affine = true, .track_running_stats = true}));
  check_against_torch("InstanceNorm" + rank + ".unbatched", Instance(3, {.affine = true, .track_running_stats = true}));
  check_against_torch("BatchNorm" + rank, Batch(3, {.eps = 1e-3}));
  check_against_torch("BatchNorm" + rank + ".cumulative", Batch(3, {.momentum = std::nullopt, .affine = false}));
  check_against_torch("BatchNorm" + rank + ".free", Batch(3, {.track_running_stats = false}));
}

TEST_CASE("norm modules with one spatial axis follow PyTorch") {
  check_rank<nn::InstanceNorm1d, nn::BatchNorm1d>("1d");
}
TEST_CASE("norm modules with two spatial axes follow PyTorch") {
  check_rank<nn::InstanceNorm2d, nn::BatchNorm2d>("2d");
}
TEST_CASE("norm modules with three spatial axes follow PyTorch") {
  check_rank<nn::InstanceNorm3d, nn::BatchNorm3d>("3d");
}
TEST_CASE("BatchNorm1d of rank 2 follows PyTorch") { check_against_torch("BatchNorm1d.rank2", nn::BatchNorm1d(3)); }
TEST_CASE("GroupNorm follows PyTorch") { check_against_torch("GroupNorm", nn::GroupNorm(2, 4)); }
TEST_CASE("LayerNorm follows PyTorch") { check_against_torch("LayerNorm", nn::LayerNorm({4, 3})); }

TEST_CASE("InstanceNorm without momentum keeps the plain mean over batches") {
  manual_seed(1);
  nn::InstanceNorm1d norm(2, {.momentum = std::nullopt, .track_running_stats = true});
  Tensor means = zeros({2}), vars = zeros({2});
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({3, 2, 5}) + static_cast<double>(i);
    norm(x);
    means = means + mean(x, {0, 2}) / 4.0;
    vars = vars + mean(var(x, 2, false, 1), 0) / 4.0;
  }
  CHECK(norm.num_batches_tracked.item<int64_t>() == 4);
  CHECK(allclose(norm.running_mean, means, 1e-5, 1e-6));
  CHECK(allclose(norm.running_var, vars, 1e-5, 1e-6));
}

TEST_CASE("norm modules keep memory format and update nothing in evaluation") {
  nn::InstanceNorm2d norm(3, {.affine = true, .track_running_stats = true});
  const Tensor x = randn({2, 3, 4, 5}).contiguous(MemoryFormat::channels_last);
  CHECK(norm(x).is_contiguous(MemoryFormat::channels_last));
  norm.eval();
  const Tensor before = norm.running_mean.clone();
  norm(x);
  CHECK(equal(norm.running_mean, before));
}

TEST_CASE("training through a tracking norm gives gradients and records no update") {
  nn::BatchNorm2d norm(2);
  Tensor x = randn({2, 2, 3, 3});
  x.set_requires_grad();
  const Tensor y = norm(norm(x));
  CHECK_FALSE(norm.running_var.requires_grad());
  y.backward(randn({2, 2, 3, 3}));
  CHECK(x.grad().defined());
  CHECK(norm.weight.grad().defined());
}

TEST_CASE("RMSNorm and LayerNorm have the parameters asked for") {
  CHECK(names(nn::RMSNorm(4).state_dict()) == std::set<std::string>{"weight"});
  CHECK(names(nn::LayerNorm(4, {.bias = false}).state_dict()) == std::set<std::string>{"weight"});
  CHECK(nn::LayerNorm({2, 3}, {.affine = false}).state_dict().empty());
  CHECK(nn::LayerNorm({2, 3}).weight.shape() == Shape{2, 3});
  const Tensor x = randn({2, 4});
  CHECK(equal(nn::RMSNorm(4)(x).detach(), rms_norm(x, {4}, ones({4}))));
}

TEST_CASE("BatchNorm refuses to count beyond the last number, and changes nothing") {
  const nn::BatchNorm1d norm(3);
  norm.num_batches_tracked.fill_(std::numeric_limits<int64_t>::max());
  CHECK_THROWS_WITH(norm(randn({4, 3})),
                    "BatchNorm1d: expected num_batches_tracked to have a next number, got 9223372036854775807");
  CHECK(norm.num_batches_tracked.item<int64_t>() == std::numeric_limits<int64_t>::max());
  CHECK((equal(norm.running_mean, zeros({3})) && equal(norm.running_var, ones({3}))));
}

TEST_CASE("BatchNorm counts every batch by its momentum, and without one those that moved a channel") {
  const Tensor unusable = full({4, 3}, std::numeric_limits<double>::quiet_NaN()), usable = randn({4, 3});
  for (const bool has_momentum : {true, false}) {
    const nn::BatchNorm1d norm(3, {.momentum = has_momentum ? std::optional(0.1) : std::nullopt});
    norm(unusable);
    CHECK(norm.num_batches_tracked.item<int64_t>() == (has_momentum ? 1 : 0));
    norm(usable);
    CHECK(norm.num_batches_tracked.item<int64_t>() == (has_momentum ? 2 : 1));
  }
}

TEST_CASE("norm modules refuse what their class or options exclude") {
  const Tensor x4 = zeros({2, 3, 4, 4}), x2 = zeros({2, 3});
  CHECK_THROWS_WITH(nn::InstanceNorm1d(3)(x4),
                    "InstanceNorm1d: expected x of rank 3, or 2 without a batch, got shape (2, 3, 4, 4)");
  CHECK_THROWS_WITH(nn::InstanceNorm2d(5)(x4), "InstanceNorm2d: expected 5 channels, got x of shape (2, 3, 4, 4)");
  CHECK_THROWS_WITH(nn::BatchNorm1d(3)(x4), "BatchNorm1d: expected x of rank 2 or 3, got shape (2, 3, 4, 4)");
  CHECK_THROWS_WITH(nn::BatchNorm3d(3)(x4), "BatchNorm3d: expected x of rank 5, got shape (2, 3, 4, 4)");
  nn::BatchNorm1d batch(3);
  CHECK_THROWS_WITH(batch(zeros({1, 3})),
                    "BatchNorm1d: expected more than 1 value per channel when training, got x of shape (1, 3)");
  CHECK(batch.num_batches_tracked.item<int64_t>() == 0);
  CHECK_THROWS_WITH(nn::GroupNorm(4, 6),
                    "GroupNorm: expected channels divisible by num_groups, got channels = 6, num_groups = 4");
  CHECK_THROWS_WITH(nn::GroupNorm(2, 4)(x2), "GroupNorm: expected 4 channels, got x of shape (2, 3)");
  CHECK_THROWS_WITH(nn::InstanceNorm2d(0), "InstanceNorm2d: expected features in [1, inf), got 0");
}

TEST_CASE("normalisation modules with relu give relu of what they give without") {
  manual_seed(8);
  const Tensor x = randn({3, 4, 5, 6});
  const auto check = [&](auto with, auto without) {
    CHECK(equal(with(x).detach(), relu(without(x)).detach()));
    with.eval(), without.eval();
    CHECK(equal(with(x).detach(), relu(without(x)).detach()));
  };
  check(nn::InstanceNorm2d(4, {.affine = true, .track_running_stats = true, .relu = true}),
        nn::InstanceNorm2d(4, {.affine = true, .track_running_stats = true}));
  check(nn::BatchNorm2d(4, {.relu = true}), nn::BatchNorm2d(4));
  check(nn::GroupNorm(2, 4, {.relu = true}), nn::GroupNorm(2, 4));
  std::ostringstream text;
  text << nn::GroupNorm(2, 4, {.relu = true});
  CHECK(text.str() == "GroupNorm(2, 4, affine, relu)");
}

}  // namespace test_normalisation
