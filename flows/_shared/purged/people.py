"""Who was purged, by keyed hashes of their names, and texts in which they are shown."""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from flows._shared.purged.documents import is_document, shown_document
from flows._shared.purged.spelling import (
    HYPHENS,
    LONGEST_NAME,
    WORD,
    first_word,
    flat,
    is_generic,
    listed,
    plain,
    runs,
    words_in,
)
from flows._shared.purged.texts import (
    ALONE,
    BESIDE_DOMAIN,
    BESIDE_LOCAL,
    MENTIONS,
    NOREPLY,
    OWNER,
    PAGES,
    PICTURE,
    SIGNATURE,
    address_behind,
    addresses,
    is_somebodys,
    joined,
    name_before,
)

DOMAIN = "purged.invalid"
KEY_BYTES = 32
_TOKEN = re.compile(r"purged-[0-9a-f]{12}")
# Documents within texts of documents.
_MOST_NESTED = 4
# An identifier that nobody writes by chance, whatever it is called.
_PARTICULAR = re.compile(r"(?=[\w-]*[0-9])[\w-]{16,}")
_MOST_KNOWN = 100_000


@dataclass(frozen=True)
class Person:
    """By what somebody is known who is to be purged; what is known besides follows from it."""

    emails: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def also(self, names: Iterable[str]) -> "Person":
        """The same with names that a store found; what anybody is called elsewhere stays there."""
        names = frozenset(
            each for each in names if "@" in each or not is_generic(each.partition(":")[2] or each)
        )
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


def is_pseudonym(name: str) -> bool:
    return _TOKEN.fullmatch(name.removesuffix(f"@{DOMAIN}")) is not None


def pseudonym_in(text: str) -> str | None:
    """The first pseudonym that a text shows."""
    match = _TOKEN.search(text)
    return match and match[0]


def of_address(address: str) -> str:
    return f"email:{plain(address)}"


class _Known(dict[str, str | None]):
    """What was asked before: texts of one store hold the same few names over and over."""

    def __init__(self, ask: Callable[[str], str | None]) -> None:
        self._ask = ask

    def __missing__(self, name: str) -> str | None:
        if len(name) > LONGEST_NAME:
            return None
        if len(self) >= _MOST_KNOWN:
            self.clear()
        answer = self[name] = self._ask(name)
        return answer


@dataclass(frozen=True)
class Purged:
    """Who was purged from one store.

    Args:
        key: of the hashes.
        people: the pseudonym of each, by the hash of each of their names.
        words: of how many words the names are that may stand in a text.
        name_of: the name that an address stands for, where that is not the address.
        beginnings: what `beginning_of` says of the first words of these names, by which most of
            a text is passed over; None where that is not known of all.
    """

    key: bytes
    people: Mapping[bytes, str] = field(default_factory=dict)
    words: frozenset[int] = frozenset()
    name_of: Callable[[str], str] = of_address
    beginnings: frozenset[int] | None = None
    _at: _Known = field(init=False, repr=False, compare=False)
    _called: _Known = field(init=False, repr=False, compare=False)
    _begins: _Known = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_at", _Known(self._person_at))
        object.__setattr__(self, "_called", _Known(lambda login: self.person(f"login:{login}")))
        object.__setattr__(self, "_begins", _Known(self._begins_name))

    def __bool__(self) -> bool:
        return bool(self.people)

    def hash_of(self, name: str) -> bytes:
        return hmac.digest(self.key, plain(name).encode("utf-8", "surrogatepass"), "sha256")

    def _exact(self, text: str) -> str:
        """Tells keys apart that are one name, such as by their capital letters."""
        return hmac.digest(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:8]

    def beginning_of(self, name: str) -> int:
        """Two bytes that the first word of a name leaves of it: too few to tell which it was."""
        return int.from_bytes(self.hash_of(f"begins:{first_word(plain(name))}")[:2])

    def person(self, name: str) -> str | None:
        """The pseudonym of whose name it is."""
        if not self.people or len(name) > LONGEST_NAME:
            return None
        return self.people.get(self.hash_of(name))

    def person_at(self, address: str) -> str | None:
        """The pseudonym of whose address it is."""
        return self._at[address]

    def _person_at(self, address: str) -> str | None:
        person = self.person(self.name_of(address)) or self.person(of_address(address))
        if person is None and self.name_of is of_address and (named := NOREPLY.fullmatch(address)):
            if named["account"]:
                person = self.person(f"account:{int(named['account'])}")
            # Whose number is known is not whoever has the login later.
            if not (named["account"] and self.person(f"numbered:{named['login']}")):
                person = person or self._called[named["login"]]
        return person

    def _begins_name(self, word: str) -> str | None:
        is_known = self.beginnings is None or self.beginning_of(word) in self.beginnings
        return word if is_known else None

    def alone(self, value: str) -> str:
        """A value that is a name or address as a whole, or a text."""
        if not self.people or not value:
            return value
        address = ALONE.fullmatch(value.strip())
        person = (self.person_at(value.strip()) if address else None) or self.person(value)
        if person is None and not address:
            person = self._called[value]
        if person is not None:
            return address_of(person) if address else person
        if signature := SIGNATURE.fullmatch(value):
            name = self.signed(signature["name"], signature["address"])
            if name != signature["name"]:
                value = joined(value, [(*signature.span("name"), name)])
            elif not is_pseudonym(self.alone(signature["address"])):
                return value
        return self.text(value)

    def signed(self, name: str, address: str) -> str:
        """The name of a signature: of who shows another's address it is another's name."""
        shown = self.alone(address.strip())
        if is_pseudonym(shown):
            return shown.partition("@")[0]
        if is_somebodys(shown):
            return joined(name, self._addresses(name))
        return self.alone(name)

    def text(self, text: str) -> str:
        """A text without the addresses and names of purged people, who are shown by pseudonym.

        In a trailer the name before an address goes with it, whatever it is; a name that stands
        directly before the address of somebody else is theirs and stays. Logins go where they are
        mentioned (``@jane``, ``from jane/branch``, ``github.com/jane``); a word of prose stays.
        """
        if not self.people or not text:
            return text
        if "@" in text or "%40" in text:
            text = joined(text, self._addresses(text))
        for sign, mention in MENTIONS:
            if sign in text:
                text = mention.sub(self._mention, text)
        if ".github.io" in text:
            text = PAGES.sub(self._mention, text)
        if "usercontent.com/u/" in text:
            text = PICTURE.sub(self._picture, text)
        return joined(text, self._names(text)) if self.words else text

    def json(self, text: str) -> str:
        """A JSON document without them; what else it holds stays as it is written.

        Where a key tells that a value names somebody, a word may be a name, too. Elsewhere a value
        is a text. Of keys the addresses and names go; two of a person stay two. The object that
        holds a purged login loses the number of the account.
        """
        return self._document(text, _MOST_NESTED) if self.people else text

    def piece(self, text: str) -> str:
        """A text that may be a document, or a part of one, without them."""
        shown = self.json(text)
        return shown if is_document(shown) else self.text(shown)

    def _document(self, text: str, nested: int) -> str:
        def value_of(value: str, is_named: bool, is_owned: bool) -> str:
            if is_owned and (owner := OWNER.match(value)):
                value = joined(value, [(*owner.span(), self._mention(owner))])
            if nested and value.lstrip()[:1] in ("{", "["):
                value = self._document(value, nested - 1)
                if is_document(value):
                    return value
            is_whole = is_named or _PARTICULAR.fullmatch(value)
            return self.alone(value) if is_whole else self.text(value)

        def key_of(key: str) -> str:
            shown = self.text(key)
            return shown if shown == key else f"{shown}/{self._exact(key)}"

        return shown_document(text, value_of, key_of, lambda login: bool(self._called[login]))

    def _addresses(self, text: str) -> Iterator[tuple[int, int, str]]:
        for begin, end, local, domain in addresses(text):
            named = domain.rstrip(BESIDE_DOMAIN)
            markup = len(local) - len(local.lstrip(BESIDE_LOCAL))
            for beside in sorted({0, markup}):
                person = self._at[f"{local[beside:]}@{named}"]
                if person is not None:
                    if place := name_before(text, begin + beside):
                        yield *place, f"{person} "
                    yield begin + beside, end - len(domain) + len(named), address_of(person)
                    break

    def _names(self, text: str) -> Iterator[tuple[int, int, str]]:
        spaced, begins = flat(text), self._begins
        if not any(map(begins.__getitem__, words_in(spaced))):
            return
        words, most, free = list(WORD.finditer(spaced)), max(self.words), 0
        for place, word in enumerate(words):
            if word.start() < free or not begins[word[0]]:
                continue
            found = None
            for count, end, spelled in runs(spaced, words, place, most):
                if count in self.words and (person := self.person(spelled)):
                    is_listed = "," in spelled and _is_in_a_list(spaced, word.start(), end)
                    found = found if is_listed else (end, person)
            if found and not self._is_anothers(text, found[0]):
                free = found[0]
                yield word.start(), *found

    def _is_anothers(self, text: str, end: int) -> bool:
        if text[end : end + 1] in HYPHENS and text[end + 1 : end + 2].isupper():
            return True
        address = address_behind(text, end)
        return address is not None and not is_pseudonym(address.removeprefix("@").rstrip(".,;"))

    def _mention(self, match: re.Match[str]) -> str:
        person = self._called[match["login"]]
        return match[0] if person is None else match[0].removesuffix(match["login"]) + person

    def _picture(self, match: re.Match[str]) -> str:
        return self.person(f"account:{match['account']}") or match[0]


def _is_in_a_list(text: str, begin: int, end: int) -> bool:
    """Whether the last and the first name are those of two people: John Doe, Jane Smith."""
    before, behind = text[max(0, begin - LONGEST_NAME) : begin], text[end : end + LONGEST_NAME]
    *_, former = before.split(" ")[:-1] or [""]
    follows = before[-1:] == " " and former[:1].isupper() and former.isalpha()
    return follows or (behind[:1] == " " and behind[1:2].isupper())


def entries(purged: Purged, names: Iterable[str]) -> list[tuple[bytes, int, int | None]]:
    """What is remembered of names: hash, words and beginning of each spelling."""
    return [
        (purged.hash_of(name), words, purged.beginning_of(name) if words else None)
        for name, words in sorted(listed(names).items())
    ]


def remembered(
    key: bytes,
    rows: Iterable[tuple[bytes, int, int | None, str]],
    name_of: Callable[[str], str] = of_address,
) -> Purged:
    """The list out of what a store kept: hash, words, beginning and pseudonym of each name."""
    rows = list(rows)
    searched = [(words, beginning) for _, words, beginning, _ in rows if words]
    beginnings = frozenset(beginning for _, beginning in searched if beginning is not None)
    is_known = all(beginning is not None for _, beginning in searched)
    return Purged(
        key,
        {bytes(name_hash): person for name_hash, _, _, person in rows},
        frozenset(words for words, _ in searched),
        name_of,
        beginnings if is_known else None,
    )


def of_names(names: Iterable[str], person: str) -> Purged:
    """A list of one person that nothing is remembered of."""
    empty = Purged(secrets.token_bytes(KEY_BYTES))
    return remembered(empty.key, [(*entry, person) for entry in entries(empty, names)])


@lru_cache(maxsize=1)
def nobody() -> Purged:
    """The list of a store from which nobody was purged."""
    return Purged(b"")
