#!/usr/bin/env python3
"""Makes tests/data/instance_norm.npz with PyTorch (Debian's python3-torch, 1.13.1): a third oracle beside finite
differences and composed primitive ops.

A case is named like "4d.weight.bias.input.eps1": rank, the affine terms present, where the statistics come from (input;
update: the input, with buffers that PyTorch then updates; buffers), eps. Its members: x, dy, weight, bias, mean, var
(the buffers before), new_mean, new_var (after), and PyTorch's y, dx, dweight, dbias. All float64.
"""
import itertools
import pathlib

import numpy
import torch

torch.manual_seed(0)
SPATIAL = {"3d": (5,), "4d": (3, 2), "5d": (2, 1, 3), "s1": (1, 1)}
N, C, MOMENTUM = 2, 3, 0.1


def case(rank, weight, bias, source, eps):
    x = (torch.randn(N, C, *SPATIAL[rank], dtype=torch.float64) * 2 + 1).requires_grad_()
    dy = torch.randn_like(x)
    w = torch.randn(C, dtype=torch.float64).requires_grad_() if weight else None
    b = torch.randn(C, dtype=torch.float64).requires_grad_() if bias else None
    with_buffers = source != "input"
    mean = torch.randn(C, dtype=torch.float64) if with_buffers else None
    var = torch.rand(C, dtype=torch.float64) + 0.5 if with_buffers else None
    members = {"x": x, "dy": dy, "weight": w, "bias": b}
    if with_buffers:
        members |= {"mean": mean.clone(), "var": var.clone()}
    y = torch.instance_norm(x, w, b, mean, var, source != "buffers", MOMENTUM, eps, False)
    y.backward(dy)
    members |= {"y": y, "dx": x.grad, "dweight": w.grad if weight else None, "dbias": b.grad if bias else None}
    if source == "update":
        members |= {"new_mean": mean, "new_var": var}
    return {key: value.detach().numpy() for key, value in members.items() if value is not None}


vectors = {}
for rank, weight, bias, source, eps in itertools.product(
    SPATIAL, (False, True), (False, True), ("input", "update", "buffers"), (1e-5, 1.0)
):
    # One element per instance has no unbiased variance: PyTorch's update gives NaN there.
    if rank == "s1" and source == "update":
        continue
    name = ".".join([rank] + ["weight"] * weight + ["bias"] * bias + [source, "eps1" if eps == 1.0 else "eps1e-5"])
    vectors |= {f"{name}/{key}": value for key, value in case(rank, weight, bias, source, eps).items()}

path = pathlib.Path(__file__).parent.parent / "data" / "instance_norm.npz"
numpy.savez_compressed(path, **vectors)
print(path.name, len({key.split("/")[0] for key in vectors}), "cases,", path.stat().st_size, "bytes")
