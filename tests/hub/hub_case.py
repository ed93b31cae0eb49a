"""What the tests of the hub share: a hub, an empty cache and the driver that calls HubClient."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from fake_hub import FakeHub, Lfs, blob_name, random_bytes

DRIVER = TARN = ""
ID = "org/tiny"
WEIGHTS = Lfs(random_bytes(1, 400_000))
CONFIG = b'{"model_type": "llama"}'
FILES = {
    "config.json": CONFIG,
    "tokenizer.json": b'{"model": {}}',
    "model.safetensors": WEIGHTS,
    "README.md": b"not needed",
}
NEEDED = sorted(set(FILES) - {"README.md"})


def environment(**more):
    keep = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "PATH"}
    return keep | {"HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"} | more


class HubCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.cache = self.top / "cache"
        self.repo = self.hub.add(ID, dict(FILES))
        self.commit = self.repo.refs["main"]

    # --- calls

    def command(self, verb, options):
        words = {"endpoint": self.hub.url, "cache": self.cache, "model": ID} | options
        return [DRIVER, verb, *(f"{name}={value}" for name, value in words.items())]

    def drive(self, verb="pull", env=None, **options):
        run = subprocess.run(
            self.command(verb, options),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(**(env or {})),
        )
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return json.loads(run.stdout)

    def tarn(self, *arguments, **more):
        env = environment(HF_ENDPOINT=self.hub.url, HF_HUB_CACHE=str(self.cache), **more)
        run = subprocess.run(
            [TARN, *arguments], capture_output=True, text=True, env=env, timeout=60
        )
        return run.returncode, run.stdout, run.stderr

    # --- what must hold

    def place(self, name=""):
        return self.cache / "models--org--tiny" / name

    def part(self, content=WEIGHTS):
        return self.place("blobs") / (blob_name(content) + ".incomplete")

    def assert_whole(self, answer, files=None, commit=None):
        """The snapshot has the right bytes, and nothing half done lies about."""
        folder = self.place("snapshots") / (commit or self.commit)
        self.assertEqual(answer.get("path"), str(folder), answer)
        for name in files or NEEDED:
            content = self.repo.commits[folder.name][name]
            self.assertEqual((folder / name).read_bytes(), content, name)
            self.assertEqual(os.path.basename(os.readlink(folder / name)), blob_name(content))
        self.assertEqual([p.name for p in self.place("blobs").iterdir() if "." in p.name], [])

    def assert_error(self, answer, text, can_retry=None):
        got = answer.get("error", str(answer))
        got = got.replace(self.hub.url.removeprefix("http://"), "HUB").replace(
            str(self.cache), "CACHE"
        )
        self.assertEqual(got.replace(self.commit, "COMMIT"), text)
        if can_retry is not None:
            self.assertEqual(answer["can_retry"], can_retry)

    def assert_nothing_outside(self):
        """Nothing lies beside the cache, and in it only what belongs there."""
        self.assertIn(sorted(p.name for p in self.top.iterdir()), ([], ["cache"]))
        if self.cache.exists():
            inside = {p.name for p in self.cache.iterdir()}
            self.assertLessEqual(inside, {".locks", "models--org--tiny"})


def main(name):
    global DRIVER, TARN
    if name == "__main__":
        DRIVER, TARN = (os.path.abspath(a) for a in sys.argv[1:3])
        unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=1)
