#!/usr/bin/env python3
"""Makes tests/data/running_stats.npz with PyTorch (Debian's python3-torch, 1.13.1): running statistics under each rule.

A case is named RULE.MOMENTUM.RANK, with MOMENTUM a number or "none" (the plain mean over batches). Its members: mean and
var, the buffers before; x0, x1, x2, the batches; mean0, var0 and so on, the buffers after each. All float64.
per_instance and pooled_unbiased are what torch.instance_norm and torch.batch_norm write; PyTorch has no rule for pooled,
whose statistics are torch.var_mean's.
"""
import itertools
import pathlib

import numpy
import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
SPATIAL = {"2d": (), "3d": (5,), "5d": (2, 1, 3)}
C = 3


def update(rule, x, mean, var, momentum):
    if rule == "per_instance":
        torch.instance_norm(x, None, None, mean, var, True, momentum, 1e-5, False)
    elif rule == "pooled_unbiased":
        torch.batch_norm(x, None, None, mean, var, True, momentum, 1e-5, False)
    else:
        v, m = torch.var_mean(x, [0] + list(range(2, x.dim())), unbiased=False)
        mean.lerp_(m, momentum)
        var.lerp_(v, momentum)


vectors = {}
for rule, momentum, rank in itertools.product(("per_instance", "pooled", "pooled_unbiased"), (0.3, None), SPATIAL):
    if rule == "per_instance" and rank == "2d":
        continue
    mean, var = torch.randn(C), torch.rand(C) + 0.5
    members = {"mean": mean.clone(), "var": var.clone()}
    for i in range(3):
        x = torch.randn(2 + i, C, *SPATIAL[rank]) * 2 + i
        update(rule, x, mean, var, 1 / (i + 1) if momentum is None else momentum)
        members |= {f"x{i}": x, f"mean{i}": mean.clone(), f"var{i}": var.clone()}
    name = f"{rule}.{'none' if momentum is None else momentum}.{rank}"
    vectors |= {f"{name}/{key}": value.numpy() for key, value in members.items()}

path = pathlib.Path(__file__).parent.parent / "data" / "running_stats.npz"
numpy.savez_compressed(path, **vectors)
print(path.name, len({key.split("/")[0] for key in vectors}), "cases,", path.stat().st_size, "bytes")
