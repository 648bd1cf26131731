#include <limpid/core/detail/message.hpp>
#include <limpid/core/error.hpp>
#include <limpid/nn/detail/ranges.hpp>

namespace limpid::nn::detail {

using limpid::detail::message;

std::string text(double value) { return limpid::detail::text_of(value); }
std::string text(int64_t value) { return message(value); }
std::string text(Size2d size) { return message('(', size.h, ", ", size.w, ')'); }

std::string Range::to_string() const {
  return message(open_low ? '(' : '[', text(low), ", ", text(high), open_high ? ')' : ']');
}

void Field::require(const char* who) const {
  if (!holds_)
    limpid::detail::throw_error<ValueError>(who, ": expected ", name_, " in ", range_.to_string(), ", got ", got_);
}

void expect(const char* who, std::initializer_list<Field> fields) {
  for (const Field& field : fields) field.require(who);
}

}  // namespace limpid::nn::detail
