// What fails for want of memory leaves optimisers, loaders and modules as they were, whichever request it is that
// fails.
#include <limpid/core/detail/pool.hpp>
#include <limpid/limpid.hpp>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <optional>

#include "../catch.hpp"

namespace test_allocations {

// Requests of this thread that succeed before all others fail; below 0: none fails.
thread_local int64_t left = -1;

bool refused() noexcept {
  if (left > 0) --left;
  return left == 0;
}
void* from_system(std::size_t bytes, std::size_t alignment) noexcept {
  // aligned_alloc() wants a multiple of the alignment.
  return refused() ? nullptr : std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}
void* or_throw(void* p) { return p ? p : throw std::bad_alloc(); }

}  // namespace test_allocations

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return test_allocations::or_throw(test_allocations::from_system(bytes, alignof(std::max_align_t)));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return test_allocations::or_throw(test_allocations::from_system(bytes, static_cast<std::size_t>(alignment)));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return test_allocations::from_system(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { std::free(p); }

namespace test_allocations {

using namespace limpid;

// While it lives, this thread's request k and all after it fail, and none is served from what this thread gave back
// before; other threads give none back meanwhile.
class Failing {
 public:
  explicit Failing(int64_t k) noexcept : kept_(detail::thread_cache.free) {
    empty_cache();
    detail::thread_cache.free = {};
    left = k;
  }
  ~Failing() {
    left = -1;
    for (std::size_t i = 0; i < kept_.size(); ++i)
      while (detail::FreeBlock* block = detail::pop(detail::thread_cache.free[i])) detail::push(kept_[i], block);
    detail::thread_cache.free = kept_;
  }

 private:
  decltype(detail::thread_cache.free) kept_;
};

// All bits of a state that a caller could see.
using Bits = std::string;
void write(Bits& bits, const void* data, std::size_t size) { bits.append(static_cast<const char*>(data), size); }
void write(Bits& bits, const Tensor& x) {
  if (!x.defined()) return bits.push_back('-');
  const Tensor y = x.detach().clone();
  write(bits, y.raw_data(), static_cast<std::size_t>(y.numel()) * y.itemsize());
  bits += x.requires_grad() ? 'g' : 'c';
  if (x.requires_grad()) write(bits, x.grad());
}
void write(Bits& bits, const TensorMap& tensors) {
  for (const auto& [name, x] : tensors) {
    bits += name;
    write(bits, x);
  }
}
Bits bits_of(Generator& generator) {
  const uint64_t position = generator.advance(0);
  return {reinterpret_cast<const char*>(&position), sizeof position};
}
Bits bits_of(const nn::Module& module) {
  Bits bits;
  write(bits, module.state_dict());
  for (const Tensor& x : module.parameters()) write(bits, x);
  return bits + (module.is_training() ? 't' : 'e') + bits_of(default_generator());
}
Bits bits_of(const optim::Optimizer& optimizer) {
  Bits bits;
  write(bits, optimizer.state_dict());
  for (const Tensor& x : optimizer.parameters()) write(bits, x);
  return bits;
}

// For every k: op() on a fresh subject, whose k-th request for memory fails, changes nothing that bits_of() sees; the
// same op() again has the effect of one that was never disturbed. At least `fewest` requests must have been seen to
// fail.
template <class Make, class Op, class Look>
void keeps_all(const Make& make, const Op& op, const Look& look, int64_t fewest = 1) {
  auto calm = make();
  op(calm);
  const Bits expected = look(calm);
  for (int64_t k = 1;; ++k) {
    CAPTURE(k);
    auto subject = make();
    const Bits before = look(subject);
    bool failed = false;
    try {
      const Failing failing(k);
      op(subject);
    } catch (const std::bad_alloc&) {
      failed = true;
    } catch (const MemoryError&) {
      failed = true;
    }
    if (!failed) {
      CHECK((look(subject) == expected));
      CHECK(k > fewest);
      return;
    }
    REQUIRE((look(subject) == before));  // in parentheses: a failure does not print all the bits
    op(subject);
    REQUIRE((look(subject) == expected));
  }
}

// A net whose tensors are too large to share a block of memory with others.
struct Subject {
  nn::Sequential net;
  Tensor x = randn({4, 130});
};
Subject make_net() {
  manual_seed(7);
  return {nn::Sequential{nn::Linear(130, 130), nn::BatchNorm1d(130), nn::ReLU(), nn::Linear(130, 130)}};
}

struct Trained : Subject {
  std::optional<optim::Optimizer> optimizer;
};
template <class Make>
auto trained(const Make& make_optimizer, int steps) {
  return [=] {
    Trained trained{make_net(), {}};
    trained.optimizer.emplace(make_optimizer(trained.net.parameters()));
    for (int i = 0; i <= steps; ++i) {
      trained.optimizer->zero_grad();
      mean(square(trained.net(trained.x))).backward();
      if (i < steps) trained.optimizer->step();
    }
    return trained;
  };
}
const auto look_at_optimizer = [](const Trained& t) { return bits_of(*t.optimizer); };
const auto look_at_net = [](const Subject& s) { return bits_of(s.net); };

const auto sgd = [](const Tensors& p) { return optim::SGD(p, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}); };
const auto adam = [](const Tensors& p) { return optim::Adam(p, {.lr = 0.1, .amsgrad = true}); };
const auto adamw = [](const Tensors& p) { return optim::AdamW(p, {.lr = 0.1}); };

template <class Make>
void check_optimizer(const Make& make) {
  for (int steps : {0, 2}) {
    INFO("after " << steps << " steps");
    const auto start = trained(make, steps);
    keeps_all(
        start, [](Trained& t) { t.optimizer->step(); }, look_at_optimizer, steps ? 0 : 4);
    keeps_all(
        start, [](Trained& t) { t.optimizer->zero_grad(false); }, look_at_optimizer);
    keeps_all(
        start, [](Trained& t) { t.optimizer->zero_grad(); }, look_at_optimizer, 0);
    const TensorMap other = clone(trained(make, 3)().optimizer->state_dict());
    keeps_all(
        start, [&](Trained& t) { t.optimizer->load_state_dict(other); }, look_at_optimizer, 4);
    keeps_all(
        start, [](Trained& t) { t.optimizer->state_dict(); }, look_at_optimizer);
    keeps_all(
        start, [&](Trained& t) { t.optimizer.emplace(make(t.net.parameters())); }, look_at_net);
  }
}

TEST_CASE("requests fail where they are told to") {
  const Failing failing(2);
  CHECK_NOTHROW(::operator delete(::operator new(1)));
  CHECK_THROWS_AS(::operator new(1), std::bad_alloc);
  CHECK_THROWS_AS(zeros({200, 200}), std::bad_alloc);
}

TEST_CASE("an optimiser that lacks memory is as it was, and goes on") {
  SECTION("SGD") { check_optimizer(sgd); }
  SECTION("Adam") { check_optimizer(adam); }
  SECTION("AdamW") { check_optimizer(adamw); }
}

TEST_CASE("a step that must lay out anew and lacks memory is as it was") {
  const auto start = [] {
    Trained t = trained(adam, 2)();
    t.net.to(float64);
    return t;
  };
  keeps_all(
      start, [](Trained& t) { t.optimizer->step(); }, look_at_optimizer, 4);
}

TEST_CASE("a step of half precision that lacks memory is as it was, scaled or not") {
  struct Scaled : Trained {
    optim::GradScaler scaler;
  };
  const auto look = [](const Scaled& s) { return bits_of(*s.optimizer); };
  for (const DType dtype : {float16, bfloat16})
    for (const int steps : {0, 2}) {  // the gradients are float32's, converted
      const auto start = [&] {
        Scaled s{trained(adam, steps)(), optim::GradScaler()};
        s.net.to(dtype);
        s.scaler.scale(ones({}));
        return s;
      };
      keeps_all(
          start, [](Scaled& s) { s.optimizer->step(); }, look, 4);
      keeps_all(
          start, [](Scaled& s) { s.scaler.unscale_(*s.optimizer); }, look, 4);
      keeps_all(
          start, [](Scaled& s) { s.scaler.step(*s.optimizer); }, look, 4);
      keeps_all(
          start, [](Scaled& s) { optim::clip_grad_norm_(s.net.parameters(), 1e-3); }, look, 4);
    }
  keeps_all([] { return optim::GradScaler(); }, [](optim::GradScaler& s) { s.state_dict(); },
            [](const optim::GradScaler& s) { return std::to_string(s.get_scale()); });
}

TEST_CASE("a schedule that lacks memory is as it was") {
  struct Scheduled : Trained {
    std::optional<optim::StepLR> schedule;
  };
  const auto start = [] {
    Scheduled s{trained(sgd, 0)(), {}};
    s.schedule.emplace(*s.optimizer, optim::StepLROptions{.step_size = 1});
    return s;
  };
  const auto look = [](const Scheduled& s) {
    Bits bits = bits_of(*s.optimizer);
    write(bits, s.schedule->state_dict());
    return bits;
  };
  keeps_all(
      start, [](Scheduled& s) { s.schedule->step(); }, look, 0);
  keeps_all(
      start, [](Scheduled& s) { s.schedule->load_state_dict(s.schedule->state_dict()); }, look);
  keeps_all(
      trained(sgd, 0), [](Trained& t) { optim::CosineLR(*t.optimizer, {.total_steps = 3}).step(); }, look_at_optimizer);
}

TEST_CASE("a module that lacks memory is as it was, and goes on") {
  const TensorMap other = [] {
    Subject s = make_net();
    NoGradGuard no_grad;
    for (Tensor p : s.net.parameters()) p.mul_(2);
    return s.net.state_dict();
  }();
  TensorMap halves = other;
  for (auto& [name, x] : halves)
    if (x.dtype() == float32) x = x.to(float16);
  keeps_all(
      make_net, [&](Subject& s) { s.net.load_state_dict(other); }, look_at_net);
  keeps_all(
      make_net, [&](Subject& s) { s.net.load_state_dict(halves); }, look_at_net, 4);
  keeps_all(
      make_net, [](Subject& s) { s.net.load_state_dict(s.net.state_dict()); }, look_at_net, 4);
  keeps_all(
      make_net, [](Subject& s) { s.net.state_dict(); }, look_at_net);
  keeps_all(
      make_net, [](Subject& s) { nn::clone(s.net); }, look_at_net, 4);
  keeps_all(
      make_net, [](Subject& s) { s.net = nn::clone(s.net); }, look_at_net, 4);
  const nn::Linear layer(130, 130);
  keeps_all(
      make_net, [&](Subject& s) { s.net.append(nn::clone(layer)); }, look_at_net, 4);
  keeps_all(
      make_net, [](Subject& s) { s.net.append(relu); }, look_at_net);
  keeps_all(
      trained(sgd, 0), [](Trained& t) { t.net.to(float64); }, look_at_net, 4);
  keeps_all(
      make_net, [](Subject& s) { s.net.zero_grad(); }, look_at_net, 0);
  keeps_all(
      make_net, [](Subject& s) { s.net.eval(); }, look_at_net, 0);
}

TEST_CASE("a layer that could not be made, registered or called has drawn nothing") {
  struct Holder : nn::Module {
    using nn::Module::add;
    using nn::Module::buffer;
    using nn::Module::parameter;
  };
  const auto start = [] {
    manual_seed(3);
    return Holder();
  };
  const auto look = [](const Holder& h) { return bits_of(h); };
  keeps_all(
      start, [](Holder&) { nn::Linear(140, 140); }, look, 4);
  keeps_all(
      start, [](Holder&) { nn::Conv2d(30, 140, 3); }, look, 4);
  keeps_all(
      start, [](Holder&) { nn::Embedding(140, 140); }, look, 2);
  const nn::BatchNorm2d norm(140);
  keeps_all(
      start, [&](Holder& h) { h.add("norm", norm); }, look);
  keeps_all(
      start,
      [](Holder& h) {
        h.add("norm", nn::LayerNorm({140, 140}));
      },
      look, 2);
  keeps_all(
      start,
      [](Holder& h) {
        h.parameter("parameter", ones({140, 140}));
      },
      look);
  keeps_all(
      start,
      [](Holder& h) {
        h.buffer("buffer", zeros({140, 140}));
      },
      look);
  const Tensor x = ones({140, 140});
  keeps_all(
      start, [&](Holder&) { nn::Dropout(0.5)(x); }, look);
  Generator own(5);
  const Tensor leaf = ones({140, 140}).set_requires_grad();
  const nn::Dropout dropout(0.5, {.generator = &own});
  keeps_all(
      [&] {
        own.manual_seed(5);
        return checkpoint(dropout, leaf);
      },
      [&](const Tensor& y) { grad({sum(y)}, {leaf}, {}, {.retain_graph = true}); },
      [&](const Tensor&) { return bits_of(own); });
  keeps_all(
      start, [&](Holder&) { nn::init::orthogonal_(x); }, look);
  keeps_all(
      start, [&](Holder&) { nn::init::kaiming_uniform_(x); }, look);
  keeps_all(
      start, [&](Holder&) { nn::init::xavier_normal_(x); }, look);
}

TEST_CASE("a list that lacks memory is as it was") {
  struct Lists {
    nn::ModuleList<nn::Linear> list{nn::Linear(2, 2)};
    nn::ModuleDict<nn::Linear> dict{{"a", nn::Linear(2, 2)}};
    nn::ParameterList parameters{ones({2})};
  };
  const auto start = [] {
    manual_seed(3);
    return Lists();
  };
  const auto look = [](const Lists& l) {
    return bits_of(l.list) + bits_of(l.dict) + bits_of(l.parameters) +
           std::to_string(l.list.size() * 100 + l.dict.size() * 10 + l.parameters.size());
  };
  const nn::Linear layer(2, 2);
  const Tensor x = full({140, 140}, 3);
  keeps_all(
      start, [&](Lists& l) { l.list.append(layer); }, look, 3);
  keeps_all(
      start, [&](Lists& l) { l.dict.add("a name that is too long to be kept in a string", layer); }, look, 4);
  keeps_all(
      start, [&](Lists& l) { l.parameters.append(x); }, look, 3);
  keeps_all(
      start, [](Lists& l) { nn::clone(l.list); }, look, 4);
  keeps_all(
      start, [](Lists& l) { l.list.named_modules(); }, look, 1);
}

TEST_CASE("a module that could not be frozen, hooked or normalised for want of memory is as it was") {
  const auto frozen = [] {
    Subject s = make_net();
    s.net.freeze();
    return s;
  };
  keeps_all(
      make_net, [](Subject& s) { s.net.freeze(); }, look_at_net, 1);
  keeps_all(
      frozen, [](Subject& s) { s.net.unfreeze(); }, look_at_net, 2);
  const auto many = [] {  // whose leaves do not all come from one block of memory
    nn::ParameterList list;
    for (int i = 0; i < 600; ++i) list.append(zeros({1}));
    list.freeze();
    return list;
  };
  keeps_all(
      many, [](nn::ParameterList& list) { list.unfreeze(); },
      [](const nn::ParameterList& list) { return bits_of(list); }, 4);
  keeps_all(
      make_net, [](Subject& s) { nn::weight_norm(s.net.get_submodule("0")); }, look_at_net, 6);
  keeps_all(
      make_net, [](Subject& s) { nn::spectral_norm(s.net.get_submodule("0")); }, look_at_net, 6);
  const auto normed = [] {
    Subject s = make_net();
    nn::weight_norm(s.net.get_submodule("0"));
    nn::spectral_norm(s.net.get_submodule("3"));
    s.net.eval();
    return s;
  };
  keeps_all(
      normed, [](Subject& s) { nn::clone(s.net); }, look_at_net, 6);
  keeps_all(
      normed, [](Subject& s) { s.net(s.x); }, look_at_net, 6);
  keeps_all(
      normed, [](Subject& s) { s.net.to(float64); }, look_at_net, 4);
  keeps_all(
      normed, [](Subject& s) { nn::remove_weight_norm(s.net.get_submodule("0")); }, look_at_net, 2);
  keeps_all(
      normed, [](Subject& s) { nn::remove_spectral_norm(s.net.get_submodule("3")); }, look_at_net, 2);
  keeps_all(
      make_net, [](Subject& s) { nn::summary(s.net, s.x); }, look_at_net, 6);
  int calls = 0;
  const auto hook = [&](const nn::Module&, const Tensors&, const Tensor&) { ++calls; };
  keeps_all(
      make_net, [&](Subject& s) { nn::register_forward_hook(s.net, hook); }, look_at_net, 1);
  nn::Linear layer(2, 2);
  const int64_t before = calls;
  {
    const Failing failing(1);
    CHECK_THROWS_AS(nn::register_forward_hook(layer, hook), std::bad_alloc);
  }
  layer(ones({1, 2}));
  CHECK(calls == before);
}

TEST_CASE("a loader that lacks memory has drawn nothing") {
  const Tensor x = randn({40000, 1});
  for (const auto seed : {std::optional<uint64_t>(3), std::optional<uint64_t>()}) {
    const auto start = [&] {
      manual_seed(5);
      return data::DataLoader(x, {.batch_size = 20000, .shuffle = true, .seed = seed});
    };
    const auto look = [](const auto& loader) {  // the batches to come
      Bits bits;
      const Generator before = default_generator();
      auto copy = loader;
      for (const auto& [batch] : copy) write(bits, batch);
      default_generator() = before;
      return bits;
    };
    keeps_all(
        start, [](auto& loader) { loader.begin(); }, look);
    keeps_all(
        start,
        [](auto& loader) {
          const auto epoch = loader.begin();
          (void)epoch;
        },
        look);
  }
  const data::DataLoader loader(x, {.batch_size = 20000});
  const auto it = loader.begin();
  keeps_all([] { return 0; }, [&](int) { *it; }, [](int) { return Bits(); });
}

TEST_CASE("clipping that lacks memory changes no gradient") {
  keeps_all(
      trained(sgd, 0), [](Trained& t) { optim::clip_grad_norm_(t.net.parameters(), 1e-3); }, look_at_optimizer, 0);
}

}  // namespace test_allocations
