// What every family does with oneDNN: plans, which are primitives with their operands, and a thread's store of them.
// All that differs between oneDNN's versions 2 and 3 is told apart here and in the families' own files about it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
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

/// Whether an implementation of oneDNN's multiplies bfloat16 by the processor's own instructions. Others are slower
/// than products of float32.
inline bool is_native_bfloat16(std::string_view implementation) noexcept {
  return implementation.find("avx512_core_bf16") != std::string_view::npos ||
         implementation.find("amx") != std::string_view::npos;
}

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
  void run(dnnl::stream& stream, std::initializer_list<const void*> pointers);

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

/// Whether this thread's plans have been destroyed, or are not to be made any more, for the thread is ending: that of
/// the process is done with them, and with what oneDNN keeps, before a program's statics are destroyed. What these
/// compute then goes without oneDNN.
bool is_over() noexcept;

/// What all stores of plans share: plans in places, without their keys.
class Plans {
 protected:
  Plans();
  ~Plans();
  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  /// Where the next plan goes: behind the others, or in the place of the one that was not used for longest.
  std::size_t next_place() const noexcept;
  /// Makes a plan there, an empty one where oneDNN has no such operation.
  void put(std::size_t place, Plan (*make)(const dnnl::engine& engine, const void* key), const void* key);
  Plan& use(std::size_t place) noexcept;
  bool run(std::size_t place, std::initializer_list<const void*> pointers);

 private:
  static constexpr std::size_t capacity = 256;
  struct Entry;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::vector<Entry> entries_;
  std::uint64_t clock_ = 0;
};

/// A thread's plans of one family, the most recent ones; each thread has its own, for a plan holds the pointers of a
/// call. A Key is all that a plan was made for, by make_plan.
template <class Key, Plan (*make_plan)(const dnnl::engine&, const Key&)>
class PlanCache : Plans {
 public:
  /// False, with nothing written, where oneDNN has no such operation.
  bool run(const Key& key, std::initializer_list<const void*> pointers) { return Plans::run(find(key), pointers); }

  bool is_steady(const Key& key) { return use(find(key)).steady; }

 private:
  std::size_t find(const Key& key) {
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (keys_[i] == key) return i;
    const std::size_t place = next_place();
    if (place == keys_.size()) keys_.reserve(place + 1);
    put(
        place, [](const dnnl::engine& engine, const void* k) { return make_plan(engine, *static_cast<const Key*>(k)); },
        &key);
    if (place == keys_.size())
      keys_.push_back(key);
    else
      keys_[place] = key;
    return place;
  }

  std::vector<Key> keys_;
};

}  // namespace limpid::detail::onednn
