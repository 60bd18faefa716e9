"""The leaderboard application as it is: its own tables, the plan's, or none, before ours come."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from flows.github_scraper import raw
from flows.github_scraper.flow.tasks import read_list
from flows.github_scraper.records import ApplicationTablesError
from flows.github_scraper.rules import split_addresses
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from tests.contracts import grants, queries
from tests.github_scraper.github_server import GithubServer
from tests.github_scraper.histories import History
from tests.github_scraper.tables import row_versions

OWN_TABLES = """
create table "Repository" (
    id serial primary key, url text not null unique, "pathName" text,
    state text not null default 'pending', "lastAttempt" timestamp(3),
    "lastProcessedAt" timestamp(3), "createdAt" timestamp(3) not null default current_timestamp,
    "updatedAt" timestamp(3) not null
);
create table "Contributor" (
    id serial primary key, username text unique, email text unique, "profileUrl" text,
    "createdAt" timestamp(3) not null default current_timestamp, "updatedAt" timestamp(3) not null
);
create table "RepositoryContributor" (
    id serial primary key,
    "repositoryId" integer not null references "Repository" (id) on delete restrict,
    "contributorId" integer not null references "Contributor" (id) on delete restrict,
    "commitCount" integer not null default 0,
    "createdAt" timestamp(3) not null default current_timestamp, "updatedAt" timestamp(3) not null,
    unique ("repositoryId", "contributorId")
)
"""
PLANNED_TABLES = """
create table repositories (
    id serial primary key, url text not null unique, path_name text,
    state text not null default 'pending', last_attempt timestamp(3),
    last_processed_at timestamp(3), created_at timestamp(3) not null default current_timestamp,
    updated_at timestamp(3) not null
);
create table contributors (
    id serial primary key, username text unique, email text unique, profile_url text,
    created_at timestamp(3) not null default current_timestamp, updated_at timestamp(3) not null
);
create table repository_contributors (
    id serial primary key, repository_id integer not null references repositories (id),
    contributor_id integer not null references contributors (id),
    commit_count integer not null default 0,
    created_at timestamp(3) not null default current_timestamp, updated_at timestamp(3) not null,
    unique (repository_id, contributor_id)
);
create table commits (
    id serial primary key, repository_id integer not null references repositories (id),
    contributor_id integer not null references contributors (id),
    commit_hash text not null unique, commit_date timestamp(3) not null, commit_message text,
    lines_added integer default 0, lines_deleted integer default 0,
    files_changed integer default 0, created_at timestamp(3) not null default current_timestamp
)
"""
# The statements of the application and its worker, in the order of their parameters.
ASKED = {
    name: re.sub(r"[$][0-9]", "%s", query) for name, query in queries("github_scraper").items()
}
FIND_OR_CREATE = ASKED["Its worker, find or create a repository"]
BEGIN = ASKED["Its worker, begin"]
END = ASKED["Its worker, end"]
FIND_CONTRIBUTOR = ASKED["Its worker, find a contributor"]
CONTRIBUTOR = ASKED["Its worker, create a contributor"]
COUNT = ASKED["Its worker, keep a count"]
GRANTS = grants("github_scraper")
LEADERBOARD = ASKED["Leaderboard API, contributors of repositories by address"]


@pytest.fixture
def empty(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def url(origin: History, github: GithubServer) -> str:
    return github.address(github.add(origin.path))


@pytest.fixture
def origin(history: History) -> History:
    """Three commits of Ada under two addresses of hers, one of Bo."""
    parents: list[str] = []
    for person in (
        "Ada <7+ada@users.noreply.github.com> 1700000000 +0000",
        "Ada <Ada@x.example> 1700000001 +0000",
        "Ada <ada@x.example> 1700000002 +0000",
        "Bo <bo@x.example> 1700000003 +0000",
    ):
        parents = [history.commit(parents=parents, author=person)]
    history.point(parents[0])
    return history


def run(connection: psycopg.Connection, tmp_path: Path, *given: str) -> dict[str, str]:
    """What a run does with the database; returns what it says of the application's list."""
    raw.ensure_schema(connection)
    raw.tidy_addresses(connection)
    refused = raw.adopt_repositories(connection)
    for url in given or raw.known_urls(connection):
        sync_repository(connection, url, GithubScraperSettings(), tmp_path / "mirrors")
    raw.merge_accounts(connection)
    raw.fill_leaderboard(connection)
    return refused


def work(
    connection: psycopg.Connection, url: str, counts: dict[tuple[str | None, str | None], int]
) -> int:
    """What the application's worker does with one repository; returns its number."""
    row = connection.execute(FIND_OR_CREATE, (url, "o/r")).fetchone()
    assert row is not None
    connection.execute(BEGIN, row)
    for (username, email), count in counts.items():
        found = (
            connection.execute(FIND_CONTRIBUTOR, (username, email)).fetchone()
            or connection.execute(CONTRIBUTOR, (username, email, None)).fetchone()
        )
        assert found is not None
        connection.execute(COUNT, (row[0], found[0], count))
    connection.execute(END, row)
    return int(row[0])


def board(connection: psycopg.Connection, url: str) -> list[tuple[object, ...]]:
    rows = connection.execute(LEADERBOARD, (url,)).fetchall()
    return [(name or email, count) for _, name, email, count in rows]


def assert_the_worker_can_go_on(connection: psycopg.Connection, url: str) -> None:
    """Counts of what is loaded stay ours once a run has come by; the worker's own stay its."""
    seen = {("ada", None): 1, (None, "bo@x.example"): 9, (None, "Cy@x.example"): 4}
    work(connection, "https://host.example/o/unread", seen)
    work(connection, url, seen)
    assert board(connection, "%/o/unread") == [
        ("bo@x.example", 9), ("Cy@x.example", 4), ("ada", 1),
    ]  # fmt: skip
    states = connection.execute(
        'select state, "lastAttempt" is not null, "lastProcessedAt" is not null'
        ' from "Repository" order by 1'
    ).fetchall()
    assert states == [("completed", True, True)] * len(states)


def test_an_empty_database_serves_the_application_whose_worker_writes_through(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    run(empty, tmp_path, url)
    ours = [("ada@x.example", 2), ("bo@x.example", 1), ("ada", 1)]
    assert board(empty, url) == ours
    assert_the_worker_can_go_on(empty, url)
    assert [row for row in board(empty, url) if row[1]] == ours
    counted = board(empty, url)
    empty.execute(
        'delete from "RepositoryContributor" where "commitCount" = 2;'
        'update "RepositoryContributor" set "contributorId" = (select max(id) from "Contributor")'
        ' where "commitCount" = 1 and "repositoryId" = 1;'
        "update \"Contributor\" set email = 'cy@y.example' where email = 'ada@x.example'"
    )
    assert board(empty, url) == counted, "what is loaded here stays as it is"
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="is loaded") as refused:
        empty.execute('delete from "Repository" where url = %s', (url,))
    remedy = f"python -m flows.github_scraper retire {url}"
    assert remedy in str(refused.value.diag.message_hint)
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="has commits") as refused:
        empty.execute("delete from \"Contributor\" where username = 'ada'")
    assert "contributor_aliases" in str(refused.value.diag.message_hint)
    empty.execute('delete from "RepositoryContributor" where "commitCount" = 9')
    assert len(board(empty, "%/o/unread")) == 2
    empty.execute(FIND_OR_CREATE, ("/etc", None))
    assert "/etc" not in raw.known_urls(empty), "the application's users name no folder"
    before = row_versions(empty)
    raw.ensure_schema(empty)
    assert row_versions(empty) == before


def test_a_person_of_the_application_is_found_however_the_address_is_written(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    empty.execute(OWN_TABLES)
    empty.execute(
        'insert into "Contributor" (username, email, "updatedAt") values'
        " (null, ' BO@x.example\t', now()), ('Ada', null, now()), (null, 'ada@X.example', now())"
    )
    run(empty, tmp_path, url)
    people = 'select count(*) from "Contributor"'
    assert empty.execute(people.encode()).fetchone() == (3,)
    assert len(board(empty, url)) == 3


WRITE_EMAIL = 'update "Contributor" set email = %s where id = %s'


def created(connection: psycopg.Connection, username: str) -> int:
    row = connection.execute(CONTRIBUTOR, (username, None, None)).fetchone()
    assert row is not None
    return int(row[0])


def test_an_address_that_the_application_wrote_into_the_row_of_another_stops_no_load(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    raw.ensure_schema(empty)
    empty.execute("create unique index own_rule on contributors (lower(email))")
    cy, di = created(empty, "cy"), created(empty, "di")
    empty.execute(WRITE_EMAIL, ("bo@x.example", cy))
    empty.execute(WRITE_EMAIL, ("ADA@x.example", di))
    loaded = sync_repository(empty, url, GithubScraperSettings(), tmp_path / "mirrors")
    ours = [("ada@x.example", 2), ("bo@x.example", 1), ("ada", 1)]
    assert board(empty, url) == ours
    kept = "select contributor_id, email from contributor_email_conflicts order by 1"
    assert empty.execute(kept).fetchall() == [(cy, "bo@x.example"), (di, "ADA@x.example")]
    for contributor, address in ((cy, "bo@x.example"), (di, "ADA@x.example")):
        signer = empty.execute(
            "select id from contributors where identity_key = 'email:' || lower(%s)", (address,)
        ).fetchone()
        assert signer is not None
        assert any(
            address in note and f"contributor {contributor} " in note and str(signer[0]) in note
            for note in loaded.notes
        )
    before = row_versions(empty)
    run(empty, tmp_path)
    assert row_versions(empty) == before
    empty.execute("drop index own_rule; delete from repository_heads")
    empty.execute(WRITE_EMAIL, ("BO@x.example", cy))
    loaded = sync_repository(empty, url, GithubScraperSettings(), tmp_path / "mirrors")
    assert (cy, "BO@x.example") in empty.execute(kept).fetchall(), "the same in capitals, too"
    assert any("BO@x.example" in note for note in loaded.notes)
    empty.execute(WRITE_EMAIL, ("cy@y.example", cy))
    assert_the_worker_can_go_on(empty, url)
    assert [row for row in board(empty, url) if row[1]] == ours


def test_an_address_that_the_application_writes_during_a_load_stops_it_not(
    empty: psycopg.Connection, database: str, url: str, tmp_path: Path
) -> None:
    raw.ensure_schema(empty)
    cy = created(empty, "cy")
    with (
        psycopg.connect(database) as application,
        psycopg.connect(database, autocommit=True) as loading,
        ThreadPoolExecutor(1) as pool,
    ):
        application.execute(WRITE_EMAIL, ("bo@x.example", cy))
        load = pool.submit(
            sync_repository, loading, url, GithubScraperSettings(), tmp_path / "mirrors"
        )
        waits = (
            "select wait_event_type = 'Lock' from pg_stat_activity"
            f" where pid = {loading.info.backend_pid}"
        )
        while not load.done() and empty.execute(waits).fetchone() != (True,):
            time.sleep(0.05)
        application.commit()
        assert load.result(timeout=60).commits_written == 4
    assert ("bo@x.example", 1) in board(empty, url)


def test_a_role_that_has_the_views_alone_writes_through_them(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    run(empty, tmp_path, url)
    ours = board(empty, url)
    granted = GRANTS.replace("the_application", role := "application_of_the_test")
    empty.execute(f"create role {role}".encode())
    try:
        empty.execute(granted.encode())
        empty.execute(f"set role {role}".encode())
        empty.execute("set github_scraper.is_counting = 'yes'")
        assert_the_worker_can_go_on(empty, url)
        empty.execute('delete from "RepositoryContributor" where "commitCount" = 2')
        empty.execute(WRITE_EMAIL, ("dee@x.example", created(empty, "dee")))
        empty.execute(CONTRIBUTOR, ("bob", "BO@x.example", "https://host/bob?token=hunter2"))
        assert [row for row in board(empty, url) if row[1]] == ours
        for function in ("complete_contributor", "keep_commit_count"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match=function):
                empty.execute(
                    "create temporary table bait (id bigint);"
                    "create trigger bait before insert on bait for each row"
                    f" execute function public.{function}()".encode()
                )
        for table in ("commits", "contributors", "repository_heads"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                empty.execute(f"select from public.{table}".encode())
    finally:
        empty.execute(f"reset role; drop owned by {role}; drop role {role}".encode())


SECRETS = [
    "https://user:hunter2@host.example/o/r",
    "https://hunter2@host.example/o/r",
    "hunter2@host.example:o/r",
    "ssh://hunter2@host.example/o/r",
    "git+https://u:hunter2@host.example/o/r",
    "https://host.example/o/r;hunter2",
    "https://host.example/o;token=hunter2/r",
    "https://host.example/o/r%3Faccess_token=hunter2",
    "https://host.example/o/r&access_token=hunter2",
    "https://host.example/token=hunter2/r",
    "https://oauth2:hunter2/o/r",
    "https://u:hunter2%40host.example/o/r",
    "https://u\uff1ahunter2\uff20host.example/o/r",
    "https://host.example/o/r\uff1faccess_token=hunter2",
    "//u:hunter2@host.example/o/r",
    "https:/u:hunter2@host.example/o/r",
    "hunter2",
    "ghp_hunter2hunter2hunter2hunter2",
    "https://host.example/ghp_hunter2hunter2hunter2hunter2/r",
    "git@host.example:o/r?private_token=hunter2",
    "/srv/r?token=hunter2",
    "/srv/r#token=hunter2",
    "https://host.example/o/r hunter2",
    "Bearer 123e4567-e89b-12d3-a456-hunter2",
    "/srv/r#hunter2",
    "/srv/r&token=hunter2",
    "https://hunter2?@host.example/o/r",
    "https://hunter2#@host.example",
    "git@host.example:o/r hunter2",
]
CUT = [
    "https://{}.example/o/r?access_token=hunter2",
    "https://{}.example/o/r#access_token=hunter2",
    "HTTPS://{}.example/o/r?a=b&private_token=hunter2#hunter2",
    "ssh://git@{}.example/o/r?x=hunter2",
]


def everything(connection: psycopg.Connection) -> str:
    """All that the raw tables hold, as text."""
    tables = connection.execute(
        "select format('select t::text from %I.%I as t', schemaname, tablename) from pg_tables"
        " where schemaname in ('public', 'github_api')"
    ).fetchall()
    return "\n".join(str(connection.execute(query).fetchall()) for (query,) in tables)


def test_what_may_be_a_credential_is_never_at_rest(empty: psycopg.Connection) -> None:
    empty.execute(PLANNED_TABLES)
    given = [*SECRETS, *(cut.format(f"installed{n}") for n, cut in enumerate(CUT))]
    for address in (*given, "https://installed0.example/o/r"):
        empty.execute(
            "insert into repositories (url, path_name, updated_at) values (%s, %s, now())",
            (address, address),
        )
    empty.execute(
        "insert into contributors (profile_url, updated_at)"
        " values ('https://u:hunter2@host/u', now())"
    )
    raw.ensure_schema(empty)
    assert "hunter2" not in everything(empty), "what the application left"
    for number, cut in enumerate(CUT):
        empty.execute(FIND_OR_CREATE, (cut.format(f"inserted{number}"), "o/r"))
    for address in SECRETS:
        empty.execute(FIND_OR_CREATE, (address, address))
        row = empty.execute(FIND_OR_CREATE, ("https://plain.example/o/r", "o/r")).fetchone()
        assert row is not None
        empty.execute('update "Repository" set "pathName" = %s where id = %s', (address, *row))
        empty.execute('update "Repository" set url = %s where id = %s', (address, *row))
    empty.execute(CONTRIBUTOR, ("ada", None, "https://host/ada?token=hunter2"))
    empty.execute('update "Contributor" set "profileUrl" = %s', ("https://u:hunter2@host/ada",))
    assert "hunter2" not in everything(empty), "what its worker writes"
    raw.tidy_addresses(empty)
    assert sorted(raw.known_urls(empty)) == sorted(
        [f"https://{name}{n}.example/o/r" for name in ("installed", "inserted") for n in range(3)]
        + ["ssh://git@installed3.example/o/r", "ssh://git@inserted3.example/o/r"]
    )
    told = empty.execute(
        "select count(*) from repositories"
        " where url ~ 'withheld' and error_message !~ 'Secret block' and paused_at is not null"
    )
    assert told.fetchone() == (0,)
    before = everything(empty)
    raw.ensure_schema(empty)
    assert raw.tidy_addresses(empty) == []
    assert everything(empty) == before


def test_the_applications_own_tables_are_read_and_filled(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    empty.execute(OWN_TABLES)
    raw.ensure_schema(empty)
    empty.execute("insert into repositories (url) values ('https://u:TOKEN@host.example/o/r')")
    spelled = url.replace("http://", "HTTP://") + "/"
    capped = {("Ada", None): 1, (None, "ada@x.example"): 1, (None, "Bo@x.example"): 1}
    work(empty, spelled, capped)
    empty.execute('update "Repository" set "lastProcessedAt" = null, state = \'pending\'')
    local = empty.execute(FIND_OR_CREATE, ("/etc", None)).fetchone()
    assert local is not None
    refused = run(empty, tmp_path)
    assert list(refused) == [f"the application's repository {local[0]}"]
    empty.execute('delete from "Repository" where id = %s', local)
    ours = [("ada@x.example", 2), ("Bo@x.example", 1), ("Ada", 1)]
    assert board(empty, spelled) == ours
    listed = empty.execute('select url, state, "lastProcessedAt" is null from "Repository"')
    assert listed.fetchall() == [(spelled, "completed", False)]
    versions = 'select xmin::text from "RepositoryContributor" order by 1'
    before = empty.execute(versions).fetchall()
    run(empty, tmp_path)
    assert empty.execute(versions).fetchall() == before
    assert_the_worker_can_go_on(empty, spelled)
    raw.fill_leaderboard(empty)
    assert board(empty, spelled) == ours
    empty.execute('delete from "RepositoryContributor"; delete from "Repository"')
    raw.fill_leaderboard(empty)
    assert board(empty, url) == ours


def test_the_applications_state_may_be_an_enum_of_its_own(
    empty: psycopg.Connection, origin: History, url: str, tmp_path: Path
) -> None:
    empty.execute(
        "create type \"State\" as enum ('pending', 'in_progress', 'completed', 'failed');"
        + OWN_TABLES.replace("state text not null default 'pending'", 'state "State"')
    )
    assert run(empty, tmp_path, url) == {}
    listed = empty.execute('select url, state from "Repository"')
    assert listed.fetchall() == [(url, "completed")]


def test_tables_of_the_application_of_another_shape_are_told_and_keep_nobody_out(
    empty: psycopg.Connection, origin: History, url: str, tmp_path: Path
) -> None:
    empty.execute(
        OWN_TABLES.replace("id serial primary key", "id uuid primary key")
        .replace('"repositoryId" integer', '"repositoryId" uuid')
        .replace('"contributorId" integer', '"contributorId" uuid')
    )
    raw.ensure_schema(empty)
    refused = raw.adopt_repositories(empty)
    assert "bigint = uuid" in refused["the application's list of repositories"]
    sync_repository(empty, url, GithubScraperSettings(), tmp_path / "mirrors")
    with pytest.raises(ApplicationTablesError, match=r"Filling .*bigint = uuid|uuid = bigint"):
        raw.fill_leaderboard(empty)
    assert raw.known_urls(empty) == [url]


def test_a_rule_on_the_applications_own_tables_is_told(empty: psycopg.Connection) -> None:
    empty.execute(OWN_TABLES)
    empty.execute('create rule kept as on delete to "RepositoryContributor" do instead nothing')
    raw.ensure_schema(empty)
    with pytest.raises(ApplicationTablesError, match=r"RepositoryContributor has the rule kept"):
        raw.fill_leaderboard(empty)


def test_the_tables_of_the_plan_get_the_columns_that_they_lack(
    empty: psycopg.Connection, origin: History, url: str, tmp_path: Path
) -> None:
    empty.execute(PLANNED_TABLES)
    empty.execute(
        "insert into repositories (url, last_attempt, updated_at) values (%s, now(), now())",
        (url,),
    )
    empty.execute(
        "insert into contributors (username, email, updated_at)"
        " values ('Ada', null, now()), (null, 'ADA@x.example', now()),"
        " (null, 'ada@x.example', now()), (null, null, now());"
        "insert into repository_contributors"
        " (repository_id, contributor_id, commit_count, updated_at) values (1, 1, 99, now())"
    )
    empty.execute(
        "insert into commits (repository_id, contributor_id, commit_hash, commit_date)"
        " values (1, 1, %s, '2020-01-01'), (1, 1, 'gone', '2020-01-02')",
        (origin.head(),),
    )
    run(empty, tmp_path)
    ours = [("ADA@x.example", 2), ("bo@x.example", 1), ("ada", 1)]
    assert sorted(board(empty, url)) == sorted(ours)
    dates = empty.execute(
        "select commit_hash = 'gone', orphaned_at is not null, extract(year from commit_date)::int"
        " from commits where commit_hash in ('gone', %s) order by 1",
        (origin.head(),),
    ).fetchall()
    assert dates == [(False, False, 2023), (True, True, 2020)]
    empty.execute(
        "insert into commits (repository_id, contributor_id, commit_hash, commit_date,"
        " commit_message) values (1, 1, 'next', now(), null) on conflict do nothing"
    )
    assert_the_worker_can_go_on(empty, url)
    before = row_versions(empty)
    raw.ensure_schema(empty)
    assert row_versions(empty) == before


OF_COLUMNS = """
select
    attname, col_description(attrelid, attnum), grantee::regrole::text, privilege_type,
    pg_get_expr(adbin, adrelid)
from pg_attribute
left join pg_attrdef on adrelid = attrelid and adnum = attnum
left join lateral aclexplode(attacl) on true
where
    attrelid = %s::regclass
    and (attacl is not null or adbin is not null or col_description(attrelid, attnum) is not null)
order by 1
"""


def test_a_plan_with_more_than_was_planned_is_fitted(
    empty: psycopg.Connection, origin: History, url: str, tmp_path: Path
) -> None:
    empty.execute(
        PLANNED_TABLES.replace("commit_date timestamp(3) not null", "commit_date timestamp(3)")
        .replace("url text not null unique", "url varchar(300)")
        .replace(",\n    unique (repository_id, contributor_id)", "")
        .replace(
            "commits (\n    id serial", "commits (\n    id integer generated always as identity"
        )
        .replace("contributors (\n    id serial", "contributors (\n    id integer")
    )
    empty.execute(
        "create view own with (security_barrier = true) as"
        " select repository_id, commit_date at time zone 'UTC' as at, lines_added from commits;"
        "create view upon as select repository_id, count(*) as commits from own group by 1;"
        "comment on view own is 'ours'; grant select on own to pg_monitor;"
        "comment on column own.at is 'when'; grant update (at) on own to pg_monitor;"
        "alter view own alter column lines_added set default 7;"
        "create unique index not_all on commits"
        " (repository_id, commit_hash, lower(commit_message));"
        "create unique index failed on repository_contributors (repository_id, contributor_id);"
        "update pg_index set indisvalid = false where indexrelid = 'failed'::regclass;"
        "create table reviews (commit_hash text references commits (commit_hash))"
    )
    empty.execute(
        "insert into repositories (url, updated_at)"
        " values (%(url)s, now()), (%(url)s, now()), (null, now())",
        {"url": url},
    )
    empty.execute(
        "insert into contributors (id, email, updated_at) values (7, 'ada@x.example', now());"
        "insert into commits (repository_id, contributor_id, commit_hash) values (1, 7, 'gone');"
        "insert into reviews values ('gone')"
    )
    run(empty, tmp_path)
    assert sorted(board(empty, url)) == [("ada", 1), ("ada@x.example", 2), ("bo@x.example", 1)]
    assert empty.execute(
        "select to_char(commit_date, 'YYYY'), is_date_clamped, orphaned_at is not null from commits"
        " where commit_hash = 'gone'"
    ).fetchall() == [("1970", True, True)]
    assert empty.execute(
        "select commits, obj_description('own'::regclass), has_table_privilege("
        "'pg_monitor', 'own', 'select'), reloptions from upon, pg_class where relname = 'own'"
    ).fetchall() == [(5, "ours", True, ["security_barrier=true"])]
    assert empty.execute(OF_COLUMNS, ("own",)).fetchall() == [
        ("at", "when", "pg_monitor", "UPDATE", None), ("lines_added", None, None, None, "7"),
    ]  # fmt: skip
    twin = tmp_path / "fork"
    twin.symlink_to(origin.path)
    with pytest.raises(
        ApplicationTablesError,
        match=r"commits has a row with the same commit_hash already: [0-9a-f]{40} ",
    ):
        sync_repository(empty, str(twin), GithubScraperSettings(), tmp_path / "mirrors")
    assert len(board(empty, url)) == 3, "the other repository is there"
    before = row_versions(empty)
    raw.ensure_schema(empty)
    assert row_versions(empty) == before


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            PLANNED_TABLES.replace("id serial", "id uuid")
            .replace("repository_id integer", "repository_id uuid")
            .replace("contributor_id integer", "contributor_id uuid"),
            r"repositories\.id is uuid where bigint is needed.*commits\.repository_id is uuid",
        ),
        (
            PLANNED_TABLES.replace("create table commits", "create table revisions")
            + "; create view commits as select * from revisions",
            r"commits is a view where a table is needed.*rename",
        ),
        (
            PLANNED_TABLES.replace("path_name text", "path_name text, team text not null"),
            r"repositories\.team must be given and has no default",
        ),
        (
            PLANNED_TABLES + "; create materialized view own as select repository_id from commits",
            r"commits\.repository_id is integer where bigint is needed, and own cannot",
        ),
        (
            PLANNED_TABLES + "; create view own as select repository_id from commits"
            "; create function of_own() returns setof own language sql as 'select * from own'",
            r"commits .*needs other types, and a view on it stays: Dependent.* depends on",
        ),
        (
            PLANNED_TABLES.replace("contributor_id integer not null", "contributor_id integer")
            + "; insert into commits (commit_hash, commit_date, repository_id)"
            " select 'a', now(), id from repositories",
            r"commits\.contributor_id is NULL in 1 row\b",
        ),
        (
            "create table contributor_merges (id bigint)",
            r"on public.contributor_merges .*column .ended_at. does not exist",
        ),
        (
            PLANNED_TABLES + "; alter table commits drop constraint commits_commit_hash_key;"
            "insert into commits (repository_id, contributor_id, commit_hash, commit_date)"
            " select repositories.id, contributors.id, 'a', now()"
            " from repositories, contributors, generate_series(1, 2)",
            r"commits: .*the same commit_hash, repository_id already: a, 1",
        ),
        (
            PLANNED_TABLES.replace(
                "commit_message text",
                "commit_message text, day date generated always as (commit_date::date) stored",
            ),
            r"commits\.commit_date is timestamp without time zone where timestamp with time zone",
        ),
        (
            PLANNED_TABLES.replace(
                "path_name text", "path_name text generated always as (lower(url)) stored"
            ),
            r"repositories\.path_name is generated .*drop expression",
        ),
        (
            PLANNED_TABLES.replace(
                "username text unique", "username text generated always as (lower(email)) stored"
            ),
            r"contributors\.username is generated",
        ),
        (
            PLANNED_TABLES.replace(
                "url text not null unique", "url text not null unique deferrable"
            ).replace(
                "unique (repository_id, contributor_id)",
                "constraint pair unique (repository_id, contributor_id) initially deferred",
            ),
            r"key repositories_url_key.*drop constraint.*_contributors has the .* key pair",
        ),
        (
            PLANNED_TABLES + "; create rule kept as on delete to commits do instead nothing;"
            "create rule told as on insert to repositories do also notify told",
            r"repositories has the rule told.*commits has the rule kept.*a trigger",
        ),
        (
            PLANNED_TABLES + "; create table contributor_aliases (alias text primary key,"
            " person text not null, note text, created_at timestamptz not null default now());"
            "create rule gone as on insert to contributor_aliases do instead nothing",
            r"contributor_aliases has the rule gone",
        ),
    ],
)
def test_tables_that_cannot_be_fitted_are_named_with_their_columns(
    empty: psycopg.Connection, found: str, told: str
) -> None:
    for statement in found.split(";"):
        if statement.strip().startswith("insert into commits"):
            empty.execute(
                "insert into repositories (url, updated_at) values ('https://h/o/r', now());"
                "insert into contributors (email, updated_at) values ('a@x', now())"
            )
        empty.execute(statement.encode())
    before = everything(empty)
    with pytest.raises(ApplicationTablesError, match=told) as caught:
        raw.ensure_schema(empty)
    assert caught.value.remedy
    assert everything(empty) == before, "nothing was changed"


def test_a_rule_of_the_owner_that_refuses_a_row_is_named(
    empty: psycopg.Connection, url: str, tmp_path: Path
) -> None:
    raw.ensure_schema(empty)
    empty.execute("alter table repositories add column team text not null")
    with pytest.raises(ApplicationTablesError, match=r"repositories has no team, which"):
        raw.register_repository(empty, url)
    empty.execute("alter table repositories drop column team")
    empty.execute("alter table commits add constraint modern check (commit_date > '2024-01-01')")
    with pytest.raises(
        ApplicationTablesError,
        match=r"commits breaks the rule .* that commit_date > '2024.* \(modern\)",
    ):
        run(empty, tmp_path, url)
    empty.execute(
        "alter table commits drop constraint modern;"
        "create function theirs() returns trigger language plpgsql as"
        " $$ begin raise exception 'not on a Sunday'; end $$;"
        "create trigger theirs before insert on commits execute function theirs()"
    )
    with pytest.raises(ApplicationTablesError, match="not on a Sunday"):
        run(empty, tmp_path, url)


def test_installed_views_become_writable_and_keep_their_grants(
    empty: psycopg.Connection,
) -> None:
    raw.ensure_schema(empty)
    empty.execute(
        'drop view "Repository";'
        'create view "Repository" with (security_barrier = true) as'
        ' select id, url, path_name as "pathName", state,'
        " (created_at at time zone 'UTC')::timestamp(3) as \"createdAt\" from repositories;"
        'grant select, update on "Repository" to pg_monitor;'
        'grant insert (url) on "Repository" to pg_monitor;'
        "comment on view \"Repository\" is 'theirs';"
        "comment on column \"Repository\".state is 'how far';"
        "alter view \"Repository\" alter column state set default 'failed'"
    )
    raw.ensure_schema(empty)
    empty.execute(FIND_OR_CREATE, ("https://www.GitHub.com/Octo/Tool.git", None))
    listed = empty.execute(
        "select url, has_table_privilege('pg_monitor', '\"Repository\"', 'update')"
        ' from "Repository"'
    )
    assert listed.fetchall() == [("https://github.com/octo/tool", True)]
    assert empty.execute(OF_COLUMNS, ('"Repository"',)).fetchall() == [
        ("state", "how far", None, None, "'failed'::text"),
        ("url", None, "pg_monitor", "INSERT", None),
    ]
    told = "select obj_description(oid), reloptions from pg_class where oid = %s::regclass"
    assert empty.execute(told, ('"Repository"',)).fetchone() == (
        "theirs",
        ["security_barrier=true"],
    )


CHANGED = (
    "create trigger theirs instead of insert on {view} for each row execute function theirs()",
    "create rule theirs as on delete to {view} do instead nothing",
)
RIGHTS = """
select acl.grantee, acl.privilege_type
from pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner))) as acl
where oid = %s::regclass
order by 1, 2
"""


def test_views_made_anew_are_as_the_owner_left_them_or_stay(empty: psycopg.Connection) -> None:
    raw.ensure_schema(empty)
    empty.execute("alter default privileges in schema public grant all on tables to pg_monitor")

    def of_before(made: str, view: str, narrow: str) -> list[tuple[int, str]]:
        empty.execute(
            f"drop view if exists {view}; drop view if exists own;"
            "alter table commits alter column files_changed type smallint;"
            f"{made}; {narrow}".encode()
        )
        return empty.execute(RIGHTS, (view,)).fetchall()

    old = (
        'create view "Contributor" as select id, username, email,'
        " (created_at at time zone 'UTC')::timestamp(3) as \"createdAt\" from contributors"
    )
    application = (old, '"Contributor"')
    own = ("create view own as select id, files_changed from commits", "own")
    for made, view in (application, own):
        for narrow in (
            f"revoke all on {view} from pg_monitor",
            f"revoke all on {view} from pg_monitor, current_user",
            f"revoke insert on {view} from pg_monitor, current_user",
        ):
            before = of_before(made, view, narrow)
            empty.execute(
                "alter table commits alter column files_changed type smallint"
            ) if view != "own" else None
            raw.ensure_schema(empty)
            assert empty.execute(RIGHTS, (view,)).fetchall() == before, narrow
    empty.execute(
        "drop view own; create function theirs() returns trigger language plpgsql as"
        " $$ begin return new; end $$"
    )
    for change in CHANGED:
        of_before(*application, change.format(view='"Contributor"'))
        with pytest.raises(ApplicationTablesError, match=r"Contributor.*cannot be made anew.*drop"):
            raw.ensure_schema(empty)


def test_lines_that_the_page_on_lists_shows_are_taken(
    empty: psycopg.Connection, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "lists.md").read_text()
    shown = dict.fromkeys(("text", "sql", "csv"), "")
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL):
        shown[kind] += block
    listed = tmp_path / "listed"
    listed.write_text("\ufeff\ufeff" + shown["text"] + "\t# a tab\n/srv/git/C#/tool\t# is a blank")
    assert split_addresses(read_list(listed)) == (
        [
            "https://github.com/owner/name",
            "ssh://git@gitlab.com/group/sub/tool",
            "/srv/git/C#/tool",
        ],
        {},
    )
    raw.ensure_schema(empty)
    empty.execute(shown["sql"].encode())
    raw.merge_accounts(empty)
    domains = empty.execute("select domain from organization_domains order by id").fetchall()
    assert domains == [("example.com",), ("labs.example.com",), ("example.com",)]
    seed = Path(__file__).parents[2] / "dbt_projects/github_scraper/seeds/automation_patterns.csv"
    assert shown["csv"].splitlines()[0] == seed.read_text().splitlines()[0]
    for domain, organization, first, last in (
        ("a b", "O", None, None),
        ("a@b.example", "O", None, None),
        ("a.example", " ", None, None),
        ("a.example", "O", "2020-01-02", "2020-01-02"),
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            empty.execute(
                "insert into organization_domains (domain, organization, valid_from, valid_to)"
                " values (%s, %s, %s, %s)",
                (domain, organization, first, last),
            )


def test_domains_of_organizations_are_kept_in_one_spelling(empty: psycopg.Connection) -> None:
    raw.ensure_schema(empty)
    empty.execute(
        "alter table organization_domains disable trigger tidy_domain,"
        " drop constraint domain_is_written_like_example_org,"
        " add constraint domain_is_written_like_example_org"
        " check (domain ~ '^[^@[:space:].]+([.][^@[:space:].]+)*$')"
    )
    empty.execute(
        "insert into organization_domains (domain, organization) values ('*.old.example', 'O')"
    )
    empty.execute(
        "alter table organization_domains enable trigger tidy_domain;"
        "delete from github_api.made_raw_tables"
    )
    raw.ensure_schema(empty)
    given = ["*.Acme.com", ".acme.com", "@acme.com", "acme.com.", " ACME.com ", "*.*.acme.com."]
    empty.execute(
        "insert into organization_domains (domain, organization)"
        " select domain, 'Acme' from unnest(%s::text[]) as domain",
        (given,),
    )
    stored = empty.execute("select domain from organization_domains order by id").fetchall()
    assert [domain for (domain,) in stored] == ["old.example", *["acme.com"] * len(given)]


def test_installed_duplicates_of_one_repository_are_merged(
    empty: psycopg.Connection, origin: History, tmp_path: Path
) -> None:
    run(empty, tmp_path, str(origin.path))
    twin = tmp_path / "twin"
    twin.symlink_to(origin.path)
    extra = origin.commit(b"x\n\nCo-authored-by: Bo <bo@x.example>\n", parents=[origin.head()])
    origin.point(extra)
    sync_repository(empty, str(twin), GithubScraperSettings(), tmp_path / "mirrors")
    origin.point(origin.git("rev-parse", "HEAD^"))
    empty.execute(
        "alter table repositories disable trigger complete_repository;"
        "update repositories set url = 'https://gitlab.com/o/r' where id = 1;"
        "update repositories set url = 'HTTPS://GitLab.com:443/o/r/' where id = 2;"
        "insert into repositories (url) values ('https://user:TOKEN@host/o/r'),"
        " ('https://user:ab/TOKEN@host/o/r'), ('no-address'),"
        " ('https://user:TOKEN@host/o/r#1'), ('https://user:TOKEN%40host/o/r'),"
        " ('https://oauth2:TOKEN/o/r')"
    )
    notes = raw.tidy_addresses(empty)
    assert len(notes) == 7
    assert "TOKEN" not in " ".join(notes)
    stored = empty.execute("select url, state, error_message from repositories order by id")
    assert "TOKEN" not in str(rows := stored.fetchall())
    assert [row[0] for row in rows] == [
        *("https://gitlab.com/o/r", "withheld:3", "withheld:4", "no-address", "withheld:6"),
        *("withheld:7", "withheld:8"),
    ]
    assert raw.known_urls(empty) == ["https://gitlab.com/o/r"]
    assert empty.execute(
        "select repository_id, count(*), sum(commit_count) from repository_contributors group by 1"
    ).fetchall() == [(1, 4, 5)]
    assert raw.tidy_addresses(empty) == []
    empty.execute("update repositories set url = %s where id = 1", (str(origin.path),))
    sync_repository(empty, str(origin.path), GithubScraperSettings(), tmp_path / "mirrors")
    assert empty.execute(
        "select commit_hash from commits where orphaned_at is not null"
    ).fetchall() == [(extra,)]


def test_tables_of_before_get_what_they_lack_and_are_read_anew_once(
    empty: psycopg.Connection, origin: History, tmp_path: Path
) -> None:
    url = str(origin.path)
    lock = origin.files({"go.sum": b"1\n2\n"})
    late = b"x\n\nCo-authored-by: Cy <cy@x.example>\n"
    origin.point(origin.commit(late, parents=[origin.head()], tree=lock))
    run(empty, tmp_path, url)
    values = (
        "select sum(lines_added_locked), count(lines_added_vendored), min(name_mapped)"
        " from commits left join commit_coauthors using (repository_id, commit_hash)"
    )
    now = empty.execute(values).fetchone()
    assert now == (2, 5, "Cy")
    by_class = [
        f"drop column lines_{what}_{kind}"
        for what in ("added", "deleted")
        for kind in ("vendored", "generated", "locked")
    ]
    for table in ("commits", "github_api.walk_commits"):
        empty.execute(f"alter table {table} {', '.join(by_class)}")
    empty.execute(
        "alter table commit_coauthors drop column name_mapped, drop column email_mapped;"
        "alter table repository_heads drop column attributes_hash;"
        "drop table organization_domains;"
        "update repository_heads set reading = 1"
    )
    run(empty, tmp_path)
    assert empty.execute(values).fetchone() == now
    before = row_versions(empty)
    run(empty, tmp_path)
    assert row_versions(empty) == before
