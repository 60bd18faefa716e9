"""Commits and Copilot's days, from files of JSON rows; what makes no sense is told instead."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from flows._shared.counted import counted
from flows._shared.input_files import open_input
from flows._shared.json_keys import each_once, few, whole_or_infinite
from flows._shared.weighed import has_more_values
from flows.agent_analytics.records import (
    Canonical,
    Commit,
    CopilotDay,
    Rejected,
    UnreadableTelemetryError,
)
from flows.agent_analytics.rules import MOST_VALUES, commit_of, copilot_day, shown

EXCERPT = 300
# No text and no message begins so.
GZIP = b"\x1f\x8b"
LONGEST_LINE = 120_000_000
TOO_LONG = f"a line is not shorter than {LONGEST_LINE:,} characters"
Row = TypeVar("Row")


def read_commit_rows(path: Path) -> Iterator[Commit | Rejected]:
    """Commits from a file of the hook's JSON, one a line."""
    yield from _rows(path, commit_of)


def read_copilot_rows(path: Path) -> Iterator[CopilotDay | Rejected]:
    """Days from a file of a report's rows, one a line."""
    yield from _rows(path, copilot_day)


def lines_of(source: IO[bytes] | gzip.GzipFile, too_long: list[bytes]) -> Iterator[bytes]:
    """The lines of a file, a blank one in the place of one that is too long to be held, whose
    beginning is told: a kilobyte can be packed of a line of a megabyte."""
    while line := source.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        too_long.append(line[:EXCERPT])
        while (more := source.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
            pass
        yield b"\n"


def rejected_lines(name: str, too_long: Iterable[bytes]) -> list[Rejected]:
    return [Rejected(name, TOO_LONG, each.decode("utf-8", "replace")) for each in too_long]


def _rows(path: Path, parse: Callable[[Mapping[str, Any]], Row]) -> Iterator[Row | Rejected]:
    name = shown(Path(path.name))
    too_long: list[bytes] = []
    try:
        with opened(path) as lines:
            for number, line in enumerate(lines_of(lines, too_long), 1):
                if line.strip():
                    yield parsed(line, parse, name, f"line {number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Rejected(name, f"the gzip stream is broken: {error}", "")
    yield from rejected_lines(name, too_long)


def parsed(
    line: bytes, parse: Callable[[Mapping[str, Any]], Row], name: str, place: str
) -> Row | Rejected:
    try:
        if has_more_values(line, MOST_VALUES):
            raise ValueError(f"more than {counted(MOST_VALUES, 'value')}")
        content = json.loads(line, object_pairs_hook=few(each_once), parse_int=whole_or_infinite)
        # Half a letter, which JSON can spell, is no text.
        json.dumps(content, ensure_ascii=False).encode()
        return parse(content)
    except KeyError as error:
        reason = f"without {error.args[0]}"
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = f"not such a row: {str(error).partition(' (')[0]}"
    return Rejected(name, reason, f"{place}: {line[:EXCERPT].decode('utf-8', 'replace')}")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Its content decides whether it is unpacked, not its name."""
    with open_input(path) as file:
        if is_packed(path):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield unpacked
        else:
            yield file


def is_packed(path: Path) -> bool:
    with open_input(path) as file:
        return file.read(len(GZIP)) == GZIP


def rejected_of(canonical: Canonical, name: str, place: str = "") -> list[Rejected]:
    """What of a request is not in its line, as it is kept aside."""
    return [Rejected(name, each.reason, f"{place}{each.excerpt}") for each in canonical.unread]


def short(line: str) -> str:
    """Of what is short as protobuf the JSON may be ten times as long."""
    if len(line) > LONGEST_LINE:
        raise UnreadableTelemetryError(
            "Reading OTLP",
            f"longer than {LONGEST_LINE:,} characters as JSON",
            "Let the sender send smaller batches",
        )
    return line
