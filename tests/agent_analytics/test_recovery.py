"""A process that is killed at any moment: the next run's marts are those of an undisturbed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.agent_analytics import raw, sample
from flows.agent_analytics.sync import load_telemetry
from tests.agent_analytics.fleet import Marts

ROOT = Path(__file__).parents[2]
DAYS, PEOPLE = 2, 6
BATCH_BYTES = 600_000
# Loads, builds and publishes as the flow does, once for each point that is named, each time in a
# process of its own that ends itself there.
RUN = """
import os, shutil, signal, sys, threading, time
from pathlib import Path
from flows.agent_analytics import raw
from flows.agent_analytics.sync import load_telemetry
from tests.agent_analytics.fleet import Marts

path, inbox, batch_bytes, points = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
store = raw.Store(path)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_after_changes(number):
    seen = {path.stat().st_mtime_ns}
    while len(seen) <= number:
        seen.add(path.stat().st_mtime_ns)
        time.sleep(0.0005)
    die()

def half_a_copy(source, target):
    content = Path(source).read_bytes()
    Path(target).write_bytes(content[: len(content) // 2])
    die()

def run_until(point):
    with store.locked("a run that is killed", 5, print):
        store.recover(print)
        if point == "load":
            record, calls = raw.record_read, []
            raw.record_read = lambda *a: die() if len(calls) == 3 else calls.append(record(*a))
        load_telemetry(store, [inbox], batch_bytes)
        if point.startswith("build"):
            after = int(point.partition(" ")[2])
            threading.Thread(target=die_after_changes, args=[after], daemon=True).start()
        Marts(store, path.parent).run()
        if point == "publish":
            shutil.copyfile = half_a_copy
        store.publish()

for point in points:
    process = os.fork()
    if process == 0:
        try:
            run_until(point)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(f"{point}: ended with {status}")
"""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inbox")
    lines = list(sample.telemetry(DAYS, PEOPLE))
    middle = len(lines) // 2
    for name, part in (("a", lines[:middle]), ("b", lines[middle:])):
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in part))
    return folder


def kill_at(store: raw.Store, inbox: Path, *points: str) -> None:
    subprocess.run(
        [sys.executable, "-c", RUN, str(store.path), str(inbox), str(BATCH_BYTES), *points],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )


def test_a_run_that_is_killed_anywhere_is_made_good_by_the_next(
    inbox: Path, tmp_path: Path
) -> None:
    store = raw.Store(tmp_path / "store.duckdb")
    marts = Marts(store, tmp_path)
    load_telemetry(store, [str(inbox)], BATCH_BYTES)
    marts.run()
    undisturbed = marts.tables()
    # The same path again, because dbt parses a project anew for another.
    store.path.unlink()

    kill_at(store, inbox, "load", "build 5", "publish")
    assert not store.published_path.exists()
    with store.locked("the next run", 1, print):
        store.recover(print)
        load_telemetry(store, [str(inbox)], BATCH_BYTES)
        marts.run()
        store.publish()
    assert marts.tables() == undisturbed
    assert not list(tmp_path.glob("*.damaged-*"))
    assert not list(tmp_path.glob("*.scratch"))
