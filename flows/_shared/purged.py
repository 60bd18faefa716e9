"""People who were purged: known by keyed hashes of their names alone, shown by a pseudonym.

The one door to telling whether a name is that of somebody who was purged. A name is an address
(``email:jane@example.org``), a login (``login:jane``), a number (``account:17``) or what a person
is called (``jane doe``), in small letters. The key lies beside the hashes: it keeps lists of hashes
of known addresses from matching, not who holds both from trying one that they guess.
"""

import hmac
import json
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

DOMAIN = "purged.invalid"
KEY_BYTES = 32
# A word of one letter is no address; longer words than that are no part of a name either.
LONGEST_NAME = 320
MOST_WORDS = 6
# A name of one word may be a word of any sentence: it is known where a name stands alone.
FEWEST_WORDS = 2

_OUTSIDE = r"""\s\x00-\x1f\x7f<>"'(),;:\[\]{}|=\\/`"""
_ADDRESS = re.compile(rf"(?<![^{_OUTSIDE}])[^@{_OUTSIDE}]+@[^@{_OUTSIDE}]+")
# JSON writes the end of a line as two characters.
_WORD = re.compile(rf"\\[nrtbf]|[^{_OUTSIDE}]+")
_MENTION = re.compile(
    r"(?:(?<![\w@.-])@|(?<=\bfrom )|(?<=github\.com/))(?P<login>[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})"
    r"(?![\w@.-]*@)"
)
# Elsewhere the words before an address in angle brackets are a sentence.
_TRAILER = re.compile(
    r"[ \t]*(?:[\w-]+-by|author|committer|from|cc|to)[ \t]*:[ \t]*(?P<name>[^<:]*)", re.IGNORECASE
)
# What nothing closes is one to the end, else each quote in it would be looked at anew.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)+(?:"|\\?\Z)')
_TOKEN = re.compile(r"purged-[0-9a-f]{12}")


@dataclass(frozen=True)
class Person:
    """By what somebody is known who is to be purged; what is known besides follows from it."""

    emails: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def also(self, names: Iterable[str]) -> "Person":
        """The same with names that a store found."""
        names = frozenset(names)
        return Person(
            tuple(sorted({*self.emails, *_of_kind(names, "email:")})),
            tuple(sorted({*self.logins, *_of_kind(names, "login:")})),
            tuple(sorted({*self.names, *(name for name in names if ":" not in name)})),
        )


def _of_kind(names: Iterable[str], kind: str) -> set[str]:
    return {name.removeprefix(kind) for name in names if name.startswith(kind) and "/" not in name}


def new_person() -> str:
    """A pseudonym that nothing of a person follows from."""
    return f"purged-{secrets.token_hex(6)}"


def address_of(person: str) -> str:
    """The address that stands for all of a purged person's; it can never be delivered to."""
    return f"{person}@{DOMAIN}"


def plain(name: str) -> str:
    """One spelling of a name."""
    return " ".join(unicodedata.normalize("NFKC", name).lower().split())


def of_address(address: str) -> str:
    return f"email:{plain(address)}"


@dataclass(frozen=True)
class Purged:
    """Who was purged from one store.

    Args:
        key: of the hashes.
        people: the pseudonym of each, by the hash of each of their names.
        words: of how many words the names are that may stand in a text.
        name_of: the name that an address stands for, where that is not the address.
    """

    key: bytes
    people: Mapping[bytes, str] = field(default_factory=dict)
    words: frozenset[int] = frozenset()
    name_of: Callable[[str], str] = of_address

    def __bool__(self) -> bool:
        return bool(self.people)

    def hash_of(self, name: str) -> bytes:
        return hmac.digest(self.key, plain(name).encode("utf-8", "surrogatepass"), "sha256")

    def person(self, name: str) -> str | None:
        """The pseudonym of whose name it is."""
        if not self.people or len(name) > LONGEST_NAME:
            return None
        return self.people.get(self.hash_of(name))

    def person_at(self, address: str) -> str | None:
        """The pseudonym of whose address it is."""
        return self.person(self.name_of(address)) or self.person(of_address(address))

    def alone(self, value: str) -> str:
        """A value that is a name or address as a whole, or a text."""
        address = _ADDRESS.fullmatch(value.strip())
        person = (self.person_at(value) if address else None) or self.person(value)
        if person is None and not address:
            person = self.person(f"login:{value}")
        if person is not None:
            return address_of(person) if address else person
        return self.text(value)

    def text(self, text: str) -> str:
        """A text without the addresses and names of purged people, who are shown by pseudonym.

        In a trailer the name before an address goes with it, whatever it is. Logins go where they
        are mentioned (``@jane``, ``from jane/branch``); a word of prose stays.
        """
        if not self.people or not text:
            return text
        if "@" in text:
            text = _joined(text, self._addresses(text))
        if self.words:
            text = _joined(text, self._names(text))
        return _MENTION.sub(self._mention, text)

    def json(self, text: str) -> str:
        """A JSON document of which every text may be a name; numbers stay as they are written."""
        return _QUOTED.sub(self._quoted, text) if self.people else text

    def _addresses(self, text: str) -> Iterator[tuple[int, int, str]]:
        for match in _ADDRESS.finditer(text):
            address = match[0].rstrip(".!?")
            person = self.person_at(address)
            if person is None:
                continue
            begin = match.start()
            if text[begin - 1 : begin] == "<":
                line = max(
                    text.rfind(each, max(0, begin - LONGEST_NAME), begin) for each in '\n"\\'
                )
                line += 1 + (text[line : line + 1] == "\\" and text[line + 1] in "nrtbf")
                trailer = _TRAILER.fullmatch(text, line, begin - 1)
                if trailer and trailer["name"].strip():
                    yield trailer.start("name"), begin - 1, f"{person} "
            yield begin, begin + len(address), address_of(person)

    def _names(self, text: str) -> Iterator[tuple[int, int, str]]:
        words = list(_WORD.finditer(text))
        free = 0
        for place, word in enumerate(words):
            if word.start() < free:
                continue
            for count in sorted(self.words, reverse=True):
                last = words[place + count - 1] if place + count <= len(words) else None
                if last is None or last.end() - word.start() > LONGEST_NAME:
                    continue
                ends = {last.end(), last.start() + len(last[0].rstrip(".!?"))}
                found = next(
                    (
                        (end, person)
                        for end in sorted(ends, reverse=True)
                        if (person := self.person(text[word.start() : end])) is not None
                    ),
                    None,
                )
                if found:
                    free = found[0]
                    yield word.start(), *found
                    break

    def _mention(self, match: re.Match[str]) -> str:
        login = match["login"]
        person = self.person(f"login:{login}")
        return match[0] if person is None else match[0].removesuffix(login) + person

    def _quoted(self, match: re.Match[str]) -> str:
        try:
            value: str = json.loads(match[0], strict=False)
        except ValueError:
            return self.text(match[0])
        shown = self.alone(value)
        return match[0] if shown == value else json.dumps(shown, ensure_ascii=False)


def _joined(text: str, replaced: Iterable[tuple[int, int, str]]) -> str:
    """The text with other words in these places, which follow one another."""
    parts: list[str] = []
    done = 0
    for begin, end, instead in replaced:
        if begin < done:
            continue
        parts += [text[done:begin], instead]
        done = end
    return "".join([*parts, text[done:]]) if parts else text


def words_of(name: str) -> int:
    """Of how many words a name is that is looked for in texts; 0 where it is not."""
    count = len(plain(name).split())
    return count if FEWEST_WORDS <= count <= MOST_WORDS and ":" not in name else 0


def of_names(names: Iterable[str], person: str) -> Purged:
    """A list of one person that nothing is remembered of."""
    names = tuple(names)
    empty = Purged(secrets.token_bytes(KEY_BYTES))
    people = {empty.hash_of(name): person for name in names}
    return Purged(empty.key, people, frozenset(map(words_of, names)) - {0})


def is_pseudonym(name: str) -> bool:
    return _TOKEN.fullmatch(name.removesuffix(f"@{DOMAIN}")) is not None


@lru_cache(maxsize=1)
def nobody() -> Purged:
    """The list of a store from which nobody was purged."""
    return Purged(b"")
