// What the derivatives of element-wise ops and losses must be: a row for each.
#pragma once
#include <limpid/core/tensor.hpp>

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace test_derivatives {

using Real = long double;
using Function1 = std::function<Real(Real)>;

/// One argument of one op, with the others fixed; the functions give limits at infinities, and NaN where there is none.
struct DerivativeRow {
  std::string op, variant;
  std::function<limpid::Tensor(const limpid::Tensor&)> f;
  Function1 value, first, second;
  double ulps = 4, first_ulps = 5, second_ulps = 10;  ///< bounds on the errors, in units in the last place
  /// Where the terms of a loss cancel by nature: what its first derivative's error is measured against instead.
  Function1 scale = nullptr;
};

/// Of arguments of dtype, to which the numbers among the others are rounded.
std::vector<DerivativeRow> derivative_rows(limpid::DType dtype);

}  // namespace test_derivatives
