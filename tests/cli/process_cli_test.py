"""The program among processes: its descriptors and signals: process_cli_test.py TARN MODEL, as
cli_test.py."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import adapters_cli_test
import cli_test


def run(*words):
    """(status, standard output, standard error) of any program."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=cli_test.environment()
    )
    return done.returncode, done.stdout, done.stderr


class Descriptors(unittest.TestCase):
    ask = ["generate", "--prompt", cli_test.QUESTION, "--max-tokens", "7", *cli_test.EXACT]

    def with_closed(self, closed, *words):
        return run("sh", "-c", f'exec "$0" "$@" {closed}', cli_test.TARN, *words)

    def test_closed_ones_are_not_taken_by_other_files(self):
        answer = "The capital of France is Paris.\n"
        self.assertEqual(self.with_closed("<&- >&-", *self.ask), (0, "", ""))
        self.assertEqual(self.with_closed("<&- 2>&-", *self.ask), (0, answer, ""))
        self.assertEqual(self.with_closed("<&- >&- 2>&-", *self.ask), (0, "", ""))
        self.assertEqual(self.with_closed("<&-", "chat"), (0, "", ""))

    def test_none_left_is_said(self):
        self.assertEqual(
            run("prlimit", "--nofile=4", cli_test.TARN, *self.ask),
            (1, "", "tarn: [interrupt] no pipe for Ctrl-C: Too many open files.\n"),
        )


class Interrupts(unittest.TestCase):
    def stopped(self, folder, *words):
        """What is said and left behind when ^C comes as soon as something is written."""
        process = subprocess.Popen(
            [cli_test.TARN, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=cli_test.environment(),
        )
        end = time.monotonic() + 60
        while not os.listdir(folder) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err, os.listdir(folder)

    def test_an_interrupted_conversion_leaves_nothing_behind(self):
        nothing = (130, b"", b"", [])
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
            adapter = os.path.join(other, "mute")
            adapters_cli_test.write_adapter(adapter, 0.0)
            for name in ("to", "to.gguf"):
                to = ["--dequantise", "--out", os.path.join(folder, name)]
                convert = ["convert", cli_test.MODEL, *to]
                fuse = ["fuse", cli_test.MODEL, "--adapter", adapter, *to]
                self.assertEqual(self.stopped(folder, *convert, "--dtype=float32"), nothing)
                self.assertEqual(self.stopped(folder, *fuse), nothing)


class Places(unittest.TestCase):
    def test_a_relative_cache_that_is_not_there_yet_has_a_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [cli_test.TARN, "doctor"],
                cwd=folder,
                capture_output=True,
                text=True,
                env=cli_test.environment(TARN_CACHE="new/cache"),
            )
        self.assertRegex(done.stdout, r"disk +[\d.]+ [KMGT]iB available for new/cache/\n")


if __name__ == "__main__":
    cli_test.TARN, cli_test.MODEL = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
