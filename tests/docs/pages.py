"""The commands of the pages, and what a page says of typing them.

What stands in a fence of `bash` is typed in a clean shell (`test_typed.py`), unless a comment right
before the fence says why not, of all of its commands or of those that begin as it says:

    <!-- not typed: it waits for ever -->
    <!-- not typed (make faults, make bench): it takes long -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BY_CONTINUOUS_INTEGRATION = "continuous integration types it"
# Such a command is typed, too, and ended after a while.
FOR_EVER = "it waits for ever"
REASONS = frozenset(
    {
        BY_CONTINUOUS_INTEGRATION,
        "it asks a server of somebody else's",
        "it installs everything",
        "it needs a cloud account",
        "it needs a cluster",
        "it needs a database of your own",
        "it needs Docker",
        "it takes long",
        FOR_EVER,
    }
)
MARK = re.compile(r"<!-- not typed(?: \((.+?)\))?: (.+?) -->")
FENCE = re.compile(
    rf"^(?P<marks>(?:{MARK.pattern.replace('(.+?)', '.+?')}\n)*)"
    r"(?P<fence> *(?:```+|~~~+))(?P<language>[^\n]*)\n(?P<body>.*?)^(?P=fence)\n",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(
    r"`((?:flows|bin/flows|make|prefect deployment run|(?:\.venv/bin/)?python -m) [^`]+)`"
)


@dataclass(frozen=True)
class Command:
    page: str
    # As it is typed: with its comment, and over several lines where it is continued.
    text: str
    # Why it is not typed.
    reason: str | None = None

    @property
    def is_typed(self) -> bool:
        return self.reason in (None, FOR_EVER)

    @property
    def words(self) -> str:
        """In one line, without the comment."""
        return self.text.replace("\\\n", " ").split(" #")[0].strip()


def begins(text: str, beginning: str) -> bool:
    """Whether a command begins with these words, of which there may be none."""
    return not beginning or f"{text} ".startswith(f"{beginning} ")


@dataclass(frozen=True)
class Fence:
    page: str
    language: str
    marks: tuple[tuple[str, str], ...]
    body: str

    def commands(self) -> Iterator[Command]:
        if self.language != "bash":
            return
        for text in re.split(r"(?<!\\)\n", self.body):
            if text.strip() and not text.lstrip().startswith("#"):
                yield Command(self.page, text, self._reason(text))

    def _reason(self, text: str) -> str | None:
        for beginnings, reason in self.marks:
            for beginning in beginnings.split(", "):
                if begins(text, beginning):
                    return reason
        return None


def fences(page: Path) -> Iterator[Fence]:
    for found in FENCE.finditer(page.read_text()):
        marks = tuple(MARK.findall(found["marks"]))
        yield Fence(str(page.relative_to(ROOT)), found["language"], marks, found["body"])


@cache
def commands() -> tuple[Command, ...]:
    """Those of all pages, in the order of each."""
    return tuple(each for page in PAGES for fence in fences(page) for each in fence.commands())


def mentions(page: Path) -> Iterator[str]:
    """Commands within a sentence, which are looked up and not typed."""
    for found in INLINE.findall(FENCE.sub("", page.read_text())):
        yield " ".join(found.split())
