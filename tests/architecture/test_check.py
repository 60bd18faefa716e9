"""``make check`` finds what changed and its tests, and ends in time."""

import subprocess
import sys
import time
from pathlib import Path

import grimp
import pytest

from tests.changed import (
    ROOT,
    changed_files,
    domains_of,
    import_graph,
    importers_of,
    known_by,
)
from tests.check import Budget


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return import_graph()


def test_a_changed_module_is_known_by_the_tests_that_import_it(graph: grimp.ImportGraph) -> None:
    found = known_by(["flows/_shared/bigquery_export/stream.py"], graph)
    assert found.index("tests/_shared/test_bigquery_export.py") < 3
    assert "tests/scout/test_files.py" not in found


def test_a_changed_test_is_run_before_all_others(graph: grimp.ImportGraph) -> None:
    changed = ["flows/_shared/errors.py", "tests/blocks/test_checks.py"]
    assert known_by(changed, graph)[0] == "tests/blocks/test_checks.py"


def test_what_is_no_python_is_known_first_by_tests_that_need_no_build(
    graph: grimp.ImportGraph,
) -> None:
    found = known_by(["docs/credentials.md"], graph)
    assert "tests/docs/test_commands.py" in found
    assert all(test.startswith(("tests/architecture/", "tests/docs/")) for test in found)


def test_a_mart_is_known_first_by_its_contract_its_builds_and_the_panels(
    graph: grimp.ImportGraph,
) -> None:
    changed = ["dbt_projects/scout/models/gold/gold_monthly_summary.sql", "flows/scout/records.py"]
    assert known_by(changed, graph)[:3] == [
        "tests/docs/test_contracts.py",
        "tests/dbt_projects/test_scout.py",
        "tests/deployments/grafana/test_dashboards.py",
    ]
    assert domains_of([*changed, "docs/contracts/ledgermind.md"]) == {"scout", "ledgermind"}
    (first, *_) = known_by(["dbt_projects/_shared/macros/x.sql"], graph)
    assert first == "tests/dbt_projects/test_shared_package.py"
    (first, *_) = known_by(["deployments/grafana/dashboards/analytics-scout.json"], graph)
    assert first == "tests/deployments/grafana/test_dashboards.py"


class Item:
    """What an order is made of: a test's file and its name."""

    def __init__(self, file: str, name: str) -> None:
        self.path, self.name = ROOT / file, name


def test_the_minute_begins_with_the_nearest_file_and_the_domain_that_changed() -> None:
    items = [Item("long", "a"), Item("near", "b[ledgermind]"), Item("near", "c[scout]")]
    budget = Budget(0.0, ["near", "long"], {"scout"})
    budget.pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.name for item in items] == ["c[scout]", "a", "b[ledgermind]"]


def test_types_are_checked_where_a_changed_module_is_used(graph: grimp.ImportGraph) -> None:
    found = importers_of(["blocks/registration.py"], graph)
    assert {"blocks/registration.py", "blocks/__main__.py", "blocks/checks.py"} <= set(found)
    assert all((ROOT / path).is_file() for path in found)


def test_what_changed_is_told_from_where_the_work_left_main(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(name: str) -> None:
        (tmp_path / name).write_text(name)
        git("add", name)
        git("commit", "-m", name)

    git("init", "-b", "main")
    commit("old")
    commit("gone")
    git("switch", "-c", "work")
    commit("committed")
    git("switch", "main")
    commit("of others")
    git("switch", "work")
    git("rm", "gone")
    (tmp_path / "old").write_text("changed")
    (tmp_path / "néw file").write_text("new")
    assert changed_files(tmp_path) == ["committed", "néw file", "old"]


def test_the_minute_ends_a_test_that_takes_longer_and_leaves_it_next_time(tmp_path: Path) -> None:
    (tmp_path / "test_slow.py").write_text(
        "import time\n\ndef test_quick(): pass\n\ndef test_slow():\n"
        "    try:\n        time.sleep(60)\n    except BaseException as error:\n"
        "        raise ValueError(error)\n"
    )
    program = (
        "import sys, time, pytest\nfrom tests.check import Budget\n"
        "budget = Budget(time.monotonic() + int(sys.argv[1]))\n"
        f"arguments = ['-q', '--timeout=0', '--rootdir={tmp_path}', {str(tmp_path)!r}]\n"
        "status = pytest.main([*arguments, '-p', 'no:bqemulator'], plugins=[budget])\n"
        "print('left', budget.left, budget.has_room_for_none)\nsys.exit(status)"
    )
    for seconds, limit, said in (
        (6, 45, ["1 passed, 1 skipped", "left 1 False"]),
        (6, 25, ["1 passed, 1 skipped", "left 1 False"]),
        (-1, 25, ["2 skipped", "left 2 True"]),
    ):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", program, str(seconds)], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert all(each in done.stdout for each in said), done.stdout
        assert time.monotonic() - began < limit
