// Medians of candidates that take turns.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace limpid {

/// Median wall time of each candidate in microseconds, after a warm-up. A round runs every candidate once; there are at
/// least seven rounds, more while `seconds` last. Candidates below 50 us are repeated within a round.
inline std::vector<double> median_us(const std::vector<std::function<void()>>& candidates, double seconds) {
  using clock = std::chrono::steady_clock;
  const auto since = [](clock::time_point start) {
    return std::chrono::duration<double, std::micro>(clock::now() - start).count();
  };
  std::vector<int> repeats;
  for (const auto& f : candidates) {
    for (int i = 0; i < 2; ++i) f();
    const auto start = clock::now();
    f();
    repeats.push_back(std::clamp(static_cast<int>(50 / std::max(since(start), 0.05)), 1, 1000));
  }
  std::vector<std::vector<double>> times(candidates.size());
  const auto start = clock::now();
  for (int round = 0; round < 7 || (since(start) < seconds * 1e6 && round < 5000); ++round)
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const auto before = clock::now();
      for (int k = 0; k < repeats[i]; ++k) candidates[i]();
      times[i].push_back(since(before) / repeats[i]);
    }
  std::vector<double> medians;
  for (auto& t : times) {
    std::nth_element(t.begin(), t.begin() + static_cast<std::ptrdiff_t>(t.size() / 2), t.end());
    medians.push_back(t[t.size() / 2]);
  }
  return medians;
}

}  // namespace limpid
