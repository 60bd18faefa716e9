"""Files of a folder or object store, read twice: once for facts about all bytes, once for rows."""

import codecs
import hashlib
import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec

from flows.scout.records import FileFacts, FolderUnreadableError, Row, SourceFile
from flows.scout.rules import decide_encoding, is_json, is_readable
from flows.scout.source.csv_rows import read_csv
from flows.scout.source.json_rows import read_json

CHUNK_BYTES = 1 << 20


def list_files(folder: str) -> tuple[list[SourceFile], list[str]]:
    """The files to ingest below a folder in order of their names, and the names left alone.

    Args:
        folder: a path, or a URL that fsspec knows (``s3://``, ``gs://``, ``memory://``).

    Raises:
        FolderUnreadableError: there is no such folder, or it may not be read.
    """
    attempted = f"Listing {folder}"
    try:
        system, root = fsspec.url_to_fs(folder)
        if not system.isdir(root):
            raise FolderUnreadableError(
                attempted, "there is no such folder", "Check the setting `folder`"
            )
        paths = sorted(str(path) for path in system.find(root))
    except (OSError, ValueError, ImportError) as error:
        raise FolderUnreadableError(
            attempted, f"{type(error).__name__}: {error}", "Check the setting `folder`"
        ) from error
    names = {path: str(PurePosixPath(path).relative_to(PurePosixPath(root))) for path in paths}
    files = [_file(system, path, name) for path, name in names.items() if is_readable(name)]
    return files, [name for name in names.values() if not is_readable(name)]


def _file(system: Any, path: str, name: str) -> SourceFile:
    def open_bytes() -> BinaryIO:
        return cast(BinaryIO, system.open(path, "rb"))

    return SourceFile(name, "json_upload" if is_json(name) else "csv_upload", open_bytes)


def examine(file: SourceFile, fallback_encoding: str) -> FileFacts:
    """Hash the file and find its encoding in one pass of constant memory."""
    digest, size, start = hashlib.sha256(), 0, b""
    valid = invalid = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with file.open() as stream:
        while chunk := stream.read(CHUNK_BYTES):
            start = start or chunk[:4]
            digest.update(chunk)
            size += len(chunk)
            if chunk.isascii() and not decoder.getstate()[0]:
                continue
            text = decoder.decode(chunk)
            escaped = sum(text.count(chr(code)) for code in range(0xDC80, 0xDD00))
            invalid += escaped
            valid += len(text) - len(text.encode("ascii", "ignore")) - escaped
    invalid += len(decoder.getstate()[0])
    return FileFacts(
        digest.hexdigest(), size, decide_encoding(start, valid, invalid, fallback_encoding)
    )


def read_rows(file: SourceFile, encoding: str) -> Iterator[Row]:
    """Every row of a file, as a payload or with the reason why it is none. Constant memory."""
    with file.open() as raw:
        text = io.TextIOWrapper(
            io.BufferedReader(cast(Any, raw), CHUNK_BYTES) if not hasattr(raw, "read1") else raw,
            encoding=encoding,
            errors="surrogateescape",
            newline="",
        )
        if is_json(file.name):
            yield from read_json(text, value_per_line=not file.name.lower().endswith(".json"))
        else:
            yield from read_csv(text)
