"""Schedules of the Prefect server: whether runs are planned for their next dates."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.cli.doctor.world import World
from deployments.cli.told import Diagnosis
from deployments.local.processes import ProcessRecord

NAME = "schedules"
# How often a server has looked at schedules before it is believed to plan nothing: once a minute,
# if its settings say no other pace.
LOOKS = 5
NAMED = 5


def planned_runs(world: World) -> Iterator[Diagnosis]:
    """Schedules."""
    pools = {"name": {"any_": list(world.pools)}}
    active = [
        (deployment, schedule)
        for deployment in world.api.all("deployments/filter", {"work_pools": pools})
        if not deployment["paused"]
        for schedule in deployment["schedules"]
        if schedule["active"]
    ]
    if not active:
        yield Diagnosis(NAME, "none is active")
        return
    now, began = datetime.now(UTC), server_began(world)
    settings = world.api.find("admin/settings") or {}
    plan = Plan(settings.get("server", {}).get("services", {}).get("scheduler", {}), now)
    known = [each for each in active if plan.has_looked_at(each[1], began)]
    coming = {"expected_start_time": {"after_": now.isoformat()}}
    runs = world.api.all("flow_runs/filter", {"flow_runs": coming, "work_pools": pools})
    # One that was cancelled, or began before its time, was planned, too.
    planned = Counter(str((run.get("created_by") or {}).get("id")) for run in runs)
    without = [
        f"{deployment['name']}, schedule {schedule.get('slug') or schedule['id']}: {lack}"
        for deployment, schedule in known
        if (lack := plan.lack(schedule["schedule"], planned[str(schedule["id"])]))
    ]
    if not without:
        young = len(active) - len(known)
        seen = f"runs are planned for the {len(active)} that are active"
        yield Diagnosis(NAME, seen + (f", of which {young} may still wait" if young else ""))
        return
    yield Diagnosis(
        NAME,
        f"the server does not plan the runs of {len(without)} of {len(active)} that are active"
        + ("" if plan.is_on else ": PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED is off there"),
        True,
        _remedy(world),
        without[:NAMED],
    )


class Plan:
    """What a server must have planned, by its settings, as it looked some times ago."""

    def __init__(self, settings: Mapping[str, Any], now: datetime) -> None:
        from prefect.settings.models.server.services import ServerServicesSchedulerSettings

        self._settings = ServerServicesSchedulerSettings.model_validate(dict(settings))
        self._now = now
        self._since = now - LOOKS * timedelta(seconds=self._settings.loop_seconds)

    @property
    def is_on(self) -> bool:
        return self._settings.enabled

    def has_looked_at(self, schedule: Mapping[str, Any], server_began: datetime) -> bool:
        """Whether there was time for it since the schedule changed and the server began."""
        return max(datetime.fromisoformat(schedule["updated"]), server_began) < self._since

    def lack(self, schedule: Mapping[str, Any], planned: int) -> str | None:
        """What is missing of the runs of a schedule, of which so many are planned."""
        try:
            dates = self._dates(schedule)
        except Exception as error:  # noqa: BLE001  whatever the server can make no dates of, either
            return f"no date comes of it ({type(error).__name__})"
        if planned >= len(dates):
            return None
        return f"{planned} of the next {len(dates)}, the first due {dates[0]:%Y-%m-%d %H:%M %Z}"

    def _dates(self, schedule: Mapping[str, Any]) -> list[datetime]:
        from prefect.server.schemas.schedules import SCHEDULE_TYPES
        from pydantic import TypeAdapter

        own, since = self._settings, self._since
        known: Any = TypeAdapter(SCHEDULE_TYPES).validate_python(dict(schedule))
        until = since + own.max_scheduled_time
        dates = list(asyncio.run(known.get_dates(n=own.max_runs, start=since, end=until)))
        near = sum(each < since + own.min_scheduled_time for each in dates)
        return [each for each in dates[: max(own.min_runs, near + 1)] if each > self._now]


def server_began(world: World) -> datetime:
    """When the local server began; of another nobody tells."""
    record = ProcessRecord.read(world.paths.run / "server.json") if world.is_local else None
    return datetime.fromtimestamp(record.created if record else 0, UTC)


def _remedy(world: World) -> str:
    told = (
        "says why, at `schedule_deployments` or `Error scheduling`. Where that is about a module, "
        "its packages are not those of requirements.lock: install them and start it again"
    )
    if world.is_local:
        return f"The server's log ({world.paths.run / 'server.log'}) {told}"
    return f"Its log {told}. If it has only just begun, look again first"
