"""How what was found is told: for people, or as JSON for programs."""

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Item:
    """One item of a checklist; of what was not looked at nobody knows whether it is good."""

    item: str
    seen: str
    is_good: bool
    is_looked_at: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """What was looked at, what was seen; where it is a problem, its cause and what to do."""

    name: str
    seen: str
    is_problem: bool = False
    remedy: str = ""
    details: Sequence[str] = field(default=())


@contextmanager
def only_json(is_json: bool) -> Iterator[None]:
    """What is said on the way goes to the other stream, so that a program reads one document."""
    if is_json:
        with redirect_stdout(sys.stderr):
            yield
    else:
        yield


@contextmanager
def lines(is_json: bool) -> Iterator[None]:
    """What a module says, line by line; for programs one document with all of it at the end."""
    if not is_json:
        yield
        return
    said = io.StringIO()
    with redirect_stdout(said):
        yield
    as_json({"lines": said.getvalue().splitlines()})


def as_json(content: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, indent=2, default=str) + "\n")


def looking_at(what: str) -> None:
    """Say what is being looked at, which may take a while, to whoever waits for it."""
    sys.stderr.write(f"looking at {what}\n")
    sys.stderr.flush()


def verdicts(items: Iterable[Item], is_json: bool) -> list[Item]:
    """The items, each told to people as soon as it is known."""
    console = Console(soft_wrap=True)
    found = []
    for each in items:
        found.append(each)
        if is_json:
            continue
        mark = "[green]pass[/]" if each.is_good else "[bold red]FAIL[/]"
        mark = mark if each.is_looked_at else "[yellow]none[/]"
        console.print(f"{mark}  {escape(each.item)}: {escape(each.seen)}", highlight=False)
        sys.stdout.flush()
    return found


def diagnoses(diagnosed: Iterable[Diagnosis], is_json: bool) -> list[Diagnosis]:
    """The diagnoses, each told to people as soon as it is known, and at the end how many are
    problems."""
    console = Console(soft_wrap=True)
    found = []
    for each in diagnosed:
        found.append(each)
        if is_json:
            continue
        mark = "[bold red]problem[/]" if each.is_problem else "[green]ok[/]     "
        console.print(f"{mark}  {escape(each.name)}: {escape(each.seen)}", highlight=False)
        for line in each.details:
            console.print(f"           {escape(line)}", highlight=False)
        if each.remedy:
            console.print(f"           [bold]{escape(each.remedy)}[/]", highlight=False)
        sys.stdout.flush()
    if not is_json:
        problems = sum(each.is_problem for each in found)
        console.print(f"{problems or 'No'} problem{'' if problems == 1 else 's'} found")
    return found
