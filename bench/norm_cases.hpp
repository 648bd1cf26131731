// What bench_norm and its peers share: the shapes, their names, the command line.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace limpid {

inline const std::vector<std::vector<std::int64_t>> kNormShapes = {
    {1, 4, 8, 8},      {4, 3, 64, 64},    {8, 64, 56, 56},     {4, 128, 128, 128},
    {1, 64, 512, 512}, {6, 128, 6, 7, 7}, {2, 32, 64, 64, 64}, {16, 512, 4, 4}};

/// "8x64x56x56"
template <class Shape>
std::string name_of(const Shape& shape) {
  std::string name;
  for (const std::int64_t n : shape) name.append(name.empty() ? 0 : 1, 'x').append(std::to_string(n));
  return name;
}

struct NormBenchOptions {
  const char* csv = nullptr;
  std::string shape;  ///< shapes whose name contains this
  std::vector<int> threads = {1, 2};
  double seconds = 0.5;  ///< per case
  std::string dtype;     ///< of programs that know several

  /// False, with a message, where the arguments are none of these.
  bool parse(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
      const bool has_value = i + 1 < argc;
      if (has_value && !std::strcmp(argv[i], "--csv")) {
        csv = argv[i + 1];
      } else if (has_value && !std::strcmp(argv[i], "--seconds")) {
        seconds = std::atof(argv[i + 1]);
      } else if (has_value && !std::strcmp(argv[i], "--shape")) {
        shape = argv[i + 1];
      } else if (has_value && !std::strcmp(argv[i], "--dtype")) {
        dtype = argv[i + 1];
      } else if (has_value && !std::strcmp(argv[i], "--threads")) {
        threads = {std::atoi(argv[i + 1])};
      } else {
        std::fprintf(
            stderr, "%s: expected [--csv FILE] [--seconds PER_CASE] [--shape SUBSTRING] [--threads N] [--dtype NAME]\n",
            argv[0]);
        return false;
      }
    }
    return true;
  }
  bool wants(const std::string& name) const { return name.find(shape) != std::string::npos; }
};

/// Median times in microseconds.
struct NormTimes {
  double forward, both, copy, add;
  double backward() const { return both - forward; }
};

/// One line of the CSV; without a file, none.
inline void write_csv(std::FILE* file, const char* peer, const std::string& shape, const char* layout, int threads,
                      const NormTimes& t) {
  if (!file) return;
  std::fprintf(file, "%s,%s,%s,%d,%.3f,%.3f,%.3f,%.3f\n", peer, shape.c_str(), layout, threads, t.forward, t.both,
               t.copy, t.add);
  std::fflush(file);
}

}  // namespace limpid
