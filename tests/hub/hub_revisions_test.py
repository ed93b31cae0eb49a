"""Branches, pins, states and the environment: hub_revisions_test.py DRIVER TARN

Standard library only.
"""

import fcntl
import json
import time

import hub_case
from fake_hub import FakeHub, Lfs, blob_name
from hub_case import CONFIG, FILES, ID, NEEDED, WEIGHTS, HubCase

FILE = f"{ID}/model.safetensors"


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

    def test_a_stop_before_anything_is_read_keeps_the_part(self):
        self.place("blobs").mkdir(parents=True)
        for _ in range(10):
            self.part().write_bytes(WEIGHTS[:1000])
            self.assertEqual(self.pull(stop=0).get("cancelled"), "[hub] stopped on request.")
            self.assertEqual(self.part().read_bytes(), WEIGHTS[:1000])

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
        # One at a time: beside the weights, a small file may be anywhere when they end it.
        self.hub.fault(FILE, cut=100_000, times=2)
        self.drive(retries=0, parallelism=1)
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
