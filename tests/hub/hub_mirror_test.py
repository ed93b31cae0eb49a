"""Hubs that tell less, and disks that can do less: hub_mirror_test.py DRIVER TARN [NO_LINKS]

NO_LINKS is a library to preload that takes links and flock away, as a disk without them would.
Standard library only.
"""

import os
import sys

import hub_case
from hub_case import CONFIG, ID, NEEDED, WEIGHTS, HubCase

NO_LINKS = sys.argv.pop() if len(sys.argv) > 3 else ""


class LesserCase(HubCase):
    def assert_no_content_since(self, request):
        asked = self.hub.requests[request:]
        self.assertEqual([r[2] for r in asked if r[1] == "GET" and "/resolve/" in r[2]], [])


class Mirrors(LesserCase):
    """A mirror whose list has names only, and whose ETags are its own."""

    def setUp(self):
        super().setUp()
        self.repo.is_mirror = True

    def snapshot(self, name):
        return self.place("snapshots") / self.commit / name

    def test_size_and_etag_are_checked_and_it_is_said(self):
        status, out, err = self.tarn("pull", ID)
        self.assertEqual((status, out), (0, f"{self.snapshot('')}".rstrip("/") + "\n"), err)
        count = len(NEEDED)
        self.assertIn(
            f"org/tiny: the hub told no hash of {count} files: their size and ETag were checked\n",
            err,
        )
        self.assertEqual(self.snapshot("model.safetensors").read_bytes(), WEIGHTS)
        self.assertEqual(self.snapshot("config.json").read_bytes(), CONFIG)
        self.assertIn("size and ETag only", self.tarn("show", ID)[1])
        self.assertEqual(self.tarn("verify")[0], 0)
        before = len(self.hub.requests)
        self.assertEqual(self.drive()["path"], str(self.snapshot("")).rstrip("/"))
        self.assert_no_content_since(before)

    def test_it_goes_on_where_it_was_cut(self):
        self.repo.etags["model.safetensors"] = '"strong"'
        self.hub.fault(f"{ID}/model.safetensors", times=2, cut=150_000)  # HEAD has no content
        self.drive()
        self.assertEqual(self.snapshot("model.safetensors").read_bytes(), WEIGHTS)

    def test_another_version_is_refused(self):
        self.hub.fault(f"{ID}/model.safetensors", times=1)
        self.hub.fault(f"{ID}/model.safetensors", times=9, headers={"ETag": '"other"'})
        answer = self.drive()
        self.assertIn('the hub now sends the version "other", not "m-', answer["error"])
        self.assertFalse(self.snapshot("model.safetensors").exists())

    def test_without_an_etag_nothing_can_be_checked(self):
        self.repo.etags["config.json"] = "../../x"
        self.assert_error(
            self.drive(),
            "[hub] org/tiny/config.json: the hub tells neither a hash of it nor an ETag. Try "
            "again; if it stays so, the hub or something before it changes what it sends.",
        )
        self.assert_nothing_outside()

    def test_it_cannot_be_pinned(self):
        status, _, err = self.tarn("pull", ID, "--lock", str(self.top / "tarn.lock"))
        self.assertEqual(status, 1)
        self.assertIn("so it cannot be pinned. Ask another one (HF_ENDPOINT).", err)
        self.assertFalse((self.top / "tarn.lock").exists())


class Disks(LesserCase):
    """A disk without links and flock."""

    def setUp(self):
        super().setUp()
        if not NO_LINKS:
            self.skipTest("there is no library to preload")

    def test_copies_stand_for_links(self):
        for hard in ("0", "1"):
            with self.subTest(hard_links=hard):
                env = {"LD_PRELOAD": NO_LINKS, "HARD_LINKS": hard}
                self.cache = self.top / f"cache{hard}"
                path = self.drive(env=env)["path"]
                for name in NEEDED:
                    file = os.path.join(path, name)
                    self.assertFalse(os.path.islink(file))
                    content = self.repo.commits[self.commit][name]
                    with open(file, "rb") as f:
                        self.assertEqual(f.read(), content)
                before = len(self.hub.requests)
                self.assertEqual(self.drive(env=env)["path"], path)
                self.assert_no_content_since(before)
                self.assertNotIn("told no hash", self.tarn("pull", ID, **env)[2])
                self.assertNotIn("ETag", self.tarn("show", ID)[1])


if __name__ == "__main__":
    hub_case.main(__name__)
