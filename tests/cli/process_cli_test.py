"""The program among processes: its descriptors and signals: process_cli_test.py TARN MODEL, as
cli_test.py."""

import os
import subprocess
import sys
import unittest

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


if __name__ == "__main__":
    cli_test.TARN, cli_test.MODEL = (os.path.abspath(a) for a in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
