"""What a body says, without anything that is read or written."""

import json

import pytest

from flows.agent_analytics.records import UnreadableTelemetryError
from flows.agent_analytics.rules import canonical_json, commit_rows, otel_lines

METRICS = '"resourceMetrics": []'


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (f"{{{METRICS}, {METRICS}}}", "resourceMetrics"),
        (f'{{{METRICS}, "resource\\u004detrics": []}}', "resourceMetrics"),
    ],
)
def test_telemetry_that_names_a_key_twice_is_refused_with_the_key(body: str, key: str) -> None:
    for read in (canonical_json, otel_lines):
        with pytest.raises(UnreadableTelemetryError, match=f"an object has '{key}' twice"):
            read(body.encode())


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('{"commits": [{"a": 1, "a": 2}, {"a": 3}]}', ['{"a": 1, "a": 2}', '{"a": 3}']),
        ('{"a": 1, "a": 2}', ['{"a": 1, "a": 2}']),
        ('{"commits": [1], "commits": [2]}', ['{"commits": [1], "commits": [2]}']),
    ],
)
def test_no_row_is_lost_by_a_key_that_is_there_twice(body: str, rows: list[str]) -> None:
    assert [json.dumps(row) for row in commit_rows(body.encode())] == rows
