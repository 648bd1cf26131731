#include <limpid/autograd/checkpoint.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/detail/grad_between.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/pool.hpp>
#include <limpid/core/detail/rewind.hpp>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace limpid::detail {
namespace {

LIMPID_FAST_TLS thread_local constinit CheckpointRun* innermost_run = nullptr;

}  // namespace

CheckpointRun::CheckpointRun(Notes& first_notes) noexcept : first_notes_(&first_notes), outer_(innermost_run) {
  innermost_run = this;
}
CheckpointRun::CheckpointRun(const Notes& notes) : first_notes_(nullptr), rest_(notes), outer_(innermost_run) {
  innermost_run = this;
}
CheckpointRun::~CheckpointRun() { innermost_run = outer_; }

CheckpointRun* CheckpointRun::innermost() noexcept { return innermost_run; }

bool CheckpointRun::is_repeating() noexcept {
  const CheckpointRun* run = innermost_run;
  while (run && run->is_first()) run = run->outer_;
  return run;
}

void CheckpointRun::note(const void* key, const Tensor& x, const CheckpointRun* end) {
  for (CheckpointRun* run = innermost_run; run != end && run && run->is_first(); run = run->outer_)
    run->first_notes_->emplace_back(key, x);
}

const Tensor* CheckpointRun::recall(const void* key) noexcept {
  CheckpointRun* run = innermost_run;
  while (run && run->is_first()) run = run->outer_;
  return run ? run->next(key) : nullptr;
}

bool CheckpointRun::same(const void* key, bool now) {
  if (!innermost_run) return now;
  if (const Tensor* noted = recall(key)) now = noted->item<bool>();
  note(key, full({}, now, bool_));
  return now;
}

const Tensor* CheckpointRun::next(const void* key) noexcept {
  const auto found = std::find_if(rest_.begin(), rest_.end(), [&](const auto& entry) { return entry.first == key; });
  if (found == rest_.end()) return nullptr;
  found->first = nullptr;
  return &found->second;
}

namespace {

bool is_floating(const Tensor& x) { return x.defined() && is_floating_point(x.dtype()); }

// A tensor without values, to stand at the end of an edge where gradients are asked for.
Tensor end_of(const Edge& edge) {
  const Node::Output& output = edge.node->outputs()[edge.index];
  const Tensor x = make_view(empty({}, output.dtype), output.shape(), Strides(output.shape().size(), 0), 0);
  x.impl().is_view = false;
  x.impl().grad = Ref<GradHandle>(edge.node.get());
  x.impl().grad_index = edge.index;
  return x;
}

// Its inputs are xs, then the edges along which f reached what it captures.
struct CheckpointNode final : Node {
  Ref<KeptFunction> f;
  Generator generator;
  std::deque<Saved> xs;
  std::deque<Saved> captured;  // that ops of f have saved, as parameters of modules: they are to stay what they were
  CheckpointRun::Notes notes;
  const char* name() const noexcept override { return "checkpoint"; }

  // y = f(xs):  dx = J^T dy, by recording f anew.
  Tensors backward(const Tensors& dy) override {
    const bool create_graph = is_grad_enabled();
    Tensors again, ends;
    restart(again, ends);
    return pull(repeat(again), dy, ends, create_graph);
  }
  // dy = J dx, likewise.
  Tensors jvp(const Tensors& dx) override {
    const bool create_graph = is_grad_enabled();
    Tensors again, ends, moving, dxs;
    restart(again, ends);
    const Tensors ys = repeat(again);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (!ends[i].defined()) continue;
      moving.push_back(ends[i]);
      dxs.push_back(dx[i]);
    }
    return push_forward("checkpoint", ys, moving, dxs, create_graph);
  }

  // What f is to see again, and where its graph is to end: at the inputs whose gradients are needed.
  void restart(Tensors& again, Tensors& ends) const {
    for (const Saved& x : captured) x.get();  // refuses one that was changed
    for (const Saved& x : xs) again.push_back(x.get());
    for (std::size_t i = 0; i < inputs().size(); ++i) {
      if (i < again.size() && is_floating(again[i])) again[i] = needs(i) ? stand_in(again[i]) : again[i].detach();
      ends.push_back(!needs(i) ? Tensor() : i < again.size() ? again[i] : end_of(inputs()[i]));
    }
  }

  Tensors repeat(const Tensors& again) const {
    const EnableGradGuard recording;
    const GeneratorScope kept(default_generator());
    default_generator() = generator;
    const CheckpointRun run(std::as_const(notes));
    return (*f)(again);
  }

  Tensors pull(const Tensors& ys, const Tensors& dy, const Tensors& ends, bool create_graph) const {
    if (ys.size() != outputs().size())
      throw_error<AutogradError>("checkpoint: expected ", outputs().size(), " outputs from f again, got ", ys.size());
    Tensors roots, seeds, wanted;
    for (std::size_t k = 0; k < ys.size(); ++k) {
      if (!dy[k].defined()) continue;
      if (!ys[k].defined() || ys[k].shape() != dy[k].shape() || ys[k].dtype() != dy[k].dtype())
        throw_error<AutogradError>("checkpoint: expected output ", k, " of shape ", dy[k].shape(), " and ",
                                   dy[k].dtype(), " from f again, got ",
                                   ys[k].defined() ? message(ys[k].shape(), " and ", ys[k].dtype()) : "none");
      if (!ys[k].requires_grad()) continue;
      roots.push_back(ys[k]);
      seeds.push_back(dy[k]);
    }
    for (const Tensor& end : ends)
      if (end.defined()) wanted.push_back(end);
    Tensors dx(ends.size());
    if (roots.empty() || wanted.empty()) return dx;
    const Tensors found = grad_between(roots, wanted, seeds, create_graph);
    for (std::size_t i = 0, j = 0; i < ends.size(); ++i)
      if (ends[i].defined()) dx[i] = found[j++];
    return dx;
  }
};

// What f captured.
struct Captured {
  std::vector<Edge> edges;
  std::vector<std::pair<const char*, Tensor>> saved;  // those among them that ops of f have saved, and as what
};

// As edges from what f recorded to what was there before: to nodes of a sequence up to `before`, but for the stand-ins
// of its arguments.
Captured captured_by(const Tensors& ys, const Tensors& stand_ins, uint64_t before) {
  Captured captured;
  std::vector<Edge>& edges = captured.edges;
  const auto is_argument = [&](const Node* node) {
    for (const Tensor& x : stand_ins)
      if (x.requires_grad() && grad_node(x) == node) return true;
    return false;
  };
  const auto is_inside = [&](const Node& node) { return !node.is_leaf() && node.sequence() > before; };
  const auto capture = [&](const Edge& edge) {
    if (!edge.node || is_inside(*edge.node) || is_argument(edge.node.get())) return;
    for (const Edge& known : edges)
      if (known.node == edge.node && known.index == edge.index) return;
    edges.push_back(edge);
  };
  for (const Tensor& y : ys)
    if (y.requires_grad()) capture({Ref<Node>(grad_node(y)), y.impl().grad_index});
  walk(ys, [&](const Node* node) {
    if (!is_inside(*node) || is_argument(node)) return false;
    for (const Edge& edge : node->inputs()) capture(edge);
    node->for_each_saved([&](const Saved& saved) {
      const Tensor& x = saved.peek();
      if (!x.defined() || !x.requires_grad() || is_inside(*grad_node(x)) || is_argument(grad_node(x))) return;
      const auto is_known = [&](const auto& known) { return known.second.is_same(x); };
      if (std::none_of(captured.saved.begin(), captured.saved.end(), is_known))
        captured.saved.emplace_back(saved.name(), x);
    });
    return true;
  });
  return captured;
}

// y of a graph that is let go of, for a node of its own. What f was given, or captured, is seen through a view.
Tensor cut_off(const Tensor& y, bool is_own) {
  const Tensor z = y.detach();
  z.impl().is_view = y.impl().is_view || !is_own;
  z.impl().epoch = z.impl().storage->epoch();
  return z;
}

}  // namespace

Tensors checkpoint(const Ref<KeptFunction>& f, const Tensors& xs) {
  if (!is_grad_enabled()) return (*f)(xs);
  const Generator generator = default_generator();
  Tensors stand_ins = xs;
  for (Tensor& x : stand_ins)
    if (x.requires_grad()) x = x.detach().set_requires_grad();
  const uint64_t before = Node::clock();
  CheckpointRun::Notes notes;
  Tensors ys;
  {
    const CheckpointRun run(notes);
    ys = (*f)(stand_ins);
  }
  if (!any_requires_grad(ys)) return ys;

  auto* node = new CheckpointNode;
  const Ref<Node> hold(node);
  node->f = f;
  node->generator = generator;
  node->notes = std::move(notes);
  for (const Tensor& x : xs) node->connect(x);
  const Captured captured = captured_by(ys, stand_ins, before);
  for (const Edge& edge : captured.edges) node->connect(edge);
  node->start();
  for (const auto& [name, x] : captured.saved) node->captured.emplace_back(*node, name) = x;
  for (const Tensor& x : xs) node->xs.emplace_back(*node, "x") = x;
  for (Tensor& y : ys) {
    Tensor mine;
    if (y.requires_grad()) mine = y = cut_off(y, grad_node(y)->sequence() > before);
    node->attach(mine);
  }
  return ys;
}

}  // namespace limpid::detail
