#!/usr/bin/env python3
"""Writes tests/golden/lm/adapters: small adapters as PEFT and mlx-lm write them, the models that
they were made for, and the logits that each library gives base and adapter together in float32.

    python3 tests/golden/make_adapters.py [DRIVER]

With DRIVER, the program tests/adapters_driver of a build, it also lets Tarn write each adapter in
both forms and sees that the libraries read them and give the same logits. Needs the packages of
make_families.py, peft, mlx and mlx-lm, and makes .venv-golden where they are missing. The models'
weights are drawn as make_families.py draws them.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/golden/lm/adapters"
OWN = ROOT / ".venv-golden"
PACKAGES = [
    "torch==2.15.0",
    "transformers==5.23.0",
    "gguf==0.19.0",
    "peft==0.21.2",
    "mlx==0.32.4",
    "mlx-cpu==0.32.4",
    "mlx-lm==0.32.2",
]
NEEDED = ("torch", "transformers", "peft", "mlx", "mlx_lm")

if not all(importlib.util.find_spec(name) for name in NEEDED):
    if pathlib.Path(sys.prefix) == OWN and "--again" in sys.argv:
        sys.exit(f"{OWN} lacks one of {', '.join(NEEDED)}: remove it and start again.")
    venv.create(OWN, with_pip=True)
    subprocess.run([OWN / "bin/pip", "install", "-q", *PACKAGES], check=True)
    os.execv(OWN / "bin/python", [OWN / "bin/python", __file__, *sys.argv[1:], "--again"])

sys.path.insert(0, str(ROOT / "tests/golden"))
import make_families as families
import mlx.core as mx
import mlx.nn
import numpy as np
import peft
import torch
from mlx.utils import tree_flatten
from mlx_lm.models import llama
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters

families.SMALL.update(hidden_size=32, intermediate_size=64, num_hidden_layers=3)
MODELS = {
    "apart": {"tie_word_embeddings": False},
    "tied": {},
    "biased": {"attention_bias": True, "mlp_bias": True},
}
# name: (model, keys of LoraConfig)
PEFT = {
    "peft_lora": ("apart", {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]}),
    "peft_patterns": (
        "apart",
        {
            "r": 4,
            "lora_alpha": 3,
            "use_rslora": True,
            "target_modules": r".*\.(q|k|v)_proj",
            "rank_pattern": {"k_proj": 2, "model.layers.1.self_attn.q_proj": 3},
            "alpha_pattern": {"v_proj": 5},
        },
    ),
    "peft_layers": (
        "apart",
        {
            "r": 2,
            "lora_alpha": 4,
            "target_modules": ["gate_proj", "mlp.down_proj"],
            "layers_to_transform": [0, 2],
            "modules_to_save": ["lm_head"],
        },
    ),
    "peft_dora": (
        "biased",
        {"r": 2, "lora_alpha": 4, "use_dora": True, "target_modules": ["q_proj", "up_proj"]},
    ),
    "peft_embedding": (
        "tied",
        {"r": 2, "lora_alpha": 2, "target_modules": ["embed_tokens", "o_proj"]},
    ),
    "peft_all": (
        "apart",
        {"r": 1, "lora_alpha": 2, "target_modules": "all-linear", "exclude_modules": ["k_proj"]},
    ),
}
Q, DOWN = "self_attn.q_proj", "mlp.down_proj"
# name: (model, fine_tune_type, num_layers, rank, scale, keys, bits of the model or 0)
MLX = {
    "mlx_lora": ("apart", "lora", 2, 2, 1.5, None, 0),
    "mlx_keys": ("apart", "lora", 1, 2, 1.5, [Q, "lm_head", "model.layers.0.mlp.up_proj"], 0),
    "mlx_dora": ("biased", "dora", -1, 2, 1.5, [Q, DOWN], 0),
    "mlx_embedding": ("tied", "lora", 2, 2, 1.5, [Q, "model.embed_tokens"], 0),
    "mlx_dora_embedding": ("tied", "dora", 1, 2, 1.5, [Q, "model.embed_tokens"], 0),
    "mlx_full": ("apart", "full", 1, 0, 0, None, 0),
    "mlx_quantised": ("apart", "lora", 2, 2, 1.5, [Q, DOWN], 8),
    "mlx_quantised_dora": ("apart", "dora", 2, 2, 1.5, [Q, DOWN], 8),
}


def noise(name, shape):
    """Numbers of some size, so that each part of an adapter counts."""
    return families.draw(name, shape) * np.float32(1 if len(shape) == 2 else 2)


def of(model):
    """The config and the model in transformers."""
    with torch.no_grad():
        return families.build(model, "llama", MODELS[model])


def prompts():
    return families.prompts(families.SMALL["vocab_size"])


def some(logits):
    """What is kept of logits (3, 40, vocabulary)."""
    return np.array(logits, np.float32)[:, 7::8]


def peft_logits(model):
    with torch.no_grad():
        return some(model(torch.from_numpy(prompts()), use_cache=False).logits.numpy())


def mlx_model(name, bits):
    """The model in mlx-lm."""
    config, model = of(name)
    keys = {**families.SMALL, **MODELS[name], "model_type": "llama"}
    known = {k: v for k, v in keys.items() if k in llama.ModelArgs.__annotations__}
    result = llama.Model(llama.ModelArgs(**known, rope_theta=10000.0))
    weights = {k: mx.array(v.numpy()) for k, v in model.state_dict().items()}
    if config.tie_word_embeddings:
        weights.pop("lm_head.weight")
    result.load_weights(list(weights.items()))
    if bits:
        mlx.nn.quantize(result, 32, bits, class_predicate=lambda p, m: p.endswith("_proj"))
    return result


def mlx_logits(model):
    model.eval()
    return some(model(mx.array(prompts())))


def make_peft(name, arrays):
    model_name, keys = PEFT[name]
    _, model = of(model_name)
    config = peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.1, **keys)
    model = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                part = torch.from_numpy(noise(key, tuple(parameter.shape)))
                parameter.copy_(parameter + part if "magnitude" in key else part)
    arrays[name] = peft_logits(model)
    model.save_pretrained(FOLDER / name)
    for other in ("README.md",):
        (FOLDER / name / other).unlink(missing_ok=True)


def make_mlx(name, arrays):
    model_name, kind, layers, rank, scale, keys, bits = MLX[name]
    model = mlx_model(model_name, bits)
    model.freeze()
    parameters = {"rank": rank, "scale": scale, "dropout": 0.0}
    if keys is not None:
        parameters["keys"] = keys
    if kind == "full":
        for layer in model.layers[-layers:]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, layers, parameters, use_dora=kind == "dora")
    changed = {}
    for key, value in tree_flatten(model.trainable_parameters()):
        part = mx.array(noise(name + key, value.shape))
        changed[key] = value + part if value.ndim == 1 or kind == "full" else part
    model.load_weights(list(changed.items()), strict=False)
    arrays[name] = mlx_logits(model)
    (FOLDER / name).mkdir(parents=True)
    mx.save_safetensors(str(FOLDER / name / "adapters.safetensors"), changed)
    config = {"fine_tune_type": kind, "num_layers": layers, "model": "some", "seed": 0}
    config |= {"lora_parameters": parameters, "optimizer": "adam", "iters": 1000}
    (FOLDER / name / "adapter_config.json").write_text(json.dumps(config, indent=4))


def read_back(driver, arrays):
    """Adapters that Tarn wrote, in the libraries that read that form."""
    for name, want in arrays.items():
        model_name = (PEFT.get(name) or MLX[name])[0]
        for form in ("mlx", "peft"):
            with tempfile.TemporaryDirectory() as there:
                command = [driver, "convert", FOLDER / name, there, form]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    print(f"{name} as {form}: {done.stderr.strip()}", file=sys.stderr)
                    continue
                if form == "peft":
                    model = peft.PeftModel.from_pretrained(of(model_name)[1], there).eval()
                    got = peft_logits(model)
                else:
                    bits = MLX[name][-1] if name in MLX else 0
                    got = mlx_logits(load_adapters(mlx_model(model_name, bits), there))
            # Each library has its own idea of what an embedding's term does to a tied head.
            apart = float(np.abs(got - want).max())
            print(f"{name} as {form}: {apart:.1e} apart", file=sys.stderr)
            crosses = (form == "peft") == (name in MLX)
            if apart > 1e-4 and not (crosses and ("embedding" in name or "quantised" in name)):
                sys.exit(f"{name} as {form}: the logits differ by {apart}.")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    arrays = {}
    for name in PEFT:
        make_peft(name, arrays)
    for name in MLX:
        make_mlx(name, arrays)
    np.savez_compressed(FOLDER / "logits.npz", **arrays)
    about = {}
    for name, differences in MODELS.items():
        _, model = of(name)
        about[name] = {
            "given": {"model_type": "llama", **families.SMALL, **differences},
            "shapes": {k: list(v.shape) for k, v in model.state_dict().items()},
        }
    about["cases"] = {k: v[0] for k, v in {**PEFT, **MLX}.items()}
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in about.items())
    (FOLDER / "about.json").write_text("{\n" + lines + "\n}\n")
    drivers = [a for a in sys.argv[1:] if not a.startswith("--")]
    if drivers:
        read_back(pathlib.Path(drivers[0]).resolve(), arrays)


if __name__ == "__main__":
    main()
