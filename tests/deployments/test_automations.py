"""Alerts arrive, and stuck runs let go: on a real server, with doubles of the receiving ends."""

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from prefect import flow

from blocks.registration import register
from deployments.apply.files import AUTOMATIONS, automation_files
from deployments.local.processes import wait_until
from flows._shared.events import AnomalyBegan, anomaly_event
from flows._shared.orchestration.budgets import told_costs
from flows._shared.orchestration.flow_run import current_flow_run
from flows.ledgermind.settings import LedgermindBigQuerySettings
from flows.report.alerting import alerts
from tests._shared.test_bigquery_costs import jobs_of_a_month
from tests.deployments.applied import Server
from tests.ports import own_ports

PATIENCE_SECONDS = 40.0
SHORTEST_WINDOW = 10
ROLLBACK = {"mart": "fct_signals", "revision": "HEAD~1"}


def is_freshness(automation: Mapping[str, Any]) -> bool:
    return not automation["trigger"].get("for_each")


class Chat(ThreadingHTTPServer):
    """A webhook that takes messages as Slack does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Incoming)
        self.texts: list[str] = []


class _Incoming(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Chat)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.texts.append(body["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class Mailbox:
    """What a mail server on loopback was given."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], str, str]] = []

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content)
        part = next(part for part in letter.walk() if not part.is_multipart())
        text = part.get_payload(decode=True)
        assert isinstance(text, bytes)
        self.letters.append((envelope.rcpt_tos, str(letter["Subject"]), text.decode()))
        return "250 OK"


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    server = Chat()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def mail() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), next(own_ports(22_500))
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's automations with the shortest windows that a server takes."""
    folder = tmp_path_factory.mktemp("automations")
    for number, (_, automation) in enumerate(automation_files(AUTOMATIONS)):
        trigger = {**automation["trigger"]}
        if trigger.get("posture") == "Proactive":
            trigger["within"] = SHORTEST_WINDOW
        path = folder / f"{number}.yaml"
        path.write_text(yaml.safe_dump({**automation, "trigger": trigger}))
    return folder


@pytest.fixture(scope="module")
def server(
    prefect_server: str, chat: Chat, mail: tuple[Mailbox, int], quick: Path
) -> Iterator[Server]:
    own = Server(prefect_server)
    address = f"mailto://127.0.0.1:{mail[1]}?from=alerts@example.org&to=ann@example.org"
    values = {
        "ALERTS_WEBHOOK_URL": f"http://127.0.0.1:{chat.server_port}/services/x",
        "ALERTS_EMAIL_URL": address,
    }
    register(["alerts"], values)
    assert own.apply("--automations", quick) == 0
    yield own
    for kind, name in (("custom-webhook", "alerts-webhook"), ("slack-webhook", "alerts-email")):
        own.api.call("DELETE", f"block_documents/{own.api.block_id(kind, name)}")


@pytest.fixture(scope="module")
def runs(server: Server) -> dict[str, dict[str, Any]]:
    """A run that failed, one that hangs before it begins, one that is silent, one nobody takes."""
    began = {
        "failed": server.start("scout-docs/scout-docs-weekly"),
        "pending": server.start("quality-compass-checklist/quality-compass-checklist-manual"),
        "silent": server.start(
            "quality-compass-rollback/quality-compass-rollback-manual", ROLLBACK
        ),
        "late": server.start("scout/scout-on-demand"),
    }
    server.move(began["failed"], "RUNNING")
    server.move(began["failed"], "FAILED", message="the warehouse is full")
    server.move(began["pending"], "PENDING")
    server.move(began["silent"], "RUNNING")
    server.move(began["late"], "SCHEDULED", name="Late")
    server.send(heartbeat(began["silent"]))
    return began


def heartbeat(run: dict[str, Any]) -> dict[str, Any]:
    """The sign of life that a flow run's process sends."""
    tags = [f"prefect.tag.{tag}" for tag in run["tags"]]
    return {
        "id": str(uuid.uuid4()),
        "event": "prefect.flow-run.heartbeat",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run['id']}"},
        "related": [{"prefect.resource.id": tag, "prefect.resource.role": "tag"} for tag in tags],
    }


def arrives(texts: list[str], *parts: str) -> bool:
    return wait_until(
        lambda: any(all(part in text for part in parts) for text in texts),
        PATIENCE_SECONDS,
        pause=0.2,
    )


def test_a_failed_run_is_told_in_the_chat_and_by_mail_with_its_message(
    server: Server, runs: dict[str, dict[str, Any]], chat: Chat, mail: tuple[Mailbox, int]
) -> None:
    name = runs["failed"]["name"]
    assert arrives(chat.texts, f"scout-docs: {name} is Failed", "the warehouse is full")
    assert wait_until(lambda: bool(letters(mail, "is Failed")), PATIENCE_SECONDS)
    ((recipients, subject, text),) = letters(mail, "is Failed")
    assert recipients == ["ann@example.org"]
    assert name in subject
    assert "the warehouse is full" in text


def test_an_anomaly_is_told_to_its_owner_in_the_chat_and_by_mail(
    server: Server, chat: Chat, mail: tuple[Mailbox, int]
) -> None:
    began = AnomalyBegan(
        metric="events", day=date(2025, 11, 4), observed=12, expected=140.5, owner="bo@example.org"
    )
    server.send(anomaly_event("ledgermind", began).as_json())
    subject = "ledgermind: events departed on 2025-11-04"
    assert arrives(chat.texts, subject, "140.5 was expected", "bo@example.org")
    assert wait_until(lambda: bool(letters(mail, subject)), PATIENCE_SECONDS)


def says(status: str, rows: int | None) -> None:
    """A build of Scout that says this of one test, and an answer with one thing to look at."""

    @flow
    def build() -> None:
        api = current_flow_run()
        assert api
        node = {
            "name": "silver_is_sound",
            "type": "test",
            "status": status,
            "rows": rows,
            "message": "Got 3 results at postgresql://me:hunter2@host/x <!channel>",
            "compiled_sql": "compiled/test.silver_is_sound.sql",
        }
        api.create_table("scout-dbt-nodes", [node], "")
        attention = ["Food was 7, outside of 1 to 2"] if status == "fail" else []
        measures = {"headline": "PHP 7", "attention": attention, "top": []}
        rows_of = [{"measure": name, "value": value} for name, value in measures.items()]
        api.create_table("scout-run", rows_of, "")

    build()


def test_one_message_for_a_cause_and_one_when_it_is_over(
    server: Server, chat: Chat, mail: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.report.alerting.DOMAINS", {"scout": "Scout"})
    monkeypatch.setattr("flows._shared.alerts.MOST_APART", 1000)
    says("fail", 3)
    alerts()
    test = "scout: test silver_is_sound fails"
    assert arrives(
        chat.texts,
        f"error: {test}",
        "AI Workbench <ai@scout.example> is asked",
        "Rows: 3",
        "SQL: compiled/test.silver_is_sound.sql",
        "postgresql://*****@host/x < !channel>",
    )
    assert arrives(chat.texts, "warning: scout: Food was 7, outside of 1 to 2")
    assert wait_until(lambda: bool(letters(mail, f"error: {test}")), PATIENCE_SECONDS)
    assert all("hunter2" not in text for text in chat.texts)

    says("fail", 5)
    alerts()
    says("pass", 0)
    alerts()
    assert arrives(chat.texts, f"resolved: {test}")
    assert arrives(chat.texts, "resolved: scout: Food was 7")
    assert wait_until(lambda: bool(letters(mail, f"resolved: {test}")), PATIENCE_SECONDS)
    assert sum(f"error: {test}" in text for text in chat.texts) == 1


def bills(**budgets: float) -> None:
    """A run that asks BigQuery what the month of each domain has cost, against a budget in USD."""

    @flow
    def build() -> None:
        for domain, budget in budgets.items():
            told_costs(domain, LedgermindBigQuerySettings(monthly_budget_usd=budget))

    build()


def test_a_budget_that_is_passed_is_told_once_and_so_is_its_end(
    server: Server, chat: Chat, mail: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    domains = {"ledgermind": "LedgerMind", "github_scraper": "GitHub"}
    monkeypatch.setattr("flows.report.alerting.DOMAINS", domains)
    monkeypatch.setattr("flows._shared.alerts.MOST_APART", 1000)
    with jobs_of_a_month() as google:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", google)
        bills(ledgermind=0.0001, github_scraper=0.0001)
        alerts()
        bills(ledgermind=0.0002)
        alerts()
        bills(ledgermind=50)
    alerts()
    over = "ledgermind: the budget of BigQuery is passed"
    assert arrives(
        chat.texts,
        f"error: {over}",
        "LedgerMind <analytics@ledgermind.example> is asked",
        "the budget is",
    )
    assert arrives(chat.texts, "error: github_scraper: the budget of BigQuery is passed")
    assert arrives(chat.texts, f"resolved: {over}")
    assert wait_until(lambda: bool(letters(mail, f"resolved: {over}")), PATIENCE_SECONDS)
    assert sum(f"error: {over}" in text for text in chat.texts) == 1
    assert not any("resolved: github_scraper: the budget" in text for text in chat.texts)


def letters(mail: tuple[Mailbox, int], subject: str) -> list[tuple[list[str], str, str]]:
    return [letter for letter in mail[0].letters if subject in letter[1]]


def test_a_run_that_nobody_takes_up_is_told(runs: dict[str, dict[str, Any]], chat: Chat) -> None:
    assert arrives(chat.texts, f"scout: {runs['late']['name']} waits, no worker takes it up")


@pytest.mark.parametrize("what", ["pending", "silent"])
def test_a_run_that_does_not_get_further_gives_up_its_place(
    what: str, server: Server, runs: dict[str, dict[str, Any]]
) -> None:
    run = runs[what]["id"]
    assert wait_until(
        lambda: server.api.flow_run(run)["state"]["type"] == "CRASHED", PATIENCE_SECONDS, pause=0.5
    )


@pytest.mark.parametrize(
    "name", sorted(str(each["name"]) for _, each in automation_files() if is_freshness(each))
)
def test_a_domain_without_a_completed_run_or_new_rows_is_told(
    name: str, runs: dict[str, dict[str, Any]], chat: Chat, mail: tuple[Mailbox, int]
) -> None:
    assert arrives(chat.texts, name)
    assert wait_until(lambda: bool(letters(mail, name)), PATIENCE_SECONDS)
