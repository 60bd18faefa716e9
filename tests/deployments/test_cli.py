"""The command-line tool: its help, its exit codes, what it hands on, where it is found."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from blocks import CATALOGUE
from blocks.__main__ import main as of_blocks
from deployments.apply.__main__ import main as of_apply
from deployments.cli import checklist
from deployments.cli.app import app, main
from deployments.cli.arguments import INBOX, SLUGS
from deployments.cli.settings import with_embedded_owner
from deployments.cli.told import Item
from deployments.local import commands, runtime
from deployments.local.domains import DOMAINS, WEBHOOKS
from deployments.local.paths import PROJECT_ROOT, LocalPaths
from deployments.local.postgres import EmbeddedPostgres
from deployments.local.processes import record_of
from deployments.local.run import Watched
from deployments.roles import DATABASES
from deployments.roles.__main__ import main as of_roles
from deployments.roles.__main__ import owner_variable
from flows.webhooks.__main__ import main as of_webhooks

TOOL = PROJECT_ROOT / "bin" / "flows"
OPTION = re.compile(r"--[a-z][a-z-]*")
HELP = {"--help"}
OF_OTHER_PROGRAMS = {"dbt", "psql"}
HANDED_ON: Mapping[str, tuple[Sequence[str], Callable[[Sequence[str]], int]]] = {
    "blocks": ((), of_blocks),
    "roles": ((), of_roles),
    "apply": ((), of_apply),
    "replay": (("replay",), of_webhooks),
}


def test_every_help_has_its_options_and_an_example_that_the_tool_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in group.commands.items():
        assert command.epilog
        assert f"flows {name}" in command.epilog, name
        # What is taken beyond the options that are shown is another program's.
        takes_more = command.context_settings.get("ignore_unknown_options", False)
        assert takes_more is (name in OF_OTHER_PROGRAMS), name
        own = {option for each in command.params for option in each.opts if option[:2] == "--"}
        assert own <= _shown(name, capsys, "Example"), name
        assert all(getattr(each, "help", None) for each in command.params), name
    assert main(["--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out
    assert {*SLUGS, INBOX} == {each.slug for each in (*DOMAINS, WEBHOOKS)}


def _shown(name: str, capsys: pytest.CaptureFixture[str], said: str = "") -> set[str]:
    """The options in the help of a command."""
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert said in shown
    return set(OPTION.findall(shown))


@pytest.mark.parametrize("name", HANDED_ON)
def test_no_option_that_is_handed_on_is_missing_in_the_help(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, module = HANDED_ON[name]
    with pytest.raises(SystemExit) as ended:
        module([*arguments, "--help"])
    assert ended.value.code == 0
    taken = set(OPTION.findall(capsys.readouterr().out))
    assert len(taken) > len(HELP)
    assert taken <= _shown(name, capsys)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nonsense"], 2, "No such command"),
        (["psql"], 2, "Missing argument"),
        (["run", "--color"], 2, "No such option"),
        (["run", "scuot"], 2, "did you mean scout?"),
        (["dbt", "scuot"], 2, "did you mean scout?"),
        (["blocks", "check", "scoot"], 2, "did you mean scout?"),
        (["check", "weather"], 2, "There are: github_scraper"),
        (["roles", "check", "weather"], 2, "There are: github_scraper"),
        (["roles", "apply"], 2, "name the one domain"),
        (["replay"], 2, "Missing option '--source'"),
        (["replay", "--source", "scout", "--since", "yesterday"], 2, "write 2026-11-01, "),
    ],
)
def test_what_is_wrong_is_said_and_ends_as_the_help_says(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "run scout"])
def test_an_interrupted_command_ends_130_and_says_what_is_up(
    command: str,
    prefect_server: str,
    local_paths: LocalPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "LocalPaths", lambda: local_paths)
    monkeypatch.setattr(runtime, "up", interrupted)
    assert main(command.split()) == 130
    assert re.search("^Stopped. Up until `flows stop`: .*Prefect", capsys.readouterr().out, re.M)


def test_the_arguments_of_other_programs_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, list[str]]] = []

    def record(slug: str, arguments: Sequence[str]) -> int:
        given.append((slug, list(arguments)))
        return 7

    monkeypatch.setattr(commands, "dbt", record)
    monkeypatch.setattr(commands, "psql", record)
    assert main(["dbt", "scout", "build", "-s", "gold", "--full-refresh"]) == 7
    assert main(["psql", "scout", "-c", "select 1"]) == 7
    assert given == [
        ("scout", ["build", "-s", "gold", "--full-refresh"]),
        ("scout", ["-c", "select 1"]),
    ]


def test_a_run_is_told_to_programs_as_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(slugs: Sequence[str], repositories: Sequence[str], watched: list[Watched]) -> int:
        commands.say("Starting PostgreSQL")
        done = Watched(DOMAINS[2], "id", "http://ui/id", "calm-crab", {"name": "Failed"})
        done.measures = {"rows_loaded": 3}
        watched.append(done)
        return 1

    monkeypatch.setattr(commands, "run", run)
    assert main(["run", "scout", "--json"]) == 1
    shown = capsys.readouterr()
    (told,) = json.loads(shown.out)["runs"]
    assert (told["domain"], told["state"], told["measures"]) == (
        "scout",
        "Failed",
        {"rows_loaded": 3},
    )
    assert shown.err == "Starting PostgreSQL\n"


@pytest.mark.parametrize(
    ("command", "module", "status"),
    [
        ("blocks list scout", "blocks.__main__", 0),
        ("roles check scout ledgermind", "deployments.roles.__main__", 1),
        ("apply --dry-run", "deployments.apply.__main__", 1),
        ("replay --source scout", "flows.webhooks.__main__", 1),
    ],
)
def test_what_is_handed_on_is_told_to_programs_as_one_document(
    command: str,
    module: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def says(_: Sequence[str]) -> int:
        print("a line")
        return status

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    for slug in DATABASES:
        monkeypatch.setenv(owner_variable(slug), "postgresql://owner@127.0.0.1:9/x")
    monkeypatch.setattr(f"{module}.main", says)
    assert main([*command.split(), "--json"]) == status
    domains = 2 if command.startswith("roles") else 1
    assert json.loads(capsys.readouterr().out) == {"lines": ["a line"] * domains}


def test_the_checklist_tells_as_it_goes_and_ends_1_where_an_item_fails(
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    before: list[tuple[str, str]] = []

    def blocks_of(slug: str) -> Iterator[Item]:
        before.append(capsys.readouterr())
        yield Item(f"{slug}: x", "refused", False)

    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: LocalPaths(tmp_path))
    monkeypatch.setattr(checklist, "_files", lambda: iter([Item("files", "fit", True)]))
    monkeypatch.setattr(checklist, "_blocks", blocks_of)
    assert main(["check", "scout"]) == 1
    ((told, looking),) = before
    assert told == "pass  files: fit\n"
    assert [line.partition(":")[0] for line in looking.splitlines()] == [
        "looking at the code of the project",
        "looking at the files",
        "looking at the Prefect server, for the blocks that it has",
        "looking at scout",
    ]
    shown = capsys.readouterr()
    assert "FAIL  scout: x: refused" in shown.out
    assert "none  scout: roles: not looked at: SCOUT_OWNER_DATABASE_URL is not set" in shown.out
    assert main(["check", "scout", "--json"]) == 1
    items = json.loads(capsys.readouterr().out)["items"]
    assert [each["item"] for each in items] == ["files", "scout: x", "scout: roles"]


@pytest.fixture
def no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names the owner of no database."""
    for slug in DATABASES:
        monkeypatch.setenv(owner_variable(slug), "")


@pytest.mark.usefixtures("no_owner")
def test_roles_of_an_embedded_database_are_looked_at_without_an_address(
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deployments.local.postgres.EmbeddedPostgres", lambda _: postgres)
    assert main(["roles", "check"]) == 1
    said = capsys.readouterr().err
    for slug in DATABASES:
        assert f"the embedded PostgreSQL has none of {slug} yet. `flows up` makes it" in said
    (not_made,) = checklist._roles("scout")
    assert not not_made.is_looked_at
    assert "`flows up` makes it" in not_made.seen

    request.addfinalizer(lambda: postgres.drop_database("scout"))
    postgres.create_database("scout")
    looked_at = list(checklist._roles("scout"))
    assert looked_at
    for each in looked_at:
        assert each.is_looked_at
        assert each.item.endswith("of the embedded database")
    embedded = ["check", "scout", "--exclusive", "--sample"]
    assert with_embedded_owner("check", "scout", []) == embedded
    assert os.environ["SCOUT_OWNER_DATABASE_URL"] == postgres.address("scout")
    assert with_embedded_owner("apply", "scout", []) == ["apply", "scout"]
    monkeypatch.setenv("SCOUT_OWNER_DATABASE_URL", "postgresql://somebody@elsewhere/scout")
    assert with_embedded_owner("check", "scout", []) == ["check", "scout"]


@pytest.mark.usefixtures("no_owner")
def test_where_nothing_runs_the_commands_say_so_and_what_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: LocalPaths(tmp_path))
    for arguments in (["roles", "check", "scout"], ["roles", "check"]):
        assert main(arguments) == 1
        assert "`flows up` starts it" in capsys.readouterr().err
    monkeypatch.setattr(commands, "LocalPaths", lambda: LocalPaths(tmp_path / "absent"))
    assert main(["stop"]) == 0
    assert "Nothing runs" in capsys.readouterr().out
    assert main(["stop", "--json"]) == 0
    shown = capsys.readouterr()
    assert {each["pid"] for each in json.loads(shown.out).values()} == {None}
    assert "Nothing runs" in shown.err


def test_each_command_that_tells_something_tells_it_to_programs_too() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    without = {
        name
        for name, command in group.commands.items()
        if "--json" not in {option for each in command.params for option in each.opts}
    }
    # What they print is for a shell, or is the program's that they start; the last removes all.
    assert without == {"env", "shell", "dbt", "psql", "clean"}


@pytest.mark.parametrize(
    ("name", "value", "is_kept"),
    [
        ("SCOUT_DATABASE_URL", "", False),
        ("SCOUT_DATABASE_URL", "postgresql://db.example/scout", True),
        ("PREFECT_API_URL", "https://prefect.example/api", True),
    ],
)
def test_what_a_shell_says_of_postgresql_is_for_servers_of_the_users_own(
    name: str,
    value: str,
    is_kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: LocalPaths(tmp_path))
    for each in [each for each in os.environ if each.endswith("DATABASE_URL")]:
        monkeypatch.delenv(each)
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGSERVICE", "production")
    monkeypatch.setenv("PGP_KEY", "no word of libpq's")
    assert main(["env", "--help"]) == 0
    assert ("PGSERVICE" in os.environ, "PGP_KEY" in os.environ) == (is_kept, True)


@pytest.mark.parametrize(
    "command",
    ["blocks check", "blocks register", "replay --source scout --id x", "apply --dry-run"],
)
def test_what_needs_a_server_says_so_where_there_is_none(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: LocalPaths(tmp_path))
    for name in ("PREFECT_API_URL", "PREFECT_WORK_POOL"):
        monkeypatch.delenv(name, raising=False)
    for module in ("blocks", "flows.webhooks"):
        monkeypatch.setattr(f"{module}.__main__.main", lambda _: pytest.fail("it went on"))
    assert main(command.split()) == 1
    told = capsys.readouterr().err
    assert "PREFECT_API_URL" in told
    assert "not set" in told
    assert "use `flows up`" in told


def test_what_names_the_pools_of_a_cluster_is_not_applied_to_the_server_of_this_machine(
    prefect_server: str,
    local_paths: LocalPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("deployments.cli.settings.LocalPaths", lambda: local_paths)
    monkeypatch.setattr("deployments.apply.__main__.LocalPaths", lambda: local_paths)
    monkeypatch.setenv("PREFECT_WARM_WORK_POOL", "warm")
    for url, pool, command in (
        ("", "", main),
        (prefect_server, "kubernetes", main),
        (prefect_server, "kubernetes", of_apply),
    ):
        monkeypatch.setenv("PREFECT_API_URL", url)
        monkeypatch.setenv("PREFECT_WORK_POOL", pool)
        with patch.dict(os.environ):
            assert command([*(["apply"] if command is main else []), "--dry-run"]) == 1
        refused = capsys.readouterr()
        assert refused.out == ""
        assert "PREFECT_WARM_WORK_POOL=warm names another for warm runs" in refused.err
        assert "with a server elsewhere, which PREFECT_API_URL" in refused.err
    monkeypatch.delenv("PREFECT_WARM_WORK_POOL")
    with patch.dict(os.environ):
        assert main(["apply", "--dry-run", "--pool-type", "kubernetes"]) == 1
    assert "--pool-type kubernetes is for a server elsewhere" in capsys.readouterr().err


def test_status_says_where_the_sign_in_is_and_not_what_it_is(
    prefect_server: str,
    local_paths: LocalPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "LocalPaths", lambda: local_paths)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert str(local_paths.sign_in) in said
    assert local_paths.sign_in.read_text() not in said


def test_the_server_of_another_clone_is_told_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    others = LocalPaths(tmp_path / "other" / ".local")
    record_of(os.getpid(), 4207).write(others.run / "server.json")
    monkeypatch.setattr(commands, "LocalPaths", lambda: LocalPaths(tmp_path / "own"))
    monkeypatch.setenv("PREFECT_HOME", str(others.prefect))
    for port, is_theirs in ((4207, True), (4208, False)):
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
        assert main(["status"]) == 0
        said = capsys.readouterr().out
        assert (f"/api, the Prefect server of {tmp_path / 'other'}: " in said) == is_theirs


def test_the_tool_runs_from_anywhere_and_says_what_is_missing(tmp_path: Path) -> None:
    clean = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    link = tmp_path / "flows"
    link.symlink_to(TOOL)
    shown = subprocess.run(
        [str(link), "blocks", "list"], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert CATALOGUE["scout"][0].name in shown.stdout

    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "readlink"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    bare = tmp_path / "clone"
    (bare / "bin").mkdir(parents=True)
    (bare / ".git").mkdir()
    (bare / "bin" / "flows").write_text(TOOL.read_text())
    (bare / "bin" / "flows").chmod(0o755)
    # A download has no .git; whether the system has a python is nothing to it.
    for is_clone, path in ((True, clean["PATH"]), (False, clean["PATH"]), (False, str(tools))):
        if not is_clone and (bare / ".git").exists():
            (bare / ".git").rmdir()
        missing = subprocess.run(
            ["/bin/sh", str(bare / "bin" / "flows"), "status"],
            env={**clean, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert missing.returncode == 1
        assert missing.stderr == f"flows: {bare}/.venv is not set up: type `make setup` there\n"


def test_completion_names_commands_and_domains(tmp_path: Path) -> None:
    asked = {"_FLOWS_COMPLETE": "complete_bash", "COMP_WORDS": "flows psql sc", "COMP_CWORD": "2"}
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **asked}
    shown = subprocess.run([str(TOOL)], env=environment, capture_output=True, text=True)
    assert shown.stdout.split() == ["scout"], shown.stderr


@pytest.mark.parametrize("command", ["up", "run", "report", "psql scout"])
def test_a_folder_that_may_not_be_written_is_named(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.touch()
    monkeypatch.setattr(LocalPaths.__init__, "__defaults__", (in_the_way / ".local",))
    assert main(command.split()) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"flows {command.split()[0]}: {in_the_way}"), told
    assert f"{in_the_way} belongs to {in_the_way.owner()}" in told
    assert "Traceback" not in told


def test_the_tool_of_one_clone_is_not_that_of_the_folder_it_is_called_in(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "__init__.py").write_text("raise SystemExit('another clone')")
    told = subprocess.run(
        [TOOL, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
