{% macro incremental_watermark(relation, column) -%}
    {#- A literal: for a scalar subquery PostgreSQL's planner assumes a third of the table and may not use the
        index, and BigQuery reads every partition. -#}
    {%- set newest = none -%}
    {%- if execute -%}
        {%- set newest = run_query("select max(" ~ column ~ ") as newest from " ~ relation).rows[0][0] -%}
    {%- endif -%}
    {%- if newest is none -%}
        {{ return(moment('0001-01-01 00:00:00')) }}
    {%- endif -%}
    {%- set lookback = modules.datetime.timedelta(hours=var('incremental_lookback_hours')) -%}
    {%- set since = newest.astimezone(modules.pytz.utc) - lookback -%}
    {{ return(moment(since.strftime('%Y-%m-%d %H:%M:%S.%f'))) }}
{%- endmacro %}

{% macro commits_of_days(commits, touched_days) -%}
    {{ return(adapter.dispatch('commits_of_days', 'github_scraper')(commits, touched_days)) }}
{%- endmacro %}

{% macro postgres__commits_of_days(commits, touched_days) -%}
    select touched_commits.*
    from {{ touched_days }}
    cross join lateral (
        select candidates.*
        from {{ commits }} as candidates
        where
            candidates.repository_id = {{ touched_days }}.repository_id
            and candidates.commit_date
            >= cast({{ touched_days }}.commit_day as timestamp) at time zone 'UTC'
            and candidates.commit_date
            < cast({{ touched_days }}.commit_day + 1 as timestamp) at time zone 'UTC'
        -- A fence: one look into the index (repository_id, commit_date) per touched day. Without
        -- it the planner may compare every touched day with every commit of the repository.
        offset 0
    ) as touched_commits
{%- endmacro %}

{% macro bigquery__commits_of_days(commits, touched_days) -%}
    select candidates.*
    from {{ commits }} as candidates
    inner join {{ touched_days }}
        on
            candidates.repository_id = {{ touched_days }}.repository_id
            and candidates.commit_day = {{ touched_days }}.commit_day
{%- endmacro %}
