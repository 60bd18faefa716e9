"""From files to raw tables: what is kept, replaced, quarantined, and that nothing else is."""

import gzip
import json
import os
import shutil
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fsspec
import psycopg
import pytest
from pydantic import ValidationError

from flows._shared.input_files import InputFileRefusedError
from flows.quality_compass import raw, sample, source
from flows.quality_compass.records import (
    FileChangedError,
    RunNameError,
    RunNotFoundError,
    StorageError,
)
from flows.quality_compass.rules.reading import run_start
from flows.quality_compass.settings import QualityCompassSettings
from tests.quality_compass.conftest import RUN, Load, ids, read, rows, write

NODE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"
CLASSIFICATIONS = "analysis/classification/losIndex.jsonl"
OTHER_NODE = "results/nodes/losIndex__medicareId__dischargeMonth.jsonl"
TABLES = (
    "raw_runs",
    "raw_files",
    "raw_node_results",
    "raw_entity_results",
    "raw_contributions",
    "raw_classifications",
    "raw_modeling_runs",
    "raw_modeling_experiments",
    "raw_quarantine",
)


def everything(connection: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(connection, table) for table in TABLES}


def written_by(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """The place and the transaction of each row."""
    return connection.execute(
        f"select ctid::text, xmin::text from public.{table} order by ctid".encode()
    ).fetchall()


def quarantined(connection: psycopg.Connection) -> list[tuple[int, str]]:
    return connection.execute(
        "select line_number, reason from public.raw_quarantine order by 1"
    ).fetchall()


def test_every_line_of_every_kind_becomes_a_row(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    counts = load(run_folder)
    lines = sum(len(path.read_text().splitlines()) for path in run_folder.rglob("*.jsonl"))
    loaded = sum(len(rows(connection, table)) for table in TABLES[2:-1])
    assert counts.rows == loaded == lines
    assert counts.quarantined == 0
    for table in TABLES[:-1]:
        assert rows(connection, table), table
    assert rows(connection, "raw_node_results")[0][0] == RUN


def test_loading_a_run_three_times_writes_it_once(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    (run_folder / "notes.csv").write_text("not read")
    load(run_folder)
    first = everything(connection)
    written = {table: written_by(connection, table) for table in (*TABLES, "raw_unread_files")}
    assert written["raw_unread_files"]
    for _ in range(2):
        counts = load(run_folder)
        assert (counts.rows, counts.files_changed) == (0, 0)
    assert everything(connection) == first
    # Of a row that is written again, be it as it was, a build takes what reads it for changed.
    assert {table: written_by(connection, table) for table in written} == written
    connection.execute("update public.raw_runs set url = 'elsewhere'")
    load(run_folder)
    assert written_by(connection, "raw_runs") != written["raw_runs"]


def test_two_runs_in_either_order_are_the_same_rows(
    load: Load, connection: psycopg.Connection, sample_folder: Path
) -> None:
    runs = sorted(sample_folder.iterdir())
    for run in runs:
        load(run)
    forwards = everything(connection)
    for table in reversed(TABLES):
        connection.execute(f"truncate public.{table} cascade".encode())
    for run in reversed(runs):
        load(run)
    assert everything(connection) == forwards
    assert [row[0] for row in forwards["raw_runs"]] == [run.name for run in runs]


def test_a_changed_file_replaces_its_own_rows_only(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    load(run_folder)
    before = ids(connection, "raw_entity_results")
    content = read(run_folder / NODE)
    content[1]["metric"][0]["values"] = 9.5
    write(run_folder / NODE, content[:-1])
    counts = load(run_folder)
    after = ids(connection, "raw_entity_results")
    assert (counts.files_changed, counts.rows) == (1, len(content) - 1)
    assert {path for path in before if before[path] != after[path]} == {NODE}
    assert len(after[NODE]) == len(before[NODE]) - 1
    changed = connection.execute(
        "select json_data::jsonb #>> '{metric,0,values}' from public.raw_entity_results "
        "where file_path = %s order by line_number limit 1",
        (NODE,),
    ).fetchone()
    assert changed == ("9.5",)


def test_a_file_that_went_back_to_what_it_was_gives_the_first_fingerprint(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    load(run_folder)
    first = everything(connection)
    original = (run_folder / NODE).read_bytes()
    write(run_folder / NODE, read(run_folder / NODE)[:-2])
    load(run_folder)
    assert rows(connection, "raw_runs") != first["raw_runs"]
    (run_folder / NODE).write_bytes(original)
    load(run_folder)
    assert everything(connection) == first


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"entity": [', "not JSON"),
        (b"[1, 2]", "not an object but list"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "an object has 'c' twice"),
        (b'{"a": "\\u0000"}', "a text holds NUL"),
        (b'{"a": "\\ud800"}', "half a surrogate pair"),
        (b'{"a": 1e400}', "does not fit a double"),
        (b'{"a": 1e308}', "none that was measured"),
        (b'{"a": -12345678901234567}', "none that was measured"),
        (b'{"a": 1E-200}', "none that was measured"),
        (b'{"a": 0e-16383}', "too long to be written out"),
        (b'{"a": [' + b"0e-999, " * 70_000 + b"1]}", "too long to be written out"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"metric": []}', "no entity"),
        (b'{"entity": [{"id": "medicareId", "value": 10001}]}', "not a text"),
        (b'{"entity": [{"id": "medicareId", "value": "10001"}]}', "5 characters, not 6"),
        (b'{"entity": [{"id": "medicareId", "value": "010001"}]}', "no metric"),
    ],
)
def test_a_bad_line_is_quarantined_with_its_number_and_the_others_load(
    load: Load, connection: psycopg.Connection, run_folder: Path, line: bytes, reason: str
) -> None:
    good = (run_folder / NODE).read_bytes().splitlines(keepends=True)
    (run_folder / NODE).write_bytes(b"".join([*good[:3], line + b"\n", *good[3:]]))
    load(run_folder)
    ((number, seen),) = quarantined(connection)
    assert number == 4
    assert reason in seen
    assert len(ids(connection, "raw_entity_results")[NODE]) == len(good) - 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda entity: entity["metric"][0].update(values="1.2"), "metric value is '1.2'"),
        (lambda entity: entity["metadata"].update(encounters="many"), "encounters is 'many'"),
        (
            lambda entity: entity["metric"][0].update(
                values={"timeline": [{"period": "2024-13", "value": 1}]}
            ),
            "is not a month",
        ),
        (
            lambda entity: entity["metric"][0].update(
                values={
                    "timeline": [
                        {"period": "2024-07", "value": 1},
                        {"period": "202407", "value": 2},
                    ]
                }
            ),
            "202407 twice",
        ),
        (
            lambda entity: entity["entity"][0].update(id="medicareId", value=" 10001"),
            "begins or ends with a blank",
        ),
        (
            lambda entity: entity["entity"].append({"id": "medicareId", "value": "010002"}),
            "names 'medicareId' twice",
        ),
        (
            lambda entity: entity["entity"][0].update(id="medicareId", value="01000\u200b"),
            "cannot be seen: '01000\\u200b'",
        ),
        (
            lambda entity: entity["entity"][0].update(id="medicareId", value="01000\uff11"),
            "holds other characters",
        ),
        (
            lambda entity: entity["entity"].append({"id": "payer", "value": "A\u00a0B"}),
            "cannot be seen: 'A\\xa0B'",
        ),
        (
            lambda entity: entity["metric"][0]["metadata"].update(metric_id="los\u00adIndex"),
            "metric_id holds a character that cannot be seen",
        ),
        (lambda entity: entity["metadata"].update(encounters=1.5), "1.5 is no whole number"),
        (lambda entity: entity["metadata"].update(encounters=-1), "encounters -1 is outside"),
        (
            lambda entity: entity["statistical_methods"][0].update(
                runtime={"anomaly_statistics": {"peer_count": -3}}
            ),
            "peer_count -3 is outside",
        ),
        (
            lambda entity: entity["statistical_methods"][0]["statistics"].update(
                percentile_rank=101
            ),
            "percentile_rank 101 is outside 0 to 100",
        ),
    ],
)
def test_impossible_values_are_quarantined(
    load: Load, connection: psycopg.Connection, run_folder: Path, change: Any, reason: str
) -> None:
    content = read(run_folder / NODE)
    change(content[2])
    write(run_folder / NODE, content)
    load(run_folder)
    ((number, seen),) = quarantined(connection)
    assert (number, reason in seen) == (3, True)


def test_a_line_cut_off_at_the_end_of_the_file_is_called_truncated(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    content = (run_folder / NODE).read_bytes()
    (run_folder / NODE).write_bytes(content[:-40])
    load(run_folder)
    ((number, reason),) = quarantined(connection)
    assert number == len(content.splitlines())
    assert reason.startswith("truncated")


def test_a_whole_last_line_without_a_newline_is_a_row(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    content = (run_folder / NODE).read_bytes()
    (run_folder / NODE).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n").rstrip())
    load(run_folder)
    assert quarantined(connection) == []
    assert len(ids(connection, "raw_entity_results")[NODE]) == len(content.splitlines()) - 1


def test_a_line_longer_than_allowed_is_not_read_into_memory(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    good = (run_folder / NODE).read_bytes().splitlines(keepends=True)
    long = b'{"a": "' + b"x" * 30_000_000 + b'"}\n'
    (run_folder / NODE).write_bytes(b"".join([*good[:2], long, *good[2:]]))
    tracemalloc.start()
    load(run_folder, 20_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert quarantined(connection) == [(3, "longer than max_line_bytes")]
    assert len(ids(connection, "raw_entity_results")[NODE]) == len(good) - 1
    assert peak < 20_000_000


def test_a_mended_line_leaves_the_quarantine(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    good = (run_folder / NODE).read_bytes()
    (run_folder / NODE).write_bytes(good + b"{oops\n")
    load(run_folder)
    assert len(quarantined(connection)) == 1
    (run_folder / NODE).write_bytes(good)
    load(run_folder)
    assert quarantined(connection) == []


def test_a_node_without_metadata_is_known_by_its_file(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    lines = (run_folder / NODE).read_bytes().splitlines(keepends=True)
    (run_folder / NODE).write_bytes(b"".join([b"{broken\n", *lines[1:]]))
    load(run_folder)
    nodes = connection.execute(
        "select distinct canonical_node_id from public.raw_entity_results where file_path = %s",
        (NODE,),
    ).fetchall()
    assert nodes == [("losIndex__medicareId__aggregate_time_period",)]


def test_leading_zeros_of_a_facility_survive(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    load(run_folder)
    found = connection.execute(
        "select count(*) from public.raw_entity_results "
        "where json_data::jsonb #>> '{entity,0,value}' = '010001'"
    ).fetchone()
    assert found is not None
    assert found[0] > 0


def test_a_file_written_to_meanwhile_changes_nothing(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    class Busy(source.FileReader):
        def content_hash(self) -> str:
            seen = super().content_hash()
            with (run_folder / NODE).open("ab") as stream:
                stream.write(b"{}\n")
            return seen

    (run,) = source.find_runs(str(run_folder))
    with pytest.raises(FileChangedError):
        raw.load_run(connection, run, lambda file: Busy(file, source.Storage(), 1_000_000))
    assert all(not found for found in everything(connection).values())


def test_runs_are_found_in_a_folder_a_glob_and_by_their_own_address(sample_folder: Path) -> None:
    both = [run.run_id for run in source.find_runs(str(sample_folder))]
    assert both == sorted(path.name for path in sample_folder.iterdir())
    assert [run.run_id for run in source.find_runs(f"{sample_folder}/202501*")] == both[:1]
    (one,) = source.find_runs(str(sample_folder / both[1]))
    assert one.run_id == both[1]
    assert [file.path for file in one.files] == sorted(
        str(path.relative_to(sample_folder / both[1]))
        for path in (sample_folder / both[1]).rglob("*.jsonl")
    )


def test_runs_are_read_from_an_object_store(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(run_folder), f"/needle/{RUN}", recursive=True)
    load("memory://needle")
    from_store = everything(connection)
    counts = load(run_folder)
    assert counts.files_changed == 0
    assert everything(connection) == from_store


def test_addresses_that_hold_no_run_say_what_to_do(tmp_path: Path, run_folder: Path) -> None:
    with pytest.raises(RunNotFoundError):
        source.find_runs(str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="az"):
        source.find_runs("az://bucket/runs")
    named_badly = run_folder.rename(run_folder.with_name("latest"))
    with pytest.raises(RunNameError, match="`run_id`"):
        source.find_runs(str(named_badly))
    (run,) = source.find_runs(str(named_badly), run_id=RUN)
    assert run.run_id == RUN


def test_a_run_of_a_time_to_come_is_told_and_keeps_no_other_out(run_folder: Path) -> None:
    now = datetime.now(UTC)
    soon, late = (f"{now + timedelta(days=days):%Y%m%d%H%M%S}" for days in (1, 3))
    for name in (soon, late):
        shutil.copytree(run_folder, run_folder.with_name(name))
    found = source.look_for_runs(str(run_folder.parent))
    assert [run.run_id for run in found.runs] == [RUN, soon]
    (error,) = found.refused
    assert late in str(error)
    assert "has not begun yet" in str(error)


def test_the_sample_is_a_function_of_its_seed(tmp_path: Path) -> None:
    first = sample.write_run(tmp_path / "a", RUN, 4, seed=1)
    same = sample.write_run(tmp_path / "b", RUN, 4, seed=1)
    other = sample.write_run(tmp_path / "c", RUN, 4, seed=2)
    assert (first / NODE).read_bytes() == (same / NODE).read_bytes()
    assert (first / NODE).read_bytes() != (other / NODE).read_bytes()
    json.loads((first / OTHER_NODE).read_text().splitlines()[0])


@pytest.mark.parametrize(
    ("manifest", "instant", "noted"),
    [
        ({"started_at": "2025-01-15T06:00:00-06:00"}, "2025-01-15T12:00:00+00:00", False),
        ({"started_at": "2025-01-15T06:00:01+05:45"}, "2025-01-15T00:15:01+00:00", False),
        ({"started_at": "2025-01-15T06:00:00"}, "2025-01-15T06:00:00+00:00", False),
        ({"started_at": "2025-07-01T06:00:00Z"}, "2025-01-15T06:00:00+00:00", True),
        ({"started_at": "0001-01-01T00:00:00+14:00"}, "2025-01-15T06:00:00+00:00", True),
        ({"started_at": 17}, "2025-01-15T06:00:00+00:00", True),
        ({}, "2025-01-15T06:00:00+00:00", True),
        (
            {"started_at": "2025-01-15T06:00:00-06:00", "run_id": "20200101000000"},
            "2025-01-15T06:00:00+00:00",
            True,
        ),
    ],
)
def test_a_run_was_started_when_its_manifest_says(
    load: Load,
    connection: psycopg.Connection,
    run_folder: Path,
    manifest: dict[str, Any],
    instant: str,
    noted: bool,
) -> None:
    (run_folder / "run_manifest.json").write_text(json.dumps(manifest))
    counts = load(run_folder)
    found = connection.execute("select started_at from public.raw_runs").fetchone()
    assert found == (datetime.fromisoformat(instant),)
    assert bool(counts.notes) == noted


def test_a_manifest_that_comes_later_changes_the_version_of_its_run(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    def version() -> Any:
        return connection.execute("select fingerprint, changed_at from public.raw_runs").fetchall()

    load(run_folder)
    without = version()
    (run_folder / "run_manifest.json").write_text('{"started_at": "2025-01-15T06:00:00-06:00"}')
    load(run_folder)
    assert version() != without
    stated = version()
    load(run_folder)
    assert version() == stated


def test_ids_are_local_time_of_the_zone_of_the_settings(tmp_path: Path) -> None:
    start = run_start("20260116085939", None, ZoneInfo("America/Chicago"))
    assert (start.at.isoformat(), start.zone) == ("2026-01-16T14:59:39+00:00", "America/Chicago")
    with pytest.raises(ValidationError, match="not a time zone"):
        QualityCompassSettings(run_id_time_zone="Mars/Olympus")
    for unknown_to_postgresql in ("localtime", "posix/America/Chicago", "right/UTC"):
        with pytest.raises(ValidationError, match="zone"):
            QualityCompassSettings(run_id_time_zone=unknown_to_postgresql)


def test_the_manifest_of_a_real_run_says_when_it_was_started(real_data: Path) -> None:
    manifest = real_data / "run_manifest.json"
    if not manifest.exists():
        pytest.skip("no manifest among the real data")
    start = run_start("20260116085939", manifest.read_bytes(), ZoneInfo("UTC"))
    assert (start.at.isoformat(), start.is_stated) == ("2026-01-16T14:59:39+00:00", True)


def test_runs_are_found_below_folders_of_sets(run_folder: Path, tmp_path: Path) -> None:
    for nested in ("a/test_minimal", "b/insight_graph/test_minimal"):
        home = tmp_path / nested / run_folder.name
        home.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(run_folder, home)
        (run,) = source.find_runs(str(tmp_path / nested.split("/")[0]))
        assert (run.run_id, run.url) == (RUN, f"file://{home}")


def test_a_folder_whose_name_reads_as_a_pattern_is_found(run_folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "runs [old]"
    shutil.copytree(run_folder.parent, odd)
    assert [run.run_id for run in source.find_runs(str(odd))] == [RUN]
    assert [run.run_id for run in source.find_runs(f"{tmp_path}/runs [[]old]")] == [RUN]


def test_compressed_lines_are_the_same_rows(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    load(run_folder)
    plain = rows(connection, "raw_entity_results")
    for table in reversed(TABLES):
        connection.execute(f"truncate public.{table} cascade".encode())
    for path in run_folder.rglob("*.jsonl"):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    counts = load(run_folder)
    assert (counts.quarantined, counts.notes) == (0, ())
    assert [row[2:] for row in rows(connection, "raw_entity_results")] == [row[2:] for row in plain]


def test_a_file_that_comes_in_another_way_of_writing_takes_the_place_of_the_one_before(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    path = run_folder / NODE
    packed = path.with_name(f"{path.name}.gz")
    lines = path.read_bytes().splitlines(keepends=True)
    packed.write_bytes(gzip.compress(b"".join(lines)))
    path.unlink()
    load(run_folder)
    packed.unlink()
    path.write_bytes(b"".join(lines[:-1]))
    load(run_folder)
    held = ids(connection, "raw_entity_results")
    assert f"{NODE}.gz" not in held
    assert len(held[NODE]) == len(lines) - 2


def test_a_compressed_file_that_breaks_off_loses_its_end_only(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    path = run_folder / NODE
    whole = gzip.compress(path.read_bytes())
    path.with_name(f"{path.name}.gz").write_bytes(whole[: len(whole) * 9 // 10])
    path.unlink()
    counts = load(run_folder)
    assert any("breaks off" in reason for _, reason in quarantined(connection))
    assert len(ids(connection, "raw_entity_results")[f"{NODE}.gz"]) > 0
    assert any("its first line says" in note for note in counts.notes)


def test_lines_that_are_missing_at_the_end_of_a_file_are_told(load: Load, run_folder: Path) -> None:
    write(run_folder / NODE, read(run_folder / NODE)[:-2])
    (note,) = load(run_folder).notes
    assert NODE in note


def test_the_owners_arrays_of_modelling_are_read(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    modeling = run_folder / "modeling"
    for lines, whole in (("runs", "run_summary"), ("experiments", "experiments")):
        content = read(modeling / f"{lines}.jsonl")
        (modeling / f"{lines}.jsonl").unlink()
        (modeling / f"{whole}.json").write_text(json.dumps([*content, 7]))
    load(run_folder)
    assert len(rows(connection, "raw_modeling_runs")) == 1
    assert len(rows(connection, "raw_modeling_experiments")) == 2
    assert [reason for _, reason in quarantined(connection)] == ["not an object but int"] * 2


def test_every_file_that_is_not_read_is_named(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    (run_folder / "graph.json").write_text("{}")
    (run_folder / "results" / "nodes" / "legacy.csv").write_text("{}")
    (run_folder / "results" / "index.json").write_text('{"nodes": []}')
    (note,) = load(run_folder).notes
    assert note == "2 files were not read: graph.json, results/nodes/legacy.csv"
    for number in range(30):
        (run_folder / f"n{number:02}.yaml").write_text("{}")
    (note,) = load(run_folder).notes
    assert note.startswith("32 files were not read: ")
    assert note.endswith(" and 12 more, see public.raw_unread_files")
    assert len(rows(connection, "raw_unread_files")) == 32
    (run_folder / "graph.json").unlink()
    load(run_folder)
    assert len(rows(connection, "raw_unread_files")) == 31
    (run_folder / "graph\u202e.json").write_text("{}")
    assert r"graph\u202e.json" in load(run_folder).notes[0], "as people can read it"
    (run_folder / "graph\u202e.json").unlink()
    (run_folder / "results" / "nodes" / os.fsdecode(b"\xff.jsonl")).write_text("{}")
    load(run_folder)
    assert (RUN, r"results/nodes/\udcff.jsonl") in [
        row[:2] for row in rows(connection, "raw_unread_files")
    ]


def test_a_node_in_one_document_is_the_same_rows_as_in_lines(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    """As an older insight graph wrote it, with its entities in an array."""
    load(run_folder)
    expected = rows(connection, "raw_entity_results"), rows(connection, "raw_node_results")
    for table in reversed(TABLES):
        connection.execute(f"truncate public.{table} cascade".encode())
    for path in (run_folder / "results" / "nodes").glob("*.jsonl"):
        metadata, *entities = read(path)
        del metadata["type"]
        document = json.dumps({**metadata, "entity_results": entities})
        path.with_suffix(".json").write_text(document)
        path.unlink()
    other = run_folder / "results" / "nodes" / "other.json"
    other.write_text('{"entity_results": [7, {}]}')
    broken = '[{"entity": 1},\n{"entity": oops}, {"entity": 2}]'
    torn = f'\ufeff\ufeff{{"metric_id": "m", "entity_results": {broken}}}'
    other.with_stem("torn").write_text(torn)
    counts = load(run_folder)
    assert [reason for _, reason in quarantined(connection)] == [
        "not an object but int", "no entity",
        "no entity", "not JSON: Expecting value at column 12", "no entity",
    ]  # fmt: skip
    assert counts.notes == ()
    found = rows(connection, "raw_entity_results"), rows(connection, "raw_node_results")
    known = [
        row for row in found[1] if row[1].rpartition("/")[2] not in {"other.json", "torn.json"}
    ]
    for before, after in zip(expected, (found[0], known), strict=True):
        assert [(row[0], *row[2:-1]) for row in before] == [(row[0], *row[2:-1]) for row in after]
        parsed = [
            (json.loads(row[-1]), json.loads(other[-1]))
            for row, other in zip(before, after, strict=True)
        ]
        assert all({**mine, "type": ""} == {**theirs, "type": ""} for mine, theirs in parsed)


def test_a_node_in_lines_and_in_a_document_is_read_once_and_the_other_named(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    load(run_folder)
    before = everything(connection)
    (run_folder / NODE).with_suffix(".json").write_text("{}")
    path = run_folder / OTHER_NODE
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    counts = load(run_folder)
    assert everything(connection) == before
    unread = [NODE.removesuffix("l"), f"{OTHER_NODE}.gz"]
    assert counts.notes == (f"2 files were not read: {', '.join(unread)}",)


def test_what_the_indexes_of_a_run_say_is_held_against_what_was_read(
    load: Load, run_folder: Path
) -> None:
    contributions = "analysis/contribution"
    whole, cut, *_ = sorted((run_folder / contributions).glob("*.jsonl"))
    artifacts: list[dict[str, Any]] = [
        {"artifact_path": path.name, "row_count": len(read(path))} for path in (whole, cut)
    ]
    artifacts[0]["artifact_path"] = f"/data/runs/{RUN}/{contributions}/{whole.name}"
    artifacts.append({"artifact_path": "gone.jsonl", "row_count": 3})
    artifacts.append({"artifact_path": "empty.jsonl", "row_count": 0})
    classified = sum(
        len(read(path)) for path in (run_folder / "analysis/classification").glob("*.jsonl")
    )
    indexes: dict[str, Any] = {
        "results/index.json": {
            "run_id": RUN,
            "nodes": [{"result_path": NODE}, {"result_path": "results/nodes/gone.jsonl"}, 7],
        },
        f"{contributions}/index.json": {
            "run_id": RUN,
            "parents": [{"metric_artifacts": artifacts}],
        },
        "analysis/classification/index.json": {"run_id": RUN, "total_entities": classified},
    }
    for path, content in indexes.items():
        (run_folder / path).write_text(json.dumps(content))
    cut_off = f"{contributions}/{cut.name} has {{}} lines, {contributions}/index.json says {{}}"
    not_there = "{} was not read: there is none, and {} lists it".format
    gone = [
        not_there(f"{contributions}/gone.jsonl", f"{contributions}/index.json"),
        not_there("results/nodes/gone.jsonl", "results/index.json"),
    ]
    gone.append(
        "results/index.json cannot be held against what was read: an entry of its nodes is a number"
    )
    assert set(load(run_folder).notes) == set(gone)
    artifacts[1]["row_count"] = float(artifacts[1]["row_count"])
    index = run_folder / contributions / "index.json"
    index.write_bytes(b"\xef\xbb\xbf" + json.dumps(indexes[f"{contributions}/index.json"]).encode())
    assert set(load(run_folder).notes) == set(gone), "a count with a point, after a byte order mark"
    artifacts[1]["row_count"] = "some"
    index.write_text(json.dumps(indexes[f"{contributions}/index.json"]))
    assert f"{contributions}/index.json says some" in " ".join(load(run_folder).notes)
    artifacts[1]["row_count"] = len(read(cut))
    index.write_text(json.dumps(indexes[f"{contributions}/index.json"]))
    write(cut, read(cut)[:-2])
    notes = load(run_folder).notes
    assert set(notes) == {
        cut_off.format(artifacts[1]["row_count"] - 2, artifacts[1]["row_count"]),
        *gone,
    }
    (run_folder / "analysis/classification/index.json").write_text('{"total_entities": 1}')
    (run_folder / "results/index.json").write_text('{"run_id": "20200101000000"}')
    (run_folder / contributions / "index.json").write_text('{"parents": {"a": ')
    told = load(run_folder).notes
    assert f"analysis/classification/ has {classified} lines, " in told[0]
    assert "is not JSON" in told[1] or "not JSON" in told[1]
    assert "it is of the run '20200101000000'" in told[2]


def test_what_keeps_one_run_from_being_read_is_told_and_the_others_are_found(
    run_folder: Path,
) -> None:
    home = run_folder.parent
    shutil.copytree(run_folder, home / "latest")
    for copy in ("a", "b"):
        shutil.copytree(run_folder, home / copy / "20250301060000")
    (home / "20250401060000" / "logs").mkdir(parents=True)
    (home / "20250401060000" / "logs" / "x.txt").write_text("nothing")
    for name in (".trash/20250501060000", ".20250502060000"):
        shutil.copytree(run_folder, home / name)
    (run_folder / "results" / "nodes" / ".copies").mkdir()
    (run_folder / "results" / "nodes" / ".copies" / "a.jsonl").touch()
    (trashed,) = source.look_for_runs(str(home / ".trash")).runs
    assert trashed.run_id == "20250501060000", "who names a hidden folder means it"
    found = source.look_for_runs(str(home))
    assert source.look_for_runs(f"{home}/*").runs == found.runs
    assert [run.run_id for run in found.runs] == [RUN]
    assert found.runs[0].unread == ("results/nodes/.copies/a.jsonl",)
    twice, badly_named = sorted(found.refused, key=lambda error: error.seen)
    assert "2 folders claim to be it" in twice.seen
    assert "'latest'" in badly_named.seen
    begun, *hidden = sorted(found.notes, key=lambda note: "hidden" in note)
    assert [note.partition(" is hidden")[0].rpartition("/")[2] for note in hidden] == [
        *(".20250502060000", "20250501060000")
    ]
    assert begun.startswith("20250401060000: nothing in ")
    assert begun.endswith("is read: logs/x.txt")
    with pytest.raises(RunNameError):
        source.find_runs(str(home))


def test_an_entity_that_is_told_in_two_ways_is_named_and_the_last_line_counts(
    load: Load, run_folder: Path
) -> None:
    content = read(run_folder / NODE)
    again = json.loads(json.dumps(content[2]))
    again["metric"][0]["values"] = 9.5
    content[0]["entity_results_count"] += 2
    write(run_folder / NODE, [*content, content[3], again])
    (note,) = load(run_folder).notes
    assert note == (
        f"{NODE} tells 1 in another way than an earlier line, and counts: line {len(content) + 2}"
    )


def test_what_is_not_read_of_lines_that_are_rows_is_told(load: Load, run_folder: Path) -> None:
    content = read(run_folder / NODE)
    for entity in content[2:4]:
        entity["metric"] *= 2
    facet, *_ = content[0]["statistical_methods"][0]["summary"]["global_statistics"]["facets"]
    facet["method_statistics"]["global_metric_std"] = "0.16"
    write(run_folder / NODE, content)
    monthly = read(run_folder / OTHER_NODE)
    for method in monthly[0]["statistical_methods"]:
        found = method["summary"]["global_statistics"]
        if "percentile_trends" in found:
            found["percentile_trends"]["p10"][0] = "0.8"
            found["percentile_trends"]["suppression_applied"] = {"p25": ["yes"]}
    write(run_folder / OTHER_NODE, monthly)
    left_out = "has figures that cannot be read and are left out:"
    assert load(run_folder).notes == (
        f"{NODE}: line 1 {left_out} global_metric_std",
        f"{NODE}: line 3 has several metrics, of which the first is read; so it is in 1 more line",
        f"{OTHER_NODE}: line 1 {left_out} p10, suppression_applied",
    )


def test_a_file_without_a_line_is_told_each_time_and_a_node_without_one_is_put_aside(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    (run_folder / NODE).write_bytes(b"")
    (run_folder / CLASSIFICATIONS).write_bytes(b"")
    for _ in range(2):
        assert load(run_folder).notes == (f"{CLASSIFICATIONS} is empty", f"{NODE} is empty")
    ((number, reason),) = quarantined(connection)
    assert (number, reason.startswith("the file is empty")) == (1, True)


def test_a_key_that_an_entity_of_a_document_has_twice_costs_that_entity_alone(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    metadata, *entities = read(run_folder / NODE)
    metadata["entity_results_count"] = float(len(entities))
    (run_folder / NODE).unlink()
    document = (run_folder / NODE).with_suffix(".json")
    written = json.dumps({**metadata, "entity_results": entities})
    document.write_text(written.replace('"metric": [', '"metric": [], "metric": [', 1))
    assert load(run_folder).notes == ()
    ((number, reason),) = quarantined(connection)
    assert (number, reason) == (2, "an object has 'metric' twice")
    document.write_text(
        written.replace('"entity_results": [', '"entity_results": [], "entity_results": [', 1)
    )
    load(run_folder)
    ((number, reason),) = quarantined(connection)
    assert (number, reason) == (1, "an object has 'entity_results' twice")


@pytest.mark.parametrize("place", [NODE, "run_manifest.json", "results/index.json"])
def test_a_file_of_a_run_that_is_none_or_lies_elsewhere_is_refused_with_its_name(
    load: Load, run_folder: Path, tmp_path: Path, place: str
) -> None:
    file = run_folder / place
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    with pytest.raises(InputFileRefusedError, match=f"{file}: it is no regular file"):
        load(run_folder)
    (tmp_path / "secret").write_text('{"password": "hunter2"}')
    for leads_to in (tmp_path / "secret", Path("/dev/zero")):
        file.unlink()
        file.symlink_to(leads_to)
        for address in (run_folder, f"{run_folder.parent}/2*"):
            with pytest.raises(InputFileRefusedError, match=f"{file}: a link leads from it out of"):
                load(str(address))


def test_links_to_folders_are_told_and_not_followed(run_folder: Path, tmp_path: Path) -> None:
    home = run_folder.parent
    outside = tmp_path / "elsewhere" / "20250301060000"
    shutil.copytree(run_folder, outside)
    (home / "latest").symlink_to(run_folder.name)
    (home / "20250115070000").symlink_to(run_folder.name)
    (home / "round").symlink_to(home)
    (run_folder / "up").symlink_to("..")
    (home / "20250301060000").symlink_to(outside)
    (home / ".trash").mkdir()
    (home / ".trash" / "20250302060000").symlink_to(outside)
    found = source.look_for_runs(str(home))
    assert [run.run_id for run in found.runs] == [RUN]
    assert [
        f"{home}/20250301060000 is a link to the folder {outside}" in str(error)
        for error in found.refused
    ] == [True]
    assert sorted(note.partition(" is a link")[0] for note in found.notes) == sorted(
        str(home / name)
        for name in ("20250115070000", ".trash/20250302060000", "latest", "round", f"{RUN}/up")
    )
