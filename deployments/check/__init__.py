"""Find in ``prefect.yaml`` and in the automations what Prefect ignores, or refuses too late, and
in the manifests of clusters what network policies cut off or leave open.

Prefect drops unknown keys, puts the secrets that job variables refer to into deployments in clear
text, and notices a misspelt entrypoint, parameter, event or job variable when a run fails or does
not begin. Needs no server: ``make lint`` runs this.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deployments.apply.faults import folded
from deployments.apply.files import AUTOMATIONS, PREFECT_YAML
from deployments.apply.infrastructure import LIMITS
from deployments.check.network import OVERLAYS, network_problems
from deployments.check.of_deployments import (
    deployments,
    entrypoints,
    job_variables,
    limits_of_deployments,
    parameters,
    pools,
    schedules,
    top_keys,
    values,
)
from deployments.check.of_events import (
    automations,
    events,
    trigger_parameters,
    triggers,
    woken,
)
from deployments.check.project import Problems, Project
from flows._shared.errors import PlatformError

__all__ = ["Project", "in_clusters", "main", "problems"]

RULES: Sequence[Callable[[Project], Problems]] = (
    values,
    top_keys,
    entrypoints,
    parameters,
    trigger_parameters,
    events,
    triggers,
    woken,
    pools,
    job_variables,
    schedules,
    deployments,
    limits_of_deployments,
    automations,
)
# They hold whatever the deployments are.
ALONE = (values, top_keys, limits_of_deployments, automations)


def problems(project: Project) -> list[str]:
    """Everything that is wrong, as ``<where>: <what and what to do>``.

    Of a file that lists no deployments only that: all else would be what follows from it.
    """
    rules = RULES if project.lists_deployments else ALONE
    return folded(told for rule in rules for told in rule(project))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.check", description=__doc__)
    parser.add_argument("--prefect-file", type=Path, default=PREFECT_YAML)
    parser.add_argument("--automations", type=Path, default=AUTOMATIONS, metavar="FOLDER")
    parser.add_argument("--limits", type=Path, default=LIMITS)
    parser.add_argument("--overlays", type=Path, default=OVERLAYS, metavar="FOLDER")
    options = parser.parse_args(arguments)
    project = Project(options.prefect_file, options.automations, options.limits)
    try:
        found = [*problems(project), *in_clusters(project, options.overlays)]
    except PlatformError as error:
        found = [str(error)]
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


def in_clusters(project: Project, overlays: Path = OVERLAYS) -> list[str]:
    """What is wrong in manifests. A laptop may do without kubectl, CI may not.

    What must be reached follows from all that the files say: nothing is told where they are wrong.
    """
    if project.faults or not project.lists_deployments:
        return []
    if shutil.which("kubectl") or os.environ.get("CI"):
        return list(network_problems(project, overlays))
    sys.stderr.write("Network policies were not checked: there is no kubectl on PATH\n")
    return []
