"""The invented facilities and service lines: a story by month, of which a run shows a year."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flows.quality_compass.rules import statistics as formulas
from flows.quality_compass.rules.reading import run_time

SERVICE_LINES = (
    "Cardiology",
    "Neurosurgery",
    "Orthopedics",
    "Oncology",
    "Otolaryngology",
    "Trauma",
    "Urology",
    "Vascular Surgery",
)
SYSTEMS = ("NORTHWIND_HEALTH", "LAKESHORE_CARE", "SUMMIT_MEDICAL", "HARBOR_ALLIANCE")
WINDOW_MONTHS = 12
STORY_BEGINS = date(2023, 1, 1)
SERVICE_LINE = "vizientServiceLine"
FACILITY = "medicareId"


@dataclass(frozen=True)
class Entity:
    """One facility, or one service line of it, over the months of a run's window."""

    keys: tuple[tuple[str, str], ...]
    system: str
    values: tuple[float | None, ...]
    encounters: tuple[int, ...]

    @property
    def weight(self) -> int:
        return sum(
            encounters
            for encounters, value in zip(self.encounters, self.values, strict=True)
            if value is not None
        )

    @property
    def value(self) -> float | None:
        observed = [
            (value, encounters)
            for value, encounters in zip(self.values, self.encounters, strict=True)
            if value is not None
        ]
        return formulas.weighted_mean([value for value, _ in observed], [w for _, w in observed])


def facility_id(number: int) -> str:
    """A CCN: two digits of the state and four of the facility, most with a leading zero."""
    return f"{number % 50 + 1:02d}{number // 50 + 1:04d}"


def window(run_id: str) -> tuple[str, ...]:
    """The twelve months before the run's own, as ``YYYYMM``."""
    day = run_time(run_id)
    last = day.year * 12 + day.month - 2
    return tuple(
        f"{month // 12:04d}{month % 12 + 1:02d}"
        for month in range(last - WINDOW_MONTHS + 1, last + 1)
    )


def service_line_entities(
    metric: str, facilities: int, seed: int, months: Sequence[str], service_lines: Sequence[str]
) -> Iterator[Entity]:
    first = (int(months[0][:4]) - STORY_BEGINS.year) * 12 + int(months[0][4:]) - STORY_BEGINS.month
    for number in range(facilities):
        facility = random.Random(f"{seed}-{metric}-{number}")
        level, drift = facility.gauss(1.05, 0.12), facility.gauss(0, 0.004)
        system = SYSTEMS[number % len(SYSTEMS)]
        for line in service_lines:
            chance = random.Random(f"{seed}-{metric}-{number}-{line}")
            if chance.random() < 0.05:
                continue
            own = level + chance.gauss(0, 0.06)
            pace = drift + chance.gauss(0, 0.003)
            volume = chance.randint(20, 900)
            is_young = chance.random() < 0.04
            story: list[tuple[float | None, int]] = []
            for month in range(first + len(months)):
                value = round(max(0.2, own + pace * (month - 18) + chance.gauss(0, 0.05)), 6)
                is_missing = chance.random() < 0.02 or (is_young and month < first + 10)
                encounters = max(1, int(volume * chance.uniform(0.7, 1.3)))
                story.append((None, 0) if is_missing else (value, encounters))
            shown = story[first:]
            keys = ((FACILITY, facility_id(number)), (SERVICE_LINE, line))
            yield Entity(keys, system, tuple(v for v, _ in shown), tuple(e for _, e in shown))


def by_facility(lines: Sequence[Entity]) -> Iterator[list[Entity]]:
    group: list[Entity] = []
    for entity in lines:
        if group and group[0].keys[0] != entity.keys[0]:
            yield group
            group = []
        group.append(entity)
    if group:
        yield group


def facility_of(lines: Sequence[Entity]) -> Entity:
    """A facility's month is the weighted mean of its service lines' month."""
    values: list[float | None] = []
    encounters: list[int] = []
    for at in range(len(lines[0].values)):
        present = [line for line in lines if line.values[at] is not None]
        numbers = [value for line in present if (value := line.values[at]) is not None]
        values.append(formulas.weighted_mean(numbers, [line.encounters[at] for line in present]))
        encounters.append(sum(line.encounters[at] for line in present))
    return Entity(lines[0].keys[:1], lines[0].system, tuple(values), tuple(encounters))


def facets_of(entities: Sequence[Entity]) -> Mapping[tuple[tuple[str, str], ...], list[Entity]]:
    facets: dict[tuple[tuple[str, str], ...], list[Entity]] = {}
    for entity in entities:
        facets.setdefault(entity.keys[1:], []).append(entity)
    return facets


def as_line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"
