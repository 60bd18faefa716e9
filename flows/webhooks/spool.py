"""Deliveries on disk while the database is down: a bounded queue of files, oldest first."""

import base64
import fcntl
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from flows._shared.errors import PermanentError
from flows.webhooks.inbox import NewDelivery

SUFFIX = ".jsonl"


class SpoolFullError(Exception):
    """The spool holds all it may."""


class Spool:
    """One receiver's own folder; each file is a batch that was acknowledged together.

    Args:
        folder: made if it is not there.
        limit_bytes: of all files together.

    Raises:
        PermanentError: another receiver uses the folder.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._limit = limit_bytes
        self._lock = _locked(folder / "lock")
        for cut_short in folder.glob("*.part"):
            cut_short.unlink()
        self._sizes = {path: path.stat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))}
        self._newest = max(map(_number, self._sizes), default=0)

    def __len__(self) -> int:
        """Batches that wait."""
        return len(self._sizes)

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())

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
        path = self._folder / f"{self._newest:020}{SUFFIX}"
        part = path.with_suffix(".part")
        try:
            with open(part, "wb", opener=_opened_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            _sync_folder(self._folder)
        except OSError:
            # What was not promised takes no room, and is not stored later.
            with suppress(OSError):
                part.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            raise
        self._sizes[path] = len(content)

    def oldest(self) -> tuple[Path, list[NewDelivery]] | None:
        """The batch that waits longest; None if none does."""
        path = next(iter(self._sizes), None)
        if path is None:
            return None
        return path, [_delivery(line) for line in path.read_bytes().splitlines()]

    def remove(self, path: Path) -> None:
        """Forget a batch that is in the inbox now."""
        path.unlink()
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
    return os.open(path, flags, 0o600)


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
    fields: dict[str, Any] = json.loads(line)
    fields["received_at"] = datetime.fromisoformat(fields["received_at"])
    fields["body"] = base64.b64decode(fields["body"])
    return NewDelivery(**fields)
