#!/usr/bin/env python3
"""Compares models that `tarn convert` wrote with what mlx-lm makes of the same folders.

    mlx_lm_test.py --tarn build/tarn --model SmolLM2.gguf

The GGUF file becomes a folder as it is, one in float32 shards, and one quantised by groups of 64.
mlx-lm loads each: its tokenizer must give the same ids, its logits the same log-probabilities of
what Tarn answers, and its own greedy answer must be the same as far as no two tokens are as likely.
A conversation that `tarn chat` saved must be a prompt cache to mlx-lm, with the keys and values
that it computes of the same tokens.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}

import mlx.core as mx
from mlx_lm import load
from mlx_lm.models.cache import load_prompt_cache, make_prompt_cache

TEXTS = [
    "The capital of France is",
    "def add(a, b):\n    return",
    "It's 2024: naïve café, 東京 — and\r\n\n  1234567 apples",
]
CHAT = "<|im_start|>user\nhi  there<|im_end|>\n<|im_start|>assistant\n"
TOKENS = 6  # mlx takes seconds for each call without a GPU
# Log-probabilities are of size 10; float16 scales and another order of adding are in them.
LARGEST_CACHE_DIFFERENCE = 5e-3
LARGEST_DIFFERENCE = {"as it is": 2e-2, "float32": 5e-3, "4 bits": 5e-3}


def tarn(program, *words, stdin=None):
    run = subprocess.run([program, *words], input=stdin, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"tarn {' '.join(map(str, words))}: {run.stderr}")
    return run.stdout


def shard(folder):
    """The one file as two with an index, as large models have them."""
    weights = mx.load(str(folder / "model.safetensors"))
    names, where = sorted(weights), {}
    for i, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{i:05}-of-00002.safetensors"
        mx.save_safetensors(
            str(folder / file), {n: weights[n] for n in part}, metadata={"format": "mlx"}
        )
        where |= {n: file for n in part}
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def log_probabilities(model, ids):
    logits = model(mx.array([ids]))[0].astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def compare(program, name, folder):
    model, tokenizer = load(str(folder))
    for text in [*TEXTS, CHAT]:
        words = ["tokenize", "--special", "--json", "--model", folder, text]
        ours, theirs = json.loads(tarn(program, *words)), tokenizer.encode(text)
        if ours != theirs:
            sys.exit(f"{name}: {text!r} is {ours} here and {theirs} in mlx-lm")
    worst = 0.0
    for text in (TEXTS[0], CHAT):
        words = ["--raw", "-p", text, "--json", f"--max-tokens={TOKENS}", "--precision=exact"]
        answer = json.loads(tarn(program, "generate", "--model", folder, *words))
        prompt, said = answer["prompt_ids"], answer["generated_ids"]
        table = log_probabilities(model, prompt + said)
        for i, (token, ours) in enumerate(zip(said, answer["logprobs"])):
            row = table[len(prompt) - 1 + i]
            theirs = row[token].item()
            worst = max(worst, abs(ours - theirs))
            best = mx.max(row).item()
            if best - theirs > LARGEST_DIFFERENCE[name]:
                sys.exit(f"{name}: {text!r}: mlx-lm would not say token {i}, {token}")
    print(f"{name}: log-probabilities differ by at most {worst:.1e}")
    if not worst < LARGEST_DIFFERENCE[name] or math.isnan(worst):
        sys.exit(f"{name}: more than {LARGEST_DIFFERENCE[name]}")


def compare_saved(program, folder):
    file = folder / "talk.safetensors"
    words = ["chat", "--model", folder, "--precision=exact", f"--max-tokens={TOKENS}"]
    tarn(program, *words, stdin=f"Say hello.\n/save {file}\n")
    saved, metadata = load_prompt_cache(str(file), return_metadata=True)
    ids = json.loads(metadata["tarn"]["chat"])["tokens"]
    model, _ = load(str(folder))
    cache = make_prompt_cache(model)
    model(mx.array([ids]), cache=cache)
    worst = 0.0
    for i, (ours, theirs) in enumerate(zip(saved, cache, strict=True)):
        if type(ours) is not type(theirs) or ours.offset != theirs.offset:
            sys.exit(f"layer {i} is saved as {ours.offset} positions of {type(ours).__name__}")
        for a, b in zip(ours.state[:2], theirs.state[:2]):
            a, b = (x[..., : ours.offset, :].astype(mx.float32) for x in (a, b))
            worst = max(worst, (mx.abs(a - b).max() / mx.abs(b).max()).item())
    print(f"saved conversation: keys and values differ by at most {worst:.1e} of the largest")
    if not worst < LARGEST_CACHE_DIFFERENCE:
        sys.exit(f"saved conversation: more than {LARGEST_CACHE_DIFFERENCE}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tarn", required=True)
    parser.add_argument("--model", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        for name, words in (
            ("as it is", []),
            ("float32", ["--dequantise", "--dtype=float32"]),
            ("4 bits", ["--dequantise", "--dtype=float32", "--bits=4", "--group=64"]),
        ):
            folder = Path(top) / name.replace(" ", "-")
            tarn(options.tarn, "convert", options.model, "--out", folder, *words)
            if name == "float32":
                shard(folder)
                compare_saved(options.tarn, folder)
            compare(options.tarn, name, folder)


if __name__ == "__main__":
    main()
