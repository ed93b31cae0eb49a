"""torch's side of compare.py: the workloads of compare_rows.py, and a prompt through a Llama."""

import time

import numpy as np
import torch
import torch.nn.functional as F


class Torch:
    def machine(self, _):
        return {
            "version": torch.__version__,
            "features": [torch.backends.cpu.get_cpu_capability()],
        }

    def load(self, command):
        torch.set_num_threads(command["threads"])
        return {}

    def make_inputs(self, command):
        """The numbers that both sides compute with, to files: normal ones, then classes."""
        random = np.random.default_rng(3)
        for shape, file in zip(command["shapes"], command["inputs"]):
            np.save(file, random.standard_normal(shape, dtype=np.float32))
        if "classes" in command:
            tokens = command["shapes"][0][0]
            np.save(command["inputs"][-1], random.integers(command["classes"], size=tokens))
        return {}

    def prepare(self, command):
        dtype = getattr(torch, command["dtype"])
        arrays = [torch.from_numpy(np.load(file)) for file in command["inputs"]]
        self.inputs = [a.to(dtype) if a.is_floating_point() else a for a in arrays]
        self.op = fastest(command["op"], self.inputs)
        np.save(command["out"], self.op(*self.inputs).float().numpy())
        return {}

    def errors(self, command):
        """Largest errors against float64, as parts of the largest result."""
        wide = [a.double() if a.is_floating_point() else a for a in self.inputs]
        right = WAYS[command["op"]][0](*wide)
        worst = lambda file: (torch.from_numpy(np.load(file)) - right).abs().max()
        size = right.abs().max()
        return {who: float(worst(file) / size) for who, file in command["outs"].items()}

    def rate(self, command):
        return rate(lambda: self.op(*self.inputs), command)

    def prefill(self, command):
        """The prompt of a Llama of the default model's shape, random weights in bfloat16."""
        model = Prompt(tokens=len(command["ids"]))
        with torch.inference_mode():
            return rate(model.run, command | {"work": len(command["ids"])})


def rate(run, command):
    clock = time.process_time if command.get("processor_time") else time.perf_counter
    run()
    start, done = clock(), 0
    while done == 0 or clock() - start < command["seconds"]:
        run()
        done += command["work"]
    return {"rate": done / (clock() - start)}


def convolved(x, w):
    """Pixels after channels: views in channels_last, which is how the numbers lie."""
    y = F.conv2d(x.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), padding=1)
    return y.permute(0, 2, 3, 1)


class Planes:
    """Channels first, copied once: what torch's users have."""

    def __call__(self, x, w):
        if not hasattr(self, "x"):
            self.x = x.permute(0, 3, 1, 2).contiguous()
            self.w = w.permute(0, 3, 1, 2).contiguous()
        return F.conv2d(self.x, self.w, padding=1).permute(0, 2, 3, 1)


def chain(a):
    return torch.sigmoid(a) * a + torch.exp(-a * a)


def softmax_1000(a):
    for _ in range(1000):
        a = torch.softmax(a, -1)
    return a


# Each workload in all the ways that torch has for it; the first is also run in float64.
WAYS = {
    "matmul": [torch.mm],
    "attention": [lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)],
    "chain": [chain, torch.compile(chain)],
    "add": [torch.add],
    "softmax_1000": [softmax_1000],
    "softmax": [lambda a: torch.softmax(a, -1)],
    "layer_norm": [lambda a: F.layer_norm(a, a.shape[-1:])],
    "conv2d": [convolved, Planes()],
    "cross_entropy": [lambda h, w, target: F.cross_entropy(h @ w.t(), target)],
}


def fastest(op, inputs):
    def seconds(way):
        way(*inputs)
        start = time.process_time()
        for _ in range(3):
            way(*inputs)
        return time.process_time() - start

    return min(WAYS[op], key=seconds) if len(WAYS[op]) > 1 else WAYS[op][0]


class Prompt:
    LAYERS, WIDTH, HEADS, KV_HEADS, HIDDEN, VOCABULARY = 30, 576, 9, 3, 1536, 49152

    def __init__(self, tokens):
        make = lambda *shape: (torch.randn(*shape) * 0.02).bfloat16()
        self.head_width = self.WIDTH // self.HEADS
        kv = self.KV_HEADS * self.head_width
        self.layers = [
            {
                "q": make(self.WIDTH, self.WIDTH),
                "k": make(kv, self.WIDTH),
                "v": make(kv, self.WIDTH),
                "o": make(self.WIDTH, self.WIDTH),
                "gate": make(self.HIDDEN, self.WIDTH),
                "up": make(self.HIDDEN, self.WIDTH),
                "down": make(self.WIDTH, self.HIDDEN),
            }
            for _ in range(self.LAYERS)
        ]
        self.norm = torch.ones(self.WIDTH).bfloat16()
        self.embedding = make(self.VOCABULARY, self.WIDTH)
        self.ids = torch.arange(tokens)
        rates = 1e5 ** (-torch.arange(0, self.head_width, 2) / self.head_width)
        angles = torch.outer(torch.arange(tokens), rates).repeat(1, 2)
        self.cosines, self.sines = angles.cos().bfloat16(), angles.sin().bfloat16()

    def heads(self, x, weight, count):
        return F.linear(x, weight).view(len(x), count, self.head_width).transpose(0, 1)

    def turned(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cosines + torch.cat((-b, a), -1) * self.sines

    def run(self):
        x = F.embedding(self.ids, self.embedding)
        for w in self.layers:
            y = F.rms_norm(x, (self.WIDTH,), self.norm)
            q = self.turned(self.heads(y, w["q"], self.HEADS))
            k = self.turned(self.heads(y, w["k"], self.KV_HEADS))
            v = self.heads(y, w["v"], self.KV_HEADS)
            seen = F.scaled_dot_product_attention(
                q[None], k[None], v[None], is_causal=True, enable_gqa=True
            )
            x = x + F.linear(seen[0].transpose(0, 1).reshape(len(x), -1), w["o"])
            y = F.rms_norm(x, (self.WIDTH,), self.norm)
            x = x + F.linear(F.silu(F.linear(y, w["gate"])) * F.linear(y, w["up"]), w["down"])
        return F.linear(F.rms_norm(x[-1:], (self.WIDTH,), self.norm), self.embedding)
