// Shape, order and selection against plain index arithmetic.
#include <limpid/limpid.hpp>

#include <functional>
#include <numeric>

#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>

namespace test_shaping {

using namespace limpid;

using Values = std::vector<double>;
using Index = std::vector<int64_t>;

Tensor counted(const Shape& shape, DType dtype = float32) { return reshape(arange(shape.numel(), dtype), shape); }

// y's values computed from an element-wise rule: y_i = f(i).
Values from_rule(const Shape& shape, const std::function<double(const Index&)>& f) {
  Values y;
  Index i(shape.size(), 0);
  for (int64_t k = 0; k < shape.numel(); ++k) {
    int64_t rest = k;
    for (std::size_t a = shape.size(); a-- > 0; rest /= shape[a]) i[a] = rest % shape[a];
    y.push_back(f(i));
  }
  return y;
}

double at(const Tensor& x, const Index& i) {
  int64_t k = x.offset();
  for (std::size_t a = 0; a < i.size(); ++a) k += i[a] * x.strides()[a];
  return detail::make_view(x, {}, {}, k).item<double>();
}

std::string message(const std::function<void()>& f) { return plain::thrown<Error>(f); }

TEST_CASE("reshape is a view where strides allow") {
  const Tensor x = counted({2, 3, 4});
  struct Row {
    Tensor x;
    Shape shape;
    bool is_view;
  };
  const Tensor t = transpose(x, 0, 1);  // (3, 2, 4), strides (4, 12, 1)
  const std::vector<Row> rows = {{x, {6, 4}, true},
                                 {x, {-1}, true},
                                 {x, {2, 3, 2, 2}, true},
                                 {t, {3, 2, 2, 2}, true},
                                 {t, {3, 1, 2, 4, 1}, true},
                                 {t, {6, 4}, false},
                                 {t, {3, 8}, false},
                                 {slice(x, 1, 0, 2), {2, 8}, true},
                                 {slice(x, 2, 0, 2), {2, 6}, false},
                                 {slice(x, 2, 0, 2), {6, 2}, true},
                                 {slice(x, 2, 0, 4, 3), {6, 2}, true},
                                 {expand(counted({2, 1}), {2, 3}), {6}, false},
                                 {expand(counted({2, 1, 1}), {2, 3, 4}), {2, 12}, true},
                                 {x.contiguous(MemoryFormat::channels_last), {2, 3, 2, 2}, true},
                                 {zeros({2, 0, 3}), {0, 5}, true},
                                 {zeros({}), {1, 1}, true},
                                 {zeros({1, 1}), {}, true}};
  for (const Row& row : rows) {
    INFO(row.x.shape() << " strides " << row.x.strides() << " to " << row.shape);
    const Tensor y = reshape(row.x, row.shape);
    CHECK(y.shares_storage_with(row.x) == row.is_view);
    CHECK(plain::values(y) == plain::values(row.x));
  }
  CHECK(reshape(x, {4, -1}).shape() == Shape{4, 6});
  CHECK(flatten(x).shape() == Shape{24});
  CHECK(flatten(x, 1).shape() == Shape{2, 12});
  CHECK(flatten(x, 0, -2).shape() == Shape{6, 4});
  CHECK(flatten(zeros({})).shape() == Shape{1});
}

TEST_CASE("views share memory and agree with index arithmetic") {
  const Tensor x = counted({2, 3, 4});
  struct Row {
    std::string name;
    Tensor y;
    Shape shape;
    std::function<double(const Index&)> rule;
  };
  const std::vector<Row> rows = {
      {"permute",
       permute(x, {2, 0, -2}),
       {4, 2, 3},
       [&](const Index& i) {
         return at(x, {i[1], i[2], i[0]});
       }},
      {"transpose",
       transpose(x, 0, -1),
       {4, 3, 2},
       [&](const Index& i) {
         return at(x, {i[2], i[1], i[0]});
       }},
      {"slice",
       slice(x, 2, 1, 4, 2),
       {2, 3, 2},
       [&](const Index& i) {
         return at(x, {i[0], i[1], 1 + 2 * i[2]});
       }},
      {"slice from the back",
       slice(x, 1, -2),
       {2, 2, 4},
       [&](const Index& i) {
         return at(x, {i[0], i[1] + 1, i[2]});
       }},
      {"slice clamped", slice(x, 0, -9, 9, to_end), {1, 3, 4}, [&](const Index& i) { return at(x, i); }},
      {"empty slice", slice(x, 0, 2, 1), {0, 3, 4}, [&](const Index& i) { return at(x, i); }},
      {"select",
       select(x, 1, -1),
       {2, 4},
       [&](const Index& i) {
         return at(x, {i[0], 2, i[1]});
       }},
      {"unsqueeze",
       unsqueeze(x, -1),
       {2, 3, 4, 1},
       [&](const Index& i) {
         return at(x, {i[0], i[1], i[2]});
       }},
      {"squeeze", squeeze(unsqueeze(x, 1)), {2, 3, 4}, [&](const Index& i) { return at(x, i); }},
      {"squeeze one",
       squeeze(unsqueeze(unsqueeze(x, 0), 0), 0),
       {1, 2, 3, 4},
       [&](const Index& i) {
         return at(x, {i[1], i[2], i[3]});
       }},
      {"expand", expand(slice(x, 1, 0, 1), {5, -1, 3, -1}), {5, 2, 3, 4}, [&](const Index& i) {
         return at(x, {i[1], 0, i[3]});
       }}};
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(row.y.shares_storage_with(x));
    CHECK(row.y.shape() == row.shape);
    CHECK(plain::values(row.y) == from_rule(row.shape, row.rule));
  }
}

TEST_CASE("split gives views of the pieces") {
  const Tensor x = counted({7, 2});
  const Tensors by_size = split(x, 3, 0), by_sizes = split(x, Shape{2, 0, 5}, -2);
  REQUIRE(by_size.size() == 3);
  CHECK(by_size[2].shape() == Shape{1, 2});
  CHECK(equal(cat(by_size, 0), x));
  REQUIRE(by_sizes.size() == 3);
  CHECK(by_sizes[1].shape() == Shape{0, 2});
  CHECK(equal(cat(by_sizes, 0), x));
  CHECK(by_sizes[2].shares_storage_with(x));
  CHECK(split(zeros({0, 2}), 3, 0).size() == 1);
}

TEST_CASE("selection by index, every dtype of data and index") {
  const Tensor places = tensor({2, 0, 2, 1}, int64);
  for (DType dtype : {bool_, uint8, int32, int64, float16, bfloat16, float32, float64})
    for (DType index_type : {int32, int64})
      for (bool turned : {false, true}) {
        INFO(dtype << ", " << index_type << ", " << turned);
        Tensor x = counted({3, 3, 3}).to(dtype);
        if (turned) x = transpose(x, 0, 2);
        for (int64_t axis = 0; axis < 3; ++axis) {
          const auto a = static_cast<std::size_t>(axis);
          const auto moved = [&](Index i) {
            i[a] = static_cast<int64_t>(plain::values(places)[static_cast<std::size_t>(i[a])]);
            return at(x, i);
          };
          Shape shape = {3, 3, 3};
          shape[a] = 4;
          CHECK(plain::values(index_select(x, axis, places.to(index_type))) == from_rule(shape, moved));

          const Tensor index = randint(0, 3, {2, 3, 2}).to(index_type);
          if (axis != 1) continue;
          const auto picked = [&](Index i) { return at(x, {i[0], static_cast<int64_t>(at(index, i)), i[2]}); };
          CHECK(plain::values(gather(x, 1, index)) == from_rule({2, 3, 2}, picked));
        }
      }
}

TEST_CASE("an index that is the same along a row need not cover all of it") {
  const Tensor x = reshape(arange(12), {3, 4}), index = tensor({2, 0}, int64).reshape({2, 1});
  CHECK(equal(gather(x, 0, expand(index, {2, 4})), tensor({8, 9, 10, 11, 0, 1, 2, 3}, int64).reshape({2, 4})));
  CHECK(equal(gather(x, 0, expand(index, {2, 3})), tensor({8, 9, 10, 0, 1, 2}, int64).reshape({2, 3})));
}

TEST_CASE("scatter_add is gather's transpose, for any number of threads") {
  const Tensor index = randint(0, 5, {40, 30, 50}), x = randn({40, 30, 50}, float64);
  Values expected(40 * 5 * 50, 0.0);
  for (int64_t i = 0; i < 40; ++i)
    for (int64_t j = 0; j < 30; ++j)
      for (int64_t k = 0; k < 50; ++k)
        expected[static_cast<std::size_t>((i * 5 + static_cast<int64_t>(at(index, {i, j, k}))) * 50 + k)] +=
            at(x, {i, j, k});
  for (int threads : {1, 2, 3, 7}) {
    const test::WithThreads with(threads);
    CHECK(plain::values(scatter_add({40, 5, 50}, 1, index, x)) == expected);
  }
  CHECK(plain::values(scatter_add({2}, 0, tensor({1, 1}, int32), tensor({3, 4}, int32))) == Values{0, 7});
  CHECK(scatter_add({2, 3}, 0, zeros({0, 3}, int64), zeros({0, 3})).shape() == Shape{2, 3});
}

TEST_CASE("cat and stack, with promotion and channels-last") {
  const Tensor a = counted({2, 3}), b = counted({2, 1}, int32);
  const Tensor y = cat({a, b, slice(a, 1, 0, 0)}, -1);
  CHECK(y.dtype() == float32);
  CHECK(plain::values(y) == Values{0, 1, 2, 0, 3, 4, 5, 1});
  CHECK(plain::values(stack({a, a}, 1)) == Values{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  CHECK(stack({zeros({})}).shape() == Shape{1});
  const Tensor image = randn({2, 3, 4, 5}), last = image.contiguous(MemoryFormat::channels_last);
  CHECK(cat({last, last}, 1).memory_format() == MemoryFormat::channels_last);
  CHECK(cat({last, image}, 1).memory_format() == MemoryFormat::contiguous);
  CHECK(equal(cat({last, last}, 1), cat({image, image}, 1)));
}

TEST_CASE("flip turns axes round") {
  const Tensor x = counted({2, 3});
  CHECK(plain::values(flip(x, 1)) == Values{2, 1, 0, 5, 4, 3});
  CHECK(plain::values(flip(x, {})) == Values{5, 4, 3, 2, 1, 0});
  CHECK(flip(zeros({}), {}).shape() == Shape{});
  CHECK(flip(zeros({0, 2}), 0).shape() == Shape{0, 2});
}

TEST_CASE("pad frames, crops, reflects and replicates") {
  const Tensor x = counted({2, 3});
  struct Row {
    Shape amounts;
    PadMode mode;
    Shape shape;
    Values expected;
  };
  const std::vector<Row> rows = {{{1, 2}, PadMode::constant, {2, 6}, {9, 0, 1, 2, 9, 9, 9, 3, 4, 5, 9, 9}},
                                 {{-1, 1, 0, -1}, PadMode::constant, {1, 3}, {1, 2, 9}},
                                 {{0, 0, 1, 0}, PadMode::constant, {3, 3}, {9, 9, 9, 0, 1, 2, 3, 4, 5}},
                                 {{-3, 0}, PadMode::constant, {2, 0}, {}},
                                 {{2, 1}, PadMode::reflect, {2, 6}, {2, 1, 0, 1, 2, 1, 5, 4, 3, 4, 5, 4}},
                                 {{0, 1, 1, 0}, PadMode::reflect, {3, 4}, {3, 4, 5, 4, 0, 1, 2, 1, 3, 4, 5, 4}},
                                 {{1, 4}, PadMode::replicate, {2, 8}, {0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 4, 5, 5, 5, 5, 5}},
                                 {{0, 0, 2, 0}, PadMode::replicate, {4, 3}, {0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 5}},
                                 {{}, PadMode::reflect, {2, 3}, {0, 1, 2, 3, 4, 5}}};
  for (const Row& row : rows)
    for (const Tensor& given : {x, transpose(transpose(x, 0, 1).contiguous(), 0, 1)}) {
      INFO(row.amounts << " in mode " << static_cast<int>(row.mode));
      const Tensor y = pad(given, row.amounts, row.mode, 9);
      CHECK(y.shape() == row.shape);
      CHECK(plain::values(y) == row.expected);
      CHECK_FALSE(y.shares_storage_with(given));
    }
  const Tensor last = randn({1, 2, 3, 4}).contiguous(MemoryFormat::channels_last);
  for (PadMode mode : {PadMode::constant, PadMode::reflect, PadMode::replicate})
    CHECK(pad(last, {1, 1, 2, 2}, mode).memory_format() == MemoryFormat::channels_last);
  CHECK(pad(ones({2}, float16), {1, 1}, PadMode::reflect).dtype() == float16);
}

TEST_CASE("shaping keeps channels-last where values move") {
  const Tensor x = randn({2, 3, 4, 5}).contiguous(MemoryFormat::channels_last);
  CHECK(flip(x, 2).memory_format() == MemoryFormat::channels_last);
  CHECK(index_select(x, 2, tensor({1, 1, 0}, int64)).memory_format() == MemoryFormat::channels_last);
}

TEST_CASE("gradients of shaping, first and second order, by finite differences") {
  struct Row {
    std::string name;
    std::function<Tensor(const Tensor&)> f;
  };
  const Tensor index = reshape(tensor({0, 2, 2, 1, 0, 0, 1, 1}, int64), {2, 1, 4});
  const std::vector<Row> rows = {{"reshape",
                                  [](const Tensor& x) {
                                    return reshape(transpose(x, 0, 1), {4, 6});
                                  }},
                                 {"permute",
                                  [](const Tensor& x) {
                                    return permute(x, {2, 0, 1});
                                  }},
                                 {"expand",
                                  [](const Tensor& x) {
                                    return expand(unsqueeze(x, 1), {3, 2, 5, 3, 4});
                                  }},
                                 {"slice", [](const Tensor& x) { return slice(x, 2, 1, 4, 2); }},
                                 {"select", [](const Tensor& x) { return select(x, 1, 2); }},
                                 {"split", [](const Tensor& x) { return split(x, 3, 2)[0]; }},
                                 {"index_select",
                                  [](const Tensor& x) {
                                    return index_select(x, 1, tensor({2, 0, 2}, int64));
                                  }},
                                 {"gather", [=](const Tensor& x) { return gather(x, 1, index); }},
                                 {"scatter_add",
                                  [](const Tensor& x) {
                                    return scatter_add({2, 5, 4}, 1, full({2, 3, 4}, 3, int64), x);
                                  }},
                                 {"cat",
                                  [](const Tensor& x) {
                                    return cat({x, x * 2.0, slice(x, 1, 0, 1)}, 1);
                                  }},
                                 {"stack",
                                  [](const Tensor& x) {
                                    return stack({x, x}, 2);
                                  }},
                                 {"flip",
                                  [](const Tensor& x) {
                                    return flip(x, {0, 2});
                                  }},
                                 {"pad",
                                  [](const Tensor& x) {
                                    return pad(x, {1, -1, 0, 2});
                                  }},
                                 {"reflect",
                                  [](const Tensor& x) {
                                    return pad(x, {3, 2, 1, 2}, PadMode::reflect);
                                  }},
                                 {"replicate", [](const Tensor& x) {
                                    return pad(x, {1, 5, 2, 0}, PadMode::replicate);
                                  }}};
  manual_seed(5);
  const Tensor x = randn({2, 3, 4}, float64);
  for (const Row& row : rows) {
    const auto first = gradcheck(row.f, {x});
    INFO(row.name << "\n" << first);
    CHECK(first);
    const auto second = gradgradcheck([&](const Tensor& t) { return square(row.f(t)); }, {x});
    INFO(second);
    CHECK(second);
  }
}

TEST_CASE("cat asks no gradient of what needs none") {
  const Tensor a = counted({2}).to(float64), b = counted({3}).to(float64).set_requires_grad();
  CHECK(plain::values(grad({sum(square(cat({a, b}, 0)))}, {b})[0]) == Values{0, 2, 4});
}

TEST_CASE("what shaping refuses, and how it says it") {
  const Tensor x = zeros({2, 3}), index = tensor({0, 3}, int64);
  struct Row {
    std::function<void()> f;
    std::string expected;
  };
  const std::vector<Row> rows = {
      {[&] {
         reshape(x, {4, 2});
       },
       "reshape: expected a shape of 6 elements, got (4, 2) for x of shape (2, 3)"},
      {[&] {
         reshape(x, {-1, -1});
       },
       "reshape: expected a shape of 6 elements, got (-1, -1) for x of shape (2, 3)"},
      {[&] {
         reshape(x, {-1, 0});
       },
       "reshape: expected a shape of 6 elements, got (-1, 0) for x of shape (2, 3)"},
      {[&] { reshape(Tensor{}, {1}); }, "reshape: expected a defined tensor, got an undefined tensor"},
      {[&] { flatten(x, 1, 0); }, "flatten: expected first at or before last, got axes 1 and 0 for x of shape (2, 3)"},
      {[&] { permute(x, {0}); }, "permute: expected 2 axes for x of shape (2, 3), got 1"},
      {[&] {
         permute(x, {0, -2});
       },
       "permute: expected each axis once, got axis 0 twice"},
      {[&] { transpose(x, 0, 2); }, "transpose: expected an axis in [-2, 2), got 2"},
      {[&] { squeeze(x, 1); }, "squeeze: expected axes of size 1, got axis 1 of shape (2, 3)"},
      {[&] { unsqueeze(x, 3); }, "unsqueeze: expected an axis in [-3, 3), got 3"},
      {[&] {
         expand(x, {2, 4});
       },
       "expand: expected a shape that x of shape (2, 3) broadcasts to, got (2, 4)"},
      {[&] {
         expand(x, {-1, 2, 3});
       },
       "expand: expected a shape that x of shape (2, 3) broadcasts to, got (-1, 2, 3)"},
      {[&] { slice(x, 0, 0, 2, 0); }, "slice: expected a step of at least 1, got 0"},
      {[&] { select(x, 1, 3); }, "select: expected an index in [-3, 3) for axis 1 of shape (2, 3), got 3"},
      {[&] {
         split(x, Shape{2, 2}, 1);
       },
       "split: expected sizes of at least 0 that add up to 3, got (2, 2)"},
      {[&] { split(x, 0, 1); }, "split: expected a size of at least 1, got 0"},
      {[&] { index_select(x, 1, index); }, "index_select: expected indices in [-3, 3), got 3 at position (1,)"},
      {[&] { index_select(x, 1, tensor({-4}, int32)); },
       "index_select: expected indices in [-3, 3), got -4 at position (0,)"},
      {[&] { index_select(x, 1, zeros({1})); }, "index_select: expected an int64 or int32 index, got float32"},
      {[&] {
         index_select(x, 1, zeros({1, 1}, int64));
       },
       "index_select: expected an index of rank 1, got shape (1, 1)"},
      {[&] { gather(x, 0, index); },
       "gather: expected an index of the rank of shape (2, 3) and no larger than it along axes other than 0, got "
       "shape (2,)"},
      {[&] {
         gather(x, 0, full({1, 3}, 2, int64));
       },
       "gather: expected indices in [-2, 2), got 2 at position (0, 0)"},
      {[&] { scatter_add({2}, 0, index, zeros({2})); },
       "scatter_add: expected indices in [-2, 2), got 3 at position (1,)"},
      {[&] { scatter_add({4}, 0, index, zeros({1})); },
       "scatter_add: expected values of at least the index's shape (2,), got (1,)"},
      {[&] { cat({}, 0); }, "cat: expected at least one tensor, got none"},
      {[&] {
         cat({x, zeros({3, 3})}, 1);
       },
       "cat: expected shapes that agree but for axis 1, got (2, 3) and (3, 3)"},
      {[&] {
         stack({x, zeros({3, 2})});
       },
       "stack: expected tensors of one shape, got (2, 3) and (3, 2)"},
      {[&] { flip(x, 2); }, "flip: expected an axis in [-2, 2), got 2"},
      {[&] { pad(x, {1}); }, "pad: expected (before, after) for at most 2 axes, got 1 amounts for x of shape (2, 3)"},
      {[&] {
         pad(x, {-2, -2});
       },
       "pad: expected amounts that leave a size of at least 0, got (-2, -2) for axis 1 of shape (2, 3)"},
      {[&] {
         pad(x, {3, 0}, PadMode::reflect);
       },
       "pad: expected amounts below the axis size in reflect mode, got (3, 0) for axis 1 of shape (2, 3)"},
      {[&] {
         pad(x, {-1, 0}, PadMode::replicate);
       },
       "pad: expected amounts of at least 0 in replicate mode, got (-1, 0) for axis 1"},
      {[&] {
         pad(zeros({0}), {1, 0}, PadMode::replicate);
       },
       "pad: expected amounts of 0 in replicate mode, got (1, 0) for axis 0 of shape (0,)"}};
  for (const Row& row : rows) CHECK(message(row.f) == row.expected);
}

}  // namespace test_shaping
