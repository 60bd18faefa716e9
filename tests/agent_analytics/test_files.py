"""Which files of a folder are read, how far, and what is told of the rest."""

import gzip
import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from flows.agent_analytics import raw
from flows.agent_analytics.records import LoadCounts
from flows.agent_analytics.sync import copilot_files, load_commits
from tests.agent_analytics.fleet import request, session, tokens
from tests.agent_analytics.test_otlp import load

WORK = session("s", datetime(2026, 3, 2, tzinfo=UTC))
METRICS = tokens(WORK, {"input": 10, "output": 20}, 0, 1)
LOGS = request(WORK, 1, (1, 2, 3, 4))
HOURS_AGO = 2 * 3600


def put_aside(store: raw.Store) -> list[tuple[Any, ...]]:
    with store.connect() as connection:
        return connection.execute("select source, reason, excerpt from raw.rejected").fetchall()


def leave_alone(path: Path, seconds: float = HOURS_AGO) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def of_session(name: str, text: str) -> str:
    """The same telemetry of another session: rows of its own."""
    return text.replace('"stringValue":"s"', f'"stringValue":"{name}"').replace(
        '"stringValue": "s"', f'"stringValue": "{name}"'
    )


def write(inbox: Path, texts: Mapping[str, str], mark: bytes = b"") -> None:
    """A file for each text, of a session of its own; packed where its name says so."""
    for number, (name, text) in enumerate(texts.items()):
        content = mark + of_session(f"s{number}", text).encode()
        (inbox / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)


def framed(line: str) -> bytes:
    message: bytes = ParseDict(json.loads(line), ExportMetricsServiceRequest()).SerializeToString()
    return len(message).to_bytes(4, "big") + message


@pytest.mark.parametrize("batch_bytes", [1, 1_000_000])
def test_a_last_line_that_is_whole_is_loaded_without_its_newline_and_once(
    store: raw.Store, inbox: Path, batch_bytes: int
) -> None:
    path = inbox / "a.jsonl"
    path.write_text(f"{METRICS}\n{LOGS}")
    assert load(store, inbox, batch_bytes) == LoadCounts(rows_new=3)
    assert load(store, inbox, batch_bytes) == LoadCounts()
    other = tokens(WORK, {"input": 99}, 5, 6)
    for more, new in (("\n", 0), (f"{other}", 1), ("\n  \n", 0)):
        with path.open("a") as file:
            file.write(more)
        assert load(store, inbox, batch_bytes) == LoadCounts(rows_new=new)
    assert put_aside(store) == []


def test_a_last_line_that_is_cut_is_told_once_its_writer_stopped_and_loaded_once_it_goes_on(
    store: raw.Store, inbox: Path
) -> None:
    path = inbox / "a.jsonl"
    path.write_text(f"{METRICS}\n{LOGS[:-9]}")
    assert load(store, inbox) == LoadCounts(rows_new=2), "its writer may be in the middle of it"
    leave_alone(path)
    assert load(store, inbox) == LoadCounts(rejected=1)
    assert load(store, inbox) == LoadCounts()
    ((source, reason, excerpt),) = put_aside(store)
    assert source == str(path)
    assert "its last line is not whole" in reason
    assert excerpt.startswith(f"from byte {len(METRICS) + 1}: {LOGS[:100]}")
    path.write_text(f"{METRICS}\n{LOGS}")
    assert load(store, inbox) == LoadCounts(rows_new=1)


@pytest.mark.parametrize("content", ["17", '{"resourceLogs":[', "{" + "x" * 70, "ü".encode()[:1]])
def test_what_is_no_whole_line_is_told_even_alone_in_its_file(
    store: raw.Store, inbox: Path, content: str | bytes
) -> None:
    path = inbox / "a.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    leave_alone(path, seconds=-HOURS_AGO)
    assert load(store, inbox) == LoadCounts(rejected=1), "a time ahead is no reason to wait"


def test_of_a_file_of_messages_the_whole_ones_load_and_the_cut_one_is_told(
    store: raw.Store, inbox: Path
) -> None:
    first, second = framed(METRICS), framed(tokens(WORK, {"input": 30}, 1, 2))
    path = inbox / "metrics.pb"
    for cut in (2, len(second) - 1):
        path.write_bytes(first + second[:cut])
        assert load(store, inbox).rejected == 0
    leave_alone(path)
    assert load(store, inbox) == LoadCounts(rejected=1)
    assert load(store, inbox) == LoadCounts()
    ((source, reason, excerpt),) = put_aside(store)
    assert (source, excerpt) == (str(path), f"from byte {len(first)}")
    assert "its last message is not whole" in reason
    path.write_bytes(first + second)
    assert load(store, inbox) == LoadCounts(rows_new=1), "the first message is not read again"
    (inbox / "metrics-old.pb.gz").write_bytes(gzip.compress(first + second[:-1]))
    assert load(store, inbox) == LoadCounts(rows_repeated=2, rejected=1)


def test_a_file_is_read_by_its_content_in_whatever_letters_its_ending_is_written(
    store: raw.Store, inbox: Path
) -> None:
    lines = [tokens(WORK, {"input": n}, n, n + 1) for n in range(7)]
    text = [f"{line}\n".encode() for line in lines]
    (inbox / "A.JSONL").write_bytes(text[0])
    (inbox / "b.Json.GZ").write_bytes(gzip.compress(text[1]))
    (inbox / "METRICS.PB").write_bytes(framed(lines[2]))
    (inbox / "packed.jsonl").write_bytes(gzip.compress(text[3]))
    (inbox / "plain.ndjson.gz").write_bytes(text[4])
    (inbox / "of[0-9]{1,2}?*.jsonl").write_bytes(text[5])
    (inbox / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(text[6])
    for path in inbox.iterdir():
        leave_alone(path)
    assert load(store, inbox) == LoadCounts(rows_new=len(lines))
    assert load(store, inbox) == LoadCounts()


def test_a_line_that_is_no_otlp_is_told_in_a_file_of_any_name(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "of[0-9].jsonl").write_text(f"[]\n{METRICS}\n")
    leave_alone(inbox / "of[0-9].jsonl")
    assert load(store, inbox) == LoadCounts(rows_new=2, rejected=1)


DEEP = 200_000


@pytest.mark.parametrize(
    "nested",
    [
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP + "1" + "}" * DEEP,
        METRICS.replace(
            '"attributes":[',
            '"attributes":[{"key":"k","value":'
            + '{"kvlistValue":{"values":[{"key":"]}","value":' * DEEP
            + '{"intValue":"1"}' + "}]}}" * DEEP + "},",
            1,
        ),
    ],
    ids=["lists", "objects", "attributes"],
)  # fmt: skip
def test_a_line_that_is_nested_without_end_costs_itself_and_not_the_process(
    store: raw.Store, inbox: Path, nested: str
) -> None:
    (inbox / "a.jsonl").write_text(f"{METRICS}\n{nested}\n{LOGS}\n{nested}")
    load(store, inbox)
    with store.connect() as connection:
        rows = connection.execute(
            "select (select count(*) from raw.otel_points), (select count(*) from raw.otel_logs), "
            "(select count(*) from raw.rejected)"
        ).fetchone()
    assert rows == (2, 1, 2)


def test_every_file_of_a_folder_that_is_not_read_is_named_with_the_reason(
    store: raw.Store, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "sub").mkdir()
    (inbox / "a.jsonl").write_text(METRICS + "\n")
    (inbox / "sub" / "a.jsonl.1").write_text(METRICS + "\n")
    (inbox / "gone.jsonl").symlink_to(inbox / "nothing")
    os.mkfifo(inbox / "pipe.jsonl")
    (inbox / "within").symlink_to("sub")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.jsonl").write_text('{"password": "hunter2"}')
    (inbox / "link.jsonl").symlink_to(tmp_path / "elsewhere" / "secret.jsonl")
    (inbox / "out").symlink_to(tmp_path / "elsewhere")
    assert load(store, inbox) == LoadCounts(rows_new=2, rejected=5)
    assert load(store, inbox) == LoadCounts()
    told = {source: reason for source, reason, _ in put_aside(store)}
    assert "its name ends in none of .json, .jsonl" in told[str(inbox / "sub" / "a.jsonl.1")]
    assert "No such file" in told[str(inbox / "gone.jsonl")]
    assert "no regular file" in told[str(inbox / "pipe.jsonl")]
    for name in ("link.jsonl", "out"):
        assert f"a link leads from it out of {inbox}; name where" in told[str(inbox / name)]
    # What was told once is not told again.
    for pattern, rejected in (("l*.jsonl", 0), ("o*/*.jsonl", 1)):
        assert load_commits(store, [str(inbox / pattern)], []) == LoadCounts(rejected=rejected)
    assert not any("hunter2" in excerpt for *_, excerpt in put_aside(store))
    (inbox / "sub" / "a.jsonl.1").rename(inbox / "commits.txt")
    assert load_commits(store, [str(inbox / "*.txt")], []).rejected == 1, "a pattern reads it"
    rows = [each for each in copilot_files([str(inbox)]) if "commits.txt" in str(each)]
    assert len(rows) == 1


def test_files_that_are_not_read_are_named_up_to_a_hundred(store: raw.Store, inbox: Path) -> None:
    for number in range(130):
        (inbox / f"{number}.txt").touch()
    assert load(store, inbox) == LoadCounts(rejected=101)
    assert any("30 more files" in reason for _, reason, _ in put_aside(store))


def test_a_file_that_was_replaced_by_one_that_begins_alike_is_read(
    store: raw.Store, inbox: Path
) -> None:
    """The resource of a sender is longer than what tells files apart by their beginning."""
    path = inbox / "a.jsonl"
    long = {"key": "process.command_args", "value": {"stringValue": "x" * 6000}}

    def line(seconds: float) -> str:
        content = json.loads(request(WORK, seconds, (1, 2, 3, 4)))
        content["resourceLogs"][0]["resource"]["attributes"].insert(0, long)
        return json.dumps(content)

    first, second = line(1), line(2)
    assert len(first) == len(second)
    path.write_text(f"{first}\n")
    assert load(store, inbox).rows_new == 1
    path.write_text(f"{second}\n")
    assert load(store, inbox).rows_new == 1
    path.write_text(f"{second}\n{line(3)}\n")
    assert load(store, inbox).rows_new == 1


def test_a_line_of_both_signals_loads_both_beside_whatever_else(
    store: raw.Store, inbox: Path
) -> None:
    path = inbox / "a.jsonl"
    path.write_text(f"{json.dumps(json.loads(METRICS) | json.loads(LOGS))}\nno json\n")
    assert load(store, inbox).rows_new == 3
    assert [reason for _, reason, _ in put_aside(store)] == ["not JSON: Expecting value"]


@pytest.mark.parametrize("indent", [2, "\t"])
def test_a_document_over_many_lines_is_read_as_one_once_it_is_whole(
    store: raw.Store, inbox: Path, indent: int | str
) -> None:
    text = json.dumps(json.loads(METRICS), indent=indent)
    path = inbox / "a.json"
    for written in (text[:500], text[:-1]):
        path.write_text(written)
        assert load(store, inbox) == LoadCounts()
    path.write_text(text)
    assert load(store, inbox) == LoadCounts(rows_new=2)
    assert load(store, inbox) == LoadCounts()
    (inbox / "b.json").write_text(text.replace("\n", "\r\n") + "\n")
    assert load(store, inbox) == LoadCounts(rows_repeated=2)


@pytest.mark.parametrize("indent", [2, None])
def test_lists_of_requests_and_several_documents_are_read_one_by_one(
    store: raw.Store, inbox: Path, indent: int | None
) -> None:
    first, second = json.loads(METRICS), json.loads(LOGS)
    listed = json.dumps([first, {"a": "none"}, second], indent=indent)
    (inbox / "list.json").write_text(f"{listed}\n{METRICS}\n")
    assert load(store, inbox) == LoadCounts(rows_new=3, rows_repeated=2, rejected=1)
    path = inbox / "several.json"
    path.write_text("\n".join(json.dumps(each, indent=2) for each in (first, second)))
    assert load(store, inbox) == LoadCounts(rows_repeated=3)
    other = json.dumps(json.loads(tokens(WORK, {"input": 99}, 5, 6)), indent=2)
    with path.open("a") as file:
        file.write(f"\n{other}\n{other[:300]}")
    assert load(store, inbox) == LoadCounts(rows_new=1), "its writer may be in the middle of it"
    leave_alone(path)
    assert load(store, inbox) == LoadCounts(rejected=1)
    assert load(store, inbox) == LoadCounts()


LISTED = [METRICS, LOGS, tokens(WORK, {"input": 99}, 5, 6), request(WORK, 2, (1, 2, 3, 4))]


@pytest.mark.parametrize(
    ("content", "cuts"),
    [
        ("[\n" + ",\n".join(LISTED) + "\n]\n", (2, len(METRICS), len(METRICS + LOGS) + 5)),
        ("[" + ",\n".join(LISTED) + "]", (len(METRICS) + 3, len(METRICS + LOGS) + 5)),
        (json.dumps([json.loads(each) for each in LISTED], indent=1), (90, 2000, -2)),
        ("\n".join(json.dumps(json.loads(each), indent=1) for each in LISTED), (300, -2)),
    ],
    ids=["lines", "tight", "indented", "several"],
)
def test_a_document_whose_writer_pauses_is_loaded_once_it_is_whole(
    store: raw.Store, inbox: Path, content: str, cuts: tuple[int, ...]
) -> None:
    path = inbox / "a.json"
    seen = LoadCounts()
    for cut in cuts:
        path.write_text(content[:cut])
        leave_alone(path)
        seen = seen + load(store, inbox)
        assert load(store, inbox) == LoadCounts()
    assert seen.rejected == len(put_aside(store)) > 0
    assert all("is not whole" in reason for _, reason, _ in put_aside(store))
    path.write_text(content)
    assert (seen + load(store, inbox)).rows_new == 5
    assert load(store, inbox) == LoadCounts()


@pytest.mark.parametrize("batch_bytes", [1, 1_000_000])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_documents_and_lines_are_the_same_packed_and_not(
    store: raw.Store, inbox: Path, name: str, batch_bytes: int
) -> None:
    first, second, *others = LISTED
    listed = json.dumps([json.loads(first)], indent=2)
    text = "\n".join([listed, json.dumps(json.loads(second), indent=2), *others, "no json", first])
    content = text.encode()
    (inbox / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    leave_alone(inbox / name)
    counts = load(store, inbox, batch_bytes)
    assert (counts.rows_new, counts.rows_repeated, counts.rejected) == (5, 2, 1)


@pytest.mark.parametrize(
    ("names", "mark", "batch_bytes"),
    [
        (("a.json", "a.json.gz"), b"", 1_000_000),
        (("a.json", "a.json.gz"), b"\xef\xbb\xbf", 1_000_000),
        (("a.json.gz",), b"\xef\xbb\xbf", 1),
        (("a.json",), b"", 1),
    ],
)
def test_documents_are_read_behind_lines_and_behind_a_mark_of_the_byte_order(
    store: raw.Store, inbox: Path, names: Sequence[str], mark: bytes, batch_bytes: int
) -> None:
    texts = {}
    for lines in (0, 1, 2) if len(names) > 1 else (1,):
        one, *others = LISTED[lines:]
        listed = json.dumps([json.loads(one)], indent=1)
        documents = [listed, *(json.dumps(json.loads(each), indent=2) for each in others)]
        for name in names:
            texts[f"{lines}-{name}"] = "\n".join([*LISTED[:lines], *documents])
    write(inbox, texts, mark)
    assert load(store, inbox, batch_bytes) == LoadCounts(rows_new=5 * len(texts))
    assert load(store, inbox, batch_bytes) == LoadCounts()
    assert not put_aside(store)


def test_behind_a_document_that_is_cut_every_good_line_and_document_is_loaded(
    store: raw.Store, inbox: Path
) -> None:
    documents = [json.dumps(json.loads(each), indent=2) for each in LISTED[1:3]]
    texts: dict[str, str] = {}
    for number, cut in enumerate(("{", "[", '{\n  "resourceLogs": [\n    {', "{{", '[{"a": [{')):
        text = "\n".join([LISTED[0], cut, *documents, cut, LISTED[3]])
        texts |= {f"{number}.jsonl": text, f"{number}.jsonl.gz": text}
    write(inbox, texts)
    assert load(store, inbox).rows_new == 5 * len(texts)
    assert {Path(source).name for source, _, _ in put_aside(store)} == set(texts)


def test_what_stands_behind_a_cut_document_is_read_while_its_writer_goes_on(
    store: raw.Store, inbox: Path
) -> None:
    indented = [json.dumps(json.loads(each), indent=1) for each in LISTED]
    half = indented[1][: len(indented[1]) // 2]
    begun = {
        "behind-a-line.jsonl": f"{METRICS}\n{half}",
        "alone.jsonl": half,
        "key.jsonl": '{"resourceLogs": [',
        "commas.jsonl": '{"resourceLogs": [',
        "behind-a-document.jsonl": f"{indented[0]}\n{half}",
        "garbage.jsonl": f"{indented[0]}\ngarbage",
    }
    write(inbox, begun)
    assert load(store, inbox).rejected == 0, "its writer may be in the middle of it"
    for line in LISTED[1:]:
        for number, name in enumerate(begun):
            with (inbox / name).open("a") as file:
                comma = "," if name == "commas.jsonl" else ""
                file.write(f"\n{of_session(f's{number}', line)}{comma}\n")
            leave_alone(inbox / name, seconds=30 * 60)
        counts = load(store, inbox)
        assert (counts.rows_new, counts.rows_repeated) == (len(begun), 0)
    assert load(store, inbox) == LoadCounts()
    told = {Path(source.partition(" from byte ")[0]).name for source, _, _ in put_aside(store)}
    assert told == set(begun)


def test_many_lines_that_open_and_never_close_are_put_aside_in_little_memory(
    store: raw.Store, inbox: Path
) -> None:
    (inbox / "a.jsonl").write_text(f"{METRICS}\n" + "{\n[\n" * 20_000 + LOGS)
    assert load(store, inbox) == LoadCounts(rows_new=3, rejected=20_000)


def test_a_document_behind_a_line_is_loaded_once_it_is_whole(store: raw.Store, inbox: Path) -> None:
    path = inbox / "a.json"
    text = f"{METRICS}\nno json\n{json.dumps(json.loads(LOGS), indent=2)}"
    path.write_text(text[:-20])
    assert load(store, inbox) == LoadCounts(rows_new=2, rejected=1)
    assert load(store, inbox) == LoadCounts()
    path.write_text(text)
    assert load(store, inbox) == LoadCounts(rows_new=1)


def test_documents_with_commas_between_are_loaded_wherever_a_load_ended(
    store: raw.Store, inbox: Path
) -> None:
    first, *others = (json.dumps(json.loads(each), indent=2) for each in LISTED)
    commas = {
        f"{number}.json": comma for number, comma in enumerate((",\n", "\n,\n", " , ", "\r\n,"))
    }
    write(inbox, dict.fromkeys(commas, first))
    seen = load(store, inbox)
    for each in others:
        for number, (name, comma) in enumerate(commas.items()):
            with (inbox / name).open("a", newline="") as file:
                file.write(comma + of_session(f"s{number}", each))
        seen = seen + load(store, inbox)
    assert (seen.rows_new, seen.rejected) == (5 * len(commas), 0)


def test_requests_that_share_a_line_or_end_with_a_comma_are_each_read(
    store: raw.Store, inbox: Path
) -> None:
    commas = (" ", "", ", ", ",\n", " , \n", "\r\n,")
    texts = {f"{number}.jsonl": comma.join(LISTED) + "\n" for number, comma in enumerate(commas)}
    write(inbox, texts)
    assert load(store, inbox) == LoadCounts(rows_new=5 * len(commas))
    assert load(store, inbox) == LoadCounts()


@pytest.mark.parametrize("broken", [1, 40])
def test_bad_lines_take_no_more_memory_than_there_is_from_files_read_together(
    tmp_path: Path, inbox: Path, broken: int
) -> None:
    store = raw.Store(tmp_path / "small.duckdb", memory="600MB")
    write(inbox, {f"{number}.jsonl": f"{METRICS}\n{LOGS}\n" for number in range(40)})
    for number in range(broken):
        with (inbox / f"{number}.jsonl").open("a") as file:
            file.write("words\n")
    assert load(store, inbox) == LoadCounts(rows_new=40 * 3, rejected=broken)
    assert load(store, inbox) == LoadCounts()
