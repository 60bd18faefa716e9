"""Faults at every stage of every domain and the receiver, each followed by a run undisturbed.

    python -m tests.faults [--seed 1] [--seed 2] [--domain scout] [--stage load] [--kind kill]
        [--limit 20] [--minutes 5]

What the run leaves must be what an undisturbed one leaves, in every table. A fault that did not
happen while the stage ran does not count.

The webhook receiver is tried like a domain, while senders post to it: "source" is a sender there.
After a fault what was not promised is sent again, and after that all of it.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from flows._shared.chosen import spelled
from tests.faults.bench import Bench
from tests.faults.campaign import SEEN_AFTER, survived, untold
from tests.faults.flow_runs import BUILD, LOAD, POOLS, FlowRuns, can_be
from tests.faults.injection import Fault, Kind, draw
from tests.faults.stages import STAGES


def report(
    hit: Counter[Fault], failed: dict[Fault, list[str]], missed: int, seeds: Sequence[int]
) -> None:
    by_kind = Counter((fault.domain, fault.kind) for fault in hit)
    domains = sorted({domain for domain, _ in by_kind})
    print(f"\n| | {' | '.join(domains)} |\n|---|{'---|' * len(domains)}")
    for kind in Kind:
        if any(by_kind[domain, kind] for domain in domains):
            counts = " | ".join(str(by_kind[domain, kind] or "") for domain in domains)
            print(f"| {kind} | {counts} |")
    survivors = len(hit.keys() - failed.keys())
    print(
        f"\n{len(hit)} distinct faults hit, {survivors} survived with identical"
        f" tables; {missed} that came too late or not at all are not counted;"
        f" of seed {', '.join(map(str, seeds))}"
    )


def up_to_last(stages: Sequence[str], wanted: Sequence[str] | None) -> Sequence[str]:
    """The stages that have to be there for those that are wanted, which are all without any."""
    told = [SEEN_AFTER.get(each, each) for each in wanted or stages]
    last = max((stages.index(each) for each in told if each in stages), default=0)
    return stages[: last + 1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--domain", type=spelled, choices=list(STAGES), action="append")
    parser.add_argument("--stage", action="append")
    parser.add_argument("--kind", type=Kind, action="append")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seeds = options.seed or [1]
    domains = options.domain or list(STAGES)
    kinds = options.kind or list(Kind)
    is_in_flows = not options.stage or not {LOAD, BUILD}.isdisjoint(options.stage)
    are_flows = all(kind in POOLS for kind in kinds)
    of_flows = [kind for kind in kinds if kind in POOLS and is_in_flows]
    hit: Counter[Fault] = Counter()
    failed: dict[Fault, list[str]] = {}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as work:
        # PostgreSQL, run as another user when we are root, must be able to pass through.
        Path(work).chmod(0o711)
        with Bench(domains, Path(work), is_quick=are_flows) as bench, ExitStack() as stack:
            drawn: list[Fault] = []
            if not are_flows:
                for domain in domains:
                    bench.prepare(domain, *up_to_last(list(STAGES[domain]), options.stage))
                drawn += [each for seed in seeds for each in draw(bench, random.Random(seed))]
            with_flow = [each for each in domains if any(can_be(each, kind) for kind in of_flows)]
            if with_flow:
                runs = stack.enter_context(FlowRuns(bench, of_flows))
                for domain in with_flow:
                    runs.prepare(domain)
                drawn += [each for seed in seeds for each in runs.draw(random.Random(seed))]
            faults = [
                each
                for each in drawn
                if (not options.stage or each.stage in options.stage) and each.kind in kinds
            ]
            deadline = time.monotonic() + options.minutes * 60
            for number, fault in enumerate(faults[: options.limit]):
                if (began := time.monotonic()) > deadline:
                    break
                is_hit, wrong = (
                    runs.survived(fault) if fault.kind in POOLS else survived(bench, fault, number)
                )
                seconds = time.monotonic() - began
                said = "FAILED" if wrong else "survived" if is_hit else "not hit"
                raised = untold((bench.work / "disturbed.log").read_text())
                ending = f", ended by a bare {raised}" if raised else ""
                print(f"{said:8} {fault} ({seconds:.1f} s){ending}", flush=True)
                for line in wrong:
                    print(f"    {line}", flush=True)
                if wrong:
                    print((bench.work / "disturbed.log").read_text()[-1500:], flush=True)
                    failed[fault] = wrong
                if is_hit:
                    hit[fault] += 1
                missed += not is_hit
    report(hit, failed, missed, seeds)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
