// Shape, order and selection. What can be a view shares memory with x.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <limits>

namespace LIMPID_API limpid {

/// The same elements in row-major order under another shape; one size may be -1. A view where strides allow.
Tensor reshape(const Tensor& x, const Shape& shape);
/// Axes [first, last] merged into one.
Tensor flatten(const Tensor& x, int64_t first = 0, int64_t last = -1);
Tensor permute(const Tensor& x, const Axes& order);
Tensor transpose(const Tensor& x, int64_t a, int64_t b);
/// Without the axes of size 1, all or those given.
Tensor squeeze(const Tensor& x, const Axes& axes = {});
Tensor unsqueeze(const Tensor& x, int64_t axis);
/// A view broadcast to shape; -1 keeps a size.
Tensor expand(const Tensor& x, const Shape& shape);

inline constexpr int64_t to_end = std::numeric_limits<int64_t>::max();
/// Elements start, start + step, ... below stop along axis, as Python's x[start:stop:step] with step >= 1: bounds may
/// be negative and are clamped. A view.
Tensor slice(const Tensor& x, int64_t axis, int64_t start, int64_t stop = to_end, int64_t step = 1);
/// x[..., index, ...], without that axis. A view.
Tensor select(const Tensor& x, int64_t axis, int64_t index);
/// Rows along axis at a 1-D int64 or int32 index of numbers from -n to n - 1, as all below; others throw ValueError.
Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);
/// y[i][j][k] = x[i][index[i][j][k]][k] for axis 1, and so on; y has index's shape.
Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);
/// y of the given shape, zero but for y[i][index[i][j][k]][k] += x[i][j][k] for axis 1, ...; x may exceed the index.
Tensor scatter_add(const Shape& shape, int64_t axis, const Tensor& index, const Tensor& x);
/// The same, added to x; of x's dtype.
Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
/// x, but y[i][index[i][j][k]][k] = source[i][j][k] for axis 1, and so on; source, of x's dtype, may be larger than the
/// index. Of several values for one place the last wins, and alone has its gradient.
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, Scalar value);
/// x, with alpha times the rows of source along axis added at a 1-D index, each as often as it is named.
Tensor index_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source, Scalar alpha = 1);
/// Side by side along axis: shapes agree but for it.
Tensor cat(const Tensors& xs, int64_t axis = 0);
/// Side by side along a new axis: shapes agree.
Tensor stack(const Tensors& xs, int64_t axis = 0);
/// Pieces of the given sizes along axis (views); or of one size, the last perhaps smaller.
Tensors split(const Tensor& x, const Shape& sizes, int64_t axis = 0);
Tensors split(const Tensor& x, int64_t size, int64_t axis = 0);
Tensor flip(const Tensor& x, const Axes& axes);

enum class PadMode { constant, reflect, replicate, circular };
/// amounts: (before, after) for the last axis, then the one before it, and so on, as PyTorch's. Negative amounts crop
/// (constant mode). reflect needs amounts below the axis size, circular of at most it. Throws ValueError where x's
/// dtype does not hold value.
Tensor pad(const Tensor& x, const Shape& amounts, PadMode mode = PadMode::constant, Scalar value = 0);

// Arrangement. Views where the strides allow.
Tensor movedim(const Tensor& x, int64_t from, int64_t to);
/// One axis as several of the given sizes, one of which may be -1.
Tensor unflatten(const Tensor& x, int64_t axis, const Shape& sizes);
/// slice() by a length, of which nothing may be beyond x.
Tensor narrow(const Tensor& x, int64_t axis, int64_t start, int64_t length);
inline Tensor broadcast_to(const Tensor& x, const Shape& shape) { return expand(x, shape); }
Tensors unbind(const Tensor& x, int64_t axis = 0);
/// At most so many pieces of one size, the last perhaps smaller.
Tensors chunk(const Tensor& x, int64_t chunks, int64_t axis = 0);
/// The elements of a diagonal of two axes, as the last axis; offset counts columns to the right.
Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t axis1 = 0, int64_t axis2 = 1);
/// The grids of coordinates (shape: all the sizes) whose i-th varies along axis i.
Tensors meshgrid(const Tensors& xs);

/// x side by side, repeats[i] times along axis i, in memory of its own: NumPy's tile.
Tensor repeat(const Tensor& x, const Shape& repeats);
/// Each element along axis so many times in a row, in memory of its own.
Tensor repeat_interleave(const Tensor& x, int64_t repeats, int64_t axis);
/// What leaves at one end of axis comes in at the other; without an axis, of the elements in row-major order.
Tensor roll(const Tensor& x, int64_t shift, int64_t axis);
Tensor roll(const Tensor& x, int64_t shift);
/// The last two axes at and below (above) a diagonal, 0 elsewhere.
Tensor tril(const Tensor& x, int64_t diagonal = 0);
Tensor triu(const Tensor& x, int64_t diagonal = 0);
/// Of one axis, the matrix with it on a diagonal; of two, that diagonal.
Tensor diag(const Tensor& x, int64_t offset = 0);
/// int64 (..., num_classes), 1 at x's number; -1 stands for the largest number + 1. Throws ValueError on others.
Tensor one_hot(const Tensor& x, int64_t num_classes = -1);
/// x, but value where mask (bool), which broadcasts, holds.
Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value);
/// The elements where mask (bool) holds, in row-major order, of one axis.
Tensor masked_select(const Tensor& x, const Tensor& mask);
/// int64 (count, rank): where x is not 0, in row-major order.
Tensor nonzero(const Tensor& x);
/// gather() of an index that broadcasts with x but for axis: NumPy's.
Tensor take_along_axis(const Tensor& x, const Tensor& index, int64_t axis);
/// (..., C r^2, H, W) as (..., C, H r, W r), and back (Shi et al., 2016).
Tensor pixel_shuffle(const Tensor& x, int64_t factor);
Tensor pixel_unshuffle(const Tensor& x, int64_t factor);

/// x where x > 0, else weight * x: weight of one element, or of one for each channel of x (N, C, ...). Throws
/// ShapeError.
Tensor prelu(const Tensor& x, const Tensor& weight);
/// a * sigmoid(b) for the halves a and b of x along axis (Dauphin et al., 2017). Throws ShapeError on an odd size.
Tensor glu(const Tensor& x, int64_t axis = -1);

}  // namespace limpid
