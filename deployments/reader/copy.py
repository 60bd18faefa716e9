"""Follows what is published in a bucket, and keeps the newest copy on this machine's disk."""

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from flows._shared.buckets import Options, Version, fetch_file, newest
from flows._shared.errors import PlatformError

MARTS = "mart"
# Of each table, in a folder of the version: a format is written when it is first asked for.
FORMATS = {"csv": "(format csv, header)", "json": "(format json, array)", "parquet": ""}


@dataclass
class PublishedCopy:
    """The newest copy, fetched again whenever the bucket leads to another.

    Args:
        address: gs:// or s3://, as the flow publishes to.
        folder: for copies; what it held before is of no use.
    """

    address: str
    folder: Path
    options: Options = field(default_factory=dict, repr=False)
    _current: Version | None = None
    # Whoever is being answered from it gets the rest of it, too.
    _former: Version | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def version(self) -> Version | None:
        return self._current

    @property
    def path(self) -> Path | None:
        return self.folder / Path(self._current.name).name if self._current else None

    def refresh(self) -> bool:
        """Fetch what is newer; True if there was something.

        Raises:
            PlatformError: the bucket cannot be read; what was fetched before stays.
        """
        found = newest(self.address, self.options)
        if found == self._current:
            return False
        target = self.folder / Path(found.name).name
        fetch_file(found, self.address, target, self.options)
        self._current, self._former, gone = found, self._current, self._former
        if gone:
            for each in self.folder.glob(f"{Path(gone.name).stem}.*"):
                each.unlink(missing_ok=True)
        return True

    def follow(self, seconds: float) -> None:
        """Refresh until ``stop``; what goes wrong is logged, and tried again."""
        log = logging.getLogger("reader")
        while True:
            try:
                if self.refresh() and self._current:
                    log.info("fetched %s", self._current.name)
            except PlatformError as error:
                log.warning("%s", error)
            if self._is_over.wait(seconds):
                return

    def stop(self) -> None:
        self._is_over.set()

    def tables(self) -> list[str]:
        """The marts of the copy; none before the first was fetched."""
        if self.path is None:
            return []
        with duckdb.connect(str(self.path), read_only=True) as connection:
            found = connection.execute(
                "select table_name from information_schema.tables "
                "where table_schema = ? order by 1",
                [MARTS],
            ).fetchall()
        return [str(name) for (name,) in found]

    def export(self, table: str, kind: str) -> Path:
        """A mart as a file, made once for each copy.

        Args:
            table: one of ``tables``.
            kind: one of ``FORMATS``.
        """
        path = self.path
        assert path is not None
        target = path.with_name(f"{path.stem}.{table}.{kind}")
        with self._writing:
            if not target.exists():
                part = target.with_name(f"{target.name}.part")
                with duckdb.connect(str(path), read_only=True) as connection:
                    connection.execute("set memory_limit = '256MB'")
                    connection.execute("set threads = 1")
                    rows = f'from {MARTS}."{table}"'
                    connection.execute(f"copy ({rows}) to '{part}' {FORMATS[kind]}")
                part.replace(target)
        return target
