"""How each kind of fault is done: at a byte on the wire where there is one, else at a moment."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import psutil
import psycopg

from deployments.local.processes import wait_until
from tests.faults.bench import ROOMY, Bench, Ended
from tests.faults.proxy import LENGTH, Connection, Harm
from tests.faults.stages import RECEIVER

SLOW_SECONDS = 0.01
SILENT_SECONDS = 5.0
KIBIBYTE = 1 << 10
# Threads reserve addresses that they never take.
TAKEN_OF_RESERVED = 0.25
# Below it there is little more than the greeting.
LEAST_WIRE = 10 * KIBIBYTE


class Kind(StrEnum):
    KILL = "kill"
    CUT = "connection cut"
    RESTART = "PostgreSQL restarted at once"
    CRASH = "PostgreSQL killed"
    BACKEND = "backend killed"
    DISK = "disk full"
    MEMORY = "memory limit"
    FORWARD = "clock jumps forward"
    BACK = "clock jumps back"
    TWICE = "started twice"
    SOURCE_CUT = "source cut"
    SLOW = "source slow"
    SILENT = "source silent"
    SHORT = "source ends early"
    LONGER = "source says more than it sends"
    SHORTER = "source says less than it sends"
    REFUSED = "source answers 503"
    IN_BODY = "kill in mid-body"
    RESENT = "each sent twice at once"
    FULL = "spool full"
    SERVER = "Prefect server killed"
    WORKER = "worker killed"
    WITH_RUNS = "worker killed with its runs"
    WARM = "warm process killed"
    OF_PROCESSES = "worker of processes killed with its runs"


JUMPS = {Kind.FORWARD: "+3d", Kind.BACK: "-40d"}
LIES: Mapping[Kind, Callable[[bytes], bytes]] = {
    Kind.LONGER: lambda head: LENGTH.sub(lambda m: m[1] + b"%d" % (int(m[2]) + 999), head, 1),
    Kind.SHORTER: lambda head: LENGTH.sub(lambda m: m[1] + b"%d" % (int(m[2]) // 2), head, 1),
    Kind.REFUSED: lambda head: re.sub(rb"^HTTP/1\.([01]) 20\d \w+", rb"HTTP/1.\1 503 Later", head),
}


@dataclass(frozen=True)
class Fault:
    """``point``: the share of the undisturbed stage after which it happens."""

    domain: str
    stage: str
    kind: Kind
    point: float

    def __str__(self) -> str:
        return f"{self.domain} {self.stage}: {self.kind} at {self.point:.3f}"


@dataclass
class Disturbed:
    """How a run that was disturbed ended, and whether the fault happened while it ran."""

    is_hit: bool
    ended: list[Ended]


@dataclass
class Injection:
    """One fault on a bench."""

    bench: Bench
    fault: Fault
    _pids: list[int] = field(default_factory=list)
    _is_started: threading.Event = field(default_factory=threading.Event)
    _acting: list[threading.Thread] = field(default_factory=list)
    _is_hit: bool = False

    def run(self, dataset: str) -> Disturbed:
        """The stage, disturbed."""
        fault, bench = self.fault, self.bench
        runner = bench.runner
        if fault.kind in JUMPS:
            assert bench.clock
            runner = bench.clock
            self._set_clock("+0")
        measured = bench.measured[fault.domain, fault.stage]
        room = str(int(measured.grown * fault.point)) if fault.kind is Kind.FULL else ""
        request = bench.request(fault.domain, fault.stage, dataset, room)
        if fault.kind is Kind.MEMORY:
            share = TAKEN_OF_RESERVED if fault.domain == RECEIVER else 1
            request["memory"] = int(measured.memory * fault.point * share)
        with self._prepared():
            for _ in range(2 if fault.kind is Kind.TWICE else 1):
                self._pids.append(runner.start(**request))
            self._is_started.set()
            times = 2 if fault.kind is Kind.RESENT else 1
            with bench.sending(fault.domain, fault.stage, self._pids, times):
                ended = [runner.wait(pid) for pid in self._pids]
        for thread in self._acting:
            thread.join()
        bench.postgres.start()
        if fault.kind in (Kind.DISK, Kind.MEMORY, Kind.FULL):
            self._is_hit = any(each.code for each in ended) or bench.senders.is_disturbed
        if fault.kind in (Kind.TWICE, Kind.RESENT):
            self._is_hit = True
        return Disturbed(self._is_hit, ended)

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        fault, bench = self.fault, self.bench
        measured = bench.measured[fault.domain, fault.stage]
        _, source = bench.sources.get((fault.domain, fault.stage), (None, None))
        bench.proxy.begin()
        if source:
            source.begin()
        if fault.kind is Kind.DISK:
            room = int(measured.grown * fault.point) // KIBIBYTE + 8
            bench.resize(f"{bench.used() // KIBIBYTE + room}k")
        elif fault.kind in OF_SOURCES or fault.kind is Kind.IN_BODY:
            assert source
            source.begin(Harm(int(measured.source_answered * fault.point), True, self._act))
        elif fault.kind not in (Kind.MEMORY, Kind.TWICE, Kind.RESENT, Kind.FULL):
            if measured.wire > LEAST_WIRE:
                after = int(measured.wire * fault.point)
                bench.proxy.begin(Harm(after, measured.is_reading, self._act))
            elif source and fault.domain == RECEIVER:
                source.begin(Harm(int(measured.source_answered * fault.point), True, self._act))
            else:
                self._act_after(measured.seconds * fault.point)
        try:
            yield
        finally:
            bench.proxy.begin()
            if source:
                source.begin()
            if fault.kind is Kind.DISK:
                bench.resize(ROOMY)

    def _act_after(self, seconds: float) -> None:
        def act() -> None:
            self._is_started.wait()
            time.sleep(seconds)
            with suppress(psutil.Error):
                if psutil.Process(self._pids[0]).status() != psutil.STATUS_ZOMBIE:
                    self._act(None)

        thread = threading.Thread(target=act)
        thread.start()
        self._acting.append(thread)

    def _act(self, connection: Connection | None) -> None:
        kind = self.fault.kind
        self._is_hit = kind not in LIES
        match kind:
            case Kind.KILL | Kind.IN_BODY:
                self._is_started.wait()
                with suppress(ProcessLookupError):
                    os.killpg(self._pids[0], signal.SIGKILL)
            case Kind.FORWARD | Kind.BACK:
                self._set_clock(JUMPS[kind])
            case Kind.RESTART | Kind.CRASH:
                self._end_postgres()
            case Kind.BACKEND:
                assert connection
                self._end_backend(connection)
            case Kind.CUT | Kind.SOURCE_CUT:
                assert connection
                connection.cut()
            case Kind.SLOW:
                assert connection
                connection.seconds_between_pieces = SLOW_SECONDS
            case Kind.SILENT:
                time.sleep(SILENT_SECONDS)
            case Kind.SHORT:
                assert connection
                connection.end_early()
            case Kind.LONGER | Kind.SHORTER | Kind.REFUSED:
                _, source = self.bench.sources[self.fault.domain, self.fault.stage]
                source.rewrite = self._lie

    def _lie(self, piece: bytes) -> bytes:
        told = LIES[self.fault.kind](piece)
        self._is_hit |= told != piece
        return told

    def _set_clock(self, to: str) -> None:
        whole = self.bench.clock_file.with_suffix(".new")
        whole.write_text(to)
        whole.rename(self.bench.clock_file)

    def _end_postgres(self) -> None:
        pid = self.bench.postgres.pid
        assert pid
        is_restart = self.fault.kind is Kind.RESTART
        os.kill(pid, signal.SIGQUIT if is_restart else signal.SIGKILL)
        assert wait_until(lambda: self.bench.postgres.pid is None, 20)
        self.bench.postgres.start()

    def _end_backend(self, connection: Connection) -> None:
        port = connection.server.getsockname()[1]
        with psycopg.connect(self.bench.postgres.url()) as asking:
            found = asking.execute(
                "select pid from pg_stat_activity where client_port = %s", [port]
            ).fetchone()
        if found:
            os.kill(found[0], signal.SIGKILL)


OF_SOURCES = frozenset(
    {
        Kind.SOURCE_CUT, Kind.SLOW, Kind.SILENT, Kind.SHORT,
        Kind.LONGER, Kind.SHORTER, Kind.REFUSED,
    }
)  # fmt: skip
OF_CONNECTIONS = frozenset({Kind.CUT, Kind.RESTART, Kind.CRASH, Kind.BACKEND})
EVERYWHERE = (Kind.KILL, Kind.KILL, Kind.TWICE, Kind.MEMORY, Kind.DISK)
QUICK = (
    *EVERYWHERE, Kind.KILL, Kind.MEMORY, Kind.DISK, Kind.FORWARD, Kind.BACK,
    Kind.CUT, Kind.CUT, Kind.CUT, Kind.RESTART, Kind.CRASH, Kind.BACKEND,
    *sorted(OF_SOURCES), Kind.SHORT, Kind.LONGER,
)  # fmt: skip
# Each takes as long as a dozen of the others.
BUILDS = (*EVERYWHERE, Kind.CUT, Kind.RESTART, Kind.FORWARD)
# Of the receiver.
TAKING = (
    *EVERYWHERE, Kind.DISK, Kind.MEMORY, Kind.FORWARD, Kind.BACK, Kind.RESENT,
    Kind.IN_BODY, Kind.IN_BODY, *sorted(OF_SOURCES - {Kind.REFUSED}), Kind.SOURCE_CUT, Kind.SHORT,
)  # fmt: skip
# Over gRPC, where no header says how long a message is.
CALLED = tuple(kind for kind in TAKING if kind not in LIES)
OF_DATABASE = (Kind.CUT, Kind.RESTART, Kind.CRASH, Kind.BACKEND)
KINDS: Mapping[str, Sequence[Kind]] = {
    "fetch": QUICK,
    "load": QUICK,
    "build": BUILDS,
    "publish": (*EVERYWHERE, Kind.KILL, Kind.DISK),
    "export": (*EVERYWHERE, Kind.CUT, Kind.BACKEND, *sorted(OF_SOURCES)),
    "report": (*EVERYWHERE, Kind.DISK),
    "take": (*TAKING, *OF_DATABASE, *OF_DATABASE, Kind.KILL, Kind.KILL),
    "spool": (*TAKING, Kind.KILL, Kind.DISK, Kind.FULL, Kind.FULL, Kind.FULL),
    "drain": (*TAKING, *OF_DATABASE, *OF_DATABASE, Kind.KILL, Kind.KILL),
    "take-grpc": (*CALLED, *OF_DATABASE, Kind.KILL),
    "spool-grpc": (*CALLED, Kind.KILL, Kind.DISK, Kind.FULL, Kind.FULL, Kind.FULL),
    "drain-grpc": (*CALLED, *OF_DATABASE, Kind.KILL),
}


def draw(bench: Bench, chance: random.Random) -> list[Fault]:
    """The faults that there can be on this bench, in an order of the seed."""
    faults = [
        Fault(domain, stage, kind, chance.uniform(0.02, 0.95))
        for domain, stage in bench.measured
        for kind in KINDS[stage]
        if can_be(bench, domain, stage, kind)
    ]
    chance.shuffle(faults)
    return faults


def can_be(bench: Bench, domain: str, stage: str, kind: Kind) -> bool:
    measured = bench.measured[domain, stage]
    if kind in OF_SOURCES:
        return (domain, stage) in bench.sources
    if kind in OF_CONNECTIONS:
        return measured.wire > LEAST_WIRE
    if kind is Kind.DISK:
        return bench.has_disk and measured.grown > 64 * KIBIBYTE
    if kind in JUMPS:
        return bench.has_clock
    return True
