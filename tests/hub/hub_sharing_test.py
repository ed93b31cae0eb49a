"""Stopping, killing, several at once, pins and states: hub_sharing_test.py DRIVER TARN

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
from fake_hub import FakeHub, Lfs, blob_name, random_bytes
from hub_case import CONFIG, FILES, ID, NEEDED, WEIGHTS, HubCase

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

    def test_a_hundred_times_and_then_the_right_bytes(self):
        """Each run is killed at a random moment; the parts that are left only grow."""
        self.repo.commits[self.commit]["b.safetensors"] = Lfs(random_bytes(2, 300_000))
        self.repo.commits[self.commit]["model-2.safetensors"] = Lfs(random_bytes(3, 300_000))
        names = [*NEEDED, "model-2.safetensors"]
        draw, killed, resumed = random.Random(7), 0, 0
        while killed < 100:
            if not self.part().exists():
                shutil.rmtree(self.cache, ignore_errors=True)
            self.hub.faults.clear()
            for name in names:
                self.hub.fault(f"{ID}/{name}", block=4000, delay=0.0003)
            run = self.start()
            time.sleep(draw.uniform(0, 0.05))
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
        self.best_of(lambda: self.stop_during(40))

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


class Revisions(HubCase):
    def test_a_branch_that_moves(self):
        self.assert_whole(self.drive())
        new = self.repo.update(FILES | {"config.json": b'{"new": 1}'})
        self.hub.requests.clear()
        self.assert_whole(self.drive(latest=0))
        self.assertEqual(self.hub.requests, [])
        self.assert_whole(self.drive(), commit=new)
        self.assertEqual(self.place("refs/main").read_text(), new)
        self.assertEqual(self.hub.asked("model.safetensors"), [])
        self.assert_whole(self.drive(model=f"{ID}@{self.commit}"))

    def test_the_old_branch_stays_until_the_new_is_whole(self):
        self.drive()
        self.repo.update(FILES | {"model.safetensors": Lfs(b"x" * 1000)})
        self.hub.fault(FILE, status=404, times=9)
        self.assertIn("error", self.drive())
        self.assertEqual(self.place("refs/main").read_text(), self.commit)
        self.assert_whole(self.drive(offline=1))

    def test_tags_and_requests(self):
        for ref in ("v1.0", "refs/pr/1"):
            commit = self.repo.update(FILES | {"config.json": ref.encode()}, ref=ref)
            self.assert_whole(self.drive(model=f"{ID}@{ref}"), commit=commit)
            self.assertEqual(self.place("refs").joinpath(ref).read_text(), commit)
            self.assert_whole(self.drive(model=f"{ID}@{ref}", offline=1), commit=commit)

    def test_a_commit_is_not_asked_for_again(self):
        self.drive(model=f"{ID}@{self.commit}")
        self.hub.requests.clear()
        self.assert_whole(self.drive(model=f"{ID}@{self.commit}"))
        self.assertEqual(self.hub.requests, [])

    def test_one_file(self):
        files = {"a-Q4.gguf": Lfs(b"4" * 50), "a-Q8.gguf": Lfs(b"8" * 80), "sub/b.gguf": Lfs(b"b")}
        self.repo.commits[self.commit] = files
        folder = self.place("snapshots") / self.commit
        for asked, name in [
            ("a-Q4.gguf", "a-Q4.gguf"),
            ("*Q8*", "a-Q8.gguf"),
            ("sub/b.gguf", "sub/b.gguf"),
        ]:
            with self.subTest(asked):
                path = folder / name
                self.assertEqual(self.drive(model=f"{ID}/{asked}")["path"], str(path))
                self.assertEqual(path.read_bytes(), files[name])
        self.hub.requests.clear()
        self.drive(model=f"{ID}/sub/b.gguf", latest=0)
        self.assertEqual(self.hub.requests, [])

    def test_the_only_gguf_is_found(self):
        self.repo.commits[self.commit] = {"a.gguf": Lfs(b"4" * 50), "README.md": b"x"}
        path = str(self.place("snapshots") / self.commit / "a.gguf")
        self.assertEqual(self.drive()["path"], path)
        self.assertEqual(self.drive(offline=1)["path"], path)

    def test_weights_under_two_names_come_once(self):
        self.repo.commits[self.commit] |= {"consolidated.safetensors": Lfs(b"x" * 100)}
        self.assert_whole(self.drive())
        self.assertEqual(self.hub.asked("consolidated"), [])

    def test_a_directory_wins_and_no_network_is_used(self):
        self.assertEqual(self.drive(model=self.top)["path"], str(self.top))
        self.assertEqual(self.drive("availability", model=self.top)["state"], "available")
        self.assertEqual(self.hub.requests, [])


class Pins(HubCase):
    def setUp(self):
        super().setUp()
        self.lock = self.top / "cache-tarn.lock"
        self.drive("pin", name="small", to=self.lock)

    def pull(self, **options):
        return self.drive(registry=self.lock, model="small", **options)

    def test_what_is_written(self):
        written = json.loads(self.lock.read_text())
        self.assertEqual(written["version"], 1)
        small = written["models"]["small"]
        self.assertEqual(
            (small["id"], small["revision"], small["commit"]), (ID, "main", self.commit)
        )
        self.assertEqual(list(small["files"]), NEEDED)
        weights = {"bytes": len(WEIGHTS), "sha256": blob_name(WEIGHTS)}
        self.assertEqual(small["files"]["model.safetensors"], weights)
        config = {"bytes": len(CONFIG), "git-sha1": blob_name(CONFIG)}
        self.assertEqual(small["files"]["config.json"], config)

    def test_a_pin_holds_when_the_branch_moves(self):
        self.repo.update(FILES | {"config.json": b'{"new": 1}'})
        self.hub.requests.clear()
        self.assert_whole(self.pull())
        self.assertEqual(self.hub.asked("/api/"), [])
        self.assert_whole(self.pull(offline=1))

    def test_a_hub_that_sends_something_else_is_caught(self):
        evil = b'{"model_type": "evil!"}'
        self.repo.commits[self.commit]["config.json"] = evil
        self.assertEqual(len(evil), len(CONFIG))
        answer = self.pull()
        self.assert_error(
            answer,
            f"[hub] org/tiny/config.json: its git SHA-1 is {blob_name(evil)}, {blob_name(CONFIG)} "
            "was promised (tried 2 times). Try again; if it stays so, the hub or something before "
            "it changes what it sends.",
        )

    def test_offline_tells_what_a_pin_lacks(self):
        self.assert_error(
            self.pull(offline=1),
            "[hub] org/tiny as pinned is not in the cache CACHE; the hub is not asked (offline). "
            "Without HF_HUB_OFFLINE and --offline it would be downloaded.",
        )

    def test_files_that_are_no_lock(self):
        advice = "Correct it, or write it again with `tarn pull --lock`."
        good = json.loads(self.lock.read_text())
        small = good["models"]["small"]

        def with_model(**changes):
            return {"version": 1, "models": {"small": small | changes}}

        def with_file(**entry):
            return with_model(files={"config.json": entry})

        for name, content, text in [
            ("no version", {"models": {}}, f"the top: there is no `version`. {advice}"),
            ("a later version", {"version": 2}, "version 2 is not one that this build reads: 1."),
            ("no models", {"version": 1}, f"the top: there is no `models`. {advice}"),
            (
                "a list",
                {"version": 1, "models": []},
                f"the top: `models` is not an object. {advice}",
            ),
            ("no id", with_model(id=7), f"small: `id` is not a text. {advice}"),
            (
                "a commit that is none",
                with_model(commit="main"),
                f"small: `commit` is not 40 hexadecimal digits. {advice}",
            ),
            ("no files", with_model(files={}), f"small: `files` names no file. {advice}"),
            (
                "a path",
                with_model(files={"../x": {}}),
                f'small: "../x" cannot be a file: it leaves its folder. {advice}',
            ),
            (
                "no size",
                with_file(bytes=-1),
                f"small: `bytes` of config.json is not a size. {advice}",
            ),
            (
                "no hash",
                with_file(bytes=1, sha256="x"),
                f"small: config.json has no hash of 64 hexadecimal digits. {advice}",
            ),
        ]:
            with self.subTest(name):
                self.lock.write_text(json.dumps(content))
                self.assert_error(self.pull(), f"[registry] CACHE-tarn.lock: {text}")


class States(HubCase):
    def test_before_and_after(self):
        state = self.drive("availability")
        self.assertEqual(
            (state["state"], state["can_retry"], state["done"]), ("unavailable", True, 0)
        )
        self.assert_error({"error": state["message"]}, "org/tiny is not in the cache CACHE.")
        self.assertFalse(self.drive("availability", offline=1)["can_retry"])
        self.drive()
        state = self.drive("availability")
        folder = str(self.place("snapshots") / self.commit)
        self.assertEqual((state["state"], state["path"]), ("available", folder))
        self.assertEqual(len(self.hub.asked("/api/")), 1)

    def test_a_part_and_a_process_that_downloads(self):
        self.hub.fault(FILE, cut=100_000, times=2)
        self.drive(retries=0)
        state = self.drive("availability")
        self.assertEqual((state["state"], state["done"]), ("unavailable", 100_000))
        with open(self.cache / ".locks/models--org--tiny" / f"{blob_name(WEIGHTS)}.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertEqual(self.drive("availability")["state"], "downloading")

    def test_a_download_that_fails_and_is_retried(self):
        self.hub.fault(FILE, cut=100_000, times=1)
        states = self.drive("handle", retries=0, retry=2)
        self.assertEqual([s["state"] for s in states], ["unavailable", "available", "available"])
        self.assertTrue(states[0]["can_retry"])
        self.assertIn("cut the connection", states[0]["message"])
        self.assertEqual(states[1]["path"], str(self.place("snapshots") / self.commit))

    def test_a_download_that_is_cancelled_and_goes_on(self):
        self.hub.fault(FILE, cut=100_000, stall=3)
        states = self.drive("handle", cancel=400, retry=1, stall=60000)
        self.assertEqual([s["state"] for s in states], ["downloading", "unavailable", "available"])
        self.assertGreaterEqual(states[0]["done"], 100_000)
        self.assertEqual(states[1]["message"], "[hub] stopped on request.")

    def test_a_download_that_nobody_wants_any_more(self):
        self.hub.fault(ID, silent=3)
        start = time.monotonic()
        self.drive("drop")
        self.assertLess(time.monotonic() - start, 2)


class Environment(HubCase):
    def test_where_things_are(self):
        with FakeHub() as other:
            other.repos = self.hub.repos
            self.repo.token = "hf_file"
            home = self.top / "cache"
            home.mkdir()
            (home / "token").write_text("hf_file\n")
            env = {"HF_ENDPOINT": other.url + "/", "HF_HOME": str(home)}
            answer = self.drive(endpoint="", cache="", env=env)
            self.assertTrue(answer["path"].startswith(str(home / "hub/models--org--tiny")), answer)
            self.assertEqual(other.requests[0][3]["Authorization"], "Bearer hf_file")
            self.assertEqual(self.hub.requests, [])
            env |= {"HF_HUB_CACHE": str(home / "elsewhere"), "HF_TOKEN": "hf_file "}
            (home / "token").write_text("wrong")
            answer = self.drive(endpoint="", cache="", env=env)
            self.assertTrue(answer["path"].startswith(str(home / "elsewhere/models--")), answer)


if __name__ == "__main__":
    hub_case.main(__name__)
