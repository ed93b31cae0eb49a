#!/usr/bin/env python3
"""Instruction counts under callgrind, which do not depend on what else the machine does.

    instructions_test.py --driver DRIVER --model FILE --compiler NAME [--write]

It compares with instructions.json, or writes it. One thread and the AVX2 kernels, the most that
valgrind knows. A count that rises by more than 3 % of the one in instructions.json fails (exit
status 1): find the reason, or write the new counts down together with what they buy. Another
compiler makes other code, and on another maker's processor the C library takes other routines, so
there nothing is compared (77).
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCENARIOS = {
    "record": "recording 1,000 ops",
    "replay": "100 ops that cannot fuse, their plan run again",
    "one_op": "100 times x + y of 64 floats, recorded and evaluated",
    "tokenize": "2,000 new words to tokens",
    "render": "a conversation of 41 messages by its template",
    "decode": "four tokens of an answer",
}
KEPT = Path(__file__).with_name("instructions.json")
LIMIT = 0.03


def count(driver, model, scenario):
    run = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=measured",
            driver,
            scenario,
            model,
        ],
        env={"PATH": os.environ["PATH"], "TARN_ISA": "avx2", "TARN_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found or found[1] == "0":
        sys.exit(
            f"[instructions] {scenario} under valgrind ended with {run.returncode}:\n{run.stderr}"
        )
    return int(found[1])


def processor_maker():
    found = re.search(r"^vendor_id\s*: (\S+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "another processor"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--compiler", required=True, help="its name and version")
    parser.add_argument("--write", action="store_true", help="write instructions.json anew")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("NOT RUN: there is no valgrind; make test installs it.")
        return 1 if os.environ.get("CI") == "true" else 77
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"made_by": "", "counts": {}}
    made_by = f"{options.compiler} on {processor_maker()}"
    if not options.write and kept["made_by"] != made_by:
        print(f"NOT RUN: the counts are those of {kept['made_by']}, this is {made_by}.")
        return 77
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda name: count(options.driver, options.model, name), SCENARIOS)
        counts = dict(zip(SCENARIOS, found))
    rose = []
    for name, now in counts.items():
        before = kept["counts"].get(name)
        change = f"{now / before - 1:+8.2%}" if before else "     new"
        print(f"{now:14,} {change}  {SCENARIOS[name]}")
        if not before or now > before * (1 + LIMIT):
            rose.append(name)
    if options.write:
        KEPT.write_text(json.dumps({"made_by": made_by, "counts": counts}, indent=2) + "\n")
        return 0
    if rose:
        print(f"[instructions] more than {LIMIT:.0%} above {KEPT.name}: {', '.join(rose)}.")
    return 1 if rose else 0


if __name__ == "__main__":
    sys.exit(main())
