"""dbt does once what it does anew in each process, and forks find it done.

It makes the code that reads, writes and checks each of its classes when that is first used, and
compiles macros as they are first called: over a second of a build's start. To parse a project uses
nearly all of them, needs no connection, and leaves nothing open.
"""

import logging
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from dbt.adapters.factory import reset_adapters
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.clients.jinja import get_environment
from dbt_common.exceptions import DbtBaseException
from jinja2 import TemplateError

from deployments.local.paths import PROJECT_ROOT
from flows._shared.environment import set_environment
from flows._shared.orchestration.dbt import rare_garbage_collection
from flows._shared.orchestration.dbt.job import Job
from flows._shared.orchestration.dbt.preparation import install_packages
from flows._shared.orchestration.dbt_parsed import PLACEHOLDERS
from flows._shared.orchestration.dbt_runner import cheaper_dbt
from flows._shared.state import state_dir

PROJECTS = PROJECT_ROOT / "dbt_projects"


def rehearse(name: str) -> list[str]:
    """Parse a project twice, from its files and from what was parsed; says why not, if not."""
    project = PROJECTS / name
    with TemporaryDirectory() as folder, set_environment(PLACEHOLDERS):
        install_packages(_job(name, Path(folder)))
        arguments = ["parse", "--project-dir", str(project), "--profiles-dir", str(project)]
        arguments += ["--target-path", folder, "--log-path", folder, "--log-level-file", "none"]
        arguments += ["--log-level", "none"]
        arguments += ["--quiet", "--no-send-anonymous-usage-stats", "--no-version-check"]
        # That parser has threads; without it models are compiled, too.
        arguments.append("--no-static-parser")
        with rare_garbage_collection(), cheaper_dbt():
            for _ in range(2):
                result = dbtRunner().invoke(arguments)
                if not isinstance(result.result, Manifest):
                    return [f"{name}: {result.exception}"]
            _compile(result.result)
    reset_adapters()
    return []


def _job(name: str, folder: Path) -> Job:
    """Packages are installed as a run does, under the lock that runs wait for."""
    target = state_dir() / "dbt" / name / "default"
    logger = logging.getLogger(__name__)
    return Job(name, "deps", None, PROJECTS / name, target, folder, None, logger, str)


def _compile(manifest: Manifest) -> None:
    for macro in manifest.macros.values():
        # What cannot be compiled is told by the run that calls it.
        with suppress(TemplateError, DbtBaseException):
            get_environment().compile(macro.macro_sql)
