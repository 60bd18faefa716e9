"""Files of OTLP JSON lines, of each of which DuckDB can hold what it reads at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from flows.agent_analytics.rules import MOST_VALUES
from flows.agent_analytics.source.ordinary import SHORT_LINE_BYTES, weight_of


@dataclass(frozen=True)
class LineFile:
    """A file of OTLP JSON lines, and the name that a message gives it.

    Args:
        longest: bytes that none of its lines has more of.
        is_canonical: whether every line is as ``rules.canonical_json`` makes it.
    """

    path: Path
    name: str
    longest: int = SHORT_LINE_BYTES
    is_canonical: bool = False

    def halves(self) -> tuple["LineFile", ...]:
        """Its lines in two files beside it; none where it has one line."""
        size = self.path.stat().st_size
        halves = tuple(
            replace(self, path=self.path.with_name(f"{self.path.stem}{number}.jsonl"))
            for number in (0, 1)
        )
        with self.path.open("rb") as lines:
            for half, end in zip(halves, (size // 2, size), strict=True):
                with half.path.open("wb") as copy:
                    while lines.tell() < end and (line := lines.readline()):
                        copy.write(line)
        if halves[1].path.stat().st_size:
            return halves
        for half in halves:
            half.path.unlink()
        return ()


class Lines:
    """Writes lines into files: into one what is ordinary, a longer line into one of its own, and of
    lines with many values as many into one as a single line may have."""

    def __init__(self, first: LineFile) -> None:
        self._first = first
        self._others: list[LineFile] = []
        self._weight = 0
        self._common = first.path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._common.close()

    def write(self, line: bytes) -> None:
        """A line, with a newline behind it or not."""
        whole = line if line.endswith(b"\n") else line + b"\n"
        weight = weight_of(whole)
        if not weight and len(whole) <= SHORT_LINE_BYTES:
            self._common.write(whole)
            return
        self._weight += weight
        last = self._others[-1] if self._others else None
        is_new = last is None or self._weight > MOST_VALUES or len(whole) > SHORT_LINE_BYTES
        if last is None or is_new:
            self._weight = MOST_VALUES if len(whole) > SHORT_LINE_BYTES else weight
            path = self._first.path.with_name(f"{self._first.path.stem}-{len(self._others)}.jsonl")
            longest = max(len(whole), SHORT_LINE_BYTES)
            last = replace(self._first, path=path, longest=longest)
            self._others.append(last)
        # A load that failed may have left one of this name.
        with last.path.open("wb" if is_new else "ab") as file:
            file.write(whole)

    def files(self) -> Iterator[LineFile]:
        """Those that hold anything, once all is written."""
        if self._first.path.stat().st_size:
            yield self._first
        else:
            self._first.path.unlink()
        yield from self._others
