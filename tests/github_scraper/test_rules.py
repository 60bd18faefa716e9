import random
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows._shared.purged import address_of, of_names
from flows.github_scraper.records import (
    Coauthor,
    Commit,
    DaySize,
    FileClass,
    Head,
    RepositoryAddressError,
    Signature,
    Walk,
)
from flows.github_scraper.rules import (
    EPOCH,
    Mailmap,
    coauthors,
    commit_dates,
    file_class,
    identify,
    named_identity,
    outlook,
    plan_walk,
    repository_path_name,
    repository_url,
    split_addresses,
    without_purged,
)
from tests.github_scraper.histories import History

# In two parts, so that no search for committed tokens finds one.
GLPAT = "glp" + "at"
SPELLINGS = [
    "https://github.com/owner/name",
    "https://github.com/owner/name/",
    "https://github.com/owner/name.git",
    "https://GitHub.com/owner/name.git",
    "git@github.com:owner/name.git",
    "  https://github.com/owner/name\n",
    "https://github.com/OWNER/Name",
    "http://github.com/owner/name",
    "https://www.github.com/owner/name.git/",
    "https://github.com:443/owner/name",
    "https://github.com./owner/name",
    "ssh://git@github.com/owner/name.git",
    "ssh://git@github.com:22/owner/name",
    "ssh://git@ssh.github.com:443/owner/name.git",
    "git://github.com/owner/name.git",
    "git@GitHub.com:Owner/name.git",
    "git@github.com:/owner/name",
    "org-1234@github.com:owner/name",
    "https://github.com/owner/name?tab=readme#top",
    "https://github.com/owner/name?access_token=hunter2",
    "https://github.com/owner/name.git.git",
    "https://github.com/owner/name/.git",
    "ssh://org-1234@github.com/owner/name",
]


@pytest.mark.parametrize("address", SPELLINGS)
def test_spellings_of_one_repository_are_one_url(address: str) -> None:
    assert repository_url(address) == "https://github.com/owner/name"


OTHERS = [
    ("/srv/git/tool.git/", "/srv/git/tool.git"),
    ("git@gitlab.example:group/tool.git", "git@gitlab.example:group/tool.git"),
    ("ssh://git@host.example/tool.git", "ssh://git@host.example/tool.git"),
    ("ssh://git@Host.example:22/tool.git", "ssh://git@host.example/tool.git"),
    ("ssh://host.example:2222/Tool", "ssh://host.example:2222/Tool"),
    ("https://[::1]:8443/o/r", "https://[::1]:8443/o/r"),
    ("https://stra\u00dfe.example/o/r", "https://xn--strae-oqa.example/o/r"),
    ("https://Stra\u1e9ee.example/o/r", "https://xn--strae-oqa.example/o/r"),
    ("ssh://git@fa\u00df.example/o/r", "ssh://git@xn--fa-hia.example/o/r"),
    ("git@fa\u00df.example:o/r", "git@xn--fa-hia.example:o/r"),
    ("https://\u03b2\u03cc\u03bb\u03bf\u03c2.example/o/r", "https://xn--nxasmm1c.example/o/r"),
    ("https://\u2615.example/o/r", "https://xn--53h.example/o/r"),
    ("https://\u2615.fa\u00df.example/o/r", "https://xn--53h.xn--fa-hia.example/o/r"),
    ("https://github\u3002com/O/r", "https://github.com/o/r"),
    ("https://fa\u00df\uff0eexample\uff61/o/r", "https://xn--fa-hia.example/o/r"),
    ("https://b\u00fccher.example/o/r", "https://xn--bcher-kva.example/o/r"),
    ("/srv/a b/tool", "/srv/a b/tool"),
    ("/srv//git/./tool/.", "/srv/git/tool"),
    ("/srv/git/../tool", "/srv/tool"),
    ("/srv/tool/.. /", "/srv"),
    ("/../srv/a/b/../../tool/..", "/srv"),
    ("/srv/..tool/...", "/srv/..tool/..."),
    ("/srv/C#/tool", "/srv/C#/tool"),
    ("/srv/R&D/tool", "/srv/R&D/tool"),
    ("/srv/my old clones/tool of 2024", "/srv/my old clones/tool of 2024"),
    ("/srv/F#", "/srv/F#"),
    ("/srv/50%25/tool", "/srv/50%25/tool"),
    (
        "https://host.example/o/gldt-deployment-helper-tool",
        "https://host.example/o/gldt-deployment-helper-tool",
    ),
    (
        f"https://gitlab.com/o/{GLPAT}-rotation-and-cleanup-v2",
        f"https://gitlab.com/o/{GLPAT}-rotation-and-cleanup-v2",
    ),
    (
        "git@host.example:tools/glsoat_Session_Observer_And_Tracer",
        "git@host.example:tools/glsoat_Session_Observer_And_Tracer",
    ),
    ("/srv/git/glrt-runner-installation-scripts", "/srv/git/glrt-runner-installation-scripts"),
    ("https://host.example/o/r?token=hunter2#hunter2", "https://host.example/o/r"),
    ("https://gitlab.com/Group/Sub/Tool.git", "https://gitlab.com/group/sub/tool"),
    ("http://www.gitlab.com:80/group/sub/tool/", "https://gitlab.com/group/sub/tool"),
    ("git@gitlab.com:Group/sub/tool.git", "ssh://git@gitlab.com/group/sub/tool"),
    ("ssh://git@altssh.gitlab.com:443/group/sub/tool", "ssh://git@gitlab.com/group/sub/tool"),
    ("https://Codeberg.org/O/R.git", "https://codeberg.org/o/r"),
    ("git@bitbucket.org:O/r.git", "ssh://git@bitbucket.org/o/r"),
    ("https://gitea.example/c%2B%2B/a%20b", "https://gitea.example/c%2B%2B/a%20b"),
    ("https://git.example/~user/r", "https://git.example/~user/r"),
]


LEFT = [address for address, _ in OTHERS]


@pytest.mark.parametrize(("address", "expected"), OTHERS)
def test_other_addresses_stay_as_they_are(address: str, expected: str) -> None:
    assert repository_url(address) == expected


REFUSED = [
    "",
    "owner/name",
    "--upload-pack=touch /tmp/x",
    "ext::sh -c id",
    "https://",
    "a\nb",
    "ftp://h/x",
    "ssh://-oProxyCommand=id/x",
    "ssh://git@-oProxyCommand=id/x",
    "git@-oProxyCommand=id:x",
    "git@host:-x",
    "file:///etc",
    "file:/etc",
    "http://[x/y",
    "https://[::1/x",
    "https://host:port/x",
    "https://host:123456/x",
    "https://\u2100.example/x",
    "https://a..b\u00ad/x",
    "https://github.com/owner",
    "https://github.com/owner/name/tree/main",
    "//host/o/r",
    "https:///o/r",
    "\x7f",
    "/srv/\udcff/tool",
    "https://h\udc80/o/r",
    "https://github.com/o/..",
    "https://github.com/../r",
    "https://host.example/o/../r",
    "https://gitlab.com/group",
    "https://gitlab.com/group/tool/-/tree/main",
    "https://host:0/o/r",
    "https://github.com:0/o/r",
    "https://host:65536/o/r",
    "a::b",
    "git@host:a::b",
    "https::https://host/o/r",
    "codecommit::us-east-1://r",
    "ssh://jdoe@host/o/r",
    "git@host:/",
    "git@host:///",
    "git@host:// ",
    "ssh://git@host",
    "ssh://git@host//",
    "git://host/",
    "https://\u0627a.example/o/r",
]


@pytest.mark.parametrize("address", REFUSED)
def test_what_cannot_be_fetched_is_refused(address: str) -> None:
    with pytest.raises(RepositoryAddressError):
        repository_url(address)


SECRET = [
    "https://user:hunter2@github.com/o/r",
    "https://hunter2@github.com/o/r",
    "user:hunter2@host/o/r",
    "https:/user:hunter2@github.com/o/r",
    "//user:hunter2@github.com/o/r",
    "/user:hunter2@github.com/o/r",
    "https://user:ab/hunter2@host/o/r",
    "https://user:hunter2@\u2100host/o/r",
    "https://user:hunter2@[x/o/r",
    "https://user:hunter2@ho st/o/r",
    "ssh://git:hunter2@host/o/r",
    "ssh://Hunter2hunter2@host/o/r",
    "hunter2:x@host:o/r",
    "HUNTER2hunter2@host.example:o/r",
    "ftp://user:hunter2@host/x",
    "ext::hunter2@host",
    "https://host/hunter2@other/o/r",
    "hunter2@",
    "a\nhunter2@b",
    "https://user:hunter2%40host/o/r",
    "https://user%3Ahunter2%40github.com/o/r",
    "https://u:hunter2\uff20host/o/r",
    "u:hunter2\uff20h:o/r",
    "https://oauth2:hunter2/o/r",
    "https://hunter2:x-oauth-basic/o/r",
    "oauth2:hunter2/o/r",
    "hunter2",
    "ssh://hunter2@host/o/r",
    "hunter2@host:o/r",
    "https://host/o/r;hunter2",
    "https://host/o/r%3Btoken=hunter2",
    "https://host/o/r%253Ftoken=hunter2",
    "https://host/o/r&token=hunter2",
    "git+https://hunter2@host/o/r",
    "git+ssh://hunter2@host/o/r",
    "git@host:o/r;hunter2",
    "/srv/r;hunter2",
    "/srv/../hunter2@host/r",
    "/o/r?token=hunter2",
    "https://host/o/r@hunter2",
    "https://host\\hunter2@h/o/r",
    "ghp_hunter2hunter2hunter2",
    "https://host/o/r hunter2",
    "https://host/o/r\u3000hunter2",
    "https://host/o/r\u2028hunter2",
    "https://host/o/r\x85hunter2",
    "https://host/o/r\x1fhunter2",
    "https://host hunter2/o/r",
    "git@host:o/r hunter2",
    "git@host hunter2:o/r",
    "ssh://git@host/o/r hunter2",
    "Bearer 123e4567-e89b-12d3-a456-hunter2",
    "token hunter2",
    "git clone https://host/o/r hunter2",
    "owner/name hunter2",
    "/srv/r#hunter2",
    "/srv/r#hunter2/tail",
    "/srv/r&token=hunter2",
    "/srv/r&token%3Dhunter2",
    "/srv/r%26token=hunter2",
    "/srv/r%3Ftoken=hunter2",
    "/srv/r%3Bhunter2",
    "/srv/r%23token=hunter2",
    "/srv/token=hunter2/r",
    "/srv/r,password=hunter2",
    "/srv/r Bearer hunter2",
    "/srv/r 123e4567-e89b-12d3-a456-hunter2hunter2",
    "/srv/r\thunter2hunter2hunter2",
    "/srv/r hunter2hunter2",
    "https://host/o/r%20hunter2hunter2",
    "https://hunter2?@host",
    "https://hunter2?@host/o/r",
    "https://hunter2#@host/o/r",
    "https://hunter2?%40host/o/r",
    "https://hunter2?%2540host/o/r",
    "https://hunter2?\uff20host/o/r",
    "https://hunter2:12345?@host/o/r",
    "https://hunter2/x?@host/o/r",
    "ssh://git@hunter2?@host/o/r",
    "ssh://hunter2?@host/o/r",
    f"{GLPAT}-hunter2hunter2hunter2",
    f"https://host/o/{GLPAT}-hunter2hunter2hunter2",
    f"https://host/o/{GLPAT}-Hunter2XyzAbcDefGhi_Jkl",
    "https://host/o/gldt-hunter2-hunter2-hunter2",
]


@pytest.mark.parametrize("address", SECRET)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(RepositoryAddressError) as caught:
        repository_url(address)
    assert "hunter2" not in str(caught.value).lower()


def test_an_address_that_is_too_long_is_refused_at_once_and_not_repeated() -> None:
    with pytest.raises(RepositoryAddressError, match=r"longer than 4,096 characters") as caught:
        repository_url("https://user:hunter2@host/" + "&#" * 5_000_000)
    assert len(str(caught.value)) < 500
    assert "hunter2" not in str(caught.value)


def test_who_puts_a_token_into_an_address_is_told_where_it_belongs() -> None:
    with pytest.raises(RepositoryAddressError, match="token_block"):
        repository_url("https://user:hunter2@github.com/o/r")


def test_a_refused_address_does_not_stop_the_others() -> None:
    urls, refused = split_addresses(
        ["https://github.com/o/r", "nonsense", "git@github.com:o/r.git", "/srv/x"]
    )
    assert urls == ["https://github.com/o/r", "/srv/x"]
    assert list(refused) == ["address 2"]


@given(st.text())
def test_any_address_is_read_or_refused(address: str) -> None:
    try:
        url = repository_url(address)
    except RepositoryAddressError:
        return
    assert repository_url(url) == url
    assert repository_path_name(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/name", "owner/name"),
        ("/srv/git/tool.git", "tool"),
        ("git@gitlab.example:group/tool.git", "group/tool"),
        ("/", "/"),
    ],
)
def test_path_name(url: str, name: str) -> None:
    assert repository_path_name(url) == name


HEAD = Head("refs/heads/main", "a" * 40)


@pytest.mark.parametrize(
    ("previous", "current", "in_mirror", "walk"),
    [
        (None, HEAD, False, Walk.FULL),
        (HEAD, HEAD, True, Walk.NOTHING),
        (HEAD, Head("refs/heads/main", "b" * 40), True, Walk.DELTA),
        (HEAD, Head("refs/heads/main", "b" * 40), False, Walk.FULL),
        (HEAD, Head("refs/heads/trunk", "a" * 40), True, Walk.NOTHING),
        (HEAD, Head("refs/heads/main", "a" * 40, mailmap_hash="c" * 40), True, Walk.FULL),
        (HEAD, Head("refs/heads/main", "a" * 40, attributes_hash="c" * 64), True, Walk.FULL),
        (HEAD, Head("refs/heads/main", "a" * 40, shallow_boundary=("d" * 40,)), True, Walk.FULL),
    ],
)
def test_the_walk_follows_from_the_heads(
    previous: Head | None, current: Head, in_mirror: bool, walk: Walk
) -> None:
    assert plan_walk(previous, current, in_mirror) is walk


IDENTITIES = [
    ("Ada", "Ada@Work.example", "email:ada@work.example"),
    ("Ada", "12345+AdaL@users.noreply.github.com", "account:12345"),
    ("Ada", "012345+other@Users.NoReply.GitHub.com", "account:12345"),
    ("Ada", "adal@users.noreply.github.com", "login:adal"),
    ("Ada", "9-adal@users.noreply.github.com", "login:9-adal"),
    ("Ada", "+adal@users.noreply.github.com", "email:+adal@users.noreply.github.com"),
    ("Ada", "9+adal@users.noreply.ghe.corp.example", "account:ghe.corp.example/9"),
    ("Ada", "adal@users.noreply.ghe.corp.example", "login:ghe.corp.example/adal"),
    ("Ada", "9-ada-l@users.noreply.gitlab.com", "account:gitlab.com/9"),
    ("dependabot[bot]", "49+dependabot[bot]@users.noreply.github.com", "account:49"),
    ("Ada", "", "name:3/ada"),
    ("", "", "anonymous:3"),
    ("Ada", "a@users.noreply.github.com.evil", "login:github.com.evil/a"),
    ("Ada", "9+a@users.noreply.github.com.evil", "account:github.com.evil/9"),
    ("Ada", "a@users.noreply.", "email:a@users.noreply."),
    ("Ada", "0+ada@users.noreply.github.com", "login:ada"),
    ("Ada", "000+ada@users.noreply.github.com", "login:ada"),
    ("Ada", "0-ada@users.noreply.gitlab.com", "login:gitlab.com/0-ada"),
    ("Ada", "0+ada@users.noreply.ghe.corp.example", "login:ghe.corp.example/ada"),
    ("Ada", "9-ada@users.noreply.gitlab.corp.example", "account:gitlab.corp.example/9"),
    ("Ada", "\u0669+ada@users.noreply.github.com", "email:\u0669+ada@users.noreply.github.com"),
    ("Ada", "\tAda@x.example\n", "email:ada@x.example"),
    ("Ada", "\u00dcNAL@X.example", "email:\u00fcnal@x.example"),
    ("Ada", "\u0130@x.example", "email:\u0130@x.example"),
    ("Ada", "\u039f\u03a3@x.example", "email:\u03bf\u03c3@x.example"),
    ("Ada", "\u212aim@x.example", "email:\u212aim@x.example"),
    ("Ada", "\u00a0ada@x.example\u2028", "email:\u00a0ada@x.example\u2028"),
    ("Ada", "9+\u0130@users.noreply.GitHub.com", "account:9"),
    ("Ada", "\u0130@users.noreply.GitHub.com", "login:\u0130"),
]


@pytest.mark.parametrize(("name", "email", "key"), IDENTITIES)
def test_identity_of_a_signature(name: str, email: str, key: str) -> None:
    assert identify(name, email, 3).key == key


@pytest.mark.parametrize(
    ("text", "name", "login"),
    [
        ("Ada@Work.example ", "email:ada@work.example", ""),
        ("Ada <Ada@Work.example>", "email:ada@work.example", ""),
        ("9-ada@users.noreply.gitlab.com", "account:gitlab.com/9", ""),
        ("9+ada@users.noreply.ghe.corp.example", "account:ghe.corp.example/9", ""),
        ("Ada@users.noreply.ghe.corp.example", "login:ghe.corp.example/ada", ""),
        ("email:9+ada@users.noreply.github.com", "account:9", "ada"),
        ("Email:Ada", "email:ada", ""),
        ("Ada <Ada>", "email:ada", ""),
        ("Ada < @ada>", "email:@ada", ""),
        ("email:@ada", "email:@ada", ""),
        ("email:https://x.example/a", "email:https://x.example/a", ""),
        ("email:account:9", "email:account:9", ""),
        ("email:login:ada", "email:login:ada", ""),
        ("email:.", "email:.", ""),
        ("email:Ada <ada@x>", "email:ada <ada@x>", ""),
        ("email:\u0130@x", "email:\u0130@x", ""),
        ("login:\u0130", "login:\u0130", "\u0130"),
        ("name:3/@ada", "name:3/@ada", ""),
        ("name:3/a\nb", "name:3/a\nb", ""),
        ("Account:9", "account:9", ""),
        ("Name:3/Ada", "name:3/ada", ""),
        ('"a:b"@x.example', 'email:"a:b"@x.example', ""),
        ("AdaL", "adal", "adal"),
        ("@AdaL", "adal", "adal"),
        ("Login:AdaL", "login:adal", "adal"),
        ("login:ghe.corp.example/ada", "login:ghe.corp.example/ada", ""),
        ("AdaL@users.noreply.github.com", "login:adal", "adal"),
    ],
)
def test_an_alias_names_the_identity_of_who_signs_so(text: str, name: str, login: str) -> None:
    assert named_identity(text) == (name, login)


def test_an_address_alone_in_a_mailmap_takes_no_name_away() -> None:
    mailmap = Mailmap("Bo Proper <b@x>\n<b@x>\n")
    assert mailmap.lookup("bo", "b@x") == ("Bo Proper", "b@x")


@given(
    st.text(),
    st.text("AaZz\u00c0\u00e0\u00d1\u00f1\u0141\u0142\u0394\u03b4\u0416\u0436\u1e0c\u1e0d0.-+ @"),
)
def test_identity_ignores_letter_case_of_addresses(name: str, local: str) -> None:
    email = f"{local}@example.org"
    assert identify(name, email, 3).key == identify(name, email.lower(), 3).key


def test_a_long_address_or_name_is_told_apart_and_fits_an_index() -> None:
    keys = {
        identify(name, email, 3).key
        for name, email in (
            *(("", "\U0001f600" * 9_000), ("", "\U0001f600" * 9_001), ("", "x" * 320)),
            *(("", f"9+{'x' * 9_000}@users.noreply.github.com"), ("\U0001f600" * 9_000, "")),
            ("\U0001f600" * 9_001, ""),
        )
    }
    assert len(keys) == 6
    assert max(len(key.encode()) for key in keys) < 2_000
    assert identify("", "X" * 9_000, 3).key == identify("", "x" * 9_000, 3).key


@pytest.mark.timeout(10)
def test_trailers_that_are_none_cost_no_more_than_their_length() -> None:
    spaces = " " * 200_000
    folded = "Co-authored-by: x" + "\n " * 100_000
    for message in (f"Co-authored-by:{spaces}", f"co-authored-by:{spaces}x{spaces}\n<a@x>", folded):
        assert coauthors(message * 3, Mailmap(""), 3) == ()


def test_coauthors_are_distinct_and_in_order() -> None:
    message = (
        "subject\n\nCo-authored-by: A B <a@x>\nco-Authored-By: C <C@x>\n"
        "Co-authored-by: again <A@X>\nCo-authored-by: <>\nCo-authored-by: broken\n"
    )
    found = [given for given, _, _ in coauthors(message, Mailmap(""), 3)]
    assert found == [Coauthor("A B", "a@x"), Coauthor("C", "C@x"), Coauthor("", "")]


def test_a_coauthor_goes_through_the_mailmap_as_an_author_does() -> None:
    """git folds the letters of ASCII alone, and takes no space from an address."""
    mailmap = Mailmap("Eva <eva@x> \u00e9va <all@x>\nBo <bo@y> ada <b@y>\nZo <zo@z> <\u00e9@z>\n")
    message = "x\n\n" + "".join(
        f"Co-authored-by: {who}\n"
        for who in ("\u00c9VA <all@x>", "ADA <B@Y>", "Ada < b@y>", "Z <\u00c9@z>", "Z <\u00e9@Z>")
    )
    assert [mapped for _, mapped, _ in coauthors(message, mailmap, 3)] == [
        ("\u00c9VA", "all@x"),
        ("Bo", "bo@y"),
        ("Ada", " b@y"),
        ("Z", "\u00c9@z"),
        ("Zo", "zo@z"),
    ]


MESSAGE_LINES = (
    "Co-authored-by: Bob <{}@x>", "co-authored-by : Eve <{}@x>", "Co-Authored-By:Ida <{}@x>\r",
    "Co-authored-by: Bob", " <{}@x>", "\t<{}@x>", "Co-authored-by: Al",
    "  Co-authored-by: Li <{}@x>",
    "Co-authored-by: <{}@x> (Acme)", "Co-authored-by:", "Signed-off-by: A <a@x>", "Closes #1",
    "(cherry picked from commit 1)", "# a comment", "", "", "", " ", "Conflicts:", "\ta/path",
    "some words of it", "a key: value", "key: value", "signed-off-by: A <a@x>", ": nothing", "---",
    "# ------------------------ >8 ------------------------",
)  # fmt: skip


def test_coauthors_are_those_of_git(tmp_path: Path) -> None:
    """One run of git over hundreds of messages whose addresses tell where each stood."""
    dice = random.Random(7)
    history = History(tmp_path / "messages")
    stream, ours = [], set()
    for number in range(600):
        lines = dice.choices(MESSAGE_LINES, k=dice.randint(1, 9))
        body = [line.format(f"{number}-{at}") for at, line in enumerate(lines)]
        message = "\n".join(["subject", "", *body] if number % 5 else body) + "\n" * (
            1 + number % 3
        )
        ours |= {given for given, _, _ in coauthors(message.rstrip(), Mailmap(""), 1)}
        data = message.encode()
        stream.append(
            b"commit refs/heads/main\ncommitter A <a@x> %d +0000\ndata %d\n%s\n"
            % (number, len(data), data)
        )
    history.git("fast-import", "--quiet", "--force", stdin=b"".join(stream))
    told = history.git("shortlog", "-s", "-e", "--group=trailer:co-authored-by", "main")
    theirs = re.findall(r"^ *1\t(.*)<(.*)>$", told, re.M)
    assert ours == {Coauthor(name.strip(), email) for name, email in theirs}
    assert len(ours) > 150


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (
            FileClass.LOCKED,
            (
                "yarn.lock a/package-lock.json pnpm-lock.yaml go.sum .terraform.lock.hcl Cargo.lock"
                " go.work.sum a/go.work.sum"
                " uv.lock b/c/gradle.lockfile bun.lockb Package.resolved npm-shrinkwrap.json"
            ),
        ),
        (
            FileClass.GENERATED,
            (
                "a.min.js x/b-min.css app.js.map api_pb2.py api_pb2_grpc.pyi x.pb.go m.g.dart"
                " Form.designer.cs Form.Designer.cs a/Resources.Designer.vb"
                " q/__generated__/t.ts schema.generated.ts"
            ),
        ),
        (
            FileClass.VENDORED,
            (
                "vendor/a.go node_modules/x/i.js x/third_party/y.c third-party/z Pods/A/b.m"
                " 3rdparty/q Godeps/g .yarn/releases/yarn.cjs Carthage/Build/x vendor/yarn.lock"
            ),
        ),
        (
            FileClass.OWN,
            (
                "lock locks.py lock.json block.json vendor vendors.py myvendor/a.py admin.js"
                " map.js go.summary go.work gone.work.sum Designer.cs"
                " x/lockfile.py generated.py pb2.py Podsy/a .yarn/config \xff.py"
            ),
        ),
    ],
)
def test_a_path_tells_whose_work_a_file_is_unless_its_repository_does(
    kind: FileClass, paths: str
) -> None:
    for path in (each.encode() for each in paths.split()):
        assert file_class(path, None, None) is kind, path
        assert file_class(path, True, None) is FileClass.VENDORED
        assert file_class(path, None, True) is FileClass.GENERATED
        assert file_class(path, False, False) is FileClass.OWN
        assert file_class(path, True, True) is FileClass.VENDORED


def signature(epoch_seconds: int | None) -> Signature:
    return Signature("n", "e", "n", "e", epoch_seconds, "+0000")


def test_unreadable_dates_borrow_from_the_other_signature() -> None:
    dates = commit_dates(signature(None), signature(0))
    assert (dates.commit_date, dates.is_clamped) == (EPOCH, True)
    dates = commit_dates(signature(10**17), signature(86_400))
    assert dates.commit_date == datetime(1970, 1, 2, tzinfo=UTC)
    assert commit_dates(signature(None), signature(None)).committed_at == EPOCH
    assert not commit_dates(signature(-86_400), signature(4_102_444_800)).is_clamped


@given(st.integers() | st.none(), st.integers() | st.none())
def test_any_date_is_representable(authored: int | None, committed: int | None) -> None:
    assert commit_dates(signature(authored), signature(committed)).commit_date.tzinfo is UTC


FIRST_DAY = date(2024, 6, 1)


def sized(*sizes: int) -> list[DaySize]:
    """Sizes ten days apart."""
    return [DaySize(FIRST_DAY + timedelta(days=10 * n), size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(("size", "is_warning"), [(79, False), (80, True), (100, True)])
def test_a_size_warns_from_its_part_of_the_limit_on(size: int, is_warning: bool) -> None:
    assert outlook(sized(size), 100, 0.8).is_warning is is_warning


@pytest.mark.parametrize(
    ("sizes", "pace", "limit_on"),
    [
        (sized(40), None, None),
        (sized(40, 50, 60), 1.0, date(2024, 7, 31)),
        (sized(60, 50), -1.0, None),
        (sized(60, 60), 0.0, None),
        (sized(0, 1), 0.1, date(2027, 2, 26)),
        (sized(90, 100), 1.0, date(2024, 6, 11)),
    ],
)
def test_growth_tells_the_day_on_which_the_limit_is_reached(
    sizes: list[DaySize], pace: float | None, limit_on: date | None
) -> None:
    found = outlook(sizes, 100, 0.8)
    assert (found.bytes_per_day, found.limit_on) == (pace, limit_on)


def test_growth_of_a_byte_a_day_has_no_day_of_its_limit() -> None:
    found = outlook(sized(0, 10), 50_000_000_000, 0.8)
    assert found.limit_on is None


def test_a_mailmap_tells_in_every_trailer_who_was_purged() -> None:
    person = "purged-0123456789ab"
    ada = Signature("Ada", "ada@work.example", "Ada", "ada@work.example", 0, "+0000")
    message = "x\n\nReviewed-by: J <jd@old.example>\n> Acked-by: Ada <ada@work.example>\n"
    commit = Commit("0" * 40, (), ada, ada, message, True, None)
    mailmap = Mailmap("Jane Doe <jane@doe.example> <jd@old.example>\n")
    kept = without_purged(of_names(["email:jane@doe.example"], person), commit, mailmap, 1)
    assert kept.message == message.replace("J <jd@old.example>", f"{person} <{address_of(person)}>")
    assert kept.author == ada
