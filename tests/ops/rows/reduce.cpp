// The op table's rows of sums, extremes and whatever else goes along axes.
#include <limpid/tests/ops/rows/rows.hpp>

#include <cmath>

namespace rows {

Rows reductions() {
  const Shape s{2, 3, 4};
  const std::vector<Sample> one{real(s)};
  Rows rows{
      {"sum", "", OP(sum(x[0], {0, 2})), one, {3}},
      {"sum", "all", OP(sum(x[0])), one, {}},
      {"mean", "", OP(mean(x[0], 1, true)), one, {2, 1, 4}},
      {"mean", "all", OP(mean(x[0])), one, {}},
      {"var", "", OP(var(x[0], {0, 2})), one, {3}},
      {"var", "unbiased", OP(var(x[0], -1, true, 1)), one, {2, 3, 1}},
      {"prod", "", OP(prod(x[0], 2)), one, {2, 3}},
      {"prod", "all", OP(prod(x[0])), {within({5}, 0.5, 2)}, {}},
      {"amax", "", OP(amax(x[0], 1)), one, {2, 4}},
      {"max", "axis", OP(max(x[0], 1).values), one, {2, 4}},
      {"min", "all", OP(min(x[0])), one, {}},
      {"min", "axis", OP(min(x[0], -1, true).values), one, {2, 3, 1}},
      {"median", "", OP(median(x[0], 1).values), one, {2, 4}},
      {"median", "all", OP(median(x[0])), one, {}},
      {"quantile", "", OP(quantile(x[0], 0.3, 1, true)), one, {2, 1, 4}},
      {"quantile", "all", OP(quantile(x[0], 0.7)), one, {}},
      {"sort", "", OP(sort(x[0], 1).values), one, s},
      {"sort", "descending", OP(sort(x[0], 0, true).values), one, s},
      plain({"argsort", "", OP(argsort(x[0])), one, s}),
      {"topk", "", OP(topk(x[0], 2, 1).values), one, {2, 2, 4}},
      {"topk", "least", OP(topk(x[0], 3, -1, false).values), one, {2, 3, 3}},
      plain({"unique", "", OP(unique(floor(x[0])).inverse), one, s}),
      {"bincount", "", OP(bincount(x[0], x[1], 5)), {indices({6}, 5), real({6})}, {5}},
      plain({"searchsorted", "", OP(searchsorted(sort(x[0]).values, x[1])), {real({9}), real(s)}, s}),
      {"normalize", "", OP(normalize(x[0], 3)), {away_from({0}, s)}, s},
      {"cosine_similarity", "", OP(cosine_similarity(x[0], x[1])), {real(s), real({3, 1})}, {2, 4}},
      {"pairwise_distance", "", OP(pairwise_distance(x[0], x[1])), {real(s), real({4})}, {2, 3}},
      {"cdist", "", OP(cdist(x[0], x[1])), {real(s), real({5, 4})}, {2, 3, 5}},
      {"cdist", "p", OP(cdist(x[0], x[1], 1.5)), {real({3, 2}), within({2, 2}, 3, 5)}, {3, 2}},
      {"trace", "", OP(trace(x[0])), {real({3, 4})}, {}},
      {"cumsum", "", OP(cumsum(x[0], 1)), one, s},
      {"cumprod", "", OP(cumprod(x[0], 1)), one, s},
      {"cumprod", "last", OP(cumprod(x[0], -1)), one, s},
      {"logcumsumexp", "", OP(logcumsumexp(x[0], 1)), one, s},
      {"diff", "", OP(diff(x[0], 2, 1)), one, {2, 1, 4}},
      {"stddev", "", OP(stddev(x[0], {0, 2}, false, 1)), one, {3}},
      {"nansum", "", OP(nansum(x[0], 1)), one, {2, 4}},
      {"nanmean", "", OP(nanmean(x[0], {0, 1}, true)), one, {1, 1, 4}},
      plain({"count_nonzero", "", OP(count_nonzero(x[0], 1)), one, {2, 4}}),
      {"max", "all", OP(max(x[0])), one, {}},
      {"amin", "", OP(amin(x[0], {0, 2}, true)), one, {1, 3, 1}},
      plain({"argmax", "", OP(argmax(x[0], 1)), one, {2, 4}}),
      plain({"argmax", "all", OP(argmax(x[0])), one, {}}),
      plain({"argmin", "", OP(argmin(x[0], 2, true)), one, {2, 3, 1}}),
      plain({"argmin", "all", OP(argmin(x[0])), one, {}}),
      plain({"all", "", OP(all(x[0], 1)), {flags(s)}, {2, 4}}),
      plain({"any", "", OP(any(x[0], 1)), {flags(s)}, {2, 4}}),
      {"logsumexp", "", OP(logsumexp(x[0], {0, 1})), one, {4}},
      {"softmax", "", OP(softmax(x[0], 1)), one, s},
      {"softmax", "last", OP(softmax(x[0], -1)), one, s},
      {"log_softmax", "", OP(log_softmax(x[0], 1)), one, s},
      {"vector_norm", "2", OP(vector_norm(x[0], 2, 1)), one, {2, 4}},
      {"vector_norm", "3", OP(vector_norm(x[0], 3)), {away_from({0}, s)}, {}},
      {"vector_norm", "1", OP(vector_norm(x[0], 1, 0, true)), {away_from({0}, s)}, {1, 3, 4}},
      {"vector_norm", "infinity", OP(vector_norm(x[0], INFINITY, 1)), {within(s, 0.5, 2)}, {2, 4}},
      {"sum_to", "", OP(sum_to(x[0], {3, 1})), one, {3, 1}},
  };
  for (OpRow& r : rows)
    if (r.op == "bincount") r.optional = 2;
  return rows;
}

Rows statistics() {
  const Shape s{2, 3, 4};
  Rows rows{
      {"moments", "", OP(moments(x[0], {0, 2})), {real(s)}, {3}},
      {"moments", "all", OP(moments(x[0])), {real(s)}, {}},
      {"moments", "keepdims", OP(moments(x[0], 1, true)), {real(s)}, {2, 1, 4}},
      {"merge", "", OP(merge(moments(x[0], 1), moments(x[1], 1))), {real(s), real({2, 5, 4})}, {2, 4}},
      {"merge", "larger second", OP(merge(moments(x[1]), moments(x[0]))), {real(s), real({5})}, {}},
  };
  for (OpRow& r : rows) r.wide = true;
  return rows;
}

}  // namespace rows
