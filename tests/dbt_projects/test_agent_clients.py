"""What each agent sends is counted once, in its own vendor's terms, and at its vendor's prices."""

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.agent_analytics import raw, sample, sync
from flows.agent_analytics.raw.agents import (
    EVENT_ATTRIBUTES,
    PREFIXES,
    SERVICES,
    USAGE_METRIC,
)
from flows.webhooks import telemetry
from tests.agent_analytics import clients
from tests.agent_analytics.fleet import Marts, developer, request, session
from tests.parsed import PROJECTS

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)
MINUTE = DAY + timedelta(minutes=1)
GPT, GEMINI, OPUS = "gpt-5.4", "gemini-2.5-pro", "claude-opus-5-5"
HAIKU = "claude-haiku-5-5"
# Written by the OpenTelemetry SDK for Python with its exporter to files of OTLP JSON (1.45.2,
# 0.66b1): counters of a session cumulative, of another as deltas, events of a third.
FILE = Path(__file__).parents[1] / "agent_analytics" / "otlp_json_file.jsonl"
IN_FILE = ("file sums", "file deltas", "file events")
WRITES = (0, 0, 0, 1_000_000)
COUNTS = (
    "total_input_tokens, total_output_tokens, total_reasoning_tokens, total_cache_read_tokens, "
    "total_cache_creation_tokens"
)


def fleet() -> list[str]:
    """Sessions by name; the totals of each are in ``WANTED``."""
    codex = (1_000, 400, 300, 100)
    gem = (1_000, 200, 600, 50, 7)
    code = (10, 20, 5, 100, 30)
    lines = [
        clients.codex_event(MINUTE, "codex", codex, GPT),
        clients.codex_event(MINUTE, "codex", codex, GPT),  # sent again
        clients.codex_turn(DAY, MINUTE, codex, GPT),
        *clients.gemini(DAY, MINUTE, "gemini", gem, GEMINI),
        *clients.gemini(DAY, MINUTE, "gemini events", gem, GEMINI, "event details"),
        *clients.gemini(DAY, MINUTE, "gemini metrics", gem, GEMINI, "counter histogram"),
        *clients.gemini(DAY, MINUTE, "gemini mixed", gem, GEMINI, "event histogram"),
        *clients.gemini(DAY, MINUTE, "gemini histogram", gem, GEMINI, "histogram"),
        *clients.opencode(DAY, MINUTE, "opencode", code, OPUS),
        *clients.copilot(DAY, MINUTE, "copilot", (100, 10), GPT),
    ]
    fast = {"speed": "fast"}
    for name, usage, model, more, cost in (
        ("fast", (1_000_000, 0, 0, 0), OPUS, fast, 8.0),
        ("never fast", (1_000, 0, 0, 0), HAIKU, fast, 0.0),
        ("batch", (1_000, 0, 0, 0), OPUS, {"service_tier": "batch"}, 0.0),
        ("long", (10_000, 100, 90_001, 0), HAIKU, {}, 0.0),
        ("not long", (10_000, 100, 90_000, 0), HAIKU, {}, 0.0),
        ("an hour", WRITES, OPUS, {}, 8.0),
        ("half an hour", WRITES, OPUS, {}, 6.5),
        ("five minutes", WRITES, OPUS, {}, 5.0),
        ("dearer than an hour", WRITES, OPUS, {}, 9.0),
    ):
        work = session(name, DAY)
        moment, event, attributes = sample.request_event(work, model, usage, cost, MINUTE, 0)
        lines.append(sample.logs_line(work, [(moment, event, {**attributes, **more})]))
    lines += beside_a_tier_without_a_price()
    old = session("old", datetime(2026, 10, 20, 9, tzinfo=UTC), by=developer(9))
    lines += [
        request(old, 0, (1, 0, 0, 0), OPUS),
        request(session("newer", DAY), 0, (7, 0, 0, 0), "unpriced-6"),
        without_tokens(
            request(session("cost alone", DAY, by=developer(13)), 0, (1, 0, 0, 0), OPUS)
        ),
        *(
            request(session("of two", DAY, by=developer(number)), number, (1, 0, 0, 0), OPUS)
            for number in (11, 12)
        ),
    ]
    lines.append(
        clients.counter(
            "newcomer",
            "newcomer.tokens_spent",
            [({"session.id": "new", "kind": "in"}, 5.0)],
            DAY,
            MINUTE,
        )
    )
    return lines + FILE.read_text().splitlines()


def without_tokens(line: str) -> str:
    return re.sub(r'\{"key":"[a-z_]+_tokens","value":\{"stringValue":"[^"]*"\}\},?', "", line)


def beside_a_tier_without_a_price() -> list[str]:
    """Writes for an hour, for 8 USD, and a request that the list has no price for: its cost told,
    and not told."""
    lines = []
    for name, told in (("hour, cost told", 3.0), ("hour, cost not told", None)):
        work = session(name, DAY)
        moment, event, attributes = sample.request_event(work, OPUS, WRITES, 8.0, MINUTE, 0)
        lines.append(sample.logs_line(work, [(moment, event, attributes)]))
        moment, event, attributes = sample.request_event(work, OPUS, (9, 0, 0, 0), 3.0, MINUTE, 1)
        attributes = {**attributes, "service_tier": "priority"}
        if told is None:
            del attributes["cost_usd"]
        lines.append(sample.logs_line(work, [(moment, event, attributes)]))
    return lines


GEMINI_WHOLE = (407, 250, 50, 600, 0)
WANTED = {
    "codex": ("codex", (600, 300, 100, 400, 0)),
    "gemini": ("gemini_cli", GEMINI_WHOLE),
    "gemini events": ("gemini_cli", GEMINI_WHOLE),
    "gemini metrics": ("gemini_cli", GEMINI_WHOLE),
    "gemini mixed": ("gemini_cli", GEMINI_WHOLE),
    "gemini histogram": ("gemini_cli", (1_000, 200, 0, 0, 0)),
    "opencode": ("opencode", (10, 25, 5, 100, 30)),
    "copilot": ("github_copilot", (100, 10, 0, 0, 0)),
    **dict.fromkeys(IN_FILE, ("claude_code", (2_000, 400, 0, 10_000, 200))),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    state = tmp_path_factory.mktemp("clients")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    marts.load(fleet())
    marts.build()
    return marts


def test_each_agents_usage_counts_once_whatever_it_sends(built: Marts) -> None:
    seen = {
        name: (agent, tuple(counts))
        for name, agent, *counts in built.query(
            f"select session_id, agent_type, {COUNTS} from intermediate.int_token_costs"
        )
        if name in WANTED
    }
    assert seen == WANTED


def test_what_an_sdk_wrote_to_a_file_costs_what_its_program_counted(built: Marts) -> None:
    listed = (2_000 * 4 + 400 * 20 + 10_000 * 0.2 + 200 * 5) / 1e6
    assert costs(built, *IN_FILE) == dict.fromkeys(IN_FILE, pytest.approx(listed))
    assert built.query(
        "select cast(reported_cost_usd as double) from intermediate.int_token_costs "
        "where session_id like 'file %'"
    ) == [(0.025,)] * len(IN_FILE)


def test_a_histogram_without_names_is_what_the_events_of_all_told(built: Marts) -> None:
    assert built.query(
        "select session_id, total_tokens, told_twice_tokens from intermediate.int_token_costs "
        "where session_id like 'no-session:%'"
    ) == [("no-session:unknown", 0, 1_300)]


def test_usage_has_the_prices_of_its_vendor(built: Marts) -> None:
    prices = {
        "codex": (600 * 2.5 + 300 * 15 + 400 * 0.25) / 1e6,
        "gemini": (407 * 1.25 + 250 * 10 + 600 * 0.125) / 1e6,
        "opencode": (10 * 4 + 25 * 20 + 100 * 0.2 + 30 * 5) / 1e6,
        "copilot": (100 * 2.5 + 10 * 15) / 1e6,
    }
    assert costs(built, *prices) == {name: pytest.approx(cost) for name, cost in prices.items()}


def costs(marts: Marts, *names: str) -> dict[str, float | None]:
    listed = ", ".join(f"'{name}'" for name in names)
    return dict(
        marts.query(
            "select session_id, cast(list_cost_usd as double) from intermediate.int_token_costs "
            f"where session_id in ({listed})"
        )
    )


def test_fast_mode_batches_and_long_prompts_have_their_own_price(built: Marts) -> None:
    short = (10_000 * 0.1 + 100 * 0.5 + 90_000 * 0.01) / 1e6
    longer = 5 * (10_000 * 0.1 + 100 * 0.5 + 90_001 * 0.01) / 1e6
    assert costs(built, "fast", "batch", "long", "not long", "never fast") == {
        "fast": 8.0,
        "batch": pytest.approx(1_000 * 2 / 1e6),
        "long": pytest.approx(longer),
        "not long": pytest.approx(short),
        "never fast": None,
    }
    assert built.query(
        "select unpriced_tokens from intermediate.int_token_costs where session_id = 'never fast'"
    ) == [(1_000,)]


def test_writes_for_an_hour_cost_what_the_agent_says_up_to_their_price(built: Marts) -> None:
    assert costs(built, "an hour", "half an hour", "five minutes", "dearer than an hour") == {
        "an hour": 8.0,
        "half an hour": 6.5,
        "five minutes": 5.0,
        "dearer than an hour": 5.0,
    }


def test_writes_for_an_hour_are_told_beside_a_tier_without_a_price_that_is_reported_apart(
    built: Marts,
) -> None:
    assert costs(built, "hour, cost told", "hour, cost not told") == {
        "hour, cost told": 8.0,
        "hour, cost not told": 8.0,
    }
    assert built.query(
        "select unpriced_tokens from intermediate.int_token_costs where session_id like 'hour, %'"
    ) == [(9,), (9,)]


def test_every_attribute_and_agent_of_the_mapping_is_known_where_it_is_read(built: Marts) -> None:
    told = built.query(
        "select distinct token_type from staging.agent_signals where signal = 'event'"
    )
    assert {name for (name,) in told} == set(EVENT_ATTRIBUTES)
    agents = {name for (name,) in built.query("select agent_type from staging.agents")}
    assert {*SERVICES.values(), *PREFIXES.values()} <= agents


def test_the_model_reads_the_attributes_that_the_door_checks() -> None:
    macro = (PROJECTS / "agent_analytics/macros/event_attributes.sql").read_text()
    listed = macro.partition("return([")[2].partition("])")[0]
    assert [part.strip().strip("'") for part in listed.split(",") if part.strip()] == list(
        EVENT_ATTRIBUTES
    )


def test_what_is_not_understood_is_counted_and_named(built: Marts) -> None:
    assert built.query(
        "select developer_id, agent_type, signal, name, observations from mart.fct_agent_signals "
        "where treatment = 'unknown'"
    ) == [("unknown", "newcomer", "metric", "newcomer.tokens_spent", 1)]
    assert built.query(
        "select treatment from mart.fct_agent_signals where developer_id = 'dev13@work.example'"
    ) == [("counted",)]
    assert set(
        built.query("select name from mart.fct_agent_signals where treatment = 'told elsewhere'")
    ) == {("copilot_chat.agent.turn",)}


def test_the_summary_names_what_needs_attention(built: Marts) -> None:
    built.store.publish()
    notes = sync.warnings_of(built.store)
    told = [
        f"{HAIKU} of the tier fast has no price: 1,000 tokens have no cost",
        "The session of two came from dev11@work.example, dev12@work.example: all that it used",
        "The metric newcomer.tokens_spent of newcomer seems to tell of usage",
        "unpriced-6 has no price: 7 tokens have no cost.",
        "dev9@work.example: no events of claude_code since 2026-10-20 09:00 UTC",
    ]
    assert [part for part in told if not any(note.startswith(part) for note in notes)] == []
    assert len([note for note in notes if "since 2026" in note]) == 1
    newer = "It was first used on 2026-11-02, after the newest model of the list (2026-10-07)"
    assert any(newer in note for note in notes if note.startswith("unpriced-6"))


def test_the_receiver_knows_the_names_that_count() -> None:
    assert set(EVENT_ATTRIBUTES) == telemetry.TOKENS
    assert telemetry.USAGE.pattern == USAGE_METRIC
    with (PROJECTS / "agent_analytics/seeds/agent_signals.csv").open() as file:
        names = {row["name"] for row in csv.DictReader(file) if row["signal"] == "metric"}
    assert [name for name in names if not telemetry.COUNTED.search(name.replace("*", "x"))] == []
