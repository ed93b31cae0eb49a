"""Training from scratch and research on it: research_cli_test.py TARN PRETRAIN, both programs."""

import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

TARN, PRETRAIN = "", ""
TINY = "--width 32 --depth 2 --heads 2 --context 32 --batch 4".split()


def write_texts(folder):
    """Sums, which a model learns within a few steps to write better than by chance."""
    numbers = random.Random(1)
    for name, lines in (("a.txt", 3000), ("held-out/b.txt", 200)):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            for _ in range(lines):
                a, b = numbers.randrange(50), numbers.randrange(50)
                file.write(f"{a} and {b} are {a + b}.\n")


class Case(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = kept.name
        self.texts = os.path.join(self.folder, "texts")
        write_texts(self.texts)

    def file(self, name):
        return os.path.join(self.folder, name)


class Pretrain(Case):
    def run_it(self, *words, threads=1):
        done = subprocess.run(
            [PRETRAIN, self.texts, *TINY, *words],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "TARN_NUM_THREADS": str(threads)},
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def numbers(self, *words, threads=1):
        result = self.run_it(*words, threads=threads)
        return result["loss"], result["weights"], result["tokens"]

    def test_the_same_to_the_last_bit_at_any_number_of_threads(self):
        words = ["--steps", "30", "--seed", "5"]
        first = self.numbers(*words)
        self.assertEqual(first[2], 30 * 4 * 32)
        for threads in (2, 3, 5):
            self.assertEqual(self.numbers(*words, threads=threads), first)
        self.assertNotEqual(self.numbers("--steps", "30", "--seed", "6")[1], first[1])
        muon = [*words, "--optimizer=muon"]
        self.assertEqual(self.numbers(*muon, threads=3), self.numbers(*muon))

    def test_a_time_is_a_number_of_steps(self):
        for clock in ("--seconds", "--cpu-seconds"):
            timed = self.run_it(clock, "1")
            self.assertGreaterEqual(timed["steps"], 20)
            again = self.run_it("--steps", str(timed["steps"]))
            for key in ("loss", "weights", "tokens"):
                self.assertEqual(again[key], timed[key], clock)

    def test_it_learns_and_keeps_what_it_learned(self):
        result = self.run_it("--steps", "150", "--save", self.file("m.safetensors"))
        self.assertLess(result["bits_per_byte"], 2)
        self.assertAlmostEqual(result["bits_per_byte"], result["loss"] * 1.4426950, places=5)
        with open(self.file("m.safetensors"), "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        sizes = [e["data_offsets"][1] - e["data_offsets"][0] for e in header.values()]
        self.assertEqual(sum(sizes), 4 * result["parameters"])

    def test_mistakes(self):
        for words, message in (
            (["--steps", "x"], '--steps is "x"; a whole number from 0 on is needed.'),
            (["--rate", "-1"], '--rate is "-1"; a number from 0 on is needed.'),
            (["--rte", "1"], "There is no option --rte; struct Options has them all."),
            (["--rate"], "--rate needs a value."),
            (["--optimizer", "sgd"], "--optimizer is adamw or muon."),
            (["--schedule", "step"], "--schedule is linear, cosine or constant."),
            (["--heads", "3"], "--width must be --heads times an even number."),
            (
                ["--batch", "0"],
                "--context, --batch, --depth, --width and --heads must be positive.",
            ),
            (
                ["/nonexistent"],
                "/nonexistent needs .txt files of more than --context bytes, and others in "
                "/nonexistent/held-out.",
            ),
        ):
            done = subprocess.run([PRETRAIN, self.texts, *words], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(done.stderr, f"pretrain: {message}\n")


if __name__ == "__main__":
    TARN, PRETRAIN = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
