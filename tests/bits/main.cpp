// What limpid computes, as hashes of bits, to be compared between instruction sets and machines.
//
// limpid_bits                 prints a line per result: its hash, whether it is to be the same, and what it is
// limpid_bits --against FILE  compares with the lines of FILE, made elsewhere; ends with 1 where one differs that may
// not limpid_bits --levels        compares the instruction sets of this machine that have a fused multiply-add; ends
// with 77
//                             where there is but one
// limpid_bits --save FOLDER   writes every result as FOLDER/NUMBER.npy, numbered by line, to look at one that differs
//
// "same" has the same bits at any thread count and for AVX2, AVX-512 and NEON, where the C library's version is the
// same: it computes pow, and the ends of the range of others. "c-library" are its functions that have vectors for
// x86-64: the same on one machine. "library" is what BLAS or oneDNN compute, with bits of its own per machine. NaNs
// count as equal: their signs and payloads are the processor's.
#include <limpid/core/detail/isa.hpp>
#include <limpid/limpid.hpp>
#include <limpid/tests/thinned.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../ops/op_table.hpp"

using namespace limpid;

namespace {

enum class By { own, c_library, library };
constexpr const char* kinds[] = {"same", "c-library", "library"};

struct Line {
  uint64_t hash;
  By by;
  std::string name;
};

// Of functions of the C library that have vectors, and of ops that are made of them.
By by_name(const std::string& op) {
  static const std::set<std::string> of_c_library{"sin",   "cos",   "tan",   "asin",  "acos",
                                                  "atan",  "sinh",  "cosh",  "asinh", "acosh",
                                                  "atanh", "atan2", "exp2",  "expm1", "binary_cross_entropy",
                                                  "mish",  "log2",  "log10", "log1p", "erfc",
                                                  "hypot"};
  return of_c_library.count(op) ? By::c_library : By::own;
}

/// Takes results, and makes lines of them.
class Record {
 public:
  explicit Record(std::string folder = {}) : folder_(std::move(folder)) {}

  void add(const std::string& name, const Tensors& ys, By by = By::own) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (std::size_t i = 0; i < ys.size(); ++i) {
      if (!ys[i].defined()) continue;
      const Tensor y = ys[i].detach().contiguous();
      hash = hashed(hash, y);
      if (!folder_.empty())
        save_npy(folder_ + '/' + std::to_string(lines.size()) + '-' + std::to_string(i) + ".npy",
                 y.dtype() == bfloat16 ? y.to(float32) : y);
    }
    lines.push_back({hash, by, name});
  }

  std::vector<Line> lines;

 private:
  template <class Bits, class T>
  static uint64_t hashed_as(uint64_t hash, const Tensor& y) {
    const T* x = y.data<T>();
    for (int64_t i = 0; i < y.numel(); ++i) {
      Bits bits;
      std::memcpy(&bits, x + i, sizeof bits);
      bool nan = false;
      if constexpr (std::is_floating_point_v<T>)
        nan = std::isnan(x[i]);
      else if constexpr (requires { to_float(x[i]); })
        nan = std::isnan(to_float(x[i]));
      hash = (hash ^ (nan ? Bits(-1) : bits)) * 0x100000001b3u;
      hash ^= hash >> 29;
    }
    return hash;
  }

  // Of the shape, the dtype and the elements.
  static uint64_t hashed(uint64_t hash, const Tensor& y) {
    for (const int64_t size : y.shape()) hash = (hash ^ static_cast<uint64_t>(size)) * 0x100000001b3u;
    hash = (hash ^ static_cast<uint64_t>(y.dtype())) * 0x100000001b3u;
    switch (y.dtype()) {
      case DType::bool_: return hashed_as<uint8_t, bool>(hash, y);
      case DType::uint8: return hashed_as<uint8_t, uint8_t>(hash, y);
      case DType::int32: return hashed_as<uint32_t, int32_t>(hash, y);
      case DType::int64: return hashed_as<uint64_t, int64_t>(hash, y);
      case DType::float16: return hashed_as<uint16_t, Half>(hash, y);
      case DType::bfloat16: return hashed_as<uint16_t, BFloat16>(hash, y);
      case DType::float32: return hashed_as<uint32_t, float>(hash, y);
      case DType::float64: return hashed_as<uint64_t, double>(hash, y);
    }
    return hash;
  }

  std::string folder_;
};

std::string named(const std::string& what, DType dtype) { return what + ", " + std::string(to_string(dtype)); }

/// Every `step`th float, of both signs: zeros, subnormals, infinities and NaN among them. Rotated by `turn`, so that
/// several may be operands of one op.
Tensor every_float(int64_t step, int64_t turn = 0) {
  const int64_t count = (int64_t{1} << 32) / step;
  Tensor x = empty({count}, float32);
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = static_cast<uint32_t>((i + turn) % count * step);
    std::memcpy(x.data<float>() + i, &bits, sizeof bits);
  }
  return x;
}

/// Doubles spread over [-limit, limit], denser towards 0, with all their bits in use.
Tensor doubles_within(int64_t count, double limit, uint64_t seed) {
  Generator generator(seed);
  const Tensor u = rand({count}, float64, generator) * 2 - 1;
  return u * square(u) * limit;
}

struct Function {
  const char* name;
  Tensor (*f)(const Tensor&);
};

const Function functions[] = {
    {"exp", exp},
    {"log", log},
    {"sqrt", sqrt},
    {"rsqrt", rsqrt},
    {"reciprocal", reciprocal},
    {"abs", abs},
    {"sign", sign},
    {"square", square},
    {"neg", neg},
    {"relu", relu},
    {"tanh", tanh},
    {"sigmoid", sigmoid},
    {"silu", silu},
    {"erf", erf},
    {"gelu", gelu},
    {"sin", sin},
    {"cos", cos},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2); }},
    {"elu", [](const Tensor& x) { return elu(x, 1.5); }},
    {"softplus", [](const Tensor& x) { return softplus(x, 1.5); }},
    {"clamp", [](const Tensor& x) { return clamp(x, -1, 0.5); }},
};

/// y and dx of an elementwise function.
Tensors with_gradient(const Function& function, const Tensor& values, const Tensor& dy) {
  const Tensor x = values.detach().set_requires_grad();
  const Tensor y = function.f(x);
  return {y, grad({y}, {x}, {dy.to(y.dtype())})[0]};
}

// Where a function trusts its vectors; beyond, single elements are the C library's.
bool ordinary(double x) { return std::isfinite(x) && std::abs(x) <= 80 && (x == 0 || std::abs(x) >= 1e-30); }

Tensor only_ordinary(const Tensor& x) {
  Tensor y = x.clone();
  for (int64_t i = 0; i < y.numel(); ++i)
    if (!ordinary(static_cast<double>(y.data<float>()[i])))
      y.data<float>()[i] = static_cast<float>(i % 1001) / 77 + 0.1f;
  return y;
}

void elementwise(Record& record) {
  const int64_t step = test::thinned() ? 131071 : 8191;
  const Tensor all = every_float(step), common = only_ordinary(all);
  const Tensor wide = doubles_within(test::thinned() ? 20000 : 200000, 700, 1);
  const Tensor dy = doubles_within(all.numel(), 2, 2).to(float32), dy64 = doubles_within(wide.numel(), 2, 3);
  for (const Function& f : functions) {
    const std::string name = f.name;
    record.add(named(name, float32), with_gradient(f, common, dy), by_name(name));
    record.add(named(name + " over all of", float32), with_gradient(f, all, dy), by_name(name));
    record.add(named(name, float64), with_gradient(f, name == "log" ? abs(wide) : wide, dy64), by_name(name));
    for (const DType half : {float16, bfloat16})
      record.add(named(name, half), with_gradient(f, common.to(half), dy.to(half)), by_name(name));
  }
  using Binary = Tensor (*)(const Tensor&, const Tensor&);
  const std::pair<const char*, Binary> binary[] = {
      {"add", add},         {"sub", sub}, {"mul", mul}, {"div", div}, {"maximum", maximum},
      {"minimum", minimum}, {"eq", eq},   {"lt", lt},   {"le", le},   {"remainder", remainder},
      {"pow", pow}};
  const Tensor other = every_float(step, 123457), wide_other = doubles_within(wide.numel(), 300, 4);
  for (const auto& [name, f] : binary) {
    record.add(named(name, float32), {f(all, other)});
    record.add(named(name, float64), {f(wide, wide_other)});
  }
  for (const DType dtype : {float16, bfloat16, float64}) {
    record.add(named("to", dtype), {all.to(dtype)});
    record.add(named("to and back", dtype), {all.to(dtype).to(float32)});
  }
  for (const DType dtype : {bool_, uint8, int32, int64})
    record.add(named("to", dtype), {clamp(common, 0, 70).to(dtype)});
}

/// Each row of the table of ops: its results, and the gradients of its inputs up to the third order.
void op_rows(Record& record) {
  const auto by = [](const OpRow& row) {
    if (row.of_library || row.op == "matmul" || row.op == "linear" || row.op.rfind("conv", 0) == 0) return By::library;
    return by_name(row.op);
  };
  for (const OpRow& row : op_table())
    for (const DType dtype : {float32, float64}) {
      Tensors xs, leaves;
      for (Tensor& x : row.draw()) {
        xs.push_back(is_floating_point(x.dtype()) ? x.to(dtype) : x);
        if (row.differentiable && is_floating_point(x.dtype())) leaves.push_back(xs.back().set_requires_grad());
      }
      Tensors found = row.f(xs), ys = found;
      Generator generator(11);
      for (int order = 1; row.differentiable && !ys.empty() && order <= 3; ++order) {
        Tensors dys;
        for (const Tensor& y : ys) dys.push_back(rand(y.shape(), float64, generator).to(y.dtype()) - 0.5);
        const Tensors dxs = grad(ys, leaves, dys, {.create_graph = true, .allow_unused = true});
        ys = {};
        for (const Tensor& dx : dxs) {
          found.push_back(dx);
          if (dx.defined() && dx.requires_grad()) ys.push_back(dx);
        }
      }
      record.add(named("row " + row.name(), dtype), found, by(row));
    }
}

/// Numbers about `mean`, made without the C library.
Tensor noise(const Shape& shape, DType dtype, uint64_t seed, double mean = 0) {
  Generator generator(seed);
  Tensor sum = rand(shape, float64, generator);
  for (int i = 1; i < 4; ++i) sum = sum + rand(shape, float64, generator);
  return (sum - 2 + mean).to(dtype);
}

void reductions(Record& record) {
  using Reduce = Tensor (*)(const Tensor&, int64_t);
  const std::pair<const char*, Reduce> ops[] = {
      {"sum", [](const Tensor& x, int64_t axis) { return sum(x, axis); }},
      {"mean", [](const Tensor& x, int64_t axis) { return mean(x, axis); }},
      {"var", [](const Tensor& x, int64_t axis) { return var(x, axis); }},
      {"prod", [](const Tensor& x, int64_t axis) { return prod(x, axis); }},
      {"max", [](const Tensor& x, int64_t axis) { return amax(x, axis); }},
      {"min", [](const Tensor& x, int64_t axis) { return amin(x, axis); }},
      {"vector_norm", [](const Tensor& x, int64_t axis) { return vector_norm(x, 2, axis); }},
      {"logsumexp", [](const Tensor& x, int64_t axis) { return logsumexp(x, axis); }},
      {"softmax", [](const Tensor& x, int64_t axis) { return softmax(x, axis); }},
      {"log_softmax", [](const Tensor& x, int64_t axis) { return log_softmax(x, axis); }},
  };
  for (const auto& [name, f] : ops)
    for (const DType dtype : {float32, float64, float16, bfloat16})
      for (const Shape& shape : {Shape{7, 3001}, Shape{513, 65}})
        for (const int64_t axis : {0, 1}) {
          const Tensor x = noise(shape, dtype, 21).set_requires_grad();
          const Tensor y = f(x, axis);
          const Tensor dx = grad({y}, {x}, {noise(y.shape(), y.dtype(), 22)})[0];
          record.add(named(std::string(name) + " of " + std::to_string(shape[0]) + " x " + std::to_string(shape[1]) +
                               " along " + std::to_string(axis),
                           dtype),
                     {y, dx});
        }
}

void normalisations(Record& record) {
  using Norm = Tensor (*)(const Tensor& x, const Tensor& w, const Tensor& b);
  const std::pair<const char*, Norm> norms[] = {
      {"instance_norm",
       [](const Tensor& x, const Tensor& w, const Tensor& b) { return instance_norm(x, {.weight = w, .bias = b}); }},
      {"instance_norm and relu",
       [](const Tensor& x, const Tensor& w, const Tensor& b) {
         return instance_norm(x, {.weight = w, .bias = b, .relu = true});
       }},
      {"group_norm", [](const Tensor& x, const Tensor& w, const Tensor& b) { return group_norm(x, 2, w, b); }},
      {"batch_norm",
       [](const Tensor& x, const Tensor& w, const Tensor& b) { return batch_norm(x, {}, {}, w, b, true); }},
      {"layer_norm",
       [](const Tensor& x, const Tensor& w, const Tensor& b) {
         const Tensor y = layer_norm(x, Shape(x.shape().begin() + 1, x.shape().end()));
         return y * reshape(w, {-1, 1, 1}) + reshape(b, {-1, 1, 1});
       }},
      {"rms_norm",
       [](const Tensor& x, const Tensor& w, const Tensor& b) {
         return rms_norm(x, {x.size(3)}) * reshape(w, {-1, 1, 1}) + reshape(b, {-1, 1, 1});
       }},
  };
  const Shape shapes[] = {{2, 4, 1, 1}, {3, 6, 1, 5}, {1, 4, 8, 8}, {2, 16, 4, 4}, {3, 18, 12, 11}, {1, 4, 130, 33}};
  for (const auto& [name, f] : norms)
    for (const Shape& shape : shapes)
      for (const DType dtype : {float32, float64, float16, bfloat16})
        for (const bool last : {false, true})
          for (const double mean : {0.0, 1000.0}) {
            const auto format = last ? MemoryFormat::channels_last : MemoryFormat::contiguous;
            const Tensor x = noise(shape, dtype, 31, mean).contiguous(format).set_requires_grad();
            const DType affine = is_half(dtype) ? float32 : dtype;
            const Tensor w = noise({shape[1]}, affine, 32, 1).set_requires_grad();
            const Tensor b = noise({shape[1]}, affine, 33).set_requires_grad();
            const Tensor y = f(x, w, b);
            const Tensor dy = noise(y.shape(), y.dtype(), 34);
            const Tensors dx = grad({y}, {x, w, b}, {dy}, {.create_graph = true});
            const Tensors second = grad({dx[0]}, {x, w}, {noise(shape, dx[0].dtype(), 35)}, {.allow_unused = true});
            std::string text = name;
            for (const int64_t size : shape) text += ' ' + std::to_string(size);
            text += last ? " channels-last" : "";
            record.add(named(text + " about " + std::to_string(static_cast<int>(mean)), dtype),
                       {y, dx[0], dx[1], dx[2], second[0], second[1]});
          }
}

void random_numbers(Record& record) {
  manual_seed(41);
  record.add("rand, float32", {rand({10001})});
  record.add("rand, float64", {rand({10001}, float64)});
  record.add("randint", {randint(-5, 1000, {10001})});
  record.add("randperm", {randperm(10001)});
  record.add("bernoulli", {bernoulli(0.3, {10001})});
  record.add("randn, float32", {randn({10001})}, By::library);
  record.add("randn, float64", {randn({10001}, float64)}, By::library);
}

/// x (N, I, H, W) by weights (O, I), as products and sums of limpid's own.
Tensor mixed(const Tensor& x, const Tensor& w) {
  return sum(unsqueeze(x, 1) * reshape(w, {1, w.size(0), w.size(1), 1, 1}), 2);
}

/// Images told apart by a network without products or convolutions of the libraries': channels mixed by mixed(),
/// normalised, passed through activations, dropped out, pooled.
void training(Record& record) {
  using Make = std::unique_ptr<optim::Optimizer> (*)(const Tensors& parameters);
  const std::pair<const char*, Make> optimisers[] = {
      {"SGD",
       [](const Tensors& p) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::SGD>(p, optim::SGDOptions{.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-4});
       }},
      {"Adam",
       [](const Tensors& p) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::Adam>(p, optim::AdamOptions{.lr = 0.01, .amsgrad = true});
       }},
      {"AdamW",
       [](const Tensors& p) -> std::unique_ptr<optim::Optimizer> {
         return std::make_unique<optim::AdamW>(p, optim::AdamWOptions{.lr = 0.01});
       }},
  };
  constexpr int64_t kChannels = 8, kClasses = 4, kImages = 24, kBatch = 8;
  for (const auto& [name, make] : optimisers)
    for (const DType dtype : {float32, float64}) {
      manual_seed(51);
      const Tensor images = noise({kImages, 3, 10, 10}, dtype, 52),
                   labels = remainder(arange(kImages), kClasses).to(int64);
      const Tensor running_mean = zeros({kChannels}, dtype), running_var = ones({kChannels}, dtype);
      Tensors p{noise({kChannels, 3}, dtype, 53),       noise({kChannels}, dtype, 54, 1),
                noise({kChannels}, dtype, 55),          noise({kChannels, kChannels}, dtype, 56),
                noise({kChannels}, dtype, 57, 1),       noise({kChannels}, dtype, 58),
                noise({kClasses, kChannels}, dtype, 59)};
      for (Tensor& parameter : p) parameter.set_requires_grad();
      const auto optimiser = make(p);
      Tensors losses;
      for (int step = 0; step < 30; ++step) {
        if (step % 10 == 0) optimiser->set_lr(optimiser->lr() / (1 + step / 10));
        const int64_t begin = step % (kImages / kBatch) * kBatch;
        const Tensor x = slice(images, 0, begin, begin + kBatch), t = slice(labels, 0, begin, begin + kBatch);
        Tensor h = instance_norm(mixed(x, p[0]), {.weight = p[1], .bias = p[2]});
        // Compilers choose the order in which an expression records its ops, and so that of sums of gradients.
        const Tensor a = silu(h), b = tanh(h), c = sigmoid(h);
        h = a + b * c;
        h = max_pool2d(h, 2, {}) * bernoulli(0.8, {kBatch, kChannels, 1, 1}).to(dtype);
        h = mixed(h, p[3]);
        update_running_stats(h.detach(), running_mean, running_var, 0.1);
        h = softplus(group_norm(h, 2, p[4], p[5]));
        const Tensor logits = mean(mixed(h, p[6]), {2, 3});
        const Tensor loss = cross_entropy(logits, t) + 1e-3 * sum(square(p[3]));
        optimiser->zero_grad();
        loss.backward();
        optim::clip_grad_norm_(p, 5);
        optimiser->step();
        losses.push_back(loss.detach());
      }
      record.add(named(std::string("losses of a training run by ") + name, dtype), losses);
      p.push_back(running_mean);
      p.push_back(running_var);
      record.add(named(std::string("parameters after a training run by ") + name, dtype), p);
    }
}

/// Not limpid's own.
void libraries(Record& record) {
  for (const DType dtype : {float32, float64}) {
    const Tensor a = noise({33, 65}, dtype, 61), b = noise({65, 17}, dtype, 62);
    record.add(named("matmul", dtype), {matmul(a, b)}, By::library);
  }
  record.add("conv2d, float32", {conv2d(noise({2, 3, 12, 12}, float32, 63), noise({5, 3, 3, 3}, float32, 64))},
             By::library);
}

std::vector<Line> all_lines(const std::string& folder = {}) {
  Record record(folder);
  for (void (*part)(Record&) : {elementwise, op_rows, reductions, normalisations, random_numbers, training, libraries})
    part(record);
  return std::move(record.lines);
}

/// Prints what differs; returns whether nothing does that may not.
bool compare(const std::vector<Line>& ours, const std::vector<Line>& theirs, bool on_one_machine) {
  const auto same_lines = [](const Line& a, const Line& b) { return a.name == b.name && a.by == b.by; };
  if (!std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), same_lines)) {
    std::printf("limpid_bits: expected results of the same version, got others\n");
    return false;
  }
  int differ = 0, own = 0, library_differ = 0, library = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const bool differs = ours[i].hash != theirs[i].hash;
    const bool may = ours[i].by == By::library || (ours[i].by == By::c_library && !on_one_machine);
    ++(may ? library : own);
    if (!differs) continue;
    ++(may ? library_differ : differ);
    std::printf("%s: %zu %s\n", may ? "differs, as the library may" : "DIFFERS", i, ours[i].name.c_str());
  }
  std::printf("%d of %d results of limpid's own have the same bits, and %d of %d of the libraries'\n", own - differ,
              own, library - library_differ, library);
  return differ == 0;
}

std::vector<Line> read_lines(const char* path) {
  std::ifstream in(path);
  std::vector<Line> lines;
  Line line;
  std::string kind;
  while (in >> std::hex >> line.hash >> kind && std::getline(in >> std::ws, line.name)) {
    const auto* found = std::find(std::begin(kinds), std::end(kinds), kind);
    if (found == std::end(kinds)) return {};
    line.by = static_cast<By>(found - kinds);
    lines.push_back(line);
  }
  return lines;
}

int compare_levels() {
  std::vector<Isa> fused;
  for (const Isa level : isa_levels())
    if (level != Isa::baseline) fused.push_back(level);
  if (fused.size() < 2) {
    std::printf("skipped: this machine has but one instruction set with a fused multiply-add\n");
    return 77;
  }
  set_isa(fused[0]);
  const std::vector<Line> first = all_lines();
  bool good = true;
  for (std::size_t i = 1; i < fused.size(); ++i) {
    std::printf("%s against %s:\n", std::string(to_string(fused[i])).c_str(), std::string(to_string(fused[0])).c_str());
    set_isa(fused[i]);
    good = compare(all_lines(), first, true) && good;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string option = argc > 1 ? argv[1] : "";
  if (option == "--levels" && argc == 2) return compare_levels();
  if (option == "--against" && argc == 3) return compare(all_lines(), read_lines(argv[2]), false) ? 0 : 1;
  if (argc != 1 && !(option == "--save" && argc == 3)) {
    std::fprintf(stderr, "limpid_bits: expected nothing, --levels, --against FILE or --save FOLDER\n");
    return 2;
  }
  for (const Line& line : all_lines(argc == 3 ? argv[2] : ""))
    std::printf("%016llx %s %s\n", static_cast<unsigned long long>(line.hash), kinds[static_cast<std::size_t>(line.by)],
                line.name.c_str());
}
