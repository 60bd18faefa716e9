"""Google Drive and an embeddings endpoint, as far as Scout speaks to them, on loopback."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from flows.scout.rules import embed_by_hashing
from flows.scout.source.drive import FOLDER, WORKBOOK

Answer = tuple[int, bytes]
Answering = Callable[[str, str, dict[str, str], bytes, str], Answer]


@contextmanager
def serving(answering: Answering) -> Iterator[str]:
    """``answering(method, path, query, body, authorization)`` on a free port; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers.get("Authorization", "")
            status, content = answering(self.command, parts.path, query, body, authorization)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class FakeDrive:
    """Folders. Each ``put`` is a change; pages hold two entries, so that paging is needed."""

    public_key: str
    folder_id: str = "folder-1"
    changes: list[str] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def put(self, file_id: str, name: str, content: bytes, **changes: Any) -> None:
        self.files[file_id] = {
            "id": file_id, "name": name, "mimeType": "text/csv",
            "parents": [self.folder_id], "trashed": False, **changes,
        }  # fmt: skip
        self.contents[file_id] = content
        self.changes.append(file_id)

    def answer(
        self, method: str, path: str, query: dict[str, str], body: bytes, authorization: str
    ) -> Answer:
        if path == "/token":
            return self._sign_in(body)
        if authorization != "Bearer access":
            return 401, b"who are you?"
        if self.failures:
            return self.failures.pop(0), b"later"
        path = path.removeprefix("/drive/v3")
        is_export = path.endswith("/export")
        assert query.get("supportsAllDrives") == (None if is_export else "true")
        if path == "/changes/startPageToken":
            return _json({"startPageToken": str(len(self.changes))})
        if path == "/changes":
            assert query["includeItemsFromAllDrives"] == "true"
            return self._changes(int(query["pageToken"]))
        if path == "/files":
            assert query["includeItemsFromAllDrives"] == "true"
            return self._list(query["q"], int(query.get("pageToken", 0)))
        file_id = path.removeprefix("/files/").removesuffix("/export")
        if "fields" in query:
            return _json(self.files[file_id])
        assert query.get("alt") == (None if is_export else "media")
        assert query.get("mimeType") == (WORKBOOK if is_export else None)
        if file_id in self.broken:
            return 500, b"later"
        self.downloads.append(file_id)
        return 200, self.contents[file_id]

    def _sign_in(self, body: bytes) -> Answer:
        given = parse_qs(body.decode())
        claims = jwt.decode(
            given["assertion"][0], self.public_key, algorithms=["RS256"],
            options={"verify_aud": False},
        )  # fmt: skip
        assert claims["scope"].endswith("drive.readonly")
        return _json({"access_token": "access"})

    def _changes(self, start: int) -> Answer:
        page = self.changes[start : start + 2]
        end = start + len(page)
        rest = {"nextPageToken": str(end)} if end < len(self.changes) else {
            "newStartPageToken": str(end)
        }  # fmt: skip
        changes = [{"fileId": each, "removed": False, "file": self.files[each]} for each in page]
        return _json({"changes": changes, **rest})

    def _list(self, wanted: str, start: int) -> Answer:
        asked = re.fullmatch(
            rf"\((.*)\) and mimeType (!?=) '({FOLDER})' and trashed = false", wanted
        )
        assert asked, wanted
        parents = set(re.findall(r"'([^']*)' in parents", asked[1]))
        here = [
            file
            for file in self.files.values()
            if parents & set(file["parents"])
            and (file["mimeType"] == FOLDER) == (asked[2] == "=")
            and not file["trashed"]
        ]
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(here) else {}
        return _json({"files": here[start : start + 2], **more})


@dataclass
class FakeEmbeddings:
    """Embeds by hashing words; remembers what it was sent, fails when told to.

    ``poison``: words of texts that it takes in no batch. ``model``: who it says it is.
    """

    dimension: int
    key: str
    poison: list[str] = field(default_factory=list)
    model: str | None = None
    sent: list[list[str]] = field(default_factory=list)
    failures: list[int | None] = field(default_factory=list)

    def answer(
        self, method: str, path: str, query: dict[str, str], body: bytes, authorization: str
    ) -> Answer:
        if authorization != f"Bearer {self.key}" or path != "/v1/embeddings":
            return 401, b"wrong key"
        if self.failures and (status := self.failures.pop(0)):
            return status, b"no"
        texts = json.loads(body)["input"]
        if any(word in text for text in texts for word in self.poison):
            return 400, b"too long"
        self.sent.append(texts)
        data = [
            {"index": index, "embedding": embed_by_hashing(text, self.dimension)}
            for index, text in enumerate(texts)
        ]
        return _json({"data": data[::-1], **({"model": self.model} if self.model else {})})


def _json(content: Any) -> Answer:
    return 200, json.dumps(content).encode()
