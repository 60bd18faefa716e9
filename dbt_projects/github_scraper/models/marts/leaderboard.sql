{{
    config(
        indexes=[{'columns': ['scope', 'time_window', 'repository_id', 'rank']}],
        cluster_by=['repository_id'],
    )
}}

with commits as (

    select * from {{ ref('int_commits') }}

),

coauthored as (

    select * from {{ ref('int_coauthored_commits') }}

),

contributors as (

    select * from {{ ref('stg_contributors') }}

),

windows as (

    select
        'all_time' as time_window,
        cast(null as integer) as days
    union all
    select
        'trailing_90d' as time_window,
        90 as days
    union all
    select
        'trailing_30d' as time_window,
        30 as days

),

-- Summed by day before the windows multiply the rows.
daily_credits as (

    select
        repository_id,
        contributor_id,
        commit_day,
        is_date_plausible,
        is_first_copy,
        count(*) as commits,
        count(case when not is_merge then 1 end) as non_merge_commits,
        count(case when is_without_line_counts then 1 end) as commits_without_line_counts,
        count(case when is_without_file_classes then 1 end) as commits_without_file_classes,
        0 as coauthored_commits,
        sum(lines_added) as lines_added,
        sum(lines_deleted) as lines_deleted,
        sum(counted_lines_added) as counted_lines_added,
        sum(counted_lines_deleted) as counted_lines_deleted
    from commits
    group by repository_id, contributor_id, commit_day, is_date_plausible, is_first_copy

    union all

    select
        repository_id,
        contributor_id,
        commit_day,
        is_date_plausible,
        is_first_copy,
        0 as commits,
        0 as non_merge_commits,
        0 as commits_without_line_counts,
        0 as commits_without_file_classes,
        count(*) as coauthored_commits,
        null as lines_added,
        null as lines_deleted,
        null as counted_lines_added,
        null as counted_lines_deleted
    from coauthored
    group by repository_id, contributor_id, commit_day, is_date_plausible, is_first_copy

),

windowed as (

    select
        daily_credits.*,
        windows.time_window
    from daily_credits
    inner join windows
        on windows.days is null or {{ is_in_trailing_days('windows.days') }}

),

scoped as (

    select
        'repository' as scope,
        windowed.repository_id as scope_repository_id,
        windowed.*
    from windowed

    union all

    select
        'overall' as scope,
        null as scope_repository_id,
        windowed.*
    from windowed
    where windowed.is_first_copy

),

credited as (

    select
        scope,
        scope_repository_id as repository_id,
        time_window,
        contributor_id,
        cast(sum(commits) as bigint) as commits,
        cast(sum(non_merge_commits) as bigint) as non_merge_commits,
        cast(sum(coauthored_commits) as bigint) as coauthored_commits,
        cast(sum(commits_without_line_counts) as bigint) as commits_without_line_counts,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted,
        cast(sum(commits_without_file_classes) as bigint) as commits_without_file_classes,
        cast(sum(counted_lines_added) as bigint) as counted_lines_added,
        cast(sum(counted_lines_deleted) as bigint) as counted_lines_deleted
    from scoped
    group by scope, scope_repository_id, time_window, contributor_id

),

final as (

    select
        credited.scope
        || '_' || coalesce({{ shared.text('credited.repository_id') }}, 'all')
        || '_' || credited.time_window
        || '_' || {{ shared.text('credited.contributor_id') }} as leaderboard_id,
        credited.scope,
        credited.repository_id,
        credited.time_window,
        rank() over (
            partition by credited.scope, credited.repository_id, credited.time_window
            order by credited.commits desc
        ) as rank,
        rank() over (
            partition by
                credited.scope, credited.repository_id, credited.time_window, contributors.kind
            order by credited.commits desc
        ) as rank_in_kind,
        credited.contributor_id,
        contributors.username,
        contributors.display_name,
        contributors.kind,
        contributors.is_bot,
        contributors.is_agent,
        credited.commits,
        credited.non_merge_commits,
        credited.coauthored_commits,
        credited.lines_added,
        credited.lines_deleted,
        credited.counted_lines_added,
        credited.counted_lines_deleted,
        case
            when credited.counted_lines_added is not null
                then rank() over (
                        partition by credited.scope, credited.repository_id, credited.time_window
                        order by coalesce(credited.counted_lines_added, -1) desc
                    )
        end as line_rank,
        credited.commits_without_file_classes,
        credited.commits_without_line_counts,
        {{ shared.safe_divide(
            'credited.commits',
            'sum(credited.commits) over ('
            ~ 'partition by credited.scope, credited.repository_id, credited.time_window)'
        ) }} as share_of_commits,
        {{ as_of_date() }} as as_of_date
    from credited
    inner join contributors on credited.contributor_id = contributors.contributor_id

)

select * from final
