"""A Prefect server's database, migrated once for all servers of a test run."""

import sqlite3
from contextlib import closing
from pathlib import Path


def copy_server_database(source: Path, target: Path) -> None:
    """Its migrations are half of what a first start costs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(target)) as copy:
        database.backup(copy)
