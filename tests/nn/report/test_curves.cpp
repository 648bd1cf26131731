#include <limpid/nn/report/curves.hpp>
#include <limpid/tests/core/io/file_tests.hpp>
#include <limpid/tests/nn/report/report_tests.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

namespace test_curves {

using namespace limpid;
using report::Curves;

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity(), largest = std::numeric_limits<double>::max(),
                 least = std::numeric_limits<double>::denorm_min();

Curves curve_of(const std::vector<double>& values, bool log_y) {
  Curves curves({.title = "title", .log_y = log_y});
  for (std::size_t i = 0; i < values.size(); ++i) curves.add("loss", static_cast<double>(i), values[i]);
  return curves;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++n;
  return n;
}

// The paths of curves alone have round ends.
std::size_t lines_in(const std::string& svg) { return count(svg, "stroke-linecap"); }

/// Every number of the picture's coordinates is one, and lies on it.
void check_coordinates(const std::string& svg) {
  for (const std::string attribute : {" x=\"", " y=\"", " cx=\"", " cy=\"", " d=\""})
    for (std::size_t at = 0; (at = svg.find(attribute, at)) != std::string::npos;) {
      at += attribute.size();
      std::string value = svg.substr(at, svg.find('"', at) - at);
      for (char& c : value)
        if (std::strchr("MLh", c)) c = ' ';
      std::istringstream in(value);
      in.imbue(std::locale::classic());
      in.imbue(std::locale::classic());
      double number = 0;
      while (in >> number)
        if (!(number >= 0 && number <= 960)) FAIL("expected a place on the picture, got " << value);
      if (!in.eof()) FAIL("expected numbers, got " << value);
    }
}

TEST_CASE("curves are drawn whatever their values") {
  struct Row {
    const char* name;
    std::vector<double> values;
    bool line, log_line;
  };
  const Row rows[] = {
      {"none", {}, false, false},
      {"one", {2.3}, true, true},
      {"one zero", {0}, true, false},
      {"all the same", std::vector<double>(100, 0.5), true, true},
      {"all the same, and huge", std::vector<double>(100, largest), true, true},
      {"all the same, and tiny", std::vector<double>(100, least), true, true},
      {"nearly the same", {1e15, 1e15 + 1}, true, true},
      {"falling", {2.3, 1.0, 0.5, 0.1, 0.02}, true, true},
      {"not finite here and there", {2.3, nan_value, 1.0, infinity, 0.5, -infinity}, true, true},
      {"never finite", {nan_value, nan_value, infinity}, false, false},
      {"zero and negative", {0, -1}, true, false},
      {"the whole range of double", {-largest, largest}, true, true},
      {"the whole range of positive ones", {least, largest, 1}, true, true},
      {"denormal", {least, 3 * least, 7 * least}, true, true},
      {"very many", std::vector<double>(100000, 1), true, true},
  };
  const CommaLocale comma;
  for (const Row& row : rows)
    for (const bool log_y : {false, true}) {
      INFO(row.name << (log_y ? ", logarithmic" : ""));
      const std::string svg = curve_of(row.values, log_y).svg();
      CHECK(svg.find("nan") == std::string::npos);
      CHECK(svg.find("inf") == std::string::npos);
      check_coordinates(svg);
      CHECK((lines_in(svg) > 0) == (log_y ? row.log_line : row.line));
      const std::size_t texts = count(svg, "<text");
      CHECK(texts >= 6);  // title, labels and a few ticks
      CHECK(texts <= 50);
      CHECK(svg.size() < 100'000);  // a hundred thousand points, too, are seen in a thousand columns
    }
}

TEST_CASE("curves of any x are drawn") {
  for (const bool log_x : {false, true}) {
    Curves curves({.x_label = "x", .log_x = log_x});
    for (const double x : {3.0, 1.0, -1.0, nan_value, 2.0, 2.0, infinity, 0.0, 1e300}) curves.add("a", x, x);
    const std::string svg = curves.svg();
    check_coordinates(svg);
    CHECK(lines_in(svg) == 1);
  }
}

TEST_CASE("an x axis is as long or as short as doubles can tell") {
  const auto drawn = [](double first, double step) {
    Curves curves({.x_label = "x"});
    for (int i = 0; i < 10; ++i) curves.add("a", first + step * i, i);
    return curves.svg();
  };
  check_coordinates(drawn(-1e308, 0.24 * largest));
  // Time stamps in nanoseconds, within a second: ten places, not one.
  const std::string svg = drawn(1.7e18, 1e8);
  check_coordinates(svg);
  std::set<std::string> places;
  for (std::size_t at = 0; (at = svg.find("<circle cx=", at)) != std::string::npos; ++at)
    places.insert(svg.substr(at, svg.find(" cy", at) - at));
  CHECK(places.size() == 10);
}

TEST_CASE("a value that has no place breaks its curve") {
  const auto moves = [](const std::string& svg) {
    const std::size_t end = svg.find("fill=\"none\""), start = svg.rfind("<path", end);
    return count(svg.substr(start, end - start), "M");
  };
  CHECK(moves(curve_of({1, 2, 3, 4}, false).svg()) == 1);
  CHECK(moves(curve_of({1, 2, nan_value, 4, infinity, infinity, 5, 6}, false).svg()) == 3);
  CHECK(moves(curve_of({nan_value, 1, 2, nan_value}, false).svg()) == 1);
  CHECK(moves(curve_of({1, -2, 3, 0, 4}, true).svg()) == 3);
}

TEST_CASE("few points are dots, many have a running mean") {
  CHECK(count(curve_of(std::vector<double>(40, 1), false).svg(), "<circle") == 40);
  CHECK(count(curve_of(std::vector<double>(41, 1), false).svg(), "<circle") == 0);
  CHECK(lines_in(curve_of(std::vector<double>(200, 1), false).svg()) == 1);
  CHECK(lines_in(curve_of(std::vector<double>(201, 1), false).svg()) == 2);
}

TEST_CASE("thinning a curve keeps its highest and lowest point") {
  std::vector<double> values(50'000, 0.5);
  values[12'345] = 1, values[33'333] = 0;
  const std::string svg = curve_of(values, false).svg();
  // The frame of the plot: values 0 and 1 lie 4 % within it, whose height is 430.
  CHECK(count(svg, " 68.5") == 0);
  std::size_t start = svg.find("fill=\"none\"");
  start = svg.rfind("<path", start);
  const std::string path = svg.substr(start, svg.find('>', start) - start);
  double low = 1e9, high = -1e9;
  std::string numbers = path.substr(path.find('M'));
  numbers.resize(numbers.find('"'));
  for (char& c : numbers)
    if (c == 'M' || c == 'L') c = ' ';
  std::istringstream in(numbers);
  in.imbue(std::locale::classic());
  for (double x, y; in >> x >> y;) low = std::min(low, y), high = std::max(high, y);
  CHECK(low == Approx(482 - 430 * 1.04 / 1.08).margin(0.1));
  CHECK(high == Approx(482 - 430 * 0.04 / 1.08).margin(0.1));
}

TEST_CASE("pictures of curves are well-formed") {
  const Folder folder;
  const std::vector<std::string> names = {"loss",
                                          "a & b",
                                          "<b>&amp;\"'</b>",
                                          "]]>",
                                          "<!-- --",
                                          std::string("a\0b\x01\x1f", 5),
                                          "\n\r\t",
                                          "\xff\xfe",
                                          "\xef\xbf\xbf",
                                          "\xed\xa0\x80",
                                          "\xf4\x8f\xbf\xbf",
                                          "\xe6\x97\xa5\xe6\x9c\xac",
                                          "",
                                          std::string(1000, '<')};
  for (std::size_t i = 0; i < names.size(); ++i) {
    Curves curves({.title = names[i], .x_label = names[i], .y_label = names[i]});
    for (int k = 0; k < 3; ++k) curves.add(names[i], k, k);
    curves.save_svg(folder / (std::to_string(i) + ".svg"));
  }
  Curves many;
  for (int i = 0; i < 100; ++i) many.add("curve " + std::to_string(i), i, i);
  many.save_svg(folder / "many.svg");
  check_coordinates(many.svg());
  Curves().save_svg(folder / "none.svg");
  const std::string parse =
      "import pathlib, sys, xml.etree.ElementTree as tree\n"
      "files = list(pathlib.Path(sys.argv[1]).glob(\"*.svg\"))\n"
      "for file in files: assert tree.parse(file).getroot().tag == "
      "\"{http://www.w3.org/2000/svg}svg\"\n"
      "assert len(files) == int(sys.argv[2])\n";
  CHECK(std::system(("python3 -c '" + parse + "' " + folder.path() + " " + std::to_string(names.size() + 2)).c_str()) ==
        0);
}

TEST_CASE("curves are a table") {
  Curves curves({.x_label = "step"});
  curves.add("loss", 1, 0.5);
  curves.add("loss", 2, 1.0 / 3);
  curves.add("held out", 2, 1e-300);
  curves.add("loss", 10, nan_value);
  curves.add("loss", 2, -infinity);  // a second point at one x
  curves.add("a,\"b\"\n", 0.5, 123456789);
  curves.add("a,\"b\"\n", nan_value, 0);
  curves.add("a,\"b\"\n", -infinity, 1);
  const CommaLocale comma;
  CHECK(curves.csv() ==
        "step,loss,held out,\"a,\"\"b\"\"\n\"\n"
        "-inf,,,1\n"
        "0.5,,,123456789\n"
        "1,0.5,,\n"
        "2,0.3333333333333333,1e-300,\n"
        "2,-inf,,\n"
        "10,nan,,\n"
        "nan,,,0\n");
  CHECK(Curves().csv() == "step\n");
  CHECK(Curves({.x_label = ""}).csv() == "\"\"\n");
}

TEST_CASE("curves are saved whole or not at all") {
  const Folder folder;
  Curves curves;
  curves.add("loss", 0, 1);
  CHECK(refusal([&] { curves.save_svg(folder / "no/a.svg"); }) ==
        "save_svg: " + (folder / "no/a.svg") + ": cannot create: No such file or directory");
  CHECK_THAT(refusal([&] { curves.save_csv(folder.path()); }), ContainsSubstring("got a directory"));
  CHECK(folder.empty());
  curves.save_svg(folder / "a.svg");
  curves.save_csv(folder / "a.csv");
  CHECK(read_bytes(folder / "a.svg") == curves.svg());
  CHECK(read_bytes(folder / "a.csv") == curves.csv());
}

TEST_CASE("pictures of curves have sizes that can be seen") {
  for (const int size : {199, 0, -1, 10'001, INT_MAX}) {
    CHECK_THROWS_AS(Curves({.width = size}), ValueError);
    CHECK_THROWS_AS(Curves({.height = size}), ValueError);
  }
  CHECK_THROWS_WITH(Curves({.width = 10}), "Curves: expected width and height from 200 to 10000, got 10 and 540");
  Curves small({.width = 200, .height = 200});
  small.add(std::string(200, 'x'), 0, 1);
  CHECK_THAT(small.svg(), ContainsSubstring("viewBox=\"0 0 200 200\""));
  check_coordinates(small.svg());
}

}  // namespace test_curves
