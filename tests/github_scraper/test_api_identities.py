"""Whose e-mails these are: looked up once, merged with a reason, and taken apart again."""

from typing import Any

import psycopg
import pytest

from flows.github_scraper import raw
from flows.github_scraper.records import Walk
from tests.github_scraper.conftest import Api, Sync
from tests.github_scraper.github_server import User
from tests.github_scraper.histories import History
from tests.github_scraper.tables import contents, row_versions

HOME = "Ada <ada@home.example> 1700000000 +0000"
WORK = "Ada L <Ada@Work.example> 1700000100 +0000"
NOREPLY = "ada <7+ada@users.noreply.github.com> 1700000200 +0000"
OTHER = "Bo <bo@x.example> 1700000300 +0000"
BOT = "dependabot[bot] <49+dependabot[bot]@users.noreply.github.com> 1700000400 +0000"
ADA = User("ada", 7)


def commit_all(history: History, *people: str) -> str:
    parents: list[str] = []
    for person in people:
        parents = [history.commit(person.encode(), parents=parents, author=person)]
    history.point(parents[0])
    return parents[0]


@pytest.fixture
def url(api: Api, history: History) -> str:
    """A repository with five commits of three people, one of whom signs with three addresses."""
    commit_all(history, HOME, WORK, NOREPLY, OTHER, BOT)
    repository = api.server.add(history.path)
    repository.accounts = {"ada@home.example": ADA, "ada@work.example": ADA}
    return api.server.address(repository)


def counts(api: Api) -> dict[str, int]:
    rows = api.connection.execute(
        "select coalesce(username, email), commit_count from public.repository_contributors"
        " inner join public.contributors on contributors.id = contributor_id"
    )
    return dict(rows.fetchall())


def people(api: Api, columns: str) -> list[tuple[Any, ...]]:
    return api.connection.execute(
        f"select identity_key, {columns} from public.contributors order by identity_key"
    ).fetchall()


@pytest.mark.parametrize("path", ["graphql", "rest"])
def test_several_addresses_of_one_account_are_one_contributor_whose_counts_add_up(
    api: Api, url: str, path: str
) -> None:
    api.sync(url, path=path)
    assert counts(api) == {
        "ada": 1, "ada@home.example": 1, "ada@work.example": 1, "bo@x.example": 1,
        "dependabot[bot]": 1,
    }  # fmt: skip
    assert api.resolve(path) == (3, 2)
    assert counts(api) == {"ada": 3, "bo@x.example": 1, "dependabot[bot]": 1}
    merges = api.connection.execute(
        "select source.identity_key, target.identity_key, rule, evidence"
        " from public.contributor_merges"
        " inner join public.contributors as source on source.id = contributor_id"
        " inner join public.contributors as target on target.id = contributor_merges.merged_into"
        " order by 1"
    ).fetchall()
    assert [merge[:3] for merge in merges] == [
        ("email:ada@home.example", "account:7", "same GitHub account 7"),
        ("email:ada@work.example", "account:7", "same GitHub account 7"),
    ]
    assert "ada@home.example" in merges[0][3]


def test_an_email_is_looked_up_once_and_a_second_pass_changes_nothing(api: Api, url: str) -> None:
    api.sync(url)
    api.resolve()
    before = row_versions(api.connection)
    api.server.forget_counts()
    assert api.resolve() == (0, 0)
    assert not api.server.calls
    assert row_versions(api.connection) == before


def test_an_email_without_an_account_is_asked_for_again_after_a_while(api: Api, url: str) -> None:
    api.sync(url)
    api.resolve()
    api.server.repositories[0].accounts["bo@x.example"] = User("bo", 8)
    api.server.clock.sleep(89 * 86_400)
    assert api.resolve() == (0, 0)
    api.server.clock.sleep(2 * 86_400)
    assert api.resolve() == (1, 0)
    assert counts(api) == {"ada": 3, "bo": 1, "dependabot[bot]": 1}


def test_later_loads_and_a_whole_reread_keep_the_merge(
    api: Api, url: str, history: History
) -> None:
    api.sync(url)
    api.resolve()
    history.point(history.commit(b"more\n", parents=[history.head()], author=HOME))
    api.sync(url)
    assert counts(api)["ada"] == 4
    before = contents(api.connection)
    api.connection.execute("delete from public.repository_heads")
    api.sync(url)
    assert contents(api.connection) == before


def test_who_comes_first_makes_no_difference(api: Api, history: History) -> None:
    first = commit_all(history, WORK)
    repository = api.server.add(history.path)
    repository.accounts = {"ada@home.example": ADA, "ada@work.example": ADA}
    url = api.server.address(repository)
    api.sync(url)
    api.resolve()
    assert people(api, "username, account_id, account_type") == [
        ("email:ada@work.example", "ada", 7, "User")
    ]
    second = history.commit(b"2\n", parents=[first], author=NOREPLY)
    history.point(history.commit(b"3\n", parents=[second], author=HOME))
    api.sync(url)
    api.resolve()
    one_by_one = (people(api, "username, account_id"), counts(api))
    api.connection.execute(
        "truncate public.repositories, public.contributors, public.email_accounts cascade"
    )
    api.sync(url)
    api.resolve()
    assert (people(api, "username, account_id"), counts(api)) == one_by_one
    assert counts(api) == {"ada": 3}


def test_a_merge_is_taken_back_and_stays_apart(api: Api, url: str) -> None:
    api.sync(url)
    apart = contents(api.connection)["repository_contributors"]
    api.resolve()
    row = api.connection.execute(
        "select contributor_merges.id from public.contributor_merges"
        " inner join public.contributors on contributors.id = contributor_id"
        " where identity_key = 'email:ada@home.example'"
    ).fetchone()
    assert row is not None
    api.connection.execute("select public.revert_contributor_merge(%s)", row)
    assert counts(api) == {
        "ada": 2, "ada@home.example": 1, "bo@x.example": 1, "dependabot[bot]": 1,
    }  # fmt: skip
    assert api.resolve() == (0, 0)
    assert counts(api)["ada@home.example"] == 1
    for merge in api.connection.execute("select id from public.contributor_merges").fetchall():
        api.connection.execute("select public.revert_contributor_merge(%s)", merge)
    assert contents(api.connection)["repository_contributors"] == apart


def test_a_user_who_was_renamed_is_one_person_by_number(api: Api, history: History) -> None:
    commit_all(
        history,
        "a <7+oldname@users.noreply.github.com> 1700000000 +0000",
        "a <7+newname@users.noreply.github.com> 1700000001 +0000",
        "b <oldname@users.noreply.github.com> 1700000002 +0000",
    )
    api.sync(api.server.address(api.server.add(history.path)))
    assert raw.merge_accounts(api.connection) == 1
    assert sorted(counts(api).values()) == [3]


def test_lookups_are_batched(api: Api, history: History) -> None:
    commit_all(history, *(f"P <p{n}@x.example> 17000000{n % 60:02} +0000" for n in range(100)))
    api.sync(api.server.address(api.server.add(history.path)))
    api.server.forget_counts()
    assert api.resolve() == (100, 0)
    assert api.server.calls == {"authors": 2}
    assert api.server.meter.total("graphql") == 2


def test_coauthors_follow_their_account(api: Api, history: History) -> None:
    root = history.commit(b"root\n", author=NOREPLY)
    history.point(
        history.commit(
            b"x\n\nCo-authored-by: Ada <ada@home.example>\n", parents=[root], author=OTHER
        )
    )
    repository = api.server.add(history.path)
    repository.accounts = {"ada@home.example": ADA}
    history.point(history.commit(b"y\n", parents=[history.head()], author=HOME))
    api.sync(api.server.address(repository))
    api.resolve()
    assert [row[3] for row in contents(api.connection)["commit_coauthors"]] == ["account:7"]


def merged(connection: psycopg.Connection) -> dict[str, str | None]:
    """Each person's identities by key, and the login that the person is shown with."""
    rows = connection.execute(
        "select string_agg(one.identity_key, ' ' order by one.identity_key), max(root.username)"
        " from public.contributors as one"
        " inner join public.contributors as root on root.id = coalesce(one.merged_into, one.id)"
        " group by root.id"
    )
    return dict(rows.fetchall())


def test_without_a_token_the_number_of_an_account_is_the_person_and_its_login_a_label(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    commit_all(
        history,
        "O <9+old@users.noreply.github.com> 1700000000 +0000",
        "N <9+new@users.noreply.github.com> 1700000001 +0000",
        "O <old@users.noreply.github.com> 1700000002 +0000",
        "S <5+sam@users.noreply.github.com> 1700000003 +0000",
        "S <99+Sam@users.noreply.github.com> 1700000004 +0000",
        "S <sam@users.noreply.github.com> 1700000005 +0000",
        "E <9+old@users.noreply.ghe.example> 1700000006 +0000",
    )
    sync(history.path)
    assert raw.merge_accounts(connection) == 1
    assert merged(connection) == {
        "account:9 login:old": "new",
        "account:5": None,
        "account:99": "sam",
        "login:sam": None,
        "account:ghe.example/9": None,
    }
    before = row_versions(connection)
    assert raw.merge_accounts(connection) == 0
    assert row_versions(connection) == before


def test_people_are_merged_by_hand_with_a_reason_and_apart_again_without(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    commit_all(
        history,
        "A <9+ada@users.noreply.github.com> 1700000000 +0000",
        "A <ada@home.example> 1700000001 +0000",
        "A <ada@work.example> 1700000002 +0000",
        "A <ada@work.example> 1700000003 +0000",
        "B <bo@x.example> 1700000004 +0000",
        "C <cy@x.example> 1700000005 +0000",
    )
    sync(history.path)
    raw.merge_accounts(connection)
    apart = contents(connection)
    connection.execute(
        "insert into contributor_aliases (alias, person, note) values"
        " ('Ada@home.example', 'ada', 'told by Ada'),"
        " ('ada@work.example', 'ada@home.example', null), ('bo@x.example', 'cy@x.example', null),"
        " ('cy@x.example', 'bo@x.example', null), ('nobody@x.example', 'bo@x.example', null)"
    )
    assert raw.merge_accounts(connection) == 3
    people = {
        "account:9 email:ada@home.example email:ada@work.example": "ada",
        "email:bo@x.example email:cy@x.example": None,
    }
    assert merged(connection) == people
    counted = connection.execute("select commit_count from repository_contributors order by 1")
    assert counted.fetchall() == [(2,), (4,)]
    reason = (
        "select rule, evidence from contributor_merges inner join contributors"
        " on contributors.id = contributor_id where identity_key = 'email:ada@work.example'"
    )
    assert connection.execute(reason).fetchall() == [
        (
            "same person by hand",
            "Ada@home.example is ada (told by Ada); ada@work.example is ada@home.example",
        )
    ]
    before = row_versions(connection)
    assert raw.merge_accounts(connection) == 0
    assert row_versions(connection) == before
    incremental = contents(connection)
    history.point(
        history.commit(b"new\n", parents=[history.head()], author="A <ada@work.example> 1 +0000")
    )
    sync(history.path)
    assert max(connection.execute("select commit_count from repository_contributors")) == (5,)
    connection.execute("delete from contributor_aliases")
    history.point(history.git("rev-parse", "HEAD^"))
    sync(history.path)
    connection.execute("delete from commits where orphaned_at is not null")
    raw.merge_accounts(connection)
    assert contents(connection) == apart
    connection.execute(
        "insert into contributor_aliases (alias, person) values"
        " ('ada@home.example', '9+ada@users.noreply.github.com'),"
        " ('email:ada@work.example', 'account:9'), ('bo@x.example', 'cy@x.example')"
    )
    raw.merge_accounts(connection)
    assert merged(connection) == people
    assert incremental["commits"] != apart["commits"]
    connection.execute(
        "select revert_contributor_merge(contributor_merges.id) from contributor_merges"
        " inner join contributors on contributors.id = contributor_id"
        " where identity_key = 'email:bo@x.example' and ended_at is null"
    )
    assert raw.merge_accounts(connection) == 0, "the newest word of a person holds"


def test_aliases_may_be_noreply_addresses_of_any_host(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    commit_all(
        history,
        "A <9-ada@users.noreply.gitlab.com> 1700000000 +0000",
        "A <7+ada@users.noreply.ghe.example> 1700000001 +0000",
        "A <ada@users.noreply.ghe.example> 1700000002 +0000",
        "A <ada@work.example> 1700000003 +0000",
    )
    sync(history.path)
    connection.execute(
        "insert into contributor_aliases (alias, person) values"
        " ('9-Renamed@users.noreply.gitlab.com', 'Ada <Ada@work.example>'),"
        " ('7+new@users.noreply.ghe.example', 'ada@work.example'),"
        " ('Ada@users.noreply.GHE.example', 'ada@work.example')"
    )
    assert raw.merge_accounts(connection) == 3
    assert raw.merge_accounts(connection) == 0
    assert connection.execute("select commit_count from repository_contributors").fetchall() == [
        (4,)
    ]


def test_an_alias_of_a_login_is_merged_once_though_its_person_takes_the_login_over(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    commit_all(
        history,
        "P <proper@x.example> 1700000000 +0000",
        "G <7+ghost@users.noreply.github.com> 1700000001 +0000",
    )
    sync(history.path)
    connection.execute(
        "insert into contributor_aliases (alias, person) values ('Ghost', 'proper@x.example')"
    )
    assert [raw.merge_accounts(connection) > 0 for _ in range(4)] == [True, False, False, False]
    assert connection.execute(
        "select identity_key, commit_count from repository_contributors"
        " inner join contributors on contributors.id = contributor_id"
    ).fetchall() == [("email:proper@x.example", 2)]


def test_chains_and_rings_of_listed_logins_are_one_person_each(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    logins = ("one", "two", "three", "round", "and", "again", "self", "last")
    commit_all(
        history,
        *(
            f"A <{login}@users.noreply.github.com> 170000000{n} +0000"
            for n, login in enumerate(logins)
        ),
    )
    sync(history.path)
    connection.execute(
        "insert into contributor_aliases (alias, person) values"
        " ('one', 'TWO'), ('Two', 'three'), ('three', 'unseen'), ('unseen', 'gone'),"
        " ('gone', 'last'), ('round', 'and'), ('and', 'again'), ('again', 'round')"
    )
    assert raw.merge_accounts(connection) == 5
    assert sorted(merged(connection)) == [
        "login:again login:and login:round",
        "login:last login:one login:three login:two",
        "login:self",
    ]
    stands = connection.execute(
        "select identity_key, commit_count from repository_contributors"
        " inner join contributors on contributors.id = contributor_id order by 2 desc, 1"
    ).fetchall()
    assert stands[0] == ("login:last", 4), "who is nobody's alias stands for the chain"
    assert [count for _, count in stands] == [4, 3, 1]
    before = row_versions(connection)
    assert [raw.merge_accounts(connection) for _ in range(3)] == [0, 0, 0]
    assert row_versions(connection) == before
    connection.execute("delete from contributor_aliases where alias = 'gone'")
    assert raw.merge_accounts(connection) > 0
    assert "login:last" in merged(connection)
    connection.execute("delete from contributor_aliases")
    raw.merge_accounts(connection)
    assert len(merged(connection)) == len(logins)


def test_identities_of_before_numbers_are_read_anew_once(
    connection: psycopg.Connection, sync: Sync, history: History
) -> None:
    commit_all(
        history,
        "S <5+sam@users.noreply.github.com> 1700000003 +0000",
        "S <99+sam@users.noreply.github.com> 1700000004 +0000",
    )
    sync(history.path)
    connection.execute(
        "insert into public.contributors (identity_key, account_id) values ('login:sam', 5);"
        "update public.commits set (identity_id, contributor_id) = (select id, id"
        " from public.contributors where identity_key = 'login:sam');"
        "update public.repository_heads set reading = 0;"
        "truncate public.repository_contributors;"
        "delete from public.contributors where identity_key <> 'login:sam'"
    )
    assert sync(history.path).walk is Walk.FULL
    raw.merge_accounts(connection)
    assert merged(connection) == {"account:5": None, "account:99": "sam"}
    assert sync(history.path).walk is Walk.NOTHING
