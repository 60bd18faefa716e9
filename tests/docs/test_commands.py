"""What the documentation tells people to type exists and is accepted, typed or not, and each
command is typed by a test (`test_typed.py`) or the page says why not."""

import json
import os
import re
import shlex
import shutil
import subprocess
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import pytest
import yaml
from dbt.cli.main import cli as dbt
from typer.core import TyperGroup
from typer.main import get_command

from deployments.cli.app import app
from tests.docs.filled import filled
from tests.docs.pages import (
    BY_CONTINUOUS_INTEGRATION,
    MARK,
    PAGES,
    REASONS,
    ROOT,
    Command,
    begins,
    commands,
    fences,
    mentions,
)

# Of a variable of the shell, from a value or from what a command prints.
ASSIGNMENT = re.compile(r"\w+=(\$\(.*\)|'[^']*'|\S*)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
LANGUAGES = {"bash", "csv", "mermaid", "sql", "text", "yaml"}
OF_A_SHELL = re.compile(
    r"(\$ |(export|cd|docker|dbt|curl|kubectl|kustomize|prefect|flows|bin/flows|make|git|pip"
    r"|\S*python3?) \S)"
)
# What stands for something that a reader puts in its place.
LEFT_OPEN = re.compile(r"\.\.\.|<\w+>|/path/to|/owner/name")


def lines() -> list[tuple[str, str]]:
    """Page and command, those within sentences, too, each once."""
    typed = {(each.page, each.words) for each in commands()}
    mentioned = {(str(page.relative_to(ROOT)), said) for page in PAGES for said in mentions(page)}
    return sorted(each for each in typed | mentioned if not ASSIGNMENT.fullmatch(each[1]))


LINES = lines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_is_typed_or_the_page_says_why_not(page: Path) -> None:
    text = page.read_text()
    of_page = list(fences(page))
    assert len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)) == 2 * len(of_page)
    for fence in of_page:
        assert fence.language in LANGUAGES, "a fence says what is in it; a shell's are `bash`"
        if fence.language == "text":
            shell = [line for line in fence.body.splitlines() if OF_A_SHELL.match(line)]
            assert not shell, "commands stand in a fence of `bash`"
        for mark in fence.marks:
            assert mark[1] in REASONS, mark
            of_mark = [each.text for each in fence.commands() if each.reason == mark[1]]
            for beginning in mark[0].split(", "):
                assert any(begins(text, beginning) for text in of_mark), "nothing begins like that"
    marks = [mark for fence in of_page for mark in fence.marks]
    assert MARK.findall(text) == marks, "a mark stands right before its fence"
    typed_as_it_stands = [
        each.text
        for each in commands()
        if ROOT / each.page == page and each.is_typed and LEFT_OPEN.search(filled(each.text))
    ]
    assert typed_as_it_stands == [], "what is put in its place is in tests/docs/filled.py"


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.words[:60])
def test_each_command_is_one_for_a_shell(command: Command) -> None:
    read = subprocess.run(["sh", "-n", "-c", command.text], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr


def test_what_continuous_integration_types_it_types() -> None:
    places = [ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").iterdir()]
    typed = {word for place in places for word in re.findall(r"make ([a-z-]+)", place.read_text())}
    left = [each.words for each in commands() if each.reason == BY_CONTINUOUS_INTEGRATION]
    assert left
    for words in left:
        assert typed.issuperset(shlex.split(words)[1:]), words


@pytest.mark.parametrize(("page", "command"), [c for c in LINES if c[1].startswith("make")])
def test_every_make_recipe_named_exists(page: str, command: str) -> None:
    # Whether .venv is up to date is not asked: that looks for the newest Python each time.
    options = ["--dry-run", "--old-file=.venv/.installed-from-lock"]
    words = shlex.split(command)[1:]
    shown = subprocess.run(["make", *options, *words], cwd=ROOT, capture_output=True, text=True)
    without_a_domain = words in (["psql"], ["dbt"])
    assert shown.returncode == 0 or without_a_domain, f"{page}: {shown.stderr}"
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if benchmark := given.get("BENCH"):
        options_are_known(page, f"tests.benchmarks.{benchmark}", shlex.split(given.get("ARGS", "")))
    elif "faults" in words:
        options_are_known(page, "tests.faults", shlex.split(given.get("ARGS", "")))


@pytest.mark.parametrize(
    ("page", "command"), [c for c in LINES if c[1].startswith("prefect deployment run")]
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
    [c for c in LINES if not c[1].startswith(("make", "prefect deployment run"))],
)
def test_every_other_command_starts_with_something_that_is_there(page: str, command: str) -> None:
    if command == 'eval "$(bin/flows env)"' or command.startswith("export "):
        return
    words = [word for word in shlex.split(command) if not re.match(r"\w+=", word)]
    program = words[0]
    if program in ("flows", "bin/flows"):
        assert is_taken(words[1:]), f"{page}: {command}"
    elif program == "cd":
        assert (ROOT / words[1]).is_dir()
    elif program == "kubectl":
        is_read_by_kubectl(words[1:])
    elif program == "kustomize":
        overlay = ROOT / "deployments" / "kubernetes" / "overlays" / "production"
        images = yaml.safe_load((overlay / "kustomization.yaml").read_text())["images"]
        assert words[4].partition("=")[0] in {image["name"] for image in images}
    elif program == "gcloud":
        # Nothing here can judge it; `test_clusters.py` holds it to the manifests.
        assert len(words) > 3
    elif program == "docker":
        is_of_a_file_of_compose(words[2:])
    else:
        places = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        is_there = (ROOT / program).exists() or shutil.which(program, path=places)
        assert is_there, f"{page}: {program} is missing"
        if program == "dbt":
            assert dbt.make_context("dbt", words[1:])
        # An environment made by uv has no pip: there the module is taken on trust.
        if words[1:2] == ["-m"] and words[2] not in ("pip", "pytest"):
            options_are_known(page, words[2], words[3:])


def is_read_by_kubectl(words: list[str]) -> None:
    """Its options, before a command of the pod; nothing is run."""
    if shutil.which("kubectl") is None:
        return
    own = words[: words.index("--")] if "--" in words else words
    read = subprocess.run(["kubectl", *own, "--help"], capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    assert "Usage:" in read.stdout


def is_of_a_file_of_compose(words: list[str]) -> None:
    given = yaml.safe_load((ROOT / words[words.index("-f") + 1]).read_text())
    if "run" in words:
        service, *rest = [word for word in words[words.index("run") + 1 :] if word != "--rm"]
        assert service in given["services"]
        assert dbt.make_context("dbt", rest)


@cache
def _sources(module: str) -> str:
    found = find_spec(module)
    assert found is not None, module
    files = sorted(Path(found.origin or "").parent.glob("*.py"))
    own = files if found.submodule_search_locations else [Path(found.origin or "")]
    return "".join(file.read_text() for file in own)


def options_are_known(page: str, module: str, words: list[str]) -> None:
    """A module is there, and says each option that it is given."""
    for option in [word.partition("=")[0] for word in words if word.startswith("--")]:
        assert f'"{option}"' in _sources(module), f"{page}: {module} has no {option}"
    assert _sources(module), page


def is_taken(words: list[str]) -> bool:
    """Whether the tool takes a command line; nothing is run."""
    group = get_command(app)
    context = group.make_context("flows", list(words), resilient_parsing=words == ["--help"])
    if words == ["--help"]:
        return True
    assert isinstance(group, TyperGroup)
    name, command, rest = group.resolve_command(context, list(words))
    assert command is not None, name
    # Within a sentence a command may stand for all that can be given to it.
    is_named_alone = len(words) == 1 or words[-1].startswith("<")
    return bool(command.make_context(name, rest, parent=context, resilient_parsing=is_named_alone))


def test_a_clean_shell_with_the_local_environment_has_every_program(tmp_path: Path) -> None:
    typed = [each.words for each in commands() if each.is_typed]
    lines = [shlex.split(each) for each in typed if not ASSIGNMENT.fullmatch(each)]
    first = {next(word for word in words if not re.match(r"\w+=", word)) for words in lines}
    programs = sorted(program for program in first - {"eval"} if "/" not in program)
    assert {"prefect", "python", "make", "flows"} <= set(programs)
    # The cheapest commands of the pages are typed here, too; all of them in `test_typed.py`.
    script = (
        'eval "$(bin/flows env)"\nfor each in "$@"; do command -v "$each" >&2 || echo "$each"; done'
        "\nflows --help >&2 && unset PREFECT_API_URL && flows blocks list >&2"
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
    assert "Exit codes: 0 it worked" in shown.stderr
    assert "SCOUT_DATABASE_URL" in shown.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_names_the_two_commands() -> None:
    assert {"make run", "make test"} <= {command for _, command in LINES}
    # SQL in ARGS would be quoted twice: once for make, once for the shell that it starts.
    assert [c for c in LINES if c[1].startswith("make psql ")] == []
