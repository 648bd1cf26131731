// The machinery of gradcheck.
#pragma once
#include <limpid/autograd/detail/values.hpp>
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/source_location.hpp>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <span>

namespace limpid::detail {

/// One check of one function. Perturbations and inner products happen on raw memory: no op has a say in what its own
/// gradient is compared with.
class Checker {
 public:
  Checker(const char* check, const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
          const SourceLocation& where);

  /// Names for messages.
  void name_inputs(std::vector<std::string> names);
  void name_outputs(std::vector<std::string> names) { output_names_ = std::move(names); }
  void name_op(std::string op) { report_.op = std::move(op); }
  /// Inputs without a gradient are fine as long as one has some.
  void expect_some_gradient_only() { some_gradient_only_ = true; }

  GradcheckReport check();

  /// One element of an input, and how far t moves it: p = x + t step. Derivatives are by what is measured in `unit`;
  /// along several elements at once, by t.
  struct Element {
    double* p;
    double x, step, unit;
    DType dtype;  ///< that f takes it in

    double at(double t) const { return round_to(x + t * step, dtype); }
  };
  using Motion = std::span<const Element>;

 private:
  /// Sets of checked inputs have a bit for each of the first 64; further ones are in all alone.
  static constexpr uint64_t all = ~uint64_t{0}, sets_hold = 64;
  static bool has(uint64_t set, std::size_t c) { return c < sets_hold ? set >> c & 1 : set == all; }

  /// One recorded run of f.
  struct Recording {
    Tensors ys;
    Tensors leaves;                      ///< whose gradients are asked for
    std::vector<std::size_t> positions;  ///< of the leaves among the checked inputs
    std::vector<std::size_t> roots;      ///< the outputs that are recorded, and get a cotangent
    Tensors root_tensors() const;
  };
  using Gradients = std::vector<Values>;  ///< per checked input; empty where undefined or not asked for
  struct Run {
    Tensors ys;
    Gradients dx;
    std::string op;
  };
  /// A derivative by finite differences.
  struct Slope {
    double value, error;
    double drift;      ///< of the difference over the smallest step from the value: large where rounding rules
    bool kink;         ///< there is none: left and right differ, by
    double jump;       ///< so much in all outputs together; infinite where the function itself jumps
    double reach = 1;  ///< of the element's step, what of it the function took as one piece
    /// By how much a derivative that may be off by `sure` may differ: by no more of the error than ten times that.
    double bound(double sure) const { return sure + std::min(error, 10 * sure); }
    /// Whether a derivative that the differences do not agree with is one from the left, from the right, or between.
    bool excuses(double analytic, double bound) const {
      if (std::isinf(jump)) return kink && std::isfinite(analytic);
      return kink && std::abs(analytic - value) <= 0.501 * jump + bound;
    }
  };
  class Descent;
  /// Of one comparison, from best to worst.
  enum class Verdict { right, kink, unsure, wrong };

  void prepare();
  Tensors first_call();
  /// One forward and backward, cotangents times weight (0 or 1). required, asked: subsets of the checked inputs;
  /// output: the one that gets its cotangent.
  Run run(const Tensors& xs, double weight = 1, uint64_t required = all, uint64_t asked = all,
          std::size_t output = all);
  Recording record(const Tensors& xs, uint64_t required = all, uint64_t asked = all, std::size_t output = all);
  /// The gradients for one cotangent per root.
  Gradients replay(const Recording& recording, const Tensors& seeds, bool retain_graph = false) const;
  /// xs_ as f takes it: in float64, or where f refuses that in the inputs' own dtypes.
  Tensors called() const;
  DType dtype_of_input(std::size_t i) const;
  void measure_noise();
  /// Beyond which no change of an output is rounding.
  double most_noise() const { return 64 * std::sqrt(epsilon_) * std::max(1.0, largest(y_)); }
  void require_defined(const Tensor& y, std::size_t k) const;
  /// Throws ValueError unless ys are as many as those of the first call, and of their shapes.
  void require_same_outputs(const Tensors& ys) const;
  void conclude();

  // descent.cpp

  /// The floating outputs at xs, one after the other; not numbers where f throws or gives another number of values, for
  /// that is outside its domain.
  Values outputs_or_nan(const Tensors& xs);
  Values outputs_or_nan() { return outputs_or_nan(called()); }  ///< at xs_ as it stands
  /// How well a derivative is to be known: the search stops once it is surer than rtol or atol, at the latest, unless
  /// there is more to find out, where it is as sure as the check needs.
  struct Wanted {
    double rtol, atol;
    double enough;     ///< an error that does
    double reference;  ///< the size of a derivative one would expect
  };
  /// How far an output may go while rounding holds it still, where numbers up to the size of the outputs, of 1 or of
  /// the given size are added up on the way.
  double held_by_rounding(double size) const { return 128 * epsilon_ * std::max({1.0, largest(y_), size}); }
  /// Whether t moves all elements of a motion in proportion, which rounding of a large one may prevent.
  bool is_exact(Motion motion, double t) const;
  /// The outputs at both ends of a motion.
  struct Pair {
    Values plus, minus;
    bool is_still(std::size_t k, const Values& y) const { return plus[k] == y[k] && minus[k] == y[k]; }
  };
  Pair outputs_beside(Motion motion, double t);
  /// What the differences of sum <y, dy> over one step show.
  struct Look {
    double difference = 0;
    double bend = 0;        ///< by how much the slopes from left and right differ in all outputs together
    double noise = 0;       ///< what rounding may have done to the difference at the most,
    double rounding = 0;    ///< and is likely to have done
    double change = 0;      ///< of the outputs, all together
    bool is_clear = false;  ///< whether that is far more than rounding
  };
  /// Looks at the values [begin, end) of the outputs along one motion, and remembers which have moved.
  class Observer {
   public:
    Observer(Checker& checker, Motion motion, std::size_t begin, std::size_t end)
        : checker_(checker),
          motion_(motion),
          begin_(begin),
          least_(end - begin, 0.0) {}
    Look look(double t);
    void forget() { least_.assign(least_.size(), 0.0); }
    bool has_seen_any_move() const {
      return std::any_of(least_.begin(), least_.end(), [](double least) { return least > 0; });
    }

   private:
    Checker& checker_;
    Motion motion_;
    std::size_t begin_;
    Values least_;  // by how much each output has moved at the least, 0 where not yet
  };
  static constexpr double farthest = 0x1p11, widest = 1.0 / 32;  // of all steps, and of those that a search begins by
  /// The verdict stands once so many are wrong beyond doubt.
  static constexpr int enough_wrong = 3;
  /// What of its step the smallest element of a motion that is not 0 has for its size, 1 at the most.
  static double own_size(Motion motion);
  /// The derivative of sum <y, dy> over the values [begin, end) of the outputs.
  Slope slope(Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted);

  // compare.cpp

  std::vector<Element> elements_of(std::size_t c);
  /// All elements at once, at random, each in proportion to its own size or to elements_of's.
  std::vector<Element> direction_of(std::size_t c, bool own_sizes);
  /// One derivative that backward gives, and the differences.
  struct Comparison {
    Motion motion;
    double analytic;
    double rtol;
    double least_scale;  ///< what errors are relative to, at the least
    double size;         ///< what the search for differences goes by,
    double enough;       ///< and an error of theirs that does
    double reference;    ///< the size of a derivative one would expect
    Slope slope{};
    Verdict verdict = Verdict::right;

    double scale() const { return std::max({std::abs(analytic), std::abs(slope.value), least_scale}); }
    double sure() const { return rtol * scale(); }
    double bound() const { return slope.bound(sure()); }
    double difference() const { return std::abs(analytic - slope.value); }
    bool is_right() const { return std::isfinite(analytic) && difference() <= bound(); }
    /// Whether it passes although nobody can know: of an element far below the largest, or where f is ill-conditioned,
    /// neither value is known to a smaller rtol.
    bool is_near() const {
      return verdict == Verdict::unsure && std::isfinite(scale()) && difference() <= 1e-6 * scale();
    }
    Verdict counted_as() const { return is_near() ? Verdict::right : verdict; }
    Wanted wanted(double to) const {
      return {to, to == 0 ? 0 : std::max(1e-4 * rtol * size, 1e-13 * reference), enough, reference};
    }
  };
  void compare(std::size_t c);
  void judge(std::size_t c, std::vector<Comparison>& comparisons);
  // Its stages.
  void measure(std::vector<Comparison>& comparisons);
  bool is_vacuous(std::size_t c, const std::vector<Comparison>& comparisons);
  /// Gives those that look wrong the last word.
  void convict(std::size_t c, std::vector<Comparison>& comparisons);
  /// Whether a gradient is infinite (of element j, in fast mode of any) because the derivative is too large a number.
  bool leaves_range(std::size_t c, std::size_t j);
  /// What is far below the largest gradient, and right beside that, is wrong nevertheless where the differences are
  /// sure of it.
  void hold_to_own_size(std::size_t c, std::vector<Comparison>& comparisons);
  void report(std::size_t c, const std::vector<Comparison>& comparisons);
  /// How far rounding moves the analytic derivative of a comparison.
  double rounding_of(std::size_t c, const std::vector<Comparison>& comparisons, std::size_t j);
  /// The output whose derivative by element j of a checked input disagrees most.
  std::string most_wrong(std::size_t c, std::size_t j, Motion motion);
  std::string describe(const GradcheckReport::Input& input, const Slope& slope, Verdict verdict) const;

  // verdict.cpp

  /// xs, each element of the checked ones off by so many roundings.
  Tensors jiggled(Tensors xs, double by);
  /// What xs give to `of` once they are off by so many roundings; left out where they leave the domain.
  template <class Result, class F>
  std::vector<Result> by_jiggles(const Tensors& xs, F&& of, std::initializer_list<double> roundings = {1, 1, 2, 2});
  const std::vector<Gradients>& jiggled_gradients();
  /// A derivative that backward or forward mode gives.
  struct Claim {
    double value;
    double sure;   ///< by how much it may be off
    double noise;  ///< what rounding did to it
    bool is_excused_by(const Slope& slope) const { return slope.excuses(value, slope.bound(sure)); }
  };
  /// The last word on a claim that disagrees with the differences, once these are at their best.
  Verdict examine(Motion motion, std::size_t begin, std::size_t end, const Slope& found, const Claim& claim,
                  const Wanted& wanted);
  Verdict examine(const Comparison& comparison, double rounding);
  /// The slope by other steps: these times a factor.
  Slope slope_by(double factor, Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted);
  /// How far a claim lies outside what several slopes of one motion say; 0 where it may be one of them.
  static double distance_from(const std::vector<Slope>& slopes, const Claim& claim);
  /// Whether f may have the claimed slope: it shows it at some scale of steps, or there is none that tells slopes apart
  /// which are so far from each other.
  bool may_be_seen(Motion motion, std::size_t begin, std::size_t end, const Claim& claim, double distance);
  /// What of sum <y, dy>'s derivative belongs to outputs that move too little to be seen, not even by far steps.
  double unseen(Motion motion, std::size_t begin, std::size_t end, const Pair& far);
  /// Whether the gradient is rounding noise: another one for inputs that differ by some roundings.
  bool is_noise(std::size_t c);
  /// The same of differences: others for other steps.
  bool is_noise(const std::vector<Comparison>& comparisons);

  // forward.cpp

  void check_forward();
  /// J v at xs for one v per checked input, of all floating outputs one after the other. Nothing where a node has
  /// neither a rule nor a recorded backward. moving: a subset of the checked inputs, the others' v undefined.
  std::optional<Values> forward_mode(const Tensors& xs, const std::vector<Values>& v, uint64_t moving = all);
  /// Whether J v is finite for a far smaller v.
  bool is_finite_for_smaller(std::vector<Values> v);
  /// How far rounding moves each element of J v.
  Values forward_noise(const std::vector<Values>& v, const Values& jv);
  Values push(const Recording& recording, const Tensors& directions) const;
  void check_single_directions(const std::vector<Values>& v, const Values& jv);
  /// J v again, for v that lie in memory as those of real programs do.
  void check_tangent_layouts(const std::vector<Values>& v, const Values& jv);
  /// The derivatives along a motion of every output element; stops once all are surer than rtol.
  std::vector<Slope> slopes(Motion motion, double rtol, double least_scale);
  void judge_forward(Motion motion, const std::vector<Values>& v, const Values& jv, double typical);
  /// The output and index of a place among the values of all outputs.
  std::string output_place(std::size_t j) const;

  // structure.cpp

  void check_batch();
  void check_shares();
  void check_sizes();
  void check_zero();
  void check_repeatability();
  void check_single_outputs();
  void check_subsets();
  void check_layout(const char* when, Tensor (*copy)(const Tensor&), int64_t least_rank);
  void check_expanded_inputs();
  void check_layouts();
  void check_cotangents();
  void check_low_precision();
  /// Reports the first place where a gradient differs from what is expected by more than rtol scale, and by more than
  /// rounding does.
  bool agrees(std::size_t c, const Values& dx, const Values& expected, double scale, const char* when, double rtol) {
    return agrees(c, called(), dx, expected, scale, when, rtol);
  }
  bool agrees(std::size_t c, const Tensors& xs, const Values& dx, const Values& expected, double scale,
              const char* when, double rtol);
  bool agrees(std::size_t c, const Values& dx, const char* when, double rtol) {
    return agrees(c, dx, first_.dx[c], largest(first_.dx[c]), when, rtol);
  }
  /// How far rounding moves the gradient of input c at xs.
  double noise_of(std::size_t c, const Tensors& xs);
  bool all_vacuous() const;

  const Tensor& x(std::size_t c) const { return xs_[checked_[c]]; }
  const std::string& name(std::size_t c) const { return report_.inputs[checked_[c]].name; }
  std::string output_name(std::size_t k) const;
  void problem(std::string text) { report_.problems.push_back(std::move(text)); }

  TensorFunction f_;
  const Tensors& inputs_;
  const GradcheckOptions& options_;
  double rtol_;
  GradcheckReport report_;
  bool some_gradient_only_ = false;
  std::vector<std::string> output_names_;
  Cotangents cotangents_{options_.seed};

  Tensors xs_;                        // float64 copies
  bool native_ = false;               // f takes the inputs in their own dtypes
  std::vector<std::size_t> checked_;  // the floating-point ones among them
  Tensors dys_;                       // per output; undefined for integers
  std::vector<Shape> shapes_;         // of the outputs
  Values dy_, y_;                     // of all floating outputs, one after the other
  Values noise_;                      // how far rounding moves each y
  std::vector<std::size_t> begins_;   // of each output in these, and the end
  double epsilon_ = 0;                // of the coarsest output
  Values scales_, references_;        // per checked input: its size, and the size of a gradient one would expect
  std::vector<Values> reaches_;       // per checked input and element: Slope::reach, where found out
  std::optional<std::vector<Gradients>> jiggled_;  // see jiggled_gradients
  std::size_t harmless_problems_ = 0;              // of the report's problems: kinks, unsure or vacuous
  Run first_;
};

/// Adds a problem to a report that has passed where the derivative of J v is another one by the tape of J v than by
/// that of the gradient. Whatever cannot be differentiated so passes. outputs: those of floating point.
void check_mixed(GradcheckReport& report, const TensorFunction& f, const Tensors& inputs,
                 const std::vector<std::size_t>& outputs, const GradcheckOptions& options);

}  // namespace limpid::detail
