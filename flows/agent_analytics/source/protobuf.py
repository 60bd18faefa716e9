"""Telemetry files of protobuf: one message, or those of a collector's file exporter."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from flows.agent_analytics.records import Rejected, Signal, UnreadableTelemetryError
from flows.agent_analytics.rules import MAXIMUM_BODY_BYTES, canonical_line
from flows.agent_analytics.source.rows import opened, short

LENGTH_BYTES = 4


def protobuf_lines(path: Path) -> Iterator[str | Rejected]:
    """The signal is in the name (``metrics-...pb``)."""
    named = [signal for signal in Signal if signal.value in path.name]
    if len(named) != 1:
        seen = "its name does not say whether it holds metrics or logs"
        yield Rejected(str(path), seen, "")
        return
    try:
        for number, message in enumerate(_messages(path), 1):
            try:
                yield short(canonical_line(message, named[0], "application/x-protobuf").line)
            except UnreadableTelemetryError as error:
                yield Rejected(str(path), error.seen, f"message {number}")
    except UnreadableTelemetryError as error:
        yield Rejected(str(path), error.seen, "")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Rejected(str(path), f"it is not gzip ({error})", "")


def _messages(path: Path) -> Iterator[bytes]:
    """The one message of a file, or those of a collector's, each behind its length.

    A message at the end that is not whole is still written: the file is read again once it is.
    """
    with opened(path) as file:
        start = file.read(LENGTH_BYTES)
        # No message begins with a zero; the length of one below 16 MiB does.
        if not start.startswith(b"\0"):
            message = start + file.read(MAXIMUM_BODY_BYTES)
            if len(message) > MAXIMUM_BODY_BYTES:
                raise _too_long(path)
            yield message
            return
        while len(start) == LENGTH_BYTES:
            length = int.from_bytes(start, "big")
            if length > MAXIMUM_BODY_BYTES:
                raise _too_long(path)
            message = file.read(length)
            if len(message) < length:
                return
            if message:
                yield message
            start = file.read(LENGTH_BYTES)


def _too_long(path: Path) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(
        f"Reading {path.name}",
        f"a message is larger than {MAXIMUM_BODY_BYTES:,} bytes",
        "Send smaller batches",
    )
