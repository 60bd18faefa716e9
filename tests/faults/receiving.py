"""The webhook receiver as stages: its database is there, away, or back after a time.

Each serves until it is told to end. What is sent to it is in ``tests.faults.sending``.
"""

import base64
import signal
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from flows.webhooks.__main__ import run
from flows.webhooks.networks import Networks
from flows.webhooks.secrets import Secrets
from flows.webhooks.settings import MIB, ReceiverSettings, Source
from flows.webhooks.sources import served

SECRET = "a secret of the receiver's faults"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"another secret of faults").decode()
# Shorter than a sender that says nothing is silent.
BODY_SECONDS = 2.5
STORE_SECONDS = 4.0
NOBODY_LISTENS = 9
SPOOL = "spool"
# The stages whose senders call over gRPC, and those after which what was sent is in the spool.
OVER_GRPC = frozenset({"take-grpc", "spool-grpc", "drain-grpc"})
PUT_ASIDE = frozenset({"spool", "spool-grpc"})


class Place(Protocol):
    @property
    def url(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def source(self) -> str: ...
    @property
    def room(self) -> str: ...


class _Given(Secrets):
    """Secrets that no block holds."""

    def __init__(self, url: str) -> None:
        super().__init__((), "", 1)
        self._url = url

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def of(self, source: Source) -> tuple[str, ...]:
        return (SECRET, STANDARD_SECRET)

    def database_url(self) -> str:
        return self._url


class _EndedError(Exception):
    pass


def take(place: Place) -> None:
    """The database is there."""
    _serve(place, place.url, port=_port(place))


def spool(place: Place) -> None:
    """The database is away: what is promised is in the spool."""
    _serve(place, _away(place.url), port=_port(place))


def drain(place: Place) -> None:
    """The database is back, and the spool full."""
    take(place)


def take_grpc(place: Place) -> None:
    _serve(place, place.url, port=0, grpc_port=_port(place))


def spool_grpc(place: Place) -> None:
    _serve(place, _away(place.url), port=0, grpc_port=_port(place))


def drain_grpc(place: Place) -> None:
    take_grpc(place)


def _port(place: Place) -> int:
    return urlsplit(place.source).port or 0


def _away(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{host}:{NOBODY_LISTENS}"))


def _serve(place: Place, database_url: str, **ports: int) -> None:
    settings = ReceiverSettings(
        **ports,
        body_seconds=BODY_SECONDS,
        store_seconds=STORE_SECONDS,
        spool=place.folder / SPOOL,
        spool_bytes=int(place.room or 64 * MIB),
        dispatches=False,
    )
    sources = served(settings)

    def end(*_: object) -> None:
        raise _EndedError

    # uvicorn ends in good order, then raises the signal that ended it once more.
    signal.signal(signal.SIGTERM, end)
    with suppress(_EndedError):
        run(settings, sources, _Given(database_url), Networks(sources))
