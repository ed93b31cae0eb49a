"""The peers' side of compare.py: `compare_peers.py llama|torch` answers one JSON command a line.

llama.cpp is driven below Python's sampling loop: llama_decode and an argmax, nothing else.
"""

import ctypes
import json
import os
import sys
import time

import numpy as np


class Llama:
    CONTEXT = 2048

    def __init__(self):
        import llama_cpp

        self.api = llama_cpp
        self.silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()

    def machine(self, _):
        system = self.api.llama_print_system_info().decode()
        used = [
            part.split(" = ")[0].strip()
            for part in system.replace("CPU :", "").split("|")
            if part.strip().endswith("= 1")
        ]
        return {"version": self.api.__version__, "features": used}

    def quantise(self, command):
        """A copy in llama.cpp's own 4-bit format, for which it has its fastest kernels."""
        params = self.api.llama_model_quantize_default_params()
        params.ftype = self.api.LLAMA_FTYPE_MOSTLY_Q4_0
        params.allow_requantize = True
        failed = self.api.llama_model_quantize(
            command["model"].encode(), command["out"].encode(), ctypes.byref(params)
        )
        return {"error": f"llama_model_quantize: {failed}"} if failed else {}

    def load(self, command):
        options = self.api.llama_model_default_params()
        options.n_gpu_layers = 0
        self.model = self.api.llama_model_load_from_file(command["model"].encode(), options)
        context = self.api.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = self.CONTEXT
        context.n_ubatch = 512
        context.n_threads = context.n_threads_batch = command["threads"]
        self.context = self.api.llama_init_from_model(self.model, context)
        self.memory = self.api.llama_get_memory(self.context)
        self.vocabulary = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self.model))
        self.batch = self.api.llama_batch_init(self.CONTEXT, 0, 1)
        return {"weight_bytes": self.api.llama_model_size(self.model)}

    def forward(self, ids, position, every=False):
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = position + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = every or i == len(ids) - 1
        if self.api.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")

    def best(self, i=-1):
        row = self.api.llama_get_logits_ith(self.context, i)
        return int(np.argmax(np.ctypeslib.as_array(row, (self.vocabulary,))))

    def answer(self, command):
        """The ids, the seconds until the first of them and those of the others."""
        self.api.llama_memory_clear(self.memory, True)
        start = time.perf_counter()
        self.forward(command["ids"], 0)
        made = [self.best()]
        first = time.perf_counter()
        while len(made) < command["new"]:
            self.forward(made[-1:], len(command["ids"]) + len(made) - 1)
            made.append(self.best())
        return made, first - start, time.perf_counter() - first

    def greedy(self, command):
        return {"ids": self.answer(command)[0]}

    def likeliest(self, command):
        self.api.llama_memory_clear(self.memory, True)
        self.forward(command["ids"], 0, every=True)
        return {"ids": [self.best(i) for i in range(len(command["ids"]))]}

    def decode(self, command):
        spent = tokens = 0
        while spent < command["seconds"]:
            made, _, seconds = self.answer(command)
            spent, tokens = spent + seconds, tokens + len(made) - 1
        return {"rate": tokens / spent}

    def prefill(self, command):
        spent = tokens = 0
        while spent < command["seconds"]:
            _, seconds, _ = self.answer({"ids": command["ids"], "new": 1})
            spent, tokens = spent + seconds, tokens + len(command["ids"])
        return {"rate": tokens / spent}


class Torch:
    def __init__(self):
        import torch

        self.torch = torch
        self.matrices = {}

    def machine(self, _):
        return {
            "version": self.torch.__version__,
            "features": [self.torch.backends.cpu.get_cpu_capability()],
        }

    def load(self, command):
        self.torch.set_num_threads(command["threads"])
        return {}

    def matmul(self, command):
        n = command["n"]
        if n not in self.matrices:
            self.matrices = {n: (self.torch.randn(n, n), self.torch.randn(n, n))}
            self.torch.mm(*self.matrices[n])
        start, products = time.perf_counter(), 0
        while products == 0 or time.perf_counter() - start < command["seconds"]:
            self.torch.mm(*self.matrices[n])
            products += 1
        return {"rate": 2.0 * n**3 * products / (time.perf_counter() - start)}

    def make_matrices(self, command):
        random = np.random.default_rng(3)
        for name in ("a", "b"):
            np.save(command[name], random.standard_normal((command["n"],) * 2, dtype=np.float32))
        return {}

    def matmul_errors(self, command):
        """Largest errors against float64, as parts of the largest result."""
        a, b = np.load(command["a"]), np.load(command["b"])
        right = a.astype(np.float64) @ b.astype(np.float64)
        error = lambda c: float(np.abs(c - right).max() / np.abs(right).max())
        own = self.torch.mm(self.torch.from_numpy(a), self.torch.from_numpy(b)).numpy()
        return {"torch": error(own), "tarn": error(np.load(command["out"]))}


def main():
    peer = {"llama": Llama, "torch": Torch}[sys.argv[1]]()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(peer, command["do"])(command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    os._exit(0)  # neither library needs its teardown


if __name__ == "__main__":
    main()
