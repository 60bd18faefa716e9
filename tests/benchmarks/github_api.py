"""How lean and how fast a whole history over GraphQL is, against the git path on the same commits.

    python -m tests.benchmarks.github_api [--commits 200000]

The server is this process; each way of reading is a process of its own. Prints its seconds, its
peak memory, what it cost in points, and the seconds as a ratio to the git path's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deployments.local.postgres import EmbeddedPostgres
from tests.github_scraper.github_server import GithubServer, Limits, RealClock
from tests.github_scraper.histories import ENVIRONMENT, History

CHILD = """
import re, sys, time
from datetime import UTC, datetime
from pathlib import Path
import psycopg
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.connect import Secrets, open_api
from flows.github_scraper.sync import plan_repositories, sync_planned, sync_repository

database, host, url, path, mirrors = sys.argv[1:]
settings = GithubScraperSettings.model_validate({"api": {"host_url": host, "path": path}})
with psycopg.connect(database, autocommit=True) as connection:
    raw.ensure_schema(connection)
    started = time.monotonic()
    if path == "git":
        counts = sync_repository(connection, url, settings, Path(mirrors))
    else:
        api = open_api(Secrets((("block", "ghp_good"),)), settings.api)
        with api.client(database, url) as client:
            (plan,) = plan_repositories(
                connection, client, [url], settings, datetime.now(UTC)
            ).plans
            counts = sync_planned(connection, plan, settings, client, by_git=lambda: 1 / 0)
    seconds = time.monotonic() - started
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(counts.commits_written, seconds, int(peak[1]) / 1024)
"""


def stream(commits: int) -> Iterator[bytes]:
    """A long history of small commits by some hundred people."""
    for number in range(1, commits + 1):
        parent = b"from :%d\n" % (number - 1) if number > 1 else b""
        message = b"fix: change %d\n\n%s\n" % (number, b"word " * (number % 40))
        yield (
            b"commit refs/heads/main\nmark :%d\ncommitter P%d <p%d@x.example> %d +0100\n"
            b"data %d\n%s%sM 100644 inline f%d\ndata 5\n%04d\n\n"
            % (
                number, number % 400, number % 400, 1_400_000_000 + number * 60,
                len(message), message, parent, number % 50, number % 10_000,
            )
        )  # fmt: skip
    yield b"done\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        history = History(root / "long.git")
        command = ["git", "-C", str(history.path), "fast-import", "--quiet", "--done"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRONMENT) as importer:
            assert importer.stdin is not None
            for chunk in stream(arguments.commits):
                importer.stdin.write(chunk)
        cluster = EmbeddedPostgres(root / "postgres", is_durable=False)
        cluster.start()
        limits = Limits(hourly={"core": 5_000, "graphql": 10_000, "search": 30})
        try:
            with GithubServer(clock=RealClock(), limits=limits).running() as server:
                repository = server.add(history.path)
                # Read once beforehand, so that what is measured is the client.
                repository.history(history.head())
                seconds: dict[str, float] = {}
                for path in ("git", "graphql"):
                    database = cluster.create_database(f"bench_{path}")
                    address = server.address(repository)
                    told = subprocess.run(
                        [sys.executable, "-c", CHILD, database, server.url, address, path,
                         str(root / "mirrors")],
                        capture_output=True, text=True, check=True,
                        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
                    ).stdout.split()  # fmt: skip
                    seconds[path] = float(told[1])
                    print(
                        f"{path}: {told[0]} commits in {seconds[path]:.1f} s, "
                        f"peak {float(told[2]):.0f} MiB, "
                        f"{server.meter.total('graphql')} points"
                    )
                print(f"GraphQL / git: {seconds['graphql'] / seconds['git']:.1f}")
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
