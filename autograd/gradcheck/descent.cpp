// Differences along one motion, and the search for steps that tell the derivative.
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/autograd/gradcheck/detail/difference.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace limpid::detail {
namespace {

/// The width of [-t, t] as it came out in floating point.
double width(Checker::Motion motion, double t) {
  if (motion.size() != 1) return 2 * t;
  const Checker::Element& e = motion[0];
  return (e.at(t) - e.at(-t)) / e.unit;
}

}  // namespace

double Checker::own_size(Motion motion) {
  double own = 1;
  for (const Element& e : motion)
    if (e.x != 0 && e.step != 0) own = std::min(own, std::abs(e.x / e.step));
  return own;
}

bool Checker::is_exact(Motion motion, double t) const {
  return motion.size() == 1 || std::all_of(motion.begin(), motion.end(), [&](const Element& e) {
           return std::abs(e.at(t) - e.at(-t) - 2 * t * e.step) <= 0.1 * rtol_ * std::abs(2 * t * e.step);
         });
}

Values Checker::outputs_or_nan(const Tensors& xs) {
  Values values;
  try {
    const NoGradGuard guard;
    const Tensors ys = f_(xs);
    values.reserve(y_.size());
    for (const Tensor& y : ys) {
      if (!y.defined() || !is_floating_point(y.dtype())) continue;
      const Values more = values_of(y);
      values.insert(values.end(), more.begin(), more.end());
    }
    if (values.size() == y_.size()) return values;
  } catch (const MemoryError&) {
    throw;
  } catch (const Error&) {}
  return Values(y_.size(), std::nan(""));
}

Checker::Pair Checker::outputs_beside(Motion motion, double t) {
  const auto outputs_at = [&](double by) {
    for (const Element& e : motion) *e.p = e.at(by);
    return outputs_or_nan();
  };
  Pair pair{outputs_at(t), outputs_at(-t)};
  for (const Element& e : motion) *e.p = e.x;
  return pair;
}

Checker::Look Checker::Observer::look(double t) {
  const Pair beside = checker_.outputs_beside(motion_, t);
  const double w = width(motion_, t);
  long double rise = 0, curve = 0, squares = 0, noise = 0, change = 0;
  for (std::size_t k = 0; k < least_.size(); ++k) {
    const std::size_t j = begin_ + k;
    const double p = beside.plus[j], m = beside.minus[j], y = checker_.y_[j], dy = checker_.dy_[j];
    const double moved = std::max({std::abs(p - m), std::abs(p - y), std::abs(m - y)});
    // What never moves adds neither value nor rounding; what no longer does has been rounded away.
    if (moved == 0 && least_[k] == 0) continue;
    if (moved == 0 && least_[k] < checker_.most_noise()) noise += std::abs(dy) * least_[k];
    if (moved > 0) least_[k] = least_[k] == 0 ? moved : std::min(least_[k], moved);
    rise += static_cast<long double>(dy) * (static_cast<long double>(p) - m);
    curve += std::abs(static_cast<long double>(dy) * (static_cast<long double>(p) - y + m - y));
    const double size = std::max(std::abs(p), std::abs(m));
    const long double r = dy * size;
    squares += r * r;
    noise += std::abs(dy) * std::max(checker_.epsilon_ * size, checker_.noise_[j]);
    change += std::abs(dy) * moved;
  }
  Look look;
  look.difference = static_cast<double>(rise) / w;
  look.bend = static_cast<double>(curve) * 2 / w;
  look.noise = 2 * static_cast<double>(noise) / w;
  look.change = static_cast<double>(change);
  look.is_clear = change > 16 * noise;
  // Where the outputs cancel inside, more than their own size tells has been rounded.
  look.rounding = std::max(checker_.epsilon_ * std::sqrt(static_cast<double>(squares)) / w, look.noise / 16);
  return look;
}

/// The differences of sum <y, dy> over one motion, step by step down to where they tell the derivative.
///
/// A function may vary on a scale far below its input's size, as log does at 1e-7 beside 1, or end beside the input.
/// So the steps halve for as long as nothing is sure, from an element's own size on where that is far smaller.
///
/// A kink shows as a bend, the difference of the slopes from left and right, that stays as the steps fall; curvature's
/// falls with them. One that stays down to the least step, or down to where all is rounding, is a kink at the input, if
/// that step is far within the size of each element that moves: else it may be one beside. One that falls after all was
/// a kink beside it, or a curve as sharp: what larger steps told is forgotten. Where it is the change of the outputs
/// that stays, or falls far slower than the steps, the function jumps or has a vertical tangent.
class Checker::Descent {
 public:
  Descent(Checker& checker, Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted)
      : checker_(checker),
        motion_(motion),
        begin_(begin),
        end_(end),
        wanted_(wanted),
        observer_(checker, motion, begin, end) {}

  Slope run() {
    const double own = own_size(motion_);
    const double part = checker_.epsilon_ > epsilon(float64) ? 0x1p-20 : all_zero() ? 0x1p-53 : 0x1p-36;
    const double smallest = std::max(own * part, std::numeric_limits<double>::min());
    double t = widest;
    for (int level = 1; t >= smallest && checker_.is_exact(motion_, t); ++level) {
      step(t);
      if (bent_ == 0 && table_.error <= std::max(wanted_.rtol * std::abs(table_.value), wanted_.atol)) break;
      const bool suffices = is_enough() || (is_rounding() && t <= own);
      if (bent_ == 0 && strays_ == 0 && is_convincing() && level >= levels && suffices) break;
      t /= level < levels || std::isfinite(look_.difference) ? 2 : 16;
    }
    if (!is_convincing()) table_ = *coarse_;
    Slope found{.value = table_.value,
                .error = table_.error,
                .drift = std::abs(look_.difference - table_.value),
                .kink = false,
                .jump = bend_at_kink_,
                .reach = reach_};
    const bool jumps = flat_ >= least_flat && !(table_.error <= 1e-2 * std::abs(table_.value));
    if (jumps) found.jump = infinity;
    const bool bends = stays_ >= least_bent && is_of_the_bend();
    found.kink = (jumps || bends) && seen_at_ <= own * 0x1p-19;
    if (!found.kink && (jumps || bends || (bent_ >= least_bent && least_step_ > own))) found.error = infinity;
    if (!found.kink && found.error < infinity && is_rounded_away()) look_further(found);
    return found;
  }

 private:
  static constexpr int levels = 16;
  static constexpr int least_bent = 3, least_flat = 8;

  bool all_zero() const {
    return std::all_of(motion_.begin(), motion_.end(), [](const Element& e) { return e.x == 0; });
  }
  bool is_convincing() const { return !coarse_ || table_.error <= 1e-3 * std::abs(table_.value - coarse_->value); }
  bool is_enough() const {
    return table_.error <=
           std::max((wanted_.rtol == 0 ? 0.1 : 10) * checker_.rtol_ * std::abs(table_.value), wanted_.enough);
  }
  bool is_rounding() const { return table_.error <= 4 * table_.rounding; }
  /// Whether rounding hides the derivative at every step so far, as beside a large constant.
  bool is_rounded_away() const {
    if (!observer_.has_seen_any_move()) return wanted_.rtol == 0;
    return !is_enough() && is_rounding() && table_.rounding > checker_.epsilon_ * wanted_.reference;
  }
  bool is_of_the_bend() const { return level_of_value_ >= first_bent_; }

  void step(double t) {
    const Look before = look_;
    look_ = observer_.look(t);
    least_step_ = t;
    ++level_;
    const bool is_flat = look_.is_clear && look_.change > 0.6 * before.change && look_.change < 1.01 * before.change;
    flat_ = is_flat ? flat_ + 1 : 0;
    if (is_flat) seen_at_ = t;
    if (table_.is_restarted()) reach_of_table_ = std::min(1.0, 32 * t);
    const double known = table_.error;
    if (const double strays = std::abs(look_.difference - table_.value); known < infinity) {
      strays_ = strays > 0.75 * stray_ && strays > 8 * (known + look_.noise) ? strays_ + 1 : 0;
      stray_ = strays;
      if (strays_ >= least_bent) doubt(t);
    }
    table_.add(look_.difference, look_.rounding);
    if (table_.error <= known && table_.error < infinity) {
      level_of_value_ = level_;
      reach_ = std::min(reach_of_table_, 0x1p10 * t);  // a row of the table takes up to six steps
    }
    follow_bend(before, t);
  }

  void follow_bend(const Look& before, double t) {
    if (!std::isfinite(look_.difference) || !std::isfinite(before.bend)) {
      bent_ = stays_ = 0;
      return;
    }
    const bool counts =
        before.bend > 8 * before.noise && before.bend > 10 * checker_.rtol_ * std::abs(look_.difference);
    if (!counts || level_ == 1) return;
    if (look_.bend < 0.75 * before.bend) {
      if (bent_ >= least_bent && is_of_the_bend()) forget(t);
      bent_ = stays_ = 0;
    } else if (look_.bend > 8 * look_.noise) {
      if (bent_++ == 0) first_bent_ = level_ - 1;
      stays_ = look_.bend >= 0.9 * before.bend && look_.bend <= before.bend / 0.9 ? stays_ + 1 : 0;
      if (stays_ > 0) seen_at_ = t;
      bend_at_kink_ = std::max(bend_at_kink_, look_.bend);
    }
  }

  void forget(double t) {
    table_ = Extrapolation();
    observer_.forget();
    reach_of_table_ = std::min(1.0, 32 * t);
  }

  // What larger steps agreed on may have been chance, as of steps that all but fit the periods of a sine. Smaller ones
  // that agree as well know better.
  void doubt(double t) {
    if (!coarse_) coarse_ = table_;
    table_ = Extrapolation();
    reach_of_table_ = std::min(1.0, 32 * t);
    strays_ = 0;
    stray_ = infinity;
  }

  /// Whether rounding may have held sum <y, dy> still at all near steps. What would have gone further by this slope is
  /// constant, as floor is between the integers, however it looks from afar.
  bool may_be_held(double slope) const {
    double size = 0, weight = 0;
    for (const Element& e : motion_) size = std::max(size, std::abs(e.x));
    for (std::size_t k = begin_; k < end_; ++k) weight += std::abs(checker_.dy_[k]);
    return std::abs(slope) * width(motion_, widest) <= checker_.held_by_rounding(size) * weight;
  }

  /// By larger steps, as long as they tell of the same derivative: from far enough, a bounded function is flat.
  void look_further(Slope& found) {
    const bool has_moved = table_.rounding > 0;
    Extrapolation table;
    double t = farthest;
    for (int level = 0; level < levels; ++level, t /= 2) {
      const Look far = observer_.look(t);
      table.add(far.difference, far.rounding);
    }
    if (!has_moved && !may_be_held(table.value)) return;
    const bool agrees = std::abs(table.value - found.value) <= 10 * found.error;
    if (!has_moved || (agrees && table.error < 0.1 * found.error)) found = {table.value, table.error, 0, false, 0};
  }

  Checker& checker_;
  Motion motion_;
  std::size_t begin_, end_;
  const Wanted& wanted_;
  Observer observer_;
  Extrapolation table_;
  std::optional<Extrapolation> coarse_;  // what was known before the differences strayed from it
  int strays_ = 0;                       // for how many steps they have
  double stray_ = infinity;
  int level_ = 0, level_of_value_ = 0;
  double least_step_ = widest;
  double seen_at_ = infinity;      // by which step a kink or jump was seen last
  int bent_ = 0, first_bent_ = 0;  // for how many steps the bend has not fallen, and from which on
  int stays_ = 0;                  // for how many it has stayed
  int flat_ = 0;                   // for how many the outputs' change has
  Look look_;                      // the last
  double bend_at_kink_ = 0;
  double reach_ = 1, reach_of_table_ = 1;
};

Checker::Slope Checker::slope(Motion motion, std::size_t begin, std::size_t end, const Wanted& wanted) {
  return Descent(*this, motion, begin, end, wanted).run();
}

}  // namespace limpid::detail
