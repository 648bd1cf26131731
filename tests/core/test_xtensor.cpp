#include <limpid/core/xtensor.hpp>
#include <limpid/limpid.hpp>

#include <limpid/tests/catch.hpp>

using namespace limpid;

TEST_CASE("a view reads and writes the tensor's own memory, in any layout") {
  const Tensor x = arange(24).to(float32), y = transpose(reshape(x, {2, 3, 4}), 0, 2);
  auto v = view<float>(y);
  CHECK(v.shape(0) == 4);
  CHECK(v(3, 1, 0) == 7.0f);
  v(3, 1, 0) = -1.0f;
  CHECK(x.data<float>()[7] == -1.0f);
}

TEST_CASE("views of empty, expanded and gappy tensors") {
  const Tensor none = zeros({2, 0, 3}), row = arange(6).to(float32), rows = expand(row, {2, 6});
  CHECK(view<float>(none).size() == 0);
  CHECK(view<float>(rows)(1, 2) == 2.0f);
  const Tensor odd = slice(row, 0, 1, to_end, 2);
  CHECK(view<float>(odd)(2) == 5.0f);
  const xt::xarray<float> copy = view<float>(odd) * 2.0f;
  CHECK(copy == xt::xarray<float>{2.0f, 6.0f, 10.0f});
}

TEST_CASE("a lazy expression is evaluated once into a tensor") {
  const xt::xarray<double> a = {{1, 2, 3}, {4, 5, 6}};
  const Tensor x = from_xtensor(xt::transpose(a) * 2.0 + 1.0);
  CHECK(x.shape() == Shape{3, 2});
  CHECK(x.dtype() == float64);
  CHECK(x.data<double>()[1] == 9.0);
}

TEST_CASE("a view of another type is refused") {
  const Tensor x = zeros({2});
  CHECK_THROWS_AS(view<double>(x), DTypeError);
}
