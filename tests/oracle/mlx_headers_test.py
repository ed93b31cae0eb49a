#!/usr/bin/env python3
"""The MLX programs of this tree are MLX programs: MLX's own headers take them, and its views lie
where Tarn's do.

    mlx_headers_test.py --driver build/mlx_headers_driver --compiler g++
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile

import mlx

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LAYOUTS = ROOT / "tests/bindings/mlx_headers_driver.cpp"

def compile_with_mlx(compiler, source, *options):
    include = pathlib.Path(mlx.__path__[0]) / "include"
    command = [compiler, "-std=c++20", f"-I{include}", *options, str(source)]
    # MLX's library comes last: the linker reads from left to right.
    if "-fsyntax-only" not in options:
        library = include.parent / "lib"
        command += [f"-L{library}", "-lmlx", f"-Wl,-rpath,{library}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{source.relative_to(ROOT)} is no MLX program:\n{done.stderr[-4000:]}")


def output_of(program):
    done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--compiler", required=True)
    arguments = parser.parse_args()
    examples = sorted((ROOT / "bindings/mlx/examples").glob("*.cpp"))
    for source in examples:
        compile_with_mlx(arguments.compiler, source, "-fsyntax-only")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/layouts"
        compile_with_mlx(arguments.compiler, LAYOUTS, "-o", program)
        theirs, ours = output_of(program), output_of(arguments.driver)
    pairs = itertools.zip_longest(ours, theirs)
    findings = [f"tarn {mine}\nmlx  {other}" for mine, other in pairs if mine != other]
    print(f"{len(examples)} programs, {len(theirs)} layouts, {len(findings)} differ")
    print(*findings, sep="\n")
    return 1 if findings or not examples or not theirs else 0


if __name__ == "__main__":
    sys.exit(main())
