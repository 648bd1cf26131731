// Proving gradients: what backward gives against what finite differences give.
#pragma once
#include <limpid/autograd/tensor_function.hpp>
#include <limpid/core/export.hpp>
#include <limpid/core/source_location.hpp>
#include <limpid/core/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace LIMPID_API limpid {

struct GradcheckOptions {
  /// Largest relative error that passes, where relative means
  ///     |analytic - numeric| / max(|analytic|, |numeric|, 1e-3 * largest gradient of that input).
  /// What the finite difference itself is unsure of is granted on top, up to ten times this, and up to 1e-6 what
  /// nothing tells from rounding. Element by element, a gradient far below the largest is wrong nevertheless where the
  /// differences know it to its own size.
  double rtol = 1e-6;
  /// Compare along two random directions per input instead of element by element: in one each element moves in
  /// proportion to its own size, in the other in proportion to the input's, so that of elements of every size and of
  /// functions of every scale something is seen. A direction that tells nothing, as where its steps cannot be as small
  /// as the smallest element, is passed over where the other is right.
  bool fast = false;
  /// Let pass a check that proves nothing: an input whose gradient is zero, as in sum(instance_norm(x)).
  bool allow_vacuous = false;
  /// Run channels-last and strided copies of the inputs too, and cotangents of every layout that losses send (expanded,
  /// permuted, sliced, strided), and expect the same gradients.
  bool layouts = true;
  /// Check forward mode as well: J v, along a random direction v, by the rules of the nodes that f records.
  bool forward = true;
  /// Of the random cotangents and directions.
  uint64_t seed = 1;
};

/// What a check found. Printed in at most 20 lines.
struct GradcheckReport {
  struct Input {
    std::string name;      ///< "input 0"; in gradgradcheck also "dy 0"
    Shape shape;           ///< empty for what is not checked
    bool checked = false;  ///< floating point, and not undefined
    bool passed = true;
    bool vacuous = false;  ///< analytic and numeric gradient are zero, or rounding noise
    double error = 0;      ///< the worst relative error; the fields below tell where it is and what was seen there
    Axes index;
    double analytic = 0, numeric = 0;
    double bound = 0;            ///< the largest |analytic - numeric| that is right there
    std::string output;          ///< the output that is most in error there: "output 0", "gradient of input 0"
    int64_t count = 0;           ///< comparisons made: elements, or directions in fast mode
    int64_t wrong = 0;           ///< comparisons beyond their bound that do not pass
    int64_t kinks = 0;           ///< of all: where the differences from left and right disagree
    int64_t wrong_at_kinks = 0;  ///< of those beyond their bound, and between the derivatives from left and right
    bool kink_at_worst = false;  ///< whether `index` is such a place, so excused
    /// Of those beyond their bound: where neither value is known well enough to call the other wrong, for rounding
    /// rules, the function varies on a scale that no step reaches, or it has no finite values on both sides. Those
    /// within 1e-6 pass.
    int64_t unsure = 0;
    /// How well the numeric values are known: the largest estimate of their relative error, kinks left out. What
    /// `error` cannot be expected to fall below.
    double resolution = 0;
  };

  /// J v of one random direction v through all inputs at once, each element of each output, by forward mode: against
  /// differences, against the sum over one moving input at a time; and <dy, J v> against <J' dy, v>.
  struct Forward {
    bool checked = false;
    bool passed = true;
    std::string why_not;  ///< where not checked
    int64_t count = 0;    ///< elements compared with differences: none where the function has kinks
    int64_t wrong = 0;
    int64_t unsure = 0;          ///< elements of which differences tell nothing; no failure
    double error = 0;            ///< the worst relative error
    double resolution = 0;       ///< of the numeric values, as an input's
    double against_reverse = 0;  ///< |<dy, J v> - <J' dy, v>|, relative to the sum of the terms' magnitudes
  };

  bool passed = false;
  bool vacuous = false;   ///< some input is (gradgradcheck: every input is); passes with allow_vacuous alone
  bool at_kinks = false;  ///< failed, but at kinks alone: there is no derivative to compare with; move the inputs
  bool unsure = false;    ///< failed, but nothing is known to be wrong: see Input::unsure; move the inputs
  double error = 0;       ///< the worst of the inputs'
  std::string check;      ///< "gradcheck" or "gradgradcheck"
  std::string op;         ///< the op that made the first recorded output
  std::string file;       ///< of the call
  int64_t line = 0;
  /// What f computed in: float64, or else the inputs' own dtype, where f refuses float64 with a DTypeError.
  DType precision = DType::float64;
  std::vector<Input> inputs;
  Forward forward;
  std::vector<std::string> problems;  ///< one line for each thing wrong; empty where passed

  explicit operator bool() const noexcept { return passed; }
};

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);
std::string to_string(const GradcheckReport& report);
/// All of the report as one JSON object (RFC 8259), keys named as the members; numbers that are not finite are the
/// strings "nan", "inf" and "-inf".
std::string to_json(const GradcheckReport& report);

namespace detail {

GradcheckReport gradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
                          const SourceLocation& where);
GradcheckReport gradgradcheck(const TensorFunction& f, const Tensors& inputs, const GradcheckOptions& options,
                              const SourceLocation& where);

}  // namespace detail

/// Whether backward through f gives its derivative. f takes the inputs, 1 to 8 Tensor parameters or one const Tensors&,
/// and returns a Tensor or Tensors; it must be a function of their values alone. Inputs are never changed: f runs on
/// float64 copies (on copies of their own dtype where it refuses float64). Integer, bool and undefined inputs are
/// passed through.
///
/// With random cotangents dy_k on all outputs at once, the gradient of sum_k <y_k, dy_k> is compared with central
/// differences, extrapolated to step 0 (Ridders, 1982), element by element. Also expected:
///   - forward mode gives the same derivative, along a random direction (see GradcheckReport::Forward);
///   - a batch of random cotangents, run through one recorded graph, gives gradients that add up as the cotangents do,
///     those of parts of dy that are zero elsewhere add up to the whole, and those of a far larger and smaller dy
///     scale;
///   - dy = 0 gives 0; two runs give the same bits, and so does a run that is not recorded (for the values);
///   - each output's gradient alone, the others undefined, adds up to the whole;
///   - any subset of up to 6 inputs that alone requires gradients, or alone is asked for, gets the same bits;
///   - channels-last, strided and expanded inputs give the gradients of dense ones, and so do cotangents;
///   - float32 (float16, bfloat16) inputs get, in their own dtype, the float64 gradient to 1e-3 (5e-2).
/// Steps suit each element: f may vary on a scale far below its input's, and end beside it, by NaN or by throwing an
/// Error. A kink, where differences from left and right disagree by the least of steps, and a jump are named as such;
/// where rounding or the range of numbers hides the derivative the report says unsure. But an f that no step moves has
/// a derivative of 0 for all it can tell. Throws ValueError for an input that overlaps itself (as expand() makes), an
/// rtol that is negative, infinite or NaN, and an f whose outputs are undefined, or others in number or shape when
/// recorded.
template <class F>
GradcheckReport gradcheck(F&& f, const Tensors& inputs, const GradcheckOptions& options = {},
                          const SourceLocation& where = SourceLocation::current()) {
  return detail::gradcheck(detail::TensorFunction(f), inputs, options, where);
}

/// The same for the gradient itself: gradcheck of (x..., dy...) -> grad(f(x...), x..., dy...), recorded. A failure
/// names the pair: whose gradient is wrong with respect to what; or the Function whose backward left the tape.
template <class F>
GradcheckReport gradgradcheck(F&& f, const Tensors& inputs, const GradcheckOptions& options = {},
                              const SourceLocation& where = SourceLocation::current()) {
  return detail::gradgradcheck(detail::TensorFunction(f, "gradgradcheck"), inputs, options, where);
}

}  // namespace limpid
