{% macro touched_sessions(relation) -%}
    {#- Sessions with a point or an event that the last build had not seen. Ids come from sequences and only one
        process writes, so "newer" needs no clock; a literal lets DuckDB skip the row groups before it. -#}
    {%- set seen = [0, 0] -%}
    {%- if execute and is_incremental() -%}
        {%- set seen = run_query(
            "select coalesce(max(last_metric_id), 0), coalesce(max(last_log_id), 0) from " ~ relation
        ).rows[0] -%}
    {%- endif -%}
    (
        select session_id
        from {{ source('raw', 'otel_counters') }}
        where
            series_key in (
                select points.series_key
                from {{ source('raw', 'otel_points') }} as points
                where points.id > {{ seen[0] }}
            )
        union
        select session_id from {{ source('raw', 'otel_logs') }} where id > {{ seen[1] }}
    )
{%- endmacro %}
