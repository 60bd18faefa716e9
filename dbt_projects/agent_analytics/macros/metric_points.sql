{% macro metric_points(since) -%}
    {#- raw.otel_metrics, or as much of it as the sessions in the CTE `touched` have. There the counters are chosen
        before their points are joined to them, which DuckDB does not do by itself through the view. -#}
    {%- if is_incremental() -%}
    (
        select
            points.*,
            counters.session_id,
            counters.developer_id,
            counters.agent_type,
            counters.model_name,
            counters.metric_name,
            counters.attributes
        from {{ source('raw', 'otel_points') }} as points
        inner join (
            select *
            from {{ source('raw', 'otel_counters') }}
            where session_id in (select touched.session_id from touched)
        ) as counters
            on points.series_key = counters.series_key
        {{ 'where ' ~ not_before(since, 'points.timestamp') }}
    )
    {%- else -%}
    {{ source('raw', 'otel_metrics') }}
    {%- endif -%}
{%- endmacro %}

{% macro not_before(since, moment) -%}
    {{ moment ~ " >= timestamp '" ~ since ~ "'" if since else 'true' }}
{%- endmacro %}
