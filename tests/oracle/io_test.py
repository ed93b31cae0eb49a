#!/usr/bin/env python3
"""Files of Tarn against NumPy, the safetensors format written out by hand, and MLX.

    io_test.py --driver build/io_driver [--gguf MODEL.gguf]

Each case is written by one side and read by the other. With --gguf every tensor of the model is
compared with what MLX loads from it; MLX reads no Q5_0, Q5_1 and K-quants, see
tests/golden/make_io.py for those.
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np

DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8"]
SHAPES = [(), (0,), (1,), (7,), (3, 5), (2, 0, 4), (2, 3, 4, 5), (1,) * 10]
SAFETENSORS = {
    "BOOL": "?",
    "U8": "u1",
    "U16": "u2",
    "U32": "u4",
    "U64": "u8",
    "I8": "i1",
    "I16": "i2",
    "I32": "i4",
    "I64": "i8",
    "F16": "f2",
    "BF16": "u2",
    "F32": "f4",
    "F64": "f8",
    "C64": "c8",
}


def numbers(random, dtype, shape):
    count = int(np.prod(shape, dtype=np.int64))
    if dtype == "?":
        return (random.integers(0, 2, count) == 1).reshape(shape)
    raw = random.bytes(count * np.dtype(dtype).itemsize)
    return np.frombuffer(raw, dtype).reshape(shape)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    arrays = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        arrays[name] = (
            entry["dtype"],
            np.frombuffer(body[begin:end], SAFETENSORS[entry["dtype"]]).reshape(entry["shape"]),
        )
    return arrays, metadata


def write_safetensors(path, arrays, metadata, pad):
    header, body = {"__metadata__": metadata}, b""
    for name, (dtype, array) in arrays.items():
        raw = array.tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(header).encode() + b" " * pad
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


class Tests:
    def __init__(self, driver, folder):
        self.driver, self.folder, self.failed, self.done = driver, folder, 0, 0

    def convert(self, source, target):
        run = subprocess.run([self.driver, source, target], capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(run.stderr.strip() or f"exit status {run.returncode}")
        return target

    def case(self, name, body):
        self.done += 1
        try:
            if not body():
                raise RuntimeError("the values differ")
        except Exception as error:  # noqa: BLE001 - any failure is reported and counted
            self.failed += 1
            print(f"FAILED {name}: {error}")

    def npy(self, random):
        source, target = self.folder / "a.npy", self.folder / "b.npy"

        def check(array, expected):
            np.save(source, array)
            return same(np.load(self.convert(source, target)), expected)

        for dtype in DTYPES:
            for shape in SHAPES:
                a = numbers(random, dtype, shape)
                self.case(f"npy {dtype} {shape}", lambda a=a: check(a, a))
                swapped = a.astype(a.dtype.newbyteorder(">"))
                self.case(f"npy big-endian {dtype} {shape}", lambda s=swapped, a=a: check(s, a))
                columns = np.array(a, order="F")
                self.case(f"npy columns {dtype} {shape}", lambda c=columns, a=a: check(c, a))
        bfloat = numbers(random, "u2", (3, 4)).view("V2")
        self.case("npy bfloat16", lambda: check(bfloat, bfloat))

    def npz(self, random):
        source = self.folder / "a.npz"
        arrays = {
            f"{d.strip('?') or 'bool'}/{i}": numbers(random, d, s)
            for d in DTYPES
            for i, s in enumerate(SHAPES)
        }
        arrays["zeros"] = np.zeros(3_000_000, np.float32)
        for save in (np.savez, np.savez_compressed):
            for target in (self.folder / "b.npz", self.folder / "b.small.npz"):

                def check(save=save, target=target):
                    save(source, **arrays)
                    with np.load(self.convert(source, target)) as back:
                        names = sorted(back.files) == sorted(arrays)
                        return names and all(same(back[k], a) for k, a in arrays.items())

                self.case(f"npz {save.__name__} to {target.name}", check)

        def empty():
            np.savez(source)
            with np.load(self.convert(source, self.folder / "b.npz")) as back:
                return back.files == []

        self.case("npz empty", empty)

    def safetensors(self, random):
        source, target = self.folder / "a.safetensors", self.folder / "b.safetensors"
        metadata = {"format": "np", "text": 'ä "quoted"\n\x1b'}
        arrays = {
            f"{name}.{i}": (name, numbers(random, dtype, shape))
            for name, dtype in SAFETENSORS.items()
            for i, shape in enumerate(s for s in SHAPES if len(s) <= 8)
        }
        for pad in range(8):  # all but one of them make every tensor misaligned

            def check(pad=pad):
                write_safetensors(source, arrays, metadata, pad)
                back, read = read_safetensors(self.convert(source, target))
                alike = read == metadata and back.keys() == arrays.keys()
                return alike and all(
                    back[k][0] == d and same(back[k][1], a) for k, (d, a) in arrays.items()
                )

            self.case(f"safetensors padded by {pad}", check)

        def by_mlx():
            import mlx.core as mx

            known = {k: (d, a) for k, (d, a) in arrays.items() if d != "F64"}  # MLX saves none
            write_safetensors(source, known, metadata, 0)
            back = mx.load(str(self.convert(source, target)))
            return all(
                same(np.array(back[k].view(mx.uint16) if d == "BF16" else back[k]), a)
                for k, (d, a) in known.items()
            )

        self.case("safetensors read by MLX", by_mlx)

    def gguf(self, model):
        import mlx.core as mx

        target = self.folder / "m.safetensors"

        def to_mlx():
            source = self.folder / "a.npz"
            arrays = {
                "f4": np.arange(12, dtype="f4").reshape(3, 4),
                "i1": np.arange(5, dtype="i1"),
                "f2": np.ones((2, 3, 4), "f2"),
            }
            np.savez(source, **arrays)
            back = mx.load(str(self.convert(source, self.folder / "b.gguf")))
            return all(same(np.array(back[k]), a) for k, a in arrays.items())

        self.case("gguf read by MLX", to_mlx)
        if not model:
            return

        def from_mlx():
            reference = mx.load(model)
            back, _ = read_safetensors(self.convert(model, target))
            for name, want in reference.items():
                got = back[name][1]
                if not same(got, np.array(want)):
                    raise RuntimeError(name)
            return True

        self.case(f"gguf {model}", from_mlx)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--gguf")
    options = parser.parse_args()
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        tests = Tests(options.driver, pathlib.Path(folder))
        tests.npy(random)
        tests.npz(random)
        tests.safetensors(random)
        tests.gguf(options.gguf)
    print(f"{tests.done - tests.failed} of {tests.done} cases passed")
    sys.exit(1 if tests.failed else 0)


if __name__ == "__main__":
    main()
