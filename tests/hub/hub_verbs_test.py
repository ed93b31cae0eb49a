"""The program's verbs about models: hub_verbs_test.py DRIVER TARN

Standard library only.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import hub_case
import tiny_model
from fake_hub import Lfs, blob_name, random_bytes
from hub_case import CONFIG, FILES, ID, NEEDED, WEIGHTS, HubCase

FILE = f"{ID}/model.safetensors"


class Verbs(HubCase):
    def folder(self):
        return str(self.place("snapshots") / self.commit)

    def clean(self, text):
        text = text.replace(str(self.cache), "CACHE").replace(self.commit, "COMMIT")
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", text)

    def says(self, arguments, out="", err="", status=0, **more):
        got = self.tarn(*arguments, **more)
        self.assertEqual((got[0], self.clean(got[1]), self.clean(got[2])), (status, out, err))

    def pull(self):
        self.says(["pull", ID], self.clean(self.folder()) + "\n", "org/tiny: 400 kB downloaded\n")

    def test_pull(self):
        self.pull()
        self.says(["pull", ID], self.clean(self.folder()) + "\n", "org/tiny: is here already\n")
        status, out, _ = self.tarn("pull", ID, "--json")
        total = sum(len(FILES[name]) for name in NEEDED)
        wanted = {"id": ID, "path": self.folder(), "files": 3, "bytes": total}
        self.assertEqual((status, json.loads(out)), (0, wanted | {"downloaded_bytes": 0}))

    def test_pull_of_a_revision_and_of_a_file(self):
        commit = self.repo.update({"a-Q4.gguf": Lfs(b"4444")}, ref="v1")
        path = f"CACHE/models--org--tiny/snapshots/{commit}/a-Q4.gguf\n"
        self.says(["pull", ID, "--revision", "v1"], path, "org/tiny: 4 B downloaded\n")
        self.says(["pull", f"{ID}/a-Q4.gguf@v1"], path, "org/tiny: is here already\n")
        self.says(["pull", f"{ID}@v1", "--file", "*Q4*"], path, "org/tiny: is here already\n")

    def test_mistakes_in_one_line(self):
        for arguments, status, text in [
            (["pull"], 2, "tarn pull needs a NAME: org/name, as on the page of the model."),
            (["pull", "/"], 2, "/ is a file or folder here, there is nothing to download."),
            (["rm"], 2, "tarn rm needs a MODEL; `tarn ls` lists them."),
            (["show"], 2, "tarn show needs a MODEL; `tarn ls` lists them."),
            (
                ["rm", ID, "--unreferenced", "--revision", "x"],
                2,
                "--revision and --unreferenced exclude each other.",
            ),
            (["pul", ID], 2, "`pul` is not a verb. Did you mean `tarn pull`?"),
            (
                ["pull", "org/nothing"],
                1,
                "[hub] org/nothing: the hub has no such model (404). Check the name; a private one "
                "needs HF_TOKEN.",
            ),
            (["rm", ID], 1, "[hub] org/tiny is not in the cache CACHE. `tarn ls` lists what is."),
            (
                ["pull", "--locked", "/nonexistent/tarn.lock"],
                1,
                "[load] /nonexistent/tarn.lock: cannot open: No such file or directory. Check the "
                "path.",
            ),
        ]:
            with self.subTest(arguments):
                self.says(arguments, err=f"tarn: {text}\n", status=status)

    def test_ls_show_and_du(self):
        self.says(["ls"], err="There is no model in CACHE. `tarn pull org/name` brings one.\n")
        self.says(["ls", "--json"], "[]\n")
        self.pull()
        self.says(
            ["ls"],
            "MODEL     REVISION    SIZE  CHANGED           STATE\n"
            "org/tiny  main      400 kB  DATE  whole\n",
        )
        (listed,) = json.loads(self.tarn("ls", "--json")[1])
        self.assertEqual((listed["id"], listed["revisions"]), (ID, ["main"]))
        self.assertEqual((listed["lacks"], listed["path"]), ([], self.folder()))
        self.says(
            ["show", ID],
            "model     org/tiny\ncommit    COMMIT\nrevision  main\nsize      400 kB\n"
            "folder    CACHE/models--org--tiny/snapshots/COMMIT\n"
            f"  config.json          23 B  git {blob_name(CONFIG)[:12]}\n"
            f"  model.safetensors  400 kB  sha256 {blob_name(WEIGHTS)[:12]}\n"
            f"  tokenizer.json       13 B  git {blob_name(FILES['tokenizer.json'])[:12]}\n",
        )
        (shown,) = json.loads(self.tarn("show", ID, "--remote", "--json")[1])
        self.assertEqual([f["name"] for f in shown["files"]], list(FILES))
        self.assertEqual(shown["path"], "")
        self.says(
            ["du"],
            "  SIZE  BEGUN  NOBODY'S  MODEL\n"
            "400 kB      -         -  org/tiny\n"
            "400 kB      -         -  CACHE\n",
        )

    def test_what_is_begun_or_nobodys(self):
        self.pull()
        (self.place("blobs") / f"{'a' * 64}.incomplete").write_bytes(b"x" * 1000)
        (self.place("blobs") / ("b" * 64)).write_bytes(b"x" * 2000)
        model = json.loads(self.tarn("du", "--json")[1])["models"][0]
        self.assertEqual((model["part_bytes"], model["unreferenced_bytes"]), (1000, 2000))
        self.assertIn("`tarn rm --unreferenced MODEL` frees", self.tarn("du")[1])
        self.says(["rm", "--unreferenced", ID], err="org/tiny: 3.0 kB freed\n")
        self.assert_whole({"path": self.folder()})

    def test_rm_of_a_model(self):
        self.pull()
        self.says(
            ["show", "other/Tiny"],
            status=1,
            err="tarn: [hub] other/Tiny is not in the cache " "CACHE. Did you mean org/tiny?\n",
        )
        self.says(
            ["rm", ID, "org/x"],
            status=1,
            err="tarn: [hub] org/x is not in the cache CACHE. " "`tarn ls` lists what is.\n",
        )
        self.assert_whole({"path": self.folder()})
        self.says(["rm", ID], err="org/tiny: 400 kB freed\n")
        self.assertEqual([p.name for p in self.cache.iterdir()], [".locks"])
        self.assertEqual(list((self.cache / ".locks").iterdir()), [])

    def test_rm_of_a_revision_keeps_what_others_need(self):
        self.pull()
        new = self.repo.update(FILES | {"config.json": b"{}"})
        self.tarn("pull", ID)
        self.says(
            ["rm", ID, "--revision", "xyz1"],
            status=1,
            err="tarn: [hub] org/tiny has no revision `xyz1` in the cache. There are: "
            + ", ".join(
                f"{c[:12]}, main" if c == new else c[:12] for c in sorted([self.commit, new])
            )
            + ".\n",
        )
        self.says(["rm", ID, "--revision", self.commit[:8]], err="org/tiny: 23 B freed\n")
        self.assert_whole({"path": str(self.place("snapshots") / new)}, commit=new)
        self.says(["rm", ID, "--revision", "main"], err="org/tiny: 400 kB freed\n")

    def test_rm_does_not_pull_the_rug_away(self):
        self.pull()
        lock = self.cache / ".locks/models--org--tiny" / f"{blob_name(WEIGHTS)}.lock"
        with open(lock) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.says(
                ["rm", ID],
                status=1,
                err="tarn: [hub] org/tiny is being downloaded by another process: nothing was "
                "removed. Stop it first.\n",
            )
        self.assert_whole({"path": self.folder()})

    def test_rm_removes_links_and_not_what_they_lead_to(self):
        self.pull()
        outside = self.top / "cache-outside"
        outside.mkdir()
        (outside / "mine").write_text("x")
        (self.place("snapshots") / self.commit / "link").symlink_to(outside)
        self.assertEqual(self.tarn("rm", ID)[0], 0)
        self.assertEqual((outside / "mine").read_text(), "x")

    def test_verify(self):
        self.pull()
        self.says(["verify"], "org/tiny: as it was published\n")
        blob = self.place("blobs") / blob_name(WEIGHTS)
        blob.write_bytes(b"!" + WEIGHTS[1:])
        wrong = blob_name(Lfs(b"!" + WEIGHTS[1:]))
        (self.place("blobs") / blob_name(CONFIG)).unlink()
        said = (
            f"org/tiny: model.safetensors is damaged: its SHA-256 is {wrong}\n"
            "org/tiny: config.json is damaged: it is not there\n"
        )
        status, out, err = self.tarn("verify", ID)
        self.assertEqual((status, err), (1, ""))
        self.assertEqual(sorted(out.splitlines()[:-1]), sorted(said.splitlines()))
        self.assertEqual(
            out.splitlines()[-1],
            "org/tiny: `tarn verify --repair` removes it, `tarn pull` brings it again",
        )
        (result,) = json.loads(self.tarn("verify", "--json")[1])
        self.assertEqual(len(result["damaged"]), 2)
        self.assertEqual(self.tarn("verify", "--repair")[0], 1)
        self.tarn("pull", ID)
        self.says(["verify"], "org/tiny: as it was published\n")
        self.assert_whole({"path": self.folder()})

    def test_pins(self):
        lock = self.top / "cache-tarn.lock"
        self.says(
            ["pull", ID, "--lock", str(lock), "--as", "small"],
            self.clean(self.folder()) + "\n",
            "org/tiny: 400 kB downloaded\n",
        )
        self.repo.update(FILES | {"config.json": b"{}"})
        self.tarn("rm", ID)
        for name in (["small"], []):
            got = self.tarn("pull", *name, "--locked", str(lock))
            self.assertEqual(got[:2], (0, self.folder() + "\n"))
        self.says(
            ["pull", "big", "--locked", str(lock)],
            status=1,
            err="tarn: [pull] CACHE-tarn.lock pins no model big. It has: small.\n",
        )

    def test_a_lock_file_is_looked_at_before_anything_is_downloaded(self):
        broken = self.top / "cache-broken.lock"
        broken.write_text("broken")
        status, out, err = self.tarn("pull", ID, "--lock", str(broken))
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith(f"tarn: [json] {broken}: byte 0"), err)
        self.says(
            ["pull", ID, "--lock", "/nonexistent/x.lock"],
            status=1,
            err="tarn: [pull] /nonexistent/x.lock cannot be written: No such file or directory. "
            "Name a file in a folder that can be.\n",
        )
        self.assertEqual(self.hub.requests, [])

    def test_why_the_hub_is_asked_once_more(self):
        self.hub.fault(ID, times=2, status=429, headers={"Retry-After": "0"}, body=b"")
        again = (
            "[hub] org/tiny: the hub asks for fewer requests (429) and to wait 0 s. Trying again "
            "in 0 s.\n"
        )
        self.says(
            ["pull", ID],
            self.clean(self.folder()) + "\n",
            2 * again + "org/tiny: 400 kB downloaded\n",
        )

    def test_interrupt_keeps_the_parts_and_says_so(self):
        self.hub.fault(FILE, cut=150_000, stall=20)
        env = hub_case.environment(HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=str(self.cache))
        run = subprocess.Popen(
            [hub_case.TARN, "pull", ID], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        while not (self.part().exists() and self.part().stat().st_size == 150_000):
            time.sleep(0.005)
        time.sleep(0.3)  # until the amount has been told
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        self.assertEqual(
            (run.returncode, out, err),
            (
                130,
                b"",
                b"Stopped: 150 kB of 400 kB are kept; `tarn pull org/tiny` goes on from "
                b"there.\n",
            ),
        )
        self.says(["pull", ID], self.clean(self.folder()) + "\n", "org/tiny: 250 kB downloaded\n")

    def test_a_bar_on_a_terminal(self):
        self.hub.fault(FILE, block=10_000, delay=0.06)
        pid, fd = pty.fork()
        env = hub_case.environment(
            HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=str(self.cache), TERM="xterm"
        )
        if pid == 0:
            os.execve(hub_case.TARN, [hub_case.TARN, "pull", ID], env)
        seen, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            if select.select([fd], [], [], 0.1)[0]:
                try:
                    seen += os.read(fd, 4096)
                except OSError:
                    break
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        os.close(fd)
        self.assertRegex(
            seen.decode(),
            r"Downloading tiny  \[#+\.+\]  +\d\d%  \d+ kB / 400 kB  \d+ kB/s  0:0\d left",
        )
        self.assertTrue(seen.decode().endswith(self.folder() + "\r\n"), seen)


class Models(HubCase):
    """Verbs that run a model take its name."""

    def test_a_name_is_fetched_and_then_loaded(self):
        status, out, err = self.tarn("generate", "--model", ID, "--prompt", "x")
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"snapshots/{self.commit}", err)
        self.assertNotIn("[hub]", err)  # it came; these bytes are no model
        self.hub.requests.clear()
        self.tarn("generate", "--model", ID, "--prompt", "x")
        self.assertEqual(self.hub.requests, [])

    def test_a_model_answers_by_its_name(self):
        self.hub.add("org/llama", tiny_model.files())
        ask = ["generate", "--model", "org/llama", "--raw", "--prompt", "abc", "--max-tokens", "4"]
        status, out, err = self.tarn(*ask, "--json")
        self.assertEqual((status, err), (0, ""))
        first = json.loads(out)
        self.assertEqual(first["prompt_ids"], [0, 1, 2])
        self.hub.close()
        again = json.loads(self.tarn(*ask, "--json", "--offline")[1])
        self.assertEqual(again["generated_ids"], first["generated_ids"])

    def test_offline(self):
        for verb in (["generate", "--prompt", "x"], ["tokenize", "x"], ["chat", "--prompt", "x"]):
            with self.subTest(verb):
                status, out, err = self.tarn(*verb, "--model", ID, "--offline")
                self.assertEqual((status, out), (1, ""))
                self.assertEqual(
                    err.replace(str(self.cache), "CACHE"),
                    "tarn: [hub] org/tiny is not in the cache CACHE; the hub is not asked "
                    "(offline). "
                    "Without HF_HUB_OFFLINE and --offline it would be downloaded.\n",
                )
        self.assertEqual(self.hub.requests, [])

    def test_what_is_a_path_stays_one(self):
        for path in ("/nonexistent/m.gguf", "./m.gguf", "models/m.gguf", "m.gguf", "~/m"):
            with self.subTest(path):
                err = self.tarn("generate", "--prompt", "x", "--model", path)[2]
                self.assertTrue(err.startswith(f"tarn: [load] {path} does not exist."), err)
        self.assertEqual(self.hub.requests, [])

    def test_a_mistyped_path_that_could_be_a_name(self):
        err = self.tarn("generate", "--prompt", "x", "--model", "models/mine")[2]
        self.assertEqual(
            err,
            "tarn: [hub] models/mine: the hub has no such model (404). Check the name; a private "
            "one needs HF_TOKEN. There is no file or folder models/mine here.\n",
        )

    def test_a_lock_file_here_does_not_matter_for_a_path(self):
        (self.top / "tarn.lock").write_text("broken")
        self.addCleanup((self.top / "tarn.lock").unlink)
        (self.top / "m.gguf").write_bytes(b"x")
        run = [hub_case.TARN, "tokenize", "x", "--model"]
        for model, text in [
            ("m.gguf", "tarn: [load] m.gguf: byte 0"),
            (ID, "tarn: [json] tarn.lock: byte 0"),
        ]:
            with self.subTest(model):
                env = hub_case.environment(HF_HUB_CACHE=str(self.cache))
                done = subprocess.run([*run, model], capture_output=True, env=env, cwd=self.top)
                self.assertTrue(done.stderr.decode().startswith(text), done.stderr)

    def test_a_name_of_the_lock_file_here(self):
        (self.top / "cache").mkdir()
        self.tarn("pull", ID, "--lock", str(self.cache / "tarn.lock"), "--as", "small")
        self.repo.update(FILES | {"config.json": random_bytes(1, 5)})
        env = hub_case.environment(HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=str(self.cache))
        run = subprocess.run(
            [hub_case.TARN, "tokenize", "x", "--model", "small", "--offline"],
            capture_output=True,
            text=True,
            env=env,
            cwd=self.cache,
        )
        self.assertIn(f"snapshots/{self.commit}", run.stderr)


if __name__ == "__main__":
    hub_case.main(__name__)
