#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/detail/message.hpp>

namespace limpid {

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  constexpr std::size_t most_lines = 9;  // of each list: 1 + 9 + 9 lines in all
  const auto list = [&](std::size_t count, const auto& line) {
    const std::size_t shown = count > most_lines ? most_lines - 1 : count;
    for (std::size_t i = 0; i < shown; ++i) {
      out << "\n  ";
      line(i);
    }
    if (shown < count) out << "\n  ... and " << count - shown << " more";
  };
  std::ostringstream error;
  error.precision(2);
  error << report.error;
  out << report.check << " of " << report.op << ": " << (report.passed ? "passed" : "FAILED")
      << (report.vacuous ? " (vacuous)" : "") << ", worst relative error " << error.str();
  list(report.problems.size(), [&](std::size_t i) { out << report.problems[i]; });
  std::vector<const GradcheckReport::Input*> checked;
  for (const auto& input : report.inputs)
    if (input.checked) checked.push_back(&input);
  list(checked.size(), [&](std::size_t i) {
    const auto& input = *checked[i];
    std::ostringstream text;
    text.precision(2);
    text << input.name << ' ' << input.shape << ": " << input.count - input.wrong << " of " << input.count << " right";
    if (input.vacuous)
      text << ", vacuous";
    else
      text << ", worst error " << input.error;
    if (input.kinks) text << ", at a kink: " << input.kinks;
    out << text.str();
  });
  return out;
}

std::string to_string(const GradcheckReport& report) { return detail::message(report); }

}  // namespace limpid
