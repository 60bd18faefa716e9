"""What ``.gitattributes`` say to linguist of the paths of a repository, read by git itself."""

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from flows.github_scraper.records import FileClass, MirrorBrokenError
from flows.github_scraper.rules import file_class

FILE_NAME = b".gitattributes"
ASKED = (b"linguist-vendored", b"linguist-generated")
MAX_FILES = 10_000
# git ignores a longer one.
MAX_FILE_BYTES = 100 << 20
CHUNK = 1 << 20
MARK = b"\xef\xbb\xbf"
# Paths repeat from commit to commit; hostile ones are long.
REMEMBERED_PATHS = 20_000
ANSWERS = {b"set": True, b"true": True, b"unset": False, b"false": False}
# What git refuses to look up, and what it refuses to hold in an index besides.
NO_PATH = re.compile(rb"(?:^|/)\.{0,2}(?:/|$)")
NO_FOLDER = re.compile(rb"(?:^|/)(?:\.{0,2}|\.git|git~[^/]*)(?:/|$)", re.I)

Entry = tuple[bytes, bytes]
"""The id of a blob, and its path."""


def attribute_files(listed: Iterator[bytes]) -> list[Entry]:
    """The ``.gitattributes`` among the entries of ``git ls-tree -r -z``."""
    found = []
    for entry in listed:
        about, _, path = entry.partition(b"\t")
        folder, _, name = path.rpartition(b"/")
        mode, kind, blob = (*about.split(), b"", b"", b"")[:3]
        is_file = kind == b"blob" and mode.startswith(b"100")
        if name == FILE_NAME and is_file and not (folder and NO_FOLDER.search(folder)):
            found.append((blob, path))
            if len(found) == MAX_FILES:
                break
    return found


def speaks_to_linguist(contents: IO[bytes], entries: Sequence[Entry]) -> bool:
    """Whether one of the files does; ``contents`` are theirs from ``git cat-file --batch``."""
    is_found = False
    for blob, _ in entries:
        before = b""
        left = size = _size(contents, blob)
        while left > 0:
            chunk = contents.read(min(left, CHUNK))
            if not chunk:
                raise _broken(blob, "the end")
            left -= len(chunk)
            if size <= MAX_FILE_BYTES:
                is_found = is_found or any(name in before + chunk for name in ASKED)
                before = chunk[-len(max(ASKED, key=len)) :]
        contents.readline()
    return is_found


def _size(contents: IO[bytes], blob: bytes) -> int:
    """That of the blob whose contents come next."""
    told = contents.readline().split()
    if told[:2] != [blob, b"blob"]:
        raise _broken(blob, repr(told))
    return int(told[2])


def _broken(blob: bytes, seen: str) -> MirrorBrokenError:
    return MirrorBrokenError(
        "Reading .gitattributes", f"{seen} stands for {blob!r}", "It is cloned again"
    )


def attributes_hash(entries: Sequence[Entry]) -> str:
    return hashlib.sha256(b"\0".join(part for entry in entries for part in entry)).hexdigest()


@contextmanager
def path_classes(
    mirror: Path, environment: Mapping[str, str], entries: Sequence[Entry]
) -> Iterator[Callable[[bytes], FileClass]]:
    """Tells the class of a path. ``entries`` are the attribute files that hold; without any it is
    decided by the path alone."""
    if not entries:
        yield lru_cache(REMEMBERED_PATHS)(lambda path: file_class(path, None, None))
        return
    with tempfile.TemporaryDirectory() as folder:
        objects = Path(folder) / "objects"
        objects.mkdir()
        own = {
            **environment,
            "GIT_INDEX_FILE": str(Path(folder) / "index"),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(mirror / "objects"),
        }
        entries = list(_without_marks(mirror, own, entries))
        # Where git refuses a name that somebody made up, the file at the root holds alone.
        for held in (entries, [entry for entry in entries if entry[1] == FILE_NAME]):
            written = subprocess.run(
                ["git", "-C", str(mirror), "update-index", "-z", "--index-info"],
                env=own, check=False, capture_output=True,
                input=b"".join(b"100644 %s\t%s\0" % entry for entry in held),
            )  # fmt: skip
            if written.returncode == 0:
                break
        with subprocess.Popen(
            [
                "git", "-C", str(mirror), "check-attr", "--cached", "--stdin", "-z",
                *(name.decode() for name in ASKED),
            ],
            env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield _asking(process.stdin, process.stdout)
            finally:
                process.kill()


def _without_marks(
    mirror: Path, environment: Mapping[str, str], entries: Sequence[Entry]
) -> Iterator[Entry]:
    """The files without a byte order mark: git leaves one out in a folder, not in an index."""
    with tempfile.TemporaryFile() as listed:
        listed.writelines(blob + b"\n" for blob, _ in entries)
        listed.seek(0)
        with subprocess.Popen(
            ["git", "-C", str(mirror), "cat-file", "--batch"],
            env=environment, stdin=listed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            contents = process.stdout
            assert contents is not None
            try:
                for blob, path in entries:
                    left = size = _size(contents, blob)
                    begins = contents.read(min(left, len(MARK)))
                    left -= len(begins)
                    if begins == MARK and size <= MAX_FILE_BYTES:
                        yield _written(mirror, environment, contents.read(left)), path
                        left = 0
                    else:
                        yield blob, path
                    while left > 0 and (chunk := contents.read(min(left, CHUNK))):
                        left -= len(chunk)
                    contents.readline()
            finally:
                process.kill()


def _written(mirror: Path, environment: Mapping[str, str], text: bytes) -> bytes:
    """The id of a blob of this text."""
    done = subprocess.run(
        ["git", "-C", str(mirror), "hash-object", "-w", "--stdin"],
        env=environment, check=True, capture_output=True, input=text,
    )  # fmt: skip
    return done.stdout.strip()


def _asking(question: IO[bytes], answer: IO[bytes]) -> Callable[[bytes], FileClass]:
    @lru_cache(REMEMBERED_PATHS)
    def classify(path: bytes) -> FileClass:
        if NO_PATH.search(path):
            return file_class(path, None, None)
        try:
            question.write(path + b"\0")
            question.flush()
        except BrokenPipeError:
            raise _ended(path) from None
        # A path, an attribute and its value, for each attribute.
        values = [_field(answer, path) for _ in range(3 * len(ASKED))][2::3]
        return file_class(path, *(ANSWERS.get(value) for value in values))

    return classify


def _field(answer: IO[bytes], path: bytes) -> bytes:
    field = bytearray()
    while (byte := answer.read(1)) != b"\0":
        if not byte:
            raise _ended(path)
        field += byte
    return bytes(field)


def _ended(path: bytes) -> MirrorBrokenError:
    return MirrorBrokenError(
        "Asking git for attributes", f"it ended at the path {path[:200]!r}", "It is cloned again"
    )
