"""Decisions about input: what a body says, which row of a report counts. Nothing is read here."""

from flows.agent_analytics.rules.otlp import (
    MAXIMUM_BODY_BYTES,
    OTLP_MESSAGES,
    canonical_json,
    canonical_line,
    key_of,
    otel_lines,
    signal_of,
)
from flows.agent_analytics.rules.rows import (
    MOST_VALUES,
    ORGANIZATION,
    agent_type_of,
    commit_of,
    commit_rows,
    copilot_day,
    legacy_copilot_day,
    moment_of,
    shown,
)

__all__ = [
    "MAXIMUM_BODY_BYTES",
    "MOST_VALUES",
    "ORGANIZATION",
    "OTLP_MESSAGES",
    "agent_type_of",
    "canonical_json",
    "canonical_line",
    "commit_of",
    "commit_rows",
    "copilot_day",
    "key_of",
    "legacy_copilot_day",
    "moment_of",
    "otel_lines",
    "shown",
    "signal_of",
]
