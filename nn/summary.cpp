#include <limpid/nn/summary.hpp>

#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/rewind.hpp>
#include <limpid/nn/detail/derivation.hpp>
#include <limpid/nn/hooks.hpp>
#include <limpid/nn/report/table.hpp>

#include <algorithm>
#include <ostream>
#include <utility>

namespace limpid::nn {

namespace detail {

namespace {

using Entry = Access::State::Entry;

// The weights that a layer in a call multiplies by, whether they are its own or computed from others.
template <class F>
void for_each_weight(const Access::State& state, const F& f) {
  const auto is_source = [&](const Entry& entry) {
    return std::any_of(state.derived.begin(), state.derived.end(), [&](const Entry& derived) {
      const auto& sources = derived.slot->derivation->sources;
      return std::find(sources.begin(), sources.end(), entry.slot) != sources.end();
    });
  };
  for (const Entry& entry : state.parameters)
    if (!is_source(entry) && entry.slot->tensor.dim() > 1) f(entry.slot->tensor);
  for (const Entry& entry : state.derived)
    if (const Tensor* x = CallFrame::value_of(*entry.slot); x && x->dim() > 1) f(*x);
}

int64_t rows_of(const Tensor& x) {
  int64_t count = 1;
  for (int64_t a = 0; a + 1 < x.dim(); ++a) count *= x.size(a);
  return count;
}

int64_t multiply_adds(const Access::State& state, const Tensors& inputs, const Tensors& outputs) {
  const Tensor& x = inputs[0];
  int64_t count = 0;
  switch (state.work) {
    case Work::none: break;
    case Work::per_output:
      for_each_weight(state, [&](const Tensor& w) { count += outputs[0].numel() * (w.numel() / w.size(0)); });
      break;
    case Work::per_input:
      for_each_weight(state, [&](const Tensor& w) { count += x.numel() * (w.numel() / w.size(0)); });
      break;
    case Work::per_step: for_each_weight(state, [&](const Tensor& w) { count += rows_of(x) * w.numel(); }); break;
    case Work::attention:
    case Work::attention_batch_first: {
      // adapt() gives it one tensor; that it attends to itself is what is known then.
      const Tensor &key = inputs.size() > 1 ? inputs[1] : x, &value = inputs.size() > 2 ? inputs[2] : x;
      const int64_t e = x.size(-1), batch_axis = state.work == Work::attention ? 1 : 0;
      const int64_t keys = x.dim() == 2 ? key.size(0) : key.size(1 - batch_axis);
      count = rows_of(x) * e * e + rows_of(key) * key.size(-1) * e + rows_of(value) * value.size(-1) * e +
              2 * rows_of(x) * keys * e;
      break;
    }
  }
  return count;
}

}  // namespace

struct Summing::Notes {
  Summary summary;
  limpid::detail::GeneratorScope generator{default_generator()};
  NoGradGuard no_grad;
};

Summing::Summing(const Module& model, const std::type_info& type) : notes_(nullptr) {
  Access::name_type(model, type);
  auto notes = std::make_unique<Notes>();
  Summary& summary = notes->summary;
  const std::vector<NamedModule> modules = model.named_modules();
  summary.rows.reserve(modules.size());
  std::vector<const TensorImpl*> seen;
  for (const auto& [path, module] : modules) {
    const Access::State& state = Access::state(module);
    SummaryRow& row = summary.rows.emplace_back(SummaryRow{path, module.type(), {}});
    for (const auto* entries : {&state.parameters, &state.buffers})
      for (const Entry& entry : *entries) {
        const Tensor& x = entry.slot->tensor;
        if (std::find(seen.begin(), seen.end(), &x.impl()) != seen.end()) continue;
        seen.push_back(&x.impl());
        row.bytes += x.numel() * static_cast<int64_t>(x.itemsize());
        if (entries == &state.buffers) continue;
        row.parameters += x.numel();
        if (x.requires_grad()) summary.learned += x.numel();
      }
    summary.parameters += row.parameters;
    summary.bytes += row.bytes;
    register_forward_hook(module, [&row](const Module& called, const Tensors& inputs, const Tensors& outputs) {
      if (outputs[0].defined()) row.output = outputs[0].shape();
      row.multiply_adds += detail::multiply_adds(Access::state(called), inputs, outputs);
    });
  }
  Module(model).eval();
  notes_ = notes.release();
}
Summing::~Summing() { delete notes_; }

Summary Summing::result() const {
  Summary summary = notes_->summary;
  for (const SummaryRow& row : summary.rows) summary.multiply_adds += row.multiply_adds;
  return summary;
}

Summary Summing::result(const Tensor& output) {
  if (output.defined()) notes_->summary.rows[0].output = output.shape();
  return std::as_const(*this).result();
}

}  // namespace detail

std::string to_string(const Summary& summary) {
  report::Table table({"layer", "class", "output", "parameters", "bytes", "multiply-adds"});
  for (const SummaryRow& row : summary.rows)
    table.add({row.path, row.type, row.output ? limpid::detail::message(*row.output) : "", row.parameters, row.bytes,
               row.multiply_adds});
  table.add({"total", "", "", summary.parameters, summary.bytes, summary.multiply_adds});
  if (summary.learned != summary.parameters) table.add({"learned", "", "", summary.learned});
  return report::to_string(table);
}

std::ostream& operator<<(std::ostream& out, const Summary& summary) { return out << to_string(summary); }

}  // namespace limpid::nn
