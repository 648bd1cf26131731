// Derivatives along a line from finite differences.
#pragma once
#include <limpid/core/detail/number.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace limpid::detail {

/// Extrapolates central differences over halved steps to step 0 (Ridders, 1982): a table whose row r, column j is free
/// of the error terms h^2 ... h^2j; the entry that differs least from its neighbours wins.
class Extrapolation {
 public:
  /// The difference over a step that is half the one before. One that is not finite starts the table anew: the step
  /// reached beyond the function's domain.
  void add(double difference, double rounding_error) {
    if (!std::isfinite(difference)) {
      rows_ = 0;
      return;
    }
    double row[columns];
    row[0] = difference;
    if (error == infinity) value = difference;
    const int count = std::min(rows_, columns - 1);
    double power = 1;
    for (int j = 1; j <= count; ++j) {
      power *= 4;
      row[j] = row[j - 1] + (row[j - 1] - last_[j - 1]) / (power - 1);
      const double e = std::max(std::abs(row[j] - row[j - 1]), std::abs(row[j] - last_[j - 1])) + rounding_error;
      if (e <= error) {
        error = e;
        rounding = rounding_error;
        value = row[j];
      }
    }
    std::copy_n(row, count + 1, last_);
    ++rows_;
  }

  double value = std::numeric_limits<double>::quiet_NaN();
  double error = infinity;  ///< an estimate
  double rounding = 0;      ///< the part of it that rounding has

  bool is_restarted() const { return rows_ == 0; }

 private:
  static constexpr int columns = 6;
  double last_[columns] = {};
  int rows_ = 0;
};

}  // namespace limpid::detail
