#!/usr/bin/env python3
"""Makes tests/data/weights.npz with PyTorch (Debian's python3-torch, 1.13.1): what its torch.nn.utils.weight_norm and
spectral_norm do with given numbers, all float64.

CASE/state/NAME    what the module begins with, under PyTorch's own names
CASE/x, dy         its input, and the gradient of its output
CASE/y, dx, grad/NAME  in training
CASE/after/NAME    the buffers after two more calls in training
CASE/eval          x once more, in evaluation
"""
import pathlib

import numpy
import torch
from torch import nn
from torch.nn.utils import spectral_norm, weight_norm

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
vectors = {}


def case(name, module, *shape):
    put = lambda key, value: vectors.__setitem__(f"{name}/{key}", value.detach().clone().numpy())
    for key, value in module.state_dict().items():
        put(f"state/{key}", value)
    x = torch.randn(*shape).requires_grad_()
    first = lambda y: y[0] if isinstance(y, tuple) else y
    y = first(module(x))
    dy = torch.randn(*y.shape)
    y.backward(dy)
    for key, value in {"x": x, "dy": dy, "y": y, "dx": x.grad}.items():
        put(key, value)
    for key, value in module.named_parameters():
        put(f"grad/{key}", value.grad)
    module(x), module(x)
    for key, value in module.named_buffers():
        put(f"after/{key}", value)
    put("eval", first(module.eval()(x)))


case("length/linear", weight_norm(nn.Linear(3, 2)), 4, 3)
case("length/linear.axis1", weight_norm(nn.Linear(3, 2), dim=1), 4, 3)
case("length/linear.whole", weight_norm(nn.Linear(3, 2), dim=None), 4, 3)
case("length/conv", weight_norm(nn.Conv2d(2, 3, 2)), 2, 2, 4, 3)
case("length/transposed", weight_norm(nn.ConvTranspose1d(2, 3, 2), dim=1), 2, 2, 4)
case("length/lstm", weight_norm(nn.LSTM(3, 2), "weight_hh_l0"), 4, 1, 3)
case("spectral/linear", spectral_norm(nn.Linear(3, 2)), 4, 3)
case("spectral/linear.thrice", spectral_norm(nn.Linear(3, 5), n_power_iterations=3), 4, 3)
case("spectral/conv", spectral_norm(nn.Conv2d(2, 3, 2)), 2, 2, 4, 3)
case("spectral/transposed", spectral_norm(nn.ConvTranspose2d(2, 3, 2)), 2, 2, 4, 3)

path = pathlib.Path(__file__).parent.parent / "data" / "weights.npz"
numpy.savez_compressed(path, **vectors)
print(path.name, len(vectors), "members,", path.stat().st_size, "bytes")
