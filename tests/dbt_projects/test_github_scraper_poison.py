"""Commits that anybody can write and that must stop nobody else's marts.

Nothing of git's is put aside: a commit is loaded as it is, and what cannot be believed of it or was
lost on the way is told in its row.
"""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from deployments.local.postgres import EmbeddedPostgres
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from tests.dbt_projects.poison import Told, assert_each_is_named, assert_nobody_is_stopped
from tests.dbt_projects.warehouse import Warehouse, install_packages
from tests.github_scraper.histories import AUTHOR, History

DATABASE = "github_scraper_poison"
# Text that does not become smaller when it is compressed: an index takes 2,704 bytes of it.
_letters = random.Random(1).choices(string.ascii_lowercase + string.digits, k=100_000)
LONG, VERY_LONG = "".join(_letters[:5_000]), "".join(_letters) * 10
SPACES = " " * 200_000
LONG_BRANCH = "/".join("x" * 200 for _ in range(14))


@dataclass(frozen=True)
class Poison:
    """A commit like a good one but for what is given. ``flag`` is what its row says of it."""

    author: str | bytes = AUTHOR
    message: bytes = b"change\n"
    path: bytes = b"file"
    headers: bytes = b""
    parents: int = 1
    flag: str = ""


COMMITS = {
    "a long e-mail": Poison(f"A <{LONG}@x.example> 1700000000 +0000"),
    "another long e-mail": Poison(f"A <{LONG}@y.example> 1700000000 +0000"),
    "a long noreply login": Poison(f"A <9+{LONG}@users.noreply.github.com> 1700000000 +0000"),
    "a long name": Poison(f"{VERY_LONG} <a@x.example> 1700000000 +0000"),
    "a long name alone": Poison(f"{LONG} <> 1700000000 +0000"),
    "a name of spaces and a bot": Poison(f"a{SPACES}-bo <s@x.example> 1700000000 +0000"),
    "nobody": Poison("", flag="clamped"),
    "no name": Poison(" <> 1700000000 +0000"),
    "no date": Poison("A <a@x.example>", flag="clamped"),
    "a date before all": Poison("A <a@x.example> -99999999999 +0000", flag="implausible"),
    "a date after all": Poison("A <a@x.example> 253402300799 +0000", flag="implausible"),
    "a date that does not exist": Poison(
        "A <a@x.example> 99999999999999999999 +0000", flag="implausible"
    ),
    "an odd time zone": Poison("A <a@x.example> 1700000000 +9999999999"),
    "a NUL": Poison(message=b"before\0after\n", flag="invalid"),
    "a NUL in a name": Poison(b"A\0B <a@x.example> 1700000000 +0000", flag="invalid"),
    "broken bytes": Poison(b"\xff\xfe <\xff@x> 1700000000 +0000", b"\xff\xfe\n", flag="invalid"),
    "an encoding that nobody knows": Poison(
        headers=b"encoding klingon\n", message=b"caf\xe9\n", flag="invalid"
    ),
    "an empty message": Poison(message=b""),
    "a message of one line": Poison(message=b"feat(" + LONG.encode() * 400 + b"): x"),
    "trailers of spaces": Poison(message=b"x\n\nCo-authored-by:" + SPACES.encode()),
    "many co-authors": Poison(
        message=b"x\n\n" + b"".join(b"Co-authored-by: C <c%d@x>\n" % n for n in range(3_000))
    ),
    "a long co-author": Poison(
        message=b"x\n\nCo-authored-by: %b <%b>\n" % (VERY_LONG.encode(), LONG.encode())
    ),
    "quotes and braces": Poison("a'\"{{ x }}\\N <\\N@x.example> 1700000000 +0000", b"\\.\n\\N\t{}"),
    "a long path": Poison(path=b"p" * 3_000 + b".lock"),
    "a path of line breaks and tabs": Poison(path=b"1\t2\tx\n\xff.min.js"),
    "many parents": Poison(parents=60),
}


@pytest.fixture(scope="module")
def warehouse(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Warehouse]:
    url = postgres.create_database(DATABASE)
    install_packages("github_scraper", state := tmp_path_factory.mktemp("dbt"))
    yield Warehouse("github_scraper", url, state)
    postgres.drop_database(DATABASE)


@pytest.mark.timeout(300)
def test_no_commit_stops_the_marts_of_others_and_each_is_told(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    bad, good = History(tmp_path / "bad.git"), History(tmp_path / "good.git")
    good.point(good.commit(author="Bo <bo@good.example> 1700000000 +0000"))
    written = write(bad)
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        raw.ensure_schema(connection)
        for history in (bad, good):
            sync_repository(
                connection, str(history.path), GithubScraperSettings(), tmp_path / "mirrors"
            )
        raw.merge_accounts(connection)

    assert_nobody_is_stopped(warehouse.dbt("build", "--exclude-resource-type", "unit_test"))

    rows = warehouse.query(
        "select commit_hash, url, concat_ws(' ',"
        " case when is_date_clamped then 'clamped implausible' end,"
        " case when commit_date < '1990-01-01' or commit_date > now() then 'implausible' end,"
        " case when not is_encoding_valid then 'invalid' end)"
        " from commits inner join repositories on repositories.id = repository_id"
    )
    found = {commit_hash: Told(url, flags) for commit_hash, url, flags in rows}
    assert_each_is_named(
        {written[name]: Told(str(bad.path), each.flag) for name, each in COMMITS.items()}, found
    )
    unflagged = [name for name, each in COMMITS.items() if not each.flag]
    assert {name: found[written[name]].reason for name in unflagged} == dict.fromkeys(unflagged, "")
    assert warehouse.query(
        "select repo_name, total_commits, commits_with_implausible_date"
        " from analytics.repository_summary order by 1"
    ) == [("bad", len(rows) - 1, 6), ("good", 1, 0)]
    assert warehouse.query(
        "select count(*), count(distinct contributor_id) from analytics.leaderboard"
        " where time_window = 'all_time' and scope = 'overall' and coauthored_commits = 1"
    ) == [(3_001, 3_001)]


def write(history: History) -> dict[str, str]:
    """Every commit on one line of history; returns their hashes by name."""
    blob = history.blob(b"1\n")
    roots = [history.commit(b"root %d\n" % number) for number in range(60)]
    written: dict[str, str] = {}
    tip = roots[0]
    for name, each in COMMITS.items():
        tip = written[name] = history.commit(
            each.message,
            parents=[tip, *roots[1 : each.parents]],
            tree=history.tree([("100644", "blob", blob, each.path)]),
            author=each.author,
            headers=each.headers,
        )
    history.point(tip)
    history.git("update-ref", f"refs/heads/{LONG_BRANCH}", tip)
    history.git("symbolic-ref", "HEAD", f"refs/heads/{LONG_BRANCH}")
    return written
