#!/usr/bin/env python3
"""Every public op of Tarn against MLX on the CPU.

    mlx_test.py --driver build/mlx_driver [--only NAME]

The cases are made here, with what MLX computes for them; the driver computes them with Tarn.
Results must have the same dtype and shape; integers, bools and bits must be equal, floats close.
Where Tarn differs on purpose, mlx_differences.py says how and why. Every function that MLX exposes
is called, or mlx_coverage.py says why not.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import mlx.core as mx
import numpy as np

# Before the cases, some of which keep the functions they call.
from mlx_coverage import NOT_CALLED, covered

COVERAGE = covered()

from mlx_cases import all_cases
from mlx_differences import DIFFERENCES

# Relative, and as a part of the largest magnitude in the array.
PRECISION = {
    "float32": 2e-6,
    "float64": 1e-12,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
    "complex64": 1e-5,
}


def name_of(dtype):
    name = str(dtype).split(".")[-1]
    return "bool" if name.startswith("bool") else name


def raw(array):
    if array.size == 0:
        return b""
    if name_of(array.dtype) == "bfloat16":
        array = array.view(mx.uint16)
    return np.array(array).tobytes()


def numbers(data, dtype, shape):
    """As float64 or complex128; integers and bools as they are."""
    if dtype == "bfloat16":
        wide = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return wide.view(np.float32).astype(np.float64).reshape(shape)
    values = np.frombuffer(data, np.dtype(dtype)).reshape(shape)
    if dtype == "complex64":
        return values.astype(np.complex128)
    return values.astype(np.float64) if dtype.startswith("float") else values


def far(got, want, dtype, tolerance):
    """Where `got` is not `want`, or None."""
    if not dtype.startswith(("float", "bfloat", "complex")) or tolerance == "exact":
        bad = (got != want) & ~((got != got) & (want != want))
    else:
        precision = max(PRECISION[dtype], tolerance or 0)
        finite = np.abs(want[np.isfinite(want)])
        scale = finite.max() if finite.size else 0
        if scale > 1e30 or (finite.size and scale > 1e6 * np.median(finite)):
            scale = 0
        with np.errstate(invalid="ignore"):
            near = (
                np.abs(got - want) <= precision * (np.abs(want) + 0.25 * scale) + 1e-7 * precision
            )
        bad = ~((got == want) | ((got != got) & (want != want)) | near)
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0]) if np.ndim(bad) else ()
    return f"at {at}: {got[at]} instead of {want[at]}, {int(bad.sum())} of {bad.size}"


class Run:
    """Writes the cases, runs the driver once, compares what comes back."""

    def __init__(self, driver, cases, coverage=None):
        self.driver, self.cases, self.wants = driver, cases, []
        self.coverage = coverage or COVERAGE

    def write(self, folder):
        blob, lines = bytearray(), []
        for case in self.cases:
            inputs = []
            for a in case.inputs:
                inputs.append({"dtype": name_of(a.dtype), "shape": list(a.shape), "at": len(blob)})
                blob += raw(a)
            lines.append(json.dumps({"op": case.op, "in": inputs, "args": case.args}))
            self.wants.append(self.expected(case))
        (folder / "cases").write_text("\n".join(lines) + "\n")
        (folder / "input").write_bytes(bytes(blob))

    def expected(self, case):
        try:
            with self.coverage:
                out = case.mlx()
            out = list(out) if isinstance(out, (list, tuple)) else [out]
            mx.eval(*out)
            return [(name_of(a.dtype), tuple(a.shape), raw(a)) for a in out]
        except (ValueError, TypeError, RuntimeError, IndexError) as e:
            return str(e)

    def compare(self, folder):
        output = (folder / "output").read_bytes()
        results = [json.loads(line) for line in (folder / "results").read_text().splitlines()]
        assert len(results) == len(self.cases), f"{len(results)} of {len(self.cases)} results"
        for case, want, result in zip(self.cases, self.wants, results):
            problem = self.problem(case, want, result, output)
            if problem:
                yield case, problem

    @staticmethod
    def problem(case, want, result, output):
        if "unknown" in result:
            return "the driver does not know this op"
        if isinstance(want, str):
            return None if "error" in result else f"no error, but MLX says: {want[:120]}"
        if "error" in result:
            return "error: " + result["error"]
        if len(want) != len(result["out"]):
            return f"{len(result['out'])} results instead of {len(want)}"
        for (dtype, shape, data), got in zip(want, result["out"]):
            got_dtype = name_of(got["dtype"])
            if (got_dtype, tuple(got["shape"])) != (dtype, shape):
                return f"{got_dtype}{tuple(got['shape'])} instead of {dtype}{shape}"
            mine = output[got["at"] : got["at"] + len(data)]
            wrong = far(
                numbers(mine, dtype, shape), numbers(data, dtype, shape), dtype, case.tolerance
            )
            if wrong:
                return f"{dtype}{shape} {wrong}"
        return None

    def problems(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            self.write(folder)
            files = [str(folder / f) for f in ("cases", "input", "results", "output")]
            subprocess.run([self.driver, *files], check=True)
            return list(self.compare(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--only", help="one op")
    parser.add_argument("--all-problems", action="store_true", help="not just five for each op")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)

    known = subprocess.run([options.driver, "--list"], check=True, capture_output=True, text=True)
    cases = [c for c in all_cases() if options.only in (None, c.op)]
    untested = set(known.stdout.split()) - {c.op for c in cases} if not options.only else set()
    failed, explained = {}, dict.fromkeys((reason for reason, _ in DIFFERENCES), 0)
    for case, problem in Run(options.driver, cases).problems():
        reason = next((r for r, fits in DIFFERENCES if fits(case, problem)), None)
        if reason:
            explained[reason] += 1
        else:
            failed.setdefault(case.op, []).append(f"{case}: {problem}")
    stale = [r for r, n in explained.items() if n == 0] if not options.only else []
    for op, lines in sorted(failed.items()):
        print(f"{op}: {len(lines)} differ")
        for line in lines if options.all_problems else lines[:5]:
            print("   ", line)
    for op in sorted(untested):
        print(f"{op}: no case")
    for reason in stale:
        print(f"no case differs any more by: {reason}")
    uncovered = list(COVERAGE.problems(NOT_CALLED)) if not options.only else []
    for line in uncovered:
        print(line)
    print(
        f"{len(cases)} cases of {len({c.op for c in cases})} ops call {len(COVERAGE.called)} of"
        f" MLX's {len(set(COVERAGE.names.values()))} functions; {sum(explained.values())} differ on"
        f" purpose, {sum(map(len, failed.values()))} otherwise"
    )
    sys.exit(1 if failed or untested or stale or uncovered or not cases else 0)


if __name__ == "__main__":
    main()
