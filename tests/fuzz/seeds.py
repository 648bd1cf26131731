"""Writes a first corpus for each fuzzer of a reader into FOLDER/NAME: small sound files and what comes in them. The first
byte says how the rest becomes a file (fuzz.hpp). seeds.py FOLDER"""
import gzip
import json
import struct
import sys
import zipfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"


def npy():
    for file in sorted((DATA / "numpy").glob("*.npy")):
        content = file.read_bytes()
        if len(content) < 1000:
            yield b"\0" + content
            yield b"\1" + content[10:].replace(b" " * 16, b"")
    for code in ("|i1", "<i2", "<u2", ">u4", "<u8", "<U3", "|O", "<c8"):
        yield b"\1" + f"{{'descr': '{code}', 'fortran_order': False, 'shape': (2,), }}\n".encode() + bytes(16)


def npz():
    for file in sorted((DATA / "numpy").glob("*.npz")):
        content = file.read_bytes()
        yield b"\0" + content
    for seed in npy():
        if seed[0] == 0:
            yield b"\1" + seed[1:]
            yield b"\3" + seed[1:]


def safetensors():
    sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "U16": 2, "U32": 4,
             "U64": 8, "BOOL": 1, "F8_E4M3": 1}
    for dtype, size in sizes.items():
        header = {"a": {"dtype": dtype, "shape": [2, 1], "data_offsets": [0, 2 * size]},
                  "b": {"dtype": "U8", "shape": [3], "data_offsets": [2 * size, 2 * size + 3]}}
        text = json.dumps(header).encode()
        yield b"\1" + text + bytes(1 + 2 * size + 3)
        yield b"\0" + struct.pack("<Q", len(text)) + text + bytes(2 * size + 3)
    yield b'\1{"__metadata__":{"format":"pt"}}'


def pt():
    for file in sorted((DATA / "torch").glob("*.pt")):
        yield b"\0" + file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    if name.endswith("data.pkl"):
                        yield b"\1" + archive.read(name)
                        yield b"\3" + archive.read(name)


def idx():
    for code, size in ((8, 1), (0x0C, 4), (0x0D, 4), (0x0E, 8)):
        content = struct.pack(">BBBBII", 0, 0, code, 2, 2, 3) + bytes(6 * size)
        yield b"\0" + content
        yield b"\0" + gzip.compress(content, mtime=0)
        yield b"\1" + content
        yield b"\3" + content


def image():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for depth, colour, samples in ((1, 0, 1), (8, 0, 1), (8, 2, 3), (8, 3, 1), (4, 3, 1), (8, 4, 2), (8, 6, 4), (16, 2, 3)):
        rows = (b"\1" + bytes(range((3 * samples * depth + 7) // 8))) * 2
        for interlaced in (0, 1):
            png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, depth, colour, 0, 0, interlaced))
            if colour == 3:
                png += chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", bytes(3))
            png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
            yield b"\0" + png
            yield b"\1" + png
            yield bytes([14 if colour == 3 else 2, 3, 2, depth, colour, interlaced, 0, 0]) + rows


def ops():
    for k in range(64):
        yield bytes((k * 37 + i * (2 * k + 1)) % 256 for i in range(120))


for make in (npy, npz, safetensors, pt, idx, image, ops):
    folder = Path(sys.argv[1]) / make.__name__
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(make()):
        (folder / f"seed{number}").write_bytes(seed)
