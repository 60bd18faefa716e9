"""The DuckDB file: one writer at a time, readers on a published copy, recovery from that copy.

DuckDB lets one process write and then lets nobody else read. So a writer holds a lock file beside
the database for as long as it works on it, another writer waits and says for whom, and whoever
only reads opens the published copy, which is replaced in one step after a good build.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import duckdb

from flows.agent_analytics.records import (
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreMemoryError,
    StoreUnusableError,
)

POLL_SECONDS = 0.2
SECONDS_BETWEEN_MESSAGES = 15.0
MARTS = "mart"
# An error of another kind can hold these words too, as words of the input.
DAMAGES = (
    duckdb.IOException,
    duckdb.FatalException,
    duckdb.InternalException,
    duckdb.SerializationException,
)
DAMAGED = frozenset({"IO", "FATAL", "INTERNAL", "SERIALIZATION"})
DAMAGE = re.compile(
    "corrupt|checksum|serialization error|not a valid duckdb|database has been invalidated",
    re.IGNORECASE,
)

FULL = re.compile("no space left|quota exceeded|max_temp_directory_size", re.IGNORECASE)
FULL_KINDS = re.compile(r"\b(IO|Out of Memory) Error:")
OUT_OF_MEMORY = re.compile(r"^\s*Out of Memory Error:.*", re.MULTILINE)

Say = Callable[[str], None]
Given = ParamSpec("Given")
Result = TypeVar("Result")


def told_when_full(
    work: Callable[Concatenate["Store", Given], Result],
) -> Callable[Concatenate["Store", Given], Result]:
    """Work on a store that says so where its disk is full, whoever noticed, or its memory."""

    @wraps(work)
    def told(store: "Store", /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return work(store, *args, **kwargs)
        except (OSError, duckdb.Error) as error:
            if is_full(error):
                raise store.full() from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise store.short_of_memory(str(error)) from error
            raise

    return told


def is_full(error: BaseException | str) -> bool:
    """Whether a disk, or what may be used of it, is full; a text is dbt's words for an error."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # An error of another kind can hold these words as words of the input.
    words = str(error)
    return FULL.search(words) is not None and FULL_KINDS.search(words) is not None


def is_out_of_memory(message: str) -> bool:
    """Whether these are dbt's words for a statement that DuckDB had too little memory for."""
    return OUT_OF_MEMORY.search(message) is not None


@dataclass(frozen=True)
class Store:
    """A DuckDB file and the places around it.

    Args:
        path: the file that is written; only the holder of the lock opens it.
        threads, memory: what one connection may use.
    """

    path: Path
    threads: int = 2
    memory: str = "2GB"

    @property
    def lock_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lock")

    @property
    def published_path(self) -> Path:
        """The copy that dashboards read. Open it read-only; a newer one replaces it in one step."""
        return self.path.parent / "published" / self.path.name

    @property
    def wal_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.wal")

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A connection that writes; its session's time zone is UTC.

        Raises:
            StoreDamagedError: the file cannot be read as a database.
            StoreBusyError: a program that does not use the lock has it open.
        """
        self._make_folder()
        try:
            connection = duckdb.connect(str(self.path))
        except duckdb.Error as error:
            if "lock on file" in str(error):
                raise StoreBusyError(
                    f"Opening {self.path}",
                    f"a program that does not wait for its turn has it open ({error})",
                    f"Close it there, and read {self.published_path} instead",
                ) from error
            raise _damaged(self.path, error) from error
        connection.execute(f"set threads = {int(self.threads)}")
        connection.execute("set memory_limit = ?", [self.memory])
        connection.execute("set preserve_insertion_order = false")
        # A load of many batches would write tables again after each: once, at the end, is enough.
        connection.execute("set checkpoint_threshold = '1GB'")
        return connection

    def _make_folder(self) -> None:
        folder = self.path.parent
        if self.path.is_dir():
            raise StoreUnusableError(
                f"Writing {self.path}",
                "it is a folder",
                "Name a file in it by `database_path` (or AGENT_ANALYTICS_DUCKDB_PATH)",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A file there may be another user's, or the disk read-only, though the folder is there.
            self.lock_path.open("a").close()
        except OSError as error:
            if is_full(error):
                raise
            raise StoreUnusableError(
                f"Writing {self.path}",
                f"{folder} cannot be written to ({error.strerror or error})",
                "Correct `database_path` (or AGENT_ANALYTICS_DUCKDB_PATH), or let this user write",
            ) from None

    def full(self) -> StoreFullError:
        usage = shutil.disk_usage(self.path.parent)
        return StoreFullError(
            f"Writing {self.path}",
            f"its disk is full ({usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB are free)",
            "Make room for twice the size of the file, then run again: nothing is lost",
        )

    def short_of_memory(self, seen: str) -> StoreMemoryError:
        """What it is told by DuckDB's words, or dbt's, of which one line is told."""
        told = OUT_OF_MEMORY.search(seen)
        words = (told[0] if told else seen).strip()
        return StoreMemoryError(
            f"Working on {self.path}",
            f"the {self.memory} that DuckDB may use do not suffice ({words})",
            "Raise `memory_limit` in `settings`, and that of the deployment where there is one, or "
            "lower `batch_megabytes` and `threads`: nothing is lost",
        )

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for files of one load, on the same disk; what a killed load left is gone."""
        folder = self.path.with_name(f"{self.path.name}.scratch")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def locked(self, purpose: str, timeout_seconds: float, say: Say) -> Iterator[None]:
        """Be the one writer. Waits for another, saying for whom it waits.

        The lock belongs to the process: it is gone when the process is, however it ended.

        Raises:
            StoreBusyError: still held after the timeout.
            StoreUnusableError: nothing can be written there.
            What a signal raised in a statement, of which DuckDB makes a RuntimeError.
        """
        self._make_folder()
        with self.lock_path.open("a+", encoding="utf-8") as lock:
            self._wait_for(lock.fileno(), timeout_seconds, say)
            _write_holder(lock.fileno(), purpose)
            try:
                yield
            except RuntimeError as error:
                if error.__cause__ is None or isinstance(error.__cause__, Exception):
                    raise
                raise error.__cause__ from None
            finally:
                os.ftruncate(lock.fileno(), 0)

    def _wait_for(self, descriptor: int, timeout_seconds: float, say: Say) -> None:
        began = time.monotonic()
        said_at = float("-inf")
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                now = time.monotonic()
            holder = holder_of(self.lock_path)
            if now - began >= timeout_seconds:
                raise StoreBusyError(
                    f"Waiting {timeout_seconds:.0f} s to write {self.path}",
                    f"{holder} still holds it",
                    "Wait for it or end it, or raise `lock_timeout_seconds`",
                )
            if now - said_at >= SECONDS_BETWEEN_MESSAGES:
                say(f"Waiting to write {self.path.name}: {holder} holds it")
                said_at = now
            time.sleep(POLL_SECONDS)

    def recover(self, say: Say) -> bool:
        """Make the file one that opens; True if it had to be replaced by the published copy.

        What was loaded since that copy was published is read again from its files, because how far
        each was read is kept in the same database. The damaged file is kept beside the new one.

        Raises:
            StoreDamagedError: it does not open and nothing was published.
        """
        try:
            self.verify()
            return False
        except StoreDamagedError as error:
            return self.restore(error, say)

    def verify(self) -> None:
        """Open the file and read what it says of itself. Raises StoreDamagedError."""
        if not self.path.exists():
            return
        with self.connect() as connection:
            try:
                connection.execute("select * from duckdb_tables()").fetchall()
                connection.execute("pragma database_size").fetchall()
            except duckdb.Error as error:
                raise _damaged(self.path, error) from error

    @told_when_full
    def restore(self, damage: StoreDamagedError, say: Say) -> bool:
        """Put the published copy in a damaged file's place. Raises the damage if there is none."""
        if not self.published_path.exists():
            raise damage
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for path, kept in ((self.path, aside), (self.wal_path, Path(f"{aside}.wal"))):
            with suppress(FileNotFoundError):
                path.rename(kept)
        _copy_in_one_step(self.published_path, self.path)
        say(f"{damage} It was replaced by the last published copy and kept as {aside.name}")
        return True

    @told_when_full
    def publish(self) -> int:
        """Replace the copy that readers use by the state of now; its size in bytes.

        The caller holds the lock and has no open transaction. Readers that have the old copy open
        keep it until they close it.
        """
        with self.connect() as connection:
            connection.execute("force checkpoint")
        _copy_in_one_step(self.path, self.published_path)
        return self.published_path.stat().st_size

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The published copy, read-only."""
        with duckdb.connect(str(self.published_path), read_only=True) as connection:
            yield connection

    @told_when_full
    def export_marts(self, folder: Path) -> tuple[Path, ...]:
        """Every table of the marts in the published copy as a Parquet file, each replaced whole."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        with self.reader() as connection:
            tables = connection.execute(
                "select table_name from information_schema.tables "
                "where table_schema = ? order by 1",
                [MARTS],
            ).fetchall()
            for (table,) in tables:
                target = folder / f"{table}.parquet"
                unfinished = target.with_suffix(".parquet.unfinished")
                connection.table(f"{MARTS}.{table}").write_parquet(
                    str(unfinished), compression="zstd"
                )
                unfinished.replace(target)
                written.append(target)
        return tuple(written)


def _copy_in_one_step(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.copyfile(source, unfinished)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def is_damage(message: str, kind: type[Exception] | None = None) -> bool:
    """Whether DuckDB says that the file, not the statement, is at fault.

    Args:
        kind: of the error; None where only dbt's words for it are left, which name it.
    """
    if kind is None:
        named = re.search(r"\b(\w+) Error:", message)
        is_kind = named is not None and named[1].upper() in DAMAGED
    else:
        is_kind = issubclass(kind, DAMAGES)
    return is_kind and DAMAGE.search(message) is not None


def _damaged(path: Path, error: duckdb.Error) -> StoreDamagedError:
    return StoreDamagedError(
        f"Opening {path}",
        f"it cannot be read as a DuckDB database ({str(error).splitlines()[0]})",
        "Put a good copy in its place, or move it away and load everything again.",
    )


def _write_holder(descriptor: int, purpose: str) -> None:
    os.ftruncate(descriptor, 0)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"purpose": purpose, "pid": os.getpid(), "since": since})
    os.write(descriptor, text.encode())


def holder_of(path: Path) -> str:
    try:
        seen = json.loads(path.read_text(encoding="utf-8"))
        return f"{seen['purpose']} (process {seen['pid']}, since {seen['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
