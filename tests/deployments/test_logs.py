"""The logs of what runs in the background are bounded, in size and in number."""

import fcntl
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from deployments.local import logs
from deployments.local.processes import (
    LOGS_VARIABLE,
    BackgroundProcess,
    opened_log,
    wait_until,
)

MOST_BYTES = 100_000
TALKS = "import time\nfor number in range(10**9): print(number, flush=True); time.sleep(1e-5)"


def test_what_a_program_says_stays_bounded_while_it_runs(tmp_path: Path) -> None:
    program = BackgroundProcess(tmp_path / "run", "program", "the program")
    program.launch([sys.executable, "-c", TALKS], os.environ, tmp_path)
    try:
        for _ in range(4):
            assert wait_until(lambda: logs.shorten(program.log, MOST_BYTES), 60, pause=0.01)
    finally:
        program.stop()
    kept = sorted(program.log.parent.glob("program.log*"))
    assert [each.name for each in kept] == ["program.log", "program.log.1", "program.log.2"]
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in kept)
    assert all(each.stat().st_size <= MOST_BYTES for each in kept[1:])
    told = [int(line) for each in reversed(kept) for line in each.read_text().split("\n")[1:-1]]
    assert told == sorted(told)
    holes = [each.name for each in kept if b"\0" in each.read_bytes()]
    assert not holes, "it goes on at the beginning of what was cut"


def test_a_program_keeps_the_logs_of_its_folder_short(tmp_path: Path) -> None:
    log = tmp_path / "run" / "server.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (logs.MOST_BYTES + 1))
    logs.keep_short({LOGS_VARIABLE: str(tmp_path)}, look_seconds=0.05)
    assert wait_until(log.with_name("server.log.1").exists, 30)
    assert wait_until(lambda: log.stat().st_size == 0, 30)


def test_a_log_as_long_as_it_may_be_and_a_link_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with opened_log(log) as output:
        output.write(b"x" * MOST_BYTES)
    assert not logs.shorten(log, MOST_BYTES)
    assert not logs.shorten(tmp_path / "none.log", MOST_BYTES)
    link = tmp_path / "link.log"
    link.symlink_to(log)
    assert not logs.shorten(link, 10)
    assert log.stat().st_size == MOST_BYTES
    nowhere = tmp_path / "nowhere"
    log.with_name("server.log.1").symlink_to(nowhere)
    assert logs.shorten(log, 10)
    assert not nowhere.exists(), "nor is any written through: PostgreSQL's account is not root"


def test_the_logs_are_those_of_programs_and_of_postgres(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("server", "worker", "webhooks"):
        (tmp_path / "run" / f"{name}.log").touch()
    found = [str(each.relative_to(tmp_path)) for each in logs.logs_of(tmp_path)]
    assert found == ["run/server.log", "run/webhooks.log", "run/worker.log", "postgres/log"]


def test_a_log_that_another_process_shortens_now_is_left_to_it(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"x" * MOST_BYTES)
    log.with_name("server.log.1").write_bytes(b"earlier")
    with log.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not logs.shorten(log, 10)
    assert log.stat().st_size == MOST_BYTES
    assert not log.with_name("server.log.2").exists()
    assert logs.shorten(log, 10)
    assert log.with_name("server.log.2").read_bytes() == b"earlier"


def test_a_log_that_cannot_be_copied_keeps_what_was_there_and_the_others_are_shortened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    log, other = tmp_path / "run" / "a.log", tmp_path / "run" / "b.log"
    for each in (log, other):
        each.write_bytes(b"x" * (logs.MOST_BYTES + 1))
    earlier = log.with_name("a.log.1")
    earlier.write_bytes(b"earlier")
    few, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        for _ in range(3):
            logs.shorten_all(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (few, most))
        signal.signal(signal.SIGXFSZ, handler)
    assert "a.log could not be shortened" in caplog.text
    assert log.stat().st_size == logs.MOST_BYTES + 1
    assert [each.read_bytes() for each in log.parent.glob("a.log.*")] == [b"earlier"]
    logs.shorten_all(tmp_path)
    assert (log.stat().st_size, other.stat().st_size) == (0, 0)
