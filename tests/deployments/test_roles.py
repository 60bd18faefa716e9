"""Each role does its work and nothing else, in a database of every domain."""

import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from deployments.local.domains import DOMAINS, WEBHOOKS
from deployments.local.postgres import EmbeddedPostgres
from deployments.roles import DATABASES, Names, Role, Wanted, apply, check
from deployments.roles.__main__ import main
from flows._shared.errors import PermanentError
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows.github_scraper import raw as github
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from flows.ledgermind.raw.operational import create_operational_database
from flows.ledgermind.sample import sample
from flows.quality_compass import raw as quality_compass
from flows.webhooks.inbox import prepare_inbox
from tests.dbt_projects.warehouse import postgres_environment
from tests.github_scraper.histories import import_sample
from tests.parsed import prepare_flows_of

ROOT = Path(__file__).parents[2]
OF_APPLICATION = "ledgermind_application"
OF_EARLIER_VERSION = """
create schema analytics;
create table analytics.leaderboard as select 1 as rank;
create view analytics.stg_commits as select id from public.commits;
create materialized view analytics.kept as select * from analytics.leaderboard;
create function analytics.stg_rows() returns bigint language sql as 'select 1::bigint'
"""
MART = "create table {schema}.a_mart as select 1 as one"
MARTS = {
    "github_scraper": "analytics.a_mart",
    "ledgermind": "analytics.a_mart",
    "scout": "gold.a_mart",
    "quality_compass": "public_marts.a_mart",
}
RAW = {
    "github_scraper": "public.commits",
    "ledgermind": "public.suggestion_events",
    "scout": "scout.raw_transaction_ingestion",
    "quality_compass": "public.raw_runs",
    "webhooks": "webhooks.deliveries",
}
OF_NOBODY = (
    "alter role {me} createrole",
    "alter role {loader} password 'mine'",
    "create role mine",
    "create database mine",
    "set role analytics",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/mine'",
    "select pg_read_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "alter system set log_statement = 'all'",
    "select rolpassword from pg_authid",
    "alter database {database} owner to {me}",
    "drop database {database}",
    "alter role {me} bypassrls",
    "grant {loader} to {me}",
    "drop owned by {loader}",
    "reassign owned by {loader} to {me}",
    "alter default privileges for role {loader} grant all on tables to {me}",
    "update pg_authid set rolsuper = true",
    "select passwd from pg_shadow",
    "select pg_ls_dir('/')",
    "select pg_reload_conf()",
    "select * from pg_hba_file_rules",
    "load '/tmp/mine.so'",
    "set session_preload_libraries = 'mine'",
    "create function pg_temp.mine() returns int language c as 'libc', 'system'",
    "create event trigger mine on ddl_command_start execute function mine()",
    "create foreign data wrapper mine",
    "create tablespace mine location '/tmp'",
    "create subscription mine connection '' publication mine",
    "checkpoint",
)
LEAST_REFUSED = 20
OF_LOADERS = (
    "insert into {mart} default values",
    "update {mart} set {column} = null",
    "delete from {mart}",
    "truncate {mart}",
    "alter table {mart} add column mine text",
    "create index on {mart} (one)",
    "drop table {mart}",
    "drop schema {mart_schema} cascade",
)
OF_TRANSFORMERS = (
    "insert into {raw} default values",
    "delete from {raw}",
    "truncate {raw}",
    "alter table {raw} add column mine text",
    "create rule mine as on insert to {raw} do instead nothing",
    "drop table {raw}",
    "create table {raw_schema}.mine (a integer)",
)
OF_READERS = (
    "select * from {raw}",
    "insert into {mart} default values",
    "update {mart} set {column} = null",
    "delete from {mart}",
    "drop table {mart}",
    "create table {mart_schema}.mine (a integer)",
    "create schema mine",
    "create temporary table mine (a integer)",
)
OF_READERS_OF_THE_INBOX = OF_READERS[1:]
Urls = dict[tuple[str, Role], str]


def wanted(slug: str) -> Wanted:
    return Wanted(DATABASES[slug], Names.of(slug), is_exclusive=True)


def login(admin: str, name: str) -> str:
    parts = urlsplit(admin)
    return f"postgresql://{name}:of-{name}@{parts.hostname}:{parts.port}{parts.path}"


def passwords(slug: str) -> dict[Role, str]:
    return {role: f"of-{Names.of(slug)[role]}" for role in DATABASES[slug].roles}


@pytest.fixture(scope="module")
def admins(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """Databases as they are found: of an earlier version, an application's, new ones."""
    admins = {slug: postgres.create_database(f"roles_{slug}") for slug in DATABASES}
    with psycopg.connect(admins["github_scraper"], autocommit=True) as connection:
        github.ensure_schema(connection)
        connection.execute(OF_EARLIER_VERSION.encode())
    with psycopg.connect(admins["quality_compass"], autocommit=True) as connection:
        quality_compass.ensure_schema(connection)
    with psycopg.connect(admins["ledgermind"], autocommit=True) as connection:
        connection.execute(f"create role {OF_APPLICATION}".encode())
        connection.execute(f"grant create on schema public to {OF_APPLICATION}".encode())
        connection.execute(f"set role {OF_APPLICATION}".encode())
        connection.execute("create table public.users (password text)")
        create_operational_database(connection, sample(20, 7))
    yield admins
    for slug in admins:
        postgres.drop_database(f"roles_{slug}")
    names = [Names.of(slug)[role] for slug, each in DATABASES.items() for role in each.roles]
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for name in (*names, OF_APPLICATION):
            connection.execute(f"drop role if exists {name}".encode())


@pytest.fixture(scope="module")
def urls(admins: dict[str, str]) -> Urls:
    for slug, admin in admins.items():
        with psycopg.connect(admin, autocommit=True) as connection:
            apply(connection, wanted(slug), passwords(slug))
    urls = {
        (slug, role): login(admins[slug], Names.of(slug)[role])
        for slug, database in DATABASES.items()
        for role in database.roles
    }
    for slug, prepare in (
        ("github_scraper", github.ensure_schema),
        ("quality_compass", quality_compass.ensure_schema),
        ("webhooks", prepare_inbox),
    ):
        with psycopg.connect(urls[slug, Role.LOADER], autocommit=True) as connection:
            prepare(connection)
    for slug, mart in MARTS.items():
        schema = mart.partition(".")[0]
        run(urls[slug, Role.TRANSFORMER], MART.format(schema=schema))
    return urls


def run(url: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def schemas_of_dbt(configured: object) -> set[str]:
    if not isinstance(configured, dict):
        return set()
    own = {str(value) for name, value in configured.items() if name == "+schema"}
    return own.union(*map(schemas_of_dbt, configured.values()))


def test_every_schema_that_loads_or_builds_make_is_some_roles() -> None:
    for slug, database in DATABASES.items():
        script = ROOT / "flows" / slug / "schema.sql"
        statements = script.read_text() if script.exists() else ""
        loads = set(re.findall(r"^create table if not exists (\w+)\.", statements, re.MULTILINE))
        assert loads == {place.schema for place in database.places if place.is_loaded}, slug
        project = ROOT / "dbt_projects" / slug / "dbt_project.yml"
        builds = schemas_of_dbt(yaml.safe_load(project.read_text())) if project.exists() else set()
        assert builds <= {place.schema for place in database.places if place.is_built}, slug
    assert DATABASES.keys() == {each.slug for each in (*DOMAINS, WEBHOOKS) if each.has_postgres}


def test_a_second_application_changes_nothing_and_a_check_finds_nothing(
    admins: dict[str, str], urls: Urls
) -> None:
    for slug, admin in admins.items():
        with psycopg.connect(admin, autocommit=True) as connection:
            assert apply(connection, wanted(slug), passwords(slug)) == []
            assert check(connection, wanted(slug)) == []
        with psycopg.connect(urls[slug, Role.READER], autocommit=True) as connection:
            assert check(connection, wanted(slug)) == [], "any role may look"


@pytest.fixture(scope="module")
def handed_over(urls: Urls) -> list[tuple[object, ...]]:
    """What readers find once the role that builds has replaced what one superuser had built."""
    run(
        urls["github_scraper", Role.TRANSFORMER],
        "drop view analytics.stg_commits",
        "drop table analytics.leaderboard cascade",
        "drop function analytics.stg_rows()",
        "create table analytics.leaderboard as select count(*) from public.commits",
    )
    return run(urls["github_scraper", Role.READER], "table analytics.leaderboard")


def test_what_one_superuser_owned_is_handed_over(handed_over: list[tuple[object, ...]]) -> None:
    assert handed_over == [(0,)]


def test_what_an_application_owns_stays_its_own_and_is_read_where_it_is_needed(
    admins: dict[str, str], urls: Urls
) -> None:
    owners = "select distinct pg_get_userbyid(relowner)::text from pg_class where relname = any(%s)"
    with psycopg.connect(admins["ledgermind"]) as connection:
        tables = ["users", *DATABASES["ledgermind"].source]
        assert connection.execute(owners.encode(), [tables]).fetchall() == [(OF_APPLICATION,)]
    for role in (Role.LOADER, Role.TRANSFORMER):
        url = urls["ledgermind", role]
        assert run(url, "select count(*) > 0 from public.suggestion_feedback") == [(True,)]
        for statement in ("table public.users", "delete from public.suggestion_feedback"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(url, statement)


def test_the_loader_gets_the_role_of_an_application_whose_tables_it_fits(
    postgres: EmbeddedPostgres,
) -> None:
    admin = postgres.create_database("roles_application")
    names = Names("app_loader", "app_transformer", "app_reader")
    adopting = Wanted(DATABASES["github_scraper"], names)
    run(
        admin,
        "create role leaderboard_application",
        'create table public."Repository" (id serial primary key, url text)',
        "create table public.contributors (id bigserial primary key, username text, email text)",
        'alter table public."Repository" owner to leaderboard_application',
        "alter table public.contributors owner to leaderboard_application",
    )
    try:
        with psycopg.connect(admin, autocommit=True) as connection:
            apply(connection, adopting, {role: f"of-{names[role]}" for role in Role})
        with psycopg.connect(login(admin, "app_loader"), autocommit=True) as connection:
            github.ensure_schema(connection)
            connection.execute(
                "insert into public.\"Repository\" (url) values ('https://x.test/a')"
            )
        with psycopg.connect(admin) as connection:
            assert check(connection, adopting) == []
        for statement in ('table public."Repository"', "delete from public.contributors"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(login(admin, "app_transformer"), statement)
        assert run(login(admin, "app_transformer"), "select count(*) from contributors") == [(0,)]
    finally:
        postgres.drop_database("roles_application")
        for name in ("app_loader", "app_transformer", "app_reader", "leaderboard_application"):
            run(postgres.url(), f"drop role if exists {name}")


def test_marts_that_are_made_anew_are_read_by_readers_and_loaders(urls: Urls) -> None:
    for slug, mart in MARTS.items():
        run(
            urls[slug, Role.TRANSFORMER],
            f"select count(*) from {RAW[slug]}",
            f"drop table {mart}",
            MART.format(schema=mart.partition(".")[0]),
        )
        for role in (Role.LOADER, Role.READER):
            assert run(urls[slug, role], f"table {mart}") == [(1,)]
    assert run(urls["webhooks", Role.READER], "select count(*) from webhooks.deliveries") == [(0,)]
    run(urls["webhooks", Role.LOADER], "delete from webhooks.deliveries")


def acts_of(slug: str, role: Role) -> tuple[str, ...]:
    if slug != "webhooks":
        of_role = {
            Role.LOADER: OF_LOADERS,
            Role.TRANSFORMER: OF_TRANSFORMERS,
            Role.READER: OF_READERS,
        }
        return (*of_role[role], *OF_NOBODY)
    return OF_NOBODY if role is Role.LOADER else (*OF_READERS_OF_THE_INBOX, *OF_NOBODY)


def test_what_a_role_must_not_do_is_refused(urls: Urls) -> None:
    for (slug, role), url in urls.items():
        refused = 0
        mart, raw = MARTS.get(slug, "webhooks.outbox"), RAW[slug]
        words = {
            "me": Names.of(slug)[role],
            "loader": "scout_loader" if slug != "scout" else "webhooks_loader",
            "database": f"roles_{slug}",
            "mart": mart,
            "mart_schema": mart.partition(".")[0],
            "column": "one" if slug in MARTS else "event",
            "raw": raw,
            "raw_schema": raw.partition(".")[0],
        }
        with psycopg.connect(url, autocommit=True) as connection:
            for act in acts_of(slug, role):
                statement = act.format(**words)
                try:
                    connection.execute(statement.encode())
                except psycopg.errors.InsufficientPrivilege:
                    refused += 1
                else:
                    pytest.fail(f"{words['me']} was let: {statement}")
        assert refused > LEAST_REFUSED


def test_nobody_connects_to_the_database_of_another_domain_or_to_the_inbox(urls: Urls) -> None:
    for slug, role in urls:
        for other in DATABASES:
            if other != slug:
                url = urls[slug, role].replace(f"/roles_{slug}", f"/roles_{other}")
                with pytest.raises(
                    psycopg.OperationalError, match="permission denied for database"
                ):
                    psycopg.connect(url).close()


@pytest.mark.parametrize(
    ("slug", "damage", "seen"),
    [
        ("scout", "alter role scout_reader superuser", "scout_reader is too mighty: superuser"),
        ("scout", "alter role scout_loader bypassrls", "scout_loader is too mighty: bypassrls"),
        ("scout", "alter role scout_loader reset all", "statements of scout_loader outlive who"),
        ("scout", "alter role scout_reader connection limit -1", "scout_reader may take every con"),
        ("scout", "grant scout_loader to scout_transformer", "scout_transformer may what scout_"),
        ("scout", "grant pg_read_all_data to scout_reader", "scout_reader may what pg_read_all"),
        ("scout", "revoke select on gold.a_mart from scout_reader", "scout_reader lacks SELECT on"),
        ("scout", "grant insert on gold.a_mart to scout_loader", "scout_loader has INSERT on gold"),
        (
            "scout",
            "grant update (one) on gold.a_mart to scout_reader",
            "UPDATE on gold.a_mart (one)",
        ),
        ("scout", "grant select on gold.a_mart to public", "public has SELECT on gold.a_mart"),
        (
            "scout",
            "grant select on gold.a_mart to scout_reader with grant option",
            "scout_reader may hand on SELECT",
        ),
        (
            "scout",
            "grant select on scout.raw_files to scout_transformer",
            "has SELECT on scout.raw_",
        ),
        ("scout", "alter table gold.a_mart owner to analytics", "gold.a_mart is analytics's"),
        ("scout", "alter schema gold owner to scout_loader", "the schema gold is scout_loader's"),
        ("scout", "alter schema platinum owner to scout_loader", "owns the schema platinum"),
        ("scout", "grant create on schema public to public", None),
        ("scout", "grant usage on schema scout to scout_reader", "has USAGE on the schema scout"),
        ("scout", "alter table scout.raw_files disable row level security", "no row security"),
        (
            "scout",
            "drop policy scout_transformer_reads on scout.raw_product_ingestion",
            "scout_transformer sees no row of scout.raw_product_ingestion",
        ),
        (
            "scout",
            (
                "alter default privileges for role scout_transformer in schema gold "
                "revoke select on tables from scout_reader"
            ),
            "scout_reader would not read what scout_transformer makes in gold",
        ),
        (
            "scout",
            "alter default privileges for role scout_loader grant all on tables to scout_reader",
            "scout_reader would get",
        ),
        ("scout", "grant connect on database roles_scout to public", "public has CONNECT"),
        (
            "scout",
            "grant connect on database roles_scout to ledgermind_reader",
            "ledgermind_reader has CONNECT",
        ),
        ("scout", "grant create on database roles_scout to scout_reader", "has CREATE on the data"),
        ("scout", "alter database roles_scout owner to scout_loader", "owns the database"),
        ("scout", "revoke create on database roles_scout from scout_transformer", "lacks CREATE"),
        ("github_scraper", "grant create on schema public to public", "public has CREATE on the"),
        (
            "github_scraper",
            "alter function public.identity_key_of owner to analytics",
            "identity_key_of(text,text) is analytics's",
        ),
        (
            "scout",
            "create table public.x (); alter table public.x owner to scout_reader",
            "owns pub",
        ),
        (
            "scout",
            "grant select on pg_authid to scout_reader",
            "has SELECT on pg_catalog.pg_authid",
        ),
        (
            "scout",
            "grant execute on function pg_read_file(text) to scout_transformer",
            "scout_transformer may call pg_read_file(text)",
        ),
        (
            "scout",
            "alter function scout.insert_in_order() security definer",
            "whoever calls scout.insert_in_order() may what scout_loader may",
        ),
        (
            "ledgermind",
            "alter table public.suggestion_events owner to ledgermind_loader",
            "ledgermind_loader owns public.suggestion_events",
        ),
        ("webhooks", "alter sequence webhooks.positions owner to analytics", "positions is analyt"),
    ],
)
def test_a_check_tells_what_deviates_and_the_statement_that_mends_it(
    admins: dict[str, str], urls: Urls, slug: str, damage: str, seen: str | None
) -> None:
    with psycopg.connect(admins[slug], autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            connection.execute(damage.encode())
            found = check(connection, wanted(slug))
            assert any(seen in step.seen for step in found) if seen else found == [], found
            for step in found:
                connection.execute(step.statement.encode())
            assert check(connection, wanted(slug)) == []
        with connection.transaction(force_rollback=True):
            connection.execute(damage.encode())
            apply(connection, wanted(slug))
            assert check(connection, wanted(slug)) == []


def test_what_belongs_to_a_role_that_nobody_named_is_not_taken(
    admins: dict[str, str], urls: Urls
) -> None:
    with (
        psycopg.connect(admins["scout"], autocommit=True) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute("create role former_loader")
        connection.execute("alter table scout.raw_files owner to former_loader")
        with pytest.raises(PermanentError, match="raw_files is former_loader's"):
            apply(connection, wanted("scout"))
        named = replace(wanted("scout"), former=["former_loader"])
        assert "raw_files is former_loader's" in apply(connection, named)[0].seen


def test_a_view_of_somebody_else_among_the_marts_stays_its_own(
    admins: dict[str, str], urls: Urls
) -> None:
    with (
        psycopg.connect(admins["scout"], autocommit=True) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute("create role dashboards")
        connection.execute("create view gold.shown as select * from gold.a_mart")
        connection.execute("alter view gold.shown owner to dashboards")
        assert apply(connection, wanted("scout")) == []


def test_names_by_which_a_role_would_get_or_lose_too_much_are_refused(
    admins: dict[str, str], urls: Urls
) -> None:
    with pytest.raises(PermanentError, match="two of them are called the same"):
        Wanted(DATABASES["scout"], Names("one", "one", "scout_reader"))
    applying_to_itself = Wanted(DATABASES["scout"], Names("analytics", "builder", "scout_reader"))
    with psycopg.connect(admins["scout"], autocommit=True) as connection:
        with pytest.raises(PermanentError, match="would apply them to itself"):
            apply(connection, applying_to_itself)
        assert check(connection, wanted("scout")) == []


def reached_from_elsewhere(folder: Path) -> list[str]:
    return ["--secrets", str(folder), "--address", "postgres:5432"]


def test_the_command_writes_addresses_for_their_owner_alone_and_prints_none(
    admins: dict[str, str],
    urls: Urls,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for wrong in ("postgresql://no:p@ss@h/d", f"{admins['quality_compass']}_that_is_not_there"):
        monkeypatch.setenv("QUALITY_COMPASS_OWNER_DATABASE_URL", wrong)
        assert main(["check", "quality_compass"]) == 1
        said_of_it = capsys.readouterr().err
        assert "Correct QUALITY_COMPASS_OWNER_DATABASE_URL: postgresql://" in said_of_it
        assert "block" not in said_of_it
    monkeypatch.setenv("QUALITY_COMPASS_OWNER_DATABASE_URL", admins["quality_compass"])
    monkeypatch.setenv("QUALITY_COMPASS_READER_PASSWORD", "given: p@ss/word")
    names = [f"--{role}=quality_other_{role}" for role in Role]
    assert main(["check", "quality_compass", *names]) == 1
    assert "there is no role quality_other_loader\n    create role" in capsys.readouterr().out
    former = [f"--former={Names.of('quality_compass')[role]}" for role in Role]
    folder = tmp_path / "secrets"
    try:
        for _ in range(2):
            assert (
                main(["apply", "quality_compass", *names, *former, "--secrets", str(folder)]) == 0
            )
        said = capsys.readouterr()
        files = {file.name: file.read_text().strip() for file in folder.iterdir()}
        assert files.keys() == {
            "QUALITY_COMPASS_DATABASE_URL",
            "QUALITY_COMPASS_DBT_DATABASE_URL",
            "QUALITY_COMPASS_READER_DATABASE_URL",
        }
        for name, url in files.items():
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
            assert str(urlsplit(url).password) not in said.out + said.err
            assert run(url, "select current_user::text")[0][0] in {
                f"quality_other_{role}" for role in Role
            }
        assert main(["apply", "quality_compass", *names, *reached_from_elsewhere(folder)]) == 0
        elsewhere = (folder / "QUALITY_COMPASS_DATABASE_URL").read_text()
        here = files["QUALITY_COMPASS_DATABASE_URL"]
        assert urlsplit(elsewhere).hostname == "postgres"
        assert urlsplit(elsewhere).password == urlsplit(here).password
        assert "p%40ss" in files["QUALITY_COMPASS_READER_DATABASE_URL"]
        assert main(["check", "quality_compass", *names]) == 0
    finally:
        with psycopg.connect(admins["quality_compass"], autocommit=True) as connection:
            back = replace(wanted("quality_compass"), former=[f"quality_other_{r}" for r in Role])
            apply(connection, back, passwords("quality_compass"))
            for role in Role:
                connection.execute(f"drop owned by quality_other_{role}".encode())
                connection.execute(f"drop role quality_other_{role}".encode())


@pytest.mark.usefixtures("handed_over")
def test_one_role_loads_and_the_other_builds(
    admins: dict[str, str], urls: Urls, tmp_path: Path
) -> None:
    prepare_flows_of("github_scraper")
    history = import_sample(tmp_path / "sample.git", 60, seed=5)
    with psycopg.connect(urls["github_scraper", Role.LOADER], autocommit=True) as connection:
        settings = GithubScraperSettings()
        sync_repository(connection, str(history.path), settings, tmp_path / "mirrors")
    builder = postgres_environment(urls["github_scraper", Role.TRANSFORMER])
    models = DbtOptions(select=("+leaderboard",), exclude=("resource_type:test", "test_type:unit"))
    url = urls["github_scraper", Role.READER]
    for _ in range(2):
        build_dbt("github_scraper", builder, models)
    assert run(url, "select count(*) > 0 from analytics.leaderboard") == [(True,)]
    owners = "select distinct tableowner::text from pg_tables where schemaname = 'analytics'"
    assert run(url, owners) == [("github_scraper_transformer",)]
    with psycopg.connect(admins["github_scraper"]) as connection:
        assert check(connection, wanted("github_scraper")) == []
