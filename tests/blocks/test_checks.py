"""Each kind of block is tried for real, and what is wrong is told without a secret."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from prefect import flow
from prefect.blocks.system import Secret
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from blocks import CATALOGUE
from blocks.checks import check
from blocks.registration import register
from flows._shared.orchestration import postgres_url
from tests.ports import own_ports

PASSWORD = "the-old-s3cret"
NO_TOKEN = "a character in it is none that a token may have (it is not repeated)"


class Endpoint(ThreadingHTTPServer):
    """Gives tokens to POST, and answers anything else with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 405
        self.token: dict[str, object] = {"access_token": "t", "expires_in": 3600}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/x"


class _Answer(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(self.server.token).encode()
        self.send_response(200 if "access_token" in self.server.token else 400)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def role_url(database: str, password: str) -> str:
    """The database as the role ``rotated``, whose password this becomes."""
    with psycopg.connect(database, autocommit=True) as owner:
        known = owner.execute("select 1 from pg_roles where rolname = 'rotated'").fetchone()
        verb = sql.SQL("alter" if known else "create")
        owner.execute(sql.SQL("{} role rotated login password {}").format(verb, password))
    parts = conninfo_to_dict(database)
    return f"postgresql://rotated:{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"


def told(slug: str) -> dict[str, str]:
    return {each.name: str(each) for each in check([slug])}


@flow(name="who-am-i")
def who_am_i() -> str:
    """What a run does: it reads the block at the moment it spends it."""
    with psycopg.connect(postgres_url("quality-compass-postgres")) as connection:
        (name,) = connection.execute("select current_user").fetchone() or ("nobody",)
        return str(name)


def test_a_new_password_works_for_the_next_run_once_the_block_is_registered_again(
    prefect_server: str, database: str
) -> None:
    given = {"QUALITY_COMPASS_DATABASE_URL": role_url(database, PASSWORD)}
    register(["quality_compass"], given)
    assert who_am_i() == "rotated"

    given = {"QUALITY_COMPASS_DATABASE_URL": role_url(database, "the-new-s3cret")}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        who_am_i()
    line = told("quality_compass")["quality-compass-postgres"]
    assert line.startswith("FAILED quality-compass-postgres: ")
    assert "password authentication failed" in line
    assert PASSWORD not in line

    (registration,) = register(["quality_compass"], given)
    assert str(registration) == "update quality-compass-postgres: password"
    assert who_am_i() == "rotated"
    assert told("quality_compass")["quality-compass-postgres"].startswith("ok ")


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("", "FAILED agent-analytics-copilot-token: it holds no text"),
        ("ghp_\u201cone\u201d", f"FAILED agent-analytics-copilot-token: {NO_TOKEN}"),
        ("ghp_one two", f"FAILED agent-analytics-copilot-token: {NO_TOKEN}"),
        (" ghp_one\n", "ok agent-analytics-copilot-token: holds 7 characters"),
    ],
)
def test_a_token_that_no_header_may_hold_is_told(
    prefect_server: str, value: str, verdict: str
) -> None:
    Secret(value=SecretStr(value)).save("agent-analytics-copilot-token", overwrite=True)
    assert told("agent_analytics")["agent-analytics-copilot-token"] == verdict


def test_whatever_is_called_a_token_is_tried_as_one() -> None:
    needs = [need for needs in CATALOGUE.values() for need in needs]
    assert {need.name for need in needs if need.is_token} == {
        need.name for need in needs if need.name.endswith("-token")
    }


def test_a_required_block_that_is_not_there_is_told_an_optional_one_is_not(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks import CATALOGUE, BlockNeed, Kind

    needs = (
        BlockNeed("absent-postgres", Kind.POSTGRES, "X", "x"),
        BlockNeed("absent-token", Kind.SECRET, "Y", "y", is_required=False),
    )
    monkeypatch.setattr("blocks.checks.CATALOGUE", {**CATALOGUE, "absent": needs})
    assert told("absent") == {"absent-postgres": "FAILED absent-postgres: there is no such block"}


def test_a_service_account_is_tried_by_asking_for_a_token(
    prefect_server: str, database: str, endpoint: Endpoint
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": pem,
        "client_email": "flows@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": endpoint.url,
    }
    register(["ledgermind"], {"DATABASE_URL": database, "GCP_SA_JSON": json.dumps(account)})
    line = told("ledgermind")["ledgermind-gcp"]
    assert line == "ok ledgermind-gcp: was given a token as flows@p.iam.gserviceaccount.com"
    endpoint.token = {"error": "invalid_grant"}
    assert told("ledgermind")["ledgermind-gcp"] == "FAILED ledgermind-gcp: no token: RefreshError"


def test_the_places_alerts_go_to_are_tried_without_an_alert(
    prefect_server: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = next(own_ports(22_700))
    mail = Controller(Sink(), hostname="127.0.0.1", port=port)
    mail.start()
    address = f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org"
    register(["alerts"], {"ALERTS_WEBHOOK_URL": endpoint.url, "ALERTS_EMAIL_URL": address})
    assert told("alerts") == {
        "alerts-webhook": "ok alerts-webhook: its server answers",
        "alerts-email": f"ok alerts-email: 127.0.0.1:{port} takes mail",
    }
    # Of another machine, what is open from here may be closed to the server of a cluster.
    monkeypatch.setattr("blocks.checks.LOOPBACK", ())
    closed = "its network policies let a cluster out to"
    seen = told("alerts")
    assert seen["alerts-webhook"].startswith("ok ")
    assert f"{closed} 443, and not to {endpoint.server_port}" in seen["alerts-webhook"]
    assert f"{closed} 465, 587, and not to {port}" in seen["alerts-email"]
    mail.stop()
    endpoint.status = 502
    assert told("alerts") == {
        "alerts-webhook": "FAILED alerts-webhook: it answered 502",
        "alerts-email": f"FAILED alerts-email: 127.0.0.1:{port}: ConnectionRefusedError",
    }
