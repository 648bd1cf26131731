// What each row of the op table is tried for, as the table of docs/coverage.md.
//
// limpid_coverage [ROW...]        prints the table, in Markdown, of these rows or all; ends with 1 where a check fails
// limpid_coverage --inputs FILE   writes the rows' inputs as npz, for tests/reference/op_vectors.py
#include <limpid/limpid.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <limpid/tests/coverage/properties.hpp>

using namespace limpid;

namespace {

void write_inputs(const std::string& path) {
  TensorMap inputs;
  for (const OpRow& row : op_table()) {
    const Tensors xs = properties::inputs_of_vectors(row);
    for (std::size_t i = 0; i < xs.size(); ++i) inputs[row.name() + " #" + std::to_string(i)] = xs[i];
  }
  save_npz(path, inputs);
}

std::string written(double error) {
  char text[32];
  std::snprintf(text, sizeof text, error == 0 ? "%.0f" : "%.0e", error);
  return text;
}

/// Cells of the two orders and of forward mode, of one draw.
std::vector<std::string> derivatives(const OpRow& row, std::vector<std::string>& faults) {
  if (!row.differentiable) return {"no gradient", "no gradient", "no gradient"};
  const GradcheckOptions options{.rtol = row.rtol, .allow_vacuous = row.vacuous};
  const Tensors xs = row.draw(1);
  const GradcheckReport first = gradcheck(row.f, xs, options), second = gradgradcheck(row.f, xs, options);
  for (const GradcheckReport* report : {&first, &second})
    if (!*report) faults.push_back(to_string(*report));
  const auto forward = [](const GradcheckReport& report) {
    return std::max(report.forward.error, report.forward.against_reverse);
  };
  const bool pushed = first.forward.checked && second.forward.checked;
  return {row.vacuous ? "0 everywhere" : written(first.error), row.vacuous ? "0 everywhere" : written(second.error),
          pushed ? written(std::max(forward(first), forward(second))) : first.forward.why_not};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "--inputs") {
    write_inputs(words[1]);
    return 0;
  }
  for (const std::string& word : words) {
    const auto& table = op_table();
    if (std::any_of(table.begin(), table.end(), [&](const OpRow& row) { return row.name() == word; })) continue;
    std::cerr << "limpid_coverage: expected --inputs FILE or rows of the table, got " << word << '\n';
    return 2;
  }
  std::puts(
      "| op | PyTorch, f64 / f32 | dtypes | layouts | broadcasts | empty | misuse | order 1 | order 2 | forward | "
      "checkpoint |");
  std::puts("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  bool failed = false;
  for (const OpRow& row : op_table()) {
    if (!words.empty() && std::find(words.begin(), words.end(), row.name()) == words.end()) continue;
    std::vector<std::string> cells, faults;
    for (const auto of : {properties::vectors, properties::dtypes, properties::layouts, properties::broadcasting,
                          properties::empty_inputs, properties::bad_inputs}) {
      properties::Finding finding = of(row);
      cells.push_back(finding.cell);
      faults.insert(faults.end(), finding.faults.begin(), finding.faults.end());
    }
    for (const std::string& cell : derivatives(row, faults)) cells.push_back(cell);
    properties::Finding finding = properties::in_checkpoint(row);
    cells.push_back(finding.cell);
    faults.insert(faults.end(), finding.faults.begin(), finding.faults.end());
    for (const std::string& fault : faults) std::cerr << row.name() << ": " << fault << '\n';
    failed = failed || !faults.empty();
    std::printf("| %s |", row.name().c_str());
    for (const std::string& cell : cells) std::printf(" %s |", cell.c_str());
    std::printf("\n");
    std::fflush(stdout);
  }
  return failed ? 1 : 0;
}
