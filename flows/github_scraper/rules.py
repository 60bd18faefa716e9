"""Decisions: how a repository is named, what has to be read, who a commit belongs to."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

from flows.github_scraper.records import (
    Coauthor,
    CommitDates,
    DaySize,
    FileClass,
    Head,
    Identity,
    RepositoryAddressError,
    RepositoryFacts,
    Signature,
    SizeOutlook,
    Source,
    Walk,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*).*")
SCP_ADDRESS = re.compile(r"(?P<user>[^@/:]+)@(?P<host>[\w.-]+):(?P<path>[^:-].*)")
PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>\d{1,5})?)?")
HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
# Names of accounts as hosts give them; a token is longer or in mixed case.
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
LOGIN_IN_PATH = re.compile(r":.*@|^/[^/]*@")
GITHUB_HOSTS = ("github.com", "www.github.com", "ssh.github.com")
GITHUB_PATH = re.compile(r"[a-z0-9_.-]+/[a-z0-9_.-]+")
DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
# GitHub writes 9+login, its Enterprise Server too, GitLab 9-login, each under its own host.
NOREPLY_EMAIL = re.compile(
    r"(?:(?P<id>\d{1,15})\+)?(?P<login>[^@+]+)@users\.noreply\.(?P<host>[a-z0-9.-]+\.[a-z0-9-]+)"
)
GITLAB_LOGIN = re.compile(r"(?P<id>\d{1,15})-(?P<login>.+)")
COAUTHOR_TRAILER = re.compile(r"^co-authored-by:(?P<name>[^<\n]*)<(?P<email>[^>\n]*)>", re.I | re.M)
MAILMAP_PERSON = re.compile(r"(?P<name>[^<]*)<(?P<email>[^>]*)>")
# Files that a tool writes to pin what others made.
LOCK_FILE = re.compile(
    rb"(?:^|/)(?:[^/]*\.lock|[^/]*[.-]lock\.(?:json|ya?ml|hcl)|[^/]*\.lockfile|npm-shrinkwrap\.json"
    rb"|go\.sum|bun\.lockb|gems\.locked|(?:Cartfile|Package)\.resolved)$"
)
GENERATED_FILE = re.compile(
    rb"(?:^|/)(?:[^/]*[.-]min\.(?:js|mjs|cjs|css)|[^/]*\.(?:js|mjs|cjs|css)\.map|[^/]*_pb2(?:_grpc)?\.pyi?"
    rb"|[^/]*\.pb\.(?:go|cc|h)|[^/]*\.(?:g|freezed)\.dart|[^/]*\.designer\.(?:cs|vb)"
    rb"|[^/]*\.generated\.[^/]*|__generated__/.*)$"
)
VENDORED_FOLDER = re.compile(
    rb"(?:^|/)(?:node_modules|bower_components|vendor|vendors|third[_-]?party|3rd[_-]?party|Godeps"
    rb"|Pods|Carthage/Build|\.yarn/(?:releases|plugins|cache|unplugged))/"
)
# No address is longer, and no index has room for what is much longer.
LONGEST_EMAIL, LONGEST_NAME = 320, 500
# Beyond it a projection says nothing, and the calendar ends.
FAR_AWAY = timedelta(days=36_525)
FETCHABLE_SCHEMES = ("https", "http", "ssh", "git", "file")
SHOWN = 100
SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:/+")
# Also as a form encodes it, and in the wide forms that Unicode takes for it.
AT_SIGN = re.compile("@|%40|\uff20|\ufe6b", re.I)
BEHIND_PATH = re.compile("[?#;]")
NO_PORT = re.compile(r"(?::|%3a)(?!\d{0,5}$)", re.I)
GIVE_CLONE_ADDRESS = (
    "Give a clone address such as https://github.com/owner/name, or an absolute path"
)
NO_ADDRESS = (
    f"it is neither an absolute path nor a {', '.join(FETCHABLE_SCHEMES[:-1])} address",
    GIVE_CLONE_ADDRESS,
)


def repository_url(address: str) -> str:
    """The one spelling under which a repository is known: its key.

    On GitHub scheme, user, port, ``www.``, case and ``.git`` do not matter: all spellings are
    ``https://github.com/owner/name``. Elsewhere the host is lower case and without its default
    port. Absolute paths stay as they are.

    Raises:
        RepositoryAddressError: not fetchable, or with credentials inside. Nothing before an ``@``
            is repeated.
    """
    address = address.strip()
    if any(ord(character) < 32 or ord(character) == 127 for character in address):
        raise _refused(address, "it contains control characters", "Remove them")
    if address.startswith("/"):
        return _local_path(address)
    if match := URL.fullmatch(address):
        user, _, place = match["authority"].rpartition("@")
        scheme, path = match["scheme"].lower(), match["path"]
    elif match := SCP_ADDRESS.fullmatch(address):
        user, place, scheme, path = match["user"], match["host"], "scp", match["path"]
    else:
        raise _refused(address, *NO_ADDRESS)
    _refuse_credentials(address, scheme, user, path)
    host, port = _host_and_port(address, place)
    if host in GITHUB_HOSTS and scheme in (*FETCHABLE_SCHEMES, "scp"):
        owner_and_name = path.strip("/").lower().removesuffix(".git").rstrip("/")
        if GITHUB_PATH.fullmatch(owner_and_name):
            return f"https://github.com/{owner_and_name}"
        raise _refused(address, "it names no repository of an owner", GIVE_CLONE_ADDRESS)
    if scheme == "scp":
        return f"{user}@{host}:{path.rstrip('/')}"
    if scheme == "file":
        raise _refused(address, "it is a file address", "Give the absolute path itself")
    if scheme not in FETCHABLE_SCHEMES:
        raise _refused(address, *NO_ADDRESS)
    login = f"{user}@" if user else ""
    told_port = f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{login}{host}{told_port}{path.rstrip('/')}"


def _local_path(address: str) -> str:
    if address.startswith("//") or LOGIN_IN_PATH.search(address):
        raise _refused(address, "it is neither a path nor an address", GIVE_CLONE_ADDRESS)
    return address.rstrip("/") or "/"


def _refuse_credentials(address: str, scheme: str, user: str, path: str) -> None:
    is_login = scheme in ("ssh", "scp") and USER.fullmatch(user)
    if (user and not is_login) or "@" in path:
        raise _refused(
            address,
            "it carries credentials",
            "Remove them from the address and keep the token in a Secret block (token_block)",
        )


def _host_and_port(address: str, place: str) -> tuple[str, int | None]:
    """The host in lower case, in ASCII, and the port that is told."""
    match = PLACE.fullmatch(place)
    if match is None:
        raise _refused(address, "its host or port cannot be read", GIVE_CLONE_ADDRESS)
    host = match["host"].lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise _refused(address, "its host cannot be read", GIVE_CLONE_ADDRESS) from None
    if not HOST.fullmatch(host):
        raise _refused(address, "its host cannot be read", GIVE_CLONE_ADDRESS)
    return host, int(match["port"]) if match["port"] else None


def _refused(address: str, seen: str, remedy: str) -> RepositoryAddressError:
    return RepositoryAddressError(
        f"Reading the repository address {shown_address(address)!r}", seen, remedy
    )


def may_carry_credentials(address: str) -> bool:
    """Whether a part of an address that is none may be a login, a token or a query with one."""
    place = SCHEME.sub("", address).partition("/")[0]
    return bool(AT_SIGN.search(address) or BEHIND_PATH.search(address) or NO_PORT.search(place))


def shown_address(address: str) -> str:
    """So much of an address as cannot be a credential, however it is written."""
    behind = BEHIND_PATH.split(AT_SIGN.split(address)[-1])[0]
    place, _, path = SCHEME.sub("", behind).partition("/")
    if NO_PORT.search(place):
        return f".../{path}"[:SHOWN]
    return f"{'...@' if AT_SIGN.search(address) else ''}{behind}"[:SHOWN]


def split_addresses(addresses: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """Distinct repositories to fetch, and for each address that is none the reason."""
    urls: dict[str, None] = {}
    refused: dict[str, str] = {}
    for position, address in enumerate(addresses, start=1):
        try:
            urls.setdefault(repository_url(address))
        except RepositoryAddressError as error:
            refused[f"address {position}"] = str(error)
    return list(urls), refused


def repository_path_name(url: str) -> str:
    """``owner/name`` of a hosted repository, the folder's name of a local one."""
    path = url.partition(":")[2] if SCP_ADDRESS.fullmatch(url) else urlsplit(url).path
    segments = [segment for segment in path.removesuffix(".git").split("/") if segment]
    is_local = url.startswith("/")
    return "/".join(segments[-1:] if is_local else segments[-2:]) or url


def plan_walk(previous: Head | None, current: Head, is_previous_in_mirror: bool) -> Walk:
    """How much to read, by comparing heads of the commit graph; dates play no part.

    A changed mailmap can move every commit to another contributor, changed attributes lines to
    another class, a boundary that moved gives
    commits their parents and line counts back, and other rules of reading may give any commit
    another value: all need the whole graph again.
    """
    if previous is None or not is_previous_in_mirror:
        return Walk.FULL
    if previous.reading != current.reading:
        return Walk.FULL
    if previous.mailmap_hash != current.mailmap_hash:
        return Walk.FULL
    if previous.attributes_hash != current.attributes_hash:
        return Walk.FULL
    if previous.shallow_boundary != current.shallow_boundary:
        return Walk.FULL
    return Walk.NOTHING if previous.head_hash == current.head_hash else Walk.DELTA


def identify(name: str, email: str, repository_id: int) -> Identity:
    """The contributor that a name and an e-mail stand for.

    A noreply address carries the number of the account, which is never given twice, and its
    login, which is: the number is the identity, the login a label. Those of other hosts than
    github.com are told apart by the host. Who gives no address is known in one repository only, by
    name there: nothing says that the same name elsewhere is the same person.
    """
    email = email.strip().lower()
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


def _shortened(text: str, longest: int) -> str:
    """The beginning of a text that is too long and a hash of all of it."""
    if len(text) <= longest:
        return text
    return f"{text[:100]}... sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def _account(number: str | None, login: str, host: str) -> Identity:
    if number is None and "gitlab" in host and (match := GITLAB_LOGIN.fullmatch(login)):
        number, login = match["id"], match["login"]
    place, username = ("", login) if host == "github.com" else (f"{host}/", None)
    if number is None:
        return Identity(f"login:{place}{login}", username, email=None)
    account_id = None if place else int(number)
    return Identity(f"account:{place}{int(number)}", username, email=None, account_id=account_id)


@dataclass
class _Mapped:
    """What one address becomes; by name where the mailmap tells several people apart."""

    name: str | None = None
    email: str | None = None
    by_name: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


class Mailmap:
    """A repository's ``.mailmap``, read as git reads it."""

    def __init__(self, text: str) -> None:
        self._by_email: dict[str, _Mapped] = {}
        for line in text.split("\n"):
            if not line.startswith("#"):
                self._read(line)

    def lookup(self, name: str, email: str) -> tuple[str, str]:
        """The proper name and e-mail of someone who signed with these."""
        mapped = self._by_email.get(email.lower())
        if mapped is None:
            return name, email
        proper_name, proper_email = mapped.by_name.get(name.lower(), (mapped.name, mapped.email))
        return proper_name or name, proper_email or email

    def _read(self, line: str) -> None:
        first = MAILMAP_PERSON.match(line)
        if first is None or not first["email"]:
            return
        second = MAILMAP_PERSON.match(line, first.end())
        proper_name, proper_email = first["name"].strip() or None, first["email"]
        if second is None:
            self._by_email.setdefault(proper_email.lower(), _Mapped()).name = proper_name
            return
        mapped = self._by_email.setdefault(second["email"].lower(), _Mapped())
        if name := second["name"].strip():
            mapped.by_name[name.lower()] = (proper_name, proper_email)
            return
        mapped.name, mapped.email = proper_name or mapped.name, proper_email


def choose_source(
    facts: RepositoryFacts, path: str, max_mirror_megabytes: int, few_commits: int, new: int | None
) -> Source:
    """The way to read a repository whose head has moved.

    ``new`` is the number of commits it has and we lack, None where that is everything. GraphQL
    costs a point for a hundred commits, git costs none and a whole clone.
    """
    if path == "rest":
        return Source.REST
    if path == "graphql":
        return Source.GRAPHQL
    if (facts.disk_kilobytes or 0) > max_mirror_megabytes * 1_000:
        return Source.GRAPHQL
    return Source.GRAPHQL if new is not None and new <= few_commits else Source.GIT


def coauthors(
    message: str, mailmap: Mailmap, repository_id: int
) -> tuple[tuple[Coauthor, Coauthor, Identity], ...]:
    """The distinct people named by ``Co-authored-by:`` lines, in their order: as they stand there,
    through the mailmap, which holds for them as for authors, and who that is."""
    if "-by:" not in message.lower():
        return ()
    found: dict[str, tuple[Coauthor, Coauthor, Identity]] = {}
    for match in COAUTHOR_TRAILER.finditer(message):
        coauthor = Coauthor(match["name"].strip(), match["email"].strip())
        mapped = Coauthor(*mailmap.lookup(*coauthor))
        person = identify(*mapped, repository_id)
        found.setdefault(person.key, (coauthor, mapped, person))
    return tuple(found.values())


def file_class(path: bytes, is_vendored: bool | None, is_generated: bool | None) -> FileClass:
    """Whose work a file is: what its repository says (``linguist-vendored`` and
    ``linguist-generated``; None where it says nothing), else what its path looks like."""
    if is_vendored:
        return FileClass.VENDORED
    if is_generated:
        return FileClass.GENERATED
    if is_vendored is None and VENDORED_FOLDER.search(path):
        return FileClass.VENDORED
    if is_generated is None and LOCK_FILE.search(path):
        return FileClass.LOCKED
    if is_generated is None and GENERATED_FILE.search(path):
        return FileClass.GENERATED
    return FileClass.OWN


def commit_dates(author: Signature, committer: Signature) -> CommitDates:
    """Author and committer date in UTC; one stands in for the other where it cannot be read."""
    authored, committed = _moment(author.epoch_seconds), _moment(committer.epoch_seconds)
    return CommitDates(
        commit_date=authored or committed or EPOCH,
        committed_at=committed or authored or EPOCH,
        is_clamped=authored is None or committed is None,
    )


def _moment(epoch_seconds: int | None) -> datetime | None:
    if epoch_seconds is None:
        return None
    try:
        return EPOCH + timedelta(seconds=epoch_seconds)
    except OverflowError:
        return None


def outlook(sizes: Sequence[DaySize], limit_bytes: int, warn_at: float) -> SizeOutlook:
    """What the last size, and the pace from the first to it, say of the limit.

    ``sizes`` are in the order of days, at least one; the warning begins at ``warn_at`` exactly.
    """
    first, last = sizes[0], sizes[-1]
    days = (last.day - first.day).days
    pace = (last.bytes - first.bytes) / days if days else None
    limit_on: date | None = None
    if last.bytes >= limit_bytes:
        limit_on = last.day
    elif pace is not None and pace > 0:
        left = (limit_bytes - last.bytes) / pace
        limit_on = last.day + timedelta(days=left) if left < FAR_AWAY.days else None
    return SizeOutlook(
        last.bytes, limit_bytes, pace, limit_on, is_warning=last.bytes >= warn_at * limit_bytes
    )
