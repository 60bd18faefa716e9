"""What good deliveries and `/healthz` meet while a sender who is known posts the worst bodies.

    python -m tests.benchmarks.large_bodies [--rounds 2] [--rate 50] [--only NAME ...]

From one address comes each body of `tests.heavy`, plain and packed, and beside it a body of many
MiB of GitHub's, one after the other as fast as they are answered. From another, at fixed times,
signed deliveries and looks at `/healthz`; latency is counted from the time at which each was due.
Prints it without and with those bodies, the most memory of the receiver with the processes that it
started, the answers that those bodies got, and the longest of each. A delivery that is not answered
by 202 ends the benchmark with an error. All of it runs on the cores of the receiver.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from deployments.local.paths import PROJECT_ROOT
from flows.webhooks.settings import MIB
from flows.webhooks.sources import PROTOBUF
from tests.benchmarks.webhooks import push, started, surroundings
from tests.heavy import BODIES

SENDERS = 8
SAMPLE_SECONDS = 0.1
ENEMY = "127.0.0.68"
OF_GITHUB = ("keys_once_twice", "keys_in_keys", "texts")
Request = tuple[str, str, Mapping[str, str], bytes]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--only", nargs="*", default=[], help="names of bodies, all by default")
    parser.add_argument("--send-to", help="only send the bodies to this receiver")
    options = parser.parse_args()
    if options.send_to:
        send(options.send_to, options.rounds, options.only)
        return 0
    with surroundings("large-bodies-benchmark-") as (folder, url):
        measure(folder, url, options)
    return 0


def requests(only: Sequence[str]) -> Iterator[Request]:
    from tests.webhooks.harness import github_headers, token_headers

    for name, make in BODIES.items():
        if only and name not in only:
            continue
        body = make()
        if name in OF_GITHUB:
            yield name, "/webhook/github", github_headers(body), body
            continue
        is_protobuf = name.endswith(("protobuf_records", "protobuf_scopes"))
        headers = token_headers(**({"Content-Type": PROTOBUF} if is_protobuf else {}))
        yield name, "/v1/logs", headers, body
        packed = gzip.compress(body, 1)
        yield f"{name}, packed", "/v1/logs", headers | {"Content-Encoding": "gzip"}, packed
    if not only or "push" in only:
        files = [f"flows/module_{number}.py" for number in range(700_000)]
        body = json.dumps({"ref": "refs/heads/main", "commits": [{"added": files}]}).encode()
        yield "push", "/webhook/github", github_headers(body), body


def send(url: str, rounds: int, only: Sequence[str]) -> None:
    """Send the bodies one after the other, and print a line for each: name, status, seconds."""
    made = list(requests(only))
    transport = httpx.HTTPTransport(local_address=ENEMY)
    sys.stdin.readline()
    with httpx.Client(base_url=url, timeout=120, transport=transport) as client:
        for _ in range(rounds):
            for name, path, headers, body in made:
                began = time.monotonic()
                fresh = {"X-GitHub-Delivery": str(uuid.uuid4())}
                answer = client.post(path, content=body, headers={**headers, **fresh})
                took = time.monotonic() - began
                sys.stdout.write(f"{name}\t{answer.status_code}\t{took:.2f}\n")
                sys.stdout.flush()


class Beside:
    """Requests at fixed times from an address of their own, until it is over."""

    def __init__(self, url: str, rate: float) -> None:
        self.latencies: dict[str, list[float]] = {"/healthz": [], "/webhook/github": []}
        self._url, self._rate = url, rate
        self._is_over = threading.Event()
        self._failed: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(2 * SENDERS)]
        self._are_ready = threading.Barrier(2 * SENDERS + 1)

    def __enter__(self) -> "Beside":
        for thread in self._threads:
            thread.start()
        self._start = time.monotonic() + 2
        self._are_ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise SystemExit(f"{len(self._failed)} were refused: {self._failed[0]}")

    def _run(self, number: int) -> None:
        from tests.webhooks.harness import github_headers

        path = "/healthz" if number % 2 else "/webhook/github"
        pace, own = SENDERS / self._rate, number // 2 / self._rate
        body = push()
        turn = 0
        with httpx.Client(base_url=self._url, timeout=120, verify=False) as client:
            client.get("/healthz")
            self._are_ready.wait()
            while not self._is_over.is_set():
                due = self._start + own + turn * pace
                turn += 1
                time.sleep(max(due - time.monotonic(), 0))
                if path == "/healthz":
                    answer, taken = client.get(path), 200
                else:
                    answer = client.post(path, content=body, headers=github_headers(body))
                    taken = 202
                if answer.status_code != taken:
                    self._failed.append(f"{path} {answer.status_code} {answer.text}")
                self.latencies[path].append((time.monotonic() - due) * 1000)

    def told(self) -> Iterator[str]:
        for path, found in self.latencies.items():
            cuts = statistics.quantiles(found, n=100)
            yield (
                f"{path:16} p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, "
                f"longest {max(found):.1f} ms, of {len(found):,}"
            )


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[int]]:
    """The bytes that a process and those it started held, again and again."""
    seen = [held(process)]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            seen.append(held(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def held(process: psutil.Process) -> int:
    """What they share, as forks do, is counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            total += each.memory_full_info().pss
    return total


def measure(folder: Path, url: str, options: argparse.Namespace) -> None:
    # Prefect reads its settings when it is imported: not before the server has an address.
    from tests.webhooks.harness import register

    register("benchmark", url)
    running = started(folder)
    command = [sys.executable, "-m", "tests.benchmarks.large_bodies", f"--rounds={options.rounds}"]
    command += [f"--send-to={running.url}"]
    command += ["--only", *options.only] if options.only else []
    try:
        process = psutil.Process(running.process.pid)
        sender = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            time.sleep(15)
            at_rest = held(process)
            with Beside(running.url, options.rate) as alone:
                time.sleep(10)
            with watched(process) as memory, Beside(running.url, options.rate) as beside:
                said, _ = sender.communicate("\n")
        finally:
            sender.kill()
            sender.wait()
    finally:
        running.stop()
    sys.stdout.write("alone:\n  " + "\n  ".join(alone.told()) + "\n")
    sys.stdout.write("beside large bodies:\n  " + "\n  ".join(beside.told()) + "\n")
    sys.stdout.write(
        f"memory: at rest {at_rest / MIB:.0f} MiB, most {max(memory) / MIB:.0f} MiB\n{said}"
    )


if __name__ == "__main__":
    sys.exit(main())
