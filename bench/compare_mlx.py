"""MLX's side of compare.py, on its CPU backend: the workloads of compare_rows.py."""

import time

import mlx.core as mx
import mlx.nn as nn
import numpy as np

mx.set_default_device(mx.cpu)


def softmax_1000(a):
    for _ in range(1000):
        a = mx.softmax(a, -1)
    return a


def attention(q, k, v):
    return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.125, mask="causal")


WAYS = {
    "matmul": mx.matmul,
    "attention": attention,
    "chain": lambda a: mx.sigmoid(a) * a + mx.exp(-a * a),
    "softmax": lambda a: mx.softmax(a, -1),
    "layer_norm": lambda a: mx.fast.layer_norm(a, None, None, 1e-5),
    "conv2d": lambda x, w: mx.conv2d(x, w, padding=1),
    "cross_entropy": lambda h, w, target: nn.losses.cross_entropy(
        h @ w.T, target, reduction="mean"
    ),
    "add": mx.add,
    "softmax_1000": softmax_1000,
}


class Mlx:
    def machine(self, _):
        return {"version": mx.__version__, "features": []}

    def load(self, _):
        return {}

    def prepare(self, command):
        dtype = getattr(mx, command["dtype"])
        arrays = [mx.array(np.load(file)) for file in command["inputs"]]
        self.inputs = [a.astype(dtype) if a.dtype == mx.float32 else a for a in arrays]
        mx.eval(self.inputs)
        op = WAYS[command["op"]]
        self.run = mx.compile(op) if command["op"] == "chain" else op
        np.save(command["out"], np.array(self.run(*self.inputs).astype(mx.float32)))
        return {}

    def rate(self, command):
        clock = time.process_time if command.get("processor_time") else time.perf_counter
        mx.eval(self.run(*self.inputs))
        start, done = clock(), 0
        while done == 0 or clock() - start < command["seconds"]:
            mx.eval(self.run(*self.inputs))
            done += command["work"]
        return {"rate": done / (clock() - start)}
