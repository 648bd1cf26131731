// Batches of matrices: checks, copies, and the loop over them.
#pragma once
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/parallel.hpp>
#include <limpid/core/tensor.hpp>
#include <limpid/ops/product/detail/blas.hpp>
#include <limpid/ops/product/detail/buffer.hpp>
#include <limpid/ops/product/detail/threads.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace limpid::detail {

/// Throws where x is not (..., n, m) of float32 or float64, of sizes that LAPACK's integers hold.
void require_matrices(const char* op, const char* name, const Tensor& x);
void require_square(const char* op, const char* name, const Tensor& x);

/// The axes before the last two, and how many matrices they make.
inline Shape lead_of(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }
inline int64_t count_matrices(const Tensor& x) { return lead_of(x).numel(); }

/// lead with these axes behind it.
inline Shape with(Shape lead, std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes) lead.push_back(size);
  return lead;
}

/// " at index (1, 0) of the batch": where matrix i stands; nothing where there is no batch.
std::string place_of(const Shape& lead, int64_t i);

/// Row-major copies in memory of their own, not recorded: of x, and of x with its last two axes swapped.
Tensor row_major(const Tensor& x);
Tensor column_major(const Tensor& x);

inline Tensor transposed(const Tensor& x) { return transpose(x, -2, -1); }

/// Where the matrices of an operand lie when its leading axes are broadcast, in elements from its first.
class Places {
 public:
  Places(const Shape& x_shape, const Strides& strides, const Shape& lead);
  explicit Places(const Tensor& x, const Shape& lead) : Places(x.shape(), x.strides(), lead) {}
  int64_t operator[](int64_t i) const noexcept {
    int64_t place = 0;
    for (std::size_t axis = lead_.size(); axis-- > 0; i /= lead_[axis]) place += i % lead_[axis] * strides_[axis];
    return place;
  }

 private:
  Shape lead_;
  Strides strides_;
};

/// f(i, scratch) for each of count matrices, each on one thread; scratch: so many bytes of its own. work: additions
/// and multiplications that one takes.
template <class F>
void for_each_matrix(int64_t count, double work, std::size_t bytes, F&& f) {
  if (count == 0) return;
  keep_one_pool();
  bytes = (bytes + 63) / 64 * 64;
  const int64_t grain = std::max<int64_t>(static_cast<int64_t>(50000 / (work + 100)), 1);
  const int64_t tasks = std::min<int64_t>((count + grain - 1) / grain, in_parallel() ? 1 : get_num_threads());
  const Buffer scratch(bytes * static_cast<std::size_t>(tasks));
  parallel_for(tasks, 1, [&](int64_t begin, int64_t end) {
    const OneThread one;
    const LibraryCall memory;  // OpenBLAS lends buffers under a lock
    for (int64_t task = begin; task < end; ++task)
      for (int64_t i = count * task / tasks; i < count * (task + 1) / tasks; ++i)
        f(i, scratch.as<std::byte>() + bytes * static_cast<std::size_t>(task));
  });
}

/// The first matrix that LAPACK had something to say about, or -1.
inline int64_t first_set(const std::vector<int>& info) {
  const auto found = std::find_if(info.begin(), info.end(), [](int i) { return i != 0; });
  return found == info.end() ? -1 : found - info.begin();
}

inline bool all_finite(const double* x, int64_t count) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * 0;
  return sum == 0;
}
inline bool all_finite(const float* x, int64_t count) noexcept {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * 0;
  return sum == 0;
}

/// b of a system a x = b of n equations (x a = b where left is false) as matrices (..., n, k): a vector where b has one
/// axis, and transposed where left is false. Throws where shapes or dtypes do not fit.
Tensor right_side(const char* op, int64_t n, const Tensor& a, const Tensor& b, bool left = true,
                  const char* a_name = "a");
/// Its solution, of shape (..., n, k) as well, in b's form.
Tensor like_right_side(const Tensor& x, const Tensor& b, bool left = true);

/// (..., n) as the diagonals of (..., n, n).
Tensor diagonals(const Tensor& x);

}  // namespace limpid::detail
