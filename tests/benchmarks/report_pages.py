"""What the report's pages cost with more repositories, developers, models and comparisons.

    python -m tests.benchmarks.report_pages [--factors 1 10 100] [--runs 7]

Draws the site of made-up rows: of the models that have a row for each of these so many times as
many as the samples or more, of all others one row. Prints medians of CPU, in turn, and the site's
size.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from flows.report.making import AGENTS
from flows.report.pages import site
from flows.report.records import DOMAINS, DomainData, OperationsData
from flows.report.render import render
from flows.report.source import nothing
from tests.report.made_rows import contracts

ENTITIES = {
    "rpt_github_repositories": 20,
    "rpt_agents_developers": 12,
    "rpt_agents_models": 10,
    "rpt_ledgermind_comparisons": 3,
}


def made_up(factor: int) -> dict[str, DomainData]:
    data = {}
    for slug in DOMAINS:
        empty = nothing(slug).extracts
        extracts = {}
        for each in contracts(slug):
            rows = (
                each.row(f"text {at}", place=at, commit_rank=at, repository_id=at)
                | ({"developer_id": f"developer {at}"} if at and slug == AGENTS else {})
                for at in range(1 + factor * ENTITIES.get(each.model, 0))
            )
            extracts[each.model] = replace(empty[each.model], rows=tuple(rows), is_built=True)
        data[slug] = DomainData(slug, extracts)
    return data


def cost_of(data: dict[str, DomainData]) -> tuple[float, int]:
    """CPU seconds of the site, and its bytes."""
    began = time.process_time()
    known = {slug: each.masked for slug, each in data.items()}
    files = render(site(known, OperationsData(), datetime.now(UTC)))
    return time.process_time() - began, sum(map(len, files.values()))


def benchmark(factors: Sequence[int], runs: int) -> None:
    made = {factor: made_up(factor) for factor in factors}
    cost_of(made[factors[0]])
    costs = [{factor: cost_of(data) for factor, data in made.items()} for _ in range(runs)]
    for factor in factors:
        seconds = statistics.median(each[factor][0] for each in costs)
        size = costs[0][factor][1] / 1e6
        sys.stdout.write(f"{factor:5} times: {seconds:.3f} s CPU, {size:.2f} MB\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="the report's pages of many rows")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    benchmark(chosen.factors, chosen.runs)


if __name__ == "__main__":
    main()
