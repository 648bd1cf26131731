// Whichever request for memory fails, a save leaves the old file and nothing beside it, and a load gives nothing.
#include <limpid/core/io/pt.hpp>
#include <test_paths.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <new>

#include <limpid/tests/core/io/file_tests.hpp>

namespace test_allocations {

// Requests of this thread that succeed before all others fail; below 0: none fails.
thread_local int64_t left = -1;

}  // namespace test_allocations

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (test_allocations::left > 0) --test_allocations::left;
  if (test_allocations::left == 0) throw std::bad_alloc();
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace test_allocations {

using namespace limpid;

/// While it lives, this thread's request k and all after it fail.
struct Failing {
  explicit Failing(int64_t k) { left = k; }
  ~Failing() { left = -1; }
};

/// Calls f with each request failing in turn, and check after each failure.
void fail_each(const char* name, const std::function<void()>& f, const std::function<void()>& check) {
  int64_t k = 1;
  for (bool failed = true; failed; ++k) {
    INFO(name << ", request " << k);
    REQUIRE(k < 5000);
    failed = false;
    try {
      const Failing failing(k);
      f();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    if (failed) check();
  }
  CHECK(k > 5);
}

TEST_CASE("a save that runs out of memory leaves the old file and nothing else") {
  const Folder folder;
  const std::string path = folder / "x";
  const Tensor x = counting({3, 2}), old = counting({2});
  const TensorMap tensors = {{"a", x}, {"b", x}};
  const std::map<const char*, std::function<void()>> saves = {{"npy", [&] { save_npy(path, x); }},
                                                              {"npz", [&] { save_npz(path, tensors); }},
                                                              {"safetensors", [&] {
                                                                 save_safetensors(path, tensors, {{"key", "value"}});
                                                               }}};
  for (const auto& [name, save] : saves)
    for (const bool linked : {false, true}) {
      save_npy(path, old);
      const std::string before = read_bytes(path);
      if (linked) std::filesystem::create_hard_link(path, folder / "y");
      fail_each(name, save, [&] {
        CHECK(read_bytes(path) == before);
        CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1 + linked);
      });
      CHECK(read_bytes(path) != before);
      std::filesystem::remove(folder / "y");
    }
}

TEST_CASE("a load that runs out of memory gives nothing") {
  const Folder folder;
  const std::string path = folder / "x", torch = LIMPID_TEST_DATA "/torch/checkpoint.pt";
  save_npz(folder / "npz", {{"a", counting({3})}, {"b", counting({2}, int64)}});
  save_safetensors(folder / "safetensors", {{"a", counting({3})}, {"b", counting({2}, bfloat16)}});
  LeftOut left_out{{"before", ""}};
  TensorMap tensors{{"before", counting({1})}};
  const std::map<const char*, std::function<void()>> loads = {
      {"npz", [&] { tensors = load_npz(folder / "npz", left_out); }},
      {"safetensors", [&] { tensors = load_safetensors(folder / "safetensors", left_out); }},
      {"pt", [&] { tensors = load_pt(torch, left_out); }}};
  for (const auto& [name, load] : loads) {
    left_out = {{"before", ""}}, tensors = {{"before", counting({1})}};
    fail_each(name, load, [&] {
      CHECK(tensors.count("before"));
      CHECK(left_out.count("before"));
    });
    CHECK(!tensors.count("before"));
    CHECK(!left_out.count("before"));
  }
}

}  // namespace test_allocations
