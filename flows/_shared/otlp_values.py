"""One spelling of lists, maps and bytes in OTLP's JSON, of which every sender has another."""

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from flows._shared.json_keys import each_once, whole_or_infinite
from flows._shared.otlp_json import misfit


def one_spelling(kind: str, text: str) -> str:
    """A list, map or bytes as everybody's then is.

    What is in a map stands in the order of its keys, of which the first of a name counts.

    Args:
        kind: the name of the value in OTLP's JSON: ``arrayValue``, ``kvlistValue``, ``bytesValue``.
        text: the JSON of a list or map; bytes as base64, of either alphabet.

    Raises:
        ValueError: it is no such value, or an object in it has a key twice.
    """
    try:
        content = text if kind == "bytesValue" else _read(text)
    except RecursionError:
        raise ValueError("lists and maps nested too deep") from None
    # As deep in a record as where it was sent.
    attribute = {"key": "", "value": {kind: content}}
    if reason := misfit({"attributes": [attribute]}, LogRecord.DESCRIPTOR):
        raise ValueError(reason)
    try:
        message = ParseDict({kind: content}, AnyValue(), ignore_unknown_fields=True)
    except ParseError as error:
        raise ValueError(f"no {kind}") from error
    spelled = _ordered(MessageToDict(message)).get(kind, {})
    if kind == "bytesValue":
        return str(spelled)
    return json.dumps(spelled, separators=(",", ":"), ensure_ascii=False)


def _read(text: str) -> Any:
    return json.loads(text, object_pairs_hook=each_once, parse_int=whole_or_infinite)


def _ordered(value: Mapping[str, Any]) -> dict[str, Any]:
    for kind, inner in value.items():
        if kind == "arrayValue":
            return {kind: {"values": [_ordered(each) for each in inner.get("values", ())]}}
        if kind == "kvlistValue":
            pairs = {pair.get("key", ""): pair for pair in reversed(inner.get("values", ()))}
            values = [
                {"key": key, "value": _ordered(pairs[key].get("value", {}))}
                for key in sorted(pairs)
            ]
            return {kind: {"values": values}}
        if inner == 0 and kind == "doubleValue":
            return {kind: 0.0}
    return dict(value)
