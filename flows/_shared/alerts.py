"""Which alerts to tell: one for each cause, once while it lasts, and a word when it is over.

Decisions only; time comes in as an argument. What is read and who is told: flows.report.alerting.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, time
from typing import Any, Literal
from zoneinfo import ZoneInfo

from flows._shared.counted import counted

Severity = Literal["warning", "error"]
# More causes than these of one domain at once are one message.
MOST_APART = 3
LISTED = 10


@dataclass(frozen=True)
class Cause:
    """Something that a person has to look at. ``key`` is the same for as long as it lasts."""

    key: str
    slug: str
    severity: Severity
    owner: str
    subject: str
    detail: str = ""
    rows: int | None = None
    sql: str = ""
    link: str = ""


@dataclass(frozen=True)
class Standing:
    """A cause that has been seen: since when, and when it was told; None while it is held back."""

    cause: Cause
    since: datetime
    told_at: datetime | None = None
    resolved_at: datetime | None = None

    def as_row(self) -> dict[str, Any]:
        moments = {"since": self.since, "told_at": self.told_at, "resolved_at": self.resolved_at}
        return {
            **asdict(self.cause),
            **{name: each.isoformat() if each else None for name, each in moments.items()},
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Standing":
        names = Cause.__dataclass_fields__
        moments = {
            name: datetime.fromisoformat(row[name]) if row.get(name) else None
            for name in ("told_at", "resolved_at")
        }
        since = datetime.fromisoformat(row["since"])
        return cls(Cause(**{name: row[name] for name in names}), since, **moments)


@dataclass(frozen=True)
class Step:
    """What to tell now, and what to remember for the next time."""

    opened: tuple[Standing, ...] = ()
    resolved: tuple[Standing, ...] = ()
    standing: tuple[Standing, ...] = field(default=())


def step(before: Sequence[Standing], found: Sequence[Cause], now: datetime, quiet: bool) -> Step:
    """From what was standing and what is found now.

    In quiet hours only errors are told; all else waits for their end. What is over before it was
    told is not told at all, a warning that became an error is told again.
    """
    known = {each.cause.key: each for each in before}
    causes = {each.key: each for each in found}
    opened, standing, resolved = [], [], []
    for key, cause in causes.items():
        was = known.get(key)
        each = Standing(cause, now) if was is None else replace(was, cause=cause, resolved_at=None)
        if was and was.cause.severity == "warning" and cause.severity == "error":
            each = replace(each, told_at=None)
        if each.told_at is None and _may_tell(cause, quiet):
            each = replace(each, told_at=now)
            opened.append(each)
        standing.append(each)
    for key, was in known.items():
        if key in causes or was.told_at is None:
            continue
        over = replace(was, resolved_at=was.resolved_at or now)
        if _may_tell(was.cause, quiet):
            resolved.append(over)
        else:
            standing.append(over)
    return Step(tuple(opened), tuple(resolved), tuple(standing))


def _may_tell(cause: Cause, quiet: bool) -> bool:
    return not quiet or cause.severity == "error"


def is_quiet(now: datetime, start: time | None, end: time | None, zone: str) -> bool:
    """Whether a moment lies from start to end by the clock of a zone, over midnight, too."""
    if start is None or end is None or start == end:
        return False
    clock = now.astimezone(ZoneInfo(zone)).time()
    return start <= clock < end if start < end else clock >= start or clock < end


def grouped(told: Sequence[Standing]) -> Iterator[tuple[Standing, ...]]:
    """Each by itself, or all of a domain together where they are many."""
    by_slug: dict[str, list[Standing]] = {}
    for each in told:
        by_slug.setdefault(each.cause.slug, []).append(each)
    for group in by_slug.values():
        if len(group) > MOST_APART:
            yield tuple(group)
        else:
            yield from ((each,) for each in group)


def summed_up(group: Sequence[Standing]) -> Cause:
    """One cause for several of a domain: the worst severity, the first of them by name."""
    first = group[0].cause
    if len(group) == 1:
        return first
    names = [each.cause.subject for each in group]
    more = len(names) - LISTED
    return Cause(
        key="\0".join(sorted(each.cause.key for each in group)),
        slug=first.slug,
        severity="error" if any(each.cause.severity == "error" for each in group) else "warning",
        owner=", ".join(sorted({each.cause.owner for each in group})),
        subject=f"{counted(len(group), 'thing')} in {first.slug}",
        detail="; ".join(names[:LISTED]) + (f"; and {more} more" if more > 0 else ""),
        link=first.link,
    )
