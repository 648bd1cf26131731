// Recorded graphs as pictures.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/tensor.hpp>

#include <string>

namespace LIMPID_API limpid {

/// The graph below ys in the language of Graphviz (dot -Tsvg): one box per op with the shapes of its results and what
/// it keeps for backward, one ellipse per leaf, edges as data flows. Source lines are shown of what was recorded under
/// RecordSources, DetectAnomaly or a TraceScope of these. Throws AutogradError where no y was recorded.
std::string to_dot(const Tensors& ys);
std::string to_dot(const Tensor& y);

}  // namespace limpid
