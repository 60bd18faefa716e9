"""Telemetry files of protobuf: one message, or those of a collector's file exporter."""

import gzip
import zlib
from collections.abc import Iterator

from flows.agent_analytics.records import Rejected, Signal, UnreadableTelemetryError
from flows.agent_analytics.rules import MAXIMUM_BODY_BYTES, canonical_line, shown
from flows.agent_analytics.source.parts import LENGTH_BYTES, FilePart
from flows.agent_analytics.source.rows import opened, short


def protobuf_lines(part: FilePart) -> Iterator[str | Rejected]:
    """The signal is in the name (``metrics-...pb``)."""
    path = part.path
    name = path.name.lower()
    named = [signal for signal in Signal if signal.value in name]
    if len(named) != 1:
        seen = "its name does not say whether it holds metrics or logs"
        yield Rejected(shown(path), seen, "")
        return
    try:
        for place, message in _messages(part):
            try:
                yield short(canonical_line(message, named[0], "application/x-protobuf").line)
            except UnreadableTelemetryError as error:
                yield Rejected(shown(path), error.seen, f"message at byte {place}")
    except UnreadableTelemetryError as error:
        yield Rejected(shown(path), error.seen, "")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Rejected(shown(path), f"the gzip stream is broken: {error}", "")


def _messages(part: FilePart) -> Iterator[tuple[int, bytes]]:
    """The one message of a file, or those of a collector's, each with where it stands.

    Raises:
        UnreadableTelemetryError: one is too long, or what is packed ends in the middle of one.
    """
    with opened(part.path) as file:
        file.seek(part.begin)
        place = part.begin
        start = file.read(LENGTH_BYTES)
        # No message begins with a zero; the length of one below 16 MiB does.
        if place == 0 and not start.startswith(b"\0"):
            message = start + file.read(MAXIMUM_BODY_BYTES)
            if len(message) > MAXIMUM_BODY_BYTES:
                raise _unreadable(part, f"a message is larger than {MAXIMUM_BODY_BYTES:,} bytes")
            yield place, message
            return
        # Of what is not packed the part ends behind its last whole message.
        while start:
            length = int.from_bytes(start, "big")
            if length > MAXIMUM_BODY_BYTES:
                raise _unreadable(part, f"a message is larger than {MAXIMUM_BODY_BYTES:,} bytes")
            message = file.read(length)
            if len(start) < LENGTH_BYTES or len(message) < length:
                raise _unreadable(part, f"its last message, at byte {place}, is not whole")
            if message:
                yield place, message
            place = file.tell()
            if not part.is_packed and place >= part.end:
                return
            start = file.read(LENGTH_BYTES)


def _unreadable(part: FilePart, seen: str) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(
        f"Reading {part.path.name}", seen, "Send smaller batches, and whole files"
    )
