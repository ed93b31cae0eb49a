#!/usr/bin/env python3
"""Makes lm/tokenizers.json: small vocabularies of every kind, and what their own libraries make of
some fifty texts. Needs the PyPI packages tokenizers 0.23.3, sentencepiece 0.2.3 and protobuf.

Each entry is {"name", "vocabulary" (as GGUF has it), "sentencepiece" (a
`.model` in base64) or "tokenizer" (a tokenizer.json), "cases":
[[text, ids, decoded], …]}; "special": true means that special tokens are added.
"""

import base64
import io
import json
import pathlib
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's what they've all said, isn't it?",
    "Arrays are lazy: nothing is computed until a value is needed, then the whole graph is run.",
    "def add(self, x, y):\n    return x + y  # 1234567890\n\n\tfor i in range(100):\n\t\tprint(i)",
    "Größe, naïveté, Ærøskøbing, où, señor. Привет, мир! Как дела? 你好，世界。天地玄黄 こんにちは",
    "the theory of the other mother, the weather together with the leather; there, then, them",
]
TEXTS = [
    "",
    " ",
    "  ",
    "a",
    "the",
    " the",
    "the the  the   the",
    "Hello, world!",
    "It's they'll WE'RE I'M",
    "don't 'sad 'ſt",
    "x = 3.14159 + 1,000,000",
    "12345678 ٣٤٥ ²½Ⅷ",
    "def f(x):\n    return x\n\n\n",
    "\n",
    "\r\n\r\n",
    "a\n\n  b",
    "\t\ttabs\tand  spaces ",
    "trailing   ",
    "   leading",
    " \n \n x",
    "你好，世界",
    "天地玄黄 宇宙洪荒",
    "Привет, мир!",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "こんにちは 世界",
    "안녕하세요",
    "Größe Ærø naïve",
    "e\u0301 é \u212b \ufb01 \u2460",
    "😀👍🏽👩‍👩‍👧‍👦🇩🇪",
    "1️⃣ ❤️‍🔥",
    "zero\u200bwidth\u00a0space\u3000wide",
    "\u2028line\u2029",
    "\x00\x01\x7f\x85",
    "<s>the</s>",
    "a<sep>b <sep> c",
    "<sep><sep>",
    "▁the▁",
    "__init__",
    "https://example.com/a?b=c&d=%20",
    "!!!???...---",
    "(a)[b]{c}",
    "camelCaseWordsHTTPServer",
    "a" * 70,
    " " * 40,
    "=" * 33,
    "ab" * 40,
    "the" * 30,
    "\ufeffbom",
    "\U0003209b\U0001e900\U00010d50 x",
    "��",
]
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve"
    r"|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def cases_of(tokenizer, special):
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=special).ids
        rows.append([text, ids, tokenizer.decode(ids, skip_special_tokens=False)])
    return rows


def entry(name, tokenizer, special=False):
    return {
        "name": name,
        "tokenizer": json.loads(tokenizer.to_str()),
        "special": special,
        "cases": cases_of(tokenizer, special),
    }


def byte_level(split):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        show_progress=False,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def byte_level_entries():
    def isolated(pattern):
        return pre_tokenizers.Split(Regex(pattern), "isolated")

    yield entry("gpt2", byte_level([isolated(GPT2)]))
    llama3 = byte_level([isolated(LLAMA3)])
    llama3.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    yield entry("llama3", llama3, special=True)
    qwen2 = byte_level([isolated(QWEN2)])
    qwen2.normalizer = normalizers.NFC()
    qwen2.add_tokens([AddedToken("<sep>", lstrip=True, rstrip=True, normalized=False)])
    yield entry("qwen2", qwen2)
    yield entry("o200k", byte_level([isolated(O200K)]))
    yield entry(
        "digits", byte_level([pre_tokenizers.Digits(individual_digits=True), isolated(GPT2)])
    )


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=260, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return entry("wordpiece", tokenizer, special=True)


def sentence_piece(kind, byte_fallback):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in CORPUS for line in text.split("\n")),
        model_writer=model,
        vocab_size=420 if byte_fallback else 190,
        model_type=kind,
        byte_fallback=byte_fallback,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["<sep>", "▁▁"],
        minloglevel=2,
        num_threads=1,
        hard_vocab_limit=False,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


RULES = "FB01\t66 69\n212B\tC5\n41 30A\tC5\n2460\t31\n3000\t20\nA0\t20\n200B\t\n65 301\tE9\n"


def sentence_piece_file(kind, **options):
    """A `.model` of any kind with a normalizer of its own, as bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write(RULES)
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(line for text in CORPUS for line in text.split("\n")),
            model_writer=model,
            vocab_size=options.pop("vocab_size", 200),
            model_type=kind,
            normalization_rule_tsv=rules.name,
            user_defined_symbols=["<sep>", "ﬁ!"],
            control_symbols=["<tool>"],
            minloglevel=2,
            num_threads=1,
            hard_vocab_limit=False,
            **options,
        )
    return model.getvalue()


def sentence_piece_files():
    for name, kind, options in [
        ("unigram", "unigram", {}),
        ("unigram, byte fallback", "unigram", {"byte_fallback": True, "vocab_size": 460}),
        ("bpe", "bpe", {"byte_fallback": True, "vocab_size": 460}),
        ("bpe, suffix", "bpe", {"treat_whitespace_as_suffix": True}),
        ("bpe, as is", "bpe", {"add_dummy_prefix": False, "remove_extra_whitespaces": False}),
        ("word", "word", {"vocab_size": 60}),
        ("char", "char", {"vocab_size": 90}),
    ]:
        data = sentence_piece_file(kind, **options)
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        rows = []
        for text in TEXTS + ["ﬁne ﬁ! ﬁ!ﬁ", "A\u030a e\u0301 \u2460", " \u00a0 a \u3000"]:
            if "<s>" in text or "\0" in text:  # not looked for; the end of a C string
                continue
            ids = model.encode(text)
            rows.append([text, ids, model.decode(ids).replace(" \u2047 ", "<unk>")])
        yield {
            "name": f"sentencepiece file, {name}",
            "special": False,
            "sentencepiece": base64.b64encode(data).decode(),
            "cases": rows,
        }


def precompiled():
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(sentence_piece_file("unigram"))
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return entry("precompiled", tokenizer)


def with_decoders():
    base = byte_level([pre_tokenizers.Split(Regex(GPT2), "isolated")])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=260,
            show_progress=False,
            special_tokens=["<unk>"],
            end_of_word_suffix="</w>",
        ),
    )
    yield entry("bpe, suffix", tokenizer)
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "|": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.add_tokens(list("abcdefghijklmnoprstuvwy"))
    tokenizer.normalizer = normalizers.Replace(" ", "|")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.CTC()
    yield entry("ctc", tokenizer)
    base.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.UnicodeScripts(), pre_tokenizers.ByteLevel(), pre_tokenizers.FixedLength(9)]
    )
    base.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("th", "TH")])
    yield entry("byte level first", base)
    fused = Tokenizer.from_str(base.to_str())
    fused.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.ByteLevel()])
    fused.pre_tokenizer = pre_tokenizers.Split(Regex("Ġ+"), "merged_with_next")
    fused.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 2, 0)])
    yield entry("byte level as normalizer", fused)


def gguf_type(model, id):
    if id in (model.piece_to_id("<sep>"), model.piece_to_id("▁▁")):
        return 4
    return (
        2
        if model.is_unknown(id)
        else (
            3
            if model.is_control(id)
            else 6 if model.is_byte(id) else 5 if model.is_unused(id) else 1
        )
    )


def sentence_piece_bpe(byte_fallback):
    model = sentence_piece("bpe", byte_fallback)
    ids = range(model.get_piece_size())
    rows = []
    for text in TEXTS:
        if "<s>" in text:  # sentencepiece does not look for control tokens in a text
            continue
        out = model.encode(text)
        rows.append([text, out, model.decode(out).replace(" \u2047 ", "<unk>")])
    return {
        "name": f"sentencepiece bpe, byte fallback {byte_fallback}",
        "special": False,
        "vocabulary": {
            "tokens": [model.id_to_piece(i) for i in ids],
            "scores": [model.get_score(i) for i in ids],
            "types": [gguf_type(model, i) for i in ids],
            "unk": model.unk_id(),
        },
        "cases": rows,
    }


def unigram():
    model = sentence_piece("unigram", True)
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return entry("unigram", tokenizer)


def llama2():
    model = sentence_piece("bpe", True)
    tokens = [model.id_to_piece(i) for i in range(model.get_piece_size())]
    ids = {token: i for i, token in enumerate(tokens)}
    merges = []
    for i, token in enumerate(tokens):
        if gguf_type(model, i) != 1:
            continue
        pairs = [(token[:k], token[k:]) for k in range(1, len(token))]
        merges += sorted(
            (-model.get_score(i), ids[a], ids[b], a, b) for a, b in pairs if a in ids and b in ids
        )
    merges.sort(key=lambda merge: merge[0])
    tokenizer = Tokenizer(
        models.BPE(
            ids,
            [(a, b) for *_, a, b in merges],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return entry("llama2", tokenizer, special=True)


def main():
    entries = [
        *byte_level_entries(),
        word_piece(),
        sentence_piece_bpe(True),
        sentence_piece_bpe(False),
        unigram(),
        llama2(),
        *sentence_piece_files(),
        precompiled(),
        *with_decoders(),
    ]
    path = pathlib.Path(__file__).parent / "lm" / "tokenizers.json"
    path.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) for e in entries)
    path.write_text("[\n" + lines + "\n]\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
