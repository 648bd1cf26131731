#!/usr/bin/env python3
"""Models exchanged with PyTorch (Debian's python3-torch, 1.13) in both directions, by name, in float32.

exchange.py LIMPID_TEST_NN   saves models by torch.save, which the test program loads and calls; then loads those that it
                             saved as safetensors and calls them. Prints the worst difference of outputs, relative to the
                             largest of each, and ends with 1 where one is above 1e-6; with 77 where there is no PyTorch.
exchange.py --make           makes tests/data/torch/exchange.pt: the same models, read by the suite where there is none.

The file of each direction has NAME.state.KEY, NAME.x and NAME.y. tests/nn/test_exchange.cpp builds the same models.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from torch import nn
except ImportError:
    if os.path.exists("/usr/bin/python3") and os.path.realpath(sys.executable) != os.path.realpath("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", *sys.argv])  # Debian's, where its packages are
    print("not tested here: models exchanged with PyTorch, for there is no python3-torch")
    sys.exit(77)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 3, num_layers=2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(self.lstm(self.words(x))[0])


class Recurrences(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, num_layers=2, bidirectional=True)
        self.norm = nn.LayerNorm(3)
        self.projected = nn.LSTM(8, 4, proj_size=3)
        self.rnn = nn.RNN(3, 2, nonlinearity="relu", bias=False)

    def forward(self, x):
        y = self.projected(self.gru(self.norm(x))[0])[0]
        return torch.cat([y, self.rnn(y)[0]], 2)


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.gru, self.lstm = nn.RNNCell(3, 2), nn.GRUCell(3, 2), nn.LSTMCell(3, 2)
        self.bilinear = nn.Bilinear(2, 2, 2)

    def forward(self, x):
        h, c = self.lstm(x)
        return self.bilinear(self.rnn(x) + self.gru(x), h) + c


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.self = nn.MultiheadAttention(4, 2, batch_first=True)
        self.cross = nn.MultiheadAttention(4, 2, kdim=3, vdim=5, batch_first=True)

    def forward(self, x):
        y = self.self(x, x, x)[0]
        return self.cross(y, x[..., :3], torch.cat([y, x[..., :1]], 2))[0]


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(4))
        layer = nn.TransformerDecoderLayer(4, 2, 6, activation="gelu", batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, 1)

    def forward(self, x):
        return self.decoder(x.flip(1), self.encoder(x))


def models():
    """(model, x) by name."""
    volume = nn.Sequential(
        nn.Conv3d(2, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.Conv3d(3, 3, 2, stride=2, groups=3), nn.Flatten())
    painter = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2), nn.BatchNorm2d(6), nn.PReLU(6),
        nn.ConvTranspose2d(6, 1, 2, padding=1, bias=False))
    signal = nn.Sequential(
        nn.Conv1d(2, 4, 5, padding=2, padding_mode="circular"), nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        nn.GroupNorm(2, 4), nn.GELU(), nn.ConvTranspose1d(4, 2, 3, dilation=2))
    image = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 3, 3, padding="same"), nn.BatchNorm2d(3, affine=False)), nn.MaxPool2d(2), nn.Flatten(),
        nn.BatchNorm1d(12), nn.Linear(12, 2, bias=False))
    return {
        "tagger": (Tagger(), torch.arange(10).reshape(2, 5) % 7),
        "recurrences": (Recurrences(), torch.randn(4, 2, 3)),
        "cells": (Cells(), torch.randn(2, 3)),
        "attention": (Attention(), torch.randn(2, 3, 4)),
        "transformer": (Transformer(), torch.randn(2, 3, 4)),
        "volume": (volume, torch.randn(2, 2, 2, 3, 3)),
        "painter": (painter, torch.randn(2, 4, 2, 3)),
        "signal": (signal, torch.randn(2, 2, 6)),
        "image": (image, torch.randn(3, 1, 4, 5)),
    }


def saved():
    file = {}
    for name, (model, x) in models().items():
        model(x)  # moves what is tracked
        model.eval()
        state = {key: value.clone() for key, value in model.state_dict().items()}
        file[name] = {"state": state, "x": x, "y": model(x)}
    return file


def load_safetensors(path):
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    dtypes = {"F32": torch.float32, "I64": torch.int64}
    tensors = {}
    for name, entry in json.loads(data[8:end]).items():
        if name == "__metadata__":
            continue
        begin, stop = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[end + begin : end + stop]), dtype=dtypes[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def members_of(file, prefix):
    return {name[len(prefix) :]: tensor for name, tensor in file.items() if name.startswith(prefix)}


def read(path):
    """The worst difference of outputs from those in the file, whose values the models have taken."""
    file, worst = load_safetensors(path), 0
    for name, (model, _) in models().items():
        vectors = members_of(file, name + ".")
        model.load_state_dict(members_of(vectors, "state."), strict=True)
        model.eval()
        y, expected = model(vectors["x"]), vectors["y"]
        assert y.shape == expected.shape, name
        worst = max(worst, ((y - expected).abs().max() / expected.abs().max()).item())
    return worst


torch.manual_seed(0)
with torch.no_grad():
    if sys.argv[1:] == ["--make"]:
        path = pathlib.Path(__file__).parent.parent / "data" / "torch" / "exchange.pt"
        torch.save(saved(), path)
        print(path.name, path.stat().st_size, "bytes")
        sys.exit()
    if len(sys.argv) != 2:
        sys.exit("exchange: expected --make or the path of limpid_test_nn")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(saved(), pathlib.Path(folder, "from_pytorch.pt"))
        subprocess.run([sys.argv[1], "[.exchange]"], env={**os.environ, "LIMPID_EXCHANGE": folder}, check=True)
        worst = read(pathlib.Path(folder, "from_limpid.safetensors"))
        print("to PyTorch: worst relative difference of outputs", worst)
        sys.exit(worst > 1e-6)
