#include <limpid/autograd/function.hpp>

#include <limpid/autograd/detail/fit.hpp>
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/detail/values.hpp>
#include <limpid/core/detail/demangle.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/rewind.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace limpid {

using detail::Values;

namespace {

Tensors dense(Tensors xs) {
  for (Tensor& x : xs)
    if (x.defined() && !x.is_contiguous()) x = x.contiguous();
  return xs;
}

Edge edge_of(const Tensor& x) {
  return x.defined() && x.requires_grad() ? Edge{Ref<Node>(grad_node(x)), x.impl().grad_index} : Edge();
}

/// Stands in the order of nodes, and for nothing else.
struct MarkNode final : Node {
  const char* name() const noexcept override { return "mark"; }
  Tensors backward(const Tensors&) override { return {}; }
};

// The sequence of a node above all of these: what is recorded from now on has a higher one.
uint64_t mark_after(const std::vector<Edge>& some, const std::vector<Edge>& others) {
  auto* mark = new MarkNode;
  const Ref<Node> hold(mark);
  for (const auto* edges : {&some, &others})
    for (const Edge& edge : *edges)
      if (edge.node) mark->connect(edge);
  mark->start();
  return mark->sequence();
}

// The edges along which y reaches what was recorded up to `before`.
std::vector<Edge> ends_of(const Tensor& y, uint64_t before) {
  std::vector<Edge> ends;
  const auto note = [&](const Edge& edge) {
    if (edge.node && edge.node->sequence() <= before) ends.push_back(edge);
  };
  note(edge_of(y));
  detail::walk({y}, [&](const Node* node) {
    if (node->sequence() <= before) return false;
    for (const Edge& edge : node->inputs()) note(edge);
    return true;
  });
  return ends;
}

// How far values are moved, relatively, to see what depends on them.
double nudge(DType dtype) { return std::sqrt(detail::epsilon(dtype)); }

Tensor moved(const Tensor& x) {
  Values values = detail::values_of(x);
  const double size = detail::scale_of(values);
  for (double& v : values) v += nudge(x.dtype()) * (v == 0 ? size : v);
  return detail::tensor_of(values, x);
}

// Whether some value followed a nudge of that size. One that jumped tells nothing: a comparison came out otherwise.
bool followed(const Values& from, const Values& to, double nudge) {
  if (from.size() != to.size()) return true;
  for (std::size_t j = 0; j < from.size(); ++j) {
    if (from[j] == to[j] || (std::isnan(from[j]) && std::isnan(to[j]))) continue;
    const double size = std::max(std::abs(from[j]), std::abs(to[j]));
    if (!(std::abs(to[j] - from[j]) > std::max(std::sqrt(nudge) * size, 16 * nudge))) return true;
  }
  return false;
}

}  // namespace

Tensor Context::saved(std::size_t i) const {
  if (i >= saved_.size())
    detail::throw_error<AutogradError>(node_ ? node_->name() : "saved", ": expected an index below ", saved_.size(),
                                       ", the number of saved tensors, got ", i);
  const Tensor x = saved_[i]->x;
  return moved_ && x.requires_grad() ? moved(x) : x;
}

/// y = x for a result x of a rule that may depend on more than the tape knows. The first input is x, the others are
/// what else it may depend on: some of what the rule was given, and then what it saved. Who asks for a derivative by
/// these is refused, unless x does not depend on them after all. That is found out by trial, once someone asks. A
/// gradient is linear in dy: unless it is zero it depends on it. On what was saved it may depend by comparisons alone,
/// as relu's.
class FunctionNode::Unseen final : public Node {
 public:
  /// What is the same for all results of one run of a rule.
  struct Run : RefCounted<Run> {
    void dispose() noexcept { delete this; }
    Ref<Node> keep;
    FunctionNode* function;
    Rule rule;
    bool is_pull, is_marked;
    std::vector<Node::Output> given;  ///< as outputs are, null where undefined
    std::vector<Edge> given_edges, saved_edges;
    double nudge = 0;
  };

  Node* kept_beside_inputs() const noexcept override { return run_->keep.get(); }

  static Tensor hide(const Tensor& x, const Ref<Run>& run, std::size_t place, std::vector<std::size_t> given,
                     bool saved) {
    auto* node = new Unseen(run, place, std::move(given), saved);
    const Ref<Node> hold(node);
    node->connect(x);
    for (std::size_t k : node->given_) node->connect(run->given_edges[k]);
    if (saved)
      for (const Edge& edge : run->saved_edges) node->connect(edge);
    node->start();
    Tensor y = x.detach();
    y.impl().is_view = true;  // what is written to it, x's history would not tell
    y.impl().epoch = x.impl().storage->epoch();
    node->attach(y);
    return y;
  }

  const char* name() const noexcept override { return run_->function->name(); }
  Tensors backward(const Tensors& dy) override {
    for (std::size_t i = 1; i < inputs().size(); ++i)
      if (needs(i)) require_independence(i);
    Tensors dx(inputs().size());
    dx[0] = again(dy[0]);
    return dx;
  }
  Tensors jvp(const Tensors& dx) override {
    for (std::size_t i = 1; i < inputs().size(); ++i)
      if (dx[i].defined()) require_independence(i);
    return {dx[0].defined() ? again(dx[0]) : dx[0]};
  }

 private:
  Unseen(const Ref<Run>& run, std::size_t place, std::vector<std::size_t> given, bool saved)
      : run_(run),
        place_(place),
        given_(std::move(given)),
        saved_(saved),
        is_independent_(given_.size() + 1) {}

  // What is left after one derivative depends on the same.
  Tensor again(const Tensor& x) const { return is_grad_enabled() ? hide(x, run_, place_, given_, saved_) : x; }

  void require_independence(std::size_t input) {
    const std::size_t source = std::min(input - 1, given_.size());
    if (!is_independent_[source]) is_independent_[source] = !run_->is_marked && try_source(source);
    if (is_independent_[source]) return;
    const detail::RuleWords& words = run_->is_pull ? detail::of_backward : detail::of_jvp;
    detail::throw_error<detail::OffTape>(
        name(), ": expected a ", words.rule, " made of recorded ops, to be differentiated again, got one ",
        run_->is_marked ? "that is marked once_differentiable: the "
                        : "that leaves the tape: by raw memory or detached tensors, the ",
        words.gives, " of ", words.of, ' ', place_, " depends on what it does not show");
  }

  bool try_source(std::size_t source) {
    const NoGradGuard off;
    const detail::GeneratorScope random(default_generator());
    struct Unmoved {
      Context& context;
      ~Unmoved() { context.moved_ = false; }
    } const unmoved{run_->function->context};
    try {
      if (source < given_.size()) {
        const Values alone = trial(given_[source]);
        return std::all_of(alone.begin(), alone.end(), [](double v) { return v == 0; });
      }
      const Values here = trial(all);
      run_->function->context.moved_ = true;
      return !followed(here, trial(all), run_->nudge);
    } catch (const MemoryError&) {
      throw;
    } catch (const std::exception&) {  // it looks at the values, or what it saved is gone
      return false;
    }
  }

  // The result for random numbers in place of all that was given, or of the k-th alone.
  Values trial(std::size_t k) const {
    constexpr uint64_t seed = 1;
    detail::Cotangents random(seed);
    Tensors xs;
    for (std::size_t i = 0; i < run_->given.size(); ++i) {
      const Output& like = run_->given[i];
      xs.push_back(like.layout ? random.like(zeros(like.shape(), like.dtype)) : Tensor());
      if (k != all && i != k && xs[i].defined()) detail::fill(xs[i], 0);
    }
    const Tensors found = (run_->function->*run_->rule)(xs);
    return place_ < found.size() && found[place_].defined() ? detail::values_of(found[place_]) : Values();
  }

  static constexpr std::size_t all = ~std::size_t{0};
  Ref<Run> run_;
  std::size_t place_;
  std::vector<std::size_t> given_;  ///< of what the rule was given, what the tape of x lacks
  bool saved_;                      ///< it lacks all that was saved
  std::vector<bool> is_independent_;
};

Tensors FunctionNode::checked(Rule rule, bool is_pull, const Tensors& given) {
  Ref<Unseen::Run> run(new Unseen::Run);
  run->is_marked = once_ && is_pull;
  for (const Tensor& x : given) {
    run->given_edges.push_back(edge_of(x));
    run->given.push_back(x.defined() ? Output{x.impl().layout, x.dtype()} : Output{});
  }
  for (const auto& kept : context.saved_) {
    if (run->is_marked || !kept->x.is_readable()) continue;
    run->saved_edges.push_back(edge_of(kept->x.get()));
    run->nudge = std::max(run->nudge, nudge(kept->x.peek().dtype()));
  }
  if (run->is_marked) run->saved_edges.assign(inputs().begin(), inputs().end());
  std::erase_if(run->saved_edges, [](const Edge& edge) { return !edge.node; });
  const auto ends_there = [](const Edge& edge) { return static_cast<bool>(edge.node); };
  if (run->saved_edges.empty() && std::none_of(run->given_edges.begin(), run->given_edges.end(), ends_there))
    return (this->*rule)(dense(given));
  const uint64_t before = mark_after(run->given_edges, run->saved_edges);
  run->keep = Ref<Node>(this);
  run->function = this;
  run->rule = rule;
  run->is_pull = is_pull;
  Tensors results = run->is_marked ? backward(given) : (this->*rule)(dense(given));
  if (is_pull) detail::require_count(*this, detail::of_backward, inputs().size(), results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    Tensor& y = results[i];
    if (!y.defined() || y.numel() == 0 || (is_pull && !needs(i))) continue;
    if (run->is_marked) y = y.detach();
    const std::vector<Edge> ends = ends_of(y, before);
    const auto lacks = [&](const Edge& edge) {
      return std::none_of(ends.begin(), ends.end(),
                          [&](const Edge& end) { return end.node == edge.node && end.index == edge.index; });
    };
    std::vector<std::size_t> lacking;
    for (std::size_t k = 0; k < given.size(); ++k)
      if (run->given_edges[k].node && lacks(run->given_edges[k])) lacking.push_back(k);
    const auto& saved = run->saved_edges;
    const bool lacks_saved = !saved.empty() && std::all_of(saved.begin(), saved.end(), lacks);
    run->nudge = std::max(run->nudge, nudge(y.dtype()));
    if (!lacking.empty() || lacks_saved) y = Unseen::hide(y, run, i, std::move(lacking), lacks_saved);
  }
  return results;
}

Tensors FunctionNode::backward(const Tensors& dy) {
  const GradGuard mode(!once_ && is_grad_enabled());
  return pull(dense(dy));
}

Tensors FunctionNode::recorded_backward(const Tensors& dy) { return checked(&FunctionNode::pull, true, dy); }

Tensors FunctionNode::jvp(const Tensors& dx) {
  if (!has_push()) return Node::jvp(dx);
  return is_grad_enabled() ? checked(&FunctionNode::push, false, dx) : push(dense(dx));
}

void FunctionNode::finish(Tensors& ys, const Tensors& xs) {
  start();
  for (Tensor& y : ys) {
    if (!y.defined() || !is_floating_point(y.dtype()))
      detail::throw_error<AutogradError>(name_, ": expected floating-point results from forward, got ",
                                         y.defined() ? to_string(y.dtype()) : "an undefined tensor");
    // A forward may return an argument, which has a history of its own.
    const bool is_argument =
        y.requires_grad() || std::any_of(xs.begin(), xs.end(), [&](const Tensor& x) { return x.is_same(y); });
    if (!is_argument) continue;
    const uint32_t epoch = y.impl().storage->epoch();
    y = y.detach();
    y.impl().is_view = true;
    y.impl().epoch = epoch;
  }
  context.node_ = this;
  for (Tensor& y : ys) attach(y);
  for (const Tensor& x : context.to_save_) {
    context.saved_.emplace_back(new Context::Kept(*this));
    context.saved_.back()->x = x;
  }
  context.to_save_.clear();
}

// As long as the process lives, and made when the library is loaded (see core/detail/fork.hpp).
static detail::ForkMutex names_mutex(1);
static auto& names = *new std::set<std::string>;

const char* FunctionNode::type_name(const std::type_info& type) {
  std::string name = detail::demangled(type.name());
  const std::lock_guard lock(names_mutex);
  return names.insert(std::move(name)).first->c_str();
}

}  // namespace limpid
