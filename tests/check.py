"""``make check``: lint, types and tests of what changed since main, within a minute.

Tests are run nearest first. One that is known to need longer than is left of the minute is left to
``make test``, as is what the minute has no room for; both are counted.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Generator, Sequence
from types import FrameType

import pytest

from tests.changed import ROOT, changed_files, domains_of, import_graph, importers_of, known_by

# The rest of the minute stops what tests have started.
SECONDS = 50.0
DURATIONS = "check/durations"
# Only to import all files of tests would take the minute: eight took 35 s of it (November 2026).
FILES = 3
LEFT = "left to `make test`"
CACHE_OF_TYPES = ROOT / ".mypy_cache"
DBT_PROJECTS = tuple((ROOT / "dbt_projects").iterdir())
HOW_TO_MEND = "`make format` mends what a tool can"


class Budget:
    """Runs tests while there is time; remembers how long each took."""

    def __init__(
        self, until: float, files: Sequence[str] = (), domains: Collection[str] = ()
    ) -> None:
        self._until = until
        self._files = [ROOT / file for file in files]
        self._others = {each.name for each in DBT_PROJECTS} - set(domains) if domains else set()
        self._durations: dict[str, float] = {}
        self._running: pytest.Item | None = None
        self._cut_off = ""
        self._found = self._done = 0

    @property
    def left(self) -> int:
        return self._found - self._done

    @property
    def has_room_for_none(self) -> bool:
        """Whether there were tests, and the minute was over before the first of them had ended."""
        return self._found > 0 and not self._done

    def pytest_configure(self, config: pytest.Config) -> None:
        if config.cache:
            self._durations = config.cache.get(DURATIONS, {})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # The suite has begun with its longest files.
        if self._files:
            items.sort(key=lambda item: (self._is_of_others(item), self._files.index(item.path)))

    def _is_of_others(self, item: pytest.Item) -> bool:
        """Whether it looks at a domain in which nothing has changed."""
        return any(f"[{domain}]" in item.name for domain in self._others)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._found = len(session.items)
        signal.signal(signal.SIGALRM, self._stop)
        signal.setitimer(signal.ITIMER_REAL, max(self._until - time.monotonic(), 0.1))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._running = item
        if time.monotonic() + self._durations.get(item.nodeid, 0.0) > self._until:
            pytest.skip(LEFT)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if item.nodeid == self._cut_off and report.failed:
            # What it ran told the end of the minute as an error of its own.
            report.outcome, report.longrepr = "skipped", (str(item.path), 0, LEFT)
        elif not report.skipped:
            earlier = 0.0 if call.when == "setup" else self._durations.get(item.nodeid, 0.0)
            self._durations[item.nodeid] = earlier + call.duration
            self._done += call.when == "call"
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if session.config.cache:
            session.config.cache.set(DURATIONS, self._durations)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._running:
            self._cut_off = self._running.nodeid
            self._durations[self._cut_off] = SECONDS
        pytest.exit("the minute is over", returncode=0)


def main(since: str | None = None) -> int:
    until = time.monotonic() + SECONDS
    # A hook is run with variables that would lead git astray in the repositories of tests.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    changed = changed_files(since=since)
    if not changed:
        print("Nothing has changed.")
        return 0
    graph = import_graph()
    python = [path for path in changed if path.endswith((".py", ".pyi"))]
    sql = [path for path in changed if path.startswith("dbt_projects/") and path.endswith(".sql")]
    steps: list[list[str]] = []
    if python:
        steps += [["ruff", "check", *python], ["ruff", "format", "--check", *python]]
        steps += [["lint-imports", "--no-logo"]]
        steps += [["mypy", *importers_of(python, graph)]]
    if sql:
        steps += [["sqlfluff", "lint", "--disable-progress-bar", *sql]]
    if any(path.startswith("deployments/") or path == "prefect.yaml" for path in changed):
        steps += [["python", "-m", "deployments.check"]]
    fills_cache = bool(python) and not CACHE_OF_TYPES.is_dir()
    if fills_cache:
        print("mypy fills its cache, once in a clone: the minute begins after that", flush=True)
    for step in steps:
        if not _run(step):
            print(f"{step[0]} is not content: {HOW_TO_MEND}", file=sys.stderr)
            return 1
    if fills_cache:
        until = time.monotonic() + SECONDS
    return _test(known_by(changed, graph), domains_of(changed), until)


def _run(step: Sequence[str]) -> bool:
    began = time.monotonic()
    done = subprocess.run([str(ROOT / ".venv" / "bin" / step[0]), *step[1:]], cwd=ROOT)
    print(f"{' '.join(step[:2])}: {time.monotonic() - began:.1f} s", flush=True)
    return done.returncode == 0


def _test(files: Sequence[str], domains: Collection[str], until: float) -> int:
    if not files:
        print("No test knows of what changed.")
        return 0
    if others := files[FILES:]:
        print(f"{len(others)} files of tests that know of it from afar are left to `make test`")
        files = files[:FILES]
    budget = Budget(until, files, domains)
    status = int(pytest.main(["-q", "-x", "--no-header", "--timeout=0", *files], plugins=[budget]))
    if budget.left:
        print(f"{budget.left} tests of {len(files)} files are left to `make test`")
    if budget.has_room_for_none and status == pytest.ExitCode.OK:
        print(
            f"None of them ran: what came before them took the minute. `make test ARGS={files[0]}`",
            file=sys.stderr,
        )
        return 1
    return 0 if status == pytest.ExitCode.NO_TESTS_COLLECTED else status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
