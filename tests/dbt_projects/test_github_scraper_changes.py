"""What changes after it was loaded, from git to the marts: they end as if it had always been so."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from tests.dbt_projects.warehouse import Warehouse, install_packages
from tests.github_scraper.histories import History

DATABASE = "github_scraper_changes"
# What the report reads is made from the marts, whole each time.
OF_REPORT = ("--exclude", "path:models/report")
MODELS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", *OF_REPORT)
# All of a test lies within the hour that a build looks back over.
NO_LOOKING_BACK = '{"incremental_lookback_hours": 0}'
# By what a person can read, without numbers that depend on the order of loads.
READABLE = {
    "leaderboard": """
        select scope, path_name, time_window, rank, rank_in_kind, display_name, kind, commits,
            coauthored_commits, lines_added, counted_lines_added, line_rank, share_of_commits
        from analytics.leaderboard
        left join public.repositories on repositories.id = repository_id
    """,
    "repositories": """
        select repo_name, is_shallow, total_commits, contributors, bus_factor, gini_coefficient,
            lines_added, counted_lines_added, commits_without_line_counts, first_commit_date
        from analytics.repository_summary
    """,
    "people": """
        select display_name, total_commits, coauthored_commits, repositories_contributed_to,
            lines_deleted, counted_lines_deleted, last_commit_date
        from analytics.contributor_summary
    """,
    "affiliations": """
        select path_name, display_name, organization, commits
        from analytics.contributor_affiliations
        inner join public.repositories on repositories.id = repository_id
        inner join analytics.dim_contributor using (contributor_id)
    """,
}


class Story:
    """Repositories, the raw tables that they are loaded into, and the marts."""

    def __init__(self, warehouse: Warehouse, folder: Path) -> None:
        self.warehouse = warehouse
        self.folder = folder
        self.origin = History(folder / "tool.git")
        self.other = History(folder / "other.git")
        self.shallow = folder / "shallow.git"

    def sync(self, mirrors: str = "mirrors") -> None:
        """What a run does before it builds."""
        with psycopg.connect(self.warehouse.url, autocommit=True) as connection:
            raw.ensure_schema(connection)
            for path in (self.origin.path, self.other.path, self.shallow):
                if not raw.set_aside(connection, [str(path)]):
                    settings = GithubScraperSettings()
                    sync_repository(connection, str(path), settings, self.folder / mirrors)
            raw.merge_accounts(connection)

    def build(self, *options: str) -> dict[str, list[str]]:
        statuses = self.warehouse.dbt("build", *MODELS, *options)
        assert set(statuses.values()) <= {"success", "no-op"}, statuses
        return self.warehouse.tables()

    def readable(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted(self.warehouse.query(query), key=repr) for name, query in READABLE.items()
        }


@pytest.fixture(scope="module")
def story(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    url = postgres.create_database(DATABASE)
    install_packages("github_scraper", state := tmp_path_factory.mktemp("dbt"))
    warehouse = Warehouse("github_scraper", url, state, NO_LOOKING_BACK)
    yield Story(warehouse, tmp_path_factory.mktemp("origins"))
    postgres.drop_database(DATABASE)


class Signed(TypedDict):
    author: str
    committer: str


def signed(who: str, days_ago: int) -> Signed:
    signature = f"{who} {int(time.time()) - days_ago * 86_400} +0000"
    return Signed(author=signature, committer=signature)


@pytest.fixture(scope="module")
def together(is_exhaustive: bool) -> int:
    """How many changes there are between two builds."""
    return 1 if is_exhaustive else 2


def test_marts_after_changes_equal_a_full_refresh_and_in_the_end_a_load_from_nothing(
    story: Story, together: int
) -> None:
    origin, other = story.origin, story.other
    lines = {"a.py": b"1\n2\n3\n", "yarn.lock": b"x\n" * 90}
    root = origin.commit(tree=origin.files(lines), **signed("Ada <ada@x.example>", 400))
    pair = b"pair\n\nCo-authored-by: B <bob-old@x.example>\n"
    shared = origin.commit(pair, parents=[root], **signed("A <ada@home.example>", 40))
    old = origin.commit(b"old\n", parents=[shared], **signed("Gone <gone@y.example>", 20))
    origin.point(old)
    start = other.commit(tree=other.files({"b": b"1\n"}), **signed("Cy <cy@y.example>", 10))
    other.point(other.commit(parents=[start], **signed("Cyrus <cy@z.example>", 9)))
    origin.git(
        "clone", "--quiet", "--bare", "--depth=2", f"file://{origin.path}", str(story.shallow)
    )
    story.sync()
    story.build()
    assert story.warehouse.query(
        "select repo_name, dim.is_shallow, summary.is_shallow, total_commits"
        " from analytics.dim_repository as dim"
        " inner join analytics.repository_summary as summary using (repository_id, repo_name)"
        " order by 1"
    ) == [("other", False, False, 2), ("shallow", True, True, 2), ("tool", False, False, 3)]

    mailmap = b"Ada L <ada@x.example> <ada@home.example>\nBob <bob@x.example> <bob-old@x.example>\n"
    tree = origin.files({**lines, ".mailmap": mailmap})
    mapped = origin.commit(b"map\n", parents=[old], tree=tree, **signed("Bob <bob@x.example>", 8))
    new = origin.commit(b"new\n", parents=[shared], tree=tree, **signed("Di <di@y.example>", 7))
    marked = {**lines, ".mailmap": mailmap, ".gitattributes": b"a.py linguist-generated\n"}
    last = origin.commit(
        b"mark\n", parents=[new], tree=origin.files(marked), **signed("Di <di@y.example>", 6)
    )
    changes: dict[str, Callable[[], object]] = {
        "mailmap": lambda: origin.point(mapped),
        "merge by hand": lambda: story.warehouse.execute(
            "insert into contributor_aliases (alias, person)"
            " values ('cy@z.example', 'cy@y.example')"
        ),
        "force-push": lambda: origin.point(new),
        "affiliation": lambda: story.warehouse.execute(
            "insert into organization_domains (domain, organization, valid_from) values"
            " ('example', 'Examples', null), ('y.example', 'Y', current_date - 8)"
        ),
        "retired": lambda: set_aside(story, "retire", other.path),
        "attributes": lambda: origin.point(last),
        "resumed": lambda: set_aside(story, "resume", other.path),
    }
    before = story.warehouse.tables()
    for names in batched(changes, together):
        for name in names:
            if name == "retired":
                eve = signed("Eve <eve@z.example>", 5)
                other.point(other.commit(parents=[other.head()], **eve))
            changes[name]()
            story.sync()
        incremental = story.build()
        assert story.build("--full-refresh", "--select", "fct_daily_commits") == incremental, names
        assert incremental != before, f"{names} changed nothing"
        before = incremental

    statuses = story.warehouse.dbt("test", "--select", "test_type:data", *OF_REPORT)
    assert set(statuses.values()) == {"pass"}, statuses
    grown = story.readable()
    # The shallow clone has no mailmap: there A and B are known by their old addresses.
    names = [row[0] for row in grown["people"]]
    assert names == ["A", "Ada L", "B", "Bob", "Cy", "Di", "Eve", "Gone"]
    assert ("tool", "Di", "Y", 2) in grown["affiliations"]
    story.warehouse.execute(
        "truncate repositories, contributors, contributor_merges restart identity cascade;"
        "drop schema analytics cascade"
    )
    story.sync("other-mirrors")
    story.build()
    assert story.readable() == grown


def batched(names: Iterable[str], size: int) -> Iterator[list[str]]:
    listed = list(names)
    return (listed[at : at + size] for at in range(0, len(listed), size))


def set_aside(story: Story, change: str, path: Path) -> None:
    with psycopg.connect(story.warehouse.url, autocommit=True) as connection:
        raw.change_schedule(connection, change, [str(path)], None)
