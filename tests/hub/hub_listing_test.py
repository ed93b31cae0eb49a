"""Lists of files that are wrong, and models that cannot be had: hub_listing_test.py DRIVER TARN

Each case ends with the right bytes or with the whole of one error message. Standard library only.
"""

import gzip
import shutil

import hub_case
from hub_case import ID, HubCase

LIST = "[hub] org/tiny: the hub's list of files "
AGAIN = "Try again; if it stays so, the hub or something before it changes what it sends."


class Listings(HubCase):
    """What is wrong with the list of files, and what is said."""

    def check(self, name, text, **fault):
        with self.subTest(name):
            self.hub.faults.clear()
            self.hub.fault(ID, times=9, **fault)
            self.assert_error(self.drive(), text)
            self.assert_nothing_outside()

    def test_statuses(self):
        token = "There is no such model, or it is private: check the name, or set HF_TOKEN."
        page = "Ask for access on the model's page and set HF_TOKEN."
        for name, status, headers, text in [
            ("private", 401, {}, f"the hub wants a token (401). {token}"),
            ("gated", 403, {"X-Error-Code": "GatedRepo"}, f"access is restricted (403). {page}"),
            (
                "gated, with a reason that moves the cursor",
                403,
                {"X-Error-Message": "ask \x1b[2J us"},
                f'access is restricted (403; it says "ask \\x1b[2J us"). {page}',
            ),
            (
                "no such model",
                404,
                {"X-Error-Code": "RepoNotFound"},
                "the hub has no such model (404). Check the name; a private one needs HF_TOKEN.",
            ),
            (
                "no such revision",
                404,
                {"X-Error-Code": "RevisionNotFound"},
                "the hub has no such revision (404). Check the name of the branch, tag or commit.",
            ),
            ("bad request", 400, {}, "the hub answers with status 400. Try again later."),
            ("gone", 410, {}, "the hub answers with status 410. Try again later."),
            (
                "too many requests",
                429,
                {"Retry-After": "0"},
                "the hub asks for fewer requests (429) and to wait 0 s (tried 4 times). Try again "
                "later, or with HF_TOKEN.",
            ),
            (
                "a wait that nobody waits for",
                429,
                {"Retry-After": "3600"},
                "the hub asks for fewer requests (429) and to wait 3600 s. Try again "
                "later, or with "
                "HF_TOKEN.",
            ),
            (
                "down",
                503,
                {},
                "the hub answers with status 503 (tried 4 times). Try again later.",
            ),
            (
                "nothing",
                204,
                {},
                "the hub answers with status 204. Try again later.",
            ),
        ]:
            self.check(name, f"[hub] org/tiny: {text}", status=status, headers=headers, body=b"")

    def test_texts_that_are_no_list(self):
        url = "http://HUB/api/models/org/tiny/revision/main?blobs=true"
        for name, body, text in [
            (
                "empty",
                b"",
                "byte 0: syntax error while parsing value - unexpected end of input; expected '[', "
                "'{', or a literal",
            ),
            (
                "a page",
                b"<html>Sign in</html>",
                "byte 0: syntax error while parsing value - invalid literal; last read: '<'",
            ),
            (
                "cut",
                b'{"sha": "',
                "byte 8: syntax error while parsing value - invalid string: missing closing quote; "
                "last read: '\"'",
            ),
            (
                "no UTF-8",
                b'{"sha": "\xff"}',
                "byte 9: syntax error while parsing value - invalid string: ill-formed UTF-8 byte; "
                "last read: '\"\\xff'",
            ),
            ("too deep", b"[" * 1000, "byte 128: values nest deeper than 128 levels"),
            (
                "a key twice",
                b'{"sha": 1, "sha": 2}',
                'byte 15: the key "sha" stands twice in one object',
            ),
        ]:
            self.check(
                name,
                f"{LIST}cannot be read: [json] {url}: {text}. Correct the text or fetch the file "
                "again.",
                body=body,
            )
        for name, body in [
            ("a number", b"7"),
            ("no commit", b"{}"),
            ("a commit with ..", b'{"sha": "../../x"}'),
        ]:
            self.check(name, f"{LIST}does not say of which commit it is.", body=body)

    def test_lists_that_lack_something(self):
        for name, listing, text in [
            ("no files", {"siblings": None}, "has no `siblings`."),
            ("files that are no list", {"siblings": {"a": 1}}, "has no `siblings`."),
            (
                "entries that are no objects",
                {"siblings": [7]},
                'has the name "", and it is empty: ' "nothing is written.",
            ),
        ]:
            self.check(name, LIST + text, listing=listing)

    def test_file_names_that_would_leave_the_cache(self):
        for bad, shown, why in [
            ("../../.bashrc", None, "it leaves its folder"),
            ("a/../../b", None, "it leaves its folder"),
            ("/etc/passwd", None, "it begins at the root of the disk"),
            ("", "", "it is empty"),
            ("a\0b", "a\\x00b", "it holds a NUL byte"),
            ("..\\b", None, "it holds a backslash"),
            ("./config.json", None, "a part of it is empty or a dot"),
            ("a//b", None, "a part of it is empty or a dot"),
            ("a/", None, "a part of it is empty or a dot"),
            ("a\nb", "a\\x0ab", "it holds bytes that are not printable text"),
            ("\x1b[2Jx", "\\x1b[2Jx", "it holds bytes that are not printable text"),
            ("x" * 300, "x" * 120 + "...", "a part of it has 300 bytes and may have 240"),
            ("y/" * 300, "y/" * 60 + "...", "it has 600 bytes and may have 512"),
        ]:
            with self.subTest(bad):
                entry = {"rfilename": bad, "size": 1, "blobId": "0" * 40}
                self.repo.extra_siblings = [entry]
                shown = bad if shown is None else shown
                text = f'has the name "{shown}", and {why}: nothing is written.'
                self.assert_error(self.drive(), LIST + text, can_retry=True)
                self.assert_nothing_outside()

    def test_entries_without_size_or_hash(self):
        for name, extra, text in [
            ("no size", {"size": None, "lfs": None}, "gives no size for model.safetensors."),
            ("a negative size", {"size": -1, "lfs": None}, "gives no size for model.safetensors."),
            ("a broken size", {"size": 1.5, "lfs": None}, "gives no size for model.safetensors."),
            (
                "a size beyond all disks",
                {"size": 2**63, "lfs": None},
                "says that model.safetensors has 9223372036854775808 bytes.",
            ),
            ("half a hash", {"blobId": "abc", "lfs": None}, "gives no hash for model.safetensors."),
            ("no SHA-256", {"lfs": {"size": 1}}, "gives no SHA-256 for model.safetensors."),
            (
                "a SHA-256 with a path",
                {"lfs": {"size": 1, "sha256": "../" * 21 + "x"}},
                "gives no SHA-256 for model.safetensors.",
            ),
        ]:
            with self.subTest(name):
                self.repo.listing_extra = {"model.safetensors": extra}
                self.assert_error(self.drive(), LIST + text)
                self.assert_nothing_outside()

    def test_names_that_differ_only_in_case(self):
        for first, second, pattern in [
            ("Config.json", "config.JSON", "*"),
            ("straße", "STRASSE", "*"),
            ("model/X.bin", "Model/x.bin", "*/*"),
        ]:
            with self.subTest(first):
                self.repo.commits[self.commit] = {first: b"1", second: b"2"}
                self.assert_error(
                    self.drive("snapshot", pattern=pattern),
                    f"[hub] org/tiny has both {first} and {second}, which cannot lie beside each "
                    "other on every disk: nothing was written. Name the files you want.",
                )
                self.assert_nothing_outside()

    def test_another_commit_than_asked_for(self):
        self.hub.fault(ID, times=2, listing={"sha": "1" * 40})
        self.assert_error(
            self.drive(model=f"{ID}@{self.commit}"),
            f"[hub] org/tiny: asked for commit COMMIT, the hub tells of {'1' * 40}.",
        )

    def test_a_list_without_an_end(self):
        self.hub.fault(ID, endless=True)
        self.assert_error(
            self.drive(), "[hub] org/tiny: the hub's list of files has more than 32 MiB. " + AGAIN
        )

    def test_a_compressed_list(self):
        body = gzip.compress(b"{}" * 1000)
        self.check(
            "gzip",
            f"[hub] org/tiny: the hub's list of files comes as gzip, which was not asked "
            f"for. {AGAIN}",
            body=body,
            headers={"Content-Encoding": "gzip"},
        )

    def test_more_headers_than_anybody_needs(self):
        headers = {f"X-{i}": "x" * 30000 for i in range(12)}
        self.hub.fault(ID, status=200, headers=headers, times=9)
        self.assert_error(
            self.drive(),
            "[hub] org/tiny: the answer has more than 256 KiB of headers (tried 4 times). "
            "Try again "
            "later.",
        )

    def test_what_passes(self):
        past = "Wed, 21 Oct 2015 07:28:00 GMT"
        for name, fault in {
            "429, wait 0": {"status": 429, "headers": {"Retry-After": "0"}},
            "429 until a date": {"status": 429, "headers": {"Retry-After": past}},
            "500": {"status": 500},
            "502": {"status": 502},
            "408": {"status": 408},
            "cut off": {"reset": True},
        }.items():
            with self.subTest(name):
                shutil.rmtree(self.cache, ignore_errors=True)
                self.hub.fault(ID, times=3, **fault)
                self.assert_whole(self.drive())

    def test_a_wait_that_is_asked_for_is_waited(self):
        self.hub.fault(ID, status=503, headers={"Retry-After": "0.3"})
        answer = self.drive()
        self.assert_whole(answer)


class Models(HubCase):
    """Lists that are right, of models that cannot be had."""

    def test_what_cannot_be_loaded(self):
        nothing = "[hub] org/tiny has no weights that can be loaded: no *.safetensors and no *.gguf"
        for name, files, text in [
            ("nothing", ["config.json"], nothing + "."),
            (
                "pickles",
                ["config.json", "pytorch_model.bin"],
                nothing + ", only PyTorch's pickled " "ones, which could run any program.",
            ),
            ("weights in a folder", ["config.json", "x/model.safetensors"], nothing + "."),
            (
                "several GGUF files",
                ["b.gguf", "a.gguf"],
                "[hub] org/tiny has 2 GGUF files and no "
                "safetensors: name the one you want, as org/tiny/a.gguf. There are a.gguf, b.gguf.",
            ),
        ]:
            with self.subTest(name):
                self.repo.commits[self.commit] = {f: b"x" for f in files}
                self.assert_error(self.drive(), text, can_retry=False)

    def test_a_file_that_is_not_there(self):
        self.assert_error(
            self.drive(model=f"{ID}/model.gguf"),
            "[hub] org/tiny has no file `model.gguf`. In its top folder are README.md, "
            "config.json, "
            "model.safetensors, tokenizer.json.",
        )

    def test_a_wildcard_that_means_two(self):
        self.repo.commits[self.commit] = {"a-Q4.gguf": b"1", "b-Q4.gguf": b"2"}
        self.assert_error(
            self.drive(model=f"{ID}/*Q4.gguf"),
            "[hub] org/tiny: `*Q4.gguf` means 2 files, one is needed: a-Q4.gguf, b-Q4.gguf.",
        )

    def test_names_that_are_none(self):
        rule = (
            "is not the id of a model. Needed is `organisation/name`: letters, digits and -._ "
            "inside, at most 96 characters."
        )
        for bad in [
            "../x",
            "a/..",
            "org/",
            "/x",
            "a b/c",
            "a--b/c",
            "-a/b",
            "a/b.",
            "a/b.git",
            "",
            "x" * 97,
            "org/na\x1bme",
        ]:
            with self.subTest(bad):
                shown = bad.replace("\x1b", "\\x1b")
                self.assert_error(self.drive(model=bad), f'[hub] "{shown}" {rule}', can_retry=False)
        for bad in ["..", "a/../b", "/main", "a b", "x\n"]:
            with self.subTest(bad):
                shown = bad.replace("\n", "\\x0a")
                self.assert_error(
                    self.drive(model=f"{ID}@{bad}"),
                    f'[hub] "{shown}" is not a revision. Give a branch, a tag or a commit of 40 '
                    "hexadecimal digits.",
                )
        self.assert_error(
            self.drive(model=f"{ID}/../../x.gguf"),
            '[hub] "../../x.gguf" cannot be a file of org/tiny: it leaves its folder.',
        )

    def test_options_that_cannot_be(self):
        address = (
            "is not an address. Needed is https://HOST or http://HOST, without a user, a password "
            "or a query."
        )
        for bad in [
            "hub.example",
            "ftp://x",
            "https:/x",
            "http://u:p@x",
            "http://x?y",
            "http://x y",
        ]:
            with self.subTest(bad):
                text = f'[hub] the endpoint "{bad}" {address}'
                self.assert_error(self.drive(endpoint=bad), text)
        for name, value, text in [
            ("parallelism", 0, "parallelism is 0; it must be between 1 and 16."),
            ("parallelism", 99, "parallelism is 99; it must be between 1 and 16."),
            ("retries", -1, "retries is -1; it must be between 0 and 100."),
            ("stall", 0, "stall_timeout in ms is 0; it must be between 1 and 3600000."),
            (
                "token",
                "a b",
                "the token holds a space or a character that is not ASCII. Copy it again into "
                "HF_TOKEN, or into the file that `HF_TOKEN_PATH` names.",
            ),
        ]:
            with self.subTest(name):
                self.assert_error(self.drive(**{name: value}), "[hub] " + text)


if __name__ == "__main__":
    hub_case.main(__name__)
