#!/usr/bin/env python3
"""Layers, activations, losses, initialisers, optimizers and schedules against mlx.nn and
mlx.optimizers on the CPU.

    nn_test.py --driver build/nn_driver [--only NAME]

As mlx_test.py: the cases are made here, with what MLX computes for them. Everything is called, or
nn_coverage.py says why not.
"""

import argparse
import subprocess
import sys

import mlx.core as mx

# Before the cases, some of which keep the functions they call.
from nn_coverage import NOT_CALLED, covered

COVERAGE = covered()

import mlx_test
from nn_cases import all_cases

# Sums of many terms, in another order; 20 steps of an optimizer.
mlx_test.PRECISION.update({"float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--driver", required=True)
    parser.add_argument("--only", help="one call")
    options = parser.parse_args()
    mx.set_default_device(mx.cpu)
    known = subprocess.run([options.driver, "--list"], check=True, capture_output=True, text=True)
    cases = [c for c in all_cases() if options.only in (None, c.op)]
    untested = set(known.stdout.split()) - {c.op for c in cases} if not options.only else set()
    problems = list(mlx_test.Run(options.driver, cases, COVERAGE).problems())
    for case, problem in problems:
        print(f"{case}: {problem}")
    for op in sorted(untested):
        print(f"{op}: no case")
    uncovered = list(COVERAGE.problems(NOT_CALLED)) if not options.only else []
    for line in uncovered:
        print(line)
    print(
        f"{len(cases)} cases of {len({c.op for c in cases})} calls, {len(COVERAGE.called)} of"
        f" MLX's {len(set(COVERAGE.names.values()))}; {len(problems)} differ"
    )
    sys.exit(1 if problems or untested or uncovered or not cases else 0)


if __name__ == "__main__":
    main()
