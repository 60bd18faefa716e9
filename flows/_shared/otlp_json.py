"""OTLP's JSON, held against its messages: what of a request does not fit is found part by part.

A value of another type would cost its sender the whole request, as readers of protobuf's JSON take
all or nothing. Here it costs the record or data point that it stands in. The receiver asks the
same as the loader, so that it can say at once what will be put aside.
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from flows._shared.json_keys import Again
from flows._shared.numbers import NUMBER, WHOLE, number, whole_number
from flows._shared.otlp_plain import is_plain
from flows._shared.otlp_spelling import misspelled, renamed, respelled

Check = Callable[[Any], str | None]
# What holds records and points, from the request down to them; all else belongs to its holder.
BRANCHES = frozenset(
    (
        "resource_metrics", "resource_logs", "scope_metrics", "scope_logs", "metrics",
        "log_records", "sum", "gauge", "histogram", "exponential_histogram", "summary",
        "data_points",
    )
)  # fmt: skip
EXTENSION = re.compile(r"\[[a-zA-Z0-9._]*\]$")
# Readers of protobuf follow a hundred messages, which are more lists and objects than these.
DEEPEST = 120
# As protobuf's JSON spells what JSON has no numbers for.
SPELLED_OUT = frozenset(("NaN", "Infinity", "-Infinity", "inf", "-inf"))
# Of a request so many unfit parts are told one by one: more than exporters put into one.
MOST_TOLD = 10_000
HALF_LETTER = re.compile("[\ud800-\udfff]")
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}


@dataclass(frozen=True)
class Unfit:
    """A part of a request that does not fit, with all that it holds.

    Args:
        reason: names of fields at most, nothing that was sent.
        holders: the objects that it stands in, from the outside.
        leaves: how many records or points of data go with it, at least one.
        is_rest: whether it stands, without a part, for all further ones of this reason.
    """

    reason: str
    part: Any
    holders: tuple[Mapping[str, Any], ...]
    leaves: int
    is_rest: bool = False


@dataclass(frozen=True)
class _Field:
    json_name: str
    oneof: str | None
    is_branch: bool
    is_list: bool
    message: Descriptor | None
    check: Check


def sift(
    request: Mapping[str, Any],
    message: Descriptor,
    most: float = math.inf,
    *,
    may_double: bool = False,
) -> tuple[dict[str, Any], list[Unfit]]:
    """The request's own lists without what does not fit, and what that is.

    Args:
        most: so many parts are looked at, all behind them is taken for fitting.
        may_double: whether an object may have a key twice, as ``json_keys.keep_twice`` reads it.
    """
    named = renamed(request, message)
    own: dict[str, Any] = {}
    for described in message.fields:
        names = dict.fromkeys((described.json_name, described.name))
        told = [named[name] for name in names if name in named]
        if told:
            # By both names it is told in two parts.
            is_parted = len(told) > 1 and all(isinstance(each, list) for each in told)
            own[described.json_name] = [*chain(*told)] if is_parted else told[0]
    wrong = misspelled(named, message)
    if wrong is None and not may_double and is_plain(own, message):
        return own, []
    sieve = _Sieve(most)
    if wrong is not None:
        sieve.tell(_in_other_letters(wrong), request, (), 1)
    for field in (_fields(message)[each.name] for each in message.fields):
        found = own.get(field.json_name)
        if isinstance(found, list) and field.message:
            own[field.json_name] = sieve.listed(found, field.message, ())
    return own, [*sieve.told, *sieve.rest()]


class _Sieve:
    def __init__(self, most: float) -> None:
        self.told: list[Unfit] = []
        self._more: Counter[str] = Counter()
        self._left = most

    def tell(
        self, reason: str, part: Any, holders: tuple[Mapping[str, Any], ...], leaves: int
    ) -> None:
        if len(self.told) < MOST_TOLD:
            self.told.append(Unfit(reason, part, holders, leaves))
        else:
            self._more[reason] += leaves

    def rest(self) -> Iterator[Unfit]:
        for reason, leaves in self._more.items():
            yield Unfit(reason, None, (), leaves, is_rest=True)

    def listed(
        self, found: list[Any], message: Descriptor, holders: tuple[Mapping[str, Any], ...]
    ) -> list[Any]:
        kept = [self._part(each, message, holders) for each in found]
        if all(new is old for new, old in zip(kept, found, strict=True)):
            return found
        return [each for each in kept if each is not None]

    def _part(
        self, part: Any, message: Descriptor, holders: tuple[Mapping[str, Any], ...]
    ) -> Any | None:
        """The part as far as it fits, in the spelling of now; None where it does not."""
        self._left -= 1
        if self._left < 0:
            return part
        given = part
        if isinstance(part, Mapping):
            part = renamed(part, message)
        if reason := misfit(part, message):
            self.tell(reason, given, holders, max(1, _leaves(part, message)))
            return None
        for wrong in (misspelled([name], message) for name in part):
            if wrong is not None and _is_branch(wrong, message):
                self.tell(_in_other_letters(wrong), given, holders, 1)
                break
        changed = _spelled_values(part, message)
        for name, field in _branches(part, message):
            assert field.message is not None
            inner = (*holders, part)
            if field.is_list:
                kept: Any = self.listed(part[name], field.message, inner)
            else:
                kept = self._part(part[name], field.message, inner)
                if kept is None:
                    return None
            if kept is not part[name]:
                changed[name] = kept
        return {**part, **changed} if changed else part


def _spelled_values(part: Mapping[str, Any], message: Descriptor) -> dict[str, Any]:
    """What changes of a part apart from its branches, in the spelling of now."""
    own = {name: value for name, value in part.items() if not _is_branch(name, message)}
    spelled = respelled(own, message)
    return {name: value for name, value in spelled.items() if value is not own[name]}


def _branches(part: Mapping[str, Any], message: Descriptor) -> Iterator[tuple[str, _Field]]:
    fields = _fields(message)
    for name, value in part.items():
        field = fields.get(name)
        if field is not None and field.is_branch and value is not None:
            yield name, field


def _is_branch(name: str, message: Descriptor) -> bool:
    field = _fields(message).get(name)
    return field is not None and field.is_branch


def _nested_too_deep(part: Any, message: Descriptor) -> str | None:
    """Whether a part holds, apart from its branches, lists in lists that readers do not follow."""
    if not isinstance(part, Mapping):
        return None
    level = [value for name, value in part.items() if not _is_branch(name, message)]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, Mapping | list)
            for inner in (each.values() if isinstance(each, Mapping) else each)
        ]
        if not level:
            return None
    return "lists and maps nested too deep"


def _leaves(part: Any, message: Descriptor) -> int:
    """The records or points in a part, whatever else it holds."""
    if not isinstance(part, Mapping):
        return 0
    if not any(field.is_branch for field in _fields(message).values()):
        return 1
    total = 0
    for name, field in _branches(part, message):
        assert field.message is not None
        found = part[name]
        inner = found if field.is_list and isinstance(found, list) else [found]
        total += sum(_leaves(each, field.message) for each in inner)
    return total


def _in_other_letters(name: str) -> str:
    return f"`{name}` in other letters"


def misfit(part: Any, message: Descriptor) -> str | None:
    """Why a part is no such message, apart from what stands in its branches."""
    return _nested_too_deep(part, message) or _misfit(part, message)


def _misfit(holder: Any, message: Descriptor) -> str | None:
    """Why an object is no such message, apart from what stands in its branches."""
    if not isinstance(holder, Mapping):
        return f"a {message.name} that is no object"
    fields = _fields(message)
    chosen: set[str] = set()
    for name, value in holder.items():
        field = fields.get(name)
        if field is None:
            if isinstance(name, Again):
                return f"{f'`{name}`' if str(name) in fields else 'a key'} twice"
            if EXTENSION.match(name):
                return "a name in brackets"
            own_name = misspelled([name], message)
            if own_name and _is_missed(fields[own_name], message):
                return _in_other_letters(own_name)
            continue
        if name != field.json_name and field.json_name in holder:
            return f"`{field.json_name}` by two names"
        if value is None:
            continue
        if field.oneof is not None:
            if field.oneof in chosen:
                return f"two values for the {field.oneof} of a {message.name}"
            chosen.add(field.oneof)
        if reason := field.check(value):
            return f"`{field.json_name}` that is {reason}" if reason.startswith("no ") else reason
    return None


def _is_missed(field: _Field, message: Descriptor) -> bool:
    """Whether a reader that finds nothing in this field would lose data without a word.

    What else is not found is told by its absence, as a time is, or makes no difference.
    """
    is_in_attribute = message.name in ("KeyValue", "AnyValue")
    return not field.is_branch and (field.is_list or field.message is not None or is_in_attribute)


@cache
def _fields(message: Descriptor) -> Mapping[str, _Field]:
    """By the names that a reader of protobuf's JSON knows: its own before that of the message."""
    by_name = {field.name: _field(field) for field in message.fields}
    return {**by_name, **{field.json_name: by_name[field.name] for field in message.fields}}


def _field(field: FieldDescriptor) -> _Field:
    # The sum of a histogram's point is a number.
    is_branch = field.name in BRANCHES and field.message_type is not None
    check = _check_of_branch(field) if is_branch else _check(field)
    oneof = field.containing_oneof
    return _Field(
        field.json_name,
        oneof.name if oneof else None,
        is_branch,
        field.is_repeated,
        field.message_type,
        check,
    )


def _check_of_branch(field: FieldDescriptor) -> Check:
    if field.is_repeated:
        return lambda value: None if isinstance(value, list) else "no list"
    return lambda _: None


def _check(field: FieldDescriptor) -> Check:
    one = _check_of_one(field)
    if not field.is_repeated:
        return one

    def check_list(values: Any) -> str | None:
        if not isinstance(values, list):
            return "no list"
        for value in values:
            if reason := "no list of values" if value is None else one(value):
                return reason
        return None

    return check_list


def _check_of_one(field: FieldDescriptor) -> Check:
    if field.message_type is not None:
        message = field.message_type
        return lambda value: _misfit(value, message)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _check_bytes
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        names = frozenset(value.name for value in field.enum_type.values)
        return lambda value: _check_enum(value, names)
    if field.cpp_type in RANGES:
        least, most = RANGES[field.cpp_type]
        return lambda value: _check_integer(value, least, most)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return lambda value: None if isinstance(value, bool) else "no true or false"
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _check_text
    return _check_number


def _check_text(value: Any) -> str | None:
    return None if isinstance(value, str) and not HALF_LETTER.search(value) else "no text"


def _check_bytes(value: Any) -> str | None:
    if not isinstance(value, str):
        return "no text of bytes"
    try:
        encoded = value.encode()
        base64.urlsafe_b64decode(encoded + b"=" * (4 - len(encoded) % 4))
    except ValueError:
        return "no text of bytes"
    return None


def _check_enum(value: Any, names: frozenset[str]) -> str | None:
    """A name that is not known stands for nothing, as readers of later versions have it."""
    least, most = RANGES[FieldDescriptor.CPPTYPE_ENUM]
    try:
        is_fit = value in names or least <= whole_number(value) <= most
    except ValueError:
        is_fit = _check_text(value) is None
    except (TypeError, OverflowError):
        is_fit = False
    return None if is_fit else "no number or name"


def _check_integer(value: Any, least: int, most: int) -> str | None:
    reason = "no whole number in its range"
    try:
        is_fit = least <= _whole(value) <= most
    except ValueError:
        is_fit = False
    return None if is_fit else reason


def _whole(value: Any) -> int:
    """A text may have a fraction of zeros, or an exponent."""
    if isinstance(value, str) and not WHOLE.fullmatch(value):
        value = number(value)
    return whole_number(value)


def _check_number(value: Any) -> str | None:
    if isinstance(value, str) and not (NUMBER.fullmatch(value) or value in SPELLED_OUT):
        return "no number"
    if isinstance(value, float) and not math.isfinite(value):
        return "no number"
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return "no number"
    return None
