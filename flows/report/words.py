"""How values are written for people, and in files for other programs."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from flows._shared.counted import counted
from flows._shared.markdown import UNSEEN

MOST_CHARACTERS = 300
MOST_OF_LONG = 1500
# Spreadsheets take a cell that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Of several names, after a space or what opens a quotation: no address, none within a folder.
PATH = re.compile(
    r"""(?<![^\s"'`(=,])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\"'`(),]+[/\\])+(?=[^\s/\\"'`(),])"""
)
# What another program may take for the end of a cell, and such a beginning behind it.
FORMULA_BEHIND = re.compile(r"""([;\n][\s"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])""")
ABSENT = "–"
SPACE = "\u00a0"
# Of shares in percent, and the least that is told of one.
FINEST_DIGITS, LEAST = 2, 0.01
CLOSE = 1e-12


def text(value: Any) -> str:
    """Any value as plain text of a bounded length."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return f"{moment:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal):
        return number(value)
    plain = visible(str(value))
    return plain if len(plain) <= MOST_CHARACTERS else f"{_beginning(plain, MOST_CHARACTERS)} …"


def long(value: str) -> str:
    """A text of which the beginning and the end matter, such as a reason with its remedy."""
    plain = visible(value)
    if len(plain) <= MOST_OF_LONG:
        return plain
    end = _beginning(plain[::-1], MOST_OF_LONG // 3)[::-1]
    return f"{_beginning(plain, MOST_OF_LONG - len(end))} … {end}"


def brief(value: str) -> str:
    """Of a text of several lines the first, and the first of what it goes on with."""
    lines = [line.strip() for line in value.splitlines() if line.strip()]
    told = text(": ".join(line.rstrip(":") for line in lines[:2]))
    return told if len(lines) <= 2 or told.endswith("…") else f"{told} …"


def rest(value: object) -> str:
    """The whole of a text of which `brief` leaves something out, else nothing."""
    return long(value) if isinstance(value, str) and brief(value).endswith("…") else ""


def without_paths(value: str) -> str:
    """A text in which absolute paths of a machine are told by their last name."""
    return PATH.sub("…/", value)


def _beginning(plain: str, most: int) -> str:
    """As many whole words as fit; of one that is too long by itself, a part."""
    cut = plain[: most - 1]
    whole = cut.rsplit(maxsplit=1)[0] if re.search(r"\S\s+\S", cut) else cut
    return whole if len(whole) >= most // 2 else cut


def spoken(code: Any) -> str:
    """A name that programs give to a kind, as words: ``missing_vendor`` is missing vendor."""
    return text(code).replace("_", " ").strip()


def visible(value: str) -> str:
    """A text in which nothing acts unseen."""
    return UNSEEN.sub("\ufffd", value)


def number(value: Any, digits: int | None = None) -> str:
    """With separators of thousands; whole numbers without decimals."""
    known = finite(value)
    if known is None:
        return ABSENT
    if digits is None:
        digits = 0 if known == int(known) or abs(known) >= 1000 else 2
    return f"{known:,.{digits}f}"


def percent(value: Any, digits: int = 1) -> str:
    """A share of 0 to 1 in percent: 100 only of all, 0 only of nothing, however little is missing.

    Args:
        digits: behind the point, and more where these would round to one of the two.
    """
    known = finite(value)
    if known is None:
        return ABSENT
    told = f"{known * 100:,.{digits}f}"
    if told.lstrip("-") not in (f"{0:.{digits}f}", f"{100:.{digits}f}") or _is_whole(known):
        return f"{told}{SPACE}%"
    if digits < FINEST_DIGITS:
        return percent(value, digits + 1)
    return f"{'<' if known < 0.5 else '>'}{SPACE}{LEAST if known < 0.5 else 100 - LEAST}{SPACE}%"


def _is_whole(share: float) -> bool:
    """Whether it is no part between none and all; sums of floats end close by one of the two."""
    return not (CLOSE < share < 1 - CLOSE)


def signed(value: Any, digits: int = 1, unit: str = "") -> str:
    known = finite(value)
    return ABSENT if known is None else f"{known:+,.{digits}f}{unit}"


def money(value: Any, currency: str = "$") -> str:
    known = finite(value)
    if known is None:
        return ABSENT
    sign = "-" if known < 0 else ""
    return f"{sign}{currency}{abs(known):,.2f}"


def days_ago(days: Any) -> str:
    """How long ago a day is: of the present one no hours are known."""
    known = finite(days)
    if known is None:
        return ABSENT
    return "today" if known < 1 else f"{count(int(known), 'day')} ago"


def duration(seconds: Any) -> str:
    known = finite(seconds)
    if known is None:
        return ABSENT
    if known < 60:
        return f"{known:.1f}{SPACE}s"
    if known < 3600:
        return f"{known / 60:.1f}{SPACE}min"
    if known < 172_800:
        return f"{known / 3600:.1f}{SPACE}h"
    return f"{known / 86_400:,.0f}{SPACE}days"


def finite(value: Any) -> float | None:
    """The number, None for what is none."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    known = float(value)
    return known if math.isfinite(known) else None


def count(many: int, one: str, more: str | None = None) -> str:
    """``3 repositories``."""
    return counted(many, one, more)


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def first(items: Sequence[str], most: int, many: int | None = None) -> str:
    """The first of a list that is not empty, and how many more there are.

    Args:
        many: how many there are in all, where the list is not of all.
    """
    told = items[:most]
    rest = (len(items) if many is None else many) - len(told)
    return listed([*told, f"{rest:,} more"] if rest > 0 else told)


def written(value: Any, kind: str) -> str:
    """A value of a table by the kind of its column."""
    if kind == "percent":
        return percent(value)
    if kind == "points":
        return signed(value * 100, 1, f"{SPACE}pp") if finite(value) is not None else ABSENT
    if kind == "growth":
        return signed(value, 1, f"{SPACE}%")
    if kind == "money":
        return money(value)
    if kind == "amount":
        return number(value, 2)
    if kind == "seconds":
        return duration(value)
    if kind == "days ago":
        return days_ago(value)
    if kind == "code":
        return spoken(value)
    if kind == "long" and isinstance(value, str):
        return long(value)
    if kind == "folded" and isinstance(value, str):
        return brief(value)
    if kind == "move":
        return moved(value)
    return text(value)


def moved(value: Any) -> str:
    """Places gained or lost."""
    if value == "new":
        return "new"
    known = finite(value)
    if known is None:
        return ABSENT
    return "unchanged" if known == 0 else f"{'▲' if known > 0 else '▼'}{SPACE}{abs(known):.0f}"


def sort_key(value: Any) -> str:
    """What a script sorts by: numbers as they are, all else as text."""
    known = finite(value)
    return repr(known) if known is not None else "" if value is None else text(value)


def cell(value: Any) -> str:
    """A value of a CSV file, which no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    plain = FORMULA_BEHIND.sub(r"\1'", visible(str(value)))
    return f"'{plain}" if plain.lstrip(" ").startswith(FORMULA) else plain
