// Singular values for functions that are made of them.
#pragma once
#include <limpid/ops/linalg.hpp>

namespace limpid::detail {

/// As linalg::svd() without further columns; not recorded, and with errors that name op.
linalg::Svd plain_svd(const char* op, const Tensor& a);

}  // namespace limpid::detail
