"""The flow on a real server: every database, file and page of an installation, before and after."""

import json
from pathlib import Path
from uuid import UUID

import duckdb
import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from pydantic import ValidationError

from blocks.registration import register
from flows.agent_analytics import raw as agents_raw
from flows.agent_analytics import rules
from flows.agent_analytics.settings import AgentAnalyticsSettings
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from flows.people.__main__ import main
from flows.people.operations import purge_person
from flows.people.settings import Named, PurgeSettings
from flows.report.settings import ReportSettings
from flows.webhooks.inbox import prepare_inbox, store
from tests.agent_analytics.test_purge import COMMITS, COPILOT, lines
from tests.databases import everything_of
from tests.github_scraper.histories import History
from tests.github_scraper.test_purge import write
from tests.parsed import prepare_flows_of
from tests.webhooks.test_inbox import delivery

CLEAR = ("jane@doe", "jane doe", "jane-d", "jane d. doe", "account-of-jane", "jd@home")
JANE = Named(emails=("Jane@Doe.example",))
VERSION = "2026-01-01T00-00-00Z"


def fill_database(url: str, history: History, mirrors: Path) -> None:
    write(history)
    history.point(
        history.commit(
            b"x\n", author="J <jd@home.example> 1700000600 +0100", parents=[history.head()]
        )
    )
    with psycopg.connect(url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        sync_repository(connection, str(history.path), GithubScraperSettings(), mirrors)
        connection.execute(
            "insert into contributor_aliases (alias, person) values ('jane@doe.example', 'jane-d')"
        )
        raw.merge_accounts(connection)
        prepare_inbox(connection)
        store(connection, [delivery("push", b'{"pusher": {"email": "jane@doe.example"}}')])


def fill_file(agents: agents_raw.Store, folder: Path) -> None:
    path = folder / "telemetry.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines()))
    with agents.connect() as connection:
        agents_raw.ensure_schema(connection)
        agents_raw.load_lines(connection, [path], path.name)
        agents_raw.load_commits(connection, (rules.commit_of(row) for row in COMMITS))
        agents_raw.load_copilot(connection, (rules.copilot_day(row) for row in COPILOT))
        # This alone tells that the address in the repository is theirs.
        connection.execute(
            "insert into raw.developer_identities"
            " values ('jane@doe.example', 'jd@home.example', timestamp '2026-03-02')"
        )
    agents.publish()
    agents.export_marts(agents.path.parent / "parquet")


def named_in(url: str, folder: Path) -> set[str]:
    """Every table, and every file below a folder, in which the person is named."""
    with psycopg.connect(url) as connection:
        places = {name: "\n".join(rows) for name, rows in everything_of(connection).items()}
    for path in folder.rglob("*"):
        if path.is_file():
            places[str(path.relative_to(folder))] = path.read_bytes().decode("latin-1")
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                for (name,) in connection.execute(
                    "select table_schema || '.' || table_name from information_schema.tables"
                ).fetchall():
                    rows = connection.execute(f"select * from {name}").fetchall()
                    places[f"{path.relative_to(folder)}: {name}"] = str(rows)
    texts = {place: text.lower().replace("janet@doe", "") for place, text in places.items()}
    return {place for place, text in texts.items() if any(name in text for name in CLEAR)}


@pytest.mark.timeout(1200)
def test_a_purge_leaves_the_person_in_no_table_no_file_and_no_page(
    prefect_server: str, database: str, history: History, tmp_path: Path
) -> None:
    for project in ("github_scraper", "agent_analytics"):
        prepare_flows_of(project)
    register(["github_scraper"], {"GITHUB_SCRAPER_DATABASE_URL": database})
    register(["webhooks"], {"WEBHOOKS_DATABASE_URL": database})
    kept = tmp_path / "kept"
    agents = agents_raw.Store(kept / "agents" / "agents.duckdb")
    page = kept / "report" / "versions" / VERSION / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("Jane Doe leads")
    fill_database(database, history, tmp_path / "mirrors")
    fill_file(agents, tmp_path)
    settings = PurgeSettings(
        agents=AgentAnalyticsSettings(database_path=agents.path),
        report=ReportSettings(destination=str(kept / "report"), agents_file=agents.published_path),
    )
    before = named_in(database, kept)
    assert {"public.commits", "webhooks.deliveries", "agents/agents.duckdb: raw.otel_logs"} < before

    dry = purge_person(JANE, settings=settings, return_state=True)
    assert named_in(database, kept) == before
    state = purge_person(JANE, dry_run=False, settings=settings, return_state=True)
    assert state.is_completed(), state.message
    assert named_in(database, kept) == set()
    with psycopg.connect(database) as connection:
        shown = connection.execute(
            "select display_name from analytics.dim_contributor where display_name like 'purged-%'"
        ).fetchall()
    assert len(shown) == 1
    with agents.reader() as connection:
        (developer,) = connection.execute(
            "select name from mart.dim_developers where developer_id like 'purged-%'"
        ).fetchall()
    assert developer == shown[0]
    assert state.result() == dry.result() | {"github: history": 0}
    (version,) = (kept / "report" / "versions").iterdir()
    assert version.name != VERSION

    # Nor does the server know whom it was.
    with get_client(sync_client=True) as client:
        run_id = UUID(str(state.state_details.flow_run_id))
        run = client.read_flow_run(run_id)
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
        )
    assert run.parameters == {"person": {"emails": ["purged emails 1"], "logins": [], "names": []}}
    told = json.dumps([str(each.data) for each in artifacts])
    assert "Out of reach: Backups" in told
    assert not any(name in told.lower() for name in CLEAR)


@pytest.mark.parametrize(
    ("person", "says"),
    [
        ({}, "give an address or a login"),
        ({"names": ["Jane Doe"]}, "give an address or a login"),
        ({"emails": ["%@example.org"]}, "give an address"),
        ({"emails": ["Jane <jane@doe.example>"]}, "give an address"),
        ({"emails": ["jane"]}, "give an address"),
        ({"logins": ["*"]}, "at least 2"),
        ({"logins": ["jane/repo"]}, "give one login"),
        ({"logins": ["jane"], "names": ["Jane"]}, "one word may be a word of any sentence"),
        ({"logins": ["jane"] * 101}, "at most 100"),
    ],
)
def test_who_is_purged_is_named_exactly(person: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        Named.model_validate(person)
    assert "jane@doe.example" not in str(refused.value)


def test_the_command_says_what_is_wrong_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--email", "nobody"]) == 2
    assert "emails.0: Value error, give an address" in capsys.readouterr().err


def test_a_run_that_refuses_whom_it_was_given_forgets_them(prefect_server: str) -> None:
    given = {"emails": ["Jane Secretname <jane@doe.example>"]}
    state = purge_person(given, return_state=True)
    assert state.is_failed()
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        kept = client.read_flow_run(run_id)
    assert "Secretname" not in str(kept.parameters)
    assert "Secretname" not in str(state.message)
