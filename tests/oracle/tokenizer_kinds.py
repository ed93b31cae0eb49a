"""Small tokenizers of every kind, trained here by the PyPI package tokenizers on the lines of the
test, and the comparison of Tarn with them: ids, decoded texts, and texts decoded in a stream.
"""

import json
import pathlib
import random
import subprocess
import tempfile
import unicodedata

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

D, M, N, P = decoders, models, normalizers, pre_tokenizers
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
SPECIALS = ["<unk>", "<s>", "</s>", "<pad>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


class Driver:
    """The program tests/lm/tokenizer_driver.cpp with one tokenizer."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def differences(name, driver, reference, texts, special=False, decode=True, show=3):
    """How many texts get other ids or other text back; the first few are printed."""
    wrong = 0

    def report(text, what, mine, theirs):
        nonlocal wrong
        wrong += 1
        if wrong <= show:
            print(f"{name}: {text!r}\n  {what}\n  tarn      {mine!r}\n  reference {theirs!r}")

    mine = driver.ask(texts=texts, special=special)
    theirs = [e.ids for e in reference.encode_batch(texts, add_special_tokens=special)]
    for text, row, ids in zip(texts, mine, theirs):
        if row["ids"] != ids:
            report(text, "ids", row["ids"], ids)
    if decode:
        back = reference.decode_batch([row["ids"] for row in mine], skip_special_tokens=False)
        for text, row, want in zip(texts, mine, back):
            if row["text"] != want:
                report(text, "decoded", row["text"], want)
    print(f"{name}: {len(texts)} lines, {wrong} wrong")
    return wrong


def trained(model, trainer, lines, normalizer=None, splitter=None, decoder=None):
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if splitter:
        tokenizer.pre_tokenizer = splitter
    if decoder:
        tokenizer.decoder = decoder
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def bpe(lines, size=600, special=SPECIALS, prefix=None, suffix=None, model=None, **parts):
    words = {"continuing_subword_prefix": prefix, "end_of_word_suffix": suffix}
    words = {key: value for key, value in words.items() if value}
    trainer = trainers.BpeTrainer(
        vocab_size=size, show_progress=False, special_tokens=special, **words
    )
    return trained(model or M.BPE(unk_token="<unk>", **words), trainer, lines, **parts)


def unigram(lines, **parts):
    trainer = trainers.UnigramTrainer(
        vocab_size=500, show_progress=False, special_tokens=SPECIALS, unk_token="<unk>"
    )
    # It needs a token for each character that it sees: not too many alphabets.
    lines = [line for line in lines if max(line, default="") < "\u0250"]
    return trained(M.Unigram(), trainer, lines, **parts)


def word_piece(lines, **parts):
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]
    )
    return trained(M.WordPiece(unk_token="[UNK]"), trainer, lines, **parts)


def word_level(lines, **parts):
    trainer = trainers.WordLevelTrainer(
        vocab_size=400, show_progress=False, special_tokens=SPECIALS
    )
    return trained(M.WordLevel(unk_token="<unk>"), trainer, lines, **parts)


def models_of_every_kind(lines):
    byte_level = P.ByteLevel(add_prefix_space=False)
    yield "bpe, byte level", bpe(
        lines, splitter=byte_level, decoder=D.ByteLevel(), special=SPECIALS + ["<|x|>"]
    )
    yield "bpe, byte level with a prefix space", bpe(
        lines, splitter=P.ByteLevel(add_prefix_space=True), decoder=D.ByteLevel()
    )
    yield "bpe, byte level as normalizer", bpe(
        lines,
        normalizer=N.ByteLevel(),
        splitter=P.Split(Regex("Ġ?[^Ġ]+"), "isolated"),
        decoder=D.ByteLevel(),
    )
    yield "bpe, byte level first", bpe(
        lines, splitter=P.Sequence([byte_level, P.FixedLength(4)]), decoder=D.ByteLevel()
    )
    yield "bpe, characters", bpe(lines, splitter=P.WhitespaceSplit())
    yield "bpe, suffix", bpe(
        lines,
        suffix="</w>",
        normalizer=N.Lowercase(),
        splitter=P.BertPreTokenizer(),
        decoder=D.BPEDecoder("</w>"),
    )
    yield "bpe, prefix", bpe(lines, prefix="##", splitter=P.Whitespace(), decoder=D.WordPiece())
    fallback = bpe(
        lines,
        size=900,
        special=SPECIALS + BYTES,
        model=M.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        normalizer=N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]),
        splitter=P.Split("▁", "merged_with_next"),
        decoder=D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]),
    )
    yield "bpe, byte fallback", fallback
    whole = Tokenizer.from_str(fallback.to_str())
    whole.pre_tokenizer = P.Sequence([])
    yield "bpe, byte fallback, whole lines", whole
    fused = bpe(
        [line for line in lines if line.isascii()],
        model=M.BPE(unk_token="<unk>", fuse_unk=True),
        splitter=P.Metaspace(),
        decoder=D.Metaspace(),
    )
    yield "bpe, fused unknowns", fused
    for scheme in ("always", "never", "first"):
        for split in (True, False):
            yield f"unigram, metaspace {scheme} {split}", unigram(
                lines,
                splitter=P.Metaspace(prepend_scheme=scheme, split=split),
                decoder=D.Metaspace(prepend_scheme=scheme),
            )
    yield "unigram, nmt", unigram(
        lines,
        normalizer=N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(" {2,}"), " ")]),
        splitter=P.Metaspace(),
        decoder=D.Metaspace(),
    )
    yield "word piece", word_piece(
        lines,
        normalizer=N.BertNormalizer(),
        splitter=P.BertPreTokenizer(),
        decoder=D.WordPiece(),
    )
    yield "word piece, cased", word_piece(
        lines,
        normalizer=N.BertNormalizer(lowercase=False, strip_accents=True, clean_text=False),
        splitter=P.BertPreTokenizer(),
        decoder=D.WordPiece(cleanup=False),
    )
    yield "word level", word_level(lines, splitter=P.Whitespace())
    yield "word level, ctc", word_level(
        lines,
        normalizer=N.Sequence([N.Lowercase(), N.Replace(" ", "|")]),
        splitter=P.Split("", "isolated"),
        decoder=D.CTC(),
    )


def splitters_and_normalizers(lines):
    for behavior in BEHAVIORS:
        for invert in (False, True):
            yield f"split {behavior} {invert}", bpe(
                lines, splitter=P.Split(Regex(r"\d+|[aeiou]"), behavior, invert)
            )
        yield f"split text {behavior}", bpe(lines, splitter=P.Split(" ", behavior))
        yield f"punctuation {behavior}", bpe(lines, splitter=P.Punctuation(behavior))
    for name, splitter in {
        "digits": P.Digits(),
        "each digit": P.Digits(individual_digits=True),
        "delimiter": P.CharDelimiterSplit("e"),
        "scripts": P.UnicodeScripts(),
        "fixed length": P.FixedLength(3),
        "sequence": P.Sequence([P.WhitespaceSplit(), P.Punctuation(), P.Digits(True)]),
        "words, metaspace first": P.Sequence(
            [P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")]
        ),
    }.items():
        yield name, bpe(lines, splitter=splitter)
    for name, normalizer in {
        "nfc": N.NFC(),
        "nfd": N.NFD(),
        "nfkc": N.NFKC(),
        "nfkd": N.NFKD(),
        "lowercase": N.Lowercase(),
        "accents": N.Sequence([N.NFD(), N.StripAccents()]),
        "strip left": N.Strip(right=False),
        "strip right": N.Strip(left=False),
        "nmt": N.Nmt(),
        "bert": N.BertNormalizer(handle_chinese_chars=False, lowercase=False),
        "replace": N.Sequence([N.Replace("a", ""), N.Replace(Regex(r"\s+"), " "), N.Prepend(">")]),
    }.items():
        yield name, bpe(lines, normalizer=normalizer, splitter=P.Digits())


def decoders_and_processors(lines):
    base = bpe(lines, splitter=P.Metaspace(), size=700)
    for name, decoder in {
        "no decoder": None,
        "metaspace, strip": D.Sequence([D.Metaspace(), D.Strip("e", 1, 0)]),
        "fuse, strip": D.Sequence([D.Replace("▁", " "), D.Fuse(), D.Strip(" ", 2, 0)]),
        "fuse, replace": D.Sequence([D.Fuse(), D.Replace("▁th", "TH"), D.Replace("▁", " ")]),
        "fuse, pattern": D.Sequence([D.Fuse(), D.Replace(Regex("▁+"), " ")]),
        "pattern": D.Replace(Regex("^▁+"), " "),
        "fuse, metaspace": D.Sequence([D.Fuse(), D.Metaspace()]),
        "fuse, word piece": D.Sequence([D.Replace("▁", " "), D.Fuse(), D.WordPiece()]),
        "fuse, ctc": D.Sequence([D.Fuse(), D.CTC(pad_token="e", word_delimiter_token="▁")]),
        "fuse, bpe": D.Sequence([D.Fuse(), D.BPEDecoder("e")]),
        "ctc": D.CTC(pad_token="▁", word_delimiter_token="t"),
        "bpe": D.BPEDecoder("▁"),
    }.items():
        made = Tokenizer.from_str(base.to_str())
        if decoder:
            made.decoder = decoder
        yield name, made
    for name, processor in {
        "bert": processors.BertProcessing(("</s>", 2), ("<s>", 1)),
        "roberta": processors.RobertaProcessing(("</s>", 2), ("<s>", 1)),
        "template": processors.TemplateProcessing(
            single="<s> <pad> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2), ("<pad>", 3)]
        ),
        "sequence": processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing(single="<s> $0", special_tokens=[("<s>", 1)]),
            ]
        ),
    }.items():
        made = Tokenizer.from_str(base.to_str())
        made.post_processor = processor
        yield f"processor {name}", made


def added_tokens(lines, rng):
    """Tokens of random properties, made of pieces of the lines."""
    for number in range(4):
        made = bpe(lines, normalizer=N.Lowercase(), splitter=P.Metaspace(), decoder=D.Metaspace())
        for _ in range(30):
            line = rng.choice(lines) or "x"
            at = rng.randrange(len(line))
            content = line[at : at + rng.randint(1, 6)]
            if not content.strip():
                continue
            flags = {k: rng.random() < 0.3 for k in ("single_word", "lstrip", "rstrip")}
            token = AddedToken(content, normalized=rng.random() < 0.5, **flags)
            if rng.random() < 0.3:
                made.add_special_tokens([token])
            else:
                made.add_tokens([token])
        yield f"added tokens {number}", made


def every_class():
    """Lines with each mark, punctuation, control and format character, and each that has a
    decomposition: what becomes of them goes by the tables of several versions of Unicode."""

    def is_wanted(character):
        kind = unicodedata.category(character)
        return (
            kind in ("Mn", "Mc", "Me", "Cc", "Cf")
            or kind[0] == "P"
            or (unicodedata.decomposition(character) and kind != "Lo")
        )

    wanted = [c for c in map(chr, range(0x80, 0x20000)) if is_wanted(c)]
    wanted += "\u166d\u1734\u1cf2\u1cf3\u32ff"
    return ["a" + "a".join(wanted[i : i + 20]) for i in range(0, len(wanted), 20)]


def classes_of_characters(lines):
    byte_level = P.ByteLevel(add_prefix_space=False)
    by_name = {
        "BERT": N.BertNormalizer(strip_accents=True),
        "accents": N.Sequence([N.NFD(), N.StripAccents()]),
        "NFC": N.NFC(),
        "NFKD": N.NFKD(),
    }
    for name, normalizer in by_name.items():
        yield f"classes, {name}", bpe(lines, normalizer=normalizer, splitter=byte_level)
    for name, splitter in {"words": P.BertPreTokenizer(), "marks": P.Punctuation()}.items():
        yield f"classes, {name}", bpe(lines, splitter=P.Sequence([splitter, byte_level]))


def compare(program, texts, count=400):
    rng = random.Random(7)
    lines = texts[: max(count, 600)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for make in (
            models_of_every_kind(lines),
            splitters_and_normalizers(lines),
            decoders_and_processors(lines),
            added_tokens(lines, rng),
            classes_of_characters(lines),
        ):
            for name, tokenizer in make:
                path = pathlib.Path(folder) / "tokenizer.json"
                tokenizer.save(str(path))
                driver = Driver(program, path)
                sample = rng.sample(texts, min(count, len(texts)))
                sample = every_class() if name.startswith("classes") else sample
                special = name.startswith("processor")
                wrong += differences(name, driver, tokenizer, sample, special) > 0
                driver.close()
    return wrong
