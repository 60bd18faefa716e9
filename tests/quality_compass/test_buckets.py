"""Runs in buckets are the same runs, and whoever may not read them is told so."""

import json
from pathlib import Path

import psycopg
import pytest

from blocks.registration import register
from flows._shared.errors import PermanentError
from flows.quality_compass import raw, source
from flows.quality_compass.flow.finding import open_storage
from flows.quality_compass.records import (
    RunNotFoundError,
    StorageError,
    StorageUnreachableError,
)
from flows.quality_compass.settings import QualityCompassSettings
from tests.quality_compass.buckets import BUCKET, files_of, google_cloud, s3_bucket
from tests.quality_compass.conftest import MAX_LINE, RUN, Load, rows

NODE = "results/nodes/losIndex__medicareId__aggregate_time_period.jsonl"
SECOND = "20250215060000"


def test_a_run_in_an_s3_bucket_is_the_run_on_disk(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    with s3_bucket(files_of(run_folder, f"runs/{RUN}") | {"runs/readme.txt": b""}) as options:
        storage = source.Storage({"s3": options})
        for address in (f"s3://{BUCKET}/runs", f"s3://{BUCKET}/runs/2025*"):
            (run,) = source.find_runs(address, storage)
            assert run.url == f"s3://{BUCKET}/runs/{RUN}"
        counts = raw.load_run(
            connection, run, lambda file: source.FileReader(file, storage, MAX_LINE)
        )
        with pytest.raises(RunNotFoundError, match="no results/nodes"):
            source.find_runs(f"s3://{BUCKET}/elsewhere", storage)
        with pytest.raises(RunNotFoundError, match="no bucket nowhere"):
            source.find_runs("s3://nowhere/runs", storage)
        (by_hadoops_name,) = source.find_runs(f"s3a://{BUCKET}/runs", storage)
        assert by_hadoops_name.run_id == run.run_id
        with pytest.raises(StorageError, match="no_such_option"):
            source.find_runs(f"s3://{BUCKET}/runs", source.Storage({"s3": {"no_such_option": 1}}))
    assert counts.rows == sum(
        len(path.read_text().splitlines()) for path in run_folder.rglob("*.jsonl")
    )
    assert load(run_folder).files_changed == 0
    assert rows(connection, "raw_runs")
    with pytest.raises(StorageUnreachableError):
        source.find_runs(f"s3://{BUCKET}/runs", storage)


def test_a_run_in_a_gs_bucket_is_read_with_a_service_account(
    load: Load, connection: psycopg.Connection, run_folder: Path
) -> None:
    objects = files_of(run_folder, f"runs/{RUN}") | files_of(run_folder, f"runs/{SECOND}")
    with google_cloud(objects) as cloud:
        storage = source.Storage({"gs": cloud.options}, cloud.service_account)
        found = source.find_runs(f"gs://{BUCKET}/runs", storage)
        assert [run.run_id for run in found] == [RUN, SECOND]
        (run,) = source.find_runs(f"gs://{BUCKET}/runs/202501*", storage)
        raw.load_run(connection, run, lambda file: source.FileReader(file, storage, MAX_LINE))
        assert load(run_folder).files_changed == 0
        assert len(cloud.tokens) == 1
        cloud.is_refusing = True
        with pytest.raises(StorageError, match="Grant read access"):
            source.find_runs(f"gs://{BUCKET}/runs", storage)


def test_a_token_that_ran_out_is_asked_for_anew(run_folder: Path) -> None:
    with google_cloud(files_of(run_folder, f"runs/{RUN}")) as cloud:
        cloud.token_seconds = 1
        storage = source.Storage({"gs": cloud.options}, cloud.service_account)
        for asked in (1, 2):
            assert source.find_runs(f"gs://{BUCKET}/runs", storage)
            assert len(cloud.tokens) == asked


def test_a_key_that_is_none_is_refused_without_showing_it() -> None:
    storage = source.Storage({}, {"private_key": "do-not-show", "client_email": "x"})
    with pytest.raises(StorageError, match="service account was refused") as refused:
        source.find_runs("gs://bucket/runs", storage)
    assert "do-not-show" not in str(refused.value)


def test_the_blocks_of_buckets_reach_the_storage(prefect_server: str, run_folder: Path) -> None:
    with google_cloud(files_of(run_folder, f"runs/{RUN}")) as cloud:
        register(
            ["quality_compass"],
            {
                "QUALITY_COMPASS_DATABASE_URL": "postgresql://u:p@127.0.0.1/d",
                "QUALITY_COMPASS_STORAGE_OPTIONS": json.dumps({"gs": cloud.options}),
                "QUALITY_COMPASS_GCP_SA_JSON": json.dumps(cloud.service_account),
            },
        )
        settings = QualityCompassSettings(
            storage_block="quality-compass-storage", gcp_block="quality-compass-gcp"
        )
        (run,) = source.find_runs(f"gs://{BUCKET}/runs", open_storage(settings))
        assert run.run_id == RUN
    register(
        ["quality_compass"],
        {
            "QUALITY_COMPASS_DATABASE_URL": "postgresql://u:p@127.0.0.1/d",
            "QUALITY_COMPASS_STORAGE_OPTIONS": json.dumps({"access_key": "shown-nowhere"}),
        },
    )
    with pytest.raises(PermanentError, match="by s3 and gs") as refused:
        open_storage(settings)
    assert "shown-nowhere" not in str(refused.value)
