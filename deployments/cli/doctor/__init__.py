"""What is wrong with a set-up: each diagnosis looks at one thing and changes nothing."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deployments.cli.doctor import databases, machine, outside, schedules, server, store
from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from flows._shared.errors import PlatformError

__all__ = ["World", "diagnose", "looked"]

Look = Callable[[World], Iterator[Diagnosis]]
OF_MACHINE: Sequence[Look] = (
    machine.python,
    machine.packages,
    machine.git,
    machine.access,
    machine.disk,
    machine.leftovers,
    machine.postgresql,
    machine.receiver,
    machine.emulator,
    machine.events_put_aside,
    machine.ports,
    machine.dbt_packages,
    store.duckdb_file,
)
OF_SERVER: Sequence[Look] = (
    server.version,
    server.work_pools,
    server.workers,
    server.deleted,
    schedules.planned_runs,
    server.late_runs,
    server.stuck_runs,
    server.slots,
    server.blocks,
    server.receiver_secrets,
    databases.databases,
)
OF_OUTSIDE: Sequence[Look] = (outside.github, outside.token)


def diagnose(world: World | None = None) -> Iterator[Diagnosis]:
    """Everything that is looked at; what needs the server only where it answers."""
    world = world or World.here()
    for look in OF_MACHINE:
        yield from looked(look, world)
    reached = list(looked(server.reachable, world))
    yield from reached
    world = replace(world, is_let_in=not any(each.is_problem for each in reached))
    for look in (*(OF_SERVER if world.is_let_in else ()), *OF_OUTSIDE):
        yield from looked(look, world)


def looked(look: Look, world: World) -> Iterator[Diagnosis]:
    """What one look finds. One that breaks off is a problem of its own and hides no other."""
    name = (look.__doc__ or look.__name__).splitlines()[0].rstrip(".")
    try:
        yield from look(world)
    except PlatformError as error:
        yield Diagnosis(name, f"{error.attempted}: {error.seen}", True, error.remedy)
    except Exception as error:  # noqa: BLE001  whatever it is, the other looks are told
        # Its text may hold what it choked on, such as a secret.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}:{frame.lineno}"
        remedy = "It is a fault of `flows doctor`: report it with what is named here"
        yield Diagnosis(name, f"looking broke off: {type(error).__name__} at {where}", True, remedy)
