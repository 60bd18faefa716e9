"""One folder of byte code for every process that tests start, whatever this machine does with its
own: a Prefect server, a worker or dbt that compiles all it imports starts half as fast."""

from deployments.local.paths import PROJECT_ROOT

FOLDER = PROJECT_ROOT / ".local" / "cache" / "bytecode"
ENVIRONMENT = {"PYTHONPYCACHEPREFIX": str(FOLDER), "PYTHONDONTWRITEBYTECODE": ""}
