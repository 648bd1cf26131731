// The op table's rows of products.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

Rows products() {
  const Sample a = real({3, 4}), b = real({4, 5}), batch = real({2, 3, 4});
  Rows rows{
      {"matmul", "", OP(matmul(x[0], x[1])), {real({2, 3, 4}), real({4, 5})}, {2, 3, 5}},
      {"matmul", "batch", OP(matmul(x[0], x[1])), {real({2, 1, 3, 4}), real({3, 4, 2})}, {2, 3, 3, 2}},
      {"matmul", "vectors", OP(matmul(x[0], x[1])), {real({4}), real({4})}, {}},
      {"linear", "", OP(linear(x[0], x[1], x[2])), {real({2, 3, 4}), real({5, 4}), real({5})}, {2, 3, 5}},
      {"linear", "no bias", OP(linear(x[0], x[1])), {real({3, 4}), real({5, 4})}, {3, 5}},
      {"outer", "", OP(outer(x[0], x[1])), {real({3}), real({4})}, {3, 4}},
      {"kron", "", OP(kron(x[0], x[1])), {a, real({2, 1, 3})}, {2, 3, 12}},
  };
  for (OpRow& r : rows)
    if (r.op == "linear") r.optional = 4;  // without a bias
  Rows others{
      {"mm", "", OP(mm(x[0], x[1])), {a, b}, {3, 5}},
      {"mv", "", OP(mv(x[0], x[1])), {a, real({4})}, {3}},
      {"dot", "", OP(dot(x[0], x[1])), {real({4}), real({4})}, {}},
      {"bmm", "", OP(bmm(x[0], x[1])), {batch, real({2, 4, 5})}, {2, 3, 5}},
      {"addmm", "", OP(addmm(x[0], x[1], x[2], 0.5, 1.5)), {real({3, 1}), a, b}, {3, 5}},
      {"tensordot", "", OP(tensordot(x[0], x[1])), {batch, real({3, 4, 5})}, {2, 5}},
      {"tensordot", "axes", OP(tensordot(x[0], x[1], {0, -1}, {1, 0})), {batch, real({4, 2, 5})}, {3, 5}},
      {"einsum", "", OP(einsum("bij,bjk->bik", {x[0], x[1]})), {batch, real({2, 4, 5})}, {2, 3, 5}},
      {"einsum", "diagonal", OP(einsum("i...i->...i", {x[0]})), {real({3, 4, 3})}, {4, 3}},
      {"einsum", "sums", OP(einsum("aij,jb->bi", {x[0], x[1]})), {batch, real({4, 2})}, {2, 3}},
      {"einsum", "rows", OP(einsum("ij,ij->i", {x[0], x[1]})), {a, a}, {3}},
      {"einsum", "three", OP(einsum("...ij,jk,k", {x[0], x[1], x[2]})), {batch, b, real({5})}, {2, 3}},
      {"einsum", "size 1", OP(einsum("ij,ij->ij", {x[0], x[1]})), {real({3, 1}), a}, {3, 4}},
  };
  for (OpRow& r : others) {
    r.of_library = true;
    rows.push_back(std::move(r));
  }
  return rows;
}

}  // namespace rows
