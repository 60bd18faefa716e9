"""A developer who was purged is in no table and no file, does not come back, and costs the same."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from flows._shared.purged import Person, new_person, of_names
from flows.agent_analytics import raw, rules
from flows.agent_analytics.raw.purged import shown_rows
from flows.agent_analytics.sample import DELTA, Developer
from tests.agent_analytics.fleet import Marts, commit, request, session, tokens

DAY = datetime(2026, 3, 2, tzinfo=UTC)
JANE = Developer(1, "jane@doe.example", "account-of-jane", "machine-of-jane", DELTA, True)
PERSON = Person(emails=("Jane@Doe.example",), logins=("jane-d",), names=("Jane Doe",))
NAMES = ("jane@doe", "jane doe", "jane-d", "account-of-jane", "machine-of-jane")
COMMITS = [
    commit(
        1, DAY, author_name="Jane Doe", author_email="jane@doe.example",
        developer_id="jane@doe.example", commit_message="feat: x\n\nby Jane Doe <jane@doe.example>",
    ),
    commit(2, DAY, co_authors="Jane Doe @doe.example", commit_message="@jane-d said so"),
    commit(
        3, DAY, author_name="Jane Doe", developer_id="jane-d",
        author_email="17+jane-d@users.noreply.github.com",
    ),
    commit(4, datetime(2099, 1, 1, tzinfo=UTC), author_email="jane@doe.example"),
]  # fmt: skip
COPILOT = [
    {"day": "2026-03-02", "user_login": "jane-d", "user_initiated_interaction_count": 3},
    {"day": "2026-03-02", "user_login": "bob", "user_initiated_interaction_count": 5},
]
TELEMETRY = ("otel_logs", "otel_points")
COSTS = """
select count(distinct developer_id), round(sum(total_cost_usd), 9), count(*)
from mart.fct_daily_agent_usage
"""


def lines() -> list[str]:
    by_jane, by_other = session("s1", DAY, by=JANE), session("s2", DAY)
    return [
        request(by_jane, 1, (1_000_000, 5, 0, 0)),
        request(by_other, 1, (2_000_000, 5, 0, 0)),
        tokens(by_jane, {"input": 7.0}, 0, 5),
        request(by_jane, 2, (9, 5, 0, 0)).replace(
            '"body":{"stringValue":"claude_code.api_request"}',
            r'"body":{"stringValue":"{\"user\": \"machine-of-jane\"}"}'
        ).replace('"user.email"', '"prompt","value":{"stringValue":'
        '"ask jane@doe.example\\nor Jane Doe <jane@doe.example>"}},{"key":"user.email"'),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Marts:
    state = tmp_path_factory.mktemp("agent_analytics")
    return Marts(raw.Store(state / "marts.duckdb"), state)


def named_in(path: Path) -> dict[str, list[str]]:
    """The tables of a file in which the person is named, the bytes of the file, and how."""
    found = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        for (table,) in tables:
            text = str(connection.execute(f"select * from {table}").fetchall()).lower()
            if names := [name for name in NAMES if name in text]:
                found[table] = names
    content = path.read_bytes().lower()
    if names := [name for name in NAMES if name.encode() in content]:
        found["the bytes of the file"] = names
    return found


def purge(store: raw.Store, person: str, *, is_dry: bool = False) -> dict[str, int]:
    return raw.purge_person(store, PERSON, person, is_dry=is_dry)[0]


def test_a_purged_developer_is_gone_from_everything_and_costs_the_same(
    marts: Marts, tmp_path: Path
) -> None:
    store = marts.store
    marts.load(lines(), COMMITS, COPILOT)
    marts.run_to("fct_daily_agent_usage", "dim_developers", "rpt_agents_developers")
    before = marts.query(COSTS)
    person = new_person()
    counted = purge(store, person, is_dry=True)
    assert named_in(store.path)
    assert purge(store, person) == counted
    assert counted["raw.git_commits"] == 3
    assert counted["raw.copilot_metrics"] == 1
    assert counted["raw.rejected"] == 1
    marts.run_to("fct_daily_agent_usage", "dim_developers", "rpt_agents_developers", anew=True)
    raw.forget_former_rows(store)
    store.publish()
    assert named_in(store.path) == {}
    assert named_in(store.published_path) == {}
    assert marts.query(COSTS) == before
    assert marts.query(
        "select count(*) from mart.dim_developers where developer_id like 'purged%'"
    ) == [(1,)]
    assert set(purge(store, new_person()).values()) == {0}

    # What is sent again is known again; what is new is the same person's.
    logs, points = (marts.one(f"select count(*) from raw.{name}") for name in TELEMETRY)
    new = request(session("s3", DAY, by=JANE), 9, (1_000_000, 0, 0, 0))
    again = [*COMMITS, commit(5, DAY, author_email="JANE@doe.example", developer_id="Jane-D")]
    marts.load([*lines(), new], again, COPILOT)
    assert marts.one("select count(*) from raw.otel_logs") == logs + 1
    assert marts.one("select count(*) from raw.otel_points") == points
    assert marts.one("select count(*) - count(distinct id) from raw.otel_logs") == 0
    assert marts.one("select count(*) from raw.copilot_metrics") == 2
    models = ("fct_daily_agent_usage", "dim_developers", "rpt_agents_developers")
    marts.run_to(*models)
    incremental = marts.tables()
    marts.run_to(*models, anew=True)
    assert marts.tables() == incremental
    assert named_in(store.path) == {}
    assert marts.query(COSTS)[0][0] == before[0][0]


def test_a_commit_of_a_namesake_keeps_their_name() -> None:
    listed = of_names(("email:jane@doe.example", "jane doe"), "purged-0123456789ab")
    rows = [
        rules.commit_of(commit(1, DAY, author_name="Jane Doe", author_email=address))
        for address in ("jane@other.example", "jane@doe.example", "")
    ]
    kept = [str(getattr(row, "author_name", row)) for row in shown_rows(listed, rows)]
    assert kept == ["Jane Doe", "purged-0123456789ab", "purged-0123456789ab"]


def test_copies_that_were_damaged_go_with_the_person(tmp_path: Path) -> None:
    store = raw.Store(tmp_path / "marts.duckdb")
    kept = tmp_path / "marts.duckdb.damaged-20260101T000000"
    kept.write_bytes(b"jane@doe.example")
    with store.connect() as connection:
        raw.ensure_schema(connection)
        bob = commit(7, DAY, author_name="Bob", author_email="bob@other.example")
        raw.load_commits(connection, (rules.commit_of(row) for row in (*COMMITS[:1], bob)))
    # A run that remembered all names and broke is finished by one that is given one of them.
    raw.remember_person(store, ("jane@doe.example", "bob@other.example"), person := new_person())
    assert purge(store, new_person())["copies that were damaged"] == 1
    assert not kept.exists()
    with store.connect() as connection:
        rows = connection.execute("select author_name, author_email from raw.git_commits")
        assert set(rows.fetchall()) == {(person, f"{person}@purged.invalid")}
