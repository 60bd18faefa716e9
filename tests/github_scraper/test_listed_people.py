"""Who is listed as one person: chains of names, logins of the application, and back again."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from flows.github_scraper import raw
from flows.github_scraper.rules import identify
from tests.github_scraper.tables import row_versions

Listed = Callable[..., None]
ODD_EMAILS = ("ada", "@ada", "a b@x", '"b"@x', "https://x/a", "account:9", "login:ada", ".", "a\nb")


@pytest.fixture
def connection(api_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(api_database, autocommit=True) as connection:
        connection.execute("truncate contributors, contributor_aliases cascade")
        yield connection
        connection.execute("truncate contributors, contributor_aliases cascade")


def test_what_nobody_can_list_is_told_by_the_name_of_the_rule(
    connection: psycopg.Connection,
) -> None:
    """Also where the tables are older than these rules, and hold lines that break them."""
    connection.execute(
        "alter table contributor_aliases"
        " rename constraint alias_is_another_than_the_person to contributor_aliases_check;"
        "alter table contributor_aliases disable trigger user;"
        "alter table organization_domains disable trigger user,"
        " drop constraint domain_is_written_like_example_org,"
        " drop constraint organization_is_not_blank,"
        " add constraint organization_domains_domain_check"
        " check (domain ~ '^[^@[:space:].]+([.][^@[:space:].]+)*$'),"
        " add constraint organization_is_not_blank check (trim(organization) <> '');"
        "alter table organization_domains"
        " rename constraint valid_to_is_after_valid_from to organization_domains_check;"
    )
    connection.execute(
        "insert into contributor_aliases values ('solo@x', 'bin@x', 'told'),"
        " ('SOLO@x', 'side@x', null), ('@mid', 'bob@x', null);"
        "insert into organization_domains (domain, organization) values"
        " ('*.y.example/a', 'Y'), ('*', 'Y'), ('y.example', 'Y'), ('z.example', e'\\t');"
        "alter table contributor_aliases enable trigger user;"
        "alter table organization_domains enable trigger user;"
        "delete from github_api.made_raw_tables"
    )
    raw.ensure_schema(connection)
    of_people, of_domains = raw.wrong_lines(connection)
    assert "2 lines of public.contributor_aliases say of one alias" in of_people
    assert "solo@x is bin@x (told)" in of_people
    assert "SOLO@x is side@x" in of_people
    assert "3 lines of public.organization_domains are not written" in of_domains
    assert "*.y.example/a is Y, * is Y, z.example is \t: correct" in of_domains
    connection.execute("update contributor_aliases set note = 'of the purge'")
    connection.execute(
        "delete from organization_domains; delete from contributor_aliases where person = 'side@x'"
    )
    alias = "insert into contributor_aliases (alias, person) values"
    domain = "insert into organization_domains (domain, organization, valid_from, valid_to) values"
    no_names = ("", " ", "@mid", "a b", "a@", "a <b", "https://h/a", "login:@a", "account:a", "a:9")
    no_domains = (
        *("https://y.example/a", "http://x.example/", "x.example/a", "example.com:8080", "a@x"),
        *("a b", "", ".", "*", "a.*.example", "a..example", "a,b", "<a.example>"),
    )
    for row, rule in (
        (f"{alias} ('A@x', 'a@x ')", "alias_is_another_than_the_person"),
        (f"{alias} ('Solo@X ', 'bin@x')", "alias_is_listed_once"),
        (f"{alias} ('solo@x ', 'bin@x')", "(?s)alias_is_listed_once.*or with other blanks"),
        (f"{alias} ('new@x', 'a@x'), ('NEW@x', 'b@x')", "alias_is_listed_once"),
        ("update contributor_aliases set alias = 'SOLO@x' where alias = '@mid'", "listed_once"),
        *((f"{alias} ('{each}', 'a@x')", "name_is_an_address_a_login") for each in no_names),
        *((f"{alias} ('a@x', '{each}')", "name_is_an_address_a_login") for each in no_names),
        *((f"{domain} ('{each}', 'A', null, null)", "domain_is_written") for each in no_domains),
        (f"{domain} ('a.example', e' \\t', null, null)", "organization_is_not_blank"),
        (f"{domain} ('a.example', 'A', now(), '2000-01-01')", "valid_to_is_after_valid_from"),
    ):
        with pytest.raises(psycopg.IntegrityError, match=rule):
            connection.execute(row.encode())
    names = ("A <ada@x>", "A <ada>", "A <a b@x>", "a@b@x", "login:ghe.x/ada", "account:ghe.x/7")
    signed = (("@ada", ""), ("a <b@x>", ""), *(("A", each) for each in ODD_EMAILS))
    for name in (*names, "name:3/a b", *(identify(*each, 3).key for each in signed)):
        connection.execute(f"{alias} (%s, 'bin@x'), ('x' || md5(%s), %s)".encode(), (name,) * 3)
    connection.execute("update contributor_aliases set alias = 'Solo@x' where alias = 'solo@x'")
    connection.execute(f"{alias} ('Solo@x', 'a@x') on conflict do nothing".encode())
    domains = ("@*.Bücher.example.", "xn--bcher-kva.example", "a_b.example", "10.0.0.1", "corp")
    for name in (*domains, "\u0130stanbul.tr"):
        connection.execute(f"{domain} (%s, 'A', null, null)".encode(), (name,))
    assert raw.wrong_lines(connection) == []
    connection.execute("truncate organization_domains")


def test_lines_that_say_of_one_alias_that_it_is_two_people_merge_nobody(
    connection: psycopg.Connection, listed: Listed
) -> None:
    apart = ["email:a@x", "email:bob@x", "email:solo@x", "login:mid"]
    known_as(connection, *apart)
    for one, other in (
        ("solo@x", "Solo <SOLO@x>"),
        ("email:solo@x", "solo@x"),
        ("mid", "login:Mid"),
        ("mid@users.noreply.github.com", "mid"),
    ):
        listed((one, "a@x"))
        assert len(settled(connection)) == 3
        listed((one, "a@x"), (other, "bob@x"))
        assert settled(connection) == apart
        (told,) = raw.wrong_lines(connection)
        assert f"{one} is a@x" in told
        assert f"{other} is bob@x" in told
        listed((one, "a@x"), (other, "A <a@x>"))
        assert len(settled(connection)) == 3
        assert raw.wrong_lines(connection) == []
    listed(("solo@x", "nobody"), ("<solo@x>", "mid"), ("a@x", "bob@x"))
    assert settled(connection) == ["email:a@x email:bob@x", "email:solo@x", "login:mid"]


def test_an_identity_key_names_its_row_alone(
    connection: psycopg.Connection, listed: Listed
) -> None:
    odd = (f"email:{each}" for each in ODD_EMAILS)
    known_as(connection, "login:ada", "account:9", "email:bob@x", *odd)
    for email in ODD_EMAILS:
        for alias in (f"email:{email}", f"Ada <{email}>"):
            listed((alias, "bob@x"))
            one = " ".join(sorted(["email:bob@x", f"email:{email}"]))
            assert [keys for keys in settled(connection) if " email:" in keys] == [one]


def merged(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "select string_agg(identity_key, ' ' order by identity_key) from contributors"
        " group by coalesce(merged_into, id)"
    )
    return [keys for (keys,) in rows]


@pytest.fixture
def listed(connection: psycopg.Connection) -> Listed:
    """Lists people anew: each pair is an alias and who that is."""

    def listed(*pairs: tuple[str, str]) -> None:
        connection.execute("delete from contributor_aliases")
        connection.cursor().executemany(
            "insert into contributor_aliases (alias, person) values (%s, %s)", pairs
        )

    return listed


def known_as(connection: psycopg.Connection, *keys: str) -> None:
    """Contributors by key, each with the login behind a bar, and nobody else."""
    connection.execute("truncate contributors, contributor_merges cascade")
    for key, _, login in (each.partition("|") for each in keys):
        email = key.removeprefix("email:") if key.startswith("email:") else None
        connection.execute(
            "insert into contributors (identity_key, username, email) values (%s, %s, %s)",
            (key, login or None, email),
        )


def logins(connection: psycopg.Connection) -> dict[str, str | None]:
    return dict(connection.execute("select identity_key, username from contributors").fetchall())


def settled(connection: psycopg.Connection) -> list[str]:
    """Who is one person after a merge; another one, which begins with the rows that it leaves,
    moves nobody and writes nothing."""
    raw.merge_accounts(connection)
    before = row_versions(connection)
    assert raw.merge_accounts(connection) == 0
    assert row_versions(connection) == before
    return sorted(merged(connection))


@pytest.mark.parametrize(
    ("key", "pair"),
    [
        ("email:x@y", ("mid", "bob@x")),
        ("email:x@y", ("bob@x", "mid")),
        ("account:9", ("mid", "bob@x")),
        ("account:9", ("bob@x", "mid")),
        ("login:first", ("mid", "bob@x")),
    ],
)
def test_a_login_that_the_application_gave_names_its_row_through_merges_and_comes_back(
    connection: psycopg.Connection, listed: Listed, key: str, pair: tuple[str, str]
) -> None:
    known_as(connection, f"{key}|mid", "email:bob@x")
    apart, one = sorted([key, "email:bob@x"]), [" ".join(sorted([key, "email:bob@x"]))]
    assert settled(connection) == apart
    shown = logins(connection)
    for _ in range(2):
        listed(pair)
        assert settled(connection) == one
        listed()
        assert settled(connection) == apart
        assert logins(connection) == shown
    listed(pair)
    raw.merge_accounts(connection)
    connection.execute("select revert_contributor_merge(max(id)) from contributor_merges")
    assert settled(connection) == apart
    assert logins(connection) == shown, "as after a merge that nobody lists any more"


def test_a_login_that_the_application_gave_anew_is_that_of_the_row_that_has_it_now(
    connection: psycopg.Connection, listed: Listed
) -> None:
    known_as(connection, "email:x@y|mid", "email:z@y", "email:bob@x")
    raw.merge_accounts(connection)
    connection.execute("update contributors set username = 'newer' where email = 'x@y'")
    listed(("mid", "bob@x"))
    assert settled(connection) == ["email:bob@x email:x@y", "email:z@y"], "by its former login"
    listed()
    told: list[str] = []
    raw.merge_accounts(connection, told.append)
    assert len(told) == 1
    assert told[0].startswith("1 identity is told apart again: ")
    connection.execute("update contributors set username = 'mid' where email = 'z@y'")
    listed(("mid", "bob@x"))
    assert settled(connection) == ["email:bob@x email:z@y", "email:x@y"]


def test_who_was_reverted_and_listed_anew_is_apart_once_nobody_lists_it(
    connection: psycopg.Connection, listed: Listed
) -> None:
    revert = "select revert_contributor_merge(max(id)) from contributor_merges"
    apart = ["email:a@x", "email:b@x", "email:c@x"]
    known_as(connection, *apart)
    for first, anew in ((("a@x", "b@x"), ("a@x", "b@x")), (("a@x", "b@x"), ("a@x", "c@x"))):
        listed(first)
        assert settled(connection) != apart
        connection.execute(revert)
        assert settled(connection) == apart
        listed(anew)
        assert settled(connection) != apart
        listed()
        assert settled(connection) == apart
    listed(("a@x", "middle"), ("middle", "b@x"))
    assert settled(connection) == ["email:a@x email:b@x", "email:c@x"]
    connection.execute("delete from contributor_aliases where alias = 'middle'")
    assert settled(connection) == apart


@pytest.mark.parametrize(
    "spellings",
    [
        ("mid", "login:mid"),
        ("mid", "mid@users.noreply.github.com"),
        ("mid", "9+mid@users.noreply.github.com"),
        ("account:9", "9+mid@users.noreply.github.com"),
    ],
)
def test_spellings_of_one_login_lead_on_to_each_other(
    connection: psycopg.Connection, listed: Listed, spellings: tuple[str, str]
) -> None:
    known_as(connection, "login:old", "email:bob@x")
    for one, other in (spellings, spellings[::-1]):
        listed(("old", one), (other, "bob@x"))
        assert settled(connection) == ["email:bob@x login:old"]
        listed()
        assert settled(connection) == ["email:bob@x", "login:old"]


def test_every_spelling_of_a_login_names_whoever_has_it_and_no_other_number(
    connection: psycopg.Connection, listed: Listed
) -> None:
    apart = ["account:9", "account:ghe.x/7", "email:bob@x"]
    known_as(connection, "account:9|mid", *apart[1:])
    connection.execute(
        "insert into account_logins select id, 'mid' from contributors where email is null"
    )
    for spelling in ("mid@users.noreply.github.com", "login:Mid", "9+was@users.noreply.github.com"):
        listed((spelling, "bob@x"))
        assert settled(connection) == ["account:9 email:bob@x", "account:ghe.x/7"]
    listed(("8+mid@users.noreply.github.com", "bob@x"))
    assert settled(connection) == apart
    known_as(connection, "account:9|mid", "login:mid", "email:bob@x")
    connection.execute(
        "insert into account_logins select id, 'sam' from contributors"
        " where identity_key in ('account:9', 'login:mid')"
    )
    listed(("login:mid", "bob@x"))
    assert settled(connection) == ["account:9", "email:bob@x login:mid"], "who signs so, alone"


def test_a_login_names_whose_it_is_and_not_whom_a_merge_shows_with_it(
    connection: psycopg.Connection, listed: Listed
) -> None:
    known_as(connection, "email:a@x", "account:5", "email:e@x")
    connection.execute(
        "insert into account_logins select id, 'sammy' from contributors"
        " where identity_key = 'account:5'"
    )
    connection.execute("update contributors set signed_login = 'sammy' where email is null")
    listed(("sammy", "e@x"), ("e@x", "a@x"))
    assert settled(connection) == ["account:5 email:a@x email:e@x"]
    assert logins(connection) == {"email:a@x": "sammy", "account:5": None, "email:e@x": None}


def test_long_and_doubled_lists_end_soon_and_what_leads_nowhere_is_told(
    connection: psycopg.Connection, listed: Listed
) -> None:
    connection.execute("set statement_timeout = '20s'")
    known_as(connection, "email:n0@x", "email:n40@x", "email:m0@x", "email:m1500@x")
    doubled = [
        (alias, f"n{at + 1}@x") for at in range(40) for alias in (f"n{at}@x", f"N <N{at}@x>")
    ]
    long = [(f"m{at}@x", f"m{at + 1}@x") for at in range(1_500)]
    listed(*doubled, *long)
    told: list[str] = []
    assert raw.merge_accounts(connection, told.append) == 1
    assert sorted(merged(connection)) == ["email:m0@x", "email:m1500@x", "email:n0@x email:n40@x"]
    assert len(told) == 3
    assert "m0@x is m1@x" in told[1]
    assert "1577 aliases of nobody" in told[0]
    assert told[2] == "1 identity merged with the person it is"
    known_as(connection, *(f"email:m{at}@x" for at in range(1_500)))
    listed(*long)
    assert raw.merge_accounts(connection) == 1_499
    longest = connection.execute("select max(length(evidence)) from contributor_merges").fetchone()
    assert longest is not None
    assert longest[0] < 2_000
    connection.execute("reset statement_timeout")
