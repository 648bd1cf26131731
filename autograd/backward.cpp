// What callers see of the engine: gradients of outputs, and the checks that come first.
#include <limpid/autograd/backward.hpp>

#include <limpid/autograd/detail/arithmetic.hpp>
#include <limpid/autograd/detail/engine.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/overlap.hpp>

#include <vector>

namespace limpid {

using detail::throw_error;

void detail::make_own(Tensors& xs) {
  for (Tensor& x : xs)
    if (x.defined() && !x.requires_grad() && (!x.is_unique() || overlaps_itself(x))) x = x.clone();
}

void detail::require_present(const Tensor& y, std::size_t i, const char* op) {
  if (y.impl().is_view && y.impl().epoch != y.impl().storage->epoch())
    throw_error<AutogradError>(op, ": expected outputs with a history of their present values, got view ", i,
                               " of shape ", y.shape(), " whose base was changed in place while recording");
}

namespace {

/// Outputs that are not recorded are constants: of gradient zero, where the caller takes undefined gradients for that.
enum class Constants { refused, refused_unless_allow_unused, allowed };

Tensor seed(const Tensor& y, const Tensors& dys, std::size_t i, const char* op, Constants constants) {
  if (!y.defined() || (!y.requires_grad() && constants != Constants::allowed))
    throw_error<AutogradError>(op, ": expected outputs computed from a tensor that requires a gradient, got output ", i,
                               y.defined() ? ", which is not recorded: a constant" : ", which is undefined",
                               y.defined() && constants == Constants::refused_unless_allow_unused
                                   ? "; pass allow_unused = true for an undefined gradient"
                                   : "");
  detail::require_present(y, i, op);
  const Tensor dy = dys.empty() ? Tensor() : dys[i];
  if (!dy.defined()) {
    if (y.numel() == 1) return ones_like(y.detach());
    throw_error<ShapeError>(op, ": expected a dy for an output with more than one element, got none for shape ",
                            y.shape());
  }
  if (dy.shape() != y.shape()) throw_error<ShapeError>(op, ": expected dy of shape ", y.shape(), ", got ", dy.shape());
  if (dy.dtype() != y.dtype()) throw_error<DTypeError>(op, ": expected dy of dtype ", y.dtype(), ", got ", dy.dtype());
  return dy;
}

void add_roots(Engine& engine, const Tensors& ys, const Tensors& dys, const char* op,
               Constants constants = Constants::refused) {
  if (ys.empty()) throw_error<ValueError>(op, ": expected at least one output, got none");
  if (!dys.empty() && dys.size() != ys.size())
    throw_error<ValueError>(op, ": expected one dy per output (", ys.size(), "), got ", dys.size());
  for (std::size_t i = 0; i < ys.size(); ++i)
    if (Tensor dy = seed(ys[i], dys, i, op, constants); ys[i].requires_grad()) engine.add_root(ys[i], std::move(dy));
}

// A leaf's gradient is its owner's to change: dense, and nobody else's memory.
Tensor own_gradient(const Tensor& g) {
  const bool dense = g.is_contiguous() || g.is_contiguous(MemoryFormat::channels_last);
  // One reference is the engine's.
  return dense && g.is_unique() ? g : g.clone();
}

}  // namespace

void backward(const Tensors& ys, const Tensors& dys, const GradOptions& options) {
  const InferenceMode off(false);  // checkpoints record anew, and gradients may be part of a graph
  const GradGuard mode(options.create_graph);
  Engine engine("backward");
  add_roots(engine, ys, dys, "backward");
  // Recorded gradients wait: what fails before all are there leaves no circle behind.
  std::vector<Ref<Node>> leaves;
  Tensors gradients;
  const auto gather = [](Node& leaf, const Tensor& g, Tensor (*make_own)(const Tensor&)) {
    static_cast<Leaf&>(leaf).gather(g, make_own);
  };
  const bool retain_graph = options.retain_graph || options.create_graph;
  if (!options.create_graph)
    return engine.run(retain_graph, [&](Node& node, const Tensors& dy) { gather(node, dy[0], own_gradient); });
  engine.run(retain_graph, [&](Node& node, const Tensors& dy) {
    leaves.emplace_back(&node);
    gradients.push_back(Node::without_owner(dy[0]));
  });
  Node::let_go_of_owners(gradients);
  for (std::size_t i = 0; i < leaves.size(); ++i) gather(*leaves[i], gradients[i], nullptr);
}

Tensors grad(const Tensors& ys, const Tensors& xs, const Tensors& dys, const GradOptions& options) {
  for (std::size_t i = 0; i < xs.size(); ++i)
    if (!xs[i].requires_grad())
      throw_error<AutogradError>("grad: expected inputs that require a gradient, got input ", i,
                                 xs[i].defined() ? ", which does not" : ", which is undefined");
  const InferenceMode off(false);
  const GradGuard mode(options.create_graph);
  Engine engine("grad");
  add_roots(engine, ys, dys, "grad",
            options.allow_unused ? Constants::allowed : Constants::refused_unless_allow_unused);
  engine.only_towards(xs);
  const auto require_use = [&](std::size_t i, bool used) {
    if (!used && !options.allow_unused)
      throw_error<AutogradError>("grad: expected outputs that depend on every input, got none for input ", i,
                                 " of shape ", xs[i].shape(), "; pass allow_unused = true for an undefined gradient");
  };
  for (std::size_t i = 0; i < xs.size(); ++i) require_use(i, engine.reaches(xs[i]));  // before the graph is used up
  Tensors result = engine.gradients(xs, options.retain_graph || options.create_graph);
  for (std::size_t i = 0; i < xs.size(); ++i) require_use(i, result[i].defined());
  detail::make_own(result);
  return result;
}

Tensors detail::grad_between(const Tensors& ys, const Tensors& xs, const Tensors& dys, bool create_graph) {
  const GradGuard mode(create_graph);
  Engine engine("grad");
  engine.end_at(xs);
  add_roots(engine, ys, dys, "grad");
  engine.only_towards(xs);
  return engine.gradients(xs, create_graph);
}

void Tensor::backward(const Tensor& dy) const { backward(dy, {}); }
void Tensor::backward(const Tensor& dy, const GradOptions& options) const {
  limpid::backward({*this}, dy.defined() ? Tensors{dy} : Tensors{}, options);
}

}  // namespace limpid
