"""What the documentation tells people to type exists and is accepted."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from deployments.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of a variable of the shell, from a value or from what a command prints.
ASSIGNMENT = re.compile(r"\w+=(\$\(.*\)|'[^']*'|\S*)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in FENCE.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split(" #")[0].strip()
                if command and not command.startswith("#") and not ASSIGNMENT.fullmatch(command):
                    yield str(page.relative_to(ROOT)), command


COMMANDS = sorted(set(commands()))


@pytest.mark.parametrize(("page", "command"), [c for c in COMMANDS if c[1].startswith("make")])
def test_every_make_recipe_named_exists(page: str, command: str) -> None:
    # Whether .venv is up to date is not asked: that looks for the newest Python each time.
    options = ["--dry-run", "--old-file=.venv/.installed-from-lock"]
    shown = subprocess.run(
        ["make", *options, *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert shown.returncode == 0, f"{page}: {shown.stderr}"


@pytest.mark.parametrize(
    ("page", "command"), [c for c in COMMANDS if c[1].startswith("prefect deployment run")]
)
def test_every_deployment_run_named_fits_its_flow(page: str, command: str) -> None:
    words = shlex.split(command)
    flow_name, _, deployment_name = words[3].partition("/")
    declared = {
        each["name"]: each
        for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    }
    if f"name: {deployment_name}" in (ROOT / page).read_text():
        # The page has the reader write it.
        return
    assert deployment_name in declared, page
    module, _, function = str(declared[deployment_name]["entrypoint"]).rpartition(".")
    flow = getattr(import_module(module), function)
    assert flow.name == flow_name
    given = [words[at + 1] for at, word in enumerate(words) if word in ("-p", "--param")]
    split = (parameter.partition("=") for parameter in given)
    parameters = {name: _json_or_text(value) for name, _, value in split}
    for name in parameters:
        assert name in signature(flow.fn).parameters, f"{page}: no parameter {name}"
    flow.validate_parameters(parameters)


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


@pytest.mark.parametrize(
    ("page", "command"),
    [c for c in COMMANDS if not c[1].startswith(("make", "prefect deployment run"))],
)
def test_every_other_command_starts_with_something_that_is_there(page: str, command: str) -> None:
    if command == 'eval "$(bin/flows env)"':
        return
    words = [word for word in shlex.split(command) if not re.match(r"\w+=", word)]
    program = words[0]
    if program == "flows":
        assert is_taken(words[1:]), f"{page}: {command}"
        return
    places = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    is_there = (ROOT / program).exists() or shutil.which(program, path=places)
    assert is_there, f"{page}: {program} is missing"
    # An environment made by uv has no pip: there the module is taken on trust.
    if words[1:2] == ["-m"] and words[2] != "pip":
        assert is_importable(shutil.which(program) or str(ROOT / program), words[2]), page


@cache
def is_importable(python: str, module: str) -> bool:
    """Asked once for all commands that name it; what it imports is not, which takes seconds."""
    look = "import sys; from importlib.util import find_spec; sys.exit(not find_spec(sys.argv[1]))"
    return subprocess.run([python, "-c", look, module], cwd=ROOT).returncode == 0


def is_taken(words: list[str]) -> bool:
    """Whether the tool takes a command line; nothing is run."""
    group = get_command(app)
    context = group.make_context("flows", list(words), resilient_parsing=words == ["--help"])
    if words == ["--help"]:
        return True
    assert isinstance(group, TyperGroup)
    name, command, rest = group.resolve_command(context, list(words))
    assert command is not None, name
    return bool(command.make_context(name, rest, parent=context))


def test_a_clean_shell_with_the_local_environment_has_every_program(tmp_path: Path) -> None:
    lines = [shlex.split(command) for _, command in COMMANDS if not command.startswith("eval")]
    first = {next(word for word in words if not re.match(r"\w+=", word)) for words in lines}
    programs = sorted(program for program in first if "/" not in program)
    assert {"prefect", "python", "make", "flows"} <= set(programs)
    script = (
        'eval "$(bin/flows env)"\nfor each in "$@"; do command -v "$each" >&2 || echo "$each"; done'
    )
    shown = subprocess.run(
        [
            "env",
            "-i",
            f"HOME={tmp_path}",
            "PATH=/usr/bin:/bin",
            # A server of the user's own: none is started here.
            "PREFECT_API_URL=http://127.0.0.1:9/api",
            "sh",
            "-c",
            script,
            "sh",
            *programs,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not shown.stdout, shown.stderr
    assert str(ROOT / ".venv" / "bin" / "prefect") in shown.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_names_the_two_commands() -> None:
    assert {"make run", "make test"} <= {command for _, command in COMMANDS}
    # SQL in ARGS would be quoted twice: once for make, once for the shell that it starts.
    assert [c for c in COMMANDS if c[1].startswith("make psql")] == []
