"""Adapters on the command line and in the chat: adapters_cli_test.py TARN MODEL, as cli_test.py."""

import json
import os
import struct
import sys
import tempfile
import unittest

import cli_test


def write_adapter(folder, number, base=None):
    """An adapter for the default model that changes one matrix, by the more the larger `number`;
    `base` is the fingerprint of the model that it says it was made for."""
    os.makedirs(folder)
    name, size, header = "model.layers.29.self_attn.o_proj", 576, {}
    if base:
        header["__metadata__"] = {"tarn.base": base}
    for i, (part, shape) in enumerate({"lora_a": [size, 1], "lora_b": [1, size]}.items()):
        bounds = [i * 4 * size, (i + 1) * 4 * size]
        header[f"{name}.{part}"] = {"dtype": "F32", "shape": shape, "data_offsets": bounds}
    a = struct.pack(f"<{size}f", *[(-1) ** i for i in range(size)])
    b = struct.pack(f"<{size}f", *[number * (i % 7 - 3) for i in range(size)])
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "adapters.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + a + b)
    parameters = {"rank": 1, "scale": 1.0, "dropout": 0.0, "keys": ["self_attn.o_proj"]}
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"num_layers": 1, "lora_parameters": parameters}, file)


class Adapters(unittest.TestCase):
    def test_answers_use_the_adapter_that_is_chosen(self):
        with tempfile.TemporaryDirectory() as folder:
            loud, mute = os.path.join(folder, "loud"), os.path.join(folder, "mute")
            write_adapter(loud, 3.0)
            write_adapter(mute, 0.0)
            ask = ["generate", "--prompt", cli_test.QUESTION, *cli_test.EXACT, "--max-tokens", "7"]
            plain = cli_test.tarn(*ask)[1]
            with_loud = cli_test.tarn(*ask, "--adapter", loud)
            self.assertEqual(with_loud[0], 0)
            self.assertNotEqual(with_loud[1], plain)
            self.assertEqual(cli_test.tarn(*ask, "--adapter", mute)[1], plain)
            question = cli_test.QUESTION
            lines = f"/adapter\n/adapter off\n/clear\n{question}\n/adapter loud\n/clear\n"
            lines += f"{question}\n/adapter scale 0\n/clear\n{question}\n/adapter {mute}\n"
            lines += "/adapter scale x\n/adapter nobody\n"
            chat = ["chat", *cli_test.EXACT, "--max-tokens", "7", "--adapter", loud]
            status, out, err = cli_test.tarn(*chat, stdin=lines.encode())
        self.assertEqual((status, out), (1, plain + with_loud[1] + plain))
        said = [s for s in err.splitlines() if "adapter" in s]
        self.assertEqual(
            said,
            [
                "Answers use the adapter loud, scale 1. There are: loud.",
                "No adapter. There are: loud.",
                "Answers use the adapter loud, scale 1. There are: loud.",
                "Answers use the adapter loud, scale 0. There are: loud.",
                "Answers use the adapter mute, scale 1. There are: loud, mute.",
                "/adapter scale needs a number, `x` is none.",
                "`nobody` is no adapter and no folder. There are: loud, mute.",
            ],
        )

    def test_folders_of_one_name_are_two_adapters_and_one_folder_is_one(self):
        with tempfile.TemporaryDirectory() as folder:
            one, two = os.path.join(folder, "one/adapters"), os.path.join(folder, "two/adapters")
            write_adapter(one, 0.0)
            write_adapter(two, 0.0)
            status, out, err = cli_test.tarn(
                "chat", "--adapter", two, "--adapter", one, stdin=b"/adapter\n"
            )
            self.assertEqual((status, out), (0, ""), err)
            self.assertIn(f"There are: adapters, {one}.", err)
            lines = f"/adapter {one}\n/adapter {two}\n/adapter {one}\n/adapter adapters\n"
            status, out, err = cli_test.tarn("chat", stdin=lines.encode())
        self.assertEqual((status, out), (0, ""), err)
        self.assertEqual(
            [s for s in err.splitlines() if "adapter" in s],
            [
                "Answers use the adapter adapters, scale 1. There are: adapters.",
                f"Answers use the adapter {two}, scale 1. There are: adapters, {two}.",
                f"Answers use the adapter adapters, scale 1. There are: {two}, adapters.",
                f"Answers use the adapter adapters, scale 1. There are: {two}, adapters.",
            ],
        )

    def test_an_adapter_of_another_base_is_used_when_told_so(self):
        with tempfile.TemporaryDirectory() as folder:
            foreign = os.path.join(folder, "foreign")
            write_adapter(foreign, 0.0, base="0123456789abcdef")
            data = os.path.join(folder, "d.jsonl")
            with open(data, "w") as file:
                file.write('{"text": "one two"}\n')
            for words in (
                ["generate", "--prompt", "x", "--max-tokens", "1", "--adapter", foreign],
                ["eval", "--data", data, "--adapter", foreign],
                ["fuse", cli_test.MODEL, "--adapter", foreign, "--out", folder + "/m.gguf"],
            ):
                status, out, err = cli_test.tarn(*words)
                self.assertEqual((status, out), (1, ""), words)
                self.assertIn("It was made for a model with the fingerprint 0123456789abcdef", err)
                self.assertEqual(cli_test.tarn(*words, "--any-base")[0], 0, words)

    def test_what_is_missing_is_said(self):
        status, out, err = cli_test.tarn("generate", "--prompt", "x", "--adapter", "/nonexistent/a")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err,
            "tarn: [adapters] /nonexistent/a is no folder: one with adapter_config.json is "
            "needed.\n",
        )
        status, out, err = cli_test.tarn("fuse", cli_test.MODEL)
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(
            err,
            "tarn: [fuse] give the model, one or more --adapter and, with --out, what to write.\n",
        )
        status, out, err = cli_test.tarn("merge")
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(
            err,
            "tarn: [merge] give the model, one or more --adapter and, with --out, what to write.\n",
        )


if __name__ == "__main__":
    cli_test.TARN, cli_test.MODEL = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
