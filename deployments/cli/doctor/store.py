"""The DuckDB file of agent analytics."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import duckdb

from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from flows._shared.state import STATE_VARIABLE
from flows.agent_analytics.raw import Store, is_damage
from flows.agent_analytics.raw.store import holder_of
from flows.agent_analytics.settings import PATH_VARIABLE

NAME = "DuckDB file"


def duckdb_file(world: World) -> Iterator[Diagnosis]:
    """DuckDB file."""
    state = Path(world.environment.get(STATE_VARIABLE) or world.paths.cache)
    default = state / "agent_analytics" / "agent_analytics.duckdb"
    store = Store(Path(world.environment.get(PATH_VARIABLE) or default))
    if not store.path.exists():
        return
    if not store.lock_path.exists():
        yield _opened(store)
        return
    with store.lock_path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = holder_of(store.lock_path)
            yield Diagnosis(NAME, f"{store.path} is written by {holder}; others wait their turn")
            return
        yield _opened(store)


def _opened(store: Store) -> Diagnosis:
    try:
        with duckdb.connect(str(store.path), read_only=True) as connection:
            connection.execute("select count(*) from duckdb_tables()").fetchone()
    except duckdb.Error as error:
        return _broken(store, error)
    return Diagnosis(NAME, f"{store.path} opens")


def _broken(store: Store, error: duckdb.Error) -> Diagnosis:
    first = str(error).splitlines()[0]
    if "lock on file" in str(error):
        seen = f"{store.path} is held by a program that does not wait its turn ({first})"
        return Diagnosis(NAME, seen, True, f"Close it there, and read {store.published_path}")
    if is_damage(str(error), type(error)):
        has_copy = store.published_path.exists()
        remedy = (
            "The next run puts the published copy in its place and reads the rest again"
            if has_copy
            else "Put a backup in its place, or move it away: everything is loaded anew"
        )
        return Diagnosis(NAME, f"{store.path} is damaged ({first})", True, remedy)
    return Diagnosis(NAME, f"{store.path} does not open ({first})", True, "Check owner and rights")
