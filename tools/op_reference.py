#!/usr/bin/env python3
"""Writes docs/ops.md: op_reference.py build/release/tarn > docs/ops.md

First the catalogue, as the program knows it; then every public function of include/tarn with its
signatures and the comment above the first of them. Standard library only.
"""

import re
import subprocess
import sys
from pathlib import Path

INCLUDE = Path(__file__).resolve().parent.parent / "include" / "tarn"
# Headers by what they are for; others come behind, by name.
FIRST = [
    "ops/creation.h",
    "ops/layout.h",
    "ops/indexing.h",
    "ops/dynamic.h",
    "ops/maths.h",
    "ops/reduce.h",
    "ops/contract.h",
    "ops/einsum.h",
    "ops/conv.h",
    "fast.h",
    "linalg.h",
    "fft.h",
    "random.h",
    "sparse.h",
    "transforms.h",
    "export.h",
    "io.h",
    "gguf.h",
    "array.h",
    "dtype.h",
    "device.h",
    "memory.h",
    "info.h",
    "shape.h",
]
SKIPPED = {"fields.h", "tarn.c.h"}
DECLARATION = re.compile(
    r"^(?:template <[^>]*(?:<[^>]*>[^>]*)*>\s*(?:requires\s*\([^;{]*?\)+\s)?)?"
    r"(?:\[\[\w+\]\]\s*)?(?:inline |constexpr |static )*"
    r"(?P<result>[\w:<>,&* ]+?[\s>&*])(?P<name>operator\s?[^\s(\w]+|\w+)\((?P<params>.*)\)"
    r"(?: const)?(?: noexcept)?$",
    re.S,
)


def expanded(text):
    """With the file's own one-parameter macros written out."""
    macros = {}
    for m in re.finditer(r"^#define (TARN_\w+)\((\w+)(?:, (\w+))?\)((?:.*\\\n)*.*)\n", text, re.M):
        macros[m[1]] = ([p for p in (m[2], m[3]) if p], m[4].replace("\\\n", "\n"))
    text = re.sub(r"^#.*(?:\\\n.*)*\n", "", text, flags=re.M)

    def write_out(m):
        params, body = macros.get(m[1], (None, None))
        if body is None:
            return ""
        for param, value in zip(params, re.split(r",\s*", m[2])):
            body = re.sub(rf"\b{param}\b", value, body)
        return body + "\n"

    return re.sub(r"^(TARN_\w+)\(([^)]*)\)\n", write_out, text, flags=re.M)


def statements(text):
    """(comment, declaration, namespace) of what stands at namespace scope."""
    scopes, comment, current = [], [], ""
    for line in text.splitlines():
        stripped = line.strip()
        inside = [s for s in scopes if s is None]
        if not inside and stripped.startswith("//") and not current.strip():
            comment.append(stripped[2:].strip())
            continue
        if not stripped and not current.strip():
            comment = []
            continue
        code = re.sub(r"\s*//.*$", "", line)
        for c in code + "\n":
            if current.count("(") > current.count(")") and None not in scopes:
                current += c  # a default, {} for one
            elif c == "{":
                head = current.strip()
                name = re.search(r"^(?:inline )?namespace\s+([\w:]*)$", head)
                if name and None not in scopes:
                    scopes.append(name[1])
                    current = ""
                    comment = []
                    continue
                if (
                    None not in scopes
                    and "(" in head
                    and not re.match(r"(struct|class|enum)\b", head)
                ):
                    if "=" not in head.split("(")[0]:
                        yield comment, head, "::".join(s for s in scopes if s)
                scopes.append(None)
            elif c == "}":
                was = scopes.pop() if scopes else None
                if None not in scopes and was is None:
                    current = ""
            elif c == ";" and None not in scopes:
                yield comment, current.strip(), "::".join(s for s in scopes if s)
                current = ""
                comment = []
            elif None not in scopes:
                current += c
        if not current.strip():
            current = ""


def short(signature):
    text = re.sub(r"\s+", " ", signature)
    text = re.sub(r"^template <[^(]*?> (?=[\w:]+[ &*<])", "", text)
    text = (
        text.replace("std::", "")
        .replace("const array&", "array")
        .replace("StreamOrDevice s = {}", "s")
        .replace("StreamOrDevice s", "s")
    )
    text = re.sub(
        r"const ((?:vector|optional|pair|function|unordered_map|tuple)<.*?>|string|Shape)& ",
        r"\1 ",
        text,
    )
    return text.replace("inline ", "").replace("|", "\\|")


def functions(path):
    """{(namespace, name): (comment, [signatures])} in the header's order."""
    found = {}
    for comment, code, namespace in statements(expanded(path.read_text())):
        m = DECLARATION.match(code)
        if (
            not m
            or m["name"] in ("defined", "requires")
            or m["result"].split()[0] in ("using", "return", "friend", "struct", "typedef")
        ):
            continue
        if "detail" in namespace:
            continue
        key = (namespace, m["name"].replace(" ", ""))
        entry = found.setdefault(key, (" ".join(comment), []))
        entry[1].append(short(code))
    return found


def every_name():
    return {name for path in INCLUDE.rglob("*.h") for _, name in functions(path)}


def title(path):
    first = path.read_text().splitlines()
    text = []
    for line in first:
        if not line.startswith("//"):
            break
        text.append(line[2:].strip())
    return " ".join(text)


def markdown():
    paths = [INCLUDE / f for f in FIRST if (INCLUDE / f).exists()]
    paths += sorted(
        p
        for p in INCLUDE.rglob("*.h")
        if p not in paths
        and p.name not in SKIPPED
        and not str(p.relative_to(INCLUDE)).startswith("lm")
    )
    out = [
        "## Functions",
        "",
        "`s` is the stream or device, at the end of most signatures. `array`"
        " and other values are taken by reference.",
        "",
    ]
    for path in paths:
        found = functions(path)
        if not found:
            continue
        out += [f"### tarn/{path.relative_to(INCLUDE)}", "", title(path), ""]
        for (namespace, name), (comment, signatures) in found.items():
            where = namespace.removeprefix("tarn").removeprefix("::")
            shown = f"{where}::{name}" if where else name
            out.append(f"**{shown}**" + (f" {comment}" if comment else ""))
            out += [""] + [f"    {s}" for s in signatures] + [""]
    return "\n".join(out)


def reference(tarn):
    done = subprocess.run(
        [tarn, "ops", "--markdown"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout + "\n" + markdown() + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: op_reference.py TARN")
    sys.stdout.write(reference(sys.argv[1]))
