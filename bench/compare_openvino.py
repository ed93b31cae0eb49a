"""OpenVINO GenAI's side of compare.py: it reads the same GGUF file, and is given ids, not text."""

import os
import time

import numpy as np
import openvino
import openvino_genai


class OpenVino:
    first = 0

    def machine(self, _):
        return {"version": openvino_genai.__version__, "features": []}

    def load(self, command):
        self.opened = command
        self.open()
        return {"weight_bytes": os.path.getsize(command["model"])}

    def open(self):
        threads = self.opened["threads"]
        self.pipeline = openvino_genai.LLMPipeline(
            self.opened["model"], "CPU", INFERENCE_NUM_THREADS=threads
        )

    def answer(self, command):
        """The ids, the seconds until the first of them and those of the others."""
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = command["new"]
        config.do_sample = False
        config.ignore_eos = True
        config.apply_chat_template = False
        ids = np.array([command["ids"]], dtype=np.int64)
        inputs = openvino_genai.TokenizedInputs(
            openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids))
        )
        result = self.pipeline.generate(inputs, config)
        first = result.perf_metrics.get_ttft().mean / 1e3
        return (
            result.tokens[0],
            first,
            result.perf_metrics.get_generate_duration().mean / 1e3 - first,
        )

    def greedy(self, command):
        return {"ids": [int(i) for i in self.answer(command)[0]]}

    def decode(self, command):
        spent = tokens = 0
        while spent < command["seconds"]:
            made, _, seconds = self.answer(command)
            spent, tokens = spent + seconds, tokens + len(made) - 1
        return {"rate": tokens / spent}

    def prefill(self, command):
        """It keeps what it computed of a prompt, so each begins with another token."""
        spent = tokens = 0
        while spent < command["seconds"]:
            self.first = (self.first + 1) % 1000
            _, seconds, _ = self.answer({"ids": [self.first + 1000, *command["ids"][1:]], "new": 1})
            spent, tokens = spent + seconds, tokens + len(command["ids"])
        return {"rate": tokens / spent}

    def first_token(self, command):
        spent = times = 0
        while spent < command["seconds"]:
            del self.pipeline
            start = time.perf_counter()
            self.open()
            self.answer(command)
            spent, times = spent + time.perf_counter() - start, times + 1
        return {"rate": times / spent}
