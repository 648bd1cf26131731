#include <limpid/ops/product/detail/onednn.hpp>

#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/ops/product/detail/bfloat16.hpp>
#include <limpid/ops/product/detail/buffer.hpp>

#include <algorithm>

namespace limpid::detail {
namespace onednn {

using dnnl::memory;

dnnl::primitive_attr plan_attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

Plan::Plan(const dnnl::engine& engine, const dnnl::primitive& primitive, const memory::desc& scratchpad)
    : engine_(engine),
      primitive_(primitive),
      scratchpad_(scratchpad, engine, nullptr) {
  args_.emplace(DNNL_ARG_SCRATCHPAD, scratchpad_);
}

void Plan::add(int arg, const memory::desc& ours, const memory::desc& theirs, bool is_output) {
  Operand x{is_output, memory(ours, engine_, nullptr), {}, {}};
  if (ours != theirs) {
    x.theirs = memory(theirs, engine_, nullptr);
    x.reorder = is_output ? dnnl::reorder(x.theirs, x.ours) : dnnl::reorder(x.ours, x.theirs);
  }
  args_.emplace(arg, x.reorder ? x.theirs : x.ours);
  operands_.push_back(std::move(x));
}

void Plan::run(dnnl::stream& stream, std::initializer_list<const void*> pointers) {
  const Buffer scratch(scratchpad_.get_desc().get_size());
  scratchpad_.set_data_handle(scratch.data());
  std::vector<Buffer> buffers;
  buffers.reserve(operands_.size());
  auto pointer = pointers.begin();
  for (Operand& x : operands_) {
    x.ours.set_data_handle(const_cast<void*>(*pointer++));
    if (!x.reorder) continue;
    buffers.emplace_back(x.theirs.get_desc().get_size());
    x.theirs.set_data_handle(buffers.back().data());
    if (!x.is_output) x.reorder.execute(stream, x.ours, x.theirs);
  }
  primitive_.execute(stream, args_);
  for (Operand& x : operands_)
    if (x.reorder && x.is_output) x.reorder.execute(stream, x.theirs, x.ours);
  stream.wait();
}

namespace {

thread_local constinit bool over = false;  // nothing destroys it
struct End {
  ~End() { over = true; }
};

// The thread that loads the library is the one that ends the process, whether it has plans or not.
const bool watched = [] {
  thread_local const End end;
  static_cast<void>(end);
  return true;
}();

}  // namespace

bool is_over() noexcept { return over; }

struct Plans::Entry {
  std::uint64_t last_use;
  Plan plan;
};

Plans::Plans() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}
Plans::~Plans() { over = true; }

std::size_t Plans::next_place() const noexcept {
  if (entries_.size() < capacity) return entries_.size();
  const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                       [](const Entry& a, const Entry& b) { return a.last_use < b.last_use; });
  return static_cast<std::size_t>(oldest - entries_.begin());
}

void Plans::put(std::size_t place, Plan (*make)(const dnnl::engine&, const void*), const void* key) {
  Entry fresh{clock_, {}};
  try {
    const LibraryCall primitives;  // oneDNN keeps what it has made under a lock
    fresh.plan = make(engine_, key);
  } catch (const dnnl::error& e) {
    log_message(LogLevel::debug, "oneDNN refuses an operation: ", e.what());
  }
  if (place == entries_.size())
    entries_.push_back(std::move(fresh));
  else
    entries_[place] = std::move(fresh);
}

Plan& Plans::use(std::size_t place) noexcept {
  entries_[place].last_use = ++clock_;
  return entries_[place].plan;
}

bool Plans::run(std::size_t place, std::initializer_list<const void*> pointers) {
  Plan& plan = use(place);
  if (!plan) return false;
  plan.run(stream_, pointers);
  return true;
}

}  // namespace onednn

bool multiplies_bfloat16() noexcept {
  if (onednn::is_over()) return false;
  static const bool has = [] {
    try {
      const LibraryCall primitives;
      using namespace onednn;
      const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
      const memory::desc square({16, 16}, memory::data_type::bf16, memory::format_tag::ab);
      const auto product = describe<dnnl::matmul>(engine, plan_attributes(), square, square, square);
      return product && is_native_bfloat16(product.impl_info_str());
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return has;
}

}  // namespace limpid::detail
