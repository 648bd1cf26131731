#include <limpid/tests/ops/op_table.hpp>

#include <limpid/limpid.hpp>
#include <limpid/tests/ops/rows/rows.hpp>

#include <cmath>

using namespace limpid;

Tensor Sample::draw(Generator& generator, int turn) const {
  const int64_t count = shape.numel();
  Tensor x = empty(shape, float64);
  const Tensor order = randperm(count, generator), noise = rand(shape, float64, generator);
  for (int64_t i = 0; i < count; ++i) {
    const double within_cell = (turn % 2 ? 0.75 : 0.25) + 0.1 * (noise.data<double>()[i] - 0.5);
    const double part = (static_cast<double>(order.data<int64_t>()[i]) + within_cell) / static_cast<double>(count);
    double value = low + part * (high - low);
    for (double a : avoid)
      if (std::abs(value - a) < 0.1) value = value < a ? value - 0.1 : value + 0.1;
    x.data<double>()[i] = is_floating_point(dtype) ? value : std::floor(value);
  }
  return x.to(dtype);
}

Tensors OpRow::draw(uint64_t seed) const {
  Generator generator(seed);
  for (;;) {
    Tensors xs;
    for (const Sample& sample : inputs) xs.push_back(sample.draw(generator, static_cast<int>(xs.size())));
    if (!kink || min(abs(kink(xs)[0])).item<double>() > 0.05) return xs;
  }
}

const std::vector<OpRow>& op_table() {
  static const rows::Rows table = [] {
    rows::Rows all_rows;
    for (const auto family : {rows::arithmetic, rows::functions, rows::choices, rows::reductions, rows::statistics,
                              rows::shaping, rows::products, rows::windows, rows::linear_algebra, rows::normalisations,
                              rows::losses, rows::recurrences, rows::attentions, rows::conversions})
      for (OpRow& row : family()) all_rows.push_back(std::move(row));
    return all_rows;
  }();
  return table;
}
