"""The production checklist of every domain; each item says pass or fail and why,
or none where it was not looked at."""

import os
from collections.abc import Callable, Iterator, Sequence

from blocks import CATALOGUE, not_in_use
from deployments.check import Project, in_clusters, problems
from deployments.cli.doctor import World, looked
from deployments.cli.doctor.server import reachable
from deployments.cli.settings import embedded_owner
from deployments.cli.told import Item
from deployments.roles import DATABASES, Names, Wanted
from deployments.roles import check as deviations
from deployments.roles.table import Role
from flows._shared.errors import PlatformError
from flows._shared.postgres import connected

QUALITY_COMPASS = "quality_compass"


def checklist(
    slugs: Sequence[str],
    say: Callable[[str], None],
    *,
    builds: bool = False,
    leaves_out: bool = False,
) -> Iterator[Item]:
    """The items of the project and of some domains.

    Args:
        say: told what is looked at next, as each look may take seconds.
        builds: also those of Quality Compass, which build all of its marts anew.
        leaves_out: domains that the server does not serve.
    """
    say("the files: deployments, automations, manifests of clusters")
    yield from _files()
    reached = list(looked(reachable, World.here()))
    if any(each.is_problem for each in reached):
        for each in reached:
            yield Item(each.name, f"{each.seen}. {each.remedy}", is_good=False)
        return
    say("the Prefect server, for the blocks that it has")
    from blocks.registration import is_registered

    absent = not_in_use(is_registered) if leaves_out else ()
    for slug in slugs:
        if slug in absent:
            yield Item(
                slug, "left out: none of its blocks is registered", is_good=True, is_looked_at=False
            )
            continue
        say(f"{slug}: blocks and roles")
        yield from _blocks(slug)
        yield from _roles(slug)
    if builds and QUALITY_COMPASS in slugs and QUALITY_COMPASS not in absent:
        say(f"{QUALITY_COMPASS}: its marts, built anew with every test, which takes minutes")
        yield from _quality_compass()


def _files() -> Iterator[Item]:
    try:
        project = Project()
        found = [*problems(project), *in_clusters(project)]
    except PlatformError as error:
        found = [str(error)]
    for each in found:
        yield Item("files", each, is_good=False)
    if not found:
        yield Item("files", "deployments, automations and network policies fit together", True)


def _blocks(slug: str) -> Iterator[Item]:
    from blocks.checks import check

    for each in check((slug,)) if slug in CATALOGUE else ():
        yield Item(f"{slug}: block {each.name}", each.seen, each.is_good)


def _roles(slug: str) -> Iterator[Item]:
    """Where the address of who owns the database is given, or the embedded one runs: roles as they
    should be, encryption."""
    if slug not in DATABASES:
        return
    variable = f"{slug.upper()}_OWNER_DATABASE_URL"
    try:
        embedded = embedded_owner(slug)
    except PlatformError as error:
        yield Item(
            f"{slug}: roles",
            f"not looked at: {error.seen}. {error.remedy}",
            is_good=True,
            is_looked_at=False,
        )
        return
    url = os.environ.get(variable) or embedded
    if not url:
        yield Item(
            f"{slug}: roles",
            f"not looked at: {variable} is not set, and the embedded database does not run",
            is_good=True,
            is_looked_at=False,
        )
        return
    item = f"{slug}: roles {', '.join(role.value for role in Role)}"
    wanted = Wanted(DATABASES[slug], Names.of(slug))
    if embedded:
        item += " of the embedded database"
        wanted = Wanted(DATABASES[slug].with_sample, Names.of(slug), is_exclusive=True)
    try:
        with connected(url, f"the database of {slug}") as connection:
            steps = deviations(connection, wanted)
    except PlatformError as error:
        yield Item(item, str(error), is_good=False)
        return
    for step in steps:
        yield Item(item, f"{step.seen}: `flows roles apply {slug}` mends it", is_good=False)
    if not steps:
        yield Item(item, "each may what it should and no more", is_good=True)


def _quality_compass() -> Iterator[Item]:
    """Its own list, with a build of everything."""
    from flows.quality_compass.flow.checklist import ChecklistError, check_production

    try:
        found = check_production()
    except ChecklistError as error:
        found = error.items
    except PlatformError as error:
        yield Item(QUALITY_COMPASS, str(error), is_good=False)
        return
    for each in found:
        yield Item(f"{QUALITY_COMPASS}: {each.item}", each.seen, each.is_passed)
