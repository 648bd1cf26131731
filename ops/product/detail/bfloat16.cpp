#include <limpid/ops/product/detail/bfloat16.hpp>

#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/kernels/half.hpp>
#include <limpid/ops/product/detail/blocks.hpp>
#include <limpid/ops/product/detail/buffer.hpp>
#include <limpid/ops/product/detail/onednn.hpp>
#include <limpid/ops/product/detail/threads.hpp>

#include <algorithm>
#include <limits>
#include <string_view>

namespace limpid::detail {
namespace {

using dnnl::memory;

// All that a primitive is made for: one product on one thread.
struct Key {
  int64_t n, m, k;
  MatrixSteps a, b;
  int64_t y_row;
  bool bias;
  friend bool operator==(const Key& x, const Key& y) noexcept {
    return x.n == y.n && x.m == y.m && x.k == y.k && x.a.row == y.a.row && x.a.col == y.a.col && x.b.row == y.b.row &&
           x.b.col == y.b.col && x.y_row == y.y_row && x.bias == y.bias;
  }
};

onednn::Plan make_plan(const dnnl::engine& engine, const Key& key) {
  constexpr auto bf16 = memory::data_type::bf16;
  const memory::desc a({key.n, key.k}, bf16, memory::dims{key.a.row, key.a.col});
  const memory::desc b({key.k, key.m}, bf16, memory::dims{key.b.row, key.b.col});
  const memory::desc y({key.n, key.m}, bf16, memory::dims{key.y_row, 1});
  const memory::desc bias({1, key.m}, bf16, memory::dims{key.m, 1});
  const dnnl::primitive_attr attr = onednn::plan_attributes();
  const auto product = key.bias ? onednn::describe<dnnl::matmul>(engine, attr, a, b, bias, y)
                                : onednn::describe<dnnl::matmul>(engine, attr, a, b, y);
  if (!product) return {};
  // Its gemm, for what has gaps between rows, names no instructions.
  const std::string_view implementation = product.impl_info_str();
  if (!onednn::is_native_bfloat16(implementation) && !implementation.starts_with("gemm:jit")) return {};
  onednn::Plan plan(engine, dnnl::matmul(product), product.scratchpad_desc());
  plan.add_input(DNNL_ARG_SRC, a, product.src_desc());
  plan.add_input(DNNL_ARG_WEIGHTS, b, product.weights_desc());
  if (key.bias) plan.add_input(DNNL_ARG_BIAS, bias, bias);
  plan.add_output(DNNL_ARG_DST, y, product.dst_desc());
  return plan;
}

onednn::PlanCache<Key, make_plan>& cache() {
  thread_local onednn::PlanCache<Key, make_plan> of_thread;
  return of_thread;
}

// Blocks of whole rows, for which oneDNN has its fastest kernels, where there are rows enough.
Blocks blocks_of(int64_t n, int64_t m, int64_t k) noexcept {
  constexpr int64_t least_rows = 256, multiple = 32, most = 8;
  constexpr double least_work = 0x1p22;
  Blocks blocks(n, m, k);
  if (n < least_rows) return blocks;
  const double work = static_cast<double>(n) * static_cast<double>(m) * static_cast<double>(k);
  const auto count = static_cast<int64_t>(std::clamp<double>(work / least_work, 1, most));
  blocks.rows = (n + count * multiple - 1) / (count * multiple) * multiple, blocks.cols = m;
  blocks.down = (n + blocks.rows - 1) / blocks.rows, blocks.across = 1;
  return blocks;
}

// Steps along an axis of one element may be anything: those of a matrix without gaps, so that there are few plans.
MatrixSteps settled(int64_t rows, int64_t cols, MatrixSteps s) noexcept {
  if (rows <= 1) s.row = s.col == 1 ? std::max<int64_t>(cols, 1) : 1;
  if (cols <= 1) s.col = s.row == 1 ? std::max<int64_t>(rows, 1) : 1;
  return s;
}

// A matrix in float32, without gaps.
class Wide {
 public:
  Wide(int64_t rows, int64_t cols, const Matrix<BFloat16>& x)
      : memory_(static_cast<std::size_t>(rows * cols) * sizeof(float)) {
    const bool turned = x.steps.col != 1 && x.steps.row == 1;
    const int64_t outer = turned ? cols : rows, inner = turned ? rows : cols;
    const int64_t outer_step = turned ? x.steps.col : x.steps.row, inner_step = turned ? x.steps.row : x.steps.col;
    steps_ = turned ? MatrixSteps{1, rows} : MatrixSteps{cols, 1};
    auto* to = memory_.as<float>();
    const auto& widen = kernels::half_kernels(bfloat16).widen;
    if (inner_step == 1 && outer_step == inner)
      widen(x.data, to, outer * inner);
    else
      for (int64_t i = 0; i < outer; ++i)
        if (inner_step == 1)
          widen(x.data + i * outer_step, to + i * inner, inner);
        else
          for (int64_t j = 0; j < inner; ++j) to[i * inner + j] = to_float(x.data[i * outer_step + j * inner_step]);
  }
  Matrix<float> matrix() const noexcept { return {memory_.as<float>(), steps_}; }

 private:
  Buffer memory_;
  MatrixSteps steps_{};
};

// For what is so small that a primitive takes longer to call, and for what oneDNN does not take.
void multiply_in_float32(const Product<BFloat16>& p, const BFloat16* bias) {
  const Wide a(p.n, p.k, p.a), b(p.k, p.m, p.b), start(bias ? 1 : 0, p.m, {bias, {p.m, 1}});
  const Buffer memory(static_cast<std::size_t>(p.n * p.m) * sizeof(float));
  auto* const y = memory.as<float>();
  if (bias)
    for (int64_t i = 0; i < p.n; ++i) std::copy_n(start.matrix().data, p.m, y + i * p.m);
  gemm(Product<float>{.n = p.n,
                      .m = p.m,
                      .k = p.k,
                      .a = a.matrix(),
                      .b = b.matrix(),
                      .y = y,
                      .y_row = p.m,
                      .accumulate = bias != nullptr});
  const auto& narrow = kernels::half_kernels(bfloat16).narrow;
  if (p.y_row == p.m) return narrow(y, p.y, p.n * p.m, false);
  for (int64_t i = 0; i < p.n; ++i) narrow(y + i * p.m, p.y + i * p.y_row, p.m, false);
}

}  // namespace

void gemm(const Product<BFloat16>& p, const BFloat16* bias) {
  if (p.n == 0 || p.m == 0) return;
  constexpr double least_work = 0x1p16;  // measured
  const double work = static_cast<double>(p.n) * static_cast<double>(p.m) * static_cast<double>(p.k);
  const MatrixSteps a = settled(p.n, p.k, p.a.steps), b = settled(p.k, p.m, p.b.steps);
  const bool fits = std::max({p.n, p.m, p.k, a.row, a.col, b.row, b.col, p.y_row}) <= std::numeric_limits<int>::max();
  if (onednn::is_over() || work < least_work || !fits || !blas_reads(p.n, p.k, a) || !blas_reads(p.k, p.m, b))
    return multiply_in_float32(p, bias);
  const Blocks blocks = blocks_of(p.n, p.m, p.k);
  parallel_for_throwing(blocks.count(), 1, [&](int64_t begin, int64_t end) {
    const OneThread guard;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block / blocks.across * blocks.rows, j = block % blocks.across * blocks.cols;
      Product<BFloat16> part = p;
      part.n = std::min(blocks.rows, p.n - i), part.m = std::min(blocks.cols, p.m - j);
      part.a.data += i * a.row, part.b.data += j * b.col, part.y += i * p.y_row + j;
      const BFloat16* const part_bias = bias ? bias + j : nullptr;
      const Key key{.n = part.n,
                    .m = part.m,
                    .k = p.k,
                    .a = settled(part.n, p.k, a),
                    .b = settled(p.k, part.m, b),
                    .y_row = part.n == 1 ? part.m : p.y_row,
                    .bias = bias != nullptr};
      const bool done = bias ? cache().run(key, {part.a.data, part.b.data, part_bias, part.y})
                             : cache().run(key, {part.a.data, part.b.data, part.y});
      if (!done) multiply_in_float32(part, part_bias);
    }
  });
}

}  // namespace limpid::detail
