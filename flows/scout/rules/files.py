"""Files: what their names and their first bytes say."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from flows.scout.records import Entity

BYTE_ORDER_MARK = "\ufeff"
LONGEST_FILENAME = 500
# Signs, dashes and spaces beyond ASCII, which the others are, say nothing of an alphabet.
SIGNS_AND_LETTERS = bytes(range(0xA1, 0x100))
SEVERAL_LETTERS = re.compile(rb"(?=[\xa1-\xbf]*[\xc0-\xff])[\xa1-\xff]{3,}")
# Two letters of Shift-JIS that begin with what is rare, or nothing, in Western encodings.
TWO_OF_SHIFT_JIS = re.compile(rb"(?:[\x81-\x83\x88\x8d\x8f\x90\x98\x9d][\x40-\x7e\x80-\xfc]){2,}")
# Where Polish has letters in windows-1250 and ISO 8859-2, Western encodings have signs, which do
# not stand within words.
SIGNS_WITHIN_WORDS = re.compile(
    rb"(?<=[A-Za-z\xc0-\xff\xb1\xb3\xb6\xb9\xbc\xbf])[\xb1\xb3\xb6\xb9\xbc\xbf]"
    rb"(?=[a-z\xdf-\xff\xb1\xb3\xb6\xb9\xbc\xbf])"
    rb"|(?<=[A-Z\xc0-\xde\xa1\xa3\xa5\xa6\xac\xaf])[\xa1\xa3\xa5\xa6\xac\xaf]"
    rb"(?=[A-Z\xc0-\xde\xa1\xa3\xa5\xa6\xac\xaf])"
)
# In windows-1250 and ISO 8859-2 Czech, Slovak, Slovene and Croatian have carons and rings where
# Western encodings have a grave accent or ø, Hungarian has double accents where these have õ and û.
# No Western language has in one word with one of them what NEVER_WESTERN names.
WORDS = re.compile(rb"[A-Za-z\x8a\x8d\x8e\x9a\x9d\x9e\xc0-\xff]+")
OF_CENTRAL_EUROPE = re.compile(
    rb"[\xc8\xcc\xcf\xd2\xd5\xd8\xd9\xdb\xe8\xec\xef\xf2\xf5\xf8\xf9\xfb]"
)
NEVER_WESTERN = re.compile(
    rb"(?=.*[A-Za-z])(?:(?=.*[\xc8\xcc\xcf\xd2\xd9\xe8\xec\xef\xf2\xf9])"
    rb".*[\x8a\x8d\x8e\x9a\x9d\x9e\xc1\xcd\xd8\xda\xdd\xe1\xed\xf8\xfa\xfd]"
    rb"|(?=.*[\xd5\xf5]).*[\xc1\xc9\xcd\xd3\xda\xe1\xe9\xed\xf3\xfa]"
    rb"|(?=.*[\xdb\xfb]).*[\xc1\xcd\xd3\xda\xe1\xed\xf3\xfa])",
    re.DOTALL,
)
# Where the two encodings differ: s, t and z with a caron.
ONLY_1250 = re.compile(rb"[\x8a\x8d\x8e\x9a\x9d\x9e]")
ONLY_8859_2 = re.compile(rb"(?<=[A-Za-z\xc0-\xff])[\xa9\xab\xae\xb9\xbb\xbe](?=[A-Za-z\xc0-\xff])")
# In windows-1254 and ISO 8859-9 Turkish has letters of its own where Western encodings have eth,
# thorn and y with an acute accent. Icelandic and Faroese have these beside many an acute accent.
OF_TURKEY = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
NEVER_ICELANDIC = re.compile(
    rb"(?<=[a-z\xe0-\xff])\xfe(?![a-z\xe0-\xff])|\xfe[bcdfghklmnpqstxz]|\xf0\xfd|\xfd\xfe"
    rb"|(?<=[A-Z\xc0-\xde])\xde(?![A-Z\xc0-\xde])|\xde[BCDFGHKLMNPQSTXZ]|\xd0I|I\xde"
)
OF_ICELAND = re.compile(rb"[\xc1\xc6\xc9\xcd\xd3\xd8\xda\xe1\xe6\xe9\xed\xf3\xf8\xfa]")
FEWEST_WORDS = 3
FEWEST_LETTERS_OF_TURKEY = 3
UNKNOWN_ENCODING = "unknown"
FEWEST_SIGNS = 3
FEWEST_LETTERS = 8
PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz"})
READABLE_SUFFIXES = PACKED_SUFFIXES | frozenset(
    {".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".zip"}
)
READABLE = "CSV, JSON or an .xlsx workbook"
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
NUMBER = re.compile(r"(\d+)")
# Of a folder, S3, Azure, Google Cloud Storage and others, as fsspec gives their answers on.
MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


def entity_of(filename: str) -> Entity:
    return Entity.PRODUCT if "product" in PurePath(filename).name.lower() else Entity.TRANSACTION


def entity_of_kind(kind: str) -> Entity:
    """What a delivery of this kind to Scout holds."""
    return Entity(kind.removesuffix("s"))


def is_readable(filename: str) -> bool:
    path = PurePath(filename)
    return path.suffix.lower() in READABLE_SUFFIXES and not path.name.startswith((".", "~"))


def is_json(filename: str) -> bool:
    path = PurePath(filename)
    if path.suffix.lower() in PACKED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix.lower() in JSON_SUFFIXES


def decide_encoding(start: bytes, valid: int, invalid: int, fallback: str) -> str:
    """The encoding of a file.

    Args:
        start: its first bytes, which may hold a byte order mark.
        valid: non-ASCII characters found when reading it as UTF-8.
        invalid: bytes found on the way that are no UTF-8.
        fallback: what a file is that is not mostly UTF-8.
    """
    if start.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "utf-32"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    # Without a mark, the bytes that Latin letters leave empty tell; those behind the text do not.
    start = start.rstrip(b"\0")
    if start[1::2].count(0) > len(start) * 0.4:
        return "utf-16-le"
    if start[0::2].count(0) > len(start) * 0.4:
        return "utf-16-be"
    return fallback if invalid > valid else "utf-8-sig"


def encoding_by_letters(sample: bytes, western: str) -> str:
    """The encoding of letters that are no UTF-8 and may be Western ones.

    Args:
        sample: those letters, with what stands beside them.
        western: what they are if nothing speaks against it.

    Returns:
        ``unknown`` where they look like others, and too little tells which.
    """
    words = WORDS.findall(sample)
    marked = sum(1 for word in words if OF_CENTRAL_EUROPE.search(word))
    central = sum(1 for word in words if NEVER_WESTERN.match(word))
    if central and central >= 0.2 * marked:
        is_1250, is_8859_2 = ONLY_1250.search(sample), ONLY_8859_2.search(sample)
        if central < FEWEST_WORDS or (is_1250 and is_8859_2):
            return UNKNOWN_ENCODING
        return "iso8859-2" if is_8859_2 else "cp1250"
    if is_of_other_letters(sample):
        return UNKNOWN_ENCODING
    turkish = len(OF_TURKEY.findall(sample))
    if turkish < FEWEST_LETTERS_OF_TURKEY or turkish < 4 * len(OF_ICELAND.findall(sample)):
        return western
    return "cp1254" if NEVER_ICELANDIC.search(sample) else UNKNOWN_ENCODING


def is_of_other_letters(sample: bytes) -> bool:
    """Whether bytes that are no UTF-8 are hardly of a Western encoding either.

    Letters of another alphabet stand in a row, where Western ones beyond ASCII are one or two
    together, as in `ção`; of the first bytes of Shift-JIS some are no letters, others rare signs;
    Polish read as Western has signs within words, as in `Za¿ó³æ`.
    """
    beyond = len(sample) - len(sample.translate(None, SIGNS_AND_LETTERS))
    together = sum(map(len, SEVERAL_LETTERS.findall(sample)))
    if together >= FEWEST_LETTERS and together > 0.6 * beyond:
        return True
    signs = len(SIGNS_WITHIN_WORDS.findall(sample))
    if signs >= FEWEST_SIGNS and signs > 0.1 * beyond:
        return True
    paired = sum(map(len, TWO_OF_SHIFT_JIS.findall(sample)))
    return paired >= FEWEST_LETTERS and paired > beyond


def storable_name(name: str) -> str:
    """A file's name as a table, a task and a page can hold it: its beginning and its end.

    What is no text in it, and what breaks lines, is written as ``\\xNN`` or ``\\uNNNN``.
    """
    plain = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )
    if len(plain) <= LONGEST_FILENAME:
        return plain
    return f"{plain[: LONGEST_FILENAME - 103]}...{plain[-100:]}"


def shown(name: str) -> str:
    """A name that others gave, on one line and not endless."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= 200 else f"{plain[:200]}..."


def natural(name: str) -> tuple[str | int, ...]:
    """An order of names in which ``sales-9`` stands before ``sales-10``."""
    parts = NUMBER.split(name)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts))


def modified_second(entry: Mapping[str, Any]) -> int:
    """When a file was changed, in seconds since 1970; 0 where its store does not tell.

    A whole second: copies of several files have an order in it that nobody meant.
    """
    told = next((entry[each] for each in MODIFIED if entry.get(each) is not None), None)
    if isinstance(told, str):
        try:
            told = datetime.fromisoformat(told)
        except ValueError:
            return 0
    if isinstance(told, datetime):
        # What lacks a zone is of the same store as the others.
        told = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return int(told) if isinstance(told, int | float) else 0


def place_of(address: str) -> str:
    """Stands for an address, which may name people."""
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
