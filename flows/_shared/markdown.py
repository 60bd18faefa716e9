"""Text from anywhere as Markdown in which it stays text."""

import re
from collections.abc import Sequence

from flows._shared.masks import masked
from flows._shared.secrets import without_secrets

LONGEST = 600
# What Markdown, GitHub's autolinks or HTML would act on. An underscore within a word is none.
ACTS = re.compile(r"[\\`*\[\]<>|#~&@]|(?<!\w)_|_(?!\w)|(?<=\w):(?=//)|(?<=www)\.")
NUMBER = re.compile(r"[^A-Za-z]{0,3}[\d.,\s]+[^A-Za-z]{0,3}|–")
# What controls a terminal, a parser or the direction of the text beside it, what takes no room
# (joiners, which scripts and emoji need, are left), and halves of a letter, which no file holds.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff]"
)


def plain(text: str) -> str:
    """One line without secrets and addresses of people, of much the beginning; nothing acts."""
    line = UNSEEN.sub("\ufffd", masked(without_secrets(" ".join(text.split()))))
    if len(line) > LONGEST:
        line = line[:LONGEST].rstrip() + " …"
    return ACTS.sub(r"\\\g<0>", line)


def code(text: str) -> str:
    """One line as code, whatever is in it, without secrets and addresses of people."""
    line = UNSEEN.sub("\ufffd", masked(without_secrets(" ".join(text.split()))))
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; what is a number in all rows stands to the right."""
    columns = zip(*rows, strict=True) if rows else [()] * len(titles)
    marks = [
        "---:" if all(NUMBER.fullmatch(cell) for cell in column) else "---" for column in columns
    ]
    return [f"| {' | '.join(map(plain, each))} |" for each in (titles,)] + [
        f"|{'|'.join(marks)}|",
        *(f"| {' | '.join(map(plain, row))} |" for row in rows),
    ]


def section(title: str, items: Sequence[str]) -> list[str]:
    """A heading and a list of lines that are Markdown already; nothing where there are none."""
    return ["", f"## {title}", "", *(f"- {item}" for item in items)] if items else []
