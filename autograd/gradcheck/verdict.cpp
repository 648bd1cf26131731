// The last word on a derivative that disagrees with the differences: whether it is wrong, or nobody can know.
#include <limpid/autograd/gradcheck/detail/checker.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <vector>

namespace limpid::detail {

Tensors Checker::jiggled(Tensors xs, double by) {
  for (std::size_t i : checked_) {
    Values values = values_of(xs[i]);
    for (double& v : values) v += v * by * epsilon(xs[i].dtype()) * cotangents_.next();
    xs[i] = tensor_of(values, xs[i]);
  }
  return xs;
}

template <class Result, class F>
std::vector<Result> Checker::by_jiggles(const Tensors& xs, F&& of, std::initializer_list<double> roundings) {
  std::vector<Result> results;
  for (double by : roundings) {
    try {
      results.push_back(of(jiggled(xs, by)));
    } catch (const MemoryError&) {
      throw;
    } catch (const Error&) {}
  }
  return results;
}

const std::vector<Checker::Gradients>& Checker::jiggled_gradients() {
  if (!jiggled_) {
    jiggled_ = by_jiggles<Gradients>(called(), [&](const Tensors& xs) { return run(xs).dx; });
    for (Gradients& near : *jiggled_)
      for (std::size_t c = 0; c < near.size(); ++c)
        if (near[c].empty()) near[c].resize(first_.dx[c].size());
  }
  return *jiggled_;
}

double Checker::noise_of(std::size_t c, const Tensors& xs) {
  const Values here = run(xs).dx[c];
  double most = 0;
  for (const Values& near : by_jiggles<Values>(xs, [&](const Tensors& moved) { return run(moved).dx[c]; }))
    for (std::size_t j = 0; j < std::min(near.size(), here.size()); ++j)
      if (std::isfinite(near[j])) most = std::max(most, std::abs(near[j] - here[j]));
  return 4 * most + 16 * epsilon_ * references_[c];
}

Values Checker::forward_noise(const std::vector<Values>& v, const Values& jv) {
  Values most(jv.size(), 16 * epsilon_ * std::max(1.0, largest(y_)));
  const auto at = [&](const Tensors& xs) { return forward_mode(xs, v).value_or(jv); };
  for (const Values& near : by_jiggles<Values>(called(), at))
    for (std::size_t j = 0; j < jv.size(); ++j)
      if (std::isfinite(near[j])) most[j] = std::max(most[j], 4 * std::abs(near[j] - jv[j]));
  return most;
}

bool Checker::is_noise(std::size_t c) {
  const Values& here = first_.dx[c];
  double most = 0;
  const auto at = [&](const Tensors& xs) { return run(xs).dx[c]; };
  for (const Values& near : by_jiggles<Values>(called(), at, {0x1p12, 0x1p16, 0x1p20}))
    for (std::size_t j = 0; j < near.size(); ++j) most = std::max(most, std::abs(near[j] - here[j]));
  return most >= 0.1 * largest(here);
}

namespace {

/// The same motion by other steps.
std::vector<Checker::Element> scaled(Checker::Motion motion, double factor) {
  std::vector<Checker::Element> other(motion.begin(), motion.end());
  for (Checker::Element& e : other) e.step *= factor;
  return other;
}

}  // namespace

bool Checker::is_noise(const std::vector<Comparison>& comparisons) {
  double most = 0, difference = 0;
  for (const Comparison& at : comparisons) {
    if (!(at.slope.error <= 0.1 * std::abs(at.slope.value))) continue;  // says so itself
    const double again = slope_by(0.75, at.motion, 0, y_.size(), at.wanted(0)).value;
    most = std::max(most, std::abs(at.slope.value));
    difference = std::max(difference, std::abs(again - at.slope.value));
  }
  return difference >= 0.1 * most;
}

Checker::Slope Checker::slope_by(double factor, Motion motion, std::size_t begin, std::size_t end,
                                 const Wanted& wanted) {
  const std::vector<Element> other = scaled(motion, factor);
  Slope slope = this->slope(other, begin, end, wanted);
  const double unit = other.size() == 1 ? 1 : factor;
  slope.value /= unit;
  slope.error /= unit;
  slope.jump /= unit;
  return slope;
}

// The table of differences is the judge of its own error, and picks the entry that looks best: where rounding rules,
// by chance. So the same derivative is taken again by other steps, as many witnesses of one fact: no rounding, inside
// the function or out of it, falls the same way twice. And a function may vary on a scale that these do not see, or
// look smooth there by rounding alone, so that in the end the steps of all scales are asked.
Checker::Verdict Checker::examine(Motion motion, std::size_t begin, std::size_t end, const Slope& found,
                                  const Claim& claim, const Wanted& wanted) {
  std::vector<Slope> slopes{found};
  for (double factor : {1.0, 0.75, 0.625, 0.875, 0.6875, 0.8125}) {
    if (factor != 1) slopes.push_back(slope_by(factor, motion, begin, end, wanted));
    if (claim.is_excused_by(slopes.back())) return Verdict::kink;
    if (!std::isfinite(slopes.back().value)) return Verdict::unsure;
    if (!std::isfinite(claim.value)) return Verdict::wrong;
  }
  const double distance = distance_from(slopes, claim);
  if (distance == 0 || may_be_seen(motion, begin, end, claim, distance)) return Verdict::unsure;
  const double hidden = unseen(motion, begin, end, outputs_beside(motion, widest));
  return distance <= claim.sure + claim.noise + hidden ? Verdict::unsure : Verdict::wrong;
}

double Checker::distance_from(const std::vector<Slope>& slopes, const Claim& claim) {
  Values values, errors;
  for (const Slope& slope : slopes) {
    values.push_back(slope.value);
    errors.push_back(slope.error);
  }
  std::sort(values.begin(), values.end());
  std::sort(errors.begin(), errors.end());
  // One may be off by itself, as where its steps all but fit the periods of a sine; the others are told by the median.
  const double median = values[values.size() / 2];
  double low = values.front(), high = values.back();
  if (high - median > median - low)
    high = values[values.size() - 2];
  else
    low = values[1];
  const double distance = std::max({low - claim.value, claim.value - high, 0.0});
  return distance <= claim.sure + 2 * (high - low) + errors[errors.size() / 2] + claim.noise ? 0 : distance;
}

bool Checker::may_be_seen(Motion motion, std::size_t begin, std::size_t end, const Claim& claim, double distance) {
  constexpr int enough_against = 6;
  Observer observer(*this, motion, begin, end);
  int in_favour = 0, against = 0;
  const double own = own_size(motion), least = std::max(own * 0x1p-52, std::numeric_limits<double>::min());
  Look before = observer.look(2 * farthest);
  for (double t = farthest; t >= least && is_exact(motion, t); t /= 2) {
    const Look look = observer.look(t);
    const double off = std::abs(look.difference - claim.value);
    double doubt = std::abs(look.difference - before.difference) + look.noise;
    if (look.bend > 0.6 * before.bend) doubt += look.bend / 2;  // may be a kink's
    // From far enough, all that is bounded looks flat: what is hidden by rounding is small beside the outputs.
    const bool is_small = 64 * epsilon_ * distance <= look.noise;
    in_favour = is_small && off + doubt <= distance / 4 ? in_favour + 1 : 0;
    if (in_favour == 2) return true;
    // Where the bend grows as the steps fall, or f moves no less, it varies on a smaller scale.
    const bool is_calm = look.bend <= std::max(1.1 * before.bend, 8 * look.noise) &&
                         (look.change <= 0.75 * before.change || !look.is_clear);
    if (t <= own && look.noise <= distance / 4) against = off > claim.sure + 2 * doubt && is_calm ? against + 1 : 0;
    before = look;
  }
  return against < enough_against;
}

double Checker::unseen(Motion motion, std::size_t begin, std::size_t end, const Pair& far) {
  bool any = false, every = true;
  for (std::size_t k = begin; k < end; ++k) {
    any = any || far.is_still(k, y_);
    every = every && far.is_still(k, y_);
  }
  if (!any) return 0;

  std::unordered_map<const double*, double> speeds;
  double step = 0, size = 0;
  for (const Element& e : motion) {
    speeds[e.p] = e.unit;
    step = std::max(step, std::abs(e.step / e.unit));
  }
  std::vector<Values> v;
  for (std::size_t c = 0; c < checked_.size(); ++c) {
    v.emplace_back();
    for (const Element& e : elements_of(c)) {
      const auto at = speeds.find(e.p);
      v[c].push_back(at == speeds.end() ? 0 : at->second);
      size = std::max(size, std::abs(e.x));
    }
  }
  const std::optional<Values> jv = every ? std::nullopt : forward_mode(called(), v);
  const double hidden = held_by_rounding(size) / step;  // a slope that rounding takes away
  double total = 0;
  for (std::size_t k = begin; k < end; ++k)
    if (far.is_still(k, y_) && (!jv || std::abs((*jv)[k]) <= hidden))
      total += std::abs(dy_[k]) * (jv ? std::abs((*jv)[k]) : hidden);
  return 2 * total;
}

}  // namespace limpid::detail
