"""Makes telemetry in the official wire shape, with the mess of a real fleet, by size and seed.

Everything a source reads has a generator here: lines an OpenTelemetry Collector's file exporter
writes (one OTLP/JSON export request per line), commits in the shape of the post-commit hook, rows
of Copilot's per-user report.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101", "claude-haiku-4-5-20251001")
UNPRICED_MODEL = "claude-experimental-9"
PER_MILLION = {
    MODELS[0]: (3.0, 15.0, 0.30, 3.75),
    MODELS[1]: (5.0, 25.0, 0.50, 6.25),
    MODELS[2]: (1.0, 5.0, 0.10, 1.25),
}
TOKEN_TYPES = ("input", "output", "cacheRead", "cacheCreation")
DELTA, CUMULATIVE = 1, 2
EXPORT_SECONDS = 60
TRAILER = "\n\nCo-Authored-By: Claude <noreply@anthropic.com>"

Attributes = dict[str, object]


@dataclass(frozen=True)
class Developer:
    """How one developer's machine is set up."""

    number: int
    email: str
    account: str
    machine: str
    temporality: int
    sends_events: bool


@dataclass(frozen=True)
class Session:
    """One session: when, and the counted work of each minute in it.

    ``processes`` are stretches of minutes; the second one is a resume, after a pause, of the same
    session id in a new process, whose cumulative counters start from zero.
    """

    session_id: str
    developer: Developer
    models: tuple[str, ...]
    processes: tuple[tuple[datetime, int], ...]
    is_seen_by_collector_twice: bool

    @property
    def started_at(self) -> datetime:
        return self.processes[0][0]

    @property
    def ended_at(self) -> datetime:
        start, minutes = self.processes[-1]
        return start + timedelta(minutes=minutes)


def developers(count: int, seed: int = 0) -> list[Developer]:
    """Every third machine reports cumulative counters, every fifth sends no events."""
    return [
        Developer(
            number,
            f"dev{number}@work.example",
            _uuid(f"account-{seed}-{number}"),
            hashlib.sha256(f"{seed}-{number}".encode()).hexdigest(),
            CUMULATIVE if number % 3 == 2 else DELTA,
            number % 5 != 4,
        )
        for number in range(count)
    ]


def sessions(
    days: int, people: int, seed: int = 0, *, start: datetime = START, per_day: float = 2.0
) -> Iterator[Session]:
    """Sessions in order of their start day; some cross midnight, some are resumed a day later."""
    chance = random.Random(f"sessions-{seed}")
    staff = developers(people, seed)
    for day in range(days):
        for developer in staff:
            for number in range(int(per_day + chance.random())):
                began = start + timedelta(days=day, seconds=chance.randrange(0, 57_600))
                minutes = chance.randrange(5, 61)
                processes = [(began, minutes)]
                if chance.random() < 0.1:
                    pause = timedelta(hours=chance.choice((1, 26)))
                    processes.append((began + timedelta(minutes=minutes) + pause, 10))
                models = chance.sample(MODELS, 2) if chance.random() < 0.3 else [MODELS[0]]
                if chance.random() < 0.01:
                    models = [UNPRICED_MODEL]
                yield Session(
                    _uuid(f"session-{seed}-{day}-{developer.number}-{number}"),
                    developer,
                    tuple(models),
                    tuple(processes),
                    chance.random() < 0.05,
                )


def telemetry(
    days: int, people: int, seed: int = 0, *, start: datetime = START, per_day: float = 2.0
) -> Iterator[str]:
    """The collector's lines for those sessions: metrics and events, some of them sent twice."""
    for session in sessions(days, people, seed, start=start, per_day=per_day):
        lines = list(session_lines(session, seed))
        yield from lines
        if session.is_seen_by_collector_twice:
            yield from lines[: len(lines) // 2 + 1]


def session_lines(session: Session, seed: int = 0) -> Iterator[str]:
    """One line per export: each minute's metrics, and its events where events are sent."""
    chance = random.Random(f"{seed}-{session.session_id}")
    sequence = 0
    for number, (began, minutes) in enumerate(session.processes):
        totals: dict[tuple[str, str, str], float] = {}
        for minute in range(0, minutes, 2):
            since = began + timedelta(minutes=minute)
            until = since + timedelta(seconds=EXPORT_SECONDS)
            model = session.models[(minute // 2) % len(session.models)]
            usage = (
                chance.randrange(1, 400),
                chance.randrange(50, 1_500),
                chance.randrange(5_000, 60_000),
                chance.randrange(0, 4_000),
            )
            cost = list_cost(model, usage)
            counted = {
                ("claude_code.token.usage", model, kind): float(tokens)
                for kind, tokens in zip(TOKEN_TYPES, usage, strict=True)
            }
            counted["claude_code.cost.usage", model, ""] = cost
            counted["claude_code.active_time.total", "", "cli"] = 40.0
            counted["claude_code.lines_of_code.count", "", "added"] = float(chance.randrange(0, 30))
            if minute == 0:
                kind = "fresh" if number == 0 else "resume"
                counted["claude_code.session.count", "", kind] = 1.0
            if session.developer.temporality == CUMULATIVE:
                for key, value in counted.items():
                    totals[key] = totals.get(key, 0.0) + value
                yield metrics_line(session, totals, began, until)
            else:
                yield metrics_line(session, counted, since, until)
            if session.developer.sends_events:
                event = request_event(session, model, usage, cost, until, sequence)
                yield logs_line(session, [event])
                sequence += 1


def list_cost(model: str, usage: tuple[int, int, int, int]) -> float:
    """What the agent reports: the list price, or a guess of its own for a model without one."""
    prices = PER_MILLION.get(model, (2.0, 8.0, 0.2, 2.5))
    return sum(tokens * price for tokens, price in zip(usage, prices, strict=True)) / 1e6


def metrics_line(
    session: Session,
    counted: dict[tuple[str, str, str], float],
    since: datetime,
    until: datetime,
) -> str:
    """One ExportMetricsServiceRequest; ``counted`` is by metric, model and type."""
    metrics: dict[str, list[dict[str, object]]] = {}
    for (name, model, kind), value in counted.items():
        extra: Attributes = {"model": model} if model else {}
        if kind:
            extra["start_type" if name.endswith("session.count") else "type"] = kind
        metrics.setdefault(name, []).append(
            {
                "attributes": attributes({**standard(session), **extra}),
                "startTimeUnixNano": nanos(since),
                "timeUnixNano": nanos(until),
                "asDouble": value,
            }
        )
    listed = [
        {
            "name": name,
            "description": "",
            "unit": "",
            "sum": {
                "aggregationTemporality": session.developer.temporality,
                "isMonotonic": True,
                "dataPoints": points,
            },
        }
        for name, points in metrics.items()
    ]
    scope = {"name": "com.anthropic.claude_code", "version": "2.0.22"}
    body = {
        "resource": {"attributes": attributes(resource()), "droppedAttributesCount": 0},
        "scopeMetrics": [{"scope": scope, "metrics": listed}],
    }
    return json.dumps({"resourceMetrics": [body]}, separators=(",", ":"))


def logs_line(session: Session, events: list[tuple[datetime, str, Attributes]]) -> str:
    """One ExportLogsServiceRequest of events, each a time, a name and attributes."""
    records = [
        {
            "timeUnixNano": nanos(moment),
            "observedTimeUnixNano": nanos(moment),
            "body": {"stringValue": f"claude_code.{name}"},
            "attributes": attributes(
                {
                    **standard(session),
                    "event.name": name,
                    "event.timestamp": moment.isoformat(timespec="milliseconds"),
                    **extra,
                }
            ),
            "droppedAttributesCount": 0,
        }
        for moment, name, extra in events
    ]
    scope = {"name": "com.anthropic.claude_code.events", "version": "2.0.22"}
    body = {
        "resource": {"attributes": attributes(resource()), "droppedAttributesCount": 0},
        "scopeLogs": [{"scope": scope, "logRecords": records}],
    }
    return json.dumps({"resourceLogs": [body]}, separators=(",", ":"))


def request_event(
    session: Session,
    model: str,
    usage: tuple[int, int, int, int],
    cost: float,
    moment: datetime,
    sequence: int,
) -> tuple[datetime, str, Attributes]:
    return (
        moment,
        "api_request",
        {
            "event.sequence": sequence,
            "model": model,
            "input_tokens": str(usage[0]),
            "output_tokens": str(usage[1]),
            "cache_read_tokens": str(usage[2]),
            "cache_creation_tokens": str(usage[3]),
            "cost_usd": repr(cost),
            "duration_ms": "4200",
            "request_id": f"req_{session.session_id[:8]}_{sequence}",
        },
    )


def commits(
    days: int, people: int, seed: int = 0, *, start: datetime = START, per_day: float = 2.0
) -> Iterator[dict[str, object]]:
    """Commits as the hook sends them: by session id, by trailer, by time alone, and by hand."""
    chance = random.Random(f"commits-{seed}")
    for session in sessions(days, people, seed, start=start, per_day=per_day):
        kind = chance.random()
        for number in range(chance.choice((0, 1, 1, 3))):
            moment = session.ended_at + timedelta(seconds=chance.randrange(0, 240) + number)
            yield _commit(session, moment, f"{seed}-{session.session_id}-{number}", kind)
        if chance.random() < 0.4:
            moment = session.started_at - timedelta(hours=7)
            yield _commit(session, moment, f"{seed}-{session.session_id}-hand", 1.0)


def _commit(session: Session, moment: datetime, name: str, kind: float) -> dict[str, object]:
    chance = random.Random(name)
    person = session.developer
    home = f"{10_000 + person.number}+dev{person.number}@users.noreply.github.com"
    return {
        "commit_hash": hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(),
        "commit_message": "feat: change" + (TRAILER if kind < 0.5 else ""),
        "author_name": chance.choice((f"Dev {person.number}", f"dev{person.number}")),
        "author_email": chance.choice((person.email, person.email.title(), home)),
        "commit_timestamp": int(moment.timestamp()),
        "files_changed": chance.randrange(1, 9),
        "lines_added": chance.randrange(0, 400),
        "lines_deleted": chance.randrange(0, 200),
        "agent_assisted": False,
        "agent_session_id": session.session_id if 0.5 <= kind < 0.7 else None,
        "developer_id": person.email,
        "project_id": "example",
    }


def copilot_rows(
    days: int, people: int, seed: int = 0, *, start: datetime = START
) -> Iterator[dict[str, object]]:
    """Rows of the users-1-day report."""
    chance = random.Random(f"copilot-{seed}")
    for day in range(days):
        for number in range(0, people, 2):
            made = chance.randrange(0, 80)
            taken = int(made * chance.uniform(0.25, 0.45))
            yield {
                "report_start_day": (start + timedelta(days=day)).date().isoformat(),
                "day": (start + timedelta(days=day)).date().isoformat(),
                "organization_id": "1",
                "user_id": 1000 + number,
                "user_login": f"dev{number}",
                "user_initiated_interaction_count": made,
                "code_generation_activity_count": made + 5,
                "code_acceptance_activity_count": taken + 5,
                "loc_suggested_to_add_sum": made * 3,
                "loc_added_sum": taken * 3 + 900,
                "totals_by_feature": [
                    {
                        "feature": "code_completion",
                        "code_generation_activity_count": made,
                        "code_acceptance_activity_count": taken,
                        "loc_suggested_to_add_sum": made * 3,
                        "loc_added_sum": taken * 3,
                    },
                    {
                        "feature": "agent_edit",
                        "code_generation_activity_count": 5,
                        "code_acceptance_activity_count": 5,
                        "loc_suggested_to_add_sum": 0,
                        "loc_added_sum": 900,
                    },
                ],
                "totals_by_language_feature": [
                    {
                        "language": "python",
                        "feature": "code_completion",
                        "code_generation_activity_count": made,
                    }
                ],
            }


def standard(session: Session) -> Attributes:
    return {
        "user.id": session.developer.machine,
        "session.id": session.session_id,
        "organization.id": "8a2d0c1e-0000-4000-8000-000000000001",
        "user.email": session.developer.email,
        "user.account_uuid": session.developer.account,
        "terminal.type": "vscode",
    }


def resource() -> Attributes:
    return {
        "host.arch": "arm64",
        "os.type": "darwin",
        "os.version": "24.6.0",
        "service.name": "claude-code",
        "service.version": "2.0.22",
    }


def attributes(values: Attributes) -> list[dict[str, object]]:
    """OTLP's list of key and typed value; 64-bit integers are strings in its JSON."""
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


def nanos(moment: datetime) -> str:
    return f"{int(moment.timestamp() * 1_000_000)}000"


def _uuid(name: str) -> str:
    text = hashlib.sha256(name.encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"
