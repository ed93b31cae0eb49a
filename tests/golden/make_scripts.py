#!/usr/bin/env python3
"""Writes src/lm/tokenizer/scripts.cpp: the writing system of each character as the pre-tokenizer
`UnicodeScripts` of the PyPI package tokenizers 0.23.3 knows it, read off where it cuts.
"""

import pathlib
import re

from tokenizers import pre_tokenizers

SPLIT = pre_tokenizers.UnicodeScripts()
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def cuts(text):
    return len(SPLIT.pre_tokenize_str(text)) > 1


def fits_all(character):
    return not cuts("a" + character) and not cuts("α" + character)


def ranges():
    """(first, last, script) of every character that does not fit all scripts."""
    borders = {begin for _, (begin, _) in SPLIT.pre_tokenize_str("".join(map(chr, CODES)))}
    samples, out, script = [], [], None
    for i, code in enumerate(CODES):
        character = chr(code)
        if fits_all(character):
            script = None
            continue
        adjacent = bool(out) and out[-1][1] == code - 1 and script is not None
        if not adjacent or i in borders:
            for script, sample in enumerate(samples):
                if not cuts(sample + character):
                    break
            else:
                script = len(samples)
                samples.append(character)
        if adjacent and out[-1][2] == script:
            out[-1][1] = code
        else:
            out.append([code, code, script])
    return out


def main():
    path = pathlib.Path(__file__).parents[2] / "src/lm/tokenizer/scripts.cpp"
    text = path.read_text()
    rows, line = [], "   "
    for first, last, script in ranges():
        cell = f" {{0x{first:X}, 0x{last:X}, {script}}},"
        if len(line) + len(cell) > 100:
            rows.append(line)
            line = "   "
        line += cell
    rows.append(line)
    table = "kRanges[] = {\n" + "\n".join(rows) + "\n};"
    path.write_text(re.sub(r"kRanges\[\] = \{.*?\n?\};", lambda _: table, text, flags=re.S))


if __name__ == "__main__":
    main()
