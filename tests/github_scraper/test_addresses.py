"""Rules that stand in Python and in SQL say the same in both, of addresses and of people."""

import random
import re
from importlib.resources import files

import psycopg

from flows.github_scraper.records import RepositoryAddressError
from flows.github_scraper.rules import bare_address, identify, repository_url
from tests.github_scraper.test_existing_database import CUT, SECRETS
from tests.github_scraper.test_rules import IDENTITIES, LEFT, REFUSED, SECRET, SPELLINGS

CASES = 3_000
FUNCTIONS = files("flows.github_scraper").joinpath("functions.sql")
SIGNS = (
    *(
        "A",
        "\u00dc",
        "\u0130",
        "\u0131",
        "\u03a3",
        "\u03c2",
        "\u212a",
        "\u1e9e",
        "\u01c5",
        "\u0345",
    ),
    *(
        "@",
        "9+",
        "9-",
        "users.noreply.",
        "GitLab.example",
        "github.com",
        " ",
        "\u00a0",
        "\x1f",
        "\t",
    ),
)
LONG = ("/srv/r", "https://host.example/o/r?", "https://host.example/o/r", "ssh://#")
KNOWN_HOST = re.compile("(github|gitlab)[.]com|codeberg[.]org|bitbucket[.]org")
ON_KNOWN_HOST = re.compile(f"(https://|ssh://git@)({KNOWN_HOST.pattern})/")
PIECES = (
    *("\u2028", "\x1f", "glrt-runner-tool-helper", "Bearer ", "token=", "R&D", "C#", "/srv/r "),
    *("s3cr3ts3cr3t", "123e4567-e89b-12d3-a456-426614174000"),
    *("https", "HTTP", "ssh", "git", "git+https", "file", "://", ":/", "//", "/", ":", "@", "?"),
    *("#", ";", "=", "&", "%40", "%3A", "%20", "%2540", "%c3%bc", "\\", " ", "\u00a0", "\uff20"),
    *("\uff1f", "github.com", "GitHub.com", "www.", "ssh.", "altssh.", "gitlab.com", "h.example"),
    *("b\u00fccher", "[::1]", ":443", ":0", ":99999", "git", "org-1", "token1", "owner", "Name"),
    *(".git", "..", ".", "-", "~", "ghp_0123456789abcdef", "glpat-", "0123456789abcdef", "\u2100"),
    *("\n", "a b", "codeberg.org"),
)


def made(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return "".join(chance.choices(PIECES, k=chance.randint(1, 9)))
    scheme = chance.choice(("https://", "ssh://git@", "git@", "git://", "HTTPS://", "ssh://"))
    host = chance.choice(("github.com", "www.GitLab.com", "altssh.gitlab.com:443", "h.example"))
    separator = ":" if scheme == "git@" else "/"
    return (
        scheme + host + separator + "/".join(chance.choices(PIECES[-24:], k=chance.randint(1, 4)))
    )


def outcome(address: str) -> str | None:
    try:
        return repository_url(address)
    except RepositoryAddressError:
        return None


def test_python_and_sql_say_the_same_of_every_address(database: str) -> None:
    chance = random.Random(21)
    given = [*SPELLINGS, *LEFT, *REFUSED, *SECRET, *SECRETS, *(cut.format("h") for cut in CUT)]
    # No text of a database has surrogates.
    given = [each for each in given if not re.search("[\ud800-\udfff]", each)]
    given += [address.ljust(size, "&") for address in LONG for size in (4_096, 4_097, 300_000)]
    given += [made(chance) for _ in range(CASES)]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FUNCTIONS.read_bytes())
        rows = connection.execute(
            "select address, public.bare_address(address), public.repository_address(address)"
            " from unnest(%s::text[]) as address",
            (given,),
        ).fetchall()
        keys = sorted({key for each in given if (key := outcome(each)) is not None})
        kept = connection.execute(
            "select address, public.repository_address(address) from unnest(%s::text[]) as address",
            (keys,),
        ).fetchall()
    assert [(each, bare) for each, bare, _ in rows] == [
        (each, bare_address(each)) for each in given
    ]
    for address, bare, key in rows:
        assert (key is None) == (bare is None), address
        if key is not None and not key.startswith("/"):
            assert outcome(key) == outcome(address), address
        if KNOWN_HOST.search(address.lower()) and ON_KNOWN_HOST.match(outcome(address) or ""):
            assert key == outcome(address), address
    assert [(each, each) for each, _ in kept] == kept, "a key of Python is one of SQL"
    on_known_hosts = [key for key in keys if KNOWN_HOST.search(key)]
    assert len(on_known_hosts) > 100


def test_spellings_on_known_hosts_have_one_key_in_sql_too(database: str) -> None:
    given = [*SPELLINGS, *(each for each in LEFT if KNOWN_HOST.search(each.lower()))]
    given += [
        f"{user}@{host}:{path}"
        for user, host in (("git", "gitlab.com"), ("org-1", "GitHub.com"), ("git", "codeberg.org"))
        for path in ("443/tool", "3000/tool.git", "22/443")
    ]
    given += ["git@gitlab.com:443/group/tool", "ssh://git@gitlab.com:443/group/tool"]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FUNCTIONS.read_bytes())
        kept = connection.execute(
            "select public.repository_address(address) from unnest(%s::text[]) as address", (given,)
        ).fetchall()
    assert [key for (key,) in kept] == [repository_url(each) for each in given]


def test_a_person_has_one_key_in_python_and_in_sql(database: str) -> None:
    given = [email for _, email, _ in IDENTITIES if email]
    given += ["x" * 321 + "@x", "9+" + "x" * 400 + "@users.noreply.github.com", "\u00dc@x.example"]
    letters = [chr(number) for number in range(0x2000) if chr(number).isprintable()]
    given += ["".join(letters[at : at + 250]) for at in range(0, len(letters), 250)]
    chance = random.Random(22)
    given += ["".join(chance.choices(SIGNS, k=chance.randint(1, 7))) + "x" for _ in range(1_000)]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(FUNCTIONS.read_bytes())
        keys = connection.execute(
            "select public.identity_key_of('Somebody', email) from unnest(%s::text[]) as email",
            (given,),
        ).fetchall()
    assert [key for (key,) in keys] == [identify("", email, 3).key for email in given]
