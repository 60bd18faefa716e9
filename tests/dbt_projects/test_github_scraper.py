"""The GitHub scraper's marts, against raw rows with every mess and numbers counted in Python."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import combinations

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.github_scraper.records import EXAMPLE_QUERY
from flows.report.making import read_from
from tests.contracts import assert_columns_are_as_promised, queries
from tests.databases import copy_database
from tests.dbt_projects.messy_history import (
    AS_OF,
    BOTS,
    BOTS_ONLY,
    EMPTY,
    FORK,
    OTHER,
    PARENT,
    SECOND_SYNC,
    Commit,
    history,
    load,
)
from tests.dbt_projects.warehouse import ROOT, Warehouse, install_packages
from tests.deployments.grafana.panels import assert_panels_answer
from tests.report.on_builds import github_page_is_right

SCHEMA = "".join(
    (ROOT / "flows" / "github_scraper" / name).read_text()
    for name in ("functions.sql", "schema.sql")
)
DATABASE, UNDAMAGED = "github_scraper_marts", "github_scraper_undamaged"
GOOD = {"success", "pass", "no-op"}
# The application alters the tables that it shares, and makes and alters those of its own names.
# The stand-ins under the application's names go first; what runs before each load makes them anew.
APPLICATIONS_MIGRATIONS = """
drop view public."Repository", public."Contributor", public."RepositoryContributor";
create type public.repository_state as enum ('pending', 'in_progress', 'completed', 'failed');
alter table repositories
    drop constraint repositories_state_check,
    alter column state drop default,
    alter column state type public.repository_state using state::public.repository_state;
alter table contributors alter column profile_url type varchar(2048);
alter table repository_contributors alter column commit_count type bigint;
-- Names that models give to what they make of others.
alter table commits add column commit_subject text, add column commit_day date;
alter table repositories add column trimmed_url text, add column has_host integer;
alter table contributors add column kind text, add column is_matched boolean;
create table public."Repository" (id serial primary key, url text not null unique);
create table public."RepositoryContributor" (id serial primary key, "commitCount" integer not null);
alter table public."Repository" add column "commitsProcessedAt" timestamp(3);
alter table public."RepositoryContributor" alter column "commitCount" type bigint;
"""
TAKEN_BACK = """
drop view public."Contributor";
drop table public."Repository", public."RepositoryContributor";
alter table commits drop column commit_subject, drop column commit_day;
alter table repositories drop column trimmed_url, drop column has_host;
alter table contributors drop column kind, drop column is_matched;
alter table repository_contributors alter column commit_count type integer;
alter table contributors alter column profile_url type text;
alter table repositories
    alter column state type text,
    alter column state set default 'pending',
    add constraint repositories_state_check
    check (state in ('pending', 'in_progress', 'completed', 'failed'));
drop type public.repository_state;
"""
# dbt's tests run where the application has altered its tables, and where each is seen to fail.
MODELS_ONLY = ("--exclude-resource-type", "test")
OF_DAYS = (*MODELS_ONLY, "--select", "+fct_daily_commits", "+leaderboard")
OF_METADATA = (*MODELS_ONLY, "--select", "+repository_metadata_history", "+dim_repository")


@pytest.fixture(scope="module")
def built_here(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    url = postgres.create_database(DATABASE)
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())
    state = tmp_path_factory.mktemp("dbt")
    install_packages("github_scraper", state)
    as_of = json.dumps({"as_of_date": AS_OF.date().isoformat()})
    yield Warehouse("github_scraper", url, state, as_of)
    postgres.drop_database(DATABASE)


@pytest.fixture
def warehouse(built_here: Warehouse) -> Warehouse:
    """No marts, no raw rows."""
    built_here.execute("drop schema if exists analytics cascade")
    load(built_here.url, [])
    return built_here


def build(warehouse: Warehouse, *options: str) -> None:
    """Build without the unit tests, which do not depend on the rows: those of flows run them."""
    statuses = warehouse.dbt("build", "--exclude-resource-type", "unit_test", *options)
    bad = {name: status for name, status in statuses.items() if status not in GOOD}
    assert not {name for name, status in bad.items() if status != "warn"}, bad


def reachable(commits: list[Commit]) -> list[Commit]:
    return [commit for commit in commits if commit.orphaned_at is None]


def first_copies(commits: list[Commit]) -> list[Commit]:
    by_hash: dict[str, Commit] = {}
    for commit in sorted(reachable(commits), key=lambda commit: commit.repository_id):
        by_hash.setdefault(commit.commit_hash, commit)
    return list(by_hash.values())


def lines(commits: list[Commit]) -> int | None:
    known = [c.lines_added for c in commits if not c.is_merge and c.lines_added is not None]
    return sum(known) if known else None


def counted_lines(commits: list[Commit]) -> int | None:
    known = [c.counted_lines_added for c in commits if not c.is_merge]
    told = [number for number in known if number is not None]
    return sum(told) if told else None


def test_empty_input_builds_green_with_no_rows(warehouse: Warehouse) -> None:
    warehouse.execute("truncate repositories, contributors cascade")

    statuses = warehouse.dbt("build", "--exclude-resource-type", "unit_test")

    assert {name: s for name, s in statuses.items() if s not in GOOD} == {}
    tables = warehouse.tables()
    assert tables.pop("automation_patterns")
    assert all(rows == [] for rows in tables.values())
    assert len(tables) == 23


def test_a_second_build_changes_no_row_though_the_application_altered_its_tables(
    warehouse: Warehouse,
) -> None:
    load(warehouse.url, history(seed=1, size=400))
    build(warehouse, *MODELS_ONLY)
    once = warehouse.tables()
    names = warehouse.query('select count(*) from public."RepositoryContributor"')
    assert names == warehouse.query("select count(*) from repository_contributors") != [(0,)]

    warehouse.execute(APPLICATIONS_MIGRATIONS)
    try:
        build(warehouse)
        assert warehouse.tables() == once
        # What flows do before each load leaves the application's tables as they are.
        warehouse.execute(SCHEMA)
        assert warehouse.query('select count(*) from public."Repository"') == [(0,)]
    finally:
        warehouse.execute(TAKEN_BACK)
        warehouse.execute(SCHEMA)


def test_half_then_all_equals_all_at_once(warehouse: Warehouse) -> None:
    everything = history(seed=2, size=600)
    load(warehouse.url, everything[::2])
    build(warehouse, *MODELS_ONLY)
    before = set(warehouse.rows("fct_daily_commits"))

    later = [after_second_sync(number, commit) for number, commit in enumerate(everything)]
    load(warehouse.url, later)
    warehouse.execute(f"update repositories set retired_at = now() where id = {FORK}")
    build(warehouse, *MODELS_ONLY)
    assert warehouse.query(
        "select repository_id from analytics.dim_repository where retired_at is not null"
    ) == [(FORK,)]
    incremental = warehouse.tables()
    build(warehouse, "--full-refresh", *MODELS_ONLY)

    assert warehouse.tables() == incremental
    assert before - set(incremental["fct_daily_commits"]), "nothing was taken back in this history"
    assert sum_of(warehouse, "fct_daily_commits", "commits_count") == len(reachable(later))


def after_second_sync(number: int, commit: Commit) -> Commit:
    """Every other commit is new; of the old, some were orphaned, restored or given to another."""
    changed = replace(commit, updated_at=SECOND_SYNC)
    if number % 2:
        # One writer began half an hour before the newest change the first build had seen.
        began = commit.updated_at - timedelta(minutes=30) if number % 3 else SECOND_SYNC
        return replace(commit, updated_at=began)
    if number % 14 == 0:
        return replace(changed, orphaned_at=SECOND_SYNC)
    if number % 10 == 0:
        return replace(changed, contributor_id=commit.contributor_id % 6 + 1)
    if commit.orphaned_at:
        return replace(changed, orphaned_at=None)
    return commit


def sum_of(warehouse: Warehouse, relation: str, column: str) -> int:
    return int(
        warehouse.query(f"select coalesce(sum({column}), 0) from analytics.{relation}")[0][0]
    )


def test_metadata_keeps_what_was_true_before(warehouse: Warehouse) -> None:
    load(warehouse.url, history(seed=5, size=5))
    build(warehouse, *OF_METADATA)
    warehouse.execute(
        "create publication history for table analytics.repository_metadata_history;"
        "update public.repository_metadata"
        " set stars = 13, updated_at = updated_at + interval '1 day'"
    )
    build(warehouse, *OF_METADATA)
    warehouse.execute("drop publication history")
    assert warehouse.query(
        "select stars, dbt_valid_to - dbt_valid_from"
        " from analytics.repository_metadata_history order by dbt_valid_from"
    ) == [(12, timedelta(days=1)), (13, None)]
    assert warehouse.query(
        "select stars, topics from analytics.dim_repository where stars is not null"
    ) == [(13, "a, b")]


def test_a_row_is_gone_when_its_last_commit_is(warehouse: Warehouse) -> None:
    commit = history(seed=3, size=1)[0]
    commit = replace(commit, orphaned_at=None)
    load(warehouse.url, [commit])
    build(warehouse, *OF_DAYS)
    assert len(warehouse.rows("fct_daily_commits")) == 1

    load(warehouse.url, [replace(commit, orphaned_at=SECOND_SYNC, updated_at=SECOND_SYNC)])
    build(warehouse, *OF_DAYS)

    assert warehouse.rows("fct_daily_commits") == []
    assert warehouse.rows("leaderboard") == []


def test_marts_equal_numbers_counted_in_python(warehouse: Warehouse) -> None:
    commits = history(seed=4, size=800) + of_many_repositories(60)
    load(warehouse.url, commits)
    warehouse.execute(
        f"update repositories set retired_at = now() where id in ({FORK}, 100);"
        "update repositories set paused_at = now() where id in (101, 102);"
        "update repositories set url = 'git@example.net:owner/1.git' where id = 103;"
        "insert into contributors (id, identity_key, display_name, merged_into) "
        "overriding system value values "
        "(9001, 'login:once', 'Once', 1), (9002, 'email:also@work.example', 'Also', 1), "
        "(9003, 'email:no@work.example', 'No longer', null);"
        "insert into contributor_merges "
        "(contributor_id, merged_into, rule, evidence, merged_at, ended_at) "
        "select id, 1, case display_name when 'Also' then 'same person by hand' "
        "else 'same GitHub account 7' end, 'e', now() + id * interval '1 s', "
        "case display_name when 'No longer' then now() end "
        "from contributors where id > 9000"
    )
    build(warehouse, *MODELS_ONLY)

    assert_concentration(warehouse, reachable(commits))
    assert_leaderboard(warehouse, commits)
    assert_odd_dates_count_and_stretch_nothing(warehouse, reachable(commits))
    assert_time_series(warehouse, reachable(commits))
    assert_only_who_has_a_credit_is_a_contributor(warehouse, reachable(commits))
    assert_the_queries_of_consumers_answer(warehouse, reachable(commits))
    assert warehouse.query(EXAMPLE_QUERY)
    assert_columns_are_as_promised("github_scraper", warehouse.query)
    assert_descriptions_are_kept_in_the_database(warehouse)
    assert_affiliations(warehouse, reachable(commits))
    github_page_is_right(read_from("github_scraper", warehouse.url), warehouse.query)
    assert_panels_answer("analytics-github-scraper", warehouse.query)


ASKED = queries("github_scraper")


def of_many_repositories(many: int) -> list[Commit]:
    """Commits of one person: two in each of the first 50 and one in each of the others."""
    commit = replace(history(seed=4, size=1)[0], contributor_id=1, commit_date=AS_OF)
    return [
        replace(commit, repository_id=100 + at % many, commit_hash=f"{100_000 + at:040x}")
        for at in range(many + 50)
    ]


def assert_the_queries_of_consumers_answer(warehouse: Warehouse, commits: list[Commit]) -> None:
    of_marts = {name: query for name, query in ASKED.items() if "$1" not in query}
    assert {name for name, query in of_marts.items() if not warehouse.query(query)} == set()
    programs = warehouse.query(ASKED["Upkeep, who is or looks like a program"])
    assert {row[:2] for row in programs} == {(contributor, "bot") for contributor in BOTS}
    of_parent = [commit for commit in commits if commit.repository_id == PARENT]
    by_person = Counter(c.contributor_id for c in of_parent if c.contributor_id not in BOTS)
    listed = warehouse.query(ASKED["Analytics API, the page of a repository"])
    assert [row[10] for row in listed if row[10]] == sorted(by_person.values(), reverse=True)
    assert {(row[1], row[2]) for row in listed} == {(len(of_parent), len(by_person))}
    authored = sum(commit.contributor_id == 1 for commit in commits)
    assert (
        sum(row[-1] for row in warehouse.query(ASKED["Analytics API, the page of a contributor"]))
        == authored
    )
    plausible = sum(commit.is_plausible for commit in of_parent)
    assert sum(row[1] for row in warehouse.query(ASKED["Analytics API, trends"])) == plausible


def assert_descriptions_are_kept_in_the_database(warehouse: Warehouse) -> None:
    missing = warehouse.query(
        "select c.relname, a.attname from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relnamespace = 'analytics'::regnamespace and c.relkind in ('r', 'v')"
        " and c.relname <> 'built_nodes'"
        " and col_description(c.oid, a.attnum) is null"
    )
    assert missing == []


def assert_only_who_has_a_credit_is_a_contributor(
    warehouse: Warehouse, commits: list[Commit]
) -> None:
    credited = {(c.contributor_id,) for c in commits} | {(p,) for c in commits for p in c.coauthors}
    for relation in ("dim_contributor", "contributor_summary"):
        assert set(warehouse.query(f"select contributor_id from analytics.{relation}")) == credited
    known = warehouse.query("select count(*) from public.contributors")
    assert known > [(len(credited),)]


def assert_concentration(warehouse: Warehouse, commits: list[Commit]) -> None:
    rows = warehouse.query(
        "select repository_id, bus_factor, gini_coefficient from analytics.repository_summary"
    )
    found = {repository: (factor, index) for repository, factor, index in rows}
    for repository in (PARENT, FORK, OTHER):
        counts = Counter(
            commit.contributor_id
            for commit in commits
            if commit.repository_id == repository and commit.contributor_id not in BOTS
        )
        factor, index = found[repository]
        assert factor == bus_factor(list(counts.values()))
        assert index == pytest.approx(gini(list(counts.values())), abs=1e-12)
    assert found[EMPTY] == (None, None)
    assert found[BOTS_ONLY] == (None, None)


def assert_affiliations(warehouse: Warehouse, commits: list[Commit]) -> None:
    """The domain of the address and the day of the commit say for whom; a lost date does not."""
    expected: Counter[tuple[int, int, str | None]] = Counter()
    for commit in commits:
        organization = None
        if commit.contributor_id not in BOTS and commit.is_plausible:
            organization = "X" if commit.commit_date < datetime(2024, 5, 1, tzinfo=UTC) else "Y"
        expected[commit.repository_id, commit.contributor_id, organization] += 1
    rows = warehouse.query(
        "select repository_id, contributor_id, organization, commits"
        " from analytics.contributor_affiliations"
    )
    assert {row[:3]: row[3] for row in rows} == expected
    assert {organization for _, _, organization in expected} == {"X", "Y", None}


def bus_factor(counts: list[int]) -> int:
    """By trying every set of people, not by sorting them."""
    sizes = range(1, len(counts) + 1)
    return next(
        k for k in sizes if any(2 * sum(few) >= sum(counts) for few in combinations(counts, k))
    )


def gini(counts: list[int]) -> float:
    """Half the relative mean absolute difference: another formula for the same number."""
    differences = sum(abs(x - y) for x in counts for y in counts)
    return differences / (2 * len(counts) * sum(counts))


def assert_leaderboard(warehouse: Warehouse, commits: list[Commit]) -> None:
    rows = warehouse.query(
        "select scope, repository_id, time_window, contributor_id, rank, commits,"
        " non_merge_commits, coauthored_commits, lines_added, is_bot, counted_lines_added,"
        " line_rank from analytics.leaderboard"
    )
    scopes: dict[tuple[str, int | None], list[Commit]] = {("overall", None): first_copies(commits)}
    for commit in reachable(commits):
        scopes.setdefault(("repository", commit.repository_id), []).append(commit)
    expected = set()
    for scope, of_scope in scopes.items():
        for window, days in (("all_time", None), ("trailing_90d", 90), ("trailing_30d", 30)):
            inside = [commit for commit in of_scope if days is None or in_window(commit, days)]
            expected |= {(*scope, window, *row) for row in ranking(inside)}
    assert set(rows) == expected
    assert len(rows) == len(expected)


def in_window(commit: Commit, days: int) -> bool:
    day = commit.commit_date.date()
    return commit.is_plausible and AS_OF.date() - timedelta(days=days) < day <= AS_OF.date()


def ranking(commits: list[Commit]) -> Iterator[tuple[object, ...]]:
    authored: dict[int, list[Commit]] = defaultdict(list)
    coauthored: Counter[int] = Counter()
    for commit in commits:
        authored[commit.contributor_id].append(commit)
        coauthored.update(set(commit.coauthors) - {commit.contributor_id})
    sizes = {person: len(authored.get(person, [])) for person in {*authored, *coauthored}}
    counted = {person: counted_lines(own) for person, own in authored.items()}
    for person, size in sizes.items():
        own = authored.get(person, [])
        rank = 1 + sum(other > size for other in sizes.values())
        plain = sum(not commit.is_merge for commit in own)
        sum_of_lines = counted.get(person)
        line_rank = None
        if sum_of_lines is not None:
            line_rank = 1 + sum((other or 0) > sum_of_lines for other in counted.values())
        ranks = (sum_of_lines, line_rank)
        yield person, rank, size, plain, coauthored[person], lines(own), person in BOTS, *ranks


def assert_odd_dates_count_and_stretch_nothing(warehouse: Warehouse, commits: list[Commit]) -> None:
    odd = [commit for commit in commits if not commit.is_plausible]
    assert {commit.commit_date.year for commit in odd} >= {1970, 2099}
    assert sum_of(warehouse, "fct_daily_commits", "commits_count") == len(commits)
    assert sum_of(warehouse, "fct_daily_commits", "commits_with_implausible_date") == len(odd)
    plausible_days = [c.commit_date.date() for c in commits if c.is_plausible]
    for relation, first, last in (
        ("int_time_series", "min(commit_day)", "max(commit_day)"),
        ("dim_repository", "min(first_commit_date)", "max(last_commit_date)"),
        ("contributor_summary", "min(first_commit_date)", "max(last_commit_date)"),
    ):
        bounds = warehouse.query(f"select {first}, {last} from analytics.{relation}")
        assert bounds == [(min(plausible_days), max(plausible_days))]


def assert_time_series(warehouse: Warehouse, commits: list[Commit]) -> None:
    rows = warehouse.query(
        "select commit_day, commits, commits_28d, cumulative_commits"
        f" from analytics.int_time_series where repository_id = {PARENT} order by 1"
    )
    by_day: Counter[date] = Counter(
        commit.commit_date.date()
        for commit in commits
        if commit.repository_id == PARENT and commit.is_plausible
    )
    assert [row[0] for row in rows] == [
        min(by_day) + timedelta(days=n) for n in range((max(by_day) - min(by_day)).days + 1)
    ]
    for day, count, month, so_far in rows:
        assert count == by_day[day]
        assert month == sum(by_day[day - timedelta(days=n)] for n in range(28))
        assert so_far == sum(number for other, number in by_day.items() if other <= day)


REPORT = ("commit_types", "concentration", "hours", "leaderboard", "repositories", "weekly")
DAMAGE = {
    "report": (
        ";".join(
            f"insert into analytics.rpt_github_{name} select * from analytics.rpt_github_{name}"
            for name in REPORT
        )
        + "; update analytics.rpt_github_concentration set share_of_commits = 0.5",
        {
            "rpt_github_concentration_ends_with_all_commits",
            *(f"rpt_github_{name}_has_its_grain" for name in REPORT),
        },
    ),
    "merges": (
        (
            "insert into analytics.rpt_github_merges select 1, 2, 1, 'person', 'Ada', 'login', "
            "'ada', 'same GitHub account', now(), 1, 1, 0 from generate_series(1, 2)"
        ),
        {
            "rpt_github_merges_has_its_grain",
            "rpt_github_merges_lists_all_there_are_up_to_200",
            "rpt_github_merges_lists_no_more_than_there_are",
        },
    ),
    "fct_daily_commits": (
        (
            "update analytics.fct_daily_commits set commits_count = commits_count + 1"
            " where ctid = (select min(ctid) from analytics.fct_daily_commits)"
        ),
        {
            "daily_facts_equal_the_reachable_commits",
            "repository_totals_equal_the_daily_facts",
            "leaderboard_all_time_equals_the_daily_facts",
            "commit_types_add_up_to_the_daily_facts",
            "contributor_commits_in_all_copies_equal_the_daily_facts",
        },
    ),
    "lines": (
        "update analytics.fct_daily_commits set total_lines_added = total_lines_added + 1",
        {
            "daily_lines_equal_the_raw_lines_of_commits_other_than_merges",
            "repository_lines_equal_the_daily_facts",
        },
    ),
    "tombstone": (
        "update analytics.fct_daily_commits set commits_count = 0",
        {"daily_counts_are_positive_and_parts_fit_in_the_whole"},
    ),
    "int_commits": (
        (
            "delete from analytics.int_commits where repository_id = 2;"
            " update analytics.int_commits set is_first_copy = false"
        ),
        {"int_commits_keeps_every_reachable_commit", "int_commits_counts_each_hash_once"},
    ),
    "leaderboard": (
        "update analytics.leaderboard set commits = commits + 1, share_of_commits = 0.9",
        {
            "leaderboard_all_time_equals_the_daily_facts",
            "leaderboard_overall_equals_the_distinct_commits",
            "leaderboard_trailing_30d_equals_the_repository_metrics",
            "leaderboard_trailing_90d_equals_the_repository_metrics",
            "leaderboard_shares_add_up_to_one",
        },
    ),
    "series": (
        (
            "update analytics.int_time_series set commits = 0, cumulative_commits = 0;"
            " insert into analytics.int_time_series"
            " select * from analytics.int_time_series limit 1;"
            " update analytics.fct_repository_activity set commits = 0, new_contributors = 0"
        ),
        {
            "time_series_equals_the_plausible_daily_facts",
            "time_series_ends_at_the_plausible_total",
            "shared_unique_combination_of_columns_int_time_series_repository_id__commit_day",
            "weekly_commits_equal_the_plausible_daily_facts",
            "every_author_is_new_once_per_repository",
        },
    ),
    "entities": (
        (
            "delete from analytics.repository_summary where repository_id = 4;"
            " delete from analytics.contributor_summary where contributor_id = 1;"
            " update analytics.int_repository_metrics set bus_factor = 99;"
            " update analytics.int_contributor_metrics set total_commits = total_commits + 1"
        ),
        {
            "repository_summary_has_every_repository",
            "contributor_summary_has_everyone_with_a_credit",
            "bus_factor_and_gini_agree_with_the_number_of_people",
            "contributor_totals_add_up_to_the_distinct_commits",
            "contributors_to_classify_has_everyone_who_looks_automated",
        },
    ),
    "classes": (
        (
            "update analytics.int_repository_metrics set counted_lines_added = 1;"
            " update analytics.contributor_affiliations set commits = commits + 1;"
            " update analytics.contributors_to_classify set total_commits = total_commits + 1"
        ),
        {
            "leaderboard_counted_lines_equal_the_repository_metrics",
            "affiliated_commits_equal_the_reachable_commits",
            "contributors_to_classify_has_everyone_who_looks_automated",
        },
    ),
    "patterns": (
        "update analytics.automation_patterns set pattern = 'Claude'",
        {"automation_patterns_are_of_a_known_kind_and_field_and_in_lower_case"},
    ),
    "commit_count": (
        (
            "insert into github_api.counting values (pg_current_xact_id());"
            " update public.repository_contributors set commit_count = commit_count - 1"
            " where contributor_id = 1"
        ),
        {"repository_contributors_commit_count_reconciles_with_commits"},
    ),
    "metadata": (
        (
            "alter table public.repository_metadata drop constraint repository_metadata_pkey;"
            " alter table public.repository_metadata alter repository_id drop not null;"
            " alter table public.repository_metadata alter stars drop not null;"
            " insert into public.repository_metadata table public.repository_metadata;"
            " insert into public.repository_metadata (repository_id, stars, name_with_owner, forks,"
            " is_archived, is_fork, is_private, updated_at)"
            " values (null, null, 'owner/lost', 0, false, false, false, now())"
        ),
        {
            "unique_stg_repository_metadata_repository_id",
            "not_null_stg_repository_metadata_repository_id",
            "not_null_stg_repository_metadata_stars",
        },
    ),
}


def who_can_tell(damage: str) -> list[str]:
    """Selects those of the tables that it is done to: no other can tell. What is done to what was
    loaded shows in every view of it."""
    built = sorted(set(re.findall(r"analytics\.(\w+)", damage)))
    return ["test_type:data"] if "public." in damage else [f"{t},test_type:data" for t in built]


def test_every_kind_of_damage_fails_the_test_that_names_it(
    warehouse: Warehouse, postgres: EmbeddedPostgres
) -> None:
    load(warehouse.url, history(seed=5, size=300))
    build(warehouse)
    copy_database(postgres, DATABASE, UNDAMAGED)
    undetected = {}
    known: set[str] = set()
    proven: set[str] = set()
    for name, (damage, expected) in DAMAGE.items():
        warehouse.execute(damage)

        statuses = warehouse.dbt("test", "--select", *who_can_tell(damage))

        failed = {test for test, status in statuses.items() if status == "fail"}
        undetected[name] = expected - failed
        known |= statuses.keys()
        proven |= failed
        copy_database(postgres, UNDAMAGED, DATABASE)
    postgres.drop_database(UNDAMAGED)
    assert_partitions_that_expire_fail_no_test(warehouse)
    assert not {name: missing for name, missing in undetected.items() if missing}
    assert known - proven == {"shared_not_in_future_stg_commits_commit_date"}


def assert_partitions_that_expire_fail_no_test(warehouse: Warehouse) -> None:
    """As BigQuery drops them: whole months, of marts that nothing is computed from."""
    expiring = replace(
        warehouse,
        variables=json.dumps({"partition_expiration_days": 90, "as_of_date": f"{AS_OF:%Y-%m-%d}"}),
        writes_json=True,
    )
    months = {
        "int_time_series": "commit_day",
        "fct_repository_activity": "commit_week",
        "commit_type_summary": "commit_month",
    }
    for name, day in months.items():
        warehouse.execute(
            f"delete from analytics.{name}"
            f" where date_trunc('month', {day}) <= date '{AS_OF:%Y-%m-%d}' - 89"
        )
    # What the report reads is on PostgreSQL alone, where nothing expires.
    statuses = expiring.dbt("test", "--select", *months, "--exclude", "path:models/report")
    assert len(statuses) > len(months)
    assert set(statuses.values()) == {"pass"}
    manifest = json.loads((warehouse.state / "target" / "manifest.json").read_text())
    assert months.keys() == {
        node["name"]
        for node in manifest["nodes"].values()
        if node["config"].get("partition_expiration_days")
    }


def test_future_dated_commits_warn_and_do_not_stop_the_build(warehouse: Warehouse) -> None:
    commit = replace(history(seed=6, size=1)[0], orphaned_at=None)
    load(warehouse.url, [replace(commit, commit_date=datetime(2999, 1, 1, tzinfo=UTC))])

    # The whole build meets dates like it above, where marts equal numbers counted in Python.
    buildable = ("--select", "+fct_daily_commits", "--indirect-selection", "buildable")
    statuses = warehouse.dbt("build", "--exclude-resource-type", "unit_test", *buildable)

    assert statuses["fct_daily_commits"] == "success"
    assert {name for name, status in statuses.items() if status == "warn"} == {
        "shared_not_in_future_stg_commits_commit_date"
    }
    assert set(statuses.values()) <= {*GOOD, "warn"}


@pytest.mark.parametrize(("hours", "status"), [(1, "pass"), (13, "warn"), (25, "runtime error")])
def test_a_source_is_as_fresh_as_the_newest_sync(
    warehouse: Warehouse, hours: int, status: str
) -> None:
    load(warehouse.url, history(seed=7, size=5))
    warehouse.execute(
        f"update repositories set last_processed_at = now() - interval '{hours} hours'"
    )

    statuses = warehouse.dbt("source", "freshness")

    assert len(statuses) == 7
    assert set(statuses.values()) == {"error" if hours == 25 else status}


def test_the_incremental_build_finds_changed_commits_by_index(warehouse: Warehouse) -> None:
    load(warehouse.url, history(seed=8, size=3000))
    build(warehouse, *MODELS_ONLY, "--select", "+fct_daily_commits")
    warehouse.execute("update commits set updated_at = timestamptz '2024-01-01' where id % 50 > 0")
    warehouse.execute("analyze commits")
    warehouse.dbt("compile", "--select", "fct_daily_commits")
    compiled = next(warehouse.state.glob("target/compiled/**/fct_daily_commits.sql")).read_text()

    plan = "\n".join(line for (line,) in warehouse.query(f"explain {compiled}"))

    assert "commits_updated_at" in plan
    assert "Seq Scan on commits" not in plan
