"""The flow `quality-compass-metrics`: a metric query, answered as a table artifact."""

from prefect import flow, get_run_logger, task

from flows._shared.orchestration.credentials import dbt_postgres_env, marts_block
from flows._shared.orchestration.flow_run import begun_at, current_flow_run
from flows._shared.orchestration.retry import retry_transient
from flows._shared.state import state_dir
from flows.quality_compass.semantic import Answer, MetricsRequest, SemanticLayer
from flows.quality_compass.settings import QualityCompassSettings

DASHBOARD = MetricsRequest(saved_query="dashboard_severity")


@task(name="query metrics", retries=1, retry_condition_fn=retry_transient)
def answer(request: MetricsRequest, settings: QualityCompassSettings) -> Answer:
    layer = SemanticLayer(
        (settings.state_dir or state_dir() / "quality_compass") / "metricflow",
        dbt_postgres_env(marts_block(settings)),
    )
    return layer.query(request)


@flow(name="quality-compass-metrics", flow_run_name=begun_at("quality-compass-metrics"))
def query_metrics(
    request: MetricsRequest = DASHBOARD,
    settings: QualityCompassSettings = QualityCompassSettings(),
) -> list[dict[str, str | float | None]]:
    """Ask the semantic layer, and leave the answer as the artifact `quality-compass-metrics`.

    Args:
        request: Metrics and dimensions, or a saved query. Default: the dashboard's first question.
        settings: Where the marts are.
    """
    rows = answer(request, settings).as_records()
    api = current_flow_run()
    if api is not None:
        asked = request.saved_query or ", ".join(request.metrics)
        api.create_table("quality-compass-metrics", rows, f"Answer to {asked}")
    get_run_logger().info("%s rows", len(rows))
    return rows
