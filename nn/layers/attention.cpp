#include <limpid/nn/layers/attention.hpp>

#include <limpid/core/detail/enumeration.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/nn/detail/drawing.hpp>
#include <limpid/nn/layers/detail/arguments.hpp>
#include <limpid/nn/layers/init.hpp>
#include <limpid/ops/attention/detail/mask.hpp>
#include <limpid/ops/detail/check.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <string>

namespace limpid::nn {

using limpid::detail::infinity;
using limpid::detail::message;
using limpid::detail::throw_error;

namespace {

std::string arguments(int64_t embed_dim, int64_t heads, const MultiheadAttentionOptions& o) {
  std::string list = message(embed_dim, ", ", heads);
  if (o.dropout != 0) list += ", dropout = " + detail::text(o.dropout);
  if (!o.bias) list += ", bias = false";
  if (o.kdim) list += message(", kdim = ", *o.kdim);
  if (o.vdim) list += message(", vdim = ", *o.vdim);
  return list + (o.batch_first ? ", batch_first" : "");
}

int64_t checked_size(int64_t embed_dim, int64_t heads, const MultiheadAttentionOptions& options) {
  const auto& [dropout, bias, kdim, vdim, batch_first, generator] = options;
  detail::expect("MultiheadAttention", {{"embed_dim", embed_dim, detail::features},
                                        {"num_heads", heads, detail::features},
                                        {"dropout", dropout, detail::fraction},
                                        {"kdim", kdim.value_or(1), detail::features},
                                        {"vdim", vdim.value_or(1), detail::features}});
  if (embed_dim % heads)
    throw_error<ValueError>("MultiheadAttention: expected embed_dim divisible by num_heads, got ", embed_dim, " and ",
                            heads);
  return embed_dim;
}

Tensor xavier(bool wanted, const Shape& shape, Generator* generator) {
  if (!wanted) return {};
  const Tensor x = empty(shape);
  init::xavier_uniform_(x, 1, detail::generator_or_default(generator));
  return x;
}

bool is_joint(int64_t embed_dim, const MultiheadAttentionOptions& o) {
  return o.kdim.value_or(embed_dim) == embed_dim && o.vdim.value_or(embed_dim) == embed_dim;
}

// One of floating point that was meant to be bool would block the opposite of what it was made for.
void require_mask(const char* name, const Tensor& mask) {
  if (!mask.defined() || mask.dtype() == bool_) return;
  if (!is_floating_point(mask.dtype()))
    throw_error<DTypeError>("MultiheadAttention: expected ", name, " of bool or floating point, got ", mask.dtype());
  if (limpid::detail::is_of_zeros_and_ones(mask))
    throw_error<ValueError>("MultiheadAttention: expected a floating-point ", name,
                            " to be added to the scores, 0 and -inf, got one of zeros and ones alone; compare it, ",
                            name, " != 0, for a mask of what may not be attended to");
}

// A mask in PyTorch's sense as one to be added.
Tensor added(const Tensor& mask) { return mask.dtype() == bool_ ? where(mask, -infinity, 0.0) : mask; }

// Both masks in one, for scaled_dot_product_attention.
Tensor merged(const Tensor& a, const Tensor& b) {
  const auto turned = [](const Tensor& x) { return x.defined() && x.dtype() == bool_ ? logical_not(x) : x; };
  if (!a.defined() || !b.defined()) return turned(a.defined() ? a : b);
  if (a.dtype() == bool_ && b.dtype() == bool_) return logical_and(logical_not(a), logical_not(b));
  return added(a) + added(b);
}

}  // namespace

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t heads, const MultiheadAttentionOptions& options)
    : MultiheadAttention(checked_size(embed_dim, heads, options), heads, options, detail::Drawing(options.generator)) {}
MultiheadAttention::MultiheadAttention(int64_t e, int64_t heads, const MultiheadAttentionOptions& o,
                                       const detail::Drawing&)
    : Module("MultiheadAttention", arguments(e, heads, o)),
      in_proj_weight(parameter("in_proj_weight", xavier(is_joint(e, o), {3 * e, e}, o.generator))),
      q_proj_weight(parameter("q_proj_weight", xavier(!is_joint(e, o), {e, e}, o.generator))),
      k_proj_weight(parameter("k_proj_weight", xavier(!is_joint(e, o), {e, o.kdim.value_or(e)}, o.generator))),
      v_proj_weight(parameter("v_proj_weight", xavier(!is_joint(e, o), {e, o.vdim.value_or(e)}, o.generator))),
      in_proj_bias(parameter("in_proj_bias", o.bias ? zeros({3 * e}) : Tensor())),
      out_proj(add("out_proj", Linear(e, e, {.bias = o.bias, .generator = o.generator}))),
      embed_dim_(e),
      heads_(heads),
      options_(o) {
  if (o.bias) {
    const NoGradGuard guard;
    out_proj.bias.zero_();
  }
  if (o.dropout > 0) uses_training();
  detail::set_work(*this, o.batch_first ? detail::Work::attention_batch_first : detail::Work::attention);
}

AttentionResult MultiheadAttention::operator()(const Tensor& query_in, const Tensor& key_in, const Tensor& value_in,
                                               const MultiheadAttentionCall& call) const {
  return detail::call_within(
      *this, std::tie(query_in, key_in, value_in),
      [&](const Tensor& query, const Tensor& key, const Tensor& value) { return run(query, key, value, call); });
}

AttentionResult MultiheadAttention::run(const Tensor& query, const Tensor& key, const Tensor& value,
                                        const MultiheadAttentionCall& call) const {
  const char* type = "MultiheadAttention";
  const auto& [padding, attn_mask, causal, need_weights, average] = call;
  const int64_t e = embed_dim_;
  const int64_t features[] = {e, options_.kdim.value_or(e), options_.vdim.value_or(e)};
  const char* const names[] = {"query", "key", "value"};
  const Tensor* const given[] = {&query, &key, &value};
  const char* const lengths[] = {"L", "S", "S"};
  for (std::size_t i = 0; i < 3; ++i) limpid::detail::require_defined(type, names[i], *given[i]);
  const bool batched = query.dim() == 3;
  for (std::size_t i = 0; i < 3; ++i)
    if ((query.dim() != 2 && !batched) || given[i]->dim() != query.dim() || given[i]->size(-1) != features[i])
      throw_error<ShapeError>(type, ": expected ", names[i], " of shape (", options_.batch_first ? "N, " : "",
                              lengths[i], options_.batch_first ? ", " : ", N, ", features[i],
                              "), or all without N, got ", given[i]->shape());
  // (N, L, features)
  const auto brought = [&](const Tensor& x) {
    return !batched ? unsqueeze(x, 0) : options_.batch_first ? x : transpose(x, 0, 1);
  };
  const Tensor q_in = brought(query), k_in = brought(key), v_in = brought(value);
  const int64_t n = q_in.size(0), length = q_in.size(1), keys = k_in.size(1), heads = heads_, size = e / heads;
  if (k_in.size(0) != n || v_in.size(0) != n || v_in.size(1) != keys)
    throw_error<ShapeError>(type, ": expected key and value of one length, and a batch of ", n, ", got ", key.shape(),
                            " and ", value.shape());

  const Tensor bias = in_proj_bias;
  const auto part = [&](const Tensor& x, int64_t i) {
    return x.defined() ? slice(x, 0, i * embed_dim_, (i + 1) * embed_dim_) : x;
  };
  Tensors projected;
  if (!in_proj_weight.defined()) {
    projected = {linear(q_in, q_proj_weight, part(bias, 0)), linear(k_in, k_proj_weight, part(bias, 1)),
                 linear(v_in, v_proj_weight, part(bias, 2))};
  } else if (query.is_same(key) && key.is_same(value)) {
    projected = split(linear(q_in, in_proj_weight, bias), e, 2);
  } else {
    projected = {linear(q_in, part(in_proj_weight, 0), part(bias, 0)),
                 linear(k_in, part(in_proj_weight, 1), part(bias, 1)),
                 linear(v_in, part(in_proj_weight, 2), part(bias, 2))};
  }
  for (Tensor& x : projected) x = permute(reshape(x, {n, x.size(1), heads, size}), {0, 2, 1, 3});

  require_mask("attn_mask", attn_mask);
  require_mask("key_padding_mask", padding);
  Tensor mask = attn_mask, keys_mask = padding;
  if (mask.defined()) {
    if (mask.shape() == Shape{n * heads, length, keys} && mask.dim() == 3)
      mask = reshape(mask, {n, heads, length, keys});
    else if (mask.shape() != Shape{length, keys})
      throw_error<ShapeError>(type, ": expected attn_mask of shape ", Shape{length, keys}, " or ",
                              Shape{n * heads, length, keys}, ", got ", mask.shape());
  }
  if (keys_mask.defined()) {
    const Shape expected = batched ? Shape{n, keys} : Shape{keys};
    if (keys_mask.shape() != expected)
      throw_error<ShapeError>(type, ": expected key_padding_mask of shape ", expected, ", got ", keys_mask.shape());
    keys_mask = reshape(keys_mask, {n, 1, 1, keys});
  }
  AttentionOptions options{.mask = merged(mask, keys_mask),
                           .causal = causal,
                           .dropout = options_.dropout,
                           .training = detail::trains(*this),
                           .generator = options_.generator};
  const detail::CallDrawing drawing(options_.generator);
  const Tensor heads_out = scaled_dot_product_attention(projected[0], projected[1], projected[2], options);
  Tensor output = out_proj(reshape(permute(heads_out, {0, 2, 1, 3}), {n, length, e}));
  output = !batched ? squeeze(output, 0) : options_.batch_first ? output : transpose(output, 0, 1);
  if (!need_weights) return {output, {}};
  Tensor weights = attention_weights(projected[0], projected[1], options);
  if (average) weights = mean(weights, 1);
  return {output, batched ? weights : squeeze(weights, 0)};
}

namespace {

std::string arguments(int64_t d_model, int64_t nhead, const TransformerOptions& o) {
  std::string list = message(d_model, ", ", nhead);
  if (o.dim_feedforward != 2048) list += message(", dim_feedforward = ", o.dim_feedforward);
  if (o.dropout != 0.1) list += ", dropout = " + detail::text(o.dropout);
  if (o.activation == TransformerActivation::gelu) list += ", gelu";
  if (o.layer_norm_eps != 1e-5) list += ", layer_norm_eps = " + detail::text(o.layer_norm_eps);
  if (o.batch_first) list += ", batch_first";
  return list + (o.norm_first ? ", norm_first" : "");
}

std::string checked_arguments(const char* type, int64_t d_model, int64_t nhead, const TransformerOptions& options) {
  const auto& [dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, generator] = options;
  detail::expect(type, {{"d_model", d_model, detail::features},
                        {"nhead", nhead, detail::features},
                        {"dim_feedforward", dim_feedforward, detail::features},
                        {"dropout", dropout, detail::fraction},
                        {"layer_norm_eps", layer_norm_eps, detail::at_least_0}});
  limpid::detail::require_member(type, "TransformerActivation", activation, TransformerActivation::gelu,
                                 "relu or gelu");
  if (d_model % nhead)
    throw_error<ValueError>(type, ": expected d_model divisible by nhead, got ", d_model, " and ", nhead);
  return arguments(d_model, nhead, options);
}

MultiheadAttention attention(int64_t d_model, int64_t nhead, const TransformerOptions& o) {
  return MultiheadAttention(d_model, nhead,
                            {.dropout = o.dropout, .batch_first = o.batch_first, .generator = o.generator});
}
Dropout dropped(const TransformerOptions& o) { return Dropout(o.dropout, {.generator = o.generator}); }

// The two linear layers.
template <class Layer>
Tensor fed_forward(const Layer& layer, TransformerActivation activation, const Tensor& x) {
  const Tensor inner = layer.linear1(x);
  return layer.linear2(layer.dropout(activation == TransformerActivation::gelu ? gelu(inner) : relu(inner)));
}

// x + f(x), with a norm before or behind.
template <class F>
Tensor added_to(const Tensor& x, const LayerNorm& norm, const Dropout& dropout, bool norm_first, F&& f) {
  return norm_first ? x + dropout(f(norm(x))) : norm(x + dropout(f(x)));
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(int64_t d, int64_t nhead, const TransformerOptions& o)
    : TransformerEncoderLayer(d, nhead, o, detail::Drawing(o.generator)) {}
TransformerEncoderLayer::TransformerEncoderLayer(int64_t d, int64_t nhead, const TransformerOptions& o,
                                                 const detail::Drawing&)
    : Module("TransformerEncoderLayer", checked_arguments("TransformerEncoderLayer", d, nhead, o)),
      self_attn(add("self_attn", attention(d, nhead, o))),
      linear1(add("linear1", Linear(d, o.dim_feedforward, {.generator = o.generator}))),
      dropout(add("dropout", dropped(o))),
      linear2(add("linear2", Linear(o.dim_feedforward, d, {.generator = o.generator}))),
      norm1(add("norm1", LayerNorm(d, {.eps = o.layer_norm_eps}))),
      norm2(add("norm2", LayerNorm(d, {.eps = o.layer_norm_eps}))),
      dropout1(add("dropout1", dropped(o))),
      dropout2(add("dropout2", dropped(o))),
      d_model_(d),
      nhead_(nhead),
      options_(o) {}

Tensor TransformerEncoderLayer::operator()(const Tensor& src_in, const EncoderCall& call) const {
  return detail::call_within(*this, src_in, [&](const Tensor& src) {
    limpid::detail::require_defined("TransformerEncoderLayer", "src", src);
    const bool first = options_.norm_first;
    const Tensor x = added_to(src, norm1, dropout1, first, [&](const Tensor& z) {
      return self_attn(z, z, z,
                       {.key_padding_mask = call.src_key_padding_mask,
                        .attn_mask = call.src_mask,
                        .causal = call.causal,
                        .need_weights = false})
          .output;
    });
    return added_to(x, norm2, dropout2, first,
                    [&](const Tensor& z) { return fed_forward(*this, options_.activation, z); });
  });
}

TransformerDecoderLayer::TransformerDecoderLayer(int64_t d, int64_t nhead, const TransformerOptions& o)
    : TransformerDecoderLayer(d, nhead, o, detail::Drawing(o.generator)) {}
TransformerDecoderLayer::TransformerDecoderLayer(int64_t d, int64_t nhead, const TransformerOptions& o,
                                                 const detail::Drawing&)
    : Module("TransformerDecoderLayer", checked_arguments("TransformerDecoderLayer", d, nhead, o)),
      self_attn(add("self_attn", attention(d, nhead, o))),
      multihead_attn(add("multihead_attn", attention(d, nhead, o))),
      linear1(add("linear1", Linear(d, o.dim_feedforward, {.generator = o.generator}))),
      dropout(add("dropout", dropped(o))),
      linear2(add("linear2", Linear(o.dim_feedforward, d, {.generator = o.generator}))),
      norm1(add("norm1", LayerNorm(d, {.eps = o.layer_norm_eps}))),
      norm2(add("norm2", LayerNorm(d, {.eps = o.layer_norm_eps}))),
      norm3(add("norm3", LayerNorm(d, {.eps = o.layer_norm_eps}))),
      dropout1(add("dropout1", dropped(o))),
      dropout2(add("dropout2", dropped(o))),
      dropout3(add("dropout3", dropped(o))),
      d_model_(d),
      nhead_(nhead),
      options_(o) {}

Tensor TransformerDecoderLayer::operator()(const Tensor& tgt_in, const Tensor& memory_in,
                                           const DecoderCall& call) const {
  return detail::call_within(*this, std::tie(tgt_in, memory_in), [&](const Tensor& tgt, const Tensor& memory) {
    limpid::detail::require_defined("TransformerDecoderLayer", "tgt", tgt);
    limpid::detail::require_defined("TransformerDecoderLayer", "memory", memory);
    const bool first = options_.norm_first;
    Tensor x = added_to(tgt, norm1, dropout1, first, [&](const Tensor& z) {
      return self_attn(z, z, z,
                       {.key_padding_mask = call.tgt_key_padding_mask,
                        .attn_mask = call.tgt_mask,
                        .causal = call.tgt_causal,
                        .need_weights = false})
          .output;
    });
    x = added_to(x, norm2, dropout2, first, [&](const Tensor& z) {
      return multihead_attn(z, memory, memory,
                            {.key_padding_mask = call.memory_key_padding_mask,
                             .attn_mask = call.memory_mask,
                             .need_weights = false})
          .output;
    });
    return added_to(x, norm3, dropout3, first,
                    [&](const Tensor& z) { return fed_forward(*this, options_.activation, z); });
  });
}

// The first layer like the given one, the others of its kind with values of their own.
struct detail::Stacking {
  template <class Layer>
  static ModuleList<Layer> stack(const char* type, const Layer& layer, int64_t count) {
    expect(type, {{"num_layers", count, stacked_layers}});
    const Drawing drawing(layer.options_.generator);
    ModuleList<Layer> layers;
    for (int64_t i = 0; i < count; ++i) {
      const Layer item = clone(layer);
      if (i > 0) take_values(item, Layer(layer.d_model_, layer.nhead_, layer.options_));
      layers.append(item);
    }
    return layers;
  }

 private:
  // A clone has all that is frozen, tied, converted, normalised or set to evaluate in what it is of; it takes the
  // values of a fresh layer. What a normalised weight is made of has another name, and keeps its magnitudes.
  static void take_values(const Module& item, const Module& fresh) {
    const TensorMap values = fresh.state_dict();
    for (auto& [name, x] : item.state_dict()) {
      std::string plain = name;
      for (const std::string end : {"_v", "_orig"})
        if (name.ends_with(end)) plain.resize(name.size() - end.size());
      const auto value = values.find(plain);
      if (value != values.end() && value->second.shape() == x.shape()) x.copy_(value->second);
    }
  }
};

TransformerEncoder::TransformerEncoder(const TransformerEncoderLayer& layer, int64_t num_layers,
                                       const TransformerStackOptions& options)
    : Module("TransformerEncoder"),
      layers(add("layers", detail::Stacking::stack("TransformerEncoder", layer, num_layers))) {
  if (options.norm) norm.emplace(add("norm", *options.norm));
}
Tensor TransformerEncoder::operator()(const Tensor& src_in, const EncoderCall& call) const {
  return detail::call_within(*this, src_in, [&](const Tensor& src) {
    Tensor x = src;
    for (const TransformerEncoderLayer& layer : layers) x = layer(x, call);
    return norm ? (*norm)(x) : x;
  });
}

TransformerDecoder::TransformerDecoder(const TransformerDecoderLayer& layer, int64_t num_layers,
                                       const TransformerStackOptions& options)
    : Module("TransformerDecoder"),
      layers(add("layers", detail::Stacking::stack("TransformerDecoder", layer, num_layers))) {
  if (options.norm) norm.emplace(add("norm", *options.norm));
}
Tensor TransformerDecoder::operator()(const Tensor& tgt_in, const Tensor& memory_in, const DecoderCall& call) const {
  return detail::call_within(*this, std::tie(tgt_in, memory_in), [&](const Tensor& tgt, const Tensor& memory) {
    Tensor x = tgt;
    for (const TransformerDecoderLayer& layer : layers) x = layer(x, memory, call);
    return norm ? (*norm)(x) : x;
  });
}

}  // namespace limpid::nn
