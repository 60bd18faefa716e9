{{ config(severity='warn', store_failures=false) }}

with told as (

    select
        session_id,
        developer_id
    from {{ source('raw', 'otel_logs') }}

    union

    select
        session_id,
        developer_id
    from {{ source('raw', 'otel_counters') }}

),

developers as (

    select
        told.session_id,
        names.developer_id,
        min(told.developer_id) as called
    from told
    inner join {{ ref('int_developer_names') }} as names
        on lower(trim(told.developer_id)) = names.name
    where told.developer_id <> 'unknown' and not starts_with(told.session_id, 'no-session:')
    group by told.session_id, names.developer_id

)

select
    session_id,
    string_agg(called, ', ' order by called) as developers
from developers
group by session_id
having count(*) > 1
