"""The webhook receiver from the command line: see ``python -m flows.webhooks --help``."""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
import yaml

from flows._shared.chosen import status_of
from flows._shared.counted import counted
from flows._shared.errors import PermanentError, PlatformError, TransientError
from flows._shared.input_files import open_input
from flows._shared.orchestration.database import connect
from flows._shared.revised import revised
from flows._shared.yaml_keys import parse_yaml
from flows.webhooks.app import Receiver
from flows.webhooks.logs import log_as_json
from flows.webhooks.metrics import Metrics
from flows.webhooks.moments import moment
from flows.webhooks.networks import Networks
from flows.webhooks.outbox import Dispatcher
from flows.webhooks.protocol import bounded
from flows.webhooks.secrets import Secrets
from flows.webhooks.settings import ReceiverSettings, RetentionSettings, Source
from flows.webhooks.sources import served
from flows.webhooks.upkeep import purge, replay

EXAMPLES = """examples:
  python -m flows.webhooks serve --port 8099
  python -m flows.webhooks serve --settings receiver.yaml
  python -m flows.webhooks dispatch
  python -m flows.webhooks replay --source github --id 72d3162e-cc78-11e3-81ab-4c9367dc0958
  python -m flows.webhooks replay --source scout --since 2026-11-01T00:00Z --until 2026-11-02T00:00Z
  python -m flows.webhooks purge --body-days 30
"""
START_SECONDS = 60.0
SHUTDOWN_SECONDS = 10
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return status_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.webhooks",
        description="Receives webhooks into a durable inbox.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, function, text in (
        ("serve", serve, "receive deliveries and send their events"),
        ("dispatch", dispatch, "send events only, for receivers with `dispatches: false`"),
    ):
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument(
            "--settings", type=Path, help="YAML file; see flows/webhooks/settings.py"
        )
        if function is serve:
            added.add_argument("--host", help="address to listen on")
            added.add_argument("--port", type=int, help="port to listen on")
            added.add_argument("--metrics-port", type=int, help="port for Prometheus")
            added.add_argument("--grpc-port", type=int, help="port for OTLP over gRPC")
        added.set_defaults(command=function)
    text = "have readers read deliveries again"
    again = commands.add_parser("replay", help=text, description=text)
    again.add_argument("--source", required=True, help="such as github")
    again.add_argument("--id", action="append", default=[], help="a delivery id; may be repeated")
    again.add_argument(
        "--since", type=_moment, help="received at or after, such as 2026-11-01T00:00Z"
    )
    again.add_argument("--until", type=_moment, help="received before")
    again.set_defaults(command=replay_deliveries)
    text = "remove old bodies and deliveries"
    old = commands.add_parser("purge", help=text, description=text)
    kept = RetentionSettings()
    old.add_argument("--body-days", type=float, default=kept.body_days)
    old.add_argument("--delivery-days", type=float, default=kept.delivery_days)
    old.set_defaults(command=purge_inbox)
    for added in (again, old):
        added.add_argument("--database-block", default=kept.database_block)
    return parser


def serve(options: argparse.Namespace) -> int:
    settings = read_settings(options.settings)
    given = {
        "host": options.host,
        "port": options.port,
        "metrics_port": options.metrics_port,
        "grpc_port": options.grpc_port,
    }
    settings = revised(settings, **{k: v for k, v in given.items() if v is not None})
    sources = served(settings)
    secrets = Secrets(sources, settings.database_block, settings.secrets_refresh_seconds)
    networks = Networks(sources)
    _load(secrets.load)
    _load(networks.load)
    run(settings, sources, secrets, networks)
    return 0


def run(
    settings: ReceiverSettings, sources: Sequence[Source], secrets: Secrets, networks: Networks
) -> None:
    """Receive until a signal ends it.

    Args:
        secrets, networks: loaded already.
    """
    log_as_json()
    # What was imported stays: looking through it again and again would hold deliveries up.
    gc.collect()
    gc.freeze()
    proxies = [str(network) for network in settings.trusted_proxies]
    uvicorn.run(
        Receiver(settings, sources, secrets, networks).application,
        host=settings.host,
        port=settings.port,
        http=bounded(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def dispatch(options: argparse.Namespace) -> int:
    settings = read_settings(options.settings)
    secrets = Secrets((), settings.database_block, settings.secrets_refresh_seconds)
    _load(secrets.load)
    log_as_json()
    secrets.start()
    Dispatcher(settings, secrets.database_url, Metrics()).run()
    return 0


def replay_deliveries(options: argparse.Namespace) -> int:
    with connect(options.database_block) as connection:
        count = replay(connection, options.source, options.id, options.since, options.until)
    sys.stdout.write(f"Replayed {counted(count, 'delivery', 'deliveries')} of {options.source}\n")
    return 0


def purge_inbox(options: argparse.Namespace) -> int:
    kept = RetentionSettings(body_days=options.body_days, delivery_days=options.delivery_days)
    with connect(options.database_block) as connection:
        purged = purge(
            connection, datetime.now(UTC), kept.body_days, kept.delivery_days, kept.batch_rows
        )
    sys.stdout.write(
        f"Removed {purged.bodies} bodies, {counted(purged.deliveries, 'delivery', 'deliveries')}, "
        f"{purged.conflicts} conflicts\n"
    )
    return 0


def read_settings(path: Path | None) -> ReceiverSettings:
    """The settings of a YAML file; the defaults without one.

    Raises:
        PermanentError: it cannot be read, or holds what is no setting.
    """
    if path is None:
        return ReceiverSettings()
    try:
        with open_input(path) as file:
            text = file.read().decode()
        return ReceiverSettings.model_validate(parse_yaml(text, path.name) or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PermanentError(
            f"reading the settings in {path}",
            str(error),
            "Correct what it names; the fields are described in flows/webhooks/settings.py",
        ) from None


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _load(load: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return load()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
