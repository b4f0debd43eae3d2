"""A registry that is strict: it serves folders in the protocol of the Hugging Face Hub,
takes commits, notes what a client does wrong, and fails as a test wants it."""

import base64
import contextlib
import hashlib
import http.server
import json
import socketserver
import threading
import urllib.parse


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class FakeHub:
    """Versions of models in memory. fault names what goes wrong:

    cut       every answer with bytes of a file ends after half of them, while there are cuts
    busy      every second request is refused for now
    wrong     a byte of every file is another
    other     ranges are others than those asked for
    redirect  the bytes of files are elsewhere
    unhashed  nobody has computed the sha256 of files
    paged     lists come in pages of two
    endless   the next page of a list is the list
    escape    a file lies outside of the folder
    gated     nobody may read
    """

    def __init__(self, fault="", socket=None, part=0, token=""):
        self.fault, self.part = fault, part
        self.token, self.shown = token, []  # what has to be shown, and what was
        self.versions = {}  # repo: commit: path: content
        self.refs = {}  # repo: name: commit
        self.objects = {}  # repo: sha256: content
        self.faults, self.requests, self.cuts, self.titles = [], [], 1 << 30, []
        self.answers = {}  # to requests with a word in their line
        self.made = ""  # the folder of files that an agent makes
        self._parts = {}
        kind, address = (_OnSocket, str(socket)) if socket else (_OnTCP, ("127.0.0.1", 0))
        self._server = kind(address, _Handler)
        self._server.hub = self
        self.address = str(socket) if socket else f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def push(self, repo, files, *names):
        """Makes a version of files, a folder or a mapping, and returns its commit."""
        if not isinstance(files, dict):
            files = {str(p.relative_to(files)): p.read_bytes() for p in files.rglob("*") if p.is_file()}
        names_ = json.dumps(sorted((path, sha256(content)) for path, content in files.items()))
        commit = sha256(f"{repo}{names_}".encode())[:40]
        self.versions.setdefault(repo, {})[commit] = files
        for name in names or ("main",):
            self.refs.setdefault(repo, {})[name] = commit
        return commit

    def files(self, repo, revision="main"):
        return self.versions[repo][self.refs.get(repo, {}).get(revision, revision)]

    def asked(self, word):
        """Returns how many requests had a word in their line."""
        return sum(word in line for line in self.requests)


class _Quiet:
    daemon_threads = True

    def handle_error(self, *_):
        """A client that has gone is no fault."""


class _OnTCP(_Quiet, http.server.ThreadingHTTPServer):
    pass


class _OnSocket(_Quiet, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


class _Answer(Exception):
    def __init__(self, status, body=b"", **headers):
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _refused(status, code, message):
    return _Answer(status, json.dumps({"error": message}).encode(), X_Error_Code=code, X_Error_Message=message)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out in one piece

    def log_message(self, *_):
        pass

    def address_string(self):
        return ""

    def _serve(self):
        hub = self.server.hub
        hub.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        shown = self.headers.get("Authorization")
        hub.shown.append(shown)
        self._check("gzip" not in self.headers.get("Accept-Encoding", ""), "the answer would be compressed")
        try:
            if hub.token and shown != f"Bearer {hub.token}":
                raise _refused(401, "", "Invalid credentials in Authorization header")
            if hub.fault == "busy" and len(hub.requests) % 2:
                raise _Answer(503, b"", Retry_After="0")
            for word, said in hub.answers.items():
                if word in self.path and said is not None:
                    raise _Answer(200, said)
            url = urllib.parse.urlsplit(self.path)
            self.query = dict(urllib.parse.parse_qsl(url.query))
            parts = [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")]
            answer = self._api(parts[1:], body) if parts[0] == "api" else self._files(parts, body)
        except _Answer as e:
            answer = e
        except Exception as e:  # the client has made it so
            self._check(False, f"{self.command} {self.path}: {e!r}")
            answer = _Answer(500)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if hub.fault == "cut" and answer.status == 206 and hub.cuts > 0 and len(answer.body) > 1:
            hub.cuts -= 1
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
            return
        with contextlib.suppress(ConnectionError):  # who asked has had enough
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815  the names are those of the base class

    def _check(self, right, what):
        if not right:
            self.server.hub.faults.append(what)

    # What is read.

    def _version(self, repo, revision):
        hub = self.server.hub
        if hub.fault == "gated":
            raise _refused(403, "GatedRepo", "access to this repository is restricted")
        if repo not in hub.versions:
            raise _refused(401, "RepoNotFound", "Repository not found")
        commit = hub.refs[repo].get(revision, revision[:40])
        if commit not in hub.versions[repo]:
            raise _refused(404, "RevisionNotFound", f"{repo} has no revision {revision}")
        return commit, hub.versions[repo][commit]

    def _api(self, parts, body):
        hub = self.server.hub
        if parts == ["repos", "create"]:
            return self._create(json.loads(body))
        if parts == ["models"]:
            author = self.query.get("author", "")
            return _json([{"id": repo} for repo in hub.versions if repo.startswith(author)])
        repo, what, rest = "/".join(parts[1:3]), parts[3], parts[4:]
        if what == "revision":
            commit, files = self._version(repo, rest[0])
            return _json({"id": repo, "sha": commit, "lastModified": "2026-01-02T03:04:05.678Z"})
        if what == "tree":
            return self._tree(repo, rest[0])
        if what == "refs":
            refs = [{"name": name, "targetCommit": commit} for name, commit in hub.refs[repo].items()]
            return _json({"branches": refs[:1], "tags": refs[1:], "converts": [], "pullRequests": []})
        if what == "branch":
            return self._branch(repo, rest[0], json.loads(body)["startingPoint"])
        if what == "commit":
            return self._commit(repo, rest[0], [json.loads(line) for line in body.splitlines()])
        raise _Answer(404)

    def _tree(self, repo, revision):
        fault = self.server.hub.fault
        _, files = self._version(repo, revision)
        self._check(self.query.get("recursive") == "true", "a listing of one folder")
        entries = [self._entry(path, content) for path, content in sorted(files.items())]
        entries += [{"type": "directory", "path": p.split("/")[0], "size": 0, "oid": "0" * 40} for p in files if "/" in p]
        if fault == "escape":
            entries[-1]["path"], entries[-1]["type"] = "../evil", "file"
        if fault not in ("paged", "endless"):
            return _json(entries)
        at = int(self.query.get("at", 0)) if fault == "paged" else 0
        answer = _json(entries[at : at + 2])
        if at + 2 < len(entries):
            path = urllib.parse.urlsplit(self.path).path
            answer.headers["Link"] = f'<http://elsewhere{path}?recursive=true&at={at + 2}>; rel="next"'
        return answer

    def _entry(self, path, content):
        entry = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if self.server.hub.fault != "unhashed":
            entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
        return entry

    def _files(self, parts, body):
        hub = self.server.hub
        if parts == ["v1", "materialize"]:
            made = {"path": hub.made} if hub.made else {"error": {"code": "not_found", "message": "none"}}
            return _json(made, 200 if hub.made else 404)
        if parts[0] == "lfs":
            return self._put(parts[1:], body)
        if parts[1].endswith(".git"):
            return self._batch(f"{parts[0]}/{parts[1][:-4]}", json.loads(body))
        moved = parts[0] == "moved"
        parts = parts[moved:]
        if hub.fault == "redirect" and not moved:
            return _Answer(302, Location=f"/moved{self.path}")
        repo, resolve, revision, path = "/".join(parts[:2]), parts[2], parts[3], "/".join(parts[4:])
        self._check(resolve == "resolve" and len(revision) == 40, "files are asked for by their commit")
        _, files = self._version(repo, revision)
        if path not in files:
            raise _refused(404, "EntryNotFound", "no such file")
        return self._range(files[path])

    def _range(self, content):
        if self.server.hub.fault == "wrong":
            content = bytes([content[0] ^ 1]) + content[1:]
        start, end = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
        self._check(start <= end < len(content), "a range that the file does not have")
        if self.server.hub.fault == "other":
            start = max(0, start - 1)
        return _Answer(206, content[start : end + 1], Content_Range=f"bytes {start}-{end}/{len(content)}")

    # What is written.

    def _create(self, asked):
        hub, repo = self.server.hub, f"{asked['organization']}/{asked['name']}"
        url = f"{hub.address}/{repo}"
        if repo in hub.versions:
            return _json({"url": url, "error": "You already created this model repo"}, 409)
        hub.push(repo, {}, "main")
        return _json({"url": url})

    def _branch(self, repo, name, start):
        hub = self.server.hub
        commit, _ = self._version(repo, start)
        if name in hub.refs[repo]:
            return _json({"error": "Reference already exists"}, 409)
        hub.refs[repo][name] = commit
        return _json({}, 201)

    def _known(self, repo, oid):
        hub = self.server.hub
        if oid in hub.objects.get(repo, {}):
            return hub.objects[repo][oid]
        return next((c for files in hub.versions[repo].values() for c in files.values() if sha256(c) == oid), None)

    def _batch(self, repo, asked):
        hub = self.server.hub
        self._version(repo, "main")
        self._check(asked["operation"] == "upload" and asked["hash_algo"] == "sha256", "a batch for nothing")
        [one] = asked["objects"]
        if self._known(repo, one["oid"]) is not None:
            return _json({"transfer": "basic", "objects": [one]})
        href = f"{hub.address}/lfs/{repo}/{one['oid']}"
        actions = {"upload": {"href": href}, "verify": {"href": href + "/verify"}}
        many = bool(hub.part) and one["size"] > hub.part
        if many:
            count = -(-one["size"] // hub.part)
            header = {"chunk_size": str(hub.part)} | {f"{n:05d}": f"{href}/{n}" for n in range(1, count + 1)}
            actions["upload"]["header"] = header
        return _json({"transfer": "multipart" if many else "basic", "objects": [{**one, "actions": actions}]})

    def _put(self, parts, body):
        hub = self.server.hub
        repo, oid, rest = "/".join(parts[:2]), parts[2], parts[3:]
        if self.command == "PUT" and rest:
            hub._parts[oid, int(rest[0])] = body
            return _Answer(200, ETag=f'"{sha256(body)[:8]}"')
        if rest == ["verify"]:
            self._check(len(hub.objects[repo][oid]) == json.loads(body)["size"], "an object of another size")
            return _json({})
        if self.command == "POST":
            sent = [(p["partNumber"], p["etag"]) for p in json.loads(body)["parts"]]
            pieces = [hub._parts[oid, n] for n, _ in sent]
            self._check([e for _, e in sent] == [f'"{sha256(p)[:8]}"' for p in pieces], "parts that were not sent")
            body = b"".join(pieces)
        self._check(sha256(body) == oid, "another sha256 than was announced")
        hub.objects.setdefault(repo, {})[oid] = body
        return _json({})

    def _commit(self, repo, branch, lines):
        hub = self.server.hub
        commit, files = self._version(repo, branch)
        self._check(branch in hub.refs[repo], "a commit on what is no branch")
        files = dict(files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self._known(repo, value["oid"])
                self._check(len(files[value["path"]]) == value["size"], "a file of another size")
            else:
                self._check(line["key"] == "deletedFile", f"a change {line['key']}")
                del files[value["path"]]
        hub.titles.append(lines[0]["value"]["summary"])
        return _json({"success": True, "commitOid": hub.push(repo, files, branch)})


def _json(value, status=200):
    return _Answer(status, json.dumps(value).encode(), Content_Type="application/json")
