"""The cache, against huggingface_hub: each reads what the other wrote.

hub_cache_test.py --tarn build/release/tarn
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "hub"))
sys.dont_write_bytecode = True
from fake_hub import FakeHub, Lfs, blob_name, random_bytes

TARN = ""
ID = "org/tiny"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": Lfs(random_bytes(1, 200_000)),
    "onnx/extra.json": b"[]",
}
# huggingface_hub reads its environment when it is imported, so it runs in a process of its own.
READ = """
import json, sys
from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache
path = snapshot_download(sys.argv[1], revision=sys.argv[2], local_files_only=True)
found = try_to_load_from_cache(sys.argv[1], "config.json", revision=sys.argv[2])
info = scan_cache_dir()
print(json.dumps([path, found, [str(w) for w in info.warnings],
  [[r.repo_id, r.size_on_disk,
    [[v.commit_hash, sorted(v.refs), sorted(f.file_name for f in v.files)] for v in r.revisions]]
   for r in info.repos]]))
"""
WRITE = """
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[2:]:
    hf_hub_download(sys.argv[1], name)
"""


class Caches(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        files = FakeHub("cdn", origin=self.hub)  # large files are elsewhere, as on the real one
        self.addCleanup(files.close)
        self.hub.cdn_url = files.url
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = Path(folder.name) / "hub"
        self.repo = self.hub.add(ID, dict(FILES))
        self.commit = self.repo.refs["main"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder.name,
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def run_program(self, *command, **more):
        run = subprocess.run(
            command, capture_output=True, text=True, env=self.environment | more, timeout=120
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def read_by_oracle(self, revision="main"):
        return json.loads(self.run_program(sys.executable, "-c", READ, ID, revision))

    def write_by_oracle(self, *names):
        self.run_program(sys.executable, "-c", WRITE, ID, *names)

    def test_it_reads_ours(self):
        path = self.run_program(TARN, "pull", ID).strip()
        needed = sorted(set(FILES) - {"onnx/extra.json"})
        total = sum(len(FILES[name]) for name in needed)
        folder, found, warnings, repos = self.read_by_oracle()
        self.assertEqual((folder, found, warnings), (path, f"{path}/config.json", []))
        self.assertEqual(repos, [[ID, total, [[self.commit, ["main"], needed]]]])

    def test_it_reads_ours_at_a_tag(self):
        commit = self.repo.update(FILES | {"config.json": b"{}"}, ref="v1")
        path = self.run_program(TARN, "pull", f"{ID}@v1").strip()
        self.assertEqual(self.read_by_oracle("v1")[0], path)
        self.assertTrue(path.endswith(commit))

    def test_we_read_its(self):
        self.write_by_oracle(*FILES)
        self.hub.requests.clear()
        path = str(self.cache / "models--org--tiny" / "snapshots" / self.commit)
        self.assertEqual(self.run_program(TARN, "pull", ID, HF_HUB_OFFLINE="1").strip(), path)
        self.assertEqual(self.hub.requests, [])
        self.assertEqual(self.run_program(TARN, "verify"), f"{ID}: as it was published\n")
        (listed,) = json.loads(self.run_program(TARN, "ls", "--json"))
        self.assertEqual((listed["revisions"], listed["lacks"]), (["main"], []))
        self.assertEqual(listed["bytes"], sum(map(len, FILES.values())))

    def test_we_add_to_what_it_began(self):
        self.write_by_oracle("config.json")
        self.hub.requests.clear()
        self.run_program(TARN, "pull", ID)
        self.assertEqual(self.hub.asked("config.json"), [])
        self.assertEqual(self.read_by_oracle()[3][0][2][0][2][0], "config.json")

    def test_the_links_are_the_same(self):
        self.write_by_oracle(*FILES)
        folder = self.cache / "models--org--tiny"

        def links():
            return {
                str(p.relative_to(folder)): os.readlink(p)
                for p in sorted((folder / "snapshots").rglob("*"))
                if p.is_symlink()
            }

        its, blobs = links(), sorted(p.name for p in (folder / "blobs").iterdir())
        self.run_program(TARN, "rm", ID)
        for name in FILES:
            self.run_program(TARN, "pull", ID, "--file", name)
        self.assertEqual(links(), its)
        self.assertEqual(sorted(p.name for p in (folder / "blobs").iterdir()), blobs)
        self.assertEqual(blobs, sorted(map(blob_name, FILES.values())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tarn", required=True)
    arguments, rest = parser.parse_known_args()
    TARN = os.path.abspath(arguments.tarn)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=1)
