// Every differentiable op of the table at orders one and two, reverse and forward, against extrapolated differences.
//
// limpid_gradients [--seeds N] [--rtol R] [--stop] [--list] [ROW...]
//   prints the worst relative error of each row (of those named, or all) over N draws of inputs and cotangents, and
//   ends with 1 where a check failed: at once with --stop. --list prints the rows' names alone.
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <limpid/tests/ops/op_table.hpp>

using namespace limpid;

namespace {

struct Arguments {
  uint64_t seeds = 1;
  double rtol = 1e-9;
  bool list = false, stop = false;
  std::vector<std::string> rows;
};

[[noreturn]] void refuse(const std::string& expected, const std::string& got) {
  std::cerr << "limpid_gradients: expected " << expected << ", got " << got << '\n';
  std::exit(2);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto number = [&] {
      const char* text = ++i < argc ? argv[i] : "nothing";
      char* end = nullptr;
      const double value = std::strtod(text, &end);
      if (*end || !(value > 0)) refuse("a number above 0 after " + word, text);
      return value;
    };
    if (word == "--seeds")
      arguments.seeds = static_cast<uint64_t>(number());
    else if (word == "--rtol")
      arguments.rtol = number();
    else if (word == "--stop")
      arguments.stop = true;
    else if (word == "--list")
      arguments.list = true;
    else if (word[0] == '-')
      refuse("--seeds N, --rtol R, --stop, --list or names of rows", word);
    else
      arguments.rows.push_back(word);
  }
  for (const std::string& name : arguments.rows) {
    const auto& table = op_table();
    if (std::none_of(table.begin(), table.end(), [&](const OpRow& row) { return row.name() == name; }))
      refuse("a row of the table", name);
  }
  return arguments;
}

/// The worst of one order.
struct Worst {
  double reverse = 0, forward = 0;
  bool forward_checked = false;
  uint64_t failed = 0;

  void add(const GradcheckReport& report) {
    reverse = std::max(reverse, report.error);
    forward = std::max(forward, std::max(report.forward.error, report.forward.against_reverse));
    forward_checked = forward_checked || report.forward.checked;
    if (!report && ++failed == 1) std::cerr << report << '\n';
  }
};

std::string shown(double error, bool checked) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", error);
  return checked ? text : "-";
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  const auto wanted = [&](const OpRow& row) {
    const auto& names = arguments.rows;
    return row.differentiable && (names.empty() || std::find(names.begin(), names.end(), row.name()) != names.end());
  };
  if (!arguments.list)
    std::printf("%-36s %9s %9s %9s %9s\n", "worst relative error", "reverse", "forward", "reverse 2", "forward 2");
  uint64_t checks = 0, failed = 0;
  double worst = 0;
  for (const OpRow& row : op_table()) {
    if (!wanted(row)) continue;
    if (arguments.list) {
      std::puts(row.name().c_str());
      continue;
    }
    Worst once, twice;
    GradcheckOptions options{.rtol = std::max(arguments.rtol, row.rtol), .allow_vacuous = row.vacuous};
    for (options.seed = 1; options.seed <= arguments.seeds; ++options.seed) {
      const Tensors xs = row.draw(options.seed);
      once.add(gradcheck(row.f, xs, options));
      twice.add(gradgradcheck(row.f, xs, options));
    }
    std::printf("%-36s %9s %9s %9s %9s%s\n", row.name().c_str(), shown(once.reverse, true).c_str(),
                shown(once.forward, once.forward_checked).c_str(), shown(twice.reverse, true).c_str(),
                shown(twice.forward, twice.forward_checked).c_str(), once.failed + twice.failed ? "  FAILED" : "");
    std::fflush(stdout);
    checks += 2 * arguments.seeds;
    failed += once.failed + twice.failed;
    if (failed && arguments.stop) return 1;
    if (row.rtol <= arguments.rtol) worst = std::max({worst, once.reverse, once.forward, twice.reverse, twice.forward});
  }
  if (!arguments.list)
    std::printf("%llu checks, %llu failed, worst relative error %.1e where held to %.0e\n",
                static_cast<unsigned long long>(checks), static_cast<unsigned long long>(failed), worst,
                arguments.rtol);
  return failed ? 1 : 0;
}
