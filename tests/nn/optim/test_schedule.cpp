#include <limpid/limpid.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "../../catch.hpp"

namespace test_schedule {

using namespace limpid;

optim::SGD make_optimizer(double lr = 1) { return optim::SGD({ones({2}).set_requires_grad()}, {.lr = lr}); }

TEST_CASE("schedules are functions of the step") {
  const optim::StepLR steps(make_optimizer(), {.step_size = 10, .gamma = 0.5});
  CHECK(steps(9) == 1);
  CHECK(steps(10) == 0.5);
  CHECK(steps(35) == 0.125);
  const optim::CosineLR cosine(make_optimizer(), {.total_steps = 100, .min_lr = 0.2});
  CHECK(cosine(0) == 1);
  CHECK(cosine(50) == Approx(0.6));
  CHECK(cosine(100) == 0.2);
  CHECK(cosine(1000) == 0.2);
  CHECK(cosine.steps() == 0);  // asking moves nothing
}

TEST_CASE("a schedule sets the rate of its optimiser after each step") {
  optim::SGD optimizer = make_optimizer(0.8);
  optim::StepLR schedule(optimizer, {.step_size = 2, .gamma = 0.5});
  std::vector<double> rates = {optimizer.lr()};
  for (int i = 0; i < 5; ++i) {
    schedule.step();
    rates.push_back(optimizer.lr());
  }
  CHECK(rates == std::vector<double>{0.8, 0.8, 0.4, 0.4, 0.2, 0.2});
  CHECK(schedule.steps() == 5);
}

TEST_CASE("a schedule of one's own takes the step, and the rate to begin with where it asks for it") {
  optim::SGD optimizer = make_optimizer(0.5);
  optim::Schedule warm_up(
      optimizer, [](int64_t step, double base) { return base * std::min(1.0, static_cast<double>(step + 1) / 4); });
  CHECK(optimizer.lr() == 0.125);  // that of step 0, at once
  warm_up.step();
  CHECK(optimizer.lr() == 0.25);
  optim::Schedule fixed(optimizer, [](int64_t step) { return step < 3 ? 1.0 : 0.1; });
  CHECK(optimizer.lr() == 1);
  CHECK(fixed(3) == 0.1);
}

TEST_CASE("copies of a schedule share its steps, and keep the optimiser alive") {
  std::optional<optim::Schedule> kept;
  Tensor x = ones({2}).set_requires_grad();
  {
    optim::SGD optimizer({x}, {.lr = 1});
    optim::StepLR schedule(optimizer, {.step_size = 1, .gamma = 0.5});
    kept = schedule;
    schedule.step();
  }
  kept->step();
  CHECK(kept->steps() == 2);
  optim::Optimizer optimizer = kept->optimizer();
  CHECK(optimizer.lr() == 0.25);
  x.set_grad(ones({2}));
  optimizer.step();
  CHECK(equal(x.detach(), full({2}, 0.75)));
}

TEST_CASE("optimisers move about in a vector while schedules refer to them") {
  std::vector<Tensor> xs;
  std::vector<optim::AdamW> optimizers;
  std::vector<optim::CosineLR> schedules;
  for (int i = 0; i < 20; ++i) {
    xs.push_back(ones({3}).set_requires_grad());
    optimizers.emplace_back(Tensors{xs.back()}, optim::AdamWOptions{.lr = 0.1 * (i + 1)});
    schedules.emplace_back(optimizers.back(), optim::CosineLROptions{.total_steps = 2});
  }
  for (auto& schedule : schedules) schedule.step();
  for (int i = 0; i < 20; ++i) {
    auto& optimizer = optimizers[static_cast<std::size_t>(i)];
    CHECK(optimizer.lr() == Approx(0.05 * (i + 1)));
    CHECK(optimizer.parameters()[0].is_same(xs[static_cast<std::size_t>(i)]));
  }
  optimizers.erase(optimizers.begin(), optimizers.begin() + 10);
  schedules[10].step();
  CHECK(optimizers[0].lr() == 0);
  CHECK(schedules[9].optimizer().lr() > 0);  // its optimiser lives on, erased or not
}

TEST_CASE("a schedule resumes where it was saved, and sets the rate") {
  optim::SGD optimizer = make_optimizer();
  optim::StepLR schedule(optimizer, {.step_size = 3});
  for (int i = 0; i < 7; ++i) schedule.step();
  const TensorMap saved = optimizer.state_dict(), state = schedule.state_dict();
  for (bool optimizer_first : {true, false}) {
    optim::SGD other = make_optimizer();
    if (optimizer_first) other.load_state_dict(saved);
    optim::StepLR resumed(other, {.step_size = 3});
    resumed.load_state_dict(state);
    if (!optimizer_first) other.load_state_dict(saved);
    CHECK(other.lr() == optimizer.lr());
    CHECK(resumed.steps() == 7);
    for (int i = 0; i < 2; ++i) resumed.step();
    CHECK(other.lr() == schedule(9));
  }
}

TEST_CASE("a loaded schedule sets the rate by itself") {
  optim::SGD optimizer = make_optimizer(0.5);
  optim::StepLR schedule(optimizer, {.step_size = 1, .gamma = 0.5});
  schedule.load_state_dict({{"step", full({}, 2, int64)}, {"base", full({}, 8, float64)}});
  CHECK(optimizer.lr() == 2);
}

TEST_CASE("a schedule loads numbers of any dtype that holds them") {
  optim::SGD optimizer = make_optimizer(0.5);
  optim::StepLR schedule(optimizer, {.step_size = 1, .gamma = 0.5});
  for (const DType dtype : {uint8, int32, int64, float16, bfloat16, float32, float64}) {
    schedule.load_state_dict({{"step", full({}, 3, dtype)}, {"base", full({}, 8, dtype)}});
    CHECK(schedule.steps() == 3);
    CHECK(optimizer.lr() == 1);
  }
  const std::string refused =
      "Schedule: expected step, a scalar of any dtype but bool that int64 holds, and base, one that float64 holds, got "
      "base = ";
  struct Row {
    Tensor step;
    const char* got;
  };
  for (const Row& row : {Row{full({}, 2.5), "step = 2.5"}, Row{full({}, 0x1p63), "step = 9.223372036854776e+18"},
                         Row{full({}, NAN), "step = nan"}, Row{full({}, INFINITY), "step = inf"},
                         Row{ones({}, bool_), "step = 1"}, Row{ones({1}, int64), "step"}, Row{Tensor(), "step"}})
    CHECK_THROWS_WITH(schedule.load_state_dict({{"step", row.step}, {"base", ones({}, float64)}}),
                      refused + "1, " + row.got);
  const Tensor base = full({}, (int64_t{1} << 53) + 1, int64);
  CHECK_THROWS_WITH(schedule.load_state_dict({{"step", ones({}, int64)}, {"base", base}}),
                    refused + "9007199254740993, step = 1");
  CHECK(schedule.steps() == 3);
}

TEST_CASE("schedules refuse what they cannot work with, and change nothing") {
  optim::SGD optimizer = make_optimizer();
  CHECK_THROWS_WITH(optim::StepLR(optimizer, {.step_size = 0}), "StepLR: expected step_size in [1, inf), got 0");
  CHECK_THROWS_WITH(optim::StepLR(optimizer, {.step_size = 1, .gamma = -1}),
                    "StepLR: expected gamma in [0, 3.4028234663852886e+38], got -1");
  CHECK_THROWS_WITH(optim::CosineLR(optimizer, {.total_steps = 0}),
                    "CosineLR: expected total_steps in [1, inf), got 0");
  CHECK_THROWS_WITH(optim::CosineLR(optimizer, {.total_steps = 1, .min_lr = -1}),
                    "CosineLR: expected min_lr in [0, 3.4028234663852886e+38], got -1");
  CHECK(optimizer.lr() == 1);
  optim::Schedule broken(optimizer, [](int64_t step) { return step == 0 ? 0.5 : std::nan(""); });
  CHECK_THROWS_AS(broken.step(), ValueError);
  CHECK(broken.steps() == 0);
  CHECK(optimizer.lr() == 0.5);
  optim::StepLR schedule(optimizer, {.step_size = 1});
  CHECK_THROWS_WITH(schedule.load_state_dict({{"step", ones({}, int64)}}),
                    "Schedule: expected step, a scalar of any dtype but bool that int64 holds, and base, one that "
                    "float64 holds, got step = 1");
  CHECK_THROWS_WITH(schedule.load_state_dict({{"step", full({}, -1, int64)}, {"base", ones({}, float64)}}),
                    "Schedule: expected step in [0, inf), got -1");
  CHECK_THROWS_WITH(schedule.load_state_dict({{"step", ones({}, int64)}, {"base", full({}, -1, float64)}}),
                    "Schedule: expected base in [0, 3.4028234663852886e+38], got -1");
  CHECK(schedule.steps() == 0);
  CHECK(optimizer.lr() == 0.5);
}

TEST_CASE("a rate may give its own schedule another state") {
  optim::SGD optimizer = make_optimizer(), another = make_optimizer(3);
  optim::Schedule* own = nullptr;
  const optim::StepLR other(another, {.step_size = 1});
  optim::Schedule schedule(optimizer, [&, data = std::vector<double>(100, 0.25)](int64_t) {
    if (own) *own = other;  // the last handle on this rate
    return data[99];
  });
  own = &schedule;
  schedule.step();
  CHECK(optimizer.lr() == 0.25);
  CHECK(another.lr() == 3);
  CHECK(schedule.steps() == 0);
}

}  // namespace test_schedule
