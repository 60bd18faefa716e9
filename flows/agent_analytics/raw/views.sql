create or replace view raw.otel_metrics as
select
    points.id,
    points."timestamp",
    counters.developer_id,
    counters.metric_name,
    points.metric_value,
    counters.attributes,
    points.created_at,
    points.start_timestamp,
    points.temporality,
    points.is_monotonic,
    points.unit,
    counters.session_id,
    counters.agent_type,
    counters.model_name,
    counters.resource_attributes,
    points.series_key,
    points.point_key,
    points.observations
from raw.otel_points as points
inner join raw.otel_counters as counters on points.series_key = counters.series_key;
