"""The ways over the API read exactly what git reads, at the price that was promised."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.github_scraper.records import READING, Source, Walk
from flows.github_scraper.rules import Mailmap
from flows.github_scraper.sync import sync_repository
from tests.github_scraper.conftest import Api
from tests.github_scraper.histories import AUTHOR, ENVIRONMENT, History, import_sample
from tests.github_scraper.tables import comparable, contents, row_versions

RAW = "public.repositories, public.contributors, github_api.walks, github_api.walk_commits"


def emptied(api: Api) -> None:
    api.connection.execute(f"truncate {RAW} restart identity cascade")


def by_git(api: Api, url: str, path: str) -> dict[str, list[tuple[object, ...]]]:
    """What git reads from the same address, into emptied tables."""
    emptied(api)
    sync_repository(api.connection, url, api.settings("git"), api.mirrors)
    return comparable(api.connection, path)


def odd_history(history: History) -> None:
    """Signatures, messages, dates and merges as they should not be, and are."""
    root = history.commit(tree=history.files({"a": b"1\n2\n", "b": b"\0\1"}))
    side = history.commit(
        b"feat: \xe6\xb1\x9f\n\nbody\n\nCo-authored-by: Eve <eve@x.example>\n\n\n",
        parents=[root], tree=history.files({"a": b"1\n3\n", "c": b"x\n"}),
        author="Bo <7+bo@users.noreply.github.com> 1600000000 -0330",
    )  # fmt: skip
    other_root = history.commit(b"", author="Ren\xe9 <r@x> 0 +0000".encode("latin-1"),
                                headers=b"encoding ISO-8859-1\n")  # fmt: skip
    octopus = history.commit(
        b"Merge two\n", parents=[root, side, other_root],
        tree=history.files({"a": b"1\n3\n", "d": b"evil\n"}),
    )  # fmt: skip
    mailmap = history.files({".mailmap": b"Bo B <bo@work.example> <7+bo@users.noreply.github.com>"})
    last = history.commit(
        b"no line break at the end", parents=[octopus], tree=mailmap,
        committer="Future <f@x> 4102444800 +1300",
    )  # fmt: skip
    broken = history.commit(b"bad \xff bytes\n", parents=[last], author=" <a@x> 1700000000 +0000")
    nobody = history.commit(b"before\0after\n", parents=[broken], author="", committer="")
    tab = history.commit(b"a\ttab | pipe\r\n", parents=[nobody], tree=mailmap, author=AUTHOR)
    history.point(tab)


@pytest.mark.parametrize(("path", "commits"), [("graphql", 300), ("rest", 60)])
def test_all_ways_read_the_same_rows(api: Api, tmp_path: Path, path: str, commits: int) -> None:
    history = import_sample(tmp_path / "sample.git", commits, seed=5)
    url = api.server.address(api.server.add(history.path))
    (counts,) = api.sync(url, path=path)
    read = comparable(api.connection, path)
    assert counts.source is Source(path)
    assert len(read["commits"]) == int(history.git("rev-list", "--count", "main"))
    assert read == by_git(api, url, path)


@pytest.mark.parametrize("path", ["graphql", "rest"])
def test_all_ways_read_the_same_oddities(api: Api, history: History, path: str) -> None:
    odd_history(history)
    url = api.server.address(api.server.add(history.path))
    api.sync(url, path=path)
    read = comparable(api.connection, path)
    assert read == by_git(api, url, path)
    assert {row[1] for row in read["commits"]} >= {"email:bo@work.example", "email:r@x"}


def test_more_files_than_github_lists_are_counted_as_unknown(api: Api, history: History) -> None:
    blob = history.blob(b"1\n")
    tree = history.tree(("100644", "blob", blob, b"f%04d" % number) for number in range(3_000))
    history.point(history.commit(tree=tree))
    api.sync(api.server.address(api.server.add(history.path)), path="rest")
    assert api.connection.execute(
        "select files_changed, lines_added from public.commits"
    ).fetchall() == [(None, 3_000)]


@pytest.mark.parametrize("path", ["graphql", "rest"])
def test_new_commits_and_a_rewrite_equal_reading_everything(
    api: Api, history: History, path: str
) -> None:
    root = history.commit(b"root\n", tree=history.files({"a": b"1\n"}))
    old = history.commit(b"old\n", parents=[root])
    history.point(old)
    url = api.server.address(api.server.add(history.path))
    api.sync(url, path=path)
    late = history.commit(b"late\n", parents=[root], committer="Bo <bo@x> 1500000000 +0000")
    merge = history.commit(b"merge\n", parents=[old, late])
    history.point(merge)
    (counts,) = api.sync(url, path=path)
    assert (counts.walk, counts.commits_written, counts.commits_orphaned) == (Walk.DELTA, 2, 0)
    new = history.commit(b"new\n", parents=[late])
    history.point(new)
    (counts,) = api.sync(url, path=path)
    assert (counts.walk, counts.commits_written, counts.commits_orphaned) == (Walk.DELTA, 1, 2)
    assert orphans(api) == {old, merge}
    history.point(merge)
    (counts,) = api.sync(url, path=path)
    assert orphans(api) == {new}
    grown = comparable(api.connection, path)["commits"]
    reachable = [row for row in grown if not row[-1]]
    assert reachable == by_git(api, url, path)["commits"]


def orphans(api: Api) -> set[str]:
    rows = api.connection.execute(
        "select commit_hash from public.commits where orphaned_at is not null"
    )
    return {row[0] for row in rows}


@pytest.mark.parametrize("path", ["graphql", "rest"])
def test_a_vanished_base_is_walked_down_to_what_is_loaded(
    api: Api, history: History, path: str
) -> None:
    commits = [history.commit(b"0\n")]
    for number in range(1, 30):
        commits.append(history.commit(b"%d\n" % number, parents=[commits[-1]]))
    history.point(commits[-1])
    repository = api.server.add(history.path)
    url = api.server.address(repository)
    api.sync(url, path=path)
    rewritten = history.commit(b"instead\n", parents=[commits[25]])
    history.point(rewritten)
    repository.forgotten |= set(commits[26:])
    (counts,) = api.sync(url, path=path, page_size=5)
    assert (counts.walk, counts.commits_written, counts.commits_orphaned) == (Walk.FRONTIER, 1, 4)
    assert orphans(api) == set(commits[26:])
    if path == "graphql":
        assert api.server.calls["history"] <= 3, "it stops where everything below is loaded"


def test_a_changed_mailmap_moves_old_commits_too(api: Api, history: History) -> None:
    message = b"pair\n\nCo-authored-by: Ada <ada@home.example>\n"
    first = history.commit(message, author="ada <ada@home.example> 1700000000 +0000")
    history.point(first)
    url = api.server.address(api.server.add(history.path))
    api.sync(url)
    mailmap = history.files({".mailmap": b"Ada L <ada@work.example> <ada@home.example>\n"})
    history.point(history.commit(b"map\n", parents=[first], tree=mailmap))
    (counts,) = api.sync(url)
    assert counts.walk is Walk.FULL
    assert {row[1] for row in contents(api.connection)["commits"]} == {"email:ada@work.example"}
    coauthors = api.connection.execute(
        "select identity_key from public.commit_coauthors "
        "inner join public.contributors on contributors.id = contributor_id"
    ).fetchall()
    assert coauthors == [("email:ada@work.example",)]


def test_file_classes_are_unknown_over_the_api_and_those_that_git_told_stay(
    api: Api, history: History
) -> None:
    marked = {".gitattributes": b"made linguist-generated\n", "made": b"1\n", "go.sum": b"1\n2\n"}
    first = history.commit(tree=history.files(marked))
    history.point(first)
    url = api.server.address(api.server.add(history.path))
    api.sync(url, path="git")
    mapped = {**marked, "go.sum": b"1\n", ".mailmap": b"Ada L <ada@work.example>\n"}
    history.point(history.commit(parents=[first], tree=history.files(mapped)))
    heads = "select attributes_hash from public.repository_heads"
    known = api.connection.execute(heads).fetchall()
    (counts,) = api.sync(url)
    assert (counts.walk, counts.source) == (Walk.FULL, Source.GRAPHQL)
    classes = (
        "select lines_added, lines_deleted, lines_added_generated, lines_added_locked,"
        " lines_deleted_locked from public.commits order by commit_hash <> %s"
    )
    told = api.connection.execute(classes, (first,)).fetchall()
    assert told == [(4, 0, 1, 2, 0), (1, 1, None, None, None)]
    assert api.connection.execute(heads).fetchall() == known != [(None,)]
    sync_repository(api.connection, url, api.settings("git"), api.mirrors, reread=True)
    assert api.connection.execute(classes, (first,)).fetchall() == [
        (4, 0, 1, 2, 0),
        (1, 1, 0, 0, 1),
    ]


def test_few_new_commits_come_by_graphql_and_many_by_git(
    api: Api, small_history: History, history: History
) -> None:
    url = api.server.address(api.server.add(history.path, disk_kilobytes=10))
    first = history.commit()
    history.point(first)
    (counts,) = api.sync(url, path="auto")
    assert counts.source is Source.GIT
    history.point(history.commit(b"2\n", parents=[first]))
    (counts,) = api.sync(url, path="auto")
    assert (counts.source, counts.walk) == (Source.GRAPHQL, Walk.DELTA)
    tip = history.head()
    for number in range(3):
        tip = history.commit(b"%d\n" % number, parents=[tip])
    history.point(tip)
    (counts,) = api.sync(url, path="auto", few_commits=2)
    assert (counts.source, counts.walk) == (Source.GIT, Walk.DELTA)
    huge = api.server.add(small_history.path, name="huge", disk_kilobytes=5_000_000)
    (counts,) = api.sync(api.server.address(huge), path="auto")
    assert counts.source is Source.GRAPHQL


@pytest.mark.parametrize(
    ("count", "points"), [(200, 2), pytest.param(1_000, 10, marks=pytest.mark.exhaustive)]
)
def test_a_second_sync_of_a_hundred_unchanged_repositories_costs_a_point_and_no_commit_request(
    api: Api, history: History, count: int, points: int
) -> None:
    history.point(history.commit())
    repositories = [api.server.add(history.path, name=f"r{n}") for n in range(count)]
    urls = [api.server.address(each) for each in repositories]
    planned = api.plan(*urls)
    assert len(planned.plans) == count
    api.connection.execute(
        """
        insert into public.repository_heads (repository_id, ref, head_hash, reading)
        select id, 'refs/heads/main', %s, %s from public.repositories
        """,
        (history.head(), READING),
    )
    before = row_versions(api.connection)
    api.server.forget_counts()
    again = api.plan(*urls)
    assert (again.unchanged, again.plans) == (count, [])
    assert api.server.meter.total("graphql") <= points
    assert set(api.server.requests) == {"GET /api/v3/user", "POST /api/graphql"}
    assert set(api.server.calls) == {"known"}
    assert row_versions(api.connection) == before


def test_an_unchanged_repository_costs_no_budget_over_rest(api: Api, history: History) -> None:
    history.point(history.commit())
    url = api.server.address(api.server.add(history.path))
    api.sync(url, path="rest")
    api.server.forget_counts()
    assert api.sync(url, path="rest") == []
    assert api.server.meter.total("core") == 1, "only the question whose token it is"


LOADER = """
import sys, psycopg
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.connect import Secrets, open_api
from flows.github_scraper.sync import plan_repositories, sync_planned
from datetime import UTC, datetime

database, host, url = sys.argv[1:]
settings = GithubScraperSettings.model_validate(
    {"api": {"host_url": host, "path": "graphql", "page_size": 10}}
)
api = open_api(Secrets((("block", "ghp_good"),)), settings.api)
with psycopg.connect(database, autocommit=True) as connection:
    with api.client(database, url) as client:
        planned = plan_repositories(connection, client, [url], settings, datetime.now(UTC))
        for plan in planned.plans:
            sync_planned(connection, plan, settings, client, by_git=lambda: 1 / 0)
"""


def test_killed_at_any_page_and_resumed_fetches_at_most_one_page_twice(
    api: Api, small_history: History
) -> None:
    url = api.server.address(api.server.add(small_history.path))
    api.sync(url, page_size=10)
    undisturbed = contents(api.connection)
    emptied(api)
    api.server.forget_counts()
    api.server.cursors.clear()
    pages = 0

    def kill_later(request: object) -> None:
        nonlocal pages
        pages += 1
        if pages in (4, 15):
            process.send_signal(signal.SIGKILL)

    api.server.on_request = kill_later
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", LOADER, api.database, api.server.url, url],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        if process.wait() == 0:
            break
    assert process.returncode == 0
    assert contents(api.connection) == undisturbed
    twice = [cursor for cursor, times in api.server.cursors.items() if times > 1]
    assert max(api.server.cursors.values()) <= 2
    assert len(twice) <= 2, "a kill costs the page that was under way and no other"
    assert pages > 15, "the kills came too late to interrupt anything"


def test_a_push_between_two_pages_changes_nothing_of_a_walk(api: Api, tmp_path: Path) -> None:
    copy = import_sample(tmp_path / "moving.git", 60, seed=2)
    head = copy.head()
    url = api.server.address(api.server.add(copy.path))

    def push(request: object) -> None:
        if api.server.calls["history"] == 2:
            copy.point(copy.commit(b"rewritten\n"))

    api.server.on_request = push
    (counts,) = api.sync(url, page_size=10)
    assert api.connection.execute("select head_hash from public.repository_heads").fetchall() == [
        (head,)
    ]
    api.server.on_request = None
    (counts,) = api.sync(url, page_size=10)
    assert counts.commits_written == 1
    assert counts.commits_orphaned == int(copy.git("rev-list", "--count", head))


@pytest.mark.parametrize(
    ("commits", "points"), [(2_000, 23), pytest.param(10_000, 110, marks=pytest.mark.exhaustive)]
)
def test_a_full_history_with_line_counts_costs_a_point_a_hundred_commits_and_few_more(
    api: Api, tmp_path: Path, commits: int, points: int
) -> None:
    path = tmp_path / "long.git"
    history = History(path)
    lines = []
    for number in range(1, commits + 1):
        parent = b"from :%d\n" % (number - 1) if number > 1 else b""
        lines.append(
            b"commit refs/heads/main\nmark :%d\ncommitter Ada <a@x> %d +0000\ndata 1\nx\n%s"
            b"M 100644 inline a\ndata 2\n%d\n\n"
            % (number, 1_600_000_000 + number, parent, number % 9)
        )
    history.git("fast-import", "--quiet", stdin=b"".join(lines))
    url = api.server.address(api.server.add(path))
    api.sync(url)
    assert api.server.meter.total("graphql") <= points
    assert api.connection.execute(
        "select count(*), sum(lines_added) from public.commits"
    ).fetchone() == (commits, commits)


@pytest.mark.parametrize(
    "text",
    [
        "Ada L <ada@work> <ada@home>\n# no\nBo <bo@work>\n<c@work> <c@home>\n",
        "Ada <ada@work> ada <x@home>\nBo <bo@work> bo <x@home>\n<both@work> <X@HOME>\n",
        "A <a@b>\nB <a@b>\n  Spaced  Name   <s@p>   <t@p>  \nno address here\n<only@x>\n<> <e@x>\n",
        "P <p@x> Old <>\r\nQ <q@x> <old@x> trailing\n",
    ],
)
def test_a_mailmap_is_read_as_git_reads_it(text: str, history: History) -> None:
    people = [
        (name, email)
        for name in ("ada", "ADA", "bo", "Zed", "Old")
        for email in (
            "ada@home",
            "ada@work",
            "bo@work",
            "c@home",
            "x@home",
            "X@Home",
            "a@b",
            "t@p",
            "s@p",
            "only@x",
            "e@x",
            "old@x",
            "none@x",
        )
    ]
    assert_read_as_by_git(text, people, history)


NAMES = ("Ada", "ada", "\u00c9VA", "\u00e9va", "\u0130", "Ada  L", " Ada L ", "\u00a0Ada", "#x", "")
ADDRESSES = ("a@x", "A@X", " a@x", "a@x ", "\u00e9@y", "\u00c9@y", "\u212a@z", "k@z", "")


def test_any_mailmap_is_read_as_git_reads_it(history: History) -> None:
    """One run of git over people who have addresses of their own in every group of lines."""
    dice = random.Random(5)
    lines, people = [], []
    for group in range(60):

        def address(group: int = group) -> str:
            told = dice.choice(ADDRESSES)
            return told.replace("@", f"@{group}.") if told else told

        for _ in range(dice.randint(1, 6)):
            name, other = dice.choice(NAMES), dice.choice(NAMES)
            line = dice.choice((
                f"{name} <{address()}>",
                f"{name} <{address()}> <{address()}>",
                f"{name} <{address()}> {other} <{address()}>",
                f"<{address()}> <{address()}>",
            ))  # fmt: skip
            mess = dice.random()
            lines.append(line[:-1] if mess < 0.05 else line + "\r" if mess < 0.1 else line)
        people += [
            (dice.choice(NAMES).strip(" ") or "Z", dice.choice(ADDRESSES[:-1]).replace("@", at))
            for at in [f"@{group}."] * 8
        ]
    assert_read_as_by_git("\n".join(lines), people, history)


def assert_read_as_by_git(text: str, people: list[tuple[str, str]], history: History) -> None:
    history.point(history.commit(tree=history.files({".mailmap": text.encode()})))
    asked = "".join(f"{name} <{email}>\n" for name, email in people)
    told = subprocess.run(
        ["git", "-C", str(history.path), "-c", "mailmap.blob=HEAD:.mailmap", "check-mailmap",
         "--stdin"],
        input=asked, text=True, env=ENVIRONMENT, capture_output=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    mailmap = Mailmap(text)
    ours = [mailmap.lookup(*each) for each in people]
    assert [f"{name} <{email}>" for name, email in ours] == told
