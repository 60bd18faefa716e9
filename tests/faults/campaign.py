"""One fault after another on a bench, and what is wrong after each."""

import re

from tests.faults.bench import Bench
from tests.faults.injection import Fault, Injection, Kind
from tests.faults.stages import RECEIVER, STAGES
from tests.faults.tables import differences

# Run again from the first of these: a run of a flow does all of them.
OF_ONE_RUN = ("fetch", "load", "build")
# What a stage put aside is seen after this one.
SEEN_AFTER = {"spool": "drain", "spool-grpc": "drain-grpc"}
# Python waits without end for a thread that finds no memory to begin: python/cpython#140746, open
# on 2026-12-01. Whoever ends the run ends that.
NOT_BEGUN = re.compile(r'threading\.py", line \d+ in wait\n.*threading\.py", line \d+ in start\n')
RAISED = re.compile(r"^((?:\w+\.)+\w+|\w+Error)(?::|$)", re.MULTILINE)


def survived(bench: Bench, fault: Fault, number: int) -> tuple[bool, list[str]]:
    """Whether the fault happened, and what is wrong after the next run."""
    dataset = f"fault_{number}"
    bench.restore(fault.domain, fault.stage)
    (bench.work / "log").write_text("")
    done = Injection(bench, fault).run(dataset)
    (bench.work / "log").rename(bench.work / "disturbed.log")
    log = (bench.work / "disturbed.log").read_text(errors="replace")
    is_of_python = fault.kind is Kind.MEMORY and waits_for_a_thread(log)
    wrong = [f"a run hung: {each}" for each in done.ended if each.is_hung and not is_of_python]
    if fault.domain == RECEIVER and fault.kind is not Kind.MEMORY:
        wrong += bench.senders.wrong
    wrong += _after_next_run(bench, fault, dataset)
    if fault.domain == RECEIVER and not wrong and not bench.is_quick:
        bench.senders.forget()
        wrong += [f"sent again: {each}" for each in _after_next_run(bench, fault, dataset)]
    return done.is_hit, wrong


def _after_next_run(bench: Bench, fault: Fault, dataset: str) -> list[str]:
    """What is wrong after a run that nothing disturbs."""
    last = SEEN_AFTER.get(fault.stage, fault.stage)
    again = OF_ONE_RUN if fault.stage in OF_ONE_RUN else (fault.stage, last)
    try:
        for stage in STAGES[fault.domain]:
            if stage in again:
                bench.run(fault.domain, stage, dataset)
            if stage == last:
                break
    except RuntimeError as error:
        return [f"the next run failed: {error}"]
    left = bench.left(fault.domain, last, dataset)
    return differences(left, bench.measured[fault.domain, last].left)


def untold(log: str) -> str | None:
    """The kind of error that ended a disturbed run, where it is none of the project's own."""
    raised = RAISED.findall(log)
    return raised[-1] if raised and not raised[-1].startswith("flows.") else None


def waits_for_a_thread(log: str) -> bool:
    """Whether a run that hung waited for a thread of its own to begin."""
    return NOT_BEGUN.search(log) is not None
