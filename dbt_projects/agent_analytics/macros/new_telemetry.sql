{% macro new_telemetry(relation) -%}
    {#- What of the raw telemetry a build of this relation has to read, as
        after_metric_id, after_log_id: newest rows that the last build saw. Ids come from sequences and only one process
            writes, so "newer" needs no clock; a literal lets DuckDB skip the row groups before it.
        since: no session with anything newer has anything before this time; none where there was no build, or where
            raw rows that it saw were removed: then everything is read. -#}
    {%- set everything = {'after_metric_id': 0, 'after_log_id': 0, 'since': none} -%}
    {%- if not (execute and is_incremental()) -%}
        {{ return(everything) }}
    {%- endif -%}
    {%- set seen = run_query(
        "select coalesce(max(last_metric_id), 0), coalesce(max(last_log_id), 0), coalesce(sum(observations), 0) from "
        ~ relation
    ).rows[0] -%}
    {%- set points = source('raw', 'otel_points') -%}
    {%- set logs = source('raw', 'otel_logs') -%}
    {%- set new = run_query(
        "with points as (select timestamp, series_key from " ~ points ~ " where id > " ~ seen[0] ~ "), "
        "logs as (select timestamp, session_id from " ~ logs ~ " where id > " ~ seen[1] ~ "), "
        "touched as (select session_id from " ~ source('raw', 'otel_counters')
        ~ " where series_key in (select series_key from points) union select session_id from logs), "
        "times as (select timestamp from points union all select timestamp from logs union all "
        "select session_start from " ~ relation ~ " where session_id in (select session_id from touched)) "
        "select (select count(*) from " ~ points ~ ") + (select count(*) from " ~ logs ~ ") "
        "- (select count(*) from points) - (select count(*) from logs), "
        "(select coalesce(cast(min(timestamp) as varchar), 'infinity') from times)"
    ).rows[0] -%}
    {%- if new[0] != seen[2] -%}
        {{ return(everything) }}
    {%- endif -%}
    {{ return({'after_metric_id': seen[0], 'after_log_id': seen[1], 'since': new[1]}) }}
{%- endmacro %}

{% macro is_usage_unread() -%}
    {#- Of sessions that differ from what was built: a session without usage has no row that would say it was read. -#}
    (
        inputs.last_metric_id > (select coalesce(max(built.last_metric_id), 0) from {{ this }} as built)
        or inputs.last_log_id > (select coalesce(max(built.last_log_id), 0) from {{ this }} as built)
        or inputs.session_id in (select built.session_id from {{ this }} as built)
    )
{%- endmacro %}

{% macro unread_since(sessions) -%}
    {#- No session whose usage is unread has anything before this time; none where there was no build. -#}
    {%- if not (execute and is_incremental()) -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(run_query(
        "select coalesce(cast(min(session_start) as varchar), 'infinity') from " ~ sessions ~ " as inputs where "
        ~ differs_from_built('session_id') ~ " and " ~ is_usage_unread()
    ).rows[0][0]) }}
{%- endmacro %}

{% macro newest(column) -%}
    {#- The largest number in a column of the table as the last build left it; 0 without one. -#}
    {%- if not (execute and is_incremental()) -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(run_query("select coalesce(max(" ~ column ~ "), 0) from " ~ this).rows[0][0]) }}
{%- endmacro %}
