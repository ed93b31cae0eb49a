#!/usr/bin/env python3
"""Writes tests/golden/lm/families.npz and families.json: small models of each family with random
weights, and the logits that transformers gives them in float32.

    python3 tests/golden/make_families.py

Needs torch and transformers, and makes .venv-golden as make_model.py does where they are missing.
The weights are not kept: both sides draw them, by a hash of the tensor's name and of the place in
it, so that the files stay small (draw() here, drawn() in tests/lm/families_test.cpp).
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import venv
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/lm"
OWN = ROOT / ".venv-golden"
PACKAGES = ["torch==2.15.0", "transformers==5.23.0", "gguf==0.19.0"]

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "gguf")):
    if pathlib.Path(sys.prefix) == OWN:
        sys.exit(f"{OWN} lacks torch, transformers or gguf: remove it and start again.")
    venv.create(OWN, with_pip=True)
    subprocess.run([OWN / "bin/pip", "install", "-q", *PACKAGES], check=True)
    os.execv(OWN / "bin/python", [OWN / "bin/python", __file__, *sys.argv[1:]])

import numpy as np
import torch
import transformers

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PHI_FACTORS = {
    "short_factor": [1 + 0.03 * i for i in range(8)],
    "long_factor": [1.5 + 0.4 * i for i in range(8)],
}
PHI4_FACTORS = {
    "short_factor": [1 + 0.05 * i for i in range(6)],
    "long_factor": [1.2 + 0.3 * i for i in range(6)],
}
# name: (model_type, keys that differ from SMALL)
MODELS = {
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama3": (
        "llama",
        {
            "rope_theta": 500000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        },
    ),
    "linear": ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
    "dynamic": (
        "llama",
        {"max_position_embeddings": 16, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    ),
    "yarn": (
        "qwen2",
        {
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
    ),
    "smollm2": ("llama", {"rope_theta": 100000.0, "head_dim": 32}),
    "bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "mistral": ("mistral", {"sliding_window": 12, "tie_word_embeddings": False}),
    "smollm3": ("smollm3", {"no_rope_layer_interval": 4, "use_sliding_window": False}),
    "smollm3_list": ("smollm3", {"no_rope_layers": [1, 0, 0, 1], "use_sliding_window": False}),
    "qwen2": ("qwen2", {}),
    "qwen2_window": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 10, "max_window_layers": 2},
    ),
    "qwen3": ("qwen3", {"head_dim": 32, "tie_word_embeddings": False}),
    "gemma2": (
        "gemma2",
        {
            "head_dim": 32,
            "query_pre_attn_scalar": 24,
            "sliding_window": 8,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
            "hidden_activation": "gelu_pytorch_tanh",
        },
    ),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 32,
            "query_pre_attn_scalar": 24,
            "num_hidden_layers": 7,
            "sliding_window": 8,
            "hidden_activation": "gelu_pytorch_tanh",
            "rope_parameters": {
                "full_attention": {
                    "rope_type": "linear",
                    "factor": 8.0,
                    "rope_theta": 1000000.0,
                },
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            },
        },
    ),
    "phi3": ("phi3", {"sliding_window": 16, "tie_word_embeddings": False}),
    "phi35": (
        "phi3",
        {
            "rope_scaling": {"type": "longrope", **PHI_FACTORS},
            "original_max_position_embeddings": 64,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
    ),
    "phi35_long": (
        "phi3",
        {
            "rope_scaling": {"type": "longrope", **PHI_FACTORS},
            "original_max_position_embeddings": 16,
            "sliding_window": None,
            "tie_word_embeddings": False,
        },
    ),
    "phi4_mini": (
        "phi3",
        {
            "partial_rotary_factor": 0.75,
            "rope_scaling": {"type": "longrope", **PHI4_FACTORS},
            "original_max_position_embeddings": 64,
            "sliding_window": 100,
        },
    ),
}
TOKENS = 40


def hashed(x):
    """The 32-bit finalizer of MurmurHash3."""
    x = x.astype(np.uint32)
    x ^= x >> 16
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> 16
    return x


def draw(name, shape):
    """Numbers in (-1, 1) in steps of 2^-23; matrices by 0.25, vectors by 0.1 (norms of llama's kind
    around 1)."""
    count = int(np.prod(shape))
    seed = np.uint32(zlib.crc32(name.encode()))
    bits = hashed(hashed(np.arange(count, dtype=np.uint32)) + seed)
    numbers = (bits >> 8).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return (numbers * np.float32(0.25 if len(shape) == 2 else 0.1)).reshape(shape)


def prompts(vocabulary):
    ids = hashed(np.arange(3 * TOKENS, dtype=np.uint32)) % np.uint32(vocabulary - 4) + 4
    return ids.reshape(3, TOKENS).astype(np.int64)


def build(name, model_type, differences):
    config = transformers.AutoConfig.for_model(
        model_type, **{**SMALL, **differences}, attn_implementation="eager"
    )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    offset = 0.0 if model_type.startswith("gemma") else 1.0
    state = model.state_dict()
    for key, tensor in state.items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        numbers = draw(key, tuple(tensor.shape))
        if key.endswith("norm.weight"):
            numbers = numbers + np.float32(offset)
        tensor.copy_(torch.from_numpy(numbers))
    return config, model


def main():
    arrays, about = {}, {}
    for name, (model_type, differences) in MODELS.items():
        with torch.no_grad():
            config, model = build(name, model_type, differences)
            ids = prompts(config.vocab_size)
            logits = model(torch.from_numpy(ids), use_cache=False).logits.numpy()
        arrays[name] = logits[:, 3::4].astype(np.float32)
        # Both the keys as they were given and as this version of transformers writes them.
        given = {"model_type": model_type, **SMALL, **differences}
        written = json.loads(config.to_json_string(use_diff=False))
        about[name] = {
            "given": given,
            "written": {k: v for k, v in written.items() if k in KEYS},
            "shapes": {k: list(v.shape) for k, v in model.state_dict().items()},
        }
        print(name, float(np.abs(logits).max()), file=sys.stderr)
    np.savez_compressed(FOLDER / "families.npz", **arrays)
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in about.items())
    (FOLDER / "families.json").write_text("{\n" + lines + "\n}\n")


# Of what transformers writes, the keys that say something about the model.
KEYS = set(SMALL) | {
    "model_type", "head_dim", "rope_parameters", "layer_types", "sliding_window",
    "use_sliding_window", "max_window_layers", "no_rope_layers", "no_rope_layer_interval",
    "attention_bias", "mlp_bias", "hidden_act", "hidden_activation", "query_pre_attn_scalar",
    "attn_logit_softcapping", "final_logit_softcapping", "original_max_position_embeddings",
    "partial_rotary_factor",
}  # fmt: skip

if __name__ == "__main__":
    main()
