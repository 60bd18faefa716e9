"""A random fleet, counted by itself in Python: the marts agree, and every build is green."""

import csv
import random
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest

from flows.agent_analytics import raw, sample
from flows.agent_analytics.sample import CUMULATIVE, DELTA, Session
from tests.agent_analytics.fleet import Marts, Usage, commit, developer
from tests.parsed import PROJECTS

START = datetime(2026, 10, 20, tzinfo=UTC)
MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5", "claude-fable-5-1")
KINDS = ("input", "output", "cacheRead", "cacheCreation")
EXACT = Decimal("0.0001")


@dataclass
class Counted:
    """What a fleet costs in USD, by name of what."""

    sessions: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    days: dict[date, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    developers: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    models: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    commits: dict[str, Decimal] = field(default_factory=dict)
    spent: dict[tuple[str, date], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    milliseconds: int = 0

    def add(self, work: Session, moment: datetime, model: str, cost: Decimal) -> None:
        self.sessions[work.session_id] += cost
        self.days[moment.date()] += cost
        self.developers[work.developer.email] += cost
        self.models[model] += cost
        self.spent[work.developer.email, moment.date()] += cost


def prices() -> dict[str, tuple[Decimal, ...]]:
    """Of these models: input, output, cache read, write for five minutes, write for an hour."""
    path = PROJECTS / "agent_analytics/seeds/model_prices.csv"
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    with path.open() as file:
        return {
            row["model_prefix"]: tuple(Decimal(row[name]) for name in names)
            for row in csv.DictReader(file)
            if row["model_prefix"] in MODELS and not row["effective_to"]
        }


def fleet(sessions: int, seed: int) -> tuple[list[str], list[dict[str, object]], Counted]:
    """Telemetry, commits, and what they come to.

    Some sessions send events, some counters of either temporality, some both; times are of any
    millisecond; some writes to the cache are kept for an hour.
    """
    chance = random.Random(f"fleet-{seed}")
    listed = prices()
    lines: list[str] = []
    commits: list[dict[str, object]] = []
    counted = Counted()
    for number in range(sessions):
        began = START + timedelta(milliseconds=chance.randrange(25 * 86_400_000))
        by = developer(chance.randrange(sessions // 20 + 2), chance.choice((DELTA, CUMULATIVE)))
        work = Session(f"s{number}", by, MODELS, ((began, 1),), False)
        sends = chance.choice(("events", "counters", "both"))
        totals: dict[tuple[str, str, str], float] = defaultdict(float)
        moment = began
        for request in range(chance.randrange(1, 5)):
            moment = began if request == 0 else moment + timedelta(
                milliseconds=chance.randrange(1, 900_000)
            )  # fmt: skip
            model = chance.choice(MODELS)
            usage = (
                chance.randrange(4_000), chance.randrange(3_000), chance.randrange(70_000),
                chance.randrange(9_000),
            )  # fmt: skip
            rates = listed[model]
            write = rates[4] if sends != "counters" and chance.random() < 0.3 else rates[3]
            cost = sum(
                (tokens * rate for tokens, rate in zip(usage, (*rates[:3], write), strict=True)),
                Decimal(0),
            ) / 1_000_000  # fmt: skip
            counted.add(work, moment, model, cost)
            lines += exported(work, sends, model, usage, cost, moment, request, totals)
        counted.milliseconds += (moment - began) // timedelta(milliseconds=1)
        commits += shared_out(chance, work, moment, counted)
    return lines, commits, counted


def exported(
    work: Session,
    sends: str,
    model: str,
    usage: Usage,
    cost: Decimal,
    moment: datetime,
    number: int,
    totals: dict[tuple[str, str, str], float],
) -> list[str]:
    lines = []
    if sends != "counters":
        event = sample.request_event(work, model, usage, float(cost), moment, number)
        lines.append(sample.logs_line(work, [event]))
    if sends != "events":
        new = {
            ("claude_code.token.usage", model, kind): float(tokens)
            for kind, tokens in zip(KINDS, usage, strict=True)
        }
        new["claude_code.cost.usage", model, ""] = float(cost)
        for key, value in new.items():
            totals[key] += value
        told = totals if work.developer.temporality == CUMULATIVE else new
        since = work.started_at - timedelta(minutes=1)
        lines.append(sample.metrics_line(work, {key: told[key] for key in new}, since, moment))
    return lines


def shared_out(
    chance: random.Random, work: Session, moment: datetime, counted: Counted
) -> list[dict[str, object]]:
    """Commits of a session, by lines changed; of some sessions none."""
    rows = []
    lines = [chance.randrange(1, 400) for _ in range(chance.choice((0, 1, 3)))]
    for added in lines:
        name = len(counted.commits) + 1
        row = commit(
            name, moment, agent_session_id=work.session_id, lines_added=added, lines_deleted=0,
            developer_id=work.developer.email, author_email=work.developer.email,
        )  # fmt: skip
        counted.commits[str(row["commit_hash"])] = (
            counted.sessions[work.session_id] * added / sum(lines)
        )
        rows.append(row)
    return rows


WAYS = {
    "sessions": "select session_id, session_cost_usd from intermediate.int_sessions_with_costs",
    "days": "select date, sum(total_cost_usd) from mart.fct_daily_agent_usage "
    "where total_cost_usd is not null group by date",
    "developers": "select developer_id, sum(daily_cost_usd) from mart.fct_agent_costs group by 1",
    "models": "select model_name, sum(total_cost_usd) from mart.fct_daily_agent_usage "
    "where total_cost_usd is not null group by 1",
    "commits": "select commit_hash, cost_usd from mart.fct_git_commits",
}
SEEDS = [
    pytest.param(80, 0, id="80 sessions"),
    *(
        pytest.param(1_000, seed, marks=pytest.mark.exhaustive, id=f"1000 sessions, seed {seed}")
        for seed in range(10)
    ),
]


@pytest.mark.parametrize(("sessions", "seed"), SEEDS)
def test_every_total_of_a_random_fleet_is_right_to_the_cent(
    tmp_path: Path, sessions: int, seed: int, is_exhaustive: bool
) -> None:
    lines, commits, counted = fleet(sessions, seed)
    marts = Marts(raw.Store(tmp_path / "marts.duckdb"), tmp_path)
    marts.load(lines, commits)
    if is_exhaustive:
        marts.build()
    else:
        marts.run()
    for way, query in WAYS.items():
        wanted = getattr(counted, way)
        seen = {name: Decimal(str(cost)) for name, cost in marts.query(query)}
        assert seen.keys() == wanted.keys(), way
        wrong = {
            name: (cost, wanted[name])
            for name, cost in seen.items()
            if abs(cost - wanted[name]) > EXACT
        }
        assert not wrong, way
    assert_windows_and_forecasts(marts, counted)
    seconds = marts.one("select sum(total_duration_seconds) from mart.fct_daily_agent_usage")
    assert round(seconds * 1000) == counted.milliseconds


def assert_windows_and_forecasts(marts: Marts, counted: Counted) -> None:
    """Every running sum, mean, period and forecast, from what each developer spent on each day."""
    last = max(counted.days)
    series = {
        who: [
            float(counted.spent.get((who, day), 0))
            for day in days_between(min(d for w, d in counted.spent if w == who), last)
        ]
        for who in counted.developers
    }
    windows: dict[tuple[object, ...], tuple[float, ...]] = {}
    for who, spent in series.items():
        for place in range(len(spent)):
            day = last - timedelta(days=len(spent) - 1 - place)
            windows[who, day] = (
                spent[place],
                sum(spent[max(0, place - day.weekday()) : place + 1]),
                sum(spent[max(0, place - day.day + 1) : place + 1]),
                mean(spent[max(0, place - 6) : place + 1]),
                mean(spent[max(0, place - 29) : place + 1]),
                sum(spent[: place + 1]),
            )
    assert_close(
        marts,
        "select developer_id, date, daily_cost_usd, wtd_cost_usd, mtd_cost_usd, avg_7day_cost_usd, "
        "avg_30day_cost_usd, cumulative_cost_usd from mart.fct_agent_costs",
        windows,
    )
    periods: dict[tuple[object, ...], float] = defaultdict(float)
    for (who, day), cost in counted.spent.items():
        week = day - timedelta(days=day.weekday())
        for kind, start in (("day", day), ("week", week), ("month", day.replace(day=1))):
            periods[kind, start, who] += float(cost)
    assert_close(
        marts,
        "select period_type, period_start, developer_id, sum(total_cost_usd) "
        "from mart.fct_agent_cost_periods where total_cost_usd is not null group by 1, 2, 3",
        {key: (cost,) for key, cost in periods.items()},
    )
    together = [
        sum(spent[place - length] for spent in series.values() if length - place <= len(spent))
        for length in [max(map(len, series.values()))]
        for place in range(length)
    ]
    days_left = monthrange(last.year, last.month)[1] - last.day
    forecasts: dict[tuple[object, ...], tuple[float | None, ...]] = {}
    for who, spent in [*series.items(), ("all", together)]:
        recent, to_date = spent[-28:], sum(spent[-last.day :])
        expected = to_date + days_left * mean(recent)
        width = (
            1.2816 * stdev(recent) * sqrt(days_left + days_left**2 / len(recent))
            if len(recent) > 1
            else None
        )
        forecasts[who,] = (
            to_date,
            expected,
            to_date if width is None else max(to_date, expected - width),
            None if width is None else expected + width,
        )
    assert_close(
        marts,
        "select developer_id, month_to_date_cost_usd, forecast_cost_usd, forecast_low_usd, "
        "forecast_high_usd from mart.fct_cost_forecast",
        forecasts,
    )


def days_between(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def assert_close(
    marts: Marts, query: str, wanted: Mapping[tuple[object, ...], Sequence[float | None]]
) -> None:
    length = len(next(iter(wanted)))
    seen = {tuple(row[:length]): row[length:] for row in marts.query(query)}
    assert seen.keys() == wanted.keys()
    pairs = [
        (key, one, other)
        for key in wanted
        for one, other in zip(seen[key], wanted[key], strict=True)
    ]
    assert [key for key, one, other in pairs if (one is None) != (other is None)] == []
    difference = max(
        abs(float(one) - other) for _, one, other in pairs if one is not None and other is not None
    )
    print(f"{query.split(' from ')[1].split()[0]}: {len(seen):,} rows, {difference:.2g} USD")
    assert difference < EXACT
