"""The audit of runs: what they claim against what their own data gives."""

from prefect import get_run_logger, task

from flows._shared.orchestration.database import connect
from flows.quality_compass import raw, sync
from flows.quality_compass.flow.finding import open_storage
from flows.quality_compass.records import Run
from flows.quality_compass.settings import QualityCompassSettings


@task(task_run_name="verify-{run.run_id}")
def verify_run(run: Run, settings: QualityCompassSettings) -> int:
    """Recompute a run; returns how many of its claims do not agree."""
    storage = open_storage(settings)
    with connect(settings.database_block) as connection:
        found = raw.record_disagreements(
            connection,
            run.run_id,
            sync.disagreements(run, settings, storage),
            settings.max_disagreements,
        )
    get_run_logger().info("%s: %s claims do not agree with their recomputation", run.run_id, found)
    return found
