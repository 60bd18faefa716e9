"""Reads the files of a run."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from flows._shared.json_keys import Again, keep_twice
from flows.quality_compass.records import FileChangedError, Run, RunFile
from flows.quality_compass.rules.reading import elements, is_one_document
from flows.quality_compass.rules.torn import torn_elements
from flows.quality_compass.source.storage import Storage, reading

CHUNK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHOLE_FILE_BYTES = 64_000_000
MANIFEST_BYTES = 1_000_000


def read_manifest(run: Run, storage: Storage) -> bytes | None:
    """The run's manifest as it stands; None without one. Errors as ``look_for_runs``."""
    if run.manifest_url is None:
        return None
    return _beginning(run.manifest_url, storage, MANIFEST_BYTES, run.within)


def read_indexes(run: Run, storage: Storage) -> dict[str, bytes]:
    """What the run's indexes say, by their path. Errors as ``look_for_runs``."""
    return {
        path: _beginning(url, storage, WHOLE_FILE_BYTES, run.within) for path, url in run.indexes
    }


def _beginning(url: str, storage: Storage, most: int, within: str | None) -> bytes:
    with reading(f"reading {url}"), storage.opened(url, within) as stream:
        content: bytes = stream.read(most)
    return content.lstrip(BYTE_ORDER_MARK)


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
        if is_one_document(self._file.path):
            yield from self._elements(expected_hash)
            return
        hashed = sha256()
        with self._open() as stream:
            for number, line in enumerate(self._split(stream, hashed.update), start=1):
                if number == 1:
                    # Files that were put together have several.
                    line = line.lstrip(BYTE_ORDER_MARK)
                if line.strip():
                    yield number, line
        self._refuse_another_content(hashed.hexdigest(), expected_hash)

    def _elements(self, expected_hash: str | None) -> Iterator[tuple[int, bytes]]:
        """The elements of a JSON document as lines; what is none of them is one, to be refused."""
        read = bytearray()
        with self._open() as stream:
            while len(read) <= WHOLE_FILE_BYTES and (chunk := self._chunk(stream)):
                read += chunk
        content = bytes(read)
        if len(content) > WHOLE_FILE_BYTES:
            self.broken_off = f"a document of more than {WHOLE_FILE_BYTES} bytes: it is read whole"
            return
        try:
            text = content.lstrip(BYTE_ORDER_MARK).decode()
            parsed = json.loads(text, object_pairs_hook=keep_twice)
            is_whole = not (
                isinstance(parsed, dict) and any(isinstance(key, Again) for key in parsed)
            )
        except json.JSONDecodeError:
            for number, element in enumerate(torn_elements(text), start=1):
                yield number, _as_line(self._file.path, element, is_first=number == 1)
            self._refuse_another_content(sha256(content).hexdigest(), expected_hash)
            return
        except (ValueError, RecursionError):
            is_whole = False
        if not is_whole:
            yield 1, content.lstrip(BYTE_ORDER_MARK)
        else:
            for number, each in enumerate(elements(self._file.path, parsed), start=1):
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
        url = self._file.url
        with reading(f"reading {url}"), self._storage.opened(url, self._file.within) as stream:
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


def _as_line(path: str, element: str, *, is_first: bool) -> bytes:
    """An element of a torn document; the first may be the node itself, in whose place its metadata
    are."""
    if is_first:
        with suppress(ValueError):
            element = json.dumps(next(elements(path, json.loads(element))))
    return (" ".join(element.splitlines()) + "\n").encode()
