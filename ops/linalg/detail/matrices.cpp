#include <limpid/ops/linalg/detail/matrices.hpp>

#include <limpid/core/detail/strided.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>

#include <limits>

namespace limpid::detail {

void require_matrices(const char* op, const char* name, const Tensor& x) {
  require_defined(op, name, x);
  if (x.dim() < 2) throw_error<ShapeError>(op, ": expected ", name, " of shape (..., n, m), got shape ", x.shape());
  if (std::max(x.size(-1), x.size(-2)) > std::numeric_limits<int>::max())
    throw_error<ShapeError>(op, ": expected ", name, " of at most ", std::numeric_limits<int>::max(),
                            " rows and columns, got shape ", x.shape());
  require_one_float_dtype(op, {{name, &x}});
}

void require_square(const char* op, const char* name, const Tensor& x) {
  require_matrices(op, name, x);
  if (x.size(-1) != x.size(-2))
    throw_error<ShapeError>(op, ": expected ", name, " of square matrices, got shape ", x.shape());
}

std::string place_of(const Shape& lead, int64_t i) {
  if (lead.empty()) return "";
  Shape place = lead;
  for (std::size_t axis = lead.size(); axis-- > 0; i /= lead[axis]) place[axis] = i % lead[axis];
  return message(" at index ", place, " of the batch");
}

Tensor row_major(const Tensor& x) {
  const Tensor y = empty(x.shape(), x.dtype());
  copy_into(y, x);
  return y;
}

Tensor column_major(const Tensor& x) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  const std::size_t rank = shape.size();
  std::swap(shape[rank - 2], shape[rank - 1]);
  std::swap(strides[rank - 2], strides[rank - 1]);
  const Tensor y = empty(shape, x.dtype());
  copy_into(y, make_view(x, shape, strides, x.offset()));
  return y;
}

Places::Places(const Shape& x_shape, const Strides& strides, const Shape& lead)
    : lead_(lead),
      strides_(broadcast_strides(Shape(x_shape.begin(), x_shape.end() - 2), Strides(strides.begin(), strides.end() - 2),
                                 lead)) {}

Tensor right_side(const char* op, int64_t n, const Tensor& a, const Tensor& b, bool left, const char* a_name) {
  require_defined(op, "b", b);
  const bool is_vector = b.dim() == 1;
  const bool fits = is_vector ? b.size(0) == n : b.dim() >= 2 && b.size(left ? -2 : -1) == n;
  if (!fits)
    throw_error<ShapeError>(op, ": expected b of shape (", n, ",) or ", left ? "(..., " : "(..., k, ", n,
                            left ? ", k)" : ")", ", got ", b.shape(), " for ", a_name, " of shape ", a.shape());
  if (b.dim() >= 2) {
    require_matrices(op, "b", b);
    broadcast_shapes(lead_of(a), lead_of(b), op);
  }
  require_one_float_dtype(op, {{a_name, &a}, {"b", &b}});
  return is_vector ? unsqueeze(b, 1) : left ? b : transposed(b);
}

Tensor like_right_side(const Tensor& x, const Tensor& b, bool left) {
  return b.dim() == 1 ? squeeze(x, -1) : left ? x : transposed(x);
}

Tensor diagonals(const Tensor& x) { return mul(unsqueeze(x, -1), eye(x.size(-1), x.dtype())); }

}  // namespace limpid::detail
