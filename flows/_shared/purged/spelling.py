"""How names are written: one spelling of each, whatever stands between and beside its words."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

# No address is longer, and longer words than that are no part of a name.
LONGEST_NAME = 320
MOST_WORDS = 8
# A name of one word may be a word of any sentence: it is known where a name stands alone.
FEWEST_WORDS = 2


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        first = found.pop()[0] if found and found[-1][1] == number - 1 else number
        found.append((first, number))
    return found


APOSTROPHES = "'’‘‛ʼ′´`"
HYPHENS = "-‐‑‒–"
# What shows nothing, and stands within words where somebody or a program put it.
UNSEEN = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
# What letters are composed with: Python counts it to no word. As a class of a regular expression.
MARKS = "".join(
    f"{chr(first)}-{chr(last)}"
    for first, last in _ranges(
        number
        for first, end in ((0x300, 0x3100), (0xA66F, 0xAC00))
        for number in range(first, end)
        if unicodedata.category(chr(number)).startswith("M")
    )
)
WORD = re.compile(rf"[\w{MARKS}{UNSEEN}]+")

_SEEN = re.compile(rf"[{UNSEEN}]+")
_ONE_APOSTROPHE = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))
# Markup, quotes, and what a line begins with that was quoted.
_MARKUP = str.maketrans(dict.fromkeys('*~"“”„«»‹›>#\\' + APOSTROPHES))
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>?")
# JSON writes the end of a line as two characters.
_ESCAPED = re.compile(r"\\[nrtbf]")
_SIGNS_OF_ASCII = str.maketrans(
    {chr(number): " " for number in range(128) if not chr(number).isalnum()}
)
_LONGEST_INITIAL = 3
# Scripts behind it write a word as one sign.
_LAST_OF_LETTERS = "\u2e80"
# Programs, installers and forms sign with these, and so does everybody who left them as they were.
GENERIC_WORDS = (
    "a account action actions admin administrator agent an anonymous anonymized app author authors"
    " auto automated automation bot build builder ci code committer company copilot default demo"
    " deploy deployer deployment dev developer email example first foo bar github gitlab git guest"
    " host last local localhost machine mail maintainer me my name nil no nobody none not null of"
    " open owner person pull release request review robot root runner sample script server service"
    " set somebody someone source super superuser support sync system team temp test tester the tmp"
    " ubuntu undefined unknown update user username web flow windows worker your yourname"
)
GENERIC = frozenset(GENERIC_WORDS.split())


def plain(name: str) -> str:
    """One spelling of a name that stands alone."""
    name = unicodedata.normalize("NFKC", _SEEN.sub("", name)).translate(_ONE_APOSTROPHE)
    return " ".join(name.lower().split())


def flat(text: str) -> str:
    """The text, of the same length, with signs of ASCII for what stands for them in a text."""
    if "\\" in text:
        text = _ESCAPED.sub("  ", text)
    for space in ("%20", "&nbsp;"):
        text = text.replace(space, " " * len(space))
    return text.replace("_", "*")


def words_in(text: str) -> set[str]:
    """The words of a text as `flat` has it."""
    if text.isascii():
        return set(text.translate(_SIGNS_OF_ASCII).split())
    return set(WORD.findall(text))


def runs(text: str, words: Sequence[re.Match[str]], place: int, most: int) -> Iterator["Run"]:
    """What may be a name from a word on: how many words, where it ends, in one spelling.

    Args:
        text: as `flat` has it.
        words: all of the text.
        place: of the first of them.
        most: how many of them.
    """
    if len(words[place][0]) > LONGEST_NAME:
        return
    spelled = plain(words[place][0])
    yield 1, words[place].end(), spelled
    for number, (before, word) in enumerate(pairwise(words[place : place + most]), 2):
        between = _between(text[before.end() : word.start()], before[0])
        if between is None or len(spelled) + len(word[0]) > LONGEST_NAME:
            return
        spelled += between + plain(word[0])
        yield number, word.end(), spelled


Run = tuple[int, int, str]


def _between(gap: str, before: str) -> str | None:
    """What stands between two words of a name; None where they are no part of one."""
    if gap in APOSTROPHES:
        return "'"
    if gap in HYPHENS or (gap[:1] == "." and gap[1:] in HYPHENS and gap != "."):
        return "-"
    if gap in (".", "+"):
        return gap.replace("+", " ")
    signs = "".join(gap.split())
    if len(signs) == len(gap):
        return None
    sign = signs.translate(_MARKUP)
    if not sign or (sign == "." and len(before) <= _LONGEST_INITIAL):
        return " "
    return ", " if sign == "," else None


def spellings(name: str) -> dict[str, int]:
    """How a name is spelled where it is looked for in texts, of how many words each.

    None where a text would hold it by chance: a word alone, initials, what programs sign with.
    """
    text = flat(_ASIDE.sub(" ", name.strip()[:LONGEST_NAME])).strip()
    words = list(WORD.finditer(text))
    if ":" in name or not FEWEST_WORDS <= len(words) <= MOST_WORDS:
        return {}
    *_, (count, _, spelled) = runs(text, words, 0, MOST_WORDS)
    if count < len(words) or not _is_of_somebody(spelled):
        return {}
    last, comma, first = spelled.partition(", ")
    if not comma:
        *given, last = spelled.split(" ")
        first = " ".join(given)
    return dict.fromkeys((f"{first} {last}", f"{last}, {first}"), count)


def _is_of_somebody(spelled: str) -> bool:
    words = spelled.replace(",", " ").split()
    long = [word for word in words if _letters(word) > 1]
    return len(long) >= FEWEST_WORDS and not is_generic(spelled)


def _letters(word: str) -> int:
    return sum(1 + (letter > _LAST_OF_LETTERS) for letter in word if letter.isalpha())


def is_generic(name: str) -> bool:
    """Whether anybody may be signed so who gave no name."""
    words = WORD.findall(flat(plain(name)))
    return all(_letters(word) <= 1 or word in GENERIC for word in words)


def words_of(name: str) -> int:
    """Of how many words a name is that is looked for in texts; 0 where it is not."""
    return max(spellings(name).values(), default=0)


def first_word(spelled: str) -> str:
    match = WORD.match(spelled)
    return match[0] if match else ""


def listed(names: Iterable[str]) -> dict[str, int]:
    """Every spelling under which names are remembered, of how many words if texts may hold it."""
    found: dict[str, int] = {}
    for name in names:
        found.setdefault(plain(name), 0)
        found |= spellings(name)
    return found
