"""Bring a Prefect server in line with the files: work pools, limits, deployments, automations.

Says what it changes; the second time, that there is nothing to change. What carries this project's
tag and is in the files no longer is deleted. The server is the one of PREFECT_API_URL, the pools
those of PREFECT_WORK_POOL and PREFECT_WARM_WORK_POOL; without the second, the first is both.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from blocks import CATALOGUE
from deployments.apply.automations import plan_automations
from deployments.apply.changes import Change, perform
from deployments.apply.deployments import plan_deployments
from deployments.apply.files import AUTOMATIONS, PREFECT_YAML
from deployments.apply.infrastructure import (
    LIMITS,
    POOL_VARIABLE,
    TEMPLATE_FILES,
    WARM_TYPE,
    limits,
    plan_limits,
    plan_work_pool,
    pools,
)
from deployments.check import Project, refuse
from deployments.local.api import PrefectApi
from deployments.local.paths import LocalPaths
from deployments.local.server import external_api
from deployments.local.worker import refuse_another_pool
from flows._shared.counted import counted
from flows._shared.errors import PermanentError, PlatformError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.apply", description=__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="show the difference, change nothing"
    )
    parser.add_argument(
        "--pool-type",
        choices=sorted(TEMPLATE_FILES),
        help="of a PREFECT_WORK_POOL that does not exist yet",
    )
    parser.add_argument("--prefect-file", type=Path, default=PREFECT_YAML)
    parser.add_argument("--automations", type=Path, default=AUTOMATIONS, metavar="FOLDER")
    parser.add_argument("--limits", type=Path, default=LIMITS)
    options = parser.parse_args(arguments)
    try:
        with _api(os.environ) as api:
            return apply(api, options)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def apply(api: PrefectApi, options: argparse.Namespace) -> int:
    """Plan and perform one part after the other: triggers need the ids of their deployments."""
    count = 0
    for changes in _plans(api, options):
        count += len(changes)
        if options.dry_run:
            for change in changes:
                say(str(change))
        else:
            perform(changes, say)
    for line in missing_blocks(api):
        say(line)
    if not count:
        say("Nothing to change")
    else:
        say(f"{counted(count, 'change')}{' to make' if options.dry_run else ' made'}")
    return 0


def _plans(api: PrefectApi, options: argparse.Namespace) -> Iterator[Sequence[Change]]:
    project = Project(options.prefect_file, options.automations, options.limits)
    refuse(project)
    wanted = project.deployments
    pool, *warm = pools(os.environ)
    yield plan_work_pool(api, pool, options.pool_type)
    for each in warm:
        yield plan_work_pool(api, each, WARM_TYPE)
    yield plan_limits(api, options.limits)
    yield plan_deployments(api, wanted, limits(options.limits))
    yield plan_automations(api, wanted, say, options.automations)


def missing_blocks(api: PrefectApi) -> Iterator[str]:
    """A line for each block that a domain cannot do without and the server does not have."""
    for slug, needs in CATALOGUE.items():
        for need in needs:
            if need.is_required and not api.has_block(need.kind.block_type, need.name):
                yield (
                    f"missing block {need.name}: set {need.variable}, then "
                    f"`flows blocks register {slug}`"
                )


def _api(environment: Mapping[str, str]) -> PrefectApi:
    unset = [name for name in ("PREFECT_API_URL", POOL_VARIABLE) if not environment.get(name)]
    if unset:
        raise PermanentError(
            "finding the Prefect server and the work pool",
            f"{' and '.join(unset)} not set",
            "Set them, or use `flows up`, which applies everything to the local server",
        )
    if not external_api(LocalPaths()):
        refuse_another_pool(environment[POOL_VARIABLE])
    return PrefectApi(environment["PREFECT_API_URL"], environment)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
