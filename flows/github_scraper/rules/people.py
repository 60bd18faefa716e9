"""Who a commit belongs to: identities from names and e-mails, the mailmap, co-authors."""

import hashlib
import re
from dataclasses import dataclass, field

from flows.github_scraper.records import Coauthor, Identity
from flows.github_scraper.rules.trailers import trailers

# GitHub writes 9+login, its Enterprise Server too, GitLab 9-login, each under its own host.
NOREPLY_EMAIL = re.compile(
    r"(?:(?P<id>[0-9]{1,15})\+)?(?P<login>[^@+]+)@users\.noreply\.(?P<host>[a-z0-9.-]+\.[a-z0-9-]+)"
)
GITLAB_LOGIN = re.compile(r"(?P<id>[0-9]{1,15})-(?P<login>.+)")
# But those of e-mails: an e-mail may be that of an account.
IDENTITY_KEY = re.compile(
    r"(?:account:(?:[^/\s]+/)?|anonymous:|application:)[0-9]+|(?:login:|name:[0-9]+/).+", re.DOTALL
)
ADDRESS_OF_PERSON = re.compile(r"[^<>]*<(?P<email>[^<>]+)>")
COAUTHORED_BY = "co-authored-by"
MAILMAP_PERSON = re.compile(r"(?P<name>[^<]*)<(?P<email>[^>]*)>")
# No address is longer, and no index has room for what is much longer.
LONGEST_EMAIL, LONGEST_NAME = 320, 500
SPACE = " \t\n\r\f\v"
SPACE_OF_GIT = " \t\n\r"
SMALL_LETTERS = {
    number: small
    for number in (*range(0x590), *range(0x1E00, 0x2000))
    if len(small := chr(number).lower()) == 1 and small != chr(number) == small.upper()
}


def identify(name: str, email: str, repository_id: int) -> Identity:
    """The contributor that a name and an e-mail stand for.

    A noreply address carries the number of the account, which is never given twice, and its
    login, which is: the number is the identity, the login a label. Those of other hosts than
    github.com are told apart by the host. Who gives no address is known in one repository only, by
    name there: nothing says that the same name elsewhere is the same person.
    """
    email = folded(email)
    if len(email) > LONGEST_EMAIL:
        return Identity(f"email:{_shortened(email, LONGEST_EMAIL)}", username=None, email=None)
    if match := NOREPLY_EMAIL.fullmatch(email):
        return _account(match["id"], match["login"], match["host"])
    if email:
        return Identity(key=f"email:{email}", username=None, email=email)
    if name := name.strip().lower():
        name = _shortened(name, LONGEST_NAME)
        return Identity(key=f"name:{repository_id}/{name}", username=None, email=None)
    return Identity(key=f"anonymous:{repository_id}", username=None, email=None)


def folded(email: str) -> str:
    """An address without regard to case, as ``folded_email`` in ``functions.sql`` has it.

    Letters of Europe that have one capital and one small form each are the same in both. Of others,
    such as the dotted I, each database and each program has another opinion: they stay.
    """
    return email.strip(SPACE).translate(SMALL_LETTERS)


def _shortened(text: str, longest: int) -> str:
    """The beginning of a text that is too long and a hash of all of it."""
    if len(text) <= longest:
        return text
    return f"{text[:100]}... sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def _account(number: str | None, login: str, host: str) -> Identity:
    if number is None and "gitlab" in host and (match := GITLAB_LOGIN.fullmatch(login)):
        number, name = match["id"], match["login"]
    else:
        name = login
    place = "" if host == "github.com" else f"{host}/"
    # No account has the number 0.
    if number is None or int(number) == 0:
        return Identity(f"login:{place}{login}", None if place else login, email=None)
    key = f"account:{place}{int(number)}"
    if place:
        return Identity(key, username=None, email=None)
    return Identity(key, name, email=None, account_id=int(number))


def named_identity(text: str) -> tuple[str, str]:
    """What an entry of the list of aliases names: an identity key, or a login as it is. An e-mail
    stands for the identity of those who sign with it. Besides, the login on github.com that the
    entry tells, in one spelling; empty where it tells none."""
    if (key := text.strip().lower()).startswith("name:") and IDENTITY_KEY.fullmatch(key):
        return key, ""
    text = folded(text)
    if IDENTITY_KEY.fullmatch(text):
        kind, _, rest = text.partition(":")
        return text, rest if kind == "login" and "/" not in rest else ""
    email = text.removeprefix("email:")
    if email == text:
        match = ADDRESS_OF_PERSON.fullmatch(text)
        email = match["email"] if match else text if "@" in text[1:] else ""
    if email:
        identity = identify("", email, 0)
        return identity.key, identity.username or ""
    login = text.removeprefix("@")
    return login, login


def _folded_by_git(text: str) -> bytes:
    """Without regard to the case of the letters of ASCII, and of no others."""
    return text.encode(errors="surrogatepass").lower()


@dataclass
class _Mapped:
    """What one address becomes; by name where the mailmap tells several people apart."""

    name: str | None = None
    email: str | None = None
    by_name: dict[bytes, tuple[str | None, str | None]] = field(default_factory=dict)


class Mailmap:
    """A repository's ``.mailmap``, read as git reads it."""

    def __init__(self, text: str) -> None:
        self._by_email: dict[bytes, _Mapped] = {}
        for line in text.split("\n"):
            if not line.startswith("#"):
                self._read(line)

    def lookup(self, name: str, email: str) -> tuple[str, str]:
        """The proper name and e-mail of someone who signed with these."""
        mapped = self._by_email.get(_folded_by_git(email))
        if mapped is None:
            return name, email
        of_all = mapped.name, mapped.email
        proper_name, proper_email = mapped.by_name.get(_folded_by_git(name), of_all)
        return proper_name or name, proper_email or email

    def _read(self, line: str) -> None:
        first = MAILMAP_PERSON.match(line)
        if first is None or not first["email"]:
            return
        second = MAILMAP_PERSON.match(line, first.end())
        proper_name, proper_email = first["name"].strip(SPACE_OF_GIT) or None, first["email"]
        if second is None:
            mapped = self._by_email.setdefault(_folded_by_git(proper_email), _Mapped())
            mapped.name = proper_name or mapped.name
            return
        mapped = self._by_email.setdefault(_folded_by_git(second["email"]), _Mapped())
        if name := second["name"].strip(SPACE_OF_GIT):
            mapped.by_name[_folded_by_git(name)] = (proper_name, proper_email)
            return
        mapped.name, mapped.email = proper_name or mapped.name, proper_email


def coauthors(
    message: str, mailmap: Mailmap, repository_id: int
) -> tuple[tuple[Coauthor, Coauthor, Identity], ...]:
    """The distinct people named by ``Co-authored-by:`` trailers, in their order: as they stand
    there, through the mailmap, which holds for them as for authors, and who that is."""
    if COAUTHORED_BY not in message.lower():
        return ()
    found: dict[str, tuple[Coauthor, Coauthor, Identity]] = {}
    for token, value in trailers(message):
        match = MAILMAP_PERSON.match(value) if token == COAUTHORED_BY else None
        if match is None:
            continue
        coauthor = Coauthor(match["name"].strip(SPACE_OF_GIT), match["email"])
        mapped = Coauthor(*mailmap.lookup(*coauthor))
        person = identify(*mapped, repository_id)
        found.setdefault(person.key, (coauthor, mapped, person))
    return tuple(found.values())
