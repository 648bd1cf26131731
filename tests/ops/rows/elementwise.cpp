// The op table's rows of functions of each element.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

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

Rows conversions() {
  const Shape s{2, 3, 4};
  return {
      {"to", "", OP(x[0].to(float32).to(float64)), {real(s)}, s, 1e-3},
      elementwise({"clone", "", OP(x[0].clone()), {real(s)}, s}),
      {"contiguous", "", OP(x[0].contiguous(MemoryFormat::channels_last)), {real(s)}, s},
  };
}

}  // namespace rows
