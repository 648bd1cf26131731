// What every row of the op table is tried for beside its derivatives: the suite expects no fault, and docs/coverage.md
// shows the cells.
#pragma once
#include <limpid/tests/ops/op_table.hpp>

#include <string>
#include <vector>

namespace properties {

struct Finding {
  std::string cell;
  std::vector<std::string> faults;
};

/// The row's inputs, rounded to float32: what the vectors of tests/data/ops.npz were made of.
limpid::Tensors inputs_of_vectors(const OpRow& row);
/// Values and gradients against PyTorch's, relative to the larger of the number and a tenth of the largest of its
/// tensor: worst error in float64 and in float32, held to 1e-10 and 1e-5. A row without vectors has its reason here.
Finding vectors(const OpRow& row);
/// The vectors that no row has, or that two may have.
std::vector<std::string> strays();
/// Which dtypes inputs may have (float16, bfloat16 and int64 in place of floating point): the results of each are
/// those of float64 to its precision, others are refused in words.
Finding dtypes(const OpRow& row);
/// Channels-last, strided and expanded inputs give what dense ones do.
Finding layouts(const OpRow& row);
/// An input of size 1 along an axis stands for its repetition, is refused in words, or means another shape.
Finding broadcasting(const OpRow& row);
/// Sizes of 0 are taken, by backward too, or refused in words.
Finding empty_inputs(const OpRow& row);
/// Inputs that are undefined, of bool or of whole numbers or of other shapes are refused by the op's name, or taken.
Finding bad_inputs(const OpRow& row);
/// Within checkpoint() values and gradients of both orders are the same bits.
Finding in_checkpoint(const OpRow& row);

}  // namespace properties
