// Writing at indices: added up, put down, in place.
#include <limpid/limpid.hpp>

#include <cmath>
#include <limits>

#include <limpid/tests/ops/plain.hpp>

namespace test_scatter {

using namespace limpid;
using namespace plain;

/// Draws an index for axis of shape, numbers below 0 among it.
Tensor some_index(const Shape& shape, int64_t size, uint64_t seed) {
  Generator generator(seed);
  return randint(-size, size, shape, int64, generator);
}

TEST_CASE("indices below 0 count from the end in every function of an index") {
  const Tensor x = arange(12).to(float64).reshape({3, 4}), index = tensor({-1, 0, -3}, int64);
  CHECK(equal(index_select(x, 0, index), x.index({index})));
  CHECK(equal(index_select(x, 0, index), index_select(x, 0, tensor({2, 0, 0}, int32))));
  const Tensor wide = tensor({-1, 0, -2, 1}, int64).reshape({1, 4});
  CHECK(equal(gather(x, 0, wide), tensor({8, 1, 6, 7}, float64).reshape({1, 4})));
  CHECK(equal(scatter_add({2}, 0, tensor({-1, -2, 1}, int64), tensor({1, 2, 3})), tensor({2, 4})));
  CHECK(equal(take_along_axis(x, tensor({-1}, int64).reshape({1, 1}), 1), x.index({Slice(), Slice(3, 4)})));
  // The gradient goes to the place meant.
  Tensor leaf = x.clone().set_requires_grad();
  CHECK(equal(grad({index_select(leaf, 0, index)}, {leaf}, {ones({3, 4}, float64)})[0],
              expand(tensor({2, 0, 1}, float64).reshape({3, 1}), {3, 4})));
  // The index itself is left alone.
  CHECK(equal(index, tensor({-1, 0, -3}, int64)));
}

TEST_CASE("scatter puts values down, the last of several for one place") {
  for (const DType dtype : {float32, float64, int64, uint8, bool_, float16}) {
    CAPTURE(dtype);
    const Tensor x = zeros({2, 3}, dtype), index = tensor({0, 2, 0, 1, -2, -2}, int64).reshape({2, 3});
    const Tensor source = tensor({1, 1, 0, 1, 0, 1}, dtype).reshape({2, 3});
    CHECK(equal(scatter(x, 1, index, source), tensor({0, 0, 1, 0, 1, 0}, dtype).reshape({2, 3})));
    CHECK(equal(scatter(x, 1, index, 1), tensor({1, 0, 1, 0, 1, 0}, dtype).reshape({2, 3})));
  }
  // Against a loop, in layouts of all kinds, an index smaller than x and a source larger than the index.
  for (const int64_t axis : {0, 1, 2, -1}) {
    Shape shape{2, 3, 2};
    const std::size_t a = static_cast<std::size_t>(axis < 0 ? axis + 3 : axis);
    shape[a] = 5;
    const Tensor x = noise({3, 4, 3}, float64), index = some_index(shape, x.size(axis), 4),
                 source = noise({5, 5, 5}, float64);
    auto expected = values(x);
    const Tensor at = index.contiguous();
    for (int64_t i = 0; i < at.numel(); ++i) {
      int64_t place[] = {i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]};
      const double value = source[place[0]][place[1]][place[2]].item<double>();
      place[a] = at.data<int64_t>()[i] < 0 ? at.data<int64_t>()[i] + x.size(axis) : at.data<int64_t>()[i];
      expected[static_cast<std::size_t>((place[0] * 4 + place[1]) * 3 + place[2])] = value;
    }
    for (const char* layout : {"contiguous", "strided", "gaps"}) {
      CAPTURE(axis, layout);
      const Tensor y = scatter(in_layout(x, layout), axis, strided(index), in_layout(source, layout));
      CHECK(values(y) == expected);
    }
    CHECK(gradcheck([&](const Tensor& p, const Tensor& q) { return scatter(p, axis, index, q); }, {x, source}));
    CHECK(gradgradcheck([&](const Tensor& p, const Tensor& q) { return square(scatter(p, axis, index, q)); },
                        {x, source}));
  }
  // The winner alone has the gradient, and a loser that is NaN does no harm.
  Tensor x = zeros({2}, float64).set_requires_grad();
  Tensor source = tensor({1, 2, 3}, float64);
  source.index_put_({0}, std::numeric_limits<double>::quiet_NaN());
  source.set_requires_grad();
  const Tensor y = scatter(x, 0, tensor({1, 1, 1}, int64), source);
  CHECK(equal(y.detach(), tensor({0, 3}, float64)));
  const Tensors dx = grad({y}, {x, source}, {tensor({5, 7}, float64)});
  CHECK(equal(dx[0], tensor({5, 0}, float64)));
  CHECK(equal(dx[1], tensor({0, 0, 7}, float64)));
  CHECK(equal(scatter(zeros({2, 0}), 0, zeros({1, 0}, int64), zeros({1, 0})), zeros({2, 0})));
  CHECK(equal(scatter(ones({2}), 0, zeros({0}, int64), zeros({0})), ones({2})));

  CHECK(
      thrown<ShapeError>([] {
        scatter(zeros({2, 2}), 0, zeros({1}, int64), zeros({1}));
      }) ==
      "scatter: expected an index of the rank of shape (2, 2) and no larger than it along axes other than 0, got shape "
      "(1,)");
  CHECK(thrown<ShapeError>([] { scatter(zeros({2}), 0, zeros({3}, int64), zeros({2})); }) ==
        "scatter: expected values of at least the index's shape (3,), got (2,)");
  CHECK(thrown<DTypeError>([] { scatter(zeros({2}), 0, zeros({1}, int64), zeros({1}, float64)); }) ==
        "scatter: expected a source of x's dtype float32, got float64");
  CHECK(thrown<ValueError>([] { scatter(zeros({2}), 0, full({1}, -3, int64), zeros({1})); }) ==
        "scatter: expected indices in [-2, 2), got -3 at position (0,)");
  CHECK(thrown<ValueError>([] { scatter(zeros({2}, uint8), 0, zeros({1}, int64), 300); }) ==
        "scatter: expected a number that uint8 holds, got 300");
  CHECK(thrown<ValueError>([] { scatter(zeros({2}, int64), 0, zeros({1}, int64), 0.5); }) ==
        "scatter: expected a whole number for int64, got 0.5");
}

TEST_CASE("scatter_add takes what the index covers, and gives the rest no gradient") {
  Tensor x = tensor({1, 2, 3, 4, 5, 6}, float64).reshape({2, 3}).set_requires_grad();
  const Tensor y = scatter_add({2, 2}, 0, tensor({1, 1, 0, 1}, int64).reshape({2, 2}), x);
  CHECK(equal(y.detach(), tensor({4, 0, 1, 7}, float64).reshape({2, 2})));
  CHECK(equal(grad({y}, {x}, {tensor({10, 20, 30, 40}, float64).reshape({2, 2})})[0],
              tensor({30, 40, 0, 10, 40, 0}, float64).reshape({2, 3})));
}

TEST_CASE("index_add adds rows as often as they are named") {
  for (const DType dtype : {float32, float64, int64, int32, uint8, bfloat16}) {
    CAPTURE(dtype);
    const Tensor x = ones({3, 2}, dtype), source = tensor({1, 2, 3, 4, 5, 6}, dtype).reshape({3, 2});
    const Tensor index = tensor({0, -1, 0}, int64);
    CHECK(equal(index_add(x, 0, index, source), tensor({7, 9, 1, 1, 4, 5}, dtype).reshape({3, 2})));
    CHECK(equal(index_add(x, 0, index, source, 2), tensor({13, 17, 1, 1, 7, 9}, dtype).reshape({3, 2})));
    Tensor y = x.clone();
    CHECK(equal(y.index_add_(0, index, source), index_add(x, 0, index, source)));
  }
  CHECK(equal(index_add(ones({2, 3}), 1, zeros({0}, int64), zeros({2, 0})), ones({2, 3})));
  CHECK(thrown<ShapeError>([] {
          index_add(zeros({3, 2}), 0, zeros({2}, int64), zeros({2, 3}));
        }) == "index_add: expected a source of shape (2, 2), got (2, 3)");
  CHECK(thrown<ShapeError>([] {
          index_add(zeros({3, 2}), 0, zeros({2, 1}, int64), zeros({2, 2}));
        }) == "index_add: expected an index of rank 1, got shape (2, 1)");
  CHECK(thrown<DTypeError>([] { index_add(zeros({3}), 0, zeros({1}, int64), zeros({1}, float64)); }) ==
        "index_add: expected a source of x's dtype float32, got float64");
  CHECK(thrown<ValueError>([] { index_add(zeros({3}), 0, full({1}, 3, int64), zeros({1})); }) ==
        "index_add: expected indices in [-3, 3), got 3 at position (0,)");
}

TEST_CASE("index_add scales the rows, not the places that none is added to, and rounds half precision once") {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto in_place = [](const Tensor& x, const Tensor& index, const Tensor& source, Scalar alpha) {
    Tensor y = x.clone();
    return y.index_add_(0, index, source, alpha);
  };
  const auto apart = [](const Tensor& x, const Tensor& index, const Tensor& source, Scalar alpha) {
    return index_add(x, 0, index, source, alpha);
  };
  const auto check = [&](const auto& f, const std::string& op) {
    const Tensor first = tensor({0}, int64), y = f(ones({2}), first, zeros({1}), infinity);
    CHECK(std::isnan(y[0].item<float>()));
    CHECK(y[1].item<float>() == 1);
    const Tensor twice = tensor({0, 0}, int64);
    CHECK(equal(f(zeros({1}, float16), twice, full({2}, 40000, float16), 0.5), full({1}, 40000, float16)));
    // 2048 + 1 + 1, of which float16 holds the sum alone.
    CHECK(equal(f(full({1}, 2048, float16), twice, ones({2}, float16), 1), full({1}, 2050, float16)));
    CHECK(equal(f(full({1}, 2048, float16), first, full({1}, 3, float16), 1.0 / 3), full({1}, 2048, float16)));
    CHECK(thrown<ValueError>([&] { f(ones({2}, int64), first, ones({1}, int64), 0.5); }) ==
          op + ": expected a whole number for int64, got 0.5");
    CHECK(thrown<ShapeError>([&] { f(ones({2}), first, ones({2}), 1); }) ==
          op + ": expected a source of shape (1,), got (2,)");
    CHECK(thrown<ValueError>([&] { f(ones({2}), full({1}, 2, int64), ones({1}), 1); }) ==
          op + ": expected indices in [-2, 2), got 2 at position (0,)");
    for (const DType dtype : {float32, float64, float16, bfloat16})
      CHECK(std::signbit(f(full({2}, -0.0, dtype), first, ones({1}, dtype), 2)[1].template item<float>()));
  };
  check(apart, "index_add");
  check(in_place, "index_add_");
}

TEST_CASE("masked_fill_ and index_add_ write in place, recorded too") {
  Tensor x = tensor({1, 2, 3, 4}).reshape({2, 2});
  const uint32_t version = x.version();
  x.masked_fill_(tensor({1, 0}, bool_), -1);
  CHECK(equal(x, tensor({-1, 2, -1, 4}).reshape({2, 2})));
  CHECK(x.version() > version);
  select(x, 1, 1).masked_fill_(tensor({0, 1}, bool_), 9);
  CHECK(equal(x, tensor({-1, 2, -1, 9}).reshape({2, 2})));

  Tensor leaf = tensor({1, 2, 3}, float64).set_requires_grad();
  Tensor y = leaf * 2.0;
  y.masked_fill_(tensor({0, 1, 0}, bool_), 7);
  y.index_add_(0, tensor({0, 0}, int64), slice(leaf, 0, 1), 10);
  CHECK(equal(y.detach(), tensor({52, 7, 6}, float64)));
  CHECK(equal(grad({y}, {leaf}, {tensor({1, 100, 1000}, float64)})[0], tensor({2, 10, 2010}, float64)));

  CHECK(thrown<AutogradError>([&] {
          leaf.masked_fill_(tensor({0, 1, 0}, bool_), 7);
        }) ==
        "masked_fill_: expected a tensor that is no leaf, got a leaf that requires a gradient; write to it under a "
        "NoGradGuard");
  CHECK_THROWS_AS(leaf.index_add_(0, tensor({0}, int64), ones({1}, float64)), AutogradError);
  CHECK(thrown<DTypeError>([&] { x.masked_fill_(x, 1); }) ==
        "masked_fill_: expected a mask of dtype bool, got float32");
  CHECK(thrown<ShapeError>([&] {
          x.masked_fill_(ones({3, 2, 2}, bool_), 1);
        }) == "masked_fill_: expected a mask that broadcasts to (2, 2), got (3, 2, 2)");
  CHECK(thrown<ValueError>([&] { zeros({2}, uint8).masked_fill_(ones({2}, bool_), 256); }) ==
        "masked_fill_: expected a number that uint8 holds, got 256");
  CHECK(thrown<ValueError>([&] { zeros({2}, int64).masked_fill_(ones({2}, bool_), 0.5); }) ==
        "masked_fill_: expected a whole number for int64, got 0.5");
}

TEST_CASE("scatter_ and scatter_add_ write in place what scatter and scatter_add give, recorded too") {
  Tensor x = arange(6).to(float64).reshape({2, 3});
  const uint32_t version = x.version();
  const Tensor index = tensor({{0, 0}, {-1, 1}}, int64), source = tensor({{10, 20, 0}, {30, 40, 0}}, float64);
  const Tensor put = scatter(x, 1, index, source), summed = scatter_add(x, 1, index, source);
  CHECK(equal(put, tensor({{20, 1, 2}, {3, 40, 30}}, float64)));
  CHECK(equal(summed, tensor({{30, 1, 2}, {3, 44, 35}}, float64)));
  CHECK(equal(x.clone().scatter_(1, index, source), put));
  CHECK(equal(x.clone().scatter_(1, index, 7), scatter(x, 1, index, 7)));
  CHECK(equal(x.clone().scatter_add_(1, index, source), summed));
  x.scatter_(1, index, source);
  CHECK(x.version() > version);
  // Through a view, into the memory of all.
  const Tensor whole = zeros({2, 4}, int64);
  slice(whole, 1, 1, 3).scatter_(1, tensor({{1}, {0}}, int64), 5);
  select(whole, 0, 1).scatter_add_(0, tensor({0, 0}, int64), tensor({2, 3}, int64));
  CHECK(equal(whole, tensor({{0, 0, 5, 0}, {5, 5, 0, 0}}, int64)));
  // The index and the source may be the tensor itself.
  Tensor own = tensor({2, 0, 1}, int64);
  CHECK(equal(own.scatter_(0, own, own), tensor({0, 1, 2}, int64)));
  CHECK(equal(own.scatter_add_(0, own, own), tensor({0, 2, 4}, int64)));

  const Tensor leaf = tensor({1, 2, 3}, float64).set_requires_grad();
  const Tensor values = tensor({5, 6}, float64).set_requires_grad();
  Tensor y = leaf * 2.0;
  y.scatter_(0, tensor({1, 1}, int64), values).scatter_add_(0, tensor({0, 0}, int64), values * values);
  y.scatter_(0, tensor({2}, int64), 9);
  CHECK(equal(y.detach(), tensor({63, 6, 9}, float64)));
  const Tensors dx = grad({y}, {leaf, values}, {tensor({1, 100, 1000}, float64)});
  CHECK(equal(dx[0], tensor({2, 0, 0}, float64)));
  CHECK(equal(dx[1], tensor({10, 112}, float64)));
}

TEST_CASE("scatter_add to a tensor rounds half precision once, and leaves other places as they are") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor twice = tensor({0, 0}, int64);
  CHECK(equal(scatter_add(full({1}, 2048, float16), 0, twice, ones({2}, float16)), full({1}, 2050, float16)));
  for (const DType dtype : {float32, float64, float16, bfloat16}) {
    const Tensor y = scatter_add(tensor({1, -0.0, infinity}, dtype), 0, twice, ones({2}, dtype)).to(float64);
    CHECK(equal(y, tensor({3, 0, infinity}, float64)));
    CHECK(std::signbit(y[1].item<double>()));
  }
  CHECK(equal(scatter_add(zeros({2}, bool_), 0, tensor({1}, int64), ones({1}, bool_)), tensor({0, 1}, bool_)));
  CHECK(scatter_add(zeros({0}), 0, zeros({0}, int64), zeros({0})).shape() == Shape{0});
}

TEST_CASE("scatter_ and scatter_add_ name themselves in what they refuse, and write nothing then") {
  Tensor x = zeros({2});
  const Tensor first = zeros({1}, int64), value = ones({1});
  CHECK(thrown<ValueError>([&] { x.scatter_(0, full({1}, 2, int64), value); }) ==
        "scatter_: expected indices in [-2, 2), got 2 at position (0,)");
  CHECK(thrown<ValueError>([&] { x.scatter_add_(0, full({1}, -3, int64), value); }) ==
        "scatter_add_: expected indices in [-2, 2), got -3 at position (0,)");
  CHECK(thrown<DTypeError>([&] { x.scatter_add_(0, first, ones({1}, float64)); }) ==
        "scatter_add_: expected a source of x's dtype float32, got float64");
  CHECK(thrown<DTypeError>([&] { scatter_add(x, 0, first, ones({1}, int64)); }) ==
        "scatter_add: expected a source of x's dtype float32, got int64");
  CHECK(thrown<DTypeError>([&] { x.scatter_(0, value, value); }) ==
        "scatter_: expected an int64 or int32 index, got float32");
  CHECK(thrown<ShapeError>([&] { x.scatter_(0, zeros({3}, int64), value); }) ==
        "scatter_: expected values of at least the index's shape (3,), got (1,)");
  CHECK(thrown<ShapeError>([&] { x.scatter_add_(1, first, value); }) ==
        "scatter_add_: expected an axis in [-1, 1), got 1");
  CHECK(thrown<ValueError>([&] { x.scatter_(0, first, Tensor()); }) ==
        "scatter_: expected a defined source, got an undefined tensor");
  CHECK(thrown<ValueError>([&] { x.scatter_add_(0, Tensor(), value); }) ==
        "scatter_add_: expected a defined index, got an undefined tensor");
  CHECK(thrown<ValueError>([&] { zeros({2}, uint8).scatter_(0, first, 256); }) ==
        "scatter_: expected a number that uint8 holds, got 256");
  CHECK(thrown<ValueError>([&] { expand(zeros({1}), {2}).scatter_(0, first, 1); }) != "");
  CHECK(equal(x, zeros({2})));
  Tensor leaf = zeros({2}).set_requires_grad();
  CHECK_THROWS_AS(leaf.scatter_(0, first, 1), AutogradError);
  CHECK_THROWS_AS(leaf.scatter_add_(0, first, value), AutogradError);
}

}  // namespace test_scatter
