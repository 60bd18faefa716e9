"""Whether a registered block can be used: each is tried the way it is going to be used."""

import smtplib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook

from blocks import CATALOGUE, PORTS, BlockNeed, Kind
from blocks.registration import is_registered
from flows._shared.environment import LOOPBACK
from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration import postgres_url, secret_value
from flows._shared.outgoing import header_token
from flows._shared.postgres import connected

TIMEOUT_SECONDS = 10
MAIL_PORTS = {"mailto": 25, "mailtos": 587}


@dataclass(frozen=True)
class Check:
    """The outcome for one block; what was seen holds no secret."""

    name: str
    seen: str
    is_good: bool

    def __str__(self) -> str:
        return f"{'ok' if self.is_good else 'FAILED'} {self.name}: {self.seen}"


def check(slugs: Iterable[str]) -> Iterator[Check]:
    """Try each registered block of some domains; an optional one that is not there is left out."""
    for slug in slugs:
        for need in CATALOGUE[slug]:
            # Asked first: prefect-gcp takes seconds to import.
            if not is_registered(need):
                if need.is_required:
                    yield Check(need.name, "there is no such block", is_good=False)
                continue
            try:
                yield Check(need.name, TRIALS[need.kind](need), is_good=True)
            except PlatformError as error:
                yield Check(need.name, error.seen, is_good=False)


def _postgres(need: BlockNeed) -> str:
    with connected(postgres_url(need.name), f"the database of the block {need.name}") as server:
        server.execute("select 1")
        info = server.info
        seen = f"connected as {info.user} to {info.dbname}"
        return seen + _closed_in_clusters(need, info.host, info.port)


def _secret(need: BlockNeed) -> str:
    value = secret_value(need.name)
    if need.is_token:
        value = header_token(value, f"the block {need.name}")
    return f"holds {len(value)} characters"


def _service_account(need: BlockNeed) -> str:
    from prefect_gcp import GcpCredentials

    return _token(need, GcpCredentials.load(need.name))


def _warehouse(need: BlockNeed) -> str:
    from prefect_gcp.bigquery import BigQueryWarehouse

    warehouse: Any = BigQueryWarehouse.load(need.name)
    return _token(need, warehouse.gcp_credentials)


def _token(need: BlockNeed, block: Any) -> str:
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    try:
        credentials = block.get_credentials_from_service_account()
        credentials.refresh(Request())
    except GoogleAuthError as error:
        raise _unusable(need, f"no token: {type(error).__name__}") from None
    return f"was given a token as {credentials.service_account_email}"


def _webhook(need: BlockNeed) -> str:
    block: Any = CustomWebhookNotificationBlock.load(need.name)
    address = block.secrets.get_secret_value()["address"]
    try:
        # A POST would be an alert.
        answer = httpx.head(address, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unusable(need, type(error).__name__) from None
    if answer.is_server_error:
        raise _unusable(need, f"it answered {answer.status_code}")
    url = httpx.URL(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    return "its server answers" + _closed_in_clusters(need, url.host, port)


def _mail(need: BlockNeed) -> str:
    block: Any = SlackWebhook.load(need.name)
    address = urlsplit(block.url.get_secret_value())
    options = parse_qs(address.query)
    host = options.get("smtp", [address.hostname or ""])[0]
    has_tls = options.get("mode") == ["ssl"]
    port = address.port or (465 if has_tls else MAIL_PORTS[address.scheme])
    connect: Callable[..., smtplib.SMTP] = smtplib.SMTP_SSL if has_tls else smtplib.SMTP
    try:
        with connect(host, port, timeout=TIMEOUT_SECONDS) as server:
            if address.scheme == "mailtos" and not has_tls:
                server.starttls()
            if address.username and address.password:
                server.login(unquote(address.username), unquote(address.password))
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise _unusable(need, f"{host}:{port}: {type(error).__name__}") from None
    return f"{host}:{port} takes mail" + _closed_in_clusters(need, host, port)


def _closed_in_clusters(need: BlockNeed, host: str, port: int) -> str:
    """What is tried here is spent elsewhere: nothing, where a cluster lets it out, too."""
    open_ = PORTS[need.kind]
    if host in LOOPBACK or host.startswith("/") or port in open_:
        return ""
    ports = ", ".join(map(str, open_))
    return (
        f" from here; its network policies let a cluster out to {ports}, and not to {port}: "
        "open that there, where runs or the server are in one (docs/kubernetes.md)"
    )


TRIALS: Mapping[Kind, Callable[[BlockNeed], str]] = {
    Kind.POSTGRES: _postgres,
    Kind.SECRET: _secret,
    Kind.GCP: _service_account,
    Kind.BIGQUERY: _warehouse,
    Kind.WEBHOOK: _webhook,
    Kind.EMAIL: _mail,
}


def _unusable(need: BlockNeed, seen: str) -> PermanentError:
    return PermanentError(f"trying the block {need.name}", seen, "Register it again")
