"""What a domain says today: the first thing that a run's summary and an alert show of it."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Days are part of what a sentence is about, and digits of a name are part of the name.
DAY_OR_NUMBER = re.compile(r"\d{4}-\d\d-\d\d|(?<![\w-])\d+(?:[.,]\d+)*(?![\w-])")
SINGULAR = {"has": "have", "is": "are", "was": "were"}


@dataclass(frozen=True)
class Answer:
    """The headline of a domain's page, its first picture and the top of that picture's table.

    Args:
        headline: the answer, a sentence; of text from outside, not yet escaped.
        attention: sentences of what needs attention; ``advice`` is what to do where there is no
            answer, and is no change when it goes.
        title: of the figure; `titles` are of its columns, `rows` its first rows, as written.
        chart: an SVG document that stands by itself, on a page of its own colour; or None.
        alternative: what the chart shows, in words.
    """

    headline: str
    attention: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    title: str = ""
    titles: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    chart: str | None = None
    alternative: str = ""

    def measures(self) -> dict[str, Any]:
        """As a run keeps it, for the run after it to compare with."""
        return {
            "headline": self.headline,
            "attention": list(self.attention),
            "top": [dict(zip(self.titles, row, strict=True)) for row in self.rows],
        }


def changes(before: Mapping[str, Any], now: Answer) -> list[str]:
    """What is different from an earlier answer, a sentence each, as plain text.

    Args:
        before: what `measures` of the earlier answer gave.
    """
    told = []
    if before["headline"] != now.headline:
        told.append(f"The answer was: {before['headline']}")
    told += _changed_causes(before["attention"], now.attention)
    was = _by_name(before["top"])
    rows = now.measures()["top"]
    for name, row in _by_name(rows).items():
        if name not in was:
            told.append(f"{name} is new in the table")
            continue
        told += [
            f"{name}: {title} {was[name][title]} → {value}"
            for title, value in row.items()
            if title in was[name] and was[name][title] != value
        ]
    gone = [name for name in was if name not in _by_name(rows)]
    return told + [f"{name} is no longer in the table" for name in gone]


def cause_of(sentence: str) -> str:
    """What stays of a sentence that needs attention while its numbers move."""
    bare = DAY_OR_NUMBER.sub(lambda found: found[0] if _is_day(found[0]) else "#", sentence)
    return " ".join(SINGULAR.get(word, _singular(word)) for word in bare.split())


def _is_day(number: str) -> bool:
    return "-" in number


def _singular(word: str) -> str:
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s")


def _changed_causes(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """What is new, what moved and what is gone; whom a sentence lists may change, too."""
    was: dict[str, list[str]] = defaultdict(list)
    for each in before:
        if each not in now:
            was[cause_of(each.partition(": ")[0])].append(each)
    told = []
    for each in now:
        if each in before:
            continue
        same = was[cause_of(each.partition(": ")[0])]
        told.append(_moved(same.pop(0), each) if same else f"New: {each}")
    return told + [f"No longer: {each}" for gone in was.values() for each in gone]


def _moved(before: str, now: str) -> str:
    if cause_of(before) != cause_of(now):
        return f"Still: {now} (before: {before})"
    pairs = zip(DAY_OR_NUMBER.findall(before), DAY_OR_NUMBER.findall(now), strict=False)
    return f"Still: {now} ({', '.join(f'{old} → {new}' for old, new in pairs if old != new)})"


def _by_name(rows: Sequence[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Rows by what tells them apart: the first cell that is text in each."""
    return {" · ".join(_names(row)): row for row in rows}


def _names(row: Mapping[str, str]) -> list[str]:
    cells = [str(value) for value in row.values()]
    named = [cell for cell in cells if any(letter.isalpha() for letter in cell)]
    return named[:1] or cells[:1]
