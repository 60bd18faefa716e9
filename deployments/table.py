"""The table of deployments in ``docs/deployments.md``: print it, or write it there anew."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from deployments.apply.files import Declared, declared
from deployments.check.of_events import PENDING
from deployments.local.paths import PROJECT_ROOT
from flows._shared.orchestration.waiting_runs import is_topic

PAGE = PROJECT_ROOT / "docs" / "deployments.md"
BEGIN, END = "<!-- deployments -->\n", "<!-- end of deployments -->\n"


def table() -> str:
    """A row for each deployment: what it does, its pool, its schedules, what events start it."""
    head = ["| Deployment | What it does | Pool | Schedule | Started by |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(each) for each in declared())]) + "\n"


def page(text: str) -> str:
    """The page with the table of today."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def _row(deployment: Declared) -> str:
    config = deployment.config
    schedules = [_schedule(each) for each in config.get("schedules") or []]
    events = [" ".join(_event(each, config)) for each in config.get("triggers") or []]
    cells = [
        f"`{deployment.full_name}`",
        str(config["description"]),
        "warm" if deployment.is_warm else "pod",
        ", ".join(schedules) or "none",
        "; ".join(events) or "a person",
    ]
    return f"| {' | '.join(cells)} |"


def _schedule(schedule: Mapping[str, Any]) -> str:
    asleep = " (off)" if schedule.get("active") is False else ""
    return f"`{schedule['cron']}` {schedule['timezone']}{asleep}"


def _event(trigger: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    if trigger["expect"][0].endswith(PENDING):
        yield from _deliveries(tag for tag in config["tags"] if is_topic(tag))
        return
    related = trigger.get("match_related")
    if related:
        named = related["prefect.resource.name"]
        flows = [named] if isinstance(named, str) else named
        yield f"a completed run of {' or '.join(f'`{each}`' for each in flows)}"
        return
    wanted = trigger["match"]["prefect.resource.id"]
    resources = [wanted] if isinstance(wanted, str) else wanted
    kinds = [each.split(".", 2)[2] for each in resources]
    yield f"`{trigger['expect'][0]}`"
    yield "of any kind" if kinds == ["*"] else f"of {' or '.join(kinds)}"


def _deliveries(topics: Iterable[str]) -> Iterator[str]:
    kinds = [topic.partition(".")[2] for topic in topics]
    yield "deliveries"
    yield "of any kind" if kinds == ["*"] else f"of {' or '.join(kinds)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.table", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put it into {PAGE.name}")
    if parser.parse_args(arguments).write:
        PAGE.write_text(page(PAGE.read_text()))
    else:
        sys.stdout.write(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
