"""The image built for real, by the Dockerfile as it is, and a run in a container of it."""

import os
import time
from pathlib import Path

import pytest

from tests.deployments.kubernetes.container import BASE, IMAGE, Builder
from tests.deployments.kubernetes.jobs import rendered_job
from tests.deployments.pool import Pool

MEGABYTES_AT_MOST = 2_500


@pytest.mark.exhaustive
@pytest.mark.timeout(3_600)
def test_the_image_is_built_and_a_container_of_it_completes_a_run(
    prefect_server: str, tmp_path: Path
) -> None:
    builder = Builder(tmp_path)
    builder.make_base()
    began = time.monotonic()
    builder.build()
    size, of_base = builder.megabytes(IMAGE), builder.megabytes(BASE)
    print(f"built in {time.monotonic() - began:.0f} s: {size:.0f} MB, its base {of_base:.0f} MB")
    assert of_base < size < MEGABYTES_AT_MOST
    container = builder.container()
    assert builder.run(container, "id", "-u").strip() == "10001"
    assert builder.run(container, "sh", "-c", "! command -v pip && git --version")

    pool = Pool(prefect_server)
    body = {
        "name": pool.name,
        "flow_id": pool.post("flows/", {"name": "kubernetes-probe"})["id"],
        "entrypoint": "deployments.kubernetes.probe.probe",
        "pull_steps": [],
    }
    run = pool.api.start_run(pool.post("deployments/", body)["id"], {})["id"]
    command = rendered_job({})["spec"]["template"]["spec"]["containers"][0]["args"]
    began = time.monotonic()
    said = builder.run(
        container,
        *command,
        PREFECT_API_URL=prefect_server,
        PREFECT_API_AUTH_STRING=os.environ["PREFECT_API_AUTH_STRING"],
        PREFECT__FLOW_RUN_ID=run,
    )
    print(f"a run in {time.monotonic() - began:.1f} s")
    assert pool.api.flow_run(run)["state"]["type"] == "COMPLETED", said
