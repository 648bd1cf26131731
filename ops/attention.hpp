// Attention.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/core/tensor.hpp>

#include <optional>

namespace LIMPID_API limpid {

/// What causal means for L queries and S keys: query i sees the keys up to i (as PyTorch has it), or up to i + S - L,
/// so that the last query sees the last key (queries that continue what the keys hold).
enum class CausalAlignment { top_left, bottom_right };

struct AttentionOptions {
  /// Broadcasts to (..., L, S). bool: true where a query may attend to a key. Floating point: added to the scores, and
  /// refused where it holds ones and zeros alone, for then it was meant to be bool.
  Tensor mask = {};
  bool causal = false;
  CausalAlignment alignment = CausalAlignment::top_left;
  std::optional<double> scale = {};  ///< of the scores; else 1 / sqrt(E)
  double dropout = 0;                ///< the part of the weights that is left out, where training
  bool training = false;
  Generator* generator = nullptr;  ///< draws what is left out; none: the default one
};

/// softmax(scale q k^T + mask) v (Vaswani et al., 2017) of q (..., L, E), k (..., S, E) and v (..., S, V), whose
/// leading axes broadcast: (..., L, V). A query that may attend to no key gives 0 and has gradients 0, and what stands
/// in keys and values that a query may not attend to does not reach it, be it NaN. Takes memory in proportion to L + S
/// (Dao et al., 2022), but for dropout, masks that are differentiated, and derivatives of higher order, which take L S.
Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& options = {});

/// The weights (..., L, S) by which the above multiplies v, before dropout.
Tensor attention_weights(const Tensor& q, const Tensor& k, const AttentionOptions& options = {});

}  // namespace limpid
