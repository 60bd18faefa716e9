"""What changed since the work left main, and the test files that know of it, nearest first."""

import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "blocks", "deployments", "tests")
MAIN = ("main", "origin/main")

CONTRACTS = "tests/docs/test_contracts.py"
PANELS = "tests/deployments/grafana/test_dashboards.py"
SHARED_PACKAGE = "tests/dbt_projects/test_shared_package.py"


def changed_files(root: Path = ROOT, since: str | None = None) -> list[str]:
    """Files that differ from a commit, what is not committed among them.

    Without one it is that where this branch left main.
    """
    known = subprocess.run(
        ["git", "diff", "--name-only", "-z", "--diff-filter=d", since or _base(root), "--"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    new = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted({path for path in f"{known}{new}".split("\0") if path})


def _base(root: Path) -> str:
    for name in MAIN:
        found = subprocess.run(
            ["git", "merge-base", "HEAD", name], cwd=root, capture_output=True, text=True
        )
        if found.returncode == 0:
            return found.stdout.strip()
    return "HEAD"


def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=str(ROOT / ".import_linter_cache"))


def known_by(changed: Iterable[str], graph: grimp.ImportGraph) -> list[str]:
    """Test files that read what changed: the changed ones, then by steps of the import graph, those
    of the same name before others.

    What is no Python is known by the tests of the documents and of the house; before them a dbt
    project by its contract, by the tests that build it, and by the panels that read it.
    """
    distance: dict[str, tuple[int, int, bool]] = {}
    for path in changed:
        stem = PurePosixPath(path).stem
        for test, steps, place in _readers(path, graph):
            near = (steps, place, stem not in PurePosixPath(test).stem)
            distance[test] = min(near, distance.get(test, near))
    return sorted(distance, key=lambda test: (distance[test], test))


def domains_of(changed: Iterable[str]) -> set[str]:
    """The domains whose dbt projects or contracts changed."""
    found = set()
    for path in changed:
        match PurePosixPath(path).parts:
            case ("dbt_projects", domain, *_) | ("docs", "contracts", domain):
                found.add(domain.removesuffix(".md"))
    return found - {"_shared"}


def _readers(path: str, graph: grimp.ImportGraph) -> Iterator[tuple[str, int, int]]:
    """Test files with the number of imports between, and their place among those as near."""
    module = module_of(path)
    if module in graph.modules:
        yield from ((_path_of(name), steps, 0) for name, steps in _downstream(module, graph))
        return
    for place, known in enumerate(_readers_of_sql(path), start=1):
        if (ROOT / known).is_file():
            yield known, 0, place
    for folder in ("architecture", "docs"):
        for test in (ROOT / "tests" / folder).glob("test_*.py"):
            yield str(test.relative_to(ROOT)), 2, 0


def _readers_of_sql(path: str) -> tuple[str, ...]:
    match PurePosixPath(path).parts:
        case ("dbt_projects", "_shared", *_):
            return (SHARED_PACKAGE,)
        case ("dbt_projects", domain, *_):
            return (CONTRACTS, f"tests/dbt_projects/test_{domain}.py", PANELS)
        case ("docs", "contracts", _):
            return (CONTRACTS,)
        case ("deployments", "grafana", "dashboards", _):
            return (PANELS,)
    return ()


def _downstream(module: str, graph: grimp.ImportGraph) -> Iterator[tuple[str, int]]:
    """Test modules that import a module, with the number of imports between."""
    seen: set[str] = set()
    reached: Collection[str] = {module}
    steps = 0
    while reached:
        yield from ((name, steps) for name in reached if is_test(name))
        seen.update(reached)
        importers = map(graph.find_modules_that_directly_import, reached)
        reached = {importer for each in importers for importer in each} - seen
        steps += 1


def importers_of(changed: Iterable[str], graph: grimp.ImportGraph) -> list[str]:
    """Files of the changed modules and of those that import them: whose types may not fit now."""
    modules = {module_of(path) for path in changed} & graph.modules
    near = {each for name in modules for each in graph.find_modules_that_directly_import(name)}
    return sorted(_path_of(name) for name in modules | near)


def is_test(module: str) -> bool:
    return module.startswith("tests.") and module.rpartition(".")[2].startswith("test_")


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _path_of(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"
