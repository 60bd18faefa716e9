"""A person who was purged is in no table, does not come back, and is missing from no count."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from flows._shared.purged import Person, is_pseudonym, new_person
from flows.github_scraper import raw
from flows.github_scraper.records import AccountLookup, LoadCounts
from tests.databases import everything_of
from tests.github_scraper.histories import History

JANE = "Jane Doe <jane@doe.example> 1700000000 +0100"
JANE_AT_HOME = "Jane D. Doe <17+jane-d@users.noreply.github.com> 1700000100 +0100"
ADA = "Ada <ada@work.example> 1700000200 +0100"
NAMES = (
    "jane@doe", "jane doe", "jane-d", "jane d. doe", "jd@old", "jane@", "jané doe",
    "jane\u0301 doe", "jd@desk",
)  # fmt: skip
PERSON = Person(emails=("Jane@Doe.example",), logins=("jane-d",))
Sync = Callable[..., LoadCounts]
TOTALS = """
select
    repository_id, count(*), count(distinct contributor_id), sum(lines_added),
    (select count(*) from commit_coauthors), (select sum(commit_count) from repository_contributors)
from commits where orphaned_at is null
group by repository_id
"""


def write(history: History) -> None:
    mailmap = history.files(
        {
            ".mailmap": b"Jane Doe <jane@doe.example> <jd@old.example>\n"
            b"Jane Doe <jane@doe.example> <jd@desk.example>\n"
        }
    )
    first = history.commit(b"feat: x\n\nSigned-off-by: Jane Doe <jane@doe.example>\n", author=JANE)
    second = history.commit(
        b"fix: y, as Jane Doe said\n\nCo-authored-by: J <jd@old.example>\n"
        b"Co-authored-by: Jane <17+jane-d@users.noreply.github.com>\n"
        b"Co-authored-by: Bob <bob@work.example>\n",
        author=ADA,
        committer=JANE,
        parents=[first],
    )
    third = history.commit(
        b"Merge pull request #3 from jane-d/patch\n", author=JANE_AT_HOME, parents=[second]
    )
    last = third
    for author in (
        "Jané Doe <jane@doe.example>", "Jane Common <jane@doe.example>", "Jane Doe <>",
        "Your Name <jane@doe.example>", "X <17+jane-old@users.noreply.github.com>",
        "Mary <99+jane-old@users.noreply.github.com>",
    ):  # fmt: skip
        last = history.commit(b"x\n", author=f"{author} 1700000150 +0100", parents=[last])
    last = history.commit(
        "to @jane-old: Jane Common and Your Name are others, Jane\u0301 Doe is not\n\n"
        "Signed-off-by: J <jd@desk.example>\n".encode(),
        author="Jane Common <common@work.example> 1700000160 +0100",
        committer="J <jd@desk.example> 1700000160 +0100",
        parents=[last],
    )
    history.point(
        history.commit(
            b"docs: ask jane@doe.example, @jane-d or janet@doe.example\n",
            author="Jd <jd@old.example> 1700000300 +0100",
            parents=[last],
            tree=mailmap,
        )
    )


@pytest.fixture
def purged(connection: psycopg.Connection, sync: Sync, history: History) -> str:
    """A history with the person in it is loaded and the person purged; the pseudonym."""
    write(history)
    sync(history.path)
    connection.execute(
        "insert into contributor_aliases (alias, person, note) values ('jane@doe.example',"
        " 'jane-d', 'says Jane Doe'), ('ada@work.example', 'ada', 'also says Jane Doe')"
    )
    raw.merge_accounts(connection)
    before = connection.execute(TOTALS).fetchall()
    person = new_person()
    counted, _ = raw.purge_person(connection, PERSON, person, is_dry=True)
    assert named_in(connection)
    done, _ = raw.purge_person(connection, PERSON, person)
    assert done == counted
    assert done["public.contributors"] == 3
    assert done["public.commits"] == 10
    assert done["notes of other aliases"] == 1
    assert done["names that others sign with, too, which stay in texts"] == 1
    ((repository, commits, _, lines, *_, credited),) = connection.execute(TOTALS).fetchall()
    assert (repository, commits, lines, credited) == (*before[0][:2], before[0][3], before[0][5])
    return person


def named_in(connection: psycopg.Connection) -> dict[str, list[str]]:
    """The tables in which the person is named, and how."""
    found = {}
    for table, rows in everything_of(connection).items():
        text = "\n".join(rows).lower().replace("janet@doe.example", "")
        if names := [name for name in NAMES if name in text]:
            found[table] = names
    return found


def test_nothing_names_a_purged_person(connection: psycopg.Connection, purged: str) -> None:
    assert named_in(connection) == {}
    shown = connection.execute(
        "select display_name, email from contributors where email like '%@purged.invalid'"
    ).fetchall()
    assert shown == [(purged, f"{purged}@purged.invalid")]
    (message,) = connection.execute(
        "select commit_message from commits where commit_message like 'docs%'"
    ).fetchone() or ("",)
    assert "janet@doe.example" in message
    (others,) = connection.execute(
        "select commit_message from commits where commit_message like 'to @jane-old%'"
    ).fetchone() or ("",)
    assert "to @jane-old: Jane Common and Your Name are others" in others
    assert purged in others
    assert connection.execute(
        "select count(*) from contributors where username = 'jane-old' or display_name = 'Mary'"
    ).fetchone() == (1,)
    again, _ = raw.purge_person(connection, PERSON, new_person())
    assert set(again.values()) == {0}


def test_reading_everything_again_changes_nothing(
    connection: psycopg.Connection, purged: str, sync: Sync, history: History, tmp_path: Path
) -> None:
    coauthors = "select commit_hash, position, identity_id from commit_coauthors order by 1, 2"
    before = connection.execute(coauthors).fetchall()
    connection.execute("update repository_heads set reading = 0")
    assert sync(history.path).commits_written == 0
    assert connection.execute(coauthors).fetchall() == before
    raw.merge_accounts(connection)
    assert named_in(connection) == {}


def test_what_is_signed_later_is_the_same_person_without_a_name(
    connection: psycopg.Connection, purged: str, sync: Sync, history: History
) -> None:
    new = history.commit(
        b"chore: z\n\nCo-authored-by: Jane Doe <JANE@doe.example>\n",
        author="J D <17+jane-new@users.noreply.github.com> 1700000400 +0100",
        parents=[history.head()],
    )
    new = history.commit(
        b"a later address\n", parents=[new], author="X <x@new.example> 1700000500 +0"
    )
    history.point(new)
    sync(history.path)
    repository = connection.execute("select repository_id from repository_heads").fetchone()
    assert repository is not None
    found = [
        AccountLookup("x@new.example", new, repository[0], "jane-d", 17, "User"),
        AccountLookup("common@work.example", new, repository[0], "jane-d", 99, "User"),
    ]
    assert raw.purge_again(connection, found) == 1
    raw.merge_accounts(connection)
    assert named_in(connection) == {}
    assert "x@new.example" not in str(everything_of(connection))
    authors = connection.execute(
        "select distinct author_email from commits where author_email not like '%@work.example'"
        " and author_name <> 'Mary'"
    ).fetchall()
    assert authors == [(f"{purged}@purged.invalid",)]
    assert is_pseudonym(authors[0][0])


def test_whoever_has_no_such_name_is_left_alone(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    write(history)
    sync(history.path)
    before = everything_of(connection)
    raw.purge_person(connection, Person(emails=("nobody@doe.example",)), new_person())
    after = everything_of(connection)
    for table in ("github_api.purged_key", "github_api.purged_names"):
        del before[table], after[table]
    assert after == before

    # A run that remembered all names and broke is finished by one that is given one of them.
    names = ("email:jane@doe.example", "email:bob@work.example", "email:common@work.example")
    _, person = raw.remember_person(connection, names, new_person())
    raw.purge_person(connection, PERSON, new_person())
    kept = str(everything_of(connection))
    assert not any(name.removeprefix("email:") in kept for name in names)
    assert person in kept
