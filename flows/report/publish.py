"""Puts a site where people open it: dated versions, and one page that leads to the newest.

A version is complete before anything leads to it, and each page that leads to it is replaced in one
step, in a folder as in a bucket:

    <destination>/index.html            leads to the newest version
    <destination>/latest/<page>.html    leads to that page of it
    <destination>/versions/<time>/      the site as it was then
    <destination>/docs/<slug>.html      dbt's documentation of a project
    <destination>/docs/<slug>-columns.html    which of its columns is made of which
"""

import errno
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from flows._shared.buckets import NO_ACCESS, REFUSED, Options, open_bucket
from flows.report.docs import docs_path, lineage_path, nothing_yet
from flows.report.records import DOMAINS, DestinationError, DestinationUnreachableError
from flows.report.render import redirect

IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
NO_FOLDER = IN_THE_WAY | {errno.ENOENT, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}Z(-\d+)?")
TYPES = {".html": "text/html; charset=utf-8", ".csv": "text/csv; charset=utf-8"}


class Place(Protocol):
    """A folder or a bucket that holds the site."""

    def write_version(self, version: str, files: Mapping[str, bytes]) -> None: ...

    def replace(self, path: str, content: bytes) -> None:
        """In one step: a reader finds what was there or what is."""

    def has(self, path: str) -> bool: ...

    def versions(self) -> list[str]: ...

    def remove(self, version: str) -> None: ...


@dataclass(frozen=True)
class Published:
    """Where the site is: ``index`` is what a person opens."""

    index: str
    version: str
    removed: tuple[str, ...]
    size: int


def publish(
    files: Mapping[str, bytes],
    address: str,
    now: datetime,
    kept: int,
    options: Options | None = None,
) -> Published:
    """Write a version, lead to it, remove those that are too many.

    Raises:
        DestinationError: no access, no such bucket, an option that the storage does not know.
        DestinationUnreachableError: the storage does not answer, or broke off.
    """
    with writing(address):
        place = open_place(address, options or {})
        version = _free_name(f"{now:%Y-%m-%dT%H-%M-%SZ}", place.versions())
        place.write_version(version, files)
        pages = [path for path in files if path.endswith(".html") and "/" not in path]
        for path in pages:
            place.replace(f"latest/{path}", redirect(f"../versions/{version}/{path}"))
        for slug, title in DOMAINS.items():
            for path in (docs_path(slug), lineage_path(slug)):
                if not place.has(path):
                    place.replace(path, nothing_yet(title))
        place.replace("index.html", redirect(f"versions/{version}/index.html"))
        others = [each for each in place.versions() if each != version]
        removed = tuple(others[: max(0, len(others) - (kept - 1))])
        for each in removed:
            # Another report that ends at the same time may have removed it.
            with suppress(FileNotFoundError):
                place.remove(each)
    size = sum(len(content) for content in files.values())
    return Published(f"{address.rstrip('/')}/index.html", version, removed, size)


def _free_name(wanted: str, taken: list[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def open_place(address: str, options: Options) -> Place:
    return Bucket(*open_bucket(address, options)) if "://" in address else Folder(Path(address))


@dataclass(frozen=True)
class Folder:
    """A folder of this machine."""

    root: Path

    def write_version(self, version: str, files: Mapping[str, bytes]) -> None:
        part = self.root / "versions" / f".{version}.{uuid4().hex[:8]}.part"
        try:
            for path, content in files.items():
                file = part / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            part.rename(self.root / "versions" / version)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def replace(self, path: str, content: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{uuid4().hex[:8]}.part")
        part.write_bytes(content)
        part.replace(file)

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()

    def versions(self) -> list[str]:
        folder = self.root / "versions"
        names = [each.name for each in folder.iterdir()] if folder.exists() else []
        return _in_order(names)

    def remove(self, version: str) -> None:
        shutil.rmtree(self.root / "versions" / version)


@dataclass(frozen=True)
class Bucket:
    """A bucket through Apache Arrow's own drivers; each object appears whole or not at all."""

    files: Any
    root: str

    def write_version(self, version: str, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            self.replace(f"versions/{version}/{path}", content)

    def replace(self, path: str, content: bytes) -> None:
        # Without its type a browser saves a page where it should show it.
        metadata = {"Content-Type": TYPES[Path(path).suffix], "Cache-Control": "no-cache"}
        with self.files.open_output_stream(f"{self.root}/{path}", metadata=metadata) as stream:
            stream.write(content)

    def has(self, path: str) -> bool:
        from pyarrow.fs import FileType

        found = self.files.get_file_info(f"{self.root}/{path}")
        return bool(found.type == FileType.File)

    def versions(self) -> list[str]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(f"{self.root}/versions", allow_not_found=True)
        return _in_order([info.base_name for info in self.files.get_file_info(selector)])

    def remove(self, version: str) -> None:
        self.files.delete_dir(f"{self.root}/versions/{version}")


def _in_order(names: list[str]) -> list[str]:
    """The versions among them, the oldest first."""
    found = [name for name in names if VERSION.fullmatch(name)]
    return sorted(found, key=lambda name: (name[:20], int(name[21:] or 1)))


def _why_no_folder(folder: Path, error: OSError) -> str:
    if error.errno in IN_THE_WAY:
        for each in (folder, *folder.parents):
            if each.is_file():
                return f"{each} is a file"
    return f"no folder can be made there ({error.strerror})"


@contextmanager
def writing(address: str) -> Iterator[None]:
    """Names what went wrong with a destination."""
    attempted = f"writing the report to {address}"
    try:
        yield
    except (TypeError, ValueError, KeyError) as error:
        raise DestinationError(
            attempted, f"{error}", "Check the options in the block that `storage_block` names"
        ) from None
    except OSError as error:
        if "://" not in address and error.errno in NO_FOLDER:
            seen = _why_no_folder(Path(address), error)
            raise DestinationError(attempted, seen, "Name a folder, or a place for one") from None
        if isinstance(error, NO_ACCESS) or REFUSED.search(str(error)):
            raise DestinationError(
                attempted,
                str(error),
                "Grant write access, check the address and the credentials in `storage_block`",
            ) from None
        raise DestinationUnreachableError(
            attempted, str(error), "Check that the storage is up and has room; run again"
        ) from None
