// A differentiable function written as xtensor expressions, checked, and put to work: a line is fitted through points
// of which some are far off.
#include <limpid/core/xtensor.hpp>
#include <limpid/limpid.hpp>
#if __has_include(<xtensor/core/xmath.hpp>)  // 0.26 moved its headers
#include <xtensor/core/xmath.hpp>
#else
#include <xtensor/xmath.hpp>
#endif

#include <cmath>
#include <iostream>
#include <utility>

using namespace limpid;

// log(cosh(x - target)): a square near 0, and a distance, less log(2), far from it, so that no point pulls more than
// any other. Each expression is evaluated once, into memory that a Tensor takes over.
struct LogCosh : Function<LogCosh> {
  // This backward computes on raw memory, which the tape does not see.
  static constexpr bool once_differentiable = true;

  static Tensor forward(Context& ctx, const Tensor& x, const Tensor& target) {
    ctx.save(x, target);
    const auto distance = xt::abs(view<double>(x) - view<double>(target));
    xt::xarray<double> y = distance + xt::log1p(xt::exp(-2.0 * distance)) - std::log(2.0);
    return adopt(std::move(y));
  }

  // dx_i = tanh(x_i - target_i) dy_i,  dtarget_i = -dx_i
  static Tensors backward(Context& ctx, const Tensor& dy) {
    const Tensor x = ctx.saved(0), target = ctx.saved(1);
    xt::xarray<double> dx = xt::tanh(view<double>(x) - view<double>(target)) * view<double>(dy);
    xt::xarray<double> dtarget = -dx;
    return {adopt(std::move(dx)), adopt(std::move(dtarget))};
  }
};

int main() {
  manual_seed(1);
  const auto log_cosh = [](const Tensor& x, const Tensor& target) { return LogCosh::apply(x, target); };
  const GradcheckReport report = gradcheck(log_cosh, {randn({3, 4}, float64), randn({3, 4}, float64)});
  std::cout << report << '\n';
  if (!report) return 1;

  // y = 2 x - 1, with every tenth point far above.
  xt::xarray<double> points = xt::linspace<double>(-1, 1, 100);
  xt::xarray<double> values = 2.0 * points - 1.0;
  for (std::size_t i = 0; i < values.size(); i += 10) values(i) += 50.0;
  const Tensor x = adopt(std::move(points)), y = adopt(std::move(values));

  const Tensor slope = zeros({}, float64).set_requires_grad(), offset = zeros({}, float64).set_requires_grad();
  optim::Adam adam({slope, offset}, {.lr = 0.05});
  for (int step = 0; step < 500; ++step) {
    adam.zero_grad();
    mean(LogCosh::apply(slope * x + offset, y)).backward();
    adam.step();
  }
  std::cout << "y = " << slope.item<double>() << " x + " << offset.item<double>() << '\n';
}
