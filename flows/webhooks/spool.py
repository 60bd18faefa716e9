"""Deliveries on disk while the database is down: a bounded queue of files, oldest first."""

import base64
import errno
import fcntl
import json
import logging
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from flows._shared.errors import PermanentError
from flows.webhooks.bodies import NUL_ESCAPE
from flows.webhooks.inbox import NewDelivery

SUFFIX = ".jsonl"
DAMAGED = ".damaged"
# Of these the file is none the worse.
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
DELIVERY = TypeAdapter(NewDelivery)

log = logging.getLogger("webhooks.spool")


class SpoolFullError(Exception):
    """The spool holds all it may."""


class Spool:
    """One receiver's own folder; each file is a batch that was acknowledged together.

    Args:
        folder: made if it is not there.
        limit_bytes: of all files together.

    Raises:
        PermanentError: another receiver uses the folder, or it belongs to another user.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise PermanentError(
                f"opening the spool {folder}",
                "the folder belongs to another user, who could read and change what is in it",
                "Name a folder that does not exist yet, or one of the receiver's own user",
            )
        folder.chmod(0o700)
        self.folder = folder
        self._limit = limit_bytes
        self._lock = _locked(folder / "lock")
        for cut_short in folder.glob("*.part"):
            cut_short.unlink()
        self._sizes = {path: path.lstat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))}
        self._newest = max(map(_number, self._sizes), default=0)
        self._damaged: set[Path] = set()

    def __len__(self) -> int:
        """Batches that wait."""
        return len(self._sizes)

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())

    @property
    def damaged(self) -> int:
        """Files that are kept aside, as a part of them could not be read."""
        return sum(1 for _ in self.folder.glob(f"*{DAMAGED}"))

    def append(self, deliveries: Sequence[NewDelivery]) -> None:
        """Keep a batch; it is on the disk when this returns.

        Raises:
            SpoolFullError: there is no room; nothing was kept.
            OSError: the disk refused; nothing was kept.
        """
        content = b"".join(_line(each) for each in deliveries)
        if self.bytes + len(content) > self._limit:
            raise SpoolFullError
        # Later than all that wait, also where the clock was set back meanwhile.
        self._newest = max(time.time_ns(), self._newest + 1)
        path = self.folder / f"{self._newest:020}{SUFFIX}"
        part = path.with_suffix(".part")
        try:
            with open(part, "wb", opener=_opened_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            _sync_folder(self.folder)
        except OSError:
            # What was not promised takes no room, and is not stored later.
            with suppress(OSError):
                part.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            raise
        self._sizes[path] = len(content)

    def oldest(self) -> tuple[Path, list[NewDelivery]] | None:
        """The batch that waits longest, as far as it can be read; None if none does.

        Raises:
            OSError: this process lacks what reading takes, now.
        """
        path = next(iter(self._sizes), None)
        if path is None:
            return None
        deliveries = []
        try:
            for line in _content(path).splitlines():
                try:
                    deliveries.append(_delivery(line))
                except ValueError:
                    self._damaged.add(path)
        except FileNotFoundError:
            log.error("a file of the spool is gone", extra={"file": path.name})
        except OSError as error:
            if error.errno in PASSING:
                raise
            self._damaged.add(path)
        return path, deliveries

    def remove(self, path: Path) -> None:
        """Forget a batch that is in the inbox now. One of which a part could not be read is kept
        beside the others: what it holds was promised."""
        if path in self._damaged:
            self._damaged.remove(path)
            with suppress(FileNotFoundError):
                path.rename(path.with_suffix(DAMAGED))
            log.error("a file of the spool could not be read", extra={"file": path.stem + DAMAGED})
        else:
            path.unlink(missing_ok=True)
        del self._sizes[path]

    def close(self) -> None:
        self._lock.close()


def _number(path: Path) -> int:
    digits = path.stem.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _locked(path: Path) -> IO[str]:
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise PermanentError(
            f"opening the spool {path.parent}",
            "another receiver uses it",
            "Give each receiver a folder of its own",
        ) from None
    return stream


def _opened_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _content(path: Path) -> bytes:
    """Of a file that is one, and of this user: no link is followed, no pipe waited at."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", opener=opened) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(path.name)
        return file.read()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(each: NewDelivery) -> bytes:
    fields = asdict(each) | {
        "received_at": each.received_at.isoformat(),
        "body": base64.b64encode(each.body).decode(),
    }
    return json.dumps(fields).encode() + b"\n"


def _delivery(line: bytes) -> NewDelivery:
    """What the database can store: anything else would hold up all behind it.

    Raises:
        ValueError: it is none.
    """
    found = DELIVERY.validate_json(line, strict=True)
    if found.received_at.tzinfo is None or NUL_ESCAPE.search(line):
        raise ValueError("a moment without a zone, or a text with a NUL")
    return replace(found, body=base64.b64decode(found.body, validate=True))
