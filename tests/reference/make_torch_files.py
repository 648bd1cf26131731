#!/usr/bin/env python3
"""Writes tests/data/torch: files as PyTorch saves them (Debian's python3-torch, 1.13.1), for tests/core/io/test_pt.cpp."""
import pathlib
import pickle
from collections import OrderedDict

import torch

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "data" / "torch"


class Own:
    """What only a program that has this class can read."""


def counting(shape, dtype=torch.float32):
    """0, 1, 2, ... in row-major order; 0, 1, 0, ... where bool."""
    x = torch.arange(torch.Size(shape).numel())
    return (x % 2 if dtype == torch.bool else x).to(dtype).reshape(shape)


def network():
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    with torch.no_grad():
        for x in net.state_dict().values():
            x.copy_(counting(x.shape, x.dtype))
    return net


def save(name, what, **options):
    torch.save(what, FOLDER / f"{name}.pt", **options)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    state = network().state_dict()
    for protocol in range(6):
        save(f"protocol{protocol}", state, pickle_protocol=protocol)

    x = counting((2, 3, 4, 5))
    row = counting((6,))
    save("layouts", {
        "contiguous": x, "channels_last": x.to(memory_format=torch.channels_last), "transposed": x.permute(3, 2, 1, 0),
        "sliced": x[:, 1:, ::2], "expanded": row[2].expand(1000, 1000), "scalar": torch.tensor(7.0), "last": row[5],
        "empty": torch.empty(2, 0, 3), "tail": row[4:]})
    dtypes = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
              torch.uint8, torch.bool]
    save("dtypes", {str(dtype).removeprefix("torch."): counting((2, 3), dtype) for dtype in dtypes} | {
        "negative int8": torch.tensor([-128, 127], dtype=torch.int8), "complex": torch.zeros(2, dtype=torch.complex64),
        "sparse": torch.eye(2).to_sparse(), "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)})
    optimizer = torch.optim.Adam(network().parameters(), lr=0.5)
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.ones_like(p)
    optimizer.step()
    save("checkpoint", {"model": state, "optimizer": optimizer.state_dict(), "epoch": 3, "best": 0.5, "note": "two\nlines",
                        "none": None, "seed": 2**64 - 1, "minus": -2, "big": -2**40, "bytes": b"abc", "list": [row, (row,)],
                        "size": torch.Size([2, 3]), "device": torch.device("cpu"), "dtype": torch.float32})
    save("parameter", {"p": torch.nn.Parameter(counting((2, 3))), "q": torch.nn.Parameter(row, requires_grad=False)})

    save("module", network())
    save("own", {"x": row, "own": Own()})
    save("tensor", row)
    save("list", [row])
    for protocol in (0, 1, 2, 4):
        save(f"legacy{protocol}", OrderedDict(x=row), _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    torch.jit.script(torch.nn.Linear(2, 1)).save(str(FOLDER / "torchscript.pt"))
    (FOLDER / "pickle.pt").write_bytes(pickle.dumps({"x": [1.0, 2.0]}, protocol=2))


if __name__ == "__main__":
    main()
