// NaN and infinities, traced to the op and the line that made them. Compiled with -g1.
#include <limpid/limpid.hpp>

#include <limits>
#include <string>

#include "../catch.hpp"
#include "../message_of.hpp"

namespace test_anomaly {

using namespace limpid;

Tensor leaf(std::initializer_list<double> values) { return tensor(values, float64).set_requires_grad(); }
constexpr double infinity = std::numeric_limits<double>::infinity();

// Inlined or not, this is where the op is recorded.
int log_line = 0;
Tensor log_here(const Tensor& x) {
  log_line = __LINE__ + 1;
  return log(x);
}

std::string this_line(int line) {
#ifdef LIMPID_HAS_LIBBACKTRACE
  return "test_anomaly.cpp:" + std::to_string(line);
#else
  return line ? "; recorded at " : "";
#endif
}

TEST_CASE("anomaly mode names op, element and line of a forward NaN") {
  const DetectAnomaly guard;
  const Tensor x = leaf({1, -2, 3});
  const std::string message = message_of([&] { (log_here(x * 2.0) + 1.0) * 3.0; });
  CHECK_THAT(message, ContainsSubstring("log: expected finite values, got nan at (1,) of its result of shape (3,)") ||
                          ContainsSubstring("log: expected finite values, got -nan at (1,) of its result"));
  CHECK_THAT(message, ContainsSubstring(this_line(log_line)));
}

TEST_CASE("anomaly mode tells an op that makes infinity from one that is given it") {
  const DetectAnomaly guard;
  CHECK_THROWS_WITH(
      reciprocal(leaf({1, 0})),
      ContainsSubstring("reciprocal: expected finite values, got inf at (1,)") && !ContainsSubstring("it was given"));
  const Tensor x = leaf({1, infinity});
  CHECK_THROWS_WITH(leaf({1, 2}) * x, ContainsSubstring("mul: expected finite values, got inf at (1,)") &&
                                          ContainsSubstring("it was given inf at (1,) of operand 1 of shape (2,)"));
}

TEST_CASE("anomaly mode finds what backward makes") {
  const DetectAnomaly guard;
  const Tensor x = leaf({4, 0});
  const int line = __LINE__ + 1;
  const Tensor y = sqrt(x);  // its derivative at 0 is infinite
  const std::string message = message_of([&] { sum(y).backward(); });
  CHECK_THAT(message, ContainsSubstring("backward of sqrt: expected finite gradients, got inf at (1,) of the gradient "
                                        "of operand 0 of shape (2,)"));
  CHECK_THAT(message, ContainsSubstring(this_line(line)));
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("anomaly mode tells a cotangent that was bad to begin with") {
  const DetectAnomaly guard;
  const Tensor x = leaf({4, 1});
  CHECK_THROWS_WITH((x * 2.0).backward(tensor({1, infinity}, float64)),
                    ContainsSubstring("backward of mul: expected finite gradients, got inf at (1,) of the dy of shape "
                                      "(2,) that it was given"));
}

TEST_CASE("anomaly mode takes infinities where it is told to, but no NaN") {
  const DetectAnomaly guard(false);
  const Tensor x = leaf({1, 2});
  const Tensor masked = where(tensor({0, 1}, bool_), -infinity, x);
  CHECK(softmax(masked, 0).requires_grad());
  CHECK_THROWS_AS(masked - masked, AutogradError);
  const DetectAnomaly strict;
  CHECK_THROWS_AS(where(tensor({0, 1}, bool_), -infinity, x), AutogradError);
}

TEST_CASE("anomaly mode ends with its guard, whatever happens, and is each thread's own") {
  const Tensor x = leaf({-1});
  {
    const DetectAnomaly guard;
    CHECK_THROWS_AS(log(x), AutogradError);
    {
      const DetectAnomaly inner(false);
      CHECK_THROWS_AS(log(x), AutogradError);
    }
    CHECK_THROWS_AS(reciprocal(x * 0.0), AutogradError);
  }
  CHECK_NOTHROW(log(x));
  CHECK_NOTHROW(sum(log(x)).backward());
}

TEST_CASE("anomaly mode changes no values and no gradients") {
  const auto run = [] {
    manual_seed(5);
    nn::Linear layer(4, 3);
    const Tensor x = randn({5, 4}).set_requires_grad();
    mean(square(tanh(layer(x)))).backward();
    return Tensors{x.grad(), layer.weight.grad(), layer.bias.grad()};
  };
  const Tensors plain = run();
  const DetectAnomaly guard;
  const Tensors watched = run();
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(equal(plain[i], watched[i]));
}

TEST_CASE("anomalies in every floating-point dtype, custom functions and ops of several names") {
  const DetectAnomaly guard;
  for (const DType dtype : {float16, bfloat16, float32, float64})
    CHECK_THROWS_WITH(log(tensor({1, -1}, dtype).set_requires_grad()), ContainsSubstring("log: expected finite"));
  struct Blow : Function<Blow> {
    static Tensor forward(Context&, const Tensor& x) { return x / 0.0; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy}; }
  };
  CHECK_THROWS_WITH(Blow::apply(leaf({1})), ContainsSubstring("Blow: expected finite values"));
  CHECK_THROWS_WITH(minimum(leaf({-infinity}), leaf({0})), ContainsSubstring("minimum: expected finite"));
  CHECK_THROWS_WITH(min(leaf({-infinity, 1})), ContainsSubstring("min: expected finite"));
}

TEST_CASE("trace scopes name a place without debug information") {
  const DetectAnomaly guard;
  const TraceScope outer("encoder");
  std::string message;
  {
    const TraceScope inner("block 3");
    message = message_of([&] { log(leaf({-1})); });
  }
  CHECK_THAT(message, ContainsSubstring("block 3 (") && ContainsSubstring("test_anomaly.cpp:") &&
                          ContainsSubstring(" in encoder ("));
  CHECK_THAT(message_of([&] { log(leaf({-1})); }), !ContainsSubstring("block 3"));
}

}  // namespace test_anomaly
