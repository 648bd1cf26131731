#!/usr/bin/env python3
"""Makes tests/data/attention.npz with PyTorch (Debian's python3-torch, 1.13.1): its attention layers, all float64, without
dropout, in training (evaluation takes another path).

CASE/state/NAME    parameters under PyTorch's names
CASE/x0, x1, ...   what the layer is given
CASE/y0, y1, ...   what it gives
CASE/dx0, ..., grad/NAME   gradients of sum(y0 cos(i)) over the i-th elements
Masks stand in tests/nn/layers/test_attention.cpp as they do here.
"""
import pathlib

import numpy
import torch
from torch import nn

torch.manual_seed(3)
torch.set_default_dtype(torch.float64)
vectors = {}


def case(name, module, run, *shapes):
    put = lambda key, value: vectors.__setitem__(f"{name}/{key}", value.detach().clone().numpy())
    for value in module.parameters():
        nn.init.normal_(value, 0.1, 0.4)
    xs = [torch.randn(*shape).requires_grad_() for shape in shapes]
    ys = run(module, *xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    loss = (ys[0] * torch.cos(torch.arange(ys[0].numel()).double().reshape(ys[0].shape))).sum()
    loss.backward()
    for i, x in enumerate(xs):
        put(f"x{i}", x)
        put(f"dx{i}", x.grad)
    for i, y in enumerate(ys):
        if y is not None:
            put(f"y{i}", y)
    for key, value in module.named_parameters():
        put(f"state/{key}", value)
        put(f"grad/{key}", value.grad)


padding = torch.tensor([[False, False, False, False, True], [False, True, False, False, False]])
blocked = torch.triu(torch.ones(4, 5), 2).bool()
bias = torch.linspace(-1, 1, 20).reshape(4, 5)
case("mha", nn.MultiheadAttention(6, 2), lambda m, q, k, v: m(q, k, v, key_padding_mask=padding, attn_mask=blocked), (4, 2, 6), (5, 2, 6), (5, 2, 6))
case("mha self", nn.MultiheadAttention(6, 3, bias=False, batch_first=True), lambda m, x: m(x, x, x, average_attn_weights=False), (2, 4, 6))
case("mha sizes", nn.MultiheadAttention(6, 2, kdim=3, vdim=7), lambda m, q, k, v: m(q, k, v, attn_mask=bias), (4, 2, 6), (5, 2, 3), (5, 2, 7))
case("mha unbatched", nn.MultiheadAttention(6, 2), lambda m, q, k: m(q, k, k, need_weights=False), (4, 6), (5, 6))
causal = torch.triu(torch.ones(4, 4), 1).bool()
case("encoder layer", nn.TransformerEncoderLayer(6, 2, 8, 0.0), lambda m, x: m(x, src_key_padding_mask=padding[:, 1:]), (4, 2, 6))
case("encoder layer first", nn.TransformerEncoderLayer(6, 2, 8, 0.0, "gelu", 1e-3, True, True), lambda m, x: m(x, src_mask=causal), (2, 4, 6))
case("decoder layer", nn.TransformerDecoderLayer(6, 2, 8, 0.0), lambda m, x, y: m(x, y, tgt_mask=causal, memory_key_padding_mask=padding), (4, 2, 6), (5, 2, 6))
case("decoder layer first", nn.TransformerDecoderLayer(6, 2, 8, 0.0, "gelu", 1e-5, True, True), lambda m, x, y: m(x, y), (2, 4, 6), (2, 5, 6))
case("encoder", nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, 0.0), 2, nn.LayerNorm(6)), lambda m, x: m(x), (4, 2, 6))
case("decoder", nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, 0.0), 2), lambda m, x, y: m(x, y), (4, 2, 6), (5, 2, 6))

numpy.savez_compressed(pathlib.Path(__file__).parent.parent / "data" / "attention.npz", **vectors)
