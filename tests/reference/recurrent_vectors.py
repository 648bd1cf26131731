#!/usr/bin/env python3
"""Makes tests/data/recurrent.npz with PyTorch (Debian's python3-torch, 1.13.1): its recurrent layers, all float64.

CASE/state/NAME    parameters under PyTorch's names
CASE/x, h0, c0     what the layer is given; lengths, where sequences have some
CASE/y, h, c       what it gives
CASE/dx, dh0, dc0, grad/NAME   gradients of sum(y cos(i)) + sum(h sin(i)) + sum(c sin(2 i)) over the i-th elements
"""
import pathlib

import numpy
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
vectors = {}
IN, HIDDEN, STEPS, BATCH = 3, 5, 4, 3


def weighed(t, f):
    return (t * f(torch.arange(t.numel()).double().reshape(t.shape))).sum()


def case(name, module, lengths=None, batched=True):
    put = lambda key, value: vectors.__setitem__(f"{name}/{key}", value.detach().clone().numpy())
    is_lstm = isinstance(module, nn.LSTM)
    rows = module.num_layers * (2 if module.bidirectional else 1)
    batch = (BATCH,) if batched else ()
    shape = (BATCH, STEPS, IN) if module.batch_first and batched else (STEPS, *batch, IN)
    x = torch.randn(*shape).requires_grad_()
    h0 = torch.randn(rows, *batch, getattr(module, "proj_size", 0) or HIDDEN).requires_grad_()
    c0 = torch.randn(rows, *batch, HIDDEN).requires_grad_()
    given = x
    if lengths is not None:
        given = pack_padded_sequence(x, torch.tensor(lengths), module.batch_first, enforce_sorted=False)
        vectors[f"{name}/lengths"] = numpy.array(lengths)
    y, state = module(given, (h0, c0) if is_lstm else h0)
    if lengths is not None:
        y, _ = pad_packed_sequence(y, module.batch_first, total_length=STEPS)
    h, c = state if is_lstm else (state, None)
    loss = weighed(y, torch.cos) + weighed(h, torch.sin)
    if is_lstm:
        loss = loss + weighed(c, lambda i: torch.sin(2 * i))
    loss.backward()
    results = {"x": x, "h0": h0, "y": y, "h": h, "dx": x.grad, "dh0": h0.grad}
    if is_lstm:
        results |= {"c0": c0, "c": c, "dc0": c0.grad}
    for key, value in results.items():
        put(key, value)
    for key, value in module.named_parameters():
        put(f"state/{key}", value)
        put(f"grad/{key}", value.grad)


case("rnn", nn.RNN(IN, HIDDEN))
case("rnn relu", nn.RNN(IN, HIDDEN, 2, nonlinearity="relu", bias=False, bidirectional=True, batch_first=True))
case("gru", nn.GRU(IN, HIDDEN, 2, bidirectional=True))
case("gru plain", nn.GRU(IN, HIDDEN, bias=False, batch_first=True))
case("lstm", nn.LSTM(IN, HIDDEN, 2, bidirectional=True))
case("lstm projected", nn.LSTM(IN, HIDDEN, 2, bidirectional=True, proj_size=2))
case("lstm unbatched", nn.LSTM(IN, HIDDEN), batched=False)
for lengths in ([2, 4, 1], [4, 3, 3]):
    end = " ".join(map(str, lengths))
    case(f"rnn lengths {end}", nn.RNN(IN, HIDDEN, bidirectional=True), lengths)
    case(f"gru lengths {end}", nn.GRU(IN, HIDDEN, 2, bidirectional=True), lengths)
    case(f"lstm lengths {end}", nn.LSTM(IN, HIDDEN, 2, bidirectional=True, proj_size=2, batch_first=True), lengths)

numpy.savez_compressed(pathlib.Path(__file__).parent.parent / "data" / "recurrent.npz", **vectors)
