#!/usr/bin/env python3
"""Compares `tarn tokenize` with the PyPI package `tokenizers`, line by line.

    tokenizer_test.py --tarn build/tarn --model SmolLM2.gguf [--lines 20000] [--save FILE.json]
        [--driver build/tokenizer_driver]

The reference is built from the GGUF's own vocabulary and merges. `tarn tokenize --model M --lines
--json` reads raw lines from stdin and prints one JSON array of ids per line; with `--decode` it
reads arrays and prints the texts as JSON strings. `--save` also writes the reference's
tokenizer.json and repeats the comparison with it in place of the GGUF. With `--driver`, the program
of tests/lm/tokenizer_driver.cpp, small tokenizers of every kind are compared as well.
"""

import argparse
import inspect
import json
import pkgutil
import random
import struct
import subprocess
import sys

import tokenizer_kinds
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
STRING, ARRAY = 8, 9


def gguf_metadata(path):
    with open(path, "rb") as file:

        def scalar(form):
            return struct.unpack(form, file.read(struct.calcsize(form)))[0]

        def value(kind):
            if kind == STRING:
                return file.read(scalar("<Q")).decode("utf-8", "replace")
            if kind == ARRAY:
                inner, count = scalar("<I"), scalar("<Q")
                return [value(inner) for _ in range(count)]
            return scalar(SCALARS[kind])

        assert file.read(4) == b"GGUF", path
        scalar("<I"), scalar("<Q")
        return {value(STRING): value(scalar("<I")) for _ in range(scalar("<Q"))}


def reference_for(meta):
    assert meta["tokenizer.ggml.model"] == "gpt2" and meta["tokenizer.ggml.pre"] == "smollm", meta
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    types = meta["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, types) if k == 3]
    )
    return tokenizer


def sources():
    """Text that every Python brings along: its own documentation and code."""
    import argparse as a, collections, decimal, email.message, subprocess as s, typing, unittest

    modules = [a, collections, decimal, email.message, s, typing, unittest, inspect, pkgutil, json]
    code = "\n".join(inspect.getsource(module) for module in modules)
    prose = "\n".join(
        inspect.getdoc(thing) or "" for module in modules for thing in vars(module).values()
    )
    return code.splitlines(), prose.split()


CODES = [  # (first, last) of what a random text is drawn from
    (0x4E00, 0x9FFF),
    (0x0600, 0x06FF),
    (0x0400, 0x04FF),
    (0x0590, 0x05FF),
    (0x0900, 0x097F),
    (0x0E00, 0x0E7F),
    (0x3040, 0x30FF),
    (0xAC00, 0xD7A3),
    (0x00A0, 0x024F),
    (0x0300, 0x036F),
    (0x2000, 0x206F),
    (0x2100, 0x27BF),
    (0x1F300, 0x1FAFF),
    (0xFE00, 0xFE0F),
    (0x10000, 0x3FFFF),
]
EMOJI = ["👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "1️⃣", "😀", "🧑🏿‍🚀", "❤️‍🔥", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
SPACES = [
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t",
    "\r",
    "\u00a0",
    "\u3000",
    "\u2028",
    " \t ",
    "\x0b",
    "\x85",
    "     ",
]
BITS = [
    "'s",
    "'ll",
    "'RE",
    "don't",
    "I'm",
    "you've",
    "'",
    "''",
    "3.14159",
    "1,000,000",
    "٣٤٥",
    "²½Ⅷ",
    "x_1",
    "foo(bar)",
    "!=",
    "...",
    "—",
    "¿",
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|im_",
    "<repo_name>",
    "https://a.b/c?d=e&f",
    "ſ",
    "ﬀ",
    "İ",
    "\u0130",
    "e\u0301",
    "�",
]


def make_lines(count, seed=20240607):
    rng = random.Random(seed)
    code, words = sources()

    def characters():
        first, last = rng.choice(CODES)
        return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 12)))

    def any_bytes():
        return bytes(
            rng.choice([rng.randrange(256), rng.randrange(0x80, 0x100), 0x41])
            for _ in range(rng.randint(1, 10))
        )

    def cut_text():
        data = (characters() + rng.choice(EMOJI)).encode()
        return data[rng.randint(0, 3) : len(data) - rng.randint(0, 3)]

    makers = [
        (6, lambda: " ".join(rng.choice(words) for _ in range(rng.randint(1, 15))).encode()),
        (3, lambda: rng.choice(code).encode()),
        (4, lambda: characters().encode()),
        (2, lambda: rng.choice(EMOJI).encode()),
        (3, lambda: rng.choice(SPACES).encode()),
        (3, lambda: rng.choice(BITS).encode()),
        (1, any_bytes),
        (1, cut_text),
        (1, lambda: (rng.choice("aA0 '.é中") * rng.choice([2, 5, 40, 200])).encode()),
    ]
    makers = [make for weight, make in makers for _ in range(weight)]
    lines = []
    for _ in range(count):
        line = b"".join(rng.choice(makers)() for _ in range(rng.randint(1, 6)))
        lines.append(line.replace(b"\n", b" "))
    return lines


def run(command, lines):
    done = subprocess.run(
        command, input=b"".join(line + b"\n" for line in lines), stdout=subprocess.PIPE, check=True
    )
    out = done.stdout.split(b"\n")[:-1]
    assert len(out) == len(lines), f"{command}: {len(lines)} lines in, {len(out)} out"
    return [json.loads(line) for line in out]


def compare(name, tarn, model, reference, lines, least_whole=0.95):
    texts = [line.decode("utf-8", "replace") for line in lines]
    command = [tarn, "tokenize", "--model", model, "--json", "--lines", "--special"]
    mine = run(command, lines)
    wrong = 0
    for line, text, ids, encoding in zip(lines, texts, mine, reference.encode_batch(texts)):
        if ids != encoding.ids:
            wrong += 1
            if wrong <= 5:
                print(f"{name}: {line!r}\n  tarn      {ids}\n  reference {encoding.ids}")
    arrays = [json.dumps(ids).encode() for ids in mine]
    # A vocabulary may lack some control bytes, so the reference does not give back every text.
    wanted = reference.decode_batch(mine, skip_special_tokens=False)
    for line, want, back in zip(lines, wanted, run(command + ["--decode"], arrays)):
        if back != want:
            wrong += 1
            if wrong <= 5:
                print(f"{name}: {line!r}\n  decodes to {back!r}\n  reference  {want!r}")
    whole = sum(want == text for want, text in zip(wanted, texts))
    if whole < least_whole * len(lines):
        wrong += 1
        print(f"{name}: only {whole} lines come back as they were")
    print(f"{name}: {len(lines)} lines, {wrong} wrong")
    return wrong == 0


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tarn", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--lines", type=int, default=20000)
    options.add_argument("--save")
    options.add_argument("--driver")
    options = options.parse_args()
    reference = reference_for(gguf_metadata(options.model))
    lines = make_lines(options.lines)
    good = compare("gguf", options.tarn, options.model, reference, lines)
    if options.save:
        reference.save(options.save)
        good = compare("tokenizer.json", options.tarn, options.save, reference, lines) and good
    if options.driver:
        texts = [line.decode("utf-8", "replace") for line in lines[:3000]]
        good = tokenizer_kinds.compare(options.driver, texts) == 0 and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
