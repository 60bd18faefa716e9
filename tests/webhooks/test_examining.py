"""Long bodies are looked into beside the receiver, which serves everybody else meanwhile."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from deployments.local.processes import wait_until
from flows.webhooks.examining import TOO_MUCH
from tests.heavy import BODIES
from tests.webhooks.harness import Running, github_headers, start, token_headers

SMALL = b'{"ref": "refs/heads/main"}'
LOGS = "/v1/logs"


@pytest.fixture(scope="module")
def own(receiver: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A receiver beside the package's, on its inbox, whose processes are stopped and killed."""
    running = start(tmp_path_factory.mktemp("examining"), "session")
    yield running
    running.stop()


def examiner(running: Running) -> psutil.Process:
    (found,) = psutil.Process(running.process.pid).children()
    return found


@contextmanager
def posted(running: Running, body: bytes) -> Iterator[list[httpx.Response]]:
    """Telemetry that is on its way; its answer is there at the end."""
    answers: list[httpx.Response] = []

    def post() -> None:
        headers = token_headers()
        answers.append(
            httpx.post(f"{running.url}{LOGS}", content=body, headers=headers, timeout=60)
        )

    thread = threading.Thread(target=post)
    thread.start()
    yield answers
    thread.join()


def test_while_a_long_body_is_looked_into_others_are_answered(own: Running) -> None:
    stopped = examiner(own)
    stopped.suspend()
    try:
        with posted(own, BODIES["empty_resources"]()) as answers:
            for _ in range(5):
                small = httpx.post(
                    f"{own.url}/webhook/github", content=SMALL, headers=github_headers(SMALL)
                )
                assert small.status_code == 202
                assert httpx.get(f"{own.url}/healthz").status_code == 200
            assert not answers
            stopped.resume()
    finally:
        stopped.resume()
    assert [each.status_code for each in answers] == [200]


def test_a_body_that_takes_too_much_is_refused_and_the_next_is_taken(own: Running) -> None:
    with posted(own, BODIES["records_twice"]()) as answers:
        assert wait_until(lambda: bool(examiner(own).children()), 30, pause=0.005)
        (child,) = examiner(own).children()
        child.kill()
    assert [(each.status_code, TOO_MUCH in each.text) for each in answers] == [(413, True)]
    with posted(own, BODIES["empty_resources"]()) as answers:
        pass
    assert answers[0].status_code == 200


def test_an_examiner_that_died_is_started_again_and_ends_with_its_receiver(own: Running) -> None:
    examiner(own).kill()
    with posted(own, BODIES["empty_resources"]()) as answers:
        pass
    assert answers[0].status_code == 200
    again = examiner(own)
    again.send_signal(signal.SIGTERM)
    with posted(own, BODIES["empty_resources"]()) as answers:
        pass
    assert answers[0].status_code == 200
    assert again == examiner(own)
    own.kill()
    assert wait_until(lambda: not again.is_running() or again.status() == "zombie", 10)
