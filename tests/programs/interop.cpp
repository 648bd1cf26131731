// xtensor expressions in and out: one memory, no copy but the evaluation of what was lazy.
#include <limpid/core/xtensor.hpp>
#include <limpid/limpid.hpp>
#if __has_include(<xtensor/core/xmath.hpp>)  // 0.26 moved its headers
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#endif
#include <utility>

int main() {
  limpid::Tensor x = limpid::arange(24, limpid::float64);
  auto v = limpid::view<double>(x);
  if (xt::sum(v)() != 276.0) return 1;
  v *= 2.0;
  if (limpid::sum(x).item<double>() != 552.0) return 2;

  xt::xarray<double> a = xt::ones<double>({4, 5});
  limpid::Tensor t = limpid::from_xtensor(a + 1.0);
  if (t.shape() != limpid::Shape{4, 5} || t.dtype() != limpid::float64) return 3;
  if (limpid::sum(t).item<double>() != 40.0) return 4;

  const double* memory = a.data();
  limpid::Tensor adopted = limpid::adopt(std::move(a));
  return adopted.data<double>() == memory && limpid::sum(adopted).item<double>() == 20.0 ? 0 : 5;
}
