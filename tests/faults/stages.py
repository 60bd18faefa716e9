"""What each domain does, stage by stage, as its flow does it, without Prefect.

Each is run in a process of its own, which a fault may end at any point. A stage that is run again
on what it left must end where one that nothing disturbed ended.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from google.cloud import bigquery

from flows._shared.bigquery_export import CopyDataset, export_table, open_snapshot
from flows._shared.buckets import publish_file
from flows._shared.environment import set_environment
from flows._shared.errors import TransientError
from flows._shared.orchestration.bigquery import bigquery_access
from flows._shared.orchestration.dbt import DbtOptions, build_dbt
from flows._shared.outgoing import open_client
from flows._shared.postgres import connected
from flows.agent_analytics import raw as agents_raw
from flows.agent_analytics import sync as agents_sync
from flows.agent_analytics.settings import PATH_VARIABLE
from flows.github_scraper import raw as github_raw
from flows.github_scraper.records import LoadCounts
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.connect import Secrets, open_api
from flows.github_scraper.sync import plan_repositories, sync_planned, sync_repository
from flows.ledgermind.raw import operational
from flows.ledgermind.raw.exported import exported_tables
from flows.ledgermind.sample import sample as ledgermind_sample
from flows.ledgermind.settings import LedgermindBigQuerySettings
from flows.quality_compass import raw as compass_raw
from flows.quality_compass import source as compass_source
from flows.quality_compass import sync as compass_sync
from flows.quality_compass.settings import QualityCompassSettings
from flows.report.making import make, read_agents, read_from
from flows.report.records import DOMAINS, OperationsData
from flows.report.source import nothing
from flows.scout import raw as scout_raw
from flows.scout.records import SourceFile
from flows.scout.settings import ScoutSettings
from flows.scout.source import list_files
from flows.scout.source.drive import Drive
from flows.scout.sync import fetch_changed, load_next_deliveries, load_source_file
from tests.dbt_projects.warehouse import postgres_environment
from tests.faults import receiving

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BATCH_BYTES = 200_000
EVENTS, SEED = 500, 5
MARTS_ONLY = DbtOptions(exclude=("resource_type:unit_test", "resource_type:test"))
RECEIVER = "receiver"
BUCKET = "needle"
BUCKET_OPTIONS = {
    "access_key": "AKIAEXAMPLE",
    "secret_key": "s3-secret-of-the-test",
    "region": "us-east-1",
    "scheme": "http",
}


@dataclass(frozen=True)
class Place:
    """Where a stage works.

    Args:
        url: of the database, by way of the proxy.
        folder: what the run may write, and finds again when it is run anew.
        inputs: what it reads; never written to.
        source: ``http://host:port`` of the server it reads from or writes to, by way of a proxy.
        token: for that server.
        dataset: name of what it exports to.
        room: bytes that the receiver may put aside, much if empty.
    """

    url: str
    folder: Path
    inputs: Path
    source: str = ""
    token: str = ""
    dataset: str = ""
    room: str = ""

    @property
    def store(self) -> agents_raw.Store:
        return agents_raw.Store(self.folder / "store.duckdb")


Stage = Callable[[Place], None]


def github_fetch(place: Place) -> None:
    """One repository over the API, page by page."""
    settings = GithubScraperSettings.model_validate(
        {
            "api": {
                "host_url": place.source,
                "path": "graphql",
                "timeout_seconds": 3,
                "page_size": 40,
            }
        }
    )
    url = f"{place.source}/octo/tool"
    with connected(place.url, "the database") as connection:
        github_raw.ensure_schema(connection)
        opened = open_api(Secrets((("faults", place.token),)), settings.api)
        with opened.client(place.url, "plan") as client:
            planned = plan_repositories(connection, client, [url], settings, datetime.now(UTC))
        for failed, reason in planned.failed.items():
            raise TransientError(f"planning {failed}", reason, "Run again")
        for plan in planned.plans:
            with opened.client(place.url, plan.url) as client:
                sync_planned(connection, plan, settings, client, _never)
        github_raw.merge_accounts(connection)


def _never() -> LoadCounts:
    raise AssertionError("the API serves this repository")


def github_load(place: Place) -> None:
    with connected(place.url, "the database") as connection:
        github_raw.ensure_schema(connection)
        for history in sorted(place.inputs.glob("*.git")):
            sync_repository(
                connection, str(history), GithubScraperSettings(), place.folder / "mirrors"
            )
        github_raw.merge_accounts(connection)


def ledgermind_load(place: Place) -> None:
    """The sample is made where there is no operational database, as the flow does it."""
    with connected(place.url, "the database") as connection:
        if not operational.has_operational_tables(connection):
            operational.create_operational_database(connection, ledgermind_sample(EVENTS, SEED))


def ledgermind_export(place: Place) -> None:
    settings = LedgermindBigQuerySettings(raw_dataset=place.dataset)
    dataset = CopyDataset(bigquery_client(place.source), place.dataset, settings.location)
    with open_snapshot(place.url) as connection:
        for table in exported_tables(connection, settings.excluded_columns):
            export_table(connection, dataset, table, rows_per_load=400)


def bigquery_client(endpoint: str) -> bigquery.Client:
    with set_environment({"BIGQUERY_EMULATOR_HOST": endpoint}):
        return bigquery_access(LedgermindBigQuerySettings()).client()


def scout_fetch(place: Place) -> None:
    """Files of a Drive folder, then how far it was read."""
    with connected(place.url, "the database") as connection:
        scout_raw.ensure_schema(connection)
        begun = scout_raw.drive_page_token(connection, "folder-1")
        with TemporaryDirectory() as into, open_client(timeout=3) as client:
            drive = Drive(client, place.token, place.source)
            files, changed, missing = fetch_changed(drive, "folder-1", begun, Path(into))
            _load_scout(connection, files)
        for name, reason in missing:
            raise TransientError(f"fetching {name}", reason, "Run again")
        scout_raw.save_drive_page_token(connection, "folder-1", changed.page_token, NOW)


def scout_load(place: Place) -> None:
    """Files of a folder, and the deliveries of the inbox."""
    with connected(place.url, "the database") as connection:
        scout_raw.ensure_schema(connection)
        with connected(place.url, "the inbox") as inbox:
            while load_next_deliveries(inbox, connection, "webhook").are_more:
                pass
        _load_scout(connection, list_files(str(place.inputs))[0])


def _load_scout(connection: psycopg.Connection, files: Sequence[SourceFile]) -> None:
    for file in files:
        counts = load_source_file(connection, file.name, file, "batch", ScoutSettings())
        if counts.failure:
            raise TransientError(f"loading {file.name}", counts.failure, "Run again")


def compass_fetch(place: Place) -> None:
    """Runs in a bucket."""
    options = {"endpoint_override": place.source.removeprefix("http://"), **BUCKET_OPTIONS}
    _load_compass(place, f"s3://{BUCKET}/runs", compass_source.Storage({"s3": options}))


def compass_load(place: Place) -> None:
    _load_compass(place, str(place.inputs), compass_source.Storage())


def _load_compass(place: Place, address: str, storage: compass_source.Storage) -> None:
    with connected(place.url, "the database") as connection:
        compass_raw.ensure_schema(connection)
        found = compass_source.look_for_runs(address, storage)
        for refused in found.refused:
            raise refused
        for run in found.runs:
            compass_sync.load(connection, run, storage, QualityCompassSettings())


def agents_fetch(place: Place) -> None:
    """What the webhook receiver stored."""
    with _writing(place) as store:
        agents_sync.load_deliveries(store, place.url, BATCH_BYTES)


def agents_load(place: Place) -> None:
    with _writing(place) as store:
        agents_sync.load_telemetry(store, [str(place.inputs / "telemetry")], BATCH_BYTES)
        agents_sync.load_commits(store, [str(place.inputs / "commits")], ())
        copilot = agents_sync.copilot_files([str(place.inputs / "copilot")])
        agents_sync.load_copilot(store, copilot)


def agents_build(place: Place) -> None:
    with _writing(place) as store:
        environment = {PATH_VARIABLE: str(store.path), "AGENT_ANALYTICS_DUCKDB_MEMORY": "1GB"}
        build_dbt("agent_analytics", environment, MARTS_ONLY, leaves_out=True)


def agents_publish(place: Place) -> None:
    with _writing(place) as store:
        store.publish()
        store.export_marts(place.folder / "parquet")


def agents_export(place: Place) -> None:
    """The published file to a bucket."""
    options = {"endpoint_override": place.source.removeprefix("http://"), **BUCKET_OPTIONS}
    address = f"s3://{BUCKET}/{place.dataset}"
    publish_file(place.store.published_path, address, datetime.now(UTC), {"s3": options})


@contextmanager
def _writing(place: Place) -> Iterator[agents_raw.Store]:
    store = place.store
    with store.locked("a fault", 60, print):
        store.recover(print)
        yield store


def built(slug: str) -> Stage:
    """The domain's models beside its raw tables; its tests change no table."""

    def build(place: Place) -> None:
        build_dbt(slug, postgres_environment(place.url), MARTS_ONLY, leaves_out=True)

    return build


def reported(slug: str) -> Stage:
    """The domain's page, published to a folder."""

    def report(place: Place) -> None:
        data = (
            read_agents(place.store.published_path)
            if slug == "agent_analytics"
            else read_from(slug, place.url)
        )
        others = {each: nothing(each) for each in DOMAINS}
        make(others | {slug: data}, OperationsData(), NOW, str(place.folder / "site"), 3)

    return report


STAGES: Mapping[str, Mapping[str, Stage]] = {
    "github_scraper": {
        "fetch": github_fetch,
        "load": github_load,
        "build": built("github_scraper"),
        "report": reported("github_scraper"),
    },
    "ledgermind": {
        "load": ledgermind_load,
        "build": built("ledgermind"),
        "export": ledgermind_export,
        "report": reported("ledgermind"),
    },
    "scout": {
        "fetch": scout_fetch,
        "load": scout_load,
        "build": built("scout"),
        "report": reported("scout"),
    },
    "quality_compass": {
        "fetch": compass_fetch,
        "load": compass_load,
        "build": built("quality_compass"),
        "report": reported("quality_compass"),
    },
    "agent_analytics": {
        "fetch": agents_fetch,
        "load": agents_load,
        "build": agents_build,
        "publish": agents_publish,
        "export": agents_export,
        "report": reported("agent_analytics"),
    },
    RECEIVER: {
        "take": receiving.take,
        "spool": receiving.spool,
        "drain": receiving.drain,
        "take-grpc": receiving.take_grpc,
        "spool-grpc": receiving.spool_grpc,
        "drain-grpc": receiving.drain_grpc,
    },
}
