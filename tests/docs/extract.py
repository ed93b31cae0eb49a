#!/usr/bin/env python3
"""Programs inside documents: written to files, and run against the output printed beside them.

    extract.py write FOLDER FILE.md...     prints the paths of the programs it wrote
    extract.py run PROGRAM SOURCE.cpp      compares with SOURCE's expected output

A program is a ```cpp block below a line `<!-- run -->`; the ```text block that follows is its
output. A block without main() gets one around it. Where blocks above it are marked
`<!-- part: NAME -->`, the program begins with them; a part that is printed again replaces the
earlier one. `<!-- run with tarn/NAME.h -->` leaves a program out while there is no such header.
A source that says its output itself has lines
`// Output:` and then `//   ...`; one that says `// Needs a model.` gets $TARN_TEST_MODEL,
`// Needs a hub.` a fake one that has org/tiny, `// Needs a model beside it.` a folder `model`.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "hub"))
import surroundings

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
INCLUDE = TREE / "include"
NEEDS_HUB = "// Needs a hub."
BLOCK = re.compile(
    r"<!-- (?:(run)(?: with (\S+))?|part: (\w+)) -->\n+"
    r"```cpp\n(.*?)```(?(1)\n\n*```text\n(.*?)```)",
    re.S,
)
MARK = re.compile(r"<!-- (?:run(?: with \S+)?|part: \w+) -->")


def whole_program(block):
    if "int main(" in block:
        return block
    lines = block.splitlines()
    head = [line for line in lines if line.startswith(("#include", "using namespace"))]
    body = [line for line in lines if line not in head]
    return "\n".join(head + ["int main() {"] + body + ["}", ""])


def programs(document):
    """(number, program, output) of each that can be built."""
    found = BLOCK.findall(document.read_text())
    marks = len(MARK.findall(document.read_text()))
    if len(found) != marks:
        sys.exit(f"{document}: {marks} marks, {len(found)} parts and programs with their output")
    parts, number = {}, 0
    for is_program, header, name, block, output in found:
        if is_program:
            number += 1
            if not header or (INCLUDE / header).exists():
                yield number, "\n".join([*parts.values(), whole_program(block)]), output
        else:
            parts.pop(name, None)
            parts[name] = block


def write(folder, documents):
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        for number, program, output in programs(document):
            path = folder / f"{document.stem.lower()}_{number}.cpp"
            expected = "".join(f"//   {line}\n" for line in output.splitlines())
            content = f"{program}\n// Output:\n{expected}"
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
            print(path)


def run(program, source):
    text = source.read_text()
    arguments = []
    if "// Needs a model." in text:
        model = os.environ.get("TARN_TEST_MODEL")
        if not model:
            print("NOT RUN: TARN_TEST_MODEL names no model", file=sys.stderr)
            return 1 if os.environ.get("CI") == "true" else 77
        arguments = [model]
    _, mark, expected = text.partition("// Output:\n")
    if not mark:
        sys.exit(f"{source} does not say what it prints")
    expected = [
        line.removeprefix("//").removeprefix("   ")
        for line in expected.splitlines()
        if line.startswith("//")
    ]
    with contextlib.ExitStack() as around:
        environment = around.enter_context(surroundings.hub()) if NEEDS_HUB in text else None
        if "// Needs a model beside it." in text:
            program = around.enter_context(surroundings.model_beside(program))
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=300, env=environment
        )
    got = done.stdout.splitlines()
    if done.returncode == 0 and got == expected:
        return 0
    print(f"{source}: exit status {done.returncode}\n{done.stderr}")
    print("--- expected", *expected, "--- got", *got, sep="\n")
    return 1


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) > 1 and words[0] == "write":
        write(pathlib.Path(words[1]), [pathlib.Path(word) for word in words[2:]])
    elif len(words) == 3 and words[0] == "run":
        sys.exit(run(words[1], pathlib.Path(words[2])))
    else:
        sys.exit(__doc__)
