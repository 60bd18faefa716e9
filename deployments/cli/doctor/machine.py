"""This machine: Python, packages, disk, what earlier runs left, ports."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import httpx
import psutil

from deployments.cli.doctor.world import GIBIBYTE, World
from deployments.cli.refused import whose
from deployments.cli.told import Diagnosis
from deployments.local.domains import DOMAINS, WEBHOOKS
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import ANEW, ProcessRecord, is_free
from flows._shared.yaml_keys import read_yaml

OLDEST, NEWEST = (3, 11), (3, 13)
# Of what breaks first where it is another version.
PINNED = ("prefect", "dbt-core", "duckdb", "fastapi")
KINDS_NAMED = 5
SECONDS = 3.0
POSTGRESQL = "PostgreSQL"
PARTS = {"server": "the Prefect server", "worker": "the worker", "webhooks": "the receiver"}


def python(world: World) -> Iterator[Diagnosis]:
    """Python."""
    seen = ".".join(map(str, world.python))
    if OLDEST <= world.python <= NEWEST:
        yield Diagnosis("Python", seen)
        return
    yield Diagnosis(
        "Python",
        f"{seen} runs; the locked packages are for 3.11 to 3.13",
        True,
        "Remove .venv, then `make PYTHON=/path/to/python3.12 setup`",
    )


def packages(world: World) -> Iterator[Diagnosis]:
    """Packages."""
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (world.project / "requirements.lock").read_text().splitlines()
        if "==" in line.split(" ")[0] and not line.startswith((" ", "#"))
    )
    wrong = []
    for name in PINNED:
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "none"
        if found != locked.get(name):
            wrong.append(f"{name} is {found}, requirements.lock has {locked.get(name)}")
    if wrong:
        remedy = "`touch requirements.lock`, then `make setup`"
        yield Diagnosis("packages", "; ".join(wrong), True, remedy)
    else:
        yield Diagnosis("packages", "as requirements.lock has them")


def git(world: World) -> Iterator[Diagnosis]:
    """Git."""
    if found := shutil.which("git", path=world.environment.get("PATH")):
        yield Diagnosis("git", found)
        return
    yield Diagnosis(
        "git",
        "none on PATH: neither repositories nor what agents committed can be read",
        True,
        "Install it (`apt install git`, `brew install git`), or put it on PATH",
    )


def access(world: World) -> Iterator[Diagnosis]:
    """Files of the clone."""
    paths = world.paths
    folders = (paths.state, paths.prefect, paths.run, paths.cache)
    needed = [each for each in folders if os.path.lexists(each)] or [world.project]
    for folder in needed:
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            yield Diagnosis("files", f"{folder} cannot be written", True, whose(folder))


def disk(world: World) -> Iterator[Diagnosis]:
    """Disk."""
    folder = next(each for each in (world.paths.state, world.project, Path("/")) if each.exists())
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / GIBIBYTE:.1f} GiB of {usage.total / GIBIBYTE:.1f} GiB are free"
    if usage.free >= world.needed_bytes:
        yield Diagnosis("disk", f"{free} at {folder}")
        return
    yield Diagnosis(
        "disk",
        f"{free} at {folder}; databases and builds stop when it is full",
        True,
        f"Make room for {world.needed_bytes / GIBIBYTE:.0f} GiB; `flows clean` frees .local/",
    )


def leftovers(world: World) -> Iterator[Diagnosis]:
    """What earlier processes left in .local."""
    if not _any_part_runs(world):
        # They remember ports for the next start: nothing is wrong after `flows stop`.
        yield Diagnosis(
            "local runtime", "neither server, worker nor receiver runs; `flows up` starts them"
        )
        return
    for name, what in PARTS.items():
        record = ProcessRecord.read(world.paths.run / f"{name}.json")
        process = record and record.process()
        if record and process is None:
            yield Diagnosis(
                "stale .local",
                f"{what} has a record of process {record.pid}, which has ended",
                True,
                "`flows up` starts it again",
            )
        elif process and process.status() == psutil.STATUS_STOPPED:
            yield Diagnosis(
                "local runtime",
                f"process {process.pid} of {what} is stopped, as by a signal",
                True,
                f"`kill -CONT {process.pid}`; or {ANEW}",
            )


def postgresql(world: World) -> Iterator[Diagnosis]:
    """PostgreSQL of this machine."""
    cluster = EmbeddedPostgres(world.paths.postgres)
    if not (cluster.cluster / "PG_VERSION").exists():
        return
    if not (cluster.directory / "password").exists():
        seen = f"{cluster.directory / 'password'} is missing: nothing can sign in"
        yield Diagnosis(POSTGRESQL, seen, True, "Put it back; or `flows clean`, and load anew")
        return
    pid, left = cluster.pid, cluster.left_pid
    if pid is None:
        if left is not None:
            seen = f"process {left} of it works no more, and was not stopped"
            yield Diagnosis(POSTGRESQL, seen, True, "`flows up` starts it again")
        elif _any_part_runs(world) and _is_needed(world):
            yield Diagnosis(POSTGRESQL, "it does not run", True, "`flows up` starts it again")
    elif psutil.Process(pid).status() == psutil.STATUS_STOPPED:
        seen = f"process {pid} is stopped, as by a signal"
        yield Diagnosis(POSTGRESQL, seen, True, f"`kill -CONT {pid}`; or `flows up`")
    elif cluster.answers():
        yield Diagnosis(POSTGRESQL, f"process {pid} answers")
    else:
        seen = f"process {pid} runs and does not answer"
        yield Diagnosis(POSTGRESQL, seen, True, "`flows up` starts it again")


def _is_needed(world: World) -> bool:
    """Whether the environment leaves any database to the one of this machine."""
    return not world.environment.get("DATABASE_URL") and not all(
        world.environment.get(domain.url_variable)
        for domain in (*DOMAINS, WEBHOOKS)
        if domain.has_postgres
    )


def _any_part_runs(world: World) -> bool:
    records = (ProcessRecord.read(world.paths.run / f"{name}.json") for name in PARTS)
    return any(record and record.process() for record in records)


def receiver(world: World) -> Iterator[Diagnosis]:
    """The receiver of this machine."""
    record = ProcessRecord.read(world.paths.run / "webhooks.json")
    if record is None or record.process() is None:
        return
    where = f"http://127.0.0.1:{record.port}"
    try:
        answer = httpx.get(f"{where}/readyz", timeout=SECONDS)
    except httpx.TransportError as error:
        kind = type(error).__name__
        seen = f"process {record.pid} runs and does not answer at {where} ({kind})"
        yield Diagnosis("receiver", seen, True, ANEW)
        return
    if answer.is_success:
        yield Diagnosis("receiver", f"{where} answers")
        return
    why = ", ".join(answer.text.splitlines())
    remedy = "`flows up` mends it; if it does not, what is told of the database of webhooks"
    yield Diagnosis("receiver", f"{where} is not ready: {why}", True, remedy)


def emulator(world: World) -> Iterator[Diagnosis]:
    """The BigQuery emulator that runs of this machine are told of."""
    record = ProcessRecord.read(world.paths.run / "worker.json")
    worker = record and record.process()
    if not worker:
        return
    try:
        told = worker.environ().get("BIGQUERY_EMULATOR_HOST")
    except psutil.Error:
        return
    if not told:
        return
    where = told if "://" in told else f"http://{told}"
    try:
        httpx.get(where, timeout=SECONDS)
    except httpx.TransportError:
        seen = f"{told}, which runs are told of, does not answer"
        yield Diagnosis("BigQuery emulator", seen, True, ANEW)
    else:
        yield Diagnosis("BigQuery emulator", f"{told} answers")


def events_put_aside(world: World) -> Iterator[Diagnosis]:
    """Events that the local server could not take in, four times over."""
    aside = [*(world.paths.prefect / "dlq").glob("*")]
    if not aside:
        return
    kinds = Counter(_event_of(file) for file in aside)
    last = datetime.fromtimestamp(max(file.stat().st_mtime for file in aside), UTC)
    yield Diagnosis(
        "events put aside",
        f"{len(aside)} that the local server could not take in, the last at {last:%F %H:%M} UTC: "
        "what they were to start did not start, and tasks may show a state that is not their last",
        True,
        f"Start by hand what waits, then remove {world.paths.prefect / 'dlq'}",
        [f"{count} of {name}" for name, count in kinds.most_common(KINDS_NAMED)],
    )


def _event_of(file: Path) -> str:
    try:
        return str(json.loads(json.loads(file.read_bytes())["data"])["event"])
    except (ValueError, KeyError, TypeError):
        return "a kind that cannot be read"


def ports(world: World) -> Iterator[Diagnosis]:
    """Ports."""
    for name, what in PARTS.items():
        record = ProcessRecord.read(world.paths.run / f"{name}.json")
        if record and record.port and record.process() is None and not is_free(record.port):
            yield Diagnosis(
                "ports",
                f"port {record.port}, which {what} had, is taken by {_listener(record.port)}",
                True,
                'Stop that, or `flows up`, which takes another, and `eval "$(flows env)"` anew',
            )


def dbt_packages(world: World) -> Iterator[Diagnosis]:
    """dbt packages."""
    for project in sorted((world.project / "dbt_projects").glob("*/packages.yml")):
        installed = project.parent / "dbt_packages"
        if not installed.exists():
            # A build installs them first.
            continue
        for each in read_yaml(project).get("packages") or []:
            local = each.get("local")
            source = (project.parent / local).resolve() if local else None
            named = read_yaml(source / "dbt_project.yml")["name"] if source else None
            if named and not (installed / named / "dbt_project.yml").exists():
                slug = project.parent.name
                yield Diagnosis(
                    "dbt packages",
                    f"{named} is missing in {installed}: macros of it are not found",
                    True,
                    f"`flows dbt {slug} deps`",
                )


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            is_it = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if is_it and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"
