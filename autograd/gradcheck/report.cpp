#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/detail/message.hpp>

namespace limpid {

std::string to_string(const GradcheckReport& report) {
  detail::TextStream out;
  constexpr std::size_t most_lines = 9;  // of each list: 1 + 9 + 9 + 1 lines in all
  const auto list = [&](std::size_t count, const auto& line) {
    const std::size_t shown = count > most_lines ? most_lines - 1 : count;
    for (std::size_t i = 0; i < shown; ++i) {
      out << "\n  ";
      line(i);
    }
    if (shown < count) out << "\n  ... and " << count - shown << " more";
  };
  const auto brief = [](double x) {
    detail::TextStream text(2);
    text << detail::shown(x);
    return std::move(text).str();
  };
  out << report.check << " of " << report.op << " (" << report.file << ':' << report.line << "): "
      << (report.passed     ? "passed"
          : report.at_kinks ? "FAILED, at kinks alone"
          : report.unsure   ? "FAILED, unsure"
                            : "FAILED")
      << (report.vacuous ? " (vacuous)" : "") << ", worst relative error " << brief(report.error);
  if (report.precision != DType::float64) out << ", in " << report.precision;
  list(report.problems.size(), [&](std::size_t i) { out << report.problems[i]; });
  std::vector<const GradcheckReport::Input*> checked;
  for (const auto& input : report.inputs)
    if (input.checked) checked.push_back(&input);
  list(checked.size(), [&](std::size_t i) {
    const auto& input = *checked[i];
    out << input.name << ' ' << input.shape << ": " << input.count - input.wrong << " of " << input.count << " right";
    if (input.vacuous)
      out << ", vacuous";
    else
      out << ", worst error " << brief(input.error) << ", numeric values sure to " << brief(input.resolution);
    if (input.kinks) out << ", at a kink: " << input.kinks;
    if (input.unsure) out << ", unsure: " << input.unsure;
  });
  const GradcheckReport::Forward& forward = report.forward;
  if (!forward.checked && forward.why_not.empty()) return std::move(out).str();
  out << "\n  forward mode: ";
  if (!forward.checked) {
    out << "not checked, for " << forward.why_not;
    return std::move(out).str();
  }
  if (forward.count)
    out << forward.count - forward.wrong - forward.unsure << " of " << forward.count << " right, worst error "
        << brief(forward.error) << ", numeric values sure to " << brief(forward.resolution)
        << (forward.unsure ? detail::message(", unsure: ", forward.unsure) : "") << "; ";
  out << "against reverse mode " << brief(forward.against_reverse);
  return std::move(out).str();
}

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) { return out << to_string(report); }

}  // namespace limpid
