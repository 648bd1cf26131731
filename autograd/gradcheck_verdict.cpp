// The last word on a derivative that disagrees with the differences: whether it is wrong, or nobody can know.
#include <limpid/autograd/detail/checker.hpp>
#include <limpid/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <vector>

namespace limpid::detail {

Tensors Checker::jiggled(Tensors xs, double by) {
  for (std::size_t i : checked_) {
    Values values = values_of(xs[i]);
    for (double& v : values) v += v * by * epsilon(xs[i].dtype()) * cotangents_.next();
    const Tensor dense = empty(xs[i].shape(), float64);
    std::copy(values.begin(), values.end(), dense.data<double>());
    copy_into(xs[i] = empty_like(xs[i]), dense);
  }
  return xs;
}

template <class Result, class F>
std::vector<Result> Checker::by_jiggles(const Tensors& xs, F&& of) {
  std::vector<Result> results;
  for (double by : {1, 1, 2, 2}) {
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
  for (double by : {0x1p12, 0x1p16, 0x1p20}) {
    const Values near = run(jiggled(called(), by)).dx[c];
    for (std::size_t j = 0; j < near.size(); ++j) most = std::max(most, std::abs(near[j] - here[j]));
  }
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

bool Checker::is_noise(const std::vector<Motion>& motions, const std::vector<Slope>& slopes, const Wanted& wanted) {
  double most = 0, difference = 0;
  for (std::size_t j = 0; j < motions.size(); ++j) {
    if (!(slopes[j].error <= 0.1 * std::abs(slopes[j].value))) continue;  // says so itself
    const std::vector<Element> other = scaled(motions[j], 0.75);
    const double unit = other.size() == 1 ? 1 : 0.75;
    const double again = slope(other, 0, y_.size(), wanted).value / unit;
    most = std::max(most, std::abs(slopes[j].value));
    difference = std::max(difference, std::abs(again - slopes[j].value));
  }
  return difference >= 0.1 * most;
}

// The table of differences is the judge of its own error, and picks the entry that looks best: where rounding rules,
// by chance. So the same derivative is taken again by other steps, as many witnesses of one fact: no rounding, inside
// the function or out of it, falls the same way twice. By far smaller steps, too, which a function may need that looks
// smooth from afar; and by steps within the size of the smallest element that moves, for a function may end or bend at
// 0.
Checker::Verdict Checker::examine(Motion motion, std::size_t begin, std::size_t end, const Slope& found,
                                  double analytic, double sure, double noise, const Wanted& wanted) {
  const auto excused = [&](const Slope& slope) {
    return slope.excuses(analytic, sure + std::min(slope.error, 10 * sure));
  };
  if (excused(found)) return Verdict::kink;
  if (!std::isfinite(found.value)) return Verdict::unsure;
  if (!std::isfinite(analytic)) return Verdict::wrong;
  const auto again = [&](double factor, bool near = false) {
    const std::vector<Element> other = scaled(motion, factor);
    Wanted best = wanted;
    best.near = near;
    Slope slope = this->slope(other, begin, end, best);
    const double unit = other.size() == 1 ? 1 : factor;
    slope.value /= unit;
    slope.error /= unit;
    slope.jump /= unit;
    return slope;
  };
  // One may be off by itself, as where its steps all but fit the periods of a sine; the others are told by the median.
  Values values{found.value}, errors{found.error};
  double distance = 0, median = found.value;
  const auto is_unsure = [&] {
    std::sort(values.begin(), values.end());
    std::sort(errors.begin(), errors.end());
    median = values[values.size() / 2];
    double low = values.front(), high = values.back();
    if (values.size() > 3) {
      if (high - median > median - low)
        high = values[values.size() - 2];
      else
        low = values[1];
    }
    distance = std::max({low - analytic, analytic - high, 0.0});
    return distance <= sure + 2 * (high - low) + errors[errors.size() / 2] + noise;
  };
  for (double factor : {0.75, 0.625, 0.875, 0.6875, 0.8125}) {
    const Slope other = again(factor);
    if (excused(other)) return Verdict::kink;
    if (!std::isfinite(other.value)) return Verdict::unsure;
    values.push_back(other.value);
    errors.push_back(other.error);
  }
  if (is_unsure()) return Verdict::unsure;
  double own = 1, step = 0;
  for (const Element& e : motion) {
    if (e.x != 0 && e.step != 0) own = std::min(own, std::exp2(std::floor(std::log2(std::abs(e.x / e.step)))));
    step = std::max(step, std::abs(e.step / e.unit));
  }
  const double widest = 1.0 / 32;
  const double least = leap(motion, begin, end, widest);
  const auto error_of = [&](const Slope& slope, double factor) {
    return slope.error + least / ((slope.t > 0 ? slope.t : widest) * factor * step);
  };
  if (distance <= sure + 2 * error_of(found, 1)) return Verdict::unsure;
  for (double factor : {0.875 * own, 0.6875 * own}) {
    const Slope near = again(factor, true);
    if (excused(near)) return Verdict::kink;
    if (!(std::abs(analytic - near.value) > sure + 2 * error_of(near, factor))) return Verdict::unsure;
  }
  for (double factor : {0x1.8p-9, 0x1.4p-13, 0x1.8p-17, 0x1.4p-21, 0x1.8p-25, 0x1.4p-29}) {
    const Slope fine = again(factor, true);
    if (std::abs(analytic - fine.value) <= distance / 4 && error_of(fine, factor) <= distance / 8)
      return Verdict::unsure;
  }
  // Where the function is all but noise, small steps move it as a steep derivative would, and larger ones see none.
  for (double t = own * 0x1p-42; t >= own * 0x1p-52; t /= 4) {
    const Pair beside = outputs_beside(motion, t);
    double rise = 0, size = 0;
    for (std::size_t k = begin; k < end; ++k) {
      rise += dy_[k] * (beside.plus[k] - beside.minus[k]);
      size += std::abs(dy_[k] * y_[k]);
    }
    if (std::abs(rise) > 64 * epsilon_ * size && std::abs(rise) > std::abs(analytic) * t * step / 8 &&
        std::abs(analytic) > 4 * std::abs(median))
      return Verdict::unsure;
  }
  return distance <= sure + noise + unseen(motion, begin, end, outputs_beside(motion, widest)) ? Verdict::unsure
                                                                                               : Verdict::wrong;
}

Checker::Pair Checker::outputs_beside(Motion motion, double t) {
  Pair pair;
  for (const Element& e : motion) *e.p = e.at(t);
  pair.plus = outputs_or_nan();
  for (const Element& e : motion) *e.p = e.at(-t);
  pair.minus = outputs_or_nan();
  for (const Element& e : motion) *e.p = e.x;
  return pair;
}

double Checker::leap(Motion motion, std::size_t begin, std::size_t end, double widest) {
  Values least(end - begin, 0.0), leaps(end - begin, 0.0);
  for (double t = widest; t > widest * 0x1p-44; t /= 8) {
    const Pair pair = outputs_beside(motion, t);
    for (std::size_t k = begin; k < end; ++k) {
      const double moved = std::max(std::abs(pair.plus[k] - y_[k]), std::abs(pair.minus[k] - y_[k]));
      double& known = least[k - begin];
      if (moved > 0)
        known = known == 0 ? moved : std::min(known, moved);
      else if (known < most_noise())
        leaps[k - begin] = known;
    }
  }
  double total = 0;
  for (std::size_t k = begin; k < end; ++k) total += std::abs(dy_[k]) * leaps[k - begin];
  return total;
}

double Checker::unseen(Motion motion, std::size_t begin, std::size_t end, const Pair& far) {
  bool any = false, every = true;
  for (std::size_t k = begin; k < end; ++k) {
    any = any || far.is_still(k, y_);
    every = every && far.is_still(k, y_);
  }
  if (!any) return 0;

  std::unordered_map<const double*, double> speeds;
  double step = 0, size = std::max(1.0, largest(y_));  // of what may have been added up to an output
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
  const double hidden = 128 * epsilon_ * size / step;  // a slope that rounding takes away
  double total = 0;
  for (std::size_t k = begin; k < end; ++k)
    if (far.is_still(k, y_) && (!jv || std::abs((*jv)[k]) <= hidden))
      total += std::abs(dy_[k]) * (jv ? std::abs((*jv)[k]) : hidden);
  return 2 * total;
}

}  // namespace limpid::detail
