#include <limpid/ops/detail/buffer.hpp>
#include <limpid/ops/detail/onednn.hpp>

namespace limpid::detail::onednn {

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

void Plan::run(dnnl::stream& stream, std::initializer_list<const float*> pointers) {
  const Buffer scratch(scratchpad_.get_desc().get_size());
  scratchpad_.set_data_handle(scratch.data());
  std::vector<Buffer> buffers;
  buffers.reserve(operands_.size());
  auto pointer = pointers.begin();
  for (Operand& x : operands_) {
    x.ours.set_data_handle(const_cast<float*>(*pointer++));
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

}  // namespace limpid::detail::onednn
