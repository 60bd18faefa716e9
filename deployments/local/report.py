"""The report of what is on this machine, made in this process: no worker needs to be free."""

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deployments.local import runtime
from deployments.local.api import PrefectApi
from deployments.local.domains import DOMAINS, select
from deployments.local.paths import LocalPaths
from deployments.local.server import PrefectServer, external_api
from flows._shared.errors import PlatformError
from flows._shared.state import STATE_VARIABLE
from flows.report.making import AGENTS, IN_POSTGRES, make, or_why_not, read_agents, read_from
from flows.report.publish import Published
from flows.report.records import DomainData, OperationsData
from flows.report.settings import ReportSettings
from flows.report.source import read_operations

PROJECT_TAG = "analytics-flows"


def make_report(paths: LocalPaths, address: str | None = None) -> Published:
    """Write the site where the local worker's runs write it, or to another address.

    Raises:
        PlatformError: the destination cannot be written to.
    """
    os.environ.setdefault(STATE_VARIABLE, str(paths.cache))
    settings = ReportSettings(destination=address)
    data = {slug: or_why_not(slug, partial(_read, slug, paths)) for slug in IN_POSTGRES}
    data[AGENTS] = or_why_not(AGENTS, partial(read_agents, settings.agents_path))
    made_at = datetime.now(UTC)
    site, published = make(
        data, _operations(paths), made_at, settings.address, settings.versions_kept
    )
    for page in site.pages:
        if page.problem:
            sys.stderr.write(f"The page of {page.title} could not be made:\n{page.problem}")
    return published


def _read(slug: str, paths: LocalPaths) -> DomainData:
    (domain,) = select([slug])
    return read_from(slug, runtime.addresses(domain, paths).reader)


def _operations(paths: LocalPaths) -> OperationsData:
    url = external_api(paths) or PrefectServer(paths).url()
    if url is None:
        return OperationsData(problem="The Prefect server does not run: `flows up` starts it.")
    keys = {domain.slug: f"{domain.kebab}-run" for domain in DOMAINS}
    budgets = {domain.slug: f"{domain.kebab}-budgets" for domain in DOMAINS}
    try:
        with PrefectApi(url, runtime.environment(paths, url)) as api:
            return read_operations(
                partial(_ask, api), PROJECT_TAG, keys, budgets, datetime.now(UTC)
            )
    except PlatformError as error:
        return OperationsData(problem=f"{error.attempted} did not work. {error.remedy}.")


def _ask(api: PrefectApi, path: str, body: Mapping[str, Any]) -> Any:
    return api.call("POST", path, body)


def address_of(published: Published) -> str:
    """What a person opens: a file's address, or the bucket's."""
    index = published.index
    return index if "://" in index else Path(index).absolute().as_uri()
