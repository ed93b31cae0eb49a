"""Training from scratch and research on it: research_cli_test.py TARN PRETRAIN, both programs."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
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

    def test_a_run_that_diverges_says_so(self):
        self.assertIsNone(self.run_it("--steps", "25", "--rate", "1e30")["loss"])

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


VARIANTS = [
    {"name": "three times the rate", "rate": 0.006},
    {"name": "a tenth of the rate", "rate": 0.0006},
    {"name": "narrower", "width": 16},
    {"name": "cosine", "schedule": "cosine"},
    {"name": "four heads", "heads": 4},
    {"name": "no decay", "decay": 0},
]

# Stands for a training program: its loss follows from what it is given.
SCRIPT = """
import json, sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate, seed = float(given.get("--rate", 0.002)), int(given["--seed"])
with open({log!r}, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
time.sleep(0.03)
loss = None if rate > 1 else abs(rate - 0.006) * 100 + 0.01 * seed
tokens = int(given.get("--tokens", 1000))
print("by the way")
print(json.dumps({{"loss": loss, "tokens": tokens}}))
"""


class Research(Case):
    def setUp(self):
        super().setUp()
        self.program = self.file("program.py")
        self.runs = self.file("runs.log")
        with open(self.program, "w") as file:
            file.write(SCRIPT.format(log=self.runs))
        self.write_variants(VARIANTS)

    def write_variants(self, variants):
        with open(self.file("v.json"), "w") as file:
            json.dump(variants, file)

    def command(self, out, *program):
        program = program or (sys.executable, self.program)
        words = ["research", "--variants", self.file("v.json"), "--out", self.file(out)]
        return [TARN, *words, "--", *program]

    def research(self, out, *program):
        return subprocess.run(
            self.command(out, *program), capture_output=True, text=True, timeout=300
        )

    def trials(self, out):
        with open(os.path.join(self.file(out), "research.json")) as file:
            return {t["name"]: t for t in json.load(file)["trials"]}

    def test_of_pretraining_the_better_rate_is_kept_and_the_worse_one_is_not(self):
        done = self.research("r", PRETRAIN, self.texts, *TINY, "--rate", "0.002", "--steps", "60")
        self.assertEqual(done.returncode, 0, done.stderr)
        trials = self.trials("r")
        self.assertEqual(len(trials), 7)
        self.assertTrue(trials["three times the rate"]["kept"], done.stdout)
        self.assertFalse(trials["a tenth of the rate"]["kept"], done.stdout)
        self.assertEqual(trials["narrower"]["options"]["rate"], "0.006")
        self.assertIn("three times the rate  (kept)", done.stdout)
        with open(os.path.join(self.file("r"), "leaderboard.html")) as file:
            page = file.read()
        self.assertIn("<svg", page)
        self.assertNotIn("<script", page)

    def test_killed_at_any_point_it_goes_on_to_the_same_end(self):
        self.assertEqual(self.research("whole").returncode, 0)
        os.remove(self.runs)
        times = random.Random(2)
        for kills in range(200):
            process = subprocess.Popen(
                self.command("killed"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            try:
                out = process.communicate(timeout=times.uniform(0, 0.6))[0]
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        self.assertGreater(kills, 3)
        self.assertEqual(process.returncode, 0)
        for name in ("research.json", "leaderboard.html"):
            with open(os.path.join(self.file("whole"), name)) as one:
                with open(os.path.join(self.file("killed"), name)) as other:
                    self.assertEqual(other.read(), one.read())
        self.assertIn("three times the rate  (kept)", out)
        # A killed run began again; none that was done did.
        with open(self.runs) as file:
            self.assertLessEqual(len(file.readlines()), 21 + kills)

    def test_the_program_ends_with_it(self):
        code = f"import os, time; open({self.runs!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        process = subprocess.Popen(self.command("r", sys.executable, "-c", code))
        while not os.path.exists(self.runs) or not os.path.getsize(self.runs):
            time.sleep(0.01)
        process.kill()
        process.wait()
        with open(self.runs) as file:
            child = int(file.read())
        for _ in range(500):
            try:
                with open(f"/proc/{child}/stat") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.01)
        self.fail("the program still runs")

    def start_slow(self):
        code = f"import os, time; open({self.runs!r}, 'w').write(str(os.getpid())); time.sleep(60)"
        process = subprocess.Popen(
            self.command("r", sys.executable, "-c", code),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while not os.path.exists(self.runs) or not os.path.getsize(self.runs):
            time.sleep(0.01)
        return process

    def test_stopped_in_the_first_run_it_names_no_page(self):
        process = self.start_slow()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        self.assertEqual((process.wait(), said), (130, ""))

    def test_a_killed_one_gives_its_folder_back(self):
        process = self.start_slow()
        done = self.research("r")
        self.assertEqual(
            (done.returncode, done.stderr),
            (
                1,
                f"tarn: [research] {self.file('r')}: another run (process {process.pid}) is at "
                "work in this folder. Wait until it has ended, or take another folder by --out.\n",
            ),
        )
        process.kill()
        process.wait()
        self.assertEqual(self.research("r").returncode, 0)

    def test_a_run_that_diverged_is_not_kept(self):
        self.write_variants([{"name": "far too high", "rate": 5}, VARIANTS[0]])
        done = self.research("r")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(" diverged         -  far too high\n", done.stdout)
        self.assertEqual(self.trials("r")["far too high"]["losses"], [None])
        self.assertTrue(self.trials("r")["three times the rate"]["kept"])

    def test_mistakes(self):
        def said(*program, variants=None):
            self.write_variants(variants or VARIANTS)
            done = self.research("r", *program)
            return done.returncode, done.stderr.splitlines()[-1].replace(self.folder, "FOLDER")

        python = sys.executable
        self.assertEqual(
            said("/nonexistent/program"),
            (
                1,
                "tarn: [research] /nonexistent/program cannot be started. Give a program and what "
                "it needs after --.",
            ),
        )
        self.assertEqual(
            said(python, "-c", "raise SystemExit('no texts here')"),
            (
                1,
                f'tarn: [research] {python} ended with status 1 and "no texts here"; see '
                "FOLDER/r/0-0.log.",
            ),
        )
        self.assertEqual(
            said(python, "-c", "import os; os.kill(os.getpid(), 9)"),
            (1, f"tarn: [research] {python} was ended by signal 9; see FOLDER/r/0-0.log."),
        )
        self.assertEqual(
            said(python, "-c", "print('loss 3')"),
            (
                1,
                'tarn: [research] FOLDER/r/0-0.out: the last line is "loss 3"; a JSON object with '
                'the loss and the number of tokens is needed, such as {"loss": 1.25, "tokens": '
                "200000}.",
            ),
        )
        self.assertEqual(
            said(variants=[{"name": "more", "tokens": 2000}]),
            (
                1,
                'tarn: [research] a run of "more" learned from 2000 tokens and the first one from '
                "1000; trials are compared at equal tokens. Take out what changes them.",
            ),
        )
        self.assertEqual(
            said(variants=[{"name": "lucky", "seed": 7}]),
            (
                2,
                'tarn: FOLDER/v.json, variant "lucky": a variant cannot change seed, which '
                "research does by itself.",
            ),
        )
        done = subprocess.run(
            [TARN, "research", "--variants", self.file("v.json"), "--steps=3", "--", python],
            capture_output=True,
            text=True,
        )
        self.assertEqual(
            (done.returncode, done.stderr),
            (
                2,
                "tarn: --steps is an option of `tarn train`, and a program is tried. Give it what "
                "it needs after its name.\n",
            ),
        )


if __name__ == "__main__":
    TARN, PRETRAIN = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
