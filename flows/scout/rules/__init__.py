"""Decisions about files and payloads. Nothing is touched here; time comes in as an argument."""

from flows.scout.rules.columns import (
    LINES_BEFORE_HEADER,
    UNKNOWN_HEADER,
    Header,
    choose_delimiter,
    differing,
    find_header,
    plain_name,
    why_unclear,
)
from flows.scout.rules.files import (
    BYTE_ORDER_MARK,
    UNKNOWN_ENCODING,
    decide_encoding,
    encoding_by_letters,
    entity_of,
    entity_of_kind,
    is_json,
    is_readable,
    modified_second,
    natural,
    place_of,
    shown,
    storable_name,
)
from flows.scout.rules.layers import (
    batch_id,
    describe_rejections,
    end_of_last_month,
    quality_score,
    selectors,
    takes_in,
)
from flows.scout.rules.members import BLANK
from flows.scout.rules.storable import as_stored, why_unstorable_text
from flows.scout.rules.texts import embed_by_hashing, hash_text

__all__ = [
    "BLANK",
    "BYTE_ORDER_MARK",
    "LINES_BEFORE_HEADER",
    "UNKNOWN_ENCODING",
    "UNKNOWN_HEADER",
    "Header",
    "as_stored",
    "batch_id",
    "choose_delimiter",
    "decide_encoding",
    "describe_rejections",
    "differing",
    "embed_by_hashing",
    "encoding_by_letters",
    "end_of_last_month",
    "entity_of",
    "entity_of_kind",
    "find_header",
    "hash_text",
    "is_json",
    "is_readable",
    "modified_second",
    "natural",
    "place_of",
    "plain_name",
    "quality_score",
    "selectors",
    "shown",
    "storable_name",
    "takes_in",
    "why_unclear",
    "why_unstorable_text",
]
