// Recorded gradients are kept by the tensors that they belong to, and their graphs hold these tensors: nothing of that
// may outlive the last handle.
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/allocator.hpp>
#include <limpid/limpid.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/sanitized.hpp>
#include <limpid/tests/settings.hpp>

namespace test_cycles {

using namespace limpid;

// Large enough for a block of its own, which counts as in use until it goes.
Tensor leaf() { return rand({100, 100}, float64).set_requires_grad(); }

const GradOptions recorded{.create_graph = true};

// Its backward leaves the tape, or says so.
template <bool marked>
struct RawSquare : Function<RawSquare<marked>> {
  static constexpr bool once_differentiable = marked;
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return square(x);
  }
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0).contiguous(), dx = empty(x.shape(), float64);
    for (int64_t i = 0; i < x.numel(); ++i) dx.data<double>()[i] = 2 * x.data<double>()[i] * dy.data<double>()[i];
    return {dx};
  }
};

struct Case {
  std::string name;
  std::function<void()> run;
};

const std::vector<Case> cases = {
    {"a leaf", [] { sum(square(leaf())).backward({}, recorded); }},
    {"a leaf whose gradient is used",
     [] {
       const Tensor x = leaf();
       sum(exp(x)).backward({}, recorded);
       sum(square(x.grad())).backward();
       CHECK(x.grad().defined());
     }},
    {"gathered twice",
     [] {
       const Tensor x = leaf();
       for (int i = 0; i < 2; ++i) sum(square(x) * x).backward({}, recorded);
     }},
    {"gathered beside a handle on the gradient",
     [] {
       const Tensor x = leaf();
       sum(square(x)).backward({}, recorded);
       const Tensor g = x.grad();
       sum(square(x)).backward({}, recorded);
     }},
    {"two leaves whose gradients hold each other",
     [] {
       const Tensor x = leaf(), y = leaf();
       sum(square(x * y)).backward({}, recorded);
     }},
    {"two leaves, one of which stays longer",
     [] {
       Tensor x = leaf();
       {
         const Tensor y = leaf();
         sum(square(x * y)).backward({}, recorded);
       }
       CHECK(x.grad().defined());
       sum(x.grad()).backward();
     }},
    {"a retained gradient",
     [] {
       const Tensor x = leaf(), y = square(x);
       retain_grad(y);
       sum(exp(y)).backward({}, recorded);
       CHECK(y.grad().requires_grad());
     }},
    {"a retained gradient of a result that later ops hold",
     [] {
       const Tensor x = leaf();
       Tensor z;
       {
         const Tensor y = square(x);
         retain_grad(y);
         z = sum(y * y * x);
         z.backward({}, recorded);
       }
       z.backward({}, recorded);
     }},
    {"a retained gradient, gathered twice",
     [] {
       const Tensor x = leaf(), y = square(x);
       retain_grad(y);
       for (int i = 0; i < 2; ++i) sum(exp(y)).backward({}, recorded);
     }},
    {"a retained gradient of what was changed in place",
     [] {
       const Tensor x = leaf();
       Tensor y = square(x);
       retain_grad(y);
       y.mul_(x);
       sum(exp(y)).backward({}, recorded);
     }},
    {"a retained gradient of what lost its history",
     [] {
       const Tensor x = leaf();
       for (int kind = 0; kind < 2; ++kind) {
         Tensor y = square(x);
         retain_grad(y);
         sum(exp(y)).backward({}, recorded);
         if (kind == 0) y.fill_(1);
         if (kind == 1) y.zero_();
       }
     }},
    {"a Function off the tape",
     [] {
       const Tensor x = leaf();
       sum(RawSquare<false>::apply(x)).backward({}, recorded);
     }},
    {"a Function marked once_differentiable",
     [] {
       const Tensor x = leaf();
       sum(RawSquare<true>::apply(x)).backward({}, recorded);
     }},
    {"a hook that fails once a leaf has its gradient",
     [] {
       const Tensor x = leaf(), y = leaf();
       const Tensor z = exp(y);
       register_hook(z, [](const Tensor&) { throw std::runtime_error("stop"); });
       CHECK_THROWS_AS(sum(z * x).backward({}, recorded), std::runtime_error);
     }},
    {"a gradient given",
     [] {
       const Tensor x = leaf();
       x.set_grad(square(x));
     }},
    {"a tensor that is its own gradient",
     [] {
       const Tensor x = leaf(), z = leaf();
       x.set_grad(x);
       z.backward(z, recorded);
       const Tensor y = square(x);
       retain_grad(y);
       y.backward(y, recorded);
     }},
    {"a leaf no longer",
     [] {
       Tensor x = leaf();
       sum(square(x)).backward({}, recorded);
       x.set_requires_grad(false);
     }},
    {"hooks on leaf and result",
     [] {
       const Tensor x = leaf(), y = square(x);
       const HookHandle on_x = register_hook(x, [](const Tensor& dx) { return 2 * dx; });
       const HookHandle on_y = register_hook(y, [](const Tensor& dy) { return square(dy); });
       retain_grad(y);
       sum(exp(y)).backward({}, recorded);
     }},
    {"hooks on nodes",
     [] {
       const Tensor x = leaf(), y = square(x);
       register_prehook(*grad_node(y), [](const Tensors& dys) { return Tensors{square(dys[0])}; });
       register_hook(*grad_node(y), [](const Tensors& dxs, const Tensors&) { return Tensors{2 * dxs[0]}; });
       sum(exp(y)).backward({}, recorded);
     }},
    {"a hook that keeps what it sees",
     [] {
       const Tensor x = leaf();
       Tensor seen;
       const HookHandle handle = register_hook(x, [&](const Tensor& dx) { seen = dx; });
       sum(square(x)).backward({}, recorded);
     }},
    {"grad()",
     [] {
       const Tensor x = leaf();
       const Tensor g = grad({sum(exp(x))}, {x}, {}, recorded)[0];
       sum(square(g)).backward({}, recorded);
     }},
    {"a checkpoint",
     [] {
       const Tensor x = leaf();
       sum(checkpoint([](const Tensor& z) { return square(exp(z)); }, x)).backward({}, recorded);
     }},
    {"a module's step with a penalty",
     [] {
       const nn::Linear layer(100, 100);
       for (int i = 0; i < 2; ++i) {
         sum(square(layer(rand({100, 100})))).backward({}, recorded);
         Tensor penalty = zeros({});
         for (const Tensor& p : layer.parameters()) penalty = penalty + sum(square(p.grad()));
         penalty.backward({}, recorded);
       }
     }},
    {"a module's forward hooks that keep what they see",
     [] {
       const nn::Sequential net{nn::Linear(100, 100), nn::ReLU(), nn::Linear(100, 100)};
       for (const auto& [name, module] : net.named_modules()) {
         nn::register_forward_hook(module,
                                   [seen = Tensor()](const nn::Module&, const Tensors&, const Tensor& y) mutable {
                                     seen = y;
                                     return 2 * y;
                                   });
         nn::register_forward_pre_hook(
             module, [w = net.parameters()[0]](const nn::Module&, const Tensors& xs) { return xs[0] + mean(w); });
       }
       sum(square(net(rand({100, 100})))).backward({}, recorded);
     }},
    {"a module's weight that is computed of others, called and read",
     [] {
       const nn::Sequential net{nn::weight_norm(nn::Linear(100, 100)), nn::spectral_norm(nn::Linear(100, 100))};
       const nn::Linear layer = nn::weight_norm(nn::Linear(100, 100));
       for (int i = 0; i < 2; ++i) {
         Tensor loss = sum(square(net(rand({100, 100})))) + sum(square(layer.weight));
         loss.backward({}, recorded);
         Tensor penalty = sum(square(layer.weight));
         for (const Tensor& p : net.parameters()) penalty = penalty + sum(square(p.grad()));
         penalty.backward({}, recorded);
       }
     }},
    {"backward after the leaf has gone",
     [] {
       Tensor y;
       {
         const Tensor x = leaf();
         y = sum(square(x));
         y.backward({}, recorded);
       }
       y.backward({}, recorded);
     }},
};

TEST_CASE("no recorded gradient outlives the tensor it belongs to") {
  const Case& c = GENERATE(from_range(cases));
  CAPTURE(c.name);
  c.run();  // what is made once, as by the profiler's and OpenMP's first use, is not counted
  const int64_t before = memory_stats().in_use;
  for (int i = 0; i < 3; ++i) c.run();
  CHECK(memory_stats().in_use == before);
}

TEST_CASE("gradients survive in what is held") {
  // The graph of a gradient holds the values of leaves, not the leaves.
  Tensor x = tensor({1, 2}, float64).set_requires_grad();
  sum(x * square(x)).backward({}, recorded);
  const Tensor g = x.grad();
  x = Tensor();
  CHECK(equal(g.detach(), tensor({3, 12}, float64)));
  sum(g).backward();  // its leaf has no owner, and gathers nothing

  Tensor y = tensor({1, 2}, float64).set_requires_grad();
  sum(y * square(y)).backward({}, recorded);
  CHECK(equal(grad({sum(y.grad())}, {y}, {}, {.retain_graph = true})[0], tensor({6, 12}, float64)));
  sum(y.grad()).backward();  // 3 y^2 + 6 y
  CHECK(equal(y.grad().detach(), tensor({9, 24}, float64)));
}

// A gradient whose end asks for the gradient of w.
struct Asking {
  Tensor w;
  int asked = 0;
  double memory[4] = {};
};
Tensor asking(Asking& a) {
  return from_blob(
      a.memory, {4}, float64,
      [](void* p) {
        auto& mine = *static_cast<Asking*>(p);
        mine.w.grad();
        ++mine.asked;
      },
      &a);
}

TEST_CASE("what a gradient's end does may ask for that gradient") {
  Asking a;
  a.w = zeros({4}, float64).set_requires_grad();
  a.w.set_grad(asking(a));
  a.w.set_grad(ones({4}, float64));
  CHECK(a.asked == 1);
  a.w.set_grad(asking(a));
  a.w.set_grad({});
  CHECK(a.asked == 2);
  a.w.set_grad(asking(a));
  sum(square(a.w)).backward();
  sum(square(a.w)).backward({}, recorded);
  CHECK(a.asked == 3);
  a.w.set_grad(asking(a));
  a.w = Tensor();  // asks a tensor that is none
}

TEST_CASE("what a retained gradient's end does may ask for that gradient") {
  const Tensor x = rand({4}, float64).set_requires_grad();
  Asking a;
  a.w = square(x);
  retain_grad(a.w);
  const HookHandle hook = register_hook(a.w, [&](const Tensor&) { return a.asked ? Tensor() : asking(a); });
  sum(exp(a.w)).backward({}, {.retain_graph = true});
  ++a.asked;
  sum(exp(a.w)).backward();
  CHECK(a.asked == 2);
  a.w = Tensor();
}

TEST_CASE("hooks on a node that is none are refused") {
  const Tensor x = ones({2});
  Node* none = grad_node(x);
  CHECK_THROWS_WITH(register_prehook(none, [](const Tensors&) {}),
                    "register_prehook: expected a node, got none: grad_node(x) of a tensor that is not recorded");
  CHECK_THROWS_WITH(register_hook(none, [](const Tensors&, const Tensors&) {}),
                    "register_hook: expected a node, got none: grad_node(x) of a tensor that is not recorded");
}

TEST_CASE("profilers may end in any order, and on any thread") {
  const Tensor x = ones({3});
  auto outer = std::make_unique<Profiler>(), inner = std::make_unique<Profiler>(),
       innermost = std::make_unique<Profiler>();
  outer.reset();
  exp(x);
  CHECK(innermost->table().size() == 1);
  inner->stop();
  exp(x);
  CHECK(innermost->table()[0].calls == 2);
  inner.reset();
  std::thread([&] { innermost.reset(); }).join();
  exp(x);
  Profiler last;
  exp(x);
  CHECK(last.table()[0].calls == 1);
  last.stop();
  exp(x);
  CHECK(last.table()[0].calls == 1);
}

std::optional<Profiler::Row> row_of(const Profiler& profiler, const std::string& op) {
  for (const Profiler::Row& row : profiler.table())
    if (row.op == op) return row;
  return {};
}

TEST_CASE("a profiler that begins within an op takes nothing of it from the one around") {
  static std::unique_ptr<Profiler> inner;
  struct Begins : Function<Begins> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2; }
    static Tensors backward(Context&, const Tensor& dy) {
      inner = std::make_unique<Profiler>();
      return {exp(dy)};
    }
  };
  const Tensor x = ones({3}).set_requires_grad();
  const Profiler outer;
  Begins::apply(x).backward(ones({3}));
  REQUIRE(row_of(*inner, "exp"));
  CHECK(inner->table().size() == 1);
  inner.reset();
  tanh(x);
  const std::vector<Profiler::Row> rows = outer.table();
  CHECK(std::any_of(rows.begin(), rows.end(), [](const Profiler::Row& row) {
    return row.op.find("Begins") != std::string::npos && row.backward_calls == 1;
  }));
  REQUIRE(row_of(outer, "tanh"));
  CHECK(row_of(outer, "tanh")->calls == 1);
}

TEST_CASE("a profiler may be read and ended while another thread runs what it times") {
  std::unique_ptr<Profiler> profiler;
  std::atomic<int> stage{0};
  std::thread thread([&] {
    profiler = std::make_unique<Profiler>();
    stage = 1;
    const Tensor x = ones({3}).set_requires_grad();
    while (stage < 2) sum(exp(x)).backward();
  });
  while (stage < 1) std::this_thread::yield();
  while (profiler->table().size() < 2) std::this_thread::yield();
  CHECK(profiler->chrome_trace().size() > 2);
  profiler->stop();
  const int64_t calls = profiler->table()[0].calls;
  exp(ones({3}));
  CHECK(calls == profiler->table()[0].calls);
  stage = 2;
  thread.join();
  CHECK(calls == profiler->table()[0].calls);
}

TEST_CASE("a profiler that outlives its thread, or ends after the thread's last op, is let go of") {
  for (const bool stops_before : {true, false}) {
    std::unique_ptr<Profiler> profiler;
    std::atomic<int> stage{0};
    std::thread thread([&] {
      profiler = std::make_unique<Profiler>();
      exp(ones({3}));
      stage = 1;
      while (stage < 2) std::this_thread::yield();
    });
    while (stage < 1) std::this_thread::yield();
    if (stops_before) profiler->stop();
    stage = 2;
    thread.join();
    CHECK(profiler->table().size() == 1);  // LeakSanitizer sees what stays behind
  }
}

uint8_t modes() {
  return static_cast<uint8_t>(detail::watching | (is_grad_enabled() ? 64 : 0) | (is_inference_mode() ? 128 : 0));
}

// Whether to record (64) is not told from outside while inference mode (128) records nothing.
uint8_t told(uint8_t modes) { return static_cast<uint8_t>(modes & 128 ? modes & ~64 : modes); }

// A scope that sets some modes; their bits and values, where `before` it those were set.
struct Scope {
  std::unique_ptr<NoGradGuard> no_grad;
  std::unique_ptr<EnableGradGuard> grad;
  std::unique_ptr<InferenceMode> inference;
  std::unique_ptr<DetectAnomaly> anomaly;
  std::unique_ptr<RecordSources> sources;
  uint8_t mask = 0, values = 0;

  Scope(int kind, uint8_t before) {
    if (kind == 0) no_grad = std::make_unique<NoGradGuard>();
    if (kind == 1) grad = std::make_unique<EnableGradGuard>();
    if (kind == 2 || kind == 3) inference = std::make_unique<InferenceMode>(kind == 2);
    if (kind == 4 || kind == 5) anomaly = std::make_unique<DetectAnomaly>(kind == 4);
    if (kind == 6) sources = std::make_unique<RecordSources>();
    mask = kind < 2 ? 64 : kind < 4 ? 64 | 128 : kind < 6 ? 1 | 2 : 4;
    values = static_cast<uint8_t>(kind == 0   ? 0
                                  : kind == 1 ? 64
                                  : kind == 2 ? 128 | (before & 64)
                                  : kind == 3 ? 64
                                              : modes() & mask);
  }
};

TEST_CASE("what a thread switches on or off for a while may end in any order") {
  const uint8_t before = modes();
  std::mt19937 random(3);
  std::vector<Scope> open;
  uint8_t expected = before;
  for (int step = 0; step < 3000; ++step) {
    const auto draw = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    if (open.size() < 6 && (open.empty() || draw(2)))
      open.emplace_back(static_cast<int>(draw(7)), expected);
    else
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(draw(open.size())));
    expected = before;
    for (const Scope& scope : open) expected = static_cast<uint8_t>((expected & ~scope.mask) | scope.values);
    REQUIRE(modes() == told(expected));
  }
  while (!open.empty()) open.erase(open.begin());
  CHECK(modes() == before);
  auto guard = std::make_unique<NoGradGuard>();
  auto inference = std::make_unique<InferenceMode>();
  guard.reset();
  inference.reset();
  CHECK(exp(ones({1}).set_requires_grad()).requires_grad());
}

TEST_CASE("a guard made in inference mode holds once that has ended") {
  const Tensor x = ones({1}).set_requires_grad();
  const NoGradGuard around;
  auto inference = std::make_unique<InferenceMode>();
  {
    const EnableGradGuard recording;
    CHECK_FALSE(exp(x).requires_grad());
    inference.reset();
    CHECK(exp(x).requires_grad());
  }
  CHECK_FALSE(exp(x).requires_grad());
  // What no guard set, the mode's end puts back.
  inference = std::make_unique<InferenceMode>();
  set_grad_enabled(true);
  CHECK_FALSE(exp(x).requires_grad());
  inference.reset();
  CHECK_FALSE(exp(x).requires_grad());
}

TEST_CASE("a guard that ends on another thread than it began on ends the program") {
  if (test::under_thread_sanitizer())
    return test::left_out("the thread sanitizer may end a child that starts a thread");
  const pid_t child = fork();
  if (child == 0) {
    close(2);
    std::signal(SIGABRT, SIG_DFL);
    auto guard = std::make_unique<NoGradGuard>();
    std::thread([&] { guard.reset(); }).join();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
}

TEST_CASE("trace scopes may end in any order") {
  auto outer = std::make_unique<TraceScope>("outer"), inner = std::make_unique<TraceScope>("inner");
  outer.reset();
  const RecordSources sources;
  const Tensor x = ones({1}).set_requires_grad();
  CHECK_THAT(to_dot(exp(x)), ContainsSubstring("inner") && !ContainsSubstring("outer"));
  inner.reset();
  CHECK_THAT(to_dot(exp(x)), !ContainsSubstring("inner"));
}

}  // namespace test_cycles
