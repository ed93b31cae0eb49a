"""`tarn launch`: what ranks print, signals, and ranks that die: launch_test.py TARN DRIVER"""

import os
import signal
import subprocess
import sys
import time
import unittest

TARN, DRIVER = sys.argv[1:3]
BACKENDS = os.environ.get("TARN_TEST_BACKENDS", "ring,mpi").split(",")


def command(what, ranks=3, backend="ring"):
    return [TARN, "launch", "-n", str(ranks), "--backend", backend, DRIVER, what]


def launch(what, ranks=3, backend="ring", stdin=""):
    start = time.monotonic()
    done = subprocess.run(
        command(what, ranks, backend), input=stdin, capture_output=True, text=True, timeout=60
    )
    return done, time.monotonic() - start


def run(*words, **more):
    return subprocess.run([TARN, *words], capture_output=True, text=True, timeout=60, **more)


class Launch(unittest.TestCase):
    def test_lines_have_their_rank(self):
        for backend in BACKENDS:
            done, _ = launch("speaks", 3, backend, "hello\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            lines = sorted(done.stdout.splitlines())
            wanted = [f"[{r}] rank {r} of 3" for r in range(3)]
            wanted += [f"[{r}] no newline" for r in range(3)] + ["[0] heard hello"]
            self.assertEqual(lines, sorted(wanted))
            self.assertEqual(
                sorted(done.stderr.splitlines()), [f"[{r}] an error" for r in range(3)]
            )

    def test_lines_that_come_in_pieces_are_whole(self):
        for backend in BACKENDS:
            done, _ = launch("pieces", 2, backend)
            self.assertEqual(done.returncode, 0, done.stderr)
            wanted = [f"[{r}] [1, 2] and [3,4] and <stdout>: and [" for r in range(2)]
            wanted += [f"[{r}] [" for r in range(2)]
            self.assertEqual(sorted(done.stdout.splitlines()), sorted(wanted))

    def test_a_ranks_status_is_the_status(self):
        for backend in BACKENDS:
            done, seconds = launch("status", 3, backend)
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertLess(seconds, 15)
        done, _ = launch("status", 3)
        self.assertEqual(
            done.stderr,
            "tarn: [launch] rank 1 ended with status 7; the others are ended.\n",
        )

    def test_ranks_that_do_not_end_are_made_to(self):
        done, seconds = launch("stubborn", 3)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertGreater(seconds, 2.9)
        self.assertLess(seconds, 15)

    def test_a_rank_that_is_killed_ends_all(self):
        for backend in BACKENDS:
            done, seconds = launch("killed", 3, backend)
            self.assertEqual(done.returncode, 128 + signal.SIGKILL, done.stderr)
            self.assertLess(seconds, 15)
        done, _ = launch("killed", 3)
        self.assertIn(
            "tarn: [launch] rank 1 ended with status 137; the others are ended.\n", done.stderr
        )

    def test_a_rank_that_throws_ends_all(self):
        for backend in BACKENDS:
            done, seconds = launch("throws", 3, backend)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("[1] [driver] rank 1 has had enough.\n", done.stderr)
            self.assertLess(seconds, 15)

    def test_others_are_told_that_a_rank_is_gone(self):
        done, seconds = launch("ends", 2)
        self.assertEqual(done.returncode, 1)
        self.assertIn(
            "[0] [all_sum] rank 1 is gone: it ended, or closed its connection, before this "
            "communication was done.\n",
            done.stderr,
        )
        self.assertLess(seconds, 10)

    def test_a_group_that_failed_says_so(self):
        done, _ = launch("goes on", 2)
        self.assertEqual((done.returncode, done.stdout), (1, "[0] of 2\n"))
        self.assertIn(
            "[0] [sum_scatter] an earlier communication of this group failed; it is of no use "
            "now.\n",
            done.stderr,
        )

    def test_ranks_that_part_are_told(self):
        done, _ = launch("other op", 2)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(
            done.stderr,
            r"\[0\] \[all_sum\] rank 1 sent 16 bytes of all_gather, where 16 bytes of all_sum are "
            r"expected: all ranks have to make the same communications in the same order\.\n"
            r"|\[1\] \[all_gather\] rank 0 sent 16 bytes of all_sum, where 16 bytes of all_gather",
        )
        for backend in BACKENDS:
            done, _ = launch("other size", 2, backend)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("[all_sum]", done.stderr)

    def test_ctrl_c_and_termination_end_all(self):
        for backend in BACKENDS:
            for sent in [signal.SIGINT, signal.SIGTERM]:
                process = subprocess.Popen(
                    command("waits", 2, backend),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                heard = sorted(process.stdout.readline() for _ in range(2))
                self.assertEqual(heard, ["[0] rank 0 waits\n", "[1] rank 1 waits\n"])
                process.send_signal(sent)
                process.communicate(timeout=20)
                self.assertNotEqual(process.returncode, 0)
                if backend == "ring":
                    self.assertEqual(process.returncode, 128 + sent)

    def test_mistakes(self):
        done = run("launch", "-n", "2")
        self.assertEqual(
            (done.returncode, done.stderr),
            (2, "tarn: [launch] give a program: `tarn launch -n 2 PROGRAM`.\n"),
        )
        done = run("launch", "-n", "2", "--backend", "ring", "no-such-program")
        self.assertEqual(done.returncode, 127)
        self.assertIn("tarn: [launch] no-such-program cannot be started.\n", done.stderr)
        done = run("launch", "-n", "0", DRIVER)
        self.assertEqual(done.returncode, 2)

    def test_open_mpi_that_is_not_there(self):
        if "mpi" not in BACKENDS:
            self.skipTest("mpi is left out")
        done = run("launch", "-n", "1", "--backend", "mpi", DRIVER, env={"PATH": "/nowhere"})
        self.assertEqual(
            (done.returncode, done.stderr),
            (
                2,
                "tarn: [launch] Open MPI is not found: install openmpi-bin and libopenmpi3, or use "
                "--backend ring.\n",
            ),
        )

    def test_nccl_needs_gpus(self):
        # Of this library, or of this machine.
        done, seconds = launch("speaks", 2, "nccl")
        if done.returncode == 0:
            self.skipTest("here are two GPUs")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(
            done.stderr,
            r"\[[01]\] \[init\] (nccl is for GPUs, and this library was built without a backend "
            r"for them: configure it with -DTARN_CUDA=ON, or use the backend ring\."
            r"|nccl needs a GPU in each process, and rank 0 has none: use the backend ring, which "
            r"goes through the host\."
            r"|rank 0 does not find libnccl\.so\.2: install NCCL, put its folder into "
            r"LD_LIBRARY_PATH, or use the backend ring\."
            r"|ranks 0 and 1 have the same GPU, which NCCL does not allow: start as many ranks as "
            r"there are GPUs, or say which by TARN_GPU\.)\n",
        )
        self.assertLess(seconds, 30)

    def test_what_any_is_has_to_be_a_backend(self):
        done = subprocess.run(
            [DRIVER, "speaks"],
            env={**os.environ, "TARN_DISTRIBUTED": "smoke"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(
            (done.returncode, done.stderr),
            (
                1,
                '[init] the backend is "smoke"; it must be any, mpi, ring, nccl or jaccl.\n',
            ),
        )

    def test_a_process_alone_is_told_how_to_start_several(self):
        done = subprocess.run([DRIVER, "speaks"], capture_output=True, text=True, timeout=60)
        self.assertEqual(
            (done.returncode, done.stderr),
            (
                1,
                "[init] this process was started alone, not by backend any: start the program with "
                "`tarn launch -n N PROGRAM`.\n",
            ),
        )

    def test_hostfiles_that_are_wrong(self):
        name = f"{os.environ.get('TMPDIR', '/tmp')}/tarn-hosts-{os.getpid()}.json"
        cases = [
            ("[", "0", None),
            ("{}", "0", f"[init] {name} is not a list with an entry for each rank.\n"),
            (
                "[[1], []]",
                "0",
                f'[init] {name}: the entry of rank 0 is [1]; it must be a list with "host:port".\n',
            ),
            (
                '[["localhost:1"]]',
                "1",
                f'[init] MLX_RANK is "1"; {name} has ranks 0 to 0.\n',
            ),
        ]
        try:
            for text, rank, message in cases:
                with open(name, "w") as file:
                    file.write(text)
                done = subprocess.run(
                    [DRIVER, "speaks"],
                    env={**os.environ, "MLX_HOSTFILE": name, "MLX_RANK": rank},
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                self.assertEqual(done.returncode, 1)
                if message:
                    self.assertEqual(done.stderr, message)
                else:
                    self.assertIn(name, done.stderr)
        finally:
            os.remove(name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
