"""Long bodies are looked into beside the receiver, which serves everybody else meanwhile."""

import asyncio
import os
import resource
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import psutil
import pytest

from deployments.local.processes import wait_until
from flows.webhooks import examining
from flows.webhooks.bodies import BodyError, Content
from flows.webhooks.examining import TOO_MUCH, Examiner, NoExaminerError
from flows.webhooks.settings import JSON, MIB, Endpoint
from tests.accounts import without_root
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


def is_at_work(process: psutil.Process) -> bool:
    return bool(process.cpu_times().user > 0.03)


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
        # It has taken the body up: of one that had not, the sender is told to send it again.
        assert wait_until(lambda: any(map(is_at_work, examiner(own).children())), 30, pause=0.005)
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
    own.again()


async def told_of(examiner: Examiner) -> Content:
    endpoint = Endpoint(path="/webhook/shop", kind="order")
    return await examiner.examine(endpoint, {}, JSON, b'{"order": 1}')


@asynccontextmanager
async def a_question(examiner: Examiner) -> AsyncIterator["asyncio.Task[Content]"]:
    """One that is under way, and has ended behind this."""
    asked = asyncio.create_task(told_of(examiner))
    await asyncio.sleep(0.1)
    yield asked
    await asyncio.wait([asked], timeout=30)


def test_a_body_that_no_process_took_up_is_sent_again_and_is_not_too_much() -> None:
    """To senders of telemetry 413 says that they may forget it."""

    async def asked() -> None:
        examiner = Examiner()
        examiner.start()
        assert examiner.process
        stopped = psutil.Process(examiner.process.pid)
        stopped.suspend()
        async with a_question(examiner) as question:
            stopped.kill()
        with pytest.raises(NoExaminerError):
            question.result()
        assert (await told_of(examiner)).payload == '{"order": 1}'
        examiner.stop()

    asyncio.run(asked())


def test_an_examiner_that_answers_nothing_is_given_up_and_another_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def asked() -> None:
        examiner = Examiner()
        examiner.start()
        await told_of(examiner)
        assert examiner.process
        hung = psutil.Process(examiner.process.pid)
        hung.suspend()
        monkeypatch.setattr(examining, "WALL_SECONDS", 0.5)
        with pytest.raises(NoExaminerError):
            await told_of(examiner)
        assert not hung.is_running()
        monkeypatch.undo()
        await told_of(examiner)
        psutil.Process(examiner.process.pid).suspend()
        examiner.stop()
        assert examiner.process is None, "it waits for none that is stopped"

    asyncio.run(asked())


def test_half_an_answer_is_none() -> None:
    def cut(asked: socket.socket) -> None:
        asked.recv(MIB)
        asked.sendall(examining.BEGUN + b"\x80\x05\x95")

    async def asked() -> None:
        with answered_by(cut) as examiner, pytest.raises(BodyError, match=TOO_MUCH):
            await told_of(examiner)

    asyncio.run(asked())


@contextmanager
def answered_by(answer: Callable[[socket.socket], None]) -> Iterator[Examiner]:
    """An examiner beside which one question is answered like this."""
    own, its = socket.socketpair()

    def answer_one() -> None:
        _, files, *_ = socket.recv_fds(its, 1, 1)
        with socket.socket(fileno=files[0]) as asked:
            answer(asked)

    thread = threading.Thread(target=answer_one)
    thread.start()
    examiner = Examiner()
    examiner.control = own
    with its:
        yield examiner
    thread.join()
    examiner.stop()


def test_limits_that_are_there_already_are_kept() -> None:
    """What a service manager allows is less than what is set, and nobody may raise it."""
    most = psutil.Process().memory_info().vms + 100 * MIB
    child = os.fork()
    if child == 0:
        try:
            with without_root():
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
                resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
                examining.bound()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
