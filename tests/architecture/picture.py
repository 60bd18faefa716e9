"""The floors and arrows of docs/architecture.md, from the import graph.

python -m tests.architecture.picture
"""

from collections.abc import Mapping

import grimp

from tests.changed import ROOT

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "```mermaid\n", "```\n"
OUTSIDE = ("deployments", "blocks", "prefect")
SHOWN = {
    "kernel": "flows/_shared",
    "orchestration": "flows/_shared/orchestration",
    "people": "flows/people",
    "report": "flows/report",
    "webhooks": "flows/webhooks",
    "deployments": "deployments",
    "blocks": "blocks",
    "prefect": "Prefect",
}
DOMAINS = {path.parent.name for path in (ROOT / "flows").glob("*/settings.py")} - SHOWN.keys()

Arrows = Mapping[str, set[str]]


def arrows() -> dict[str, set[str]]:
    """Which place imports which; the same room of all domains is one place."""
    graph = grimp.build_graph(
        "flows", "blocks", "deployments", include_external_packages=True, cache_dir=None
    )
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            above, below = _place(module), _place(imported)
            if above and below and above != below:
                found.setdefault(above, set()).add(below)
                found.setdefault(below, set())
    return found


def _place(module: str) -> str | None:
    match module.split("."):
        case [("deployments" | "blocks" | "prefect") as top, *_]:
            return top
        case ["flows", "_shared", "orchestration", *_]:
            return "orchestration"
        case ["flows", "_shared", *_]:
            return "kernel"
        case ["flows", domain, room, *_] if domain in DOMAINS:
            return None if room == "__main__" else room
        case ["flows", ("people" | "report" | "webhooks") as other, *_]:
            return other
    return None


def floors(graph: Arrows) -> list[list[str]]:
    """Places from the top down, each above all that it imports.

    Raises:
        ValueError: some import each other in a circle.
    """
    height: dict[str, int] = {}
    while len(height) < len(graph):
        ready = [place for place in graph if place not in height and graph[place] <= height.keys()]
        if not ready:
            circle = sorted(graph.keys() - height.keys())
            raise ValueError(f"these, or some of them, import each other: {', '.join(circle)}")
        for place in ready:
            height[place] = 1 + max((height[below] for below in graph[place]), default=-1)
    levels = range(max(height.values()), -1, -1)
    return [sorted(place for place in height if height[place] == level) for level in levels]


def drawn(graph: Arrows) -> str:
    """An arrow that goes the way of others by one more floor is left out."""
    lines = ["flowchart TD"]
    for number, floor in reversed(list(enumerate(reversed(floors(graph))))):
        lines.append(f'    subgraph floor_{number}["floor {number}"]')
        lines += [f'        {place}["{SHOWN.get(place, place)}"]' for place in floor]
        lines.append("    end")
    for above in sorted(graph):
        through = {each for below in graph[above] for each in _reached(graph, below)}
        lines += [f"    {above} --> {below}" for below in sorted(graph[above] - through)]
    return "\n".join(lines) + "\n"


def _reached(graph: Arrows, place: str) -> set[str]:
    return graph[place] | {each for below in graph[place] for each in _reached(graph, below)}


def page_with(picture: str) -> str:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{picture}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(drawn(arrows())), encoding="utf-8")
