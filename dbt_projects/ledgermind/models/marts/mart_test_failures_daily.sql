{{ config(materialized='view') }}

with results as (

    select * from {{ source('dbt', 'dbt_test_results') }}

),

final as (

    select
        {{ day_floor('run_at') }} as run_date,
        test_name,
        {{ whole('count(*)') }} as runs,
        {{ whole("sum(case when status in ('fail', 'error') then 1 else 0 end)") }} as runs_failed,
        {{ whole("sum(case when status = 'warn' then 1 else 0 end)") }} as runs_warned,
        {{ whole('max(coalesce(failures, 0))') }} as most_failing_rows,
        {{ real('avg(seconds)') }} as average_seconds
    from results
    group by {{ day_floor('run_at') }}, test_name

)

select * from final
