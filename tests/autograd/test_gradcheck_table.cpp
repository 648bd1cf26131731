// Every kind of function at points of every scale, in both modes and at both orders: what is right never fails as
// wrong, and what is wrong never passes.
#include <limpid/limpid.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "../catch.hpp"
#include "gradcheck_table.hpp"

namespace test_gradcheck_table {

using namespace limpid;

// x, with a gradient of so many thousandths.
template <int thousandths>
struct Scaled : Function<Scaled<thousandths>> {
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) { return {dy * (thousandths / 1000.0)}; }
};

// x, with a gradient that lacks its largest element.
struct Dropped : Function<Dropped> {
  static Tensor forward(Context&, const Tensor& x) { return x.clone(); }
  static Tensors backward(Context&, const Tensor& dy) {
    const Tensor size = abs(dy.detach());
    return {where(size < max(size), dy, 0.0)};
  }
};

struct Mode {
  bool fast, second;
  template <class F>
  GradcheckReport operator()(const F& f, const std::vector<double>& point) const {
    const Tensor x = empty({static_cast<int64_t>(point.size())}, float64);
    std::copy(point.begin(), point.end(), x.data<double>());
    return second ? gradgradcheck(f, {x}, {.fast = fast}) : gradcheck(f, {x}, {.fast = fast});
  }
};
constexpr Mode modes[] = {{false, false}, {true, false}, {false, true}, {true, true}};

// Calls check(row, point, mode) with all there are; thinned, with every 23rd: prime to the numbers of modes and of most
// rows' points, so that each of them has its turn.
template <class F>
void for_each_check(const std::vector<Case>& rows, const F& check) {
  const int stride = test::thinned() ? 23 : 1;
  int count = 0;
  for (const Case& row : rows)
    for (const auto& point : row.points)
      for (const Mode& mode : modes)
        if (count++ % stride == 0) check(row, point, mode);
}

// Whether the report calls something wrong: not the gradient unknown, nor zero.
bool calls_wrong(const GradcheckReport& report) {
  if (report.passed || report.at_kinks || report.unsure) return false;
  return !report.vacuous || report.problems.size() > report.inputs.size();
}

std::string shown(const Case& row, const std::vector<double>& point, const Mode& mode, const GradcheckReport& report) {
  std::string text = std::string(row.name) + " at";
  for (double x : point) text += ' ' + std::to_string(x);
  return text + (mode.fast ? ", fast" : ", full") + (mode.second ? ", second order\n" : "\n") + to_string(report);
}

struct Counts {
  int rights = 0, passed = 0, wrongs = 0, called = 0;
};

Counts check_all(const std::vector<Case>& rows) {
  Counts counts;
  for_each_check(rows, [&](const Case& row, const std::vector<double>& point, const Mode& mode) {
    const GradcheckReport right = mode(row.f, point);
    INFO(shown(row, point, mode, right));
    CHECK_FALSE(calls_wrong(right));
    if (!row.has_kinks) CHECK_FALSE(right.at_kinks);
    ++counts.rights;
    counts.passed += right.passed;
    // A second derivative of zero shows no fault.
    if (mode.second && (row.is_linear || right.inputs[0].vacuous)) return;
    const auto check = [&](const GradcheckReport& wrong) {
      INFO(to_string(wrong));
      CHECK_FALSE(wrong.passed);
      counts.wrongs += right.passed;
      counts.called += right.passed && calls_wrong(wrong);
    };
    check(mode([&](const Tensor& x) { return row.f(Scaled<1001>::apply(x)); }, point));
    check(mode([&](const Tensor& x) { return row.f(Scaled<-1000>::apply(x)); }, point));
    if (!mode.second) check(mode([&](const Tensor& x) { return row.f(Dropped::apply(x)); }, point));
  });
  return counts;
}

TEST_CASE("a right gradient is never called wrong, and a wrong one never right, at any scale", "[long]") {
  const auto [rights, passed, wrongs, called] = check_all(smooth_cases());
  if (test::thinned()) return;
  // To be unsure is no way out: it is for the few points of the whole table where numbers of double precision tell
  // nothing.
  INFO(passed << " of " << rights << " passed, " << called << " of " << wrongs << " called wrong");
  CHECK(passed > 0.9 * rights);
  CHECK(called > 0.96 * wrongs);
}

TEST_CASE("nor where next to nothing can be seen", "[long]") { check_all(hostile_cases()); }

TEST_CASE("where there is no derivative, both modes say so at both orders") {
  int all = 0, said = 0;
  for_each_check(kinked_cases(), [&](const Case& row, const std::vector<double>& point, const Mode& mode) {
    const GradcheckReport report = mode(row.f, point);
    INFO(shown(row, point, mode, report));
    CHECK_FALSE(calls_wrong(report));
    ++all;
    said += report.at_kinks || report.unsure ||
            std::any_of(report.inputs.begin(), report.inputs.end(), [](const auto& input) { return input.kinks > 0; });
  });
  // At the second order a kink may be gone: the gradient of max is constant on both sides.
  INFO(said << " of " << all);
  CHECK(said >= 0.5 * all);
}

}  // namespace test_gradcheck_table
