"""The faults that are quick, on one domain and the receiver; `make faults` does all on all."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.faults.bench import Bench
from tests.faults.campaign import survived
from tests.faults.flow_runs import FlowRuns
from tests.faults.injection import Fault, Kind, can_be
from tests.faults.stages import RECEIVER
from tests.faults.tables import differences

# Each takes as long as all of the quick ones.
OF_FLOWS = [
    Fault("scout", "load", Kind.SERVER, 0.5),
    Fault("scout", "build", Kind.WARM, 0.5),
]
QUICK = [
    Fault("scout", "load", Kind.KILL, 0.3),
    Fault("scout", "load", Kind.KILL, 0.8),
    Fault("scout", "load", Kind.CUT, 0.6),
    Fault("scout", "load", Kind.BACKEND, 0.5),
    Fault("scout", "load", Kind.CRASH, 0.5),
    Fault("scout", "load", Kind.DISK, 0.4),
    Fault("scout", "load", Kind.TWICE, 0.0),
    Fault("scout", "fetch", Kind.SHORT, 0.7),
    Fault(RECEIVER, "take", Kind.IN_BODY, 0.5),
    Fault(RECEIVER, "drain", Kind.KILL, 0.5),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    domains = ["scout", RECEIVER]
    with Bench(domains, tmp_path_factory.mktemp("faults"), is_quick=True) as bench:
        bench.prepare("scout", "fetch", "load")
        bench.prepare(RECEIVER, "take", "spool", "drain")
        yield bench


def test_after_any_fault_the_next_run_leaves_what_an_undisturbed_one_leaves(bench: Bench) -> None:
    possible = [each for each in QUICK if can_be(bench, each.domain, each.stage, each.kind)]
    assert all(fault.kind is Kind.DISK for fault in QUICK if fault not in possible)
    for number, fault in enumerate(possible):
        assert survived(bench, fault, number) == (True, []), fault


@pytest.mark.exhaustive
def test_after_the_death_of_the_server_or_of_a_worker_a_run_leaves_the_same(bench: Bench) -> None:
    with FlowRuns(bench, [fault.kind for fault in OF_FLOWS]) as runs:
        runs.prepare("scout")
        for fault in OF_FLOWS:
            assert runs.survived(fault) == (True, []), fault


def test_a_row_that_is_lost_or_there_twice_is_seen(bench: Bench) -> None:
    bench.restore("scout", "load")
    bench.run("scout", "load", "undisturbed")
    wanted = bench.measured["scout", "load"].left
    assert not differences(bench.left("scout", "load", "undisturbed"), wanted)
    with psycopg.connect(bench.url("scout", is_direct=True)) as connection:
        connection.execute("update scout.raw_files set bytes_read = bytes_read + 1")
        connection.execute(
            "delete from scout.raw_product_ingestion"
            " where id = (select min(id) from scout.raw_product_ingestion)"
        )
    files, products = differences(bench.left("scout", "load", "undisturbed"), wanted)
    assert files.startswith("scout.raw_files: ")
    assert products.startswith("scout.raw_product_ingestion: ")
