#include <cxxabi.h>
#include <limpid/autograd/detail/fit.hpp>
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/detail/values.hpp>
#include <limpid/autograd/function.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
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

/// y = x, where x depends on more than the tape knows. The first input is x; the others are what else it depends on:
/// who asks for a derivative by these is refused.
struct OffTapeNode final : Node {
  const char* function;
  const detail::RuleWords* words;
  std::size_t place;

  const char* name() const noexcept override { return function; }
  Tensors backward(const Tensors& dy) override {
    for (std::size_t i = 1; i < inputs().size(); ++i)
      if (needs(i)) refuse();
    Tensors dx(inputs().size());
    dx[0] = again(dy[0]);
    return dx;
  }
  Tensors jvp(const Tensors& dx) override {
    for (std::size_t i = 1; i < inputs().size(); ++i)
      if (dx[i].defined()) refuse();
    return {again(dx[0])};
  }

  static Tensor hide(const Tensor& x, const char* function, const detail::RuleWords& words, std::size_t place,
                     const std::vector<Edge>& hidden) {
    auto* node = new OffTapeNode;
    const Ref<Node> hold(node);
    node->function = function;
    node->words = &words;
    node->place = place;
    node->connect(x);
    for (const Edge& edge : hidden) node->connect(edge);
    node->start();
    Tensor y = x.detach();
    y.impl().is_view = true;  // what is written to it, x's history would not tell
    y.impl().epoch = x.impl().storage->epoch();
    node->attach(y);
    return y;
  }

 private:
  // What is left after one derivative depends on the same.
  Tensor again(const Tensor& x) const {
    if (!is_grad_enabled()) return x;
    return hide(x, function, *words, place, std::vector<Edge>(inputs().begin() + 1, inputs().end()));
  }
  [[noreturn]] void refuse() const {
    detail::throw_error<detail::OffTape>(
        function, ": expected a ", words->rule, " made of recorded ops, to be differentiated again, got one whose ",
        words->gives, " of ", words->of, ' ', place, " left the tape: it works on raw memory or detached tensors, or ",
        "is once_differentiable");
  }
};

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
  const Tensor wide = empty(x.shape(), float64), y = empty_like(x.detach());
  std::copy(values.begin(), values.end(), wide.data<double>());
  detail::copy_into(y, wide);
  return y;
}

// Whether some value followed a nudge of that size. One that jumped tells nothing: a comparison came out otherwise.
bool followed(const Values& from, const Values& to, double nudge) {
  for (std::size_t j = 0; j < from.size() && j < to.size(); ++j) {
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

/// What results of a rule depend on, by the tape and by trial. A gradient is linear in dy: unless it is zero it depends
/// on it. Of the saved tensors it may depend on none but by comparisons, as relu's does, so that the tape alone does
/// not tell.
class FunctionNode::TapeCheck {
 public:
  TapeCheck(FunctionNode& node, Rule rule, const Tensors& given) : node_(node), rule_(rule), given_(given) {
    for (const Tensor& x : given) given_edges_.push_back(edge_of(x));
    for (const auto& kept : node.context.saved_) {
      const Edge edge = kept->x.is_readable() ? edge_of(kept->x.get()) : Edge();
      if (!edge.node) continue;
      saved_edges_.push_back(edge);
      nudge_ = std::max(nudge_, nudge(kept->x.peek().dtype()));
    }
  }

  bool is_needless() const {
    return saved_edges_.empty() && std::none_of(given_edges_.begin(), given_edges_.end(),
                                                [](const Edge& edge) { return static_cast<bool>(edge.node); });
  }

  /// The sequence of all that is there before the rule runs: what it records has a higher one.
  uint64_t begin() {
    auto* mark = new OffTapeNode;
    const Ref<Node> hold(mark);
    for (const auto* edges : {&given_edges_, &saved_edges_})
      for (const Edge& edge : *edges)
        if (edge.node) mark->connect(edge);
    mark->start();
    return mark->sequence();
  }

  /// Ties the results to what they depend on out of sight.
  void finish(Tensors& results, uint64_t before) {
    for (std::size_t i = 0; i < results.size(); ++i) look(i, results[i], before);
    if (!std::any_of(suspects_.begin(), suspects_.end(), [](const Suspect& s) { return s.saved || !s.given.empty(); }))
      return;
    {
      const NoGradGuard off;
      const Generator state = default_generator();
      for (std::size_t k = 0; k < given_.size(); ++k) try_given(k);
      try_saved();
      default_generator() = state;
    }
    const bool is_pull = rule_ == &FunctionNode::pull;
    for (const Suspect& s : suspects_)
      if (!s.hidden.empty())
        results[s.place] = OffTapeNode::hide(results[s.place], node_.name(),
                                             is_pull ? detail::of_backward : detail::of_jvp, s.place, s.hidden);
  }

 private:
  /// A result whose tape lacks some of what was given, or all that was saved.
  struct Suspect {
    std::size_t place;
    std::vector<std::size_t> given;
    bool saved;
    std::vector<Edge> hidden;
  };

  void look(std::size_t i, const Tensor& y, uint64_t before) {
    if (!y.defined() || y.numel() == 0 || (rule_ == &FunctionNode::pull && !node_.needs(i))) return;
    const std::vector<Edge> ends = ends_of(y, before);
    const auto reaches = [&](const Edge& edge) {
      return std::any_of(ends.begin(), ends.end(),
                         [&](const Edge& end) { return end.node == edge.node && end.index == edge.index; });
    };
    Suspect suspect{
        i, {}, !saved_edges_.empty() && std::none_of(saved_edges_.begin(), saved_edges_.end(), reaches), {}};
    for (std::size_t k = 0; k < given_.size(); ++k)
      if (given_edges_[k].node && !reaches(given_edges_[k])) suspect.given.push_back(k);
    suspects_.push_back(std::move(suspect));
  }

  // Random numbers for each of what was given, or for the k-th alone.
  Tensors trial(std::size_t k) {
    constexpr uint64_t seed = 1;
    detail::Cotangents random(seed);
    Tensors xs;
    for (std::size_t i = 0; i < given_.size(); ++i) {
      xs.push_back(given_[i].defined() ? random.like(given_[i]) : Tensor());
      if (k != all && i != k && xs[i].defined()) detail::fill(xs[i], 0);
    }
    return xs;
  }

  void try_given(std::size_t k) {
    const auto lacks = [&](const Suspect& s) { return std::find(s.given.begin(), s.given.end(), k) != s.given.end(); };
    if (std::none_of(suspects_.begin(), suspects_.end(), lacks)) return;
    const Tensors found = (node_.*rule_)(trial(k));
    for (Suspect& s : suspects_) {
      if (!lacks(s) || s.place >= found.size() || !found[s.place].defined()) continue;
      const Values values = detail::values_of(found[s.place]);
      if (std::any_of(values.begin(), values.end(), [](double v) { return v != 0; }))
        s.hidden.push_back(given_edges_[k]);
    }
  }

  void try_saved() {
    if (std::none_of(suspects_.begin(), suspects_.end(), [](const Suspect& s) { return s.saved; })) return;
    const Tensors here = (node_.*rule_)(trial(all));
    Tensors near;
    bool refused = false;  // it looks at the values
    node_.context.moved_ = true;
    try {
      near = (node_.*rule_)(trial(all));
    } catch (const std::exception&) {
      refused = true;
    }
    node_.context.moved_ = false;
    for (Suspect& s : suspects_) {
      if (!s.saved || s.place >= here.size() || !here[s.place].defined()) continue;
      const bool depends = refused || s.place >= near.size() || !near[s.place].defined() ||
                           followed(detail::values_of(here[s.place]), detail::values_of(near[s.place]),
                                    std::max(nudge_, nudge(here[s.place].dtype())));
      if (depends) s.hidden.insert(s.hidden.end(), saved_edges_.begin(), saved_edges_.end());
    }
  }

  static constexpr std::size_t all = ~std::size_t{0};
  FunctionNode& node_;
  Rule rule_;
  const Tensors& given_;
  std::vector<Edge> given_edges_, saved_edges_;  // of what requires a gradient
  double nudge_ = 0;
  std::vector<Suspect> suspects_;
};

Tensors FunctionNode::checked(Rule rule, const Tensors& given) {
  TapeCheck check(*this, rule, given);
  if (check.is_needless()) return (this->*rule)(dense(given));
  const uint64_t before = check.begin();
  Tensors results = (this->*rule)(dense(given));
  check.finish(results, before);
  return results;
}

Tensors FunctionNode::backward(const Tensors& dy) {
  const GradGuard mode(!once_ && is_grad_enabled());
  return pull(dense(dy));
}

Tensors FunctionNode::recorded_backward(const Tensors& dy) {
  if (!once_) return checked(&FunctionNode::pull, dy);
  std::vector<Edge> hidden;
  for (const Tensor& g : dy)
    if (const Edge edge = edge_of(g); edge.node) hidden.push_back(edge);
  for (const Edge& edge : inputs())
    if (edge.node) hidden.push_back(edge);
  Tensors dx = backward(dy);
  for (std::size_t i = 0; i < dx.size(); ++i)
    if (dx[i].defined()) dx[i] = OffTapeNode::hide(dx[i].detach(), name_, detail::of_backward, i, hidden);
  return dx;
}

Tensors FunctionNode::jvp(const Tensors& dx) {
  if (!has_push()) return Node::jvp(dx);
  return is_grad_enabled() ? checked(&FunctionNode::push, dx) : push(dense(dx));
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

const char* FunctionNode::type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                        std::free);
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::lock_guard lock(mutex);
  return names.emplace(status == 0 ? readable.get() : type.name()).first->c_str();
}

}  // namespace limpid
