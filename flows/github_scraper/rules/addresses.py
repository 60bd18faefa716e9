"""How a repository is named: one key for all spellings of an address, and nothing of it that may
be a credential.

``bare_address`` and the spellings of known hosts stand in ``functions.sql`` as well, for what other
programs write: a test holds that both say the same.
"""

import posixpath
import re
import unicodedata
from collections.abc import Iterable

import idna

from flows.github_scraper.records import RepositoryAddressError

FETCHABLE_SCHEMES = ("https", "http", "ssh", "git", "file")
DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
LAST_PORT = 65_535
SPACE = " \t\n\r\f\v\xa0\u200b\u3000\ufeff"
LONGEST, SHOWN = 4_096, 100

# Logins that hosts give to everybody; any other may be a token.
LOGIN = r"(?:git|gitea|forgejo|gogs|gitlab|gitolite3?|aur|hg|org-[0-9]{1,12})"
# What is not seen: behind it may stand anything, in a path of a host nothing does.
BLANK = r"\u0001-\u0020\u007f-\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
HOST = rf"[^@:%;=&?#\\/\[\]{BLANK}]*"
PATH = rf"(?:[^@:%;=&?#\\{BLANK}]|%(?:20|2[89bcd]|7e|[89a-e][0-9a-f]))*"
SAFE_URL = re.compile(
    rf"(?:ssh://(?:{LOGIN}@)?|(?!ssh:)[a-z][a-z0-9+.-]*://)"
    rf"(?:{HOST}|\[[0-9a-f:.]+\])(?::[0-9]{{0,5}})?(?:/{PATH})?",
    re.I | re.ASCII,
)
SAFE_SCP = re.compile(rf"{LOGIN}@{HOST}:{PATH}", re.I | re.ASCII)
# A word with a digit, or a long one, may be a token that stands where an address should.
SAFE_WORDS = re.compile(rf"(?![^/]*[0-9][^/]*$)(?!.*[a-z0-9_]{{16}}){PATH}", re.I | re.A | re.S)
EQUALS = "(?:=|%(?:25)*3d)"
UNSAFE_FOLDER = re.compile(
    r"^/[./]*[^/]*(?:[@:]|%(?:25)*(?:40|3a))|(?::|%(?:25)*3a).*(?:@|%(?:25)*40)"
    r"|[?;]|%(?:25)*3[bf]|#[^/]"
    rf"|(?:[&#]|%(?:25)*2[36])[^/]*{EQUALS}"
    rf"|(?:token|secret|passw|pwd|auth|credential|api[_-]?key)[^/]*{EQUALS}",
    re.I | re.S,
)
# A word behind a space that looks like no name.
BEHIND_SPACE = re.compile(
    rf"(?:[{BLANK}]|%(?:25)*20)(?:bearer[{BLANK}]"
    rf"|(?=[^/{BLANK}]*[0-9])(?=[^/{BLANK}]*[a-z])[^/{BLANK}]{{8}})",
    re.I | re.ASCII,
)
# The end of a login, behind what would be cut off as a query or a fragment.
LOGIN_BEHIND = re.compile("[?#].*(?:@|%(?:25)*40)", re.S)
KNOWN_TOKEN = re.compile(
    r"(?:^|[^a-z0-9])(?:gh[pousr]_[a-z0-9]{16}|github_pat_[a-z0-9_]{16}|at(?:bb|att3x)[a-z0-9_-]{16}"
    r"|gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[a-z0-9_-]{16})",
    re.I | re.ASCII,
)
# Names that begin as a token does, and are made of words.
NAME_OF_WORDS = re.compile(
    r"(^|[^A-Za-z0-9])(?:gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)|atbb)"
    r"(?:[_-](?:[A-Z]?[a-z]{1,15}|v?[0-9]{1,2}))+(?![A-Za-z0-9_-])"
)
# Of a repository whose name another has now, or of a twin, and of one whose address is not kept.
SET_ASIDE = re.compile(r"(twin-)?[0-9]+")
WITHHELD = re.compile(r"withheld:[0-9]+")
URL_START = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
BEHIND_PATH = re.compile("[?#].*", re.S)
LOGIN_PART = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/*[^/]*@", re.I)

URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>.*)")
SCP_ADDRESS = re.compile(r"(?P<user>[^@/:]+)@(?P<host>[\w.-]+):(?P<path>[^:-].*)")
PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]{1,5})?)?")
HOST_NAME = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")

# Full stops of other scripts part a host, too.
STOP = re.compile("[.\u3002\uff0e\uff61]")

KNOWN_HOST = re.compile(
    r"(?:(?:www|ssh|altssh)\.)?(?P<host>github\.com|gitlab\.com|bitbucket\.org|codeberg\.org)"
)
GITHUB = "github.com"
NAMES = re.compile(r"[a-z0-9_.-]+/[a-z0-9_.-]+")
# Groups lie in groups there; a page of a project stands behind `/-/`.
GITLAB_NAMES = re.compile(r"[a-z0-9_.][a-z0-9_.-]*(?:/[a-z0-9_.][a-z0-9_.-]*)+")
GIT_ENDING = re.compile(r"(?:/*\.git)*/*$")
STEP = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")

GIVE_CLONE_ADDRESS = (
    "Give a clone address such as https://github.com/owner/name, or an absolute path"
)
NO_ADDRESS = (
    f"it is neither an absolute path nor a {', '.join(FETCHABLE_SCHEMES[:-1])} address",
    GIVE_CLONE_ADDRESS,
)
NO_CREDENTIALS = (
    f"{GIVE_CLONE_ADDRESS}. A token belongs into a Secret block (token_block), a login of ssh "
    "other than git into ~/.ssh/config"
)


def listed_url(address: str) -> str:
    """The key of a repository that is known, in the spelling of a list or in any other.

    Args:
        address: also of one whose name another has now, ``https://github.com/owner/name#5``, or
            whose address is not shown, ``withheld:5``.

    Raises:
        RepositoryAddressError: as of `repository_url`.
    """
    if WITHHELD.fullmatch(address):
        return address
    bare, mark, number = address.rpartition("#")
    if mark and SET_ASIDE.fullmatch(number):
        return f"{repository_url(bare)}#{number}"
    return repository_url(address)


def repository_url(address: str) -> str:
    """The one spelling under which a repository is known: its key.

    On GitHub scheme, user, port, ``www.``, case and ``.git`` do not matter: all spellings are
    ``https://github.com/owner/name``. On other hosts that are known the same holds, but that ssh
    stays ssh, for no token is sent there. Elsewhere the host is lower case and without its default
    port. Absolute paths lose what is idle in them; a step ``..`` takes back the one before it.

    Raises:
        RepositoryAddressError: not fetchable, or with what may be a credential inside, which is not
            repeated.
    """
    if len(address.strip(SPACE)) > LONGEST:
        raise _refused(address, f"it is longer than {LONGEST:,} characters", GIVE_CLONE_ADDRESS)
    bare = bare_address(address)
    if bare is None:
        raise _refused(address, "a part of it may be a credential", NO_CREDENTIALS)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in bare):
        raise _refused(address, "it contains characters that no text has", "Remove them")
    if bare.startswith("/"):
        return _local_path(address, bare)
    if match := URL.fullmatch(bare):
        user, _, place = match["authority"].rpartition("@")
        scheme, path = match["scheme"].lower(), match["path"]
    elif match := SCP_ADDRESS.fullmatch(bare):
        user, place, scheme, path = match["user"], match["host"], "scp", match["path"]
    else:
        raise _refused(address, *NO_ADDRESS)
    if scheme == "file":
        raise _refused(address, "it is a file address", "Give the absolute path itself")
    host, port = _host_and_port(address, place)
    if STEP.search(path):
        raise _refused(address, "its path has a step . or .. in it", GIVE_CLONE_ADDRESS)
    path = path.rstrip("/" + SPACE)
    known = KNOWN_HOST.fullmatch(host)
    if known and scheme in (*FETCHABLE_SCHEMES[:-1], "scp"):
        return _on_known_host(address, known["host"], path, is_ssh=scheme in ("ssh", "scp"))
    if not path.strip("/") and scheme in ("scp", "ssh", "git"):
        raise _refused(address, "it names no repository on its host", GIVE_CLONE_ADDRESS)
    if scheme == "scp":
        return f"{user}@{host}:{path}"
    if scheme not in FETCHABLE_SCHEMES:
        raise _refused(address, *NO_ADDRESS)
    login = f"{user}@" if user else ""
    told_port = f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{login}{host}{told_port}{path}"


def _local_path(address: str, bare: str) -> str:
    if bare.startswith("//"):
        raise _refused(address, "it is neither a path nor an address", GIVE_CLONE_ADDRESS)
    path = posixpath.normpath(bare).rstrip("/" + SPACE) or "/"
    if bare_address(path) is None:
        raise _refused(path, "a part of it may be a credential", NO_CREDENTIALS)
    # What is cut off at its end may leave another step there.
    return path if path == bare else _local_path(path, path)


def _on_known_host(address: str, host: str, path: str, *, is_ssh: bool) -> str:
    names = GIT_ENDING.sub("", path.strip("/").lower())
    pattern = GITLAB_NAMES if host == "gitlab.com" else NAMES
    if not pattern.fullmatch(names) or STEP.search(names):
        raise _refused(address, "it names no repository of an owner", GIVE_CLONE_ADDRESS)
    return f"{'ssh://git@' if is_ssh and host != GITHUB else 'https://'}{host}/{names}"


def _host_and_port(address: str, place: str) -> tuple[str, int | None]:
    """The host in lower case, in ASCII, and the port that is told."""
    match = PLACE.fullmatch(place)
    if match is None:
        raise _refused(address, "its host or port cannot be read", GIVE_CLONE_ADDRESS)
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= LAST_PORT:
        raise _refused(address, f"there is no port {port}", GIVE_CLONE_ADDRESS)
    labels = STOP.split(match["host"].lower())
    try:
        host = ".".join(label if label.isascii() else _in_ascii(label) for label in labels)
    except UnicodeError:
        raise _refused(address, "its host cannot be read", GIVE_CLONE_ADDRESS) from None
    host = host.rstrip(".")
    if ".." in host or not HOST_NAME.fullmatch(host):
        raise _refused(address, "its host cannot be read", GIVE_CLONE_ADDRESS)
    return host, port


def _in_ascii(label: str) -> str:
    """As IDNA 2008 spells it; what that does not know, such as a symbol, as IDNA 2003 did."""
    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        return label.encode("idna").decode()


def _refused(address: str, seen: str, remedy: str) -> RepositoryAddressError:
    return RepositoryAddressError(
        f"Reading the repository address {shown_address(address)!r}", seen, remedy
    )


def bare_address(address: str) -> str | None:
    """An address, or what stands for one, without the query and fragment of a URL. None where a
    part of it may be a credential, however it is written."""
    address = address.strip(SPACE)
    if len(address) > LONGEST:
        return None
    if URL_START.match(address):
        if LOGIN_BEHIND.search(unicodedata.normalize("NFKC", address)):
            return None
        address = BEHIND_PATH.sub("", address)
    # Wide forms of a character stand for it, too.
    plain = unicodedata.normalize("NFKC", address)
    if KNOWN_TOKEN.search(NAME_OF_WORDS.sub(r"\1", plain)) or BEHIND_SPACE.search(plain):
        return None
    if plain.startswith("/"):
        return None if UNSAFE_FOLDER.search(plain) else address
    safe = (SAFE_URL, SAFE_SCP, SAFE_WORDS)
    return address if any(pattern.fullmatch(plain) for pattern in safe) else None


def shown_address(address: str) -> str:
    """So much of an address as cannot be a credential, however it is written."""
    if len(address) > LONGEST:
        return "..."
    bare = bare_address(address)
    if bare is None and (login := LOGIN_PART.match(address.strip(SPACE))):
        behind = address.strip(SPACE)[login.end() :]
        shown = bare_address(f"https://{behind}") or bare_address(f"git@{behind}") or ""
        bare = f"...@{shown.removeprefix('https://').removeprefix('git@')}"
    return "..." if bare is None else bare[:SHOWN]


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
    if match := SCP_ADDRESS.fullmatch(url) or URL.fullmatch(url):
        segments = [each for each in match["path"].removesuffix(".git").split("/") if each]
        return "/".join(segments[-2:]) or url
    return url.rstrip("/").removesuffix(".git").rpartition("/")[2] or url
