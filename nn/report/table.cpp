#include <limpid/nn/report/table.hpp>

#include <limpid/core/error.hpp>
#include <limpid/core/io/detail/file.hpp>
#include <limpid/nn/report/detail/text.hpp>

#include <algorithm>
#include <ostream>

namespace limpid::report {

using limpid::detail::printable;

std::string number(double value, int digits) { return detail::number(value, digits); }

std::string Cell::whole(int64_t value) { return limpid::detail::message(value); }
std::string Cell::whole(uint64_t value) { return limpid::detail::message(value); }

Table& Table::add(std::vector<Cell> row) {
  if (row.size() > head_.size())
    limpid::detail::throw_error<ValueError>("Table::add: expected at most ", head_.size(), " cells, got ", row.size());
  row.resize(head_.size(), Cell(""));
  rows_.push_back(std::move(row));
  return *this;
}

std::string to_string(const Table& table) {
  struct Column {
    std::size_t width;
    bool to_the_right;
  };
  constexpr std::size_t longest_cell = 1000;
  const auto text_of = [](std::string_view text) { return printable(text, longest_cell); };
  std::vector<Column> columns;
  for (std::size_t j = 0; j < table.head().size(); ++j) {
    Column column{detail::display_width(text_of(table.head()[j])), false};
    for (const auto& row : table.rows()) {
      column.width = std::max(column.width, detail::display_width(text_of(row[j].text)));
      column.to_the_right |= row[j].is_number;
    }
    columns.push_back(column);
  }

  std::string result;
  const auto add_line = [&](auto cell) {
    std::string line;
    for (std::size_t j = 0; j < columns.size(); ++j) {
      const auto [text, to_the_right] = cell(j);
      const std::string space(columns[j].width - detail::display_width(text), ' ');
      if (j > 0) line += "  ";
      line += to_the_right ? space + text : text + space;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + '\n';
  };
  add_line([&](std::size_t j) { return std::pair(text_of(table.head()[j]), columns[j].to_the_right); });
  add_line([&](std::size_t j) { return std::pair(std::string(columns[j].width, '-'), false); });
  for (const auto& row : table.rows())
    add_line([&](std::size_t j) { return std::pair(text_of(row[j].text), row[j].is_number); });
  return result;
}

std::ostream& operator<<(std::ostream& out, const Table& table) { return out << to_string(table); }

}  // namespace limpid::report
