{{
    config(
        indexes=[{'columns': ['commit_week']}],
        partition_by=by_commit_day('commit_week'),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['repository_id'],
    )
}}

with commits as (

    select *
    from {{ ref('int_commits') }}
    where is_date_plausible

),

first_commits as (

    select
        repository_id,
        contributor_id,
        min(commit_week) as first_week
    from commits
    group by repository_id, contributor_id

),

new_contributors as (

    select
        repository_id,
        first_week,
        count(*) as new_contributors
    from first_commits
    group by repository_id, first_week

),

weekly as (

    select
        repository_id,
        commit_week,
        count(*) as commits,
        count(case when is_merge then 1 end) as merge_commits,
        count(distinct contributor_id) as active_contributors,
        count(case when is_without_line_counts then 1 end) as commits_without_line_counts,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted,
        cast(sum(lines_added + lines_deleted) as bigint) as churn,
        max(commit_day) as last_commit_date
    from commits
    group by repository_id, commit_week

),

bounds as (

    select
        repository_id,
        min(commit_week) as first_week,
        greatest(
            max(commit_week),
            {{ shared.week_floor(as_of_date()) }}
        ) as last_week
    from weekly
    group by repository_id

),

spine as (

    select
        bounds.repository_id,
        days.date_day as commit_week
    from bounds
    {{ shared.cross_join_days('bounds.first_week', 'bounds.last_week', 'days') }}
    where days.date_day = {{ shared.week_floor('days.date_day') }}

),

filled as (

    select
        spine.repository_id,
        spine.commit_week,
        coalesce(weekly.commits, 0) as commits,
        coalesce(weekly.merge_commits, 0) as merge_commits,
        coalesce(weekly.active_contributors, 0) as active_contributors,
        coalesce(new_contributors.new_contributors, 0) as new_contributors,
        coalesce(weekly.commits_without_line_counts, 0) as commits_without_line_counts,
        case when weekly.commits is null then 0 else weekly.lines_added end as lines_added,
        case when weekly.commits is null then 0 else weekly.lines_deleted end as lines_deleted,
        case when weekly.commits is null then 0 else weekly.churn end as churn,
        max(weekly.last_commit_date) over (
            partition by spine.repository_id
            order by spine.commit_week
            rows between unbounded preceding and current row
        ) as last_commit_date,
        least(
            {{ shared.add_days('spine.commit_week', 6) }}, {{ as_of_date() }}
        ) as last_day
    from spine
    left join weekly
        on
            spine.repository_id = weekly.repository_id
            and spine.commit_week = weekly.commit_week
    left join new_contributors
        on
            spine.repository_id = new_contributors.repository_id
            and spine.commit_week = new_contributors.first_week

),

final as (

    select
        repository_id,
        commit_week,
        commits,
        merge_commits,
        active_contributors,
        new_contributors,
        commits_without_line_counts,
        lines_added,
        lines_deleted,
        churn,
        greatest(
            {{ shared.days_between('last_commit_date', 'last_day') }}, 0
        ) as days_since_last_commit
    from filled

)

select * from final
