#include <limpid/core/xtensor.hpp>
#include <limpid/limpid.hpp>

#include <utility>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_xtensor {

using namespace limpid;

template <class Array>
constexpr bool adopts = requires(Array&& array) {
  adopt(static_cast<Array&&>(array));
};

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

TEST_CASE("an array that is given up is a tensor in its own memory") {
  xt::xarray<float> a = {{1, 2, 3}, {4, 5, 6}};
  const float* memory = a.data();
  Tensor x = adopt(std::move(a));
  CHECK(x.data<float>() == memory);
  CHECK(x.is_contiguous());
  CHECK(equal(x, tensor({{1, 2, 3}, {4, 5, 6}})));
  Tensor row = x[1];
  x = Tensor();  // the row keeps the memory
  row += 1;
  CHECK(equal(row, tensor({5, 6, 7})));

  xt::xarray<double, xt::layout_type::column_major> columns = {{1, 2, 3}, {4, 5, 6}};
  const double* columns_memory = columns.data();
  const Tensor y = adopt(std::move(columns));
  CHECK(y.data<double>() == columns_memory);
  CHECK(y.strides() == Strides{1, 2});
  CHECK(equal(y, tensor({{1, 2, 3}, {4, 5, 6}}, float64)));

  xt::xarray<int64_t, xt::layout_type::dynamic> any(std::vector<std::size_t>{2, 1, 3}, xt::layout_type::column_major);
  any.fill(7);
  any(1, 0, 2) = 9;
  const Tensor z = adopt(std::move(any));
  CHECK(z.index({1, 0, 2}).item<int64_t>() == 9);
  CHECK(sum(z).item<int64_t>() == 44);

  xt::xtensor<double, 2> fixed = {{1, 2}, {3, 4}};
  CHECK(equal(adopt(std::move(fixed)), tensor({{1, 2}, {3, 4}}, float64)));
  CHECK(equal(adopt(xt::xarray<bool>{true, false}), tensor({1, 0}, bool_)));
}

TEST_CASE("adopted arrays of no elements, of one, and of size 1 along an axis") {
  CHECK(adopt(xt::xarray<float>(std::vector<std::size_t>{2, 0, 3})).shape() == Shape{2, 0, 3});
  xt::xarray<float> one = 5.0f;
  const Tensor x = adopt(std::move(one));
  CHECK(x.shape() == Shape{});
  CHECK(x.item<float>() == 5);
  xt::xarray<float> column(std::vector<std::size_t>{2, 1});
  column(0, 0) = 1, column(1, 0) = 2;
  const Tensor y = adopt(std::move(column));
  CHECK(y.strides() == Strides{1, 1});
  CHECK(equal(matmul(transpose(y, 0, 1), y), tensor({{5}})));
}

TEST_CASE("gradients go through what was adopted, and an array that is kept is none to adopt") {
  xt::xarray<double> a = {1, 2, 3};
  const Tensor w = adopt(std::move(a)).set_requires_grad();
  sum(square(w)).backward();
  CHECK(equal(w.grad(), tensor({2, 4, 6}, float64)));
  static_assert(!adopts<xt::xarray<double>&> && !adopts<const xt::xarray<double>> && adopts<xt::xarray<double>>);
  // A view has no memory to give up.
  static_assert(!adopts<decltype(view<double>(std::declval<const Tensor&>()))>);
}

}  // namespace test_xtensor
