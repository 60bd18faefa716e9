"""Wait until the flow runs that were asked for have ended, and tell those that did not end well.

    python -m tests.docs.ended SINCE

SINCE is a time such as 2026-11-30T12:00:00+00:00. Ends with 1 where a run still goes on after
`SECONDS`; a line of each run that failed begins with the name of its deployment or flow.
"""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterExpectedStartTime
from prefect.client.schemas.objects import FlowRun

SECONDS = 900.0
PAGE = 200


def main(since: str) -> int:
    until = time.monotonic() + SECONDS
    with get_client(sync_client=True) as client:
        while under_way := [each for each in runs(client, since) if not is_over(each)]:
            if time.monotonic() > until:
                print("still under way:", *(each.name for each in under_way))
                return 1
            time.sleep(1.0)
        for each in runs(client, since):
            if each.state is None or not each.state.is_completed():
                message = (each.state and each.state.message) or ""
                print(f"{asked_for(client, each)}: {message.partition(chr(10))[0]}")
    return 0


def is_over(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def runs(client: SyncPrefectClient, since: str) -> Sequence[FlowRun]:
    """Those that were to begin since then, and until in a moment."""
    soon = datetime.now(UTC) + timedelta(seconds=3)
    asked = FlowRunFilter(
        expected_start_time=FlowRunFilterExpectedStartTime(
            after_=datetime.fromisoformat(since), before_=soon
        )
    )
    found: list[FlowRun] = []
    while more := client.read_flow_runs(flow_run_filter=asked, limit=PAGE, offset=len(found)):
        found += more
    return found


def asked_for(client: SyncPrefectClient, run: FlowRun) -> str:
    """The deployment, or the flow where none was run."""
    if run.deployment_id:
        return client.read_deployment(run.deployment_id).name
    return client.read_flow(run.flow_id).name


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
