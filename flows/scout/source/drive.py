"""Google Drive (API v3) as a folder of files, of which only new and changed ones are read.

The first run lists the folder and those below it; later runs ask for the changes since a page
token, which is kept with the raw tables and moved on only once everything up to it was loaded.
"""

import hashlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
import jwt

from flows.scout.records import (
    DrivePageTokenError,
    DriveRefusedError,
    DriveUnavailableError,
    SourceFile,
)
from flows.scout.rules import is_readable, natural, place_of, shown, storable_name

SCOPE = "https://www.googleapis.com/auth/drive.readonly"
TOKEN_LIFETIME_SECONDS = 3600
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SHEET = "application/vnd.google-apps.spreadsheet"
FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FILE_FIELDS = (
    "id,name,mimeType,parents,trashed,modifiedTime,md5Checksum,size,"
    "shortcutDetails(targetId,targetMimeType)"
)
# What one query may name: Drive refuses queries that grow too long.
FOLDERS_PER_QUERY = 40
# Without these Drive keeps silent about what lies on a shared drive.
SHARED_DRIVES = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true"}
# Of the reasons that Drive gives for a 403, those that name a limit or a quota pass with time.
PASSING = re.compile(r"rate|quota|limit|backend|try ?again", re.IGNORECASE)
LASTING = re.compile(r"exportSizeLimitExceeded|numChildrenInNonRootLimitExceeded", re.IGNORECASE)
ATTEMPTS_OF_A_DOWNLOAD = 5
ASKING = "Asking Drive for files"
OF_A_FILE = ("id", "name")
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
REMEDY = "Share the folder with the service account and check the settings of Drive"


@dataclass(frozen=True)
class DriveFile:
    """One file, its name below the folder; a spreadsheet of Google's own is read as a workbook."""

    id: str
    name: str
    is_sheet: bool
    md5: str | None = None
    size: int | None = None
    modified: str = ""


@dataclass(frozen=True)
class Changed:
    """Files to read, and the page token that is right once they are loaded."""

    files: tuple[DriveFile, ...]
    left_alone: tuple[str, ...]
    page_token: str
    is_listed_anew: bool = False


class Drive:
    """Reads one folder and those below it.

    Raises, from every method:
        DriveUnavailableError: no answer, or Drive asks to come back later.
        DriveRefusedError: Drive refuses.
    """

    def __init__(self, client: httpx.Client, token: str, api_url: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}
        self._url = f"{api_url.rstrip('/')}/drive/v3"

    def changed(self, folder_id: str, page_token: str | None) -> Changed:
        """What is new in the folder since a token; everything when there is none, or one that
        Drive takes no more: what was loaded before is told by its content."""
        if page_token is None:
            return self._everything(folder_id)
        try:
            return self._changed_since(folder_id, page_token)
        except DrivePageTokenError:
            return replace(self._everything(folder_id), is_listed_anew=True)

    def _everything(self, folder_id: str) -> Changed:
        # Asked before listing: what changes meanwhile is read twice rather than never.
        query = {"supportsAllDrives": "true"}
        path, key = "/changes/startPageToken", "startPageToken"
        start = self._get(path, query, needs=(key,))[key]
        paths = self._tree(folder_id)
        return self._sorted_out(self._files_in(paths), paths, str(start))

    def _changed_since(self, folder_id: str, page_token: str) -> Changed:
        found = []
        query = SHARED_DRIVES | {
            "pageToken": page_token,
            "pageSize": "1000",
            "fields": "nextPageToken,newStartPageToken,"
            f"changes(fileId,removed,file({FILE_FIELDS}))",
        }
        for page in self._pages("/changes", query, refused=DrivePageTokenError):
            start = page.get("newStartPageToken", "")
            for change in page.get("changes", []):
                file = change.get("file") or {}
                if file and not (change.get("removed") or file.get("trashed")):
                    found.append(file)
        paths = self._tree(folder_id) if found else {}
        # What came in with a folder has not changed itself.
        came = tuple(paths[each["id"]] for each in found if each["id"] in paths)
        brought = [each for each, path in paths.items() if came and path.startswith(came)]
        found += self._files_in(brought)
        found += self._changed_targets(found, paths)
        return self._sorted_out(found, paths, str(start or page_token))

    def _changed_targets(
        self, found: list[Mapping[str, Any]], paths: Mapping[str, str]
    ) -> list[Mapping[str, Any]]:
        """Shortcuts in the folder to files elsewhere that have changed."""
        elsewhere = {each["id"] for each in found if paths.keys().isdisjoint(_parents(each))}
        if not elsewhere:
            return []
        there = self._files_in(paths)
        return [each for each in there if _target(each).get("targetId") in elsewhere]

    def _sorted_out(
        self, found: Iterable[Mapping[str, Any]], paths: Mapping[str, str], page_token: str
    ) -> Changed:
        # A file that changed several times is one file.
        newest = {
            each["id"]: each
            for each in found
            if each.get("mimeType") != FOLDER and not paths.keys().isdisjoint(_parents(each))
        }
        files: dict[str, DriveFile] = {}
        left_alone = []
        for each in newest.values():
            name = _name(each, paths)
            actual = self._behind(each) if each.get("mimeType") == SHORTCUT else each
            if actual is None or not _is_wanted(name, actual):
                left_alone.append(name)
                continue
            files[actual["id"]] = DriveFile(
                actual["id"],
                name,
                actual.get("mimeType") == SHEET,
                **_promised(actual),
            )
        # Drive puts in order what one query finds, and there are several.
        oldest_first = sorted(files.values(), key=lambda file: (file.modified, natural(file.name)))
        return Changed(tuple(oldest_first), tuple(left_alone), page_token)

    def _behind(self, shortcut: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The file that a shortcut shows; None of one that is gone or may not be read."""
        target = _target(shortcut)
        if target.get("targetMimeType") == FOLDER or "targetId" not in target:
            return None
        query = {"supportsAllDrives": "true", "fields": FILE_FIELDS}
        try:
            file = self._get(f"/files/{target['targetId']}", query, needs=OF_A_FILE)
        except DriveRefusedError:
            return None
        return None if file.get("trashed") else file

    def as_it_is_now(self, file: DriveFile) -> DriveFile:
        """The same file with the size and MD5 that Drive promises by now."""
        query = {"supportsAllDrives": "true", "fields": FILE_FIELDS}
        return replace(file, **_promised(self._get(f"/files/{file.id}", query, needs=OF_A_FILE)))

    def download(self, file: DriveFile, to: Path) -> None:
        """Write the file's bytes, a piece at a time; what breaks off goes on where it did.

        Raises:
            DriveUnavailableError: also when the bytes are not those that Drive promised.
        """
        attempted = f"Downloading {shown(file.name)} from Drive"
        digest = hashlib.md5(usedforsecurity=False)
        written = 0
        with to.open("wb") as target:
            for attempt in range(1, ATTEMPTS_OF_A_DOWNLOAD + 1):
                try:
                    for piece in self._pieces(file, written, attempted):
                        target.write(piece)
                        digest.update(piece)
                        written += len(piece)
                except DriveUnavailableError:
                    # Without a byte more than last time another attempt is for the next run.
                    if attempt == ATTEMPTS_OF_A_DOWNLOAD or file.is_sheet or not written:
                        raise
                    continue
                if file.size is None or written >= file.size:
                    break
        if file.size is not None and written != file.size:
            seen = f"{written:,} bytes came, {file.size:,} were promised"
            raise DriveUnavailableError(attempted, seen, "Nothing is lost: run again")
        if file.md5 is not None and digest.hexdigest() != file.md5:
            seen = "its bytes have another MD5 than Drive says"
            raise DriveUnavailableError(attempted, seen, "Nothing is lost: run again")

    def _pieces(self, file: DriveFile, start: int, attempted: str) -> Iterator[bytes]:
        """The bytes from a place on."""
        path, query = f"/files/{file.id}", {"alt": "media", "supportsAllDrives": "true"}
        if file.is_sheet:
            path, query = f"{path}/export", {"mimeType": WORKBOOK}
        headers = self._headers | ({"Range": f"bytes={start}-"} if start else {})
        with (
            _answering(attempted),
            self._client.stream("GET", self._url + path, params=query, headers=headers) as response,
        ):
            if start and response.status_code == 416:
                return
            _check(response, attempted)
            # Who does not know ranges sends everything again.
            skipped = start if response.status_code == 200 else 0
            for piece in response.iter_bytes(1 << 20):
                yield piece[skipped:]
                skipped = max(0, skipped - len(piece))

    def _tree(self, folder_id: str) -> dict[str, str]:
        """The folder and those below it: of each id, what stands before its files' names."""
        paths = {folder_id: ""}
        level = [folder_id]
        while level:
            below = self._list(level, f"mimeType = '{FOLDER}'")
            there = [each for each in below if not paths.keys().isdisjoint(_parents(each))]
            new = {each["id"]: _name(each, paths) + "/" for each in there}
            level = [each for each in new if each not in paths]
            paths = new | paths
        return paths

    def _files_in(self, folder_ids: Iterable[str]) -> list[Mapping[str, Any]]:
        return self._list(list(folder_ids), f"mimeType != '{FOLDER}'")

    def _list(self, folder_ids: list[str], condition: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(folder_ids), FOLDERS_PER_QUERY):
            some = folder_ids[start : start + FOLDERS_PER_QUERY]
            parents = " or ".join(f"'{each}' in parents" for each in some)
            query = SHARED_DRIVES | {
                "q": f"({parents}) and {condition} and trashed = false",
                "fields": f"nextPageToken,files({FILE_FIELDS})",
                "pageSize": "1000",
                "orderBy": "modifiedTime",
            }
            for page in self._pages("/files", query):
                found += page.get("files", [])
        return found

    def _pages(
        self,
        path: str,
        query: Mapping[str, str],
        refused: type[DriveRefusedError] = DriveRefusedError,
    ) -> Iterator[Mapping[str, Any]]:
        """Each page up to the last one."""
        named: set[str] = set()
        while True:
            page = self._get(path, query, refused)
            yield page
            if "nextPageToken" not in page:
                return
            token = str(page["nextPageToken"])
            if token in named:
                raise DriveRefusedError(ASKING, "the same page comes next for ever", REMEDY)
            named.add(token)
            query = {**query, "pageToken": token}

    def _get(
        self,
        path: str,
        query: Mapping[str, str],
        refused: type[DriveRefusedError] = DriveRefusedError,
        needs: Collection[str] = (),
    ) -> Mapping[str, Any]:
        with _answering(ASKING):
            response = self._client.get(self._url + path, params=query, headers=self._headers)
            if response.status_code in (400, 404, 410):
                raise refused(ASKING, f"it answered {response.status_code}", REMEDY)
            _check(response, ASKING)
            return _object(response, needs)


def _object(response: httpx.Response, needs: Collection[str]) -> Mapping[str, Any]:
    """What Google answers. Raises one of UNREADABLE where it is not of that shape."""
    answer: dict[str, Any] = response.json()
    for each in needs:
        str.strip(answer[each])
    changed = [each["file"] for each in answer.get("changes", []) if each.get("file")]
    for file in [*answer.get("files", []), *changed]:
        for each in OF_A_FILE:
            str.strip(file[each])
        int(file.get("size", 0))
        "".join(file.get("parents") or ())
        dict(file.get("shortcutDetails") or {})
    return answer


def _parents(file: Mapping[str, Any]) -> Iterable[str]:
    return cast(Iterable[str], file.get("parents") or ())


def _target(shortcut: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], shortcut.get("shortcutDetails") or {})


def _promised(file: Mapping[str, Any]) -> dict[str, Any]:
    size = file.get("size")
    return {
        "md5": file.get("md5Checksum"),
        "size": None if size is None else int(size),
        "modified": file.get("modifiedTime", ""),
    }


def _is_wanted(name: str, file: Mapping[str, Any]) -> bool:
    return file.get("mimeType") in (SHEET, WORKBOOK) or any(map(is_readable, (name, file["name"])))


def _name(file: Mapping[str, Any], paths: Mapping[str, str]) -> str:
    parent = next(each for each in _parents(file) if each in paths)
    return f"{paths[parent]}{file['name']}"


def fetch_token(client: httpx.Client, service_account: Mapping[str, Any]) -> str:
    """An access token for a service account (the content of its JSON key).

    Raises:
        DriveRefusedError: the key is none, or Google refuses it.
        DriveUnavailableError: no answer.
    """
    attempted = "Signing in to Google Drive"
    now = int(time.time())
    try:
        address = service_account["token_uri"]
        claims = {
            "iss": service_account["client_email"],
            "scope": SCOPE,
            "aud": address,
            "iat": now,
            "exp": now + TOKEN_LIFETIME_SECONDS,
        }
        assertion = jwt.encode(claims, service_account["private_key"], algorithm="RS256")
    except (KeyError, ValueError, TypeError, jwt.PyJWTError):
        raise DriveRefusedError(
            attempted,
            "the block holds no service account key",
            "Save the JSON key of a service account as a GcpCredentials block",
        ) from None
    with _answering(attempted):
        response = client.post(address, data={"grant_type": GRANT, "assertion": assertion})
        _check(response, attempted)
        return str(_object(response, ("access_token",))["access_token"])


def source_file(file: DriveFile, path: Path) -> SourceFile:
    name = file.name if not file.is_sheet else f"{file.name}.xlsx"
    place = place_of(f"drive:{file.id}")
    return SourceFile(storable_name(name), "google_drive", partial(_open, path), place)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, path.open("rb"))


@contextmanager
def _answering(attempted: str) -> Iterator[None]:
    try:
        yield
    except httpx.RequestError as error:
        raise DriveUnavailableError(
            attempted, f"no answer ({type(error).__name__})", "Nothing is lost: run again"
        ) from None
    except UNREADABLE as error:
        raise DriveRefusedError(
            attempted, f"its answer cannot be read ({type(error).__name__})", REMEDY
        ) from None


def _check(response: httpx.Response, attempted: str) -> None:
    if response.status_code in (200, 206):
        return
    said = response.read().decode("utf-8", "replace")[:300]
    is_limited = response.status_code == 403 and PASSING.search(said) and not LASTING.search(said)
    seen = f"it answered {response.status_code}: {said}"
    if response.status_code >= 500 or response.status_code == 429 or is_limited:
        raise DriveUnavailableError(attempted, seen, "Nothing is lost: run again")
    raise DriveRefusedError(attempted, seen, REMEDY)
