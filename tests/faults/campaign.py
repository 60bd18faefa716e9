"""One fault after another on a bench, and what is wrong after each."""

import re

from tests.faults.bench import Bench
from tests.faults.injection import Fault, Injection
from tests.faults.stages import STAGES
from tests.faults.tables import differences

# Run again from the first of these: a run of a flow does all of them.
OF_ONE_RUN = ("fetch", "load", "build")
RAISED = re.compile(r"^((?:\w+\.)+\w+|\w+Error)(?::|$)", re.MULTILINE)


def survived(bench: Bench, fault: Fault, number: int) -> tuple[bool, list[str]]:
    """Whether the fault happened, and what is wrong after the next run."""
    dataset = f"fault_{number}"
    bench.restore(fault.domain, fault.stage)
    (bench.work / "log").write_text("")
    done = Injection(bench, fault).run(dataset)
    (bench.work / "log").rename(bench.work / "disturbed.log")
    wrong = [f"a run hung: {each}" for each in done.ended if each.is_hung]
    again = OF_ONE_RUN if fault.stage in OF_ONE_RUN else (fault.stage,)
    try:
        for stage in STAGES[fault.domain]:
            if stage in again:
                bench.run(fault.domain, stage, dataset)
            if stage == fault.stage:
                break
    except RuntimeError as error:
        return done.is_hit, [*wrong, f"the next run failed: {error}"]
    left = bench.left(fault.domain, fault.stage, dataset)
    return done.is_hit, [*wrong, *differences(left, bench.measured[fault.domain, fault.stage].left)]


def untold(log: str) -> str | None:
    """The kind of error that ended a disturbed run, where it is none of the project's own."""
    raised = RAISED.findall(log)
    return raised[-1] if raised and not raised[-1].startswith("flows.") else None
