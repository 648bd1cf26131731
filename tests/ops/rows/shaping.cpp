// The op table's rows of shapes, indices and joins.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

Rows shaping() {
  const Shape s{2, 3, 4};
  const std::vector<Sample> one{real(s)};
  return {
      {"movedim", "", OP(movedim(x[0], 0, -1)), one, {3, 4, 2}},
      {"unflatten", "", OP(unflatten(x[0], 2, {-1, 2})), one, {2, 3, 2, 2}},
      {"narrow", "", OP(narrow(x[0], 1, -2, 2)), one, {2, 2, 4}},
      {"broadcast_to", "", OP(broadcast_to(x[0], {5, 3, 4})), {real({3, 1})}, {5, 3, 4}},
      {"unbind", "", OP(unbind(x[0], 1)), one, {2, 4}},
      {"chunk", "", OP(chunk(x[0], 2, 1)), one, {2, 2, 4}},
      {"diagonal", "", OP(diagonal(x[0], 1, 1, 2)), one, {2, 3}},
      {"diagonal", "below", OP(diagonal(x[0], -1, 2, 0)), one, {3, 2}},
      {"meshgrid", "", OP(meshgrid({x[0], x[1]})), {real({3}), real({4})}, {3, 4}},
      {"repeat", "", OP(repeat(x[0], {2, 1, 2, 3})), one, {2, 2, 6, 12}},
      {"repeat_interleave", "", OP(repeat_interleave(x[0], 3, 1)), one, {2, 9, 4}},
      {"roll", "", OP(roll(x[0], -1, 2)), one, s},
      {"roll", "all", OP(roll(x[0], 7)), one, s},
      {"tril", "", OP(tril(x[0], -1)), one, s},
      {"triu", "", OP(triu(x[0], 1)), one, s},
      {"diag", "", OP(diag(x[0], 1)), {real({3})}, {4, 4}},
      {"diag", "of a matrix", OP(diag(x[0], -1)), {real({3, 4})}, {2}},
      plain({"one_hot", "", OP(one_hot(x[0], 5)), {indices({2, 3}, 5)}, {2, 3, 5}}),
      {"masked_fill", "", OP(masked_fill(x[0], x[1], 1.5)), {real(s), flags({3, 1})}, s},
      {"masked_select", "", OP(masked_select(x[0], x[0].detach() < 10)), one, {24}},
      plain({"nonzero", "", OP(nonzero(x[0] < 10)), one, {24, 3}}),
      {"take_along_axis", "", OP(take_along_axis(x[0], x[1], 1)), {real(s), indices({1, 5, 1}, 3)}, {2, 5, 4}},
      {"pixel_shuffle", "", OP(pixel_shuffle(x[0], 2)), {real({2, 8, 3, 2})}, {2, 2, 6, 4}},
      {"pixel_unshuffle", "", OP(pixel_unshuffle(x[0], 2)), {real({3, 4, 6})}, {12, 2, 3}},
      {"prelu", "", OP(prelu(x[0], x[1])), {away_from({0}, s), real({3})}, s},
      {"prelu", "one weight", OP(prelu(x[0], x[1])), {away_from({0}, s), real({1})}, s},
      {"glu", "", OP(glu(x[0])), one, {2, 3, 2}},
      {"glu", "axis", OP(glu(x[0], 0)), one, {1, 3, 4}},
      {"reshape", "", OP(reshape(x[0], {4, -1})), one, {4, 6}},
      {"flatten", "", OP(flatten(x[0], 1)), one, {2, 12}},
      {"permute", "", OP(permute(x[0], {2, 0, 1})), one, {4, 2, 3}},
      {"transpose", "", OP(transpose(x[0], 0, -1)), one, {4, 3, 2}},
      {"squeeze", "", OP(squeeze(x[0])), {real({2, 1, 3})}, {2, 3}},
      {"unsqueeze", "", OP(unsqueeze(x[0], 1)), one, {2, 1, 3, 4}},
      {"expand", "", OP(expand(x[0], {5, 2, -1, 4})), {real({2, 3, 1})}, {5, 2, 3, 4}},
      {"slice", "", OP(slice(x[0], 2, 1, to_end, 2)), one, {2, 3, 2}},
      {"slice", "negative", OP(slice(x[0], 1, -2, -1)), one, {2, 1, 4}},
      {"select", "", OP(select(x[0], 1, -1)), one, {2, 4}},
      {"index_select", "", OP(index_select(x[0], 1, x[1])), {real(s), indices({5}, 3)}, {2, 5, 4}},
      {"gather", "", OP(gather(x[0], 1, x[1])), {real(s), indices({2, 5, 4}, 3)}, {2, 5, 4}},
      {"scatter_add", "", OP(scatter_add({2, 3, 4}, 1, x[1], x[0])), {real({2, 5, 4}), indices({2, 5, 4}, 3)}, s},
      {"scatter_add", "part", OP(scatter_add({2, 3, 4}, 1, x[1], x[0])), {real({2, 5, 6}), indices({1, 4, 4}, 3)}, s},
      {"scatter", "", OP(scatter(x[0], 1, x[1], x[2])), {real(s), indices({2, 2, 4}, 3), real({2, 3, 4})}, s},
      {"scatter", "number", OP(scatter(x[0], 2, x[1], 1.5)), {real(s), indices({2, 3, 1}, 4)}, s},
      {"index_add", "", OP(index_add(x[0], 1, x[1], x[2], 1.5)), {real(s), indices({5}, 3), real({2, 5, 4})}, s},
      {"cat", "", OP(cat({x[0], x[1]}, 1)), {real(s), real({2, 2, 4})}, {2, 5, 4}},
      {"stack", "", OP(stack({x[0], x[1]}, 1)), {real(s), real(s)}, {2, 2, 3, 4}},
      {"split", "sizes", OP(split(x[0], Shape{1, 3}, 2)), one, {2, 3, 1}},
      {"pad", "circular", OP(pad(x[0], {2, 4, 1, 3}, PadMode::circular)), one, {2, 7, 10}},
      {"split", "equal", OP(split(x[0], int64_t{2}, 1)), one, {2, 2, 4}},
      {"flip", "", OP(flip(x[0], {0, 2})), one, s},
      {"pad", "constant", OP(pad(x[0], {1, 2, 0, 1}, PadMode::constant, 0.5)), one, {2, 4, 7}},
      {"pad", "crop", OP(pad(x[0], {-1, 2})), one, {2, 3, 5}},
      {"pad", "reflect", OP(pad(x[0], {2, 1}, PadMode::reflect)), one, {2, 3, 7}},
      {"pad", "replicate", OP(pad(x[0], {2, 1, 1, 0}, PadMode::replicate)), one, {2, 4, 7}},
  };
}

}  // namespace rows
