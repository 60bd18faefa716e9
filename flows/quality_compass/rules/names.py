"""Names and ids in what a run wrote: what may be one, and how it is shown to people."""

import re
import unicodedata

from flows.quality_compass.records import Json
from flows.quality_compass.rules.json_lines import UnusableLineError

# What marts are indexed by; an index of PostgreSQL takes 2,704 bytes.
LONGEST_NAME = 512
# Format and control characters, separators other than the space, what no standard assigned.
INVISIBLE = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
COUNT_AS_TEXT = re.compile(r"[0-9]{1,15}(\.0+)?")


def text_of(parent: Json, field: str) -> str:
    value = parent.get(field)
    if not isinstance(value, str) or not value:
        raise UnusableLineError(f"{field} is {value!r}, not a text")
    return value


def visible_text_of(parent: Json, field: str) -> str:
    value = text_of(parent, field)
    refuse_invisible(field, value)
    return value


def name_of(parent: Json, field: str) -> str:
    return checked_name(field, text_of(parent, field))


def checked_name(what: str, name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise UnusableLineError(
            f"{what} {name[:30]!a}... is {len(name)} characters long, more than {LONGEST_NAME}"
        )
    refuse_invisible(what, name)
    return name


def refuse_invisible(what: str, text: str) -> None:
    """Two that look alike would be two for all time, and nobody would see why."""
    if any(_is_unseen(each) for each in text):
        raise UnusableLineError(f"{what} holds a character that cannot be seen: {text[:60]!a}")
    if text != text.strip():
        raise UnusableLineError(f"{what} begins or ends with a blank: {text[:60]!a}")


def shown(text: str) -> str:
    """The text for people: a character that cannot be seen stands as its number."""
    return "".join(
        each.encode("unicode_escape").decode() if _is_unseen(each) else each for each in text
    )


def refuse_other_run(content: Json, run_id: str) -> None:
    """For what says of which run it is: nothing, or null, says nothing. An id may be a number."""
    told = content.get("run_id")
    if told is None or told == run_id:
        return
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        raise UnusableLineError(f"its run_id is {str(told)[:30]!a}, no id of a run")
    if isinstance(told, str) or told != int(run_id):
        seen = f"{told:.0f}" if isinstance(told, float) else str(told)
        raise UnusableLineError(f"it is of the run {seen[:30]!a}")


def count_of(content: Json, field: str) -> object:
    """A count as a number, though it be written as text; what is none stays as it stands, so that
    it differs from every count and is told."""
    count = content.get(field)
    if isinstance(count, str) and COUNT_AS_TEXT.fullmatch(count):
        return int(float(count))
    return str(count) if isinstance(count, bool) else count


def _is_unseen(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    category = unicodedata.category(character)
    return category in INVISIBLE or category == "Zs"
