with repositories as (

    select
        *,
        {{ name_among_repositories() }} as repository
    from {{ ref('repository_summary') }}

),

final as (

    select
        repository_id,
        repository,
        state,
        paused_at,
        retired_at,
        commit_rank,
        total_commits,
        agent_commits,
        bot_commits,
        human_contributors,
        bus_factor,
        cast(gini_coefficient as double precision) as gini_coefficient,
        commits_30d,
        commits_90d,
        last_commit_date,
        days_since_last_commit,
        is_shallow,
        as_of_date
    from repositories
    where commit_rank is not null

)

select * from final
