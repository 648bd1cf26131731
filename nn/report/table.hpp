// Tables of text: what a program prints at the end of a run.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/scalar.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace LIMPID_API limpid {
namespace report {

/// value with at most so many significant digits, alike in every locale: 0.1234, 1.234e-05, 20, nan.
std::string number(double value, int digits = 4);

/// What stands in one place of a table: text to the left of its column, a number to the right.
class Cell {
 public:
  Cell(std::string text_) : text(std::move(text_)) {}
  Cell(std::string_view text_) : text(text_) {}
  Cell(const char* text_) : text(text_) {}
  /// At most digits significant digits; whole numbers have all of theirs.
  template <class T>
  requires Number<T> Cell(T value, int digits = 4) : is_number(true) {
    if constexpr (std::is_same_v<T, bool>)
      text = value ? "yes" : "no";
    else if constexpr (std::is_integral_v<T>)
      text = std::is_signed_v<T> ? whole(static_cast<int64_t>(value)) : whole(static_cast<uint64_t>(value));
    else
      text = number(static_cast<double>(value), digits);
  }

  std::string text;
  bool is_number = false;

 private:
  static std::string whole(int64_t value);
  static std::string whole(uint64_t value);
};

/// Rows of cells under a head, each column as wide as its widest cell:
///
///     report::Table table({"layer", "error"});
///     table.add({"relu", 1.5e-12});
///     std::cout << table;
class Table {
 public:
  explicit Table(std::vector<std::string> head) : head_(std::move(head)) {}
  /// A row that is too short is filled up with empty cells. Throws ValueError where it is longer than the head.
  Table& add(std::vector<Cell> row);

  const std::vector<std::string>& head() const noexcept { return head_; }
  const std::vector<std::vector<Cell>>& rows() const noexcept { return rows_; }

 private:
  std::vector<std::string> head_;
  std::vector<std::vector<Cell>> rows_;
};

/// Head, a rule, rows; every line ends with a newline. Control characters are escaped.
std::string to_string(const Table& table);
std::ostream& operator<<(std::ostream& out, const Table& table);

}  // namespace report
}  // namespace limpid
