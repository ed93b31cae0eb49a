#!/usr/bin/env python3
"""A step of training adapters beside torch + peft, side by side in one run: tokens a second and the
most memory that each process held.

    train_step.py [--quick] [--alone] [--check] [--shapes 4x256x256,16x64x20] [--driver PROGRAM]
                  [--only-float32] [--report FILE]

The model is the default one, adapters of rank 8 are on all matrices of its layers, the optimizer
is AdamW. A shape is rows x tokens x how many of a row's tokens count. torch computes in bfloat16
and in float32, each in a process of its own, with the numbers of the same file; that the first loss
is the same is checked before anything is timed. With --only-float32 torch in bfloat16 is left out:
where the processor has no instructions for that, a step takes minutes. Sides take turns. With
--alone each side has one thread and is timed by the processor's time. The peers come into
.venv-compare, see compare.py; everything measured goes to build/train-step.json. With --check the
exit status is 1 when a target of bench/targets.json is missed.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys

from compare_report import put_into
from compare_sides import PACKAGES, ROOT, VENV, Side, child_environment, install, measure

# gguf and accelerate are what transformers and peft need to read the model's file.
PACKAGES["peft"] = [
    *PACKAGES["torch"],
    "transformers==5.23.0",
    "peft==0.21.2",
    "accelerate==1.15.0",
    "gguf==0.19.0",
]
LEARNING = {"rank": 8, "scale": 2.0, "rate": 2e-3, "decay": 0.01, "clip": 1.0}
SAME_LOSS = {"tarn": 0.01, "torch bf16": 0.02}  # of torch's in float32
VOCABULARY = 49000
TOKENS_AT_ONCE = 512  # what `tarn train` takes


def batch(shape):
    rows, tokens, counted = (int(n) for n in shape.split("x"))
    draw = random.Random(7)
    ids = [[draw.randrange(VOCABULARY) for _ in range(tokens + 1)] for _ in range(rows)]
    return {"rows": ids, "counted": counted, "tokens_at_once": TOKENS_AT_ONCE}


def peak_bytes(side):
    status = pathlib.Path(f"/proc/{side.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def start_sides(options, model, shape):
    alone = {"TARN_NUM_THREADS": "1"} if options.alone else {}
    tarn = Side("tarn", [options.driver], dict(os.environ) | alone)
    machine = tarn.ask("machine")
    threads = machine["threads"]
    environment = child_environment(machine["isa"], threads)[1]
    sides = [tarn]
    tarn.ask("load", model=model)
    dtypes = {"bfloat16": "torch bf16", "float32": "torch fp32"}
    if options.only_float32:
        del dtypes["bfloat16"]
    for dtype, name in dtypes.items():
        start = [options.python, ROOT / "bench/train_torch.py"]
        sides.append(Side(name, start, environment))
        sides[-1].ask("load", model=model, dtype=dtype, threads=threads, **LEARNING)
    for side in sides:
        side.ask("prepare_training", **batch(shape))
    return sides, machine


def check_losses(sides):
    """What each side says of the first step, whose adapters change nothing yet."""
    losses = {side.name: side.ask("train", seconds=0)["loss"] for side in sides}
    for name, most in SAME_LOSS.items():
        if name not in losses:
            continue
        error = abs(losses[name] / losses["torch fp32"] - 1)
        if error > most:
            sys.exit(f"The first losses differ: {losses}. So the speeds are not compared.")
    return losses


def compare_shape(options, model, shape):
    sides, machine = start_sides(options, model, shape)
    losses = check_losses(sides)
    timed = {"seconds": options.seconds, "processor_time": options.alone}
    result = measure(f"training {shape}", sides, options.rounds, "train", **timed)
    for side in sides:
        result[side.name] |= {"peak_bytes": peak_bytes(side), "first_loss": losses[side.name]}
        side.close()
    return result, machine


def judge(result, machine):
    targets = json.loads((ROOT / "bench/targets.json").read_text())["training"]
    target = targets.get(machine["isa"], targets["default"])
    best = max((name for name in result if name != "tarn"), key=lambda name: result[name]["median"])
    ratio = result["tarn"]["median"] / result[best]["median"]
    memory = result["tarn"]["peak_bytes"] / result[best]["peak_bytes"]
    return {
        "peer": best,
        "ratio": ratio,
        "memory_ratio": memory,
        "met": ratio >= target["speed"] and memory <= target["memory"],
        "target": target,
    }


def table(report):
    machine = report["machine"]
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, {machine['isa']}, load average "
        f"{report['load_average'][0]:.2f} to {report['load_average_after'][0]:.2f}"
    ]
    for shape, result in report["results"].items():
        verdict = result["verdict"]
        for name, side in result.items():
            if name == "verdict":
                continue
            lines.append(
                f"{shape:12}  {name:10}  {side['median']:8.1f} tok/s  best {side['best']:8.1f}  "
                f"spread {side['spread']:4.0%}  peak {side['peak_bytes'] / 1e6:7.0f} MB  "
                f"first loss {side['first_loss']:.4f}"
            )
        lines.append(
            f"{'':12}  beside {verdict['peer']}: {verdict['ratio']:.2f} times the speed, "
            f"{verdict['memory_ratio']:.2f} times the memory, "
            f"{'met' if verdict['met'] else 'missed'} ({verdict['target']})"
        )
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--alone", action="store_true", help="one thread, by processor time")
    parser.add_argument("--shapes", default="4x256x256,16x64x20")
    parser.add_argument("--only-float32", action="store_true", help="torch in float32 only")
    parser.add_argument("--driver", help="a compare_driver that is built already")
    parser.add_argument("--report", help="a document that takes the table, as docs/performance.md")
    parser.add_argument("--python", help="a Python that has the peers already")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 2.0) if options.quick else (5, 6.0)
    return options


def main():
    options = arguments()
    if not options.driver:
        build = [ROOT / "tools/build.sh", "release", "-DTARN_BUILD_BENCH=ON", "compare_driver"]
        subprocess.run(build, check=True)
        options.driver = ROOT / "build/release/bench/compare_driver"
    if not options.python:
        if not install("peft", "any"):
            sys.exit("The peers could not be installed, so there is nothing to compare with.")
        options.python = VENV / "bin/python"
    fetch = [ROOT / "tools/fetch_model.py"]
    model = subprocess.run(fetch, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    report = {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
        "load_average": os.getloadavg(),
        "results": {},
    }
    for shape in options.shapes.split(","):
        result, report["machine"] = compare_shape(options, model, shape)
        report["results"][shape] = result | {"verdict": judge(result, report["machine"])}
    report["load_average_after"] = os.getloadavg()
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/train-step.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    if options.report:
        text = f"`bench/train_step.py`, {report['when'][:10]}.\n\n```text\n{table(report)}\n```"
        put_into(options.report, "train_step", text)
    if options.check and not all(r["verdict"]["met"] for r in report["results"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
