with commits as (

    select * from {{ ref('int_commits') }}
    where is_first_copy and is_date_plausible and commit_day <= {{ as_of_date() }}

),

final as (

    select
        commit_type,
        count(*) as commits,
        count(case when is_agent then 1 end) as agent_commits,
        count(case when is_bot then 1 end) as bot_commits,
        count(case when is_breaking then 1 end) as breaking_commits,
        {{ as_of_date() }} as as_of_date
    from commits
    where commit_month > {{ shared.month_floor(as_of_date()) }} - interval '12 months'
    group by commit_type

)

select * from final
