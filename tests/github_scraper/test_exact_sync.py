"""The sync reads exactly what is new, whatever dates say and whenever it is stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from flows.github_scraper import raw
from flows.github_scraper.records import IncompleteWalkError, Walk
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.sync import sync_repository
from tests.github_scraper.conftest import Sync
from tests.github_scraper.histories import History, import_sample
from tests.github_scraper.tables import contents, row_versions


def full_load(database: str, url: Path, cache_dir: Path) -> dict[str, list[tuple[object, ...]]]:
    """What one undisturbed load of everything gives, into the emptied database."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
        raw.ensure_schema(connection)
        sync_repository(connection, str(url), GithubScraperSettings(), cache_dir)
        return contents(connection)


def daily_heads(history: History) -> list[str]:
    listed = history.git("for-each-ref", "--sort=refname", "--format=%(objectname)", "refs/days")
    return [*listed.split(), history.git("rev-parse", "refs/heads/main")]


def commits_of_a_since_cursor(history: History, heads: list[str]) -> set[str]:
    """What a daily sync finds that asks for commits newer than the newest it has seen."""
    found: set[str] = set()
    newest = 0
    for head in heads:
        listed = (
            history.git("log", "--format=%H %ct", f"--since={newest}", head)
            if newest
            else (history.git("log", "--format=%H %ct", head))
        )
        for line in listed.splitlines():
            commit_hash, seconds = line.split()
            found.add(commit_hash)
            newest = max(newest, int(seconds))
    return found


def test_daily_syncs_over_late_merges_equal_one_full_load(
    connection: psycopg.Connection,
    database: str,
    sync: Sync,
    tmp_path: Path,
    is_exhaustive: bool,
) -> None:
    commits, days = (1_500, 60) if is_exhaustive else (250, 10)
    history = import_sample(tmp_path / "late.git", commits, seed=3)
    heads = daily_heads(history)
    assert len(heads) > days
    for head in heads:
        history.point(head)
        sync(history.path)
    by_days = contents(connection)
    connection.close()
    assert by_days == full_load(database, history.path, tmp_path / "other-mirrors")
    reachable = {row[2] for row in by_days["commits"]}
    lost = reachable - commits_of_a_since_cursor(history, heads)
    assert lost, "the history has no late merge, so this test could not fail"


def test_a_second_sync_writes_no_row(
    connection: psycopg.Connection, sync: Sync, small_history: History
) -> None:
    sync(small_history.path)
    before = row_versions(connection)
    updated = connection.execute("select updated_at from public.repositories").fetchall()
    second = sync(small_history.path)
    assert (second.walk, second.rows) == (Walk.NOTHING, 0)
    assert row_versions(connection) == before
    assert connection.execute("select updated_at from public.repositories").fetchall() == updated


def test_rewritten_history_orphans_and_deletes_nothing(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    root = history.commit(b"root\n")
    old = history.commit(b"old\n", parents=[root])
    new = history.commit(b"new\n", parents=[root], author="Bo <bo@x> 1700000001 +0000")
    history.point(old)
    sync(history.path)
    history.point(new)
    counts = sync(history.path)
    assert (counts.walk, counts.commits_written, counts.commits_orphaned) == (Walk.DELTA, 1, 1)
    orphaned = "select commit_hash from public.commits where orphaned_at is not null"
    assert connection.execute(orphaned).fetchall() == [(old,)]
    assert connection.execute(
        "select identity_key, commit_count from public.repository_contributors "
        "inner join public.contributors on contributors.id = contributor_id order by 1"
    ).fetchall() == [("email:ada@work.example", 1), ("email:bo@x", 1)]
    history.point(old)
    assert sync(history.path).commits_orphaned == 1
    assert connection.execute(orphaned).fetchall() == [(new,)]


def test_after_a_rewrite_people_have_the_names_that_a_load_from_nothing_gives_them(
    connection: psycopg.Connection, database: str, sync: Sync, history: History, tmp_path: Path
) -> None:
    root = history.commit(b"root\n", author="Ada <7+ada@users.noreply.github.com> 1 +0000")
    late = b"late\n\nCo-authored-by: Bo <bo@x>\n"
    history.point(
        history.commit(
            late, parents=[root], author="Adele <7+adele@users.noreply.github.com> 2 +0000",
            committer="C <c@x> 1800000000 +0000",
        )
    )  # fmt: skip
    sync(history.path)
    history.point(history.commit(b"new\n", parents=[root], author="Cy <cy@x> 3 +0000"))
    sync(history.path)
    raw.merge_accounts(connection)
    names = connection.execute(
        "select identity_key, username, display_name from public.contributors"
        " where exists (select 1 from public.commits"
        " where identity_id = contributors.id and orphaned_at is null) order by 1"
    ).fetchall()
    assert names == [("account:7", "ada", "Ada"), ("email:cy@x", None, "Cy")]
    logins = connection.execute("select login from public.account_logins").fetchall()
    assert logins == [("ada",)]


def test_a_lost_mirror_and_a_rewrite_in_between_orphan_the_same(
    connection: psycopg.Connection, sync: Sync, history: History, tmp_path: Path
) -> None:
    root = history.commit(b"root\n")
    old, new = history.commit(b"old\n", parents=[root]), history.commit(b"new\n", parents=[root])
    history.point(old)
    sync(history.path)
    for mirror in (tmp_path / "mirrors").glob("*.git"):
        subprocess.run(["rm", "-rf", str(mirror)], check=True)
    history.point(new)
    history.git("reflog", "expire", "--expire=now", "--all")
    history.git("prune", "--expire=now")
    counts = sync(history.path)
    assert (counts.walk, counts.commits_written, counts.commits_orphaned) == (Walk.FULL, 1, 1)
    assert connection.execute(
        "select commit_hash from public.commits where orphaned_at is not null"
    ).fetchall() == [(old,)]


def test_a_changed_mailmap_moves_old_commits_too(
    connection: psycopg.Connection, database: str, sync: Sync, history: History, tmp_path: Path
) -> None:
    first = history.commit(author="ada <ada@home.example> 1700000000 +0000")
    history.point(first)
    sync(history.path)
    mailmap = history.files({".mailmap": b"Ada L <ada@work.example> <ada@home.example>\n"})
    history.point(history.commit(b"map\n", parents=[first], tree=mailmap))
    assert sync(history.path).walk is Walk.FULL
    moved = contents(connection)
    assert {row[1] for row in moved["commits"]} == {"email:ada@work.example"}
    assert [row[1:] for row in moved["repository_contributors"]] == [("email:ada@work.example", 2)]
    connection.close()
    anew = full_load(database, history.path, tmp_path / "other-mirrors")
    assert anew == moved


def test_a_mailmap_holds_for_coauthors_too_and_mends_those_loaded_before(
    connection: psycopg.Connection, database: str, sync: Sync, history: History, tmp_path: Path
) -> None:
    both = b"pair\n\nCo-authored-by: B <bob-old@x>\nCo-authored-by: Bob <bob@x>\n"
    first = history.commit(both)
    history.point(first)
    sync(history.path)
    assert coauthor_keys(connection) == [(1, "email:bob-old@x"), (2, "email:bob@x")]
    mailmap = history.files({".mailmap": b"Bob <bob@x> <bob-old@x>\n"})
    again = b"map\n\nCo-authored-by: B <BOB-OLD@x>\n"
    history.point(history.commit(again, parents=[first], tree=mailmap))
    sync(history.path)
    assert coauthor_keys(connection) == [(1, "email:bob@x"), (1, "email:bob@x")]
    told = history.git(
        "-c", "mailmap.blob=main:.mailmap", "shortlog", "-s", "-e",
        "--group=trailer:co-authored-by", "main",
    )  # fmt: skip
    assert [line.split("\t") for line in told.splitlines()] == [["2", "Bob <bob@x>"]]
    moved = contents(connection)
    connection.close()
    anew = full_load(database, history.path, tmp_path / "other-mirrors")
    assert anew == moved


def coauthor_keys(connection: psycopg.Connection) -> list[tuple[int, str]]:
    return connection.execute(
        "select position, identity_key from public.commit_coauthors "
        "inner join public.contributors on contributors.id = contributor_id order by 1, 2"
    ).fetchall()


def test_a_renamed_default_branch_is_followed(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    first = history.commit()
    history.point(first)
    sync(history.path)
    second = history.commit(b"on trunk\n", parents=[first])
    history.point(second, "trunk")
    history.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert sync(history.path).commits_written == 1
    assert connection.execute("select ref, head_hash from public.repository_heads").fetchall() == [
        ("refs/heads/trunk", second)
    ]
    history.point(second, "stem")
    history.git("symbolic-ref", "HEAD", "refs/heads/stem")
    assert sync(history.path).walk is Walk.NOTHING
    refs = connection.execute("select ref from public.repository_heads").fetchall()
    assert refs == [("refs/heads/stem",)]


def test_a_broken_mirror_is_cloned_again(
    connection: psycopg.Connection, sync: Sync, history: History, tmp_path: Path
) -> None:
    commits = [history.commit(tree=history.files({"a": b"1\n"}))]
    history.point(commits[0])
    sync(history.path)
    commits.append(history.commit(parents=commits, tree=history.files({"a": b"2\n"})))
    history.point(commits[1])
    (mirror,) = (tmp_path / "mirrors").glob("*.git")
    lost = mirror / "objects" / commits[0][:2] / commits[0][2:]
    packs = list((mirror / "objects" / "pack").glob("*"))
    for path in [lost, *packs]:
        path.unlink(missing_ok=True)
    assert sync(history.path).commits_written == 1
    assert connection.execute("select count(*) from public.commits").fetchone() == (2,)


def test_commits_that_git_log_withholds_are_noticed(
    connection: psycopg.Connection, history: History
) -> None:
    history.point(history.commit())
    repository_id = raw.register_repository(connection, str(history.path))
    with pytest.raises(IncompleteWalkError), connection.transaction():
        raw.load_walk(
            connection, repository_id, "x", Walk.FULL,
            head=None, commits=iter(()), orphans=(), expected_commits=1, mailmap_text="",  # type: ignore[arg-type]
        )  # fmt: skip
    assert connection.execute("select count(*) from public.commits").fetchone() == (0,)


def test_repositories_that_share_people_load_at_the_same_time(
    connection: psycopg.Connection, database: str, tmp_path: Path
) -> None:
    histories = [
        import_sample(tmp_path / f"shared-{seed}.git", 400, seed=seed) for seed in (1, 2, 3, 4)
    ]
    errors: list[Exception] = []

    def load(history: History) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as own:
                settings = GithubScraperSettings()
                sync_repository(own, str(history.path), settings, tmp_path / "mirrors")
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=load, args=(h,)) for h in [*histories, histories[0]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert connection.execute(
        "select count(distinct repository_id), count(*) from public.commits"
    ).fetchone() == (4, sum(int(h.git("rev-list", "--count", "main")) for h in histories))


LOADER = """
import sys, psycopg
from pathlib import Path
from flows.github_scraper import raw, source
from flows.github_scraper.sync import sync_repository
from flows.github_scraper.settings import GithubScraperSettings

database, url, cache_dir = sys.argv[1:]
with psycopg.connect(database, autocommit=True) as connection:
    print("ready", flush=True)
    sync_repository(connection, url, GithubScraperSettings(), Path(cache_dir))
    print("done", flush=True)
"""


def run_loader(
    database: str, url: Path, cache_dir: Path, kill_after: float | None = None
) -> tuple[bool, float]:
    """Load in a process of its own. Returns whether it finished, and its seconds since ready."""
    with subprocess.Popen(
        [sys.executable, "-c", LOADER, database, str(url), str(cache_dir)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        finished = process.stdout.readline() == "done\n"
        process.wait()
        return finished, time.monotonic() - started


def test_killed_at_any_point_and_run_again_equals_undisturbed(
    connection: psycopg.Connection, database: str, tmp_path: Path, is_exhaustive: bool
) -> None:
    shares = (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9) if is_exhaustive else (0.02, 0.35, 0.65)
    history = import_sample(tmp_path / "killed.git", 5_600 if is_exhaustive else 1_000, seed=7)
    finished, seconds = run_loader(database, history.path, tmp_path / "undisturbed")
    assert finished
    undisturbed = contents(connection)
    killed = 0
    for share in shares:
        connection.execute(
            "truncate public.repositories, public.contributors, public.commits, "
            "public.commit_coauthors, public.repository_contributors, public.repository_heads "
            "cascade"
        )
        mirrors = tmp_path / f"killed-{share}"
        finished, _ = run_loader(database, history.path, mirrors, seconds * share)
        killed += not finished
        finished, _ = run_loader(database, history.path, mirrors)
        assert finished
        assert contents(connection) == undisturbed
    assert killed > len(shares) // 2, "the kills came too late to interrupt anything"
