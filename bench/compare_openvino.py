"""OpenVINO GenAI's side of compare.py: it reads the same GGUF file, and is given ids, not text."""

import os

import numpy as np
import openvino
import openvino_genai

from compare_text import TextPeer


class OpenVino(TextPeer):
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

    def prompt(self, ids):
        """It keeps what it computed of a prompt, so each begins with another token."""
        self.first = (self.first + 1) % 1000
        return [self.first + 1000, *ids[1:]]

    def close(self):
        del self.pipeline
