#!/usr/bin/env python3
"""Writes tests/golden/lm/train.npz: the gradients of each kind of adapter and the losses of 50
steps of AdamW on the small "smollm2" of make_families.py, by torch and PEFT in float32.

    python3 tests/golden/make_train.py

Needs the packages of make_families.py and peft, and makes .venv-golden where they are missing.
Weights and the starts of the adapters are drawn as there.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys
import venv

FOLDER = pathlib.Path(__file__).resolve().parent
OWN = FOLDER.parents[1] / ".venv-golden"
PACKAGES = ["torch==2.15.0", "transformers==5.23.0", "gguf==0.19.0", "peft==0.21.2"]
NEEDED = ("torch", "transformers", "gguf", "peft")

if not all(importlib.util.find_spec(name) for name in NEEDED):
    if pathlib.Path(sys.prefix) == OWN and "--again" in sys.argv:
        sys.exit(f"{OWN} lacks one of {', '.join(NEEDED)}: remove it and start again.")
    venv.create(OWN, with_pip=True)
    subprocess.run([OWN / "bin/pip", "install", "-q", *PACKAGES], check=True)
    os.execv(OWN / "bin/python", [OWN / "bin/python", __file__, "--again"])

import make_families as families
import numpy as np
import peft
import torch

FILE = FOLDER / "lm/train.npz"
RANK, STEPS, RATE, DECAY = 4, 50, 5e-3, 0.01
# rslora divides alpha by the root of the rank: with 8 the course is chaotic, and PEFT's own losses
# after starts that are 1e-6 apart differ by 10 %; with 3 by 1e-4.
KINDS = {
    "lora": {"lora_alpha": 8},
    "rslora": {"lora_alpha": 3, "use_rslora": True},
    "dora": {"lora_alpha": 8, "use_dora": True},
}
# PEFT's parts of a matrix, by MLX's names.
PARTS = {"lora_A": "lora_a", "lora_B": "lora_b", "lora_magnitude_vector": "m"}


def adapted(kind):
    """The model, and its adapters' parameters by MLX's names."""
    _, model = families.build("smollm2", *families.MODELS["smollm2"])
    config = peft.LoraConfig(r=RANK, target_modules="all-linear", lora_dropout=0.0, **KINDS[kind])
    model = peft.get_peft_model(model, config)
    parameters = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        place = name.removeprefix("base_model.model.").rpartition(".default")[0]
        path, _, part = place.rpartition(".")
        path = f"{path}.{PARTS[part]}"
        if part != "lora_magnitude_vector":  # whose start is the rows' lengths
            # MLX keeps both matrices the other way around.
            start = families.draw(path, tuple(reversed(parameter.shape)))
            parameter.data = torch.from_numpy(np.ascontiguousarray(start.T))
        parameters[path] = parameter
    return model, parameters


def samples(vocabulary):
    """Eight sequences of 10 to 38 tokens, drawn by the hash of the families' prompts."""
    ids = families.hashed(np.arange(400, dtype=np.uint32)) % np.uint32(vocabulary - 4) + 4
    return [ids[40 * i : 40 * i + 10 + 4 * i].astype(np.int64) for i in range(8)]


def mean_loss(model, rows):
    losses = []
    for row in rows:
        ids = torch.from_numpy(row)[None]
        logits = model(ids[:, :-1], use_cache=False).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
    return sum(losses) / sum(len(row) - 1 for row in rows)


def main():
    arrays = {}
    for kind in KINDS:
        model, parameters = adapted(kind)
        rows = samples(model.config.vocab_size)
        mean_loss(model, rows).backward()
        for path, parameter in parameters.items():
            arrays[f"{kind}.gradient.{path}"] = parameter.grad.numpy().T.copy()
        optimizer = torch.optim.AdamW(parameters.values(), lr=RATE, weight_decay=DECAY)
        losses = []
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = mean_loss(model, rows)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        arrays[f"{kind}.losses"] = np.array(losses, np.float32)
        print(kind, losses[0], losses[-1])
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
