#include <limpid/core/random.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/detail/philox.hpp>
#include <limpid/core/detail/rewind.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <span>
#include <vector>

namespace limpid {

using detail::throw_error;

uint64_t Generator::advance(uint64_t count) noexcept {
  const uint64_t first = position_;
  position_ += count;
  return first;
}

Generator& default_generator() noexcept {
  thread_local Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) noexcept { default_generator().manual_seed(seed); }

namespace {

// A random word for every position: four of 32 bits or two of 64 come from one block of Philox. The third word of the
// counter keeps the two widths apart, so that no bit serves twice.
template <class Word>
struct Block {
  static constexpr uint64_t size = 16 / sizeof(Word);
  Word words[size];

  Block(uint64_t seed, uint64_t index) noexcept {
    constexpr uint32_t width = sizeof(Word) == 8;
    const auto w = detail::philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), width, 0},
                                  {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    for (std::size_t i = 0; i < size; ++i)
      words[i] = width ? static_cast<Word>(uint64_t{w[2 * i + 1]} << 32 | w[2 * i]) : static_cast<Word>(w[i]);
  }
};

// y[i] = the value at position first + i, where f(block, values) makes the values of a whole block.
template <class Word, class T, class F>
void fill_blocks(const Tensor& y, Generator& generator, F f) {
  constexpr uint64_t size = Block<Word>::size;
  const uint64_t n = static_cast<uint64_t>(y.numel()), first = generator.advance(n), seed = generator.seed();
  const uint64_t first_block = first / size, blocks = (first % size + n + size - 1) / size;
  T* data = y.data<T>();
  parallel_for(static_cast<int64_t>(blocks), 4096, [&](int64_t begin, int64_t end) {
    for (uint64_t b = first_block + static_cast<uint64_t>(begin); b < first_block + static_cast<uint64_t>(end); ++b) {
      T values[size];
      f(Block<Word>(seed, b), values);
      for (uint64_t k = 0; k < size; ++k) {
        const uint64_t i = b * size + k - first;  // wraps, and so fails the test, before the first
        if (i < n) data[i] = values[k];
      }
    }
  });
}

// The upper `digits` bits of a word as a fraction in [0, 1), exact in a type of that precision.
template <class T, class Word>
T fraction(Word word, int digits) noexcept {
  return static_cast<T>(word >> (8 * static_cast<int>(sizeof(Word)) - digits)) * std::ldexp(T{1}, -digits);
}

template <class T, class Word>
void fill_uniform(const Tensor& y, Generator& generator, int digits) {
  fill_blocks<Word, T>(y, generator, [=](const Block<Word>& block, T* values) {
    for (Word word : block.words) *values++ = fraction<T>(word, digits);
  });
}

// Box and Muller (1958): positions 2j and 2j + 1 share a radius and an angle.
template <class T, class Word>
void fill_normal(const Tensor& y, Generator& generator) {
  constexpr int bits = 8 * sizeof(Word);
  fill_blocks<Word, T>(y, generator, [=](const Block<Word>& block, T* values) {
    for (uint64_t k = 0; k < block.size; k += 2) {
      // In (0, 1], small values in full precision, so that the tails go as far as the word's bits reach.
      const T u = (static_cast<T>(block.words[k]) + 1) * std::ldexp(T{1}, -bits);
      const T radius = std::sqrt(-2 * std::log(u));
      const T angle = 2 * std::numbers::pi_v<T> * fraction<T>(block.words[k + 1], std::numeric_limits<T>::digits);
      values[k] = radius * std::cos(angle);
      values[k + 1] = radius * std::sin(angle);
    }
  });
}

void require_floating(const char* op, DType dtype) {
  if (!is_floating_point(dtype)) throw_error<DTypeError>(op, ": expected a floating-point dtype, got ", dtype);
}

}  // namespace

Tensor rand(const Shape& shape, DType dtype, Generator& generator) {
  require_floating("rand", dtype);
  const detail::Rewind rewind(generator);
  Tensor y = empty(shape, dtype == float64 ? float64 : float32);
  if (dtype == float64)
    fill_uniform<double, uint64_t>(y, generator, 53);
  else  // no more bits than dtype has: rounding could reach 1
    fill_uniform<float, uint32_t>(y, generator, dtype == float32 ? 24 : dtype == float16 ? 11 : 8);
  return detail::as_dtype(y, dtype);
}

Tensor randn(const Shape& shape, DType dtype, Generator& generator) {
  require_floating("randn", dtype);
  const detail::Rewind rewind(generator);
  Tensor y = empty(shape, dtype == float64 ? float64 : float32);
  if (dtype == float64)
    fill_normal<double, uint64_t>(y, generator);
  else
    fill_normal<float, uint32_t>(y, generator);
  return detail::as_dtype(y, dtype);
}

Tensor rand(const Shape& shape, DType dtype, MemoryFormat format, Generator& generator) {
  const detail::Rewind rewind(generator);
  return detail::as_contiguous(rand(shape, dtype, generator), format);
}
Tensor randn(const Shape& shape, DType dtype, MemoryFormat format, Generator& generator) {
  const detail::Rewind rewind(generator);
  return detail::as_contiguous(randn(shape, dtype, generator), format);
}
Tensor rand_like(const Tensor& x, Generator& generator) {
  return rand(x.shape(), x.dtype(), x.memory_format(), generator);
}
Tensor randn_like(const Tensor& x, Generator& generator) {
  return randn(x.shape(), x.dtype(), x.memory_format(), generator);
}

namespace {

// What normal() is asked for, dtype holding all that may be drawn.
void require_drawable(double mean, double stddev, DType dtype) {
  if (!std::isfinite(mean)) throw_error<ValueError>("normal: expected a finite mean, got ", mean);
  if (!(stddev >= 0) || std::isinf(stddev))
    throw_error<ValueError>("normal: expected a finite stddev of at least 0, got ", stddev);
  // randn() goes as far as sqrt(2 ln 2^bits), by words of so many bits, here rounded up.
  const double farthest = std::abs(mean) + (dtype == float64 ? 9.42 : 6.67) * stddev;
  std::byte place[8];
  detail::store_number("normal", farthest, dtype, place);
}

// moved(i, x) for each x that is drawn at i.
template <class F>
Tensor draw_normal(const Shape& shape, DType dtype, Generator& generator, const F& moved) {
  const detail::Rewind rewind(generator);
  const Tensor y = randn(shape, dtype == float64 ? float64 : float32, generator);
  const auto move = [&]<class T>(T* x) {
    for (int64_t i = 0; i < y.numel(); ++i) x[i] = static_cast<T>(moved(i, static_cast<double>(x[i])));
  };
  dtype == float64 ? move(y.data<double>()) : move(y.data<float>());
  return detail::as_dtype(y, dtype);
}

}  // namespace

Tensor normal(double mean, double stddev, const Shape& shape, DType dtype, Generator& generator) {
  require_floating("normal", dtype);
  require_drawable(mean, stddev, dtype);
  return draw_normal(shape, dtype, generator, [=](int64_t, double x) { return mean + stddev * x; });
}

namespace {

Tensor normal_of(const Tensor& mean, const Tensor& stddev, DType dtype, Generator& generator) {
  require_floating("normal", dtype);
  const Shape shape = broadcast_shapes(mean.shape(), stddev.shape(), "normal");
  const auto wide = [&](const Tensor& x) {
    const Tensor y = empty(shape, float64);
    detail::copy_into(y, x);
    return y;
  };
  const Tensor means = wide(mean), spreads = wide(stddev);
  const double *m = means.data<double>(), *s = spreads.data<double>();
  for (int64_t i = 0; i < means.numel(); ++i) require_drawable(m[i], s[i], dtype);
  return draw_normal(shape, dtype, generator, [=](int64_t i, double x) { return m[i] + s[i] * x; });
}

void require_given(const char* name, const Tensor& x) {
  if (!x.defined()) throw_error<ValueError>("normal: expected a defined ", name, ", got an undefined tensor");
}

}  // namespace

Tensor normal(const Tensor& mean, const Tensor& stddev, Generator& generator) {
  require_given("mean", mean);
  require_given("stddev", stddev);
  return normal_of(mean, stddev, promote_types(mean.dtype(), stddev.dtype()), generator);
}
Tensor normal(const Tensor& mean, double stddev, Generator& generator) {
  require_given("mean", mean);
  return normal_of(mean, full({}, stddev, float64), mean.dtype(), generator);
}
Tensor normal(double mean, const Tensor& stddev, Generator& generator) {
  require_given("stddev", stddev);
  return normal_of(full({}, mean, float64), stddev, stddev.dtype(), generator);
}

namespace {

// Draws indices of n weights in proportion to them. u: numbers that are uniform in [0, 1).
class Choice {
 public:
  explicit Choice(int64_t n) : room_(static_cast<std::size_t>(n)) {}

  // An index for each of u.
  void with_replacement(std::span<const double> weights, std::span<const double> u, int64_t* to) {
    // Where a weight is 0, the sum stays: it is never the first above a number.
    std::partial_sum(weights.begin(), weights.end(), room_.begin());
    if (std::isinf(room_.back())) {  // fewer than 2^63 weights are no more than 2^1023 together when scaled by 2^-64
      std::transform(weights.begin(), weights.end(), room_.begin(), [](double w) { return w * 0x1p-64; });
      std::partial_sum(room_.begin(), room_.end(), room_.begin());
    }
    for (const double at : u) {
      auto found = std::upper_bound(room_.begin(), room_.end(), at * room_.back());
      // Rounded up to the sum itself, the last that is above 0.
      if (found == room_.end()) found = std::lower_bound(room_.begin(), room_.end(), room_.back());
      *to++ = found - room_.begin();
    }
  }

  // Each waits for a time of its own, exponential with its weight for a rate: the first `count` that come (Efraimidis
  // and Spirakis, 2006). By logarithms, which neither overflow nor underflow. u: one for each weight.
  void without_replacement(std::span<const double> weights, std::span<const double> u, int64_t count, int64_t* to) {
    order_.clear();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0) continue;
      order_.push_back(static_cast<int64_t>(i));
      room_[i] = std::log(-std::log1p(-u[i])) - std::log(weights[i]);
    }
    const auto sooner = [&](int64_t a, int64_t b) {
      const double at = room_[static_cast<std::size_t>(a)], bt = room_[static_cast<std::size_t>(b)];
      return at < bt || (at == bt && a < b);
    };
    std::partial_sort(order_.begin(), order_.begin() + count, order_.end(), sooner);
    std::copy_n(order_.begin(), count, to);
  }

 private:
  std::vector<double> room_;  // sums, or times
  std::vector<int64_t> order_;
};

}  // namespace

Tensor multinomial(const Tensor& weights, int64_t count, bool replacement, Generator& generator) {
  if (!weights.defined()) throw_error<ValueError>("multinomial: expected defined weights, got an undefined tensor");
  if (weights.dim() != 1 && weights.dim() != 2)
    throw_error<ShapeError>("multinomial: expected weights of shape (n,) or (m, n), got shape ", weights.shape());
  if (weights.dtype() == bool_) throw_error<DTypeError>("multinomial: expected weights of numbers, got bool");
  if (count < 0) throw_error<ValueError>("multinomial: expected a count of at least 0, got ", count);
  const bool is_row = weights.dim() == 1;
  const int64_t n = weights.size(-1), rows = is_row ? 1 : weights.size(0);
  const Tensor wide = detail::as_contiguous(detail::as_dtype(weights.detach(), float64));
  for (int64_t row = 0; row < rows; ++row) {
    int64_t above = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double w = wide.data<double>()[row * n + i];
      if (!(w >= 0) || std::isinf(w))
        throw_error<ValueError>("multinomial: expected weights of at least 0 and finite, got ", w);
      above += w > 0;
    }
    const int64_t least = replacement ? std::min<int64_t>(count, 1) : count;
    if (above < least)
      throw_error<ValueError>("multinomial: expected at least ", least, " weights above 0 for a count of ", count,
                              replacement ? "" : " without replacement", ", got ", above);
  }
  const detail::Rewind rewind(generator);
  const Tensor y = empty(is_row ? Shape{count} : Shape{rows, count}, int64);
  if (y.numel() == 0) return y;
  const int64_t each = replacement ? count : n;
  const Tensor u = rand({rows, each}, float64, generator);
  Choice choice(n);
  for (int64_t row = 0; row < rows; ++row) {
    const std::span own(wide.data<double>() + row * n, static_cast<std::size_t>(n));
    const std::span numbers(u.data<double>() + row * each, static_cast<std::size_t>(each));
    int64_t* to = y.data<int64_t>() + row * count;
    replacement ? choice.with_replacement(own, numbers, to) : choice.without_replacement(own, numbers, count, to);
  }
  return y;
}

namespace {

// A 64-bit word scaled to [0, count): off from uniform by less than count / 2^64 (Lemire, 2019).
uint64_t below(uint64_t count, uint64_t word) noexcept {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(word) * count >> 64);
}

// The integers from low to high that dtype holds without rounding.
bool holds(DType dtype, int64_t low, int64_t high) noexcept {
  const auto within = [=](int64_t least, int64_t most) { return least <= low && high <= most; };
  switch (dtype) {
    case bool_: return within(0, 1);
    case uint8: return within(0, 255);
    case int32: return within(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    case float16: return within(-2048, 2048);
    case bfloat16: return within(-256, 256);
    case float32: return within(-(int64_t{1} << 24), int64_t{1} << 24);
    case float64: return within(-(int64_t{1} << 53), int64_t{1} << 53);
    case int64: return true;
  }
  return false;
}

}  // namespace

Tensor randint(int64_t low, int64_t high, const Shape& shape, DType dtype, Generator& generator) {
  if (low >= high) throw_error<ValueError>("randint: expected low < high, got low = ", low, ", high = ", high);
  if (!holds(dtype, low, high - 1))
    throw_error<ValueError>("randint: expected bounds that ", dtype, " can hold, got low = ", low, ", high = ", high);
  const detail::Rewind rewind(generator);
  Tensor y = empty(shape, int64);
  const uint64_t count = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  fill_blocks<uint64_t, int64_t>(y, generator, [=](const Block<uint64_t>& block, int64_t* values) {
    for (uint64_t word : block.words) *values++ = static_cast<int64_t>(static_cast<uint64_t>(low) + below(count, word));
  });
  return detail::as_dtype(y, dtype);
}

Tensor randint(int64_t low, int64_t high, const Shape& shape, DType dtype, MemoryFormat format, Generator& generator) {
  const detail::Rewind rewind(generator);
  return detail::as_contiguous(randint(low, high, shape, dtype, generator), format);
}

Tensor randperm(int64_t n, Generator& generator) {
  if (n < 0) throw_error<ValueError>("randperm: expected a count of at least 0, got ", n);
  Tensor words = empty({n}, int64);
  fill_blocks<uint64_t, int64_t>(words, generator, [](const Block<uint64_t>& block, int64_t* values) {
    for (uint64_t word : block.words) *values++ = static_cast<int64_t>(word);
  });
  // Fisher and Yates, inside out: i goes to a place among the first i + 1, whose tenant moves to the end. The words are
  // read before they are written over.
  int64_t* order = words.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    const auto place = static_cast<int64_t>(below(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(order[i])));
    order[i] = order[place];
    order[place] = i;
  }
  return words;
}

Tensor bernoulli(double p, const Shape& shape, Generator& generator) {
  if (!(p >= 0 && p <= 1)) throw_error<ValueError>("bernoulli: expected a probability from 0 to 1, got ", p);
  Tensor y = empty(shape, bool_);
  const auto threshold = static_cast<uint64_t>(std::ldexp(p, 32));
  fill_blocks<uint32_t, bool>(y, generator, [=](const Block<uint32_t>& block, bool* values) {
    for (uint32_t word : block.words) *values++ = word < threshold;
  });
  return y;
}

Tensor bernoulli(double p, const Shape& shape, MemoryFormat format, Generator& generator) {
  const detail::Rewind rewind(generator);
  return detail::as_contiguous(bernoulli(p, shape, generator), format);
}

}  // namespace limpid
