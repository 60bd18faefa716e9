"""Commits from a real repository, Copilot from a real server on loopback."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import yaml

from flows.agent_analytics import raw, sample, source
from flows.agent_analytics.records import (
    Commit,
    CopilotDay,
    CopilotDownError,
    CopilotRefusedError,
    GitReadError,
    LoadCounts,
    MartsMissingError,
    Rejected,
)
from flows.agent_analytics.rules import commit_of, copilot_day
from flows.agent_analytics.sync import load_commits
from flows.github_scraper.raw import ensure_schema
from tests.agent_analytics.copilot_api import Fake, running
from tests.dbt_projects.messy_history import OTHER, PARENT, history
from tests.dbt_projects.messy_history import load as load_history
from tests.dbt_projects.warehouse import Warehouse, install_packages
from tests.parsed import PROJECTS

DAY = date(2026, 3, 2)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with running() as server:
        yield server


def fetch(fake: Fake) -> list[CopilotDay | Rejected]:
    with source.copilot_client(fake.url, "the-token") as copilot:
        return list(copilot.fetch_day("acme", DAY))


def test_a_report_is_followed_to_its_download_without_the_token(fake: Fake) -> None:
    rows = fetch(fake)
    assert [row.developer_id for row in rows if isinstance(row, CopilotDay)] == ["dev0", "dev2"]
    assert [row.reason for row in rows if isinstance(row, Rejected)] == ["without user_login"]
    assert fake.seen == [
        ("/orgs/acme/copilot/metrics/reports/users-1-day?day=2026-03-02", "Bearer the-token"),
        ("/signed?token=x", None),
    ]


def test_edits_by_the_agent_are_no_accepted_completions(fake: Fake) -> None:
    row = next(row for row in fetch(fake) if isinstance(row, CopilotDay))
    assert row.acceptances < row.suggestions
    assert row.lines_accepted < row.lines_suggested
    assert row.languages == {"python": row.suggestions}


def test_credits_and_tokens_of_a_report_are_read() -> None:
    usage = {"token_usage": {"prompt_tokens_sum": 3_800, "output_tokens_sum": 5_000_000_000}}
    told = copilot_day(
        report(
            ai_credits_used=12.5,
            totals_by_cli={"request_count": 2, **usage},
            totals_by_copilot_app={"request_count": 3},
        )
    )
    assert (told.ai_credits, told.cli_requests, told.app_requests) == (12.5, 2, 3)
    assert (told.cli_prompt_tokens, told.cli_output_tokens) == (3_800, 5_000_000_000)
    without = copilot_day(report())
    assert (without.ai_credits, without.cli_requests, without.cli_prompt_tokens) == (None, 0, 0)


def report(**more: object) -> dict[str, object]:
    return {**next(sample.copilot_rows(1, 1)), **more}


@pytest.mark.parametrize(
    "odd",
    [
        {"user_login": None},
        {"user_login": " "},
        {"ai_credits_used": -1},
        {"ai_credits_used": float("nan")},
        {"ai_credits_used": "free"},
        {"totals_by_cli": [1]},
        {"totals_by_cli": {"token_usage": {"prompt_tokens_sum": -1}}},
        {"totals_by_cli": {"token_usage": {"prompt_tokens_sum": 1e13}}},
        {"totals_by_copilot_app": {"request_count": "many"}},
        {"totals_by_copilot_app": {"request_count": "\u0665"}},
        {"totals_by_copilot_app": {"request_count": 2.5}},
        {"ai_credits_used": "1_0.5"},
    ],
)
def test_a_row_that_makes_no_sense_is_put_aside_and_its_neighbour_is_not(
    tmp_path: Path, odd: dict[str, object]
) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(f"{json.dumps(report(**odd))}\n{json.dumps(report())}\n")
    first, second = source.read_copilot_rows(path)
    assert isinstance(first, Rejected)
    assert isinstance(second, CopilotDay)


def test_a_language_without_a_name_is_unknown() -> None:
    parts = [{"language": None, "feature": "code_completion", "code_generation_activity_count": 2}]
    assert copilot_day(report(totals_by_language_feature=parts)).languages == {"unknown": 2}


def test_a_day_without_a_report_is_empty(fake: Fake) -> None:
    fake.status = 204
    assert fetch(fake) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, CopilotRefusedError), (404, CopilotRefusedError), (429, CopilotDownError),
     (503, CopilotDownError)],
)  # fmt: skip
def test_a_refusal_is_told_apart_from_a_bad_moment(
    fake: Fake, status: int, error: type[Exception]
) -> None:
    fake.status = status
    with pytest.raises(error, match=str(status)):
        fetch(fake)


@pytest.mark.parametrize(
    "lie",
    [
        *(
            "<html>",
            "",
            "[1]",
            "7",
            "[" * 100_000,
            '{"download_links": 5}',
            '{"message": "no"}' * 2,
        ),
        *(
            json.dumps({"download_links": [link]})
            for link in ("file:///etc/passwd", "https://127.0.0.1:9/", "http://[::1", "x")
        ),
    ],
)
def test_an_answer_that_is_none_is_told_as_one(fake: Fake, lie: str) -> None:
    fake.lie = lie
    with pytest.raises(CopilotRefusedError, match="none of Copilot's API"):
        fetch(fake)


@pytest.mark.parametrize(("lie", "ends"), [('{"message": "no"}', False), ('[{"date": "x"}]', True)])
def test_an_old_report_without_an_end_ends(fake: Fake, lie: str, ends: bool) -> None:
    fake.lie = lie
    with (
        source.copilot_client(fake.url, "the-token") as copilot,
        nullcontext() if ends else pytest.raises(CopilotRefusedError, match="no list of days"),
    ):
        assert len(list(copilot.fetch_legacy("acme", [DAY]))) == 2


def test_an_answer_longer_than_any_that_is_due_is_not_read_to_its_end(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.agent_analytics.source.copilot.MOST_BYTES_OF_REPORT", 100)
    with pytest.raises(CopilotRefusedError, match="too long"):
        fetch(fake)


def test_a_server_that_is_gone_is_a_bad_moment() -> None:
    with (
        source.copilot_client("http://127.0.0.1:9", "t") as copilot,
        pytest.raises(CopilotDownError),
    ):
        list(copilot.fetch_day("acme", DAY))


def test_the_old_report_counts_for_the_whole_organization(fake: Fake) -> None:
    with source.copilot_client(fake.url, "the-token") as copilot:
        day, bad = copilot.fetch_legacy("acme", [DAY, DAY - timedelta(days=2)])
    assert day == CopilotDay(DAY, "__org__", 20, 8, 40, 10, 7, {"go": 20})
    assert isinstance(bad, Rejected)
    assert fake.seen[0][0].startswith(
        "/orgs/acme/copilot/metrics?since=2026-02-28&until=2026-03-02&per_page=100&page=1"
    )


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@x.example"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def test_a_repository_gives_its_commits_with_lines_and_whole_messages(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    message = "feat: ü\r\n\n\tindented\n\nCo-Authored-By: Claude <noreply@anthropic.com>"
    for number in (1, 2):
        (tmp_path / "a b.txt").write_text("line\n" * 3 * number)
        (tmp_path / "picture.bin").write_bytes(bytes([0, number]))
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-q", "-m", message)
    commits = [each for each in source.git_commits(tmp_path) if isinstance(each, Commit)]
    assert [(each.lines_added, each.lines_deleted, each.files_changed) for each in commits] == [
        (3, 0, 2),
        (3, 0, 2),
    ]
    assert commits[0].author_email == "ada@x.example"
    assert commits[0].message.endswith("<noreply@anthropic.com>")
    assert "\tindented" in commits[0].message
    now = datetime.now(UTC).replace(tzinfo=None)
    assert abs(commits[0].committed_at - now) < timedelta(minutes=5)


def test_whatever_a_message_a_name_or_a_date_holds_a_commit_counts_as_what_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    # As people have it for their own eyes.
    for name, value in (("showSignature", "true"), ("showRoot", "false")):
        git(tmp_path, "config", f"log.{name}", value)
    git(tmp_path, "config", "color.ui", "always")
    messages = ("one\x1etwo", "x\x1fy\n9\t9\tforged", "a\n\n1\t1\tf\n" + "b" * 40, "ü" * 2**20)
    for number, message in enumerate(messages):
        (tmp_path / f"{number}\n1\t2\tx").write_text("line\n")
        (tmp_path / "said").write_text(message)
        git(tmp_path, "add", f"{number}\n1\t2\tx")
        git(tmp_path, "commit", "-q", "--cleanup=verbatim", "-F", "said")
    git(tmp_path, "mv", "0\n1\t2\tx", "\t")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "A\x1e\x1fB")
    git(tmp_path, "commit", "-q", "-m", "moved")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@99999999999999999 +0000")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "far")
    far, moved, *read = source.git_commits(tmp_path)
    assert isinstance(far, Rejected)
    assert "no calendar" in far.reason
    assert isinstance(moved, Commit)
    assert (moved.author_name, moved.files_changed, moved.lines_added) == ("A\x1e\x1fB", 1, 0)
    shown = [
        (each.message, each.files_changed, each.lines_added, each.lines_deleted)
        for each in read
        if isinstance(each, Commit)
    ]
    assert shown == [
        (message[: 2**19] if number == 3 else message, 1, 1, 0)
        for number, message in reversed(list(enumerate(messages)))
    ]


def test_a_folder_that_is_no_repository_is_an_error_not_no_commits(tmp_path: Path) -> None:
    with pytest.raises(GitReadError, match="not a git repository"):
        list(source.git_commits(tmp_path))


def test_the_hook_and_the_repository_tell_one_commit_together(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 2, 12)
    told = Commit("a" * 40, "m", "Ada", "ada@x", moment, agent_session_id="s", developer_id="ada")
    read = Commit("a" * 40, "m", "Ada", "ada@x", moment, 1, 5, 2)
    store = raw.Store(tmp_path / "store.duckdb")
    with store.connect() as connection:
        raw.ensure_schema(connection)
        assert raw.load_commits(connection, [told]) == LoadCounts(rows_new=1)
        assert raw.load_commits(connection, [read]) == LoadCounts(rows_repeated=1)
        assert connection.execute(
            "select agent_session_id, developer_id, lines_added, lines_deleted from raw.git_commits"
        ).fetchall() == [("s", "ada", 5, 2)]


def test_rows_of_one_load_add_to_each_other_and_the_last_report_of_a_day_counts(
    tmp_path: Path,
) -> None:
    moment = datetime(2026, 3, 2, 12)
    told = Commit("a" * 40, "m", "Ada", "ada@x", moment, agent_session_id="s", developer_id="ada")
    read = Commit("a" * 40, "m", "Ada", "ada@x", moment, 1, 5, 2, is_agent_assisted=True)
    days = [CopilotDay(DAY, f"dev{number % 9}", number, 0, 0, 0, 1, {}) for number in range(5_000)]
    store = raw.Store(tmp_path / "store.duckdb")
    with store.connect() as connection:
        raw.ensure_schema(connection)
        assert raw.load_commits(connection, [told, read]) == LoadCounts(1, 1)
        assert connection.execute(
            "select agent_session_id, developer_id, lines_added, agent_assisted "
            "from raw.git_commits"
        ).fetchall() == [("s", "ada", 5, True)]
        assert raw.load_copilot(connection, days).rows_new == 9
        assert connection.execute(
            "select total_suggestions from raw.copilot_metrics order by 1"
        ).fetchall() == [(number,) for number in range(4_991, 5_000)]
    # A build leaves out what reads a row that is as it was.
    kept = "select * from raw.{} order by id"
    given = ("git_commits", "copilot_metrics")
    with store.connect() as connection:
        before = [connection.execute(kept.format(table)).fetchall() for table in given]
        raw.load_commits(connection, [told, read])
        raw.load_copilot(connection, days[-9:])
        assert [connection.execute(kept.format(table)).fetchall() for table in given] == before
        raw.load_copilot(connection, [replace(days[-1], languages={"go": 1})])
        first_at = before[1][0][9]
        assert connection.execute(
            "select created_at > ? from raw.copilot_metrics where developer_id = ?",
            [first_at, days[-1].developer_id],
        ).fetchall() == [(True,)]
        connection.execute("update raw.copilot_metrics set created_at = ?", [first_at])
        assert connection.execute(freshness_query("copilot_metrics")).fetchall()[0][0] > first_at


def freshness_query(table: str) -> str:
    declared = yaml.safe_load((PROJECTS / "agent_analytics/models/sources.yml").read_text())
    tables = {each["name"]: each for each in declared["sources"][0]["tables"]}
    return str(tables[table]["config"]["loaded_at_query"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"commit_hash": "xyz"}, "commit_hash is not a commit hash"),
        ({"commit_timestamp": "soon"}, "commit_timestamp is neither"),
        ({"lines_added": -1}, "lines_added is not a count"),
        ({"lines_added": "1_000"}, "no whole number"),
        ({"lines_added": " 5 "}, "no whole number"),
        ({"lines_added": 1.5}, "no whole number"),
        ({"lines_added": True}, "no whole number"),
        ({"agent_assisted": "perhaps"}, "neither true nor false"),
        ({"agent_assisted": [True]}, "neither true nor false"),
    ],
)
def test_a_commit_that_makes_no_sense_is_put_aside(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    row = next(sample.commits(3, 3))
    path = tmp_path / "commits.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({**row, **change}) + "\n")
    good, bad = source.read_commit_rows(path)
    assert good == commit_of(row)
    assert isinstance(bad, Rejected)
    assert reason in bad.reason


@pytest.mark.parametrize(("said", "is_so"), [("true", 1), (1, 1), ("Yes", 1), (0, 0), (None, 0)])
def test_a_commit_says_in_any_spelling_whether_an_agent_helped_and_which(
    said: object, is_so: bool
) -> None:
    row = {**next(sample.commits(3, 3)), "agent_assisted": said}
    assert commit_of(row).is_agent_assisted == is_so
    for spelled in ("Claude Code", "claude-code", "claude_code"):
        assert commit_of({**row, "agent_type": spelled}).agent_type == "claude_code"
    assert commit_of({**row, "agent_type": "My-Agent"}).agent_type == "My-Agent"


def test_commits_of_the_github_marts_come_once_each_with_their_co_authors(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database) as connection:
        ensure_schema(connection)
    made = [commit for commit in history(seed=1, size=40) if commit.orphaned_at is None]
    load_history(database, made)
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into contributors (id, identity_key, email, display_name) overriding system "
            "value values (99, 'e', 'noreply@anthropic.com', 'Claude'), "
            "(98, 'f', 'jane@anthropic.com', 'Jane Doe')"
        )
        connection.execute("delete from commit_coauthors")
        connection.execute(
            "insert into commit_coauthors (repository_id, commit_hash, position, contributor_id, "
            "identity_id, name, email) "
            "values (%s, %s, 1, 99, 99, 'Claude', 'noreply@anthropic.com'), "
            "(%s, %s, 2, 98, 98, 'Jane Doe', 'jane@anthropic.com')",
            2 * (made[0].repository_id, made[0].commit_hash),
        )
        with pytest.raises(MartsMissingError, match="Run the flow github-scraper first"):
            list(source.mart_commits(connection))
    install_packages("github_scraper", tmp_path)
    models = ("dim_contributor", "dim_repository", "int_coauthored_commits")
    statuses = Warehouse("github_scraper", database, tmp_path).dbt(
        "build",
        *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
        *("--select", *(f"+{model}" for model in models)),
    )
    assert set(statuses.values()) == {"success"}

    with psycopg.connect(database) as connection:
        rows = [each for each in source.mart_commits(connection) if isinstance(each, Commit)]
        read = {commit.commit_hash: commit for commit in rows}
        connection.execute(
            "update analytics.int_commits set commit_date = 'infinity' where commit_hash = %s",
            (made[0].commit_hash,),
        )
        [endless] = (each for each in source.mart_commits(connection) if isinstance(each, Rejected))
        assert "no calendar" in endless.reason
        connection.rollback()
    assert len(rows) == len(read) == len({commit.commit_hash for commit in made})
    one = made[0]
    assert one.repository_id in (PARENT, OTHER)
    seen = read[one.commit_hash]
    assert seen.co_authors == "Claude @anthropic.com"
    assert seen.committed_at == one.commit_date.replace(tzinfo=None)
    assert sum(commit.co_authors is not None for commit in rows) == 1
    counted = [commit for commit in made if not commit.is_merge]
    assert {read[c.commit_hash].lines_added for c in counted} == {c.lines_added for c in counted}

    def fails(store: object, rows: Iterator[object]) -> None:
        next(rows)
        raise RuntimeError

    # A load that fails half way leaves no transaction open in the marts' database.
    monkeypatch.setattr(raw, "load_commits", fails)
    with pytest.raises(RuntimeError) as kept:
        load_commits(raw.Store(tmp_path / "agents.duckdb"), [], [], database)
    others = "datname = current_database() and state <> 'idle' and backend_type = 'client backend'"
    with psycopg.connect(database) as connection:
        found = connection.execute(
            f"select from pg_stat_activity where {others} and pid <> pg_backend_pid()".encode()
        )
        assert not found.fetchall(), kept


OTHER_FILE_SYSTEM = Path("/dev/shm")


@pytest.mark.skipif(not OTHER_FILE_SYSTEM.is_dir(), reason="no second file system is mounted")
def test_pieces_of_a_file_are_the_file_whatever_file_system_it_is_on(tmp_path: Path) -> None:
    """Linux refuses to copy within the kernel between file systems of two kinds."""
    lines = "".join(f"line {number}\n" for number in range(1000))
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", dir=OTHER_FILE_SYSTEM) as file:
        file.write(lines)
        file.flush()
        part = source.FilePart(Path(file.name), 5, len(lines) - 9, "", 0)
        pieces = [
            made.path.read_text()
            for piece in source.split(part, 2000)
            for made in source.line_files(piece, tmp_path, 2000)
            if isinstance(made, source.LineFile)
        ]
    assert len(pieces) > 3
    assert "".join(pieces) == lines[5:-9]
