with leaderboard as (

    select * from {{ ref('leaderboard') }}

),

people as (

    select
        contributor_id,
        commits,
        row_number() over (order by commits asc, contributor_id asc) as ascending_rank,
        row_number() over (order by commits desc, contributor_id asc) as descending_rank,
        sum(commits) over (
            order by commits asc, contributor_id asc
            rows between unbounded preceding and current row
        ) as commits_of_fewest,
        sum(commits) over (
            order by commits desc, contributor_id asc
            rows between unbounded preceding and current row
        ) as commits_of_most,
        sum(commits) over () as all_commits
    from leaderboard
    where scope = 'overall' and time_window = 'all_time' and kind = 'person' and commits > 0

),

measured as (

    select
        count(*) as people,
        cast(sum(commits) as bigint) as commits,
        {{ bus_factor('descending_rank', 'commits_of_most', 'all_commits') }} as bus_factor,
        {{ calculate_gini_coefficient('commits', 'ascending_rank') }} as gini_coefficient
    from people
    having count(*) > 0

),

points as (

    select
        measured.*,
        spine.point,
        floor(measured.people * spine.point / 20.0) as whole_people,
        measured.people * spine.point / 20.0
        - floor(measured.people * spine.point / 20.0) as part_of_next
    from measured
    cross join generate_series(0, 20) as spine (point)

),

final as (

    select
        cast(points.point / 20.0 as double precision) as share_of_people,
        cast(
            (
                coalesce(fewer.commits_of_fewest, 0)
                + points.part_of_next * coalesce(next_person.commits, 0)
            )
            / points.commits as double precision
        ) as share_of_commits,
        points.people,
        points.commits,
        points.bus_factor,
        cast(points.gini_coefficient as double precision) as gini_coefficient,
        {{ as_of_date() }} as as_of_date
    from points
    left join people as fewer on points.whole_people = fewer.ascending_rank
    left join people as next_person on points.whole_people + 1 = next_person.ascending_rank

)

select * from final
