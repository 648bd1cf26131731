#!/usr/bin/env python3
"""Makes tests/data/ops.npz: what PyTorch (Debian's python3-torch, 1.13) gives for each row of the op table, in float64.

op_vectors.py INPUTS, which `limpid_coverage --inputs INPUTS` wrote: each row's inputs as limpid draws them, rounded to
float32, so that one set of numbers serves both dtypes. They are not kept: the tests draw them again.

names    the rows' names, a line each, as bytes
counts   how many numbers each row has
values   of each row the weighed sum of its inputs, sum_i x_i cos(i) over all of them in a row, by which the tests see that
         they draw the same; its results; and the gradients of its floating-point inputs, of sum_i y_i cos(i) over all
         floating-point results in a row. Tensors in row-major order.

A row's line is PyTorch's function where that gives values and all gradients. Where it lacks an option or a gradient (of
weights of losses, running statistics), or is wrong (of several values written to one place all get the gradient; those
of digamma and hardsigmoid have 9 and 7 digits), the line is made of others.
"""
import math
import os
import pathlib
import sys

try:
    import numpy
    import torch
    from torch.nn import functional as F
except ImportError:
    if os.path.realpath(sys.executable) == os.path.realpath("/usr/bin/python3"):
        sys.exit("op_vectors: expected python3-torch and python3-numpy")
    os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])  # Debian's, where its packages are

torch.set_default_dtype(torch.float64)
inf = math.inf


def eye_like(x):
    return torch.eye(x.shape[-1])


def regular(x):
    return x + 5 * eye_like(x)


def definite(x):
    return x @ x.mT + eye_like(x)


def symmetric(x):
    return x + x.mT


def moments(x, axes, keepdim=False):
    return [x.mean(axes, keepdim), x.var(axes, unbiased=False, keepdim=keepdim)]


class Digamma(torch.autograd.Function):
    """digamma, with a gradient in long double: PyTorch's is 5e-10 off."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.digamma(x)

    @staticmethod
    def backward(ctx, dy):
        x = ctx.saved_tensors[0].numpy().astype(numpy.longdouble)
        total = sum(1 / (x + i) ** 2 for i in range(40))  # then the asymptotic series
        x = x + 40
        bernoulli = (1 / 6, -1 / 30, 1 / 42, -1 / 30)
        total = total + 1 / x + 1 / (2 * x**2) + sum(b / x ** (2 * k + 3) for k, b in enumerate(bernoulli))
        return dy * torch.from_numpy(total.astype(numpy.float64))


def last_wins(x, axis, index, source):
    """scatter() of which the last value for a place has the gradient."""
    y = x.clone()
    for at in numpy.ndindex(*index.shape):
        to = list(at)
        to[axis] = index[at].item()
        y[tuple(to)] = source[at]
    return y


def weight_gradient(x, dy, shape, **options):
    w = torch.zeros(shape, requires_grad=True)
    return torch.autograd.grad(F.conv2d(x, w, **options), w, dy, create_graph=True)[0]


def svd(x):
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    return [s, u**2, vh**2]


def eigh(x):
    values, vectors = torch.linalg.eigh(x)
    return [values, vectors**2]


def lstsq(a, b):
    x = torch.linalg.pinv(a) @ b
    return [x, ((b - a @ x) ** 2).sum(-2)]


def valid_norm(x, valid, groups, weight, bias):
    """Of groups of channels over the elements that are valid; 0 elsewhere."""
    rest = [1] * (x.dim() - 2)
    split, valid = x.unflatten(1, (groups, -1)), valid.double()
    axes, counted = tuple(range(2, x.dim() + 1)), valid.unsqueeze(1).expand(x.shape[0], 1, x.shape[1] // groups, *x.shape[2:])
    count = counted.sum(axes, keepdim=True)
    mean = (split * counted).sum(axes, keepdim=True) / count
    var = ((split - mean) ** 2 * counted).sum(axes, keepdim=True) / count
    y = ((split - mean) / (var + 1e-5).sqrt()).flatten(1, 2)
    return (y * weight.reshape(-1, *rest) + bias.reshape(-1, *rest)) * valid


def prefixes(lengths, shape):
    valid = torch.ones(len(lengths), 1, *shape, dtype=torch.bool)
    for n, sizes in enumerate(lengths):
        for axis, size in enumerate(sizes):
            valid[n].narrow(axis + 1, size, shape[axis] - size).fill_(False)
    return valid


def channels(w, x):
    return w.reshape(*w.shape, *[1] * (x.dim() - 2))


def by_statistics(x, mean, var, weight, bias):
    return (x - channels(mean, x)) / (channels(var, x) + 1e-5).sqrt() * channels(weight, x) + channels(bias, x)


def rms_norm(x, axes, weight, eps=1e-5):
    return x / (x.square().mean(axes, keepdim=True) + eps).sqrt() * weight


def constants(xs):
    return [x.detach() for x in xs]


def same(composed, function):
    """What is differentiable by all of its operands, having the values of PyTorch's own."""
    assert torch.allclose(composed, function, rtol=1e-13, atol=1e-14), (composed, function)
    return composed


def cross_entropy(x, t, weight, smoothing, ignore=-100):
    """The mean over classes."""
    logs, kept = F.log_softmax(x, 1), t != ignore
    one = F.one_hot(t, x.shape[1])
    soft = (1 - smoothing) * one + smoothing / x.shape[1]
    weighed = (-(logs * soft * weight).sum(1) * kept).sum() / (weight[t] * kept).sum()
    return same(weighed, F.cross_entropy(x, t, weight.detach(), ignore_index=ignore, label_smoothing=smoothing))


def nll(x, t, weight, ignore):
    kept = weight[t] * (t != ignore)
    return same((-x.gather(1, t.unsqueeze(1)).squeeze(1) * kept).sum() / kept.sum(), F.nll_loss(x, t, weight.detach(), ignore_index=ignore))


def bce_with_logits(x, t, weight, pos_weight):
    each = -weight * (pos_weight * t * F.logsigmoid(x) + (1 - t) * F.logsigmoid(-x))
    return same(each.mean(), F.binary_cross_entropy_with_logits(x, t, weight.detach().expand_as(x), pos_weight=pos_weight.detach()))


def bce(x, t, weight):
    return same(-weight * (t * x.log() + (1 - t) * (1 - x).log()), F.binary_cross_entropy(x, t, weight.detach(), reduction="none"))


def ctc(x, targets, lengths):
    """Of log-probabilities as they are (PyTorch's gradient is that behind a log_softmax), each sample's loss."""
    losses = []
    for n, (target, length) in enumerate(zip(targets, lengths)):
        states = [0] + [s for t in target for s in (t, 0)]
        none = torch.tensor(-inf)
        alpha = [x[0, n, states[0]], x[0, n, states[1]]] + [none] * (len(states) - 2)
        for t in range(1, length):
            ways = [[s, s - 1] + ([s - 2] if s > 1 and states[s] and states[s] != states[s - 2] else []) for s in range(len(states))]
            reached = [[alpha[i] for i in way if i >= 0 and alpha[i] != -inf] for way in ways]
            alpha = [torch.logsumexp(torch.stack(a), 0) + x[t, n, states[s]] if a else none for s, a in enumerate(reached)]
        losses.append(-torch.logaddexp(alpha[-1], alpha[-2]))
    return torch.stack(losses)


def ctc_mean(x):
    each = ctc(x, [[1, 1], [3]], [5, 4])
    same(each / torch.tensor([2, 1]), F.ctc_loss(x.detach(), torch.tensor([[1, 1], [3, 2]]), torch.tensor([5, 4]), torch.tensor([2, 1]), reduction="none") / torch.tensor([2, 1]))
    return (each / torch.tensor([2, 1])).mean()


def step(kind, x, h, c, w_ih, w_hh, b_ih, b_hh):
    if kind == "lstm":
        i, f, g, o = (x @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    cell = {"rnn": torch.rnn_tanh_cell, "relu": torch.rnn_relu_cell, "gru": torch.gru_cell}[kind]
    return cell(x, h, w_ih, w_hh, b_ih, b_hh), None


def recurrence(kind, x, lengths=None, reverse=False):
    """The operands of a row of recurrent.cpp, one sample after another."""
    x, h0, *weights = x
    c0, w_hr = [weights.pop(4) if len(weights) > 4 else None for _ in range(2)]
    samples, states = [], []
    for n in range(x.shape[1]):
        length = x.shape[0] if lengths is None else lengths[n]
        h, c = h0[n : n + 1], None if c0 is None else c0[n : n + 1]
        ys = [torch.zeros(1, h0.shape[1])] * x.shape[0]
        for t in reversed(range(length)) if reverse else range(length):
            h, c = step(kind, x[t, n : n + 1], h, c, *weights)
            if w_hr is not None:
                h = h @ w_hr.T
            ys[t] = h
        samples.append(torch.cat(ys))
        states.append((h, c))
    return [torch.stack(samples, 1), *[torch.cat(s) for s in zip(*states) if s[0] is not None]]


def lstm_cell(x, h, w_ih, w_hh, b_ih, b_hh, c):
    return list(torch.lstm_cell(x, (h, c), w_ih, w_hh, b_ih, b_hh))


def attention(q, k, v, mask=None, scale=None):
    scores = q @ k.mT * (scale or 1 / math.sqrt(q.shape[-1]))
    if mask is not None:
        scores = scores.masked_fill(~mask, -inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1)
    return weights if v is None else weights @ v


def below(rows, columns, diagonal=0):
    return torch.ones(rows, columns, dtype=torch.bool).tril(diagonal)


UP = dict(stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2)
FOLD = dict(kernel_size=(2, 3), dilation=(1, 2), padding=1, stride=(2, 1))

# By row; x are its inputs. A list is of several results.
ROWS = {
    # elementwise.cpp: arithmetic
    "add": lambda x: x[0] + x[1],
    "add (broadcast)": lambda x: x[0] + x[1],
    "add (both broadcast)": lambda x: x[0] + x[1],
    "add (scalar)": lambda x: x[0] + 1.5,
    "sub": lambda x: x[0] - x[1],
    "sub (scalar right)": lambda x: x[0] - 1.5,
    "sub (scalar left)": lambda x: 1.5 - x[0],
    "mul": lambda x: x[0] * x[1],
    "mul (broadcast)": lambda x: x[0] * x[1],
    "mul (scalar)": lambda x: x[0] * -2.5,
    "div": lambda x: x[0] / x[1],
    "div (broadcast)": lambda x: x[0] / x[1],
    "div (scalar right)": lambda x: x[0] / 3.0,
    "div (scalar left)": lambda x: 3.0 / x[0],
    "remainder": lambda x: torch.remainder(x[0], x[1]),
    "remainder (scalar)": lambda x: torch.remainder(x[0], 1.0),
    "fmod": lambda x: torch.fmod(x[0], x[1]),
    "fmod (scalar)": lambda x: torch.fmod(x[0], 1.0),
    "floor_divide": lambda x: torch.floor_divide(x[0].detach(), x[1].detach()),
    "floor_divide (scalar)": lambda x: torch.floor_divide(x[0].detach(), 1.0),
    "pow": lambda x: x[0] ** x[1],
    "pow (scalar right)": lambda x: x[0] ** 2.5,
    "pow (scalar left)": lambda x: 2.5 ** x[0],
    "maximum": lambda x: torch.maximum(x[0], x[1]),
    "minimum": lambda x: torch.minimum(x[0], x[1]),
    "neg": lambda x: -x[0],
    "atan2": lambda x: torch.atan2(x[0], x[1]),
    "atan2 (broadcast)": lambda x: torch.atan2(x[0], x[1]),
    "hypot": lambda x: torch.hypot(x[0], x[1]),
    "logaddexp": lambda x: torch.logaddexp(x[0], x[1]),
    "xlogy": lambda x: torch.xlogy(x[0], x[1]),
    "lerp": lambda x: torch.lerp(x[0], x[1], 0.75),
    "lerp (tensor)": lambda x: torch.lerp(x[0], x[1], x[2]),
    # functions
    "exp": lambda x: torch.exp(x[0]),
    "log": lambda x: torch.log(x[0]),
    "exp2": lambda x: torch.exp2(x[0]),
    "expm1": lambda x: torch.expm1(x[0]),
    "log2": lambda x: torch.log2(x[0]),
    "log10": lambda x: torch.log10(x[0]),
    "log1p": lambda x: torch.log1p(x[0]),
    "sqrt": lambda x: torch.sqrt(x[0]),
    "rsqrt": lambda x: torch.rsqrt(x[0]),
    "reciprocal": lambda x: torch.reciprocal(x[0]),
    "abs": lambda x: torch.abs(x[0]),
    "sign": lambda x: torch.sign(x[0]),
    "square": lambda x: torch.square(x[0]),
    "sin": lambda x: torch.sin(x[0]),
    "cos": lambda x: torch.cos(x[0]),
    "tan": lambda x: torch.tan(x[0]),
    "asin": lambda x: torch.asin(x[0]),
    "acos": lambda x: torch.acos(x[0]),
    "atan": lambda x: torch.atan(x[0]),
    "sinh": lambda x: torch.sinh(x[0]),
    "cosh": lambda x: torch.cosh(x[0]),
    "tanh": lambda x: torch.tanh(x[0]),
    "asinh": lambda x: torch.asinh(x[0]),
    "acosh": lambda x: torch.acosh(x[0]),
    "atanh": lambda x: torch.atanh(x[0]),
    "sigmoid": lambda x: torch.sigmoid(x[0]),
    "logit": lambda x: torch.logit(x[0]),
    "logit (clamped)": lambda x: torch.logit(x[0], 0.25),
    "erf": lambda x: torch.erf(x[0]),
    "erfc": lambda x: torch.erfc(x[0]),
    "erfinv": lambda x: torch.erfinv(x[0]),
    "lgamma": lambda x: torch.lgamma(x[0]),
    "lgamma (negative)": lambda x: torch.lgamma(x[0]),
    "digamma": lambda x: Digamma.apply(x[0]),
    "digamma (negative)": lambda x: Digamma.apply(x[0]),
    "floor": lambda x: torch.floor(x[0]),
    "ceil": lambda x: torch.ceil(x[0]),
    "trunc": lambda x: torch.trunc(x[0]),
    "round": lambda x: torch.round(x[0]),
    "frac": lambda x: torch.frac(x[0]),
    "relu": lambda x: F.relu(x[0]),
    "leaky_relu": lambda x: F.leaky_relu(x[0], 0.2),
    "elu": lambda x: F.elu(x[0], 1.5),
    "gelu": lambda x: F.gelu(x[0]),
    "silu": lambda x: F.silu(x[0]),
    "softplus": lambda x: F.softplus(x[0], 1.5),
    "celu": lambda x: F.celu(x[0], 1.5),
    "selu": lambda x: F.selu(x[0]),
    "gelu_tanh": lambda x: F.gelu(x[0], approximate="tanh"),
    "mish": lambda x: F.mish(x[0]),
    "hardswish": lambda x: F.hardswish(2 * x[0]),
    "softsign": lambda x: F.softsign(x[0]),
    "logsigmoid": lambda x: F.logsigmoid(x[0]),
    "hardtanh": lambda x: F.hardtanh(x[0], -1, 0.5),
    "relu6": lambda x: F.relu6(4 * x[0]),
    "hardsigmoid": lambda x: F.relu6(2 * x[0] + 3) / 6,  # its own gradient has float32's 1/6
    "clamp": lambda x: torch.clamp(x[0], -1, 0.5),
    "clamp (tensors)": lambda x: torch.clamp(x[0], x[1], x[2]),
    "clamp_min": lambda x: torch.clamp(x[0], min=0.5),
    "clamp_min (tensor)": lambda x: torch.clamp(x[0], min=x[1]),
    "clamp_max": lambda x: torch.clamp(x[0], max=0.5),
    "clamp_max (tensor)": lambda x: torch.clamp(x[0], max=x[1]),
    "nan_to_num": lambda x: torch.nan_to_num(x[0]),
    # choices
    "where": lambda x: torch.where(x[0], x[1], x[2]),
    "where (broadcast)": lambda x: torch.where(x[0], x[1], x[2]),
    "where (scalar right)": lambda x: torch.where(x[0], x[1], 1.5),
    "where (scalar left)": lambda x: torch.where(x[0], 1.5, x[1]),
    "where (two scalars)": lambda x: torch.where(x[0], 1.5, 2.5),
    "eq": lambda x: x[0] == x[1],
    "eq (scalar)": lambda x: x[0] == 0.5,
    "ne": lambda x: x[0] != x[1],
    "ne (scalar)": lambda x: x[0] != 0.5,
    "lt": lambda x: x[0] < x[1],
    "lt (scalar)": lambda x: x[0] < 0.5,
    "le": lambda x: x[0] <= x[1],
    "le (scalar)": lambda x: x[0] <= 0.5,
    "gt": lambda x: x[0] > x[1],
    "gt (scalar)": lambda x: x[0] > 0.5,
    "ge": lambda x: x[0] >= x[1],
    "ge (scalar)": lambda x: x[0] >= 0.5,
    "isnan": lambda x: torch.isnan(x[0]),
    "isinf": lambda x: torch.isinf(x[0]),
    "isfinite": lambda x: torch.isfinite(x[0]),
    "logical_not": lambda x: torch.logical_not(x[0]),
    "logical_and": lambda x: torch.logical_and(x[0], x[1]),
    "logical_or": lambda x: torch.logical_or(x[0], x[1]),
    "to": lambda x: x[0].float().double(),
    "clone": lambda x: x[0].clone(),
    "contiguous": lambda x: x[0].clone(),
    # reduce.cpp
    "sum": lambda x: x[0].sum((0, 2)),
    "sum (all)": lambda x: x[0].sum(),
    "mean": lambda x: x[0].mean(1, keepdim=True),
    "mean (all)": lambda x: x[0].mean(),
    "var": lambda x: x[0].var((0, 2), unbiased=False),
    "var (unbiased)": lambda x: x[0].var(-1, keepdim=True),
    "prod": lambda x: x[0].prod(2),
    "prod (all)": lambda x: x[0].prod(),
    "amax": lambda x: x[0].amax(1),
    "max (axis)": lambda x: x[0].max(1).values,
    "min (all)": lambda x: x[0].min(),
    "min (axis)": lambda x: x[0].min(-1, keepdim=True).values,
    "median": lambda x: x[0].median(1).values,
    "median (all)": lambda x: x[0].median(),
    "quantile": lambda x: torch.quantile(x[0], 0.3, 1, keepdim=True),
    "quantile (all)": lambda x: torch.quantile(x[0], 0.7),
    "sort": lambda x: x[0].sort(1).values,
    "sort (descending)": lambda x: x[0].sort(0, descending=True).values,
    "argsort": lambda x: x[0].argsort(),
    "topk": lambda x: x[0].topk(2, 1).values,
    "topk (least)": lambda x: x[0].topk(3, -1, largest=False).values,
    "unique": lambda x: x[0].floor().unique(return_inverse=True)[1],
    "bincount": lambda x: torch.zeros(5).index_add(0, x[0], x[1]),  # bincount has no gradient there
    "searchsorted": lambda x: torch.searchsorted(x[0].sort().values, x[1]),
    "normalize": lambda x: F.normalize(x[0], 3),
    "cosine_similarity": lambda x: F.cosine_similarity(x[0], x[1]),
    "pairwise_distance": lambda x: F.pairwise_distance(x[0], x[1]),
    "cdist": lambda x: torch.cdist(x[0], x[1], compute_mode="donot_use_mm_for_euclid_dist"),
    "cdist (p)": lambda x: torch.cdist(x[0], x[1], 1.5),
    "trace": lambda x: x[0].trace(),
    "cumsum": lambda x: x[0].cumsum(1),
    "cumprod": lambda x: x[0].cumprod(1),
    "cumprod (last)": lambda x: x[0].cumprod(-1),
    "logcumsumexp": lambda x: x[0].logcumsumexp(1),
    "diff": lambda x: x[0].diff(2, 1),
    "stddev": lambda x: x[0].std((0, 2)),
    "nansum": lambda x: x[0].nansum(1),
    "nanmean": lambda x: x[0].nanmean((0, 1), keepdim=True),
    "count_nonzero": lambda x: x[0].count_nonzero(1),
    "max (all)": lambda x: x[0].max(),
    "amin": lambda x: x[0].amin((0, 2), keepdim=True),
    "argmax": lambda x: x[0].argmax(1),
    "argmax (all)": lambda x: x[0].argmax(),
    "argmin": lambda x: x[0].argmin(2, keepdim=True),
    "argmin (all)": lambda x: x[0].argmin(),
    "all": lambda x: x[0].all(1),
    "any": lambda x: x[0].any(1),
    "logsumexp": lambda x: x[0].logsumexp((0, 1)),
    "softmax": lambda x: x[0].softmax(1),
    "softmax (last)": lambda x: x[0].softmax(-1),
    "log_softmax": lambda x: x[0].log_softmax(1),
    "vector_norm (2)": lambda x: torch.linalg.vector_norm(x[0], 2, 1),
    "vector_norm (3)": lambda x: torch.linalg.vector_norm(x[0], 3),
    "vector_norm (1)": lambda x: torch.linalg.vector_norm(x[0], 1, 0, keepdim=True),
    "vector_norm (infinity)": lambda x: torch.linalg.vector_norm(x[0], inf, 1),
    "sum_to": lambda x: x[0].sum_to_size(3, 1),
    "moments": lambda x: moments(x[0], (0, 2)),
    "moments (all)": lambda x: moments(x[0], (0, 1, 2)),
    "moments (keepdims)": lambda x: moments(x[0], 1, True),
    "merge": lambda x: moments(torch.cat(x, 1), 1),
    "merge (larger second)": lambda x: moments(torch.cat([x[1], x[0].flatten()]), 0),
    # shaping.cpp
    "movedim": lambda x: x[0].movedim(0, -1),
    "unflatten": lambda x: x[0].unflatten(2, (-1, 2)),
    "narrow": lambda x: x[0].narrow(1, -2, 2),
    "broadcast_to": lambda x: torch.broadcast_to(x[0], (5, 3, 4)),
    "unbind": lambda x: x[0].unbind(1),
    "chunk": lambda x: x[0].chunk(2, 1),
    "diagonal": lambda x: x[0].diagonal(1, 1, 2),
    "diagonal (below)": lambda x: x[0].diagonal(-1, 2, 0),
    "meshgrid": lambda x: torch.meshgrid(x[0], x[1], indexing="ij"),
    "repeat": lambda x: x[0].repeat(2, 1, 2, 3),
    "repeat_interleave": lambda x: x[0].repeat_interleave(3, 1),
    "roll": lambda x: x[0].roll(-1, 2),
    "roll (all)": lambda x: x[0].roll(7),
    "tril": lambda x: x[0].tril(-1),
    "triu": lambda x: x[0].triu(1),
    "diag": lambda x: x[0].diag(1),
    "diag (of a matrix)": lambda x: x[0].diag(-1),
    "one_hot": lambda x: F.one_hot(x[0], 5),
    "masked_fill": lambda x: x[0].masked_fill(x[1], 1.5),
    "masked_select": lambda x: x[0].masked_select(x[0] < 10),
    "nonzero": lambda x: (x[0] < 10).nonzero(),
    "take_along_axis": lambda x: torch.take_along_dim(x[0], x[1], 1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x[0], 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x[0], 2),
    "prelu": lambda x: F.prelu(x[0], x[1]),
    "prelu (one weight)": lambda x: F.prelu(x[0], x[1]),
    "glu": lambda x: F.glu(x[0]),
    "glu (axis)": lambda x: F.glu(x[0], 0),
    "reshape": lambda x: x[0].reshape(4, -1),
    "flatten": lambda x: x[0].flatten(1),
    "permute": lambda x: x[0].permute(2, 0, 1),
    "transpose": lambda x: x[0].transpose(0, -1),
    "squeeze": lambda x: x[0].squeeze(),
    "unsqueeze": lambda x: x[0].unsqueeze(1),
    "expand": lambda x: x[0].expand(5, 2, -1, 4),
    "slice": lambda x: x[0][..., 1::2],
    "slice (negative)": lambda x: x[0][:, -2:-1],
    "select": lambda x: x[0].select(1, -1),
    "index_select": lambda x: x[0].index_select(1, x[1]),
    "gather": lambda x: x[0].gather(1, x[1]),
    "scatter_add": lambda x: torch.zeros(2, 3, 4).scatter_add(1, x[1], x[0]),
    "scatter_add (to a tensor)": lambda x: x[0].scatter_add(1, x[1], x[2][:, :, :4]),  # else no gradient there
    "scatter_add (part)": lambda x: torch.zeros(2, 3, 4).scatter_add(1, x[1], x[0][:1, :4, :4]),  # else no gradient there
    "scatter": lambda x: last_wins(x[0], 1, x[1], x[2]),
    "scatter (number)": lambda x: x[0].scatter(2, x[1], 1.5),
    "index_add": lambda x: x[0].index_add(1, x[1], x[2], alpha=1.5),
    "cat": lambda x: torch.cat(x, 1),
    "stack": lambda x: torch.stack(x, 1),
    "split (sizes)": lambda x: x[0].split([1, 3], 2),
    "split (equal)": lambda x: x[0].split(2, 1),
    "flip": lambda x: x[0].flip(0, 2),
    "pad (constant)": lambda x: F.pad(x[0], (1, 2, 0, 1), value=0.5),
    "pad (crop)": lambda x: F.pad(x[0], (-1, 2)),
    "pad (reflect)": lambda x: F.pad(x[0], (2, 1), "reflect"),
    "pad (replicate)": lambda x: F.pad(x[0][None], (2, 1, 1, 0), "replicate")[0],
    "pad (circular)": lambda x: F.pad(x[0][None], (2, 4, 1, 3), "circular")[0],
    # product.cpp
    "matmul": lambda x: x[0] @ x[1],
    "matmul (batch)": lambda x: x[0] @ x[1],
    "matmul (vectors)": lambda x: x[0] @ x[1],
    "linear": lambda x: F.linear(*x),
    "linear (no bias)": lambda x: F.linear(*x),
    "outer": lambda x: torch.outer(*x),
    "kron": lambda x: torch.kron(*x),
    "mm": lambda x: torch.mm(*x),
    "mv": lambda x: torch.mv(*x),
    "dot": lambda x: torch.dot(*x),
    "bmm": lambda x: torch.bmm(*x),
    "addmm": lambda x: torch.addmm(*x, beta=0.5, alpha=1.5),
    "tensordot": lambda x: torch.tensordot(*x),
    "tensordot (axes)": lambda x: torch.tensordot(*x, ([0, -1], [1, 0])),
    "einsum": lambda x: torch.einsum("bij,bjk->bik", *x),
    "einsum (diagonal)": lambda x: torch.einsum("i...i->...i", *x),
    "einsum (sums)": lambda x: torch.einsum("aij,jb->bi", *x),
    "einsum (rows)": lambda x: torch.einsum("ij,ij->i", *x),
    "einsum (three)": lambda x: torch.einsum("...ij,jk,k", *x),
    "einsum (size 1)": lambda x: torch.einsum("ij,ij->ij", *x),
    # window.cpp
    "conv2d": lambda x: F.conv2d(*x, stride=(2, 1), padding=1, groups=2),
    "conv1d": lambda x: F.conv1d(*x, stride=2, padding=1, groups=2),
    "conv2d (same)": lambda x: F.conv2d(*x, padding="same", dilation=(1, 2)),
    "conv3d": lambda x: F.conv3d(*x, stride=(1, 2, 1), padding=(1, 0, 1), dilation=(1, 1, 2)),
    "conv_transpose1d": lambda x: F.conv_transpose1d(*x, stride=2, padding=1, output_padding=1),
    "conv_transpose2d": lambda x: F.conv_transpose2d(*x, **UP),
    "conv_transpose2d (cropped)": lambda x: F.conv_transpose2d(*x, output_padding=(1, 2), dilation=(2, 3)),
    "conv_transpose3d": lambda x: F.conv_transpose3d(*x, stride=(1, 2, 3)),
    "conv_input_grad": lambda x: F.conv_transpose2d(*x, stride=(2, 1), padding=1, groups=2),
    "conv_weight_grad": lambda x: weight_gradient(x[1], x[0], (6, 2, 3, 2), stride=(2, 1), padding=1, groups=2),
    "max_pool1d (dilated)": lambda x: F.max_pool1d(x[0], 3, 2, 1, 2, True),
    "max_pool2d (with indices)": lambda x: F.max_pool2d(x[0], 2, 1, 0, (1, 3)),
    "max_pool3d": lambda x: F.max_pool3d(x[0], (2, 1, 2), 1),
    "avg_pool1d (ceil_mode)": lambda x: F.avg_pool1d(x[0], 3, 2, 1, True),
    "avg_pool2d (without padding)": lambda x: F.avg_pool2d(x[0], 3, 2, 1, False, False),
    "avg_pool3d": lambda x: F.avg_pool3d(x[0], 2, 1, 0, False, True, 5),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x[0], 5),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x[0], (2, 3)),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x[0], 2),
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x[0], 5),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x[0], (2, 3)),
    "adaptive_max_pool3d": lambda x: F.adaptive_max_pool3d(x[0], 2),
    "interpolate (nearest)": lambda x: F.interpolate(x[0], (5, 3)),
    "interpolate (nearest_exact)": lambda x: F.interpolate(x[0], None, (1.5, 0.7), "nearest-exact"),
    "interpolate (linear)": lambda x: F.interpolate(x[0], None, 1.7, "linear"),
    "interpolate (bilinear)": lambda x: F.interpolate(x[0], (5, 4), None, "bilinear", True),
    "interpolate (bicubic)": lambda x: F.interpolate(x[0], (2, 7), None, "bicubic"),
    "interpolate (trilinear)": lambda x: F.interpolate(x[0], None, (2.0, 0.5, 1.0), "trilinear"),
    "interpolate (area)": lambda x: F.interpolate(x[0], 2, None, "area"),
    "grid_sample": lambda x: F.grid_sample(*x, align_corners=False),
    "grid_sample (border)": lambda x: F.grid_sample(*x, padding_mode="border", align_corners=False),
    "grid_sample (reflection)": lambda x: F.grid_sample(*x, padding_mode="reflection", align_corners=False),
    "grid_sample (nearest)": lambda x: F.grid_sample(*x, "nearest", align_corners=False),
    "grid_sample (volume)": lambda x: F.grid_sample(*x, align_corners=True),
    "affine_grid": lambda x: F.affine_grid(x[0], (2, 1, 3, 4), False),
    "affine_grid (volume)": lambda x: F.affine_grid(x[0], (1, 1, 2, 3, 2), True),
    "unfold": lambda x: F.unfold(x[0], **FOLD),
    "fold": lambda x: F.fold(x[0], (3, 5), **FOLD),
    "local_response_norm": lambda x: F.local_response_norm(x[0], 2, 0.5, 0.75, 0.8),
    "local_response_norm (wide)": lambda x: F.local_response_norm(x[0], 11),
    "max_pool2d": lambda x: F.max_pool2d(x[0], (2, 3), 2, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x[0], (2, 3), 2, 1),
    # linalg.cpp
    "inv": lambda x: torch.linalg.inv(regular(x[0])),
    "solve": lambda x: torch.linalg.solve(regular(x[0]), x[1]),
    "solve (vector)": lambda x: torch.linalg.solve(regular(x[0]), x[1]),
    "solve (right)": lambda x: torch.linalg.solve(regular(x[0]), x[1], left=False),
    "det": lambda x: torch.linalg.det(x[0] + 0.5 * eye_like(x[0])),
    "slogdet": lambda x: torch.linalg.slogdet(regular(x[0])).logabsdet,
    "cholesky": lambda x: torch.linalg.cholesky(definite(x[0])),
    "cholesky (upper)": lambda x: torch.linalg.cholesky(definite(x[0])).mT,
    "cholesky_solve": lambda x: torch.cholesky_solve(x[0].expand(2, 3, 2), regular(x[1]).tril()),
    "triangular_solve": lambda x: torch.linalg.solve_triangular(regular(x[0]), x[1], upper=False),
    "triangular_solve (right, upper, ones)": lambda x: torch.linalg.solve_triangular(x[0], x[1], upper=True, left=False, unitriangular=True),
    "qr": lambda x: list(torch.linalg.qr(x[0])),
    "qr (wide)": lambda x: list(torch.linalg.qr(x[0].mT)),
    "eigh": lambda x: eigh(symmetric(x[0])),
    "eigvalsh": lambda x: torch.linalg.eigvalsh(symmetric(x[0])),
    "svd": lambda x: svd(x[0]),
    "svdvals": lambda x: torch.linalg.svdvals(x[0].mT),
    "pinv": lambda x: torch.linalg.pinv(x[0]),
    "lstsq": lambda x: lstsq(x[0], x[1]),
    # norm.cpp
    "instance_norm": lambda x: F.instance_norm(x[0], weight=x[1], bias=x[2]),
    "instance_norm (running statistics)": lambda x: F.instance_norm(x[0], torch.full((4,), 0.3), torch.full((4,), 1.7), x[1], x[2], False),
    "instance_norm (per sample)": lambda x: F.instance_norm(x[0]) * channels(x[1], x[0]) + channels(x[2], x[0]),
    "instance_norm (running statistics, per sample)": lambda x: by_statistics(x[0], torch.full((4,), 0.3), torch.full((4,), 1.7), x[1], x[2]),
    "group_norm": lambda x: F.group_norm(x[0], 2, x[1], x[2]),
    "instance_norm (lengths)": lambda x: valid_norm(x[0], prefixes([(2, 3), (4, 5)], (5, 6)), 4, x[1], x[2]),
    "group_norm (mask)": lambda x: valid_norm(x[0], (torch.arange(5) % 3 != 1).expand(2, 1, 3, 5), 2, x[1], x[2]),
    "instance_norm (relu)": lambda x: F.relu(F.instance_norm(x[0], weight=x[1], bias=x[2])),
    "group_norm (relu)": lambda x: F.relu(F.group_norm(x[0], 2, x[1], x[2])),
    "batch_norm (relu)": lambda x: F.relu(F.batch_norm(x[0], None, None, x[1], x[2], True)),
    "group_norm (per sample)": lambda x: F.group_norm(x[0], 2, x[1]) + channels(x[2], x[0]),
    "layer_norm": lambda x: F.layer_norm(x[0], (3, 5), x[1], x[2]),
    "layer_norm (options)": lambda x: F.layer_norm(x[0], (5,), x[1], x[2], 0.1),
    "rms_norm": lambda x: rms_norm(x[0], -1, x[1]),
    "rms_norm (options)": lambda x: rms_norm(x[0], (-2, -1), x[1], 0.1),
    "batch_norm (running statistics)": lambda x: F.batch_norm(x[0], torch.full((4,), 0.3), torch.full((4,), 1.7), x[1], x[2]),
    "batch_norm (statistics given)": lambda x: same(by_statistics(*x), F.batch_norm(*constants(x))),
    "batch_norm (statistics given, relu)": lambda x: F.relu(same(by_statistics(*x), F.batch_norm(*constants(x)))),
    "batch_norm (training)": lambda x: F.batch_norm(x[0], None, None, x[1], x[2], True),
    # loss.cpp
    "mse_loss": lambda x: F.mse_loss(*x),
    "mse_loss (none)": lambda x: F.mse_loss(*x, reduction="none"),
    "l1_loss": lambda x: F.l1_loss(*x, reduction="sum"),
    "huber_loss": lambda x: F.huber_loss(*x, delta=0.7),
    "huber_loss (inner)": lambda x: F.huber_loss(*x, delta=9),
    "nll_loss": lambda x: F.nll_loss(*x),
    "nll_loss (image)": lambda x: F.nll_loss(*x, reduction="none"),
    "cross_entropy": lambda x: F.cross_entropy(*x),
    "cross_entropy (options)": lambda x: cross_entropy(*x, 0.3, 2),
    "cross_entropy (probabilities)": lambda x: same(-(x[0].log_softmax(1) * (0.7 * x[1] + 0.3 / 4) * x[2][:, None]).sum(1), F.cross_entropy(*constants(x), label_smoothing=0.3, reduction="none")),
    "nll_loss (options)": lambda x: nll(*x, 1),
    "bce_with_logits": lambda x: F.binary_cross_entropy_with_logits(*x),
    "bce_with_logits (none)": lambda x: F.binary_cross_entropy_with_logits(*x, reduction="none"),
    "bce_with_logits (weights)": lambda x: bce_with_logits(*x),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(*x),
    "binary_cross_entropy (weight)": lambda x: bce(*x),
    "kl_div": lambda x: F.kl_div(*x, reduction="batchmean"),
    "kl_div (logs)": lambda x: F.kl_div(*x, reduction="none", log_target=True),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(*x, beta=0.7),
    "smooth_l1_loss (inner)": lambda x: F.smooth_l1_loss(*x, beta=9, reduction="none"),
    "gaussian_nll_loss": lambda x: F.gaussian_nll_loss(*x, full=True),
    "poisson_nll_loss": lambda x: F.poisson_nll_loss(*x, full=True),
    "poisson_nll_loss (rates)": lambda x: F.poisson_nll_loss(*x, log_input=False, reduction="none"),
    "margin_ranking_loss": lambda x: F.margin_ranking_loss(x[0], x[1], 2 * x[2] - 1, 0.3, reduction="sum"),
    "hinge_embedding_loss": lambda x: F.hinge_embedding_loss(x[0], 2 * x[1] - 1),
    "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(x[0], x[1], 2 * x[2] - 1, -0.9, reduction="none"),
    "triplet_margin_loss": lambda x: F.triplet_margin_loss(*x, 9),
    "triplet_margin_loss (swap)": lambda x: F.triplet_margin_loss(*x, 9, swap=True, reduction="none"),
    "ctc_loss": lambda x: ctc_mean(x[0]),
    "ctc_loss (none)": lambda x: ctc(x[0].log_softmax(-1)[:, None], [[1, 2]], [4])[0],
    # recurrent.cpp
    "rnn": lambda x: recurrence("rnn", x),
    "rnn (lengths)": lambda x: recurrence("rnn", x, (1, 3), True),
    "rnn (relu)": lambda x: recurrence("relu", x),
    "gru": lambda x: recurrence("gru", x),
    "gru (lengths)": lambda x: recurrence("gru", x, (3, 2), True),
    "lstm": lambda x: recurrence("lstm", x),
    "lstm (lengths)": lambda x: recurrence("lstm", x, (0, 2), True),
    "lstm (projected)": lambda x: recurrence("lstm", x, (2, 3)),
    "rnn_tanh_cell": lambda x: torch.rnn_tanh_cell(*x),
    "rnn_relu_cell": lambda x: torch.rnn_relu_cell(*x),
    "gru_cell": lambda x: torch.gru_cell(*x),
    "lstm_cell": lambda x: lstm_cell(*x),
    # attention.cpp
    "scaled_dot_product_attention": lambda x: attention(*x),
    "scaled_dot_product_attention (mask)": lambda x: attention(*x, torch.arange(15).reshape(3, 5) % 4 != 1),
    "scaled_dot_product_attention (causal)": lambda x: attention(*x, below(3, 5, 2), 0.3),
    "scaled_dot_product_attention (learned mask)": lambda x: attention(*x),
    "attention_weights": lambda x: attention(*x, None, below(3, 5)),
}


def vectors(f, xs):
    """The numbers of a row."""
    leaves = [x for x in xs if x.is_floating_point()]
    for x in leaves:
        x.requires_grad_()
    ys = f(xs)
    ys = list(ys) if isinstance(ys, (list, tuple)) else [ys]
    floating = [y.reshape(-1) for y in ys if y.is_floating_point()]
    loss = weighed(floating) if floating else torch.zeros(())
    dxs = torch.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else [None] * len(leaves)
    dxs = [torch.zeros_like(x) if dx is None else dx for x, dx in zip(leaves, dxs)]
    parts = [weighed(xs).detach().reshape(1), *ys, *dxs]
    return numpy.concatenate([p.detach().double().contiguous().reshape(-1).numpy() for p in parts])


def weighed(ts):
    flat = torch.cat([t.double().contiguous().reshape(-1) for t in ts])
    return (flat * torch.from_numpy(numpy.cos(numpy.arange(len(flat))))).sum()


if len(sys.argv) != 2:
    sys.exit("op_vectors: expected the inputs that limpid_coverage --inputs wrote")
given = {}
for key, value in numpy.load(sys.argv[1]).items():
    name, i = key.rsplit(" #", 1)
    given.setdefault(name, {})[int(i)] = torch.from_numpy(value)
unknown, missing = sorted(ROWS.keys() - given.keys()), sorted(given.keys() - ROWS.keys())
if unknown:
    sys.exit(f"op_vectors: expected rows of the table, got {unknown}")
if missing:
    print("without vectors:", *missing, sep="\n  ")
values = {name: vectors(f, [given[name][i] for i in sorted(given[name])]) for name, f in ROWS.items()}
path = pathlib.Path(__file__).parent.parent / "data" / "ops.npz"
numpy.savez_compressed(
    path,
    names=numpy.frombuffer("\n".join(values).encode(), numpy.uint8),
    counts=numpy.array([len(v) for v in values.values()]),
    values=numpy.concatenate(list(values.values())),
)
print(path.name, len(values), "rows,", sum(map(len, values.values())), "numbers,", path.stat().st_size, "bytes")
