// Attention as a layer, and what transformers are made of, with PyTorch's names and initial values.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/containers.hpp>
#include <limpid/nn/layers/dropout.hpp>
#include <limpid/nn/layers/linear.hpp>
#include <limpid/nn/layers/normalisation.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/attention.hpp>

#include <optional>

namespace LIMPID_API limpid {
namespace nn {

using limpid::AttentionOptions;
using limpid::CausalAlignment;
using limpid::scaled_dot_product_attention;

namespace detail {
struct Drawing;
struct Stacking;
}  // namespace detail

struct MultiheadAttentionOptions {
  double dropout = 0;  ///< what is left out of the weights while training
  bool bias = true;
  std::optional<int64_t> kdim = {}, vdim = {};  ///< features of keys and values; else embed_dim
  bool batch_first = false;
  Generator* generator = nullptr;  ///< draws initial values and dropout, and must live as long; none: the default one
};

/// Of one call. As PyTorch has it, true in a bool mask means here: not to be attended to; it is the other way round in
/// scaled_dot_product_attention(). Masks of floating point are added to the scores.
struct MultiheadAttentionCall {
  Tensor key_padding_mask = {};  ///< bool (N, S): true where a key is padding; or floating point
  Tensor attn_mask = {};         ///< bool (L, S) or (N heads, L, S): true where a query may not attend to a key
  bool causal = false;           ///< query i sees the keys up to i
  /// Without them, memory is linear in the lengths, but where weights are dropped while training.
  bool need_weights = true;
  bool average_attn_weights = true;  ///< weights are the heads' mean, (N, L, S), else (N, heads, L, S)
};

struct AttentionResult {
  Tensor output;   ///< as the query
  Tensor weights;  ///< before dropout; undefined where they are not needed
};

/// Attention by several heads, each with a part of embed_dim (Vaswani et al., 2017): query (L, N, embed_dim), key (S,
/// N, kdim), value (S, N, vdim); with batch_first (N, L, ...); or without N.
struct MultiheadAttention : Module {
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, const MultiheadAttentionOptions& options = {});
  AttentionResult operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                             const MultiheadAttentionCall& call = {}) const;
  Parameter in_proj_weight;                               ///< (3 embed_dim, embed_dim) where kdim and vdim are that
  Parameter q_proj_weight, k_proj_weight, v_proj_weight;  ///< else
  Parameter in_proj_bias;                                 ///< (3 embed_dim,)
  Linear out_proj;

 private:
  MultiheadAttention(int64_t embed_dim, int64_t num_heads, const MultiheadAttentionOptions& options,
                     const detail::Drawing& drawing);
  AttentionResult run(const Tensor& query, const Tensor& key, const Tensor& value,
                      const MultiheadAttentionCall& call) const;
  int64_t embed_dim_, heads_;
  MultiheadAttentionOptions options_;
};

enum class TransformerActivation { relu, gelu };

struct TransformerOptions {
  int64_t dim_feedforward = 2048;
  double dropout = 0.1;
  TransformerActivation activation = TransformerActivation::relu;
  double layer_norm_eps = 1e-5;
  bool batch_first = false;
  bool norm_first = false;
  Generator* generator = nullptr;
};

/// Of one call: masks as MultiheadAttentionCall has them.
struct EncoderCall {
  Tensor src_mask = {}, src_key_padding_mask = {};
  bool causal = false;
};
struct DecoderCall {
  Tensor tgt_mask = {}, memory_mask = {}, tgt_key_padding_mask = {}, memory_key_padding_mask = {};
  bool tgt_causal = false;
};

/// Attention to itself and two linear layers, each added to what it was given, with a norm behind or (norm_first)
/// before.
struct TransformerEncoderLayer : Module {
  TransformerEncoderLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options = {});
  Tensor operator()(const Tensor& src, const EncoderCall& call = {}) const;
  MultiheadAttention self_attn;
  Linear linear1;
  Dropout dropout;
  Linear linear2;
  LayerNorm norm1, norm2;
  Dropout dropout1, dropout2;

 private:
  friend struct detail::Stacking;
  TransformerEncoderLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options,
                          const detail::Drawing& drawing);
  int64_t d_model_, nhead_;
  TransformerOptions options_;
};

/// The same with attention to what an encoder has made in between.
struct TransformerDecoderLayer : Module {
  TransformerDecoderLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options = {});
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const DecoderCall& call = {}) const;
  MultiheadAttention self_attn, multihead_attn;
  Linear linear1;
  Dropout dropout;
  Linear linear2;
  LayerNorm norm1, norm2, norm3;
  Dropout dropout1, dropout2, dropout3;

 private:
  friend struct detail::Stacking;
  TransformerDecoderLayer(int64_t d_model, int64_t nhead, const TransformerOptions& options,
                          const detail::Drawing& drawing);
  int64_t d_model_, nhead_;
  TransformerOptions options_;
};

struct TransformerStackOptions {
  std::optional<LayerNorm> norm = {};  ///< behind the last layer
};

/// Layers one behind the other: the first has the values of the one given, the others are made anew like it, with
/// values of their own, where PyTorch copies the first.
struct TransformerEncoder : Module {
  TransformerEncoder(const TransformerEncoderLayer& layer, int64_t num_layers,
                     const TransformerStackOptions& options = {});
  Tensor operator()(const Tensor& src, const EncoderCall& call = {}) const;
  ModuleList<TransformerEncoderLayer> layers;
  std::optional<LayerNorm> norm;
};

struct TransformerDecoder : Module {
  TransformerDecoder(const TransformerDecoderLayer& layer, int64_t num_layers,
                     const TransformerStackOptions& options = {});
  Tensor operator()(const Tensor& tgt, const Tensor& memory, const DecoderCall& call = {}) const;
  ModuleList<TransformerDecoderLayer> layers;
  std::optional<LayerNorm> norm;
};

}  // namespace nn
}  // namespace limpid
