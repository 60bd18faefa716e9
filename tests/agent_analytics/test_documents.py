"""Documents over many lines behind a line, in every shape, wherever reading ends."""

import gzip
import json
from pathlib import Path

import pytest

from flows.agent_analytics import raw, source
from flows.agent_analytics.records import LoadCounts, Rejected
from tests.agent_analytics.test_files import LISTED, METRICS, of_session, put_aside, write
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


def good_requests(path: Path, scratch: Path, before: list[tuple[int, str, int]]) -> list[str]:
    """What is new of a file, read in the smallest pieces; ``before`` moves on."""
    good = []
    last = before[-1] if before else None
    for piece in list(source.unread_pieces(path, last, path.stat().st_mtime + 1, 1)):
        assert isinstance(piece, source.FilePart)
        before.append((piece.end, piece.start_hash, piece.modified_ns))
        for file in source.line_files(piece, scratch, 1):
            assert not isinstance(file, Rejected)
            good += source.good_lines(file, scratch)[0].path.read_text().splitlines()
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
