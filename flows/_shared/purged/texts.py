"""Where in a text somebody may stand: addresses, logins, and names that were signed."""

import re
from collections.abc import Iterable, Iterator

from flows._shared.purged.spelling import APOSTROPHES, LONGEST_NAME, MARKS, UNSEEN

_LETTER = rf"\w{MARKS}{UNSEEN}"
_LOCAL = rf"[{_LETTER}.+{APOSTROPHES}-]"
_LABEL = rf"[{_LETTER}-]+"
# Of what stands before or behind an address as markup does the end of its first and last word.
BESIDE_LOCAL = f"_.+-{APOSTROPHES}"
BESIDE_DOMAIN = "_-"
_AT = re.compile(r"@|%40")
_LOCAL_BACKWARDS = re.compile(rf"{_LOCAL}*")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
ALONE = re.compile(rf"{_LOCAL}+@{_LABEL}(?:\.{_LABEL})*")
# GitHub's logins, of managed users with an underscore, of programs with [bot].
_LOGIN = (
    r"(?P<login>[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}+(?:_[A-Za-z0-9]{1,39}+)?+"
    r"(?:\[bot\])?+)(?![^\W_]|[-_]+[^\W_])"
)
_KEYS = (
    "login",
    "user",
    "username",
    "user_name",
    "author",
    "committer",
    "owner",
    "actor",
    "assignee",
)
_IS_KEY = "|".join(rf"(?<=\b{key}=)" for key in _KEYS)
_SIGNERS = ("-by", "[Aa]uthor", "[Cc]ommitter", r"\blogin", r"\buser", r"\busername")
_SIGNS = "|".join(rf"(?<={key}:)" for key in _SIGNERS)
_REST_OF_PAIR = r"(?:\[bot\])?(?:[\"'&;,)]|[ \t]*(?:$|\n)|[ \t]+\w+=)"


def _mention(before: str) -> re.Pattern[str]:
    return re.compile(rf"{before}{_LOGIN}(?![\w.+-]*@)")


# What a text holds in which a login is mentioned so; each begins with it, which is found at once.
MENTIONS = (
    ("@", _mention(r"@(?<![^\W_]@)(?<![@.-]@)")),
    ("from ", _mention(r"from (?<=\bfrom )(?=[\w-]{1,80}[/:][^\s/])")),
    ("branch '", _mention(r"branch '(?=[\w-]{1,80}/)")),
    (
        "ub",
        _mention(
            r"ub(?<=[Gg]it[Hh]ub)(?:usercontent)?[\w.-]{0,100}(?::[0-9]{1,5})?[/:]"
            r"(?:users/|repos/|orgs/|user/)?"
        ),
    ),
    ("/home/", _mention("/home/")),
    ("Users", _mention(r"Users(?<=[/\\]Users)[/\\]{1,2}")),
    ("=", _mention(rf"=(?:{_IS_KEY})[\"']?(?=[\w-]{{1,80}}{_REST_OF_PAIR})")),
    (
        ":",
        _mention(
            rf":(?:{_SIGNS})[ \t]*[\"']?"
            r"(?=[\w-]{1,80}(?:\[bot\])?[\"']?[ \t]*(?:[,;})\n]|$))"
        ),
    ),
    ("heads/", _mention(r"heads/(?<=refs/heads/)(?=[\w-]{1,80}/)")),
    ("origin/", _mention(r"origin/(?<=\borigin/)(?=[\w-]{1,80}/)")),
)
PAGES = re.compile(rf"(?<![\w.-]){_LOGIN}(?=\.github\.io\b)")
# Of the name of a repository, or of a branch of another's.
OWNER = re.compile(rf"{_LOGIN}(?=[/:][^\s/:])")
PICTURE = re.compile(r"(?<=usercontent\.com/u/)(?P<account>[0-9]{1,15})(?![0-9])")
# What is signed with a name and an address as one text.
SIGNATURE = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[^<>]*)>\s*")
# Of GitHub's addresses that say whose they are.
NOREPLY = re.compile(
    r"(?:(?P<account>[0-9]{1,15})\+)?(?P<login>[^@+]+)@users\.noreply\.github\.com", re.IGNORECASE
)
# Nobody's address.
_UNANSWERED = re.compile(r"no-?reply@", re.IGNORECASE)
# Elsewhere the words before an address in angle brackets are a sentence.
_TRAILER = re.compile(
    r"[ \t>*#]*(?:[\w-]{1,40}-by|author|committer|from|reply-to|cc|b?cc|to)[ \t]*:", re.IGNORECASE
)
_LONGEST_LINE = 1_000
_ADDRESSED = re.compile(
    rf"[\s\"”*_{APOSTROPHES}]{{0,20}}(?:\([^()\n]{{0,80}}\)\s{{0,9}})?"
    rf"[<(\[]\s{{0,9}}(?:mailto:)?(?P<address>[^\s<>()\[\]]{{1,{LONGEST_NAME}}})"
)


def addresses(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Where addresses begin and end, and both sides of each; in a@b@c two may stand."""
    for at in _AT.finditer(text):
        end = at.start() - (text[at.start() - 1 : at.start()] == "\\")
        backwards = text[max(0, end - LONGEST_NAME) : end][::-1]
        local = _LOCAL_BACKWARDS.match(backwards)
        domain = _DOMAIN.match(text, at.end())
        if local and domain and 0 < local.end() < LONGEST_NAME:
            begin = end - local.end()
            yield begin, domain.end(), text[begin:end], domain[0]


def name_before(text: str, begin: int) -> tuple[int, int] | None:
    """Where the name stands that was signed with the address in angle brackets from ``begin`` on.

    In trailers alone: elsewhere it may be a sentence.
    """
    opening = begin - 1
    if opening < 1 or text[opening] != "<":
        return None
    window = max(0, opening - _LONGEST_LINE)
    line = max(text.rfind(each, window, opening) for each in '\n"\\')
    if line < window and window:
        return None
    line += 1 + (text[line : line + 1] == "\\" and text[line + 1] in "nrtbf")
    key = _TRAILER.match(text, line, opening)
    if key is None:
        return None
    first = max(key.end(), text.rfind(">", key.end(), opening) + 1)
    if (at := text.rfind("@", first, opening)) >= 0:
        signs = [place for each in ",;" if (place := text.find(each, at, opening)) >= 0]
        if not signs:
            return None
        first = min(signs) + 1
    name = text[first:opening]
    if not (stripped := name.strip(" \t,;")):
        return None
    first += name.index(stripped)
    return first, opening


def address_behind(text: str, end: int) -> str | None:
    """The address that stands behind a name as that of whom it names."""
    match = _ADDRESSED.match(text, end)
    if match is None:
        return None
    address = match["address"].replace("%40", "@")
    return address if is_somebodys(address) else None


def is_somebodys(address: str) -> bool:
    return "@" in address and not _UNANSWERED.match(address)


def joined(text: str, replaced: Iterable[tuple[int, int, str]]) -> str:
    """The text with other words in these places, which follow one another."""
    parts: list[str] = []
    done = 0
    for begin, end, instead in replaced:
        if begin < done:
            continue
        parts += [text[done:begin], instead]
        done = end
    return "".join([*parts, text[done:]]) if parts else text
