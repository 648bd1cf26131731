// A program that uses each library that limpid is made of through limpid, before and after another library that holds
// the same ones did so.
#include <limpid/limpid.hpp>

#include <iostream>
#include <sstream>
#include <string>

using namespace limpid;

std::string neighbour_text();

namespace {

std::string limpid_text() {
  std::ostringstream text;
  const Tensor x = tensor({0.123456789, 1, 2, 3, 4, 5, 6, 7}, float64);
  text << x << '\n';                                                          // xtensor
  text << conv2d(ones({1, 1, 4, 4}), ones({1, 1, 3, 3})) << '\n';             // oneDNN
  save_safetensors("a.safetensors", {{"x", x}}, {{"made by", "a program"}});  // nlohmann
  text << load_safetensors("a.safetensors").at("x") << '\n';
  const RecordSources sources;  // libbacktrace
  Tensor w = ones({2});
  w.set_requires_grad();
  text << to_dot(w * w).size() << '\n';
  return text.str();
}

}  // namespace

// With an argument, limpid alone.
int main(int count, char**) {
  const std::string before = limpid_text();
  if (count > 1) return 0;
  const std::string neighbour = neighbour_text(), after = limpid_text();
  if (before != after) {
    std::cerr << "expected limpid to print as before its neighbour, got\n" << after << "instead of\n" << before;
    return 1;
  }
  const std::string wanted = "{ 0.12,  1.  ,  2.  ,  3.  } {\"a\":[1,2]}";
  if (neighbour != wanted) {
    std::cerr << "expected the neighbour to print " << wanted << ", got " << neighbour << '\n';
    return 2;
  }
}
