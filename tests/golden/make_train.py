#!/usr/bin/env python3
"""Writes tests/golden/lm/train.npz: the gradients of each kind of adapter and the losses of 50
steps of AdamW on the small "smollm2" of make_families.py, by torch in float32.

    python3 tests/golden/make_train.py

Needs what make_families.py needs. Weights and the starts of the adapters are drawn as there. The
adapters are written out here after their papers: LoRA (Hu et al. 2021), y = W x + s B A x, and DoRA
(Liu et al. 2024), whose row lengths count as constants.
"""

import pathlib

import make_families as families
import numpy as np
import torch

FILE = pathlib.Path(__file__).resolve().parent / "lm/train.npz"
RANK, SCALE, STEPS, RATE, DECAY = 4, 2.0, 50, 5e-3, 0.01


class Adapted(torch.nn.Module):
    """A linear map beside which A (inputs, rank) and B (rank, outputs) train, and m of DoRA."""

    def __init__(self, path, linear, dora):
        super().__init__()
        self.linear = linear
        a, b = (linear.in_features, RANK), (RANK, linear.out_features)
        self.lora_a = torch.nn.Parameter(torch.from_numpy(families.draw(path + ".lora_a", a)))
        self.lora_b = torch.nn.Parameter(torch.from_numpy(families.draw(path + ".lora_b", b)))
        self.m = torch.nn.Parameter(linear.weight.norm(dim=1).detach()) if dora else None

    def forward(self, x):
        y = self.linear(x) + SCALE * (x @ self.lora_a @ self.lora_b)
        if self.m is None:
            return y
        whole = self.linear.weight + SCALE * (self.lora_a @ self.lora_b).T
        return y * (self.m / whole.norm(dim=1).detach())


def adapted(dora):
    """The model, and its adapters' parameters by MLX's names."""
    _, model = families.build("smollm2", *families.MODELS["smollm2"])
    model.requires_grad_(False)
    parameters = {}
    linears = [(p, m) for p, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    for path, linear in linears:
        if ".layers." not in path:
            continue
        parent, _, name = path.rpartition(".")
        layer = Adapted(path, linear, dora)
        setattr(model.get_submodule(parent), name, layer)
        for part, parameter in layer.named_parameters(recurse=False):
            parameters[f"{path}.{part}"] = parameter
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
    for kind in ("lora", "dora"):
        model, parameters = adapted(kind == "dora")
        rows = samples(model.config.vocab_size)
        mean_loss(model, rows).backward()
        for path, parameter in parameters.items():
            arrays[f"{kind}.gradient.{path}"] = parameter.grad.numpy().copy()
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
