"""How fast and how lean the git path is, against git alone.

    python -m tests.benchmarks.git_load [--commits 6000] [--runs 5]

Prints, as medians over alternated runs: commits per second of a whole first sync (clone, log,
parse, COPY, merge) in a process of its own, its peak memory, and its wall time as a ratio to
``git clone`` plus ``git log`` with the same options read into nothing.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from deployments.local.postgres import EmbeddedPostgres
from flows.github_scraper import raw
from flows.github_scraper.settings import GithubScraperSettings
from flows.github_scraper.source.log import HEADER_FORMAT
from flows.github_scraper.sync import sync_repository
from tests.github_scraper.histories import import_sample


def git_alone(origin: Path, folder: Path) -> float:
    started = time.monotonic()
    mirror = folder / "alone.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(origin), str(mirror)], check=True)
    subprocess.run(
        ["git", "-C", str(mirror), "log", "-z", "--numstat", "-M", "--diff-merges=first-parent",
         "--date=raw", f"--format={HEADER_FORMAT}", "refs/heads/main"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.monotonic() - started


def first_sync(database: str, origin: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the sync and peak MiB of its process, measured in a child of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with psycopg.connect(database, autocommit=True) as connection:
            raw.ensure_schema(connection)
            started = time.monotonic()
            sync_repository(connection, str(origin), GithubScraperSettings(), folder / "mirrors")
            seconds = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(writer, f"{seconds} {peak}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    measured = os.read(reader, 100).decode().split()
    return float(measured[0]), float(measured[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=6_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--repository", type=Path, help="a real repository in place of the sample")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        origin = arguments.repository or import_sample(root / "o.git", arguments.commits).path
        listed = subprocess.check_output(["git", "-C", origin, "rev-list", "--count", "HEAD"])
        commits = int(listed)
        server = EmbeddedPostgres(root / "postgres")
        server.start()
        try:
            alone, ours, peaks = [], [], []
            for number in range(arguments.runs):
                folder = root / str(number)
                folder.mkdir()
                alone.append(git_alone(origin, folder))
                database = server.create_database(f"run_{number}")
                seconds, peak = first_sync(database, origin, folder)
                ours.append(seconds)
                peaks.append(peak)
        finally:
            server.stop()
    ratios = [mine / gits for mine, gits in zip(ours, alone, strict=True)]
    sys.stdout.write(
        f"commits                     {commits}\n"
        f"commits per second          {commits / statistics.median(ours):.0f}\n"
        f"seconds, git alone          {statistics.median(alone):.2f}\n"
        f"seconds, whole sync         {statistics.median(ours):.2f}\n"
        f"ratio to git alone          {statistics.median(ratios):.2f}\n"
        f"peak memory, MiB            {statistics.median(peaks):.0f}\n"
    )


if __name__ == "__main__":
    main()
