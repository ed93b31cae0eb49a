#!/usr/bin/env python3
"""Speed on an NVIDIA GPU beside others, in one run on this machine: `make compare DEVICE=gpu`.

    compare_gpu.py [--quick] [--check] [--rows NAMES] [--driver COMMAND] [--json FILE]
                   [--report FILE]

gpu_bench's rows take turns with torch's where the Python that runs this has torch with CUDA. What
other peers reach is not measured here: bench/gpu_targets.json gives it, with the targets, and the
table marks it. The table goes to standard output, everything measured to build/compare-gpu.json.
With --check the exit status is 1 when a target is missed. --report puts the table into FILE,
between the marks that docs/performance.md has.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import subprocess
import sys

from compare_report import put_into
from compare_sides import ROOT, Side, measure

HERE = pathlib.Path(__file__).resolve().parent
SCALES = {"tok/s": 1, "TFLOP/s": 1e12, "TB/s": 1e12}
NOT_RUN = "not run here"


def shown(rate, unit):
    """What the table says of a rate: units that begin with "us" are the time of one."""
    value = 1e6 / rate if unit.startswith("us") else rate / SCALES[unit]
    return f"{value:9.1f}" if value >= 100 else f"{value:9.2f}"


def rate_of(value, unit):
    return 1e6 / value if unit.startswith("us") else value * SCALES[unit]


def driver_version():
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, check=True, text=True, capture_output=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def measured(name, row, tarn, torch, options):
    """The rates of one row: torch's where it is here and has it, the given ones of others."""
    sides = [tarn]
    errors = {"tarn": tarn.ask("prepare", row=name)}
    if torch and name in torch.rows:
        sides.append(torch)
        errors["torch"] = torch.ask("prepare", row=name)
    result = measure(name, sides, options.rounds, "rate", row=name, seconds=options.seconds)
    for side in sides:
        result[side.name]["error"] = errors[side.name].get("error_of_norm")
    for who, value in row.get("given", {}).items():
        if not any(who.split(",")[0] == side.name for side in sides):
            result[who] = {"median": rate_of(value, row["unit"]), "given": True}
    return result


def judge(name, row, results):
    """The ratio to the peer that the target names, or to the fastest, and whether the target, if
    there is one, is reached."""
    result = results[name]
    rates = {who: r["median"] for who, r in result.items()}
    rate = rates.pop("tarn")
    if "of_row" in row:
        rates = {row["of_row"]: results[row["of_row"]]["tarn"]["median"]}
    verdict = {}
    if rates:
        beside = row.get("beside")
        if beside not in rates:
            beside = max(rates, key=rates.get)
        verdict |= {"beside": beside, "ratio": rate / rates[beside]}
    if "reach" in row:
        verdict["met"] = rate >= rate_of(row["reach"], row["unit"])
    elif "times" in row:
        verdict["met"] = verdict["ratio"] >= row["times"]
    return verdict


def lines_of(name, row, result, verdict):
    unit = row["unit"]
    for who, r in result.items():
        text = f"{name:17}  {who:15}  {shown(r['median'], unit)}"
        if r.get("given"):
            yield f"{text}  {'':9}  {'':6}  {unit}  {NOT_RUN}"
            continue
        error = f"  error {r['error']:.1e}" if r["error"] else ""
        yield f"{text}  {shown(r['best'], unit)}  {r['spread']:6.0%}  {unit}{error}"
    words = [f"{verdict['ratio']:.2f} times {verdict['beside']}"] if "ratio" in verdict else []
    if "met" in verdict:
        aim = f"{row['reach']} {unit}" if "reach" in row else f"{row['times']:.2f} times"
        words.append(f"target {aim}: {'met' if verdict['met'] else 'missed'}")
    if words:
        yield f"{'':17}  {', '.join(words)}"


def table(report):
    versions = "".join(f", {who} {version}" for who, version in report["versions"].items())
    lines = [f"{report['device']}{versions}", ""]
    lines.append(f"{'':17}  {'':15}  {'median':>9}  {'best':>9}  {'spread':>6}")
    for name, result in report["results"].items():
        lines += lines_of(name, report["rows"][name], result, report["verdicts"][name])
    if any(r.get("given") for result in report["results"].values() for r in result.values()):
        lines += ["", f"{NOT_RUN}: {report['given']}"]
    return "\n".join(lines)


def described(report):
    command = "make compare DEVICE=gpu" + "".join(f" {word}" for word in report["command"])
    return f"`{command}`, {report['when'][:10]}.\n\n```text\n{table(report)}\n```"


def arguments(rows):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.3 s: for a first look")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    parser.add_argument("--rows", help="only these, by commas: " + ", ".join(rows))
    parser.add_argument("--driver", help="how to start a gpu_bench that is there already")
    parser.add_argument("--json", default=ROOT / "build/compare-gpu.json", type=pathlib.Path)
    parser.add_argument("--report", help="a document that takes the table, as docs/performance.md")
    options = parser.parse_args()
    options.rounds, options.seconds = (3, 0.3) if options.quick else (5, 1.0)
    if options.rows:
        options.rows = options.rows.split(",")
        if missing := set(options.rows) - set(rows):
            parser.error(f"--rows does not know {', '.join(sorted(missing))}")
        # A row beside another needs that one.
        options.rows += [rows[name]["of_row"] for name in options.rows if "of_row" in rows[name]]
    return options


def start_torch():
    """torch's side, or None where this Python has none with CUDA."""
    torch = Side("torch", [sys.executable, HERE / "compare_gpu_torch.py"], dict(os.environ))
    answer = torch.first()
    if not answer:
        return None, {}
    torch.rows = answer["rows"]
    return torch, {"torch": answer["version"]}


def main():
    targets = json.loads((HERE / "gpu_targets.json").read_text())
    options = arguments(targets["rows"])
    rows = {n: r for n, r in targets["rows"].items() if not options.rows or n in options.rows}
    if not options.driver:
        build = [ROOT / "tools/build.sh", "cuda", "-DTARN_BUILD_BENCH=ON", "gpu_bench"]
        subprocess.run(build, check=True)
        options.driver = ROOT / "build/cuda/bench/gpu_bench"
    tarn = Side("tarn", [*shlex.split(str(options.driver)), "rows"], dict(os.environ))
    answer = tarn.first()
    if not answer:
        sys.exit("There is no GPU here: `make test-gpu` makes a folder that can be taken to one.")
    torch, versions = start_torch()
    report = {
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": [w for w in sys.argv[1:] if w in ("--quick", "--check")],
        "device": answer["device"],
        "versions": {"driver": driver_version()} | versions,
        "given": targets["given"],
        "rows": rows,
        "results": {},
    }
    for name, row in rows.items():
        report["results"][name] = measured(name, row, tarn, torch, options)
    report["verdicts"] = {name: judge(name, row, report["results"]) for name, row in rows.items()}
    for side in filter(None, (tarn, torch)):
        side.close()
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    if options.report:
        put_into(options.report, "compare on a GPU", described(report))
    if options.check and not all(v.get("met", True) for v in report["verdicts"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
