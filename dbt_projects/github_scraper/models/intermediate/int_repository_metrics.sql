with repositories as (

    select * from {{ ref('stg_repositories') }}

),

commits as (

    select * from {{ ref('int_commits') }}

),

coauthored as (

    select * from {{ ref('int_coauthored_commits') }}

),

commit_metrics as (

    select
        repository_id,
        count(*) as total_commits,
        count(case when is_merge then 1 end) as merge_commits,
        count(case when is_bot then 1 end) as bot_commits,
        count(case when is_agent then 1 end) as agent_commits,
        count(distinct contributor_id) as contributors,
        count(distinct case when not is_bot and not is_agent then contributor_id end)
            as human_contributors,
        count(distinct case when is_date_plausible then commit_day end) as active_days,
        min(case when is_date_plausible then commit_day end) as first_commit_date,
        max(case when is_date_plausible then commit_day end) as last_commit_date,
        cast(sum(lines_added) as bigint) as lines_added,
        cast(sum(lines_deleted) as bigint) as lines_deleted,
        cast(sum(counted_lines_added) as bigint) as counted_lines_added,
        cast(sum(counted_lines_deleted) as bigint) as counted_lines_deleted,
        count(case when is_without_line_counts then 1 end) as commits_without_line_counts,
        count(case when is_without_file_classes then 1 end) as commits_without_file_classes,
        count(case when not is_date_plausible then 1 end) as commits_with_implausible_date,
        count(case when {{ is_in_trailing_days(30) }} then 1 end) as commits_30d,
        count(case when {{ is_in_trailing_days(90) }} then 1 end) as commits_90d
    from commits
    group by repository_id

),

agent_coauthors as (

    select
        repository_id,
        count(distinct commit_hash) as agent_coauthored_commits
    from coauthored
    where is_agent
    group by repository_id

),

human_commits as (

    select
        repository_id,
        contributor_id,
        count(*) as commits
    from commits
    where not is_bot and not is_agent
    group by repository_id, contributor_id

),

ranked_contributors as (

    select
        repository_id,
        commits,
        row_number() over (
            partition by repository_id order by commits asc, contributor_id asc
        ) as ascending_rank,
        row_number() over (
            partition by repository_id order by commits desc, contributor_id asc
        ) as descending_rank,
        sum(commits) over (
            partition by repository_id
            order by commits desc, contributor_id asc
            rows between unbounded preceding and current row
        ) as cumulative_commits,
        sum(commits) over (partition by repository_id) as all_commits
    from human_commits

),

concentration as (

    select
        repository_id,
        {{ bus_factor('descending_rank', 'cumulative_commits', 'all_commits') }} as bus_factor,
        {{ calculate_gini_coefficient('commits', 'ascending_rank') }} as gini_coefficient
    from ranked_contributors
    group by repository_id

),

final as (

    select
        repositories.repository_id,
        {%- for measure in [
            'total_commits', 'merge_commits', 'bot_commits', 'agent_commits', 'contributors',
            'human_contributors', 'active_days', 'commits_30d', 'commits_90d', 'commits_without_line_counts',
            'commits_without_file_classes', 'commits_with_implausible_date'
        ] %}
        coalesce(commit_metrics.{{ measure }}, 0) as {{ measure }},
        {%- endfor %}
        coalesce(agent_coauthors.agent_coauthored_commits, 0) as agent_coauthored_commits,
        commit_metrics.lines_added,
        commit_metrics.lines_deleted,
        commit_metrics.counted_lines_added,
        commit_metrics.counted_lines_deleted,
        commit_metrics.first_commit_date,
        commit_metrics.last_commit_date,
        concentration.bus_factor,
        concentration.gini_coefficient
    from repositories
    left join commit_metrics on repositories.repository_id = commit_metrics.repository_id
    left join agent_coauthors on repositories.repository_id = agent_coauthors.repository_id
    left join concentration on repositories.repository_id = concentration.repository_id

)

select * from final
