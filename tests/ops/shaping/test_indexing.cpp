// Indexing, against what NumPy 1.24 gives for the same index of the same numbers (0, 1, ... in row-major order).
#include <limpid/limpid.hpp>

#include <type_traits>
#include <vector>

#include <limpid/tests/catch.hpp>

namespace test_indexing {

using namespace limpid;

Tensor at(const std::vector<int64_t>& values) { return from_vector(values, {static_cast<int64_t>(values.size())}); }
Tensor grid(const Shape& shape) { return reshape(arange(shape.numel()), shape); }

template <class A, class B>
constexpr bool are_anded = requires(A a, B b) {
  a& b;
  a | b;
};

TEST_CASE("an index chooses what NumPy's does") {
  const Tensor x = grid({2, 3, 4}), w = grid({2, 3, 5, 7});
  const struct {
    const char* index;
    Tensor got;
    Shape shape;
    std::vector<int64_t> values;
  } cases[] = {
      {"{Ellipsis, Slice(1, 3)}",
       x.index({Ellipsis, Slice(1, 3)}),
       {2, 3, 2},
       {1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22}},
      {"{Slice(None, None, -1), 0}", x.index({Slice(None, None, -1), 0}), {2, 4}, {12, 13, 14, 15, 0, 1, 2, 3}},
      {"{1, Ellipsis, -1}", x.index({1, Ellipsis, -1}), {3}, {15, 19, 23}},
      {"{None, 0, None, Slice(None, None, 2)}",
       x.index({None, 0, None, Slice(None, None, 2)}),
       {1, 1, 2, 4},
       {0, 1, 2, 3, 8, 9, 10, 11}},
      {"{Slice(), at({2, 0}), None}",
       x.index({Slice(), at({2, 0}), None}),
       {2, 2, 1, 4},
       {8, 9, 10, 11, 0, 1, 2, 3, 20, 21, 22, 23, 12, 13, 14, 15}},
      {"{at({0, -1}), at({1, 2})}", x.index({at({0, -1}), at({1, 2})}), {2, 4}, {4, 5, 6, 7, 20, 21, 22, 23}},
      {"{at({0, 1}), Slice(), at({3, 0})}", x.index({at({0, 1}), Slice(), at({3, 0})}), {2, 3}, {3, 7, 11, 12, 16, 20}},
      {"{Slice(), at({0}), Slice(), 0}",
       w.index({Slice(), at({0}), Slice(), 0}),
       {1, 2, 5},
       {0, 7, 14, 21, 28, 105, 112, 119, 126, 133}},
      {"{Slice(), 1, at({4, 0}), Slice(5, 7)}",
       w.index({Slice(), 1, at({4, 0}), Slice(5, 7)}),
       {2, 2, 2},
       {68, 69, 40, 41, 173, 174, 145, 146}},
      {"{at({1, 0}), None, at({2, 1}), Slice(0, 2), 3}",
       w.index({at({1, 0}), None, at({2, 1}), Slice(0, 2), 3}),
       {2, 1, 2},
       {178, 185, 38, 45}},
      {"{Slice(), reshape(at({0, 2}), {2, 1}), at({4, 0, 1}), -1}",
       w.index({Slice(), reshape(at({0, 2}), {2, 1}), at({4, 0, 1}), -1}),
       {2, 2, 3},
       {34, 6, 13, 104, 76, 83, 139, 111, 118, 209, 181, 188}},
      {"{0, at({1, 1}), Slice(3, None, -2), Slice(6, 0, -3)}",
       w.index({0, at({1, 1}), Slice(3, None, -2), Slice(6, 0, -3)}),
       {2, 2, 2},
       {62, 59, 48, 45, 62, 59, 48, 45}},
      {"{x > 20}", x.index({x > 20}), {3}, {21, 22, 23}},
      {"{0, at({1, 0, 1}) > 0}", x.index({0, at({1, 0, 1}) > 0}), {2, 4}, {0, 1, 2, 3, 8, 9, 10, 11}},
      {"{Slice(), at({1, 0, 1}) > 0, at({1, 2})}",
       x.index({Slice(), at({1, 0, 1}) > 0, at({1, 2})}),
       {2, 2},
       {1, 10, 13, 22}},
      {"{select(x, 2, 0) > 3, 2}", x.index({select(x, 2, 0) > 3, 2}), {5}, {6, 10, 14, 18, 22}},
      {"{Slice(3, -12, -1)}", x.index({Slice(3, -12, -1)}), {2, 3, 4}, {12, 13, 14, 15, 16, 17, 18, 19,
                                                                        20, 21, 22, 23, 0,  1,  2,  3,
                                                                        4,  5,  6,  7,  8,  9,  10, 11}},
      {"{Ellipsis, Slice(20, 1, -2)}", x.index({Ellipsis, Slice(20, 1, -2)}), {2, 3, 1}, {3, 7, 11, 15, 19, 23}},
      {"{Slice(1, 1), at({0})}", x.index({Slice(1, 1), at({0})}), {0, 1, 4}, {}},
      {"{at({}), 1}", x.index({at({}), 1}), {0, 4}, {}},
      {"{}", x.index({}), {2, 3, 4}, {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                      12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
  };
  for (const auto& c : cases) {
    CAPTURE(c.index);
    CHECK(c.got.shape() == c.shape);
    CHECK(equal(reshape(c.got, {-1}), at(c.values)));
  }
}

TEST_CASE("integers and slices give views, index tensors and negative steps give copies") {
  const Tensor x = grid({2, 3, 4});
  CHECK(x.index({Ellipsis, Slice(1, 3)}).shares_storage_with(x));
  CHECK(x.index({0, None, Slice(None, None, 2)}).shares_storage_with(x));
  CHECK(x[1][2].shares_storage_with(x));
  CHECK_FALSE(x.index({at({0})}).shares_storage_with(x));
  CHECK_FALSE(x.index({Slice(None, None, -1)}).shares_storage_with(x));
  CHECK(x[-1][0][-2].item<int64_t>() == 14);
  // What would bind a handle that is gone at once does not compile.
  static_assert(!std::is_assignable_v<Tensor&&, Tensor>);
  static_assert(std::is_assignable_v<Tensor&, Tensor>);
}

TEST_CASE("an index that cannot be is refused") {
  const Tensor x = grid({2, 3, 4});
  CHECK_THROWS_WITH(x.index({at({2})}), "index: expected numbers in [-2, 2) for axis 0, got 2");
  CHECK_THROWS_WITH(x.index({Slice(), at({0, -4})}), "index: expected numbers in [-3, 3) for axis 1, got -4");
  CHECK_THROWS_WITH(x.index({0, 0, 0, 0}), "index: expected at most 3 axes for shape (2, 3, 4), got 4");
  CHECK_THROWS_WITH(x.index({Ellipsis, 0, Ellipsis}), "index: expected at most one Ellipsis, got 2");
  CHECK_THROWS_WITH(x.index({Slice(0, 1, 0)}), "index: expected a step other than 0, got 0");
  CHECK_THROWS_WITH(
      x.index({at({1, 1, 1}) > 0}),
      "index: expected a mask of the shape of the axes that it stands for, from axis 0 of shape (2, 3, 4) on, "
      "got (3,)");
  CHECK_THROWS_WITH(x.index({at({0, 1}), at({0, 1, 2})}),
                    "index: expected shapes that broadcast together, got (2,) and (3,)");
  CHECK_THROWS_AS(x.index({zeros({1})}), DTypeError);
  CHECK_THROWS_AS(x.index({Tensor()}), ValueError);
  CHECK_THROWS_WITH(x.index({Slice(), 5}), "index: expected numbers in [-3, 3) for axis 1, got 5");
  CHECK_THROWS_AS(zeros({})[0], ShapeError);
  CHECK_THROWS_WITH(x[2], "index: expected numbers in [-2, 2) for axis 0, got 2");
}

TEST_CASE("values are put down by broadcasting, the last wins, or they add up") {
  Tensor x = zeros({2, 3}, int64);
  x.index_put_({Slice(), 1}, 5).index_put_({1}, at({7, 8, 9}));
  CHECK(equal(x, reshape(at({0, 5, 0, 7, 8, 9}), {2, 3})));
  x.index_put_({x > 6}, 0).index_put_({0, Slice(None, None, -1)}, at({1, 2, 3}));
  CHECK(equal(x, reshape(at({3, 2, 1, 0, 0, 0}), {2, 3})));
  CHECK(equal(zeros({3}, int64).index_put_({at({0, 0})}, at({1, 2})), at({2, 0, 0})));
  CHECK(equal(zeros({3}).index_put_({at({0, 0})}, 1, true), tensor({2, 0, 0})));
  CHECK(equal(zeros({3, 2}).index_put_({at({0, 0}), 1}, 1, true), reshape(tensor({0, 2, 0, 0, 0, 0}), {3, 2})));
  CHECK(equal(zeros({2}, bool_).index_put_({1}, true), at({0, 1}) > 0));
  // As if the source were copied first.
  Tensor y = arange(5);
  y.index_put_({Slice(1, None)}, y.index({Slice(None, -1)}));
  CHECK(equal(y, at({0, 0, 1, 2, 3})));
  CHECK_THROWS_WITH(x.index_put_({0}, at({1, 2})),
                    "index_put_: expected shapes that broadcast together, got (3,) and (2,)");
  CHECK_THROWS_AS(x.index_put_({0}, 1.5 * ones({3})), DTypeError);
  CHECK_THROWS_AS(x.index_put_({at({9})}, 1), ValueError);
  CHECK(equal(x, reshape(at({3, 2, 1, 0, 0, 0}), {2, 3})));
}

TEST_CASE("gradients of an index add up, and go to the value that stays") {
  const Tensor x = tensor({1, 2, 3}, float64).set_requires_grad();
  const Tensor y = x.index({at({0, 0, -1})});
  CHECK(equal(grad({y}, {x}, {tensor({0.25, 0.5, 4}, float64)})[0], tensor({0.75, 0, 4}, float64)));
  const Tensor v = tensor({5, 6}, float64).set_requires_grad();
  Tensor z = x * 1;
  z.index_put_({at({1, 1})}, v);
  CHECK(equal(z.detach(), tensor({1, 6, 3}, float64)));
  const Tensors dx = grad({z}, {x, v}, {tensor({1, 2, 4}, float64)});
  CHECK(equal(dx[0], tensor({1, 0, 4}, float64)));
  CHECK(equal(dx[1], tensor({0, 2}, float64)));
  Tensor sum_of = x * 1;
  sum_of.index_put_({at({1, 1})}, v, true);
  const Tensors both = grad({sum_of}, {x, v}, {tensor({1, 2, 4}, float64)});
  CHECK(equal(both[0], tensor({1, 2, 4}, float64)));
  CHECK(equal(both[1], tensor({2, 2}, float64)));
  CHECK(gradgradcheck(
      [](const Tensors& in) {
        return Tensors{in[0].index({Slice(), at({0, 2, 0})}) * in[1]};
      },
      {randn({2, 3}, float64), randn({3}, float64)}));
  CHECK(gradgradcheck(
      [](const Tensors& in) {
        Tensor t = square(in[0]);
        t.index_put_({0, Slice(1)}, in[1] * in[1]);
        return Tensors{t};
      },
      {randn({2, 3}, float64), randn({2}, float64)}));
  CHECK_THROWS_AS(Tensor(x).index_put_({0}, 1), AutogradError);
}

TEST_CASE("compound assignment is in place, of what an index gives, too") {
  Tensor y = ones({3});
  const Tensor same = y;
  y += 2;
  y *= tensor({1, 2, 3});
  y -= 1;
  y /= 2;
  CHECK(equal(same, tensor({1, 2.5, 4})));
  y[0] += 10;
  y.index({Slice(1)}) /= tensor({2.5, 4});
  CHECK(equal(same, tensor({11, 1, 1})));
  Tensor i = arange(3);
  i += 1;
  i *= 2;
  CHECK(equal(i, at({2, 4, 6})));
  CHECK_THROWS_AS(i /= 2, DTypeError);
  CHECK_THROWS_AS(i += 0.5, ValueError);
  // Recorded: a quotient keeps what it is formed of.
  const Tensor a = tensor({1, 2}, float64).set_requires_grad(), b = tensor({4, 5}, float64).set_requires_grad();
  Tensor q = a * 1;
  q /= b;
  const Tensors dx = grad({q}, {a, b}, {ones({2}, float64)});
  CHECK(allclose(dx[0], tensor({0.25, 0.2}, float64)));
  CHECK(allclose(dx[1], tensor({-1.0 / 16, -2.0 / 25}, float64)));
  CHECK(equal((a > 1) && (b > 4), at({0, 1}) > 0));
  CHECK(equal((a > 1) || !(b > 4), at({1, 1}) > 0));
}

TEST_CASE("masks meet a bool on either side, and no other number") {
  const Tensor mask = at({1, 0}) > 0;
  CHECK(equal(mask & true, mask));
  CHECK(equal(false & mask, zeros({2}, bool_)));
  CHECK(equal(mask | false, mask));
  CHECK(equal(true | mask, ones({2}, bool_)));
  CHECK(equal(~mask & mask, zeros({2}, bool_)));
  static_assert(!are_anded<const Tensor&, int> && !are_anded<double, const Tensor&> && are_anded<const Tensor&, bool>);
  CHECK_THROWS_WITH(at({1, 0}) & true,
                    "operator&: expected operands of dtype bool, got int64; of numbers, compare them first");
}

TEST_CASE("members are the functions of their names") {
  const Tensor x = grid({2, 3, 4}).to(float64) / 24 + 0.1;
  CHECK(equal(x.reshape({6, 4}).t(), transpose(reshape(x, {6, 4}), 0, 1)));
  CHECK(equal(x.permute({2, 0, 1}).flatten(1), flatten(permute(x, {2, 0, 1}), 1)));
  CHECK(equal(x.transpose(0, 2).unsqueeze(1).squeeze(), transpose(x, 0, 2)));
  CHECK(equal(x.select(1, 2).expand({5, 2, 4}), expand(select(x, 1, 2), {5, 2, 4})));
  CHECK(equal(x.split(2, 2)[1], x.chunk(2, 2)[1]));
  CHECK(equal(x.split({1, 3}, 2)[1], x.slice(2, 1)));
  CHECK(equal(x.slice(1, 0, 3, 2), slice(x, 1, 0, 3, 2)));
  CHECK(equal(x.stddev({0, 1}, true, 1), stddev(x, {0, 1}, true, 1)));
  CHECK(equal(x.max(1).values - x.min(1, false).values, max(x, 1).values - min(x, 1).values));
  CHECK(equal(x.argmax() - x.argmin(), argmax(x) - argmin(x)));
  CHECK(equal(x.pow(x).clamp(x, x + 1), clamp(pow(x, x), x, x + 1)));
  CHECK(equal(x.sum({0, 2}, true), sum(x, {0, 2}, true)));
  CHECK(equal(x.mean(1) + x.var(1, false, 1), mean(x, 1) + var(x, 1, false, 1)));
  CHECK(equal(x.max() - x.min(), max(x) - min(x)));
  CHECK(equal(x.amax(1) - x.amin(1), amax(x, 1) - amin(x, 1)));
  CHECK(equal(x.argmax(2) - x.argmin(2), argmax(x, 2) - argmin(x, 2)));
  CHECK(equal(x.softmax(1), softmax(x, 1)));
  CHECK(equal(x.neg().abs().log().exp().sqrt().square(), square(sqrt(exp(log(abs(neg(x))))))));
  CHECK(equal(x.pow(3).clamp(0.1, 0.5).relu().sigmoid().tanh(), tanh(sigmoid(relu(clamp(pow(x, 3), 0.1, 0.5))))));
  CHECK(equal(x[0].matmul(x[1].t()), matmul(x[0], transpose(x[1], 0, 1))));
  CHECK_THROWS_WITH(x.t(), "t: expected a matrix, got shape (2, 3, 4)");
}

}  // namespace test_indexing
