"""Stopping, killing, several at once, and progress: hub_sharing_test.py DRIVER TARN

Standard library only.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import hub_case
from fake_hub import Lfs, blob_name, random_bytes
from hub_case import FILES, ID, NEEDED, WEIGHTS, HubCase

FILE = f"{ID}/model.safetensors"
# Processors that are shared, and sanitizers, take their time; without either it is 50 ms.
SLOW = any(name.endswith("SAN_OPTIONS") for name in os.environ)
LATENCY_MS = 500 if SLOW else 50


class Killed(HubCase):
    def start(self, **options):
        return subprocess.Popen(
            self.command("pull", options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=hub_case.environment(),
        )

    def slow_down(self, names):
        self.hub.faults.clear()
        for name in names:
            self.hub.fault(f"{ID}/{name}", block=4000, delay=0.0003)

    def test_a_hundred_times_and_then_the_right_bytes(self):
        """Each run is killed at a random moment; the parts that are left only grow."""
        self.repo.commits[self.commit]["b.safetensors"] = Lfs(random_bytes(2, 300_000))
        self.repo.commits[self.commit]["model-2.safetensors"] = Lfs(random_bytes(3, 300_000))
        names = [*NEEDED, "model-2.safetensors"]
        draw, killed, resumed = random.Random(7), 0, 0
        begin = time.monotonic()
        self.slow_down(names)
        self.assert_whole(self.drive(), names)
        whole = time.monotonic() - begin
        while killed < 100:
            if not self.part().exists():
                shutil.rmtree(self.cache, ignore_errors=True)
            self.slow_down(names)
            run = self.start()
            time.sleep(draw.uniform(0, 0.6 * whole))
            run.kill()
            run.communicate()
            killed += run.returncode == -signal.SIGKILL
            if killed % 10 == 0 and self.part().exists():
                got = self.part().read_bytes()
                self.assertEqual(got, WEIGHTS[: len(got)])
                resumed += 0 < len(got) < len(WEIGHTS)
                self.hub.faults.clear()
                self.assert_whole(self.drive(), names)
        self.assertGreater(resumed, 0)
        self.hub.faults.clear()
        self.assert_whole(self.drive(), names)

    def test_the_lock_of_a_killed_process_is_free(self):
        self.hub.fault(FILE, cut=100_000, stall=30)
        run = self.start(stall=60000)
        while not (self.part().exists() and self.part().stat().st_size == 100_000):
            time.sleep(0.005)
        run.kill()
        run.communicate()
        start = time.monotonic()
        self.assert_whole(self.drive())
        self.assertLess(time.monotonic() - start, 5)


class Several(HubCase):
    def test_processes_share_one_download(self):
        for name in NEEDED:
            self.hub.fault(f"{ID}/{name}", block=10_000, delay=0.005)
        command = self.command("pull", {})
        runs = [
            subprocess.Popen(command, stdout=subprocess.PIPE, env=hub_case.environment())
            for _ in range(5)
        ]
        answers = [json.loads(run.communicate()[0]) for run in runs]
        for answer in answers:
            self.assert_whole(answer)
        for name in NEEDED:
            self.assertEqual(len(self.hub.asked(f"resolve/{self.commit}/{name}")), 1, name)

    def test_one_waits_and_goes_on_when_the_other_dies(self):
        self.hub.fault(FILE, cut=100_000, stall=30)
        command = self.command("pull", {"stall": 60000})
        first = subprocess.Popen(command, stdout=subprocess.PIPE, env=hub_case.environment())
        while not (self.part().exists() and self.part().stat().st_size == 100_000):
            time.sleep(0.005)
        second = subprocess.Popen(command, stdout=subprocess.PIPE, env=hub_case.environment())
        time.sleep(0.3)
        self.assertIsNone(second.poll())
        self.assertEqual(len(self.hub.asked("/cdn/")), 1)
        first.kill()
        first.communicate()
        answer = json.loads(second.communicate(timeout=20)[0])
        self.assert_whole(answer)
        self.assertEqual(self.hub.asked("/cdn/")[1][3]["Range"], "bytes=100000-")
        waiting = [call[0] for call in answer["progress"]]
        self.assertTrue(any(100_000 <= done < 400_000 for done in waiting), waiting)

    def test_a_lock_of_another_program_is_respected(self):
        locks = self.cache / ".locks" / "models--org--tiny"
        locks.mkdir(parents=True)
        with open(locks / f"{blob_name(WEIGHTS)}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer = self.drive(stop=300)
            self.assertEqual(answer["cancelled"], "[hub] stopped on request.")
            self.assertEqual(self.hub.asked("/cdn/"), [])
        self.assert_whole(self.drive())

    def test_files_of_one_content_are_one_download(self):
        self.repo.commits[self.commit]["model-copy.safetensors"] = WEIGHTS
        self.assert_whole(self.drive(), [*NEEDED, "model-copy.safetensors"])
        self.assertEqual(len(self.hub.asked("/cdn/")), 1)

    def test_parallelism_bounds_the_connections(self):
        files = {f"model-{i}.safetensors": Lfs(random_bytes(i, 1000)) for i in range(8)}
        self.repo.commits[self.commit] |= files
        now, most, mutex = 0, 0, threading.Lock()
        handler = self.hub.server.RequestHandlerClass

        class Counting(handler):
            def do_GET(self):
                nonlocal now, most
                with mutex:
                    now += 1
                    most = max(most, now)
                time.sleep(0.02)
                super().do_GET()
                with mutex:
                    now -= 1

        self.hub.server.RequestHandlerClass = Counting
        self.assert_whole(self.drive(parallelism=2))
        self.assertEqual(most, 2)


class Stopped(HubCase):
    def stop_during(self, ms, **options):
        answer = self.drive(stop=ms, **options)
        self.assertEqual(answer.get("cancelled"), "[hub] stopped on request.", answer)
        self.assertLess(answer["ms"], LATENCY_MS)

    def best_of(self, call, tries=3):
        """Another program may hold the processor for longer than the latency that is promised."""
        for left in reversed(range(tries)):
            try:
                return call()
            except AssertionError:
                if left == 0:
                    raise
                self.hub.faults.clear()

    def test_while_the_list_is_awaited(self):
        def call():
            self.hub.fault(ID, silent=2)
            self.stop_during(200)

        self.best_of(call)

    def test_while_a_file_comes_or_stalls(self):
        for fault in ({"block": 1000, "delay": 0.01}, {"cut": 100_000, "stall": 2}):
            with self.subTest(fault):

                def call():
                    shutil.rmtree(self.cache, ignore_errors=True)
                    self.hub.fault(FILE, **fault)
                    self.stop_during(300)

                self.best_of(call)
                self.assertGreater(self.part().stat().st_size, 0)
                self.hub.faults.clear()
                self.assert_whole(self.drive())

    def test_while_the_next_attempt_is_awaited(self):
        def call():
            self.hub.fault(FILE, status=503, headers={"Retry-After": "20"})
            self.stop_during(300)

        self.best_of(call)

    def test_while_a_part_is_hashed(self):
        self.place("blobs").mkdir(parents=True)
        big = Lfs(bytes(300_000_000))
        self.repo.commits[self.commit]["model.safetensors"] = big
        with open(self.part(big), "wb") as part:
            part.truncate(len(big) - 1)
        for ms in (0, 5, 10, 20, 40):
            self.best_of(lambda: self.stop_during(ms))
            self.assertEqual(self.part(big).stat().st_size, len(big) - 1)

    def test_before_it_begins(self):
        self.best_of(lambda: self.stop_during(0))

    def test_an_exception_of_the_callback_ends_it(self):
        self.assertEqual(self.drive(throw=1), {"error": "the callback failed"})
        self.assert_whole(self.drive())


class Progress(HubCase):
    def test_what_is_told(self):
        self.hub.fault(FILE, cut=100_000)
        self.drive(retries=0)
        self.hub.fault(FILE, block=10_000, delay=0.01)
        calls = self.drive()["progress"]
        total = sum(len(FILES[name]) for name in NEEDED)
        self.assertEqual({call[1] for call in calls}, {total})
        at_start = calls[0][2]
        self.assertGreaterEqual(at_start, 100_000)
        self.assertEqual(calls[0][0], at_start)
        self.assertGreater(len(calls), 3)
        self.assertEqual([call[0] for call in calls], sorted(call[0] for call in calls))
        self.assertEqual(calls[-1], [total, total, at_start, 3, 3])


if __name__ == "__main__":
    hub_case.main(__name__)
