"""Columns and keys: how the things that payloads tell are named, whatever wrote them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from flows.scout.rules.files import shown

DELIMITERS = ",;\t|"
KNOWN_COLUMNS = frozenset(
    {
        *("transaction_id", "date", "amount", "currency", "category", "subcategory"),
        *("vendor_name", "vendor_id", "tax_code", "tax_amount", "description", "receipt_url"),
        *("payment_method", "employee_id", "cost_center", "project_code"),
        *("sku", "name", "brand", "price", "cost", "stock_quantity", "unit_of_measure"),
        *("barcode", "is_active"),
    }
)
# Each names one transaction or product.
IDENTIFIERS = frozenset({"transaction_id", "sku"})
# A header is looked for in so many rows; above it stand titles and the like.
LINES_BEFORE_HEADER = 30
UNKNOWN_HEADER = "it names no known column and may be a row like the others"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BETWEEN_WORDS = re.compile(r"[\s_\-\u2010-\u2015\u2212]+")
_NO_TITLE = re.compile(r"(?=.*\d)(?!(?:1[89]|20)\d\d$)[-+\d.,:/ ₱$€£]+")


def choose_delimiter(start: str, header: str) -> str:
    """The delimiter that occurs most often in the header outside quotes; a comma when none does.

    Args:
        start: the header and some lines behind it, on which a quoted cell of it may end.
        header: its first line.
    """
    bare = re.sub(r'"[^"]*"', "", header)
    if bare.count('"') % 2:
        bare = re.sub(r'"[^"]*"', "", start).split("\n", 1)[0]
    return max(DELIMITERS, key=bare.count)


def name_columns(header: Sequence[str]) -> tuple[str, ...]:
    """Keys of the payloads: ``Transaction ID`` becomes ``transaction_id``, doubles get a number."""
    names: dict[str, None] = {}
    copies: dict[str, int] = {}
    for position, title in enumerate(header, start=1):
        name = plain = plain_name(title) or f"column_{position}"
        while name in names:
            copies[plain] = copies.get(plain, 1) + 1
            name = f"{plain}_{copies[plain]}"
        names[name] = None
    return tuple(names)


def plain_name(title: str) -> str:
    """``Transaction ID``, ``transaction-id`` and the same in wide letters are ``transaction_id``.

    Letters have their plain form (NFKC) and are small; marks that nobody sees, such as a byte order
    mark, go; spaces, dashes and underscores side by side are one underscore. A byte that is no text
    in the encoding of the file is the replacement character.
    """
    if not title.isascii():
        plain = unicodedata.normalize("NFKC", _SURROGATE.sub("\ufffd", title))
        title = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    return _BETWEEN_WORDS.sub("_", title.strip()).lower()


@lru_cache(maxsize=1024)
def are_plain(names: tuple[str, ...]) -> bool:
    """Whether names are those that ``name_columns`` gives them. Only for short ones: it is kept."""
    return name_columns(names) == names


def differing(doubled: Mapping[str, Sequence[int]], values: Sequence[str]) -> str | None:
    """The column for which a row gives two values.

    Args:
        doubled: where the values of each column are that stands there more than once.
        values: as text; blank where nothing is said.
    """
    for column, positions in doubled.items():
        first, *others = (values[position].strip() for position in positions)
        if any(other and other != first for other in others):
            return column
    return None


def why_unclear(column: str) -> tuple[str, str]:
    """Why a row is none in which a column stands twice, as (reason, detail)."""
    return "duplicate_name", f"{column} is there twice, with different values"


def doubled_columns(names: Sequence[str]) -> dict[str, list[int]]:
    """Where each known column stands that more than one of these names mean."""
    places: dict[str, list[int]] = {}
    for position, name in enumerate(map(plain_name, names)):
        if name in KNOWN_COLUMNS:
            places.setdefault(name, []).append(position)
    return {name: each for name, each in places.items() if len(each) > 1}


@dataclass(frozen=True)
class Header:
    """Where the names of the columns stand, and what is odd about that.

    ``is_made_up`` says that there are none: the row found there is one like the others.
    ``is_doubtful`` says that it may be one: the row is kept, whatever it is.
    ``doubled`` says where the known columns are that stand there more than once.
    """

    rows_before: int
    columns: tuple[str, ...]
    is_made_up: bool = False
    remark: str = ""
    is_doubtful: bool = False
    doubled: Mapping[str, Sequence[int]] = field(default_factory=dict)


def find_header(rows: Sequence[Sequence[str]]) -> Header | None:
    """The header among the first rows of a file; None without rows.

    It is the row that names the most known columns, the first of those that name as many; one below
    the first names two or more. Where none does, the first row may be titles, or one like the
    others: then the columns are numbered.
    """
    if not rows:
        return None
    known = [len(KNOWN_COLUMNS.intersection(map(plain_name, row))) for row in rows]
    position = known.index(max(known))
    if known[position] >= 2 or known[0]:
        above = f"the header is in row {position + 1}" if position else ""
        return _named(rows[position], position, above)
    said = shown(", ".join(cell.strip() for cell in rows[0]))
    if any(_NO_TITLE.fullmatch(cell.strip()) for cell in rows[0]):
        columns = tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
        return Header(
            0, columns, True, f"it has no header: the first row is one like the others ({said})"
        )
    return replace(_named(rows[0], 0, f"none of its columns is known: {said}"), is_doubtful=True)


def _named(titles: Sequence[str], position: int, *remarks: str) -> Header:
    doubled = doubled_columns(titles)
    listed = " or ".join(sorted(doubled))
    twice = f"rows that tell {listed} twice are quarantined where they differ" if doubled else ""
    said = "; ".join(filter(None, (*remarks, twice)))
    return Header(position, name_columns(titles), remark=said, doubled=doubled)
