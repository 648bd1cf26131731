#!/usr/bin/env python3
"""Makes tests/data/losses.npz with PyTorch (Debian's python3-torch, 1.13.1): its losses of given numbers, all float64.

CASE/x0, x1, ...   what the loss is given, floats
CASE/y             what it gives, for each reduction in whose name the case ends
CASE/g0, g1, ...   gradients of sum_k (k + 1) y_k
What is not differentiated (targets of classes, weights, lengths) stands in tests/ops/loss/test_vectors.cpp as it does here.
"""
import pathlib

import numpy
import torch
import torch.nn.functional as F

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
vectors = {}


def case(name, loss, *xs, reductions=("none", "mean", "sum")):
    for reduction in reductions:
        leaves = [x.clone().requires_grad_() for x in xs]
        y = loss(*leaves, reduction=reduction)
        weights = torch.arange(1, y.numel() + 1).double().reshape(y.shape)
        gradients = torch.autograd.grad((y * weights).sum(), leaves, allow_unused=True)
        for i, (x, gradient) in enumerate(zip(xs, gradients)):
            vectors[f"{name} {reduction}/x{i}"] = x.numpy()
            if gradient is not None:
                vectors[f"{name} {reduction}/g{i}"] = gradient.numpy()
        vectors[f"{name} {reduction}/y"] = y.detach().numpy()


normal = lambda *shape: torch.randn(*shape)
uniform = lambda *shape: 0.05 + 0.9 * torch.rand(*shape)

weight = torch.tensor([0.5, 2.0, 1.5])
t = torch.tensor([2, 0, 1, 2])
images = torch.tensor([[2, 0], [1, 2]])
case("cross_entropy", lambda x, **o: F.cross_entropy(x, t, weight, ignore_index=1, label_smoothing=0.1, **o), normal(4, 3))
case("cross_entropy images", lambda x, **o: F.cross_entropy(x, images, label_smoothing=0.25, **o), normal(2, 3, 2))
case("cross_entropy probabilities", lambda x, p, **o: F.cross_entropy(x, p, weight, label_smoothing=0.1, **o), normal(4, 3), uniform(4, 3))
case("nll_loss", lambda x, **o: F.nll_loss(x, t, weight, ignore_index=1, **o), normal(4, 3))

weights = torch.tensor([1.0, 2.0, 0.5])
case("binary_cross_entropy", lambda x, t, **o: F.binary_cross_entropy(x, t, weights, **o), uniform(2, 3), uniform(2, 3))
fixed = torch.tensor([[0.0, 1.0, 0.25], [1.0, 0.5, 0.75]])
case("bce_with_logits", lambda x, **o: F.binary_cross_entropy_with_logits(x, fixed, weights, pos_weight=torch.tensor([3.0, 1.0, 0.25]), **o), normal(2, 3))

q = torch.tensor([[0.0, 0.25, 0.75], [0.5, 0.5, 0.0]])
case("kl_div", lambda x, **o: F.kl_div(x, q, **o), F.log_softmax(normal(2, 3), 1), reductions=("none", "mean", "sum", "batchmean"))
case("kl_div logs", lambda x, t, **o: F.kl_div(x, t, log_target=True, **o), F.log_softmax(normal(2, 3), 1), F.log_softmax(normal(2, 3), 1))

pair = normal(2, 4), normal(2, 4)
case("smooth_l1_loss", lambda x, t, **o: F.smooth_l1_loss(x, t, beta=0.6, **o), *pair)
case("smooth_l1_loss 0", lambda x, t, **o: F.smooth_l1_loss(x, t, beta=0.0, **o), *pair)
case("gaussian_nll_loss", lambda x, t, v, **o: F.gaussian_nll_loss(x, t, v, full=True, eps=0.01, **o), *pair, torch.tensor([[0.5], [0.001]]))
case("gaussian_nll_loss plain", lambda x, t, v, **o: F.gaussian_nll_loss(x, t, v, **o), *pair, uniform(2, 4))
counts = torch.tensor([[0.0, 1, 2, 3], [5, 0, 1, 7]])
case("poisson_nll_loss", lambda x, **o: F.poisson_nll_loss(x, counts, full=True, **o), normal(2, 4))
case("poisson_nll_loss rates", lambda x, **o: F.poisson_nll_loss(x, counts, log_input=False, **o), uniform(2, 4))

signs = torch.tensor([[1.0, -1, 1, -1], [-1, 1, 1, -1]])
case("margin_ranking_loss", lambda a, b, **o: F.margin_ranking_loss(a, b, signs, margin=0.3, **o), *pair)
case("hinge_embedding_loss", lambda x, **o: F.hinge_embedding_loss(x, signs, margin=0.8, **o), normal(2, 4))
case("cosine_embedding_loss", lambda a, b, **o: F.cosine_embedding_loss(a, b, torch.tensor([1.0, -1]), margin=-0.9, **o), *pair)
three = normal(2, 4), normal(2, 4), normal(2, 4)
case("triplet_margin_loss", lambda a, p, n, **o: F.triplet_margin_loss(a, p, n, margin=2.5, p=3.0, swap=True, **o), *three)
case("triplet_margin_loss plain", lambda a, p, n, **o: F.triplet_margin_loss(a, p, n, **o), *three)

# Of logits: PyTorch's gradient of log-probabilities is right after log_softmax alone.
targets = torch.tensor([[1, 1, 2], [3, 2, 0], [0, 0, 0]])
ctc = lambda x, *a, **o: F.ctc_loss(F.log_softmax(x, 2), *a, **o)
case("ctc_loss", lambda x, **o: ctc(x, targets, torch.tensor([5, 4, 3]), torch.tensor([3, 2, 0]), **o), normal(5, 3, 4))
case("ctc_loss row", lambda x, **o: ctc(x, torch.tensor([2, 2, 1, 0, 3]), torch.tensor([5, 5, 5]), torch.tensor([2, 1, 2]), blank=4, **o), normal(5, 3, 5))
case("ctc_loss infinite", lambda x, **o: ctc(x, torch.tensor([[1, 1, 2]] * 3), torch.tensor([3, 4, 5]), torch.tensor([3, 3, 3]), zero_infinity=True, **o), normal(5, 3, 4))

numpy.savez_compressed(pathlib.Path(__file__).parent.parent / "data" / "losses.npz", **vectors)
