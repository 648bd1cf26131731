#include <limpid/autograd/gradcheck.hpp>

#include <nlohmann/json.hpp>

#include <cmath>

namespace limpid {
namespace {

using Json = nlohmann::ordered_json;

Json number(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  return x;
}

template <class Range>
Json list(const Range& values) {
  Json array = Json::array();
  for (const auto& value : values) array.push_back(value);
  return array;
}

Json object(const GradcheckReport::Input& input) {
  return {{"name", input.name},
          {"shape", list(input.shape)},
          {"checked", input.checked},
          {"passed", input.passed},
          {"vacuous", input.vacuous},
          {"error", number(input.error)},
          {"resolution", number(input.resolution)},
          {"index", list(input.index)},
          {"analytic", number(input.analytic)},
          {"numeric", number(input.numeric)},
          {"bound", number(input.bound)},
          {"output", input.output},
          {"count", input.count},
          {"wrong", input.wrong},
          {"kinks", input.kinks},
          {"wrong_at_kinks", input.wrong_at_kinks},
          {"kink_at_worst", input.kink_at_worst}};
}

Json object(const GradcheckReport::Forward& forward) {
  return {{"checked", forward.checked},
          {"passed", forward.passed},
          {"why_not", forward.why_not},
          {"count", forward.count},
          {"wrong", forward.wrong},
          {"error", number(forward.error)},
          {"resolution", number(forward.resolution)},
          {"against_reverse", number(forward.against_reverse)}};
}

}  // namespace

std::string to_json(const GradcheckReport& report) {
  Json inputs = Json::array();
  for (const GradcheckReport::Input& input : report.inputs) inputs.push_back(object(input));
  const Json all{{"check", report.check},
                 {"op", report.op},
                 {"file", report.file},
                 {"line", report.line},
                 {"passed", report.passed},
                 {"vacuous", report.vacuous},
                 {"at_kinks", report.at_kinks},
                 {"error", number(report.error)},
                 {"precision", to_string(report.precision)},
                 {"inputs", inputs},
                 {"forward", object(report.forward)},
                 {"problems", list(report.problems)}};
  // Names may hold any bytes: what is not UTF-8 is replaced.
  return all.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace limpid
