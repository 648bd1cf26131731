// The op table's rows of normalisations and moments.
#include <limpid/tests/ops/rows/rows.hpp>

namespace rows {

Rows normalisations() {
  const Sample& image = square_image;
  const Sample c = within({4}, 0.5, 2);
  const Shape s = image.shape;
  Rows rows{
      {"instance_norm", "", OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]})), {image, c, c}, s},
      {"instance_norm",
       "running statistics",
       OP(instance_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2], false)),
       {image, c, c},
       s},
      {"instance_norm",
       "per sample",
       OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]})),
       {image, within({2, 4}, 0.5, 2), c},
       s},
      {"instance_norm",
       "running statistics, per sample",
       OP(instance_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2], false)),
       {image, within({2, 4}, 0.5, 2), real({2, 4})},
       s},
      {"group_norm", "", OP(group_norm(x[0], 2, x[1], x[2])), {image, c, c}, s},
      {"instance_norm",
       "lengths",
       OP(instance_norm(x[0], {.weight = x[1], .bias = x[2], .lengths = reshape(arange(4) + 2, {2, 2})})),
       {{{2, 4, 5, 6}}, c, c},
       {2, 4, 5, 6}},
      {"group_norm",
       "mask",
       OP(group_norm(x[0], 2, {.weight = x[1], .bias = x[2], .mask = ne(remainder(arange(5), 3), 1)})),
       {image, c, c},
       s},
      {.op = "instance_norm",
       .variant = "relu",
       .f = OP(instance_norm(x[0], {.weight = x[1], .bias = x[2], .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(instance_norm(x[0], {.weight = x[1], .bias = x[2]}))},
      {.op = "group_norm",
       .variant = "relu",
       .f = OP(group_norm(x[0], 2, {.weight = x[1], .bias = x[2], .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(group_norm(x[0], 2, x[1], x[2]))},
      {.op = "batch_norm",
       .variant = "relu",
       .f = OP(batch_norm(x[0], {.weight = x[1], .bias = x[2], .training = true, .relu = true})),
       .inputs = {image, c, c},
       .shape = s,
       .kink = OP(batch_norm(x[0], {}, {}, x[1], x[2], true))},
      {"group_norm", "per sample", OP(group_norm(x[0], 2, x[1], x[2])), {image, c, real({2, 4})}, s},
      {"layer_norm", "", OP(layer_norm(x[0], {3, 5}, x[1], x[2])), {image, within({3, 5}, 0.5, 2), real({3, 5})}, s},
      {"layer_norm",
       "options",
       OP(layer_norm(x[0], {5}, {.weight = x[1], .bias = x[2], .eps = 0.1})),
       {image, within({5}, 0.5, 2), real({5})},
       s},
      {"rms_norm", "", OP(rms_norm(x[0], {5}, x[1])), {image, within({5}, 0.5, 2)}, s},
      {"rms_norm",
       "options",
       OP(rms_norm(x[0], {3, 5}, {.weight = x[1], .eps = 0.1})),
       {image, within({3, 5}, 0.5, 2)},
       s},
      {"batch_norm",
       "running statistics",
       OP(batch_norm(x[0], full({4}, 0.3, x[0].dtype()), full({4}, 1.7, x[0].dtype()), x[1], x[2])),
       {image, c, c},
       s},
      {"batch_norm",
       "statistics given",
       OP(batch_norm(x[0], x[1], x[2], x[3], x[4])),
       {image, within({4}, -1, 1), c, c, c},
       s},
      {.op = "batch_norm",
       .variant = "statistics given, relu",
       .f = OP(
           batch_norm(x[0], {.running_mean = x[1], .running_var = x[2], .weight = x[3], .bias = x[4], .relu = true})),
       .inputs = {image, within({4}, -1, 1), c, c, c},
       .shape = s,
       .kink = OP(batch_norm(x[0], x[1], x[2], x[3], x[4]))},
      {"batch_norm", "training", OP(batch_norm(x[0], {}, {}, x[1], x[2], true)), {image, c, c}, s},
  };
  for (OpRow& r : rows) {
    r.keeps_format = r.op != "layer_norm" && r.op != "rms_norm";
    r.optional = r.op == "rms_norm" ? 2 : r.inputs.size() == 5 ? 24 : 6;
  }
  return rows;
}

}  // namespace rows
