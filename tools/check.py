#!/usr/bin/env python3
"""Holds the tree to its rules: check.py [--tarn build/release/tarn]

Who may include whom, sizes, names, initialised members, a complete catalogue, documents that are
true. One line a finding; exit status 1 when there is one. Standard library only.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import op_reference

ROOT = Path(__file__).resolve().parent.parent
ROOMS = [
    "base", "graph", "ops", "transforms", "runtime", "distributed", "cpu", "cuda", "io", "export",
    "nn", "lm",
]

# room -> what it may include besides itself: a room, or one header of a room.
MAY_INCLUDE = {
    "base": [],
    "graph": ["base"],
    "ops": ["graph", "base"],
    "transforms": ["ops/kinds.h", "graph", "base"],
    "runtime": ["ops/kinds.h", "ops/all.h", "ops/communications.h", "graph", "base"],
    "distributed": ["base"],
    "cpu": ["runtime/backend.h", "distributed/peers.h", "ops", "graph", "base"],
    "cuda": [
        "runtime/backend.h",
        "runtime/values.h",
        "distributed/peers.h",
        "io/atomic_write.h",
        "ops",
        "graph",
        "base",
    ],
    "io": ["base"],
    "export": [
        "transforms/record.h",
        "ops/kinds.h",
        "ops/all.h",
        "ops/valid.h",
        "io/atomic_write.h",
        "io/mapped_file.h",
        "io/row_major.h",
        "graph",
        "base",
    ],
    "nn": ["base"],
    "lm": ["runtime/ahead.h", "runtime/turns.h", "io/atomic_write.h", "base"],
    "apps": ["base"],
    "bindings": [],
    "public": [],
}
# Public headers that a room may not include; the others it may.
NOT_PUBLIC = {
    "base": r"(?!error\.h|shape\.h|dtype\.h|fields\.h|stop\.h|memory\.h)",
    "graph": r"ops|fast|random|transforms|io|gguf|nn|lm|tarn\.h",
    "ops": r"transforms|io|gguf|nn|lm|tarn\.h",
    "transforms": r"io|gguf|nn|lm|tarn\.h",
    "runtime": r"ops|fast|random|transforms|io|gguf|nn|lm|tarn\.h",
    "distributed": r"ops|fast|random|transforms|io|gguf|nn|lm|tarn\.h",
    "cpu": r"transforms|io|gguf|nn|lm|tarn\.h",
    "cuda": r"transforms|io|gguf|nn|lm|tarn\.h",
    "io": r"transforms|nn|lm|tarn\.h",
    "export": r"gguf|nn|lm|tarn\.h",
    "nn": r"io|gguf|lm|tarn\.h",
}
# Headers of other libraries, by how their name begins, and the rooms that may include them.
THIRD_PARTY = {
    "fmt/": ROOMS + ["apps"],
    "nlohmann/": ["base", "lm"],  # lm: chat_template's values keep JSON's order of keys
    "simdjson": ["lm"],  # vocabularies: JSON of many megabytes
    "sanitizer/": ["base"],
    "Eigen/": ["cpu"],
    "cuda": ["cuda"],
    "cublasLt": ["cuda"],
    "cub/": ["cuda"],
    "nvrtc": ["cuda"],
    "dlfcn.h": ["cuda", "distributed"],
    "netdb.h": ["distributed"],
    "netinet/": ["distributed", "apps"],
    "arpa/": ["apps"],
    "zip.h": ["io"],
    "pcre2.h": ["lm"],
    "utf8proc.h": ["lm", "apps"],
    "openssl/": ["lm"],
    "curl/": ["lm"],
    "CLI/": ["apps"],
    "histedit.h": ["apps"],
}
STANDARD = re.compile(
    r"[a-z_0-9]+$|(std|sys/|linux/)[a-z_0-9/]*\.h$|(unistd|fcntl|sched|poll|"
    r"langinfo|malloc|termios|errno|signal|string|math|immintrin|cpuid|arm_neon)\.h$"
)

CPP, CPP_WANTED, HEADER, KERNEL, MODEL, COLUMNS = 600, 400, 250, 300, 150, 100
# Longer files, with the number of lines they may have and why.
LONGER = {
    "src/ops/unary.h": (480, "one list: a formula, a domain and a derivative for each op"),
    "src/ops/binary.h": (450, "one list: a formula, a domain and a derivative for each op"),
    "src/ops/kinds.h": (400, "the six kinds' rules are read together"),
    "src/base/scalar.h": (400, "the maths of one number for every compiler; it includes nothing"),
    "src/runtime/lower.cpp": (430, "one planner, whose decisions build on each other"),
    "src/lm/chat_template/format.cpp": (500, "printf and str.format, one language each"),
    "src/cpu/elementwise.cpp": (400, "the chain's compiler and its runner share every type"),
    "src/cpu/reduce.cpp": (420, "four ways to fold an axis over one set of words"),
    "tests/ops/mistakes_test.cpp": (450, "one mistake a line, with its whole message"),
    "tools/check.py": (450, "one function a rule of the tree"),
    "tests/api/api_samples.py": (600, "data: what each parameter is given"),
    "tests/cli/cli_test.py": (500, "one case a behaviour of one program"),
    "src/cpu/move.cpp": (350, "gather, scatter and updates share their indices and walks"),
    "src/ops/reduce.cpp": (450, "one public form of each reduction beside its rule"),
    "tests/ops/linalg_test.cpp": (450, "one case a promise of twenty functions"),
    "tests/lm/cache_test.cpp": (450, "one table of caches, and what each must do"),
    "tests/ops/mlx_calls.h": (300, "a table: one call an op"),
    "src/cpu/heavy_tile.h": (260, "one tile, its packing and its blocks, read together"),
    "src/cpu/heavy_attention.cpp": (350, "one kernel; cut in two it cannot be inlined"),
    "tests/cpu/heavy_test.cpp": (500, "cases of one table of kernels"),
    "tests/lm/tokenizer_test.cpp": (500, "one case a rule of four formats"),
    "tests/lm/cache_test.cpp": (450, "every kind of cache by one set of definitions"),
    "tests/oracle/chat_template_snippets.py": (1000, "data: one template a line"),
    "bench/heavy_bench.cpp": (500, "one table of shapes and its printing"),
}
FORBIDDEN_FOLDERS = {"utils", "util", "common", "misc", "core", "impl", "helpers", "shared"}
SKIPPED = {"build", ".git", "__pycache__", "golden"}
# Ops without a public function of their own name, and the functions that record them.
REACHED_BY = {
    "alias": "stop_gradient",
    "attention": "scaled_dot_product_attention",
    "attention_back": "scaled_dot_product_attention",
    "cross_entropy_back": "cross_entropy",
    "element_count": "number_of_elements",
    "gated_delta": "gated_delta_update",
    "quantized_matmul_plus": "low_rank_matmul",
    "random_bits": "bits",
    "rms_norm_back": "rms_norm",
    "rope_rows": "rope",
    "sparse_matmul": "matmul",
    "segmented_rows": "segmented_mm",
}
# The tree speaks of itself only. (The brackets keep this file from finding itself.)
FOREIGN = re.compile(
    r"/wor[k]/|/roo[t]/|/hom[e]/\w|pypi\.or[g]|pythonhosted\.or[g]|"
    r"\bdeb\.debian\.or[g]|registry\.npmj[s]|crates\.i[o]\b"
)

findings = []


def report(path, line, text):
    place = path.relative_to(ROOT) if isinstance(path, Path) else path
    findings.append(f"{place}:{line}: {text}" if line else f"{place}: {text}")


def tree():
    folders, files = [], []
    stack = [ROOT]
    while stack:
        for entry in sorted(stack.pop().iterdir()):
            if entry.name in SKIPPED or entry.name.startswith(".venv") or entry.is_symlink():
                continue
            if entry.is_dir():
                folders.append(entry)
                stack.append(entry)
            elif entry.is_file():
                files.append(entry)
    return folders, files


def room_of(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    return {"include": "public", "apps": "apps", "bindings": "bindings"}.get(parts[0])


def check_include(path, number, header, quoted, room):
    first = header.split("/")[0]
    if header.startswith("tarn/"):
        inner = header.removeprefix("tarn/")
        if room in NOT_PUBLIC and re.match(NOT_PUBLIC[room], inner):
            report(path, number, f"{room} may not include {header}")
    elif first in ROOMS and "/" in header:
        if first != room and not any(header == it or first == it for it in MAY_INCLUDE[room]):
            report(
                path,
                number,
                f"{room} may not include {header}: it may include "
                f"{', '.join(MAY_INCLUDE[room]) or 'no other room'}",
            )
    elif quoted and first == "mlx" and room == "bindings":
        if not (ROOT / "bindings/mlx/include" / header).exists():
            report(path, number, f"no such header in bindings/mlx/include: {header}")
    elif quoted:
        if not (path.parent / header).exists() and not (ROOT / "apps" / header).exists():
            report(path, number, f"no such header beside this file: {header}")
    elif owner := next((it for it in THIRD_PARTY if header.startswith(it)), None):
        if room not in THIRD_PARTY[owner]:
            report(path, number, f"{header} is for {', '.join(THIRD_PARTY[owner])}, not for {room}")
    elif not STANDARD.match(header):
        report(path, number, f"{header} belongs to no room: tools/check.py lists the libraries")


def check_includes(path, lines):
    room = room_of(path)
    if room is None:
        return
    if room not in MAY_INCLUDE:
        report(path, 0, f"src/{room} is no room that tools/check.py knows")
        return
    for number, line in enumerate(lines, 1):
        if match := re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line):
            check_include(path, number, match[2], match[1] == '"', room)


def limit_of(path, name):
    if name in LONGER:
        return LONGER[name][0], f"allowed {LONGER[name][0]}: {LONGER[name][1]}"
    if name.startswith(("src/cpu/", "src/cuda/")) and path.suffix in (".cpp", ".cu"):
        return KERNEL, "a kernel file has at most 300"
    if name.startswith("src/lm/models/"):
        return MODEL, "a model file has at most 150"
    if path.suffix in (".h", ".cuh"):
        return HEADER, "a header has at most 250"
    return CPP_WANTED, f"400 are wanted, {CPP} refused; up to there give a reason in tools/check.py"


def check_size(path, lines):
    name = str(path.relative_to(ROOT))
    most, why = limit_of(path, name)
    if len(lines) > most:
        report(path, 0, f"{len(lines)} lines; {why}")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and "one template a line" not in why:
            report(path, number, f"{len(line)} columns; a line has at most {COLUMNS}")


def check_folders(folders):
    for folder in folders:
        parts = folder.relative_to(ROOT).parts
        if folder.name in FORBIDDEN_FOLDERS:
            report(folder, 0, "a folder's name says what is in it; this one could hold anything")
        if len(parts) > 3 and parts[:4] != ("bindings", "mlx", "include", "mlx"):  # MLX's paths
            report(folder, 0, "folders go at most 3 deep")


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(
        r"^[ \t]*#([^\n]*\\\n)*[^\n]*", lambda m: "\n" * m[0].count("\n"), text, flags=re.M
    )
    return re.sub(r'"(\\.|[^"\\])*"', '""', text)


NOT_A_MEMBER = re.compile(
    r"\s*(using|friend|static|typedef|template|enum|struct|class|union|"
    r"TARN_\w+|public|private|protected|operator|return|constexpr)\b"
)


def uninitialised(statement):
    """The names in a member declaration that have no initialiser."""
    flat, depth = "", 0
    for c in statement:
        depth += (c in "<([{") - (c in ">)]}")
        flat += c if depth == 0 or c in "<([{" else ""
    if "(" in flat or NOT_A_MEMBER.match(statement):
        return []
    parts = flat.split(",")
    if not re.match(r"\s*[\w:<>*& \n]+[\s>*&]\w+\s*", parts[0]) or not re.search(
        r"[\w>*&\]]\s+[*&]?\w+", parts[0].split("=")[0]
    ):
        return []
    return [part.split()[-1] for part in parts if part.strip() and not re.search(r"[={]", part)]


def check_members(path, text):
    text, scopes, start, line = without_comments(text), [], 0, 1
    for at, c in enumerate(text):
        line += c == "\n"
        if c == "{":
            head = text[start:at]
            is_struct = re.search(r"\bstruct\s+(\w+::)*\w+[^;()=]*$", head)
            inside = scopes[-1][0] if scopes else None
            if (
                inside == "struct"
                and not is_struct
                and "(" not in head
                and not re.search(r"\b(enum|class|union|namespace)\b", head)
            ):
                scopes.append(("initialiser", start))
            elif is_struct:
                scopes.append(("struct", at))
            else:
                scopes.append(("namespace" if "namespace" in head else "other", at))
            if scopes[-1][0] != "initialiser":
                start = at + 1
        elif c == "}":
            kind, _ = scopes.pop() if scopes else ("", 0)
            if kind != "initialiser":
                start = at + 1
        elif c == ";":
            if scopes and scopes[-1][0] == "struct":
                statement = re.sub(r"^\s*(public|private|protected)\s*:", "", text[start:at])
                for name in uninitialised(statement):
                    report(path, line, f"the member {name} has no initialiser")
            start = at + 1


def check_catalogue():
    declared, lists = {}, {}
    for path in sorted((ROOT / "src/ops").glob("*.h")):
        text = without_comments(path.read_text())
        raw = path.read_text()
        for match in re.finditer(
            r"struct (\w+)[^;{]*\{[^}]*?\bSpec spec\{\s*\"(\w+)\"|" r"^TARN_\w+\((\w+), \"(\w+)\"",
            raw,
            re.M,
        ):
            declared[match[1] or match[3]] = (path, match[2] or match[4])
        for match in re.finditer(r"using (\w+Ops)\s*=\s*List<([^;]*)>;", text):
            for op in re.findall(r"\w+", match[2]):
                lists.setdefault(op, []).append(match[1])
    functions = op_reference.every_name()
    for op, (path, name) in declared.items():
        if len(lists.get(op, [])) != 1:
            report(path, 0, f"op {op} is in {len(lists.get(op, []))} lists of ops, not in one")
        if REACHED_BY.get(name, name) not in functions:
            report(
                path,
                0,
                f"no public function {name}(); if others record op {op}, say so in "
                "REACHED_BY of tools/check.py",
            )
    for op in sorted(set(lists) - set(declared)):
        report("src/ops", 0, f"{lists[op][0]} names {op}, which no header there describes")
    all_ops = (ROOT / "src/ops/all.cpp").read_text()
    for name in sorted({name for names in lists.values() for name in names}):
        if f"{name}::each" not in all_ops:
            report("src/ops/all.cpp", 0, f"{name} is not part of all()")


def check_architecture():
    path = ROOT / "docs/architecture.md"
    if not path.exists():
        report("docs/architecture.md", 0, "missing")
        return
    table = set(re.findall(r"^\| `((?:src|apps|bindings)/\w+)` ", path.read_text(), re.M))
    there = {f"src/{it.name}" for it in (ROOT / "src").iterdir() if it.is_dir()}
    for parent in ("apps", "bindings"):
        if (ROOT / parent).exists():
            there |= {f"{parent}/{it.name}" for it in (ROOT / parent).iterdir() if it.is_dir()}
    for room in sorted(there - table):
        report(path, 0, f"{room} is not in the table of rooms")
    for room in sorted(table - there):
        report(path, 0, f"the table of rooms names {room}, which is not there")


def check_links(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for target in re.findall(r"\]\(([^)#: ]+)\)", line):
            if not (path.parent / target).exists():
                report(path, number, f"a link to {target}, which is not there")


def check_quotes(path, text):
    """A block below `<!-- from FILE -->` stands in FILE as it stands here."""
    for name, block in re.findall(r"<!-- from (\S+) -->\n```\w*\n(.*?)```", text, re.S):
        source = ROOT / name
        if not source.exists() or block not in source.read_text():
            report(path, text[: text.index(block)].count("\n"), f"not what stands in {name}")


def check_op_reference(tarn):
    path = ROOT / "docs/ops.md"
    if not path.exists() or path.read_text() != op_reference.reference(tarn):
        report(path, 0, "not what is there: tools/op_reference.py build/release/tarn > docs/ops.md")


# MLX 0.32.4's functions and how many overloads they have: each is in tests/api/mlx_api.txt, bound
# or left out with a reason.
MLX_OVERLOADS = 632


def check_mlx_names():
    path = ROOT / "tests/api/mlx_api.txt"
    names, overloads, reasons = set(), 0, re.compile(r"- .+ \| .+")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        overloads += 1
        if line.startswith("- "):
            if not reasons.fullmatch(line):
                report(path, number, "left out without a reason: `- DECLARATION | REASON`")
            continue
        names.add(re.match(r"(?:<\w+> )?(operator[^\s(]+|\w+)\(", line)[1])
    for name in sorted(names - op_reference.every_name()):
        report(path, 0, f"no public function {name}()")
    if overloads != MLX_OVERLOADS:
        report(path, 0, f"{overloads} overloads; MLX has {MLX_OVERLOADS}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tarn", help="the program, to compare docs/ops.md with")
    arguments = parser.parse_args()
    folders, files = tree()
    check_folders(folders)
    code = {".h", ".cpp", ".cu", ".cuh"}
    for path in files:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        lines = text.splitlines()
        if path.suffix in code:
            check_includes(path, lines)
        if path.suffix in code | {".py"}:
            check_size(path, lines)
        if room_of(path) == "public":
            check_members(path, text)
        if path.suffix == ".md":
            check_links(path, text)
            check_quotes(path, text)
        for number, line in enumerate(lines, 1):
            if FOREIGN.search(line):
                report(path, number, "speaks of a machine or a registry, not of this library")
    for name in LONGER:
        if not (ROOT / name).exists():
            report("tools/check.py", 0, f"LONGER names {name}, which is not there")
    check_catalogue()
    check_architecture()
    check_mlx_names()
    if arguments.tarn:
        check_op_reference(arguments.tarn)
    print(*findings, sep="\n", end="\n" if findings else "", flush=True)
    if findings:
        sys.exit(f"{len(findings)} findings")


if __name__ == "__main__":
    main()
