"""Whatever stands in a text: it is read or refused with a reason, and nothing else happens.

Parsers of bytes and documents have more beside them: OTLP in JSON and protobuf
`tests/_shared/test_otlp_json.py`, `tests/agent_analytics/test_otlp.py` and `test_spellings.py`,
addresses and git `tests/github_scraper/test_rules.py` and `test_git_path.py`, files
`tests/scout/test_files.py`, runs of Quality Compass `tests/quality_compass/test_load.py`, bodies,
heads and trailers `tests/webhooks/test_hostile.py`.
"""

import gzip
import io
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.masks import masked
from flows._shared.purged import Purged, address_of, of_names
from flows.agent_analytics import rules as agents
from flows.agent_analytics.records import Commit, CopilotDay, Rejected, UnreadableTelemetryError
from flows.agent_analytics.source.rows import parsed
from flows.github_scraper.records import Commit as GitCommit
from flows.github_scraper.records import FileClass, MirrorBrokenError, Signature
from flows.github_scraper.rules import Mailmap, coauthors, identify, without_purged
from flows.github_scraper.source.log import parse_log
from flows.people.settings import Named
from flows.quality_compass.records import Kind, RawLine
from flows.quality_compass.rules.reading import sort_line
from flows.scout.records import Payload, Quarantined, SourceFile
from flows.scout.settings import ScoutSettings
from flows.scout.source import examine, read_rows
from flows.webhooks.secrets import parse
from flows.webhooks.settings import ReceiverSettings

PERSON = "purged-0123456789ab"
NAMES = ("email:jane@doe.example", "login:jane-d", "jane doe", "0f8fad5b-d9cb-469f-a165")
PURGED: Purged = of_names(NAMES, PERSON)
# Texts that come near to what is looked for, among any others.
PIECES = st.sampled_from(
    [*"<>@\"'\\\n\t\0 ,;:{}[]", "jane@doe.example", "Jane Doe", "@jane-d", "from jane-d/x", "\\n",
     "Co-authored-by: ", "\ud800", "\u202e", "ﬁ", "İ"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
BYTES = st.binary(max_size=120) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
ALL_KINDS = tuple(Kind)
# What readers of a delivery put aside as its fault.
REFUSED = (ValueError, ArithmeticError, RecursionError)
MINUTE = datetime(2026, 11, 29, tzinfo=UTC)
SECONDS = 5.0
brief = settings(max_examples=60, deadline=None)


@brief
@given(TEXTS)
@example("<jane@doe.example>" * 50)
@example("Jane Doe <jane@doe.example" + "\\" * 9)
def test_a_text_names_no_purged_person_and_is_shown_alike_again(text: str) -> None:
    shown = PURGED.text(text)
    assert PURGED.text(shown) == shown
    assert Purged(b"").text(text) == text
    masked(text)


@brief
@given(VALUES)
def test_a_document_without_purged_people_is_one_of_the_same_shape(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    shown = json.loads(PURGED.json(text))
    assert _shape(shown) == _shape(value)
    assert "jane@doe.example" not in [each for each in _texts(shown) if isinstance(each, str)]


def _shape(value: Any) -> Any:
    match value:
        case dict():
            return "dict"
        case list():
            return [_shape(each) for each in value]
        case str():
            return "text"
    return value


def _texts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [each for pair in value.items() for part in pair for each in _texts(part)]
    if isinstance(value, list):
        return [each for part in value for each in _texts(part)]
    return [value]


@brief
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_any_signature_mailmap_and_trailer_is_somebody(
    name: str, email: str, message: str, mailmap_text: str
) -> None:
    mailmap = Mailmap(mailmap_text)
    signed = Signature(name, email, *mailmap.lookup(name, email), 0, "+0000")
    commit = GitCommit("0" * 40, (), signed, signed, message, True, None)
    kept = without_purged(PURGED, commit, mailmap, 1)
    assert identify(name, email, 1).key
    if identify(name, email, 1).key == "email:jane@doe.example":
        assert kept.author.email == address_of(PERSON)
    people = [person.key for _, _, person in coauthors(kept.message, mailmap, 1)]
    assert len(people) == len(set(people))


@brief
@given(VALUES)
def test_rows_of_agents_are_rows_or_put_aside_with_a_reason(value: Any) -> None:
    line = json.dumps(value).encode()
    for read, kind in ((agents.commit_of, Commit), (agents.copilot_day, CopilotDay)):
        row: object = parsed(line, read, "a file", "line 1")
        assert isinstance(row, kind) or (isinstance(row, Rejected) and row.reason)
    with suppress(*REFUSED, UnreadableTelemetryError):
        assert isinstance(list(agents.commit_rows(line)), list)


@brief
@given(VALUES)
def test_settings_and_parameters_are_taken_or_refused_as_invalid(value: Any) -> None:
    for model in (Named, ScoutSettings, ReceiverSettings):
        for told in (value, {"emails": value, "logins": value, "sources": value}):
            with suppress(ValidationError):
                model.model_validate(told)


@brief
@given(TEXTS)
def test_a_list_of_secrets_is_read_or_refused(text: str) -> None:
    with suppress(PermanentError):
        assert all(isinstance(each, str) for each in parse(text))


@brief
@given(BYTES, st.sampled_from(["a.csv", "products.json", "a.jsonl", "a.zip", "a.xlsx", "a.gz"]))
@example(b"a,b\n1\n\xff,2\n", "a.csv")
@example(b"\x8d\r\x01", "a.csv")
@example(gzip.compress(b"a,b\n1,2\n")[:-9], "a.gz")
@example(b'[{"a": 1}, {"a": ', "a.json")
@example(b"PK\x05\x06" + bytes(18), "a.zip")
def test_any_file_is_rows_or_quarantined_or_refused_as_a_whole(content: bytes, name: str) -> None:
    file = SourceFile(name, "csv_upload", lambda: io.BytesIO(content))
    with suppress(PlatformError):
        facts = examine(file, "cp1252")
        assert facts.bytes_read == len(content)
        for row in read_rows(file, facts.encoding):
            if isinstance(row, Payload):
                json.loads(row.json)
            assert not isinstance(row, Quarantined) or (row.reason and row.line_number)


@brief
@given(BYTES | VALUES.map(lambda value: json.dumps(value).encode()), st.sampled_from(ALL_KINDS))
@example(b"null\n", Kind.NODE)
@example(b'{"contribution": {"parent": []}}\n', Kind.CONTRIBUTION)
def test_any_line_of_a_run_is_a_row_or_kept_with_a_reason(line: bytes, kind: Kind) -> None:
    row = sort_line(kind, f"{kind.value}/a.jsonl", 1, line, run_id="20250115060000")
    assert isinstance(row, RawLine) or row.reason


@brief
@given(st.lists(BYTES | st.sampled_from([b"a" * 40, b"\0", b"1\t2\tpath"]), max_size=40), BYTES)
@example([b"a" * 40], b"a" * 40 + b" commit 3\nabc\n")
@example([b"a" * 40, *[b""] * 12, b"", b"1\t2\t"], b"a" * 40 + b" commit 3\nabc\n")
@example([b"a" * 40, *[b""] * 12, b"", b""], b"a" * 40 + b" commit many\n")
@example([b"a" * 40, *[b""] * 12, b"", b""], b"a" * 40 + b" commit\n")
def test_whatever_git_says_is_commits_or_a_broken_mirror(told: list[bytes], objects: bytes) -> None:
    output = io.BytesIO(b"\0".join(told))
    with suppress(MirrorBrokenError):
        for commit in parse_log(output, io.BytesIO(objects), frozenset(), lambda _: FileClass.OWN):
            assert commit.commit_hash


@pytest.mark.parametrize(
    "text",
    ["@" * 100_000, "a@" * 50_000, "<" * 100_000, "jane " * 40_000, '"' * 100_000, "\\" * 100_000,
     "<jane@doe.example>" * 10_000, '{"key":' * 40_000, '{"label":"a/b"},' * 20_000,
     "from " * 40_000, "x" * 500_000 + "@doe.example"],
)  # fmt: skip
def test_a_long_text_takes_no_long_time(text: str) -> None:
    began = time.process_time()
    PURGED.text(text)
    PURGED.json(text)
    masked(text)
    assert time.process_time() - began < SECONDS
