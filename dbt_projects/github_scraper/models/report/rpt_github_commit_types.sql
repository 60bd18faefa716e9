with commit_types as (

    select * from {{ ref('commit_type_summary') }}

),

final as (

    select
        commit_type,
        cast(sum(commits) as bigint) as commits,
        cast(sum(agent_commits) as bigint) as agent_commits,
        cast(sum(bot_commits) as bigint) as bot_commits,
        cast(sum(breaking_commits) as bigint) as breaking_commits,
        {{ as_of_date() }} as as_of_date
    from commit_types
    where
        commit_month > {{ shared.month_floor(as_of_date()) }} - interval '12 months'
        and commit_month <= {{ as_of_date() }}
    group by commit_type

)

select * from final
