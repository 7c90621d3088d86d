"""The Hugging Face hub in small: repositories over the endpoints that its client calls.

Speaks HTTP and git-lfs' batch protocol on a port of the loopback interface and keeps everything in
memory. Files of 100 kB or more and those of TensorFlow go through LFS, as on the hub.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_test"


class HubServer:
    """A context manager."""

    def __init__(self):
        self.repositories: dict[str, dict[str, bytes]] = {}  # by name: files by path
        self.private: dict[str, bool] = {}
        self.commits: list[str] = []  # their summaries
        self.lfs: dict[str, bytes] = {}  # by SHA-256
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self})
        )
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "HubServer":
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def sha(self, name: str) -> str:
        """Of the repository's last commit."""
        return hashlib.sha1(f"{name} {len(self.commits)}".encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("HEAD")

    def do_POST(self):
        self._answer("POST")

    def do_PUT(self):
        self._answer("PUT")

    def log_message(self, *arguments):
        pass

    def _answer(self, method: str) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        for pattern, methods, needs_token, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in methods:
                if needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return self._json({"error": "Invalid username or password."}, 401)
                return answer(self, *found.groups())
        return self._json({"error": f"{method} {path} is unknown here"}, 404)

    def _json(self, content: Any, status: int = 200, **headers: str) -> None:
        self._send(
            json.dumps(content).encode(), status, **{"Content-Type": "application/json"} | headers
        )

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}" if wanted.get("organization") else ""
        status = 409 if name in self.hub.repositories else 200
        if status == 200:
            self.hub.repositories[name] = {}
            self.hub.private[name] = wanted.get("private") or wanted.get("visibility") == "private"
        self._json({"url": f"{self.hub.address}/{name}", "name": name}, status)

    def _preupload(self, name: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs"
                if file["size"] >= 100_000 or ".data-" in file["path"]
                else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": files})

    def _batch(self, name: str) -> None:
        objects = [
            {
                **wanted,
                "actions": {"upload": {"href": f"{self.hub.address}/lfs/{wanted['oid']}"}},
            }
            for wanted in json.loads(self.body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _put(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._json({"error": "another content"}, 400)
        self.hub.lfs[oid] = self.body
        return self._json({})

    def _validate(self) -> None:
        content = json.loads(self.body)["content"]
        is_card = content.startswith("---\n") and content.count("\n---\n") == 1
        errors = [] if is_card else [{"message": "no metadata"}]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def _commit(self, name: str) -> None:
        files = self.hub.repositories[name]
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                self.hub.commits.append(value["summary"])
            elif operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.lfs[value["oid"]]
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise AssertionError(operation["key"])
        address = f"{self.hub.address}/{name}/commit/{self.hub.sha(name)}"
        self._json({"commitUrl": address, "commitOid": self.hub.sha(name)})

    def _info(self, name: str) -> None:
        if name not in self.hub.repositories:
            return self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        files = [{"rfilename": path} for path in self.hub.repositories[name]]
        return self._json({"id": name, "sha": self.hub.sha(name), "siblings": files})

    def _tree(self, name: str) -> None:
        if name not in self.hub.repositories:
            return self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        return self._json(
            [
                {
                    "type": "file",
                    "path": path,
                    "size": len(content),
                    "oid": hashlib.sha1(content).hexdigest(),
                }
                for path, content in self.hub.repositories[name].items()
            ]
        )

    def _resolve(self, name: str, path: str) -> None:
        content = self.hub.repositories[name][path]
        etag = hashlib.sha1(content).hexdigest()
        self._send(content, ETag=f'"{etag}"', X_Repo_Commit=self.hub.sha(name))


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    (r"/api/repos/create", ["POST"], True, _Handler._create),
    (r"/api/validate-yaml", ["POST"], False, _Handler._validate),
    (rf"/api/models/{_NAME}/preupload/main", ["POST"], True, _Handler._preupload),
    (rf"/{_NAME}\.git/info/lfs/objects/batch", ["POST"], True, _Handler._batch),
    (r"/lfs/(\w+)", ["PUT"], False, _Handler._put),
    (rf"/api/models/{_NAME}/commit/main", ["POST"], True, _Handler._commit),
    (rf"/api/models/{_NAME}(?:/revision/\w+)?", ["GET"], False, _Handler._info),
    (rf"/api/models/{_NAME}/tree/\w+", ["GET"], False, _Handler._tree),
    (rf"/{_NAME}/resolve/\w+/(.+)", ["GET", "HEAD"], False, _Handler._resolve),
]
