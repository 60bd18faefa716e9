"""Changes of git and of people's lists in any order: marts that follow equal those made anew."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from tests.databases import database_of
from tests.dbt_projects.test_github_scraper_changes import MODELS, NO_LOOKING_BACK
from tests.dbt_projects.warehouse import Warehouse, install_packages
from tests.github_scraper.histories import History

STEPS = 25
# The table of patterns is changed as its file would be.
WITHOUT_SEEDS = (*MODELS, "--exclude-resource-type", "seed")
ADDRESSES = (
    *("ada@x.example", "ada@home.example", "bob@x.example", "BOB@x.example", "cy@y.example"),
    *("1+di@users.noreply.github.com", "2+di@users.noreply.github.com", "noreply@anthropic.com"),
    "49699333+dependabot[bot]@users.noreply.github.com",
)
NAMES = ("Ada", "Bob", "Cy", "Di")


class Walk:
    """Three repositories, the lists of people, and a step that changes one of them."""

    def __init__(self, warehouse: Warehouse, folder: Path, seed: int) -> None:
        self.warehouse = warehouse
        self.mirrors = folder / "mirrors"
        self.dice = random.Random(seed)
        self.repositories = [History(folder / f"{number}.git") for number in range(3)]
        self.known: dict[History, list[str]] = {each: [] for each in self.repositories}
        self.files: dict[History, dict[str, bytes]] = {each: {} for each in self.repositories}
        for each in self.repositories * 4:
            self.commit(each)

    def commit(self, there: History, parents: list[str] | None = None) -> None:
        who = f"{self.dice.choice(NAMES)} <{self.dice.choice((*ADDRESSES, ''))}>"
        moment = int(time.time()) - self.dice.randrange(40 * 86_400)
        signature = f"{who} {moment} {self.dice.choice(('+0000', '-1100', '+1400'))}"
        message = f"feat: {self.dice.random()}\n"
        if self.dice.random() < 0.4:
            message += f"\nCo-authored-by: Bob <{self.dice.choice(ADDRESSES)}>\n"
        self.files[there][f"{self.dice.randrange(5)}.py"] = b"x\n" * self.dice.randrange(9)
        made = there.commit(
            message.encode(),
            parents=self.known[there][-1:] if parents is None else parents,
            tree=there.files(self.files[there]),
            author=signature,
            committer=signature,
        )
        self.known[there].append(made)
        there.point(made, self.branch(there))

    def branch(self, there: History) -> str:
        return there.git("symbolic-ref", "--short", "HEAD")

    def map_people(self, there: History) -> None:
        one, other = self.dice.sample(ADDRESSES, 2)
        told = f"Ada <{one}> <{other}>\n" if self.dice.random() < 0.7 else ""
        self.files[there][".mailmap"] = told.encode()
        self.commit(there)

    def push_by_force(self, there: History) -> None:
        self.commit(there, [self.dice.choice(self.known[there])])

    def go_back(self, there: History) -> None:
        there.point(self.dice.choice(self.known[there]), self.branch(there))

    def merge(self, there: History) -> None:
        self.commit(there, self.dice.sample(self.known[there], 2))

    def copy(self, there: History) -> None:
        other = self.dice.choice(self.repositories)
        there.git("fetch", "--quiet", str(other.path), f"+{other.head()}:refs/copied")
        self.known[there].append(other.head())
        there.point(other.head(), self.branch(there))

    def rename_branch(self, there: History) -> None:
        head, former = there.head(), self.branch(there)
        branch = "trunk" if former == "main" else "main"
        there.point(head, branch)
        there.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        there.git("update-ref", "-d", f"refs/heads/{former}")

    def schedule(self, there: History) -> None:
        change = self.dice.choice(("pause", "retire", "resume", "resume"))
        with psycopg.connect(self.warehouse.url, autocommit=True) as connection:
            raw.change_schedule(connection, change, [str(there.path)], None)

    def alias(self, _: History) -> None:
        one, other = (each.lower() for each in self.dice.sample(ADDRESSES, 2))
        self.warehouse.execute(
            "delete from contributor_aliases where random() < 0.3;"
            f" insert into contributor_aliases (alias, person) values ('{one}', '{other}')"
            " on conflict do nothing"
        )

    def affiliate(self, _: History) -> None:
        since = self.dice.randrange(40)
        self.warehouse.execute(
            "delete from organization_domains where random() < 0.3;"
            " insert into organization_domains (domain, organization, valid_from)"
            f" values ('{self.dice.choice(('example', 'x.example'))}', 'X', current_date - {since})"
            " on conflict do nothing"
        )

    def classify(self, _: History) -> None:
        kind = self.dice.choice(("person", "agent", "bot"))
        self.warehouse.execute(
            "delete from analytics.automation_patterns where note = 'walk' and random() < 0.5;"
            f" insert into analytics.automation_patterns values ('{kind}', 'name', 'bob', 'walk')"
        )

    def step(self) -> str:
        changes: tuple[Callable[[History], None], ...] = (
            *(self.commit, self.map_people, self.push_by_force, self.go_back, self.merge),
            *(self.copy, self.rename_branch, self.schedule, self.alias, self.alias),
            *(self.affiliate, self.classify),
        )
        change = self.dice.choice(changes)
        change(self.dice.choice(self.repositories))
        return change.__name__

    def sync(self) -> None:
        with psycopg.connect(self.warehouse.url, autocommit=True) as connection:
            raw.ensure_schema(connection)
            for path in (str(each.path) for each in self.repositories):
                if not raw.set_aside(connection, [path]):
                    sync_repository(connection, path, GithubScraperSettings(), self.mirrors)
            raw.merge_accounts(connection)

    def build(self, *options: str) -> dict[str, list[str]]:
        statuses = self.warehouse.dbt("build", *options)
        assert set(statuses.values()) <= {"success", "no-op"}, statuses
        return self.warehouse.tables()


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3))
def test_marts_that_follow_equal_marts_made_anew(
    seed: int, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    database = database_of(Path(__file__))
    install_packages("github_scraper", tmp_path / "dbt")
    url = postgres.create_database(database)
    warehouse = Warehouse("github_scraper", url, tmp_path / "dbt", NO_LOOKING_BACK)
    walk = Walk(warehouse, tmp_path, seed)
    walk.sync()
    walk.build(*MODELS)
    taken: list[str] = []
    for _ in range(STEPS):
        taken += [walk.step() for _ in range(walk.dice.choice((1, 1, 2)))]
        walk.sync()
        followed = walk.build(*WITHOUT_SEEDS)
        assert walk.build(*WITHOUT_SEEDS, "--full-refresh") == followed, taken
    assert {"alias", "push_by_force", "rename_branch"} <= {*taken}
    postgres.drop_database(database)
