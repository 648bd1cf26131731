// The cases of one op each: names, sizes and operands, for any library. bench_ops.cpp and bench/peers/libtorch_ops.cpp
// say what each op is called in theirs.
#pragma once
#include <limpid/bench/peer_cases.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace limpid {

/// How an operand is drawn. Numbers are differentiated by, but for those called fixed.
enum class Draw {
  normal,
  positive,  ///< in [0.5, 1.5)
  within_1,  ///< in [-0.9, 0.9)
  fixed,     ///< normal
  fraction,  ///< in [0, 1)
  index,     ///< int64 below the limit
  classes,   ///< 0, 1, ..., limit - 1, 0, ... in int64
  mask       ///< bool
};

struct OpOperand {
  std::vector<std::int64_t> shape;
  Draw draw = Draw::normal;
  std::int64_t limit = 0;
};
struct OpCase {
  std::string op, size;
  std::vector<OpOperand> operands;
};

inline std::vector<OpCase> op_cases() {
  std::vector<OpCase> cases;
  for (const std::int64_t n : {1000, 1000000}) {
    const auto add = [&](std::initializer_list<const char*> ops, const std::vector<Draw>& draws) {
      for (const char* op : ops) {
        OpCase one{op, std::to_string(n), {}};
        for (const Draw draw : draws) one.operands.push_back({{n}, draw});
        cases.push_back(one);
      }
    };
    add({"neg",        "abs",  "sign", "square", "reciprocal", "exp",  "expm1",     "sin",        "cos",
         "tan",        "atan", "sinh", "tanh",   "sigmoid",    "erf",  "floor",     "round",      "relu",
         "leaky_relu", "elu",  "gelu", "silu",   "softplus",   "mish", "hardswish", "logsigmoid", "clamp",
         "add 1",      "sum",  "mean", "max",    "norm",       "var"},
        {Draw::normal});
    add({"sqrt", "rsqrt", "log", "log1p", "log2", "lgamma", "pow 2.5"}, {Draw::positive});
    add({"asin", "erfinv"}, {Draw::within_1});
    add({"add", "sub", "mul", "div", "maximum", "atan2", "hypot", "mse_loss", "l1_loss", "smooth_l1_loss", "where",
         "lerp"},
        {Draw::normal, Draw::normal});
    add({"lt", "eq"}, {Draw::fixed, Draw::fixed});
    add({"masked_fill"}, {Draw::normal, Draw::mask});
    add({"to float64", "to bfloat16"}, {Draw::fixed});
  }
  const std::vector<std::int64_t> cube{64, 64, 64};
  cases.insert(cases.end(), {
                                {"add", "bias 64x64x64", {{cube}, {{64}}}},
                                {"mul", "column 64x64x64", {{cube}, {{64, 1, 1}}}},
                                {"add", "outer 512x512", {{{512, 1}}, {{512}}}},
                                {"transpose 0 2 copy", "64x64x64", {{cube}}},
                                {"transpose 0 1 copy", "1024x1024", {{{1024, 1024}}}},
                                {"to channels last copy", "8x32x56x56", {{{8, 32, 56, 56}}}},
                                {"every second copy", "1024x1024", {{{1024, 1024}}}},
                                {"cat", "64x64x64", {{cube}}},
                                {"stack", "64x64x64", {{cube}}},
                                {"flip", "64x64x64", {{cube}}},
                                {"roll", "64x64x64", {{cube}}},
                                {"tril", "512x512", {{{512, 512}}}},
                                {"index_select", "512 of 1000x64", {{{1000, 64}}, {{512}, Draw::index, 1000}}},
                                {"gather", "256x256 of 256x1000", {{{256, 1000}}, {{256, 256}, Draw::index, 1000}}},
                                {"zero pad", "4x64x32x32", {{{4, 64, 32, 32}}}},
                                {"reflect pad", "4x64x32x32", {{{4, 64, 32, 32}}}},
                            });
  for (const char* op : {"sum", "mean", "amax", "var", "prod", "norm", "logsumexp", "softmax", "log_softmax", "cumsum"})
    for (const char* axis : {" axis0", " axis1", " axis2"})
      cases.push_back({op + std::string(axis), "256x64x64", {{{256, 64, 64}}}});
  for (const char* op : {"argmax axis0", "argmax axis1", "argmax axis2"})
    cases.push_back({op, "256x64x64", {{{256, 64, 64}, Draw::fixed}}});
  for (const auto& [rows, columns] : {std::pair<std::int64_t, std::int64_t>{64, 10}, {64, 1000}, {8192, 128}}) {
    const std::string size = std::to_string(rows) + 'x' + std::to_string(columns);
    const OpOperand x{{rows, columns}};
    for (const char* op : {"sum axis1", "amax axis1", "softmax axis1", "log_softmax axis1"})
      cases.push_back({op, size, {x}});
    cases.push_back({"cross_entropy", size, {x, {{rows}, Draw::classes, columns}}});
    cases.push_back({"bce_with_logits", size, {x, {{rows, columns}, Draw::fraction}}});
  }
  const auto affine = [](std::int64_t n) { return OpOperand{{n}, Draw::positive}; };
  cases.insert(cases.end(),
               {
                   {"layer_norm", "8192x512 affine", {{{64, 128, 512}}, affine(512), affine(512)}},
                   {"layer_norm", "256x256 affine", {{{4, 64, 256}}, affine(256), affine(256)}},
                   {"group_norm of 32", "8x64x56x56", {{{8, 64, 56, 56}}, affine(64), affine(64)}},
                   {"batch_norm", "8x64x56x56 train", {{{8, 64, 56, 56}}, affine(64), affine(64)}},
                   {"matmul", "64x32x64x32", {{{64, 32, 64}}, {{64, 64, 32}}}},
                   {"matmul", "512x512 with vector", {{{512, 512}}, {{512}}}},
                   {"linear", "64x784x256", {{{64, 784}}, {{256, 784}}, {{256}}}},
                   {"linear", "8x32x32", {{{8, 32}}, {{32, 32}}, {{32}}}},
                   {"conv2d padded", "64x1x28x28 k3 16", {{{64, 1, 28, 28}}, {{16, 1, 3, 3}}, {{16}}}},
                   {"conv2d padded", "64x16x14x14 k3 32", {{{64, 16, 14, 14}}, {{32, 16, 3, 3}}, {{32}}}},
                   {"conv2d padded strided", "4x32x64x64 k3 64", {{{4, 32, 64, 64}}, {{64, 32, 3, 3}}, {{64}}}},
                   {"conv2d padded", "4x64x32x32 k3 64", {{{4, 64, 32, 32}}, {{64, 64, 3, 3}}, {{64}}}},
                   {"conv2d", "4x3x136x136 k9 16", {{{4, 3, 136, 136}}, {{16, 3, 9, 9}}, {{16}}}},
                   {"conv2d", "8x64x28x28 k1 128", {{{8, 64, 28, 28}}, {{128, 64, 1, 1}}, {{128}}}},
                   {"conv2d depthwise", "8x64x28x28 k3", {{{8, 64, 28, 28}}, {{64, 1, 3, 3}}, {{64}}}},
                   {"conv2d padded", "1x8x16x16 k3 8", {{{1, 8, 16, 16}}, {{8, 8, 3, 3}}, {{8}}}},
                   {"max_pool2d k2", "64x16x28x28", {{{64, 16, 28, 28}}}},
                   {"avg_pool2d k2", "64x16x28x28", {{{64, 16, 28, 28}}}},
                   {"max_pool2d k3 s2", "64x16x28x28", {{{64, 16, 28, 28}}}},
                   {"adaptive_avg_pool2d 1", "64x16x28x28", {{{64, 16, 28, 28}}}},
                   {"nearest x2", "8x32x32x32", {{{8, 32, 32, 32}}}},
               });
  for (const std::int64_t n : {16, 64, 256, 1024}) cases.push_back({"matmul", std::to_string(n), {{{n, n}}, {{n, n}}}});
  return cases;
}

/// By their names in op_cases().
template <class T>
using OpFunctions = std::map<std::string, T (*)(const std::vector<T>&)>;

/// Adds all cases. T: a tensor of the library; draw(operand) makes one; runs(f, leaves) what bench.add() takes. A case
/// without its function ends the program.
template <class T, class MakeOperand, class Runs>
void add_op_cases(PeerBench& bench, const OpFunctions<T>& functions, const MakeOperand& make, const Runs& runs) {
  for (const OpCase& c : op_cases()) {
    const auto found = functions.find(c.op);
    if (found == functions.end()) {
      std::fprintf(stderr, "expected a function for %s, got none\n", c.op.c_str());
      std::exit(2);
    }
    bench.add(c.op + ' ' + c.size, [&] {
      std::vector<T> xs, leaves;
      for (const OpOperand& operand : c.operands) {
        xs.push_back(make(operand));
        if (operand.draw <= Draw::within_1) leaves.push_back(xs.back());
      }
      return runs([f = found->second, xs] { return f(xs); }, leaves);
    });
  }
}

}  // namespace limpid
