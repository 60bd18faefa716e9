"""What the domains read, small enough for a fault in seconds, and the servers they speak to."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import boto3
import psycopg
from google.cloud import bigquery

from deployments.local.bigquery import BigQueryEmulator
from deployments.local.paths import LocalPaths
from flows.agent_analytics import sample as agents_sample
from flows.agent_analytics.sync import write_sample as write_agents
from flows.quality_compass import sample as compass_sample
from flows.scout.sample import transactions, write_sample
from flows.webhooks.inbox import NewDelivery, prepare_inbox, store
from tests.faults.stages import BUCKET, NOW, STAGES, bigquery_client
from tests.faults.tables import PASSED_OVER, Tables, in_duckdb
from tests.github_scraper.github_server import GithubServer
from tests.github_scraper.histories import import_sample
from tests.ports import own_ports
from tests.quality_compass.buckets import files_of, s3_bucket
from tests.scout.servers import FakeDrive
from tests.scout.servers import serving as answering

COMMITS, SEED = 160, 7
PAYLOADS, END = 400, date(2026, 10, 31)
FACILITIES, RUNS = 6, ("20260915060000", "20261015060000")
DAYS, DEVELOPERS = 1, 3
FIRST_EMULATOR_PORT = 29_550
FIRST_RECEIVER_PORT = 29_800
JSON = "application/json"


def nothing(dataset: str) -> Tables:
    return {}


@dataclass(frozen=True)
class Source:
    """A server, the token it takes, and what an export left in it.

    Args:
        is_sender: whether it sends to the domain, which listens at ``target``.
    """

    target: tuple[str, int]
    token: str = ""
    is_sender: bool = False
    exported: Callable[[str], Tables] = nothing


def make_inputs(domain: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    match domain:
        case "github_scraper":
            for seed in (SEED, SEED + 1):
                import_sample(folder / f"history-{seed}.git", COMMITS, seed=seed)
        case "scout":
            write_sample(folder, PAYLOADS, SEED, END)
        case "quality_compass":
            for run in RUNS:
                compass_sample.write_run(folder, run, FACILITIES, SEED)
        case "agent_analytics":
            folder.rmdir()
            write_agents(folder, DAYS, DEVELOPERS, SEED)


def make_inbox(domain: str, url: str) -> None:
    """What the receiver stored for a domain."""
    match domain:
        case "scout":
            kind, rows = "transactions", transactions(60, SEED + 1, END)
            bodies = [json.dumps(each).encode() for each in rows]
        case "agent_analytics":
            kind, lines = "otel", agents_sample.telemetry(1, DEVELOPERS, SEED + 1)
            bodies = [line.encode() for line in lines]
        case _:
            return
    with psycopg.connect(url, autocommit=True) as connection:
        prepare_inbox(connection)
        store(
            connection,
            [
                NewDelivery(
                    domain, kind, f"delivery-{number}", domain, NOW, "application/json", body
                )
                for number, body in enumerate(bodies)
            ],
        )


@contextmanager
def serving(domain: str, inputs: Path, work: Path) -> Iterator[Mapping[str, Source]]:
    """The servers of a domain, by the stage that speaks to each."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with ExitStack() as stack:
        match domain:
            case "github_scraper":
                server = stack.enter_context(GithubServer().running())
                api = import_sample(work / "api.git", COMMITS, seed=SEED + 2)
                server.add(api.path)
                yield {"fetch": Source(_host(server.url), "ghp_good")}
            case "ledgermind":
                emulator = BigQueryEmulator(LocalPaths(work), first_port=FIRST_EMULATOR_PORT)
                endpoint = emulator.start()
                stack.callback(emulator.stop)
                exported = partial(_dataset, bigquery_client(endpoint))
                yield {"export": Source(_host(endpoint), exported=exported)}
            case "scout":
                url = stack.enter_context(answering(_drive().answer))
                yield {"fetch": Source(_host(url), "access")}
            case "quality_compass":
                folder = work / "bucket"
                compass_sample.write_run(folder, "20260815060000", FACILITIES, SEED + 1)
                options = stack.enter_context(s3_bucket(files_of(folder, "runs")))
                yield {"fetch": Source(_host(f"http://{options['endpoint_override']}"))}
            case "agent_analytics":
                options = stack.enter_context(s3_bucket({}))
                endpoint = f"http://{options['endpoint_override']}"
                exported = partial(_published, endpoint, options)
                yield {"export": Source(_host(endpoint), exported=exported)}
            case "receiver":
                target = "127.0.0.1", next(own_ports(FIRST_RECEIVER_PORT))
                yield dict.fromkeys(STAGES[domain], Source(target, is_sender=True))


def _host(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def _drive() -> FakeDrive:
    drive = FakeDrive("")
    rows = list(transactions(200, SEED + 2, END))
    for number in range(4):
        content = json.dumps(rows[number::4]).encode()
        drive.put(
            f"file-{number}",
            f"transactions-{number}.json",
            content,
            mimeType="application/json",
            size=str(len(content)),
            md5Checksum=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )
    return drive


def _dataset(client: bigquery.Client, name: str) -> Tables:
    return {
        f"exported.{table.table_id}": sorted(
            str(
                {
                    column: value
                    for column, value in row.items()
                    if not PASSED_OVER.fullmatch(f"exported.{table.table_id}.{column}")
                }
            )
            for row in client.query(f"select * from {name}.{table.table_id}").result()
        )
        for table in client.list_tables(name)
    }


def _published(endpoint: str, options: Mapping[str, str], name: str) -> Tables:
    """Where readers are led to, and that what is there is whole."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=options["region"],
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
    )
    pointer = json.loads(client.get_object(Bucket=BUCKET, Key=f"{name}/latest.json")["Body"].read())
    content = client.get_object(Bucket=BUCKET, Key=f"{name}/{pointer['name']}")["Body"].read()
    whole = len(content), hashlib.sha256(content).hexdigest()
    with NamedTemporaryFile(suffix=".duckdb") as file:
        file.write(content)
        file.flush()
        exported = {f"exported {each}": rows for each, rows in in_duckdb(Path(file.name)).items()}
    return exported | {"exported whole": [str(whole == (pointer["size"], pointer["sha256"]))]}
