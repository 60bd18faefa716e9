"""What git's messages mean, and what a person can do about it."""

import re
import signal

from flows._shared.errors import PlatformError
from flows._shared.secrets import HIDDEN, without_secrets
from flows.github_scraper.records import (
    DiskFullError,
    FolderNotOursError,
    GitCommandError,
    HostUntrustedError,
    LoginRequiredError,
    MirrorBrokenError,
    RepositoryNotFoundError,
    RepositoryUnreachableError,
    SourceCorruptError,
)
from flows.github_scraper.rules import FETCHABLE_SCHEMES, shown_address

# Characters at the end of git's messages: that are looked through, and that are shown.
READ, SHOWN = 5_000, 500
MEND_SOURCE = (
    "Run `git fsck` there and bring the object back from another clone, or retire the repository"
)
MEND_PATH = (
    "Check the spelling of the path: it must lead to a git repository on the machine that reads "
    "it, and be open to the account that runs there"
)
# A damaged object by the name under which git mentions it.
DAMAGED = re.compile(
    r"(?:(?:read|unpack|object|our ref|blob|tree|commit)(?: for)? '?|Object )"
    r"(?P<id>[0-9a-f]{40}(?:[0-9a-f]{24})?)\b"
)
# An address or a folder in git's words: its name may be any word.
ADDRESS = re.compile(r"(?<!\w)'[^'\n]*[/:][^'\n]*'|\S+://\S+")
# What redirects and proxies name may have a login in it.
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s'\"]+(?: [^\s'\"]*@[^\s'\"]*)?")
# Of a proxy without a scheme.
PROXY = re.compile(r"(proxy (?:syntax|scheme|URL)[^'\n]*|resolve proxy: ).*")
# Behind each trouble with a host, whatever it is: the remedy stands here in its place.
STOCK_PHRASE = "Please make sure you have the correct access rights\nand the repository exists."
# The first pattern found in git's (untranslated) messages decides.
FAILURES: tuple[tuple[str, type[PlatformError], str], ...] = (
    (
        # It then speaks of a possible corruption, too.
        r"remote: .*(?:died of signal|[Oo]ut of memory|No space left|try again)",
        RepositoryUnreachableError,
        "The host was short of something: the next run continues where this one was",
    ),
    (
        # What a source says of itself; what it sends is checked on arrival.
        (
            r"remote: (?:error|fatal): .*(?:corrupt|unable to (?:read|unpack)|bad tree|bad object"
            r"|not a (?:tree|commit|blob)|Could not read|missing)"
            r"|did not receive expected object|not our ref"
        ),
        SourceCorruptError,
        MEND_SOURCE,
    ),
    (
        (
            r"could not read Username|Authentication failed|terminal prompts disabled"
            r"|Permission denied \(publickey|returned error: 40[13]"
        ),
        LoginRequiredError,
        (
            "Name a Secret block with a token that may read it (token_block), or try again later: "
            "GitHub asks anonymous readers to log in when it is busy"
        ),
    ),
    (
        (
            r"SSL (?:certificate|peer certificate|CA cert)|certificate (?:verif|subject name|chain)"
            r"|server (?:certificate|verification)|no alternative certificate"
            r"|error setting certificate"
        ),
        HostUntrustedError,
        (
            "Have the host mend its certificate, or trust its authority: GIT_SSL_CAINFO names a "
            "readable file with it"
        ),
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        HostUntrustedError,
        "Compare the key of the host with the one it publishes and put it into known_hosts",
    ),
    (
        r"no matching (?:host key type|key exchange method|cipher|MAC) found",
        HostUntrustedError,
        (
            "Have the host offer what is in use today, or allow its offer in ~/.ssh/config "
            "(HostKeyAlgorithms, KexAlgorithms, Ciphers, MACs)"
        ),
    ),
    (
        r"No space left on device|Disk quota exceeded",
        DiskFullError,
        "Free space in the folder of the mirrors (cache_dir); the next run goes on",
    ),
    (
        r"dubious ownership",
        FolderNotOursError,
        "The folder belongs to another user: change its owner, or clone it once as this user",
    ),
    (
        (
            r"Repository not found|repository '.*' not found|does not appear to be a git repository"
            r"|does not exist|returned error: 404|not found: did you run git update-server-info"
            r"|not a git repository|invalid gitfile format|no path in gitfile"
            r"|too large to be a \.git file"
        ),
        RepositoryNotFoundError,
        "Check the spelling of the address and that the token may see the repository",
    ),
    (
        (
            r"bad (?:tree )?object|missing (?:blob|tree|commit)|unable to (?:read|unpack) |corrupt"
            r"|invalid sha1 pointer|could not parse object|packfile .* cannot"
            r"|Could not read [0-9a-f]{40}|[0-9a-f]{40} not a (?:tree|commit)"
            r"|inflate returned|inflate: data stream error"
        ),
        MirrorBrokenError,
        "The mirror is dropped and cloned again",
    ),
    (
        r"Could not resolve host",
        RepositoryUnreachableError,
        (
            "Check the spelling of the host; where it is right, the network and its name servers: "
            "the next run continues where this one was"
        ),
    ),
    (
        (
            r"Could not resolve proxy|Connection (?:refused|timed out|reset)"
            r"|Failed to connect|early EOF|RPC failed|hung up unexpectedly"
            r"|returned error: (?:429|5\d\d)|Operation too slow|unexpected disconnect"
            r"|Couldn't connect|Empty reply"
            r"|Connection closed|TLS connection|SSL_ERROR|gnutls_handshake|Network is (?:un|down)"
            r"|No route to host|Operation timed out|Temporary failure in name resolution"
        ),
        RepositoryUnreachableError,
        "Check the network and the host's status page; the next run continues where this one was",
    ),
    (
        r"transport '.*' not allowed",
        RepositoryNotFoundError,
        f"Use one of {', '.join(FETCHABLE_SCHEMES)}",
    ),
)


def failure(verb: str, url: str, status: int, stderr: bytes) -> PlatformError:
    """The error for a git command that ended with a status other than 0."""
    said = stderr.decode("utf-8", "replace").strip()
    said = URL.sub(lambda found: shown_address(found[0]), said)
    meant = ADDRESS.sub("''", said.replace(url, ""))
    attempted = f"Running git {verb} for {url}"
    if status < 0:
        return RepositoryUnreachableError(
            attempted,
            f"git was stopped by signal {-status} ({signal.Signals(-status).name})",
            "Look for the out-of-memory killer or for a time limit, then run again",
        )
    told = without_secrets(
        PROXY.sub(rf"\1{HIDDEN}", said.replace(STOCK_PHRASE, ""))[-READ:]
    ).strip()
    seen = f"git exited with status {status}: {told[-SHOWN:] or 'no message'}"
    for pattern, error, remedy in FAILURES:
        if not re.search(pattern, meant):
            continue
        # Whatever git reads while it asks for heads is the source's.
        if error is MirrorBrokenError and verb == "ls-remote":
            error, remedy = SourceCorruptError, MEND_SOURCE
        if error in (SourceCorruptError, MirrorBrokenError) and (match := DAMAGED.search(said)):
            seen = f"its object {match['id']} is missing or damaged ({told[-200:]})"
        if error is RepositoryNotFoundError and url.startswith(("/", "file:")):
            remedy = MEND_PATH
        return error(attempted, seen, remedy)
    remedy = "It is tried again; if it stays, run the same git command by hand to see more"
    return GitCommandError(attempted, seen, remedy)
