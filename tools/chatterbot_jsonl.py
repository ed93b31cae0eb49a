#!/usr/bin/env python3
"""The English part of PyPI's chatterbot-corpus as examples to train on: chatterbot_jsonl.py OUT

Each pair of turns that follow each other is a line {"prompt": ..., "completion": ...}. Needs the
packages chatterbot-corpus and pyyaml.
"""

import importlib.util
import json
import sys
from pathlib import Path

import yaml


def pairs():
    corpus = Path(importlib.util.find_spec("chatterbot_corpus").origin).parent / "data/english"
    for file in sorted(corpus.glob("*.yml")):
        for turns in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
            turns = [str(turn).strip() for turn in turns]
            yield from ((a, b) for a, b in zip(turns, turns[1:]) if a and b)


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for prompt, completion in pairs():
            line = {"prompt": prompt, "completion": completion}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
