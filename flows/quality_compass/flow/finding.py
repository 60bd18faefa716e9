"""Which runs a flow run loads: asked for, configured, or made as a sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from prefect import State, get_run_logger, task

from flows._shared.errors import PermanentError, PlatformError
from flows._shared.orchestration.credentials import block_document, storage_options
from flows._shared.orchestration.retry import retry_transient
from flows.quality_compass import source, sync
from flows.quality_compass.records import Findings
from flows.quality_compass.settings import QualityCompassSettings, RunsRequest

Result = TypeVar("Result")


@task(name="find runs", retries=2, retry_delay_seconds=5, retry_condition_fn=retry_transient)
def find_runs(address: str, run_id: str | None, settings: QualityCompassSettings) -> Findings:
    return source.look_for_runs(address, open_storage(settings), run_id=run_id)


def find_all(request: RunsRequest, settings: QualityCompassSettings) -> Findings:
    """The runs at all addresses. One that cannot be read does not stop the others.

    Raises:
        PlatformError: nothing can be loaded; the first reason.
    """
    addresses = request.addresses or settings.addresses or (str(make_sample(settings)),)
    found: list[Findings] = []
    for address in addresses:
        result = outcome_of(find_runs(address, request.run_id, settings, return_state=True))
        if isinstance(result, Findings):
            found.append(result)
        elif isinstance(result, PlatformError):
            found.append(Findings(refused=(result,)))
        else:
            raise result
    merged = source.merge(found)
    if not merged.runs:
        raise merged.refused[0]
    return merged


def outcome_of(state: State[Result]) -> Result | Exception:
    """What a task gave, or why it failed. A crash or a cancellation is raised."""
    if state.is_failed():
        error = state.result(raise_on_failure=False)
        if isinstance(error, Exception):
            return error
    return state.result()


def make_sample(settings: QualityCompassSettings) -> Path:
    """The folder of the sample runs, written anew: it is a function of size and seed.

    Raises:
        PermanentError: no sample is asked for.
    """
    folder = sync.sample_folder(settings)
    get_run_logger().info(
        "no runs were given: generating %s sample runs of %s facilities with seed %s in %s",
        len(sync.SAMPLE_RUNS),
        settings.sample_facilities,
        settings.sample_seed,
        folder,
    )
    sync.write_sample(folder, settings)
    return folder


def open_storage(settings: QualityCompassSettings) -> source.Storage:
    """Storage with the credentials of the blocks that the settings name.

    Raises:
        PermanentError: a block is missing or does not hold what it should.
    """
    options = storage_options(settings.storage_block) if settings.storage_block else None
    account = _service_account(settings.gcp_block) if settings.gcp_block else None
    return source.Storage(options, account)


def _service_account(block_name: str) -> Mapping[str, Any]:
    # Importing prefect-gcp for what is a document takes seconds.
    key = block_document(block_name, "gcp-credentials").get("service_account_info")
    if not isinstance(key, Mapping) or not key:
        raise PermanentError(
            f"reading the block {block_name}",
            "it holds no service account key",
            "Save the JSON key of a service account as a GcpCredentials block of that name",
        )
    return key
