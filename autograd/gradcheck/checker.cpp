#include <limpid/autograd/gradcheck/detail/checker.hpp>

#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/detail/forward.hpp>
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/overlap.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

namespace limpid::detail {
namespace {

bool is_checked(const Tensor& x) { return x.defined() && is_floating_point(x.dtype()); }

}  // namespace

Checker::Checker(const char* check, const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
                 const SourceLocation& where)
    : f_(f),
      inputs_(inputs),
      options_(options),
      rtol_(options.rtol) {
  report_.check = check;
  report_.file = where.file_name();
  report_.line = where.line();
  if (!(options.rtol >= 0) || std::isinf(options.rtol))
    throw_error<ValueError>(check, ": expected a finite rtol of at least 0, got ", options.rtol);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    if (x.defined() && overlaps_itself(x))
      throw_error<ValueError>(check, ": expected inputs that do not overlap themselves, got input ", i, " of shape ",
                              x.shape(), " with strides ", x.strides(), "; clone() it first");
    report_.inputs.emplace_back();
    report_.inputs[i].name = message("input ", i);
    if (x.defined()) report_.inputs[i].shape = x.shape();
    if (is_checked(x)) {
      report_.inputs[i].checked = true;
      checked_.push_back(i);
    }
    xs_.push_back(!x.defined() ? Tensor() : is_checked(x) ? copy_as(x, float64) : x.detach());
  }
  if (checked_.empty())
    throw_error<ValueError>(check, ": expected at least one floating-point input, got ", inputs.size(),
                            " inputs and none");
}

void Checker::name_inputs(std::vector<std::string> names) {
  for (std::size_t i = 0; i < names.size(); ++i) report_.inputs[i].name = std::move(names[i]);
}

GradcheckReport Checker::check() {
  try {
    prepare();
    for (std::size_t c = 0; c < checked_.size(); ++c) compare(c);
    if (options_.forward) check_forward();
    check_batch();
    check_shares();
    check_sizes();
    check_zero();
    check_repeatability();
    check_single_outputs();
    check_subsets();
    if (options_.layouts) check_layouts();
    check_low_precision();
  } catch (const OffTape& error) {
    problem(error.what());
  }
  conclude();
  return std::move(report_);
}

DType Checker::dtype_of_input(std::size_t i) const { return native_ ? inputs_[i].dtype() : DType::float64; }

Tensors Checker::called() const {
  Tensors xs = xs_;
  if (native_)
    for (std::size_t i : checked_) xs[i] = copy_as(xs[i], inputs_[i].dtype());
  return xs;
}

Tensors Checker::Recording::root_tensors() const {
  Tensors tensors;
  for (std::size_t k : roots) tensors.push_back(ys[k]);
  return tensors;
}

Checker::Recording Checker::record(const Tensors& xs, uint64_t required, uint64_t asked, std::size_t output) {
  const EnableGradGuard guard;
  Recording recording;
  Tensors arguments = xs;
  for (Tensor& x : arguments)
    if (x.defined()) x = x.detach();
  for (std::size_t c = 0; c < checked_.size(); ++c) {
    if (!has(required, c)) continue;
    arguments[checked_[c]].set_requires_grad();
    if (!has(asked, c)) continue;
    recording.leaves.push_back(arguments[checked_[c]]);
    recording.positions.push_back(c);
  }
  recording.ys = f_(arguments);
  require_same_outputs(recording.ys);
  for (std::size_t k = 0; k < recording.ys.size(); ++k) {
    if (recording.ys[k].requires_grad() && (output == all || output == k)) recording.roots.push_back(k);
  }
  return recording;
}

Checker::Gradients Checker::replay(const Recording& recording, const Tensors& seeds, bool retain_graph) const {
  Gradients gradients(checked_.size());
  if (recording.roots.empty()) return gradients;
  const Tensors dx =
      grad(recording.root_tensors(), recording.leaves, seeds, {.retain_graph = retain_graph, .allow_unused = true});
  for (std::size_t p = 0; p < recording.positions.size(); ++p)
    if (dx[p].defined()) gradients[recording.positions[p]] = values_of(dx[p]);
  return gradients;
}

Checker::Run Checker::run(const Tensors& xs, double weight, uint64_t required, uint64_t asked, std::size_t output) {
  const Recording recording = record(xs, required, asked, output);
  Tensors seeds;
  for (std::size_t k : recording.roots) {
    seeds.push_back(empty_like(recording.ys[k]));
    if (weight == 0)
      fill(seeds.back(), 0);
    else
      copy_into(seeds.back(), dys_[k]);
  }
  Run result{recording.ys, replay(recording, seeds), {}};
  if (!recording.roots.empty()) result.op = grad_node(recording.ys[recording.roots[0]])->name();
  return result;
}

void Checker::require_defined(const Tensor& y, std::size_t k) const {
  if (!y.defined()) throw_error<ValueError>(report_.check, ": expected defined outputs, got none for output ", k);
}

void Checker::require_same_outputs(const Tensors& ys) const {
  if (ys.size() != shapes_.size())
    throw_error<ValueError>(report_.check, ": expected ", shapes_.size(), " outputs from each call, got ", ys.size());
  for (std::size_t k = 0; k < ys.size(); ++k) {
    require_defined(ys[k], k);
    if (ys[k].shape() != shapes_[k] || is_floating_point(ys[k].dtype()) != dys_[k].defined())
      throw_error<ValueError>(report_.check, ": expected the same from each call, got ", output_name(k), " of shape ",
                              ys[k].shape(), " and ", ys[k].dtype(), " after one of shape ", shapes_[k],
                              dys_[k].defined() ? " of floating point" : "");
  }
}

Tensors Checker::first_call() {
  const NoGradGuard guard;
  const auto is_narrow = [&](std::size_t i) { return inputs_[i].dtype() != DType::float64; };
  if (std::none_of(checked_.begin(), checked_.end(), is_narrow)) return f_(xs_);
  try {
    return f_(xs_);
  } catch (const DTypeError&) {  // as of a constant in float32 among its operands
    native_ = true;
    for (std::size_t i : checked_)
      if (epsilon(inputs_[i].dtype()) > epsilon(report_.precision)) report_.precision = inputs_[i].dtype();
    return f_(called());
  }
}

void Checker::prepare() {
  const Tensors ys = first_call();
  double coarsest = epsilon(report_.precision);
  for (std::size_t k = 0; k < ys.size(); ++k) {
    require_defined(ys[k], k);
    shapes_.push_back(ys[k].shape());
    dys_.push_back({});
    if (!is_floating_point(ys[k].dtype())) continue;
    dys_[k] = cotangents_.like(ys[k]);
    coarsest = std::max(coarsest, epsilon(ys[k].dtype()));
  }
  epsilon_ = coarsest;
  if (coarsest > epsilon(float64)) rtol_ = std::max(rtol_, 3 * std::sqrt(coarsest));
  for (std::size_t k = 0; k < ys.size(); ++k) {
    begins_.push_back(dy_.size());
    if (!dys_[k].defined()) continue;
    const Values dy = values_of(dys_[k]), y = values_of(ys[k]);
    dy_.insert(dy_.end(), dy.begin(), dy.end());
    y_.insert(y_.end(), y.begin(), y.end());
  }
  begins_.push_back(dy_.size());
  measure_noise();
  reaches_.resize(checked_.size());
  first_ = run(called());
  if (report_.op.empty()) report_.op = first_.op.empty() ? "a function that records nothing" : first_.op;
  for (std::size_t c = 0; c < checked_.size(); ++c) {
    if (first_.dx[c].empty()) first_.dx[c].resize(static_cast<std::size_t>(x(c).numel()));
    scales_.push_back(scale_of(values_of(x(c))));
    references_.push_back(std::max(1.0, largest(y_)) / scales_[c]);
  }
}

// What moves y_j at the least is a rounding, of the inputs or of something on the way, where the least is not much:
// below a large constant nothing moves at first. Three times that is what the next size may add. What moves far more
// was at a jump.
void Checker::measure_noise() {
  noise_.resize(y_.size());
  std::vector<bool> known(y_.size());
  for (double by = 4; by * epsilon_ < 0x1p-16 && !std::all_of(known.begin(), known.end(), std::identity()); by *= 16) {
    const Values near = outputs_or_nan(jiggled(called(), by));
    for (std::size_t j = 0; j < y_.size(); ++j) {
      const double moved = std::abs(near[j] - y_[j]);
      if (known[j] || !(moved > 0)) continue;
      known[j] = noise_[j] > 0;
      noise_[j] = known[j] ? std::max(noise_[j], std::min(moved, 4 * noise_[j])) : moved;
    }
  }
  for (double& noise : noise_)
    if (noise > most_noise()) noise = 0;
}

void Checker::conclude() {
  std::size_t vacuous = 0;
  for (std::size_t i : checked_) {
    const GradcheckReport::Input& input = report_.inputs[i];
    report_.error = std::max(report_.error, input.error);
    vacuous += input.vacuous;
  }
  report_.vacuous = vacuous == checked_.size() || (vacuous > 0 && !some_gradient_only_);
  if (report_.vacuous && !options_.allow_vacuous)
    for (std::size_t c = 0; c < checked_.size(); ++c)
      if (report_.inputs[checked_[c]].vacuous)
        problem(message("vacuous: the gradient of ", name(c), " is zero whatever dy, which proves nothing"));
  report_.passed = report_.problems.empty();
  std::size_t failed = 0;
  bool kinks_alone = true, any_unsure = false;
  for (const GradcheckReport::Input& input : report_.inputs) {
    failed += !input.passed;
    kinks_alone = kinks_alone && input.wrong == input.wrong_at_kinks;
    any_unsure = any_unsure || (!input.passed && input.unsure > 0);
  }
  if (report_.vacuous && !options_.allow_vacuous) harmless_problems_ += vacuous;
  report_.at_kinks = !report_.passed && failed == report_.problems.size() && kinks_alone;
  report_.unsure = any_unsure && harmless_problems_ == report_.problems.size();
}

namespace {

/// The gradient of f as a function of inputs and cotangents.
struct Gradient {
  TensorFunction f;
  std::size_t inputs;
  std::vector<std::size_t> outputs;  ///< those that get a cotangent, in the order of the cotangents

  Tensors operator()(const Tensors& all) const {
    const bool create_graph = is_grad_enabled();
    const EnableGradGuard recording;
    Tensors xs, wanted;
    for (std::size_t i = 0; i < inputs; ++i) {
      xs.push_back(all[i]);
      if (!is_checked(xs[i])) continue;
      if (!xs[i].requires_grad()) xs[i] = xs[i].detach().set_requires_grad();
      wanted.push_back(xs[i]);
    }
    const Tensors ys = f(xs);
    Tensors roots, seeds;
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      if (!ys[outputs[k]].requires_grad()) continue;
      roots.push_back(ys[outputs[k]]);
      seeds.push_back(all[inputs + k].to(roots.back().dtype()));
    }
    Tensors dx(wanted.size());
    if (!roots.empty()) dx = grad(roots, wanted, seeds, {.create_graph = create_graph, .allow_unused = true});
    for (std::size_t i = 0; i < dx.size(); ++i)
      if (!dx[i].defined()) dx[i] = zeros_like(wanted[i].detach());
    return dx;
  }
};

}  // namespace

void TensorFunction::wrong_count(const char* op, std::size_t count) {
  throw_error<ValueError>(op, ": expected as many inputs as the function has parameters, got ", count);
}

GradcheckReport gradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
                          const SourceLocation& where) {
  return Checker("gradcheck", f, inputs, options, where).check();
}

GradcheckReport gradgradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
                              const SourceLocation& where) {
  const EnableGradGuard recording;
  Tensors xs;
  for (const Tensor& x : inputs) {
    xs.push_back(x.defined() ? x.detach() : x);
    if (is_checked(x)) xs[xs.size() - 1].set_requires_grad();
  }
  const Tensors ys = f(xs);
  Gradient gradient{f, inputs.size(), {}};
  Tensors all = inputs;
  Cotangents cotangents(options.seed + 1);
  std::vector<std::string> input_names, output_names;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    input_names.push_back(message("input ", i));
    if (is_checked(inputs[i])) output_names.push_back(message("the gradient of input ", i));
  }
  std::string op;
  for (std::size_t k = 0; k < ys.size(); ++k) {
    if (!ys[k].defined()) throw_error<ValueError>("gradgradcheck: expected defined outputs, got none for output ", k);
    if (!is_floating_point(ys[k].dtype())) continue;
    if (op.empty() && ys[k].requires_grad()) op = grad_node(ys[k])->name();
    gradient.outputs.push_back(k);
    all.push_back(cotangents.like(ys[k]));
    input_names.push_back(message("dy ", k));
  }
  Checker checker("gradgradcheck", TensorFunction(gradient, "gradgradcheck"), all, options, where);
  checker.name_inputs(std::move(input_names));
  checker.name_outputs(std::move(output_names));
  checker.name_op(std::move(op));
  checker.expect_some_gradient_only();
  GradcheckReport report = checker.check();
  if (report.passed && options.forward && report.precision == float64)
    check_mixed(report, f, inputs, gradient.outputs, options);
  return report;
}

}  // namespace limpid::detail
