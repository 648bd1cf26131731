// Another library of the process, with an xtensor and a nlohmann of its own, set up in its own way.
#if __has_include(<xtensor/io/xio.hpp>)
#include <xtensor/containers/xarray.hpp>
#include <xtensor/io/xio.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xio.hpp>
#endif

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

std::string neighbour_text() {
  xt::print_options::set_precision(2);
  const xt::xarray<double> x{0.123456789, 1, 2, 3};
  std::ostringstream text;
  text << x << ' ' << nlohmann::json::parse(R"({"a": [1, 2]})").dump();
  return text.str();
}
