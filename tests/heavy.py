"""Telemetry that is small on the wire and large once it is parsed, and what reading it takes.

python -m tests.heavy loader unfit_records
python -m tests.heavy /v1/logs unfit_records
prints what the loader, or an address of the receiver, answers, and the MiB that it held beyond
those before.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from deployments.local.paths import PROJECT_ROOT
from flows.webhooks.settings import JSON
from flows.webhooks.sources import PROTOBUF


def _logs(records: str) -> bytes:
    return f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}'.encode()


def _many(each: str, count: int) -> str:
    return ",".join([each] * count)


def _batch() -> bytes:
    """The largest batch of a collector's own settings, all of its records with 30 attributes."""
    pairs = ",".join(f'{{"key":"key.{n}","value":{{"stringValue":"a value"}}}}' for n in range(30))
    return _logs(_many(f'{{"timeUnixNano":"1760000000000000000","attributes":[{pairs}]}}', 8192))


def _delimited(tag: bytes, content: bytes) -> bytes:
    length, rest = b"", len(content)
    while rest > 127:
        length, rest = length + bytes([rest & 127 | 128]), rest >> 7
    return tag + length + bytes([rest]) + content


def _records_of_nothing(count: int) -> bytes:
    return _delimited(b"\x0a", _delimited(b"\x12", b"\x12\x00" * count))


BODIES: Mapping[str, Callable[[], bytes]] = {
    "batch": _batch,
    "unfit_records": lambda: _logs(_many('{"timeUnixNano":"x"}', 590_000)),
    "more_unfit_records": lambda: _logs(_many('{"timeUnixNano":"x"}', 700_000)),
    "empty_resources": lambda: b'{"resourceLogs":[%s]}' % _many("{}", 590_000).encode(),
    "unfit_scopes": lambda: b'{"resourceLogs":[%s]}'
    % _many('{"scopeLogs":[{"logRecords":[{"body":5}]}]}', 145_000).encode(),
    "keys": lambda: _logs("{" + ",".join(f'"{n:x}":1' for n in range(1_100_000)) + "}"),
    "keys_in_keys": lambda: _logs(
        "".join(f'{{"{n}":1,' + ",".join(f'"{n}-{i}":1' for i in range(45_000)) + ',"a":'
                for n in range(24)) + "1" + "}" * 24
    ),
    "keys_once_twice": lambda: b'{"a":1,%s,"a":1}'
    % ",".join(f'"{n:x}":1' for n in range(900_000)).encode(),
    "texts": lambda: b'{"a":1,"b":[%s],"a":1}' % _many('"ab"', 1_190_000).encode(),
    "records_twice": lambda: _logs(_many('{"a":1,"a":1}', 390_000)),
    "protobuf_records": partial(_records_of_nothing, 1_190_000),
    "protobuf_scopes": lambda: b"\x0a\x02\x12\x00" * 590_000,
    "more_protobuf_scopes": lambda: b"\x0a\x02\x12\x00" * 4_000_000,
}  # fmt: skip


def measured(reader: str, body: str) -> tuple[str, int]:
    """What a process of its own says of a body, and the MiB that this took."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.heavy", reader, body],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said, _, mebibytes = ran.stdout.strip().rpartition(" ")
    return said, int(mebibytes)


def _read(reader: str, body: bytes, content_type: str) -> str:
    if reader == "loader":
        from flows.agent_analytics.records import Signal, UnreadableTelemetryError
        from flows.agent_analytics.rules import canonical_line

        try:
            found = canonical_line(body, Signal.LOGS, content_type)
        except UnreadableTelemetryError as error:
            return error.seen
        return " ".join(each.excerpt for each in found.unread[-1:]) or "all of it"
    from flows.webhooks.bodies import BodyError, examine
    from flows.webhooks.sources import BUILT_IN

    endpoints = (each for source in BUILT_IN for each in source.endpoints)
    endpoint = next(each for each in endpoints if each.path == reader)
    try:
        told = examine(endpoint, {}, content_type, body).partial
    except BodyError as error:
        return f"{error.status} {error.message}"
    return told.message if told else "all of it"


def _high_water_mark() -> int:
    """Not ru_maxrss: a child begins with that of the process which started it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) // 1024 if found else 0


def main(reader: str, name: str) -> None:
    content_type = PROTOBUF if name.endswith(("protobuf_records", "protobuf_scopes")) else JSON
    body = BODIES[name]()
    # What is imported, and made once, is no body's.
    if reader in ("loader", "/v1/logs"):
        _read(reader, b"", PROTOBUF)
    _read(reader, _logs('{"a":1,"a":1}'), JSON)
    before = _high_water_mark()
    said = _read(reader, body, content_type)
    sys.stdout.write(f"{said} {_high_water_mark() - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
