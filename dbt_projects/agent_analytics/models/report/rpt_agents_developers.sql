with forecasts as (

    select * from {{ ref('fct_cost_forecast') }}

),

commits as (

    select * from {{ ref('fct_git_commits') }}

),

developers as (

    select * from {{ ref('dim_developers') }}

),

-- Shares of sessions are floats: as a decimal their sum is the same in whatever order of adding.
month_commits as (

    select
        commits.developer_id,
        count(*) as assisted_commits,
        count(commits.cost_usd) as commits_with_cost,
        cast(sum(commits.cost_usd) as decimal(38, 10)) as cost_of_commits_usd
    from commits
    inner join forecasts
        on
            commits.developer_id = forecasts.developer_id
            and commits.commit_date between forecasts.month_start and forecasts.as_of_date
    where commits.is_agent_assisted = 1
    group by commits.developer_id

    union all

    select
        'all' as developer_id,
        count(*) as assisted_commits,
        count(commits.cost_usd) as commits_with_cost,
        cast(sum(commits.cost_usd) as decimal(38, 10)) as cost_of_commits_usd
    from commits
    inner join forecasts
        on
            forecasts.developer_id = 'all'
            and commits.commit_date between forecasts.month_start and forecasts.as_of_date
    where commits.is_agent_assisted = 1

),

placed as (

    select
        forecasts.*,
        row_number() over (
            order by
                case when forecasts.developer_id = 'all' then 0 else 1 end,
                forecasts.month_to_date_cost_usd desc nulls last,
                forecasts.developer_id asc
        ) - 1 as place
    from forecasts

),

final as (

    select
        cast(placed.place as bigint) as place,
        placed.developer_id,
        case
            when placed.developer_id = 'all' then 'All developers'
            else coalesce(developers.name, placed.developer_id)
        end as developer,
        placed.month_start,
        placed.as_of_date,
        placed.days_left,
        placed.month_to_date_cost_usd,
        placed.forecast_cost_usd,
        placed.forecast_low_usd,
        placed.forecast_high_usd,
        placed.may_cost_more_usd,
        placed.unpriced_tokens,
        placed.monthly_budget_usd,
        placed.budget_status,
        cast(coalesce(month_commits.assisted_commits, 0) as bigint) as assisted_commits,
        cast(coalesce(month_commits.commits_with_cost, 0) as bigint) as commits_with_cost,
        cast(
            month_commits.cost_of_commits_usd / nullif(month_commits.commits_with_cost, 0) as double
        ) as cost_per_commit_usd
    from placed
    left join developers on placed.developer_id = developers.developer_id
    left join month_commits on placed.developer_id = month_commits.developer_id

)

select * from final
