// An input is a program of views, ops and writes in place over small float64 tensors of any layout. Even inputs run
// beside a dense reference, in which a tensor is a list of places in memory: each step must give the same values there,
// and no other. Odd ones are recorded twice, over inputs of random layouts and over dense ones, and must give the same
// gradients.
#include <limpid/autograd/backward.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/error.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

using namespace limpid;

namespace {

constexpr int most_steps = 24;
constexpr int64_t most_elements = 256;
constexpr double largest = 1e4;

class Bytes {
 public:
  Bytes(const uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool ended() const { return at_ == end_; }
  unsigned next() { return ended() ? 0 : *at_++; }
  int64_t below(int64_t n) { return static_cast<int64_t>(next()) % n; }

 private:
  const uint8_t *at_, *end_;
};

/// The reference: where in a memory each element lies, in row-major order. While recording it is a shape alone.
struct Dense {
  std::shared_ptr<std::vector<double>> memory;
  std::vector<std::size_t> places;
  Shape shape;

  Dense() = default;
  explicit Dense(const Shape& s)
      : memory(std::make_shared<std::vector<double>>(static_cast<std::size_t>(s.numel()))),
        places(memory->size()),
        shape(s) {
    std::iota(places.begin(), places.end(), std::size_t{0});
  }
  double& operator[](std::size_t i) const { return (*memory)[places[i]]; }
  std::size_t size() const { return places.size(); }
  bool overlaps_itself() const {
    std::vector<std::size_t> sorted = places;
    std::sort(sorted.begin(), sorted.end());
    return std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
  }
};

using Index = std::vector<int64_t>;

/// Calls f(index, number) for each element of a shape in row-major order.
template <class F>
void for_each(const Shape& shape, F&& f) {
  Index index(shape.size(), 0);
  const auto n = static_cast<std::size_t>(shape.numel());
  for (std::size_t i = 0; i < n; ++i) {
    f(index, i);
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

std::size_t number_of(const Shape& shape, const Index& index) {
  int64_t n = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) n = n * shape[axis] + index[axis];
  return static_cast<std::size_t>(n);
}

/// A view of x: the element at index is x's at from(index).
template <class F>
Dense view_of(const Dense& x, const Shape& shape, F&& from) {
  Dense y;
  y.memory = x.memory;
  y.shape = shape;
  if (!x.memory) return y;
  for_each(shape,
           [&](const Index& index, std::size_t) { y.places.push_back(x.places[number_of(x.shape, from(index))]); });
  return y;
}

template <class F>
Dense mapped(const Dense& x, F&& f) {
  if (!x.memory) return x;
  Dense y(x.shape);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = f(x[i]);
  return y;
}

Dense broadcast(const Dense& x, const Shape& shape) {
  return view_of(x, shape, [&](const Index& index) {
    Index from(index.end() - static_cast<std::ptrdiff_t>(x.shape.size()), index.end());
    for (std::size_t axis = 0; axis < from.size(); ++axis)
      if (x.shape[axis] == 1) from[axis] = 0;
    return from;
  });
}

template <class F>
Dense combined(const Dense& a, const Dense& b, F&& f) {
  const Shape shape = broadcast_shapes(a.shape, b.shape, "fuzz");
  const Dense wide_a = broadcast(a, shape), wide_b = broadcast(b, shape);
  Dense y(shape);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = f(wide_a[i], wide_b[i]);
  return y;
}

Shape without(Shape shape, std::size_t axis) {
  shape.erase(axis);
  return shape;
}
Shape with(Shape shape, std::size_t axis, int64_t size) {
  shape.insert(axis, size);
  return shape;
}
Index without(Index index, std::size_t axis) {
  index.erase(index.begin() + static_cast<std::ptrdiff_t>(axis));
  return index;
}

/// Along an axis: f(elements) is the one that stands for them.
template <class F>
Dense reduced(const Dense& x, std::size_t axis, F&& f) {
  Dense y(without(x.shape, axis));
  std::vector<std::vector<double>> lines(y.size());
  for_each(x.shape,
           [&](const Index& index, std::size_t i) { lines[number_of(y.shape, without(index, axis))].push_back(x[i]); });
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = f(lines[i]);
  return y;
}

struct Pair {
  Tensor x;
  Dense dense;
};

[[noreturn]] void fail(const char* what, int op, std::size_t i, double got, double expected) {
  std::fprintf(stderr, "%s after op %d at element %zu: got %.17g, expected %.17g\n", what, op, i, got, expected);
  std::abort();
}

double magnitude(const Dense& x) {
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::max(most, std::isfinite(x[i]) ? std::abs(x[i]) : INFINITY);
  return most;
}

/// x's values are the reference's, within rounding of a step; these take them, so that no error grows over steps.
void check(const Pair& pair, int op, double scale) {
  const Tensor& x = pair.x;
  const Dense& dense = pair.dense;
  if (x.shape() != dense.shape)
    fail("shape", op, x.shape().size(), static_cast<double>(x.numel()), static_cast<double>(dense.size()));
  const auto* base = static_cast<const double*>(x.raw_data());
  for_each(dense.shape, [&](const Index& index, std::size_t i) {
    int64_t offset = 0;
    for (std::size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * x.strides()[axis];
    const double got = base[offset], expected = dense[i];
    if (!(std::abs(got - expected) <= 1e-10 * (1 + scale) * (1 + scale))) fail("value", op, i, got, expected);
    dense[i] = got;
  });
}

/// Shape of rank 0 to 4, sizes from 0 to 4, seldom 0.
Shape any_shape(Bytes& bytes) {
  Shape shape;
  for (int64_t rank = bytes.below(5); rank > 0; --rank) {
    const unsigned size = bytes.next();
    shape.push_back(size == 255 ? 0 : 1 + size % 4);
  }
  return shape;
}

/// A tensor of a random layout: a permuted part of a wider one, or dense; the reference knows its places.
Pair any_tensor(Bytes& bytes, bool dense_alone) {
  const Shape shape = any_shape(bytes);
  const std::size_t rank = shape.size();
  const unsigned layout = bytes.next();
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (layout & 1) std::reverse(order.begin(), order.end());
  if (layout & 2 && rank > 2) std::swap(order[0], order[1]);
  const int64_t gap = layout & 4 ? 2 : 1, start = layout & 8 ? 3 : 0;
  Strides strides(rank);
  int64_t step = gap;
  for (std::size_t k = rank; k-- > 0;)
    strides[order[k]] = step, step *= std::max<int64_t>(shape[order[k]], 1) + (layout & 16 ? 1 : 0);
  const Shape whole{start + step + 1};
  Dense memory(whole);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<double>(i % 7) - 3;
  Dense dense;
  dense.memory = memory.memory;
  dense.shape = shape;
  for_each(shape, [&](const Index& index, std::size_t) {
    int64_t place = start;
    for (std::size_t axis = 0; axis < rank; ++axis) place += index[axis] * strides[axis];
    dense.places.push_back(static_cast<std::size_t>(place));
  });
  for (std::size_t i = 0; i < std::min<std::size_t>(dense.size(), 8); ++i)
    dense[i] = (static_cast<double>(bytes.next()) - 128) / 16;
  if (dense_alone) {
    Tensor x = empty(shape, float64);
    for (std::size_t i = 0; i < dense.size(); ++i) x.data<double>()[i] = dense[i];
    return {x, dense};
  }
  Tensor storage = empty(whole, float64);
  std::copy(memory.memory->begin(), memory.memory->end(), storage.data<double>());
  return {detail::make_view(storage, shape, strides, start), dense};
}

/// One step: a new tensor of the pool, or a write into one of it. Decides by bytes and shapes alone, not by values,
/// where it is recorded.
void step(Bytes& bytes, std::vector<Pair>& pool, bool recorded) {
  const auto pick = [&]() -> Pair& {
    return pool[static_cast<std::size_t>(bytes.below(static_cast<int64_t>(pool.size())))];
  };
  const int op = static_cast<int>(bytes.below(recorded ? 28 : 34));
  // The last bit of a sum decides a tie, and with it where a gradient goes: what has kinks is differentiated elsewhere.
  constexpr int with_kinks[] = {8, 10, 17, 18, 20, 23};
  if (recorded && std::count(std::begin(with_kinks), std::end(with_kinks), op)) return;
  Pair& a = pick();
  const Tensor& x = a.x;
  const Dense& d = a.dense;
  const auto rank = static_cast<int64_t>(x.dim());
  const double scale = recorded ? 0 : magnitude(d);
  Pair y;
  const auto unary = [&](Tensor (*f)(const Tensor&), double (*g)(double)) {
    y.x = f(x);
    if (!recorded) y.dense = mapped(d, g);
  };
  const auto binary = [&](Tensor (*f)(const Tensor&, const Tensor&), double (*g)(double, double)) {
    const Pair& b = pick();
    try {
      y.x = f(x, b.x);
    } catch (const ShapeError&) {
      return;
    }
    if (!recorded) y.dense = combined(d, b.dense, g);
  };
  const auto along = [&](auto f, auto g) {
    if (rank == 0) return;
    const auto axis = bytes.below(rank);
    y.x = f(x, axis);
    if (!recorded) y.dense = reduced(d, static_cast<std::size_t>(axis), g);
  };
  using Line = std::vector<double>;
  switch (op) {
    case 0:
      if (rank >= 2) {
        const auto i = bytes.below(rank), j = bytes.below(rank);
        y.x = transpose(x, i, j);
        y.dense = view_of(d, y.x.shape(), [&](Index index) {
          std::swap(index[static_cast<std::size_t>(i)], index[static_cast<std::size_t>(j)]);
          return index;
        });
      }
      break;
    case 1:
      if (rank >= 1) {
        const auto axis = bytes.below(rank), size = x.size(axis), start = bytes.below(size + 1),
                   stop = start + bytes.below(size - start + 1), stride = 1 + bytes.below(3);
        y.x = slice(x, axis, start, stop, stride);
        y.dense = view_of(d, y.x.shape(), [&](Index index) {
          int64_t& k = index[static_cast<std::size_t>(axis)];
          k = start + k * stride;
          return index;
        });
      }
      break;
    case 2:
      if (rank >= 1) {
        const auto axis = bytes.below(rank);
        if (x.size(axis) == 0) break;
        const auto k = bytes.below(x.size(axis));
        y.x = select(x, axis, k);
        y.dense = view_of(d, y.x.shape(), [&](Index index) {
          index.insert(index.begin() + axis, k);
          return index;
        });
      }
      break;
    case 3: {
      Shape shape = x.shape();
      for (int64_t& size : shape)
        if (size == 1) size = 1 + bytes.below(3);
      if (shape.size() < 5) shape.insert(0, 1 + bytes.below(3));
      if (shape.numel() > most_elements) break;
      y.x = expand(x, shape);
      y.dense = broadcast(d, shape);
      break;
    }
    case 4:
      if (rank < 5) {
        const auto axis = bytes.below(rank + 1);
        y.x = unsqueeze(x, axis);
        y.dense = d;
        y.dense.shape = with(d.shape, static_cast<std::size_t>(axis), 1);
      }
      break;
    case 5: {
      y.x = flatten(x).clone();
      y.dense = mapped(d, [](double v) { return v; });
      y.dense.shape = Shape{x.numel()};
      break;
    }
    case 6:
      if (rank >= 1) {
        const auto axis = bytes.below(rank);
        y.x = flip(x, {axis}).clone();
        y.dense = mapped(view_of(d, d.shape,
                                 [&](Index index) {
                                   int64_t& k = index[static_cast<std::size_t>(axis)];
                                   k = d.shape[static_cast<std::size_t>(axis)] - 1 - k;
                                   return index;
                                 }),
                         [](double v) { return v; });
      }
      break;
    case 7: unary(neg, [](double v) { return -v; }); break;
    case 8: unary(abs, [](double v) { return std::abs(v); }); break;
    case 9: unary(square, [](double v) { return v * v; }); break;
    case 10: unary(relu, [](double v) { return v > 0 ? v : 0.0; }); break;
    case 11: unary(tanh, [](double v) { return std::tanh(v); }); break;
    case 12: unary(sigmoid, [](double v) { return 1 / (1 + std::exp(-v)); }); break;
    case 13:
      y.x = exp(tanh(x));
      if (!recorded) y.dense = mapped(d, [](double v) { return std::exp(std::tanh(v)); });
      break;
    case 14: binary(add, [](double v, double w) { return v + w; }); break;
    case 15: binary(sub, [](double v, double w) { return v - w; }); break;
    case 16: binary(mul, [](double v, double w) { return v * w; }); break;
    case 17: binary(maximum, [](double v, double w) { return std::max(v, w); }); break;
    case 18: binary(minimum, [](double v, double w) { return std::min(v, w); }); break;
    case 19:
      binary([](const Tensor& v, const Tensor& w) { return v / (1 + w * w); },
             [](double v, double w) { return v / (1 + w * w); });
      break;
    case 20:
      binary([](const Tensor& v, const Tensor& w) { return where(gt(v, w), v, w * 0.5); },
             [](double v, double w) { return v > w ? v : w * 0.5; });
      break;
    case 21:
      along([](const Tensor& v, int64_t axis) { return sum(v, {axis}); },
            [](const Line& line) { return std::accumulate(line.begin(), line.end(), 0.0); });
      break;
    case 22:
      if (std::count(d.shape.begin(), d.shape.end(), 0)) break;
      along([](const Tensor& v, int64_t axis) { return mean(v, {axis}); },
            [](const Line& line) {
              return std::accumulate(line.begin(), line.end(), 0.0) / static_cast<double>(line.size());
            });
      break;
    case 23:
      if (std::count(d.shape.begin(), d.shape.end(), 0)) break;
      along([](const Tensor& v, int64_t axis) { return amax(v, {axis}); },
            [](const Line& line) { return *std::max_element(line.begin(), line.end()); });
      break;
    case 24:
      if (std::count(d.shape.begin(), d.shape.end(), 0)) break;
      along([](const Tensor& v, int64_t axis) { return var(v, {axis}); },
            [](const Line& line) {
              const double n = static_cast<double>(line.size()), m = std::accumulate(line.begin(), line.end(), 0.0) / n;
              double squares = 0;
              for (const double v : line) squares += (v - m) * (v - m);
              return squares / n;
            });
      break;
    case 25:
      if (rank == 2 && x.numel() > 0) {
        const Pair& b = pick();
        if (b.x.dim() != 2 || b.x.size(0) != x.size(1) || b.x.numel() == 0) break;
        y.x = matmul(x, b.x);
        if (recorded) break;
        y.dense = Dense(Shape{x.size(0), b.x.size(1)});
        for_each(y.dense.shape, [&](const Index& index, std::size_t i) {
          double total = 0;
          for (int64_t k = 0; k < x.size(1); ++k)
            total += d[number_of(d.shape, {index[0], k})] * b.dense[number_of(b.dense.shape, {k, index[1]})];
          y.dense[i] = total;
        });
      }
      break;
    case 26:
      if (rank >= 1) {
        const Pair& b = pick();
        const auto axis = bytes.below(rank);
        const auto at = static_cast<std::size_t>(axis);
        if (b.x.dim() != rank || without(b.dense.shape, at) != without(d.shape, at)) break;
        y.x = cat({x, b.x}, axis);
        if (recorded) break;
        y.dense = Dense(y.x.shape());
        for_each(y.dense.shape, [&](Index index, std::size_t i) {
          const bool first = index[at] < d.shape[at];
          if (!first) index[at] -= d.shape[at];
          y.dense[i] = first ? d[number_of(d.shape, index)] : b.dense[number_of(b.dense.shape, index)];
        });
      }
      break;
    case 27:
      if (rank >= 1) {
        const auto axis = bytes.below(rank);
        const auto at = static_cast<std::size_t>(axis);
        if (x.size(axis) == 0) break;
        std::vector<int64_t> index(static_cast<std::size_t>(1 + bytes.below(3)));
        for (int64_t& k : index) k = bytes.below(x.size(axis));
        y.x = index_select(x, axis, from_vector(index, {static_cast<int64_t>(index.size())}));
        if (recorded) break;
        y.dense = Dense(y.x.shape());
        for_each(y.dense.shape, [&](Index place, std::size_t i) {
          place[at] = index[static_cast<std::size_t>(place[at])];
          y.dense[i] = d[number_of(d.shape, place)];
        });
      }
      break;
    default: {
      // In place. What overlaps itself has no one value to write.
      if (d.size() == 0 || d.overlaps_itself()) break;
      const Pair& b = pick();
      const double number = (static_cast<double>(bytes.next()) - 128) / 64;
      const bool takes_b = op <= 30;
      if (takes_b && b.dense.memory == d.memory) break;  // perhaps the place that is written to
      try {
        if (takes_b && broadcast_shapes(d.shape, b.dense.shape, "fuzz") != d.shape) break;
      } catch (const ShapeError&) {
        break;
      }
      const Dense source = takes_b ? mapped(broadcast(b.dense, d.shape), [](double v) { return v; })
                                   : mapped(d, [](double v) { return v; });
      Dense result = source;
      for (std::size_t i = 0; i < d.size(); ++i) {
        const double v = d[i], w = source[i];
        result[i] = op == 28   ? v + number * w
                    : op == 29 ? v * w
                    : op == 30 ? w
                    : op == 31 ? v * number
                    : op == 32 ? number
                               : 0.0;
      }
      if (magnitude(result) > largest) break;
      Tensor z = x;
      switch (op) {
        case 28: z.add_(b.x, number); break;
        case 29: z.mul_(b.x); break;
        case 30: z.copy_(b.x); break;
        case 31: z.mul_(number); break;
        case 32: z.fill_(number); break;
        default: z.zero_(); break;
      }
      for (std::size_t i = 0; i < d.size(); ++i) d[i] = result[i];
      check(a, op, std::max(scale, takes_b ? magnitude(source) : 0.0));
      return;
    }
  }
  if (!y.x.defined() || y.x.numel() > most_elements) return;
  if (recorded) y.dense.shape = y.x.shape();
  if (!recorded) {
    check(y, op, std::max(scale, magnitude(y.dense)));
    if (magnitude(y.dense) > largest) return;
  }
  if (pool.size() < 12)
    pool.push_back(std::move(y));
  else
    pool[static_cast<std::size_t>(bytes.below(12))] = std::move(y);
}

void run_beside_reference(Bytes bytes) {
  std::vector<Pair> pool;
  for (int i = 0; i < 3; ++i) pool.push_back(any_tensor(bytes, false));
  for (int i = 0; i < most_steps && !bytes.ended(); ++i) step(bytes, pool, false);
  // No write went where it should not.
  for (const Pair& pair : pool) check(pair, -1, 0);
}

/// The gradients of a weighted sum of all that the program makes, by its three inputs.
std::vector<Tensor> gradients(Bytes bytes, bool dense, double& value) {
  std::vector<Pair> pool;
  std::vector<Tensor> inputs;
  for (int i = 0; i < 3; ++i) {
    pool.push_back(any_tensor(bytes, dense));
    pool.back().dense.memory = nullptr;
    inputs.push_back(pool.back().x.set_requires_grad());
  }
  for (int i = 0; i < most_steps && !bytes.ended(); ++i) step(bytes, pool, true);
  Tensor loss = sum(tanh(inputs[0]));
  for (std::size_t i = 0; i < pool.size(); ++i) {
    const Tensor y = tanh(pool[i].x * 1e-3);
    loss = loss + sum(y * y + y) * (1.0 + static_cast<double>(i));
  }
  // The largest of the last steps' values: what is far beyond it has no digits left in a sum.
  value = std::abs(loss.item<double>());
  for (const Pair& pair : pool)
    if (pair.x.numel() > 0) value = std::max(value, max(abs(pair.x.detach())).item<double>());
  loss.backward();
  std::vector<Tensor> result;
  for (const Tensor& x : inputs) result.push_back(x.grad().defined() ? x.grad() : zeros(x.shape(), float64));
  return result;
}

void compare_gradients(const Bytes& bytes) {
  double value = 0, dense_value = 0;
  const std::vector<Tensor> got = gradients(bytes, false, value), expected = gradients(bytes, true, dense_value);
  // Beyond this, squares of squares lose all digits, or overflow.
  if (!(dense_value < largest)) return;
  for (std::size_t k = 0; k < got.size(); ++k) {
    const Tensor a = got[k].contiguous(), b = expected[k].contiguous();
    if (a.shape() != b.shape()) fail("gradient's shape", -1, k, 0, 0);
    double scale = 1;
    for (int64_t i = 0; i < b.numel(); ++i) scale = std::max(scale, std::abs(b.data<double>()[i]));
    if (!(scale < 1e6)) return;
    for (int64_t i = 0; i < a.numel(); ++i)
      if (std::isnan(a.data<double>()[i]) && std::isnan(b.data<double>()[i]))
        continue;  // beyond the range of numbers in between
      else if (!(std::abs(a.data<double>()[i] - b.data<double>()[i]) <= 1e-8 * scale))
        fail("gradient", static_cast<int>(k), static_cast<std::size_t>(i), a.data<double>()[i], b.data<double>()[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes bytes(data + 1, size - 1);
  if (data[0] & 1)
    compare_gradients(bytes);
  else
    run_beside_reference(bytes);
  return 0;
}
