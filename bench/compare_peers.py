"""The peers' side of compare.py: `compare_peers.py llama|openvino|torch|mlx` answers one JSON
command a line.

llama.cpp is driven below Python's sampling loop: llama_decode and an argmax, nothing else.
"""

import ctypes
import json
import os
import sys
import time

import numpy as np

from compare_text import TextPeer


class Llama(TextPeer):
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
        self.opened = command
        self.open()
        return {"weight_bytes": self.api.llama_model_size(self.model)}

    def open(self):
        command = self.opened
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

    def close(self):
        self.api.llama_batch_free(self.batch)
        self.api.llama_free(self.context)
        self.api.llama_model_free(self.model)

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
        self.api.llama_memory_clear(self.memory, True)
        start = time.perf_counter()
        self.forward(command["ids"], 0)
        made = [self.best()]
        first = time.perf_counter()
        while len(made) < command["new"]:
            self.forward(made[-1:], len(command["ids"]) + len(made) - 1)
            made.append(self.best())
        return made, first - start, time.perf_counter() - first

    def likeliest(self, command):
        self.api.llama_memory_clear(self.memory, True)
        self.forward(command["ids"], 0, every=True)
        return {"ids": [self.best(i) for i in range(len(command["ids"]))]}


def main():
    if sys.argv[1] == "torch":
        from compare_torch import Torch as Peer
    elif sys.argv[1] == "mlx":
        from compare_mlx import Mlx as Peer
    elif sys.argv[1] == "openvino":
        from compare_openvino import OpenVino as Peer
    else:
        Peer = Llama
    peer = Peer()
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
