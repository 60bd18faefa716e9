{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key='commit_day_repository_contributor',
        on_schema_change='fail',
        indexes=[
            {'columns': ['repository_id', 'commit_day']},
            {'columns': ['contributor_id', 'commit_day']},
            {'columns': ['source_updated_at']},
        ],
        post_hook="delete from {{ this }} where commits_count = 0",
    )
}}

with

{%- if is_incremental() %}

touched_days as (

    select distinct
        repository_id,
        commit_day
    from {{ ref('stg_commits') }}
    where updated_at > {{ incremental_watermark(this, 'source_updated_at') }}

),

commits as (

    select touched_commits.*
    from touched_days
    cross join lateral (
        select stg_commits.*
        from {{ ref('stg_commits') }} as stg_commits
        where
            stg_commits.repository_id = touched_days.repository_id
            and stg_commits.commit_date
            >= cast(touched_days.commit_day as timestamp) at time zone 'UTC'
            and stg_commits.commit_date
            < cast(touched_days.commit_day + 1 as timestamp) at time zone 'UTC'
        -- A fence: one look into the index (repository_id, commit_date) per touched day. Without
        -- it the planner may compare every touched day with every commit of the repository.
        offset 0 -- noqa: AM09
    ) as touched_commits

),

{%- else %}

commits as (

    select * from {{ ref('stg_commits') }}

),

{%- endif %}

counted as (

    select
        to_char(commit_day, 'YYYY-MM-DD')
        || '_' || repository_id
        || '_' || contributor_id as commit_day_repository_contributor,
        commit_day,
        repository_id,
        contributor_id,
        count(*) as commits_count,
        count(*) filter (where is_merge) as merge_commits_count,
        count(*) filter (where not is_date_plausible) as commits_with_implausible_date,
        count(*) filter (
            where not is_merge and lines_added is null
        ) as commits_without_line_counts,
        cast(sum(lines_added) filter (where not is_merge) as bigint) as total_lines_added,
        cast(sum(lines_deleted) filter (where not is_merge) as bigint) as total_lines_deleted,
        cast(sum(files_changed) filter (where not is_merge) as bigint) as total_files_changed,
        max(updated_at) as source_updated_at
    from commits
    where is_reachable
    group by commit_day, repository_id, contributor_id

),

{%- if is_incremental() %}

vanished as (

    select existing.*
    from {{ this }} as existing
    inner join touched_days
        on
            existing.repository_id = touched_days.repository_id
            and existing.commit_day = touched_days.commit_day
    left join counted
        on
            existing.commit_day_repository_contributor
            = counted.commit_day_repository_contributor
    where counted.commit_day_repository_contributor is null

),

-- Rows with no commit left: the merge sets them to 0 and the post-hook, in the same
-- transaction, deletes them.
tombstones as (

    select
        commit_day_repository_contributor,
        commit_day,
        repository_id,
        contributor_id,
        cast(0 as bigint) as commits_count,
        cast(0 as bigint) as merge_commits_count,
        cast(0 as bigint) as commits_with_implausible_date,
        cast(0 as bigint) as commits_without_line_counts,
        cast(null as bigint) as total_lines_added,
        cast(null as bigint) as total_lines_deleted,
        cast(null as bigint) as total_files_changed,
        source_updated_at
    from vanished

),

{%- endif %}

final as (

    select * from counted
    {% if is_incremental() %}
    union all
    select * from tombstones
    {% endif %}

)

select * from final
