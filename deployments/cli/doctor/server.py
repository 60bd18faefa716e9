"""The Prefect server: whether it is there, its pool and workers, its runs, its blocks."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

from blocks import CATALOGUE, BlockNeed, Kind, not_in_use
from deployments.apply.infrastructure import LIMIT_PREFIX, POOL_VARIABLE, WARM_POOL_VARIABLE
from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from deployments.local import applied
from deployments.local.api import is_healthy, lacking
from deployments.local.processes import ANEW, ProcessRecord
from deployments.local.server import told
from deployments.local.worker import NAME as WORKER
from deployments.local.worker import PREFORK
from flows._shared.errors import PermanentError

SECONDS = 5.0
WORKER_BEGINS_SECONDS = 120.0
LATE = timedelta(minutes=5)
PENDING = timedelta(minutes=15)
RUNNING = timedelta(hours=6)
NAMED = 5


def reachable(world: World) -> Iterator[Diagnosis]:
    """Prefect server."""
    if world.url is None:
        yield Diagnosis(
            "Prefect server",
            "none runs here, and PREFECT_API_URL names none",
            True,
            "`flows up`, or set PREFECT_API_URL",
        )
    elif lack := lacking(world.url):
        yield Diagnosis(
            "Prefect server",
            f"{world.url} is no address of an API: {lack}",
            True,
            "Correct PREFECT_API_URL: http://host:4200/api",
        )
    elif not is_healthy(world.url, SECONDS):
        yield Diagnosis(
            "Prefect server",
            f"{world.url} does not answer",
            True,
            "Start it (`flows up` for the local one), correct PREFECT_API_URL, or open the way",
        )
    else:
        try:
            world.api.call("GET", "admin/version")
        except PermanentError as error:
            yield Diagnosis(
                "Prefect server",
                f"{world.url} does not let us in ({error.seen[:100]})"
                + (f", by what is in {world.paths.sign_in}" if world.is_local else ""),
                True,
                ANEW if world.is_local else error.remedy,
            )
        else:
            where = world.url if world.is_local else told(world.url)
            yield Diagnosis("Prefect server", f"{where} answers")


def version(world: World) -> Iterator[Diagnosis]:
    """Prefect versions."""
    theirs, ours = str(world.api.call("GET", "admin/version")), metadata.version("prefect")
    if theirs == ours:
        yield Diagnosis("Prefect versions", f"{ours} here and there")
        return
    yield Diagnosis(
        "Prefect versions",
        f"the server is {theirs}, the client {ours}",
        True,
        f"Bring the server to {ours}, which requirements.lock has",
    )


def work_pools(world: World) -> Iterator[Diagnosis]:
    """Work pools."""
    for pool in world.pools:
        found = world.api.work_pool(pool)
        if found is None:
            yield Diagnosis(
                "work pool",
                f"the server has no pool {pool}",
                True,
                "`flows apply --pool-type process` (or prefork, kubernetes), or correct "
                f"{POOL_VARIABLE} or {WARM_POOL_VARIABLE}",
            )
            continue
        problems = [*_closed(pool, found, "work-pool", pool)]
        for queue in world.api.all(f"work_pools/{pool}/queues/filter"):
            name = queue["name"]
            problems += _closed(
                f"the queue {name} of {pool}", queue, "work-queue", f"{name} --pool {pool}"
            )
        yield from problems or [Diagnosis("work pool", f"{pool}, of type {found['type']}")]


def _closed(what: str, found: dict[str, Any], kind: str, named: str) -> Iterator[Diagnosis]:
    for is_so, seen, command in (
        (found.get("is_paused"), "is paused", "resume"),
        (
            found.get("concurrency_limit") == 0,
            "has the concurrency limit 0",
            "clear-concurrency-limit",
        ),
    ):
        if is_so:
            yield Diagnosis(
                "work pool",
                f"{what} {seen}: nothing takes its runs",
                True,
                f"`prefect {kind} {command} {named}`",
            )


def workers(world: World) -> Iterator[Diagnosis]:
    """Workers."""
    for pool in world.pools:
        if found := world.api.work_pool(pool):
            yield _worker(world, pool, str(found["type"]))


def _worker(world: World, pool: str, pool_type: str) -> Diagnosis:
    start = "python -m deployments.prefork" if pool_type == PREFORK else "prefect worker start"
    found = world.api.call("POST", f"work_pools/{pool}/workers/filter", {})
    # For a minute and more the server believes of a worker that ended that it polls.
    online = [str(each["name"]) for each in found if each.get("status") == "ONLINE"]
    own = ProcessRecord.read(world.paths.run / "worker.json")
    ended = own is not None and own.process() is None
    if world.is_local and ended:
        online = [name for name in online if name != WORKER]
    if online:
        seen = f"{', '.join(online[:NAMED])} polls {pool}"
        if ended and WORKER in online:
            seen += ", as the server believes; that of this machine has ended"
        return Diagnosis("worker", seen)
    if own and not ended and world.is_local and _is_young(own):
        return Diagnosis(
            "worker", f"process {own.pid} of {WORKER} runs and has not polled {pool} yet"
        )
    seen = f"no worker polls {pool}"
    if own and world.is_local:
        seen += f"; process {own.pid} of {WORKER} {'has ended' if ended else 'does not'}"
    elif found:
        seen += f"; {len(found)} did"
    return Diagnosis(
        "worker",
        seen,
        True,
        f"`flows up`, or `{start} --pool {pool}`; in a cluster, look at the worker's pod",
    )


def _is_young(worker: ProcessRecord) -> bool:
    return time.time() - worker.created < WORKER_BEGINS_SECONDS


def deleted(world: World) -> Iterator[Diagnosis]:
    """Deployments and automations."""
    if not world.is_local:
        return
    lacking = applied.lacking(applied.read(world.paths.run / applied.FILE), world.api)
    if lacking:
        seen = f"{len(lacking)} that `flows up` applied {'is' if len(lacking) == 1 else 'are'} gone"
        yield Diagnosis("deployments", seen, True, "`flows up` applies them again", lacking[:NAMED])


def late_runs(world: World) -> Iterator[Diagnosis]:
    """Late runs."""
    before = datetime.now(UTC) - LATE
    found = _runs(
        world,
        {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": before.isoformat()},
        },
    )
    late = [each for each in found if each["state_name"] != "AwaitingConcurrencySlot"]
    yield from _told(
        "late runs",
        late,
        f"should have begun over {LATE.seconds // 60} minutes ago",
        "See `worker` above; a run that is not wanted any more: `prefect flow-run cancel ID`",
    )


def stuck_runs(world: World) -> Iterator[Diagnosis]:
    """Stuck runs."""
    now = datetime.now(UTC)
    found = _runs(world, {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}})
    stuck = [
        each
        for each in found
        if now - datetime.fromisoformat(each["state"]["timestamp"])
        > (RUNNING if each["state_type"] == "RUNNING" else PENDING)
    ]
    yield from _told(
        "stuck runs",
        stuck,
        "have been in their state for too long",
        "Look at their logs and processes; what nothing works on: `prefect flow-run cancel ID`",
    )


def slots(world: World) -> Iterator[Diagnosis]:
    """Concurrency slots."""
    held = _held_by_deployments(world)
    leaked = []
    for each in world.api.all("v2/concurrency_limits/filter"):
        name, taken = str(each["name"]), int(each.get("active_slots") or 0)
        is_ours = name.startswith((LIMIT_PREFIX, "deployment:"))
        if is_ours and each.get("active") and taken > held.get(str(each["id"]), 0):
            leaked.append((name, taken - held.get(str(each["id"]), 0)))
    if not leaked:
        yield Diagnosis("concurrency slots", "each is held by a run")
    for name, count in leaked:
        yield Diagnosis(
            "concurrency slots",
            f"{count} of {name} are held by no run: what asks for one waits",
            True,
            f"`prefect global-concurrency-limit update {name} --active-slots 0`",
        )


def blocks(world: World) -> Iterator[Diagnosis]:
    """Blocks."""

    def is_registered(need: BlockNeed) -> bool:
        return world.api.has_block(need.kind.block_type, need.name)

    absent = not_in_use(is_registered)
    missing = [
        (slug, need)
        for slug, needs in CATALOGUE.items()
        for need in needs
        if slug not in absent and need.is_required and not is_registered(need)
    ]
    for slug, need in missing:
        yield Diagnosis(
            "blocks",
            f"{need.name} is not registered: {need.purpose}",
            True,
            f"Set {need.variable}, then `flows blocks register {slug}`",
        )
    if not missing:
        served = ", ".join(slug for slug in CATALOGUE if slug not in absent)
        yield Diagnosis("blocks", f"every one that {served} cannot do without is registered")
    if absent:
        yield Diagnosis("blocks", f"none of {', '.join(absent)}: this server does not serve them")


def receiver_secrets(world: World) -> Iterator[Diagnosis]:
    """Secrets of the receiver."""
    needs = [
        each
        for each in CATALOGUE["webhooks"]
        if each.kind is Kind.SECRET and each.name.endswith("-secrets")
    ]
    absent = [each for each in needs if not world.api.has_block(each.kind.block_type, each.name)]
    if len(absent) == len(needs):
        yield Diagnosis(
            "receiver",
            "no sender has a secret: every delivery is refused",
            True,
            f"Set {needs[0].variable} or another, then `flows blocks register webhooks`",
        )
        return
    known = ", ".join(each.name for each in needs if each not in absent)
    signed = f"takes what is signed with {known}"
    if not absent:
        yield Diagnosis("receiver", signed)
        return
    names = ", ".join(each.name for each in absent)
    own = f"set {absent[0].variable}, then `flows blocks register webhooks`"
    yield Diagnosis(
        "receiver",
        f"{signed}; {names} is not registered: what its sender posts is refused",
        # A receiver elsewhere may leave out the source.
        world.is_local,
        f"`flows up` registers one; for one of your own {own}"
        if world.is_local
        else f"If it is served, {own}; if not, the setting `enabled` of the receiver leaves it out",
    )


def _runs(world: World, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    pools = {"name": {"any_": list(world.pools)}}
    return world.api.all("flow_runs/filter", {"flow_runs": chosen, "work_pools": pools})


def _told(name: str, runs: list[dict[str, Any]], what: str, remedy: str) -> Iterator[Diagnosis]:
    if not runs:
        yield Diagnosis(name, "none")
        return
    details = [f"{each['name']} ({each['state_name']}): {each['id']}" for each in runs[:NAMED]]
    yield Diagnosis(name, f"{len(runs)} {what}", True, remedy, details)


def _held_by_deployments(world: World) -> dict[str, int]:
    """How many runs hold a slot of each limit, by its id."""
    limit_of = {}
    for each in world.api.all("deployments/filter"):
        limit = each.get("global_concurrency_limit") or {}
        if limit.get("id"):
            limit_of[each["id"]] = str(limit["id"])
    held: dict[str, int] = {}
    states = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
    for run in world.api.all("flow_runs/filter", {"flow_runs": states}):
        if limit := limit_of.get(run.get("deployment_id")):
            held[limit] = held.get(limit, 0) + 1
    return held
