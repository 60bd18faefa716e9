{% macro metric_points(since) -%}
    {#- raw.otel_metrics, or as much of it as the sessions in the CTE `touched` have. There the counters are chosen
        before their points are joined to them, which DuckDB does not do by itself through the view. -#}
    {%- if is_incremental() -%}
    (
        select
            points.*,
            counters.counter_key,
            counters.session_id,
            counters.developer_id,
            counters.agent_type,
            counters.model_name,
            counters.metric_name,
            counters.attributes
        from {{ source('raw', 'otel_points') }} as points
        inner join (
            select
                *,
                {{ counter_key() }} as counter_key
            from {{ source('raw', 'otel_counters') }}
            where session_id in (select touched.session_id from touched)
        ) as counters
            on points.series_key = counters.series_key
        {{ 'where ' ~ not_before(since, 'points.timestamp') }}
    )
    {%- else -%}
    (
        select
            points.*,
            coalesce(counters.counter_key, points.series_key) as counter_key
        from {{ source('raw', 'otel_metrics') }} as points
        left join (
            select
                series_key,
                {{ counter_key() }} as counter_key
            from {{ source('raw', 'otel_counters') }}
        ) as counters
            on points.series_key = counters.series_key
    )
    {%- endif -%}
{%- endmacro %}

{% macro counter_key() -%}
    {#- One key for what is one counter of a session: a collector on the way may add to its resource or change it, which
        makes another series of it. What names no session is told apart by all of its resource. -#}
    case
        when starts_with(session_id, 'no-session:') then series_key
        else min(series_key) over (
            partition by session_id, developer_id, agent_type, metric_name, cast(attributes as varchar)
        )
    end
{%- endmacro %}

{% macro not_before(since, moment) -%}
    {{ moment ~ " >= timestamp '" ~ since ~ "'" if since else 'true' }}
{%- endmacro %}
