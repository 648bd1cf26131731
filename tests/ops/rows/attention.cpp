// The op table's rows of attention.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

Rows attentions() {
  const std::vector<Sample> qkv{real({2, 3, 4}), real({2, 5, 4}), real({2, 5, 2})};
  const Shape s{2, 3, 2};
  Rows rows{
      {"scaled_dot_product_attention", "", OP(scaled_dot_product_attention(x[0], x[1], x[2])), qkv, s},
      {"scaled_dot_product_attention",
       "mask",
       OP(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = ne(remainder(arange(15).reshape({3, 5}), 4), 1)})),
       {real({2, 3, 4}), real({5, 4}), real({2, 5, 2})},
       s},
      {"scaled_dot_product_attention", "causal",
       OP(scaled_dot_product_attention(x[0], x[1], x[2],
                                       {.causal = true, .alignment = CausalAlignment::bottom_right, .scale = 0.3})),
       qkv, s},
      {"scaled_dot_product_attention",
       "learned mask",
       OP(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = x[3]})),
       {real({2, 3, 4}), real({2, 5, 4}), real({2, 5, 2}), real({3, 5})},
       s},
      {"attention_weights",
       "",
       OP(attention_weights(x[0], x[1], {.causal = true})),
       {real({2, 3, 4}), real({2, 5, 4})},
       {2, 3, 5}},
  };
  rows[3].optional = 8;
  for (OpRow& row : rows) row.of_library = true;
  return rows;
}

}  // namespace rows
