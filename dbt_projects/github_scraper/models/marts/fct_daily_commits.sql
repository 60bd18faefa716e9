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
        partition_by=by_commit_day(),
        cluster_by=['repository_id'],
        post_hook=["delete from {{ this }} where commits_count = 0", "{{ shared.brake(is_last=true) }}"],
    )
}}

-- depends_on: {{ ref('stg_repositories') }}

with

{%- if is_incremental() %}

touched_days as (

    select distinct
        repository_id,
        commit_day
    from {{ ref('stg_commits') }}
    where updated_at > {{ incremental_watermark(this, 'source_updated_at') }}

    union all

    -- Days of a repository that was merged into another.
    select distinct
        existing.repository_id,
        existing.commit_day
    from {{ this }} as existing
    left join {{ ref('stg_repositories') }} as repositories
        on existing.repository_id = repositories.repository_id
    where repositories.repository_id is null

),

commits as (

    {{ commits_of_days(ref('stg_commits'), 'touched_days') }}

),

{%- else %}

commits as (

    select * from {{ ref('stg_commits') }}

),

{%- endif %}

counted as (

    select
        {{ day_text('commit_day') }}
        || '_' || {{ shared.text('repository_id') }}
        || '_' || {{ shared.text('contributor_id') }} as commit_day_repository_contributor,
        commit_day,
        repository_id,
        contributor_id,
        count(*) as commits_count,
        count(case when is_merge then 1 end) as merge_commits_count,
        count(case when not is_date_plausible then 1 end) as commits_with_implausible_date,
        count(case when not is_merge and lines_added is null then 1 end)
            as commits_without_line_counts,
        cast(sum(case when not is_merge then lines_added end) as bigint) as total_lines_added,
        cast(sum(case when not is_merge then lines_deleted end) as bigint) as total_lines_deleted,
        cast(sum(case when not is_merge then files_changed end) as bigint) as total_files_changed,
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

-- Rows with no commit left: the merge sets them to 0 and the post-hook deletes them, on PostgreSQL
-- in the same transaction.
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
