// What the tests of gradcheck share.
#pragma once
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/random.hpp>

#include <algorithm>
#include <string>

inline limpid::Tensor random(const limpid::Shape& shape, limpid::DType dtype = limpid::float64) {
  static limpid::Generator generator(7);
  return limpid::randn(shape, dtype, generator);
}

inline int lines(const limpid::GradcheckReport& report) {
  const std::string text = limpid::to_string(report);
  return 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

inline bool mentions(const limpid::GradcheckReport& report, const std::string& text) {
  return std::any_of(report.problems.begin(), report.problems.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}
