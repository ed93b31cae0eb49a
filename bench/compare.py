#!/usr/bin/env python3
"""Speed beside llama.cpp, OpenVINO, torch and MLX, side by side in one run on this machine:
`make compare`.

    compare.py [--quick] [--check] [--alone] [--peers llama,openvino,torch,mlx] [--rows NAMES]
               [--driver PROGRAM] [--report FILE]

The peers are installed into .venv-compare the first time: llama-cpp-python is compiled for the
instruction set that Tarn uses, torch is several GB (PIP_EXTRA_INDEX_URL may name an index with
smaller builds). Sides take turns in processes that stay warm, with the same number of threads. The
table goes to standard output, everything measured to build/compare.json. With --check the exit
status is 1 when a target of bench/targets.json is missed. With --alone each side has one thread and
is timed by the processor's time that it used: what to do where others use the machine. --report
puts the table into FILE, between the marks that docs/performance.md has.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

from compare_report import described, put_into, table
from compare_rows import ROWS
from compare_sides import (
    PACKAGES,
    ROOT,
    VENV,
    Side,
    child_environment,
    install,
    measure,
)

PROMPT, NEW, PREFILL, LOADED = 128, 128, 512, 16
OTHER_WEIGHTS = "llama.cpp Q4_0"  # its own 4-bit format: shown, but not what targets are beside
LEAST_AGREEMENT = 0.9
PREFILL_ROW = "prefill beside bf16"
QUESTIONS = [
    "Why is the sky blue?",
    "Write a short story about a lighthouse keeper.",
    "List five uses of copper.",
    "What is a prime number?",
]


def agreement(tarn, peer):
    """How often both choose the same next token: on their own, and with the same text before it
    where the peer shows what it would choose."""
    text = (ROOT / "tests/golden/lm/text.txt").read_text()
    found = {"greedy_tokens_before_a_difference_of_48": greedy_agreement(tarn, peer)}
    if peer.name == "openvino":  # it makes texts only
        return found
    ids = tarn.ask("encode", text=text)["ids"][:PREFILL]
    one, other = (side.ask("likeliest", ids=ids)["ids"] for side in (tarn, peer))
    forced = sum(a == b for a, b in zip(one, other)) / len(ids)
    if forced < LEAST_AGREEMENT:
        sys.exit(
            f"{peer.name} and tarn agree on {forced:.1%} of the next tokens: they do not "
            "compute the same, so their speeds are not compared."
        )
    return {"places": len(ids), "same_next_token": forced} | found


def greedy_agreement(tarn, peer):
    alone = []
    for question in QUESTIONS:
        prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        ids = tarn.ask("encode", text=prompt)["ids"]
        one, other = (side.ask("greedy", ids=ids, new=48)["ids"] for side in (tarn, peer))
        alone.append(next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), 48))
    return alone


def compare_models(tarn, peers, model, threads, options, report):
    weights = tarn.ask("load", model=model)["weight_bytes"]
    report["weight_bytes"] = {"tarn": weights}
    own = ROOT / "build/compare-q4_0.gguf"
    for peer in peers:
        if peer.name == OTHER_WEIGHTS and not own.exists():
            unfinished = own.with_suffix(".part")
            peer.ask("quantise", model=model, out=str(unfinished))
            unfinished.rename(own)
        path = str(own) if peer.name == OTHER_WEIGHTS else model
        loaded = peer.ask("load", model=path, threads=threads)
        report["weight_bytes"][peer.name] = loaded["weight_bytes"]
    same = [peer for peer in peers if peer.name != OTHER_WEIGHTS]
    report["agreement"] = {peer.name: agreement(tarn, peer) for peer in same}
    text = (ROOT / "tests/golden/lm/text.txt").read_text()
    ids = tarn.ask("encode", text=text)["ids"]
    results = report["results"]
    results["decode"] = measure(
        "decode",
        [tarn, *peers],
        options.rounds,
        "decode",
        ids=ids[:PROMPT],
        new=NEW,
        seconds=options.seconds,
    )
    results["prefill"] = measure(
        "prefill",
        [tarn, *peers],
        options.rounds,
        "prefill",
        ids=ids[:PREFILL],
        seconds=options.seconds,
    )
    results["load"] = measure(
        "load",
        [tarn, *peers],
        options.rounds,
        "first_token",
        model=model,
        ids=ids[:LOADED],
        new=1,
        seconds=options.seconds,
    ) | {"unit": "1/s"}
    share = results["decode"]["tarn"]["median"] * weights / report["machine"]["read_bandwidth_all"]
    results["decode"]["share_of_read_bandwidth"] = share


def prepare_row(sides, row, folder):
    """Gives all sides the same numbers, and compares what they make of them with float64."""
    count = len(row["shapes"]) + ("classes" in row)
    inputs = [f"{folder}/{i}.npy" for i in range(count)]
    outs = {side.name: f"{folder}/{side.name}.npy" for side in sides}
    torch = next(side for side in sides if side.name == "torch")
    torch.ask("make_inputs", inputs=inputs, **row)
    for side in sides:
        side.ask("prepare", inputs=inputs, out=outs[side.name], **row)
    return torch.ask("errors", op=row["op"], outs=outs)


def compare_rows(tarn, peers, threads, options, report):
    for peer in peers:
        peer.ask("load", threads=threads)
    timed = {"seconds": options.seconds, "processor_time": options.alone}
    for name, row in ROWS.items():
        if options.rows and name not in options.rows:
            continue
        with tempfile.TemporaryDirectory() as folder:
            errors = prepare_row([tarn, *peers], row, folder)
        result = measure(name, [tarn, *peers], options.rounds, "rate", work=row["work"], **timed)
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


def aim_of(name, isa, targets):
    """A target of bench/targets.json: how many `times` the rate of `beside`, the fastest peer where
    none is named; a `share` of the read bandwidth is as good."""
    aim = targets[name].get(isa, targets[name].get("default", 1.0))
    return aim if isinstance(aim, dict) else {"times": aim}


def judge(report):
    """Ratios to the peer that the target names, or the fastest one with the same weights, and
    whether they reach bench/targets.json."""
    targets = json.loads((ROOT / "bench/targets.json").read_text())
    for name, result in report["results"].items():
        aim = aim_of(name, report["machine"]["isa"], targets)
        tarn = result["tarn"]
        rates = {who: r for who, r in result.items() if isinstance(r, dict) and "median" in r}
        beside = [who for who in rates if who not in ("tarn", OTHER_WEIGHTS)]
        who = aim.get("beside")
        if who not in beside:
            who = max(beside, key=lambda peer: rates[peer]["median"])
        ratio = tarn["median"] / rates[who]["median"]
        noise = 2 * max(tarn["spread"], rates[who]["spread"])
        enough = "share" in aim and result.get("share_of_read_bandwidth", 0) >= aim["share"]
        result |= {
            "beside": who,
            "ratio": ratio,
            "ratio_of_best": tarn["best"] / rates[who]["best"],
            "target": aim,
            "met": ratio >= aim["times"] or enough,
            "beyond_noise": abs(ratio - 1) > noise,
        }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.7 s: for a first look")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--alone", action="store_true", help="one thread, by processor time")
    parser.add_argument("--peers", help="some of " + ", ".join(PACKAGES))
    parser.add_argument("--rows", help="only these, by commas: " + ", ".join([*ROWS, PREFILL_ROW]))
    parser.add_argument("--driver", help="a compare_driver that is built already")
    parser.add_argument("--report", help="a document that takes the table, as docs/performance.md")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.7) if options.quick else (5, 3.0)
    options.peers = (
        options.peers or ("llama,torch" if options.quick else ",".join(PACKAGES))
    ).split(",")
    options.rows = options.rows.split(",") if options.rows else []
    missing = set(options.rows) - {*ROWS, PREFILL_ROW}
    if missing:
        parser.error(f"--rows does not know {', '.join(sorted(missing))}")
    unknown = set(options.peers) - set(PACKAGES)
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
    sides = {}
    for peer in options.peers:
        if "TARN_ISA" in os.environ and peer in ("openvino", "mlx"):
            report["absent"].append(f"{peer} (nothing holds it to {isa})")
            continue
        if not install(peer, isa):
            report["absent"].append(peer)
            continue
        start = [VENV / "bin/python", ROOT / "bench/compare_peers.py", peer]
        names = ["llama.cpp", OTHER_WEIGHTS] if peer == "llama" else [peer]
        environment = limited if peer == "torch" else plain
        sides[peer] = [Side(name, start, environment) for name in names]
        report["peers"][peer] = sides[peer][0].ask("machine")
    models = [*sides.get("llama", []), *sides.get("openvino", [])]
    if models and not options.rows:
        compare_models(tarn, models, model, threads, options, report)
    if "torch" in sides:  # which makes the numbers, and knows the right results
        compare_rows(tarn, [*sides["torch"], *sides.get("mlx", [])], threads, options, report)
        if not options.rows or PREFILL_ROW in options.rows:
            compare_prefill(tarn, sides["torch"][0], model, threads, options, report)
    for side in [tarn, *(side for all_ in sides.values() for side in all_)]:
        side.close()
    report["load_average_after"] = os.getloadavg()
    judge(report)
    (ROOT / "build/compare.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    if options.report:
        put_into(options.report, "compare", described(report))
    if options.check and (
        report["absent"] or not all(r["met"] for r in report["results"].values())
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
