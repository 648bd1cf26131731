// Sample by sample: the valid elements are brought together, normalised as if there were no others, and put back among
// zeros. Prefixes are views, which the kernels read in place. All of it is made of differentiable functions, so the
// gradients are exact, of any order, and zero where nothing is valid.
#include <limpid/ops/norm/detail/valid.hpp>

#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <functional>
#include <vector>

namespace limpid::detail {
namespace {

Tensors samples(const Tensor& x);

struct SamplesNode final : Node {
  const char* name() const noexcept override { return "samples"; }
  // ys[n] = x[n]:  dx is the dys one behind the other, which all are there, for all ys go the same way
  Tensors backward(const Tensors& dys) override { return {cat(dys, 0)}; }
  Tensors jvp(const Tensors& dx) override { return samples(dx[0]); }
};

/// x[n] for each n, all of x's axes kept: one node for all of them, whose backward touches each element once.
Tensors samples(const Tensor& x) {
  Shape one = x.shape();
  one[0] = 1;
  Tensors ys;
  for (int64_t n = 0; n < x.shape()[0]; ++n)
    ys.push_back(make_view(x, one, x.strides(), x.offset() + n * x.strides()[0]));
  record<SamplesNode>(ys, {x});
  return ys;
}

int64_t spatial_axes(const Tensor& x) { return x.dim() - 2; }

void check_lengths(const Tensor& lengths, const Tensor& x, const char* op) {
  const int64_t n = x.shape()[0], axes = spatial_axes(x);
  const bool fits = lengths.shape() == Shape{n, axes} || (axes == 1 && lengths.shape() == Shape{n});
  if (!fits) {
    if (axes == 1)
      throw_error<ShapeError>(op, ": expected lengths of shape ", Shape{n}, " for x of shape ", x.shape(), ", got ",
                              lengths.shape());
    throw_error<ShapeError>(op, ": expected lengths of shape ", Shape{n, axes},
                            ", one per spatial axis, for x of shape ", x.shape(), ", got ", lengths.shape());
  }
  if (lengths.dtype() != int64) throw_error<DTypeError>(op, ": expected lengths of dtype int64, got ", lengths.dtype());
  const Tensor flat = as_contiguous(lengths);
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const int64_t length = flat.data<int64_t>()[i], size = x.shape()[static_cast<std::size_t>(2 + i % axes)];
    if (length < 0 || length > size)
      throw_error<ValueError>(op, ": expected lengths between 0 and ", size, ", which x of shape ", x.shape(),
                              " has, got ", length);
  }
}

void check_mask(const Tensor& mask, const Tensor& x, const char* op) {
  Shape one_channel = x.shape();
  one_channel[1] = 1;
  bool fits = mask.dim() <= x.dim();
  for (std::size_t back = 1; fits && back <= mask.shape().size(); ++back) {
    const int64_t size = mask.shape()[mask.shape().size() - back];
    fits = size == 1 || size == one_channel[one_channel.size() - back];
  }
  if (!fits)
    throw_error<ShapeError>(op, ": expected a mask that broadcasts to ", one_channel, " for x of shape ", x.shape(),
                            ", got ", mask.shape());
  if (mask.dtype() != bool_) throw_error<DTypeError>(op, ": expected a mask of dtype bool, got ", mask.dtype());
}

/// A prefix of each spatial axis.
struct Prefix {
  Shape before, after;  // of x_n

  Prefix(const Tensor& x, const int64_t* lengths) : before(x.shape()), after(x.shape()) {
    for (std::size_t axis = 2; axis < after.size(); ++axis) after[axis] = lengths[axis - 2];
  }
  Tensor take(Tensor x) const {
    for (std::size_t axis = 2; axis < after.size(); ++axis)
      if (after[axis] != before[axis]) x = slice(x, static_cast<int64_t>(axis), 0, after[axis]);
    return x;
  }
  Tensor put(const Tensor& y) const {
    Shape amounts;
    for (std::size_t axis = after.size(); axis-- > 2;) {
      amounts.push_back(0);
      amounts.push_back(before[axis] - after[axis]);
    }
    return pad(y, amounts);
  }
};

/// The elements at an index into the spatial axes.
struct Selection {
  Shape shape;
  Tensor index;

  Selection(const Tensor& x, const bool* mask) : shape(x.shape()) {
    const int64_t size = x.numel() / std::max<int64_t>(1, shape[1]);
    std::vector<int64_t> valid;
    for (int64_t i = 0; i < size; ++i)
      if (mask[i]) valid.push_back(i);
    index = empty({static_cast<int64_t>(valid.size())}, int64);
    std::copy(valid.begin(), valid.end(), index.data<int64_t>());
  }
  Tensor take(const Tensor& x) const { return index_select(flatten(x, 2), 2, index); }
  Tensor put(const Tensor& y) const {
    const int64_t size = shape.numel() / std::max<int64_t>(1, shape[1]);
    return reshape(scatter_add({1, shape[1], size}, 2, expand(index, y.shape()), y), shape);
  }
};

}  // namespace

void check_valid(const ValidElements& valid, const Tensor& x, const char* op) {
  if (valid.all()) return;
  if (valid.lengths.defined() && valid.mask.defined())
    throw_error<ValueError>(op, ": expected lengths or mask, got both");
  if (spatial_axes(x) == 0)
    throw_error<ShapeError>(
        op, ": expected x of shape (N, C, *spatial) with a spatial axis for lengths or a mask, got ", x.shape());
  if (valid.lengths.defined()) check_lengths(valid.lengths, x, op);
  if (valid.mask.defined()) check_mask(valid.mask, x, op);
}

Tensor normalize_valid(const ValidElements& valid, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>& norm) {
  if (x.numel() == 0) return norm(x, weight, bias);
  const Tensor gamma = shared_by_samples(weight), beta = shared_by_samples(bias);
  const auto of_sample = [&](const Tensor& t, int64_t n) { return t.defined() && t.dim() == 2 ? select(t, 0, n) : t; };
  Shape mask_shape = x.shape();
  mask_shape[1] = 1;
  const Tensor lengths = valid.lengths.defined() ? as_contiguous(valid.lengths) : Tensor();
  const Tensor mask = valid.mask.defined() ? as_contiguous(expand(valid.mask, mask_shape)) : Tensor();
  const Tensors xs = samples(x);
  Tensors ys;
  for (int64_t n = 0; n < x.shape()[0]; ++n) {
    const Tensor& one = xs[static_cast<std::size_t>(n)];
    const auto normalized = [&](const auto& part) {
      return part.put(norm(part.take(one), of_sample(gamma, n), of_sample(beta, n)));
    };
    ys.push_back(lengths.defined() ? normalized(Prefix(one, lengths.data<int64_t>() + n * spatial_axes(x)))
                                   : normalized(Selection(one, mask.data<bool>() + n * (mask.numel() / x.shape()[0]))));
  }
  return cat(ys, 0).contiguous(x.memory_format());
}

}  // namespace limpid::detail
