{{ config(materialized='table') }}

with runs as (

    select
        cast(run_id as text) as run_id,
        cast(fingerprint as uuid) as run_version,
        -- The folder that the run's own lies in.
        substring(url from '([^/]+)/+[^/]+/*$') as run_set,
        coalesce(time_zone, 'UTC') as time_zone,
        coalesce(started_at, to_timestamp(run_id || '+00', 'YYYYMMDDHH24MISSTZH')) as run_at
    from {{ source('raw', 'raw_runs') }}

),

judged as (

    select
        *,
        coalesce('{{ var("shown_set") }}' in ('', run_set), false) as is_shown
    from runs

),

final as (

    select
        run_id,
        run_version,
        run_set,
        time_zone,
        run_at,
        is_shown,
        lag(run_id) over (partition by run_set order by run_at, run_id) as previous_run_id,
        row_number() over (order by is_shown desc, run_at desc, run_id desc) = 1 as is_latest
    from judged

)

select * from final
