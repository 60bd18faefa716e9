"""The parts that faults are done to, each domain's undisturbed run, and the way back to it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from deployments.local.paths import PROJECT_ROOT
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.privilege import give_to_server, is_root
from flows._shared.state import STATE_VARIABLE
from tests.faults import tables
from tests.faults.inputs import Source, make_inbox, make_inputs, serving
from tests.faults.proxy import Proxy
from tests.faults.receiving import SPOOL
from tests.faults.runner import WITH_DBT
from tests.faults.sending import Senders
from tests.faults.stages import RECEIVER, STAGES, Place
from tests.github_scraper.tables import contents

FIRST_PORT = 26_400
# A build whose every look at the clock reads a file takes minutes.
LONGEST_SECONDS = 300.0
ROOMY, TABLESPACE = "2g", "roomy"


@dataclass(frozen=True)
class Measured:
    """What a stage does when nothing disturbs it, and what it leaves.

    Args:
        sent, answered: bytes to the database and back.
        source_answered: bytes that came from its source.
        grown, memory: bytes of disk and of addresses that it takes.
    """

    seconds: float
    sent: int
    answered: int
    source_answered: int
    grown: int
    memory: int
    left: tables.Tables

    @property
    def is_reading(self) -> bool:
        """Whether more comes from the database than goes to it."""
        return self.answered > self.sent

    @property
    def wire(self) -> int:
        return max(self.sent, self.answered)


@dataclass
class Ended:
    """How a process ended: 0, 1 after an error, or the negative of a signal."""

    code: int
    is_hung: bool


class Runner:
    """A warm process in whose forks stages run."""

    def __init__(self, environment: Mapping[str, str], has_dbt: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.runner", *([WITH_DBT] if has_dbt else [])],
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment, "PYTHONPATH": str(PROJECT_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self) -> Self:
        """Wait until it is warm."""
        self._answer()
        return self

    def start(self, **request: Any) -> int:
        return int(self._ask(request)["pid"])

    def wait(self, pid: int, seconds: float = LONGEST_SECONDS) -> Ended:
        return Ended(**self._ask({"pid": pid, "seconds": seconds}))

    def end(self) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the runner ended"
        return dict(json.loads(line))


@dataclass
class Bench:
    """One cluster, one disk, and the domains that were asked for.

    Args:
        is_quick: start no runner whose clock can jump, and none that has dbt imported.
    """

    domains: Sequence[str]
    work: Path
    is_quick: bool = False
    measured: dict[tuple[str, str], Measured] = field(default_factory=dict)
    has_disk: bool = False

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _begin(self) -> None:
        self.disk = self.work / "disk"
        self.disk.mkdir()
        if is_root():
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={ROOMY},mode=755", "faults", str(self.disk)],
                capture_output=True,
            )
            self.has_disk = mounted.returncode == 0
            if self.has_disk:
                self._stack.callback(subprocess.run, ["umount", "-l", str(self.disk)], check=True)
        state = {STATE_VARIABLE: str(self.work / "state")}
        (self.work / "state").mkdir()
        self.runner = Runner(state, has_dbt=not self.is_quick)
        self._stack.callback(self.runner.end)
        self.clock_file = self.work / "clock"
        self.clock_file.write_text("+0")
        library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
        self.clock = (
            self._runner_with_a_clock(library, state) if library and not self.is_quick else None
        )
        if self.clock:
            self._stack.callback(self.clock.end)
        self.postgres = EmbeddedPostgres(
            self.work / "postgres", first_port=FIRST_PORT, is_durable=False
        )
        self.postgres.start()
        self._stack.callback(self.postgres.stop)
        self._make_tablespace()
        self.proxy = Proxy(("127.0.0.1", self.postgres.port))
        self.senders = Senders(self.folder(RECEIVER) / SPOOL)
        self.sources: dict[tuple[str, str], tuple[Source, Proxy]] = {}
        for domain in self.domains:
            make_inputs(domain, self.inputs(domain))
            for stage, source in self._stack.enter_context(
                serving(domain, self.inputs(domain), self.work)
            ).items():
                self.sources[domain, stage] = source, Proxy(source.target, source.is_sender)
        for each in (self.runner, self.clock):
            if each:
                each.begin()

    @property
    def has_clock(self) -> bool:
        """Whether there is a runner whose clock can jump."""
        return self.clock is not None

    def _runner_with_a_clock(self, library: Path, state: Mapping[str, str]) -> Runner:
        return Runner(
            {
                **state,
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
                "FAKETIME_CACHE_DURATION": "0",
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        )

    def _make_tablespace(self) -> None:
        folder = self.disk / "tablespace"
        folder.mkdir()
        give_to_server(folder)
        statement = sql.SQL("create tablespace {} location {}").format(
            sql.Identifier(TABLESPACE), sql.Literal(str(folder))
        )
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(statement)

    def inputs(self, domain: str) -> Path:
        return self.work / "inputs" / domain

    def folder(self, domain: str) -> Path:
        return self.disk / domain

    def url(self, domain: str, *, is_direct: bool = False) -> str:
        """Of the domain's database, by way of the proxy or not."""
        parts = urlsplit(self.postgres.url(f"faults_{domain}"))
        if is_direct:
            return urlunsplit(parts)
        host = parts.netloc.rpartition(":")[0]
        return urlunsplit(parts._replace(netloc=f"{host}:{self.proxy.port}"))

    def place(self, domain: str, stage: str, dataset: str, room: str = "") -> Place:
        source, proxy = self.sources.get((domain, stage), (Source(("", 0)), None))
        listens_at = "http://{}:{}".format(*source.target) if source.is_sender else ""
        return Place(
            url=self.url(domain),
            folder=self.folder(domain),
            inputs=self.inputs(domain),
            source=listens_at or (proxy.url if proxy else ""),
            token=source.token,
            dataset=dataset,
            room=room,
        )

    def request(
        self, domain: str, stage: str, dataset: str, room: str = "", **more: Any
    ) -> dict[str, Any]:
        place = self.place(domain, stage, dataset, room)
        return {
            "domain": domain,
            "stage": stage,
            "log": str(self.work / "log"),
            "memory_file": str(self.work / "memory"),
            "place": {name: str(value) for name, value in vars(place).items()},
            **more,
        }

    def run(self, domain: str, stage: str, dataset: str) -> None:
        """A stage that nothing disturbs. RuntimeError with its log where it fails."""
        (self.work / "log").write_text("")
        pid = self.runner.start(**self.request(domain, stage, dataset))
        with self.sending(domain, stage, [pid]):
            ended = self.runner.wait(pid)
        if ended.code or ended.is_hung:
            log = (self.work / "log").read_text()
            raise RuntimeError(f"{domain} {stage} ended with {ended}: {log[-3000:]}")

    def sending(
        self, domain: str, stage: str, pids: Sequence[int], times: int = 1
    ) -> AbstractContextManager[None]:
        """What is sent to these processes while they run, and ends them."""
        if domain != RECEIVER:
            return nullcontext()
        source, proxy = self.sources[domain, stage]
        return self.senders.sending(stage, pids, times, source.target, proxy.port)

    def prepare(self, domain: str, *stages: str) -> None:
        """Run these stages undisturbed, all by default, keeping what was there before each."""
        self.empty(domain)
        for stage in stages or STAGES[domain]:
            self.keep(domain, stage)
            self.proxy.begin()
            _, source = self.sources.get((domain, stage), (None, None))
            if source:
                source.begin()
            before, began = self.used(), time.monotonic()
            self.run(domain, stage, "undisturbed")
            self.measured[domain, stage] = Measured(
                time.monotonic() - began,
                self.proxy.sent,
                self.proxy.answered,
                source.answered if source else 0,
                max(self.used() - before, 0),
                int((self.work / "memory").read_text()),
                self.left(domain, stage, "undisturbed"),
            )

    def empty(self, domain: str) -> None:
        """Nothing is there but what the receiver stored."""
        shutil.rmtree(self.folder(domain), ignore_errors=True)
        self.folder(domain).mkdir()
        self._copy("template1", f"faults_{domain}")
        make_inbox(domain, self.url(domain, is_direct=True))

    def used(self) -> int:
        return shutil.disk_usage(self.disk).used

    def left(self, domain: str, stage: str, dataset: str) -> tables.Tables:
        """All tables and files of a domain, and what it exported."""
        found = tables.in_postgres(self.url(domain, is_direct=True))
        if domain == "github_scraper":
            with psycopg.connect(self.url(domain, is_direct=True)) as connection:
                if "public.commits" in found:
                    found |= {
                        f"by its keys {name}": [str(row) for row in rows]
                        for name, rows in contents(connection).items()
                    }
        folder = self.folder(domain)
        found |= tables.in_duckdb(folder / "store.duckdb")
        found |= {
            f"published {name}": rows
            for name, rows in tables.in_duckdb(folder / "published" / "store.duckdb").items()
        }
        found |= tables.in_site(folder / "site")
        if domain == RECEIVER:
            found["put aside"] = [path.read_text() for path in self.senders.put_aside()]
        source, _ = self.sources.get((domain, stage), (None, None))
        if source and stage == "export":
            found |= source.exported(dataset)
        return found

    def keep(self, domain: str, stage: str) -> None:
        """What is there now, to be restored."""
        self._copy(f"faults_{domain}", f"before_{domain}_{stage}")
        shutil.copytree(self.folder(domain), self._kept(domain, stage), symlinks=True)

    def _kept(self, domain: str, stage: str) -> Path:
        return self.work / "kept" / domain / stage

    def restore(self, domain: str, stage: str) -> None:
        """All as it was before the stage."""
        self.senders.forget()
        self._copy(f"before_{domain}_{stage}", f"faults_{domain}")
        shutil.rmtree(self.folder(domain))
        shutil.copytree(self._kept(domain, stage), self.folder(domain), symlinks=True)

    def _copy(self, source: str, name: str) -> None:
        self.postgres.drop_database(name)
        statement = sql.SQL("create database {} template {} tablespace {} strategy file_copy")
        with psycopg.connect(self.postgres.url(), autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, (name, source, TABLESPACE))))

    def resize(self, size: str) -> None:
        subprocess.run(
            ["mount", "-o", f"remount,size={size}", str(self.disk)], check=True, capture_output=True
        )
