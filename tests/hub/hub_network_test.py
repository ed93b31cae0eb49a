"""Redirects, certificates, proxies, disks, and no network: hub_network_test.py DRIVER TARN

Each case ends with the right bytes or with the whole of one error message. Standard library only.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess

import hub_case
from fake_hub import FakeHub, Lfs, blob_name
from hub_case import CONFIG, ID, WEIGHTS, HubCase

FILE = f"{ID}/model.safetensors"
HEAD = "[hub] org/tiny/model.safetensors: "
SET_UP = "The hub or something before it is set up wrongly."


class Redirects(HubCase):
    def test_other_hosts_never_see_the_token(self):
        with FakeHub("cdn", origin=self.hub) as cdn:
            self.hub.cdn_url = cdn.url.replace("127.0.0.1", "localhost")
            self.repo.token = "hf_secret"
            self.assert_whole(self.drive(token="hf_secret"))
            self.assertEqual(len(cdn.requests), 1)
            for _, _, path, headers in cdn.requests:
                self.assertNotIn("Authorization", headers, path)
            for _, _, path, headers in self.hub.requests:
                self.assertEqual(headers["Authorization"], "Bearer hf_secret", path)

    def test_another_port_is_another_host(self):
        with FakeHub("cdn", origin=self.hub) as cdn:
            self.hub.cdn_url = cdn.url
            self.assert_whole(self.drive(token="hf_secret"))
            self.assertNotIn("Authorization", cdn.requests[0][3])

    def test_an_address_that_has_expired(self):
        with FakeHub("cdn", origin=self.hub) as cdn:
            self.hub.cdn_url = cdn.url
            self.hub.fault(FILE, status=403, times=2)
            self.assert_whole(self.drive())
            self.assertEqual(len(self.hub.asked("resolve")), 2 + 3)
            shutil.rmtree(self.cache)
            self.hub.fault(FILE, status=404, times=9)
            text = f"{cdn.url[7:]} answers with status 404 (tried 4 times). Try again later."
            self.assert_error(self.drive(), HEAD + text, can_retry=True)

    def test_a_wrong_token(self):
        self.repo.token = "right"
        self.assert_error(
            self.drive(token="wrong"),
            "[hub] org/tiny: the hub does not accept the token (401). Set HF_TOKEN to one that is "
            "valid for it, or check the name.",
            can_retry=False,
        )

    def test_redirects_that_must_not_be_followed(self):
        for name, to, text in [
            (
                "a file",
                "file:///etc/passwd",
                'to "file:///etc/passwd", which is not an address of ' "http or https",
            ),
            (
                "another protocol",
                "gopher://x/",
                'to "gopher://x/", which is not an address of http ' "or https",
            ),
            ("nowhere", "", "without saying where to"),
            ("no address", "http://", 'to "http://", which is not an address of http or https'),
            ("a user", "http://u:p@127.0.0.1/", "to an address with a user and a password"),
        ]:
            for place, subject in ((ID, "[hub] org/tiny: "), (FILE, HEAD)):
                with self.subTest(name, place=place):
                    self.hub.faults.clear()
                    self.hub.fault(place, redirect=to, times=9)
                    self.assert_error(self.drive(), f"{subject}HUB redirects {text}. {SET_UP}")

    def test_loops(self):
        self.hub.fault(ID, redirect=f"/api/models/{ID}/revision/main", times=99)
        text = f"[hub] org/tiny: HUB redirects more than 5 times. {SET_UP}"
        self.assert_error(self.drive(), text)
        self.assertEqual(len(self.hub.requests), 6)

    def test_relative_redirects_are_followed(self):
        self.hub.fault(ID, redirect=f"/api/models/{ID}/revision/{self.commit}?blobs=true", times=5)
        self.assert_whole(self.drive())


class Https(HubCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("openssl"):
            self.skipTest("there is no openssl to make a certificate")
        self.pem = str(self.top.parent / f"{self.top.name}.pem")
        self.addCleanup(os.unlink, self.pem)
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-days",
                "2",
                "-keyout",
                self.pem,
                "-out",
                self.pem + ".crt",
            ],
            check=True,
            capture_output=True,
        )
        with open(self.pem, "a") as pem, open(self.pem + ".crt") as certificate:
            pem.write(certificate.read())
        os.unlink(self.pem + ".crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self.safe = FakeHub("safe", origin=self.hub)
        self.addCleanup(self.safe.close)
        self.safe.repos = self.hub.repos
        self.safe.server.socket = context.wrap_socket(self.safe.server.socket, server_side=True)
        self.url = self.safe.url.replace("http://127.0.0.1", "https://localhost")

    def test_a_certificate_that_is_trusted(self):
        self.assert_whole(self.drive(endpoint=self.url, env={"SSL_CERT_FILE": self.pem}))

    def test_a_certificate_that_is_not(self):
        host = self.url.removeprefix("https://")
        self.assert_error(
            self.drive(endpoint=self.url),
            f"[hub] org/tiny: the certificate of {host} is not trusted. Is the clock right, and is "
            "the package ca-certificates installed?",
        )

    def test_no_way_back_to_http(self):
        self.safe.cdn_url = self.hub.url
        host = self.url.removeprefix("https://")
        self.assert_error(
            self.drive(endpoint=self.url, env={"SSL_CERT_FILE": self.pem}),
            f"{HEAD}{host} redirects from https to http (HUB), which anybody could read and "
            "change. " + SET_UP,
        )


class Network(HubCase):
    def test_nobody_listens(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.assert_error(
            self.drive(endpoint=url, retries=1),
            f"[hub] org/tiny: {url[7:]} takes no connection (tried 2 times). Is there a "
            "network, and "
            "is the address right?",
            can_retry=True,
        )

    def test_no_answer_to_a_connection(self):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            url = "http://127.0.0.1:%d" % full.getsockname()[1]
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            self.assert_error(
                self.drive(endpoint=url, connect=200, retries=0),
                f"[hub] org/tiny: {url[7:]} took no connection within 0.2 s. Is there a "
                "network, and "
                "is the address right?",
            )
            for one in waiting:
                one.close()

    def test_a_proxy_is_used_and_no_proxy_is_obeyed(self):
        with FakeHub("proxy", origin=self.hub) as proxy:
            env = {"http_proxy": proxy.url}
            self.drive(env=env, endpoint="http://hub.example", retries=0)
            self.assertTrue(proxy.requests[0][2].startswith("http://hub.example/api/models/"))
            self.assert_whole(self.drive(env=env | {"no_proxy": "127.0.0.1"}))
            self.assertEqual(len(proxy.requests), 1)


class Disk(HubCase):
    def test_no_room_is_told_before_the_first_byte(self):
        size = 2**44 - 1
        lfs = {"sha256": blob_name(WEIGHTS), "size": size, "pointerSize": 1}
        self.repo.listing_extra = {"model.safetensors": {"lfs": lfs}}
        answer = self.drive()
        free = os.statvfs(self.top)
        self.assertGreater(size, free.f_bavail * free.f_frsize)
        text = answer["error"]
        self.assertRegex(
            text.replace(str(self.cache), "CACHE"),
            r"^\[hub\] org/tiny: 17\.6 TB are to be downloaded and the disk of CACHE has "
            r"[\d.]+ [MGT]B "
            r"free\. Free some space, or set HF_HUB_CACHE to a folder on another disk\.$",
        )
        self.assertEqual(self.hub.asked("resolve"), [])
        self.assertFalse(self.cache.exists())

    def test_a_cache_that_is_a_file(self):
        self.cache.write_text("")
        self.assert_error(
            self.drive(),
            "[hub] CACHE/models--org--tiny: cannot ask for its space: Not a directory. Check the "
            "disk.",
        )

    def test_a_full_disk(self):
        limited = "ulimit -f 100; trap '' XFSZ; exec \"$@\""
        run = subprocess.run(
            ["bash", "-c", limited, "bash", *self.command("pull", {})],
            capture_output=True,
            text=True,
            env=hub_case.environment(),
        )
        part = f"CACHE/models--org--tiny/blobs/{blob_name(WEIGHTS)}.incomplete"
        self.assert_error(
            json.loads(run.stdout),
            f"[hub] {part}: cannot write: File too large. Check the disk.",
            can_retry=True,
        )
        self.assert_whole(self.drive())

    def test_links_that_lead_out(self):
        outside = self.top.parent / f"{self.top.name}-outside"
        outside.mkdir()
        self.addCleanup(shutil.rmtree, outside)
        victim = outside / "victim"
        victim.write_text("mine")
        root, commit = self.place(), f"snapshots/{self.commit}"
        where = "where a folder of the cache belongs. Nothing was written; remove it."
        for name, link, to, text in [
            ("the model", root, outside, f"CACHE/models--org--tiny is a symbolic link, {where}"),
            (
                "blobs",
                root / "blobs",
                outside,
                "CACHE/models--org--tiny/blobs is a symbolic link, " + where,
            ),
            (
                "snapshots",
                root / "snapshots",
                outside,
                "CACHE/models--org--tiny/snapshots is a " f"symbolic link, {where}",
            ),
            (
                "a commit",
                root / commit,
                outside,
                "CACHE/models--org--tiny/snapshots/COMMIT is a " f"symbolic link, {where}",
            ),
            (
                "refs",
                root / "refs",
                outside,
                "CACHE/models--org--tiny/refs is a symbolic link, " + where,
            ),
            (
                "a part",
                self.part(),
                victim,
                f"CACHE/models--org--tiny/blobs/{self.part().name}: "
                "cannot open: Too many levels of symbolic links. Check the disk.",
            ),
            ("locks", self.cache / ".locks", outside, f"CACHE/.locks is a symbolic link, {where}"),
        ]:
            with self.subTest(name):
                shutil.rmtree(self.cache, ignore_errors=True)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(to)
                self.assert_error(self.drive(), f"[hub] {text}")
                self.assertEqual([p.name for p in outside.iterdir()], ["victim"])
                self.assertEqual(victim.read_text(), "mine")

    def test_a_link_instead_of_a_branch_is_replaced(self):
        victim = self.top / "cache-victim"
        victim.write_text("mine")
        self.addCleanup(victim.unlink)
        self.place("refs").mkdir(parents=True)
        self.place("refs/main").symlink_to(victim)
        self.assert_whole(self.drive())
        self.assertEqual(victim.read_text(), "mine")
        self.assertEqual(self.place("refs/main").read_text(), self.commit)


class Offline(HubCase):
    ADVICE = (
        "; the hub is not asked (offline). Without HF_HUB_OFFLINE and --offline it would be "
        "downloaded."
    )

    def test_nothing_there(self):
        for options in ({"offline": 1}, {"env": {"HF_HUB_OFFLINE": "1"}}):
            self.assert_error(
                self.drive(**options),
                "[hub] org/tiny is not in the cache CACHE" + self.ADVICE,
                can_retry=False,
            )
        self.assert_error(
            self.drive(offline=1, model=f"{ID}@v1"),
            "[hub] org/tiny at v1 is not in the cache CACHE" + self.ADVICE,
        )
        self.assertEqual(self.hub.requests, [])

    def test_not_all_there(self):
        self.drive()
        folder = self.place("snapshots") / self.commit
        (folder / "model.safetensors").unlink()
        self.assert_error(
            self.drive(offline=1),
            "[hub] org/tiny is not whole in the cache CACHE: model.safetensors is missing"
            + self.ADVICE,
        )
        (folder / "config.json").unlink()
        self.assert_error(
            self.drive(offline=1),
            "[hub] org/tiny is not whole in the cache CACHE: config.json, model.safetensors are "
            "missing" + self.ADVICE,
        )

    def test_a_shard_is_missing(self):
        index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
        files = {"config.json": CONFIG, "tokenizer.json": b"{}"}
        files |= {f"model-{i}.safetensors": Lfs(b"%d" % i) for i in (1, 2)}
        self.repo.commits[self.commit] = files | {"model.safetensors.index.json": index.encode()}
        self.drive()
        (self.place("snapshots") / self.commit / "model-2.safetensors").unlink()
        self.assert_error(
            self.drive(offline=1),
            "[hub] org/tiny is not whole in the cache CACHE: model-2.safetensors is missing"
            + self.ADVICE,
        )

    def test_all_there(self):
        self.assert_whole(self.drive())
        self.hub.requests.clear()
        self.assert_whole(self.drive(offline=1))
        self.assertEqual(self.hub.requests, [])

    def test_a_listing_is_not_to_be_had(self):
        self.assert_error(
            self.drive("pin", offline=1, name="x", to="/nonexistent"),
            "[hub] org/tiny: the hub is not asked (offline). Its files can be listed without "
            "HF_HUB_OFFLINE and --offline.",
        )


if __name__ == "__main__":
    hub_case.main(__name__)
