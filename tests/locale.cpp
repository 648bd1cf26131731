// With LIMPID_TEST_LOCALE in its environment a test program runs as if its host had set locales of its own: digits in
// groups of three, and a comma as the decimal point; by setlocale() as well, where the locale that is named there
// exists.
#include <clocale>
#include <cstdlib>
#include <locale>

namespace {

struct Grouping : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

[[maybe_unused]] const bool set = [] {
  const char* name = std::getenv("LIMPID_TEST_LOCALE");
  if (!name) return false;
  // A locale without a name leaves the one of C alone.
  std::locale::global(std::locale(std::locale::classic(), new Grouping));
  std::setlocale(LC_ALL, name);
  return true;
}();

}  // namespace
