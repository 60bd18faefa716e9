"""The smallest flow that leaves what `make run` reads."""

from prefect import flow
from prefect.artifacts import create_table_artifact

MEASURES = {
    "rows_loaded": 1234,
    "models_built": 3,
    "tests_passed": 9,
    "warnings": 1,
    "seconds": 2.5,
}


@flow(name="example")
def example(repositories: list[str]) -> None:
    fetched = {"phase": "fetch", "done": 2, "total": 2, "rows": 1234, "seconds": 1.5}
    create_table_artifact(key="example-progress", table=[fetched])
    if repositories == ["bad"]:
        raise ValueError("Cloning bad: there is no such repository. Check the address")
    rows = [{"measure": name, "value": value} for name, value in MEASURES.items()]
    create_table_artifact(key="example-run", table=rows)
