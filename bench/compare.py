#!/usr/bin/env python3
"""Speed beside llama.cpp and torch, side by side in one run on this machine: `make compare`.

    compare.py [--quick] [--check] [--alone] [--peers llama,torch] [--rows NAMES] [--driver PROGRAM]

The peers are installed into .venv-compare the first time: llama-cpp-python is compiled for the
instruction set that Tarn uses, torch is several GB (PIP_EXTRA_INDEX_URL may name an index with
smaller builds). Sides take turns in processes that stay warm, with the same number of threads. The
table goes to standard output, everything measured to build/compare.json. With --check the exit
status is 1 when a target of bench/targets.json is missed. With --alone each side has one thread and
is timed by the processor's time that it used: what to do where others use the machine.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import venv

from compare_rows import ROWS

ROOT = pathlib.Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-compare"
PACKAGES = {
    "llama": ["llama-cpp-python==0.3.36", "numpy==2.4.6"],
    "torch": ["torch==2.15.0", "numpy==2.4.6"],
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
PROMPT, NEW, PREFILL = 128, 128, 512
LEAST_AGREEMENT = 0.9
PREFILL_ROW = "prefill beside bf16"
QUESTIONS = [
    "Why is the sky blue?",
    "Write a short story about a lighthouse keeper.",
    "List five uses of copper.",
    "What is a prime number?",
]


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


def agreement(tarn, peer):
    """How often both choose the same next token: with the same text before it, and on their own."""
    text = (ROOT / "tests/golden/lm/text.txt").read_text()
    ids = tarn.ask("encode", text=text)["ids"][:PREFILL]
    one, other = (side.ask("likeliest", ids=ids)["ids"] for side in (tarn, peer))
    forced = sum(a == b for a, b in zip(one, other)) / len(ids)
    alone = []
    for question in QUESTIONS:
        prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        ids = tarn.ask("encode", text=prompt)["ids"]
        one, other = (side.ask("greedy", ids=ids, new=48)["ids"] for side in (tarn, peer))
        alone.append(next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), 48))
    if forced < LEAST_AGREEMENT:
        sys.exit(
            f"{peer.name} and tarn agree on {forced:.1%} of the next tokens: they do not "
            "compute the same, so their speeds are not compared."
        )
    return {"same_next_token": forced, "greedy_tokens_before_a_difference_of_48": alone}


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


def compare_models(tarn, llamas, model, threads, options, report):
    weights = tarn.ask("load", model=model)["weight_bytes"]
    report["weight_bytes"] = {"tarn": weights}
    own = ROOT / "build/compare-q4_0.gguf"
    for llama in llamas:
        if llama.name != "llama.cpp" and not own.exists():
            unfinished = own.with_suffix(".part")
            llama.ask("quantise", model=model, out=str(unfinished))
            unfinished.rename(own)
        path = model if llama.name == "llama.cpp" else str(own)
        loaded = llama.ask("load", model=path, threads=threads)
        report["weight_bytes"][llama.name] = loaded["weight_bytes"]
    report["agreement"] = {"llama.cpp": agreement(tarn, llamas[0])}
    text = (ROOT / "tests/golden/lm/text.txt").read_text()
    ids = tarn.ask("encode", text=text)["ids"]
    results = report["results"]
    results["decode"] = measure(
        "decode",
        [tarn, *llamas],
        options.rounds,
        "decode",
        ids=ids[:PROMPT],
        new=NEW,
        seconds=options.seconds,
    )
    results["prefill"] = measure(
        "prefill",
        [tarn, *llamas],
        options.rounds,
        "prefill",
        ids=ids[:PREFILL],
        seconds=options.seconds,
    )
    share = results["decode"]["tarn"]["median"] * weights / report["machine"]["read_bandwidth_all"]
    results["decode"]["share_of_read_bandwidth"] = share


def prepare_row(tarn, torch, row, folder):
    """Gives both sides the same numbers, and compares what they make of them with float64."""
    count = len(row["shapes"]) + ("classes" in row)
    inputs = [f"{folder}/{i}.npy" for i in range(count)]
    outs = {side.name: f"{folder}/{side.name}.npy" for side in (tarn, torch)}
    torch.ask("make_inputs", inputs=inputs, **row)
    for side in (tarn, torch):
        side.ask("prepare", inputs=inputs, out=outs[side.name], **row)
    return torch.ask("errors", op=row["op"], outs=outs)


def compare_rows(tarn, torch, threads, options, report):
    torch.ask("load", threads=threads)
    timed = {"seconds": options.seconds, "processor_time": options.alone}
    for name, row in ROWS.items():
        if options.rows and name not in options.rows:
            continue
        with tempfile.TemporaryDirectory() as folder:
            errors = prepare_row(tarn, torch, row, folder)
        result = measure(name, [tarn, torch], options.rounds, "rate", work=row["work"], **timed)
        report["results"][name] = result | {"errors": errors, "unit": row["unit"]}


def compare_prefill(tarn, torch, model, threads, options, report):
    """Beside torch in bfloat16, on random weights of the model's shape."""
    tarn.ask("load", model=model)
    torch.ask("load", threads=threads)
    text = (ROOT / "tests/golden/lm/text.txt").read_text()
    ids = tarn.ask("encode", text=text)["ids"][:PREFILL]
    report["results"][PREFILL_ROW] = measure(
        PREFILL_ROW,
        [tarn, torch],
        options.rounds,
        "prefill",
        ids=ids,
        seconds=options.seconds,
        processor_time=options.alone,
    ) | {"unit": "tok/s"}


def judge(report):
    """Ratios to the peer with the same weights, and whether they reach bench/targets.json."""
    targets = json.loads((ROOT / "bench/targets.json").read_text())
    isa = report["machine"]["isa"]
    for name, result in report["results"].items():
        peer = result["llama.cpp" if name in ("decode", "prefill") else "torch"]
        tarn = result["tarn"]
        ratio = tarn["median"] / peer["median"]
        target = targets[name].get(isa, targets[name].get("default", 1.0))
        noise = 2 * max(tarn["spread"], peer["spread"])
        result |= {
            "ratio": ratio,
            "ratio_of_best": tarn["best"] / peer["best"],
            "target": target,
            "met": ratio >= target,
            "beyond_noise": abs(ratio - 1) > noise,
        }


def table(report):
    machine = report["machine"]
    rows = [
        f"{machine['processor']}, {machine['threads']} threads, {machine['isa']}, load average "
        f"{report['load_average'][0]:.2f} to {report['load_average_after'][0]:.2f}",
        f"read bandwidth {machine['read_bandwidth_1'] / 1e9:.1f} GB/s by one thread, "
        f"{machine['read_bandwidth_all'] / 1e9:.1f} by all",
        "",
        f"{'':19}  {'':14}  {'median':>9}  {'best':>9}  {'spread':>6}",
    ]
    for name, result in report["results"].items():
        unit = result.get("unit", "tok/s")
        scale = 1 if unit == "tok/s" else 1e9
        for who, r in result.items():
            if isinstance(r, dict) and "median" in r:
                error = f"  error {result['errors'][who]:.1e}" if "errors" in result else ""
                rows.append(
                    f"{name:19}  {who:14}  {r['median'] / scale:9.1f}  "
                    f"{r['best'] / scale:9.1f}  {r['spread']:6.0%}  {unit}{error}"
                )
        verdict = "met" if result["met"] else "missed"
        doubt = "" if result["beyond_noise"] else "; within twice the spread of equal"
        rows.append(
            f"{'':19}  ratio {result['ratio']:.2f} (of the best {result['ratio_of_best']:.2f}), "
            f"target {result['target']:.2f}: {verdict}{doubt}"
        )
        if "share_of_read_bandwidth" in result:
            rows.append(f"{'':19}  {result['share_of_read_bandwidth']:.0%} of the read bandwidth")
    for who, size in report.get("weight_bytes", {}).items():
        rows.append(f"weights of {who}: {size / 1e6:.1f} MB")
    for who, found in report.get("agreement", {}).items():
        rows.append(
            f"tarn and {who} choose the same next token in "
            f"{found['same_next_token']:.1%} of {PREFILL} places"
        )
    rows += [f"{who}: absent" for who in report["absent"]]
    return "\n".join(rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.7 s: for a first look")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--alone", action="store_true", help="one thread, by processor time")
    parser.add_argument("--peers", default="llama,torch")
    parser.add_argument("--rows", help="only these, by commas: " + ", ".join([*ROWS, PREFILL_ROW]))
    parser.add_argument("--driver", help="a compare_driver that is built already")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.7) if options.quick else (5, 3.0)
    options.rows = options.rows.split(",") if options.rows else []
    missing = set(options.rows) - {*ROWS, PREFILL_ROW}
    if missing:
        parser.error(f"--rows does not know {', '.join(sorted(missing))}")
    unknown = set(options.peers.split(",")) - set(PACKAGES)
    if unknown:
        parser.error(f"--peers knows {', '.join(PACKAGES)}; not {', '.join(sorted(unknown))}")
    return options


def main():
    options = arguments()
    if not options.driver:
        build = [ROOT / "tools/build.sh", "release", "-DTARN_BUILD_BENCH=ON", "compare_driver"]
        subprocess.run(build, check=True)
        options.driver = ROOT / "build/release/bench/compare_driver"
    model = subprocess.run(
        [ROOT / "tools/fetch_model.py"], check=True, text=True, stdout=subprocess.PIPE
    ).stdout.strip()
    report = {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
        "python": platform.python_version(),
        "model": model,
        "load_average": os.getloadavg(),
        "results": {},
        "peers": {},
        "absent": [],
    }
    (ROOT / "build").mkdir(exist_ok=True)
    alone = {"TARN_NUM_THREADS": "1"} if options.alone else {}
    tarn = Side("tarn", [options.driver], dict(os.environ) | alone)
    report["machine"] = tarn.ask("machine")
    isa, threads = report["machine"]["isa"], report["machine"]["threads"]
    plain, limited = child_environment(isa, threads)
    for peer in options.peers.split(","):
        if not install(peer, isa):
            report["absent"].append(peer)
            continue
        start = [VENV / "bin/python", ROOT / "bench/compare_peers.py", peer]
        if peer == "llama":
            sides = [Side(name, start, plain) for name in ("llama.cpp", "llama.cpp Q4_0")]
        else:
            sides = [Side(peer, start, limited)]
        report["peers"][peer] = sides[0].ask("machine")
        if peer == "llama":
            compare_models(tarn, sides, model, threads, options, report)
        else:
            compare_rows(tarn, sides[0], threads, options, report)
            if not options.rows or PREFILL_ROW in options.rows:
                compare_prefill(tarn, sides[0], model, threads, options, report)
        for side in sides:
            side.close()
    tarn.close()
    report["load_average_after"] = os.getloadavg()
    judge(report)
    (ROOT / "build/compare.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    if options.check and (
        report["absent"] or not all(r["met"] for r in report["results"].values())
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
