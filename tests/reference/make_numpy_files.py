#!/usr/bin/env python3
"""Writes tests/data/numpy: arrays as NumPy saves them, for tests/core/io/test_npy.cpp and test_npz.cpp. Needs NumPy."""
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

FOLDER = Path(__file__).resolve().parents[1] / "data" / "numpy"
NAMES = {"f2": "float16", "f4": "float32", "f8": "float64", "i4": "int32", "i8": "int64", "u1": "uint8", "b1": "bool"}


def values(shape, code):
    """0, 1, 2, ... in row-major order; 0, 1, 0, ... where bool."""
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return (x % 2 if code.endswith("b1") else x).astype(code)


def write_zip64(path, arrays):
    """As np.savez_compressed does, but every size, place and count in 64 bits, small as they are."""
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 8, 0
    np.savez_compressed(path, **arrays)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for code, name in NAMES.items():
        np.save(FOLDER / f"{name}.npy", values((2, 3, 4), "<" + code))
    for rank, shape in enumerate([(), (7,), (2, 3), (2, 1, 3), (1, 2, 3, 2), (2, 1, 2, 1, 2), (1, 2, 1, 2, 1, 3)]):
        np.save(FOLDER / f"rank{rank}.npy", values(shape, "<f4"))
    np.save(FOLDER / "empty.npy", values((2, 0, 3), "<i8"))
    for code in ["f2", "f4", "f8", "i4", "i8"]:
        np.save(FOLDER / f"big_endian_{NAMES[code]}.npy", values((2, 3), ">" + code))
    np.save(FOLDER / "fortran.npy", np.asfortranarray(values((2, 3, 4), "<f4")))
    np.save(FOLDER / "fortran_big_endian.npy", np.asfortranarray(values((3, 2), ">i4")))
    for version in [(2, 0), (3, 0)]:
        with open(FOLDER / f"version{version[0]}.npy", "wb") as file:
            npy.write_array(file, values((2, 3), "<f4"), version)

    arrays = {"w": values((2, 3), "<f4"), "layer/b": values((500,), "<i8"), "größe": values((), "|b1")}
    np.savez(FOLDER / "stored.npz", **arrays)
    np.savez_compressed(FOLDER / "deflated.npz", **arrays)
    write_zip64(FOLDER / "zip64.npz", arrays)


if __name__ == "__main__":
    main()
