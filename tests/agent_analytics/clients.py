"""Telemetry in the shape in which other agents send it, as a collector's lines."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from flows.agent_analytics.sample import DELTA, Attributes, attributes, nanos

EMAIL = "ada@work.example"


def events(
    service: str, moment: datetime, *records: Attributes, name: str = "", body: str = ""
) -> str:
    """Log records, each by its attributes; ``name`` is OTLP's own field for an event's name."""
    rows = [
        {
            "observedTimeUnixNano": nanos(moment),
            **({"eventName": name} if name else {}),
            **({"body": {"stringValue": body}} if body else {}),
            "attributes": attributes(record),
        }
        for record in records
    ]
    return _export("resourceLogs", service, "scopeLogs", {"logRecords": rows})


def counter(
    service: str,
    name: str,
    counted: Sequence[tuple[Attributes, float]],
    since: datetime,
    until: datetime,
    kind: str = "sum",
    temporality: int = DELTA,
    resource: Attributes | None = None,
) -> str:
    """One metric of one export: a sum, or a histogram of either kind, by attributes and value."""
    points = [_point(kind, value, labels, since, until) for labels, value in counted]
    content: dict[str, Any] = {"aggregationTemporality": temporality, "dataPoints": points}
    if kind == "sum":
        content["isMonotonic"] = True
    metric = {"name": name, kind: content}
    return _export("resourceMetrics", service, "scopeMetrics", {"metrics": [metric]}, resource)


def _point(
    kind: str, value: float, labels: Attributes, since: datetime, until: datetime
) -> dict[str, Any]:
    point = {
        "attributes": attributes(labels),
        "startTimeUnixNano": nanos(since),
        "timeUnixNano": nanos(until),
    }
    match kind:
        case "sum":
            return {**point, "asDouble": value}
        case "histogram":
            return {
                **point,
                "count": "1",
                "sum": value,
                "explicitBounds": [10],
                "bucketCounts": ["0", "1"],
            }
        case _:
            return {
                **point,
                "count": "1",
                "sum": value,
                "scale": 0,
                "positive": {"offset": 0, "bucketCounts": ["1"]},
            }


def _export(
    resources: str,
    service: str,
    scopes: str,
    rows: Mapping[str, Any],
    more: Attributes | None = None,
) -> str:
    resource = {"attributes": attributes({"service.name": service, **(more or {})})}
    part = {"resource": resource, scopes: [{"scope": {"name": service}, **rows}]}
    return json.dumps({resources: [part]}, separators=(",", ":"))


def codex_event(
    moment: datetime, session: str, tokens: tuple[int, int, int, int], model: str, **more: object
) -> str:
    """``codex.sse_event`` of a response: input, cached, output, reasoning.

    Input includes what was cached, output includes reasoning. The field of the event's name holds
    where in the program it was logged.
    """
    common: Attributes = {
        "event.name": "codex.sse_event",
        "event.timestamp": moment.isoformat(),
        "conversation.id": session,
        "app.version": "0.99.0",
        "user.email": EMAIL,
        "model": model,
        "slug": model,
    }
    counts = dict(
        zip(
            ("input_token_count", "cached_token_count", "output_token_count",
             "reasoning_token_count"),
            tokens,
            strict=True,
        )
    )  # fmt: skip
    completed = {
        **common,
        "event.kind": "response.completed",
        **{name: str(count) for name, count in counts.items()},
        "tool_token_count": str(tokens[0] + tokens[2]),
        **more,
    }
    return events(
        "codex_cli_rs",
        moment,
        {**common, "event.kind": "response.completed", "duration_ms": "12"},
        completed,
        name="event otel/src/events/session_telemetry.rs:1",
    )


def codex_turn(
    since: datetime, until: datetime, tokens: tuple[int, int, int, int], model: str
) -> str:
    """``codex.turn.token_usage``, a histogram that names neither session nor developer."""
    counted = {
        "total": tokens[0] + tokens[2],
        "input": tokens[0],
        "cached_input": tokens[1],
        "output": tokens[2],
        "reasoning_output": tokens[3],
    }
    return counter(
        "codex_cli_rs",
        "codex.turn.token_usage",
        [
            ({"token_type": kind, "model": model, "app.version": "0.99.0"}, value)
            for kind, value in counted.items()
        ],
        since,
        until,
        kind="histogram",
    )


def gemini(
    since: datetime,
    until: datetime,
    session: str,
    tokens: tuple[int, int, int, int, int],
    model: str,
    parts: str = "event details counter histogram",
) -> list[str]:
    """All that Gemini CLI sends of one response: input, output, cache, thought, tool.

    Input includes the cache, output does not include thoughts.
    """
    who: Attributes = {"session.id": session, "installation.id": "i-1", "user.email": EMAIL}
    semantic: Attributes = {"gen_ai.request.model": model, "gen_ai.response.model": model}
    names = ("input", "output", "cache", "thought", "tool")
    told = dict(zip(names, tokens, strict=True))
    lines = {
        "event": events(
            "gemini-cli",
            until,
            {
                **who,
                "event.name": "gemini_cli.api_response",
                "model": model,
                "input_token_count": told["input"],
                "output_token_count": told["output"],
                "cached_content_token_count": told["cache"],
                "thoughts_token_count": told["thought"],
                "tool_token_count": told["tool"],
                "total_token_count": sum(tokens) - told["cache"],
            },
            body=f"API response from {model}. Status: 200. Duration: 9ms.",
        ),
        "details": events(
            "gemini-cli",
            until,
            {
                **who,
                **semantic,
                "event.name": "gen_ai.client.inference.operation.details",
                "gen_ai.response.id": f"r-{until.isoformat()}",
                "gen_ai.usage.input_tokens": told["input"],
                "gen_ai.usage.output_tokens": told["output"],
            },
            body=f"GenAI operation details from {model}. Status: 200. Duration: 9ms.",
        ),
        "counter": counter(
            "gemini-cli",
            "gemini_cli.token.usage",
            [({**who, "model": model, "type": kind}, value) for kind, value in told.items()],
            since,
            until,
        ),
        "histogram": counter(
            "gemini-cli",
            "gen_ai.client.token.usage",
            [
                ({**who, **semantic, "gen_ai.token.type": kind}, told[kind])
                for kind in ("input", "output")
            ],
            since,
            until,
            kind="exponentialHistogram",
        ),
    }
    return [lines[part] for part in parts.split()]


def opencode(
    since: datetime,
    until: datetime,
    session: str,
    tokens: tuple[int, int, int, int, int],
    model: str,
) -> list[str]:
    """The plugin's counter and event: input, output, reasoning, cache read, cache creation.

    No kind includes another.
    """
    who: Attributes = {"session.id": session, "enduser.id": "ada", "model": model}
    kinds = ("input", "output", "reasoning", "cacheRead", "cacheCreation")
    fields = (
        "input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens",
        "cache_creation_tokens",
    )  # fmt: skip
    return [
        counter(
            "opencode",
            "opencode.token.usage",
            [({**who, "type": kind}, n) for kind, n in zip(kinds, tokens, strict=True)],
            since,
            until,
        ),
        events(
            "opencode",
            until,
            {**who, "event.name": "api_request", **dict(zip(fields, tokens, strict=True))},
            body="api_request",
        ),
    ]


def copilot(
    since: datetime, until: datetime, session: str, tokens: tuple[int, int], model: str
) -> list[str]:
    """Copilot: the conventions' histogram without, and the editor's events with, a session."""
    semantic: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "github",
        "gen_ai.request.model": model,
    }
    window: Attributes = {"session.id": session}
    usage: Attributes = {
        "gen_ai.usage.input_tokens": tokens[0],
        "gen_ai.usage.output_tokens": tokens[1],
    }
    details = events(
        "copilot-chat",
        until,
        {
            **window,
            **semantic,
            **usage,
            "event.name": "gen_ai.client.inference.operation.details",
            "gen_ai.response.id": f"r-{until.isoformat()}",
        },
    )
    turn = events(
        "copilot-chat", until, {**window, **usage, "event.name": "copilot_chat.agent.turn"}
    )
    counted = [
        ({**semantic, "gen_ai.operation.name": operation, "gen_ai.token.type": kind}, value)
        for operation in ("chat", "invoke_agent")
        for kind, value in zip(("input", "output"), tokens, strict=True)
    ]
    histogram = counter(
        "copilot-chat",
        "gen_ai.client.token.usage",
        counted,
        since,
        until,
        kind="histogram",
        resource=window,
    )
    return [details, turn, histogram]
