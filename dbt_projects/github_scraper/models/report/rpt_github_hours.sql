with commits as (

    select * from {{ ref('int_commits') }}

),

final as (

    select
        cast(extract(isodow from commit_date at time zone 'UTC') as bigint) as day_of_week,
        cast(extract(hour from commit_date at time zone 'UTC') as bigint) as hour_of_day,
        count(*) as commits,
        count(case when not is_bot and not is_agent then 1 end) as commits_of_people,
        {{ as_of_date() }} as as_of_date
    from commits
    where
        is_first_copy
        and is_date_plausible
        and commit_day <= {{ as_of_date() }}
        and commit_day > {{ as_of_date() }} - 364
    group by 1, 2

)

select * from final
