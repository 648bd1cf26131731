#!/usr/bin/env python3
"""Makes tests/data/modules.npz with PyTorch (Debian's python3-torch, 1.13.1): what its modules and optimisers do with
given numbers, all float64.

norm/CASE/    weight, bias; x0, x1, x2 and y0, y1, y2: three batches in training; the buffers after them; y: x0 again, in
              evaluation.
optim/CASE/   x0, then x after each of ten steps (10, 5), with the gradients dx (10, 5); what the optimiser keeps.
net/          a small network: state/NAME under PyTorch's own names; x, dy; y, dx and grad/NAME.
clip/         gradients a and b, clipped to norm 1.5 as a2 and b2 (2-norm) and as ainf and binf (largest magnitude).
"""
import pathlib

import numpy
import torch
from torch import nn

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
vectors = {}


def norm(name, module, shape):
    put = lambda key, value: vectors.__setitem__(f"norm/{name}/{key}", value.detach().clone().numpy())
    for key, value in module.named_parameters():
        nn.init.normal_(value)
        put(key, value)
    xs = [torch.randn(*shape) * 2 + i for i in range(3)]
    for i, x in enumerate(xs):
        put(f"x{i}", x)
        put(f"y{i}", module(x))
    for key, value in module.named_buffers():
        put(key, value)
    module.eval()
    put("y", module(xs[0]))


for axes, spatial in ((1, (5,)), (2, (3, 2)), (3, (2, 1, 3))):
    instance, batch = getattr(nn, f"InstanceNorm{axes}d"), getattr(nn, f"BatchNorm{axes}d")
    norm(f"InstanceNorm{axes}d", instance(3), (2, 3, *spatial))
    norm(f"InstanceNorm{axes}d.tracking", instance(3, momentum=0.3, affine=True, track_running_stats=True), (2, 3, *spatial))
    norm(f"InstanceNorm{axes}d.unbatched", instance(3, affine=True, track_running_stats=True), (3, *spatial))
    norm(f"BatchNorm{axes}d", batch(3, eps=1e-3), (2, 3, *spatial))
    norm(f"BatchNorm{axes}d.cumulative", batch(3, momentum=None, affine=False), (2, 3, *spatial))
    norm(f"BatchNorm{axes}d.free", batch(3, track_running_stats=False), (2, 3, *spatial))
norm("BatchNorm1d.rank2", nn.BatchNorm1d(3), (4, 3))
norm("GroupNorm", nn.GroupNorm(2, 4), (2, 4, 3))
norm("LayerNorm", nn.LayerNorm([4, 3]), (2, 4, 3))

optimizers = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd.decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.2)),
    "sgd.momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.2)),
    "sgd.nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.2)),
    "adam": (torch.optim.Adam, dict(lr=0.1)),
    "adam.decay": (torch.optim.Adam, dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2)),
    "adam.amsgrad": (torch.optim.Adam, dict(lr=0.1, amsgrad=True)),
    "adamw": (torch.optim.AdamW, dict(lr=0.1)),
    "adamw.amsgrad": (torch.optim.AdamW, dict(lr=0.1, weight_decay=0.2, amsgrad=True)),
}
for name, (optimizer, options) in optimizers.items():
    x = torch.randn(5).requires_grad_()
    vectors[f"optim/{name}/x0"] = x.detach().clone().numpy()
    dx, steps = torch.randn(10, 5), []
    opt = optimizer([x], **options)
    for i in range(10):
        x.grad = dx[i].clone()
        opt.step()
        steps.append(x.detach().clone().numpy())
    vectors |= {f"optim/{name}/dx": dx.numpy(), f"optim/{name}/x": numpy.stack(steps)}
    for key, value in opt.state[x].items():
        if key != "step" and value is not None:
            vectors[f"optim/{name}/{key}"] = value.numpy()


class Block(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.InstanceNorm2d(n_out, affine=True, track_running_stats=True)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


net = nn.Sequential(
    Block(1, 3), nn.MaxPool2d(2), nn.Sequential(Block(3, 4), nn.AvgPool2d(2)), nn.Flatten(), nn.Linear(16, 2)
)
for value in net.parameters():
    nn.init.normal_(value, std=0.5)
for key, value in net.state_dict().items():
    vectors[f"net/state/{key}"] = value.clone().numpy()
x, dy = torch.randn(2, 1, 8, 8).requires_grad_(), torch.randn(2, 2)
y = net(x)
y.backward(dy)
vectors |= {"net/x": x.detach().numpy(), "net/dy": dy.numpy(), "net/y": y.detach().numpy(), "net/dx": x.grad.numpy()}
for key, value in net.named_parameters():
    vectors[f"net/grad/{key}"] = value.grad.numpy()

a, b = torch.randn(2, 3).requires_grad_(), torch.randn(4).requires_grad_()
grads = torch.randn(2, 3), torch.randn(4)
vectors |= {"clip/a": grads[0].numpy(), "clip/b": grads[1].numpy()}
for p in (2.0, float("inf")):
    a.grad, b.grad = grads[0].clone(), grads[1].clone()
    total = nn.utils.clip_grad_norm_([a, b], 1.5, p)
    vectors |= {f"clip/a{p:.0f}": a.grad.numpy(), f"clip/b{p:.0f}": b.grad.numpy(), f"clip/norm{p:.0f}": total.numpy()}

path = pathlib.Path(__file__).parent.parent / "data" / "modules.npz"
numpy.savez_compressed(path, **vectors)
print(path.name, len(vectors), "members,", path.stat().st_size, "bytes")
