// What every op owes its user beside derivatives, row by row of the op table; docs/coverage.md shows the findings.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/coverage/properties.hpp>

namespace test_properties {

template <class F>
void expect_no_fault(F of) {
  for (const OpRow& row : op_table()) {
    std::string faults;
    for (const std::string& fault : of(row).faults) faults += "\n  " + fault;
    INFO(row.name() << faults);
    CHECK(faults.empty());
  }
}

TEST_CASE("ops have the values and gradients that PyTorch has") {
  expect_no_fault(properties::vectors);
  for (const std::string& name : properties::strays()) {
    INFO(name << " is no row of the table");
    CHECK(false);
  }
}

TEST_CASE("ops in other dtypes agree with float64 or refuse in words") { expect_no_fault(properties::dtypes); }
TEST_CASE("ops give the same in every layout") { expect_no_fault(properties::layouts); }
TEST_CASE("ops broadcast or refuse in words") { expect_no_fault(properties::broadcasting); }
TEST_CASE("ops take empty inputs or refuse them in words") { expect_no_fault(properties::empty_inputs); }
TEST_CASE("ops refuse misuse by their name") { expect_no_fault(properties::bad_inputs); }
TEST_CASE("ops give the same within a checkpoint") { expect_no_fault(properties::in_checkpoint); }

TEST_CASE("what rows are tried for finds what it is there to find") {
  using namespace limpid;
  const auto& table = op_table();
  const auto row_of = [&](const char* op) {
    return *std::find_if(table.begin(), table.end(), [&](const OpRow& row) { return row.name() == op; });
  };
  using Function = Tensors (*)(const Tensors&);
  const auto is_found = [](properties::Finding (*of)(const OpRow&), OpRow row, Function f) {
    if (f) row.f = f;
    return !of(row).faults.empty();
  };
  const OpRow plain = row_of("mul"), broadcast = row_of("sub");
  CHECK_FALSE(is_found(properties::vectors, plain, nullptr));
  CHECK(is_found(properties::vectors, plain, [](const Tensors& x) { return Tensors{x[0] * x[1] * (1 + 1e-9)}; }));
  CHECK(is_found(properties::vectors, plain, [](const Tensors& x) { return Tensors{x[0] * x[1].detach()}; }));
  OpRow other = plain;
  other.variant = "new";
  CHECK(is_found(properties::vectors, other, nullptr));
  other = plain;
  other.inputs[0].high = 3;
  CHECK(is_found(properties::vectors, other, nullptr));
  CHECK(is_found(properties::dtypes, plain, [](const Tensors& x) { return Tensors{(x[0] * x[1]).to(float32)}; }));
  CHECK(is_found(properties::dtypes, plain,
                 [](const Tensors& x) { return Tensors{x[0] * x[1] * (x[0].dtype() == float16 ? 1.1 : 1.0)}; }));
  CHECK(is_found(properties::layouts, plain, [](const Tensors& x) {
    return Tensors{from_blob(const_cast<void*>(x[0].raw_data()), x[0].shape(), x[0].dtype()).clone()};
  }));
  CHECK(is_found(properties::layouts, plain, [](const Tensors& x) { return Tensors{(x[0] * x[1]).contiguous()}; }));
  CHECK(is_found(properties::broadcasting, plain,
                 [](const Tensors& x) { return Tensors{x[0] * x[1] + static_cast<double>(x[1].numel())}; }));
  CHECK(is_found(properties::empty_inputs, plain, [](const Tensors& x) {
    if (x[0].numel() == 0) throw std::runtime_error("no elements");
    return Tensors{x[0]};
  }));
  CHECK(
      is_found(properties::bad_inputs, plain, [](const Tensors& x) { return Tensors{x[0].defined() ? x[0] : x[1]}; }));
  CHECK(is_found(properties::bad_inputs, plain, [](const Tensors& x) { return Tensors{add(x[0], x[1])}; }));
  static int calls;
  calls = 0;
  CHECK(is_found(properties::in_checkpoint, plain,
                 [](const Tensors& x) { return Tensors{x[0] * x[1] * (1.0 * ++calls)}; }));
  CHECK_FALSE(is_found(properties::broadcasting, broadcast, nullptr));
}

TEST_CASE("the coverage page lists every row of the table, and no other") {
  std::ifstream file(LIMPID_SOURCE_DIR "/docs/coverage.md");
  const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::size_t rows = 0;
  for (const OpRow& row : op_table()) {
    INFO("run scripts/coverage.sh --docs for " << row.name());
    CHECK(page.find("\n| " + row.name() + " |") != std::string::npos);
  }
  const std::size_t begin = page.find("<!-- begin: limpid_coverage -->"),
                    end = page.find("<!-- end: limpid_coverage -->");
  REQUIRE(end != std::string::npos);
  for (std::size_t at = begin; (at = page.find("\n| ", at)) < end; ++at) ++rows;
  CHECK(rows == op_table().size() + 2);  // and the names of columns
}

}  // namespace test_properties
