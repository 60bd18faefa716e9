with commits as (

    select * from {{ ref('int_commits') }}
    where is_first_copy and is_date_plausible and commit_day <= {{ as_of_date() }}

),

first_weeks as (

    select
        contributor_id,
        min(commit_week) as first_week
    from commits
    where not is_bot and not is_agent
    group by contributor_id

),

newcomers as (

    select
        first_week,
        count(*) as new_people
    from first_weeks
    group by first_week

),

weekly as (

    select
        commit_week,
        count(*) as commits,
        count(case when is_agent then 1 end) as agent_commits,
        count(case when is_bot then 1 end) as bot_commits,
        count(distinct case when not is_bot and not is_agent then contributor_id end)
            as active_people
    from commits
    group by commit_week

),

weeks as (

    select cast(spine.moment as date) as commit_week
    from
        generate_series(
            cast({{ shared.week_floor(as_of_date()) }} as timestamp) - interval '52 weeks',
            cast({{ shared.week_floor(as_of_date()) }} as timestamp),
            interval '1 week'
        ) as spine (moment)
    where spine.moment >= (select min(weekly.commit_week) from weekly)

),

final as (

    select
        weeks.commit_week,
        coalesce(weekly.commits, 0) as commits,
        coalesce(weekly.agent_commits, 0) as agent_commits,
        coalesce(weekly.bot_commits, 0) as bot_commits,
        coalesce(weekly.active_people, 0) as active_people,
        coalesce(newcomers.new_people, 0) as new_people,
        weeks.commit_week + 7 <= {{ first_unfinished_day() }} as is_complete_week,
        {{ as_of_date() }} as as_of_date
    from weeks
    left join weekly on weeks.commit_week = weekly.commit_week
    left join newcomers on weeks.commit_week = newcomers.first_week

)

select * from final
