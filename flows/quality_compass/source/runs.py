"""Finds runs and reads their files: in a folder, a glob or a bucket's prefix."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from flows.quality_compass.records import (
    FileChangedError,
    Run,
    RunFile,
    RunNameError,
    RunNotFoundError,
)
from flows.quality_compass.rules.reading import ABOUT_THE_RUN, WHOLE_FILES, file_kind, is_run_id
from flows.quality_compass.source.storage import Storage, reading

CHUNK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHOLE_FILE_BYTES = 64_000_000
MANIFEST = "run_manifest.json"
MANIFEST_BYTES = 1_000_000
LOCAL = Storage()


def find_runs(address: str, storage: Storage = LOCAL, *, run_id: str | None = None) -> list[Run]:
    """The runs at an address, oldest first.

    Args:
        address: one run's folder, a folder or prefix of runs, or a glob of either.
        storage: opens the address.
        run_id: the id of a single run whose folder is not named after it.

    Raises:
        RunNotFoundError: nothing there is a run's output.
        RunNameError: a run's output in a folder whose name is not a run id.
        StorageError, StorageUnreachableError: the address cannot be read.
    """
    with reading(f"looking for runs at {address}"):
        system, path = storage.at(address)
        has_pattern = any(each in path for each in "*?[") and not system.exists(path)
        folders = sorted(system.glob(path, on_error="raise")) if has_pattern else [path]
        found: dict[str, dict[str, RunFile]] = {}
        homes: dict[str, str] = {}
        manifests: dict[str, str] = {}
        unread: dict[str, list[str]] = {}
        for folder in folders:
            for file in sorted(system.find(folder, on_error="raise")):
                relative = file[len(folder.rstrip("/")) + 1 :]
                name, home, inner = _place(folder, relative, run_id)
                kind = file_kind(inner)
                if inner == MANIFEST:
                    manifests[name] = system.unstrip_protocol(file)
                if kind is None:
                    shown = inner.encode(errors="backslashreplace").decode()
                    unread.setdefault(name, []).append(shown)
                    continue
                _refuse_two_homes(homes, name, system.unstrip_protocol(home))
                url = system.unstrip_protocol(file)
                found.setdefault(name, {})[inner] = RunFile(inner, kind, url)
    for name in found:
        if not is_run_id(name):
            raise RunNameError(
                f"looking for runs at {address}",
                f"the folder {name!r} holds a run's output and is not named YYYYMMDDHHMMSS",
                "Rename it, or give the run's id in the parameter `run_id`",
            )
    if not found:
        raise RunNotFoundError(
            f"looking for runs at {address}",
            "there is no results/nodes, analysis/contribution or analysis/classification in it",
            "Check the address: a run's folder, a folder of runs, or a glob",
        )
    for name, files in found.items():
        for path in [path for path in files if f"{path}.gz" in files]:
            unread.setdefault(name, []).append(f"{path}.gz")
            del files[f"{path}.gz"]
    return [
        Run(
            name,
            homes[name],
            tuple(found[name][path] for path in sorted(found[name])),
            manifests.get(name),
            tuple(path for path in unread.get(name, ()) if not ABOUT_THE_RUN.fullmatch(path)),
        )
        for name in sorted(found)
    ]


def _place(folder: str, relative: str, run_id: str | None) -> tuple[str, str, str]:
    """The run a file belongs to, that run's folder, and the file's path in it."""
    own = folder.rstrip("/").rsplit("/", 1)[-1]
    if is_run_id(own) or file_kind(relative) is not None:
        return run_id or own, folder, relative
    parts = relative.split("/")
    named = [depth for depth, part in enumerate(parts[:-1]) if is_run_id(part)]
    like_a_run = [
        depth for depth in range(len(parts) - 1) if file_kind("/".join(parts[depth + 1 :]))
    ]
    depth = next(iter(named or like_a_run), 0)
    home = "/".join([folder.rstrip("/"), *parts[: depth + 1]])
    return parts[depth], home, "/".join(parts[depth + 1 :])


def _refuse_two_homes(homes: dict[str, str], run_id: str, home: str) -> None:
    if homes.setdefault(run_id, home) != home:
        raise RunNameError(
            f"reading run {run_id}",
            f"two folders claim to be it: {homes[run_id]} and {home}",
            "Load one of them",
        )


def read_manifest(run: Run, storage: Storage) -> bytes | None:
    """The run's manifest as it stands; None without one. Errors as ``find_runs``."""
    if run.manifest_url is None:
        return None
    with reading(f"reading {run.manifest_url}"):
        system, path = storage.at(run.manifest_url)
        with system.open(path, "rb") as stream:
            content: bytes = stream.read(MANIFEST_BYTES)
    return content


class FileReader:
    """Reads one file line by line, any number of times, and knows its content hash.

    Memory is bounded by the longest line allowed: a longer one comes out cut off after
    ``max_line_bytes`` + 1 bytes, so that who reads it can tell.
    """

    def __init__(self, file: RunFile, storage: Storage, max_line_bytes: int) -> None:
        self._file = file
        self._storage = storage
        self._max_line_bytes = max_line_bytes
        self.bytes_read = 0
        self.broken_off: str | None = None

    def content_hash(self) -> str:
        """SHA-256 of the whole content; ``bytes_read`` is its size afterwards."""
        hashed = sha256()
        size = 0
        with self._open() as stream:
            while chunk := self._chunk(stream):
                hashed.update(chunk)
                size += len(chunk)
        self.bytes_read = size
        return hashed.hexdigest()

    def lines(self, expected_hash: str | None = None) -> Iterator[tuple[int, bytes]]:
        """(line number from 1, line with its newline); blank lines are left out.

        Raises:
            FileChangedError: at the end, when the content was not that of ``expected_hash``.
        """
        if self._file.path in WHOLE_FILES:
            yield from self._elements(expected_hash)
            return
        hashed = sha256()
        with self._open() as stream:
            for number, line in enumerate(self._split(stream, hashed.update), start=1):
                if number == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                if line.strip():
                    yield number, line
        self._refuse_another_content(hashed.hexdigest(), expected_hash)

    def _elements(self, expected_hash: str | None) -> Iterator[tuple[int, bytes]]:
        """The elements of a JSON array as lines; what is none is one line, to be refused."""
        with self._open() as stream:
            content = stream.read(WHOLE_FILE_BYTES + 1)
        if len(content) > WHOLE_FILE_BYTES:
            yield 1, content[: self._max_line_bytes + 1]
            return
        try:
            parsed = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            parsed = None
        if parsed is None:
            yield 1, content
        else:
            for number, each in enumerate(parsed if isinstance(parsed, list) else [parsed], 1):
                yield number, json.dumps(each).encode() + b"\n"
        self._refuse_another_content(sha256(content).hexdigest(), expected_hash)

    def _refuse_another_content(self, seen: str, expected_hash: str | None) -> None:
        if expected_hash is not None and seen != expected_hash:
            raise FileChangedError(
                f"reading {self._file.url}",
                "it was written to meanwhile",
                "Run again once the insight graph has finished with it",
            )

    def is_too_long(self, line: bytes) -> bool:
        return len(line.rstrip(b"\n")) > self._max_line_bytes

    def _split(self, stream: Any, seen: Any) -> Iterator[bytes]:
        limit = self._max_line_bytes
        rest = b""
        is_skipping = False
        while chunk := self._chunk(stream):
            seen(chunk)
            *whole, last = chunk.split(b"\n")
            for line in whole:
                if not is_skipping:
                    yield (rest + line)[: limit + 1] + b"\n"
                rest, is_skipping = b"", False
            if not is_skipping:
                rest += last
            if len(rest) > limit:
                yield rest[: limit + 1]
                rest, is_skipping = b"", True
        if rest:
            yield rest

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with reading(f"reading {self._file.url}"):
            system, path = self._storage.at(self._file.url)
            with system.open(path, "rb") as stream:
                if self._file.path.endswith(".gz"):
                    with gzip.GzipFile(fileobj=stream, mode="rb") as content:
                        yield content
                else:
                    yield stream

    def _chunk(self, stream: Any) -> bytes:
        """The next bytes. What is compressed and breaks off ends there: see ``broken_off``."""
        try:
            # A whole read would lose what stands before the break.
            is_compressed = isinstance(stream, gzip.GzipFile)
            chunk: bytes = (stream.read1 if is_compressed else stream.read)(CHUNK_BYTES)
            return chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.broken_off = f"the compressed file breaks off or is damaged: {error}"
            return b""


def merge(runs: Sequence[Sequence[Run]]) -> list[Run]:
    """Runs of several addresses, each once, oldest first. Raises RunNameError for two of one id."""
    merged: dict[str, Run] = {}
    for run in (run for group in runs for run in group):
        if merged.setdefault(run.run_id, run).url != run.url:
            _refuse_two_homes({run.run_id: merged[run.run_id].url}, run.run_id, run.url)
    return [merged[run_id] for run_id in sorted(merged)]
