// Pictures of graphs, and tables of times.
#include <limpid/limpid.hpp>
#include <limpid/tests/examples/folder.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "../catch.hpp"
#include "../message_of.hpp"
#include "../settings.hpp"

namespace test_graph {

using namespace limpid;

Tensor leaf(const Shape& shape) { return ones(shape).set_requires_grad(); }

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

const Profiler::Row* row_of(const std::vector<Profiler::Row>& rows, const std::string& op) {
  for (const Profiler::Row& row : rows)
    if (row.op == op) return &row;
  return nullptr;
}

TEST_CASE("a graph is drawn with shapes, what is kept, and edges") {
  const Tensor x = leaf({2, 3}), w = leaf({3});
  const Tensor y = sum(exp(x * w));
  const std::string dot = to_dot(y);
  INFO(dot);
  CHECK(dot.rfind("digraph limpid {", 0) == 0);
  CHECK(dot.substr(dot.size() - 2) == "}\n");
  CHECK(count(dot, "shape = ellipse") == 2);
  CHECK(count(dot, "shape = box") == 3);
  CHECK(count(dot, " -> ") == 4);
  CHECK_THAT(dot, ContainsSubstring("label = \"leaf\\n(2, 3) float32\""));
  CHECK_THAT(dot, ContainsSubstring("label = \"exp\\n(2, 3) float32\\nkeeps y: 24 B\""));
  CHECK_THAT(dot, ContainsSubstring("label = \"mul\\n(2, 3) float32\\nkeeps a, b: 36 B\""));
  CHECK(to_dot(y) == dot);
}

TEST_CASE("a graph shows each node once, and where it was recorded") {
  const Tensor x = leaf({2});
  Tensor y = x;
  {
    const RecordSources guard;
    const TraceScope scope("a \"quoted\" name");
    for (int i = 0; i < 30; ++i) y = y + y;
  }
  const std::string dot = to_dot(y);
  CHECK(count(dot, "shape = box") == 30);
  CHECK(count(dot, " -> ") == 60);
  CHECK(count(dot, "a \\\"quoted\\\" name (") == 30);
  CHECK_THAT(dot, ContainsSubstring("test_graph.cpp:"));
  CHECK(count(to_dot(x * x), "test_graph.cpp:") == 0);
}

TEST_CASE("a graph of several outputs and one that was used up") {
  const Tensor x = leaf({2});
  const Tensor a = x * x, b = exp(x);
  CHECK(count(to_dot({a, b, Tensor(), ones({1})}), "shape = box") == 2);
  a.backward(ones({2}));
  CHECK(count(to_dot(a), "keeps") == 0);
  CHECK_THROWS_WITH(to_dot(ones({2})), "to_dot: expected a recorded tensor, got none");
  CHECK_THROWS_AS(to_dot(Tensors{}), AutogradError);
}

TEST_CASE("a profiler counts calls, forward and backward, and bytes") {
  const Tensor x = leaf({256}), w = GENERATE(false, true) ? leaf({256}) : x.detach().set_requires_grad();
  std::vector<Profiler::Row> rows;
  {
    Profiler profiler;
    Tensor y = x;
    for (int i = 0; i < 5; ++i) y = y * w;
    sum(y).backward();
    profiler.stop();
    exp(y);
    rows = profiler.table();
    CHECK(profiler.table().size() == rows.size());
  }
  const Profiler::Row* mul = row_of(rows, "mul");
  REQUIRE(mul);
  CHECK(mul->calls == 5);
  CHECK(mul->backward_calls == 5);
  CHECK(mul->bytes >= 5 * 256 * 4);
  CHECK(mul->forward > 0);
  CHECK(mul->backward > 0);
  REQUIRE(row_of(rows, "sum"));
  CHECK(row_of(rows, "sum")->backward_calls == 1);
  CHECK_FALSE(row_of(rows, "exp"));
}

TEST_CASE("a profiler sees what is not recorded, and nothing of other threads") {
  Profiler profiler;
  exp(ones({4}));
  std::thread([] { tanh(ones({4})); }).join();
  const std::vector<Profiler::Row> rows = profiler.table();
  REQUIRE(row_of(rows, "exp"));
  CHECK(row_of(rows, "exp")->calls == 1);
  CHECK_FALSE(row_of(rows, "tanh"));
}

TEST_CASE("profilers nest") {
  Profiler outer;
  exp(ones({4}));
  {
    Profiler inner;
    tanh(ones({4}));
    CHECK(inner.table().size() == 1);
  }
  exp(ones({4}));
  CHECK(row_of(outer.table(), "exp")->calls == 2);
  CHECK_FALSE(row_of(outer.table(), "tanh"));
}

TEST_CASE("a profiled step gives the same bits") {
  const auto run = [] {
    manual_seed(5);
    const Tensor x = randn({5, 4}).set_requires_grad(), w = randn({4, 3}).set_requires_grad();
    mean(square(tanh(matmul(x, w)))).backward();
    return Tensors{x.grad(), w.grad()};
  };
  const Tensors plain = run();
  Profiler profiler;
  const Tensors watched = run();
  CHECK(equal(plain[0], watched[0]));
  CHECK(equal(plain[1], watched[1]));
}

TEST_CASE("the table of a profiler prints its rows and their sum") {
  Profiler profiler;
  exp(ones({4}));
  sum(ones({4}));
  profiler.stop();
  std::ostringstream out;
  out << profiler;
  CHECK_THAT(out.str(), ContainsSubstring("forward ms") && ContainsSubstring("\nall"));
  CHECK(count(out.str(), "\n") == profiler.table().size() + 2);
}

TEST_CASE("a Chrome trace is valid JSON of nested events") {
  struct Odd : Function<Odd> {
    static Tensor forward(Context&, const Tensor& x) { return x * 2.0f; }
    static Tensors backward(Context&, const Tensor& dy) { return {dy * 2.0f}; }
  };
  Profiler profiler;
  sum(Odd::apply(leaf({4}) * 3.0f)).backward();
  profiler.stop();
  const nlohmann::json trace = nlohmann::json::parse(profiler.chrome_trace());
  const auto& events = trace.at("traceEvents");
  REQUIRE(events.size() >= 6);
  int backward = 0;
  for (const auto& event : events) {
    CHECK(event.at("ph") == "X");
    CHECK(event.at("ts").get<double>() >= 0);
    CHECK(event.at("dur").get<double>() >= 0);
    CHECK(event.at("args").at("bytes").get<int64_t>() >= 0);
    backward += event.at("cat") == "backward";
  }
  CHECK(backward >= 3);
  CHECK(nlohmann::json::parse(Profiler().chrome_trace()).at("traceEvents").empty());
}

TEST_CASE("a Chrome trace is written to a file, or refused") {
  Profiler profiler;
  exp(ones({4}));
  const Folder folder;
  const std::string path = folder / "trace.json";
  profiler.write_chrome_trace(path);
  std::ifstream file(path);
  CHECK(nlohmann::json::parse(file).at("traceEvents").size() == 1);
  CHECK_THROWS_AS(profiler.write_chrome_trace(folder / "none/trace.json"), IOError);
  CHECK_THROWS_WITH(profiler.write_chrome_trace(folder / "none/trace.json"),
                    "write_chrome_trace: " + folder / "none/trace.json" + ": cannot create: No such file or directory");
  CHECK_THROWS_WITH(profiler.write_chrome_trace("/dev/full"),
                    "write_chrome_trace: /dev/full: expected a regular file, got a device");
}

TEST_CASE("a Chrome trace that cannot be written whole leaves the old file and nothing else") {
  Profiler profiler;
  for (int i = 0; i < 20; ++i) exp(ones({4}));
  profiler.stop();
  const Folder folder;
  std::ofstream(folder / "trace.json") << "old";
  const std::string message = message_of([&] {
    const test::WithSmallFiles with(1000);
    profiler.write_chrome_trace(folder / "trace.json");
  });
  CHECK(message == "write_chrome_trace: " + folder / "trace.json" + ": cannot write: File too large");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  std::string text;
  std::ifstream(folder / "trace.json") >> text;
  CHECK(text == "old");
}

}  // namespace test_graph
