#!/usr/bin/env python3
"""Writes bindings/digits.safetensors: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.

    pip install scikit-learn==1.9.1 && python3 tests/golden/make_digits.py

images uint8 (1797, 64) from 0 to 16, labels uint8 (1797,), in scikit-learn's order. The digits are
a part of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998;
doi 10.24432/C50P49), licence CC BY 4.0.
"""

import json
import pathlib
import struct

from sklearn.datasets import load_digits

HERE = pathlib.Path(__file__).resolve().parent


def main():
    digits = load_digits()
    images = digits.data.astype("uint8").tobytes()
    labels = digits.target.astype("uint8").tobytes()
    count = len(labels)
    header = json.dumps(
        {
            "images": {"dtype": "U8", "shape": [count, 64], "data_offsets": [0, len(images)]},
            "labels": {
                "dtype": "U8",
                "shape": [count],
                "data_offsets": [len(images), len(images) + count],
            },
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    path = HERE / "bindings" / "digits.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + images + labels)


if __name__ == "__main__":
    main()
