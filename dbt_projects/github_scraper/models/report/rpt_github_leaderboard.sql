with commits as (

    select * from {{ ref('int_commits') }}

),

contributors as (

    select * from {{ ref('stg_contributors') }}

),

leaderboard as (

    select * from {{ ref('leaderboard') }}

),

repositories as (

    select
        *,
        {{ name_among_repositories() }} as name,
        row_number() over (order by total_commits desc, repository_id asc) as place
    from {{ ref('repository_summary') }}

),

-- A window is compared with the one of its length before it, all time with itself 30 days ago.
windows_before as (

    select
        'trailing_30d' as time_window,
        {{ as_of_date() }} - 60 as after_day,
        {{ as_of_date() }} - 30 as last_day
    union all
    select
        'trailing_90d' as time_window,
        {{ as_of_date() }} - 180 as after_day,
        {{ as_of_date() }} - 90 as last_day
    union all
    select
        'all_time' as time_window,
        cast(null as date) as after_day,
        {{ as_of_date() }} - 30 as last_day

),

-- What bears no plausible date is taken for old: it is in all time only.
commits_before as (

    select
        commits.repository_id,
        commits.contributor_id,
        commits.is_first_copy,
        windows_before.time_window
    from commits
    inner join windows_before
        on
            (windows_before.after_day is null and not commits.is_date_plausible)
            or (
                commits.is_date_plausible
                and commits.commit_day <= windows_before.last_day
                and (
                    windows_before.after_day is null
                    or commits.commit_day > windows_before.after_day
                )
            )

),

counted_before as (

    select
        'repository' as scope,
        repository_id,
        time_window,
        contributor_id,
        count(*) as commits
    from commits_before
    group by repository_id, time_window, contributor_id

    union all

    select
        'overall' as scope,
        null as repository_id,
        time_window,
        contributor_id,
        count(*) as commits
    from commits_before
    where is_first_copy
    group by time_window, contributor_id

),

ranked_before as (

    select
        counted_before.*,
        rank() over (
            partition by
                counted_before.scope,
                counted_before.repository_id,
                counted_before.time_window,
                contributors.kind
            order by counted_before.commits desc
        ) as rank_in_kind
    from counted_before
    inner join contributors on counted_before.contributor_id = contributors.contributor_id

),

placed as (

    select
        leaderboard.*,
        row_number() over (
            partition by
                leaderboard.scope,
                leaderboard.repository_id,
                leaderboard.time_window,
                leaderboard.kind
            order by leaderboard.commits desc, leaderboard.contributor_id asc
        ) as place,
        count(*) over (
            partition by
                leaderboard.scope,
                leaderboard.repository_id,
                leaderboard.time_window,
                leaderboard.kind,
                leaderboard.commits
        ) as sharing_rank
    from leaderboard
    where leaderboard.commits > 0

),

final as (

    select
        placed.scope,
        coalesce(placed.repository_id, 0) as repository_id,
        case
            when placed.scope = 'overall' then 'All repositories'
            else repositories.name
        end as scope_name,
        placed.time_window,
        placed.kind,
        placed.place,
        placed.rank_in_kind,
        placed.sharing_rank,
        ranked_before.rank_in_kind as rank_in_kind_before,
        placed.contributor_id,
        placed.display_name,
        placed.commits,
        coalesce(ranked_before.commits, 0) as commits_before,
        cast(placed.share_of_commits as double precision) as share_of_commits,
        placed.as_of_date
    from placed
    left join repositories on placed.repository_id = repositories.repository_id
    left join ranked_before
        on
            placed.scope = ranked_before.scope
            and placed.repository_id is not distinct from ranked_before.repository_id
            and placed.time_window = ranked_before.time_window
            and placed.contributor_id = ranked_before.contributor_id
    where
        placed.place <= 15
        and (placed.scope = 'overall' or repositories.place <= 10)

)

select * from final
