"""A small Hub on loopback: the HTTP API as the huggingface_hub client speaks it, with faults on demand.

    with HubServer() as hub:
        hub.add("amina/tiny", {"config.json": b"{}"})
        hub.fail("/resolve/", status=503)
        hub.break_at("model.safetensors", 1000)

Repositories live in memory; every commit is kept. Files over `LFS_BYTES`, and weights, go by LFS as they do on the Hub.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_BYTES = 100_000
TOKENS = {"hf_writerwriterwriter": ("amina", "write"), "hf_readerreaderreader": ("ben", "read")}
WRITER, READER = TOKENS


@dataclass
class Repo:
    """One repository: its commits, newest last, each a whole tree."""

    kind: str  # "model" or "dataset"
    name: str
    private: bool = False
    gated: str | bool = False
    allowed: tuple[str, ...] = ()  # who may read it although it is gated
    card: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # downloads, safetensors, tags, …
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        digest = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits.append((digest, files))
        return digest

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        wanted = self.tags.get(revision, revision)
        if wanted == "main":
            return self.commits[-1]
        return next((found for found in self.commits if found[0] == wanted), None)


@dataclass
class Fault:
    """What goes wrong, with requests whose path holds `where`, the next `times` times."""

    where: str
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    break_at: int = -1
    break_in: int = -1
    flip: bool = False  # change a byte of what is sent
    method: str = ""


def is_lfs(path: str, content: bytes) -> bool:
    return len(content) > LFS_BYTES or path.endswith((".safetensors", ".gguf", ".bin"))


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubServer:
    """The server; a context manager."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lfs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []  # method, path, headers
        self.lock = threading.RLock()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, name: str, files: dict[str, bytes], kind: str = "model", **more: Any) -> Repo:
        repo = Repo(kind, name, **more)
        repo.commit(dict(files))
        self.repos[kind, name] = repo
        return repo

    def fail(self, where: str, status: int, times: int = 1, method: str = "", **headers: str) -> None:
        self.faults.append(Fault(where, times, status, {k.replace("_", "-"): v for k, v in headers.items()}, method=method))

    def break_at(self, where: str, offset: int, times: int = 1) -> None:
        """Close the connection after so many bytes of the answer's body."""
        self.faults.append(Fault(where, times, break_at=offset))

    def break_in(self, where: str, offset: int, times: int = 1, method: str = "") -> None:
        """Close the connection after so many bytes of what is sent here."""
        self.faults.append(Fault(where, times, break_in=offset, method=method))

    def flip(self, where: str, times: int = 1) -> None:
        """Send other bytes than there are."""
        self.faults.append(Fault(where, times, flip=True))

    def count(self, method: str, where: str) -> int:
        return sum(m == method and where in path for m, path, _ in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: HubServer

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        hub = self.server_hub
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query)
        path = unquote(parts.path)
        with hub.lock:
            hub.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.fault = next((f for f in hub.faults if f.where in path and f.times > 0 and f.method in ("", self.command)), None)
            if self.fault:
                self.fault.times -= 1
        length = int(self.headers.get("Content-Length") or 0)
        if self.fault and 0 <= self.fault.break_in < length:
            self.rfile.read(self.fault.break_in)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        with hub.lock:
            if self.fault and self.fault.status:
                self._json({"error": "as asked"}, self.fault.status, self.fault.headers)
                return
            try:
                self._route(path, body)
            except _Refused as refused:
                self._json({"error": refused.args[1]}, refused.args[0], refused.headers)

    do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815 (the base class's names)

    # --- who

    def _user(self) -> str:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise _Refused(401, "Invalid credentials in Authorization header")
        return TOKENS[token][0] if token else ""

    def _repo(self, kind: str, name: str, *, write: bool = False) -> Repo:
        repo, user = self.server_hub.repos.get((kind, name)), self._user()
        owns = repo is not None and name.split("/")[0] == user
        if repo is None or (repo.private and not owns):
            raise _Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        if repo.gated and not owns and user not in repo.allowed:
            raise _Refused(403 if user else 401, "Access to this model is restricted", "GatedRepo")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if write and (not owns or TOKENS[token][1] != "write"):
            raise _Refused(403, "You don't have the rights to do this")
        return repo

    # --- routes

    def _route(self, path: str, body: bytes) -> None:
        if path == "/api/whoami-v2":
            user = self._user()
            if not user:
                raise _Refused(401, "Invalid username or password.")
            self._json({"name": user, "type": "user", "auth": {"type": "access_token"}})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif path == "/api/models":
            self._search()
        elif found := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(\w+)(?:/([^/]+))?(/.*)?)?", path):
            self._api(found, body)
        elif found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._lfs_batch("dataset" if found[1] else "model", found[2], json.loads(body))
        elif path.startswith("/lfs/"):
            self.server_hub.lfs[path.removeprefix("/lfs/")] = body
            self._send(b"")
        elif found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(self._repo("dataset" if found[1] else "model", found[2]), found[3], found[4])
        else:
            raise _Refused(404, f"no such address: {path}")

    def _create(self, asked: dict[str, Any]) -> None:
        user = self._user()
        if not user:
            raise _Refused(401, "Invalid username or password.")
        if TOKENS[self.headers["Authorization"].removeprefix("Bearer ")][1] != "write":
            raise _Refused(403, "You don't have the rights to create a model under this namespace")
        name = f"{asked.get('organization') or user}/{asked['name']}"
        kind = asked.get("type", "model")
        if (kind, name) in self.server_hub.repos:
            raise _Refused(409, "You already created this repo")
        if name.split("/")[0] != user:
            raise _Refused(403, "You don't have the rights to create a model under this namespace")
        self.server_hub.add(name, {".gitattributes": b""}, kind, private=asked.get("visibility") == "private")
        self._json({"url": f"{self.server_hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}", "name": name})

    def _search(self) -> None:
        wanted = self.query.get("search", [""])[0].lower()
        hits = [
            self._info(repo, repo.commits[-1])
            for repo in self.server_hub.repos.values()
            if repo.kind == "model" and wanted in repo.name.lower() and not repo.private
        ]
        self._json(hits[: int(self.query.get("limit", ["1000"])[0])])

    def _info(self, repo: Repo, commit: tuple[str, dict[str, bytes]]) -> dict[str, Any]:
        siblings = []
        for path, content in sorted(commit[1].items()):
            sibling: dict[str, Any] = {"rfilename": path}
            if "blobs" in self.query:
                sibling |= {"size": len(content), "blobId": blob_id(content)}
                if is_lfs(path, content):
                    sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        more = {"private": repo.private, "gated": repo.gated, "cardData": repo.card, "siblings": siblings}
        return {"id": repo.name, "modelId": repo.name, "sha": commit[0], "tags": [], "downloads": 0, **repo.facts, **more}

    def _api(self, found: re.Match[str], body: bytes) -> None:
        kind, name, what, revision = found[1], found[2], found[3], found[4] or "main"
        write = what in ("preupload", "commit", "tag")
        if what in (None, "revision", "tree", "refs"):  # a gated model's description is public
            repo = self.server_hub.repos.get((kind, name))
            if repo is None or not repo.gated:
                repo = self._repo(kind, name)
        else:
            repo = self._repo(kind, name, write=write)
        commit = repo.at(revision)
        if commit is None:
            raise _Refused(404, "Revision not found", "RevisionNotFound")
        if what in (None, "revision"):
            self._json(self._info(repo, commit))
        elif what == "tree":
            self._json([_entry(path, content) for path, content in sorted(commit[1].items())])
        elif what == "refs":
            tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": sha} for tag, sha in repo.tags.items()]
            heads = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commits[-1][0]}]
            self._json({"branches": heads, "converts": [], "tags": tags})
        elif what == "preupload":
            self._json({"files": [self._upload_mode(repo, file) for file in json.loads(body)["files"]]})
        elif what == "tag":
            repo.tags[json.loads(body)["tag"]] = commit[0]
            self._json({})
        elif what == "commit":
            self._commit(repo, body)
        else:
            raise _Refused(404, f"no such address: {what}")

    def _upload_mode(self, repo: Repo, file: dict[str, Any]) -> dict[str, Any]:
        there = repo.files.get(file["path"])
        lfs = file["size"] > LFS_BYTES or file["path"].endswith((".safetensors", ".gguf"))
        oid = None if there is None else hashlib.sha256(there).hexdigest() if lfs else blob_id(there)
        return {"path": file["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}

    def _lfs_batch(self, kind: str, name: str, asked: dict[str, Any]) -> None:
        self._repo(kind, name, write=True)
        objects = []
        for item in asked["objects"]:
            entry = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.server_hub.lfs:
                entry["actions"] = {"upload": {"href": f"{self.server_hub.url}/lfs/{item['oid']}"}}
            objects.append(entry)
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repo: Repo, body: bytes) -> None:
        files = dict(repo.files)
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                content = self.server_hub.lfs.get(value["oid"])
                if content is None or hashlib.sha256(content).hexdigest() != value["oid"]:
                    raise _Refused(400, "the object was not uploaded whole")
                files[value["path"]] = content
            elif item["key"] == "deletedFile":
                files.pop(value["path"], None)
        digest = repo.commit(files)
        url = f"{self.server_hub.url}/{repo.name}/commit/{digest}"
        self._json({"success": True, "commitOid": digest, "commitUrl": url, "hookOutput": ""})

    def _resolve(self, repo: Repo, revision: str, path: str) -> None:
        commit = repo.at(revision)
        if commit is None:
            raise _Refused(404, "Revision not found", "RevisionNotFound")
        if path not in commit[1]:
            raise _Refused(404, "Entry not found", "EntryNotFound")
        content = commit[1][path]
        etag = hashlib.sha256(content).hexdigest() if is_lfs(path, content) else blob_id(content)
        headers = {"X-Repo-Commit": commit[0], "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if is_lfs(path, content):
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        if self.fault and self.fault.flip:
            content = bytes([content[0] ^ 1]) + content[1:]
        status = 200
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start, total = int(asked[1]), len(content)
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
            content, status = content[start:], 206
        self._send(content, status, headers)

    # --- answers

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.fault and 0 <= self.fault.break_at < len(content):
                self.wfile.write(content[: self.fault.break_at])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if is_lfs(path, content):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


class _Refused(Exception):
    """Status, sentence, and the Hub's error code for its header."""

    @property
    def headers(self) -> dict[str, str]:
        code = {"X-Error-Code": self.args[2]} if len(self.args) > 2 else {}
        return {**code, "X-Error-Message": self.args[1]}
