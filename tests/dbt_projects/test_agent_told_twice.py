"""Usage counts once, and a signal is said to count where it does: every mixture, alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from flows.agent_analytics import raw
from flows.agent_analytics.sample import CUMULATIVE, DELTA
from tests.agent_analytics import clients
from tests.agent_analytics.fleet import Marts

MORNING = datetime(2026, 11, 2, 10, tzinfo=UTC)
BEFORE_MIDNIGHT = datetime(2026, 11, 2, 23, 59, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SONNET, DATED_SONNET, OPUS = "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-opus-4-5"
Names = tuple[str | None, str | None, str | None]
# One names only the session, the other only the developer: nothing shows that they are the same.
UNDECIDED = {((True, False), (False, True)), ((False, True), (True, False))}


def event(agent: str, moment: datetime, names: Names, tokens: int, number: int = 0) -> str:
    told: dict[str, object] = {
        "event.name": f"{agent}.api_request",
        "input_tokens": str(tokens),
        "request_id": f"{agent} {number}",
    }
    return clients.events(agent, moment, told | named(names))


def counter(agent: str, moment: datetime, names: Names, tokens: int) -> str:
    told: dict[str, Any] = {"type": "input"} | named(names)
    since = moment - timedelta(seconds=1)
    return clients.counter(agent, f"{agent}.token.usage", [(told, float(tokens))], since, moment)


def named(names: Names) -> dict[str, object]:
    keys = ("session.id", "developer_id", "model")
    return {key: name for key, name in zip(keys, names, strict=True) if name}


def mixtures() -> Iterator[tuple[str, list[str], bool, bool]]:
    """Agent, lines, whether it is to count twice, and whether a model is told."""
    for number, told in enumerate(product((True, False), repeat=7)):
        *of_event, is_next_day = told
        by_event, by_counter = tuple(of_event[:3]), tuple(of_event[3:])
        agent = f"agent{number}"
        moment = BEFORE_MIDNIGHT if is_next_day else MORNING

        def named_by(told: tuple[bool, ...], model: str, number: int = number) -> Names:
            session, developer, _ = (each or None for each in told)
            return (
                session and f"s{number}",
                developer and f"d{number}",
                model if told[2] else None,
            )

        lines = [
            event(agent, moment, named_by(by_event, SONNET), 100),
            counter(agent, moment + MINUTE, named_by(by_counter, DATED_SONNET), 100),
        ]
        is_undecided = (by_event[:2], by_counter[:2]) in UNDECIDED
        yield agent, lines, is_undecided, by_event[2] or by_counter[2]


Told = list[tuple[str | None, str | None, int]]
# Session and model of events, then of counters; what is to count, and what of it has no price.
SEVERAL_MODELS: dict[str, tuple[Told, Told, int, int]] = {
    "counters of any": ([("s", SONNET, 100), ("s", OPUS, 50)], [(None, None, 150)], 150, 0),
    "events of any": ([("s", None, 150)], [(None, SONNET, 100), (None, OPUS, 50)], 150, 150),
    "more of any": ([("s", SONNET, 100), ("s", OPUS, 50)], [(None, None, 170)], 170, 20),
    "another": ([("s", SONNET, 100)], [(None, OPUS, 30), (None, None, 100)], 130, 0),
    "some of one": (
        [("s", SONNET, 100), ("t", OPUS, 60)], [(None, SONNET, 100), (None, None, 60)], 160, 0,
    ),
    "in one, counters of any": ([("s", SONNET, 100), ("s", OPUS, 50)], [("s", None, 150)], 150, 0),
    "in one, unknown ones": (
        [("s", SONNET, 100), ("s", OPUS, 50)], [("s", "unknown", 150)], 150, 0,
    ),
    "in one, events of any": (
        [("s", None, 150)], [("s", SONNET, 100), ("s", OPUS, 50)], 150, 150,
    ),
    "in one, more of any": ([("s", SONNET, 100), ("s", OPUS, 50)], [("s", None, 170)], 170, 20),
    "in one, the other": (
        [("s", SONNET, 100), ("s", OPUS, 50)], [("s", SONNET, 100), ("s", None, 50)], 150, 0,
    ),
    "in one, events of the other": (
        [("s", SONNET, 100), ("s", None, 50)], [("s", SONNET, 100), ("s", OPUS, 50)], 150, 0,
    ),
    "in one, any beside both": (
        [("s", SONNET, 100), ("s", OPUS, 50)],
        [("s", SONNET, 60), ("s", OPUS, 40), ("s", None, 50)], 150, 0,
    ),
    "in one, unnamed in both": (
        [("s", SONNET, 60), ("s", OPUS, 40), ("s", None, 50)], [("s", None, 150)], 150, 50,
    ),
    "in one, unnamed beside one": (
        [("s", SONNET, 60), ("s", None, 50)], [("s", None, 110)], 110, 0,
    ),
    "in one, an alias": ([("s", "sonnet", 100)], [("s", DATED_SONNET, 110)], 110, 0),
    "in one, an alias of counters": ([("s", SONNET, 100)], [("s", "sonnet[1m]", 100)], 100, 0),
    "in one, aliases of both": (
        [("s", "opus", 50), ("s", SONNET, 100)], [("s", OPUS, 50), ("s", "sonnet", 100)], 150, 0,
    ),
    "in one, an alias of two": (
        [("s", "sonnet", 150)], [("s", SONNET, 100), ("s", "claude-sonnet-5", 50)], 150, 150,
    ),
    "in one, an alias alone": ([("s", "sonnet", 100)], [("s", "sonnet", 100)], 100, 100),
    "in one, an alias of another": ([("s", "sonnet", 100)], [("s", OPUS, 50)], 150, 100),
    "in none": ([(None, SONNET, 100), (None, OPUS, 50)], [(None, None, 150)], 150, 0),
}  # fmt: skip
ASLEEP, NIGHT = timedelta(hours=3), timedelta(hours=8)
SINCE_LONG = MORNING - 10 * MINUTE
Event = tuple[datetime, int]
Point = tuple[datetime | None, datetime, int]
# Events by moment and tokens, points of one counter by start, moment and value, and what counts.
SLEEPERS: dict[str, tuple[list[Event], list[Point], int, int]] = {
    "delta": ([(MORNING, 100)], [(MORNING - MINUTE, MORNING + ASLEEP, 100)], DELTA, 100),
    "first": ([(MORNING, 100)], [(SINCE_LONG, MORNING + ASLEEP, 100)], CUMULATIVE, 100),
    "midnight": (
        [(BEFORE_MIDNIGHT, 100)],
        [(BEFORE_MIDNIGHT - MINUTE, BEFORE_MIDNIGHT + NIGHT, 100)], DELTA, 100,
    ),
    "grown": (
        [(MORNING, 100), (MORNING + 3 * MINUTE, 50)],
        [(SINCE_LONG, MORNING + MINUTE, 100), (SINCE_LONG, MORNING + NIGHT, 150)],
        CUMULATIVE, 150,
    ),
    "woken": (
        [(MORNING, 100), (MORNING + ASLEEP, 30)],
        [(MORNING - MINUTE, MORNING + ASLEEP + 60 * MINUTE, 130)], DELTA, 130,
    ),
    "apart": ([(MORNING, 100)], [(MORNING + MINUTE, MORNING + ASLEEP, 100)], DELTA, 200),
    "lost": (
        [(MORNING, 100), (MORNING + MINUTE, 100)],
        [(SINCE_LONG, MORNING + MINUTE, 100), (SINCE_LONG, MORNING + NIGHT, 150)],
        CUMULATIVE, 250,
    ),
    "process": (
        [(MORNING, 200)],
        [(SINCE_LONG, MORNING + MINUTE, 100), (SINCE_LONG, MORNING + ASLEEP, 100)], DELTA, 300,
    ),
    "idle": (
        [], [(SINCE_LONG, MORNING + days * timedelta(days=1), 100) for days in range(4)],
        CUMULATIVE, 100,
    ),
    "no start": ([(MORNING, 100)], [(None, MORNING + ASLEEP, 100)], DELTA, 200),
}  # fmt: skip
Signals = list[tuple[str, str, dict[str, Any]]]
DELTA_OF: Signals = [
    ("aider", "aider.tokens.prompt", {}),
    ("aider", "aider.tokens.input", {}),
    *(("qwen", "qwen-code.token.usage", {"type": kind}) for kind in ("input", "thought", "cache")),
    *(
        ("x", "gen_ai.client.token.usage", {"gen_ai.token.type": kind})
        for kind in ("input", "completion", "prompt", "reasoning", "")
    ),
    ("x", "gen_ai.client.token.usage",
     {"gen_ai.token.type": "input", "gen_ai.operation.name": "invoke_agent"}),
    *(
        ("codex", "codex.turn.token_usage", {"token_type": kind})
        for kind in ("input", "total", "reasoning_output", "non_cached_input")
    ),
    *(("g", "gemini_cli.token.usage", {"type": kind}) for kind in ("thought", "cache", "total")),
    ("x", "token.usage", {"type": "input"}),
    ("x", "x.cost.usage", {}),
    ("x", "x.lines", {}),
]  # fmt: skip
EVENTS_OF: Signals = [
    ("x", "x.api_request", {"input_tokens": "7"}),
    ("x", "x.api_request", {"input_token_count": "7"}),
    ("x", "x.api_request", {"duration_ms": "7"}),
    ("codex", "codex.sse_event", {"event.kind": "response.created"}),
    ("codex", "codex.sse_event", {"output_token_count": "7"}),
    ("codex", "codex.sse_event", {"tool_token_count": "7"}),
    ("g", "gemini_cli.api_response", {"tool_token_count": "7"}),
    ("x", "gen_ai.client.inference.operation.details", {"gen_ai.usage.output_tokens": "7"}),
    ("x", "gen_ai.client.inference.operation.details", {"gen_ai.usage.completion_tokens": "7"}),
    ("x", "gen_ai.client.inference.operation.details",
     {"gen_ai.usage.output_tokens": "7", "gen_ai.operation.name": "invoke_agent"}),
    ("x", "gen_ai.client.inference.operation.details", {"gen_ai.request.max_tokens": "7"}),
    ("x", "copilot_chat.agent.turn", {"gen_ai.usage.output_tokens": "7"}),
]  # fmt: skip
PARTLY = "partly"


def statements() -> Iterator[tuple[str, str]]:
    """A sender, and its only signal."""
    for number, (service, name, told) in enumerate(DELTA_OF):
        sender = f"metric {number}"
        names = {"session.id": sender, "developer_id": sender, "model": SONNET}
        yield sender, clients.counter(service, name, [(told | names, 7.0)], MORNING, MORNING)
    for number, (service, name, told) in enumerate(EVENTS_OF):
        sender = f"event {number}"
        names = {"session.id": sender, "developer_id": sender, "model": SONNET, "event.name": name}
        yield sender, clients.events(service, MORNING, told | names)
    names = {"session.id": PARTLY, "developer_id": PARTLY, "model": SONNET}
    counted: list[tuple[dict[str, Any], float]] = [
        ({"type": kind} | names, 7.0) for kind in ("input", "thought", "total")
    ]
    yield PARTLY, clients.counter("qwen", "qwen-code.token.usage", counted, MORNING, MORNING)


def slept(agent: str) -> Iterator[str]:
    events, points, temporality, _ = SLEEPERS[agent]
    names = ("asleep " + agent, agent, SONNET)
    for number, (moment, tokens) in enumerate(events):
        yield event("x", moment, names, tokens, number)
    told = {"type": "input"} | named(names)
    for since, until, value in points:
        yield clients.counter(
            "x",
            "x.token.usage",
            [(told, float(value))],
            since or datetime.fromtimestamp(0, UTC),
            until,
            temporality=temporality,
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    state = tmp_path_factory.mktemp("twice")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    lines = [line for _, told, _, _ in mixtures() for line in told]
    for agent, (events, counters, _, _) in SEVERAL_MODELS.items():
        lines += [
            event(agent, MORNING, (s and agent + s, agent, model), tokens, number)
            for number, (s, model, tokens) in enumerate(events)
        ]
        lines += [
            counter(agent, MORNING + MINUTE, (s and agent + s, agent, model), tokens)
            for s, model, tokens in counters
        ]
    lines += [line for agent in SLEEPERS for line in slept(agent)]
    marts.load([*lines, *(line for _, line in statements())])
    marts.run_to("int_token_costs", "fct_agent_signals")
    return marts


def test_usage_counts_once_whatever_events_and_counters_leave_out(built: Marts) -> None:
    wanted = {
        agent: (200 if is_undecided else 100, is_priced)
        for agent, _, is_undecided, is_priced in mixtures()
    }
    seen = {
        agent: (tokens, unpriced == 0)
        for agent, tokens, unpriced in built.query(
            "select agent_type, sum(total_input_tokens), sum(unpriced_tokens) "
            "from intermediate.int_token_costs where starts_with(agent_type, 'agent') group by 1"
        )
        if wanted[agent][0] == 100 or tokens != 200
    }
    assert seen == {agent: want for agent, want in wanted.items() if want[0] == 100}


def test_what_names_no_model_is_one_of_those_that_the_other_names(built: Marts) -> None:
    seen = built.query(
        "select agent_type, sum(total_input_tokens), sum(unpriced_tokens) "
        "from intermediate.int_token_costs group by 1"
    )
    wanted = {(agent, *want) for agent, (_, _, *want) in SEVERAL_MODELS.items()}
    assert {row for row in seen if row[0] in SEVERAL_MODELS} == wanted


def test_a_counter_tells_of_all_since_it_began_to_count_whatever_silence_lies_between(
    built: Marts,
) -> None:
    seen = dict(
        built.query(
            "select session_id, sum(total_input_tokens) from intermediate.int_token_costs "
            "where starts_with(session_id, 'asleep') group by 1"
        )
    )
    assert seen == {"asleep " + agent: want for agent, (_, _, _, want) in SLEEPERS.items()}
    assert not built.query(
        "select session_id, usage_date from intermediate.int_token_costs "
        "where starts_with(session_id, 'asleep') and total_tokens = 0"
    ), "a day without usage has no row"


def test_what_may_be_told_twice_is_told(built: Marts) -> None:
    (status,) = built.dbt("test", "--select", "assert_no_usage_may_be_told_twice").values()
    assert status == "warn"


def test_a_signal_is_said_to_count_where_it_counts_and_only_there(built: Marts) -> None:
    counted = dict(
        built.query(
            "select session_id, sum(total_tokens + total_cache_read_tokens + "
            "total_reasoning_tokens) + coalesce(sum(reported_cost_usd), 0) "
            "from intermediate.int_token_costs group by 1"
        )
    )
    said = dict(
        built.query("select developer_id, treatment || uncounted_types from mart.fct_agent_signals")
    )
    for sender, line in statements():
        is_said = said[sender].startswith(("counted", "partly counted"))
        assert is_said == (counted.get(sender, 0) > 0), (line, said[sender])
    assert said[PARTLY] == "partly countedthought"
    assert said["metric 0"] == "unknownprompt"
    assert said["event 1"] == "unknowninput_token_count"
    assert said["event 3"] == said["event 10"] == "no usage"
    assert said["event 11"] == "told elsewhere"
