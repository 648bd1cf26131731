// The normalisations by options and by position say the same, and {} is options.
#include <limpid/limpid.hpp>

#include <limpid/tests/catch.hpp>

namespace test_options {

using namespace limpid;

TEST_CASE("options and positional arguments of the normalisations agree") {
  manual_seed(1);
  const Tensor x = randn({3, 4, 5}), w = rand({4}), b = randn({4}), mean = randn({4}), var = rand({4}) + 0.5;
  const Tensor rows = rand({5}), shift = randn({5});
  CHECK(equal(group_norm(x, 2, w), group_norm(x, 2, {.weight = w})));
  CHECK(equal(group_norm(x, 2, w, b), group_norm(x, 2, {.weight = w, .bias = b})));
  CHECK(equal(group_norm(x, 2, {}, b, 0.5), group_norm(x, 2, {.bias = b, .eps = 0.5})));
  CHECK(equal(layer_norm(x, {5}, rows), layer_norm(x, {5}, {.weight = rows})));
  CHECK(equal(layer_norm(x, {5}, {}, shift, 0.5), layer_norm(x, {5}, {.bias = shift, .eps = 0.5})));
  CHECK(equal(rms_norm(x, {5}, rows), rms_norm(x, {5}, {.weight = rows})));
  CHECK(equal(rms_norm(x, {5}, rows, 0.5), rms_norm(x, {5}, {.weight = rows, .eps = 0.5})));
  CHECK(equal(batch_norm(x, mean, var), batch_norm(x, {.running_mean = mean, .running_var = var})));
  CHECK(equal(batch_norm(x, {}, {}, w, b, true), batch_norm(x, {.weight = w, .bias = b, .training = true})));
  CHECK(equal(batch_norm(x, mean, var, w, b, false, 0.9, 0.5),
              batch_norm(x, {.running_mean = mean, .running_var = var, .weight = w, .bias = b, .eps = 0.5})));
  // momentum stands where PyTorch has it, before eps.
  CHECK(!equal(batch_norm(x, {}, {}, w, b, true, 0.1, 0.5), batch_norm(x, {}, {}, w, b, true, 0.5, 0.1)));
  CHECK(equal(batch_norm(x, {.weight = w, .training = true, .relu = true}),
              relu(batch_norm(x, {.weight = w, .training = true}))));
}

TEST_CASE("empty braces stand for the options of a normalisation") {
  manual_seed(2);
  const Tensor x = randn({3, 4, 5});
  CHECK(equal(instance_norm(x, {}), instance_norm(x)));
  CHECK(equal(group_norm(x, 4, {}), group_norm(x, 4)));
  CHECK(equal(layer_norm(x, {5}, {}), layer_norm(x, {5})));
  CHECK(equal(rms_norm(x, {5}, {}), rms_norm(x, {5})));
  CHECK(equal(group_norm(x, 4, GroupNormOptions{}), group_norm(x, 4, Tensor{})));
}

TEST_CASE("what converts to a tensor is a weight") {
  struct Handle {
    Tensor x;
    operator Tensor() const { return x; }
  };
  const Tensor x = randn({3, 4, 5});
  const Handle w{rand({4})}, rows{rand({5})};
  CHECK(equal(group_norm(x, 2, w), group_norm(x, 2, w.x)));
  CHECK(equal(layer_norm(x, {5}, rows, rows), layer_norm(x, {5}, rows.x, rows.x)));
  CHECK(equal(rms_norm(x, {5}, rows), rms_norm(x, {5}, {.weight = rows.x})));
}

}  // namespace test_options
