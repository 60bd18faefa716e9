"""What happens while the database is away: 503 without a spool; with one, 202 and nothing lost."""

import asyncio
import json
import os
import resource
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from deployments.local.paths import LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import wait_until
from flows._shared.errors import PermanentError
from flows.webhooks.metrics import Metrics
from flows.webhooks.settings import MIB, ReceiverSettings
from flows.webhooks.spool import Spool, SpoolFullError
from flows.webhooks.writer import Kept, Writer
from tests.webhooks.harness import Running, github_headers, register, rows, start
from tests.webhooks.test_inbox import delivery


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A cluster of this module's own, to be stopped and started."""
    folder = LocalPaths(tmp_path_factory.mktemp("cluster")).postgres
    cluster = EmbeddedPostgres(folder, first_port=56_320, is_durable=False).start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def spooling(
    away: EmbeddedPostgres, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("spooling")
    register("spooling", away.create_database("spooling"))
    running = start(
        folder, "spooling", spool=str(folder / "spool"), spool_bytes=20_000, store_seconds=4
    )
    yield running
    running.stop()


def post(running: Running, *numbers: int) -> list[tuple[int, str]]:
    """Post numbered deliveries; the status and the outcome of each."""
    said = []
    with httpx.Client(base_url=running.url) as client:
        for number in numbers:
            body = json.dumps({"number": number}).encode()
            headers = github_headers(body) | {"X-GitHub-Delivery": str(uuid.UUID(int=number))}
            answer = client.post("/webhook/github", content=body, headers=headers)
            said.append((answer.status_code, answer.json().get("outcome", "")))
    return said


def numbers(url: str) -> list[int]:
    query = "select (payload ->> 'number')::int from webhooks.deliveries order by position"
    return [number for (number,) in rows(url, query)]


def test_what_is_spooled_survives_a_crash_and_is_stored_in_its_order(
    away: EmbeddedPostgres, spooling: Running
) -> None:
    before = len(numbers(away.url("spooling")))
    assert post(spooling, 1) == [(202, "stored")]
    away.stop()
    assert post(spooling, 2, 3) == [(202, "spooled")] * 2
    assert httpx.get(f"{spooling.url}/readyz").status_code == 503
    spooling.kill()
    away.start()
    spooling.again()
    assert post(spooling, 4) == [(202, "stored")]
    away_url = away.url("spooling")
    assert wait_until(lambda: len(numbers(away_url)) == before + 4, 10)
    assert numbers(away_url)[before:] == [1, 2, 3, 4]
    assert post(spooling, 2) == [(202, "duplicate")]
    assert spooling.metric("webhooks_spool_bytes") == 0


def test_a_full_spool_is_a_503_and_no_promise(away: EmbeddedPostgres, spooling: Running) -> None:
    before = len(numbers(away.url("spooling")))
    away.stop()
    try:
        said = post(spooling, *range(100, 150))
        assert {status for status, _ in said} == {202, 503}
        assert said == sorted(said)
    finally:
        away.start()
    promised = sum(status == 202 for status, _ in said)
    away_url = away.url("spooling")
    assert wait_until(lambda: len(numbers(away_url)) == before + promised, 20)
    assert numbers(away_url)[before:] == list(range(100, 100 + promised))


def test_a_reader_cannot_hold_up_deliveries_and_who_can_is_told_by_readiness(
    away: EmbeddedPostgres, spooling: Running
) -> None:
    away_url = away.url("spooling")
    assert post(spooling, 300) == [(202, "stored")]
    with psycopg.connect(away_url, autocommit=True) as owner:
        owner.execute("create role a_reader")
        owner.execute("grant usage on schema webhooks to a_reader")
        owner.execute("grant select on all tables in schema webhooks to a_reader")
        with psycopg.connect(away_url, autocommit=True) as reader:
            reader.execute("set role a_reader")
            reader.execute("select pg_advisory_lock(7310071), pg_advisory_lock(7310072)")
            reader.execute("begin")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
                reader.execute("lock table webhooks.turns in row share mode")
            reader.execute("lock table webhooks.turns, webhooks.deliveries in access share mode")
            assert post(spooling, 301) == [(202, "stored")]
        with owner.transaction():
            owner.execute("lock table webhooks.turns in share mode")
            assert post(spooling, 302) == [(202, "spooled")]
            answer = httpx.get(f"{spooling.url}/readyz")
            assert (answer.status_code, "LockNotAvailable" in answer.text) == (503, True)
        assert wait_until(lambda: numbers(away_url)[-2:] == [301, 302], 20)
        assert wait_until(lambda: httpx.get(f"{spooling.url}/readyz").status_code == 200, 20)


def test_without_a_spool_it_is_a_503_with_a_time_to_come_back_and_recovers_by_itself(
    receiver: Running, postgres: EmbeddedPostgres, inbox_url: str
) -> None:
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    try:
        body = b"{}"
        headers = github_headers(body)
        answer = httpx.post(f"{receiver.url}/webhook/github", content=body, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert httpx.get(f"{receiver.url}/healthz").status_code == 200
    finally:
        postgres.start()

    with httpx.Client(base_url=receiver.url) as client:

        def is_taken() -> bool:
            answer = client.post("/webhook/github", content=body, headers=headers)
            return answer.status_code == 202

        assert wait_until(is_taken, 20, pause=0.2)
    query = "select count(*) from webhooks.deliveries where delivery_id = %s"
    assert rows(inbox_url, query, headers["X-GitHub-Delivery"]) == [(1,)]


def test_a_spool_keeps_its_bound_its_order_and_its_folder_to_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2_000)
    batches = [[delivery("a"), delivery("b", bytes(range(256)), payload=None)], [delivery("c")]]
    for batch in batches:
        spool.append(batch)
    with pytest.raises(SpoolFullError):
        spool.append([delivery("d", b"x" * 2_000)])
    with pytest.raises(PermanentError, match="another receiver"):
        Spool(tmp_path, 2_000)
    spool.close()
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.suffix} == {0}
    (tmp_path / "cut-short.part").write_bytes(b"{")
    # As of a clock that was set back later.
    newest = max(tmp_path.glob("*.jsonl"))
    newest.rename(newest.with_name(f"{2 * int(newest.stem):020}.jsonl"))
    set_back = Spool(tmp_path, 2_000)
    batches.append([delivery("e")])
    set_back.append(batches[-1])
    set_back.close()
    again = Spool(tmp_path, 2_000)
    read = []
    while found := again.oldest():
        read.append(found[1])
        again.remove(found[0])
    assert read == batches
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]
    again.close()


def test_a_batch_that_a_full_disk_refused_leaves_nothing(tmp_path: Path) -> None:
    """The disk is full at a byte of the file: a limit of the system, which writes meet, too."""
    spool = Spool(tmp_path / "spool", 10 * MIB)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        with pytest.raises(OSError, match="File too large"):
            spool.append([delivery("a", b"x" * 20_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (len(spool), spool.bytes) == (0, 0)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
    spool.append([delivery("b")])
    assert len(spool) == 1
    spool.close()


def test_an_error_that_nobody_expects_ends_no_writer(tmp_path: Path) -> None:
    def nowhere() -> str:
        raise LookupError("the database's address")

    writer = Writer(ReceiverSettings(spool=tmp_path, store_seconds=3), nowhere, Metrics())

    async def kept() -> list[Kept]:
        writer.start()
        try:
            return [await writer.keep(delivery(name)) for name in ("a", "b")]
        finally:
            await asyncio.to_thread(writer.stop)

    assert asyncio.run(kept()) == [Kept.SPOOLED] * 2
    assert writer.last_error == "LookupError"


def test_what_cannot_be_read_of_a_spool_is_kept_and_holds_up_nothing_behind_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, MIB)
    for name in ("a", "b", "c", "d", "e"):
        spool.append([delivery(name + "1"), delivery(name + "2")])
    spool.close()
    cut, linked, piped, others, good = sorted(folder.glob("*.jsonl"))
    cut.write_bytes(cut.read_bytes()[:-40])
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    piped.unlink()
    os.mkfifo(piped)
    # Only root can give a file away.
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(others, 65_534, 65_534)
    again = Spool(folder, MIB)
    read = []
    while found := again.oldest():
        read += [each.delivery_id for each in found[1]]
        again.remove(found[0])
    again.close()
    assert read == ["a1", *([] if is_root else ["d1", "d2"]), "e1", "e2"]
    kept = [path.stem for path in sorted(folder.glob("*.damaged"))]
    assert kept == [each.stem for each in (cut, linked, piped, *([others] if is_root else []))]
    assert not good.exists()


def changed_line(path: Path, **changes: object) -> None:
    """The first of a file of two deliveries, as somebody has written it."""
    first, second = path.read_text().splitlines()
    path.write_text(f"{json.dumps(json.loads(first) | changes)}\n{second}\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "not base64!"},
        {"source": 5},
        {"kind": "\ud800"},
        {"delivery_id": "a\0b"},
        {"payload": ["no text"]},
        {"headers": "no mapping"},
        {"attributes": {"order": [1]}},
        {"received_at": "2026-12-01T10:00:00"},
        {"slug": {}},
    ],
    ids=str,
)
def test_a_line_of_a_spool_that_no_receiver_wrote_is_kept_beside_it(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    spool = Spool(tmp_path / "spool", MIB)
    spool.append([delivery("a"), delivery("b")])
    (path,) = spool.folder.glob("*.jsonl")
    changed_line(path, **changes)
    found = spool.oldest()
    assert found is not None
    assert [each.delivery_id for each in found[1]] == ["b"]
    spool.remove(found[0])
    assert spool.damaged == len(list(spool.folder.glob("*.damaged"))) == 1
    spool.close()
    assert Spool(tmp_path / "spool", MIB).damaged == 1, "told until somebody has removed it"


def test_a_file_that_somebody_removed_from_a_spool_holds_up_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", MIB)
    for name in ("a", "b", "c"):
        spool.append([delivery(name)])
    first, second, _ = sorted(spool.folder.glob("*.jsonl"))
    first.unlink()
    found = spool.oldest()
    assert found == (first, [])
    spool.remove(first)
    found = spool.oldest()
    assert found is not None
    second.unlink()
    spool.remove(found[0])
    assert len(spool) == 1
    assert spool.damaged == 0
    spool.close()


def test_a_spool_for_which_there_is_no_descriptor_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", MIB)
    spool.append([delivery("a")])
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            spool.oldest()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    found = spool.oldest()
    assert found is not None
    assert [each.delivery_id for each in found[1]] == ["a"]
    spool.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_spool_in_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(PermanentError, match="belongs to another user"):
        Spool(folder, MIB)
