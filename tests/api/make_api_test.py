#!/usr/bin/env python3
"""Writes programs that bind and call every function of MLX's C++ API: make_api_test.py OUT_DIR

mlx_api.txt has one overload a line, as MLX declares it. Each becomes a lambda with exactly those
parameters that calls Tarn's function and is called itself, once with every argument and once with
the required ones alone; its result must have exactly the type MLX gives. An overload that Tarn
lacks, or one that is ambiguous, does not compile. Prints the files it wrote.
"""

import re
import sys
from pathlib import Path

from api_samples import ARGUMENTS, BY_NAME, BY_TYPE, NEEDED, SETUP, TYPED, WRITTEN

HERE = Path(__file__).resolve().parent
LINE = re.compile(
    r"(?P<template><T> )?(?P<name>operator[^\s(]+|\w+)\((?P<params>.*)\) -> (?P<result>.*)$"
)
BY_VALUE = {
    "int",
    "double",
    "float",
    "bool",
    "size_t",
    "uint64_t",
    "Dtype",
    "Device",
    "Stream",
    "Device::DeviceType",
    "Dtype::Category",
    "StreamOrDevice",
    "FFTNorm",
    "CompileMode",
    "string_view",
    "Dtype::Kind",
    "ThreadLocalStream",
}


def split_top(text):
    """At commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += c in "<({"
        depth -= c in ">)}"
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return parts + [last] if last else parts


def by_reference(kind):
    """Function types take arrays and lists by reference, which the notation leaves out."""
    if "function<" not in kind:
        return kind

    def written(m):
        params = [
            f"const {p}&" if re.match(r"array|vector|Args|Kwargs", p) else p
            for p in split_top(m[1])
        ]
        return f"({', '.join(params)})"

    return re.sub(r"\(([^()]*)\)", written, kind)


def qualified(kind):
    """A type as MLX's notation has it, in C++."""
    kind = by_reference(kind)
    kind = re.sub(r"\b(Buffer|Allocator)\b", r"allocator::\1", kind)
    kind = re.sub(r"^FFTNorm$", "fft::FFTNorm", kind)
    kind = re.sub(r"\b(Group|AllGatherFactory)\b", r"distributed::\1", kind)
    kind = re.sub(
        r"\b(vector|optional|function|pair|tuple|string|unordered_map|shared_ptr|variant|"
        r"string_view|initializer_list|ostream)\b",
        r"std::\1",
        kind,
    )
    return re.sub(r"\bT\b|\bU\b", "float", kind)


class Overload:
    def __init__(self, namespace, line):
        m = LINE.match(line)
        if not m:
            sys.exit(f"mlx_api.txt: not a declaration: {line}")
        self.line, self.namespace, self.name = line, namespace, m["name"]
        self.result = qualified(m["result"])
        self.params = []
        for part in split_top(m["params"]):
            if part in ("s={}", "s"):
                part = f"StreamOrDevice {part}"
            declared, _, default = part.partition("=")
            kind, _, name = declared.strip().rpartition(" ")
            if not kind or ">" in name:  # a parameter without a name
                kind, name = declared.strip(), ""
            self.params.append((kind, name, default != ""))

    def parameter(self, i):
        kind, name, _ = self.params[i]
        if kind == "initializer_list<int>" and name == "start":  # sizes have 64 bits here
            kind = "initializer_list<int64_t>"
        if kind.endswith("&&...") or kind.endswith("*") or kind.endswith("&"):
            return f"{qualified(kind).replace('...', '')} p{i}"
        return (
            f"{qualified(kind)} p{i}"
            if kind in BY_VALUE | {"T", "U"}
            else f"const {qualified(kind)}& p{i}"
        )

    def sample(self, i):
        kind, name, _ = self.params[i]
        for table, key in (
            (TYPED, (self.name, name, kind)),
            (ARGUMENTS, (self.name, name)),
            (BY_NAME, name),
            (BY_TYPE, kind),
        ):
            if key in table:
                return table[key]
        sys.exit(f"api_samples.py has nothing for `{kind} {name}` of {self.line}")

    def expression(self, count):
        args = [f"p{i}" for i in range(count)]
        if self.name.startswith("operator"):
            sign = self.name[len("operator") :]
            return f"{sign}{args[0]}" if count == 1 else f"{args[0]} {sign} {args[1]}"
        return f"{self.namespace}::{self.name}({', '.join(args)})"

    def calls(self):
        if self.line in WRITTEN:
            yield f"  written({quoted(self.line)}, [] {{ {WRITTEN[self.line]} }});"
            return
        required = sum(
            not default or (self.name, name) in NEEDED for _, name, default in self.params
        )
        for count in dict.fromkeys((len(self.params), required)):
            params = ", ".join(self.parameter(i) for i in range(count))
            call = self.expression(count)
            yield (
                f"  bound<{self.result}>({quoted(self.line)}, []({params}) -> decltype(auto) "
                f"{{ return {call}; }}{''.join(', ' + self.sample(i) for i in range(count))});"
            )


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def sections():
    """(title, namespace, overloads, left out) of each section of the list."""
    title = namespace = None
    overloads = []
    for line in (HERE / "mlx_api.txt").read_text().splitlines():
        if line.startswith("## "):
            if title:
                yield title, overloads
            title, _, namespace = line[3:].partition(": ")
            overloads = []
        elif line and not line.startswith(("#", "- ")):
            overloads.append(Overload(namespace, line))
    yield title, overloads


def program(title, overloads):
    lines = [
        '#include "api/bound.h"',
        "",
        "namespace tarn::api_test {",
        "",
        f"TEST(Api, {title}) {{",
        SETUP.get(title, "").rstrip(),
    ]
    for overload in overloads:
        lines += overload.calls()
    return "\n".join(lines + ["}", "", "}  // namespace tarn::api_test", ""])


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for title, overloads in sections():
        path = out / f"api_{title}_test.cpp"
        text = program(title, overloads)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        print(path)


if __name__ == "__main__":
    main()
