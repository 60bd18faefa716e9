"""The commands of the pages, typed as they stand there, in a clean shell of one fresh clone."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.local.postgres import EmbeddedPostgres
from tests.docs.filled import (
    ANSWERS,
    CLONE,
    ENDS,
    FAILS,
    GIVEN,
    OTHER,
    OWN,
    PRICES,
    RECEIVER,
    filled,
)
from tests.docs.pages import FOR_EVER, ROOT, Command, commands

# `test_commands` holds that each command exists and is taken; here they are run, for minutes.
pytestmark = [pytest.mark.exhaustive, pytest.mark.in_order, pytest.mark.timeout(3600)]

# The tutorial is for whoever has nothing yet, and what it ends the README starts; credentials have
# Scout use another database.
FIRST, LAST = ("docs/tutorial.md", "README.md"), ("docs/credentials.md",)
OPENS_A_SHELL = 'eval "$(bin/flows env)"'
OPENED, ENDED = "--- the shell is open", "--- typed"
# What waits for ever is ended; that it was still there is the status of `timeout`.
ENDED_AFTER, STILL_THERE = "timeout 20", 124
OUTPUT_OF_A_COMMAND = re.compile(rf"\n{ENDED} (\d+), ended with (\d+)\n")


def pages() -> Sequence[str]:
    typed = sorted({each.page for each in commands() if each.is_typed} - {*FIRST, *LAST})
    return [*FIRST, *typed, *LAST]


@dataclass(frozen=True)
class Machine:
    home: Path
    clone: Path
    replaced: Mapping[str, str]

    def type(self, script: str, given: Mapping[str, str]) -> str:
        """What a clean shell says, on either stream."""
        environment = [f"{name}={self.filled(value)}" for name, value in given.items()]
        clean = ["env", "-i", f"HOME={self.home}", "PATH=/usr/bin:/bin", *environment]
        return subprocess.run(
            [*clean, "sh", "-c", self.filled(script)],
            cwd=self.clone,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout

    def filled(self, text: str) -> str:
        for name, value in self.replaced.items():
            text = text.replace(name, value)
        return text


def as_typed(command: Command) -> str:
    waits = f"{ENDED_AFTER} " if command.reason == FOR_EVER else ""
    return waits + filled(command.text)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("home")
    clone, other = home / "clone", home / "other"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run(["git", "checkout", "--quiet", "-B", "main"], cwd=clone, check=True)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    # The environment is shared: make must not take it for one of an older lock.
    os.utime(clone / "requirements.lock", (0, 0))
    subprocess.run(["git", "init", "--quiet", other], check=True)
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@new.example"]
    commit = ["git", *author, "commit", "--quiet", "--allow-empty", "--message", "first"]
    subprocess.run(commit, cwd=other, check=True)
    (clone / ".local" / "typed").mkdir(parents=True)
    (clone / ".local" / "typed" / "prices.json").write_text(json.dumps(PRICES))
    (clone / ".local" / "typed" / "receiver.yaml").write_text(RECEIVER)
    own = EmbeddedPostgres(home / "own", is_durable=False).start()
    names = {CLONE: str(clone), OTHER: str(other), OWN: own.create_database("scout")}
    machine = Machine(home, clone, names)
    yield machine
    machine.type("bin/flows stop", {})
    own.stop()


@pytest.mark.parametrize("page", pages())
def test_every_command_works_as_it_is_typed(machine: Machine, page: str) -> None:
    typed = [each for each in commands() if each.page == page and each.is_typed]
    texts = [each.text for each in typed]
    is_of_the_docs = page.startswith("docs/") and OPENS_A_SHELL not in texts
    # What is typed outside of a shell that knows the server needs none to have ended.
    ends_with_runs = is_of_the_docs or (OPENS_A_SHELL in texts and "flows stop" not in texts)
    lines = [OPENS_A_SHELL] if is_of_the_docs else []
    lines.append(f"echo '{OPENED}'")
    for number, command in enumerate(typed):
        lines += [as_typed(command), f'printf "\\n{ENDED} {number}, ended with %s\\n" "$?"']
    if ends_with_runs:
        lines.append(f"python -m tests.docs.ended {datetime.now(UTC).isoformat()}")
    said = machine.type("\n".join(lines), GIVEN.get(page, {}))
    opened, _, shown = said.partition(f"{OPENED}\n")
    *of_commands, of_runs = OUTPUT_OF_A_COMMAND.split(shown)
    outputs, statuses = of_commands[::3], [int(status) for status in of_commands[2::3]]
    assert len(statuses) == len(texts), opened + shown[-3000:]
    wrong = [
        f"{command.text}\nends with {status}:\n{output[-3000:]}"
        for command, status, output in zip(typed, statuses, outputs, strict=True)
        if status != (STILL_THERE if command.reason == FOR_EVER else ENDS.get(command.words, 0))
    ]
    assert not wrong, "\n\n".join(wrong)
    failed = {line.partition(":")[0]: line for line in of_runs.splitlines() if ": " in line}
    assert failed.keys() == FAILS.get(page, frozenset()), of_runs
    assert "RuntimeWarning" not in shown
    missing = [answer for answer in ANSWERS.get(page, ()) if answer not in shown]
    assert not missing, shown
