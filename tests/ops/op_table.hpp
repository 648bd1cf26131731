// Every public op of ops/*.hpp, as data for the tests that go over all of them.
#pragma once
#include <limpid/core/random.hpp>
#include <limpid/core/tensor.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// How an input is drawn: distinct values spread over [low, high], none near one to avoid.
struct Sample {
  limpid::Shape shape;
  double low = -2, high = 2;
  std::vector<double> avoid = {};  ///< kinks and singularities
  limpid::DType dtype = limpid::float64;

  /// Those with different `turn` have no value in common where shape and range are the same.
  limpid::Tensor draw(limpid::Generator& generator, int turn) const;
};

struct OpRow {
  std::string op;       ///< its name in the header
  std::string variant;  ///< tells rows of one op apart
  limpid::Tensors (*f)(const limpid::Tensors& x);
  std::vector<Sample> inputs;
  limpid::Shape shape;  ///< of the first result
  double rtol = 1e-9;   ///< of gradients, at orders one and two
  bool differentiable = true;
  bool vacuous = false;       ///< the gradient is zero by nature
  bool keeps_format = false;  ///< channels-last in gives channels-last out
  unsigned optional = 0;      ///< bit i: input i may be undefined
  bool wide = false;          ///< the result is float64 whatever x is
  bool of_library = false;    ///< computed by others' libraries, whose bits and flags are their own
  /// What has to stay away from 0, where the op has a kink: inputs that bring it near are drawn anew.
  limpid::Tensors (*kink)(const limpid::Tensors& x) = nullptr;

  std::string name() const { return variant.empty() ? op : op + " (" + variant + ")"; }
  /// The same values for the same seed.
  limpid::Tensors draw(uint64_t seed = 3) const;
};

const std::vector<OpRow>& op_table();
