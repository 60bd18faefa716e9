"""What a pod starts, with other programs in place of Prefect's engine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

RUN = "0f0e3a3e-0000-4000-8000-000000000001"
# The engine's place is taken, and the pauses are shorter; everything else is as in a pod.
STARTED = """
import sys
from deployments.kubernetes import execute
execute.ENGINE = [sys.executable, "-c", sys.argv[1]]
execute.SECONDS_BETWEEN_LOOKS = 0.3
sys.exit(execute.main())
"""
ENDS_ON_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
time.sleep(60)
"""


class _Server(ThreadingHTTPServer):
    """Answers for one flow run; keeps the states that are proposed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.state = "RUNNING"
        self.proposed: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        assert self.path == f"/api/flow_runs/{RUN}"
        self._answer({"id": RUN, "state": {"type": self.server.state}})

    def do_POST(self) -> None:
        assert self.path == f"/api/flow_runs/{RUN}/set_state"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.proposed.append(body["state"]["type"])
        self._answer({"status": "ACCEPT"})

    def _answer(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[_Server]:
    started = _Server()
    thread = threading.Thread(target=started.serve_forever)
    thread.start()
    yield started
    started.shutdown()
    thread.join()
    started.server_close()


def start(engine: str, url: str, stderr: int | None = None) -> subprocess.Popen[str]:
    given = {**os.environ, "PREFECT_API_URL": url, "PREFECT__FLOW_RUN_ID": RUN}
    command = [sys.executable, "-c", STARTED, engine]
    return subprocess.Popen(command, env=given, stdout=subprocess.PIPE, stderr=stderr, text=True)


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline() == "ready\n"


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_a_pod_ends_as_its_engine_ends(server: _Server, engine: str, code: int) -> None:
    assert start(engine, server.url).wait(20) == code
    assert server.proposed == []


def test_sigterm_reaches_the_engine(server: _Server) -> None:
    process = start(ENDS_ON_SIGTERM, server.url)
    ready(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 5
    assert server.proposed == []


def test_a_cancelled_engine_ends_without_a_word_of_its_own(server: _Server) -> None:
    speaks = "(print('told to end', flush=True), sys.exit(5))"
    process = start(ENDS_ON_SIGTERM.replace("sys.exit(5)", speaks), server.url)
    ready(process)
    server.state = "CANCELLING"
    assert process.wait(20) == 0
    assert server.proposed == ["CANCELLED"]
    assert process.stdout
    assert process.stdout.read() == ""


def test_a_cancelled_engine_is_told_so_and_may_end_its_work(server: _Server) -> None:
    ends = ENDS_ON_SIGTERM.replace("SIGTERM", "SIGUSR1").replace("sys.exit(5)", "sys.exit('ended')")
    process = start(ends, server.url, stderr=subprocess.PIPE)
    ready(process)
    server.state = "CANCELLING"
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "ended\n")
    assert server.proposed == ["CANCELLED"]


def test_an_engine_that_does_not_end_when_its_run_is_cancelled_is_killed(server: _Server) -> None:
    process = start(
        ENDS_ON_SIGTERM.replace("SIGTERM", "SIGUSR1").replace("sys.exit(5)", "0"), server.url
    )
    ready(process)
    server.state = "CANCELLING"
    assert process.wait(20) == 0
    assert server.proposed == ["CANCELLED"]


def test_a_run_cancelled_as_its_engine_ends_is_reported_all_the_same(server: _Server) -> None:
    server.state = "CANCELLING"
    assert start("", server.url).wait(20) == 0
    assert server.proposed == ["CANCELLED"]


def test_a_server_that_is_away_ends_no_run() -> None:
    process = start(ENDS_ON_SIGTERM, "http://127.0.0.1:9/api")
    ready(process)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 5
