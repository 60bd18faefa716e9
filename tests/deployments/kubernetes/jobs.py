"""The Job that a Kubernetes worker would make for a run, without a cluster."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

from prefect.client.schemas.objects import FlowRun

from deployments.local.paths import PROJECT_ROOT

TEMPLATE = PROJECT_ROOT / "deployments" / "work_pools" / "kubernetes.json"
RUN = FlowRun(id=uuid.UUID(int=1), flow_id=uuid.UUID(int=2), name="a-run")


def rendered_job(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a run with these job variables, as the worker sends it."""
    # Takes seconds to import, in each of the processes that look for tests.
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads(TEMPLATE.read_text())
    configuration = asyncio.run(
        KubernetesWorkerJobConfiguration.from_template_and_values(template, dict(variables))
    )
    configuration.prepare_for_flow_run(RUN)
    return dict(configuration.job_manifest)
