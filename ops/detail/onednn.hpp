// What every family does with oneDNN: plans, which are primitives with their operands, and a thread's store of them.
// All that differs between oneDNN's versions 2 and 3 is told apart here and in the families' own files about it.
#pragma once
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/log.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

namespace limpid::detail::onednn {

/// Version 2 builds a primitive from an operation descriptor, version 3 at once. Both give an empty result where no
/// implementation fits.
template <class Primitive, class... Args>
typename Primitive::primitive_desc describe(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                            const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, args..., attr, true};
#else
  return {typename Primitive::desc(args...), attr, engine, true};
#endif
}
template <class Primitive, class Forward, class... Args>
typename Primitive::primitive_desc describe_backward(const dnnl::engine& engine, const dnnl::primitive_attr& attr,
                                                     const Forward& forward, const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, args..., forward, attr, true};
#else
  return {typename Primitive::desc(args...), attr, engine, forward, true};
#endif
}

/// Attributes of every primitive of a Plan: scratch memory is ours to give.
dnnl::primitive_attr plan_attributes();

/// A primitive with its operands: ours, and where oneDNN wants another layout, its own and the way between the two.
class Plan {
 public:
  Plan() = default;  // for what oneDNN does not have
  Plan(const dnnl::engine& engine, const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad);
  explicit operator bool() const noexcept { return static_cast<bool>(primitive_); }

  /// Whether the result is the same bits for any number of threads: set it false for what is known not to be.
  bool steady = true;

  void add_input(int arg, const dnnl::memory::desc& ours, const dnnl::memory::desc& theirs) {
    add(arg, ours, theirs, false);
  }
  void add_output(int arg, const dnnl::memory::desc& ours, const dnnl::memory::desc& theirs) {
    add(arg, ours, theirs, true);
  }

  /// One pointer per operand, in the order they were added.
  void run(dnnl::stream& stream, std::initializer_list<const float*> pointers);

 private:
  struct Operand {
    bool is_output;
    dnnl::memory ours, theirs;
    dnnl::reorder reorder;
  };

  void add(int arg, const dnnl::memory::desc& ours, const dnnl::memory::desc& theirs, bool is_output);

  dnnl::engine engine_;
  dnnl::primitive primitive_;
  dnnl::memory scratchpad_;
  std::unordered_map<int, dnnl::memory> args_;
  std::vector<Operand> operands_;
};

/// A thread's plans of one family, the most recent ones; each thread has its own, for a plan holds the pointers of a
/// call. A Key is all that a plan was made for.
template <class Key>
class PlanCache {
 public:
  using Make = Plan (*)(const dnnl::engine&, const Key&);
  explicit PlanCache(Make make) : make_(make) {}

  /// False, with nothing written, where oneDNN has no such operation.
  bool run(const Key& key, std::initializer_list<const float*> pointers) {
    Plan& plan = find(key);
    if (!plan) return false;
    plan.run(stream_, pointers);
    return true;
  }

  bool is_steady(const Key& key) { return find(key).steady; }

 private:
  static constexpr std::size_t capacity = 256;
  struct Entry {
    Key key;
    std::uint64_t last_use;
    Plan plan;
  };

  Plan& find(const Key& key) {
    ++clock_;
    for (Entry& entry : entries_)
      if (entry.key == key) {
        entry.last_use = clock_;
        return entry.plan;
      }
    Entry fresh{key, clock_, {}};
    try {
      const LibraryCall primitives;  // oneDNN keeps what it has made under a lock
      fresh.plan = make_(engine_, key);
    } catch (const dnnl::error& e) {
      log_debug("oneDNN refuses an operation: {}", e.what());
    }
    if (entries_.size() < capacity) return entries_.emplace_back(std::move(fresh)).plan;
    const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                         [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
    *oldest = std::move(fresh);
    return oldest->plan;
  }

  Make make_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<Entry> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace limpid::detail::onednn
