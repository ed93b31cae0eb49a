"""A model hub on the loopback interface, which can be told to misbehave. Standard library only.

    with FakeHub() as hub:
        repo = hub.add("org/name", {"config.json": b"{}", "model.safetensors": Lfs(b"...")})
        hub.fault("org/name/model.safetensors", cut=100, times=1)

A fault applies to the requests of one file, or with "org/name" to the list of files, so many times.
"""

import hashlib
import http.server
import json
import random
import socket
import threading
import time
import urllib.parse


class Lfs(bytes):
    """Content that the hub keeps as a large file: by SHA-256, behind a redirect."""


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def blob_name(content):
    return sha256(content) if isinstance(content, Lfs) else git_sha1(content)


def random_bytes(seed, size):
    return random.Random(seed).randbytes(size)


class Repo:
    def __init__(self, commit, files):
        self.commits = {commit: files}
        self.refs = {"main": commit}
        self.token = None  # what a request must bring
        self.listing_extra = {}  # name -> what else, or other, its entry says
        self.extra_siblings = []
        self.etags = {}  # of a mirror, by name
        self.is_mirror = False  # tells no hashes and sizes, and has ETags of its own

    def resolve(self, revision):
        commit = self.refs.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else (None, None)

    def update(self, files, ref="main"):
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.commits[commit] = files
        self.refs[ref] = commit
        return commit


class Fault:
    def __init__(self, times, what):
        self.times, self.what = times, what


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.respond(head_only=True)

    def do_GET(self):
        self.respond()

    def respond(self, head_only=False):
        hub, self.head_only = self.server.hub, head_only
        path, _, query = self.path.partition("?")
        with hub.mutex:
            hub.requests.append((hub.name, self.command, self.path, dict(self.headers.items())))
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/")]
        try:
            if parts[:2] == ["api", "models"] and "revision" in parts:
                at = parts.index("revision")
                self.listing("/".join(parts[2:at]), "/".join(parts[at + 1 :]))
            elif parts[0] == "cdn":
                self.cdn("/".join(parts[1:3]), parts[3], "/".join(parts[4:]))
            elif "resolve" in parts:
                at = parts.index("resolve")
                self.file("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
            else:
                self.status(404)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # --- answers

    def send(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if not self.head_only:
            self.wfile.write(body)

    def status(self, status, headers=None, body=b"no"):
        self.send(status, {"Content-Length": str(len(body))} | (headers or {}), body)

    def redirect(self, to, headers=None):
        self.status(302, {"Location": to} | (headers or {}), b"")

    def is_allowed(self, repo):
        if repo.token is None or self.headers.get("Authorization") == f"Bearer {repo.token}":
            return True
        self.status(401, {"X-Error-Code": "RepoNotFound"})
        return False

    def misbehave(self, fault):
        """Whether a fault that replaces the whole answer was applied."""
        if "status" in fault:
            self.status(fault["status"], fault.get("headers"))
        elif "redirect" in fault:
            self.redirect(fault["redirect"], fault.get("headers"))
        elif fault.get("reset"):
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault.get("silent"):
            time.sleep(fault["silent"])
            self.close_connection = True
        elif "body" in fault:
            headers = {"Content-Length": str(len(fault["body"]))} | fault.get("headers", {})
            self.send(200, headers, fault["body"])
        else:
            return False
        return True

    def listing(self, repo_id, revision):
        hub = self.server.hub
        fault = hub.take_fault(repo_id)
        repo = hub.repos.get(repo_id)
        if self.misbehave(fault):
            return
        if repo is None:
            return self.status(404, {"X-Error-Code": "RepoNotFound"})
        if not self.is_allowed(repo):
            return None
        commit, files = repo.resolve(revision)
        if commit is None:
            return self.status(404, {"X-Error-Code": "RevisionNotFound"})
        siblings = list(repo.extra_siblings)
        for name, content in files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
            if isinstance(content, Lfs):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
            if repo.is_mirror:
                entry = {"rfilename": name}
            siblings.append(entry | repo.listing_extra.get(name, {}))
        answer = {"id": repo_id, "sha": commit, "siblings": siblings} | fault.get("listing", {})
        body = json.dumps(answer).encode()
        if fault.get("endless"):
            return self.endless(b"[" * 65536)
        return self.send(200, {"Content-Length": len(body)}, body)

    def file(self, repo_id, revision, name):
        hub = self.server.hub
        repo = hub.repos.get(repo_id)
        if repo is None or not self.is_allowed(repo):
            return None if repo else self.status(404, {"X-Error-Code": "RepoNotFound"})
        commit, files = repo.resolve(revision)
        if commit is None or name not in files:
            return self.status(404, {"X-Error-Code": "EntryNotFound"})
        content = files[name]
        if repo.is_mirror:
            etag = repo.etags.get(name) or f'W/"m-{sha256(content)[:16]}"'
            return self.content(content, {"ETag": etag}, hub.take_fault(f"{repo_id}/{name}"))
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob_name(content)}"'}
        if isinstance(content, Lfs):
            fault = hub.peek_fault(f"{repo_id}/{name}")
            headers["X-Linked-Etag"] = headers["ETag"]
            headers["X-Linked-Size"] = str(len(content))
            headers |= fault.get("hub_headers", {})
            if fault.get("at") == "hub" and self.misbehave(hub.take_fault(f"{repo_id}/{name}")):
                return None
            host = hub.cdn_url or ""
            where = f"{host}/cdn/{repo_id}/{commit}/{urllib.parse.quote(name)}"
            return self.redirect(where, headers)
        return self.content(content, headers, hub.take_fault(f"{repo_id}/{name}"))

    def cdn(self, repo_id, commit, name):
        hub = self.server.hub.origin
        content = hub.repos[repo_id].commits[commit][name]
        etag = f'"cdn-{blob_name(content)[:12]}"'
        return self.content(content, {"ETag": etag}, hub.take_fault(f"{repo_id}/{name}"))

    def endless(self, block):
        self.send(200, {"Connection": "close"})
        self.close_connection = True
        try:
            while True:
                self.wfile.write(block)
        except OSError:
            pass

    def content(self, content, headers, fault):
        if self.misbehave(fault):
            return
        if fault.get("endless"):
            return self.endless(content + b"x" * 65536)
        content = fault.get("instead", content)
        headers |= {"Accept-Ranges": "bytes"} | fault.get("headers", {})
        first, status = 0, 200
        asked = self.headers.get("Range")
        known = self.headers.get("If-Range")
        if asked and not fault.get("ignore_range") and known in (None, headers["ETag"]):
            first, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
            if first >= len(content) or fault.get("refuse_range"):
                return self.status(416, {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            if "content_range" in fault:
                headers["Content-Range"] = fault["content_range"]
        body = content[first:]
        if fault.get("chunked"):
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            headers["Content-Length"] = str(fault.get("length", len(body)))
        self.send(status, headers)
        if not self.head_only:
            self.write_body(body, fault)

    def write_body(self, body, fault):
        hub, cut = self.server.hub, fault.get("cut", len(body))
        block = fault.get("block", 1 << 16)
        for at in range(0, min(len(body), cut), block):
            self.wfile.write(body[at : min(at + block, cut)])
            hub.sent += min(block, cut - at)
            if fault.get("delay"):
                time.sleep(fault["delay"])
        if cut < len(body) or "length" in fault:
            if fault.get("stall"):
                time.sleep(fault["stall"])
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass


class FakeHub:
    def __init__(self, name="hub", cdn=None, origin=None):
        self.name, self.cdn_url, self.origin = name, cdn, origin or self
        self.repos, self.faults, self.requests, self.sent = {}, {}, [], 0
        self.mutex = threading.Lock()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo_id, files):
        repo = Repo(hashlib.sha1(repo_id.encode()).hexdigest(), files)
        self.repos[repo_id] = repo
        return repo

    def fault(self, place, times=1, **what):
        self.faults.setdefault(place, []).append(Fault(times, what))

    def peek_fault(self, place):
        with self.mutex:
            queue = self.faults.get(place, [])
            return queue[0].what if queue else {}

    def take_fault(self, place):
        with self.mutex:
            queue = self.faults.get(place, [])
            if not queue:
                return {}
            fault = queue[0]
            fault.times -= 1
            if fault.times <= 0:
                queue.pop(0)
            return dict(fault.what)

    def asked(self, part):
        """Requests whose path holds `part`."""
        return [r for r in self.requests if part in r[2]]
