#include <limpid/autograd/gradcheck.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

namespace limpid {
namespace {

using Json = nlohmann::json;

// Of single values alone: the destructor of one that holds others asks for memory, and has no way to tell that there is
// none. Names may hold any bytes: what is not UTF-8 is replaced.
std::string text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string text(double x) {
  if (std::isnan(x)) return text(Json("nan"));
  if (std::isinf(x)) return text(Json(x > 0 ? "inf" : "-inf"));
  return text(Json(x));
}

template <class Range, class F>
std::string list(const Range& values, F&& text_of) {
  std::string all;
  for (const auto& value : values) all += (all.empty() ? "" : ", ") + text_of(value);
  return '[' + all + ']';
}

template <class Range>
std::string list(const Range& values) {
  return list(values, [](const auto& value) { return text(Json(value)); });
}

std::string object(std::initializer_list<std::pair<const char*, std::string>> members) {
  std::string all;
  for (const auto& [key, value] : members) all += (all.empty() ? "" : ",\n") + text(Json(key)) + ": " + value;
  return '{' + all + '}';
}

std::string object(const GradcheckReport::Input& input) {
  return object({{"name", text(Json(input.name))},
                 {"shape", list(input.shape)},
                 {"checked", text(Json(input.checked))},
                 {"passed", text(Json(input.passed))},
                 {"vacuous", text(Json(input.vacuous))},
                 {"error", text(input.error)},
                 {"resolution", text(input.resolution)},
                 {"index", list(input.index)},
                 {"analytic", text(input.analytic)},
                 {"numeric", text(input.numeric)},
                 {"bound", text(input.bound)},
                 {"output", text(Json(input.output))},
                 {"count", text(Json(input.count))},
                 {"wrong", text(Json(input.wrong))},
                 {"kinks", text(Json(input.kinks))},
                 {"wrong_at_kinks", text(Json(input.wrong_at_kinks))},
                 {"kink_at_worst", text(Json(input.kink_at_worst))},
                 {"unsure", text(Json(input.unsure))}});
}

std::string object(const GradcheckReport::Forward& forward) {
  return object({{"checked", text(Json(forward.checked))},
                 {"passed", text(Json(forward.passed))},
                 {"why_not", text(Json(forward.why_not))},
                 {"count", text(Json(forward.count))},
                 {"wrong", text(Json(forward.wrong))},
                 {"unsure", text(Json(forward.unsure))},
                 {"error", text(forward.error)},
                 {"resolution", text(forward.resolution)},
                 {"against_reverse", text(forward.against_reverse)}});
}

}  // namespace

std::string to_json(const GradcheckReport& report) {
  return object({{"check", text(Json(report.check))},
                 {"op", text(Json(report.op))},
                 {"file", text(Json(report.file))},
                 {"line", text(Json(report.line))},
                 {"passed", text(Json(report.passed))},
                 {"vacuous", text(Json(report.vacuous))},
                 {"at_kinks", text(Json(report.at_kinks))},
                 {"unsure", text(Json(report.unsure))},
                 {"error", text(report.error)},
                 {"precision", text(Json(to_string(report.precision)))},
                 {"inputs", list(report.inputs, [](const auto& input) { return object(input); })},
                 {"forward", object(report.forward)},
                 {"problems", list(report.problems)}});
}

}  // namespace limpid
