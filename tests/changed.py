"""What changed since the work left main, and the test files that know of it, nearest first."""

import subprocess
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "blocks", "deployments", "tests")
MAIN = ("main", "origin/main")


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

    What is no Python is known by the tests of the documents and of the house; a dbt project then by
    those of its domain, which build it.
    """
    distance: dict[str, tuple[int, bool]] = {}
    for path in changed:
        stem = PurePosixPath(path).stem
        for test, steps in _readers(path, graph):
            near = (steps, stem not in PurePosixPath(test).stem)
            distance[test] = min(near, distance.get(test, near))
    return sorted(distance, key=lambda test: (distance[test], test))


def _readers(path: str, graph: grimp.ImportGraph) -> Iterator[tuple[str, int]]:
    module = module_of(path)
    if module in graph.modules:
        yield from ((_path_of(name), steps) for name, steps in _downstream(module, graph))
        return
    match PurePosixPath(path).parts:
        case ("dbt_projects", domain, *_):
            own = f"tests/dbt_projects/test_{domain}.py"
            yield from ((test, 3) for test in [own] if (ROOT / test).is_file())
    for folder in ("architecture", "docs"):
        for test in (ROOT / "tests" / folder).glob("test_*.py"):
            yield str(test.relative_to(ROOT)), 2


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
