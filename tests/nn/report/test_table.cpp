#include <limpid/core/error.hpp>
#include <limpid/nn/report/table.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/nn/report/report_tests.hpp>

#include <limits>
#include <sstream>

namespace test_table {

using namespace limpid::report;

TEST_CASE("a table lines up its columns, text left and numbers right") {
  Table table({"layer", "error", "count", "proved"});
  table.add({"relu", 1.5e-12, 3, true}).add({"convolution", 0.25, 12345678901, false}).add({"x"});
  table.add({std::string("y"), Cell(1.0 / 3, 2), -1, "?"});
  const CommaLocale comma;
  CHECK(to_string(table) ==
        "layer          error        count  proved\n"
        "-----------  -------  -----------  ------\n"
        "relu         1.5e-12            3     yes\n"
        "convolution     0.25  12345678901      no\n"
        "x\n"
        "y               0.33           -1  ?\n");
  std::ostringstream out;
  out << table;
  CHECK(out.str() == to_string(table));
}

TEST_CASE("tables of nothing, of wide characters and of control characters") {
  CHECK(to_string(Table({})) == "\n\n");
  CHECK(to_string(Table({"a", "b"})) == "a  b\n-  -\n");
  Table table({"\xe6\x97\xa5\xe6\x9c\xac", "n"});
  table.add({"a\nb", std::numeric_limits<double>::quiet_NaN()})
      .add({"e\xcc\x81", -std::numeric_limits<double>::infinity()});
  CHECK(to_string(table) ==
        "\xe6\x97\xa5\xe6\x9c\xac       n\n"
        "------  ----\n"
        "a\\x0ab   nan\n"
        "e\xcc\x81       -inf\n");
}

TEST_CASE("a row that is longer than the head is refused") {
  Table table({"a"});
  CHECK_THROWS_WITH(table.add({1, 2}), "Table::add: expected at most 1 cells, got 2");
  CHECK_THROWS_AS(table.add({1, 2}), limpid::ValueError);
  CHECK(table.rows().empty());
}

TEST_CASE("numbers have the digits they are given") {
  CHECK(number(1.0 / 3) == "0.3333");
  CHECK(number(98.999, 3) == "99");
  CHECK(number(1e-300, 2) == "1e-300");
  CHECK(number(123456, 4) == "1.235e+05");
}

}  // namespace test_table
