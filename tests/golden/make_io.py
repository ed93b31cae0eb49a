#!/usr/bin/env python3
"""Writes tests/golden/io/blocks.npz: blocks of every GGML type that Tarn decodes and their numbers.

    pip install numpy gguf && python3 tests/golden/make_io.py

The numbers come from the package `gguf` (its own decoder, float32).
"""

import pathlib

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

BLOCKS = {
    "Q4_0": 18,
    "Q4_1": 20,
    "Q5_0": 22,
    "Q5_1": 24,
    "Q8_0": 34,
    "Q2_K": 84,
    "Q3_K": 110,
    "Q4_K": 144,
    "Q5_K": 176,
    "Q6_K": 210,
    "IQ4_NL": 18,
}
# Where a block holds float16 numbers; anything else in it may be any byte.
HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
}
COUNT = 8

random = np.random.default_rng(20260101)
arrays = {}
for name, size in BLOCKS.items():
    blocks = random.integers(0, 256, (COUNT, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = random.normal(0, 0.02, COUNT).astype(np.float16)
        halves[0] = np.float16(5.9604645e-08)  # the smallest subnormal
        blocks[:, at : at + 2] = halves.view(np.uint8).reshape(COUNT, 2)
    arrays[name + ".blocks"] = blocks
    arrays[name + ".numbers"] = quants.dequantize(blocks, Type[name]).astype(np.float32)

out = pathlib.Path(__file__).parent / "io" / "blocks.npz"
out.parent.mkdir(exist_ok=True)
np.savez_compressed(out, **arrays)
print(out, out.stat().st_size, "bytes")
