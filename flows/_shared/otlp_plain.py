"""OTLP's JSON as exporters write it, found at once; of nothing else is anything said.

A grammar made of the descriptors of the messages and narrower than they are: no nulls, no names but
those of JSON, numbers of 64 bits as digits. What is of it fits; all else is looked at part by part.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from pydantic_core import SchemaValidator, ValidationError, core_schema
from pydantic_core.core_schema import CoreSchema

TYPES: Mapping[int, CoreSchema] = {
    FieldDescriptor.TYPE_STRING: core_schema.str_schema(strict=True),
    # Of identifiers in hexadecimal too, what any reader of base64 takes.
    FieldDescriptor.TYPE_BYTES: core_schema.str_schema(strict=True, pattern="^([0-9A-Za-z]{4})*$"),
    FieldDescriptor.TYPE_BOOL: core_schema.bool_schema(strict=True),
    FieldDescriptor.TYPE_DOUBLE: core_schema.float_schema(strict=True, allow_inf_nan=False),
}
KINDS: Mapping[int, CoreSchema] = {
    FieldDescriptor.CPPTYPE_INT32: core_schema.int_schema(strict=True, ge=-(2**31), lt=2**31),
    FieldDescriptor.CPPTYPE_UINT32: core_schema.int_schema(strict=True, ge=0, lt=2**32),
    FieldDescriptor.CPPTYPE_ENUM: core_schema.union_schema(
        [
            core_schema.int_schema(strict=True, ge=-(2**31), lt=2**31),
            core_schema.str_schema(strict=True, pattern="^[A-Z][A-Z_]*$"),
        ],
        mode="left_to_right",
    ),
    FieldDescriptor.CPPTYPE_INT64: core_schema.union_schema(
        [
            core_schema.str_schema(strict=True, pattern="^-?[0-9]{1,18}$"),
            core_schema.int_schema(strict=True, ge=-(2**63), lt=2**63),
        ],
        mode="left_to_right",
    ),
    FieldDescriptor.CPPTYPE_UINT64: core_schema.union_schema(
        [
            core_schema.str_schema(strict=True, pattern="^[0-9]{1,19}$"),
            core_schema.int_schema(strict=True, ge=0, lt=2**64),
        ],
        mode="left_to_right",
    ),
}


# Messages that may hold themselves, in each other: lists and maps of attributes.
DEEPEST = 10


def is_plain(request: Mapping[str, Any], message: Descriptor) -> bool:
    """Whether a request is the message, in the way that exporters write it."""
    try:
        _grammar(message).validate_python(request)
    # A nesting too deep for the grammar, and text that is no Unicode.
    except (ValidationError, RecursionError, UnicodeError):
        return False
    return True


@cache
def _grammar(message: Descriptor) -> SchemaValidator:
    definitions: dict[str, CoreSchema] = {}
    root = core_schema.definition_reference_schema(_define(message, definitions, 0))
    return SchemaValidator(core_schema.definitions_schema(root, list(definitions.values())))


def _define(message: Descriptor, definitions: dict[str, CoreSchema], depth: int) -> str:
    """The name of the definition of a message that stands so deep in others of its kind."""
    name = f"{message.full_name} {depth}"
    if name not in definitions:
        definitions[name] = core_schema.any_schema()
        definitions[name] = _choices(message, definitions, depth)
    return name


def _choices(message: Descriptor, definitions: dict[str, CoreSchema], depth: int) -> CoreSchema:
    """The message with each value of a oneof alone, as two of them at a time do not fit."""
    shapes: list[dict[str, core_schema.TypedDictField]] = [{}]
    chosen: dict[str, list[dict[str, core_schema.TypedDictField]]] = {}
    for field in message.fields:
        named = {
            field.json_name: core_schema.typed_dict_field(
                _of(field, definitions, depth), required=False
            )
        }
        if field.containing_oneof is None:
            shapes = [each | named for each in shapes]
        else:
            chosen.setdefault(field.containing_oneof.name, []).append(named)
    for values in chosen.values():
        shapes = [each | named for each in shapes for named in values]
    objects: list[CoreSchema] = [
        core_schema.typed_dict_schema(each, strict=True, extra_behavior="forbid") for each in shapes
    ]
    if len(objects) == 1:
        (one,) = objects
        return {**one, "ref": f"{message.full_name} {depth}"}
    return core_schema.union_schema(
        list(objects), mode="left_to_right", ref=f"{message.full_name} {depth}"
    )


def _of(field: FieldDescriptor, definitions: dict[str, CoreSchema], depth: int) -> CoreSchema:
    if field.message_type is not None:
        deeper = depth + (field.message_type.full_name in _within(field.message_type))
        if deeper > DEEPEST:
            one: CoreSchema = core_schema.none_schema()
        else:
            name = _define(field.message_type, definitions, deeper)
            one = core_schema.definition_reference_schema(name)
    else:
        one = TYPES.get(field.type) or KINDS.get(field.cpp_type) or core_schema.none_schema()
    if not field.is_repeated:
        return one
    if field.message_type is not None:
        one = core_schema.no_info_after_validator_function(_dropped, one)
    # Of a list that does not fit, the first error is enough.
    return core_schema.list_schema(one, strict=True, fail_fast=True)


def _dropped(_: object) -> None:
    """A validator makes a copy of all that it reads: it is not held."""


@cache
def _within(message: Descriptor) -> frozenset[str]:
    """The names of the messages that may stand in one, its own among them where it may."""
    found: dict[str, Descriptor] = {}
    waiting = [message]
    while waiting:
        for field in waiting.pop().fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = inner
                waiting.append(inner)
    return frozenset(found)
