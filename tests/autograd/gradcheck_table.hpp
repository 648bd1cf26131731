// Functions and points over many scales, for gradcheck.
#pragma once
#include <limpid/limpid.hpp>

#include <string>
#include <vector>

using Points = std::vector<std::vector<double>>;

struct Case {
  const char* name;
  limpid::Tensor (*f)(const limpid::Tensor& x);
  Points points;
  bool is_linear = false;  ///< piecewise: the second derivative is 0, and no fault shows in it
  bool has_kinks = false;  ///< at some of the points
};

// Of one sign; of both; for softmax and its kind; and small elements beside large ones, so that a step of the one size
// passes the other's kink or pole.
inline const Points wide{{1e-8, 1, 1e8}, {1e5, 3e-4},   {1e10, 1, 1e-10}, {1e-10, 3e-10, 7e-9},
                         {2e10, 5e9},    {0.3, 2, 1.7}, {1, 1e-8}};
inline const Points small{{1e-8, 1, -30}, {5, -3e-4, 0.1}, {-1, 1e-10}, {1e-10, -3e-10},
                          {0.3, -2, 1.7}, {10, -20, 1e-3}, {1, 0.5, 0}};
inline const Points slices{{0, 50, -50}, {0, 700, -700}, {0, 20},   {1, 2, 3},      {1e-8, 1, 30},
                           {1e-9, 2e-9}, {1e8, 1e8 + 1}, {5, 5, 5}, {0, 40, 39, -3}};
inline const Points apart{{1e-10, 1, 1e10}, {-1e-10, 1, 1e10}, {1e-10, 1, -1e10},     {-1e-10, 1, -1e10}, {1e-12, 1e12},
                          {1e-5, 1, -3},    {1e-8, 2, -1e9},   {-1e-10, 2e-10, 1e10}, {1, 1e-9, -1e10, 3}};

inline const std::vector<Case>& smooth_cases() {
  using namespace limpid;
  using T = const Tensor&;
  static const std::vector<Case> all{
      {"reciprocal beside its pole", [](T x) { return 1.0 / x; }, apart},
      {"relu beside its kink", [](T x) { return relu(x); }, apart, true},
      {"abs beside its kink", [](T x) { return abs(x); }, apart, true},
      {"square of relu", [](T x) { return square(relu(x)); }, apart},
      {"square of relu, small", [](T x) { return square(relu(x)); }, {{1e-6, 1, -2}, {-1e-6, 1, -2}, {1e-8, 1, 3}}},
      {"sqrt of abs", [](T x) { return sqrt(abs(x)); }, apart},
      {"sin 1e8", [](T x) { return sin(x * 1e8); }, small},
      {"reciprocal", [](T x) { return 1.0 / x; }, wide},
      {"log", [](T x) { return log(x); }, wide},
      {"sqrt", [](T x) { return sqrt(x); }, wide},
      {"rsqrt", [](T x) { return rsqrt(x); }, wide},
      {"square", [](T x) { return square(x); }, wide},
      {"cube", [](T x) { return x * x * x; }, wide},
      {"pow 2.5", [](T x) { return pow(x, 2.5); }, wide},
      {"pow -1.5", [](T x) { return pow(x, -1.5); }, wide},
      {"pow 0.3", [](T x) { return pow(x, 0.3); }, wide},
      {"1.5 to the x", [](T x) { return pow(1.5, x); }, small},
      {"x to the x", [](T x) { return pow(x, x); }, {{1e-8, 1, 5}, {1e-10, 3e-10}, {0.3, 2, 1.7}, {20, 1e-4}}},
      {"abs", [](T x) { return abs(x); }, wide, true},
      {"abs of both signs", [](T x) { return abs(x); }, small, true, true},
      {"relu", [](T x) { return relu(x); }, small, true, true},
      {"exp", [](T x) { return exp(x); }, small},
      {"sin", [](T x) { return sin(x); }, small},
      {"sin far out", [](T x) { return sin(x); }, wide},
      {"cos", [](T x) { return cos(x); }, small},
      {"sin 1e6", [](T x) { return sin(x * 1e6); }, small},
      {"sin 1e6 far out", [](T x) { return sin(x * 1e6); }, wide},
      {"tanh", [](T x) { return tanh(x); }, small},
      {"tanh far out", [](T x) { return tanh(x); }, wide},
      {"sigmoid", [](T x) { return sigmoid(x); }, small},
      {"sigmoid far out", [](T x) { return sigmoid(x); }, wide},
      {"erf", [](T x) { return erf(x); }, small},
      {"leaky_relu", [](T x) { return leaky_relu(x); }, small, true, true},
      {"elu", [](T x) { return elu(x); }, small, false, true},
      {"gelu", [](T x) { return gelu(x); }, small},
      {"gelu far out", [](T x) { return gelu(x); }, wide},
      {"silu", [](T x) { return silu(x); }, small},
      {"silu far out", [](T x) { return silu(x); }, wide},
      {"softplus", [](T x) { return softplus(x); }, small},
      {"softplus far out", [](T x) { return softplus(x); }, wide},
      {"clamp", [](T x) { return clamp(x, -1.0, 1.0); }, small, true, true},
      {"clamp far out", [](T x) { return clamp(x, 0.5, 1e9); }, wide, true},
      {"log 1 + x", [](T x) { return log(x + 1.0); }, wide},
      {"sqrt 1 + x^2", [](T x) { return sqrt(x * x + 1.0); }, wide},
      {"x / (1 + x)", [](T x) { return x / (x + 1.0); }, wide},
      {"sqrt(x - 1)",
       [](T x) { return sqrt(x - 1.0); },
       {{1 + 1e-9}, {1 + 1e-12}, {1 + 1e-6, 3}, {1 + 1e-9, 2, 1e8}, {1.5, 40}}},
      {"log(x - 1)", [](T x) { return log(x - 1.0); }, {{1 + 1e-9}, {1 + 1e-6, 3}, {1 + 1e-9, 2, 1e8}, {1.5, 40}}},
      {"1 / (x - 1)", [](T x) { return 1.0 / (x - 1.0); }, {{1 + 1e-9}, {1 + 1e-6, 3}, {1 + 1e-9, 2, 1e8}, {1.5, -40}}},
      {"sqrt(1 - x)", [](T x) { return sqrt(1.0 - x); }, {{1 - 1e-9}, {1 - 1e-6, 0.5, -1e8}, {0.3, 1e-8}}},
      {"a large constant", [](T x) { return square(x) + 1e8; }, small},
      {"small and fast", [](T x) { return square(x) + 1e-9 * sin(x * 1e9); }, small},
      {"cancelling", [](T x) { return (x + 1e6) - (square(x) + 1e6); }, small},
      {"step", [](T x) { return tanh(x * 1e6); }, small},
      {"sum", [](T x) { return sum(x); }, wide, true},
      {"sum of squares", [](T x) { return sum(square(x)); }, wide},
      {"sum of logs", [](T x) { return sum(log(x)); }, wide},
      {"sum of reciprocals", [](T x) { return sum(1.0 / x); }, wide},
      {"mean of sqrt", [](T x) { return mean(sqrt(x)); }, wide},
      {"prod", [](T x) { return prod(x); }, wide},
      {"prod of both signs", [](T x) { return prod(x); }, small},
      {"var", [](T x) { return var(x); }, wide},
      {"var of both signs", [](T x) { return var(x); }, small},
      {"max", [](T x) { return max(x); }, wide, true},
      {"max times sum", [](T x) { return max(x) * sum(x); }, wide},
      {"min times log", [](T x) { return min(x) * log(x); }, wide},
      {"softmax", [](T x) { return softmax(x, 0); }, slices},
      {"log_softmax", [](T x) { return log_softmax(x, 0); }, slices},
      {"logsumexp", [](T x) { return logsumexp(x); }, slices},
      {"norm", [](T x) { return vector_norm(x); }, wide},
      {"norm of both signs", [](T x) { return vector_norm(x); }, small},
      {"1-norm", [](T x) { return vector_norm(x, 1); }, small, true, true},
      {"3-norm", [](T x) { return vector_norm(x, 3); }, wide},
      {"1.5-norm", [](T x) { return vector_norm(x, 1.5); }, small, false, true},
      {"x over its norm", [](T x) { return x / vector_norm(x); }, wide},
      {"x over its norm, both signs", [](T x) { return x / vector_norm(x); }, small},
      {"layer_norm", [](T x) { return layer_norm(x, x.shape()); }, small},
      {"layer_norm far out", [](T x) { return layer_norm(x, x.shape()); }, wide},
      {"rms_norm", [](T x) { return rms_norm(x, x.shape()); }, wide},
      {"log of exp", [](T x) { return log(exp(x)); }, small, true},
      {"differences", [](T x) { return square(slice(x, 0, 1, to_end)) - square(slice(x, 0, 0, -1)); }, wide},
      {"outer product",
       [](T x) {
         return reshape(x, {-1, 1}) * reshape(sqrt(x), {1, -1});
       },
       wide},
      {"linear", [](T x) { return x * 3.0; }, wide, true},
      {"cross_entropy",
       [](T x) {
         return cross_entropy(reshape(x, {1, -1}), zeros({1}, int64));
       },
       small},
      {"quotients", [](T x) { return slice(x, 0, 0, -1) / slice(x, 0, 1, to_end); }, wide},
      {"powers",
       [](T x) { return pow(slice(x, 0, 0, -1), slice(x, 0, 1, to_end)); },
       {{1e-8, 1, 5}, {20, 1e-4}, {0.3, 2, 1.7}, {1e8, 1e-8}, {1e-10, 3e-10}}},
      {"matmul",
       [](T x) {
         return matmul(reshape(x, {-1, 1}), reshape(exp(x * 1e-10), {1, -1}));
       },
       wide},
      {"hypot", [](T x) { return sqrt(square(slice(x, 0, 0, -1)) + square(slice(x, 0, 1, to_end))); }, wide},
      {"instance_norm",
       [](T x) {
         return instance_norm(reshape(x, {1, 1, -1}));
       },
       {{1e-8, 1, 1e8}, {1e5, 3e-4}, {0.3, 2, 1.7}, {1e-10, 3e-10, 7e-9}}},
      {"huber_loss", [](T x) { return huber_loss(x, x.detach() * 0 + 0.25); }, small},
      {"bce_with_logits", [](T x) { return bce_with_logits(x, x.detach() * 0 + 0.25); }, small},
      {"l1_loss", [](T x) { return l1_loss(x, x.detach() * 0 + 0.125); }, small, true},
      {"remainder", [](T x) { return remainder(x, 0.7) * x; }, small, false, true},
      {"variance of logs", [](T x) { return var(log(x)); }, wide},
      {"entropy",
       [](T x) { return -sum(softmax(x, 0) * log_softmax(x, 0)); },
       {{0, 50, -50}, {0, 20}, {1, 2, 3}, {1e-8, 1, 30}, {1e-9, 2e-9}, {5, 5, 5}}},
      {"exp of minus squares", [](T x) { return exp(-square(x)); }, small},
      {"mse_loss", [](T x) { return mse_loss(x, x.detach() * 0 + 1.0); }, small},
  };
  return all;
}

// Where rounding, the ends of the range of numbers or oscillation leave little to see.
inline const std::vector<Case>& hostile_cases() {
  using namespace limpid;
  using T = const Tensor&;
  static const std::vector<Case> all{
      {"maximum times sum", [](T x) { return maximum(x, x.detach() * 0) * sum(x); }, apart},
      {"abs times sum", [](T x) { return abs(x) * sum(x); }, apart},
      {"min times sum", [](T x) { return min(x) * sum(x); }, apart},
      {"relu over sum", [](T x) { return relu(x) / sum(x); }, apart},
      {"relu and square, summed",
       [](T x) { return sum(relu(x)) + sum(square(x)); },
       {{1e-5, 300}, {-1e-5, 300}, {1e-5, 3}, {1e-7, 300}, {1e-9, 1}}},
      {"sin 1e10", [](T x) { return sin(x * 1e10); }, small},
      {"sin 1e10 far out", [](T x) { return sin(x * 1e10); }, wide},
      {"sum of sin 1e10", [](T x) { return sum(sin(x * 1e10)); }, {{1}, {1e-5, 1}, {0.3, 2, 1.7}, {1e5, 3e-4}}},
      {"exp at the end of its range",
       [](T x) { return exp(x); },
       {{709.7}, {709.7, 1}, {709.7, 709.5, -3}, {709, 708}}},
      {"square at the ends of its range", [](T x) { return square(x); }, {{1e154}, {1e150, 1e-150}, {1e-200, 1}}},
      {"rsqrt at the ends of its range", [](T x) { return rsqrt(x); }, {{1e150}, {1e300}, {1e-150, 1}, {1e-300}}},
      {"log at the end of its range", [](T x) { return log(x); }, {{1e-200}, {1e-200, 1}, {1e-300, 1e300}}},
      {"reciprocal at the ends of its range",
       [](T x) { return 1.0 / x; },
       {{1e-200}, {1e200, 1e-200}, {1e-160, 1}, {1e-300}}},
      {"square of exp beyond its range", [](T x) { return square(exp(x)); }, {{400, 1}, {400}}},
      {"exp over its sum", [](T x) { return exp(x) / sum(exp(x)); }, {{709, 1}}},
  };
  return all;
}

inline const std::vector<Case>& kinked_cases() {
  using namespace limpid;
  using T = const Tensor&;
  static const std::vector<Case> all{
      {"abs at 0", [](T x) { return abs(x); }, {{0}, {0, 1}, {0, 1e-8, 1e8}, {0, 0}}},
      {"relu at 0", [](T x) { return relu(x); }, {{0}, {0, 1}, {0, 1e-8, 1e8}, {0, -1, 2}}},
      {"relu squared at 0", [](T x) { return square(relu(x)); }, {{0}, {0, 1}, {0, 1e-8, 1e8}, {0, -1, 2}}},
      {"clamp at its bounds", [](T x) { return clamp(x, -1.0, 1.0); }, {{1}, {-1, 0.3}, {1, -1, 1e-8, 5}, {1, 1e8}}},
      {"clamp times x", [](T x) { return clamp(x, -1.0, 1.0) * x; }, {{1}, {-1, 0.3}, {1, -1, 1e-8, 5}, {1, 1e8}}},
      {"max times sum, tied", [](T x) { return max(x) * sum(x); }, {{1, 1}, {3, 1, 3}, {1e-8, 1e8, 1e8}, {2, 2, 2}}},
      {"max, tied", [](T x) { return max(x); }, {{1, 1}, {3, 1, 3}, {1e-8, 1e8, 1e8}, {2, 2, 2}}},
      {"min times exp, tied", [](T x) { return min(x) * exp(x); }, {{1, 1}, {3, 1, 1}, {-2, 0.1, -2}}},
      {"maximum, tied", [](T x) { return maximum(x, x.detach() * 0 + 1.0) * x; }, {{1, 1}, {3, 1}, {-2, 1, 1e8}}},
      {"leaky_relu at 0", [](T x) { return leaky_relu(x); }, {{0}, {0, 1, -4}}},
      {"elu at 0", [](T x) { return elu(x, 2.0) * x + elu(x); }, {{0}, {0, 1, -4}}},
      {"norm at 0", [](T x) { return vector_norm(x); }, {{0}, {0, 0}}},
      {"1-norm at 0", [](T x) { return vector_norm(x, 1) * sum(x); }, {{0, 1}, {0, 2, -3}}},
      {"sqrt at 0", [](T x) { return sqrt(x); }, {{0, 1}, {0}}},
      {"abs to the 1.5 at 0", [](T x) { return pow(abs(x), 1.5); }, {{0, 1}, {0}}},
      {"sign at 0", [](T x) { return sign(x) + square(x); }, {{0, 1}}},
      {"relu times exp at 0", [](T x) { return relu(x) * exp(x); }, {{0}, {0, 1, -4}, {0, 1e-8, 3}}},
  };
  return all;
}
