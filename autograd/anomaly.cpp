#include <limpid/autograd/anomaly.hpp>

#include <execinfo.h>
#include <limpid/autograd/detail/extras.hpp>
#include <limpid/autograd/detail/values.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

namespace limpid {

LIMPID_FAST_TLS thread_local constinit uint8_t detail::watching = 0;

namespace {

LIMPID_FAST_TLS thread_local constinit TraceScope* innermost_scope = nullptr;

}  // namespace

TraceScope::TraceScope(const char* name, SourceLocation where) noexcept
    : name_(name),
      where_(where),
      outer_(innermost_scope) {
  innermost_scope = this;
}
TraceScope::~TraceScope() {
  // Wherever in the list it is: scopes on the heap may end out of turn.
  for (TraceScope** place = &innermost_scope; *place; place = &(*place)->outer_)
    if (*place == this) {
      *place = outer_;
      return;
    }
}

namespace detail {

void note_source(const Node& node) {
  Origin source;
  source.count = static_cast<std::size_t>(backtrace(source.calls.data(), static_cast<int>(source.calls.size())));
  bool knows_layer = false;
  for (const TraceScope* scope = innermost_scope; scope; scope = scope->outer()) {
    const bool is_layer = scope->where().line() == 0;
    if (is_layer && (knows_layer || !*scope->name())) continue;
    knows_layer |= is_layer;
    source.scopes += message(source.scopes.empty() ? "" : " in ", scope->name());
    if (!is_layer) source.scopes += message(" (", scope->where().file_name(), ':', scope->where().line(), ')');
  }
  ExtrasOfNodes::change(node, [&](Extras& extras) { extras.source = std::move(source); });
}

std::string source_of(const Node& node) {
  if (!node.has_extras()) return {};
  const Origin source = ExtrasOfNodes::look(node, [](const Extras& extras) { return extras.source; });
  const std::string line = source.count ? describe_calls(source) : std::string();
  if (source.scopes.empty()) return line;
  return line.empty() ? source.scopes : message(line, " in ", source.scopes);
}

namespace {

struct Bad {
  double value;
  std::string index;
};

std::optional<Bad> first_bad(const Tensor& x) {
  if (!x.defined() || !is_floating_point(x.dtype())) return std::nullopt;
  const Tensor wide = as_contiguous(as_dtype(x.detach(), float64));
  const double *first = wide.data<double>(), *last = first + wide.numel();
  const bool infinities = watching & watch_infinities;
  const double* bad =
      std::find_if(first, last, [=](double v) { return std::isnan(v) || (infinities && std::isinf(v)); });
  if (bad == last) return std::nullopt;
  return Bad{*bad, place(multi_index(bad - first, x.shape()))};
}

std::string recorded_at(const Node& node) {
  const std::string source = source_of(node);
  return source.empty() ? "" : "; recorded at " + source;
}

}  // namespace

void check_forward(const Node& node, const Tensor& y, std::initializer_list<const Tensor*> xs) {
  const std::optional<Bad> bad = first_bad(y);
  if (!bad) return;
  std::string cause;
  std::size_t i = 0;
  for (const Tensor* x : xs) {
    if (const std::optional<Bad> given = first_bad(*x); given && cause.empty())
      cause =
          message("; it was given ", given->value, " at ", given->index, " of operand ", i, " of shape ", x->shape());
    ++i;
  }
  throw_error<AutogradError>(node.name(), ": expected finite values, got ", bad->value, " at ", bad->index,
                             " of its result of shape ", y.shape(), cause, recorded_at(node));
}

void check_backward(const Node& node, const Tensors& dxs, const Tensors& dys) {
  for (std::size_t k = 0; k < dys.size(); ++k)
    if (const std::optional<Bad> bad = first_bad(dys[k]))
      throw_error<AutogradError>("backward of ", node.name(), ": expected finite gradients, got ", bad->value, " at ",
                                 bad->index, " of the dy of shape ", dys[k].shape(), " that it was given",
                                 recorded_at(node));
  for (std::size_t i = 0; i < std::min(dxs.size(), node.inputs().size()); ++i) {
    if (!node.needs(i)) continue;
    if (const std::optional<Bad> bad = first_bad(dxs[i]))
      throw_error<AutogradError>("backward of ", node.name(), ": expected finite gradients, got ", bad->value, " at ",
                                 bad->index, " of the gradient of operand ", i, " of shape ", dxs[i].shape(),
                                 recorded_at(node));
  }
}

void check_tangents(const Node& node, const Tensors& dys) {
  for (const Tensor& dy : dys)
    if (const std::optional<Bad> bad = first_bad(dy))
      throw_error<AutogradError>("jvp of ", node.name(), ": expected finite tangents, got ", bad->value, " at ",
                                 bad->index, " of that of its result of shape ", dy.shape(), recorded_at(node));
}

}  // namespace detail
}  // namespace limpid
