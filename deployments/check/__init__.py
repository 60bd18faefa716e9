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
    names,
    parameters,
    pools,
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
from flows._shared.counted import counted
from flows._shared.errors import PermanentError, PlatformError

__all__ = ["Project", "in_clusters", "main", "problems", "refuse"]

Rule = Callable[[Project], Problems]
# What is broken on any server: applying refuses it, too.
OF_ANY: Sequence[Rule] = (
    values,
    top_keys,
    entrypoints,
    parameters,
    trigger_parameters,
    job_variables,
    names,
    automations,
)
# How the deployments of this project are, and what of them must fit together.
OF_OURS: Sequence[Rule] = (
    events,
    triggers,
    woken,
    pools,
    deployments,
    limits_of_deployments,
)
# They hold whatever the deployments are.
ALONE = (values, top_keys, limits_of_deployments, automations)


def problems(project: Project) -> list[str]:
    """Everything that is wrong, as ``<where>: <what and what to do>``.

    Of a file that lists no deployments only that: all else would be what follows from it.
    """
    return _told(project, (*OF_ANY, *OF_OURS))


def refuse(project: Project) -> None:
    """Of what is wrong that which is broken wherever it is applied.

    Raises:
        PermanentError: there is such; all of it is told.
    """
    if found := _told(project, OF_ANY):
        raise PermanentError(
            f"reading {project.prefect_file} and {project.automations_folder}",
            "\n".join([f"{counted(len(found), 'fault')} in them", *found]),
            "Correct them; `python -m deployments.check` finds more",
        )


def _told(project: Project, rules: Sequence[Rule]) -> list[str]:
    kept = [each for each in rules if project.lists_deployments or each in ALONE]
    return folded(told for rule in kept for told in rule(project))


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
