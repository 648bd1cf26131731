#include <limpid/tests/ops/op_table.hpp>

#include <limpid/limpid.hpp>

#include <cmath>

using namespace limpid;

Tensor Sample::draw(Generator& generator, int turn) const {
  const int64_t count = shape.numel();
  Tensor x = empty(shape, float64);
  const Tensor order = randperm(count, generator), noise = rand(shape, float64, generator);
  for (int64_t i = 0; i < count; ++i) {
    const double within_cell = (turn % 2 ? 0.75 : 0.25) + 0.1 * (noise.data<double>()[i] - 0.5);
    const double part = (static_cast<double>(order.data<int64_t>()[i]) + within_cell) / static_cast<double>(count);
    double value = low + part * (high - low);
    for (double a : avoid)
      if (std::abs(value - a) < 0.1) value = value < a ? value - 0.1 : value + 0.1;
    x.data<double>()[i] = is_floating_point(dtype) ? value : std::floor(value);
  }
  return x.to(dtype);
}

Tensors OpRow::draw(uint64_t seed) const {
  Generator generator(seed);
  for (;;) {
    Tensors xs;
    for (const Sample& sample : inputs) xs.push_back(sample.draw(generator, static_cast<int>(xs.size())));
    if (!kink || min(abs(kink(xs)[0])).item<double>() > 0.05) return xs;
  }
}

namespace {

Tensors results(Tensor y) { return {std::move(y)}; }
Tensors results(Tensors ys) { return ys; }
Tensors results(Moments m) { return {m.mean, m.variance}; }
Tensors results(linalg::SignAndLog y) { return {y.logabsdet}; }
Tensors results(linalg::Qr y) { return {y.q, y.r}; }
// Vectors are determined but for their signs.
Tensors results(linalg::Eigh y) { return {y.values, square(y.vectors)}; }
Tensors results(linalg::Svd y) { return {y.s, square(y.u), square(y.vh)}; }
Tensors results(linalg::LeastSquares y) { return {y.solution, y.residuals}; }

// A row's function, in terms of x[0], x[1], ...
#define OP(...) [](const Tensors& x) { return results(__VA_ARGS__); }

using Rows = std::vector<OpRow>;

const Sample square_image{{2, 4, 3, 5}};

Sample real(const Shape& shape) { return {shape}; }
Sample within(const Shape& shape, double low, double high) { return {shape, low, high}; }
Sample away_from(std::vector<double> points, const Shape& shape) { return {shape, -2, 2, std::move(points)}; }
Sample indices(const Shape& shape, int64_t count) { return {shape, 0, static_cast<double>(count), {}, int64}; }
Sample flags(const Shape& shape) { return {shape, 0, 2, {}, bool_}; }

OpRow elementwise(OpRow row) {
  row.keeps_format = true;
  return row;
}
OpRow plain(OpRow row) {
  row.differentiable = false;
  return row;
}
OpRow flat(OpRow row) {
  row.vacuous = true;
  return row;
}

// Bit i of inputs: input i may be undefined.
OpRow optional(unsigned inputs, OpRow row) {
  row.optional = inputs;
  return row;
}
OpRow with_kink(Tensors (*kink)(const Tensors& x), OpRow row) {
  row.kink = kink;
  return row;
}

Rows arithmetic() {
  const Shape s{2, 3, 4}, row{4}, column{3, 1};
  Rows rows{
      {"add", "", OP(add(x[0], x[1])), {real(s), real(s)}, s},
      {"add", "broadcast", OP(add(x[0], x[1])), {real(column), real(s)}, s},
      {"add", "both broadcast", OP(add(x[0], x[1])), {real(column), real(row)}, {3, 4}},
      {"add", "scalar", OP(add(x[0], 1.5)), {real(s)}, s},
      {"sub", "", OP(sub(x[0], x[1])), {real(s), real(column)}, s},
      {"sub", "scalar right", OP(sub(x[0], 1.5)), {real(s)}, s},
      {"sub", "scalar left", OP(sub(1.5, x[0])), {real(s)}, s},
      {"mul", "", OP(mul(x[0], x[1])), {real(s), real(s)}, s},
      {"mul", "broadcast", OP(mul(x[0], x[1])), {real(row), real(column)}, {3, 4}},
      {"mul", "scalar", OP(mul(x[0], -2.5)), {real(s)}, s},
      {"div", "", OP(div(x[0], x[1])), {real(s), away_from({-0.1, 0, 0.1}, s)}, s},
      {"div", "broadcast", OP(div(x[0], x[1])), {real(row), within(column, 0.5, 2)}, {3, 4}},
      {"div", "scalar right", OP(div(x[0], 3.0)), {real(s)}, s},
      {"div", "scalar left", OP(div(3.0, x[0])), {within(s, 0.5, 2)}, s},
      {"remainder", "", OP(remainder(x[0], x[1])), {within(s, 2.4, 2.8), within(s, 1, 1.15)}, s},
      {"remainder", "scalar", OP(remainder(x[0], 1.0)), {within(s, 2.2, 2.8)}, s},
      {"fmod", "", OP(fmod(x[0], x[1])), {within(s, -2.8, -2.4), within(s, 1, 1.15)}, s},
      {"fmod", "scalar", OP(fmod(x[0], 1.0)), {within(s, -2.8, -2.2)}, s},
      flat({"floor_divide", "", OP(floor_divide(x[0], x[1])), {within(s, 2.4, 2.8), within(s, 1, 1.15)}, s}),
      flat({"floor_divide", "scalar", OP(floor_divide(x[0], 1.0)), {within(s, 2.2, 2.8)}, s}),
      {"pow", "", OP(pow(x[0], x[1])), {within(s, 0.5, 2), real(s)}, s},
      {"pow", "scalar right", OP(pow(x[0], 2.5)), {within(s, 0.5, 2)}, s},
      {"pow", "scalar left", OP(pow(2.5, x[0])), {real(s)}, s},
      {"maximum", "", OP(maximum(x[0], x[1])), {real(s), real(s)}, s},
      {"minimum", "", OP(minimum(x[0], x[1])), {real(s), real(s)}, s},
      {"neg", "", OP(neg(x[0])), {real(s)}, s},
      {"atan2", "", OP(atan2(x[0], x[1])), {real(s), away_from({-0.1, 0, 0.1}, s)}, s},
      {"atan2", "broadcast", OP(atan2(x[0], x[1])), {real(row), within(column, 0.5, 2)}, {3, 4}},
      {"hypot", "", OP(hypot(x[0], x[1])), {real(s), away_from({-0.1, 0, 0.1}, s)}, s},
      {"logaddexp", "", OP(logaddexp(x[0], x[1])), {real(s), real(column)}, s},
      {"xlogy", "", OP(xlogy(x[0], x[1])), {real(s), within(s, 0.5, 2)}, s},
      {"lerp", "", OP(lerp(x[0], x[1], 0.75)), {real(s), real(row)}, s},
      {"lerp", "tensor", OP(lerp(x[0], x[1], x[2])), {real(s), real(s), {s, -1, 2, {0.5}}}, s},
  };
  for (OpRow& r : rows) r.keeps_format = true;
  return rows;
}

Rows functions() {
  const Shape s{2, 3, 4};
  Rows rows{
      {"exp", "", OP(exp(x[0])), {real(s)}, s},
      {"log", "", OP(log(x[0])), {within(s, 0.3, 3)}, s},
      {"exp2", "", OP(exp2(x[0])), {real(s)}, s},
      {"expm1", "", OP(expm1(x[0])), {real(s)}, s},
      {"log2", "", OP(log2(x[0])), {within(s, 0.3, 3)}, s},
      {"log10", "", OP(log10(x[0])), {within(s, 0.3, 3)}, s},
      {"log1p", "", OP(log1p(x[0])), {within(s, -0.7, 3)}, s},
      {"sqrt", "", OP(sqrt(x[0])), {within(s, 0.3, 3)}, s},
      {"rsqrt", "", OP(rsqrt(x[0])), {within(s, 0.3, 3)}, s},
      {"reciprocal", "", OP(reciprocal(x[0])), {within(s, 0.3, 3)}, s},
      {"abs", "", OP(abs(x[0])), {away_from({0}, s)}, s},
      flat({"sign", "", OP(sign(x[0])), {away_from({0}, s)}, s}),
      {"square", "", OP(square(x[0])), {real(s)}, s},
      {"sin", "", OP(sin(x[0])), {real(s)}, s},
      {"cos", "", OP(cos(x[0])), {real(s)}, s},
      {"tan", "", OP(tan(x[0])), {within(s, -1.2, 1.2)}, s},
      {"asin", "", OP(asin(x[0])), {within(s, -0.8, 0.8)}, s},
      {"acos", "", OP(acos(x[0])), {within(s, -0.8, 0.8)}, s},
      {"atan", "", OP(atan(x[0])), {real(s)}, s},
      {"sinh", "", OP(sinh(x[0])), {real(s)}, s},
      {"cosh", "", OP(cosh(x[0])), {real(s)}, s},
      {"tanh", "", OP(tanh(x[0])), {real(s)}, s},
      {"asinh", "", OP(asinh(x[0])), {real(s)}, s},
      {"acosh", "", OP(acosh(x[0])), {within(s, 1.3, 3)}, s},
      {"atanh", "", OP(atanh(x[0])), {within(s, -0.8, 0.8)}, s},
      {"sigmoid", "", OP(sigmoid(x[0])), {real(s)}, s},
      {"logit", "", OP(logit(x[0])), {within(s, 0.2, 0.8)}, s},
      {"logit", "clamped", OP(logit(x[0], 0.25)), {{s, 0.05, 0.95, {0.25, 0.75}}}, s},
      {"erf", "", OP(erf(x[0])), {real(s)}, s},
      {"erfc", "", OP(erfc(x[0])), {real(s)}, s},
      {"erfinv", "", OP(erfinv(x[0])), {within(s, -0.8, 0.8)}, s},
      {"lgamma", "", OP(lgamma(x[0])), {within(s, 0.5, 4)}, s},
      {"lgamma", "negative", OP(lgamma(x[0])), {within(s, -1.7, -1.3)}, s},
      {"digamma", "", OP(digamma(x[0])), {within(s, 0.5, 4)}, s},
      {"digamma", "negative", OP(digamma(x[0])), {within(s, -1.7, -1.3)}, s},
      flat({"floor", "", OP(floor(x[0])), {away_from({-2, -1, 0, 1, 2}, s)}, s}),
      flat({"ceil", "", OP(ceil(x[0])), {away_from({-2, -1, 0, 1, 2}, s)}, s}),
      flat({"trunc", "", OP(trunc(x[0])), {away_from({-2, -1, 0, 1, 2}, s)}, s}),
      flat({"round", "", OP(round(x[0])), {away_from({-1.5, -0.5, 0.5, 1.5}, s)}, s}),
      {"frac", "", OP(frac(x[0])), {away_from({-2, -1, 0, 1, 2}, s)}, s},
      {"relu", "", OP(relu(x[0])), {away_from({0}, s)}, s},
      {"leaky_relu", "", OP(leaky_relu(x[0], 0.2)), {away_from({0}, s)}, s},
      {"elu", "", OP(elu(x[0], 1.5)), {away_from({0}, s)}, s},
      {"gelu", "", OP(gelu(x[0])), {real(s)}, s},
      {"silu", "", OP(silu(x[0])), {real(s)}, s},
      {"softplus", "", OP(softplus(x[0], 1.5)), {real(s)}, s},
      {"celu", "", OP(celu(x[0], 1.5)), {away_from({0}, s)}, s},
      {"selu", "", OP(selu(x[0])), {away_from({0}, s)}, s},
      {"gelu_tanh", "", OP(gelu_tanh(x[0])), {real(s)}, s},
      {"mish", "", OP(mish(x[0])), {real(s)}, s},
      {"hardswish", "", OP(hardswish(2.0 * x[0])), {away_from({-1.5, 1.5}, s)}, s},
      {"softsign", "", OP(softsign(x[0])), {away_from({0}, s)}, s},
      {"logsigmoid", "", OP(logsigmoid(x[0])), {real(s)}, s},
      {"hardtanh", "", OP(hardtanh(x[0], -1, 0.5)), {away_from({-1, 0.5}, s)}, s},
      {"relu6", "", OP(relu6(4.0 * x[0])), {away_from({0, 1.5}, s)}, s},
      {"hardsigmoid", "", OP(hardsigmoid(2.0 * x[0])), {away_from({-1.5, 1.5}, s)}, s},
      {"clamp", "", OP(clamp(x[0], -1, 0.5)), {away_from({-1, 0.5}, s)}, s},
      {"clamp",
       "tensors",
       OP(clamp(x[0], x[1], x[2])),
       {away_from({-1.5, 0.5}, s), within({4}, -1.55, -1.45), within({3, 1}, 0.45, 0.55)},
       s},
      {"clamp_min", "", OP(clamp_min(x[0], 0.5)), {away_from({0.5}, s)}, s},
      {"clamp_min", "tensor", OP(clamp_min(x[0], x[1])), {away_from({0.5}, s), within({4}, 0.45, 0.55)}, s},
      {"clamp_max", "", OP(clamp_max(x[0], 0.5)), {away_from({0.5}, s)}, s},
      {"clamp_max", "tensor", OP(clamp_max(x[0], x[1])), {away_from({0.5}, s), within({4}, 0.45, 0.55)}, s},
      {"nan_to_num", "", OP(nan_to_num(x[0])), {real(s)}, s},
  };
  for (OpRow& r : rows) r.keeps_format = true;
  return rows;
}

Rows choices() {
  const Shape s{2, 3, 4};
  const std::vector<Sample> one{real(s)}, two{real(s), real(s)};
  return {
      elementwise({"where", "", OP(where(x[0], x[1], x[2])), {flags(s), real(s), real(s)}, s}),
      {"where", "broadcast", OP(where(x[0], x[1], x[2])), {flags({3, 1}), real({4}), real({2, 1, 1})}, s},
      {"where", "scalar right", OP(where(x[0], x[1], 1.5)), {flags(s), real(s)}, s},
      {"where", "scalar left", OP(where(x[0], 1.5, x[1])), {flags(s), real(s)}, s},
      plain({"where", "two scalars", OP(where(x[0], 1.5, 2.5)), {flags(s)}, s}),
      plain({"eq", "", OP(eq(x[0], x[1])), two, s}),
      plain({"eq", "scalar", OP(eq(x[0], 0.5)), one, s}),
      plain({"ne", "", OP(ne(x[0], x[1])), two, s}),
      plain({"ne", "scalar", OP(ne(x[0], 0.5)), one, s}),
      plain({"lt", "", OP(lt(x[0], x[1])), two, s}),
      plain({"lt", "scalar", OP(lt(x[0], 0.5)), one, s}),
      plain({"le", "", OP(le(x[0], x[1])), two, s}),
      plain({"le", "scalar", OP(le(x[0], 0.5)), one, s}),
      plain({"gt", "", OP(gt(x[0], x[1])), two, s}),
      plain({"gt", "scalar", OP(gt(x[0], 0.5)), one, s}),
      plain({"ge", "", OP(ge(x[0], x[1])), two, s}),
      plain({"ge", "scalar", OP(ge(x[0], 0.5)), one, s}),
      plain({"isnan", "", OP(isnan(x[0])), one, s}),
      plain({"isinf", "", OP(isinf(x[0])), one, s}),
      plain({"isfinite", "", OP(isfinite(x[0])), one, s}),
      plain({"logical_not", "", OP(logical_not(x[0])), {flags(s)}, s}),
      plain({"logical_and", "", OP(logical_and(x[0], x[1])), {flags(s), flags(s)}, s}),
      plain({"logical_or", "", OP(logical_or(x[0], x[1])), {flags(s), flags(s)}, s}),
  };
}

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

Rows shaping() {
  const Shape s{2, 3, 4};
  const std::vector<Sample> one{real(s)};
  return {
      {"movedim", "", OP(movedim(x[0], 0, -1)), one, {3, 4, 2}},
      {"unflatten", "", OP(unflatten(x[0], 2, {-1, 2})), one, {2, 3, 2, 2}},
      {"narrow", "", OP(narrow(x[0], 1, -2, 2)), one, {2, 2, 4}},
      {"broadcast_to", "", OP(broadcast_to(x[0], {5, 3, 4})), {real({3, 1})}, {5, 3, 4}},
      {"unbind", "", OP(unbind(x[0], 1)), one, {2, 4}},
      {"chunk", "", OP(chunk(x[0], 2, 1)), one, {2, 2, 4}},
      {"diagonal", "", OP(diagonal(x[0], 1, 1, 2)), one, {2, 3}},
      {"diagonal", "below", OP(diagonal(x[0], -1, 2, 0)), one, {3, 2}},
      {"meshgrid", "", OP(meshgrid({x[0], x[1]})), {real({3}), real({4})}, {3, 4}},
      {"repeat", "", OP(repeat(x[0], {2, 1, 2, 3})), one, {2, 2, 6, 12}},
      {"repeat_interleave", "", OP(repeat_interleave(x[0], 3, 1)), one, {2, 9, 4}},
      {"roll", "", OP(roll(x[0], -1, 2)), one, s},
      {"roll", "all", OP(roll(x[0], 7)), one, s},
      {"tril", "", OP(tril(x[0], -1)), one, s},
      {"triu", "", OP(triu(x[0], 1)), one, s},
      {"diag", "", OP(diag(x[0], 1)), {real({3})}, {4, 4}},
      {"diag", "of a matrix", OP(diag(x[0], -1)), {real({3, 4})}, {2}},
      plain({"one_hot", "", OP(one_hot(x[0], 5)), {indices({2, 3}, 5)}, {2, 3, 5}}),
      {"masked_fill", "", OP(masked_fill(x[0], x[1], 1.5)), {real(s), flags({3, 1})}, s},
      {"masked_select", "", OP(masked_select(x[0], x[0].detach() < 10)), one, {24}},
      plain({"nonzero", "", OP(nonzero(x[0] < 10)), one, {24, 3}}),
      {"take_along_axis", "", OP(take_along_axis(x[0], x[1], 1)), {real(s), indices({1, 5, 1}, 3)}, {2, 5, 4}},
      {"pixel_shuffle", "", OP(pixel_shuffle(x[0], 2)), {real({2, 8, 3, 2})}, {2, 2, 6, 4}},
      {"pixel_unshuffle", "", OP(pixel_unshuffle(x[0], 2)), {real({3, 4, 6})}, {12, 2, 3}},
      {"prelu", "", OP(prelu(x[0], x[1])), {away_from({0}, s), real({3})}, s},
      {"prelu", "one weight", OP(prelu(x[0], x[1])), {away_from({0}, s), real({1})}, s},
      {"glu", "", OP(glu(x[0])), one, {2, 3, 2}},
      {"glu", "axis", OP(glu(x[0], 0)), one, {1, 3, 4}},
      {"reshape", "", OP(reshape(x[0], {4, -1})), one, {4, 6}},
      {"flatten", "", OP(flatten(x[0], 1)), one, {2, 12}},
      {"permute", "", OP(permute(x[0], {2, 0, 1})), one, {4, 2, 3}},
      {"transpose", "", OP(transpose(x[0], 0, -1)), one, {4, 3, 2}},
      {"squeeze", "", OP(squeeze(x[0])), {real({2, 1, 3})}, {2, 3}},
      {"unsqueeze", "", OP(unsqueeze(x[0], 1)), one, {2, 1, 3, 4}},
      {"expand", "", OP(expand(x[0], {5, 2, -1, 4})), {real({2, 3, 1})}, {5, 2, 3, 4}},
      {"slice", "", OP(slice(x[0], 2, 1, to_end, 2)), one, {2, 3, 2}},
      {"slice", "negative", OP(slice(x[0], 1, -2, -1)), one, {2, 1, 4}},
      {"select", "", OP(select(x[0], 1, -1)), one, {2, 4}},
      {"index_select", "", OP(index_select(x[0], 1, x[1])), {real(s), indices({5}, 3)}, {2, 5, 4}},
      {"gather", "", OP(gather(x[0], 1, x[1])), {real(s), indices({2, 5, 4}, 3)}, {2, 5, 4}},
      {"scatter_add", "", OP(scatter_add({2, 3, 4}, 1, x[1], x[0])), {real({2, 5, 4}), indices({2, 5, 4}, 3)}, s},
      {"scatter_add", "part", OP(scatter_add({2, 3, 4}, 1, x[1], x[0])), {real({2, 5, 6}), indices({1, 4, 4}, 3)}, s},
      {"scatter", "", OP(scatter(x[0], 1, x[1], x[2])), {real(s), indices({2, 2, 4}, 3), real({2, 3, 4})}, s},
      {"scatter", "number", OP(scatter(x[0], 2, x[1], 1.5)), {real(s), indices({2, 3, 1}, 4)}, s},
      {"index_add", "", OP(index_add(x[0], 1, x[1], x[2], 1.5)), {real(s), indices({5}, 3), real({2, 5, 4})}, s},
      {"cat", "", OP(cat({x[0], x[1]}, 1)), {real(s), real({2, 2, 4})}, {2, 5, 4}},
      {"stack", "", OP(stack({x[0], x[1]}, 1)), {real(s), real(s)}, {2, 2, 3, 4}},
      {"split", "sizes", OP(split(x[0], Shape{1, 3}, 2)), one, {2, 3, 1}},
      {"pad", "circular", OP(pad(x[0], {2, 4, 1, 3}, PadMode::circular)), one, {2, 7, 10}},
      {"split", "equal", OP(split(x[0], int64_t{2}, 1)), one, {2, 2, 4}},
      {"flip", "", OP(flip(x[0], {0, 2})), one, s},
      {"pad", "constant", OP(pad(x[0], {1, 2, 0, 1}, PadMode::constant, 0.5)), one, {2, 4, 7}},
      {"pad", "crop", OP(pad(x[0], {-1, 2})), one, {2, 3, 5}},
      {"pad", "reflect", OP(pad(x[0], {2, 1}, PadMode::reflect)), one, {2, 3, 7}},
      {"pad", "replicate", OP(pad(x[0], {2, 1, 1, 0}, PadMode::replicate)), one, {2, 4, 7}},
  };
}

Rows products() {
  static const ConvOptions options{.stride = {2, 1}, .padding = 1, .groups = 2};
  static const ConvTransposeOptions up{.stride = {2, 1}, .padding = {1, 0}, .output_padding = {1, 0}, .groups = 2};
  const Sample volume{{1, 3, 3, 4, 5}}, square{{2, 3, 4, 4}};
  // Away from where the slopes change: at elements, and halfway beyond the outermost.
  const Sample points{{2, 2, 5, 2}, -1.5, 1.5, {-1.25, -1, -0.75, -0.25, 0.25, 0.75, 1, 1.25}};
  const Shape x_shape{2, 4, 5, 4}, w_shape{6, 2, 3, 2}, y_shape{2, 6, 3, 5};
  Rows rows{
      {"matmul", "", OP(matmul(x[0], x[1])), {real({2, 3, 4}), real({4, 5})}, {2, 3, 5}},
      {"matmul", "batch", OP(matmul(x[0], x[1])), {real({2, 1, 3, 4}), real({3, 4, 2})}, {2, 3, 3, 2}},
      {"matmul", "vectors", OP(matmul(x[0], x[1])), {real({4}), real({4})}, {}},
      {"linear", "", OP(linear(x[0], x[1], x[2])), {real({2, 3, 4}), real({5, 4}), real({5})}, {2, 3, 5}},
      {"linear", "no bias", OP(linear(x[0], x[1])), {real({3, 4}), real({5, 4})}, {3, 5}},
      elementwise(
          {"conv2d", "", OP(conv2d(x[0], x[1], x[2], options)), {real(x_shape), real(w_shape), real({6})}, y_shape}),
      elementwise({"conv1d",
                   "",
                   OP(conv1d(x[0], x[1], x[2], {.stride = 2, .padding = 1, .groups = 2})),
                   {real({2, 4, 7}), real({6, 2, 3}), real({6})},
                   {2, 6, 4}}),
      elementwise({"conv2d",
                   "same",
                   OP(conv2d(x[0], x[1], x[2], {.padding = Padding::same, .dilation = {1, 2}})),
                   {real({1, 2, 4, 5}), real({3, 2, 2, 3}), real({3})},
                   {1, 3, 4, 5}}),
      elementwise({"conv3d",
                   "",
                   OP(conv3d(x[0], x[1], x[2], {.stride = {1, 2, 1}, .padding = {1, 0, 1}, .dilation = {1, 1, 2}})),
                   {real({1, 2, 3, 4, 5}), real({3, 2, 3, 2, 2}), real({3})},
                   {1, 3, 3, 2, 5}}),
      elementwise({"conv_transpose1d",
                   "",
                   OP(conv_transpose1d(x[0], x[1], x[2], {.stride = 2, .padding = 1, .output_padding = 1})),
                   {real({2, 4, 5}), real({4, 3, 3}), real({3})},
                   {2, 3, 10}}),
      elementwise({"conv_transpose2d",
                   "",
                   OP(conv_transpose2d(x[0], x[1], x[2], up)),
                   {real({2, 4, 3, 4}), real({4, 3, 3, 2}), real({6})},
                   {2, 6, 6, 5}}),
      elementwise({"conv_transpose2d",
                   "cropped",
                   OP(conv_transpose2d(x[0], x[1], x[2], {.output_padding = {1, 2}, .dilation = {2, 3}})),
                   {real({1, 2, 3, 4}), real({2, 2, 2, 2}), real({2})},
                   {1, 2, 6, 9}}),
      elementwise({"conv_transpose3d",
                   "",
                   OP(conv_transpose3d(x[0], x[1], x[2], {.stride = {1, 2, 3}})),
                   {real({1, 2, 2, 3, 2}), real({2, 3, 2, 2, 2}), real({3})},
                   {1, 3, 3, 6, 5}}),
      {"conv_input_grad",
       "",
       OP(conv_input_grad(x[0], x[1], {2, 4, 5, 4}, options)),
       {real(y_shape), real(w_shape)},
       x_shape},
      {"conv_weight_grad",
       "",
       OP(conv_weight_grad(x[1], x[0], {6, 2, 3, 2}, options)),
       {real(y_shape), real(x_shape)},
       w_shape},
      elementwise({"max_pool1d",
                   "dilated",
                   OP(max_pool1d(x[0], 3, {.stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true})),
                   {real({2, 3, 8})},
                   {2, 3, 4}}),
      elementwise({"max_pool2d",
                   "with indices",
                   OP(max_pool2d_with_indices(x[0], 2, {.stride = 1, .dilation = {1, 3}}).values),
                   {square_image},
                   {2, 4, 2, 2}}),
      elementwise({"max_pool3d", "", OP(max_pool3d(x[0], {2, 1, 2}, {.stride = 1})), {volume}, {1, 3, 2, 4, 4}}),
      elementwise({"avg_pool1d",
                   "ceil_mode",
                   OP(avg_pool1d(x[0], 3, {.stride = 2, .padding = 1, .ceil_mode = true})),
                   {real({2, 3, 6})},
                   {2, 3, 4}}),
      elementwise({"avg_pool2d",
                   "without padding",
                   OP(avg_pool2d(x[0], 3, {.stride = 2, .padding = 1, .count_include_pad = false})),
                   {square_image},
                   {2, 4, 2, 3}}),
      elementwise(
          {"avg_pool3d", "", OP(avg_pool3d(x[0], 2, {.stride = 1, .divisor_override = 5})), {volume}, {1, 3, 2, 3, 4}}),
      elementwise({"adaptive_avg_pool1d", "", OP(adaptive_avg_pool1d(x[0], 5)), {real({2, 3, 3})}, {2, 3, 5}}),
      elementwise({"adaptive_avg_pool2d", "", OP(adaptive_avg_pool2d(x[0], {2, 3})), {square_image}, {2, 4, 2, 3}}),
      elementwise({"adaptive_avg_pool3d", "", OP(adaptive_avg_pool3d(x[0], 2)), {volume}, {1, 3, 2, 2, 2}}),
      elementwise({"adaptive_max_pool1d", "", OP(adaptive_max_pool1d(x[0], 5)), {real({2, 3, 3})}, {2, 3, 5}}),
      elementwise({"adaptive_max_pool2d", "", OP(adaptive_max_pool2d(x[0], {2, 3})), {square_image}, {2, 4, 2, 3}}),
      elementwise({"adaptive_max_pool3d", "", OP(adaptive_max_pool3d(x[0], 2)), {volume}, {1, 3, 2, 2, 2}}),
      elementwise({"interpolate", "nearest", OP(interpolate(x[0], {.size = {5, 3}})), {square_image}, {2, 4, 5, 3}}),
      elementwise({"interpolate",
                   "nearest_exact",
                   OP(interpolate(x[0], {.scale_factor = {1.5, 0.7}, .mode = Interpolation::nearest_exact})),
                   {square_image},
                   {2, 4, 4, 3}}),
      elementwise({"interpolate",
                   "linear",
                   OP(interpolate(x[0], {.scale_factor = 1.7, .mode = Interpolation::linear})),
                   {real({2, 3, 5})},
                   {2, 3, 8}}),
      elementwise({"interpolate",
                   "bilinear",
                   OP(interpolate(x[0], {.size = {5, 4}, .mode = Interpolation::bilinear, .align_corners = true})),
                   {square_image},
                   {2, 4, 5, 4}}),
      elementwise({"interpolate",
                   "bicubic",
                   OP(interpolate(x[0], {.size = {2, 7}, .mode = Interpolation::bicubic})),
                   {square_image},
                   {2, 4, 2, 7}}),
      elementwise({"interpolate",
                   "trilinear",
                   OP(interpolate(x[0], {.scale_factor = {2, 0.5, 1}, .mode = Interpolation::trilinear})),
                   {volume},
                   {1, 3, 6, 2, 5}}),
      elementwise({"interpolate",
                   "area",
                   OP(interpolate(x[0], {.size = {2}, .mode = Interpolation::area})),
                   {volume},
                   {1, 3, 2, 2, 2}}),
      elementwise({"grid_sample", "", OP(grid_sample(x[0], x[1])), {square, points}, {2, 3, 2, 5}}),
      elementwise({"grid_sample",
                   "border",
                   OP(grid_sample(x[0], x[1], {.padding_mode = GridPadding::border})),
                   {square, points},
                   {2, 3, 2, 5}}),
      elementwise({"grid_sample",
                   "reflection",
                   OP(grid_sample(x[0], x[1], {.padding_mode = GridPadding::reflection})),
                   {square, points},
                   {2, 3, 2, 5}}),
      elementwise(flat({"grid_sample",  // the gradient of the grid is 0
                        "nearest",
                        OP(grid_sample(x[0], x[1], {.mode = Interpolation::nearest})),
                        {square, points},
                        {2, 3, 2, 5}})),
      elementwise({"grid_sample",
                   "volume",
                   OP(grid_sample(x[0], x[1], {.align_corners = true})),
                   {real({1, 2, 3, 3, 3}), {{1, 2, 2, 2, 3}, -1.4, 1.4, {-2, -1, 0, 1, 2}}},
                   {1, 2, 2, 2, 2}}),
      {"affine_grid", "", OP(affine_grid(x[0], {2, 1, 3, 4})), {real({2, 2, 3})}, {2, 3, 4, 2}},
      {"affine_grid", "volume", OP(affine_grid(x[0], {1, 1, 2, 3, 2}, true)), {real({1, 3, 4})}, {1, 2, 3, 2, 3}},
      {"unfold",
       "",
       OP(unfold(x[0], {2, 3}, {.dilation = {1, 2}, .padding = 1, .stride = {2, 1}})),
       {square_image},
       {2, 24, 6}},
      {"fold",
       "",
       OP(fold(x[0], {3, 5}, {2, 3}, {.dilation = {1, 2}, .padding = 1, .stride = {2, 1}})),
       {real({2, 24, 6})},
       {2, 4, 3, 5}},
      {"local_response_norm", "", OP(local_response_norm(x[0], 2, 0.5, 0.75, 0.8)), {square_image}, square_image.shape},
      {"local_response_norm", "wide", OP(local_response_norm(x[0], 11)), {square_image}, square_image.shape},
      elementwise(
          {"max_pool2d", "", OP(max_pool2d(x[0], {2, 3}, {.stride = 2, .padding = 1})), {square_image}, {2, 4, 2, 3}}),
      elementwise(
          {"avg_pool2d", "", OP(avg_pool2d(x[0], {2, 3}, {.stride = 2, .padding = 1})), {square_image}, {2, 4, 2, 3}}),
  };
  for (OpRow& r : rows)
    if (r.op == "linear" || (r.op.rfind("conv", 0) == 0 && r.inputs.size() == 3)) r.optional = 4;
  return rows;
}

Rows sums_of_products() {
  const Sample a = real({3, 4}), b = real({4, 5}), batch = real({2, 3, 4});
  Rows rows{
      {"mm", "", OP(mm(x[0], x[1])), {a, b}, {3, 5}},
      {"mv", "", OP(mv(x[0], x[1])), {a, real({4})}, {3}},
      {"dot", "", OP(dot(x[0], x[1])), {real({4}), real({4})}, {}},
      {"bmm", "", OP(bmm(x[0], x[1])), {batch, real({2, 4, 5})}, {2, 3, 5}},
      {"addmm", "", OP(addmm(x[0], x[1], x[2], 0.5, 1.5)), {real({3, 1}), a, b}, {3, 5}},
      {"tensordot", "", OP(tensordot(x[0], x[1])), {batch, real({3, 4, 5})}, {2, 5}},
      {"tensordot", "axes", OP(tensordot(x[0], x[1], {0, -1}, {1, 0})), {batch, real({4, 2, 5})}, {3, 5}},
      {"einsum", "", OP(einsum("bij,bjk->bik", {x[0], x[1]})), {batch, real({2, 4, 5})}, {2, 3, 5}},
      {"einsum", "diagonal", OP(einsum("i...i->...i", {x[0]})), {real({3, 4, 3})}, {4, 3}},
      {"einsum", "sums", OP(einsum("aij,jb->bi", {x[0], x[1]})), {batch, real({4, 2})}, {2, 3}},
      {"einsum", "rows", OP(einsum("ij,ij->i", {x[0], x[1]})), {a, a}, {3}},
      {"einsum", "three", OP(einsum("...ij,jk,k", {x[0], x[1], x[2]})), {batch, b, real({5})}, {2, 3}},
      {"einsum", "size 1", OP(einsum("ij,ij->ij", {x[0], x[1]})), {real({3, 1}), a}, {3, 4}},
  };
  for (OpRow& r : rows) r.of_library = true;
  rows.push_back({"outer", "", OP(outer(x[0], x[1])), {real({3}), real({4})}, {3, 4}});
  rows.push_back({"kron", "", OP(kron(x[0], x[1])), {a, real({2, 1, 3})}, {2, 3, 12}});
  return rows;
}

// Far from singular, symmetric, and positive definite ones.
Tensor regular(const Tensor& x) { return x + eye(x.size(-1), x.dtype()) * 5.0; }
Tensor symmetric(const Tensor& x) { return x + transpose(x, -2, -1); }
Tensor definite(const Tensor& x) { return matmul(x, transpose(x, -2, -1)) + eye(x.size(-1), x.dtype()); }

Rows linear_algebra() {
  const Sample a = within({2, 3, 3}, -1, 1), b = real({3, 2}), tall = within({2, 4, 3}, -1, 1);
  Rows rows{
      {"inv", "", OP(linalg::inv(regular(x[0]))), {a}, {2, 3, 3}},
      {"solve", "", OP(linalg::solve(regular(x[0]), x[1])), {a, b}, {2, 3, 2}},
      {"solve", "vector", OP(linalg::solve(regular(x[0]), x[1])), {a, real({3})}, {2, 3}},
      {"solve", "right", OP(linalg::solve(regular(x[0]), x[1], false)), {a, real({2, 2, 3})}, {2, 2, 3}},
      {"det", "", OP(linalg::det(x[0] + 0.5 * eye(3, x[0].dtype()))), {a}, {2}},
      {"slogdet", "", OP(linalg::slogdet(regular(x[0]))), {a}, {2}},
      {"cholesky", "", OP(linalg::cholesky(definite(x[0]))), {a}, {2, 3, 3}},
      {"cholesky", "upper", OP(linalg::cholesky(definite(x[0]), true)), {a}, {2, 3, 3}},
      {"cholesky_solve", "", OP(linalg::cholesky_solve(x[0], regular(x[1]))), {b, a}, {2, 3, 2}},
      {"triangular_solve", "", OP(linalg::triangular_solve(regular(x[0]), x[1], {})), {a, b}, {2, 3, 2}},
      {"triangular_solve",
       "right, upper, ones",
       OP(linalg::triangular_solve(x[0], x[1], {.upper = true, .left = false, .unitriangular = true})),
       {a, real({2, 3})},
       {2, 2, 3}},
      {"qr", "", OP(linalg::qr(x[0])), {tall}, {2, 4, 3}},
      {"qr", "wide", OP(linalg::qr(transpose(x[0], 1, 2))), {tall}, {2, 3, 3}},
      {"eigh", "", OP(linalg::eigh(symmetric(x[0]))), {a}, {2, 3}},
      {"eigvalsh", "", OP(linalg::eigvalsh(symmetric(x[0]))), {a}, {2, 3}},
      {"svd", "", OP(linalg::svd(x[0], false)), {tall}, {2, 3}},
      {"svdvals", "", OP(linalg::svdvals(transpose(x[0], 1, 2))), {tall}, {2, 3}},
      {"pinv", "", OP(linalg::pinv(x[0])), {tall}, {2, 3, 4}},
      {"lstsq", "", OP(linalg::lstsq(x[0], x[1])), {tall, real({4, 2})}, {2, 3, 2}},
  };
  for (OpRow& r : rows) r.of_library = true;
  return rows;
}

Rows normalisations() {
  const Sample& image = square_image;
  const Sample c = within({4}, 0.5, 2);
  const Shape s = image.shape;
  Rows rows{
      {"instance_norm", "", OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]})), {image, c, c}, s},
      {"instance_norm",
       "running statistics",
       OP(instance_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2], false)),
       {image, c, c},
       s},
      {"instance_norm",
       "per sample",
       OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]})),
       {image, within({2, 4}, 0.5, 2), c},
       s},
      {"instance_norm",
       "running statistics, per sample",
       OP(instance_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2], false)),
       {image, within({2, 4}, 0.5, 2), real({2, 4})},
       s},
      {"group_norm", "", OP(group_norm(x[0], 2, x[1], x[2])), {image, c, c}, s},
      {"instance_norm",
       "lengths",
       OP(instance_norm(x[0], {.weight = x[1], .bias = x[2], .lengths = reshape(arange(4) + 2, {2, 2})})),
       {{{2, 4, 5, 6}}, c, c},
       {2, 4, 5, 6}},
      {"group_norm",
       "mask",
       OP(group_norm(x[0], 2, {.weight = x[1], .bias = x[2], .mask = ne(remainder(arange(5), 3), 1)})),
       {image, c, c},
       s},
      {.op = "instance_norm",
       .variant = "relu",
       .f = OP(instance_norm(x[0], {.weight = x[1], .bias = x[2], .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]}))},
      {.op = "group_norm",
       .variant = "relu",
       .f = OP(group_norm(x[0], 2, {.weight = x[1], .bias = x[2], .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(group_norm(x[0], 2, x[1], x[2]))},
      {.op = "batch_norm",
       .variant = "relu",
       .f = OP(batch_norm(x[0], {.weight = x[1], .bias = x[2], .training = true, .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(batch_norm(x[0], {}, {}, x[1], x[2], true))},
      {"group_norm", "per sample", OP(group_norm(x[0], 2, x[1], x[2])), {image, c, real({2, 4})}, s},
      {"layer_norm", "", OP(layer_norm(x[0], {3, 5}, x[1], x[2])), {image, within({3, 5}, 0.5, 2), real({3, 5})}, s},
      {"layer_norm",
       "options",
       OP(layer_norm(x[0], {5}, {.weight = x[1], .bias = x[2], .eps = 0.1})),
       {image, within({5}, 0.5, 2), real({5})},
       s},
      {"rms_norm", "", OP(rms_norm(x[0], {5}, x[1])), {image, within({5}, 0.5, 2)}, s},
      {"rms_norm",
       "options",
       OP(rms_norm(x[0], {3, 5}, {.weight = x[1], .eps = 0.1})),
       {image, within({3, 5}, 0.5, 2)},
       s},
      {"batch_norm",
       "running statistics",
       OP(batch_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2])),
       {image, c, c},
       s},
      {"batch_norm",
       "statistics given",
       OP(batch_norm(x[0], x[1], x[2], x[3], x[4])),
       {image, within({4}, -1, 1), c, c, c},
       s},
      {.op = "batch_norm",
       .variant = "statistics given, relu",
       .f = OP(
           batch_norm(x[0], {.running_mean = x[1], .running_var = x[2], .weight = x[3], .bias = x[4], .relu = true})),
       .inputs = {image, within({4}, -1, 1), c, c, c},
       .shape = s,
       .kink = OP(batch_norm(x[0], x[1], x[2], x[3], x[4]))},
      {"batch_norm", "training", OP(batch_norm(x[0], {}, {}, x[1], x[2], true)), {image, c, c}, s},
  };
  for (OpRow& r : rows) {
    r.keeps_format = r.op != "layer_norm" && r.op != "rms_norm";
    r.optional = r.op == "rms_norm" ? 2 : r.inputs.size() == 5 ? 24 : 6;
  }
  return rows;
}

Rows losses() {
  const Shape s{3, 4};
  const std::vector<Sample> two{real(s), real(s)}, binary{real(s), within(s, 0.1, 0.9)};
  return {
      {"mse_loss", "", OP(mse_loss(x[0], x[1])), two, {}},
      {"mse_loss", "none", OP(mse_loss(x[0], x[1], Reduction::none)), two, s},
      {"l1_loss", "", OP(l1_loss(x[0], x[1], Reduction::sum)), two, {}},
      {"huber_loss", "", OP(huber_loss(x[0], x[1], 0.7)), {real(s), within(s, 3, 5)}, {}},
      {"huber_loss", "inner", OP(huber_loss(x[0], x[1], 9.0)), two, {}},
      {"nll_loss", "", OP(nll_loss(x[0], x[1])), {real(s), indices({3}, 4)}, {}},
      {"nll_loss", "image", OP(nll_loss(x[0], x[1], Reduction::none)), {real({2, 3, 4}), indices({2, 4}, 3)}, {2, 4}},
      {"cross_entropy", "", OP(cross_entropy(x[0], x[1])), {real(s), indices({3}, 4)}, {}},
      optional(4, {"cross_entropy",
                   "options",
                   OP(cross_entropy(x[0], x[1], {.weight = x[2], .ignore_index = 2, .label_smoothing = 0.3})),
                   {real(s), indices({3}, 4), within({4}, 0.5, 2)},
                   {}}),
      optional(4,
               {"cross_entropy",
                "probabilities",
                OP(cross_entropy(x[0], x[1], {.weight = x[2], .label_smoothing = 0.3, .reduction = Reduction::none})),
                {real({3, 4, 2}), within({3, 4, 2}, 0.1, 0.9), within({4}, 0.5, 2)},
                {3, 2}}),
      optional(4, {"nll_loss",
                   "options",
                   OP(nll_loss(x[0], x[1], {.weight = x[2], .ignore_index = 1})),
                   {real({2, 3, 4}), indices({2, 4}, 3), within({3}, 0.5, 2)},
                   {}}),
      {"bce_with_logits", "", OP(bce_with_logits(x[0], x[1])), binary, {}},
      {"bce_with_logits", "none", OP(bce_with_logits(x[0], x[1], Reduction::none)), binary, s},
      optional(12, {"bce_with_logits",
                    "weights",
                    OP(bce_with_logits(x[0], x[1], {.weight = x[2], .pos_weight = x[3]})),
                    {real(s), within(s, 0.1, 0.9), within({3, 1}, 0.5, 2), within({4}, 0.5, 2)},
                    {}}),
      {"binary_cross_entropy",
       "",
       OP(binary_cross_entropy(x[0], x[1])),
       {within(s, 0.1, 0.9), within(s, 0.1, 0.9)},
       {}},
      optional(4, {"binary_cross_entropy",
                   "weight",
                   OP(binary_cross_entropy(x[0], x[1], {.weight = x[2], .reduction = Reduction::none})),
                   {within(s, 0.1, 0.9), within(s, 0.1, 0.9), within(s, 0.5, 2)},
                   s}),
      {"kl_div", "", OP(kl_div(x[0], x[1], Reduction::batchmean)), {real(s), within(s, 0.1, 0.9)}, {}},
      {"kl_div", "logs", OP(kl_div(x[0], x[1], {.log_target = true, .reduction = Reduction::none})), two, s},
      {"smooth_l1_loss", "", OP(smooth_l1_loss(x[0], x[1], 0.7)), {real(s), within(s, 3, 5)}, {}},
      {"smooth_l1_loss", "inner", OP(smooth_l1_loss(x[0], x[1], 9.0, Reduction::none)), two, s},
      {"gaussian_nll_loss",
       "",
       OP(gaussian_nll_loss(x[0], x[1], x[2], {.full = true})),
       {real(s), real(s), within({3}, 0.5, 2)},
       {}},
      {"poisson_nll_loss", "", OP(poisson_nll_loss(x[0], x[1], {.full = true})), {real(s), {s, 0.1, 3, {1}}}, {}},
      {"poisson_nll_loss",
       "rates",
       OP(poisson_nll_loss(x[0], x[1], {.log_input = false, .reduction = Reduction::none})),
       {within(s, 0.3, 2), within(s, 0.1, 3)},
       s},
      with_kink(OP(0.3 - (2 * x[2] - 1) * (x[0] - x[1])),
                {"margin_ranking_loss",
                 "",
                 OP(margin_ranking_loss(x[0], x[1], 2 * x[2] - 1, {.margin = 0.3, .reduction = Reduction::sum})),
                 {within(s, -1, 1), within(s, -1, 1), indices(s, 2)},
                 {}}),
      {"hinge_embedding_loss", "", OP(hinge_embedding_loss(x[0], 2 * x[1] - 1)), {{s, 0.1, 2, {1}}, indices(s, 2)}, {}},
      with_kink(OP(cosine_similarity(x[0], x[1], 1) + 0.9),
                {"cosine_embedding_loss",
                 "",
                 OP(cosine_embedding_loss(x[0], x[1], 2 * x[2] - 1, {.margin = -0.9, .reduction = Reduction::none})),
                 {real(s), real(s), indices({3}, 2)},
                 {3}}),
      {"triplet_margin_loss",
       "",
       OP(triplet_margin_loss(x[0], x[1], x[2], {.margin = 9})),
       {real(s), real(s), real(s)},
       {}},
      with_kink(OP(pairwise_distance(x[0], x[2]) - pairwise_distance(x[1], x[2])),
                {"triplet_margin_loss",
                 "swap",
                 OP(triplet_margin_loss(x[0], x[1], x[2], {.margin = 9, .swap = true, .reduction = Reduction::none})),
                 {real(s), real(s), real(s)},
                 {3}}),
      {"ctc_loss",
       "",
       OP(ctc_loss(x[0], reshape(tensor({1, 1, 3, 2}, int64), {2, 2}), tensor({5, 4}, int64), tensor({2, 1}, int64))),
       {real({5, 2, 4})},
       {}},
      {"ctc_loss",
       "none",
       OP(ctc_loss(log_softmax(x[0], -1), tensor({1, 2}, int64), tensor({4}, int64), tensor({2}, int64),
                   {.reduction = Reduction::none})),
       {real({4, 3})},
       {}},
  };
}

Tensors results(const Recurrence& r) { return {r.sequence, r.state}; }
Tensors results(const LSTMState& s) { return {s.h, s.c}; }
Tensors results(const LSTMRecurrence& r) { return {r.sequence, r.state.h, r.state.c}; }

// x (3, 2, 4), h0, c0 where there is one, weights and biases of a layer with 5 units.
std::vector<Sample> layer(int64_t gates, bool has_c, int64_t out = 5) {
  const int64_t width = 5 * gates;
  std::vector<Sample> inputs{real({3, 2, 4}),       real({2, out}), {{width, 4}, -1, 1},
                             {{width, out}, -1, 1}, real({width}),  real({width})};
  if (has_c) inputs.push_back(real({2, 5}));
  return inputs;
}

RecurrentWeights weights(const Tensors& x) { return {x[2], x[3], x[4], x[5], {}}; }

Rows recurrences() {
  const Shape s{3, 2, 5};
  auto projected = layer(4, true, 3), lstm_inputs = layer(4, true);
  projected.push_back({{3, 5}, -1, 1});
  const auto one = [](std::vector<Sample> inputs) {
    inputs[0] = real({2, 4});
    return inputs;
  };
  Rows rows{
      optional(50, {"rnn", "", OP(rnn(x[0], x[1], weights(x))), layer(1, false), s}),
      optional(50,
               {"rnn", "lengths", OP(rnn(x[0], x[1], weights(x), {.lengths = tensor({1, 3}, int64), .reverse = true})),
                layer(1, false), s}),
      optional(50, with_kink(OP(linear(x[0], x[2], x[4] + x[5]) + matmul(x[1], transpose(x[3], 0, 1))),
                             {"rnn",
                              "relu",
                              OP(rnn(x[0], x[1], weights(x), {.nonlinearity = Nonlinearity::relu})),
                              {real({1, 2, 4}), real({2, 5}), {{5, 4}, -1, 1}, {{5, 5}, -1, 1}, real({5}), real({5})},
                              {1, 2, 5}})),
      optional(50, {"gru", "", OP(gru(x[0], x[1], weights(x))), layer(3, false), s}),
      optional(50,
               {"gru", "lengths", OP(gru(x[0], x[1], weights(x), {.lengths = tensor({3, 2}, int64), .reverse = true})),
                layer(3, false), s}),
      optional(114, {"lstm", "", OP(lstm(x[0], {x[1], x[6]}, weights(x))), lstm_inputs, s}),
      optional(114, {"lstm", "lengths",
                     OP(lstm(x[0], {x[1], x[6]}, weights(x), {.lengths = tensor({0, 2}, int64), .reverse = true})),
                     lstm_inputs, s}),
      optional(114, {"lstm",
                     "projected",
                     OP(lstm(x[0], {x[1], x[6]}, {x[2], x[3], x[4], x[5], x[7]}, {.lengths = tensor({2, 3}, int64)})),
                     projected,
                     {3, 2, 3}}),
      optional(50, {"rnn_tanh_cell", "", OP(rnn_tanh_cell(x[0], x[1], weights(x))), one(layer(1, false)), {2, 5}}),
      optional(50, with_kink(
                       OP(linear(x[0], x[2], x[4] + x[5]) + matmul(x[1], transpose(x[3], 0, 1))),
                       {"rnn_relu_cell", "", OP(rnn_relu_cell(x[0], x[1], weights(x))), one(layer(1, false)), {2, 5}})),
      optional(50, {"gru_cell", "", OP(gru_cell(x[0], x[1], weights(x))), one(layer(3, false)), {2, 5}}),
      optional(114, {"lstm_cell", "", OP(lstm_cell(x[0], {x[1], x[6]}, weights(x))), one(lstm_inputs), {2, 5}}),
  };
  for (OpRow& row : rows) row.of_library = true;
  return rows;
}

Rows attentions() {
  const std::vector<Sample> qkv{real({2, 3, 4}), real({2, 5, 4}), real({2, 5, 2})};
  const Shape s{2, 3, 2};
  Rows rows{
      {"scaled_dot_product_attention", "", OP(scaled_dot_product_attention(x[0], x[1], x[2])), qkv, s},
      {"scaled_dot_product_attention",
       "mask",
       OP(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = ne(remainder(arange(15).reshape({3, 5}), 4), 1)})),
       {real({2, 3, 4}), real({5, 4}), real({2, 5, 2})},
       s},
      {"scaled_dot_product_attention", "causal",
       OP(scaled_dot_product_attention(x[0], x[1], x[2],
                                       {.causal = true, .alignment = CausalAlignment::bottom_right, .scale = 0.3})),
       qkv, s},
      {"scaled_dot_product_attention",
       "learned mask",
       OP(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3]})),
       {real({2, 3, 4}), real({2, 5, 4}), real({2, 5, 2}), real({3, 5})},
       s},
      {"attention_weights",
       "",
       OP(attention_weights(x[0], x[1], {.causal = true})),
       {real({2, 3, 4}), real({2, 5, 4})},
       {2, 3, 5}},
  };
  rows[3].optional = 8;
  for (OpRow& row : rows) row.of_library = true;
  return rows;
}

Rows conversions() {
  const Shape s{2, 3, 4};
  return {
      {"to", "", OP(x[0].to(float32).to(float64)), {real(s)}, s, 1e-3},
      elementwise({"clone", "", OP(x[0].clone()), {real(s)}, s}),
      {"contiguous", "", OP(x[0].contiguous(MemoryFormat::channels_last)), {real(s)}, s},
  };
}

#undef OP

}  // namespace

const std::vector<OpRow>& op_table() {
  static const Rows table = [] {
    Rows all_rows;
    for (Rows (*family)() :
         {arithmetic, functions, choices, reductions, statistics, shaping, products, sums_of_products, linear_algebra,
          normalisations, losses, recurrences, attentions, conversions})
      for (OpRow& row : family()) all_rows.push_back(std::move(row));
    return all_rows;
  }();
  return table;
}
