// Dtypes, members of enumerations and ranks that do not exist, wherever they are given.
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_nonmembers {

using namespace limpid;

TEST_CASE("a dtype that does not exist makes no tensor") {
  const auto none = static_cast<DType>(77);
  const std::string expected = "tensor: expected one of the eight dtypes, got unknown dtype";
  const std::vector<void (*)(DType)> ways = {
      [](DType d) { empty({2}, d); },
      [](DType d) { zeros({2}, d); },
      [](DType d) { full({2}, 1, d); },
      [](DType d) { zeros({3}).to(d); },
      [](DType d) { arange(3, d); },
      [](DType d) { tensor({1}, d); },
      [](DType d) { empty_like(ones({2}), d); },
      [](DType d) { eye(2, d); },
      [](DType d) {
        float memory[2];
        from_blob(memory, {2}, d);
      },
  };
  for (const auto way : ways) CHECK(message_of([&] { way(none); }) == expected);
  CHECK(message_of([&] { rand({2}, none); }) == "rand: expected a floating-point dtype, got unknown dtype");
  CHECK(message_of([&] { randint(0, 2, {2}, none); }) ==
        "randint: expected bounds that unknown dtype can hold, got low = 0, high = 2");
  CHECK(message_of([] {
          empty({2, 2, 2}, float32, static_cast<MemoryFormat>(7));
        }) == "empty: expected MemoryFormat::contiguous or channels_last, got MemoryFormat(7)");
  CHECK(message_of([] {
          pad(ones({2}), {1, 1}, static_cast<PadMode>(9));
        }) == "pad: expected PadMode::constant, reflect, replicate or circular, got PadMode(9)");
}

TEST_CASE("a member that an enumeration does not have is refused, wherever it is given") {
  const auto format = static_cast<MemoryFormat>(7);
  const std::string formats = ": expected MemoryFormat::contiguous or channels_last, got MemoryFormat(7)";
  const Tensor x = ones({2, 2, 2, 2}), last = x.contiguous(MemoryFormat::channels_last);
  for (const Tensor& y : {x, last}) {
    CHECK(message_of([&] { y.contiguous(format); }) == "contiguous" + formats);
    CHECK(message_of([&] { empty_like(y, float32, format); }) == "empty" + formats);
    CHECK_FALSE(y.is_contiguous(format));
  }
  CHECK(message_of([&] { rand({2, 2, 2}, float32, format); }) == "empty" + formats);
  nn::Linear linear(2, 2);
  CHECK(message_of([&] { linear.to(format); }) == "to" + formats);
  for (const int value : {-1, 3, 9}) {
    const std::string number = std::to_string(value);
    const std::string reductions = ": expected Reduction::mean, sum or none, got Reduction(" + number + ")";
    const auto reduction = static_cast<Reduction>(value);
    const Tensor target = zeros({2}, int64);
    CHECK(message_of([&] { mse_loss(x, x, reduction); }) == "mse_loss" + reductions);
    CHECK(message_of([&] { l1_loss(x, x, reduction); }) == "l1_loss" + reductions);
    CHECK(message_of([&] { huber_loss(x, x, 1, reduction); }) == "huber_loss" + reductions);
    CHECK(message_of([&] { bce_with_logits(x, x, reduction); }) == "bce_with_logits" + reductions);
    CHECK(message_of([&] { nll_loss(ones({2, 2}), target, reduction); }) == "nll_loss" + reductions);
    CHECK(message_of([&] { cross_entropy(ones({2, 2}), target, reduction); }) == "cross_entropy" + reductions);
    const std::string fans = ": expected Fan::in or out, got Fan(" + number + ")";
    const nn::init::KaimingOptions kaiming{.fan = static_cast<nn::init::Fan>(value)};
    CHECK(message_of([&] { nn::init::kaiming_normal_(ones({2, 2}), kaiming); }) == "kaiming_normal_" + fans);
    CHECK(message_of([&] { nn::init::kaiming_uniform_(ones({2, 2}), kaiming); }) == "kaiming_uniform_" + fans);
  }
  const auto rule = static_cast<RunningRule>(9);
  const std::string rules =
      "update_running_stats: expected RunningRule::per_instance, pooled or pooled_unbiased, got RunningRule(9)";
  CHECK(message_of([&] { update_running_stats(x, ones({2}), ones({2}), 0.5, rule); }) == rules);
  CHECK(message_of([&] { update_running_stats(x, ones({2}), ones({2}), zeros({}, int64), rule); }) == rules);
}

TEST_CASE("no tensor has more than 64 axes, whatever makes it") {
  Shape most(64, 1), more(65, 1);
  const std::string expected = "shape: expected at most 64 axes, got 65";
  const Tensor x = zeros(most);
  CHECK(message_of([&] { zeros(more); }) == expected);
  CHECK(message_of([&] { unsqueeze(x, 0); }) == expected);
  CHECK(message_of([&] { reshape(x, more); }) == expected);
  CHECK(message_of([&] { expand(x, more); }) == expected);
  CHECK(message_of([&] { stack({x, x}); }) == expected);
  float memory[1];
  CHECK(message_of([&] { from_blob(memory, more, float32); }) == expected);
  CHECK(message_of([&] { from_vector(std::vector<float>{1}, more); }) == expected);
}

}  // namespace test_nonmembers
