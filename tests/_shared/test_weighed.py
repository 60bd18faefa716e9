"""What a body holds is counted as its parsers find it."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows._shared import weighed
from flows._shared.weighed import has_more_fields, has_more_values, outside_texts

TEXTS = st.text(st.sampled_from('a"\\,{[]}:é'), max_size=5)
DOCUMENTS = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
LOGS = ExportLogsServiceRequest.DESCRIPTOR


def structure(value: Any) -> str:
    """The JSON of a document with empty texts."""
    if isinstance(value, dict):
        return "{" + ",".join('"":' + structure(each) for each in value.values()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(structure, value)) + "]"
    return '""' if isinstance(value, str) else json.dumps(value)


@given(document=DOCUMENTS, size=st.integers(1, 9))
def test_only_what_stands_outside_of_texts_is_counted(document: Any, size: int) -> None:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    plain = structure(document).encode()
    values = sum(map(plain.count, weighed.OPENERS))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(weighed, "PIECE_BYTES", size)
        assert b"".join(outside_texts(text)) == plain.replace(b'"', b"")
        assert not has_more_values(text, values)
        assert not values or has_more_values(text, values - 1)


def test_the_fields_of_a_message_are_counted_with_those_of_its_messages() -> None:
    record = {
        "timeUnixNano": "1760000000000000000",
        "flags": 1,
        "severityNumber": 9,
        "body": {"stringValue": "a" * 200},
        "attributes": [{"key": "a", "value": {"kvlistValue": {"values": [{"key": "b"}]}}}],
    }
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, record, {}]}]}]}
    body = ParseDict(logs, ExportLogsServiceRequest()).SerializeToString()
    # Two holders; a record of eleven fields twice, one of none, and each of the three itself.
    assert [has_more_fields(body, LOGS, most) for most in (26, 27)] == [True, False]
    # Of a scope by its former number, too.
    former = b"\x0a\x07\xc2\x3e\x04\x12\x00\x12\x00"
    assert [has_more_fields(former, LOGS, most) for most in (3, 4)] == [True, False]
    points = [{"bucketCounts": ["1"] * 50, "explicitBounds": [1.5] * 50}]
    metrics = {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"histogram": {"dataPoints": points}}]}]}
        ]
    }
    body = ParseDict(metrics, ExportMetricsServiceRequest()).SerializeToString()
    counted = [has_more_fields(body, ExportMetricsServiceRequest.DESCRIPTOR, n) for n in (106, 107)]
    assert counted == [True, False]


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x85", b"\x0a\x05\x12", b"\xff" * 40, b"\x0f" * 9])
def test_what_is_no_message_is_counted_to_its_end(body: bytes) -> None:
    has_more_fields(body, LOGS, 1)
    assert not has_more_fields(body * 10, LOGS, 1_000)
