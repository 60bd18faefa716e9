"""What a project needs before dbt runs: its packages, and what was parsed before."""

import os
from pathlib import Path

from flows._shared.orchestration.dbt.invocation import invoke_dbt
from flows._shared.orchestration.dbt.job import Job, exclusive
from flows._shared.orchestration.dbt.options import DbtOptions
from flows._shared.orchestration.dbt.outcome import DbtProjectError
from flows._shared.orchestration.dbt_nodes import NodeWatch

PARSED_VARIABLE = "ANALYTICS_FLOWS_DBT_PARSED_DIR"
PARTIAL_PARSE = "partial_parse.msgpack"


def install_packages(job: Job) -> None:
    """``dbt deps`` where dbt_packages is missing or older than the file that lists them."""
    listings = [job.project_dir / name for name in ("packages.yml", "dependencies.yml")]
    listed = [path for path in listings if path.is_file()]
    if not listed:
        return
    # Two targets of one project share dbt_packages, so this lock is the project's.
    with exclusive(job.target_path.parent / ".packages.lock"):
        installed = job.project_dir / "dbt_packages"
        newest = max(path.stat().st_mtime for path in listed)
        if installed.is_dir() and installed.stat().st_mtime >= newest:
            return
        if not os.access(job.project_dir, os.W_OK):
            raise DbtProjectError(
                f"dbt deps of {job.project}",
                f"{installed} is missing or out of date, and the folder cannot be written",
                "Run `dbt deps` there where it can be written, as at image build",
            )
        job.logger.info("installing the dbt packages of %s", job.project)
        invoke_dbt(job, ["deps"], NodeWatch(lambda level, line: None, job.redact))
        installed.mkdir(exist_ok=True)
        os.utime(installed)


def take_over_parsed(job: Job, options: DbtOptions) -> None:
    """Begin with what the image build parsed, where there is such a thing."""
    target = options.target or "default"
    kept = Path(os.environ.get(PARSED_VARIABLE, ""), job.project, target, PARTIAL_PARSE)
    if PARSED_VARIABLE in os.environ and kept.is_file():
        from flows._shared.orchestration.dbt_parsed import take_over

        place = job.project_dir, job.target_path
        take_over(kept, *place, options.target, options.variables)
