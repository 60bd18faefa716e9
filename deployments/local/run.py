"""Running domains as deployment runs, watching them, and telling what came of them."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from deployments.local.api import PrefectApi
from deployments.local.domains import Domain
from deployments.local.processes import wait_until
from deployments.local.runtime import Runtime, has_worker
from deployments.local.worker import ProcessWorker
from flows._shared.counted import left_out
from flows._shared.errors import TransientError

POLL_SECONDS = 0.5
# A worker polls every two seconds; one that has not taken a run after a minute is not there.
WAITING_HINT_SECONDS = 60.0
PATIENCE_WITH_SERVER_SECONDS = 60.0
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
WAITING = {"SCHEDULED", "PENDING"}
MEASURES = ("rows_loaded", "models_built", "tests_passed", "left_out", "warnings", "seconds")
INTERRUPTED = 130
LOG_WIDTH = 120
# A run sends its log in batches: the last may arrive after its final state.
LAST_LINES_SECONDS = 5.0


@dataclass
class Watched:
    """One flow run and what is known of it so far."""

    domain: Domain
    run_id: str
    url: str
    name: str
    state: dict[str, Any] = field(default_factory=dict)
    phases: list[dict[str, Any]] = field(default_factory=list)
    measures: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.state.get("type") in FINAL

    @property
    def is_good(self) -> bool:
        return self.state.get("type") == "COMPLETED"

    @property
    def rows_so_far(self) -> int | None:
        """What its phases tell of; None if none tells. A run that fails has no other count."""
        counts = [int(phase["rows"]) for phase in self.phases if phase.get("rows") is not None]
        return sum(counts) if counts else None

    def look(self, api: PrefectApi) -> None:
        """Ask the server how far the run is."""
        if self.is_done:
            return
        self.phases = api.table(self.run_id, f"{self.domain.kebab}-progress") or self.phases
        state = dict(api.flow_run(self.run_id).get("state") or {})
        self.seconds = time.monotonic() - self.started
        if state.get("type") in FINAL:
            self.phases = api.table(self.run_id, f"{self.domain.kebab}-progress") or self.phases
            rows = api.table(self.run_id, f"{self.domain.kebab}-run")
            self.measures = {str(row["measure"]): row["value"] for row in rows}
        self.state = state


def run_domains(
    runtime: Runtime,
    domains: Sequence[Domain],
    repositories: Sequence[str] = (),
    watched: list[Watched] | None = None,
) -> int:
    """Run each domain's deployment, all at once, and wait for the last.

    Args:
        repositories: addresses or paths of git, for domains that take some.
        watched: what becomes of each run is put here.

    Returns:
        0 if every run completed, 1 if not, 130 after Ctrl-C: the runs then go on, on the worker.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    with runtime.api() as api:
        watched = [] if watched is None else watched
        watched += [_start(api, each, each.parameters(repositories)) for each in domains]
        console.print(f"Prefect: {runtime.where}", highlight=False)
        try:
            _watch(api, watched, console, runtime)
        except KeyboardInterrupt:
            _say_going_on(watched, console)
            return INTERRUPTED
        console.print(final_table(watched))
        for run in watched:
            _say_where_to_look(api, run, console)
    return 0 if all(run.is_good for run in watched) else 1


def _start(api: PrefectApi, domain: Domain, parameters: Mapping[str, Any]) -> Watched:
    deployment = api.deployment(domain.deployment)
    assert deployment is not None, "runtime.up() has checked it"
    run = api.start_run(deployment["id"], parameters)
    return Watched(domain, run["id"], f"{api.ui_url}/runs/flow-run/{run['id']}", run["name"])


def _watch(api: PrefectApi, watched: Sequence[Watched], console: Console, runtime: Runtime) -> None:
    hint = f"Nothing takes the run: see {runtime.paths.run / 'worker.log'}"
    worker = ProcessWorker(runtime.paths) if has_worker(runtime.paths) else None
    if not console.is_terminal:
        _watch_plainly(api, watched, console, hint, worker)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not _look(api, watched, worker):
            live.update(Group(*(live_view(run, hint) for run in watched)))
            time.sleep(POLL_SECONDS)


def _watch_plainly(
    api: PrefectApi,
    watched: Sequence[Watched],
    console: Console,
    hint: str,
    worker: ProcessWorker | None,
) -> None:
    said: dict[str, str] = {}
    is_over = False
    while not is_over:
        is_over = _look(api, watched, worker)
        for run in watched:
            for key, line in plain_lines(run, hint):
                if said.get(key) != line:
                    console.print(line, highlight=False, markup=False, soft_wrap=True)
                    said[key] = line
        if not is_over:
            time.sleep(POLL_SECONDS)


def _look(api: PrefectApi, watched: Sequence[Watched], worker: ProcessWorker | None) -> bool:
    """Look at every run; waits for a server that is busy for a while, for no worker that ended."""
    deadline = time.monotonic() + PATIENCE_WITH_SERVER_SECONDS
    while True:
        try:
            for run in watched:
                run.look(api)
            if all(run.is_done for run in watched):
                return True
            if worker:
                worker.refuse_ended()
            return False
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def live_view(run: Watched, hint: str) -> RenderableType:
    """The state of one run as a block of the live display."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(run.phases))
    for title in ("phase", "done", "rows", "seconds"):
        table.add_column(title, justify="left" if title == "phase" else "right", style="dim")
    for phase in run.phases:
        rows = _number(phase.get("rows"))
        table.add_row(str(phase["phase"]), _share(phase), rows, _number(phase.get("seconds")))
    head = Text.assemble(
        (run.domain.slug, "bold"), f"  {_state(run)}  {run.seconds:.0f} s  ", (run.url, "dim")
    )
    late = [Text(_why_late(run, hint), style="yellow")] if _is_late(run) else []
    return Group(head, table, *late)


def plain_lines(run: Watched, hint: str) -> list[tuple[str, str]]:
    """The lines for a log, each with a key under which it is printed once per content.

    A phase is told when it begins and when it is complete, not at every step between.
    """
    slug = run.domain.slug
    state = (slug, f"{slug}: {_state(run)}")
    lines = [] if run.is_done else [state]
    if _is_late(run):
        lines.append((f"{slug} late", f"{slug}: {_why_late(run, hint)}"))
    for phase in run.phases:
        name, total = str(phase["phase"]), phase.get("total")
        is_complete = run.is_done or (total is not None and phase.get("done") == total)
        text = f"{slug}: {name}"
        if is_complete:
            known = phase.get("rows")
            rows = f", {_number(known)} row{'' if known == 1 else 's'}" if known is not None else ""
            text += f" {_share(phase)}{rows}"
        lines.append((f"{slug} {name} {is_complete}", text))
    return [*lines, state] if run.is_done else lines


def final_table(watched: Sequence[Watched]) -> Table:
    """One row per domain: rows loaded, models built, tests passed, models and tests that were left
    out as unchanged, warnings, seconds."""
    table = Table()
    table.add_column("domain", no_wrap=True)
    table.add_column("result")
    for measure in MEASURES:
        table.add_column(measure.replace("_", " "), justify="right")
    for run in watched:
        told = {name: value for name, value in run.measures.items() if value is not None}
        unchanged = left_out(told.get("models_unchanged", 0), told.get("tests_unchanged", 0))
        seen = {"seconds": run.seconds, "rows_loaded": run.rows_so_far, "left_out": unchanged}
        values = {**seen, **told}
        result = Text(_state(run), style="green" if run.is_good else "bold red")
        table.add_row(run.domain.slug, result, *(_number(values.get(name)) for name in MEASURES))
    return table


def _say_where_to_look(api: PrefectApi, run: Watched, console: Console) -> None:
    slug = run.domain.slug
    if not run.is_good:
        _say_failure(api, run, console)
    console.print(f"{slug}: the run  {run.url}", highlight=False, soft_wrap=True)
    summary = f"{api.ui_url}/artifacts/key/{run.domain.kebab}-summary"
    console.print(f"{slug}: its summary  {summary}", highlight=False, soft_wrap=True)
    query = f'bin/flows psql {slug} -c "{run.domain.query}"'
    if run.is_good:
        console.print(f"{slug}: try  {escape(query)}", highlight=False, soft_wrap=True)


def _say_failure(api: PrefectApi, run: Watched, console: Console) -> None:
    message = str(run.state.get("message") or "no message")
    console.print(f"[bold red]{run.domain.slug}: {escape(_state(run))}[/]", highlight=False)
    console.print(escape(message), highlight=False, soft_wrap=True)
    wait_until(lambda: bool(api.error_lines(run.run_id)), LAST_LINES_SECONDS, pause=POLL_SECONDS)
    for line in api.error_lines(run.run_id):
        first = next((text for text in reversed(line.splitlines()) if text.strip()), "")
        if first and first not in message:
            console.print(escape(f"  {first}"), highlight=False, soft_wrap=True)
    console.print(
        "What to do: correct what the message names, then `flows run` again; a run takes up "
        "where the last one stopped. The full log is at the address below.",
        highlight=False,
    )


def _say_going_on(watched: Sequence[Watched], console: Console) -> None:
    console.print("\nNo longer watching. The runs go on; to end them: `flows stop`.")
    for run in watched:
        if not run.is_done:
            console.print(f"{run.domain.slug}: {run.url}", highlight=False, soft_wrap=True)


def _state(run: Watched) -> str:
    name = str(run.state.get("name") or "Scheduled")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _is_late(run: Watched) -> bool:
    is_waiting = run.state.get("type") in WAITING
    return is_waiting and run.seconds > WAITING_HINT_SECONDS


def _why_late(run: Watched, hint: str) -> str:
    if run.state.get("name") == "AwaitingConcurrencySlot":
        return "It waits for another run of its deployment to end: one at a time"
    return hint


def _share(phase: Mapping[str, Any]) -> str:
    total = phase.get("total")
    done = _number(phase.get("done"))
    return done if total is None else f"{done} of {_number(total)}"


def _number(value: object) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}"
    if isinstance(value, int | float):
        return f"{int(value):,}"
    return "" if value is None else str(value)
