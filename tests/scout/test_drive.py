"""Drive as it misbehaves, on loopback: every file once, whole, or told."""

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from flows._shared.errors import PlatformError
from flows.scout import sync
from flows.scout.records import DriveRefusedError, DriveUnavailableError
from flows.scout.source.drive import FOLDER, SHORTCUT, WORKBOOK, Drive, DriveFile
from flows.scout.sync import fetch_changed

UNREADABLE = r"cannot be read|comes next for ever"
CONTENT = bytes(range(256)) * 20_000


@dataclass
class Misbehaving:
    """One folder ``top``. ``breaks_after`` ends downloads early, as often as it has entries."""

    files: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    token_taken: bool = True
    breaks_after: list[int] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    knows_ranges: bool = True
    changed: set[str] = field(default_factory=set)
    edited: dict[str, bytes] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)

    def put(self, file_id: str, name: str, content: bytes = b"", **changes: Any) -> None:
        self.files.append(
            {"id": file_id, "name": name, "mimeType": "text/csv", "parents": ["top"]} | changes
        )
        self.contents[file_id] = content

    def edit(self, file_id: str, content: bytes) -> None:
        (file,) = (each for each in self.files if each["id"] == file_id)
        file.update(promised(content))
        self.contents[file_id] = content

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/changes/startPageToken":
            return 200, {"startPageToken": "fresh"}
        if path == "/changes":
            if not self.token_taken:
                return 400, {"error": {"errors": [{"reason": "invalid"}]}}
            changes = [
                {"fileId": each["id"], "file": each}
                for each in self.files
                if not self.changed or each["id"] in self.changed
            ]
            return 200, {"changes": changes, "newStartPageToken": "next"}
        if path == "/files":
            wanted = query["q"].split("mimeType ", 1)[1]
            mime = wanted.split("'")[1]
            here = [
                each
                for each in self.files
                if (each["mimeType"] == mime) == wanted.startswith("=")
                and any(f"'{parent}'" in query["q"] for parent in each["parents"])
            ]
            return 200, {"files": here}
        file_id = path.split("/")[2]
        found = [each for each in self.files if each["id"] == file_id]
        return (200, found[0]) if found else (404, {})


@pytest.fixture
def drive() -> Iterator[tuple[Misbehaving, Drive]]:
    fake = Misbehaving()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = parts.path.removeprefix("/drive/v3")
            if query.get("alt") == "media":
                self._download(path.split("/")[2])
                return
            status, content = fake.answer(path, query)
            lie = fake.lies.get(path)
            body = lie if isinstance(lie, bytes) else json.dumps(lie or content).encode()
            self._begin(status, len(body))
            self.wfile.write(body)

        def _download(self, file_id: str) -> None:
            if file_id in fake.refusals:
                status, reason = fake.refusals[file_id]
                body = json.dumps({"error": {"errors": [{"reason": reason}]}}).encode()
                self._begin(status, len(body))
                self.wfile.write(body)
                return
            asked = self.headers.get("Range")
            fake.ranges.append(asked)
            start = int(asked[6:-1]) if asked and fake.knows_ranges else 0
            if file_id in fake.edited:
                fake.edit(file_id, fake.edited.pop(file_id))
            content = fake.contents[file_id][start:]
            self._begin(206 if start else 200, len(content))
            if fake.breaks_after:
                content = content[: fake.breaks_after.pop(0)]
                self.close_connection = True
            self.wfile.write(content)

        def _begin(self, status: int, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with httpx.Client(timeout=10) as client:
        yield fake, Drive(client, "access", f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
    thread.join()


def promised(content: bytes) -> dict[str, str]:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"md5Checksum": md5, "size": str(len(content))}


def whole(content: bytes) -> DriveFile:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return DriveFile("a", "a.csv", False, md5, len(content))


def test_a_page_token_that_is_taken_no_more_begins_from_a_listing(
    drive: tuple[Misbehaving, Drive],
) -> None:
    fake, folder = drive
    fake.put("a", "a.csv")
    fake.token_taken = False
    changed = folder.changed("top", "stale")
    assert [file.id for file in changed.files] == ["a"]
    assert (changed.page_token, changed.is_listed_anew) == ("fresh", True)


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_did(
    drive: tuple[Misbehaving, Drive], tmp_path: Path, knows_ranges: bool
) -> None:
    fake, folder = drive
    fake.put("a", "a.csv", CONTENT)
    fake.breaks_after, fake.knows_ranges = [2_000_000, 2_500_000], knows_ranges
    folder.download(whole(CONTENT), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert len(fake.ranges) == 3
    assert fake.ranges[0] is None
    assert all(str(each).startswith("bytes=") for each in fake.ranges[1:])


@pytest.mark.parametrize("came", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_other_bytes_than_drive_promised_are_not_loaded(
    drive: tuple[Misbehaving, Drive], tmp_path: Path, came: bytes
) -> None:
    fake, folder = drive
    fake.put("a", "a.csv", came)
    with pytest.raises(DriveUnavailableError, match=r"promised|MD5"):
        folder.download(whole(CONTENT), tmp_path / "a")


@pytest.mark.parametrize(
    ("path", "lie"),
    [
        *(("/changes/startPageToken", lie) for lie in (b"<html>", b"[]", {"token": "x"})),
        *(
            ("/files", lie)
            for lie in (
                *(b"7", b"[" * 100_000, {"files": 5}, {"files": ["a"]}, {"files": [{"id": "a"}]}),
                {"files": [], "nextPageToken": "again"},
                {"files": [{"id": "a", "name": "a.csv", "parents": [5]}]},
                {"files": [{"id": "a", "name": "a.csv", "parents": ["top"], "size": "much"}]},
                {
                    "files": [
                        {"id": "a", "name": "a.csv", "parents": ["top"], "shortcutDetails": [1]}
                    ]
                },
            )
        ),
    ],
)
def test_an_answer_that_is_none_is_told_as_one_and_ends(
    drive: tuple[Misbehaving, Drive], path: str, lie: Any
) -> None:
    fake, folder = drive
    fake.lies[path] = lie
    with pytest.raises(DriveRefusedError, match=UNREADABLE):
        folder.changed("top", None)


@pytest.mark.parametrize("lie", [{"changes": [7]}, {"changes": [], "nextPageToken": "again"}])
def test_changes_that_are_none_are_told_and_end(
    drive: tuple[Misbehaving, Drive], lie: dict[str, Any]
) -> None:
    fake, folder = drive
    fake.lies["/changes"] = lie
    with pytest.raises(DriveRefusedError, match=UNREADABLE):
        folder.changed("top", "from")


def test_a_folder_that_was_not_asked_for_is_not_entered(drive: tuple[Misbehaving, Drive]) -> None:
    fake, folder = drive
    fake.put("other", "elsewhere", parents=["top"], mimeType=FOLDER)
    fake.files[-1]["parents"] = []
    fake.lies["/files"] = {"files": [fake.files[-1]]}
    assert folder.changed("top", None).files == ()


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (403, "downloadQuotaExceeded", DriveUnavailableError),
        (403, "dailyLimitExceeded", DriveUnavailableError),
        (403, "sharingRateLimitExceeded", DriveUnavailableError),
        (403, "userRateLimitExceeded", DriveUnavailableError),
        (429, "anything", DriveUnavailableError),
        (500, "backendError", DriveUnavailableError),
        (403, "insufficientFilePermissions", DriveRefusedError),
        (403, "cannotDownloadAbusiveFile", DriveRefusedError),
        (403, "exportSizeLimitExceeded", DriveRefusedError),
        (404, "notFound", DriveRefusedError),
    ],
)
def test_a_quota_passes_and_a_refusal_does_not(
    drive: tuple[Misbehaving, Drive],
    tmp_path: Path,
    status: int,
    reason: str,
    expected: type[PlatformError],
) -> None:
    fake, folder = drive
    fake.refusals["a"] = (status, reason)
    with pytest.raises(expected):
        folder.download(whole(CONTENT), tmp_path / "a")


def test_a_file_that_drive_refuses_keeps_no_other_out(
    drive: tuple[Misbehaving, Drive], tmp_path: Path
) -> None:
    fake, folder = drive
    fake.put("a", "a.csv")
    fake.put("b", "b.csv", b"id\n1\n")
    fake.refusals["a"] = (403, "cannotDownloadAbusiveFile")
    files, _, refused = fetch_changed(folder, "top", None, tmp_path)
    assert [file.name for file in files] == ["b.csv"]
    assert [name for name, _ in refused] == ["a.csv"]


def test_a_file_that_never_comes_keeps_no_other_out(
    drive: tuple[Misbehaving, Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "SECONDS_BEFORE_ANOTHER_TRY", (0.0, 0.0))
    fake, folder = drive
    fake.put("a", "a.csv")
    fake.put("b", "b.csv", b"id\n1\n")
    fake.refusals["a"] = (500, "backendError")
    files, _, missing = fetch_changed(folder, "top", None, tmp_path)
    assert [file.name for file in files] == ["b.csv"]
    ((name, reason),) = missing
    assert name == "a.csv"
    assert "it answered 500" in reason


def test_a_file_that_is_edited_while_it_is_read_is_read_as_it_is_then(
    drive: tuple[Misbehaving, Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "SECONDS_BEFORE_ANOTHER_TRY", (0.0,))
    fake, folder = drive
    fake.put("a", "a.csv", b"id\n1\n", **promised(b"id\n1\n"))
    fake.put("b", "b.csv", b"id\n2\n", **promised(b"id\n2\n"))
    fake.edited["a"] = b"id\n1\n3\n"
    files, _, missing = fetch_changed(folder, "top", None, tmp_path)
    assert missing == []
    assert [file.open().read() for file in files] == [b"id\n1\n3\n", b"id\n2\n"]


def test_a_drive_that_gives_nothing_is_not_asked_for_every_file(
    drive: tuple[Misbehaving, Drive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "SECONDS_BEFORE_ANOTHER_TRY", ())
    fake, folder = drive
    for number in range(12):
        fake.put(f"f{number}", f"{number}.csv")
        fake.refusals[f"f{number}"] = (500, "backendError")
    files, _, missing = fetch_changed(folder, "top", None, tmp_path)
    assert files == []
    assert len(missing) == 12
    assert ["not tried" in reason for _, reason in missing] == [False] * 10 + [True] * 2


def test_files_of_several_folders_come_in_the_order_in_which_they_were_changed(
    drive: tuple[Misbehaving, Drive],
) -> None:
    fake, folder = drive
    fake.put("below", "below", mimeType=FOLDER)
    days = {"day 1.csv": ("below", 1), "b/day 2.csv": ("top", 2), "day 10.csv": ("below", 3)}
    for name, (parent, day) in reversed(days.items()):
        time = f"2026-11-0{day}T12:00:00.000Z"
        fake.put(name, name, parents=[parent], modifiedTime=time)
    assert [file.id for file in folder.changed("top", None).files] == list(days)


def test_shortcuts_and_workbooks_are_read_and_moved_files_too(
    drive: tuple[Misbehaving, Drive],
) -> None:
    fake, folder = drive

    def shortcut(target: str, mime: str = "text/csv") -> dict[str, Any]:
        return {
            "mimeType": SHORTCUT,
            "shortcutDetails": {"targetId": target, "targetMimeType": mime},
        }

    fake.put("there", "sales.csv", b"id\n1\n", parents=["elsewhere"])
    fake.put("unseen", "other.csv", parents=["elsewhere"])
    fake.put("orphan", "no parents.csv", parents=[])
    fake.put("s1", "to sales", **shortcut("there"))
    fake.put("s2", "to nothing", **shortcut("gone"))
    fake.put("s3", "to a folder", **shortcut("there", FOLDER))
    fake.put("book", "a book without a suffix", mimeType=WORKBOOK)
    fake.put("moved", "moved.csv", driveId="shared")
    for token in (None, "known"):
        changed = folder.changed("top", token)
        assert {file.id for file in changed.files} == {"there", "book", "moved"}
        assert set(changed.left_alone) == {"to nothing", "to a folder"}
    fake.changed = {"there"}
    (again,) = folder.changed("top", "known").files
    assert (again.id, again.name) == ("there", "to sales")
