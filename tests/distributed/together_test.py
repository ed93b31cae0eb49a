"""Verbs under `tarn launch`: together_test.py TARN MODEL

A model that ranks divide answers with the tokens of one process, and training together gives the
adapter of one process.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

TARN, MODEL = sys.argv[1:3]
BACKENDS = os.environ.get("TARN_TEST_BACKENDS", "ring,mpi").split(",")


def tarn(*words, stdin="", launched=0, backend="ring"):
    command = [TARN, *words]
    if launched:
        command = [TARN, "launch", "-n", str(launched), "--backend", backend, *command]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def of_rank_0(text):
    return "".join(line[4:] for line in text.splitlines(keepends=True) if line[:4] == "[0] ")


def numbers(folder):
    """{name: numbers} of an adapter's float32 tensors."""
    with open(os.path.join(folder, "adapters.safetensors"), "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(size)), file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        assert about["dtype"] == "F32"
        tensors[name] = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
    return tensors


class Together(unittest.TestCase):
    def test_ranks_answer_with_the_tokens_of_one(self):
        # Three, for the model has three key heads.
        words = ["generate", "--model", MODEL, "--precision", "exact", "--max-tokens", "12"]
        for more in [["--prompt", "Name three rivers."], ["--prompt", "-", "--json"]]:
            stdin = "Why is the sky blue?" if "-" in more else ""
            alone = tarn(*words, *more, stdin=stdin)
            self.assertEqual(alone[0], 0, alone[2])
            for backend in BACKENDS:
                status, out, err = tarn(*words, *more, stdin=stdin, launched=3, backend=backend)
                self.assertEqual(status, 0, err)
                out = of_rank_0(out)
                if "--json" in more:
                    ids = [json.loads(text)["generated_ids"] for text in (alone[1], out)]
                    self.assertEqual(*ids)
                else:
                    # mpirun gives ranks a terminal, for which lines are broken.
                    self.assertEqual(out.split(), alone[1].split())

    def test_ranks_chat_about_what_the_first_reads(self):
        words = ["chat", "--model", MODEL, "--precision", "exact", "--temp", "0"]
        words += ["--max-tokens", "8"]
        lines = "Name one river.\n/clear\nName a city.\n"
        alone = tarn(*words, stdin=lines)
        self.assertEqual(alone[0], 0, alone[2])
        status, out, err = tarn(*words, stdin=lines, launched=3)
        self.assertEqual((status, of_rank_0(out)), (0, alone[1]), err)
        self.assertNotIn("[1]", out + err)

    def test_what_reads_and_writes_files_is_for_a_chat_of_one(self):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "talk")
            lines = f"/save {file}\n/load {file}\n/adapter {folder}\nName one river.\n"
            words = ["chat", "--model", MODEL, "--max-tokens", "2"]
            status, out, err = tarn(*words, stdin=lines, launched=3)
            self.assertEqual(os.listdir(folder), [])
        said = "".join(
            f"[0] /{name} is for a chat of one process; this one has 3.\n"
            for name in ("save", "load", "adapter")
        )
        self.assertEqual(status, 1)
        self.assertTrue(err.startswith(said), err)
        self.assertGreater(len(of_rank_0(out)), 1)

    def test_ranks_draw_the_same_tokens(self):
        words = ["generate", "--model", MODEL, "--prompt", "A poem.", "--temp", "1.5"]
        status, out, err = tarn(*words, "--max-tokens", "12", launched=3)
        self.assertEqual(status, 0, err)
        self.assertGreater(len(of_rank_0(out)), 12)
        self.assertNotIn("[1]", out)

    def test_what_does_not_go_together(self):
        status, _, err = tarn("generate", "--model", MODEL, "--prompt", "A", launched=2)
        self.assertEqual(status, 1)
        self.assertIn(
            "the model has 9 heads, which cannot be divided over 2 ranks.",
            err,
        )
        words = ["generate", "--model", MODEL, "--prompt", "A", "--adapter", "nowhere"]
        status, _, err = tarn(*words, launched=3)
        self.assertEqual(status, 2)
        self.assertIn(
            "a model that several processes divide takes no adapters: `tarn fuse` folds them in "
            "first.",
            err,
        )

    def test_training_together_gives_the_adapter_of_one(self):
        with tempfile.TemporaryDirectory() as folder:
            data = os.path.join(folder, "data.jsonl")
            with open(data, "w") as file:
                for i in range(24):
                    file.write(json.dumps({"prompt": f"Say {i}.", "completion": f"It is {i}."}))
                    file.write("\n")
            words = ["train", "--model", MODEL, "--data", data, "--steps", "2"]
            # Adam would make numbers of equal size of gradients that are nothing but rounding.
            words += ["--batch-size", "4", "--compute", "float32", "--optimizer", "sgd"]
            found = []
            for ranks in [0, 2]:
                out = os.path.join(folder, f"out-{ranks}")
                status, _, err = tarn(*words, "--out", out, launched=ranks)
                self.assertEqual(status, 0, err)
                found.append(numbers(out))
            self.assertIn("[0] 2 processes share each batch.\n", err)
            self.assertNotIn("[1]", err)
        alone, together = found
        self.assertEqual(alone.keys(), together.keys())
        for name, values in alone.items():
            most = max(map(abs, values))
            worst = max(abs(a - b) for a, b in zip(values, together[name]))
            self.assertLessEqual(worst, 1e-4 * most + 1e-9, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
