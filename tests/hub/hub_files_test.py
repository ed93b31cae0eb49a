"""What may happen while the bytes of a file come: hub_files_test.py DRIVER TARN

Each case ends with the right bytes or with the whole of one error message. Standard library only.
"""

import shutil

import hub_case
from fake_hub import Lfs, blob_name, git_sha1, random_bytes
from hub_case import CONFIG, ID, WEIGHTS, HubCase

FILE = f"{ID}/model.safetensors"
HEAD = "[hub] org/tiny/model.safetensors: "
KEPT = "What has come is kept; try again to go on from there."
AGAIN = "Try again; if it stays so, the hub or something before it changes what it sends."
OTHER = random_bytes(9, len(WEIGHTS))


class Files(HubCase):
    """What happens while the bytes of a file come."""

    def fails(self, text, can_retry=True, times=9, env=None, options=None, **fault):
        self.hub.fault(FILE, times=times, **fault)
        self.assert_error(self.drive(env=env, **(options or {})), text, can_retry)
        self.assert_nothing_outside()
        self.assertFalse((self.place("snapshots") / self.commit / "model.safetensors").exists())

    def passes(self, times=1, options=None, **fault):
        self.hub.fault(FILE, times=times, **fault)
        self.assert_whole(self.drive(**(options or {})))
        self.assert_nothing_outside()

    def test_cut_once_goes_on(self):
        self.passes(cut=150_000)
        ranges = [r[3].get("Range") for r in self.hub.asked("/cdn/")]
        self.assertEqual(ranges, [None, "bytes=150000-"])
        self.assertTrue(self.hub.asked("/cdn/")[1][3]["If-Range"].startswith('"cdn-'))

    def test_cut_every_time_then_another_run_goes_on(self):
        self.hub.fault(FILE, times=4, cut=50_000)
        answer = self.drive()
        self.assert_error(answer, f"{HEAD}HUB cut the connection (tried 4 times). {KEPT}", True)
        self.assertEqual(self.part().stat().st_size, 200_000)
        self.assert_whole(self.drive())
        self.assertEqual(self.hub.asked("/cdn/")[-1][3]["Range"], "bytes=200000-")

    def test_progress_allows_more_failures_than_retries(self):
        big = Lfs(random_bytes(5, 8 << 20))
        self.repo.commits[self.commit]["model.safetensors"] = big
        self.passes(times=6, options={"retries": 2}, cut=(1 << 20) + 1000)

    def test_a_small_file_cut(self):
        self.hub.fault(f"{ID}/config.json", cut=5)
        self.assert_whole(self.drive())
        again = self.hub.asked("config.json")[-1][3]
        self.assertEqual(again["Range"], "bytes=5-")
        self.assertEqual(again["If-Range"], f'"{git_sha1(CONFIG)}"')

    def test_range_ignored(self):
        self.hub.fault(FILE, cut=150_000)
        self.passes(ignore_range=True)

    def test_range_refused(self):
        self.hub.fault(FILE, cut=150_000)
        self.passes(refuse_range=True)

    def test_a_wrong_range_once(self):
        self.hub.fault(FILE, cut=150_000)
        self.passes(content_range="bytes 7-9/400000")

    def test_wrong_ranges_always(self):
        for content_range in ["bytes 0-399999/400000", "bytes 9-1/2", "nonsense", ""]:
            with self.subTest(content_range):
                self.hub.faults.clear()
                shutil.rmtree(self.cache, ignore_errors=True)
                for _ in range(4):
                    self.hub.fault(FILE, cut=1000)
                    self.hub.fault(FILE, content_range=content_range)
                self.assert_error(
                    self.drive(),
                    f'{HEAD}asked for the bytes from 1000 on, the hub sends "{content_range}" '
                    f"(tried 4 times). {AGAIN}",
                )

    def test_content_that_changes_under_a_resume(self):
        self.hub.fault(FILE, cut=150_000)
        self.hub.fault(FILE, instead=OTHER, headers={"ETag": '"other"'}, ignore_range=True, times=9)
        wrong, right = (blob_name(Lfs(c)) for c in (OTHER, WEIGHTS))
        self.assert_error(
            self.drive(),
            f"{HEAD}its SHA-256 is {wrong}, {right} was promised (tried 3 times). {AGAIN}",
        )

    def test_wrong_bytes_once(self):
        self.passes(instead=OTHER)

    def test_wrong_bytes_always(self):
        wrong, right = (blob_name(Lfs(c)) for c in (OTHER, WEIGHTS))
        self.fails(
            f"{HEAD}its SHA-256 is {wrong}, {right} was promised (tried 2 times). {AGAIN}",
            instead=OTHER,
        )
        self.assertFalse(self.part().exists())

    def test_wrong_bytes_of_a_small_file(self):
        other = b"x" * len(CONFIG)
        self.hub.fault(f"{ID}/config.json", instead=other, times=9)
        self.assert_error(
            self.drive(),
            f"[hub] org/tiny/config.json: its git SHA-1 is {git_sha1(other)}, "
            f"{git_sha1(CONFIG)} was "
            f"promised (tried 2 times). {AGAIN}",
        )

    def test_sizes_that_lie(self):
        for length in (399_999, 400_001, 0, 2**62):
            with self.subTest(length):
                self.hub.faults.clear()
                text = f"the hub sends {length} bytes, its list of files says 400000. {AGAIN}"
                self.fails(HEAD + text, length=length)

    def test_a_sign_in_page_instead(self):
        page = b"<html>Sign in</html>"
        self.fails(
            f"{HEAD}the hub sends 20 bytes, its list of files says 400000. {AGAIN}", body=page
        )

    def test_a_body_without_an_end(self):
        self.fails(
            f"{HEAD}the hub sends more than the 400000 bytes of its list of files. {AGAIN}",
            endless=True,
        )
        self.assertFalse(self.part().exists())

    def test_chunks(self):
        self.passes(chunked=True)

    def test_chunks_that_end_early(self):
        self.hub.fault(FILE, chunked=True, instead=WEIGHTS[:1000])
        self.assert_whole(self.drive())
        self.assertEqual(self.hub.asked("/cdn/")[-1][3]["Range"], "bytes=1000-")

    def test_chunks_that_always_end_early(self):
        self.hub.fault(FILE, chunked=True, instead=WEIGHTS[:1000], ignore_range=True, times=9)
        self.assert_error(
            self.drive(),
            f"{HEAD}the answer ended after 1000 of 400000 bytes (tried 4 times). {KEPT}",
        )

    def test_compressed(self):
        self.fails(
            f"{HEAD}it comes as gzip, which was not asked for. {AGAIN}",
            headers={"Content-Encoding": "gzip"},
        )

    def test_a_stall_goes_on(self):
        self.passes(options={"stall": 300}, cut=100_000, stall=1.5)

    def test_silence(self):
        self.fails(
            f"{HEAD}HUB sent less than 1 KiB/s for 0.2 s (tried 2 times). {KEPT}",
            options={"stall": 200, "retries": 1},
            silent=1,
        )

    def test_a_byte_now_and_then_is_a_stall(self):
        self.fails(
            f"{HEAD}HUB sent less than 1 KiB/s for 0.4 s. {KEPT}",
            options={"stall": 400, "retries": 0},
            block=1,
            delay=0.05,
            cut=100,
        )

    def test_a_reset(self):
        self.passes(reset=True, times=2)

    def test_statuses(self):
        for status, text in [
            (
                404,
                "the hub has no such file (404). It was listed a moment ago: the model is being "
                "changed. Try again.",
            ),
            (
                403,
                "access is restricted (403). Ask for access on the model's page and set "
                "HF_TOKEN.",
            ),
            (500, "the hub answers with status 500 (tried 4 times). Try again later."),
            (206, f'asked for the bytes from 0 on, the hub sends "" (tried 4 times). {AGAIN}'),
        ]:
            with self.subTest(status):
                self.hub.faults.clear()
                self.fails(HEAD + text, can_retry=status != 403, status=status)

    def test_a_status_that_passes(self):
        self.passes(status=503, times=3)

    def test_of_another_commit(self):
        self.hub.fault(FILE, times=9, hub_headers={"X-Repo-Commit": "f" * 40})
        self.assert_error(
            self.drive(), f"{HEAD}the hub sends that of commit {'f' * 40}, not of COMMIT. {AGAIN}"
        )

    def test_changed_before_it_comes(self):
        self.hub.fault(FILE, times=9, hub_headers={"X-Linked-Etag": f'"{"e" * 64}"'})
        self.assert_error(
            self.drive(),
            f"{HEAD}the hub now has the SHA-256 {'e' * 64}, its list of files says "
            f"{blob_name(WEIGHTS)}. {AGAIN}",
        )
        self.assertFalse(self.part().exists())

    def test_parts_that_are_no_beginning(self):
        self.place("blobs").mkdir(parents=True)
        for name, part in {
            "too long": b"x" * 500_000,
            "as long, but other bytes": OTHER,
            "a wrong beginning": OTHER[:1000],
            "zeros, as after a crash": bytes(100_000),
        }.items():
            with self.subTest(name):
                (self.place("blobs") / blob_name(WEIGHTS)).unlink(missing_ok=True)
                self.part().write_bytes(part)
                self.assert_whole(self.drive())

    def test_a_part_that_is_all_there_is_only_hashed(self):
        self.place("blobs").mkdir(parents=True)
        self.part().write_bytes(WEIGHTS)
        self.assert_whole(self.drive())
        self.assertEqual(self.hub.asked("model.safetensors"), [])

    def test_a_remembered_etag_that_is_garbage(self):
        self.place("blobs").mkdir(parents=True)
        for garbage in (b"", b"\r\nX: y", b'"' + b"x" * 5000 + b'"', b"\xff" * 10):
            with self.subTest(garbage[:20]):
                (self.place("blobs") / blob_name(WEIGHTS)).unlink(missing_ok=True)
                self.part().write_bytes(WEIGHTS[:1000])
                (self.place("blobs") / (blob_name(WEIGHTS) + ".etag")).write_bytes(garbage)
                self.assert_whole(self.drive())
                last = self.hub.asked("/cdn/")[-1][3]
                self.assertEqual((last["Range"], last.get("If-Range")), ("bytes=1000-", None))


if __name__ == "__main__":
    hub_case.main(__name__)
