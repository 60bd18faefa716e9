import base64
import hashlib
import hmac
import json
import uuid
from typing import Any

import httpx
import pytest

from deployments.local.processes import wait_until
from flows._shared.inbox import FORM
from tests.webhooks.harness import (
    BARE_SECRET,
    OLD_SECRET,
    SCOPED_PATH,
    SCOPED_SECRET,
    SECRET,
    STANDARD_SECRET,
    Running,
    github_headers,
    hub_signature,
    own_headers,
    rows,
    standard_headers,
    token_headers,
)


@pytest.fixture(scope="module")
def client(receiver: Running) -> httpx.Client:
    return httpx.Client(base_url=receiver.url, timeout=30)


def stored(url: str, delivery_id: str) -> dict[str, Any]:
    columns = "source, kind, slug, content_type, headers, attributes, body, payload"
    query = f"select {columns} from webhooks.deliveries where delivery_id = %s"
    (row,) = rows(url, query, delivery_id)
    return dict(zip(columns.split(", "), row, strict=True))


def event(url: str, delivery_id: str) -> dict[str, Any] | None:
    query = "select event from webhooks.outbox where event -> 'payload' ->> 'delivery_id' = %s"
    found = rows(url, query, delivery_id)
    return dict(found[0][0]) if found else None


def test_a_push_of_github_is_stored_as_it_came_and_told_thinly(
    client: httpx.Client, inbox_url: str
) -> None:
    body = json.dumps(
        {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": "a" * 40,
            "forced": False,
            "repository": {"id": 186853002, "full_name": "Codertocat/Hello-World"},
            "commits": [{"message": "never in an event"}],
        },
        indent=1,
    ).encode()
    headers = github_headers(body, **{"X-GitHub-Hook-ID": "7", "Cookie": "a secret"})
    answer = client.post("/webhook/github", content=body, headers=headers)
    identity = headers["X-GitHub-Delivery"]
    assert (answer.status_code, answer.json()) == (
        202,
        {"outcome": "stored", "delivery_id": identity},
    )
    kept = stored(inbox_url, identity)
    assert (kept["source"], kept["kind"], kept["body"]) == ("github", "push", body)
    assert kept["payload"] == json.loads(body)
    assert kept["headers"]["x-github-hook-id"] == "7"
    assert not [value for value in kept["headers"].values() if "secret" in value]
    told = event(inbox_url, identity)
    assert told is not None
    assert told["event"] == "github_scraper.delivery.received"
    assert told["resource"]["prefect.resource.id"] == "analytics.github_scraper.push"
    assert told["payload"]["attributes"] == {
        "repository_id": 186853002,
        "repository": "Codertocat/Hello-World",
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": "a" * 40,
        "forced": False,
    }
    assert "never in an event" not in json.dumps(told)


def test_a_form_of_github_is_signed_and_stored_raw(client: httpx.Client, inbox_url: str) -> None:
    body = b"payload=%7B%22zen%22%3A+%22%C3%A9%5Cu0000%22%7D"
    headers = github_headers(body, "star", **{"Content-Type": FORM})
    assert client.post("/webhook/github", content=body, headers=headers).status_code == 202
    kept = stored(inbox_url, headers["X-GitHub-Delivery"])
    assert (kept["body"], kept["content_type"]) == (body, FORM)
    assert kept["payload"] == {"zen": "é\ufffd"}


def test_a_ping_is_stored_and_starts_nothing(client: httpx.Client, inbox_url: str) -> None:
    body = b'{"zen": "Keep it logically awesome."}'
    headers = github_headers(body, "ping")
    answer = client.post("/webhook/github", content=body, headers=headers)
    assert answer.status_code == 202
    assert stored(inbox_url, headers["X-GitHub-Delivery"])["slug"] is None
    assert event(inbox_url, headers["X-GitHub-Delivery"]) is None


def test_what_our_own_app_did_is_stored_and_starts_nothing(
    client: httpx.Client, inbox_url: str
) -> None:
    told = {}
    for login in ("our-app[bot]", "octocat", ["our-app[bot]"]):
        body = json.dumps({"order": {"id": 7}, "sender": {"login": login}}).encode()
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "X-Shop-Signature": base64.b64encode(digest).decode(),
        }
        answer = client.post("/webhook/shop", content=body, headers=headers)
        assert answer.status_code == 202
        identity = answer.json()["delivery_id"]
        assert stored(inbox_url, identity)["body"] == body
        told[str(login)] = event(inbox_url, identity) is not None
    assert told == {"our-app[bot]": False, "octocat": True, "['our-app[bot]']": True}


def test_what_comes_again_is_a_duplicate_and_another_body_under_its_id_a_conflict(
    client: httpx.Client, inbox_url: str
) -> None:
    body, other = b'{"a": 1}', b'{"a": 2}'
    headers = github_headers(body)
    answers = [client.post("/webhook/github", content=body, headers=headers) for _ in range(2)]
    assert [answer.json()["outcome"] for answer in answers] == ["stored", "duplicate"]
    conflict = client.post(
        "/webhook/github",
        content=other,
        headers={**headers, "X-Hub-Signature-256": hub_signature(other)},
    )
    assert conflict.status_code == 409
    identity = headers["X-GitHub-Delivery"]
    assert stored(inbox_url, identity)["body"] == body
    query = "select body from webhooks.conflicts where delivery_id = %s"
    assert rows(inbox_url, query, identity) == [(other,)]


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_every_active_secret_is_taken(client: httpx.Client, secret: str) -> None:
    body = b"{}"
    headers = github_headers(body) | {"X-Hub-Signature-256": hub_signature(body, secret)}
    assert client.post("/webhook/github", content=body, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/webhook/scout-transactions", "transactions"), ("/webhook/scout-products", "products")],
)
def test_scout_takes_rows_signed_by_any_of_three_ways(
    client: httpx.Client, inbox_url: str, path: str, kind: str
) -> None:
    body = json.dumps([{"transaction_id": str(uuid.uuid4()), "amount": "1,200.00"}]).encode()
    ways = [
        own_headers(body, **{"X-Batch-Id": "b-1", "X-Source": "pos"}),
        token_headers(),
        standard_headers(body, f"msg_{uuid.uuid4()}"),
    ]
    answers = [client.post(path, content=body, headers=headers) for headers in ways]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    ids = [answer.json()["delivery_id"] for answer in answers]
    assert len(set(ids)) == 3
    assert ids[2] == ways[2]["webhook-id"]
    kept = stored(inbox_url, ids[0])
    assert (kept["kind"], kept["body"]) == (kind, body)
    assert kept["headers"] == {"x-batch-id": "b-1", "x-source": "pos"} | {
        "user-agent": client.headers["user-agent"]
    }


@pytest.mark.parametrize("names", ["webhook", "svix"])
@pytest.mark.parametrize("secret", [STANDARD_SECRET, BARE_SECRET])
@pytest.mark.parametrize("beside", ["", "v1,short", "v1," + "!" * 44, "v1a,x v2,y v1"])
def test_a_standard_webhook_is_taken_in_every_form_of_its_libraries(
    client: httpx.Client, inbox_url: str, names: str, secret: str, beside: str
) -> None:
    identity = f"msg_{uuid.uuid4()}"
    headers = standard_headers(b"[]", identity, secret=secret, names=names)
    headers[f"{names}-signature"] = f"{beside} {headers[f'{names}-signature']}".strip()
    answer = client.post("/webhook/scout-transactions", content=b"[]", headers=headers)
    assert (answer.status_code, answer.json().get("delivery_id")) == (202, identity)
    assert stored(inbox_url, identity)["headers"][f"{names}-id"] == identity


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("", 202),
        (";", 202),
        ("; charset=utf-8", 202),
        ('; charset="UTF-8"; v=1', 202),
        ("; v=1; charset=utf8", 202),
        ('; v="; charset=latin1"', 202),
        ("; v=1; charset=latin1", 415),
        ("; charset=utf-8; charset=latin1", 415),
        ("; charset*=latin1''x", 415),
        ('; v="a; charset=utf-8', 415),
        ("; charset", 415),
    ],
)
def test_a_charset_is_seen_wherever_it_stands(
    client: httpx.Client, parameters: str, status: int
) -> None:
    headers = own_headers(b"[]") | {"Content-Type": f"application/json{parameters}"}
    answer = client.post("/webhook/scout-transactions", content=b"[]", headers=headers)
    assert answer.status_code == status


def test_a_row_that_goes_back_to_an_earlier_state_is_not_taken_for_a_duplicate(
    client: httpx.Client,
) -> None:
    first, second = b'{"sku": "a", "price": 1}', b'{"sku": "a", "price": 2}'
    answers = [
        client.post("/webhook/scout-products", content=body, headers=own_headers(body))
        for body in (first, second, first)
    ]
    assert [answer.json()["outcome"] for answer in answers] == ["stored"] * 3


def test_a_sender_that_names_its_delivery_may_send_it_again(client: httpx.Client) -> None:
    body = b'{"sku": "a", "price": 1}'
    headers = own_headers(body, **{"Idempotency-Key": f"key-{uuid.uuid4()}"})
    answers = [client.post("/webhook/scout-products", content=body, headers=headers) for _ in "ab"]
    assert [answer.json()["outcome"] for answer in answers] == ["stored", "duplicate"]


@pytest.mark.parametrize("path", ["/webhook/scout-refresh", "/webhook/dbt-refresh"])
def test_each_refresh_request_is_an_event_with_its_layer(
    client: httpx.Client, inbox_url: str, path: str
) -> None:
    body = b'{"layer": "silver"}'
    answers = [client.post(path, content=body, headers=token_headers()) for _ in range(2)]
    told = [event(inbox_url, answer.json()["delivery_id"]) for answer in answers]
    assert [each["payload"]["attributes"] for each in told if each] == [{"layer": "silver"}] * 2
    for wrong in (b"{}", b'{"layer": 1}', b'{"layer": "silver; drop table"}', b'["silver"]'):
        assert client.post(path, content=wrong, headers=token_headers()).status_code == 400


@pytest.mark.parametrize(
    "layer",
    [
        "silver+ --empty --full-refresh",
        "--full-refresh",
        "silver+",
        "silver gold",
        "silver\n",
        " silver",
        "Silver",
        "tag:silver",
        "",
    ],
)
def test_a_sender_names_one_of_the_layers_and_nothing_else(
    client: httpx.Client, layer: str
) -> None:
    body = json.dumps({"layer": layer}).encode()
    answer = client.post("/webhook/scout-refresh", content=body, headers=token_headers())
    assert answer.status_code == 400


def test_a_finished_run_of_quality_compass_names_itself(
    client: httpx.Client, inbox_url: str
) -> None:
    body = b'{"run_id": "r-7", "address": "s3://runs/r-7.jsonl"}'
    answer = client.post(
        "/webhook/quality-compass-run-finished", content=body, headers=own_headers(body)
    )
    told = event(inbox_url, answer.json()["delivery_id"])
    assert told is not None
    assert told["resource"]["prefect.resource.id"] == "analytics.quality_compass.run-finished"
    assert told["payload"]["attributes"]["run_id"] == "r-7"


def test_a_source_of_settings_alone_is_taken_checked_and_told(
    client: httpx.Client, inbox_url: str
) -> None:
    body = json.dumps({"order": {"id": 9}, "lines": [{"sku": str(uuid.uuid4())}]}).encode()
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-Shop-Signature": base64.b64encode(digest).decode(),
    }
    answer = client.post("/webhook/shop", content=body, headers=headers)
    told = event(inbox_url, answer.json()["delivery_id"])
    assert told is not None
    assert told["event"] == "webhooks.delivery.received"
    assert told["payload"]["attributes"]["order"] == 9
    again = client.post("/webhook/shop", content=body, headers=headers)
    assert again.json()["outcome"] == "duplicate"
    long = client.post("/webhook/shop", content=b"x" * 1001, headers=headers)
    assert long.status_code == 413


def test_logs_are_json_with_a_request_id_and_hold_neither_payload_nor_secret(
    client: httpx.Client, receiver: Running
) -> None:
    body = b'{"card": "4111-1111"}'
    request_id = f"r-{uuid.uuid4()}"
    headers = own_headers(body, **{"X-Request-ID": request_id, "Authorization": "Bearer " + SECRET})
    answer = client.post("/webhook/scout-transactions", content=body, headers=headers)
    assert answer.headers["x-request-id"] == request_id
    # The line may be written after the answer.
    assert wait_until(lambda: f'"{request_id}"' in receiver.log.read_text(), 10)
    (line,) = [line for line in receiver.lines() if line.get("request_id") == request_id]
    assert (line["status"], line["outcome"], line["kind"]) == (202, "stored", "transactions")
    assert line["delivery_id"] == answer.json()["delivery_id"]
    text = receiver.log.read_text()
    assert not [word for word in ("4111-1111", SECRET, "sha256=") if word in text]
    odd = client.get("/healthz", headers={"X-Request-ID": "a b"})
    assert odd.status_code == 200


def test_health_readiness_and_metrics_are_there(client: httpx.Client, receiver: Running) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").text == "ready\n"
    before = receiver.metric('webhooks_deliveries_total{outcome="stored",source="scout"}')
    body = b"[]"
    client.post("/webhook/scout-transactions", content=body, headers=own_headers(body))
    after = receiver.metric('webhooks_deliveries_total{outcome="stored",source="scout"}')
    assert after == before + 1
    assert client.get("/metrics").status_code == 404


def test_a_sender_of_rows_whose_secret_opens_their_path_can_ask_for_no_build(
    client: httpx.Client,
) -> None:
    rows_of_a_sender = b'[{"id": "scoped-1"}]'
    for headers in (token_headers(SCOPED_SECRET), own_headers(rows_of_a_sender, SCOPED_SECRET)):
        sent = client.post(SCOPED_PATH, content=rows_of_a_sender, headers=headers)
        assert sent.status_code == 202
    asked = b'{"layer": "gold"}'
    for path in ("/webhook/scout-refresh", "/webhook/dbt-refresh", "/webhook/scout-products"):
        for headers in (token_headers(SCOPED_SECRET), own_headers(asked, SCOPED_SECRET)):
            assert client.post(path, content=asked, headers=headers).status_code == 401
    whole = f"{SCOPED_PATH} {SCOPED_SECRET}"
    assert (
        client.post(SCOPED_PATH, content=rows_of_a_sender, headers=token_headers(whole)).status_code
        == 401
    )
    assert (
        client.post(
            "/webhook/scout-refresh", content=asked, headers=token_headers(SECRET)
        ).status_code
        == 202
    )
