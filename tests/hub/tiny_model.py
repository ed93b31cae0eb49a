"""A Llama of two small layers with random weights, as the files of a repository."""

import json
import random
import struct

VOCABULARY, HIDDEN, INNER, KV = 16, 64, 128, 32
CONFIG = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "intermediate_size": INNER,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 64,
    "rope_theta": 10000.0,
    "eos_token_id": 15,
    "tie_word_embeddings": True,
}
END = {"id": 15, "content": "<end>", "special": True, "normalized": False} | {
    key: False for key in ("lstrip", "rstrip", "single_word")
}
TOKENIZER = {
    "added_tokens": [END],
    "model": {
        "type": "BPE",
        "vocab": {c: i for i, c in enumerate("abcdefghijklmno")},
        "merges": [],
    },
    "decoder": {"type": "Fuse"},
}


def shapes():
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for i in range(2):
        layer = f"model.layers.{i}"
        for name, rows, columns in [
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", KV, HIDDEN),
            ("self_attn.v_proj", KV, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", INNER, HIDDEN),
            ("mlp.up_proj", INNER, HIDDEN),
            ("mlp.down_proj", HIDDEN, INNER),
        ]:
            yield f"{layer}.{name}.weight", (rows, columns)
        yield f"{layer}.input_layernorm.weight", (HIDDEN,)
        yield f"{layer}.post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)


def safetensors():
    draw, header, data = random.Random(1), {}, b""
    for name, shape in shapes():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = [draw.gauss(0, 0.2) if len(shape) == 2 else 1.0 for _ in range(count)]
        begin = len(data)
        data += struct.pack(f"<{count}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def files():
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
        "model.safetensors": safetensors(),
    }
