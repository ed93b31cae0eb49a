"""The sides of a comparison: what is installed, processes that stay warm, and taking turns."""

import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-compare"
PACKAGES = {
    "llama": ["llama-cpp-python==0.3.36", "numpy==2.4.6"],
    "openvino": ["openvino-genai==2026.4.1.0", "numpy==2.4.6"],
    "torch": ["torch==2.15.0", "numpy==2.4.6"],
    # mlx alone has no CPU back end on Linux, mlx-cpu alone no Python module.
    "mlx": ["mlx==0.32.4", "mlx-cpu==0.32.4", "numpy==2.4.6"],
}
AVX2 = ["SSE42", "AVX", "AVX2", "FMA", "F16C", "BMI2"]
LLAMA_FEATURES = {
    "baseline": [],
    "avx2": AVX2,
    "avx512": [*AVX2, "AVX512"],
    "vnni": [*AVX2, "AVX512", "AVX512_VBMI", "AVX512_VNNI"],
    "amx": [*AVX2, "AVX512", "AVX512_VBMI", "AVX512_VNNI", "AVX512_BF16"],
}
# What keeps torch at the level, for levels below what the machine has. The level vnni is given the
# bfloat16 instructions too: there are processors with both, and without them torch is slower.
TORCH_VARIABLES = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
TORCH_LIMITS = {
    "baseline": ("default", "SSE41", "SSE4_2"),
    "avx2": ("avx2", "AVX2", "AVX2"),
    "avx512": ("avx512", "AVX512_CORE", "AVX512"),
    "vnni": ("avx512", "AVX512_CORE_BF16", "AVX512_E2"),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


class Side:
    """A child process that answers one JSON object a line."""

    def __init__(self, name, command, environment):
        self.name = name
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def first(self):
        """What the process says by itself; None when that is no JSON object, or nothing."""
        line = self.process.stdout.readline()
        return json.loads(line) if line.startswith("{") else None

    def ask(self, do, **arguments):
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended during `{do}`.")
        answer = json.loads(line)
        if "error" in answer:
            sys.exit(f"{self.name}, {do}: {answer['error']}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def cmake_arguments(isa):
    wanted = LLAMA_FEATURES.get(isa)
    if wanted is None:  # not x86: what the compiler finds
        return "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF"
    every = dict.fromkeys(LLAMA_FEATURES["amx"])
    flags = [f"-DGGML_{name}={'ON' if name in wanted else 'OFF'}" for name in every]
    return " ".join(["-DGGML_NATIVE=OFF", *flags, "-DLLAVA_BUILD=OFF", "-DLLAMA_CURL=OFF"])


def stamp_of(peer, isa):
    flags = cmake_arguments(isa) if peer == "llama" else ""
    return f"{PACKAGES[peer]} {flags} {platform.python_version()}\n"


def install(peer, isa):
    """Whether the peer is there, after trying to bring it."""
    stamp = VENV / f"{peer}.installed"
    if stamp.exists() and stamp.read_text() == stamp_of(peer, isa):
        return True
    if not (VENV / "bin/pip").exists():
        venv.create(VENV, with_pip=True)
    say(f"Installing {PACKAGES[peer][0]} into {VENV.name} (some minutes)")
    command = [VENV / "bin/pip", "install", *PACKAGES[peer]]
    environment = dict(os.environ)
    if peer == "llama":
        command += ["--no-binary", "llama-cpp-python", "--force-reinstall", "--no-cache-dir"]
        environment["CMAKE_ARGS"] = cmake_arguments(isa)
    log = ROOT / f"build/compare-{peer}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as out:
        done = subprocess.run(command, stdout=out, stderr=out, env=environment, check=False)
    if done.returncode != 0:
        say(f"{peer} could not be installed and is left out; the reasons are in {log}.")
        return False
    stamp.write_text(stamp_of(peer, isa))
    return True


def child_environment(isa, threads):
    environment = {
        k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    }
    environment |= {"OMP_NUM_THREADS": str(threads)}
    return environment, environment | dict(zip(TORCH_VARIABLES, TORCH_LIMITS.get(isa, ())))


def measure(name, sides, rounds, do, **arguments):
    """Rates of each side, A B A B …, after one round that does not count."""
    samples = {side.name: [] for side in sides}
    for number in range(rounds + 1):
        for side in sides:
            rate = side.ask(do, **arguments)["rate"]
            if number:
                samples[side.name].append(rate)
        say(f"  {name}: round {number} of {rounds}")
    return {
        who: {
            "median": statistics.median(all_),
            "best": max(all_),
            "spread": (max(all_) - min(all_)) / statistics.median(all_),
            "all": all_,
        }
        for who, all_ in samples.items()
    }
