#include <limpid/ops/detail/ranges.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>

namespace limpid::detail::ranges {

std::string text(double value) { return text_of(value); }
std::string text(int64_t value) { return message(value); }

std::string Range::to_string() const {
  return message(open_low ? '(' : '[', text(low), ", ", text(high), open_high ? ')' : ']');
}

void Field::require(const char* who) const {
  if (!holds_) throw_error<ValueError>(who, ": expected ", name_, " in ", range_.to_string(), ", got ", got_);
}

void expect(const char* who, std::initializer_list<Field> fields) {
  for (const Field& field : fields) field.require(who);
}

}  // namespace limpid::detail::ranges
