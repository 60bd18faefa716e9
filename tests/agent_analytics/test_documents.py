"""Documents over many lines behind a line, in every shape, wherever reading ends."""

import gzip
import json
from pathlib import Path

import pytest

from flows.agent_analytics import raw, source
from flows.agent_analytics.records import LoadCounts, Rejected
from flows.agent_analytics.source.rows import EXCERPT, TOO_LONG
from tests.agent_analytics.test_files import (
    LISTED,
    METRICS,
    leave_alone,
    of_session,
    put_aside,
    write,
)
from tests.agent_analytics.test_otlp import load

SMALL = [
    json.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [{}, {}]}]}),
    json.dumps({"resourceMetrics": [{"resource": {}, "scopeMetrics": [{}, {}]}]}),
]


def behind_a_line(line: str, first: str, second: str) -> dict[str, str]:
    """Two requests behind a third, by the shape that they have."""
    one, two = (json.dumps(json.loads(each), indent=1) for each in (first, second))
    key, _, elements = json.dumps(json.loads(first)).partition("[")
    shapes = {
        "tight": f"[{first},\n{second}]",
        "list": json.dumps([json.loads(first), json.loads(second)], indent=1),
        "list-of-indented": f"[{one},\n{two}]",
        "lines-in-brackets": f"[\n{first},\n{second}\n]",
        "first-key-behind-its-bracket": f"{{ {one[1:].lstrip()}\n{{ {two[1:].lstrip()}",
        "list-below-its-key": f"{key}\n[{elements}\n{second}",
        "elements-on-lines": f"{key}[\n{elements[:-2]}\n]}}\n{second}",
        "comma-between": f"{one} , {two}",
        "not-indented": f"{json.dumps(json.loads(first), indent=0)}\n"
        f"{json.dumps(json.loads(second), indent=0)}",
    }
    return {f"{name}.json": f"{line}\n{shape}" for name, shape in shapes.items()}


@pytest.mark.parametrize("batch_bytes", [1, 1_000_000])
def test_documents_of_any_shape_are_loaded_whole_in_batches_of_any_size(
    store: raw.Store, inbox: Path, batch_bytes: int
) -> None:
    whole = behind_a_line(METRICS, LISTED[1], LISTED[2])
    if batch_bytes > 1:
        write(inbox, {name: text[: len(METRICS) + 300] for name, text in whole.items()})
        assert load(store, inbox, batch_bytes) == LoadCounts(rows_new=2 * len(whole))
    write(inbox, whole)
    assert load(store, inbox, batch_bytes).rejected == 0
    with store.connect() as connection:
        rows = "select count(*) from (from raw.otel_points union all by name from raw.otel_logs)"
        assert connection.execute(rows).fetchone() == (4 * len(whole),)


def broken_in_the_middle(good: tuple[str, str], bad: str) -> dict[str, str]:
    """Two requests with a third between them that is none, by the shape of the file."""
    one, two, broken = (json.dumps(json.loads(each), indent=2) for each in (*good, bad))
    without_a_value, without_an_end = broken.replace("[", "[,", 1), broken[: broken.index("]")]
    return {
        "lines.jsonl": f"{good[0]}\n{bad[:50]}\n{good[1]}\n",
        "documents.json": f"{one}\n{without_a_value}\n{two}",
        "cut-documents.json": f"{one}\n{without_an_end}\n{two}\n",
        "list.json": f"[\n{one},\n{without_a_value},\n{two}\n]",
        "cut-in-list.json": f"[\n{one},\n{without_an_end},\n{two}\n]\n",
        "list-on-a-line.json": f"[{good[0]},{bad.replace('[', '[,', 1)},{good[1]}]",
        "cut-on-a-line.json": f"[{good[0]},{bad[:-5]}, {good[1]}]\n",
        "list-of-lines.json": f"[\n{good[0]},\n{bad[:-5]},\n{good[1]}\n]",
    }


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_is_broken_in_the_middle_is_one_row_and_all_beside_it_is_loaded(
    store: raw.Store, inbox: Path, suffix: str
) -> None:
    for name, text in broken_in_the_middle((METRICS, LISTED[2]), LISTED[1]).items():
        content = of_session(name, text).encode()
        path = inbox / f"{name}{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)
        leave_alone(path)
        counts = load(store, inbox)
        assert (counts.rows_new, counts.rejected) == (3, 1), name
        source_name, _, excerpt = put_aside(store)[-1]
        assert path.name in source_name
        assert "line " in excerpt
    assert load(store, inbox) == LoadCounts()


def test_files_that_were_put_together_have_several_marks_of_the_byte_order(
    store: raw.Store, inbox: Path
) -> None:
    documents = [json.dumps(json.loads(each), indent=2) for each in LISTED]
    texts = {"first": "\ufeff" * 2 + "\n".join(documents)}
    texts["each"] = "\n".join("\ufeff" * 2 + each for each in documents)
    for name, text in texts.items():
        packed = gzip.compress(of_session(name, text).encode())
        (inbox / f"{name}.json.gz").write_bytes(packed)
    assert load(store, inbox) == LoadCounts(rows_new=5 * len(texts))


def good_requests(path: Path, scratch: Path, before: list[tuple[int, str, int]]) -> list[str]:
    """What is new of a file, read in the smallest pieces; ``before`` moves on."""
    good = []
    last = before[-1] if before else None
    for piece in list(source.unread_pieces(path, last, path.stat().st_mtime + 1, 1)):
        assert isinstance(piece, source.FilePart)
        before.append((piece.end, piece.start_hash, piece.modified_ns))
        for file in source.line_files(piece, scratch, 1):
            assert not isinstance(file, Rejected)
            for each in source.good_lines(file, scratch)[0]:
                good += each.path.read_text().splitlines()
    return good


@pytest.mark.parametrize("shape", behind_a_line("", *SMALL))
def test_documents_are_never_torn_wherever_the_writer_pauses(tmp_path: Path, shape: str) -> None:
    text = behind_a_line(SMALL[0], *SMALL)[shape]
    path = tmp_path / "a.json"
    for cut in range(len(SMALL[0]), len(text), 5):
        before: list[tuple[int, str, int]] = []
        good = []
        for written in (text[:cut], text):
            path.write_text(written)
            good += good_requests(path, tmp_path, before)
        assert len(good) == 3, text[:cut]
    (tmp_path / "b.json").write_bytes(gzip.compress(text.encode()))
    assert len(good_requests(tmp_path / "b.json", tmp_path, [])) == 3


def test_a_packed_document_that_is_cut_is_told_once_and_no_line_of_it(
    store: raw.Store, inbox: Path
) -> None:
    text = behind_a_line(METRICS, LISTED[1], LISTED[2])["comma-between.json"]
    texts = {"stream": text, "document": text[:-20]}
    for name, reason in (("stream", "the gzip stream is broken"), ("document", "is not whole")):
        packed = gzip.compress(of_session(name, texts[name]).encode())
        path = inbox / f"{name}.json.gz"
        path.write_bytes(packed[:-10] if name == "stream" else packed)
        counts = load(store, inbox)
        assert counts.rejected == 1, put_aside(store)
        assert counts.rows_new >= 2
        assert reason in put_aside(store)[-1][1]
        path.write_bytes(gzip.compress(of_session(name, text).encode()))
        counts += load(store, inbox)
        assert (counts.rows_new, counts.rejected) == (4, 1)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_line_that_is_too_long_to_be_held_is_told_and_keeps_no_other_out(
    store: raw.Store, inbox: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("flows.agent_analytics.source.rows.LONGEST_LINE", 20_000)
    long = LISTED[2].replace("{", '{"x": "' + "b" * 50_000 + '",', 1)
    write(inbox, {name: f"{LISTED[0]}\n{long}\nnothing\n{LISTED[1]}\n"})
    assert load(store, inbox).rows_new == 3
    reasons = {reason.partition(":")[0]: excerpt for _, reason, excerpt in put_aside(store)}
    assert len(reasons) == 2
    assert len(reasons[TOO_LONG]) == EXCERPT
    commits = inbox / "commits.json"
    commits.write_text("{}\n" + "[" * 20_001)
    _, told = source.read_commit_rows(commits)
    assert isinstance(told, Rejected)
    assert told.reason == TOO_LONG
