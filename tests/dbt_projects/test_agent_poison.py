"""Telemetry, commits and reports that a sender can write and that must stop nobody else's marts."""

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows._shared.json_letters import whole_letters
from flows.agent_analytics import raw, sample, sync
from flows.agent_analytics.sample import CUMULATIVE, Session
from tests.agent_analytics.fleet import Marts, commit, developer, request, session, tokens
from tests.dbt_projects.poison import Told, assert_each_is_named, assert_nobody_is_stopped

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)
GOOD_SESSIONS = 12
LONG = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=100_000))
ODD_TEXTS = {"a long text": LONG, "NUL": "a\0b", "lines": "a\nb\r\u2028c", "quotes": '\'"\\{}$."x'}
LARGEST = 2_147_483_647


@dataclass(frozen=True)
class Poison:
    """``content`` of one sender; ``reason`` why it is put aside, without one it is loaded."""

    content: Any
    reason: str = ""


def changed_event(number: int, **changes: object) -> dict[str, Any]:
    work = sender(number)
    moment, name, attributes = sample.request_event(
        work, sample.MODELS[0], (1, 2, 3, 4), 0.5, DAY, 0
    )
    line = sample.logs_line(work, [(moment, name, {**attributes, **changes})])
    return dict(json.loads(line))


def sender(number: int) -> Session:
    return session(f"poison {number}", DAY, by=developer(1000 + number))


def record(content: dict[str, Any]) -> dict[str, Any]:
    return dict(content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0])


def with_record(number: int, **changes: object) -> dict[str, Any]:
    content = changed_event(number)
    content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].update(changes)
    return content


def with_attributes(number: int, *more: dict[str, Any]) -> dict[str, Any]:
    content = changed_event(number)
    content["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] += more
    return content


def counted(number: int, name: str, value: object, **changes: object) -> dict[str, Any]:
    work = sender(number)
    points = {(name, sample.MODELS[0], "input"): 1.0}
    line = sample.metrics_line(work, points, DAY, DAY + timedelta(minutes=1))
    content = dict(json.loads(line))
    (metric,) = content["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    (point,) = metric["sum"]["dataPoints"]
    for each in ("asDouble", "asInt"):
        point.pop(each, None)
    point["asDouble"] = value
    point.update(changes)
    return content


TOKENS, COST = "claude_code.token.usage", "claude_code.cost.usage"
LINES, ACTIVE = "claude_code.lines_of_code.count", "claude_code.active_time.total"
COUNT = "count of tokens"
CLOCK = "the clock of the sender"
# What a line of a collector's file, and the JSON of a request, can hold.
JSON: dict[str, Callable[[int], Poison]] = {
    "infinite tokens": lambda n: Poison(changed_event(n, input_tokens="inf"), COUNT),
    "tokens below zero": lambda n: Poison(changed_event(n, output_tokens=-5), COUNT),
    "a cost beyond all": lambda n: Poison(changed_event(n, cost_usd="1e300"), "a cost"),
    "a clock of 2099": lambda n: Poison(
        with_record(n, timeUnixNano=str(4_070_908_800 * 10**9)), CLOCK
    ),
    "a clock below zero": lambda n: Poison(with_record(n, timeUnixNano="-5"), CLOCK),
    "a clock of 2262": lambda n: Poison(with_record(n, timeUnixNano=str(2**63 - 1)), CLOCK),
    "a counter of tokens beyond all": lambda n: Poison(counted(n, TOKENS, 1e12), "a count or cost"),
    "a counter below zero": lambda n: Poison(counted(n, COST, -1.0), "a count or cost"),
    "a counter that is no number": lambda n: Poison(counted(n, LINES, "NaN"), "without a number"),
    "lines beyond all": lambda n: Poison(counted(n, LINES, 1e308)),
    "more lines beyond all": lambda n: Poison(counted(n, LINES, -1.7e308)),
    "active for longer than the world": lambda n: Poison(counted(n, ACTIVE, 1e300)),
    "counted since 1970": lambda n: Poison(counted(n, TOKENS, 5.0, startTimeUnixNano="1")),
    "counted since a time to come": lambda n: Poison(
        counted(n, TOKENS, 5.0, startTimeUnixNano=str(4_070_908_800 * 10**9))
    ),
    "a session of six years": lambda n: Poison(
        with_record(n, timeUnixNano=str(1_577_923_200 * 10**9))
    ),
    "an attribute twenty thousand times": lambda n: Poison(
        with_attributes(n, *[{"key": "x", "value": {"stringValue": "y"}}] * 20_000)
    ),
    "an attribute without a value": lambda n: Poison(
        with_attributes(n, {"key": "input_tokens"}, {"value": {"intValue": "7"}}, {})
    ),
    "lists in lists": lambda n: Poison(with_attributes(n, {"key": "x", "value": nested(38)})),
    "lists in too many lists": lambda n: Poison(
        with_attributes(n, {"key": "x", "value": nested(60)}), "nested too deep"
    ),
    "half a letter": lambda n: Poison(changed_event(n, tool_name="\ud800")),
    "half a letter as a name": lambda n: Poison(with_record(n, eventName="\udfff")),
    "a day of many durations": lambda n: Poison(changed_event(n, duration_ms="1e400")),
    "a tier that is none": lambda n: Poison(changed_event(n, speed=LONG, service_tier="\t")),
    "the name of everyone": lambda n: Poison(changed_event(n, **{"user.email": "all"})),
    "a commit that is none": lambda n: Poison(
        changed_event(n, **{"event.name": "tool_result", "tool_parameters": LONG, "success": "x"})
    ),
}


def odd_text(key: str, text: str) -> Callable[[int], Poison]:
    return lambda number: Poison(changed_event(number, **{key: text}))


JSON |= {
    f"{what} as {name}": odd_text(key, text)
    for key, name in (
        ("session.id", "session"), ("user.email", "developer"), ("model", "model"),
        ("event.name", "event"), ("agent_type", "agent"), ("request_id", "request"),
    )
    for what, text in ODD_TEXTS.items()
}  # fmt: skip


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


# By the name of a file: what it holds.
FILES: dict[str, Poison] = {
    "metrics-cut.pb": Poison(b"\x0a\xff\x01x", "not that protobuf message"),
    "logs-words.pb": Poison(b"\x0a\x05\x12\x03\x12\x01\xff", "not that protobuf message"),
    "telemetry.pb": Poison(b"\x0a\x00", "does not say whether"),
    "logs.pb.gz": Poison(b"\x1f\x8b", "gzip stream is broken"),
    "words.jsonl": Poison(b"words\n", "not JSON"),
    "a list.jsonl": Poison(b"[]\n", "not a JSON object"),
    "traces.jsonl": Poison(b'{"resourceSpans":[]}\n', "neither resourceMetrics"),
    "other letters.jsonl": Poison(b'{"resourceLogs":[{"a":"\xff\xfe"}]}\n', "not"),
    "deep.jsonl": Poison(b'{"resourceLogs":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n", "not"),
    "cut.jsonl.gz": Poison(b"\x1f\x8b\x08\0\0\0\0\0\0\x03x", "gzip stream is broken"),
}
COMMITS: dict[str, tuple[dict[str, object], str]] = {
    "the most lines": ({"lines_added": 10**9, "lines_deleted": 10**9}, ""),
    "the most lines again": ({"lines_added": 10**9, "lines_deleted": 10**9}, ""),
    "more lines than fit": ({"lines_added": LARGEST, "lines_deleted": LARGEST}, "more files"),
    "more lines than that": ({"lines_added": LARGEST + 1}, "lines_added is not a count"),
    "lines without end": ({"lines_added": float("inf")}, "not such a row"),
    "the year 1": ({"commit_timestamp": "0001-01-01T00:00:00"}, "a time before"),
    "the year 9999": ({"commit_timestamp": "9999-12-31T23:59:59"}, CLOCK),
    "before the calendar": ({"commit_timestamp": "0001-01-01T00:00:00+14:00"}, "not such a row"),
    "a time without end": ({"commit_timestamp": float("inf")}, "not such a row"),
    "half a letter": ({"commit_message": "\ud800"}, "not"),
    "half a letter of an author": ({"author_email": "\ud800@work.example"}, "not"),
    "NUL": ({"commit_message": "a\0b", "author_email": "a\0@work.example", "agent_type": "\0"}, ""),
    "a long message": ({"commit_message": f"{LONG}\n\nCo-Authored-By: {LONG}"}, ""),
    "names of another kind": ({"developer_id": {"a": 1}, "agent_type": [1], "project_id": 7}, ""),
    "a session that is none": ({"agent_session_id": LONG, "developer_id": LONG}, ""),
}
REPORTS: dict[str, tuple[dict[str, object], str]] = {
    "the year 1": ({"day": "0001-01-01"}, "a time before"),
    "the year 9999": ({"day": "9999-12-31"}, CLOCK),
    "half a letter": ({"user_login": "\ud800"}, "not"),
    "half a letter of a language": (
        {"totals_by_language_feature": [
            {"feature": "code_completion", "language": "\udfff"}
        ]}, "not",
    ),
    "a long name": ({"user_login": LONG}, ""),
    "NUL": ({"user_login": "a\0b"}, ""),
    "no object of parts": ({"totals_by_feature": [1]}, "not such a row"),
    "credits without end": ({"ai_credits_used": 1e400}, "no number"),
    "the most of everything": (
        {"totals_by_feature": [
            {"feature": "code_completion", "code_generation_activity_count": LARGEST,
             "code_acceptance_activity_count": LARGEST, "loc_suggested_to_add_sum": LARGEST,
             "loc_added_sum": LARGEST}
        ]}, "",
    ),
    "accepted more than offered": (
        {"totals_by_feature": [
            {"feature": "code_completion", "code_generation_activity_count": 1,
             "code_acceptance_activity_count": 5, "loc_suggested_to_add_sum": 1,
             "loc_added_sum": 7}
        ]}, "",
    ),
}  # fmt: skip

IMPLAUSIBLE = {CLOCK, "a time before", "more files"}


def report(number: int) -> dict[str, object]:
    return {**next(sample.copilot_rows(1, 1, number)), "user_login": f"reported{number}"}


def good() -> list[str]:
    return [
        request(session(f"good {n}", DAY + timedelta(hours=n), by=developer(n)), 1, (7, 5, 3, 1))
        for n in range(GOOD_SESSIONS)
    ]


EXTREMES = datetime(2026, 3, 2, tzinfo=UTC)
MUCH = 9e10


def extremes() -> tuple[list[str], list[dict[str, object]]]:
    """Sessions of tenths of a second, and one with the largest counts and many commits."""
    million = (1_000_000, 0, 0, 0)
    by = developer(900)
    lines = []
    for number, tenths in enumerate((1, 1, 1, 2, 3)):
        work = session(f"short {number}", EXTREMES + timedelta(days=number // 3), by=by)
        lines += [request(work, 0, million), request(work, tenths / 600, million, number=1)]
    much = session("much", EXTREMES + timedelta(days=5), by=developer(901, CUMULATIVE))
    counts = {"input": MUCH, "output": MUCH}
    lines += [tokens(much, counts, 0, 1, f"claude-opus-4-5@{number}") for number in range(200)]
    lines.append(request(session("small", much.started_at, by=by), 0, (1, 0, 0, 0)))
    commits = [
        commit(
            1_000 + number, much.ended_at, agent_session_id="much", lines_added=number,
            developer_id="dev901@work.example", author_email="dev901@work.example",
        )
        for number in range(1, 30)
    ]  # fmt: skip
    return lines, commits


def as_protobuf(content: dict[str, Any]) -> tuple[str, bytes]:
    is_logs = "resourceLogs" in content
    message: Message = ExportLogsServiceRequest() if is_logs else ExportMetricsServiceRequest()
    # Protobuf has no half letters: a sender of them has put the sign for none there before.
    ParseDict(json.loads(whole_letters(json.dumps(content).encode())), message)
    return ("logs" if is_logs else "metrics"), message.SerializeToString()


def write(folder: Path) -> dict[str, Told]:
    """Every row in files of its own; what is expected to be told of each that is put aside."""
    for name in ("telemetry", "commits", "reports"):
        (folder / name).mkdir(parents=True)
    telemetry = folder / "telemetry"
    (telemetry / "good.jsonl").write_text("".join(f"{line}\n" for line in good()))
    lines, commits = extremes()
    (telemetry / "extremes.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "commits/extremes.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in commits)
    )
    expected = {}
    for number, (name, make) in enumerate(JSON.items()):
        poison = make(number)
        path = telemetry / f"{number}.jsonl"
        path.write_text(f"{json.dumps(poison.content)}\n")
        if poison.reason:
            by = f"from dev{1000 + number}@work.example"
            expected[name] = Told(
                path.name if poison.reason.startswith("not") else by, poison.reason
            )
            continue
        signal, body = as_protobuf(poison.content)
        (telemetry / f"{number}-{signal}.pb").write_bytes(body)
    for name, poison in FILES.items():
        (telemetry / name).write_bytes(poison.content)
        expected[name] = Told(name, poison.reason)
    for kind, rows, one, key in (
        ("commits", COMMITS, lambda n: commit(n, DAY), "commit_hash"),
        ("reports", REPORTS, report, "user_login"),
    ):
        written = [json.dumps(one(1))]
        for number, (name, (changes, reason)) in enumerate(rows.items(), 2):
            row = one(number)
            written.append(json.dumps({**row, **changes}))
            if reason:
                by = f"line {number}:" if reason not in IMPLAUSIBLE else str(row[key])
                expected[f"{kind}: {name}"] = Told(by, reason)
        (folder / kind / f"{kind}.jsonl").write_text("".join(f"{row}\n" for row in written))
    return expected


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Marts, dict[str, Told]]:
    """Marts that are built of all of it, and what is expected to be told."""
    folder = tmp_path_factory.mktemp("poison")
    expected = write(folder)
    store = raw.Store(folder / "marts.duckdb")
    sync.load_telemetry(store, [str(folder / "telemetry")], 1_000_000)
    sync.load_commits(store, [str(folder / "commits")], [])
    sync.load_copilot(store, sync.copilot_files([str(folder / "reports")]))
    marts = Marts(store, folder)
    assert_nobody_is_stopped(marts.dbt("build", "--exclude-resource-type", "unit_test"))
    return marts, expected


def test_no_row_of_a_sender_stops_the_marts_of_others(
    poisoned: tuple[Marts, dict[str, Told]],
) -> None:
    marts, expected = poisoned
    marts.store.publish()
    sync.warnings_of(marts.store)
    aside = marts.query("select source, reason, excerpt from raw.rejected")
    found = {
        name: Told(told.sender, reason)
        for name, told in expected.items()
        for source, reason, excerpt in aside
        if told.sender in f"{Path(source).name}: {excerpt}" and told.reason in reason
    }
    assert_each_is_named(expected, found)
    # An attribute that stands twice, in JSON and in protobuf: told once of what is loaded together,
    # and the row is kept.
    doubts = [reason for _, reason, _ in aside if "two values: the row is kept" in reason]
    assert doubts
    assert len(aside) - len(doubts) == len(expected)
    assert marts.query(
        "select count(*), sum(total_input_tokens), count(distinct developer_id) "
        "from intermediate.int_sessions_with_costs where starts_with(session_id, 'good')"
    ) == [(GOOD_SESSIONS, 7 * GOOD_SESSIONS, GOOD_SESSIONS)]
    kept = [make(number) for number, make in enumerate(JSON.values())]
    events = [each for each in kept if not each.reason and "resourceLogs" in each.content]
    assert marts.one(
        "select count(*) from raw.otel_logs where developer_id <> 'dev900@work.example'"
    ) == GOOD_SESSIONS + len(events)


def test_durations_of_any_length_and_the_largest_counts_add_up_and_build_green(
    poisoned: tuple[Marts, dict[str, Told]],
) -> None:
    marts, _ = poisoned
    by_day = marts.query(
        "select sum(total_duration_seconds), sum(total_input_tokens) "
        "from mart.fct_daily_agent_usage "
        "where developer_id in ('dev900@work.example', 'dev901@work.example') "
        "group by date order by date"
    )
    assert [duration for duration, _ in by_day[:2]] == [pytest.approx(0.3), pytest.approx(0.5)]
    assert by_day[2][1] == 200 * int(MUCH) + 1
    assert (
        marts.one("select count(*) from mart.fct_git_commits where agent_session_id = 'much'") == 29
    )
