"""Agent analytics read where its disk is not: published to a bucket, served over HTTP."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.testclient import TestClient

from deployments.reader.app import make_app
from deployments.reader.copy import PublishedCopy
from flows._shared.buckets import (
    POINTER,
    BucketError,
    BucketUnreachableError,
    newest,
    open_bucket,
    publish_file,
)
from flows.agent_analytics.flow import where_to_look
from flows.agent_analytics.settings import AgentAnalyticsSettings
from tests.quality_compass.buckets import BUCKET, s3_bucket

ADDRESS = f"s3://{BUCKET}/agent-analytics"
LOGIN = "dashboards:" + "pass:word"
SIGNED = {"Authorization": "Basic " + base64.b64encode(LOGIN.encode()).decode()}
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@dataclass
class Place:
    """A bucket, and the file that a run publishes to it."""

    file: Path
    options: dict[str, dict[str, Any]]

    def publish(self, cost: int, at: datetime) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("create schema if not exists mart")
            connection.execute(f"create or replace table mart.fct_agent_costs as select {cost} usd")
            connection.execute("create or replace table main.secret_of_raw as select 1 as one")
            connection.execute("force checkpoint")
        publish_file(self.file, ADDRESS, at, self.options)

    def objects(self) -> list[str]:
        from pyarrow.fs import FileSelector

        bucket, root = open_bucket(ADDRESS, self.options)
        return sorted(each.base_name for each in bucket.get_file_info(FileSelector(root)))


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, Any]]:
    with s3_bucket({}) as options:
        yield options


@pytest.fixture
def place(tmp_path: Path, s3: dict[str, Any]) -> Iterator[Place]:
    place = Place(tmp_path / "agent_analytics.duckdb", {"s3": s3})
    yield place
    bucket, root = open_bucket(ADDRESS, place.options)
    for name in place.objects():
        bucket.delete_file(f"{root}/{name}")


def test_a_dashboard_reads_the_newest_copy_whole_or_by_table(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    copy = PublishedCopy(ADDRESS, folder, place.options)
    reader = TestClient(make_app(copy, LOGIN), headers=SIGNED)
    assert reader.get("/readyz").status_code == 503
    assert "Nothing was published yet" in reader.get("/mart/fct_agent_costs.csv").text
    place.publish(5, NOW)
    assert copy.refresh()
    assert not copy.refresh(), "it is fetched once"
    assert reader.get("/readyz").status_code == 200
    assert reader.get("/mart/fct_agent_costs.csv").text == "usd\n5\n"
    assert reader.get("/mart/fct_agent_costs.json").json() == [{"usd": 5}]
    assert "fct_agent_costs.parquet" in reader.get("/").text
    for name in ("secret_of_raw.csv", "fct_agent_costs.xlsx", "..%2Fx.csv", "fct_agent_costs"):
        assert reader.get(f"/mart/{name}").status_code == 404, name

    whole = reader.get("/agent_analytics.duckdb")
    part = reader.get("/agent_analytics.duckdb", headers={"Range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, whole.content[8:16])
    fetched = tmp_path / "fetched.duckdb"
    fetched.write_bytes(whole.content)
    with duckdb.connect(str(fetched), read_only=True) as connection:
        assert connection.execute("select usd from mart.fct_agent_costs").fetchall() == [(5,)]

    for minutes, cost in enumerate((6, 7, 8), start=1):
        place.publish(cost, NOW + timedelta(minutes=minutes))
        assert copy.refresh()
        assert reader.get("/mart/fct_agent_costs.csv").text == f"usd\n{cost}\n"
    assert len(place.objects()) == 3, "two copies and what leads to the newest"
    assert len([*folder.glob("*.duckdb")]) == 2, "nor does the disk of the reader fill"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic " + base64.b64encode(b"dashboards:other").decode()},
        {"Authorization": "Basic \u00e4"},
        {"Authorization": f"Bearer {LOGIN}"},
    ],
)
def test_nobody_reads_without_the_login(tmp_path: Path, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    reader = TestClient(make_app(PublishedCopy(ADDRESS, tmp_path), LOGIN))
    for path in ("/", "/agent_analytics.duckdb", "/mart/fct_agent_costs.csv"):
        assert reader.get(path, headers=raw).status_code == 401
    assert reader.get("/healthz").status_code == 200


def test_a_copy_cut_short_or_a_pointer_not_understood_leaves_what_was_fetched(
    place: Place, tmp_path: Path
) -> None:
    copy = PublishedCopy(ADDRESS, tmp_path, place.options)
    with pytest.raises(BucketError, match="nothing was published there yet"):
        copy.refresh()
    place.publish(5, NOW)
    copy.refresh()
    before = copy.path
    place.publish(6, NOW + timedelta(minutes=1))
    bucket, root = open_bucket(ADDRESS, place.options)
    name = newest(ADDRESS, place.options).name
    with bucket.open_output_stream(f"{root}/{name}") as stream:
        stream.write(b"cut short")
    with pytest.raises(BucketUnreachableError, match=r"9 of [0-9,]+ bytes are there"):
        copy.refresh()
    with bucket.open_output_stream(f"{root}/{POINTER}") as stream:
        stream.write(b'{"name": 1}')
    with pytest.raises(BucketError, match="is not understood"):
        copy.refresh()
    assert copy.path == before
    assert copy.tables() == ["fct_agent_costs"]


def test_what_went_wrong_with_the_bucket_is_named(place: Place) -> None:
    place.publish(5, NOW)
    unknown = {"s3": {**place.options["s3"], "color": "blue"}}
    with pytest.raises(BucketError, match="storage_block"):
        publish_file(place.file, ADDRESS, NOW, unknown)
    with pytest.raises(BucketError, match="Grant access"):
        publish_file(place.file, "s3://no-such-bucket/x", NOW, place.options)


def test_the_summary_names_what_a_reader_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    here = AgentAnalyticsSettings(database_path=Path("/state/a.duckdb"))
    assert where_to_look(here)[0] == "duckdb -readonly /state/published/a.duckdb"
    monkeypatch.setenv("AGENT_ANALYTICS_DESTINATION", "gs://bucket/agents")
    assert where_to_look(here)[0] == "gs://bucket/agents/latest.json leads to the newest copy"
    monkeypatch.setenv("AGENT_ANALYTICS_READER_URL", "http://agent-analytics-reader.ns/")
    assert where_to_look(here)[0] == "http://agent-analytics-reader.ns"
    assert "/state" not in " ".join(where_to_look(here))
