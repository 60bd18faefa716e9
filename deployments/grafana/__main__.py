"""Writes the dashboards anew: ``python -m deployments.grafana``."""

import sys
from pathlib import Path

from deployments.grafana.generator import files

FOLDER = Path(__file__).parent / "dashboards"


def write() -> list[Path]:
    """Write every dashboard, take away those that are none any more, and say which there are."""
    made = dict(files())
    for path in FOLDER.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return sorted(FOLDER / name for name in made)


if __name__ == "__main__":
    for written in write():
        sys.stdout.write(f"{written}\n")
