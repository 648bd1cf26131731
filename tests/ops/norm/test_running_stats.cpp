// Running statistics: each rule against PyTorch's numbers, and what the buffers refuse.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_running_stats {

using namespace limpid;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

RunningRule rule_of(const std::string& name) {
  if (name.rfind("per_instance.", 0) == 0) return RunningRule::per_instance;
  return name.rfind("pooled.", 0) == 0 ? RunningRule::pooled : RunningRule::pooled_unbiased;
}

const std::vector<RunningRule> rules = {RunningRule::per_instance, RunningRule::pooled, RunningRule::pooled_unbiased};

/// mean (1, 2, 3) and var (4, 5, 6), and whether a channel still is as it was.
struct Buffers {
  Tensor mean, var;
  explicit Buffers(DType dtype = float32) : mean(tensor({1, 2, 3}, dtype)), var(tensor({4, 5, 6}, dtype)) {}
  void update(const Tensor& x, double momentum = 0.1, RunningRule rule = RunningRule::per_instance) {
    update_running_stats(x, mean, var, momentum, rule);
  }
  bool stayed(int64_t c) const {
    return at(mean, c) == static_cast<double>(1 + c) && at(var, c) == static_cast<double>(4 + c);
  }
  bool moved(int64_t c) const {
    return at(mean, c) != static_cast<double>(1 + c) && at(var, c) != static_cast<double>(4 + c);
  }
  bool finite() const { return all(isfinite(mean)).item<bool>() && all(isfinite(var)).item<bool>(); }

 private:
  static double at(const Tensor& t, int64_t c) { return select(t, 0, c).item<double>(); }
};

TEST_CASE("running statistics of every rule are PyTorch's") {
  const TensorMap vectors = load_npz(LIMPID_TEST_DATA "/running_stats.npz");
  std::set<std::string> names;
  for (const auto& entry : vectors) names.insert(entry.first.substr(0, entry.first.find('/')));
  REQUIRE(names.size() == 16);
  for (const std::string& name : names)
    for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
      CAPTURE(name);
      const auto get = [&](const std::string& member) { return vectors.at(name + "/" + member); };
      const Tensor mean = get("mean").clone(), var = get("var").clone(), batches = zeros({}, int64);
      const std::string momentum = name.substr(name.find('.') + 1, name.rfind('.') - name.find('.') - 1);
      for (const std::string i : {"0", "1", "2"}) {
        const Tensor x = get("x" + i).dim() < 3 ? get("x" + i) : get("x" + i).contiguous(format);
        if (momentum == "none")
          update_running_stats(x, mean, var, batches, rule_of(name));
        else
          update_running_stats(x, mean, var, std::stod(momentum), rule_of(name));
        CHECK(allclose(mean, get("mean" + i), 1e-12, 1e-13));
        CHECK(allclose(var, get("var" + i), 1e-12, 1e-13));
      }
      CHECK(batches.item<int64_t>() == (momentum == "none" ? 3 : 0));
    }
}

TEST_CASE("the rule is PyTorch's instance_norm and momentum 0.1 where none is given") {
  manual_seed(1);
  const Tensor x = randn({3, 3, 7});
  Buffers a, b;
  update_running_stats(x, a.mean, a.var);
  b.update(x, 0.1, RunningRule::per_instance);
  CHECK(equal(a.mean, b.mean));
  CHECK(equal(a.var, b.var));
}

TEST_CASE("running statistics stay as they are without enough elements for the rule") {
  struct Case {
    Shape shape;
    bool per_instance, pooled, pooled_unbiased;  // whether the buffers move
  };
  const std::vector<Case> cases = {{{0, 3, 4}, false, false, false}, {{2, 3, 0}, false, false, false},
                                   {{2, 3, 1}, false, true, true},   {{1, 3, 1}, false, true, false},
                                   {{1, 3, 2}, true, true, true},    {{1, 3, 1, 1, 1}, false, true, false}};
  manual_seed(2);
  for (const Case& c : cases)
    for (const RunningRule rule : rules) {
      const bool moves = rule == RunningRule::per_instance ? c.per_instance
                         : rule == RunningRule::pooled     ? c.pooled
                                                           : c.pooled_unbiased;
      INFO(to_string(c.shape) << " rule " << static_cast<int>(rule));
      Buffers buffers;
      const uint32_t version = buffers.mean.version();
      buffers.update(randn(c.shape), 0.1, rule);
      for (int64_t channel = 0; channel < 3; ++channel)
        CHECK((moves ? buffers.moved(channel) : buffers.stayed(channel)));
      CHECK(buffers.finite());
      CHECK((buffers.mean.version() > version) == moves);

      const Tensor batches = full({}, 7, int64);
      update_running_stats(randn(c.shape), buffers.mean, buffers.var, batches, rule);
      CHECK(batches.item<int64_t>() == (moves ? 8 : 7));
    }
}

TEST_CASE("a channel with NaN or infinity stays as it is, and the others move") {
  manual_seed(3);
  for (const RunningRule rule : rules)
    for (const double bad : {not_a_number, infinity, -infinity}) {
      const Tensor x = randn({2, 3, 8});
      select(select(select(x, 0, 1), 0, 1), 0, 5).fill_(bad);  // sample 1, channel 1, element 5
      Buffers buffers;
      buffers.update(x, 0.5, rule);
      CAPTURE(bad);
      CHECK(buffers.moved(0));
      CHECK(buffers.stayed(1));
      CHECK(buffers.moved(2));
    }
}

TEST_CASE("a batch of which no channel is finite is not counted") {
  Buffers buffers;
  const Tensor batches = zeros({}, int64);
  update_running_stats(full({2, 3, 4}, not_a_number), buffers.mean, buffers.var, batches);
  CHECK(batches.item<int64_t>() == 0);
  CHECK(buffers.stayed(0));
}

TEST_CASE("a statistic beyond the range of the buffers leaves its channel alone") {
  struct Case {
    DType dtype;
    double spread;  // of channel 1: finite in x's dtype, but not its variance
  };
  for (const Case& c : {Case{float32, 1e30}, Case{float64, 1e200}, Case{float16, 1e3}, Case{bfloat16, 1e30}}) {
    CAPTURE(c.dtype);
    const Tensor x = zeros({1, 3, 2}, c.dtype);
    for (int64_t channel = 0; channel < 3; ++channel) {
      const Tensor slice = select(select(x, 0, 0), 0, channel);
      select(slice, 0, 0).fill_(channel == 1 ? -c.spread : 10);
      select(slice, 0, 1).fill_(channel == 1 ? c.spread : 30);
    }
    Buffers buffers(c.dtype);
    buffers.update(x, 0.5);
    CHECK(buffers.moved(0));
    CHECK(buffers.stayed(1));
    CHECK(buffers.moved(2));
    CHECK(buffers.finite());
  }
}

TEST_CASE("momentum 1 replaces even a broken buffer, momentum 0 changes nothing") {
  manual_seed(4);
  const Tensor x = randn({2, 3, 8});
  Buffers buffers;
  buffers.mean.fill_(infinity), buffers.var.fill_(not_a_number);
  buffers.update(x, 0.5);
  CHECK_FALSE(buffers.finite());
  buffers.update(x, 1);
  CHECK(buffers.finite());
  CHECK(allclose(buffers.mean, mean(mean(x, 2), 0), 1e-6, 1e-6));
  const Tensor before = buffers.mean.clone();
  buffers.update(x + 1.0, 0);
  CHECK(equal(buffers.mean, before));
}

TEST_CASE("buffers may be strided, float32 beside a half-precision x, and are never recorded") {
  manual_seed(5);
  const Tensor both = zeros({3, 2}), x = randn({2, 3, 8});
  Tensor leaf = x.detach();
  leaf.set_requires_grad();
  const Tensor mean = select(both, 1, 0), var = select(both, 1, 1);
  update_running_stats(leaf, mean, var, 1);
  CHECK_FALSE(mean.requires_grad());
  Buffers plain;
  plain.update(x, 1);
  CHECK(equal(mean, plain.mean));
  CHECK(equal(var, plain.var));
  Buffers wide;
  wide.update(x.to(float16), 1);
  CHECK(allclose(wide.mean, plain.mean, 1e-2, 1e-2));
}

TEST_CASE("a graph that holds the buffers sees that they moved") {
  manual_seed(6);
  Tensor x = randn({2, 3, 8});
  x.set_requires_grad();
  Buffers buffers;
  const Tensor y = instance_norm(x, buffers.mean, buffers.var, {}, {}, false);
  buffers.update(x);
  CHECK_THROWS_AS(y.backward(randn({2, 3, 8})), AutogradError);
}

TEST_CASE("running statistics refuse what does not fit in words") {
  const Tensor x = zeros({2, 3, 4}), c = zeros({3});
  const std::string op = "update_running_stats: expected ";
  CHECK_THROWS_WITH(update_running_stats({}, c, c), op + "a defined x, got an undefined tensor");
  CHECK_THROWS_WITH(update_running_stats(zeros({2, 3}), c, c),
                    op + "x of shape (N, C, *spatial) with at least 3 axes, got shape (2, 3)");
  CHECK_THROWS_WITH(update_running_stats(zeros({3}), c, c, 0.1, RunningRule::pooled),
                    op + "x of shape (N, C, *spatial) with at least 2 axes, got shape (3,)");
  CHECK_THROWS_WITH(update_running_stats(x, c, {}), op + "both running_mean and running_var, got an undefined tensor");
  CHECK_THROWS_WITH(update_running_stats(x, zeros({2}), c),
                    op + "running_mean of shape (3,) for x of shape (2, 3, 4), got (2,)");
  CHECK_THROWS_WITH(update_running_stats(x, c, zeros({2})),
                    op + "running_var of shape (3,) for x of shape (2, 3, 4), got (2,)");
  CHECK_THROWS_WITH(update_running_stats(zeros({2, 3, 4}, int64), c, c), op + "a floating-point x, got int64");
  CHECK_THROWS_WITH(update_running_stats(x, zeros({3}, float64), c),
                    op + "x and running_mean of one dtype, got float32 and float64; convert with to()");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, not_a_number), op + "momentum in [0, 1], got nan");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, -0.5), op + "momentum in [0, 1], got -0.5");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, Tensor()),
                    op + "a defined num_batches_tracked, got an undefined tensor");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, zeros({2}, int64)),
                    op + "num_batches_tracked of one element, got shape (2,)");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, zeros({})), op + "num_batches_tracked of dtype int64, got float32");
  CHECK_THROWS_WITH(update_running_stats(x, c, c, full({}, -1, int64)),
                    op + "num_batches_tracked from 0 to 9223372036854775806, got -1");
  CHECK_THROWS_WITH(update_running_stats(x, c, c),
                    op + "running_mean and running_var apart, got two that share memory");
  CHECK_THROWS_WITH(update_running_stats(x, expand(zeros({1}), {3}), c),
                    op + "a tensor with a place for each element, got one of shape (3,) and strides (0,), in which "
                         "some may share one; clone() it first");
  CHECK_THROWS_WITH(update_running_stats(x, c, expand(zeros({1}), {3})),
                    op + "a tensor with a place for each element, got one of shape (3,) and strides (0,), in which "
                         "some may share one; clone() it first");
}

TEST_CASE("update_running_stats refuses a count that has no next number, and changes nothing") {
  const Tensor x = randn({2, 3, 4}), m = zeros({3}), v = ones({3});
  const Tensor n = full({}, std::numeric_limits<int64_t>::max(), int64);
  CHECK_THROWS_WITH(update_running_stats(x, m, v, n),
                    "update_running_stats: expected num_batches_tracked from 0 to 9223372036854775806, got "
                    "9223372036854775807");
  CHECK(n.item<int64_t>() == std::numeric_limits<int64_t>::max());
  CHECK((equal(m, zeros({3})) && equal(v, ones({3}))));
}

}  // namespace test_running_stats
