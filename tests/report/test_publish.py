"""Where the site goes: dated versions, and pages that lead to the newest in one step."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from pydantic import ValidationError

from flows.report.publish import Folder, publish
from flows.report.records import DestinationError
from flows.report.settings import ReportSettings

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
FILES = {"index.html": b"first", "scout.html": b"scout", "data/scout-x.csv": b"a,b\r\n"}
NEWER = FILES | {"index.html": b"second"}


def led_to(root: Path, page: str) -> bytes:
    """What a reader of a leading page arrives at."""
    text = (root / page).read_text()
    target = text.split("url=")[1].split('"')[0]
    return (root / page).parent.joinpath(target).read_bytes()


def test_the_address_leads_to_the_newest_version_and_the_older_stays(tmp_path: Path) -> None:
    first = publish(FILES, str(tmp_path), AT, kept=5)
    assert led_to(tmp_path, "index.html") == b"first"
    second = publish(NEWER, str(tmp_path), AT + timedelta(days=1), kept=5)
    assert led_to(tmp_path, "index.html") == led_to(tmp_path, "latest/index.html") == b"second"
    assert led_to(tmp_path, "latest/scout.html") == b"scout"
    assert (tmp_path / "versions" / first.version / "index.html").read_bytes() == b"first"
    assert second.version == "2026-11-29T12-00-00Z"
    assert second.index == f"{tmp_path}/index.html"


def test_as_many_versions_are_kept_as_the_setting_says_and_nothing_else_is_removed(
    tmp_path: Path,
) -> None:
    (tmp_path / "versions" / "notes").mkdir(parents=True)
    for day in range(4):
        last = publish(FILES, str(tmp_path), AT + timedelta(days=day), kept=2)
    assert {path.name for path in (tmp_path / "versions").iterdir()} == {
        "notes",
        "2026-11-30T12-00-00Z",
        "2026-12-01T12-00-00Z",
    }
    assert last.removed == ("2026-11-29T12-00-00Z",)


def test_a_clock_that_went_back_does_not_remove_the_version_just_written(tmp_path: Path) -> None:
    publish(FILES, str(tmp_path), AT, kept=1)
    publish(NEWER, str(tmp_path), AT - timedelta(days=9), kept=1)
    assert led_to(tmp_path, "index.html") == b"second"


def test_what_another_report_has_removed_meanwhile_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(FILES, str(tmp_path), AT, kept=1)
    remove = Folder.remove

    def removed_twice(folder: Folder, version: str) -> None:
        remove(folder, version)
        remove(folder, version)

    monkeypatch.setattr(Folder, "remove", removed_twice)
    publish(NEWER, str(tmp_path), AT + timedelta(days=1), kept=1)
    assert led_to(tmp_path, "index.html") == b"second"
    assert [each.name for each in (tmp_path / "versions").iterdir()] == ["2026-11-29T12-00-00Z"]


def test_twice_in_a_second_are_two_versions(tmp_path: Path) -> None:
    names = [publish(FILES, str(tmp_path), AT, kept=9).version for _ in range(3)]
    assert names == [f"2026-11-28T12-00-00Z{end}" for end in ("", "-2", "-3")]


def test_a_site_that_cannot_be_written_whole_leads_nobody_to_it(tmp_path: Path) -> None:
    publish(FILES, str(tmp_path), AT, kept=5)
    broken = NEWER | {"index.html/below": b"a file where a folder must be"}
    with pytest.raises(DestinationError):
        publish(broken, str(tmp_path), AT + timedelta(days=1), kept=5)
    assert led_to(tmp_path, "index.html") == b"first"
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["2026-11-28T12-00-00Z"]


def test_a_reader_never_finds_half_a_page(tmp_path: Path) -> None:
    publish(FILES, str(tmp_path), AT, kept=99)
    seen: set[bytes] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(led_to(tmp_path, "index.html"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        publish(NEWER, str(tmp_path), AT + timedelta(minutes=number + 1), kept=99)
    over.set()
    reader.join()
    assert seen <= {b"first", b"second"}


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, object]]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "access_key": "key",
        "secret_key": "a-secret-word",
        "region": "us-east-1",
        "endpoint_override": f"{host}:{port}",
        "scheme": "http",
    }
    server.stop()


def test_a_bucket_holds_the_same_and_says_what_its_pages_are(s3: dict[str, object]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{s3['endpoint_override']}",
        aws_access_key_id="key",
        aws_secret_access_key="a-secret-word",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="pages")
    for day in range(3):
        at = AT + timedelta(days=day)
        made = publish(
            FILES | {"index.html": str(day).encode()}, "s3://pages/r/", at, 2, {"s3": s3}
        )
    keys = {each["Key"] for each in client.list_objects_v2(Bucket="pages")["Contents"]}
    versions = {key.split("/")[2] for key in keys if key.startswith("r/versions/2")}
    assert versions == {"2026-11-29T12-00-00Z", "2026-11-30T12-00-00Z"}
    assert {"r/index.html", "r/latest/index.html", "r/latest/scout.html"} <= keys
    page = client.get_object(Bucket="pages", Key="r/index.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert b"versions/2026-11-30T12-00-00Z/index.html" in page["Body"].read()
    data = client.get_object(Bucket="pages", Key=f"r/versions/{made.version}/data/scout-x.csv")
    assert data["ContentType"] == "text/csv; charset=utf-8"
    assert made.index == "s3://pages/r/index.html"


def test_a_bucket_that_is_not_there_is_told_without_the_key(s3: dict[str, object]) -> None:
    with pytest.raises(DestinationError) as told:
        publish(FILES, "s3://nowhere/r", AT, 2, {"s3": s3})
    assert "s3://nowhere/r" in str(told.value)
    assert "a-secret-word" not in str(told.value)


def test_a_folder_that_cannot_be_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    for address, seen in (
        (str(tmp_path / "README.md"), "README.md is a file"),
        (str(tmp_path / "README.md" / "report"), "README.md is a file"),
        ("/proc/nowhere", "no folder can be made there"),
        (str(tmp_path / ("n" * 300)), "File name too long"),
    ):
        with pytest.raises(DestinationError, match="Name a folder") as told:
            publish(FILES, address, AT, 2)
        assert seen in told.value.seen, told.value


def test_an_option_that_the_storage_does_not_know_is_told() -> None:
    with pytest.raises(DestinationError, match="storage_block"):
        publish(FILES, "s3://pages/r", AT, 2, {"s3": {"acess_key": "a"}})


@pytest.mark.parametrize("address", ["ftp://somewhere/x", "s3://", "", "https://somewhere/x"])
def test_an_address_of_no_kind_that_is_known_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        ReportSettings(destination=address)
