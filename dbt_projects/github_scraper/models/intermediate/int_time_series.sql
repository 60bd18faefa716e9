{{
    config(
        partition_by=by_commit_day(),
        partition_expiration_days=var('partition_expiration_days', none),
        cluster_by=['repository_id'],
    )
}}

with commits as (

    select *
    from {{ ref('int_commits') }}
    where is_date_plausible

),

daily as (

    select
        repository_id,
        commit_day,
        count(*) as commits,
        count(case when is_merge then 1 end) as merge_commits,
        count(distinct contributor_id) as contributors,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted
    from commits
    group by repository_id, commit_day

),

bounds as (

    select
        repository_id,
        min(commit_day) as first_day,
        max(commit_day) as last_day
    from daily
    group by repository_id

),

spine as (

    select
        bounds.repository_id,
        days.date_day as commit_day
    from bounds
    {{ shared.cross_join_days('bounds.first_day', 'bounds.last_day', 'days') }}

),

filled as (

    select
        spine.repository_id,
        spine.commit_day,
        coalesce(daily.commits, 0) as commits,
        coalesce(daily.merge_commits, 0) as merge_commits,
        coalesce(daily.contributors, 0) as contributors,
        case when daily.commits is null then 0 else daily.lines_added end as lines_added,
        case when daily.commits is null then 0 else daily.lines_deleted end as lines_deleted
    from spine
    left join daily
        on
            spine.repository_id = daily.repository_id
            and spine.commit_day = daily.commit_day

),

final as (

    select
        *,
        cast(sum(commits) over trailing_all as bigint) as cumulative_commits,
        cast(sum(commits) over trailing_week as bigint) as commits_7d,
        cast(sum(commits) over trailing_month as bigint) as commits_28d
    from filled
    window
        by_day as (partition by repository_id order by commit_day),
        trailing_all as (by_day rows between unbounded preceding and current row),
        trailing_week as (by_day rows between 6 preceding and current row),
        trailing_month as (by_day rows between 27 preceding and current row)

)

select * from final
