"""What good deliveries meet while another address attacks the receiver in every way at once.

    python -m tests.benchmarks.attacked [--seconds 20] [--rate 200] [--only NAME ...]

Signed deliveries go to a receiver at a fixed rate from one address; from another,
`tests.webhooks.attacks` does all that it knows at once. Latency is counted from the time at which a
delivery was due. Prints it with and without the attack, the most memory that the receiver had, and
its answers of 5xx. A delivery that is not answered by 202 ends the benchmark with an error. The
attackers and the sender of good deliveries run on the cores of the receiver.
"""

import argparse
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deployments.local.paths import PROJECT_ROOT
from flows.webhooks.settings import MIB
from tests.benchmarks.webhooks import post_for, started, surroundings

SAMPLE_SECONDS = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--only", nargs="*", default=[], help="names of attacks, all by default")
    options = parser.parse_args()
    with surroundings("attacked-benchmark-") as (folder, url):
        measure(folder, url, options)
    return 0


def measure(folder: Path, url: str, options: argparse.Namespace) -> None:
    # Prefect reads its settings when it is imported: not before the server has an address.
    from tests.webhooks.harness import register

    register("benchmark", url)
    running = started(folder)
    port = int(running.url.rpartition(":")[2])
    process = psutil.Process(running.process.pid)
    attack = [sys.executable, "-m", "tests.webhooks.attacks", running.url]
    attack += [f"http://{running.grpc_address}", f"--seconds={options.seconds + 2}"]
    attack += [part for name in options.only for part in ("--only", name)]
    try:
        alone = post_for(port, options.seconds, options.rate)
        with watched(process) as memory:
            enemy = subprocess.Popen(attack, cwd=PROJECT_ROOT)
            try:
                beside = post_for(port, options.seconds, options.rate)
            finally:
                enemy.kill()
                enemy.wait()
        failed = sum(int(line.get("status", 0)) >= 500 for line in running.lines())
    finally:
        running.stop()
    lines = [
        f"good deliveries: {options.rate:.0f} a second for {options.seconds:.0f} s, none refused",
        f"  alone:        p50 {alone.p50:.1f} ms, p99 {alone.p99:.1f} ms, {alone.rate:.0f}/s",
        f"  under attack: p50 {beside.p50:.1f} ms, p99 {beside.p99:.1f} ms, {beside.rate:.0f}/s",
        f"most memory of the receiver: {max(memory) / MIB:.0f} MiB; answers of 5xx: {failed}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[int]]:
    """The bytes of memory that a process had, again and again."""
    seen = [process.memory_info().rss]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(SAMPLE_SECONDS):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
